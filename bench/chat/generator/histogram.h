/* Counts of durations in buckets 1.6 % wide: 64 for each power of two of ns. No allocation. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>
#include <string.h>

#define BUCKET_BITS 6
#define BUCKETS_PER_POWER (1u << BUCKET_BITS)
#define BUCKETS ((64 - BUCKET_BITS + 1) * BUCKETS_PER_POWER)

struct histogram {
    uint64_t total;
    uint64_t highest_ns;
    uint32_t counts[BUCKETS];
};

static inline void histogram_clear(struct histogram *h) { memset(h, 0, sizeof *h); }

static inline uint32_t bucket_of(uint64_t ns)
{
    if (ns < BUCKETS_PER_POWER)
        return (uint32_t)ns;
    uint32_t power = 63u - (uint32_t)__builtin_clzll(ns) - BUCKET_BITS;
    return (power << BUCKET_BITS) + (uint32_t)(ns >> power);
}

/* The middle of a bucket. */
static inline double bucket_ns(uint32_t bucket)
{
    if (bucket < 2 * BUCKETS_PER_POWER)
        return bucket;
    uint32_t power = (bucket >> BUCKET_BITS) - 1;
    uint64_t low = (uint64_t)(bucket - (power << BUCKET_BITS)) << power;
    return (double)low + (double)(1ull << power) / 2;
}

static inline void histogram_add(struct histogram *h, uint64_t ns)
{
    h->total++;
    h->counts[bucket_of(ns)]++;
    if (ns > h->highest_ns)
        h->highest_ns = ns;
}

/* The duration that `share` (0 to 1) of all stay below; 0 when there is none. */
static inline double histogram_quantile_ns(const struct histogram *h, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)h->total), seen = 0;
    for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) {
        seen += h->counts[bucket];
        if (seen > wanted)
            return bucket_ns(bucket);
    }
    return (double)h->highest_ns;
}

#endif
