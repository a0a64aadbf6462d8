"""Events, links and exemplars as JSON text, byte for byte as `storage.parts` writes them."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from collector._native.buffer cimport DONE, DOUBT, NO_MEMORY, Buffer, Outcome, append, append_byte
from collector._native.fields cimport Run, note, reader_of_run
from collector._native.json_text cimport (
    DEPTH_MAX,
    quote,
    write_double,
    write_hexadecimal,
    write_pairs,
    write_signed,
    write_unsigned,
)
from collector._native.reader cimport (
    Reader,
    Slice,
    more,
    read_fixed32,
    read_fixed64,
    read_slice,
    read_tag,
    read_varint,
    reader_of_slice,
    skip_value,
    unlikely_,
)


cdef enum PartKind:
    EVENT
    LINK
    EXEMPLAR


cdef struct Part:
    uint64_t time
    uint64_t bits  # of an exemplar's value
    uint32_t value_tag  # 0: it has none
    Slice text  # an event's name, a link's trace state
    Slice trace_id
    Slice span_id
    Run attributes
    uint32_t attributes_tag
    uint32_t dropped
    uint32_t flags


cdef inline Outcome write_parts(Buffer *out, Run run, uint32_t tag, PartKind kind) noexcept nogil:
    """Write, as a JSON array, the parts under `tag` among the fields of `run`."""
    cdef Reader reader = reader_of_run(run)
    cdef uint32_t found = 0
    cdef Slice slice
    cdef Part part
    cdef Outcome outcome
    cdef uint8_t before = c'['
    while more(&reader):
        if not read_tag(&reader, &found):
            return DOUBT
        if found != tag:
            if not skip_value(&reader, found):
                return DOUBT
            continue
        if not read_slice(&reader, &slice) or not read_part(reader_of_slice(slice), &part, kind):
            return DOUBT
        if append_byte(out, before) != DONE:
            return NO_MEMORY
        outcome = write_part(out, &part, kind)
        if outcome != DONE:
            return outcome
        before = c','
    return append_byte(out, c']')


cdef inline bint read_part(Reader reader, Part *part, PartKind kind) noexcept nogil:
    """Read an Event, a Link or an Exemplar."""
    part.time = 0
    part.bits = 0
    part.value_tag = 0
    part.text.size = 0
    part.trace_id.size = 0
    part.span_id.size = 0
    part.attributes.first = NULL
    part.attributes.last = NULL
    part.dropped = 0
    part.flags = 0
    if kind == EVENT:
        part.attributes_tag = 0x1A
        return read_event(reader, part)
    if kind == LINK:
        part.attributes_tag = 0x22
        return read_link(reader, part)
    part.attributes_tag = 0x3A
    return read_exemplar(reader, part)


cdef inline bint read_event(Reader reader, Part *part) noexcept nogil:
    """Read a Span.Event."""
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef const uint8_t *start
    cdef bint done
    while more(&reader):
        start = reader.at
        if not read_tag(&reader, &tag):
            return False
        if tag == 0x09:
            done = read_fixed64(&reader, &part.time)
        elif tag == 0x12:
            done = read_slice(&reader, &part.text)
        elif tag == 0x20:
            done = read_varint(&reader, &number)
            part.dropped = <uint32_t>number
        else:
            done = skip_value(&reader, tag)
            if tag == 0x1A:
                note(&part.attributes, start, reader.at)
        if not done:
            return False
    return True


cdef inline bint read_link(Reader reader, Part *part) noexcept nogil:
    """Read a Span.Link."""
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef const uint8_t *start
    cdef bint done
    while more(&reader):
        start = reader.at
        if not read_tag(&reader, &tag):
            return False
        if tag == 0x0A:
            done = read_slice(&reader, &part.trace_id)
        elif tag == 0x12:
            done = read_slice(&reader, &part.span_id)
        elif tag == 0x1A:
            done = read_slice(&reader, &part.text)
        elif tag == 0x28:
            done = read_varint(&reader, &number)
            part.dropped = <uint32_t>number
        elif tag == 0x35:
            done = read_fixed32(&reader, &part.flags)
        else:
            done = skip_value(&reader, tag)
            if tag == 0x22:
                note(&part.attributes, start, reader.at)
        if not done:
            return False
    return True


cdef inline bint read_exemplar(Reader reader, Part *part) noexcept nogil:
    """Read an Exemplar."""
    cdef uint32_t tag = 0
    cdef const uint8_t *start
    cdef bint done
    while more(&reader):
        start = reader.at
        if not read_tag(&reader, &tag):
            return False
        if tag == 0x11:
            done = read_fixed64(&reader, &part.time)
        elif tag == 0x19 or tag == 0x31:
            done = read_fixed64(&reader, &part.bits)
            part.value_tag = tag
        elif tag == 0x22:
            done = read_slice(&reader, &part.span_id)
        elif tag == 0x2A:
            done = read_slice(&reader, &part.trace_id)
        else:
            done = skip_value(&reader, tag)
            if tag == 0x3A:
                note(&part.attributes, start, reader.at)
        if not done:
            return False
    return True


cdef inline Outcome write_key(Buffer *out, uint8_t *before, const char *key, size_t size) noexcept nogil:
    """Write `{` or `,`, whichever `before` says, and `key`, which has its quotation marks and colon."""
    if append_byte(out, before[0]) != DONE:
        return NO_MEMORY
    before[0] = c','
    return append(out, key, size)


cdef inline Outcome write_part(Buffer *out, const Part *part, PartKind kind) noexcept nogil:
    """Write one part. Its keys are in the order of `storage.parts`; each kind has some of them."""
    cdef uint8_t before = c'{'
    cdef Outcome outcome = DONE
    if part.time:
        outcome = write_key(out, &before, b'"time_unix_nano":', 17)
        if outcome == DONE:
            outcome = write_unsigned(out, part.time)
    if outcome == DONE and part.value_tag:
        outcome = write_key(out, &before, b'"value":', 8)
        if outcome == DONE:
            if part.value_tag == 0x19:
                outcome = write_double(out, part.bits)
            else:
                outcome = write_signed(out, <long long>part.bits)
    if outcome == DONE and part.trace_id.size:
        outcome = write_key(out, &before, b'"trace_id":', 11)
        if outcome == DONE:
            outcome = write_hexadecimal(out, part.trace_id)
    if outcome == DONE and part.span_id.size:
        outcome = write_key(out, &before, b'"span_id":', 10)
        if outcome == DONE:
            outcome = write_hexadecimal(out, part.span_id)
    if outcome == DONE and part.text.size:
        if kind == EVENT:
            outcome = write_key(out, &before, b'"name":', 7)
        else:
            outcome = write_key(out, &before, b'"trace_state":', 14)
        if outcome == DONE:
            outcome = quote(out, part.text)
    if outcome == DONE and part.attributes.first != NULL:
        if kind == EXEMPLAR:
            outcome = write_key(out, &before, b'"filtered_attributes":', 22)
        else:
            outcome = write_key(out, &before, b'"attributes":', 13)
        if outcome == DONE:
            outcome = write_pairs(out, reader_of_run(part.attributes), part.attributes_tag, DEPTH_MAX)
    if outcome == DONE and part.dropped:
        outcome = write_key(out, &before, b'"dropped_attributes_count":', 27)
        if outcome == DONE:
            outcome = write_unsigned(out, part.dropped)
    if outcome == DONE and part.flags:
        outcome = write_key(out, &before, b'"flags":', 8)
        if outcome == DONE:
            outcome = write_unsigned(out, part.flags)
    if outcome != DONE:
        return outcome
    return append(out, b"{}", 2) if before == c'{' else append_byte(out, c'}')
