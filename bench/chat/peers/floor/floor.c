/* The floor: the least that a broadcast over WebSocket costs with epoll and one thread.

     floor PORT     (0 takes a free one; the port it got is printed)

   Not a chat server anybody would use, but the bound that shows whether the load generator could
   keep up with something faster than any peer. It answers the one handshake key that the generator
   sends, takes apart no JSON, frames a message once for all members, and writes each member all
   that one pass over the ready sockets brought in one `send` (the member's own messages left out).
   A client that reads slowly is buffered without bound. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../generator/frames.h"

#define EVENTS 1024
#define READ_BYTES (256 * 1024)
#define UPGRADED                                                                                   \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"           \
    "Sec-WebSocket-Accept: " HANDSHAKE_ACCEPT "\r\n\r\n"

struct bytes {
    char *data;
    size_t size, room;
};

struct room;

struct client {
    int fd;
    bool upgraded, echo, wants_write, wrote; /* wrote: something of it is in the room's batch */
    struct bytes in, out;
    struct room *room;
    uint32_t place; /* among the members */
    char user[32];
};

struct piece {
    struct client *from;
    size_t end;
};

/* A room, and what this pass will tell its members: frames, and which part is whose. */
struct room {
    char name[64];
    struct client **members;
    uint32_t size, space;
    unsigned long offset;
    struct bytes batch;
    struct piece pieces[4096];
    uint32_t pieces_size;
};

static struct room **rooms;
static uint32_t rooms_size, talking[65536], talking_size;
static int epoll;
static char incoming[READ_BYTES];

static void append(struct bytes *bytes, const char *data, size_t size)
{
    if (bytes->size + size > bytes->room) {
        bytes->room = (bytes->size + size) * 2;
        bytes->data = realloc(bytes->data, bytes->room);
    }
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static void watch(struct client *client, int operation)
{
    struct epoll_event event = {
        .events = EPOLLIN | (client->wants_write ? EPOLLOUT : 0),
        .data.ptr = client,
    };
    epoll_ctl(epoll, operation, client->fd, &event);
}

/* ------------------------------------------------------------------ writing */

static void write_out(struct client *client)
{
    ssize_t sent = send(client->fd, client->out.data, client->out.size, MSG_NOSIGNAL);
    if (sent < 0)
        sent = errno == EAGAIN ? 0 : (ssize_t)client->out.size; /* gone: reading will tell */
    client->out.size -= (size_t)sent;
    if (client->out.size)
        memmove(client->out.data, client->out.data + sent, client->out.size);
    if (client->wants_write != (client->out.size > 0)) {
        client->wants_write = client->out.size > 0;
        watch(client, EPOLL_CTL_MOD);
    }
}

static void give(struct client *client, const char *data, size_t size)
{
    if (client->out.size == 0) {
        ssize_t sent = send(client->fd, data, size, MSG_NOSIGNAL);
        if (sent < 0)
            sent = errno == EAGAIN ? 0 : (ssize_t)size;
        data += sent;
        size -= (size_t)sent;
    }
    if (size) {
        append(&client->out, data, size);
        write_out(client);
    }
}

static void give_text(struct client *client, const char *text)
{
    char header[MAX_HEADER_BYTES];
    struct bytes frame = {0};
    append(&frame, header, write_header(header, OPCODE_TEXT, strlen(text), NULL));
    append(&frame, text, strlen(text));
    give(client, frame.data, frame.size);
    free(frame.data);
}

static void tell(struct room *room)
{
    static struct bytes others;
    for (uint32_t i = 0; i < room->size; i++) {
        struct client *client = room->members[i];
        if (!client->wrote) {
            give(client, room->batch.data, room->batch.size);
            continue;
        }
        others.size = 0;
        size_t begin = 0;
        for (uint32_t p = 0; p < room->pieces_size; begin = room->pieces[p++].end)
            if (room->pieces[p].from != client)
                append(&others, room->batch.data + begin, room->pieces[p].end - begin);
        if (others.size)
            give(client, others.data, others.size);
    }
    for (uint32_t p = 0; p < room->pieces_size; p++)
        room->pieces[p].from->wrote = false;
    room->batch.size = room->pieces_size = 0;
}

/* ------------------------------------------------------------------ reading */

static struct room *find_room(const char *name, size_t size)
{
    for (uint32_t i = 0; i < rooms_size; i++)
        if (strlen(rooms[i]->name) == size && memcmp(rooms[i]->name, name, size) == 0)
            return rooms[i];
    rooms = realloc(rooms, (rooms_size + 1) * sizeof(struct room *));
    struct room *room = rooms[rooms_size++] = calloc(1, sizeof *room);
    snprintf(room->name, sizeof room->name, "%.*s", (int)size, name);
    return room;
}

/* The string that follows `key` in `text`; its bytes as they stand there. */
static const char *field(const char *text, size_t length, const char *key, size_t *size)
{
    const char *begin = memmem(text, length, key, strlen(key));
    if (begin == NULL)
        return NULL;
    begin += strlen(key);
    const char *end = memchr(begin, '"', length - (size_t)(begin - text));
    if (end == NULL)
        return NULL;
    *size = (size_t)(end - begin);
    return begin;
}

static void join(struct client *client, const char *text, size_t length)
{
    size_t size, user_size;
    const char *name = field(text, length, "\"room\":\"", &size);
    const char *user = field(text, length, "\"user\":\"", &user_size);
    if (name == NULL || user == NULL || client->room)
        return;
    struct room *room = client->room = find_room(name, size);
    snprintf(client->user, sizeof client->user, "%.*s", (int)user_size, user);
    if (room->size == room->space) {
        room->space = room->space ? room->space * 2 : 16;
        room->members = realloc(room->members, room->space * sizeof(struct client *));
    }
    client->place = room->size;
    room->members[room->size++] = client;
    char reply[128];
    snprintf(reply, sizeof reply, "{\"type\":\"JOINED\",\"room\":\"%s\"}", room->name);
    give_text(client, reply);
}

static void publish(struct client *client, const char *text, size_t length)
{
    static char payload[READ_BYTES + 512];
    char header[MAX_HEADER_BYTES];
    size_t size;
    const char *content = field(text, length, "\"content\":\"", &size);
    struct room *room = client->room;
    if (content == NULL || room == NULL)
        return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int written = snprintf(payload, sizeof payload,
                           "{\"type\":\"MESSAGE\",\"room\":\"%s\",\"offset\":%lu,\"user\":\"%s\","
                           "\"content\":\"%.*s\",\"timestamp\":%lld}",
                           room->name, ++room->offset, client->user, (int)size, content,
                           now.tv_sec * 1000ll + now.tv_nsec / 1000000);
    if (room->pieces_size == sizeof room->pieces / sizeof *room->pieces)
        tell(room);
    if (room->pieces_size == 0) {
        for (uint32_t i = 0; i < rooms_size; i++)
            if (rooms[i] == room)
                talking[talking_size++] = i;
    }
    append(&room->batch, header, write_header(header, OPCODE_TEXT, (size_t)written, NULL));
    append(&room->batch, payload, (size_t)written);
    room->pieces[room->pieces_size++] = (struct piece){client, room->batch.size};
    client->wrote = true;
}

static void text_came(struct client *client, char *text, size_t size)
{
    char header[MAX_HEADER_BYTES];
    if (client->echo) {
        struct bytes frame = {0};
        append(&frame, header, write_header(header, OPCODE_TEXT, size, NULL));
        append(&frame, text, size);
        give(client, frame.data, frame.size);
        free(frame.data);
    } else if (memmem(text, size, "\"PUBLISH\"", 9))
        publish(client, text, size);
    else
        join(client, text, size);
}

static void leave(struct client *client)
{
    struct room *room = client->room;
    if (room) {
        if (client->wrote)
            tell(room);
        room->members[client->place] = room->members[--room->size];
        room->members[client->place]->place = client->place;
    }
    close(client->fd);
    free(client->in.data);
    free(client->out.data);
    free(client);
}

static void read_in(struct client *client)
{
    size_t had = client->in.size;
    if (had)
        memcpy(incoming, client->in.data, had);
    ssize_t got = recv(client->fd, incoming + had, sizeof incoming - had, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        return leave(client);
    char *at = incoming, *end = incoming + had + got;
    if (!client->upgraded) {
        char *blank = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
        if (blank) {
            client->upgraded = true;
            client->echo = strncmp(at, "GET /echo", 9) == 0;
            give(client, UPGRADED, strlen(UPGRADED));
            at = blank + 4;
        }
    }
    struct frame frame;
    size_t size;
    while (client->upgraded && (size = read_frame(at, (size_t)(end - at), &frame))) {
        if (frame.masked)
            mask(frame.payload, frame.size, (uint8_t *)frame.payload - 4);
        if (frame.opcode == OPCODE_TEXT)
            text_came(client, frame.payload, frame.size);
        at += size;
    }
    client->in.size = 0;
    append(&client->in, at, (size_t)(end - at));
}

static void accept_all(int listener)
{
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct client *client = calloc(1, sizeof *client);
        client->fd = fd;
        watch(client, EPOLL_CTL_ADD);
    }
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    struct rlimit limit;
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 4096) < 0) {
        perror("floor");
        return 1;
    }
    socklen_t size_of_address = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &size_of_address);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event arrivals = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &arrivals);
    for (;;) {
        int size = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < size; i++) {
            struct client *client = events[i].data.ptr;
            if (client == NULL) {
                accept_all(listener);
                continue;
            }
            if (events[i].events & EPOLLOUT)
                write_out(client);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                read_in(client);
        }
        for (uint32_t i = 0; i < talking_size; i++)
            tell(rooms[talking[i]]);
        talking_size = 0;
    }
}
