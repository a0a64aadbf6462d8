"""Metrics, and their points of all five kinds."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from collector._native.reader cimport (
    FIXED64,
    LENGTH,
    VARINT,
    Reader,
    Slice,
    double_of_bits,
    more,
    read_fixed64,
    read_message,
    read_slice,
    read_tag,
    read_varint,
)
from collector._native.scan_envelopes cimport Check, scope_envelope
from collector._native.scan_parts cimport (
    Keys,
    Pass,
    enter,
    in_window,
    is_id16,
    is_id8,
    key_value,
    skip_fixed64,
    skip_unknown,
    skip_varint,
    text,
)


cdef enum:
    INT32_MAX_ = 0x7FFFFFFF
    UINT32_MAX_ = 0xFFFFFFFF
    NO_RECORDED_VALUE = 1
    SCALE_MIN = -11
    SCALE_MAX = 52


cdef inline bint exemplar(Pass *state, Reader reader) noexcept nogil:
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


cdef inline bint number_point(Pass *state, Reader reader) noexcept nogil:
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


cdef inline bint histogram_point(Pass *state, Reader reader) noexcept nogil:
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


cdef inline bint exponential_buckets(Reader reader, uint64_t *total) noexcept nogil:
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


cdef inline bint exponential_point(Pass *state, Reader reader) noexcept nogil:
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


cdef inline bint quantile(Reader reader, uint64_t *count, double *last) noexcept nogil:
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


cdef inline bint summary_point(Pass *state, Reader reader) noexcept nogil:
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


cdef inline bint metric(Pass *state, Reader reader) noexcept nogil:
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


cdef inline bint scope_metrics(Pass *state, Reader reader) noexcept nogil:
    return scope_envelope(state, reader, metric)
