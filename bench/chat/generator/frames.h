/* WebSocket frames, RFC 6455, section 5: what both ends of the benchmark need and no more. */
#ifndef FRAMES_H
#define FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    OPCODE_CONTINUATION = 0,
    OPCODE_TEXT = 1,
    OPCODE_CLOSE = 8,
    OPCODE_PING = 9,
    OPCODE_PONG = 10,
};

#define MAX_HEADER_BYTES 14
#define FIN 0x80
#define MASKED 0x80

/* The one key that the generator sends and the floor answers, as in RFC 6455, 1.3: no SHA-1. */
#define HANDSHAKE_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define HANDSHAKE_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

struct frame {
    uint8_t opcode;
    bool fin;
    bool masked;
    char *payload;
    size_t size;
};

/* Read the frame at `data`; its whole length, or 0 when it is not all there. */
static inline size_t read_frame(char *data, size_t length, struct frame *frame)
{
    const uint8_t *bytes = (const uint8_t *)data;
    if (length < 2)
        return 0;
    size_t header = 2, size = bytes[1] & 0x7f;
    if (size == 126) {
        if (length < 4)
            return 0;
        header = 4;
        size = (size_t)bytes[2] << 8 | bytes[3];
    } else if (size == 127) {
        if (length < 10)
            return 0;
        header = 10;
        size = 0;
        for (int i = 2; i < 10; i++)
            size = size << 8 | bytes[i];
    }
    frame->masked = bytes[1] & MASKED;
    if (frame->masked)
        header += 4;
    if (length < header || length - header < size)
        return 0;
    frame->fin = bytes[0] & FIN;
    frame->opcode = bytes[0] & 0x0f;
    frame->payload = data + header;
    frame->size = size;
    return header + size;
}

/* Apply a masking key, eight bytes at a time. */
static inline void mask(char *payload, size_t size, const uint8_t key[4])
{
    uint64_t wide;
    uint8_t twice[8];
    memcpy(twice, key, 4);
    memcpy(twice + 4, key, 4);
    memcpy(&wide, twice, 8);
    size_t at = 0;
    for (; at + 8 <= size; at += 8) {
        uint64_t part;
        memcpy(&part, payload + at, 8);
        part ^= wide;
        memcpy(payload + at, &part, 8);
    }
    for (; at < size; at++)
        payload[at] ^= key[at & 3];
}

/* Write the header of an unfragmented frame; returns its length. `key` is NULL for a server. */
static inline size_t write_header(char *out, uint8_t opcode, size_t size, const uint8_t *key)
{
    uint8_t *bytes = (uint8_t *)out, bit = key ? MASKED : 0;
    size_t header = 2;
    bytes[0] = FIN | opcode;
    if (size < 126) {
        bytes[1] = bit | (uint8_t)size;
    } else if (size <= 0xffff) {
        bytes[1] = bit | 126;
        bytes[2] = (uint8_t)(size >> 8);
        bytes[3] = (uint8_t)size;
        header = 4;
    } else {
        bytes[1] = bit | 127;
        for (int i = 0; i < 8; i++)
            bytes[2 + i] = (uint8_t)((uint64_t)size >> (56 - 8 * i));
        header = 10;
    }
    if (key) {
        memcpy(out + header, key, 4);
        header += 4;
    }
    return header;
}

#endif
