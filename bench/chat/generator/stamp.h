/* What is sent: a mark that no other frame contains, when it was sent, by whom, and which one.

   '~' is in no key, number, token or name of any dialect, so a memchr tells a delivery from all
   else, whatever the frame around it looks like. */
#ifndef STAMP_H
#define STAMP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MARK '~'
#define TIME_DIGITS 12
#define STAMP_CHARS (1 + TIME_DIGITS + 4 + 4)

struct stamp {
    uint64_t time_ns;
    uint16_t sender;
    uint16_t sequence;
};

static inline char *write_hex(char *out, uint64_t value, int digits)
{
    for (int i = digits - 1; i >= 0; i--, value >>= 4)
        out[i] = "0123456789abcdef"[value & 15];
    return out + digits;
}

static inline uint64_t read_hex(const char *from, int digits)
{
    uint64_t value = 0;
    for (int i = 0; i < digits; i++)
        value = value << 4 | (uint64_t)((from[i] & 15) + (from[i] >> 6) * 9);
    return value;
}

/* `size` bytes of content, at least STAMP_CHARS. */
static inline char *write_content(char *out, struct stamp stamp, size_t size)
{
    *out = MARK;
    write_hex(out + 1, stamp.time_ns, TIME_DIGITS);
    write_hex(out + 1 + TIME_DIGITS, stamp.sender, 4);
    write_hex(out + 5 + TIME_DIGITS, stamp.sequence, 4);
    memset(out + STAMP_CHARS, 'x', size - STAMP_CHARS);
    return out + size;
}

static inline struct stamp read_stamp(const char *mark)
{
    return (struct stamp){
        .time_ns = read_hex(mark + 1, TIME_DIGITS),
        .sender = (uint16_t)read_hex(mark + 1 + TIME_DIGITS, 4),
        .sequence = (uint16_t)read_hex(mark + 5 + TIME_DIGITS, 4),
    };
}

#endif
