"""Columns that several tables have, and the end of a row."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t

from collector._native.buffer cimport DONE, DOUBT, NO_MEMORY, Buffer, Outcome, reserve
from collector._native.columns cimport (
    FIXED_SIZE_MAX,
    VALUE_SIZE_MAX,
    append_null,
    begin_value,
    end_value,
    put_int64_or_null,
    put_uuid,
)
from collector._native.fields cimport Run, reader_of_run
from collector._native.json_parts cimport PartKind, write_parts
from collector._native.json_text cimport DEPTH_MAX, write_pairs
from collector._native.reader cimport Slice
from collector._native.row_store cimport Item, Rows, add_item


cdef struct Origin:
    # What all items of one scope of one resource have in common.
    Slice service_name
    uint32_t group
    const uint8_t *resource_id
    const uint8_t *scope_id


cdef inline Outcome write_attributes(Buffer *out, const Run *attributes, uint32_t tag) noexcept nogil:
    """The column `attributes`: NULL if there are none."""
    cdef size_t start = 0
    cdef Outcome outcome
    if attributes.first == NULL:
        return append_null(out)
    if begin_value(out, &start) != DONE:
        return NO_MEMORY
    outcome = write_pairs(out, reader_of_run(attributes[0]), tag, DEPTH_MAX)
    return end_value(out, start) if outcome == DONE else outcome


cdef inline Outcome write_column_of_parts(Buffer *out, const Run *run, uint32_t tag, PartKind kind) noexcept nogil:
    """A column of events, links or exemplars: NULL if there are none."""
    cdef size_t start = 0
    cdef Outcome outcome
    if run.first == NULL:
        return append_null(out)
    if begin_value(out, &start) != DONE:
        return NO_MEMORY
    outcome = write_parts(out, run[0], tag, kind)
    return end_value(out, start) if outcome == DONE else outcome


cdef inline Outcome write_count(Buffer *out, uint32_t count) noexcept nogil:
    """A bigint column that is NULL for 0."""
    if reserve(out, FIXED_SIZE_MAX) != DONE:
        return NO_MEMORY
    out.size = put_int64_or_null(out.data + out.size, count) - out.data
    return DONE


cdef inline Outcome write_ids(Buffer *out, const Origin *origin) noexcept nogil:
    """The columns `resource_id` and `scope_id`."""
    cdef uint8_t *to
    if reserve(out, 2 * FIXED_SIZE_MAX) != DONE:
        return NO_MEMORY
    to = put_uuid(out.data + out.size, origin.resource_id)
    out.size = put_uuid(to, origin.scope_id) - out.data
    return DONE


cdef inline Outcome add_row(Rows *rows, size_t start, uint32_t group, int64_t first, int64_t second) noexcept nogil:
    """Note the row that begins at `start` and ends where the bytes end."""
    cdef Item item
    if rows.bytes.size - start > VALUE_SIZE_MAX:
        return DOUBT
    item.offset = start
    item.size = <uint32_t>(rows.bytes.size - start)
    item.group = group
    item.first = first
    item.second = second
    return add_item(rows, item)
