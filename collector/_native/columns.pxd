"""Values in PostgreSQL's binary COPY format (PostgreSQL manual, COPY, "Binary Format").

`put_…` writes where it is told, which is reserved, and returns what follows.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from collector._native.buffer cimport DONE, DOUBT, NO_MEMORY, Buffer, Outcome, reserve
from collector._native.reader cimport Slice, store_be16, store_be32, store_be64


cdef enum:
    # Lengths are 32 bits with a sign.
    VALUE_SIZE_MAX = 0x7FFFFFFF
    # The widest of the values below that are not text.
    FIXED_SIZE_MAX = 4 + 16
    OID_INT64 = 20
    OID_FLOAT64 = 701
    ARRAY_HEAD_SIZE = 4 + 20
    ARRAY_ELEMENT_SIZE = 4 + 8

# Timestamps are counted in microseconds from 2000-01-01.
cdef extern from *:
    """
    #define EPOCH_US 946684800000000LL
    """
    const int64_t EPOCH_US


cdef inline uint8_t *put_null(uint8_t *to) noexcept nogil:
    """NULL."""
    store_be32(to, 0xFFFFFFFF)
    return to + 4


cdef inline uint8_t *put_int64(uint8_t *to, uint64_t value) noexcept nogil:
    """bigint, or the bits of a double."""
    store_be32(to, 8)
    store_be64(to + 4, value)
    return to + 12


cdef inline uint8_t *put_int32(uint8_t *to, uint32_t value) noexcept nogil:
    """integer."""
    store_be32(to, 4)
    store_be32(to + 4, value)
    return to + 8


cdef inline uint8_t *put_int64_or_null(uint8_t *to, uint64_t value) noexcept nogil:
    """bigint, with NULL for 0."""
    return put_int64(to, value) if value else put_null(to)


cdef inline uint8_t *put_time(uint8_t *to, uint64_t unix_nano) noexcept nogil:
    """The columns `time` and `time_nanos`."""
    cdef uint64_t microseconds = unix_nano // 1000
    cdef uint32_t nanos = <uint32_t>(unix_nano - microseconds * 1000)
    to = put_int64(to, microseconds - <uint64_t>EPOCH_US)
    if not nanos:
        return put_null(to)
    store_be32(to, 2)
    store_be16(to + 4, <uint16_t>nanos)
    return to + 6


cdef inline uint8_t *put_uuid(uint8_t *to, const uint8_t *data) noexcept nogil:
    """uuid."""
    store_be32(to, 16)
    memcpy(to + 4, data, 16)
    return to + 20


cdef inline uint8_t *put_true(uint8_t *to) noexcept nogil:
    """boolean."""
    store_be32(to, 1)
    to[4] = 1
    return to + 5


cdef inline uint8_t *put_text(uint8_t *to, Slice text) noexcept nogil:
    """text, of at most `VALUE_SIZE_MAX` bytes."""
    store_be32(to, <uint32_t>text.size)
    if text.size:
        memcpy(to + 4, text.data, text.size)
    return to + 4 + text.size


cdef inline Outcome append_null(Buffer *out) noexcept nogil:
    """NULL."""
    if reserve(out, 4) != DONE:
        return NO_MEMORY
    put_null(out.data + out.size)
    out.size += 4
    return DONE


cdef inline Outcome begin_value(Buffer *out, size_t *start) noexcept nogil:
    """Leave room for the length of a value that is written next; `start` is for `end_value`."""
    if reserve(out, 4) != DONE:
        return NO_MEMORY
    start[0] = out.size
    out.size += 4
    return DONE


cdef inline Outcome end_value(Buffer *out, size_t start) noexcept nogil:
    """Fill in the length."""
    cdef size_t size = out.size - start - 4
    if size > VALUE_SIZE_MAX:
        return DOUBT
    store_be32(out.data + start, <uint32_t>size)
    return DONE


cdef inline void put_array_head(uint8_t *to, uint32_t count, uint32_t oid) noexcept nogil:
    """Length and head of an array of `count` elements of 8 bytes without NULLs."""
    store_be32(to, 20 + <uint32_t>ARRAY_ELEMENT_SIZE * count)
    store_be32(to + 4, 1)
    store_be32(to + 8, 0)
    store_be32(to + 12, oid)
    store_be32(to + 16, count)
    store_be32(to + 20, 1)
