/* How each kind of server is talked to: who one is, joining a room, saying something. */
#ifndef DIALECTS_H
#define DIALECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_PAYLOAD_BYTES 40000

/* What a dialect may say about its connection. */
struct speaker {
    uint32_t index;       /* of the connection: its user's name is made of it */
    const char *room;
    const char *token;    /* NULL where the dialect has none */
    bool echo;            /* request -> reply instead of rooms */
    bool keys;            /* whether a publish carries an idempotency key */
};

enum hello { HELLO_GOES_ON, HELLO_DONE, HELLO_FAILED };

enum kind { KIND_OTHER, KIND_ANSWER, KIND_ERROR };

struct dialect {
    const char *name;
    const char *path;
    const char *echo_path;
    const char *headers;  /* besides those of RFC 6455, each with its CR LF */
    bool answers;         /* every publish is answered, also where nothing asks for it */

    /* Called with NULL after the handshake, then with each text message until it is done. `reply`
       takes up to two messages, one after another, each as a string; empty means none. */
    enum hello (*hello)(const struct speaker *, const char *text, char *reply, char *reply_too);

    /* What follows write a string around `content`; they return its length. */
    size_t (*publish)(char *out, const struct speaker *, uint16_t sequence,
                      const char *content, size_t size);
    size_t (*request)(char *out, const struct speaker *, uint16_t sequence,
                      const char *content, size_t size);

    /* Sort a message that is no delivery. An answer's sequence number is stored, what has to be
       said at once (a heartbeat) is written to `reply`. */
    enum kind (*sort)(const char *text, uint16_t *sequence, char *reply);
};

/* The dialect of that name, or NULL. */
const struct dialect *find_dialect(const char *name);

#endif
