# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""OTLP requests to sorted rows in PostgreSQL's binary COPY format: the twin of `storage.encode`.

No Python object is made for an item, and none for a resource, scope or series that is known and stored. What is
new is described by the reference encoder's functions (`Describe`), from its bytes; a request that is not
understood, or doubtful, is encoded by the reference encoder as a whole and its rows are taken over. The bytes
were accepted by `wire.scan`, but nothing here relies on that.

Read first: reader (the bytes that somebody sent), then envelopes, metrics and the `…_rows`.
"""

from collections.abc import Sequence

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from collector._native.buffer cimport DONE, DOUBT, NO_MEMORY, Buffer, Outcome, append, release
from collector._native.columns cimport EPOCH_US
from collector._native.decode_rows cimport ColumnKind, decode_row
from collector._native.envelopes cimport (
    Envelope,
    Envelopes,
    Known,
    Wanted,
    WantedList,
    begin_batch,
    clear_table,
    confirm_all,
    read_envelopes,
    set_up,
)
from collector._native.interned cimport Entry, entry_key, set_text
from collector._native.json_text cimport POWER_MAX, POWER_MIN, put_double, set_power
from collector._native.log_rows cimport write_log
from collector._native.metrics cimport Groups, MetricKey, add_group, write_metric
from collector._native.point_rows cimport put_series_id
from collector._native.reader cimport (
    Reader,
    Slice,
    load_be32,
    load_be64,
    more,
    read_slice,
    read_tag,
    reader_of_slice,
    skip_value,
)
from collector._native.row_parts cimport Origin
from collector._native.row_store cimport Item, Rows, add_item, rank_groups, release_rows, sort_rows
from collector._native.span_rows cimport write_span


cdef enum:
    TABLES_MAX = 4  # that one signal has
    COLUMNS_MAX = 32
    # Of a COPY stream: malloc takes larger ones from the system each time, and page faults cost more than calls.
    PIECE_SIZE = 96 << 10
    OTHERS_SHARE = 8  # of the bytes of keys that are remembered: resources, scopes and metrics, each

cdef enum Layout:
    # Which columns come before `time`.
    POINT  # metric, series_id
    SPAN  # service_name, name
    LOG  # service_name

cdef bytes _HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
cdef bytes _TRAILER = b"\xff\xff"


def _set_powers():
    """Fill the table that doubles are written with: 128 bits of each power of ten, rounded up."""
    for exponent in range(POWER_MIN, POWER_MAX + 1):
        numerator = 10 ** max(exponent, 0)
        denominator = 10 ** max(-exponent, 0)
        shift = 127 - (numerator.bit_length() - denominator.bit_length())
        while True:
            bits = -(-(numerator << max(shift, 0)) // (denominator << max(-shift, 0)))
            if bits.bit_length() == 128:
                break
            shift += 1 if bits.bit_length() < 128 else -1
        set_power(exponent, bits >> 64, bits & 0xFFFFFFFFFFFFFFFF)


_set_powers()


def double_text(double value):
    """What the encoder writes for a finite double; for tests."""
    cdef uint8_t[32] text
    cdef uint64_t bits
    memcpy(&bits, &value, 8)
    return PyBytes_FromStringAndSize(<char *>text, put_double(text, bits)).decode()


class UnusualError(Exception):
    """This batch is the reference encoder's work as a whole."""


cdef inline const uint8_t *behind_text(const uint8_t *row) noexcept nogil:
    """What follows the first column of a row, a text."""
    return row + 2 + 4 + load_be32(row + 2)


cdef inline int64_t time_of(const uint8_t *row, Layout layout) noexcept nogil:
    """The column `time` of a row, in µs since 1970."""
    cdef const uint8_t *at = behind_text(row)
    if layout == POINT:
        at += 12
    elif layout == SPAN:
        at += 4 + load_be32(at)
    return <int64_t>load_be64(at + 4) + EPOCH_US


cdef class Encoder


cdef class FactRows:
    """Sorted rows of one table: a sequence of tuples, made when they are asked for, and a COPY stream."""

    cdef Rows rows
    cdef uint8_t[COLUMNS_MAX] kinds
    cdef size_t columns
    cdef Layout layout
    cdef Encoder encoder
    cdef size_t table

    def __dealloc__(self):
        release_rows(&self.rows)

    def __del__(self):
        # With the interpreter's lock, and never while the encoder takes its spares.
        if self.encoder is not None:
            self.encoder.take_back(self.table, &self.rows)

    def __len__(self):
        return <Py_ssize_t>self.rows.count

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self._row(at) for at in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(index)
        return self._row(at)

    def __iter__(self):
        cdef size_t index
        for index in range(self.rows.count):
            yield self._row(index)

    def __reversed__(self):
        return (self._row(index) for index in range(len(self) - 1, -1, -1))

    @property
    def size(self):
        """Bytes of all rows."""
        return self.rows.bytes.size

    def copy_pieces(self):
        """The rows as pieces of one binary COPY stream."""
        cdef size_t index = 0
        yield _HEADER
        while index < self.rows.count:
            piece, index = self._piece(index)
            yield piece
        yield _TRAILER

    def time_range(self):
        """The lowest and the highest `time`, in µs since 1970."""
        cdef size_t index
        cdef int64_t time
        cdef int64_t low = 0
        cdef int64_t high = 0
        for index in range(self.rows.count):
            time = time_of(self.rows.bytes.data + self.rows.items[index].offset, self.layout)
            low = time if not index or time < low else low
            high = time if not index or time > high else high
        return low, high

    cdef tuple _row(self, size_t index):
        cdef Item *item = &self.rows.items[index]
        return decode_row(self.rows.bytes.data + item.offset, item.size, self.kinds, self.columns)

    cdef tuple _piece(self, size_t start):
        """Bytes of the rows from `start` on, about `PIECE_SIZE`, and the row after."""
        cdef size_t end = start
        cdef size_t size = 0
        cdef size_t index
        cdef uint8_t *to
        cdef bytes piece
        while end < self.rows.count and (size < PIECE_SIZE or end == start):
            size += self.rows.items[end].size
            end += 1
        piece = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
        to = <uint8_t *>PyBytes_AS_STRING(piece)
        with nogil:
            for index in range(start, end):
                memcpy(to, self.rows.bytes.data + self.rows.items[index].offset, self.rows.items[index].size)
                to += self.rows.items[index].size
        return piece, end


Sequence.register(FactRows)


cdef inline Outcome write_items(Rows *rows, const Envelope *envelope, const Origin *origin, Layout layout) noexcept nogil:
    """Append the rows of the spans or log records of one scope."""
    cdef Reader reader = reader_of_slice(envelope.message)
    cdef uint32_t tag = 0
    cdef Slice message
    cdef Outcome outcome
    while more(&reader):
        if not read_tag(&reader, &tag):
            return DOUBT
        if tag != 0x12:
            if not skip_value(&reader, tag):
                return DOUBT
            continue
        if not read_slice(&reader, &message):
            return DOUBT
        if layout == SPAN:
            outcome = write_span(rows, reader_of_slice(message), origin)
        else:
            outcome = write_log(rows, reader_of_slice(message), origin)
        if outcome != DONE:
            return outcome
    return DONE


cdef inline Outcome find_collision(const WantedList *seen, uint64_t key) noexcept nogil:
    """DOUBT if two of the series of a batch have one id and different digests."""
    cdef size_t size = 64
    cdef size_t index
    cdef size_t at
    cdef Entry **slots
    cdef Entry *entry
    cdef Outcome outcome = DONE
    while size < 2 * seen.count:
        size *= 2
    slots = <Entry **>calloc(size, sizeof(Entry *))
    if slots == NULL:
        return NO_MEMORY
    for index in range(seen.count):
        entry = seen.items[index].entry
        # Mixed with a secret, since an id can be searched for by whoever sends attributes.
        at = ((<uint64_t>entry.series_id ^ key) * (key | 1)) >> 20 & (size - 1)
        while slots[at] != NULL:
            if slots[at].series_id == entry.series_id and (
                load_be64(slots[at].id) != load_be64(entry.id) or load_be64(slots[at].id + 8) != load_be64(entry.id + 8)
            ):
                outcome = DOUBT
            at = (at + 1) & (size - 1)
        slots[at] = entry
    free(slots)
    return outcome


cdef class Encoder:
    """Encodes batches of one signal. Not thread-safe.

    `describe` has what only the reference encoder knows, see `storage.native.Describe`. `kinds`: for each of the
    signal's tables, the `ColumnKind` of every column. `key`: 16 random bytes. `entries_max` and `keys_max` bound what
    is remembered, in numbers of each kind and in bytes; `spare_max`, in bytes per table, what is kept of the memory that
    rows took, for the next batch.
    """

    cdef Known known
    cdef Layout layout
    cdef object describe
    cdef tuple kinds
    cdef bint busy
    # What it was last told by `confirm`: entries of belief `known.belief` are stored there.
    cdef object token
    # The batch.
    cdef Slice *payloads
    cdef size_t *starts  # of the envelopes of each payload; one more than there are payloads
    cdef bint *doubtful
    cdef Envelopes envelopes
    cdef WantedList wanted_resources
    cdef WantedList wanted_scopes
    cdef WantedList wanted_series
    cdef WantedList seen
    cdef Groups groups
    cdef Buffer scratch
    cdef Rows[TABLES_MAX] tables
    cdef Rows[TABLES_MAX] spares  # memory of earlier batches
    cdef size_t spare_max
    cdef size_t[TABLES_MAX] settled  # rows whose series has its id
    cdef size_t described  # of `wanted_series`
    cdef dict resources
    cdef dict scopes
    cdef dict series
    cdef dict foreign  # digests by id, of series that the reference encoder described
    cdef list kept

    def __cinit__(
        self,
        describe,
        str signal,
        tuple kinds,
        bytes key,
        *,
        size_t entries_max,
        size_t keys_max = 64 << 20,
        size_t spare_max = 16 << 20,
    ):
        cdef uint64_t key0
        cdef uint64_t key1
        if len(key) != 16:
            raise ValueError("the key is 16 bytes")
        if not 1 <= len(kinds) <= TABLES_MAX or max(map(len, kinds)) > COLUMNS_MAX:
            raise ValueError("too many tables or columns")
        self.describe = describe
        self.layout = {"metrics": POINT, "traces": SPAN, "logs": LOG}[signal]
        self.kinds = kinds
        key0 = load_be64(PyBytes_AS_STRING(key))
        key1 = load_be64(PyBytes_AS_STRING(key) + 8)
        set_up(&self.known.resources, key0, key1, entries_max, keys_max // OTHERS_SHARE)
        set_up(&self.known.scopes, key0, key1, entries_max, keys_max // OTHERS_SHARE)
        set_up(&self.known.metrics, key0, key1, entries_max, keys_max // OTHERS_SHARE)
        set_up(&self.known.series, key0, key1, entries_max, keys_max)
        self.spare_max = spare_max
        self.known.belief = 1

    def __dealloc__(self):
        cdef size_t index
        clear_table(&self.known.resources)
        clear_table(&self.known.scopes)
        clear_table(&self.known.metrics)
        clear_table(&self.known.series)
        free(self.wanted_resources.items)
        free(self.wanted_scopes.items)
        free(self.wanted_series.items)
        free(self.seen.items)
        for index in range(<size_t>TABLES_MAX):
            release_rows(&self.tables[index])
            release_rows(&self.spares[index])
        free(self.payloads)
        free(self.starts)
        free(self.doubtful)
        free(self.envelopes.items)
        free(self.groups.items)
        release(&self.scratch)

    @property
    def batch(self):
        """Number of the batch that was encoded last."""
        return self.known.batch

    @property
    def believed(self):
        """What `confirm` was last told, unless it was withdrawn by `forget`."""
        return self.token

    def encode(self, tuple payloads):
        """Encode a batch: for each of the signal's tables its rows or None, and the dimensions that may be missing.

        Raises:
            UnusualError: it cannot; what the reference encoder makes of the batch is right.
            MemoryError
        """
        if self.busy:
            raise RuntimeError("it encodes already")
        self.busy = True
        try:
            return self._encode(payloads)
        finally:
            self.resources = self.scopes = self.series = self.foreign = self.kept = None
            self.busy = False

    def confirm(self, token, uint64_t batch):
        """The dimensions that `encode` returned for `batch` are stored where `token` stands for."""
        if self.busy or batch != self.known.batch:
            return
        if token is not self.token:
            self.token = token
            self.known.belief += 1
        confirm_all(&self.wanted_resources, self.known.belief)
        confirm_all(&self.wanted_scopes, self.known.belief)
        confirm_all(&self.wanted_series, self.known.belief)

    def forget(self):
        """Believe nothing to be stored any more."""
        self.token = None
        self.known.belief += 1

    # --- the steps --------------------------------------------------------------------------------------------

    cdef object _encode(self, tuple payloads):
        cdef size_t count = <size_t>len(payloads)
        cdef size_t index
        cdef size_t record = 0
        cdef Outcome outcome
        self._begin(payloads)
        with nogil:
            outcome = self.read_all_envelopes(count)
        check(outcome)
        self._describe_envelopes()
        while record < count:
            outcome = DOUBT
            if not self.doubtful[record]:
                with nogil:
                    while record < count and not self.doubtful[record]:
                        outcome = self.write_record(record)
                        if outcome != DONE:
                            break
                        record += 1
            if outcome == NO_MEMORY:
                raise MemoryError
            if outcome == DOUBT and record < count:
                self._take_over(payloads[record])
                record += 1
        self._describe_series()
        with nogil:
            outcome = find_collision(&self.seen, self.known.series.key0)
        check(outcome)
        if self.foreign:
            self._compare_foreign()
        with nogil:
            outcome = self.sort_all()
        check(outcome)
        return self._facts(), self.resources, self.scopes, self.series

    cdef int _begin(self, tuple payloads) except -1:
        """Forget the last batch."""
        cdef size_t index
        cdef size_t count = <size_t>len(payloads)
        for payload in payloads:
            if type(payload) is not bytes:
                raise TypeError("payloads are bytes")
        begin_batch(&self.known)
        self.wanted_resources.count = self.wanted_scopes.count = self.wanted_series.count = self.seen.count = 0
        self.envelopes.count = self.groups.count = self.described = 0
        for index in range(<size_t>TABLES_MAX):
            if self.spares[index].capacity:
                release_rows(&self.tables[index])
                self.tables[index] = self.spares[index]
                memset(&self.spares[index], 0, sizeof(Rows))
            self.tables[index].bytes.size = 0
            self.tables[index].count = 0
            self.settled[index] = 0
        self.resources, self.scopes, self.series, self.foreign, self.kept = {}, {}, {}, {}, []
        free(self.payloads)
        free(self.starts)
        free(self.doubtful)
        self.payloads = <Slice *>calloc(count + 1, sizeof(Slice))
        self.starts = <size_t *>calloc(count + 1, sizeof(size_t))
        self.doubtful = <bint *>calloc(count + 1, sizeof(bint))
        if self.payloads == NULL or self.starts == NULL or self.doubtful == NULL:
            raise MemoryError
        for index in range(count):
            self.payloads[index].data = <const uint8_t *>PyBytes_AS_STRING(payloads[index])
            self.payloads[index].size = <size_t>PyBytes_GET_SIZE(payloads[index])
        return 0

    cdef Outcome read_all_envelopes(self, size_t count) noexcept nogil:
        """Note the scopes of all payloads; those of a doubtful one are left out."""
        cdef size_t index
        cdef Outcome outcome
        for index in range(count):
            self.starts[index] = self.envelopes.count
            outcome = read_envelopes(
                &self.known,
                self.payloads[index],
                &self.envelopes,
                &self.wanted_resources,
                &self.wanted_scopes,
                &self.scratch,
            )
            if outcome == NO_MEMORY:
                return NO_MEMORY
            if outcome == DOUBT:
                self.doubtful[index] = True
                self.envelopes.count = self.starts[index]
        self.starts[count] = self.envelopes.count
        return DONE

    cdef Outcome write_record(self, size_t record) noexcept nogil:
        """Append the rows of one payload; none if it turns out to be doubtful."""
        cdef size_t[TABLES_MAX] sizes
        cdef size_t[TABLES_MAX] counts
        cdef size_t index
        cdef Outcome outcome = DONE
        for index in range(<size_t>TABLES_MAX):
            sizes[index] = self.tables[index].bytes.size
            counts[index] = self.tables[index].count
        for index in range(self.starts[record], self.starts[record + 1]):
            outcome = self.write_envelope(&self.envelopes.items[index])
            if outcome != DONE:
                break
        if outcome != DONE:
            for index in range(<size_t>TABLES_MAX):
                self.tables[index].bytes.size = sizes[index]
                self.tables[index].count = counts[index]
        return outcome

    cdef Outcome write_envelope(self, const Envelope *envelope) noexcept nogil:
        """Append the rows of one scope."""
        cdef Origin origin
        cdef Reader reader
        cdef uint32_t tag = 0
        cdef Slice message
        cdef Outcome outcome
        if self.layout != POINT:
            origin.service_name.data = envelope.resource.text
            origin.service_name.size = envelope.resource.text_size
            origin.resource_id = envelope.resource.id
            origin.scope_id = envelope.scope.id
            if add_group(&self.groups, origin.service_name, &origin.group) != DONE:
                return NO_MEMORY
            return write_items(&self.tables[0], envelope, &origin, self.layout)
        reader = reader_of_slice(envelope.message)
        while more(&reader):
            if not read_tag(&reader, &tag):
                return DOUBT
            if tag != 0x12:
                if not skip_value(&reader, tag):
                    return DOUBT
                continue
            if not read_slice(&reader, &message):
                return DOUBT
            outcome = write_metric(
                &self.known,
                reader_of_slice(message),
                envelope,
                &self.wanted_series,
                &self.seen,
                &self.groups,
                &self.scratch,
                self.tables,
            )
            if outcome != DONE:
                return outcome
        return DONE

    cdef Outcome sort_all(self) noexcept nogil:
        """Sort the rows of every table."""
        cdef size_t index
        cdef Outcome outcome = rank_groups(self.groups.items, self.groups.count)
        for index in range(<size_t>TABLES_MAX):
            if outcome == DONE:
                outcome = sort_rows(&self.tables[index], self.groups.items, self.groups.count)
        return outcome

    cdef list _facts(self):
        """Hand the rows over."""
        cdef FactRows rows
        cdef size_t index
        cdef bytes kinds
        facts = []
        for index, kinds in enumerate(self.kinds):
            if not self.tables[index].count:
                facts.append(None)
                continue
            rows = FactRows.__new__(FactRows)
            rows.layout = self.layout
            rows.columns = <size_t>len(kinds)
            memcpy(rows.kinds, PyBytes_AS_STRING(kinds), rows.columns)
            rows.encoder = self
            rows.table = index
            rows.rows = self.tables[index]
            memset(&self.tables[index], 0, sizeof(Rows))
            facts.append(rows)
        return facts

    cdef void take_back(self, size_t table, Rows *rows) noexcept:
        """Keep the memory of rows that nobody needs any more."""
        # What was written to, not what was asked for: the rest of a buffer that doubles was never given to the process.
        if rows.bytes.size + rows.count * sizeof(Item) > self.spare_max:
            return
        release_rows(&self.spares[table])
        self.spares[table] = rows[0]
        self.spares[table].bytes.size = 0
        self.spares[table].count = 0
        memset(rows, 0, sizeof(Rows))

    # --- what Python says ---------------------------------------------------------------------------------------

    cdef int _describe_envelopes(self) except -1:
        """Have resources and scopes described that are new or not confirmed."""
        cdef size_t index
        cdef Entry *entry
        for index in range(self.wanted_resources.count):
            entry = self.wanted_resources.items[index].entry
            row = self.describe.resource(*_split_key(entry))
            self.resources[row[0]] = row
            if not entry.known:
                name = row[1].encode()
                if not set_text(
                    &self.known.resources, entry, <const uint8_t *>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)
                ):
                    raise MemoryError
                _set_id(entry, row[0])
        for index in range(self.wanted_scopes.count):
            entry = self.wanted_scopes.items[index].entry
            row = self.describe.scope(*_split_key(entry))
            self.scopes[row[0]] = row
            _set_id(entry, row[0])
        return 0

    cdef int _describe_series(self) except -1:
        """Have series described that are new or not confirmed, and put the ids of all into their rows."""
        cdef Wanted *wanted
        cdef Entry *entry
        cdef MetricKey key
        cdef size_t table
        cdef size_t index
        while self.described < self.wanted_series.count:
            wanted = &self.wanted_series.items[self.described]
            self.described += 1
            entry = wanted.entry
            memcpy(&key, entry_key(wanted.metric), sizeof(MetricKey))
            row = self.describe.series(
                key.kind,
                _bytes(entry_key(wanted.metric) + sizeof(MetricKey), wanted.metric.key_size - sizeof(MetricKey)),
                _bytes(entry_key(entry), entry.key_size),
                key.temporality,
                bool(key.monotonic),
                _bytes(wanted.resource.text, wanted.resource.text_size).decode(),
                _bytes(wanted.resource.id, 16),
                _bytes(wanted.scope.id, 16),
            )
            entry.series_id = row[0]
            _set_id(entry, row[1])
            self.series[row[0]] = row
        with nogil:
            for table in range(<size_t>TABLES_MAX):
                if self.layout == POINT:
                    for index in range(self.settled[table], self.tables[table].count):
                        entry = <Entry *><size_t>self.tables[table].items[index].first
                        put_series_id(&self.tables[table], index, self.groups.items, entry.series_id)
                self.settled[table] = self.tables[table].count
        return 0

    cdef int _take_over(self, bytes payload) except -1:
        """Append the rows that the reference encoder makes of a payload, in its turn."""
        cdef Rows *table
        cdef Item item
        cdef Slice text
        cdef const uint8_t *data
        cdef bytes row
        cdef bytes kinds
        self._describe_series()
        encoded, resources, scopes, series = self.describe.whole(payload)
        self.resources.update(resources)
        self.scopes.update(scopes)
        for series_id, described in series.items():
            self.foreign[series_id] = described[1]
            self.series[series_id] = described
        for index, rows in encoded:
            kinds = self.kinds[index]
            table = &self.tables[<size_t>index]
            for row in rows:
                self.kept.append(row)  # the text of the group lies in it
                data = <const uint8_t *>PyBytes_AS_STRING(row)
                # What is read from the row without another look is known to be there.
                decode_row(data, <size_t>len(row), <const uint8_t *>PyBytes_AS_STRING(kinds), <size_t>len(kinds))
                text.data = data + 6
                text.size = load_be32(data + 2)
                item.offset = table.bytes.size
                item.size = <uint32_t>len(row)
                item.group = 0
                if self.layout == POINT:
                    item.first = <int64_t>load_be64(behind_text(data) + 4)
                    item.second = time_of(data, self.layout)
                else:
                    item.first = time_of(data, self.layout)
                    item.second = 0
                check(add_group(&self.groups, text, &item.group))
                check(append(&table.bytes, data, item.size))
                check(add_item(table, item))
        for index in range(<size_t>TABLES_MAX):
            self.settled[<size_t>index] = self.tables[<size_t>index].count
        return 0

    cdef int _compare_foreign(self) except -1:
        """No series that the reference encoder described may have the id of another one."""
        cdef size_t index
        cdef Entry *entry
        for index in range(self.seen.count):
            entry = self.seen.items[index].entry
            if self.foreign.get(entry.series_id, _bytes(entry.id, 16)) != _bytes(entry.id, 16):
                raise UnusualError("two series have one id")
        return 0


cdef inline bytes _bytes(const uint8_t *data, size_t size):
    return PyBytes_FromStringAndSize(<const char *>data, <Py_ssize_t>size)


cdef tuple _split_key(Entry *entry):
    """The message and the schema URL that `intern_described` made the key of."""
    cdef size_t size = <size_t>entry.prefix
    return _bytes(entry_key(entry), size), _bytes(entry_key(entry) + size, entry.key_size - size)


cdef int _set_id(Entry *entry, bytes identity) except -1:
    if len(identity) != 16:
        raise ValueError("an id is 16 bytes")
    memcpy(entry.id, PyBytes_AS_STRING(identity), 16)
    entry.known = True
    return 0


cdef inline int check(Outcome outcome) except -1:
    if outcome == NO_MEMORY:
        raise MemoryError
    if outcome == DOUBT:
        raise UnusualError("not for the native encoder")
    return 0
