/* Numbers as decimal text: integers, and doubles exactly as Python's repr() writes them.
 *
 * A double becomes the shortest digits that read back as the same double, and among these the nearest to it: the
 * algorithm is Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles", 2021). Its table of powers
 * of ten is computed by Python's integers when the module is loaded (`set_power`), not written down here.
 */
#ifndef COLLECTOR_NUMBERS_H
#define COLLECTOR_NUMBERS_H

#include "primitives.h"

enum {
    INTEGER_TEXT_MAX = 20, /* -9223372036854775808, 18446744073709551615 */
    DOUBLE_TEXT_MAX = 24,  /* -2.2250738585072014e-308 */
    POWER_MIN = -292,
    POWER_MAX = 324
};

/* For k in POWER_MIN ... POWER_MAX the 128 highest bits of 10^k, rounded up: high half, low half. */
static uint64_t collector_powers[POWER_MAX - POWER_MIN + 1][2];

static void set_power(int k, uint64_t high, uint64_t low) {
    if (k >= POWER_MIN && k <= POWER_MAX) {
        collector_powers[k - POWER_MIN][0] = high;
        collector_powers[k - POWER_MIN][1] = low;
    }
}

static const char collector_pairs[201] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
    "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

static inline unsigned digits_of(uint64_t value) {
    unsigned count = 1;
    while (value >= 10000) {
        value /= 10000;
        count += 4;
    }
    return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

/* Write `count` digits, which is digits_of(value). */
static inline void put_digits(uint8_t *to, uint64_t value, unsigned count) {
    while (count >= 2) {
        count -= 2;
        memcpy(to + count, collector_pairs + 2 * (value % 100), 2);
        value /= 100;
    }
    if (count)
        to[0] = (uint8_t)('0' + value % 10);
}

/* At most INTEGER_TEXT_MAX bytes. Returns how many. */
static inline unsigned put_unsigned(uint8_t *to, uint64_t value) {
    unsigned count = digits_of(value);
    put_digits(to, value, count);
    return count;
}

static inline unsigned put_signed(uint8_t *to, int64_t value) {
    if (value >= 0)
        return put_unsigned(to, (uint64_t)value);
    to[0] = '-';
    return 1 + put_unsigned(to + 1, 0 - (uint64_t)value);
}

static inline uint64_t round_to_odd(const uint64_t power[2], uint64_t factor) {
    collector_u128 low = (collector_u128)power[1] * factor;
    collector_u128 high = (collector_u128)power[0] * factor + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* `bits`, finite and not zero, without its sign, is *digits * 10^*exponent. */
static inline void shortest(uint64_t bits, uint64_t *digits, int *exponent) {
    const uint64_t fraction = bits & 0xFFFFFFFFFFFFFull;
    const int biased = (int)(bits >> 52) & 0x7FF;
    const uint64_t c = biased ? fraction | 1ull << 52 : fraction;
    const int q = (biased ? biased : 1) - 1075;
    if (biased && q <= 0 && q > -53 && !(c & ((1ull << -q) - 1))) { /* a small integer */
        *digits = c >> -q;
        *exponent = 0;
        return;
    }
    const int even = !(c & 1);
    const int closer = !fraction && biased > 1; /* the lower neighbour is only half as far away */
    const int k = (q * 1262611 - (closer ? 524031 : 0)) >> 22;
    const int h = q + ((-k * 1741647) >> 19) + 1;
    const uint64_t *power = collector_powers[-k - POWER_MIN];
    const uint64_t lower = round_to_odd(power, (4 * c - 2 + closer) << h) + !even;
    const uint64_t value = round_to_odd(power, (4 * c) << h);
    const uint64_t upper = round_to_odd(power, (4 * c + 2) << h) - !even;
    const uint64_t s = value / 4;
    if (s >= 10) {
        const uint64_t tens = s / 10;
        const int below = lower <= 40 * tens;
        const int above = 40 * tens + 40 <= upper;
        if (below != above) {
            *digits = tens + above;
            *exponent = k + 1;
            return;
        }
    }
    const int below = lower <= 4 * s;
    const int above = 4 * s + 4 <= upper;
    *exponent = k;
    if (below != above) {
        *digits = s + above;
        return;
    }
    const uint64_t middle = 4 * s + 2;
    *digits = s + (value > middle || (value == middle && (s & 1)));
}

/* A finite double as repr() writes it, at most DOUBLE_TEXT_MAX bytes. Returns how many. */
static inline unsigned put_double(uint8_t *to, uint64_t bits) {
    uint8_t *const start = to;
    uint8_t text[INTEGER_TEXT_MAX];
    uint64_t digits;
    int exponent;
    if (bits >> 63)
        *to++ = '-';
    bits &= ~(1ull << 63);
    if (!bits) {
        memcpy(to, "0.0", 3);
        return (unsigned)(to - start) + 3;
    }
    shortest(bits, &digits, &exponent);
    while (digits % 10 == 0) {
        digits /= 10;
        exponent++;
    }
    const int count = (int)put_unsigned(text, digits); /* at most 17 */
    const int point = count + exponent;                /* 0.DIGITS * 10^point */
    if (point > 16 || point <= -4) {
        *to++ = text[0];
        if (count > 1) {
            *to++ = '.';
            memcpy(to, text + 1, (size_t)count - 1);
            to += count - 1;
        }
        *to++ = 'e';
        *to++ = point > 0 ? '+' : '-';
        const unsigned power = (unsigned)(point > 0 ? point - 1 : 1 - point);
        if (power < 10)
            *to++ = '0';
        to += put_unsigned(to, power);
    } else if (point <= 0) {
        memcpy(to, "0.000", 5);
        to += 2 - point;
        memcpy(to, text, (size_t)count);
        to += count;
    } else if (point >= count) {
        memcpy(to, text, (size_t)count);
        memset(to + count, '0', (size_t)(point - count));
        memcpy(to + point, ".0", 2);
        to += point + 2;
    } else {
        memcpy(to, text, (size_t)point);
        to[point] = '.';
        memcpy(to + point + 1, text + point, (size_t)(count - point));
        to += count + 1;
    }
    return (unsigned)(to - start);
}

#endif
