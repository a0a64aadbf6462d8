"""Log records."""

from libc.stdint cimport uint32_t, uint64_t

from collector._native.reader cimport (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    Reader,
    Slice,
    more,
    read_fixed64,
    read_slice,
    read_tag,
)
from collector._native.scan_envelopes cimport scope_envelope
from collector._native.scan_parts cimport (
    Keys,
    Pass,
    any_value,
    enter,
    in_window,
    is_id16,
    is_id8,
    key_value,
    skip_fixed32,
    skip_unknown,
    skip_varint,
    text,
)


cdef inline bint log_record(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef Reader inner
    cdef Slice identity
    cdef uint64_t when = 0
    cdef uint64_t observed = 0
    cdef uint32_t tag = 0
    cdef bint has_body = False
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (6 << 3 | LENGTH):
            if not key_value(state, &reader, &keys, 1):
                return False
        elif tag == (1 << 3 | FIXED64):
            if not read_fixed64(&reader, &when):
                return False
        elif tag == (11 << 3 | FIXED64):
            if not read_fixed64(&reader, &observed):
                return False
        elif tag == (2 << 3 | VARINT) or tag == (7 << 3 | VARINT):
            if not skip_varint(&reader):
                return False
        elif tag == (3 << 3 | LENGTH) or tag == (12 << 3 | LENGTH):
            if not text(&reader):
                return False
        elif tag == (5 << 3 | LENGTH):
            if has_body or not (enter(state, &reader, &inner) and any_value(state, inner, 1)):
                return False
            has_body = True
        elif tag == (8 << 3 | FIXED32):
            if not skip_fixed32(&reader):
                return False
        elif tag == (9 << 3 | LENGTH):
            if not read_slice(&reader, &identity) or (identity.size and not is_id16(identity)):
                return False
        elif tag == (10 << 3 | LENGTH):
            if not read_slice(&reader, &identity) or (identity.size and not is_id8(identity)):
                return False
        elif not skip_unknown(&reader, tag, 12):
            return False
    state.items += 1
    return observed != 0 and in_window(state, when if when else observed)


cdef inline bint scope_logs(Pass *state, Reader reader) noexcept nogil:
    return scope_envelope(state, reader, log_record)
