/* A load generator for chat servers: N WebSocket connections on one core.

     generator --port P --dialect greenroom|plain|socketio [OPTIONS] LOAD...

   Opens the connections, lets each greet the server and join its room, then runs the loads one
   after another and prints one JSON object a line for each. Start reading here. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "clock.h"
#include "crowd.h"
#include "loads.h"
#include "stamp.h"

static const char USAGE[] =
    "usage: generator --port P [OPTIONS] LOAD...\n"
    "  --dialect NAME       greenroom, plain (default) or socketio\n"
    "  --connections N      default 100\n"
    "  --rooms N            default 1; connection i joins room i modulo N\n"
    "  --room-prefix TEXT   what stands before a room's number, default 'room:'\n"
    "  --tokens FILE        a token a line, for greenroom; used in turn\n"
    "  --content BYTES      of each message, default 64\n"
    "  --keys               every publish carries an idempotency key (greenroom)\n"
    "  --concurrency N      connections being opened at a time, default 64\n"
    "  --warmup SECONDS     before each measurement, default 0.3\n"
    "  --seconds SECONDS    of each measurement, default 1\n"
    "  --drain SECONDS      between loads, and after a rate, wait at most so long for what is\n"
    "                       on its way, default 5\n"
    "  --server PID         the server, to read its CPU time and memory\n"
    "  --echo               connections for the load 'reply' instead of rooms with members\n"
    "loads, in the order given (the connects are always reported first):\n"
    "  idle                 the server's memory at rest\n"
    "  window:W[:S]         S members of each room (default 4, 0 is everybody) keep W messages\n"
    "                       on their way to all the others\n"
    "  slow:W[:S]           the same beside one member that reads nothing from here on\n"
    "  rate:D               D deliveries per second are offered, from random members\n"
    "  reply                every connection asks and waits for its answer, again and again\n";

static char **read_lines(const char *path, uint32_t *size)
{
    char **lines = NULL, *line = NULL;
    size_t room = 0;
    ssize_t length;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        give_up("can't read %s", path);
    *size = 0;
    while ((length = getline(&line, &room, file)) > 0) {
        line[strcspn(line, "\r\n")] = 0;
        lines = realloc(lines, (*size + 1) * sizeof *lines);
        lines[(*size)++] = strdup(line);
    }
    fclose(file);
    return lines;
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void run_load(struct crowd *crowd, const struct timing *timing, const char *load,
                     long before_bytes)
{
    unsigned window = 1, senders = 4;
    double rate;
    if (strcmp(load, "idle") == 0)
        run_idle(crowd, timing, before_bytes);
    else if (sscanf(load, "window:%u:%u", &window, &senders) >= 1)
        run_window(crowd, timing, window, senders, false);
    else if (sscanf(load, "slow:%u:%u", &window, &senders) >= 1)
        run_window(crowd, timing, window, senders, true);
    else if (sscanf(load, "rate:%lf", &rate) == 1)
        run_rate(crowd, timing, rate);
    else if (strcmp(load, "reply") == 0)
        run_reply(crowd, timing);
    else
        give_up("unknown load %s\n%s", load, USAGE);
}

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"port", required_argument, NULL, 'p'},     {"dialect", required_argument, NULL, 'd'},
        {"connections", required_argument, NULL, 'n'}, {"rooms", required_argument, NULL, 'r'},
        {"room-prefix", required_argument, NULL, 'x'}, {"tokens", required_argument, NULL, 't'},
        {"content", required_argument, NULL, 'b'},  {"keys", no_argument, NULL, 'k'},
        {"concurrency", required_argument, NULL, 'c'}, {"warmup", required_argument, NULL, 'w'},
        {"seconds", required_argument, NULL, 's'},  {"drain", required_argument, NULL, 'q'},
        {"server", required_argument, NULL, 'v'},   {"echo", no_argument, NULL, 'e'},
        {0},
    };
    static struct crowd crowd = {
        .size = 100,
        .rooms = 1,
        .content_bytes = 64,
        .room_prefix = "room:",
    };
    struct timing timing = {.warmup_seconds = 0.3, .seconds = 1, .drain_seconds = 5};
    uint32_t concurrency = 64;
    const char *dialect = "plain";
    int option, port = 0;

    clock_origin_ns = monotonic_ns();
    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'd': dialect = optarg; break;
        case 'n': crowd.size = (uint32_t)atoi(optarg); break;
        case 'r': crowd.rooms = (uint32_t)atoi(optarg); break;
        case 'x': crowd.room_prefix = optarg; break;
        case 't': crowd.tokens = read_lines(optarg, &crowd.tokens_size); break;
        case 'b': crowd.content_bytes = (size_t)atol(optarg); break;
        case 'k': crowd.keys = true; break;
        case 'c': concurrency = (uint32_t)atoi(optarg); break;
        case 'w': timing.warmup_seconds = atof(optarg); break;
        case 's': timing.seconds = atof(optarg); break;
        case 'q': timing.drain_seconds = atof(optarg); break;
        case 'v': timing.server = atoi(optarg); break;
        case 'e': crowd.echo = true; break;
        default: fputs(USAGE, stderr); return 2;
        }
    }
    crowd.dialect = find_dialect(dialect);
    if (crowd.dialect == NULL)
        give_up("unknown dialect %s", dialect);
    if (strcmp(dialect, "greenroom") == 0 && crowd.tokens_size == 0)
        give_up("greenroom needs --tokens");
    if (port == 0)
        give_up("--port is missing\n%s", USAGE);
    if (crowd.content_bytes < STAMP_CHARS || crowd.content_bytes > MAX_PAYLOAD_BYTES - 1024)
        give_up("content has %d to %d bytes", STAMP_CHARS, MAX_PAYLOAD_BYTES - 1024);
    if (crowd.echo)
        crowd.rooms = crowd.size; /* alone in its room: nobody but the server answers */
    if (crowd.size == 0 || crowd.size > UINT16_MAX || crowd.rooms == 0 ||
        crowd.size % crowd.rooms != 0)
        give_up("connections (1 to %d) must be a multiple of rooms", UINT16_MAX);
    crowd.per_room = crowd.size / crowd.rooms;
    crowd.address = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    raise_file_limit();
    long before_bytes = resident_bytes(timing.server);
    run_connect(&crowd, &timing, concurrency);
    for (int i = optind; i < argc; i++) {
        if (i == argc - 1 && strncmp(argv[i], "rate", 4) != 0)
            timing.drain_seconds = 0;
        run_load(&crowd, &timing, argv[i], before_bytes);
    }
    return 0;
}
