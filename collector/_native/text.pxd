"""Whether bytes are text as the stores take it: UTF-8 (RFC 3629) without NUL."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from collector._native.reader cimport likely_, load_le32, load_le64


cdef enum:
    WORD = 8


cdef inline bint _plain(uint64_t word) noexcept nogil:
    """Whether all 8 bytes are 1 … 127: in such a word neither a byte nor a byte less one has its high bit set."""
    return ((word | (word - <uint64_t>0x0101010101010101)) & <uint64_t>0x8080808080808080) == 0


cdef inline bint _sequences(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """`is_text`, one character after the other."""
    cdef uint32_t first, low, high
    cdef Py_ssize_t following
    while at < end:
        first = at[0]
        if first < 0x80:
            if first == 0:
                return False
            at += 1
            continue
        # The second byte's range rules out long forms, surrogates and what is beyond U+10FFFF (RFC 3629, section 4).
        low = 0x80
        high = 0xBF
        if 0xC2 <= first <= 0xDF:
            following = 1
        elif 0xE0 <= first <= 0xEF:
            following = 2
            if first == 0xE0:
                low = 0xA0
            elif first == 0xED:
                high = 0x9F
        elif 0xF0 <= first <= 0xF4:
            following = 3
            if first == 0xF0:
                low = 0x90
            elif first == 0xF4:
                high = 0x8F
        else:
            return False
        if end - at <= following or not low <= at[1] <= high:
            return False
        if following > 1 and (at[2] & 0xC0) != 0x80:
            return False
        if following > 2 and (at[3] & 0xC0) != 0x80:
            return False
        at += following + 1
    return True


cdef inline bint is_text(const uint8_t *data, size_t size) noexcept nogil:
    """Whether `size` bytes are UTF-8 without NUL. Fast where they are ASCII."""
    cdef const uint8_t *at = data
    cdef const uint8_t *end = data + size
    cdef uint64_t word
    if likely_(size >= WORD):
        while end - at > WORD:
            if not _plain(load_le64(at)):
                return _sequences(at, end)
            at += WORD
        return likely_(_plain(load_le64(end - WORD))) or _sequences(at, end)
    if size >= 4:
        word = <uint64_t>load_le32(data) << 32 | load_le32(end - 4)
        return likely_(_plain(word)) or _sequences(data, end)
    return _sequences(data, end)
