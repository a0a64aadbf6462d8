"""Spans to rows of `otlp_spans`."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from collector._native.buffer cimport DONE, DOUBT, NO_MEMORY, Buffer, Outcome, reserve
from collector._native.columns cimport (
    FIXED_SIZE_MAX,
    VALUE_SIZE_MAX,
    put_int32,
    put_int64,
    put_int64_or_null,
    put_null,
    put_text,
    put_time,
    put_uuid,
)
from collector._native.fields cimport Run, note
from collector._native.json_parts cimport EVENT, LINK
from collector._native.json_text cimport is_utf8
from collector._native.reader cimport (
    Reader,
    Slice,
    load_be64,
    more,
    read_fixed32,
    read_fixed64,
    read_slice,
    read_tag,
    read_varint,
    reader_of_slice,
    skip_value,
    store_be16,
    unlikely_,
)
from collector._native.row_parts cimport (
    Origin,
    add_row,
    write_attributes,
    write_column_of_parts,
    write_count,
    write_ids,
)
from collector._native.row_store cimport Rows


cdef enum:
    SPAN_COLUMNS = 21


cdef struct Span:
    Slice trace_id
    Slice span_id
    Slice trace_state
    Slice parent_span_id
    Slice name
    Slice status_message
    uint64_t start
    uint64_t end
    uint32_t kind
    uint32_t status_code
    uint32_t flags
    uint32_t dropped_attributes
    uint32_t dropped_events
    uint32_t dropped_links
    bint has_status
    Run attributes
    Run events
    Run links


cdef inline bint read_status(Slice message, Span *span) noexcept nogil:
    """Read a Status."""
    cdef Reader reader = reader_of_slice(message)
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == 0x12:
            if not read_slice(&reader, &span.status_message):
                return False
        elif tag == 0x18:
            if not read_varint(&reader, &number):
                return False
            span.status_code = <uint32_t>number
        elif not skip_value(&reader, tag):
            return False
    return True


cdef inline bint read_span(Reader reader, Span *span) noexcept nogil:
    """Read a Span, which is all zero before."""
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef Slice slice
    cdef const uint8_t *start
    cdef bint done
    while more(&reader):
        start = reader.at
        if unlikely_(not read_tag(&reader, &tag)):
            return False
        if tag == 0x4A:
            done = read_slice(&reader, &slice)
            note(&span.attributes, start, reader.at)
        elif tag == 0x0A:
            done = read_slice(&reader, &span.trace_id)
        elif tag == 0x12:
            done = read_slice(&reader, &span.span_id)
        elif tag == 0x1A:
            done = read_slice(&reader, &span.trace_state)
        elif tag == 0x22:
            done = read_slice(&reader, &span.parent_span_id)
        elif tag == 0x2A:
            done = read_slice(&reader, &span.name)
        elif tag == 0x30:
            done = read_varint(&reader, &number)
            span.kind = <uint32_t>number
        elif tag == 0x39:
            done = read_fixed64(&reader, &span.start)
        elif tag == 0x41:
            done = read_fixed64(&reader, &span.end)
        elif tag == 0x50:
            done = read_varint(&reader, &number)
            span.dropped_attributes = <uint32_t>number
        elif tag == 0x5A:
            done = read_slice(&reader, &slice)
            note(&span.events, start, reader.at)
        elif tag == 0x60:
            done = read_varint(&reader, &number)
            span.dropped_events = <uint32_t>number
        elif tag == 0x6A:
            done = read_slice(&reader, &slice)
            note(&span.links, start, reader.at)
        elif tag == 0x70:
            done = read_varint(&reader, &number)
            span.dropped_links = <uint32_t>number
        elif tag == 0x7A:
            done = read_slice(&reader, &slice) and not span.has_status and read_status(slice, span)
            span.has_status = True
        elif tag == 0x85:
            done = read_fixed32(&reader, &span.flags)
        else:
            done = skip_value(&reader, tag)
        if unlikely_(not done):
            return False
    return True


cdef inline Outcome write_span(Rows *rows, Reader reader, const Origin *origin) noexcept nogil:
    """Append the row of a span."""
    cdef Span span
    cdef Buffer *out = &rows.bytes
    cdef size_t row = out.size
    cdef uint8_t *to
    cdef Outcome outcome
    memset(&span, 0, sizeof(Span))
    if unlikely_(not read_span(reader, &span)):
        return DOUBT
    # `wire.scan` lets nothing else through.
    if unlikely_(
        span.trace_id.size != 16
        or span.span_id.size != 8
        or (span.parent_span_id.size != 8 and span.parent_span_id.size != 0)
        or span.name.size > VALUE_SIZE_MAX
        or span.status_message.size > VALUE_SIZE_MAX
        or span.trace_state.size > VALUE_SIZE_MAX
        or not is_utf8(span.name)
        or not is_utf8(span.status_message)
        or not is_utf8(span.trace_state)
    ):
        return DOUBT
    if reserve(
        out,
        2 + SPAN_COLUMNS * <size_t>FIXED_SIZE_MAX
        + origin.service_name.size + span.name.size + span.status_message.size + span.trace_state.size,
    ) != DONE:
        return NO_MEMORY
    to = out.data + out.size
    store_be16(to, SPAN_COLUMNS)
    to = put_text(to + 2, origin.service_name)
    to = put_text(to, span.name)
    to = put_time(to, span.start)
    to = put_int64(to, span.end - span.start) if span.end else put_null(to)
    to = put_uuid(to, span.trace_id.data)
    to = put_int64(to, load_be64(span.span_id.data))
    to = put_int64(to, load_be64(span.parent_span_id.data)) if span.parent_span_id.size else put_null(to)
    to = put_int32(to, span.kind)
    to = put_int32(to, span.status_code)
    to = put_text(to, span.status_message) if span.status_message.size else put_null(to)
    to = put_text(to, span.trace_state) if span.trace_state.size else put_null(to)
    to = put_int64_or_null(to, span.flags)
    out.size = to - out.data
    outcome = write_attributes(out, &span.attributes, 0x4A)
    if outcome == DONE:
        outcome = write_count(out, span.dropped_attributes)
    if outcome == DONE:
        outcome = write_column_of_parts(out, &span.events, 0x5A, EVENT)
    if outcome == DONE:
        outcome = write_count(out, span.dropped_events)
    if outcome == DONE:
        outcome = write_column_of_parts(out, &span.links, 0x6A, LINK)
    if outcome == DONE:
        outcome = write_count(out, span.dropped_links)
    if outcome == DONE:
        outcome = write_ids(out, origin)
    if unlikely_(outcome != DONE):
        return outcome
    return add_row(rows, row, origin.group, <int64_t>(span.start // 1000), 0)
