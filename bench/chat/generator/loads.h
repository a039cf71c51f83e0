/* The loads: what the connections do once they have joined, and what is measured meanwhile. */
#ifndef LOADS_H
#define LOADS_H

#include "crowd.h"

struct timing {
    double warmup_seconds, seconds, drain_seconds;
    int server; /* process id of the server, 0 when it is not to be looked at */
};

/* Open all and say how fast that went. */
void run_connect(struct crowd *, const struct timing *, uint32_t concurrency);

/* Let the server come to rest, and tell its resident memory beside that before the connects. */
void run_idle(struct crowd *, const struct timing *, long before_bytes);

/* The first `senders` members of each room keep `window` messages on their way to all others;
   with `slow`, one member that does not send stops reading first. */
void run_window(struct crowd *, const struct timing *, uint32_t window, uint32_t senders,
                bool slow);

/* Members in random order say so much that `deliveries` arrive per second. Times count from when
   a message was due, so that a generator that is late does not flatter the server. */
void run_rate(struct crowd *, const struct timing *, double deliveries);

/* Every connection asks again as soon as it was answered. */
void run_reply(struct crowd *, const struct timing *);

/* Bytes of memory that a process holds, 0 without one. */
long resident_bytes(int process);

#endif
