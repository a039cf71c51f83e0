/* Time in ns since the program started, so that it fits the 12 hex digits of a stamp. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_SECOND 1000000000ull

extern uint64_t clock_origin_ns;

static inline uint64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

static inline uint64_t now_ns(void) { return monotonic_ns() - clock_origin_ns; }

static inline double seconds_of(uint64_t ns) { return (double)ns / 1e9; }

#endif
