"""Spans, their events and links."""

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
    enter,
    in_window,
    is_id16,
    is_id8,
    key_value,
    skip_fixed32,
    skip_fixed64,
    skip_unknown,
    skip_varint,
    text,
)


cdef inline bint event(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef uint32_t tag = 0
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | FIXED64):
            if not skip_fixed64(&reader):
                return False
        elif tag == (2 << 3 | LENGTH):
            if not text(&reader):
                return False
        elif tag == (3 << 3 | LENGTH):
            if not key_value(state, &reader, &keys, 1):
                return False
        elif tag == (4 << 3 | VARINT):
            if not skip_varint(&reader):
                return False
        elif not skip_unknown(&reader, tag, 4):
            return False
    return True


cdef inline bint link(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef Slice identity
    cdef uint32_t tag = 0
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH):
            if not read_slice(&reader, &identity) or (identity.size and not is_id16(identity)):
                return False
        elif tag == (2 << 3 | LENGTH):
            if not read_slice(&reader, &identity) or (identity.size and not is_id8(identity)):
                return False
        elif tag == (3 << 3 | LENGTH):
            if not text(&reader):
                return False
        elif tag == (4 << 3 | LENGTH):
            if not key_value(state, &reader, &keys, 1):
                return False
        elif tag == (5 << 3 | VARINT):
            if not skip_varint(&reader):
                return False
        elif tag == (6 << 3 | FIXED32):
            if not skip_fixed32(&reader):
                return False
        elif not skip_unknown(&reader, tag, 6):
            return False
    return True


cdef inline bint status(Reader reader) noexcept nogil:
    cdef uint32_t tag = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (3 << 3 | VARINT):
            if not skip_varint(&reader):
                return False
        elif tag == (2 << 3 | LENGTH):
            if not text(&reader):
                return False
        elif not skip_unknown(&reader, tag, 3):
            return False
    return True


cdef inline bint span(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef Reader inner
    cdef Slice identity
    cdef uint64_t start = 0
    cdef uint32_t tag = 0
    cdef bint has_trace_id = False
    cdef bint has_span_id = False
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (9 << 3 | LENGTH):
            if not key_value(state, &reader, &keys, 1):
                return False
        elif tag == (1 << 3 | LENGTH):
            if not (read_slice(&reader, &identity) and is_id16(identity)):
                return False
            has_trace_id = True
        elif tag == (2 << 3 | LENGTH):
            if not (read_slice(&reader, &identity) and is_id8(identity)):
                return False
            has_span_id = True
        elif tag == (4 << 3 | LENGTH):
            if not read_slice(&reader, &identity) or (identity.size and not is_id8(identity)):
                return False
        elif tag == (3 << 3 | LENGTH) or tag == (5 << 3 | LENGTH):
            if not text(&reader):
                return False
        elif tag == (7 << 3 | FIXED64):
            if not read_fixed64(&reader, &start):
                return False
        elif tag == (8 << 3 | FIXED64):
            if not skip_fixed64(&reader):
                return False
        elif (
            tag == (6 << 3 | VARINT) or tag == (10 << 3 | VARINT) or tag == (12 << 3 | VARINT)
            or tag == (14 << 3 | VARINT)
        ):
            if not skip_varint(&reader):
                return False
        elif tag == (11 << 3 | LENGTH):
            if not (enter(state, &reader, &inner) and event(state, inner)):
                return False
        elif tag == (13 << 3 | LENGTH):
            if not (enter(state, &reader, &inner) and link(state, inner)):
                return False
        elif tag == (15 << 3 | LENGTH):
            if not (enter(state, &reader, &inner) and status(inner)):
                return False
        elif tag == (16 << 3 | FIXED32):
            if not skip_fixed32(&reader):
                return False
        elif not skip_unknown(&reader, tag, 16):
            return False
    state.items += 1
    return has_trace_id and has_span_id and in_window(state, start)


cdef inline bint scope_spans(Pass *state, Reader reader) noexcept nogil:
    return scope_envelope(state, reader, span)
