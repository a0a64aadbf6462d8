/* SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF") of a number followed by bytes.
 *
 * Keyed, so that nobody who does not know the key can choose keys of a hash table that meet in one place.
 */
#ifndef COLLECTOR_SIPHASH_H
#define COLLECTOR_SIPHASH_H

#include "primitives.h"

#define COLLECTOR_ROTATE(x, by) (((x) << (by)) | ((x) >> (64 - (by))))
#define COLLECTOR_SIP_ROUND                                                                                   \
    do {                                                                                                      \
        v0 += v1; v1 = COLLECTOR_ROTATE(v1, 13); v1 ^= v0; v0 = COLLECTOR_ROTATE(v0, 32);                     \
        v2 += v3; v3 = COLLECTOR_ROTATE(v3, 16); v3 ^= v2;                                                    \
        v0 += v3; v3 = COLLECTOR_ROTATE(v3, 21); v3 ^= v0;                                                    \
        v2 += v1; v1 = COLLECTOR_ROTATE(v1, 17); v1 ^= v2; v2 = COLLECTOR_ROTATE(v2, 32);                     \
    } while (0)

static inline uint64_t siphash(uint64_t key0, uint64_t key1, uint64_t number, const uint8_t *data, size_t size) {
    uint64_t v0 = key0 ^ 0x736f6d6570736575ull, v1 = key1 ^ 0x646f72616e646f6dull;
    uint64_t v2 = key0 ^ 0x6c7967656e657261ull, v3 = key1 ^ 0x7465646279746573ull;
    uint64_t last = (uint64_t)(size + 8) << 56;
    v3 ^= number;
    COLLECTOR_SIP_ROUND;
    v0 ^= number;
    for (; size >= 8; data += 8, size -= 8) {
        const uint64_t word = load_le64(data);
        v3 ^= word;
        COLLECTOR_SIP_ROUND;
        v0 ^= word;
    }
    for (size_t i = 0; i < size; i++)
        last |= (uint64_t)data[i] << (8 * i);
    v3 ^= last;
    COLLECTOR_SIP_ROUND;
    v0 ^= last;
    v2 ^= 0xff;
    COLLECTOR_SIP_ROUND;
    COLLECTOR_SIP_ROUND;
    COLLECTOR_SIP_ROUND;
    return v0 ^ v1 ^ v2 ^ v3;
}

#endif
