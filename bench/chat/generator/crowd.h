/* The connections: opening them, reading what comes, writing what they say. */
#ifndef CROWD_H
#define CROWD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "dialects.h"
#include "histogram.h"

#define SLOTS 64        /* most messages of one sender on their way; a power of two */
#define MAX_SENDERS 128 /* of one room */

/* Someone who speaks: how many are still to receive each message that is on its way. */
struct sender {
    uint32_t remaining[SLOTS];
    uint16_t next_sequence;
    uint16_t in_flight;
    bool waits; /* in the list of those that may speak again */
};

struct connection {
    int fd;
    uint32_t index;
    enum { CONNECTING, UPGRADING, GREETING, JOINED, PAUSED, CLOSED } state;
    uint64_t began_ns; /* connecting, or its open request */
    bool wants_write;
    bool dirty;
    uint16_t *seen; /* by a sender's place in the room: the next sequence number */
    struct sender *sender;
    /* The beginning of a frame; the frames of a message so far; what the socket did not take. */
    char *in, *message, *out;
    size_t in_size, message_size, out_size, in_room, message_room, out_room;
    char room[64];
};

struct counts {
    uint64_t deliveries; /* or replies */
    uint64_t messages;   /* that everybody has */
    uint64_t answers;
    uint64_t errors;     /* the server says so */
    uint64_t disordered; /* lost, doubled, out of order, or the sender's own */
    uint64_t closed;     /* connections that the server ended */
    uint64_t received_bytes;
    uint64_t expected;   /* deliveries and answers still to come */
};

struct crowd {
    const struct dialect *dialect;
    struct sockaddr_in address;
    uint32_t size, rooms, per_room, paused;
    size_t content_bytes;
    bool echo, keys;
    char **tokens;
    uint32_t tokens_size;
    const char *room_prefix;

    struct connection *connections;
    int epoll;
    uint32_t *ready, ready_size; /* senders that may speak again */
    uint32_t *dirty, dirty_size; /* connections with something to write */
    bool windowed;               /* a message that everybody has makes its sender ready */
    bool measuring;
    uint64_t from_ns, until_ns;  /* only messages stamped in between are measured */
    struct counts counts;
    struct histogram latency;
    uint32_t joined, opening;
};

/* Open all connections, at most `concurrency` at a time; ends the program after `limit_seconds`.
   Their times go to `crowd->latency`. */
void open_crowd(struct crowd *, uint32_t concurrency, double limit_seconds);

/* Wait for at most `timeout_ms`, read what came, then flush what was said meanwhile. */
void turn(struct crowd *, int timeout_ms);

/* Say one message, stamped with `time_ns`; it leaves with the next flush. */
void say(struct crowd *, struct connection *, uint64_t time_ns);

void flush(struct crowd *);

struct sender *make_sender(struct connection *);

void make_ready(struct crowd *, struct connection *);

/* Read nothing more from this one, with as little room in the kernel as can be. */
void pause_reading(struct crowd *, struct connection *);

/* End the program with a line about why. */
__attribute__((noreturn, format(printf, 1, 2))) void give_up(const char *format, ...);

#endif
