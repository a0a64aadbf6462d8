"""The outer levels of a request: which resources and scopes it has, before any item is looked at."""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from collector._native.buffer cimport DONE, DOUBT, NO_MEMORY, Buffer, Outcome, append
from collector._native.interned cimport Entry, Interned, clear, intern, rotate
from collector._native.reader cimport (
    Reader,
    Slice,
    more,
    read_slice,
    read_tag,
    reader_of_slice,
    skip_value,
)


cdef struct Envelope:
    # One Scope{Spans,Metrics,Logs}.
    Slice message
    Entry *resource
    Entry *scope


cdef struct Wanted:
    # What Python is to describe: a resource, a scope, or a series of a metric.
    Entry *entry
    Entry *metric
    Entry *resource
    Entry *scope


cdef struct Envelopes:
    Envelope *items
    size_t count
    size_t capacity


cdef struct WantedList:
    Wanted *items
    size_t count
    size_t capacity


cdef struct Known:
    # What the encoder remembers between batches.
    Interned resources
    Interned scopes
    Interned metrics
    Interned series
    uint64_t belief  # number of the present belief about what the database holds; 0 is none
    uint64_t batch  # number of the present batch


cdef inline void set_up(Interned *table, uint64_t key0, uint64_t key1, size_t entries_max, size_t bytes_max) noexcept nogil:
    """Make a table, which is all zero, ready."""
    table.key0 = key0
    table.key1 = key1
    table.entries_max = entries_max
    table.bytes_max = bytes_max


cdef inline void begin_batch(Known *known) noexcept nogil:
    """Forget what was not used for long; no pointer to an entry is good any more."""
    rotate(&known.resources)
    rotate(&known.scopes)
    rotate(&known.metrics)
    rotate(&known.series)
    known.batch += 1


cdef inline void clear_table(Interned *table) noexcept nogil:
    """Give the memory back."""
    clear(&table.young)
    clear(&table.old)


cdef inline void confirm_all(const WantedList *list, uint64_t belief) noexcept nogil:
    """Note that a database holds the rows of these entries."""
    cdef size_t index
    for index in range(list.count):
        list.items[index].entry.confirmed = belief


cdef inline Outcome add_envelope(Envelopes *envelopes, Envelope envelope) noexcept nogil:
    """Append."""
    cdef size_t capacity
    cdef void *moved
    if envelopes.count == envelopes.capacity:
        capacity = envelopes.capacity * 2 if envelopes.capacity else 64
        moved = realloc(envelopes.items, capacity * sizeof(Envelope))
        if moved == NULL:
            return NO_MEMORY
        envelopes.items = <Envelope *>moved
        envelopes.capacity = capacity
    envelopes.items[envelopes.count] = envelope
    envelopes.count += 1
    return DONE


cdef inline Outcome add_wanted(WantedList *list, Wanted wanted) noexcept nogil:
    """Append."""
    cdef size_t capacity
    cdef void *moved
    if list.count == list.capacity:
        capacity = list.capacity * 2 if list.capacity else 64
        moved = realloc(list.items, capacity * sizeof(Wanted))
        if moved == NULL:
            return NO_MEMORY
        list.items = <Wanted *>moved
        list.capacity = capacity
    list.items[list.count] = wanted
    list.count += 1
    return DONE


cdef inline bint first_time(Known *known, Entry *entry) noexcept nogil:
    """Whether an entry is met for the first time in this batch."""
    if entry.batch == known.batch:
        return False
    entry.batch = known.batch
    return True


cdef inline bint is_wanted(Known *known, Entry *entry) noexcept nogil:
    """Whether the database may lack the row of an entry, or its id is not known."""
    return not entry.known or entry.confirmed != known.belief


cdef inline Outcome intern_described(
    Known *known, Interned *table, WantedList *wanted, Buffer *scratch, Slice message, Slice schema_url, Entry **found
) noexcept nogil:
    """Find a resource or a scope by its bytes and its schema URL."""
    cdef Wanted item
    cdef Slice key
    cdef Entry *entry
    scratch.size = 0
    if append(scratch, message.data, message.size) != DONE:
        return NO_MEMORY
    if append(scratch, schema_url.data, schema_url.size) != DONE:
        return NO_MEMORY
    key.data = scratch.data
    key.size = scratch.size
    entry = intern(table, message.size, key)
    if entry == NULL:
        return NO_MEMORY
    found[0] = entry
    if first_time(known, entry) and is_wanted(known, entry):
        item.entry = entry
        item.metric = NULL
        item.resource = NULL
        item.scope = NULL
        return add_wanted(wanted, item)
    return DONE


cdef inline bint read_envelope(Reader reader, Slice *described, Slice *schema_url) noexcept nogil:
    """Of a Resource… or Scope…, what describes it: fields 1 and 3. False also if field 1 comes twice."""
    cdef uint32_t tag = 0
    described.data = NULL
    described.size = 0
    schema_url.data = NULL
    schema_url.size = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == 0x0A:
            if described.data != NULL or not read_slice(&reader, described):
                return False
        elif tag == 0x1A:
            if not read_slice(&reader, schema_url):
                return False
        elif not skip_value(&reader, tag):
            return False
    return True


cdef inline Outcome read_envelopes(
    Known *known,
    Slice payload,
    Envelopes *envelopes,
    WantedList *wanted_resources,
    WantedList *wanted_scopes,
    Buffer *scratch,
) noexcept nogil:
    """Note every scope of a request, with its resource."""
    cdef Reader request = reader_of_slice(payload)
    cdef Reader reader
    cdef Slice resource_message
    cdef Slice described
    cdef Slice schema_url
    cdef Envelope envelope
    cdef uint32_t tag = 0
    cdef Outcome outcome
    while more(&request):
        if not read_tag(&request, &tag):
            return DOUBT
        if tag != 0x0A:
            if not skip_value(&request, tag):
                return DOUBT
            continue
        if not read_slice(&request, &resource_message):
            return DOUBT
        if not read_envelope(reader_of_slice(resource_message), &described, &schema_url):
            return DOUBT
        outcome = intern_described(
            known, &known.resources, wanted_resources, scratch, described, schema_url, &envelope.resource
        )
        if outcome != DONE:
            return outcome
        reader = reader_of_slice(resource_message)
        while more(&reader):
            if not read_tag(&reader, &tag):
                return DOUBT
            if tag != 0x12:
                if not skip_value(&reader, tag):
                    return DOUBT
                continue
            if not read_slice(&reader, &envelope.message):
                return DOUBT
            if not read_envelope(reader_of_slice(envelope.message), &described, &schema_url):
                return DOUBT
            outcome = intern_described(
                known, &known.scopes, wanted_scopes, scratch, described, schema_url, &envelope.scope
            )
            if outcome == DONE:
                outcome = add_envelope(envelopes, envelope)
            if outcome != DONE:
                return outcome
    return DONE
