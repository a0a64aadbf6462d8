"""Metrics: what the points of one have in common, and which series each point belongs to."""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from collector._native.buffer cimport DONE, DOUBT, NO_MEMORY, Buffer, Outcome, append
from collector._native.columns cimport VALUE_SIZE_MAX
from collector._native.envelopes cimport (
    Envelope,
    Known,
    Wanted,
    WantedList,
    add_wanted,
    first_time,
    is_wanted,
)
from collector._native.fields cimport contiguous, reader_of_run
from collector._native.interned cimport Entry, intern_next
from collector._native.json_text cimport is_utf8
from collector._native.point_rows cimport (
    EXPONENTIAL,
    GAUGE,
    HISTOGRAM,
    NO_POINT,
    SUM,
    SUMMARY,
    Point,
    PointKind,
    read_point,
    write_point,
)
from collector._native.reader cimport (
    Reader,
    Slice,
    likely_,
    more,
    read_slice,
    read_tag,
    read_varint,
    reader_of_slice,
    skip_value,
    unlikely_,
)
from collector._native.row_store cimport Group, Rows


cdef struct Groups:
    Group *items
    size_t count
    size_t capacity


cdef packed struct MetricKey:
    # Beginning of the key of a metric; the fields that describe it follow, as they came.
    uint8_t kind
    uint8_t monotonic
    int32_t temporality
    uint64_t resource
    uint64_t scope


cdef struct Metric:
    PointKind kind
    Slice name
    Slice data
    MetricKey key


cdef inline Outcome add_group(Groups *groups, Slice text, uint32_t *number) noexcept nogil:
    """A new group of rows; not told from others with the same text."""
    cdef size_t capacity
    cdef void *moved
    if groups.count == groups.capacity:
        capacity = groups.capacity * 2 if groups.capacity else 64
        if capacity > <size_t>0x7FFFFFFF:
            return NO_MEMORY
        moved = realloc(groups.items, capacity * sizeof(Group))
        if moved == NULL:
            return NO_MEMORY
        groups.items = <Group *>moved
        groups.capacity = capacity
    groups.items[groups.count].text = text
    groups.items[groups.count].number = <uint32_t>groups.count
    groups.items[groups.count].rank = 0
    number[0] = <uint32_t>groups.count
    groups.count += 1
    return DONE


cdef inline Outcome read_metric(Reader reader, Metric *metric, Buffer *key) noexcept nogil:
    """Read a Metric, but for its points. `key`: the fields that describe it are appended as they came."""
    cdef uint32_t tag = 0
    cdef Slice slice
    cdef const uint8_t *start
    metric.kind = NO_POINT
    metric.name.data = NULL
    metric.name.size = 0
    while more(&reader):
        start = reader.at
        if not read_tag(&reader, &tag):
            return DOUBT
        if tag == 0x0A or tag == 0x12 or tag == 0x1A or tag == 0x62:
            if not read_slice(&reader, &slice):
                return DOUBT
            if tag == 0x0A:
                metric.name = slice
            if append(key, start, reader.at - start) != DONE:
                return NO_MEMORY
        elif tag == 0x2A or tag == 0x3A or tag == 0x4A or tag == 0x52 or tag == 0x5A:
            if metric.kind != NO_POINT or not read_slice(&reader, &metric.data):
                return DOUBT
            metric.kind = <PointKind>(tag >> 3)
        elif not skip_value(&reader, tag):
            return DOUBT
    return DONE


cdef inline bint read_data(Metric *metric, bint *has_points) noexcept nogil:
    """Read what a Gauge, Sum … says beside its points."""
    cdef Reader reader = reader_of_slice(metric.data)
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef bint temporal = metric.kind == SUM or metric.kind == HISTOGRAM or metric.kind == EXPONENTIAL
    has_points[0] = False
    metric.key.temporality = 0
    metric.key.monotonic = False
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == 0x10 and temporal:
            if not read_varint(&reader, &number):
                return False
            metric.key.temporality = <int32_t>number
        elif tag == 0x18 and metric.kind == SUM:
            if not read_varint(&reader, &number):
                return False
            metric.key.monotonic = number != 0
        else:
            if not skip_value(&reader, tag):
                return False
            has_points[0] = has_points[0] or tag == 0x0A
    return True


cdef inline Outcome attributes_key(const Point *point, uint32_t tag, Buffer *scratch, Slice *key) noexcept nogil:
    """The attributes of a point as they came, one behind the other."""
    cdef Reader reader
    cdef uint32_t found = 0
    cdef const uint8_t *start
    key.data = point.attributes.first
    key.size = point.attributes.size
    if likely_(contiguous(&point.attributes)):
        return DONE
    scratch.size = 0
    reader = reader_of_run(point.attributes)
    while more(&reader):
        start = reader.at
        if not read_tag(&reader, &found) or not skip_value(&reader, found):
            return DOUBT
        if found == tag and append(scratch, start, reader.at - start) != DONE:
            return NO_MEMORY
    key.data = scratch.data
    key.size = scratch.size
    return DONE


cdef inline uint32_t attributes_tag(PointKind kind) noexcept nogil:
    """Tag of the attributes in a point of this type."""
    if kind == HISTOGRAM:
        return 0x4A
    return 0x0A if kind == EXPONENTIAL else 0x3A


cdef inline Outcome write_points(
    Known *known,
    const Metric *metric,
    Entry *entry,
    const Envelope *envelope,
    WantedList *wanted,
    WantedList *seen,
    Buffer *scratch,
    Rows *rows,
) noexcept nogil:
    """Append the rows of a metric's points. `seen` gets every series once."""
    cdef Reader reader = reader_of_slice(metric.data)
    cdef uint32_t tag = 0
    cdef Slice message
    cdef Slice key
    cdef Point point
    cdef Wanted item
    cdef Outcome outcome
    item.metric = entry
    item.resource = envelope.resource
    item.scope = envelope.scope
    while more(&reader):
        if unlikely_(not read_tag(&reader, &tag)):
            return DOUBT
        if unlikely_(tag != 0x0A):
            if not skip_value(&reader, tag):
                return DOUBT
            continue
        if unlikely_(not read_slice(&reader, &message)):
            return DOUBT
        if unlikely_(not read_point(reader_of_slice(message), &point, metric.kind)):
            return DOUBT
        outcome = attributes_key(&point, attributes_tag(metric.kind), scratch, &key)
        if unlikely_(outcome != DONE):
            return outcome
        item.entry = intern_next(&known.series, entry.number, key)
        if unlikely_(item.entry == NULL):
            return NO_MEMORY
        if first_time(known, item.entry):
            if unlikely_(is_wanted(known, item.entry)) and add_wanted(wanted, item) != DONE:
                return NO_MEMORY
            if add_wanted(seen, item) != DONE:
                return NO_MEMORY
        outcome = write_point(rows, &point, metric.kind, metric.name, entry.group, item.entry)
        if unlikely_(outcome != DONE):
            return outcome
    return DONE


cdef inline Outcome write_metric(
    Known *known,
    Reader reader,
    const Envelope *envelope,
    WantedList *wanted,
    WantedList *seen,
    Groups *groups,
    Buffer *scratch,
    Rows *tables,
) noexcept nogil:
    """Append the rows of a metric."""
    cdef Metric metric
    cdef Slice key
    cdef Entry *entry
    cdef bint has_points = False
    cdef size_t table = 0
    cdef Outcome outcome
    memset(&metric, 0, sizeof(Metric))
    scratch.size = 0
    if append(scratch, &metric.key, sizeof(MetricKey)) != DONE:
        return NO_MEMORY
    outcome = read_metric(reader, &metric, scratch)
    if outcome != DONE:
        return outcome
    if metric.kind == NO_POINT:
        return DONE  # a type newer than this program; the scan has counted it
    if not read_data(&metric, &has_points):
        return DOUBT
    if not has_points:
        return DONE
    metric.key.kind = <uint8_t>metric.kind
    metric.key.resource = envelope.resource.number
    metric.key.scope = envelope.scope.number
    (<MetricKey *>scratch.data)[0] = metric.key
    key.data = scratch.data
    key.size = scratch.size
    entry = intern_next(&known.metrics, 0, key)
    if entry == NULL:
        return NO_MEMORY
    if entry.batch != known.batch:
        if metric.name.size > VALUE_SIZE_MAX or not is_utf8(metric.name):
            return DOUBT
        if add_group(groups, metric.name, &entry.group) != DONE:
            return NO_MEMORY
        entry.batch = known.batch  # only now: `group` is good for this batch
    if metric.kind == HISTOGRAM:
        table = 1
    elif metric.kind == EXPONENTIAL:
        table = 2
    elif metric.kind == SUMMARY:
        table = 3
    return write_points(known, &metric, entry, envelope, wanted, seen, scratch, &tables[table])
