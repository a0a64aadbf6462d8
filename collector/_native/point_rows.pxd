"""Metric points to rows of the four tables of points.

The id of a series may not be known yet when its points are written. `Item.first` is a pointer to the series until
`put_series_id` puts the id there and into the row.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from collector._native.buffer cimport DONE, DOUBT, NO_MEMORY, Buffer, Outcome, reserve
from collector._native.columns cimport (
    ARRAY_ELEMENT_SIZE,
    ARRAY_HEAD_SIZE,
    FIXED_SIZE_MAX,
    OID_FLOAT64,
    OID_INT64,
    VALUE_SIZE_MAX,
    append_null,
    put_array_head,
    put_int32,
    put_int64,
    put_int64_or_null,
    put_null,
    put_text,
    put_time,
)
from collector._native.fields cimport Run, note, reader_of_run
from collector._native.json_parts cimport EXEMPLAR
from collector._native.reader cimport (
    LENGTH,
    Reader,
    Slice,
    likely_,
    more,
    read_fixed64,
    read_slice,
    read_tag,
    read_varint,
    reader_of_slice,
    skip_value,
    store_be16,
    store_be64,
    unlikely_,
)
from collector._native.row_parts cimport add_row, write_column_of_parts, write_count
from collector._native.row_store cimport Group, Rows


cdef enum PointKind:
    # The numbers of the fields in the oneof `Metric.data`.
    NO_POINT = 0
    GAUGE = 5
    SUM = 7
    HISTOGRAM = 9
    EXPONENTIAL = 10
    SUMMARY = 11


cdef enum:
    NUMBER_COLUMNS = 9
    HISTOGRAM_COLUMNS = 13
    EXPONENTIAL_COLUMNS = 18
    SUMMARY_COLUMNS = 10


cdef struct Point:
    # Any type of point: each sets some of these.
    uint64_t start
    uint64_t time
    uint64_t value  # bits of a number point's
    uint32_t value_tag  # 0: it has none
    uint32_t flags
    uint64_t count
    uint64_t sum
    uint64_t min
    uint64_t max
    bint has_sum
    bint has_min
    bint has_max
    uint64_t zero_count
    uint64_t zero_threshold
    uint32_t scale
    Slice positive
    Slice negative
    Run attributes
    Run exemplars
    Run counts  # bucket counts, or quantiles
    Run bounds


cdef inline uint32_t zigzag(uint64_t number) noexcept nogil:
    """A sint32."""
    cdef uint32_t low = <uint32_t>number
    return (low >> 1) ^ (0 - (low & 1))


# --- reading ------------------------------------------------------------------------------------------------


cdef inline bint read_number(Reader reader, Point *point) noexcept nogil:
    """Read a NumberDataPoint into what is all zero before."""
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef Slice slice
    cdef const uint8_t *start
    cdef bint done
    while more(&reader):
        start = reader.at
        if unlikely_(not read_tag(&reader, &tag)):
            return False
        if tag == 0x3A:
            done = read_slice(&reader, &slice)
            note(&point.attributes, start, reader.at)
        elif tag == 0x11:
            done = read_fixed64(&reader, &point.start)
        elif tag == 0x19:
            done = read_fixed64(&reader, &point.time)
        elif tag == 0x21 or tag == 0x31:
            done = read_fixed64(&reader, &point.value)
            point.value_tag = tag
        elif tag == 0x2A:
            done = read_slice(&reader, &slice)
            note(&point.exemplars, start, reader.at)
        elif tag == 0x40:
            done = read_varint(&reader, &number)
            point.flags = <uint32_t>number
        else:
            done = skip_value(&reader, tag)
        if unlikely_(not done):
            return False
    return True


cdef inline bint read_histogram(Reader reader, Point *point) noexcept nogil:
    """Read a HistogramDataPoint into what is all zero before."""
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef const uint8_t *start
    cdef bint done
    while more(&reader):
        start = reader.at
        if not read_tag(&reader, &tag):
            return False
        if tag == 0x11:
            done = read_fixed64(&reader, &point.start)
        elif tag == 0x19:
            done = read_fixed64(&reader, &point.time)
        elif tag == 0x21:
            done = read_fixed64(&reader, &point.count)
        elif tag == 0x29:
            done = read_fixed64(&reader, &point.sum)
            point.has_sum = True
        elif tag == 0x59:
            done = read_fixed64(&reader, &point.min)
            point.has_min = True
        elif tag == 0x61:
            done = read_fixed64(&reader, &point.max)
            point.has_max = True
        elif tag == 0x50:
            done = read_varint(&reader, &number)
            point.flags = <uint32_t>number
        else:
            done = skip_value(&reader, tag)
            if tag == 0x4A:
                note(&point.attributes, start, reader.at)
            elif tag == 0x31 or tag == 0x32:
                note(&point.counts, start, reader.at)
            elif tag == 0x39 or tag == 0x3A:
                note(&point.bounds, start, reader.at)
            elif tag == 0x42:
                note(&point.exemplars, start, reader.at)
        if not done:
            return False
    return True


cdef inline bint read_exponential(Reader reader, Point *point) noexcept nogil:
    """Read an ExponentialHistogramDataPoint into what is all zero before. False also if buckets come twice."""
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef const uint8_t *start
    cdef bint done
    while more(&reader):
        start = reader.at
        if not read_tag(&reader, &tag):
            return False
        if tag == 0x11:
            done = read_fixed64(&reader, &point.start)
        elif tag == 0x19:
            done = read_fixed64(&reader, &point.time)
        elif tag == 0x21:
            done = read_fixed64(&reader, &point.count)
        elif tag == 0x29:
            done = read_fixed64(&reader, &point.sum)
            point.has_sum = True
        elif tag == 0x30:
            done = read_varint(&reader, &number)
            point.scale = zigzag(number)
        elif tag == 0x39:
            done = read_fixed64(&reader, &point.zero_count)
        elif tag == 0x42:
            done = point.positive.data == NULL and read_slice(&reader, &point.positive)
        elif tag == 0x4A:
            done = point.negative.data == NULL and read_slice(&reader, &point.negative)
        elif tag == 0x50:
            done = read_varint(&reader, &number)
            point.flags = <uint32_t>number
        elif tag == 0x61:
            done = read_fixed64(&reader, &point.min)
            point.has_min = True
        elif tag == 0x69:
            done = read_fixed64(&reader, &point.max)
            point.has_max = True
        elif tag == 0x71:
            done = read_fixed64(&reader, &point.zero_threshold)
        else:
            done = skip_value(&reader, tag)
            if tag == 0x0A:
                note(&point.attributes, start, reader.at)
            elif tag == 0x5A:
                note(&point.exemplars, start, reader.at)
        if not done:
            return False
    return True


cdef inline bint read_summary(Reader reader, Point *point) noexcept nogil:
    """Read a SummaryDataPoint into what is all zero before."""
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef const uint8_t *start
    cdef bint done
    while more(&reader):
        start = reader.at
        if not read_tag(&reader, &tag):
            return False
        if tag == 0x11:
            done = read_fixed64(&reader, &point.start)
        elif tag == 0x19:
            done = read_fixed64(&reader, &point.time)
        elif tag == 0x21:
            done = read_fixed64(&reader, &point.count)
        elif tag == 0x29:
            done = read_fixed64(&reader, &point.sum)
        elif tag == 0x40:
            done = read_varint(&reader, &number)
            point.flags = <uint32_t>number
        else:
            done = skip_value(&reader, tag)
            if tag == 0x3A:
                note(&point.attributes, start, reader.at)
            elif tag == 0x32:
                note(&point.counts, start, reader.at)
        if not done:
            return False
    return True


cdef inline bint read_point(Reader reader, Point *point, PointKind kind) noexcept nogil:
    """Read a point of any type."""
    memset(point, 0, sizeof(Point))
    if likely_(kind == GAUGE or kind == SUM):
        return read_number(reader, point)
    if kind == HISTOGRAM:
        return read_histogram(reader, point)
    if kind == EXPONENTIAL:
        return read_exponential(reader, point)
    return read_summary(reader, point)


# --- arrays -------------------------------------------------------------------------------------------------


cdef inline Outcome begin_array(Buffer *out, size_t *start) noexcept nogil:
    """Leave room for the head of an array."""
    if reserve(out, ARRAY_HEAD_SIZE) != DONE:
        return NO_MEMORY
    start[0] = out.size
    out.size += ARRAY_HEAD_SIZE
    return DONE


cdef inline Outcome end_array(Buffer *out, size_t start, uint32_t oid) noexcept nogil:
    """Fill in the head; an array of nothing becomes NULL."""
    cdef size_t size = out.size - start - ARRAY_HEAD_SIZE
    if size + ARRAY_HEAD_SIZE > VALUE_SIZE_MAX:
        return DOUBT
    if size == 0:
        out.size = start
        return append_null(out)
    put_array_head(out.data + start, <uint32_t>(size // ARRAY_ELEMENT_SIZE), oid)
    return DONE


cdef inline Outcome append_element(Buffer *out, uint64_t value) noexcept nogil:
    """An element of 8 bytes."""
    if reserve(out, ARRAY_ELEMENT_SIZE) != DONE:
        return NO_MEMORY
    put_int64(out.data + out.size, value)
    out.size += ARRAY_ELEMENT_SIZE
    return DONE


cdef inline Outcome write_numbers(Buffer *out, Reader reader, uint32_t field, bint fixed, uint32_t oid) noexcept nogil:
    """An array of the numbers of a repeated field, packed or not: 8 bytes each if `fixed`, else varints."""
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef size_t start = 0
    cdef Slice packed
    cdef Reader inner
    cdef Outcome outcome = begin_array(out, &start)
    if outcome != DONE:
        return outcome
    while more(&reader):
        if not read_tag(&reader, &tag):
            return DOUBT
        if tag == (field << 3 | LENGTH):
            if not read_slice(&reader, &packed):
                return DOUBT
            inner = reader_of_slice(packed)
            while more(&inner):
                if not (read_fixed64(&inner, &number) if fixed else read_varint(&inner, &number)):
                    return DOUBT
                if append_element(out, number) != DONE:
                    return NO_MEMORY
        elif tag == (field << 3 | (1 if fixed else 0)):
            if not (read_fixed64(&reader, &number) if fixed else read_varint(&reader, &number)):
                return DOUBT
            if append_element(out, number) != DONE:
                return NO_MEMORY
        elif not skip_value(&reader, tag):
            return DOUBT
    return end_array(out, start, oid)


cdef inline Outcome write_quantiles(Buffer *out, Run run, uint32_t wanted) noexcept nogil:
    """An array of one number of every ValueAtQuantile: the quantiles (tag 0x09) or the values (0x11)."""
    cdef Reader reader = reader_of_run(run)
    cdef Reader inner
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef size_t start = 0
    cdef Slice entry
    cdef Outcome outcome = begin_array(out, &start)
    if outcome != DONE:
        return outcome
    while more(&reader):
        if not read_tag(&reader, &tag):
            return DOUBT
        if tag != 0x32:
            if not skip_value(&reader, tag):
                return DOUBT
            continue
        if not read_slice(&reader, &entry):
            return DOUBT
        inner = reader_of_slice(entry)
        number = 0
        while more(&inner):
            if not read_tag(&inner, &tag):
                return DOUBT
            if not (read_fixed64(&inner, &number) if tag == wanted else skip_value(&inner, tag)):
                return DOUBT
        if append_element(out, number) != DONE:
            return NO_MEMORY
    return end_array(out, start, OID_FLOAT64)


cdef inline Outcome write_buckets(Buffer *out, Slice buckets) noexcept nogil:
    """The columns offset and counts of the buckets on one side: NULL if there are none."""
    cdef Reader reader = reader_of_slice(buckets)
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef uint32_t offset = 0
    if reserve(out, 2 * <size_t>FIXED_SIZE_MAX) != DONE:
        return NO_MEMORY
    if buckets.data == NULL:
        out.size = put_null(put_null(out.data + out.size)) - out.data
        return DONE
    while more(&reader):
        if not read_tag(&reader, &tag):
            return DOUBT
        if tag == 0x08:
            if not read_varint(&reader, &number):
                return DOUBT
            offset = zigzag(number)
        elif not skip_value(&reader, tag):
            return DOUBT
    out.size = put_int32(out.data + out.size, offset) - out.data
    return write_numbers(out, reader_of_slice(buckets), 2, False, OID_INT64)


# --- rows ---------------------------------------------------------------------------------------------------


cdef inline uint8_t *put_optional(uint8_t *to, bint present, uint64_t bits) noexcept nogil:
    """A double that may be absent."""
    return put_int64(to, bits) if present else put_null(to)


cdef inline Outcome write_number_columns(Buffer *out, uint8_t *to, const Point *point) noexcept nogil:
    """Behind the columns that all points have: those of `otlp_number_points`."""
    to = put_optional(to, point.value_tag == 0x21, point.value)
    to = put_optional(to, point.value_tag == 0x31, point.value)
    to = put_int64_or_null(to, point.flags)
    out.size = to - out.data
    return write_column_of_parts(out, &point.exemplars, 0x2A, EXEMPLAR)


cdef inline Outcome write_histogram_columns(Buffer *out, uint8_t *to, const Point *point) noexcept nogil:
    """Those of `otlp_histogram_points`."""
    cdef Outcome outcome
    to = put_int64(to, point.count)
    to = put_optional(to, point.has_sum, point.sum)
    to = put_optional(to, point.has_min, point.min)
    to = put_optional(to, point.has_max, point.max)
    out.size = to - out.data
    outcome = write_numbers(out, reader_of_run(point.counts), 6, True, OID_INT64)
    if outcome == DONE:
        outcome = write_numbers(out, reader_of_run(point.bounds), 7, True, OID_FLOAT64)
    if outcome == DONE:
        outcome = write_count(out, point.flags)
    return write_column_of_parts(out, &point.exemplars, 0x42, EXEMPLAR) if outcome == DONE else outcome


cdef inline Outcome write_exponential_columns(Buffer *out, uint8_t *to, const Point *point) noexcept nogil:
    """Those of `otlp_exponential_histogram_points`."""
    cdef Outcome outcome
    to = put_int64(to, point.count)
    to = put_optional(to, point.has_sum, point.sum)
    to = put_optional(to, point.has_min, point.min)
    to = put_optional(to, point.has_max, point.max)
    to = put_int32(to, point.scale)
    to = put_int64(to, point.zero_count)
    to = put_int64(to, point.zero_threshold)
    out.size = to - out.data
    outcome = write_buckets(out, point.positive)
    if outcome == DONE:
        outcome = write_buckets(out, point.negative)
    if outcome == DONE:
        outcome = write_count(out, point.flags)
    return write_column_of_parts(out, &point.exemplars, 0x5A, EXEMPLAR) if outcome == DONE else outcome


cdef inline Outcome write_summary_columns(Buffer *out, uint8_t *to, const Point *point) noexcept nogil:
    """Those of `otlp_summary_points`."""
    cdef Outcome outcome
    to = put_int64(to, point.count)
    to = put_int64(to, point.sum)
    out.size = to - out.data
    outcome = write_quantiles(out, point.counts, 0x09)
    if outcome == DONE:
        outcome = write_quantiles(out, point.counts, 0x11)
    return write_count(out, point.flags) if outcome == DONE else outcome


cdef inline Outcome write_point(
    Rows *rows, const Point *point, PointKind kind, Slice metric, uint32_t group, void *series
) noexcept nogil:
    """Append the row of a point, but for the id of its series."""
    cdef Buffer *out = &rows.bytes
    cdef size_t row = out.size
    cdef uint8_t *to
    cdef Outcome outcome
    if reserve(out, 2 + EXPONENTIAL_COLUMNS * <size_t>FIXED_SIZE_MAX + metric.size) != DONE:
        return NO_MEMORY
    to = put_text(out.data + out.size + 2, metric)
    to = put_int64(to, 0)
    to = put_time(to, point.time)
    to = put_int64_or_null(to, point.start)
    if likely_(kind == GAUGE or kind == SUM):
        store_be16(out.data + out.size, NUMBER_COLUMNS)
        outcome = write_number_columns(out, to, point)
    elif kind == HISTOGRAM:
        store_be16(out.data + out.size, HISTOGRAM_COLUMNS)
        outcome = write_histogram_columns(out, to, point)
    elif kind == EXPONENTIAL:
        store_be16(out.data + out.size, EXPONENTIAL_COLUMNS)
        outcome = write_exponential_columns(out, to, point)
    else:
        store_be16(out.data + out.size, SUMMARY_COLUMNS)
        outcome = write_summary_columns(out, to, point)
    if unlikely_(outcome != DONE):
        return outcome
    return add_row(rows, row, group, <int64_t><size_t>series, <int64_t>(point.time // 1000))


cdef inline void put_series_id(Rows *rows, size_t index, const Group *groups, int64_t series_id) noexcept nogil:
    """Put the id of its series where it belongs in a row that has its group still."""
    cdef size_t name_size = groups[rows.items[index].group].text.size
    store_be64(rows.bytes.data + rows.items[index].offset + 2 + 4 + name_size + 4, <uint64_t>series_id)
    rows.items[index].first = series_id
