"""Requests, resources and scopes: alike for all signals."""

from libc.stdint cimport uint32_t

from collector._native.reader cimport LENGTH, VARINT, Reader, more, read_tag
from collector._native.scan_parts cimport Keys, Pass, enter, key_value, skip_unknown, skip_varint, text


cdef inline bint entity(Reader reader) noexcept nogil:
    cdef uint32_t tag = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if (tag & 7) == LENGTH and (tag >> 3) <= 4:
            if not text(&reader):
                return False
        elif not skip_unknown(&reader, tag, 4):
            return False
    return True


cdef inline bint resource(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef Reader inner
    cdef uint32_t tag = 0
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH):
            if not key_value(state, &reader, &keys, 1):
                return False
        elif tag == (2 << 3 | VARINT):
            if not skip_varint(&reader):
                return False
        elif tag == (3 << 3 | LENGTH):
            if not (enter(state, &reader, &inner) and entity(inner)):
                return False
        elif not skip_unknown(&reader, tag, 3):
            return False
    return True


cdef inline bint scope(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef uint32_t tag = 0
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH) or tag == (2 << 3 | LENGTH):
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


ctypedef bint (*Check)(Pass *, Reader) noexcept nogil


cdef inline bint scope_envelope(Pass *state, Reader reader, Check item) noexcept nogil:
    """ScopeSpans, ScopeMetrics, ScopeLogs: alike but for field 2."""
    cdef Reader inner
    cdef uint32_t tag = 0
    cdef bint has_scope = False
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (2 << 3 | LENGTH):
            if not (enter(state, &reader, &inner) and item(state, inner)):
                return False
        elif tag == (1 << 3 | LENGTH):
            if has_scope or not (enter(state, &reader, &inner) and scope(state, inner)):
                return False
            has_scope = True
        elif tag == (3 << 3 | LENGTH):
            if not text(&reader):
                return False
        elif not skip_unknown(&reader, tag, 3):
            return False
    return True


cdef inline bint resource_envelope(Pass *state, Reader reader, Check contents) noexcept nogil:
    """ResourceSpans, ResourceMetrics, ResourceLogs: alike but for field 2."""
    cdef Reader inner
    cdef uint32_t tag = 0
    cdef bint has_resource = False
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (2 << 3 | LENGTH):
            state.envelopes += 1
            if not (enter(state, &reader, &inner) and contents(state, inner)):
                return False
        elif tag == (1 << 3 | LENGTH):
            if has_resource or not (enter(state, &reader, &inner) and resource(state, inner)):
                return False
            has_resource = True
        elif tag == (3 << 3 | LENGTH):
            if not text(&reader):
                return False
        elif not skip_unknown(&reader, tag, 3):
            return False
    return True


cdef inline bint request(Pass *state, Reader reader, Check contents) noexcept nogil:
    """A request that has no field of its signal is somebody else's: doubted."""
    cdef Reader inner
    cdef uint32_t tag = 0
    cdef bint is_empty = not more(&reader)
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH):
            state.envelopes += 1
            if not (enter(state, &reader, &inner) and resource_envelope(state, inner, contents)):
                return False
        elif not skip_unknown(&reader, tag, 1):
            return False
    return is_empty or state.envelopes > 0
