"""Reading protobuf's wire format (protobuf.dev, "Encoding"): the only code that looks at bytes somebody sent.

A `Reader` is a window on memory that somebody else keeps alive. Nothing is read outside of it: every length is
compared with what is left before it is believed. A function that returns `bint` returns False for malformed
input; where the reader stands then is not defined, and the message is to be given up.

It is at least as strict as `upb`: tags of up to 5 bytes with a field number from 1, varints of up to 64 bits in
up to 10 bytes, groups that end as they began, nested at most `GROUP_DEPTH_MAX` deep. What it refuses and `upb`
might take is for the caller to hand to the reference implementation.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "primitives.h" nogil:
    bint likely_(bint condition)
    bint unlikely_(bint condition)
    uint32_t load_le32(const void *source)
    uint64_t load_le64(const void *source)
    uint32_t load_be32(const void *source)
    uint64_t load_be64(const void *source)
    void store_be16(void *target, uint16_t value)
    void store_be32(void *target, uint32_t value)
    void store_be64(void *target, uint64_t value)
    double double_of_bits(uint64_t bits)
    const uint8_t *long_varint(const uint8_t *at, const uint8_t *end, uint64_t *value)


cdef enum:
    VARINT = 0
    FIXED64 = 1
    LENGTH = 2
    GROUP_BEGIN = 3
    GROUP_END = 4
    FIXED32 = 5
    # protobuf's own limit on nested messages.
    GROUP_DEPTH_MAX = 100


cdef struct Reader:
    const uint8_t *at
    const uint8_t *end


cdef struct Slice:
    const uint8_t *data  # NULL: absent
    size_t size


cdef inline Reader reader_of(const uint8_t *data, size_t size) noexcept nogil:
    cdef Reader reader
    reader.at = data
    reader.end = data + size
    return reader


cdef inline Reader reader_of_slice(Slice slice) noexcept nogil:
    return reader_of(slice.data, slice.size)


cdef inline bint more(const Reader *reader) noexcept nogil:
    """Whether anything is left."""
    return reader.at < reader.end


cdef inline size_t left(const Reader *reader) noexcept nogil:
    """How many bytes are left."""
    return <size_t>(reader.end - reader.at)


cdef inline bint read_long_varint(Reader *reader, uint64_t *value) noexcept nogil:
    """`read_varint` of two bytes and more."""
    cdef const uint8_t *following = long_varint(reader.at, reader.end, value)
    if unlikely_(following == NULL):
        return False
    reader.at = following
    return True


cdef inline bint read_varint(Reader *reader, uint64_t *value) noexcept nogil:
    """Read a base-128 number."""
    if likely_(reader.at < reader.end and reader.at[0] < 0x80):
        value[0] = reader.at[0]
        reader.at += 1
        return True
    return read_long_varint(reader, value)


cdef inline bint read_tag(Reader *reader, uint32_t *tag) noexcept nogil:
    """Read the tag of a field: `field number << 3 | wire type`."""
    cdef uint64_t number = 0
    cdef const uint8_t *start = reader.at
    if likely_(start < reader.end and start[0] < 0x80):
        tag[0] = start[0]
        reader.at += 1
        return start[0] >= 8
    if not read_long_varint(reader, &number):
        return False
    if number >> 32 or number < 8 or reader.at > start + 5:
        return False
    tag[0] = <uint32_t>number
    return True


cdef inline bint read_fixed64(Reader *reader, uint64_t *value) noexcept nogil:
    """Read 8 bytes: fixed64, sfixed64 or the bits of a double."""
    if unlikely_(reader.end - reader.at < 8):
        return False
    value[0] = load_le64(reader.at)
    reader.at += 8
    return True


cdef inline bint read_fixed32(Reader *reader, uint32_t *value) noexcept nogil:
    """Read 4 bytes."""
    if unlikely_(reader.end - reader.at < 4):
        return False
    value[0] = load_le32(reader.at)
    reader.at += 4
    return True


cdef inline bint read_slice(Reader *reader, Slice *value) noexcept nogil:
    """Read what is delimited by its length: string, bytes, message, or packed numbers. `data` is never NULL."""
    cdef uint64_t size = 0
    if unlikely_(not read_varint(reader, &size)):
        return False
    if unlikely_(size > <uint64_t>(reader.end - reader.at)):
        return False
    value.data = reader.at
    value.size = <size_t>size
    reader.at += size
    return True


cdef inline bint read_message(Reader *reader, Reader *inner) noexcept nogil:
    """Read what is delimited by its length, as a window of its own."""
    cdef Slice slice
    if unlikely_(not read_slice(reader, &slice)):
        return False
    inner.at = slice.data
    inner.end = slice.data + slice.size
    return True


cdef inline bint skip_plain(Reader *reader, uint32_t wire_type) noexcept nogil:
    """Skip a value that is no group."""
    cdef uint64_t number = 0
    cdef Slice slice
    if wire_type == LENGTH:
        return read_slice(reader, &slice)
    if wire_type == VARINT:
        return read_varint(reader, &number)
    if wire_type == FIXED64 or wire_type == FIXED32:
        if reader.end - reader.at < (8 if wire_type == FIXED64 else 4):
            return False
        reader.at += 8 if wire_type == FIXED64 else 4
        return True
    return False


cdef inline bint skip_group(Reader *reader, uint32_t tag) noexcept nogil:
    """Skip the group that `tag` has begun, to its end."""
    cdef uint32_t[GROUP_DEPTH_MAX] open_fields
    cdef uint32_t depth = 1
    cdef uint32_t inner = 0
    open_fields[0] = tag >> 3
    while depth:
        if not read_tag(reader, &inner):
            return False
        if (inner & 7) == GROUP_BEGIN:
            if depth == GROUP_DEPTH_MAX:
                return False
            open_fields[depth] = inner >> 3
            depth += 1
        elif (inner & 7) == GROUP_END:
            depth -= 1
            if open_fields[depth] != inner >> 3:
                return False
        elif not skip_plain(reader, inner & 7):
            return False
    return True


cdef inline bint skip_value(Reader *reader, uint32_t tag) noexcept nogil:
    """Skip the value of the field whose tag was read."""
    if unlikely_((tag & 7) == GROUP_BEGIN):
        return skip_group(reader, tag)
    return skip_plain(reader, tag & 7)
