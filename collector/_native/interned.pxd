"""What was seen before, by its bytes: bounded hash tables of resources, scopes, metrics and series.

Keys are compared whole; the hash, keyed at random, only says where to look. Entries live in two generations, as in
`storage.cache`: what is used moves to the young one, and what was not used for long goes with the old one, but
only between batches (`rotate`), so that pointers to entries are good for the batch.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from collector._native.reader cimport Slice, likely_, unlikely_


cdef extern from "siphash.h" nogil:
    uint64_t siphash(uint64_t key0, uint64_t key1, uint64_t number, const uint8_t *data, size_t size)


cdef enum:
    SLOTS_MIN = 256
    BLOCK_SIZE = 1 << 16


cdef struct Entry:
    uint64_t hash
    uint64_t prefix  # first part of the key
    uint64_t number  # in this table, never used twice
    uint8_t[16] id  # resource_id, scope_id, or the digest of a series
    int64_t series_id
    uint64_t confirmed  # the belief (encode.pyx) in which a database holds it
    uint64_t batch  # the last one that it was seen in
    uint32_t group  # of its text in that batch
    bint known  # whether `id` is
    size_t key_size
    size_t text_size  # the service's name of a resource
    uint8_t *text
    Entry *following  # the one that was asked for after this one the last time
    # the key's second part follows


cdef struct Slot:
    uint64_t hash
    Entry *entry


cdef struct Block:
    Block *next
    size_t used
    size_t size


cdef struct Generation:
    Slot *slots
    size_t mask
    size_t count
    size_t bytes
    Block *blocks


cdef struct Interned:
    Generation young
    Generation old
    uint64_t key0
    uint64_t key1
    uint64_t last_number
    Entry *previous  # the one that `intern_next` found last, in this batch
    size_t entries_max
    size_t bytes_max


cdef inline uint8_t *entry_key(Entry *entry) noexcept nogil:
    """The second part of the key."""
    return <uint8_t *>entry + sizeof(Entry)


cdef inline void *allocate(Generation *generation, size_t size) noexcept nogil:
    """Memory that lives as long as the generation; NULL: there is none."""
    cdef Block *block = generation.blocks
    cdef size_t block_size
    size = (size + 15) & ~<size_t>15
    if block == NULL or block.size - block.used < size:
        block_size = size if size > BLOCK_SIZE else <size_t>BLOCK_SIZE
        block = <Block *>malloc(sizeof(Block) + 16 + block_size)
        if block == NULL:
            return NULL
        block.size = block_size
        block.used = 0
        block.next = generation.blocks
        generation.blocks = block
        generation.bytes += block_size
    block.used += size
    return <uint8_t *>(((<size_t>block + sizeof(Block) + 15) & ~<size_t>15) + block.used - size)


cdef inline void clear(Generation *generation) noexcept nogil:
    """Forget everything in it."""
    cdef Block *block = generation.blocks
    cdef Block *following
    while block != NULL:
        following = block.next
        free(block)
        block = following
    free(generation.slots)
    memset(generation, 0, sizeof(Generation))


cdef inline void insert(Generation *generation, Entry *entry) noexcept nogil:
    """Put an entry into the slots, of which there are more than entries."""
    cdef size_t at = entry.hash & generation.mask
    while generation.slots[at].entry != NULL:
        at = (at + 1) & generation.mask
    generation.slots[at].hash = entry.hash
    generation.slots[at].entry = entry
    generation.count += 1


cdef inline bint widen(Generation *generation) noexcept nogil:
    """Make sure that one more entry leaves half of the slots empty. False: there is no memory."""
    cdef Slot *before = generation.slots
    cdef Slot *slots
    cdef size_t size = generation.mask + 1 if before != NULL else 0
    cdef size_t index
    if likely_(generation.count * 2 + 2 <= size):
        return True
    slots = <Slot *>calloc(size * 2 if size else SLOTS_MIN, sizeof(Slot))
    if slots == NULL:
        return False
    generation.slots = slots
    generation.mask = (size * 2 if size else SLOTS_MIN) - 1
    generation.count = 0
    for index in range(size):
        if before[index].entry != NULL:
            insert(generation, before[index].entry)
    free(before)
    return True


cdef inline Entry *look_up(Generation *generation, uint64_t hash, uint64_t prefix, Slice key) noexcept nogil:
    """The entry of a key, or NULL."""
    cdef size_t at
    cdef Entry *entry
    if generation.count == 0:
        return NULL
    at = hash & generation.mask
    while True:
        entry = generation.slots[at].entry
        if entry == NULL:
            return NULL
        if (
            generation.slots[at].hash == hash
            and entry.prefix == prefix
            and entry.key_size == key.size
            and (key.size == 0 or memcmp(entry_key(entry), key.data, key.size) == 0)
        ):
            return entry
        at = (at + 1) & generation.mask


cdef inline Entry *add(Interned *table, uint64_t hash, uint64_t prefix, Slice key, size_t text_size) noexcept nogil:
    """A new entry in the young generation, with room for a text; NULL: there is no memory."""
    cdef Entry *entry
    if key.size > <size_t>1 << 40 or text_size > <size_t>1 << 40 or not widen(&table.young):
        return NULL
    entry = <Entry *>allocate(&table.young, sizeof(Entry) + key.size + text_size)
    if entry == NULL:
        return NULL
    memset(entry, 0, sizeof(Entry))
    entry.hash = hash
    entry.prefix = prefix
    entry.key_size = key.size
    entry.text_size = text_size
    entry.text = entry_key(entry) + key.size
    if key.size:
        memcpy(entry_key(entry), key.data, key.size)
    insert(&table.young, entry)
    return entry


cdef inline Entry *intern(Interned *table, uint64_t prefix, Slice key) noexcept nogil:
    """The entry of a key, new if it is not there; NULL: there is no memory."""
    cdef uint64_t hash = siphash(table.key0, table.key1, prefix, key.data, key.size)
    cdef Entry *entry = look_up(&table.young, hash, prefix, key)
    cdef Entry *before
    if likely_(entry != NULL):
        return entry
    before = look_up(&table.old, hash, prefix, key)
    entry = add(table, hash, prefix, key, before.text_size if before != NULL else 0)
    if entry == NULL:
        return NULL
    if before == NULL:
        table.last_number += 1
        entry.number = table.last_number
        return entry
    entry.number = before.number
    entry.id = before.id
    entry.series_id = before.series_id
    entry.confirmed = before.confirmed
    entry.batch = before.batch
    entry.known = before.known
    if before.text_size:
        memcpy(entry.text, before.text, before.text_size)
    return entry


cdef inline Entry *intern_next(Interned *table, uint64_t prefix, Slice key) noexcept nogil:
    """`intern`, for keys that often come in the order in which they came before: then without a look at the slots."""
    cdef Entry *entry
    if table.previous != NULL:
        # Both are of the young generation: entries only learn of each other while they are.
        entry = table.previous.following
        if (
            entry != NULL
            and entry.prefix == prefix
            and entry.key_size == key.size
            and (key.size == 0 or memcmp(entry_key(entry), key.data, key.size) == 0)
        ):
            table.previous = entry
            return entry
    entry = intern(table, prefix, key)
    if entry != NULL:
        if table.previous != NULL:
            table.previous.following = entry
        table.previous = entry
    return entry


cdef inline bint set_text(Interned *table, Entry *entry, const uint8_t *data, size_t size) noexcept nogil:
    """Give an entry a text. False: there is no memory."""
    cdef uint8_t *text = <uint8_t *>allocate(&table.young, size)
    if text == NULL:
        return False
    if size:
        memcpy(text, data, size)
    entry.text = text
    entry.text_size = size
    return True


cdef inline void rotate(Interned *table) noexcept nogil:
    """Between two batches: let the old generation go if the young one is full."""
    table.previous = NULL
    if table.young.count * 2 >= table.entries_max or table.young.bytes * 2 >= table.bytes_max:
        clear(&table.old)
        table.old = table.young
        memset(&table.young, 0, sizeof(Generation))
