"""What every message of a request is made of: fields to skip, texts, ids, attributes and their values.

Functions return whether all is in order: see `scan`.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from collector._native.reader cimport (
    FIXED64,
    GROUP_BEGIN,
    LENGTH,
    VARINT,
    Reader,
    Slice,
    likely_,
    load_le32,
    load_le64,
    more,
    read_fixed32,
    read_fixed64,
    read_message,
    read_slice,
    read_tag,
    read_varint,
    skip_plain,
    unlikely_,
)
from collector._native.text cimport is_text


cdef enum:
    # Attributes in one list; each is compared with all before it.
    KEYS_MAX = 128


cdef struct Pass:
    uint64_t time_min
    uint64_t time_max
    uint32_t depth_max
    uint64_t envelopes
    uint64_t messages
    uint64_t items


# What the fields of a message with a list of attributes have in common: which keys occurred.
cdef struct Keys:
    uint32_t count
    uint64_t[KEYS_MAX] signs
    Slice[KEYS_MAX] texts


cdef inline bint skip_unknown(Reader *reader, uint32_t tag, uint32_t known_max) noexcept nogil:
    """Skip a field of a later OTLP. One that is known, or was once, has a wrong type if it comes here."""
    return (tag >> 3) > known_max and (tag & 7) != GROUP_BEGIN and skip_plain(reader, tag & 7)


cdef inline bint enter(Pass *state, Reader *outer, Reader *inner) noexcept nogil:
    """Read a message in the one that `outer` reads, and count it."""
    state.messages += 1
    return read_message(outer, inner)


cdef inline bint skip_varint(Reader *reader) noexcept nogil:
    cdef uint64_t number = 0
    return read_varint(reader, &number)


cdef inline bint skip_fixed64(Reader *reader) noexcept nogil:
    cdef uint64_t number = 0
    return read_fixed64(reader, &number)


cdef inline bint skip_fixed32(Reader *reader) noexcept nogil:
    cdef uint32_t number = 0
    return read_fixed32(reader, &number)


cdef inline bint skip_bytes(Reader *reader) noexcept nogil:
    cdef Slice ignored
    return read_slice(reader, &ignored)


cdef inline bint text(Reader *reader) noexcept nogil:
    cdef Slice content
    return read_slice(reader, &content) and is_text(content.data, content.size)


cdef inline bint is_id16(Slice trace_id) noexcept nogil:
    return trace_id.size == 16 and (load_le64(trace_id.data) | load_le64(trace_id.data + 8)) != 0


cdef inline bint is_id8(Slice span_id) noexcept nogil:
    return span_id.size == 8 and load_le64(span_id.data) != 0


cdef inline bint in_window(const Pass *state, uint64_t unix_nano) noexcept nogil:
    return state.time_min <= unix_nano <= state.time_max


# --- attributes and values ------------------------------------------------------------------------------------


cdef inline uint64_t sign_of(Slice key) noexcept nogil:
    """A number that equal keys have in common, and that different ones rarely have."""
    cdef const uint8_t *data = key.data
    cdef uint64_t size = key.size
    if likely_(size >= 8):
        return load_le64(data) ^ (load_le64(data + size - 8) * <uint64_t>0x9E3779B97F4A7C15) ^ size
    if size >= 4:
        return <uint64_t>load_le32(data) << 32 | load_le32(data + size - 4)
    if size:
        return <uint64_t>data[0] << 16 | <uint64_t>data[size >> 1] << 8 | data[size - 1] | size << 32
    return 0


cdef inline bint is_new(Keys *keys, Slice key) noexcept nogil:
    """Note `key`, unless it occurred before or there are too many."""
    cdef uint64_t sign = sign_of(key)
    cdef uint32_t count = keys.count
    cdef uint32_t index
    cdef bint again = False
    if unlikely_(count == KEYS_MAX):
        return False
    for index in range(count):
        again |= keys.signs[index] == sign
    if unlikely_(again):
        for index in range(count):
            if keys.texts[index].size == key.size and (
                key.size == 0 or memcmp(keys.texts[index].data, key.data, key.size) == 0
            ):
                return False
    keys.signs[count] = sign
    keys.texts[count] = key
    keys.count = count + 1
    return True


cdef inline bint array_value(Pass *state, Reader reader, uint32_t depth) noexcept nogil:
    cdef Reader inner
    cdef uint32_t tag = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH):
            if depth >= state.depth_max:
                return False
            if not (enter(state, &reader, &inner) and any_value(state, inner, depth + 1)):
                return False
        elif not skip_unknown(&reader, tag, 1):
            return False
    return True


cdef inline bint map_value(Pass *state, Reader reader, uint32_t depth) noexcept nogil:
    cdef Keys keys
    cdef uint32_t tag = 0
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH):
            if depth >= state.depth_max:
                return False
            if not key_value(state, &reader, &keys, depth + 1):
                return False
        elif not skip_unknown(&reader, tag, 1):
            return False
    return True


cdef inline bint any_value(Pass *state, Reader reader, uint32_t depth) noexcept nogil:
    """`depth`: how many AnyValues this one is nested in, plus 1."""
    cdef Reader inner
    cdef uint32_t tag = 0
    cdef bint settled = False
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH):
            if settled or not text(&reader):
                return False
            settled = True
        elif tag == (3 << 3 | VARINT) or tag == (2 << 3 | VARINT):
            if settled or not skip_varint(&reader):
                return False
            settled = True
        elif tag == (4 << 3 | FIXED64):
            if settled or not skip_fixed64(&reader):
                return False
            settled = True
        elif tag == (5 << 3 | LENGTH):
            if settled or not (enter(state, &reader, &inner) and array_value(state, inner, depth)):
                return False
            settled = True
        elif tag == (6 << 3 | LENGTH):
            if settled or not (enter(state, &reader, &inner) and map_value(state, inner, depth)):
                return False
            settled = True
        elif tag == (7 << 3 | LENGTH):
            if settled or not skip_bytes(&reader):
                return False
            settled = True
        elif not skip_unknown(&reader, tag, 8):
            return False
    return True


cdef inline bint key_value(Pass *state, Reader *outer, Keys *keys, uint32_t depth) noexcept nogil:
    """Read one KeyValue of a list. A key left out is the empty one."""
    cdef Reader reader, inner
    cdef Slice key
    cdef uint32_t tag = 0
    cdef bint has_value = False
    key.data = NULL
    key.size = 0
    if not enter(state, outer, &reader):
        return False
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH):
            if key.data != NULL or not read_slice(&reader, &key) or not is_text(key.data, key.size):
                return False
        elif tag == (2 << 3 | LENGTH):
            if has_value or not (enter(state, &reader, &inner) and any_value(state, inner, depth)):
                return False
            has_value = True
        elif not skip_unknown(&reader, tag, 3):
            return False
    return is_new(keys, key)
