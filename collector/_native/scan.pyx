# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Whether a request is in order as it is: the native twin of `wire.scan` where nothing has to change.

One pass over the bytes. Every rule of `wire/normalise.py` is asked, and answered by "nothing to do" or by doubt.
At the first doubt the pass ends, and the reference decides about the whole request: what comes out is the same by
definition. Doubt costs time, never correctness; so whatever is rare or hard to judge is doubted: fields with an
unexpected wire type, groups, messages that occur twice where one is meant and would be merged, deep nesting, long
lists of attributes.

Functions return whether all is in order. They read through `reader` only, take no memory, and nest at most
`DEPTH_MAX` deep, whatever the input.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from collector._native.reader cimport (
    FIXED32, FIXED64, GROUP_BEGIN, LENGTH, VARINT,
    Reader, Slice,
    double_of_bits, left, likely_, load_le32, load_le64, more, read_fixed32, read_fixed64, read_message,
    read_slice, read_tag, read_varint, reader_of, skip_plain, unlikely_,
)
from collector._native.text cimport is_text


cdef enum:
    # AnyValues nested in each other. Each costs at most three messages: far below protobuf's 100.
    DEPTH_MAX = 16
    # Attributes in one list; each is compared with all before it.
    KEYS_MAX = 128
    # Smaller requests are scanned in less time than it takes to give the GIL away and get it back.
    GIL_BYTES_MAX = 32768
    INT32_MAX_ = 0x7FFFFFFF
    UINT32_MAX_ = 0xFFFFFFFF
    NO_RECORDED_VALUE = 1
    SCALE_MIN = -11
    SCALE_MAX = 52


cdef struct Pass:
    uint64_t time_min
    uint64_t time_max
    uint32_t depth_max
    uint64_t envelopes
    uint64_t messages
    uint64_t items


# What the fields of a message with a list of attributes have in common: which keys occurred.
cdef struct Keys:
    uint32_t count
    uint64_t[KEYS_MAX] signs
    Slice[KEYS_MAX] texts


# --- parts of every message -----------------------------------------------------------------------------------


cdef inline bint skip_unknown(Reader *reader, uint32_t tag, uint32_t known_max) noexcept nogil:
    """Skip a field of a later OTLP. One that is known, or was once, has a wrong type if it comes here."""
    return (tag >> 3) > known_max and (tag & 7) != GROUP_BEGIN and skip_plain(reader, tag & 7)


cdef inline bint enter(Pass *state, Reader *outer, Reader *inner) noexcept nogil:
    """Read a message in the one that `outer` reads, and count it."""
    state.messages += 1
    return read_message(outer, inner)


cdef inline bint skip_varint(Reader *reader) noexcept nogil:
    cdef uint64_t number = 0
    return read_varint(reader, &number)


cdef inline bint skip_fixed64(Reader *reader) noexcept nogil:
    cdef uint64_t number = 0
    return read_fixed64(reader, &number)


cdef inline bint skip_fixed32(Reader *reader) noexcept nogil:
    cdef uint32_t number = 0
    return read_fixed32(reader, &number)


cdef inline bint skip_bytes(Reader *reader) noexcept nogil:
    cdef Slice ignored
    return read_slice(reader, &ignored)


cdef inline bint text(Reader *reader) noexcept nogil:
    cdef Slice content
    return read_slice(reader, &content) and is_text(content.data, content.size)


cdef inline bint is_id16(Slice trace_id) noexcept nogil:
    return trace_id.size == 16 and (load_le64(trace_id.data) | load_le64(trace_id.data + 8)) != 0


cdef inline bint is_id8(Slice span_id) noexcept nogil:
    return span_id.size == 8 and load_le64(span_id.data) != 0


cdef inline bint in_window(const Pass *state, uint64_t unix_nano) noexcept nogil:
    return state.time_min <= unix_nano <= state.time_max


# --- attributes and values ------------------------------------------------------------------------------------


cdef inline uint64_t sign_of(Slice key) noexcept nogil:
    """A number that equal keys have in common, and that different ones rarely have."""
    cdef const uint8_t *data = key.data
    cdef uint64_t size = key.size
    if likely_(size >= 8):
        return load_le64(data) ^ (load_le64(data + size - 8) * <uint64_t>0x9E3779B97F4A7C15) ^ size
    if size >= 4:
        return <uint64_t>load_le32(data) << 32 | load_le32(data + size - 4)
    if size:
        return <uint64_t>data[0] << 16 | <uint64_t>data[size >> 1] << 8 | data[size - 1] | size << 32
    return 0


cdef inline bint is_new(Keys *keys, Slice key) noexcept nogil:
    """Note `key`, unless it occurred before or there are too many."""
    cdef uint64_t sign = sign_of(key)
    cdef uint32_t count = keys.count
    cdef uint32_t index
    cdef bint again = False
    if unlikely_(count == KEYS_MAX):
        return False
    for index in range(count):
        again |= keys.signs[index] == sign
    if unlikely_(again):
        for index in range(count):
            if keys.texts[index].size == key.size and (
                key.size == 0 or memcmp(keys.texts[index].data, key.data, key.size) == 0
            ):
                return False
    keys.signs[count] = sign
    keys.texts[count] = key
    keys.count = count + 1
    return True


cdef bint array_value(Pass *state, Reader reader, uint32_t depth) noexcept nogil:
    cdef Reader inner
    cdef uint32_t tag = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH):
            if depth >= state.depth_max:
                return False
            if not (enter(state, &reader, &inner) and any_value(state, inner, depth + 1)):
                return False
        elif not skip_unknown(&reader, tag, 1):
            return False
    return True


cdef bint map_value(Pass *state, Reader reader, uint32_t depth) noexcept nogil:
    cdef Keys keys
    cdef uint32_t tag = 0
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH):
            if depth >= state.depth_max:
                return False
            if not key_value(state, &reader, &keys, depth + 1):
                return False
        elif not skip_unknown(&reader, tag, 1):
            return False
    return True


cdef bint any_value(Pass *state, Reader reader, uint32_t depth) noexcept nogil:
    """`depth`: how many AnyValues this one is nested in, plus 1."""
    cdef Reader inner
    cdef uint32_t tag = 0
    cdef bint settled = False
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH):
            if settled or not text(&reader):
                return False
            settled = True
        elif tag == (3 << 3 | VARINT) or tag == (2 << 3 | VARINT):
            if settled or not skip_varint(&reader):
                return False
            settled = True
        elif tag == (4 << 3 | FIXED64):
            if settled or not skip_fixed64(&reader):
                return False
            settled = True
        elif tag == (5 << 3 | LENGTH):
            if settled or not (enter(state, &reader, &inner) and array_value(state, inner, depth)):
                return False
            settled = True
        elif tag == (6 << 3 | LENGTH):
            if settled or not (enter(state, &reader, &inner) and map_value(state, inner, depth)):
                return False
            settled = True
        elif tag == (7 << 3 | LENGTH):
            if settled or not skip_bytes(&reader):
                return False
            settled = True
        elif not skip_unknown(&reader, tag, 8):
            return False
    return True


cdef inline bint key_value(Pass *state, Reader *outer, Keys *keys, uint32_t depth) noexcept nogil:
    """Read one KeyValue of a list. A key left out is the empty one."""
    cdef Reader reader, inner
    cdef Slice key
    cdef uint32_t tag = 0
    cdef bint has_value = False
    key.data = NULL
    key.size = 0
    if not enter(state, outer, &reader):
        return False
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH):
            if key.data != NULL or not read_slice(&reader, &key) or not is_text(key.data, key.size):
                return False
        elif tag == (2 << 3 | LENGTH):
            if has_value or not (enter(state, &reader, &inner) and any_value(state, inner, depth)):
                return False
            has_value = True
        elif not skip_unknown(&reader, tag, 3):
            return False
    return is_new(keys, key)


# --- envelopes ------------------------------------------------------------------------------------------------


cdef bint entity(Reader reader) noexcept nogil:
    cdef uint32_t tag = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if (tag & 7) == LENGTH and (tag >> 3) <= 4:
            if not text(&reader):
                return False
        elif not skip_unknown(&reader, tag, 4):
            return False
    return True


cdef bint resource(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef Reader inner
    cdef uint32_t tag = 0
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH):
            if not key_value(state, &reader, &keys, 1):
                return False
        elif tag == (2 << 3 | VARINT):
            if not skip_varint(&reader):
                return False
        elif tag == (3 << 3 | LENGTH):
            if not (enter(state, &reader, &inner) and entity(inner)):
                return False
        elif not skip_unknown(&reader, tag, 3):
            return False
    return True


cdef bint scope(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef uint32_t tag = 0
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH) or tag == (2 << 3 | LENGTH):
            if not text(&reader):
                return False
        elif tag == (3 << 3 | LENGTH):
            if not key_value(state, &reader, &keys, 1):
                return False
        elif tag == (4 << 3 | VARINT):
            if not skip_varint(&reader):
                return False
        elif not skip_unknown(&reader, tag, 4):
            return False
    return True


ctypedef bint (*Check)(Pass *, Reader) noexcept nogil


cdef inline bint scope_envelope(Pass *state, Reader reader, Check item) noexcept nogil:
    """ScopeSpans, ScopeMetrics, ScopeLogs: alike but for field 2."""
    cdef Reader inner
    cdef uint32_t tag = 0
    cdef bint has_scope = False
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (2 << 3 | LENGTH):
            if not (enter(state, &reader, &inner) and item(state, inner)):
                return False
        elif tag == (1 << 3 | LENGTH):
            if has_scope or not (enter(state, &reader, &inner) and scope(state, inner)):
                return False
            has_scope = True
        elif tag == (3 << 3 | LENGTH):
            if not text(&reader):
                return False
        elif not skip_unknown(&reader, tag, 3):
            return False
    return True


cdef bint scope_spans(Pass *state, Reader reader) noexcept nogil:
    return scope_envelope(state, reader, span)


cdef bint scope_metrics(Pass *state, Reader reader) noexcept nogil:
    return scope_envelope(state, reader, metric)


cdef bint scope_logs(Pass *state, Reader reader) noexcept nogil:
    return scope_envelope(state, reader, log_record)


cdef bint resource_envelope(Pass *state, Reader reader, Check contents) noexcept nogil:
    """ResourceSpans, ResourceMetrics, ResourceLogs: alike but for field 2."""
    cdef Reader inner
    cdef uint32_t tag = 0
    cdef bint has_resource = False
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (2 << 3 | LENGTH):
            state.envelopes += 1
            if not (enter(state, &reader, &inner) and contents(state, inner)):
                return False
        elif tag == (1 << 3 | LENGTH):
            if has_resource or not (enter(state, &reader, &inner) and resource(state, inner)):
                return False
            has_resource = True
        elif tag == (3 << 3 | LENGTH):
            if not text(&reader):
                return False
        elif not skip_unknown(&reader, tag, 3):
            return False
    return True


cdef bint request(Pass *state, Reader reader, Check contents) noexcept nogil:
    """A request that has no field of its signal is somebody else's: doubted."""
    cdef Reader inner
    cdef uint32_t tag = 0
    cdef bint is_empty = not more(&reader)
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH):
            state.envelopes += 1
            if not (enter(state, &reader, &inner) and resource_envelope(state, inner, contents)):
                return False
        elif not skip_unknown(&reader, tag, 1):
            return False
    return is_empty or state.envelopes > 0


# --- traces ---------------------------------------------------------------------------------------------------


cdef bint event(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef uint32_t tag = 0
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | FIXED64):
            if not skip_fixed64(&reader):
                return False
        elif tag == (2 << 3 | LENGTH):
            if not text(&reader):
                return False
        elif tag == (3 << 3 | LENGTH):
            if not key_value(state, &reader, &keys, 1):
                return False
        elif tag == (4 << 3 | VARINT):
            if not skip_varint(&reader):
                return False
        elif not skip_unknown(&reader, tag, 4):
            return False
    return True


cdef bint link(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef Slice identity
    cdef uint32_t tag = 0
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH):
            if not read_slice(&reader, &identity) or (identity.size and not is_id16(identity)):
                return False
        elif tag == (2 << 3 | LENGTH):
            if not read_slice(&reader, &identity) or (identity.size and not is_id8(identity)):
                return False
        elif tag == (3 << 3 | LENGTH):
            if not text(&reader):
                return False
        elif tag == (4 << 3 | LENGTH):
            if not key_value(state, &reader, &keys, 1):
                return False
        elif tag == (5 << 3 | VARINT):
            if not skip_varint(&reader):
                return False
        elif tag == (6 << 3 | FIXED32):
            if not skip_fixed32(&reader):
                return False
        elif not skip_unknown(&reader, tag, 6):
            return False
    return True


cdef bint status(Reader reader) noexcept nogil:
    cdef uint32_t tag = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (3 << 3 | VARINT):
            if not skip_varint(&reader):
                return False
        elif tag == (2 << 3 | LENGTH):
            if not text(&reader):
                return False
        elif not skip_unknown(&reader, tag, 3):
            return False
    return True


cdef bint span(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef Reader inner
    cdef Slice identity
    cdef uint64_t start = 0
    cdef uint32_t tag = 0
    cdef bint has_trace_id = False
    cdef bint has_span_id = False
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (9 << 3 | LENGTH):
            if not key_value(state, &reader, &keys, 1):
                return False
        elif tag == (1 << 3 | LENGTH):
            if not (read_slice(&reader, &identity) and is_id16(identity)):
                return False
            has_trace_id = True
        elif tag == (2 << 3 | LENGTH):
            if not (read_slice(&reader, &identity) and is_id8(identity)):
                return False
            has_span_id = True
        elif tag == (4 << 3 | LENGTH):
            if not read_slice(&reader, &identity) or (identity.size and not is_id8(identity)):
                return False
        elif tag == (3 << 3 | LENGTH) or tag == (5 << 3 | LENGTH):
            if not text(&reader):
                return False
        elif tag == (7 << 3 | FIXED64):
            if not read_fixed64(&reader, &start):
                return False
        elif tag == (8 << 3 | FIXED64):
            if not skip_fixed64(&reader):
                return False
        elif (
            tag == (6 << 3 | VARINT) or tag == (10 << 3 | VARINT) or tag == (12 << 3 | VARINT)
            or tag == (14 << 3 | VARINT)
        ):
            if not skip_varint(&reader):
                return False
        elif tag == (11 << 3 | LENGTH):
            if not (enter(state, &reader, &inner) and event(state, inner)):
                return False
        elif tag == (13 << 3 | LENGTH):
            if not (enter(state, &reader, &inner) and link(state, inner)):
                return False
        elif tag == (15 << 3 | LENGTH):
            if not (enter(state, &reader, &inner) and status(inner)):
                return False
        elif tag == (16 << 3 | FIXED32):
            if not skip_fixed32(&reader):
                return False
        elif not skip_unknown(&reader, tag, 16):
            return False
    state.items += 1
    return has_trace_id and has_span_id and in_window(state, start)


# --- logs -----------------------------------------------------------------------------------------------------


cdef bint log_record(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef Reader inner
    cdef Slice identity
    cdef uint64_t when = 0
    cdef uint64_t observed = 0
    cdef uint32_t tag = 0
    cdef bint has_body = False
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (6 << 3 | LENGTH):
            if not key_value(state, &reader, &keys, 1):
                return False
        elif tag == (1 << 3 | FIXED64):
            if not read_fixed64(&reader, &when):
                return False
        elif tag == (11 << 3 | FIXED64):
            if not read_fixed64(&reader, &observed):
                return False
        elif tag == (2 << 3 | VARINT) or tag == (7 << 3 | VARINT):
            if not skip_varint(&reader):
                return False
        elif tag == (3 << 3 | LENGTH) or tag == (12 << 3 | LENGTH):
            if not text(&reader):
                return False
        elif tag == (5 << 3 | LENGTH):
            if has_body or not (enter(state, &reader, &inner) and any_value(state, inner, 1)):
                return False
            has_body = True
        elif tag == (8 << 3 | FIXED32):
            if not skip_fixed32(&reader):
                return False
        elif tag == (9 << 3 | LENGTH):
            if not read_slice(&reader, &identity) or (identity.size and not is_id16(identity)):
                return False
        elif tag == (10 << 3 | LENGTH):
            if not read_slice(&reader, &identity) or (identity.size and not is_id8(identity)):
                return False
        elif not skip_unknown(&reader, tag, 12):
            return False
    state.items += 1
    return observed != 0 and in_window(state, when if when else observed)


# --- metrics --------------------------------------------------------------------------------------------------


cdef bint exemplar(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef Slice identity
    cdef uint32_t tag = 0
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (2 << 3 | FIXED64) or tag == (3 << 3 | FIXED64) or tag == (6 << 3 | FIXED64):
            if not skip_fixed64(&reader):
                return False
        elif tag == (4 << 3 | LENGTH):
            if not read_slice(&reader, &identity) or (identity.size and not is_id8(identity)):
                return False
        elif tag == (5 << 3 | LENGTH):
            if not read_slice(&reader, &identity) or (identity.size and not is_id16(identity)):
                return False
        elif tag == (7 << 3 | LENGTH):
            if not key_value(state, &reader, &keys, 1):
                return False
        elif not skip_unknown(&reader, tag, 7):
            return False
    return True


cdef bint number_point(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef Reader inner
    cdef uint64_t when = 0
    cdef uint64_t flags = 0
    cdef uint32_t tag = 0
    cdef bint has_value = False
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (7 << 3 | LENGTH):
            if not key_value(state, &reader, &keys, 1):
                return False
        elif tag == (2 << 3 | FIXED64):
            if not skip_fixed64(&reader):
                return False
        elif tag == (3 << 3 | FIXED64):
            if not read_fixed64(&reader, &when):
                return False
        elif tag == (4 << 3 | FIXED64) or tag == (6 << 3 | FIXED64):
            if not skip_fixed64(&reader):
                return False
            has_value = True
        elif tag == (5 << 3 | LENGTH):
            if not (enter(state, &reader, &inner) and exemplar(state, inner)):
                return False
        elif tag == (8 << 3 | VARINT):
            if not read_varint(&reader, &flags):
                return False
        elif not skip_unknown(&reader, tag, 8):
            return False
    state.items += 1
    return in_window(state, when) and has_value == ((flags & NO_RECORDED_VALUE) == 0)


cdef inline bint add_fixed64(Reader *reader, uint64_t *count, uint64_t *total) noexcept nogil:
    """Add one element to a sum that has to fit into 64 bits."""
    cdef uint64_t number = 0
    if not read_fixed64(reader, &number):
        return False
    total[0] += number
    count[0] += 1
    return total[0] >= number


cdef inline bint add_varint(Reader *reader, uint64_t *count, uint64_t *total) noexcept nogil:
    cdef uint64_t number = 0
    if not read_varint(reader, &number):
        return False
    total[0] += number
    count[0] += 1
    return total[0] >= number


cdef inline bint increases(Reader *reader, uint64_t *count, double *last) noexcept nogil:
    """Read a double that is more than the one before, and no NaN."""
    cdef uint64_t bits = 0
    cdef double number
    if not read_fixed64(reader, &bits):
        return False
    number = double_of_bits(bits)
    if number != number or (count[0] and not number > last[0]):
        return False
    last[0] = number
    count[0] += 1
    return True


cdef bint histogram_point(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef Reader inner
    cdef uint64_t when = 0
    cdef uint64_t flags = 0
    cdef uint64_t recorded = 0
    cdef uint64_t total = 0
    cdef uint64_t buckets = 0
    cdef uint64_t bounds = 0
    cdef double last = 0
    cdef uint32_t tag = 0
    cdef bint has_value = False
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (9 << 3 | LENGTH):
            if not key_value(state, &reader, &keys, 1):
                return False
        elif tag == (2 << 3 | FIXED64):
            if not skip_fixed64(&reader):
                return False
        elif tag == (3 << 3 | FIXED64):
            if not read_fixed64(&reader, &when):
                return False
        elif tag == (4 << 3 | FIXED64):
            if not read_fixed64(&reader, &recorded):
                return False
            has_value = True
        elif tag == (5 << 3 | FIXED64) or tag == (11 << 3 | FIXED64) or tag == (12 << 3 | FIXED64):
            if not skip_fixed64(&reader):
                return False
            has_value = True
        elif tag == (6 << 3 | LENGTH):
            if not read_message(&reader, &inner):
                return False
            while more(&inner):
                if not add_fixed64(&inner, &buckets, &total):
                    return False
            has_value = True
        elif tag == (6 << 3 | FIXED64):
            if not add_fixed64(&reader, &buckets, &total):
                return False
            has_value = True
        elif tag == (7 << 3 | LENGTH):
            if not read_message(&reader, &inner):
                return False
            while more(&inner):
                if not increases(&inner, &bounds, &last):
                    return False
            has_value = True
        elif tag == (7 << 3 | FIXED64):
            if not increases(&reader, &bounds, &last):
                return False
            has_value = True
        elif tag == (8 << 3 | LENGTH):
            if not (enter(state, &reader, &inner) and exemplar(state, inner)):
                return False
        elif tag == (10 << 3 | VARINT):
            if not read_varint(&reader, &flags):
                return False
        elif not skip_unknown(&reader, tag, 12):
            return False
    state.items += 1
    if not in_window(state, when):
        return False
    if flags & NO_RECORDED_VALUE:
        return not has_value
    return (buckets == 0 and bounds == 0) or (buckets == bounds + 1 and total == recorded)


cdef bint exponential_buckets(Reader reader, uint64_t *total) noexcept nogil:
    cdef Reader inner
    cdef uint64_t number = 0
    cdef uint64_t buckets = 0
    cdef int64_t offset = 0
    cdef uint32_t tag = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | VARINT):
            if not read_varint(&reader, &number) or number > UINT32_MAX_:
                return False
            offset = <int64_t>(number >> 1) ^ -<int64_t>(number & 1)
        elif tag == (2 << 3 | LENGTH):
            if not read_message(&reader, &inner):
                return False
            while more(&inner):
                if not add_varint(&inner, &buckets, total):
                    return False
        elif tag == (2 << 3 | VARINT):
            if not add_varint(&reader, &buckets, total):
                return False
        elif not skip_unknown(&reader, tag, 2):
            return False
    return offset + <int64_t>buckets - 1 <= INT32_MAX_


cdef bint exponential_point(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef Reader inner
    cdef uint64_t when = 0
    cdef uint64_t flags = 0
    cdef uint64_t recorded = 0
    cdef uint64_t number = 0
    cdef uint64_t zeros = 0
    cdef uint64_t total = 0
    cdef int64_t scale = 0
    cdef uint32_t tag = 0
    cdef bint has_value = False
    cdef bint has_positive = False
    cdef bint has_negative = False
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH):
            if not key_value(state, &reader, &keys, 1):
                return False
        elif tag == (2 << 3 | FIXED64):
            if not skip_fixed64(&reader):
                return False
        elif tag == (3 << 3 | FIXED64):
            if not read_fixed64(&reader, &when):
                return False
        elif tag == (4 << 3 | FIXED64):
            if not read_fixed64(&reader, &recorded):
                return False
            has_value = True
        elif (
            tag == (5 << 3 | FIXED64) or tag == (12 << 3 | FIXED64) or tag == (13 << 3 | FIXED64)
            or tag == (14 << 3 | FIXED64)
        ):
            if not skip_fixed64(&reader):
                return False
            has_value = True
        elif tag == (6 << 3 | VARINT):
            if not read_varint(&reader, &number) or number > UINT32_MAX_:
                return False
            scale = <int64_t>(number >> 1) ^ -<int64_t>(number & 1)
            has_value = True
        elif tag == (7 << 3 | FIXED64):
            if not read_fixed64(&reader, &zeros):
                return False
            has_value = True
        elif tag == (8 << 3 | LENGTH):
            if has_positive or not (enter(state, &reader, &inner) and exponential_buckets(inner, &total)):
                return False
            has_positive = has_value = True
        elif tag == (9 << 3 | LENGTH):
            if has_negative or not (enter(state, &reader, &inner) and exponential_buckets(inner, &total)):
                return False
            has_negative = has_value = True
        elif tag == (10 << 3 | VARINT):
            if not read_varint(&reader, &flags):
                return False
        elif tag == (11 << 3 | LENGTH):
            if not (enter(state, &reader, &inner) and exemplar(state, inner)):
                return False
        elif not skip_unknown(&reader, tag, 14):
            return False
    state.items += 1
    if not in_window(state, when):
        return False
    if flags & NO_RECORDED_VALUE:
        return not has_value
    total += zeros
    return SCALE_MIN <= scale <= SCALE_MAX and total >= zeros and total == recorded


cdef bint quantile(Reader reader, uint64_t *count, double *last) noexcept nogil:
    """ValueAtQuantile: more than the one before, and within 0 … 1."""
    cdef uint64_t bits = 0
    cdef double number
    cdef uint32_t tag = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | FIXED64):
            if not read_fixed64(&reader, &bits):
                return False
        elif tag == (2 << 3 | FIXED64):
            if not skip_fixed64(&reader):
                return False
        elif not skip_unknown(&reader, tag, 2):
            return False
    number = double_of_bits(bits)
    if not 0 <= number <= 1 or (count[0] and not number > last[0]):
        return False
    last[0] = number
    count[0] += 1
    return True


cdef bint summary_point(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef Reader inner
    cdef uint64_t when = 0
    cdef uint64_t flags = 0
    cdef uint64_t quantiles = 0
    cdef double last = 0
    cdef uint32_t tag = 0
    cdef bint has_value = False
    keys.count = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (7 << 3 | LENGTH):
            if not key_value(state, &reader, &keys, 1):
                return False
        elif tag == (2 << 3 | FIXED64):
            if not skip_fixed64(&reader):
                return False
        elif tag == (3 << 3 | FIXED64):
            if not read_fixed64(&reader, &when):
                return False
        elif tag == (4 << 3 | FIXED64) or tag == (5 << 3 | FIXED64):
            if not skip_fixed64(&reader):
                return False
            has_value = True
        elif tag == (6 << 3 | LENGTH):
            if not (enter(state, &reader, &inner) and quantile(inner, &quantiles, &last)):
                return False
            has_value = True
        elif tag == (8 << 3 | VARINT):
            if not read_varint(&reader, &flags):
                return False
        elif not skip_unknown(&reader, tag, 8):
            return False
    state.items += 1
    return in_window(state, when) and not (has_value and flags & NO_RECORDED_VALUE)


cdef inline bint points(Pass *state, Reader reader, Check point, bint has_temporality) noexcept nogil:
    """Gauge, Sum, Histogram, ExponentialHistogram, Summary: points, and the temporality of some."""
    cdef Reader inner
    cdef uint64_t temporality = 0
    cdef uint64_t items = state.items
    cdef uint32_t tag = 0
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH):
            if not (enter(state, &reader, &inner) and point(state, inner)):
                return False
        elif tag == (2 << 3 | VARINT) and has_temporality:
            if not read_varint(&reader, &temporality) or temporality > INT32_MAX_:
                return False
        elif tag == (3 << 3 | VARINT) and has_temporality:
            if not skip_varint(&reader):
                return False
        elif not skip_unknown(&reader, tag, 3):
            return False
    return not has_temporality or temporality != 0 or state.items == items


cdef bint metric(Pass *state, Reader reader) noexcept nogil:
    cdef Keys keys
    cdef Reader inner
    cdef uint32_t tag = 0
    cdef uint32_t kind = 0
    cdef bint in_order
    keys.count = 0
    state.envelopes += 1
    while more(&reader):
        if not read_tag(&reader, &tag):
            return False
        if tag == (1 << 3 | LENGTH) or tag == (2 << 3 | LENGTH) or tag == (3 << 3 | LENGTH):
            if not text(&reader):
                return False
        elif tag == (12 << 3 | LENGTH):
            if not key_value(state, &reader, &keys, 1):
                return False
        elif (
            tag == (5 << 3 | LENGTH) or tag == (7 << 3 | LENGTH) or tag == (9 << 3 | LENGTH)
            or tag == (10 << 3 | LENGTH) or tag == (11 << 3 | LENGTH)
        ):
            if kind or not enter(state, &reader, &inner):
                return False
            kind = tag >> 3
            if kind == 5:
                in_order = points(state, inner, number_point, False)
            elif kind == 7:
                in_order = points(state, inner, number_point, True)
            elif kind == 9:
                in_order = points(state, inner, histogram_point, True)
            elif kind == 10:
                in_order = points(state, inner, exponential_point, True)
            else:
                in_order = points(state, inner, summary_point, False)
            if not in_order:
                return False
        elif not skip_unknown(&reader, tag, 12):
            return False
    return kind != 0


# --- the door -------------------------------------------------------------------------------------------------

def items_in_order(
    int signal,
    bytes body not None,
    uint64_t time_min,
    uint64_t time_max,
    uint32_t depth_max,
    uint64_t envelopes_max,
    uint64_t messages_max,
):
    """Return how many items `body` has if all is in order; -1 if in doubt.

    Args:
        signal: 0 for traces, 1 for metrics, 2 for logs.
        time_min, time_max: The window of times, in Unix nanoseconds, both included.
        depth_max: How many AnyValues may be nested in each other.
        envelopes_max: More resources, scopes and metrics are doubted.
        messages_max: More messages of whatever kind are doubted.
    """
    cdef Pass state
    cdef const uint8_t *data = body
    cdef size_t size = len(body)
    cdef Check contents = scope_spans if signal == 0 else scope_metrics if signal == 1 else scope_logs
    cdef bint in_order
    state.time_min = time_min
    state.time_max = time_max
    state.depth_max = min(depth_max, <uint32_t>DEPTH_MAX)
    state.envelopes = 0
    state.messages = 0
    state.items = 0
    if size <= GIL_BYTES_MAX:
        in_order = request(&state, reader_of(data, size), contents)
    else:
        with nogil:
            in_order = request(&state, reader_of(data, size), contents)
    if not in_order or state.envelopes > envelopes_max or state.messages > messages_max:
        return -1
    return state.items
