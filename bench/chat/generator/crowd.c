#define _GNU_SOURCE
#include "crowd.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "frames.h"
#include "stamp.h"

#define EVENTS 1024
#define READ_BYTES (256 * 1024)
#define ERRORS_SHOWN 3

static char incoming[READ_BYTES + 1]; /* one more for the NUL behind a text */

uint64_t clock_origin_ns;

void give_up(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("generator: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void *grown(void *memory, size_t *room, size_t wanted)
{
    if (wanted <= *room)
        return memory;
    *room = wanted * 2;
    memory = realloc(memory, *room);
    if (memory == NULL)
        give_up("out of memory");
    return memory;
}

static void watch(struct crowd *crowd, struct connection *c, int operation)
{
    struct epoll_event event = {
        .events = EPOLLIN | (c->wants_write ? EPOLLOUT : 0),
        .data.u32 = c->index,
    };
    if (epoll_ctl(crowd->epoll, operation, c->fd, &event) < 0)
        give_up("epoll_ctl: %s", strerror(errno));
}

static void wish_to_write(struct crowd *crowd, struct connection *c, bool wanted)
{
    if (c->wants_write != wanted) {
        c->wants_write = wanted;
        watch(crowd, c, EPOLL_CTL_MOD);
    }
}

/* ------------------------------------------------------------------ writing */

static void queue(struct crowd *crowd, struct connection *c, const char *bytes, size_t size)
{
    c->out = grown(c->out, &c->out_room, c->out_size + size);
    memcpy(c->out + c->out_size, bytes, size);
    c->out_size += size;
    if (!c->dirty) {
        c->dirty = true;
        crowd->dirty[crowd->dirty_size++] = c->index;
    }
}

static void queue_frame(struct crowd *crowd, struct connection *c, uint8_t opcode, char *payload,
                        size_t size)
{
    static uint32_t random = 0x9e3779b9;
    random ^= random << 13;
    random ^= random >> 17;
    random ^= random << 5;
    uint8_t key[4];
    memcpy(key, &random, 4);
    char header[MAX_HEADER_BYTES];
    size_t header_size = write_header(header, opcode, size, key);
    mask(payload, size, key);
    queue(crowd, c, header, header_size);
    queue(crowd, c, payload, size);
}

static void closed(struct crowd *crowd, struct connection *c)
{
    if (c->state == CLOSED)
        return;
    if (c->state != JOINED && c->state != PAUSED)
        give_up("connection %u ended before it had joined (state %d)", c->index, c->state);
    c->state = CLOSED;
    crowd->counts.closed++;
    close(c->fd);
}

static void write_out(struct crowd *crowd, struct connection *c)
{
    if (c->state == CLOSED || c->out_size == 0)
        return;
    ssize_t sent = send(c->fd, c->out, c->out_size, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN)
            return closed(crowd, c);
        sent = 0;
    }
    c->out_size -= (size_t)sent;
    if (c->out_size)
        memmove(c->out, c->out + sent, c->out_size);
    wish_to_write(crowd, c, c->out_size > 0);
}

void flush(struct crowd *crowd)
{
    for (uint32_t i = 0; i < crowd->dirty_size; i++) {
        struct connection *c = &crowd->connections[crowd->dirty[i]];
        c->dirty = false;
        if (c->state != CONNECTING)
            write_out(crowd, c);
    }
    crowd->dirty_size = 0;
}

static struct speaker speaker_of(const struct crowd *crowd, const struct connection *c)
{
    return (struct speaker){
        .index = c->index,
        .room = c->room,
        .token = crowd->tokens_size ? crowd->tokens[c->index % crowd->tokens_size] : NULL,
        .echo = crowd->echo,
        .keys = crowd->keys,
    };
}

void say(struct crowd *crowd, struct connection *c, uint64_t time_ns)
{
    static char content[MAX_PAYLOAD_BYTES], payload[MAX_PAYLOAD_BYTES + 1024];
    struct speaker me = speaker_of(crowd, c);
    struct sender *sender = c->sender;
    uint16_t sequence = sender->next_sequence++;
    struct stamp stamp = {time_ns, (uint16_t)c->index, sequence};
    write_content(content, stamp, crowd->content_bytes);
    uint32_t receivers;
    size_t size;
    if (crowd->echo) {
        size = crowd->dialect->request(payload, &me, sequence, content, crowd->content_bytes);
        receivers = 1;
        c->began_ns = time_ns;
    } else {
        size = crowd->dialect->publish(payload, &me, sequence, content, crowd->content_bytes);
        receivers = crowd->per_room - 1 - crowd->paused + (crowd->dialect->answers ? 1 : 0);
    }
    sender->remaining[sequence % SLOTS] = receivers;
    sender->in_flight++;
    crowd->counts.expected += receivers;
    queue_frame(crowd, c, OPCODE_TEXT, payload, size);
}

/* ------------------------------------------------------------------ reading */

struct sender *make_sender(struct connection *c)
{
    if (c->sender == NULL && (c->sender = calloc(1, sizeof *c->sender)) == NULL)
        give_up("out of memory");
    return c->sender;
}

void make_ready(struct crowd *crowd, struct connection *c)
{
    if (c->sender->waits || c->state == CLOSED)
        return;
    c->sender->waits = true;
    crowd->ready[crowd->ready_size++] = c->index;
}

/* One of those that wait for this message of `speaker` has it. */
static inline void received(struct crowd *crowd, struct connection *speaker, uint16_t sequence)
{
    struct sender *sender = speaker->sender;
    uint32_t *remaining = &sender->remaining[sequence % SLOTS];
    if (*remaining == 0)
        return;
    crowd->counts.expected--;
    if (--*remaining == 0) {
        sender->in_flight--;
        crowd->counts.messages++;
        if (crowd->windowed)
            make_ready(crowd, speaker);
    }
}

static inline void reply_came(struct crowd *crowd, struct connection *c, uint64_t now)
{
    if (c->sender->in_flight == 0) {
        crowd->counts.disordered++;
        return;
    }
    crowd->counts.deliveries++;
    if (crowd->measuring)
        histogram_add(&crowd->latency, now - c->began_ns);
    received(crowd, c, (uint16_t)(c->sender->next_sequence - 1));
}

static inline void delivery_came(struct crowd *crowd, struct connection *c, const char *mark,
                                 uint64_t now)
{
    struct stamp stamp = read_stamp(mark);
    if (stamp.sender >= crowd->size || stamp.sender == c->index ||
        stamp.sender % crowd->rooms != c->index % crowd->rooms) {
        crowd->counts.disordered++;
        return;
    }
    crowd->counts.deliveries++;
    if (crowd->measuring && stamp.time_ns >= crowd->from_ns && stamp.time_ns < crowd->until_ns)
        histogram_add(&crowd->latency, now > stamp.time_ns ? now - stamp.time_ns : 0);
    uint16_t *seen = &c->seen[stamp.sender / crowd->rooms];
    if (*seen != stamp.sequence)
        crowd->counts.disordered++;
    *seen = (uint16_t)(stamp.sequence + 1);
    received(crowd, &crowd->connections[stamp.sender], stamp.sequence);
}

static void error_came(struct crowd *crowd, const char *text)
{
    if (crowd->counts.errors++ < ERRORS_SHOWN)
        fprintf(stderr, "generator: the server says: %s\n", text);
}

/* A text message that holds no stamp. */
static void other_text(struct crowd *crowd, struct connection *c, const char *text, uint64_t now)
{
    char reply[256];
    uint16_t sequence;
    *reply = 0;
    switch (crowd->dialect->sort(text, &sequence, reply)) {
    case KIND_ANSWER:
        crowd->counts.answers++;
        if (crowd->echo)
            reply_came(crowd, c, now);
        else if (c->sender)
            received(crowd, c, sequence);
        break;
    case KIND_ERROR:
        error_came(crowd, text);
        break;
    case KIND_OTHER:
        break;
    }
    if (*reply)
        queue_frame(crowd, c, OPCODE_TEXT, reply, strlen(reply));
}

static void greet(struct crowd *crowd, struct connection *c, const char *text)
{
    static char replies[2][MAX_PAYLOAD_BYTES];
    struct speaker me = speaker_of(crowd, c);
    replies[0][0] = replies[1][0] = 0;
    enum hello hello = crowd->dialect->hello(&me, text, replies[0], replies[1]);
    if (hello == HELLO_FAILED)
        give_up("connection %u was refused: %s", c->index, text);
    for (int i = 0; i < 2; i++)
        if (replies[i][0])
            queue_frame(crowd, c, OPCODE_TEXT, replies[i], strlen(replies[i]));
    if (hello == HELLO_DONE) {
        c->state = JOINED;
        crowd->joined++;
        crowd->opening--;
        if (crowd->measuring)
            histogram_add(&crowd->latency, now_ns() - c->began_ns);
    }
}

static void text_came(struct crowd *crowd, struct connection *c, struct frame *frame, uint64_t now)
{
    if (c->state == JOINED) {
        /* More than one where the server writes several texts as one message. */
        const char *end = frame->payload + frame->size;
        const char *mark = memchr(frame->payload, MARK, frame->size);
        bool marked = mark != NULL;
        for (; mark; mark = memchr(mark + 1, MARK, (size_t)(end - mark - 1))) {
            if (crowd->echo)
                reply_came(crowd, c, now);
            else
                delivery_came(crowd, c, mark, now);
        }
        if (marked)
            return;
    }
    /* The next frame's first byte stands there, or a spare one. */
    char after = frame->payload[frame->size];
    frame->payload[frame->size] = 0;
    if (c->state == JOINED)
        other_text(crowd, c, frame->payload, now);
    else
        greet(crowd, c, frame->payload);
    frame->payload[frame->size] = after;
}

/* Put a message together that comes in several frames; true once `frame` is the whole of it. */
static bool assemble(struct connection *c, struct frame *frame)
{
    if (frame->fin && frame->opcode != OPCODE_CONTINUATION)
        return true;
    c->message = grown(c->message, &c->message_room, c->message_size + frame->size + 1);
    memcpy(c->message + c->message_size, frame->payload, frame->size);
    c->message_size += frame->size;
    if (!frame->fin)
        return false;
    *frame = (struct frame){OPCODE_TEXT, true, false, c->message, c->message_size};
    c->message_size = 0;
    return true;
}

static void frame_came(struct crowd *crowd, struct connection *c, struct frame *frame, uint64_t now)
{
    switch (frame->opcode) {
    case OPCODE_TEXT:
    case OPCODE_CONTINUATION:
        if (assemble(c, frame))
            text_came(crowd, c, frame, now);
        break;
    case OPCODE_PING:
        queue_frame(crowd, c, OPCODE_PONG, frame->payload, frame->size);
        break;
    case OPCODE_CLOSE:
        closed(crowd, c);
        break;
    default:
        give_up("a frame with opcode %d", frame->opcode);
    }
}

/* How much of `data` the answer to the upgrade takes; 0 when it is not all there. */
static size_t read_upgrade(struct crowd *crowd, struct connection *c, char *data, size_t size)
{
    char *end = memmem(data, size, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    *end = 0;
    if (strncmp(data, "HTTP/1.1 101", 12) != 0)
        give_up("connection %u got no WebSocket: %.200s", c->index, data);
    if (strstr(data, HANDSHAKE_ACCEPT) == NULL)
        give_up("Sec-WebSocket-Accept is wrong");
    c->state = GREETING;
    greet(crowd, c, NULL);
    return (size_t)(end + 4 - data);
}

static void read_in(struct crowd *crowd, struct connection *c)
{
    memcpy(incoming, c->in, c->in_size);
    ssize_t got = recv(c->fd, incoming + c->in_size, READ_BYTES - c->in_size, 0);
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN)
            return;
        return closed(crowd, c);
    }
    crowd->counts.received_bytes += (uint64_t)got;
    uint64_t now = now_ns();
    char *at = incoming, *end = incoming + c->in_size + got;
    if (c->state == UPGRADING)
        at += read_upgrade(crowd, c, at, (size_t)(end - at));
    if (c->state != UPGRADING) {
        struct frame frame;
        size_t size;
        while (c->state != CLOSED && (size = read_frame(at, (size_t)(end - at), &frame))) {
            frame_came(crowd, c, &frame, now);
            at += size;
        }
    }
    c->in_size = (size_t)(end - at);
    if (c->in_size >= READ_BYTES)
        give_up("a message of more than %d bytes", READ_BYTES);
    if (c->in_size) {
        c->in = grown(c->in, &c->in_room, c->in_size);
        memcpy(c->in, at, c->in_size);
    }
}

/* ------------------------------------------------------------------ opening */

static void ask_for_upgrade(struct crowd *crowd, struct connection *c)
{
    char request[1024];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Key: " HANDSHAKE_KEY "\r\n"
                        "Sec-WebSocket-Version: 13\r\n%s\r\n",
                        crowd->echo ? crowd->dialect->echo_path : crowd->dialect->path,
                        ntohs(crowd->address.sin_port), crowd->dialect->headers);
    c->state = UPGRADING;
    queue(crowd, c, request, (size_t)size);
}

static void open_next(struct crowd *crowd, struct connection *c)
{
    int on = 1;
    struct linger reset = {.l_onoff = 1}; /* no TIME_WAIT: thousands of ports, run after run */
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        give_up("socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    c->state = CONNECTING;
    c->began_ns = now_ns();
    if (connect(c->fd, (struct sockaddr *)&crowd->address, sizeof crowd->address) < 0 &&
        errno != EINPROGRESS)
        give_up("connect: %s", strerror(errno));
    c->wants_write = true;
    watch(crowd, c, EPOLL_CTL_ADD);
    crowd->opening++;
}

static void connected(struct crowd *crowd, struct connection *c)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error)
        give_up("connect: %s", strerror(error));
    ask_for_upgrade(crowd, c);
}

void open_crowd(struct crowd *crowd, uint32_t concurrency, double limit_seconds)
{
    uint32_t slots = crowd->per_room < MAX_SENDERS ? crowd->per_room : MAX_SENDERS;
    crowd->connections = calloc(crowd->size, sizeof *crowd->connections);
    crowd->ready = calloc(crowd->size, sizeof *crowd->ready);
    crowd->dirty = calloc(crowd->size, sizeof *crowd->dirty);
    crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
    uint64_t until = now_ns() + (uint64_t)(limit_seconds * 1e9);
    for (uint32_t next = 0; crowd->joined < crowd->size;) {
        while (next < crowd->size && crowd->opening < concurrency) {
            struct connection *c = &crowd->connections[next];
            c->index = next++;
            c->seen = calloc(slots, sizeof *c->seen);
            snprintf(c->room, sizeof c->room, "%s%u", crowd->room_prefix, c->index % crowd->rooms);
            open_next(crowd, c);
        }
        turn(crowd, 100);
        if (now_ns() > until)
            give_up("only %u of %u connections joined in %.0f s", crowd->joined, crowd->size,
                    limit_seconds);
    }
}

void pause_reading(struct crowd *crowd, struct connection *c)
{
    int least = 1;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
    epoll_ctl(crowd->epoll, EPOLL_CTL_DEL, c->fd, NULL);
    c->state = PAUSED;
    crowd->paused++;
}

void turn(struct crowd *crowd, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int size = epoll_wait(crowd->epoll, events, EVENTS, timeout_ms);
    for (int i = 0; i < size; i++) {
        struct connection *c = &crowd->connections[events[i].data.u32];
        if (c->state == CLOSED)
            continue;
        if (c->state == CONNECTING)
            connected(crowd, c);
        else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            read_in(crowd, c);
        if (events[i].events & EPOLLOUT)
            write_out(crowd, c);
    }
    flush(crowd);
}
