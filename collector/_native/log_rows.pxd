"""Log records to rows of `otlp_logs`."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from collector._native.buffer cimport DONE, DOUBT, NO_MEMORY, Buffer, Outcome, reserve
from collector._native.columns cimport (
    FIXED_SIZE_MAX,
    VALUE_SIZE_MAX,
    append_null,
    begin_value,
    end_value,
    put_int32,
    put_int64,
    put_int64_or_null,
    put_null,
    put_text,
    put_time,
    put_true,
    put_uuid,
)
from collector._native.fields cimport Run, note
from collector._native.json_text cimport DEPTH_MAX, Value, is_utf8, read_value, write_value
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
from collector._native.row_parts cimport Origin, add_row, write_attributes, write_count, write_ids
from collector._native.row_store cimport Rows


cdef enum:
    LOG_COLUMNS = 16


cdef struct Log:
    uint64_t time
    uint64_t observed
    uint32_t severity
    uint32_t dropped_attributes
    uint32_t flags
    Slice severity_text
    Slice event_name
    Slice body
    Slice trace_id
    Slice span_id
    Run attributes


cdef inline bint read_log(Reader reader, Log *log) noexcept nogil:
    """Read a LogRecord, which is all zero before."""
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef Slice slice
    cdef const uint8_t *start
    cdef bint done
    while more(&reader):
        start = reader.at
        if unlikely_(not read_tag(&reader, &tag)):
            return False
        if tag == 0x32:
            done = read_slice(&reader, &slice)
            note(&log.attributes, start, reader.at)
        elif tag == 0x09:
            done = read_fixed64(&reader, &log.time)
        elif tag == 0x10:
            done = read_varint(&reader, &number)
            log.severity = <uint32_t>number
        elif tag == 0x1A:
            done = read_slice(&reader, &log.severity_text)
        elif tag == 0x2A:
            done = log.body.data == NULL and read_slice(&reader, &log.body)
        elif tag == 0x38:
            done = read_varint(&reader, &number)
            log.dropped_attributes = <uint32_t>number
        elif tag == 0x45:
            done = read_fixed32(&reader, &log.flags)
        elif tag == 0x4A:
            done = read_slice(&reader, &log.trace_id)
        elif tag == 0x52:
            done = read_slice(&reader, &log.span_id)
        elif tag == 0x59:
            done = read_fixed64(&reader, &log.observed)
        elif tag == 0x62:
            done = read_slice(&reader, &log.event_name)
        else:
            done = skip_value(&reader, tag)
        if unlikely_(not done):
            return False
    return True


cdef inline Outcome write_body(Buffer *out, Slice body) noexcept nogil:
    """The column `body`: NULL if there is none."""
    cdef size_t start = 0
    cdef Value value
    cdef Outcome outcome
    if body.data == NULL:
        return append_null(out)
    if read_value(reader_of_slice(body), &value) != DONE:
        return DOUBT
    if begin_value(out, &start) != DONE:
        return NO_MEMORY
    outcome = write_value(out, &value, DEPTH_MAX)
    return end_value(out, start) if outcome == DONE else outcome


cdef inline Outcome write_log(Rows *rows, Reader reader, const Origin *origin) noexcept nogil:
    """Append the row of a log record."""
    cdef Log log
    cdef Buffer *out = &rows.bytes
    cdef size_t row = out.size
    cdef uint64_t time
    cdef uint8_t *to
    cdef Outcome outcome
    memset(&log, 0, sizeof(Log))
    if unlikely_(not read_log(reader, &log)):
        return DOUBT
    # `wire.scan` lets nothing else through.
    if unlikely_(
        (log.trace_id.size != 16 and log.trace_id.size != 0)
        or (log.span_id.size != 8 and log.span_id.size != 0)
        or log.severity_text.size > VALUE_SIZE_MAX
        or log.event_name.size > VALUE_SIZE_MAX
        or not is_utf8(log.severity_text)
        or not is_utf8(log.event_name)
    ):
        return DOUBT
    if reserve(
        out,
        2 + LOG_COLUMNS * <size_t>FIXED_SIZE_MAX
        + origin.service_name.size + log.severity_text.size + log.event_name.size,
    ) != DONE:
        return NO_MEMORY
    time = log.time if log.time else log.observed
    to = out.data + out.size
    store_be16(to, LOG_COLUMNS)
    to = put_text(to + 2, origin.service_name)
    to = put_time(to, time)
    to = put_null(to) if log.time else put_true(to)
    to = put_int64_or_null(to, log.observed)
    to = put_int32(to, log.severity)
    to = put_text(to, log.severity_text) if log.severity_text.size else put_null(to)
    out.size = to - out.data
    outcome = write_body(out, log.body)
    if unlikely_(outcome != DONE):
        return outcome
    if reserve(out, 4 * <size_t>FIXED_SIZE_MAX + log.event_name.size) != DONE:
        return NO_MEMORY
    to = out.data + out.size
    to = put_text(to, log.event_name) if log.event_name.size else put_null(to)
    to = put_uuid(to, log.trace_id.data) if log.trace_id.size else put_null(to)
    to = put_int64(to, load_be64(log.span_id.data)) if log.span_id.size else put_null(to)
    to = put_int64_or_null(to, log.flags)
    out.size = to - out.data
    outcome = write_attributes(out, &log.attributes, 0x32)
    if outcome == DONE:
        outcome = write_count(out, log.dropped_attributes)
    if outcome == DONE:
        outcome = write_ids(out, origin)
    if unlikely_(outcome != DONE):
        return outcome
    return add_row(rows, row, origin.group, <int64_t>(time // 1000), 0)
