"""The rows of one table while they are written, and their order."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy

from collector._native.buffer cimport DONE, NO_MEMORY, Buffer, Outcome, release
from collector._native.reader cimport Slice, unlikely_


cdef enum:
    RUN_MIN = 12  # shorter ones are made so long by insertion before they are merged


cdef struct Item:
    # One row: where it is, and what it is sorted by.
    uint64_t offset
    uint32_t size
    uint32_t group  # number of the text that the order begins with; after `rank_groups`, its rank
    int64_t first
    int64_t second


cdef struct Rows:
    Buffer bytes  # the rows, in binary COPY format, in the order they came in
    Item *items
    size_t count
    size_t capacity


cdef struct Group:
    # A text that the order of rows begins with.
    Slice text
    uint32_t number
    uint32_t rank


cdef inline Outcome add_item(Rows *rows, Item item) noexcept nogil:
    """Add a row whose bytes are in `rows.bytes`."""
    cdef size_t capacity
    cdef void *moved
    if unlikely_(rows.count == rows.capacity):
        capacity = rows.capacity * 2 if rows.capacity else 1024
        if capacity > <size_t>0x7FFFFFFF:
            return NO_MEMORY
        moved = realloc(rows.items, capacity * sizeof(Item))
        if moved == NULL:
            return NO_MEMORY
        rows.items = <Item *>moved
        rows.capacity = capacity
    rows.items[rows.count] = item
    rows.count += 1
    return DONE


cdef inline void release_rows(Rows *rows) noexcept nogil:
    """Give the memory back."""
    release(&rows.bytes)
    free(rows.items)
    rows.items = NULL
    rows.count = 0
    rows.capacity = 0


# --- groups -----------------------------------------------------------------------------------------------------


cdef inline int compare_slices(Slice a, Slice b) noexcept nogil:
    """Order of two texts by their bytes, as COLLATE "C" has it."""
    cdef int order = memcmp(a.data, b.data, a.size if a.size < b.size else b.size) if a.size and b.size else 0
    if order:
        return order
    return (a.size > b.size) - (a.size < b.size)


cdef inline Outcome rank_groups(Group *groups, size_t count) noexcept nogil:
    """Give every group its rank: equal texts have the same. `groups[n].number` is n, before and after."""
    cdef uint32_t *order
    cdef uint32_t *spare
    cdef uint32_t *swapped
    cdef size_t width = 1
    cdef size_t start
    cdef size_t middle
    cdef size_t end
    cdef size_t left
    cdef size_t right
    cdef size_t to
    cdef uint32_t rank = 0
    cdef size_t index
    if not count:
        return DONE
    order = <uint32_t *>malloc(2 * count * sizeof(uint32_t))
    if order == NULL:
        return NO_MEMORY
    swapped = order
    spare = order + count
    for index in range(count):
        order[index] = <uint32_t>index
    while width < count:
        start = 0
        while start < count:
            middle = start + width if start + width < count else count
            end = middle + width if middle + width < count else count
            left = start
            right = middle
            for to in range(start, end):
                if right == end or (
                    left < middle and compare_slices(groups[order[left]].text, groups[order[right]].text) <= 0
                ):
                    spare[to] = order[left]
                    left += 1
                else:
                    spare[to] = order[right]
                    right += 1
            start = end
        order, spare = spare, order
        width *= 2
    for index in range(count):
        if index and compare_slices(groups[order[index - 1]].text, groups[order[index]].text):
            rank += 1
        groups[order[index]].rank = rank
    free(swapped)
    return DONE


# --- rows -------------------------------------------------------------------------------------------------------


cdef inline bint is_before(const Item *a, const Item *b) noexcept nogil:
    """Whether `a` must come before `b`, both of one rank."""
    if a.first != b.first:
        return a.first < b.first
    return a.second < b.second


cdef inline void sort_by_insertion(Item *items, size_t count) noexcept nogil:
    """Sort few items, stably."""
    cdef size_t index
    cdef size_t to
    cdef Item item
    for index in range(1, count):
        if is_before(&items[index], &items[index - 1]):
            item = items[index]
            to = index
            while to and is_before(&item, &items[to - 1]):
                items[to] = items[to - 1]
                to -= 1
            items[to] = item


cdef inline void merge(const Item *items, Item *target, size_t start, size_t middle, size_t end) noexcept nogil:
    """Merge two neighbouring sorted runs into `target`, stably."""
    cdef size_t left = start
    cdef size_t right = middle
    cdef size_t to
    for to in range(start, end):
        if right == end or (left < middle and not is_before(&items[right], &items[left])):
            target[to] = items[left]
            left += 1
        else:
            target[to] = items[right]
            right += 1


cdef inline void sort_run(Item *items, Item *spare, size_t count) noexcept nogil:
    """Sort items of one rank, stably. `spare` has room for as many."""
    cdef Item *source = items
    cdef Item *target = spare
    cdef Item *swap
    cdef size_t width = RUN_MIN
    cdef size_t start
    cdef size_t middle
    cdef size_t end
    cdef size_t index = 1
    while index < count and not is_before(&items[index], &items[index - 1]):
        index += 1
    if index >= count:
        return  # in order already, as batches of spans and logs often are
    start = 0
    while start < count:
        sort_by_insertion(items + start, RUN_MIN if count - start > RUN_MIN else count - start)
        start += RUN_MIN
    while width < count:
        start = 0
        while start < count:
            middle = start + width if start + width < count else count
            end = middle + width if middle + width < count else count
            merge(source, target, start, middle, end)
            start = end
        swap = source
        source = target
        target = swap
        width *= 2
    if source != items:
        memcpy(items, source, count * sizeof(Item))


cdef inline Outcome sort_rows(Rows *rows, const Group *groups, size_t group_count) noexcept nogil:
    """Sort by the rank of the group, then `first`, then `second`; equal ones stay in the order they came in."""
    cdef size_t *starts
    cdef Item *sorted_items
    cdef size_t index
    cdef size_t rank
    cdef size_t at = 0
    cdef size_t size
    if not rows.count:
        return DONE
    starts = <size_t *>calloc(group_count + 1, sizeof(size_t))
    sorted_items = <Item *>malloc(rows.count * sizeof(Item))
    if starts == NULL or sorted_items == NULL:
        free(starts)
        free(sorted_items)
        return NO_MEMORY
    for index in range(rows.count):
        rank = groups[rows.items[index].group].rank
        rows.items[index].group = <uint32_t>rank
        starts[rank] += 1
    for rank in range(group_count):
        size = starts[rank]
        starts[rank] = at
        at += size
    for index in range(rows.count):
        rank = rows.items[index].group
        sorted_items[starts[rank]] = rows.items[index]
        starts[rank] += 1
    at = 0
    for rank in range(group_count):  # starts[rank] is where the rank ends now
        sort_run(sorted_items + at, rows.items + at, starts[rank] - at)
        at = starts[rank]
    free(starts)
    free(rows.items)
    rows.items = sorted_items
    rows.capacity = rows.count
    return DONE
