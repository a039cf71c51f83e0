#define _GNU_SOURCE
#include "dialects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static char *append(char *out, const char *text)
{
    size_t size = strlen(text);
    memcpy(out, text, size);
    return out + size;
}

static char *append_bytes(char *out, const char *bytes, size_t size)
{
    memcpy(out, bytes, size);
    return out + size;
}

static char *append_number(char *out, unsigned long value)
{
    char digits[24];
    int at = sizeof digits;
    do
        digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    return append_bytes(out, digits + at, sizeof digits - (size_t)at);
}

/* ------------------------------------------------------------------ greenroom.v1.json */

#define AUTH_ID 1
#define JOIN_ID 2
#define FIRST_PUBLISH_ID 16 /* sequence numbers count from here: never the id of an open command */

static enum hello greenroom_hello(const struct speaker *me, const char *text, char *reply,
                                  char *reply_too)
{
    if (text == NULL) {
        sprintf(reply, "{\"type\":\"AUTH\",\"id\":%d,\"token\":\"%s\"}", AUTH_ID, me->token);
        sprintf(reply_too, "{\"type\":\"JOIN\",\"id\":%d,\"room\":\"%s\"}", JOIN_ID, me->room);
        return HELLO_GOES_ON;
    }
    if (strstr(text, "\"type\":\"JOIN_OK\""))
        return HELLO_DONE;
    return strstr(text, "\"type\":\"ERROR\"") ? HELLO_FAILED : HELLO_GOES_ON;
}

static size_t greenroom_publish(char *out, const struct speaker *me, uint16_t sequence,
                                const char *content, size_t size)
{
    char *at = append(out, "{\"type\":\"PUBLISH\",\"id\":");
    at = append_number(at, FIRST_PUBLISH_ID + (unsigned long)sequence);
    at = append(at, ",\"room\":\"");
    at = append(at, me->room);
    if (me->keys) { /* the stamp is as unique as a random key */
        at = append(at, "\",\"key\":\"k");
        at = append_bytes(at, content + 1, 20);
    }
    at = append(at, "\",\"content\":\"");
    at = append_bytes(at, content, size);
    at = append(at, "\"}");
    return (size_t)(at - out);
}

static enum kind greenroom_sort(const char *text, uint16_t *sequence, char *reply)
{
    if (strstr(text, "\"type\":\"ACK\"")) {
        const char *id = strstr(text, "\"id\":");
        *sequence = (uint16_t)(strtoul(id ? id + 5 : "0", NULL, 10) - FIRST_PUBLISH_ID);
        return KIND_ANSWER;
    }
    if (strstr(text, "\"type\":\"ERROR\""))
        return KIND_ERROR;
    if (strstr(text, "\"type\":\"HEARTBEAT\"") && !strstr(text, "\"echo\":")) {
        const char *time = strstr(text, "\"timestamp\":");
        unsigned long long stamp = strtoull(time ? time + 12 : "0", NULL, 10);
        sprintf(reply, "{\"type\":\"HEARTBEAT\",\"timestamp\":%llu,\"echo\":%llu}", stamp, stamp);
    }
    return KIND_OTHER;
}

/* ------------------------------------------------------------------ plain JSON: most peers */

static enum hello plain_hello(const struct speaker *me, const char *text, char *reply,
                              char *reply_too)
{
    (void)reply_too;
    if (me->echo)
        return HELLO_DONE;
    if (text == NULL) {
        sprintf(reply, "{\"type\":\"JOIN\",\"room\":\"%s\",\"user\":\"user-%u\"}", me->room,
                me->index);
        return HELLO_GOES_ON;
    }
    return strstr(text, "JOINED") ? HELLO_DONE : HELLO_FAILED;
}

static size_t plain_publish(char *out, const struct speaker *me, uint16_t sequence,
                            const char *content, size_t size)
{
    (void)me;
    (void)sequence;
    char *at = append(out, "{\"type\":\"PUBLISH\",\"content\":\"");
    at = append_bytes(at, content, size);
    at = append(at, "\"}");
    return (size_t)(at - out);
}

static enum kind plain_sort(const char *text, uint16_t *sequence, char *reply)
{
    (void)sequence;
    (void)reply;
    return strstr(text, "ERROR") ? KIND_ERROR : KIND_OTHER;
}

/* ------------------------------------------------------------------ Socket.IO 5 on Engine.IO 4 */

static enum hello socketio_hello(const struct speaker *me, const char *text, char *reply,
                                 char *reply_too)
{
    (void)reply_too;
    if (text == NULL)
        return HELLO_GOES_ON;
    if (begins(text, "0{")) /* Engine.IO is open: connect to the default namespace */
        strcpy(reply, "40");
    else if (begins(text, "40{")) {
        if (me->echo)
            return HELLO_DONE;
        sprintf(reply, "420[\"join\",{\"room\":\"%s\",\"user\":\"user-%u\"}]", me->room,
                me->index);
    } else if (begins(text, "430"))
        return HELLO_DONE;
    else if (begins(text, "44"))
        return HELLO_FAILED;
    return HELLO_GOES_ON;
}

static size_t socketio_event(char *out, const char *event, const char *content, size_t size)
{
    char *at = append(out, event);
    at = append_bytes(at, content, size);
    at = append(at, "\"}]");
    return (size_t)(at - out);
}

static size_t socketio_publish(char *out, const struct speaker *me, uint16_t sequence,
                               const char *content, size_t size)
{
    (void)me;
    (void)sequence;
    return socketio_event(out, "42[\"publish\",{\"content\":\"", content, size);
}

static size_t socketio_request(char *out, const struct speaker *me, uint16_t sequence,
                               const char *content, size_t size)
{
    (void)me;
    (void)sequence;
    return socketio_event(out, "421[\"echo\",{\"content\":\"", content, size);
}

static enum kind socketio_sort(const char *text, uint16_t *sequence, char *reply)
{
    (void)sequence;
    if (strcmp(text, "2") == 0)
        strcpy(reply, "3");
    return begins(text, "44") ? KIND_ERROR : KIND_OTHER;
}

/* ------------------------------------------------------------------ */

static const struct dialect DIALECTS[] = {
    {
        .name = "greenroom",
        .path = "/ws",
        .echo_path = "/ws",
        .headers = "Sec-WebSocket-Protocol: greenroom.v1.json\r\n",
        .answers = true,
        .hello = greenroom_hello,
        .publish = greenroom_publish,
        .request = greenroom_publish,
        .sort = greenroom_sort,
    },
    {
        .name = "plain",
        .path = "/ws",
        .echo_path = "/echo",
        .headers = "",
        .hello = plain_hello,
        .publish = plain_publish,
        .request = plain_publish,
        .sort = plain_sort,
    },
    {
        .name = "socketio",
        .path = "/socket.io/?EIO=4&transport=websocket",
        .echo_path = "/socket.io/?EIO=4&transport=websocket",
        .headers = "",
        .hello = socketio_hello,
        .publish = socketio_publish,
        .request = socketio_request,
        .sort = socketio_sort,
    },
};

const struct dialect *find_dialect(const char *name)
{
    for (size_t i = 0; i < sizeof DIALECTS / sizeof *DIALECTS; i++)
        if (strcmp(DIALECTS[i].name, name) == 0)
            return &DIALECTS[i];
    return NULL;
}
