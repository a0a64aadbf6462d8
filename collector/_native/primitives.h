/* Memory access and arithmetic that C has no operator for. Everything is defined for any alignment.
 *
 * Needs a 64-bit compiler with __int128 (GCC, Clang). Without one this does not compile, and the package works
 * without its compiled modules.
 */
#ifndef COLLECTOR_PRIMITIVES_H
#define COLLECTOR_PRIMITIVES_H

#include <stdint.h>
#include <string.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "written for little-endian machines"
#endif

typedef unsigned __int128 collector_u128;

#define likely_(condition) __builtin_expect(!!(condition), 1)
#define unlikely_(condition) __builtin_expect(!!(condition), 0)

static inline uint32_t load_le32(const void *from) {
    uint32_t value;
    memcpy(&value, from, 4);
    return value;
}

static inline uint64_t load_le64(const void *from) {
    uint64_t value;
    memcpy(&value, from, 8);
    return value;
}

static inline uint32_t load_be32(const void *from) { return __builtin_bswap32(load_le32(from)); }

static inline uint64_t load_be64(const void *from) { return __builtin_bswap64(load_le64(from)); }

static inline void store_be16(void *to, uint16_t value) {
    value = __builtin_bswap16(value);
    memcpy(to, &value, 2);
}

static inline void store_be32(void *to, uint32_t value) {
    value = __builtin_bswap32(value);
    memcpy(to, &value, 4);
}

static inline void store_be64(void *to, uint64_t value) {
    value = __builtin_bswap64(value);
    memcpy(to, &value, 8);
}

static inline double double_of_bits(uint64_t bits) {
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

/* A base-128 number at `at`, of up to 10 bytes and 64 bits: what follows it, or NULL if there is none before `end`.
 *
 * Not inline, so that the readers that call it for what is longer than a byte are.
 */
static __attribute__((noinline)) const uint8_t *long_varint(const uint8_t *at, const uint8_t *end, uint64_t *value) {
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64 && at < end; shift += 7) {
        const uint8_t byte = *at++;
        if (shift == 63 && byte > 1)
            return NULL; /* more than 64 bits */
        result |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *value = result;
            return at;
        }
    }
    return NULL;
}

#endif
