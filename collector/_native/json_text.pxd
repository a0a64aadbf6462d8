"""AnyValues as JSON text, byte for byte as `storage.values` writes them.

Strings are checked to be UTF-8 on the way: what is written goes to a database as text.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from collector._native.buffer cimport DONE, DOUBT, NO_MEMORY, Buffer, Outcome, append, append_byte, reserve
from collector._native.reader cimport (
    Reader,
    Slice,
    likely_,
    load_le64,
    more,
    read_fixed64,
    read_slice,
    read_tag,
    read_varint,
    reader_of_slice,
    skip_value,
    unlikely_,
)


cdef extern from "numbers.h" nogil:
    enum:
        INTEGER_TEXT_MAX
        DOUBLE_TEXT_MAX
        POWER_MIN
        POWER_MAX
    void set_power(int k, uint64_t high, uint64_t low)
    unsigned put_unsigned(uint8_t *to, uint64_t value)
    unsigned put_signed(uint8_t *to, int64_t value)
    unsigned put_double(uint8_t *to, uint64_t bits)


cdef enum:
    # AnyValues in each other; each takes a few hundred bytes of stack. `wire.scan` lets 64 through, protobuf 46.
    DEPTH_MAX = 64


cdef enum ValueKind:
    # The numbers of AnyValue's fields.
    EMPTY = 0
    STRING = 1
    BOOL = 2
    INT = 3
    DOUBLE = 4
    ARRAY = 5
    KVLIST = 6
    BYTES = 7


cdef struct Value:
    ValueKind kind
    uint64_t bits  # of a bool, an int or a double
    Slice slice  # of everything else


cdef struct Pair:
    Slice key
    Value value


# --- what is read -------------------------------------------------------------------------------------------


cdef inline Outcome read_value(Reader reader, Value *value) noexcept nogil:
    """Read an AnyValue. Doubtful if more than one kind is set: protobuf then has rules of its own."""
    cdef uint32_t tag = 0
    cdef bint done
    value.kind = EMPTY
    value.bits = 0
    value.slice.data = NULL
    value.slice.size = 0
    while more(&reader):
        if unlikely_(not read_tag(&reader, &tag)):
            return DOUBT
        if tag == 0x0A or tag == 0x2A or tag == 0x32 or tag == 0x3A:
            done = read_slice(&reader, &value.slice)
        elif tag == 0x10 or tag == 0x18:
            done = read_varint(&reader, &value.bits)
        elif tag == 0x21:
            done = read_fixed64(&reader, &value.bits)
        elif tag == 0x40:
            return DOUBT  # string_value_strindex
        else:
            if not skip_value(&reader, tag):
                return DOUBT
            continue
        if unlikely_(not done or value.kind != EMPTY):
            return DOUBT
        value.kind = <ValueKind>(tag >> 3)
    return DONE


cdef inline Outcome read_pair(Reader reader, Pair *pair) noexcept nogil:
    """Read a KeyValue. Doubtful if it has two values, which would be merged."""
    cdef uint32_t tag = 0
    cdef Slice slice
    cdef bint seen = False
    pair.key.data = NULL
    pair.key.size = 0
    pair.value.kind = EMPTY
    while more(&reader):
        if unlikely_(not read_tag(&reader, &tag)):
            return DOUBT
        if tag == 0x0A:
            if unlikely_(not read_slice(&reader, &pair.key)):
                return DOUBT
        elif tag == 0x12:
            if unlikely_(seen or not read_slice(&reader, &slice)):
                return DOUBT
            seen = True
            if unlikely_(read_value(reader_of_slice(slice), &pair.value) != DONE):
                return DOUBT
        elif not skip_value(&reader, tag):
            return DOUBT
    return DONE


# --- UTF-8 ----------------------------------------------------------------------------------------------------


cdef inline size_t utf8_sequence(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Length of the well-formed sequence of two to four bytes at `at` (Unicode 16, table 3-7); 0: there is none."""
    cdef uint8_t first = at[0]
    cdef uint8_t low = 0x80
    cdef uint8_t high = 0xBF
    cdef size_t size
    cdef size_t index
    if first < 0xC2:
        return 0
    if first < 0xE0:
        size = 2
    elif first < 0xF0:
        size = 3
        if first == 0xE0:
            low = 0xA0
        elif first == 0xED:
            high = 0x9F
    elif first < 0xF5:
        size = 4
        if first == 0xF0:
            low = 0x90
        elif first == 0xF4:
            high = 0x8F
    else:
        return 0
    if <size_t>(end - at) < size or at[1] < low or at[1] > high:
        return 0
    for index in range(2, size):
        if at[index] & 0xC0 != 0x80:
            return 0
    return size


cdef inline bint is_utf8(Slice text) noexcept nogil:
    """Whether `text` is well-formed."""
    cdef const uint8_t *at = text.data
    cdef const uint8_t *end = text.data + text.size
    cdef size_t size
    while at < end:
        if end - at >= 8 and not load_le64(at) & <uint64_t>0x8080808080808080:
            at += 8
        elif at[0] < 0x80:
            at += 1
        else:
            size = utf8_sequence(at, end)
            if not size:
                return False
            at += size
    return True


# --- strings --------------------------------------------------------------------------------------------------


cdef inline bint is_plain(uint64_t word) noexcept nogil:
    """Whether 8 bytes are ASCII that stands for itself in a JSON string."""
    cdef uint64_t ones = 0x0101010101010101
    cdef uint64_t quote = word ^ (ones * 0x22)
    cdef uint64_t backslash = word ^ (ones * 0x5C)
    # A byte's highest bit is set: in itself, or by a borrow where it is below 0x20 or equal to one of the two.
    return not (
        (word | ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash))
        & (ones * 0x80)
    )


cdef inline bint is_plain_byte(uint8_t byte) noexcept nogil:
    """Whether a byte is ASCII that stands for itself in a JSON string."""
    return 0x20 <= byte < 0x80 and byte != 0x22 and byte != 0x5C


cdef inline uint8_t *put_escaped(uint8_t *to, uint8_t byte) noexcept nogil:
    """Write an ASCII character that does not stand for itself: at most 6 bytes."""
    cdef const char *hexadecimal = b"0123456789abcdef"
    to[0] = 0x5C
    if byte == 0x22 or byte == 0x5C:
        to[1] = byte
    elif byte == 0x0A:
        to[1] = c'n'
    elif byte == 0x0D:
        to[1] = c'r'
    elif byte == 0x09:
        to[1] = c't'
    elif byte == 0x0C:
        to[1] = c'f'
    elif byte == 0x08:
        to[1] = c'b'
    else:
        memcpy(to + 1, b"u00", 3)
        to[4] = hexadecimal[byte >> 4]
        to[5] = hexadecimal[byte & 15]
        return to + 6
    return to + 2


cdef inline Outcome quote_rest(Buffer *out, const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Write characters of a JSON string, whatever they are, and the closing quotation mark."""
    cdef uint8_t *to
    cdef size_t size
    if reserve(out, 6 * <size_t>(end - at) + 1) != DONE:
        return NO_MEMORY
    to = out.data + out.size
    while at < end:
        if end - at >= 8 and is_plain(load_le64(at)):
            memcpy(to, at, 8)
            at += 8
            to += 8
        elif is_plain_byte(at[0]):
            to[0] = at[0]
            at += 1
            to += 1
        elif at[0] < 0x80:
            to = put_escaped(to, at[0])
            at += 1
        else:
            size = utf8_sequence(at, end)
            if not size:
                return DOUBT
            memcpy(to, at, size)
            at += size
            to += size
    to[0] = 0x22
    out.size = to + 1 - out.data
    return DONE


cdef inline Outcome quote(Buffer *out, Slice text) noexcept nogil:
    """Write `text` as a JSON string."""
    cdef const uint8_t *at = text.data
    cdef const uint8_t *end = text.data + text.size
    cdef uint8_t *to
    if unlikely_(reserve(out, text.size + 2) != DONE):
        return NO_MEMORY
    to = out.data + out.size
    to[0] = 0x22
    to += 1
    while end - at >= 8:
        if unlikely_(not is_plain(load_le64(at))):
            out.size = to - out.data
            return quote_rest(out, at, end)
        memcpy(to, at, 8)
        at += 8
        to += 8
    if at < end and text.size >= 8:
        # The last word, some of which is written a second time.
        if unlikely_(not is_plain(load_le64(end - 8))):
            out.size = to - out.data
            return quote_rest(out, at, end)
        memcpy(to - (8 - (end - at)), end - 8, 8)
        to += end - at
    else:
        while at < end:
            if unlikely_(not is_plain_byte(at[0])):
                out.size = to - out.data
                return quote_rest(out, at, end)
            to[0] = at[0]
            at += 1
            to += 1
    to[0] = 0x22
    out.size = to + 1 - out.data
    return DONE


cdef inline Outcome write_hexadecimal(Buffer *out, Slice data) noexcept nogil:
    """Write bytes as a JSON string of lower-case hexadecimal digits."""
    cdef const char *digits = b"0123456789abcdef"
    cdef uint8_t *to
    cdef size_t index
    if reserve(out, 2 * data.size + 2) != DONE:
        return NO_MEMORY
    to = out.data + out.size
    to[0] = 0x22
    for index in range(data.size):
        to[1 + 2 * index] = digits[data.data[index] >> 4]
        to[2 + 2 * index] = digits[data.data[index] & 15]
    to[1 + 2 * data.size] = 0x22
    out.size += 2 * data.size + 2
    return DONE


cdef inline Outcome write_bytes(Buffer *out, Slice data) noexcept nogil:
    """Write `{"@bytes":"<base64>"}`."""
    cdef const char *digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    cdef const uint8_t *at = data.data
    cdef size_t rest = data.size
    cdef uint8_t *to
    cdef uint32_t group
    if reserve(out, 11 + (data.size + 2) // 3 * 4 + 2) != DONE:
        return NO_MEMORY
    to = out.data + out.size
    memcpy(to, b'{"@bytes":"', 11)
    to += 11
    while rest:
        group = <uint32_t>at[0] << 16
        if rest > 1:
            group |= <uint32_t>at[1] << 8
        if rest > 2:
            group |= at[2]
        to[0] = digits[group >> 18]
        to[1] = digits[group >> 12 & 63]
        to[2] = digits[group >> 6 & 63] if rest > 1 else c'='
        to[3] = digits[group & 63] if rest > 2 else c'='
        to += 4
        at += 3
        rest -= 3 if rest > 2 else rest
    memcpy(to, b'"}', 2)
    out.size = to + 2 - out.data
    return DONE


# --- numbers --------------------------------------------------------------------------------------------------


cdef inline Outcome write_unsigned(Buffer *out, uint64_t value) noexcept nogil:
    """Write an integer."""
    if reserve(out, INTEGER_TEXT_MAX) != DONE:
        return NO_MEMORY
    out.size += put_unsigned(out.data + out.size, value)
    return DONE


cdef inline Outcome write_signed(Buffer *out, int64_t value) noexcept nogil:
    """Write an integer."""
    if reserve(out, INTEGER_TEXT_MAX) != DONE:
        return NO_MEMORY
    out.size += put_signed(out.data + out.size, value)
    return DONE


cdef inline Outcome write_double(Buffer *out, uint64_t bits) noexcept nogil:
    """Write a double; what JSON has no number for, as `{"@double":…}`."""
    cdef uint64_t magnitude = bits & <uint64_t>0x7FFFFFFFFFFFFFFF
    if unlikely_(magnitude > <uint64_t>0x7FF0000000000000):
        return append(out, b'{"@double":"NaN"}', 17)
    if unlikely_(magnitude == <uint64_t>0x7FF0000000000000):
        if bits >> 63:
            return append(out, b'{"@double":"-Infinity"}', 23)
        return append(out, b'{"@double":"Infinity"}', 22)
    if reserve(out, DOUBLE_TEXT_MAX) != DONE:
        return NO_MEMORY
    out.size += put_double(out.data + out.size, bits)
    return DONE


# --- values ---------------------------------------------------------------------------------------------------


cdef inline Outcome write_value(Buffer *out, const Value *value, uint32_t depth) noexcept nogil:
    """Write an AnyValue in which `depth` AnyValues may still be nested."""
    if likely_(value.kind == STRING):
        return quote(out, value.slice)
    if value.kind == INT:
        return write_signed(out, <int64_t>value.bits)
    if value.kind == DOUBLE:
        return write_double(out, value.bits)
    if value.kind == BOOL:
        return append(out, b"true", 4) if value.bits else append(out, b"false", 5)
    if value.kind == BYTES:
        return write_bytes(out, value.slice)
    if value.kind == EMPTY:
        return append(out, b"null", 4)
    return write_nested(out, value, depth)


cdef inline Outcome write_nested(Buffer *out, const Value *value, uint32_t depth) noexcept nogil:
    """Write an array or a kvlist."""
    cdef Outcome outcome
    if depth == 0:
        return DOUBT
    if value.kind == ARRAY:
        return write_array(out, reader_of_slice(value.slice), depth - 1)
    if not is_tag_like(reader_of_slice(value.slice)):
        return write_pairs(out, reader_of_slice(value.slice), 0x0A, depth - 1)
    if append(out, b'{"@kvlist":', 11) != DONE:
        return NO_MEMORY
    outcome = write_pairs(out, reader_of_slice(value.slice), 0x0A, depth - 1)
    return append_byte(out, c'}') if outcome == DONE else outcome


cdef inline bint is_tag_like(Reader reader) noexcept nogil:
    """Whether a kvlist has one key, and it begins with `@`. Malformed ones are found when they are written."""
    cdef uint32_t tag = 0
    cdef Slice slice
    cdef Pair pair
    cdef bint seen = False
    cdef bint found = False
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == 0x0A:
            if seen or not read_slice(&reader, &slice) or read_pair(reader_of_slice(slice), &pair) != DONE:
                return False
            seen = True
            found = pair.key.size > 0 and pair.key.data[0] == c'@'
        elif not skip_value(&reader, tag):
            return False
    return found


cdef inline Outcome write_array(Buffer *out, Reader reader, uint32_t depth) noexcept nogil:
    """Write the values of an ArrayValue."""
    cdef uint32_t tag = 0
    cdef Slice slice
    cdef Value value
    cdef Outcome outcome
    cdef uint8_t before = c'['
    while more(&reader):
        if not read_tag(&reader, &tag):
            return DOUBT
        if tag != 0x0A:
            if not skip_value(&reader, tag):
                return DOUBT
            continue
        if not read_slice(&reader, &slice):
            return DOUBT
        outcome = read_value(reader_of_slice(slice), &value)
        if outcome == DONE:
            outcome = append_byte(out, before)
        if outcome == DONE:
            outcome = write_value(out, &value, depth)
        if outcome != DONE:
            return outcome
        before = c','
    return append(out, b"[]", 2) if before == c'[' else append_byte(out, c']')


cdef inline Outcome write_pairs(Buffer *out, Reader reader, uint32_t tag, uint32_t depth) noexcept nogil:
    """Write, as one JSON object, the KeyValues under `tag` among the fields that `reader` has."""
    cdef uint32_t found = 0
    cdef Slice slice
    cdef Pair pair
    cdef Outcome outcome
    cdef uint8_t before = c'{'
    while more(&reader):
        if unlikely_(not read_tag(&reader, &found)):
            return DOUBT
        if found != tag:
            if not skip_value(&reader, found):
                return DOUBT
            continue
        if unlikely_(not read_slice(&reader, &slice)):
            return DOUBT
        if unlikely_(read_pair(reader_of_slice(slice), &pair) != DONE):
            return DOUBT
        if unlikely_(append_byte(out, before) != DONE):
            return NO_MEMORY
        outcome = quote(out, pair.key)
        if unlikely_(outcome != DONE):
            return outcome
        if unlikely_(append_byte(out, c':') != DONE):
            return NO_MEMORY
        outcome = write_value(out, &pair.value, depth)
        if unlikely_(outcome != DONE):
            return outcome
        before = c','
    return append(out, b"{}", 2) if before == c'{' else append_byte(out, c'}')
