#define _GNU_SOURCE
#include "loads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"

#define CONNECT_LIMIT_SECONDS 80
#define REST_SECONDS 1.0
#define SETTLE_SECONDS 5.0       /* at most */
#define LOOK_SECONDS 0.1
#define QUIET_CPU_SECONDS 0.02   /* in one look: two ticks of the kernel's clock */

long resident_bytes(int process)
{
    char path[64];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", process);
    FILE *file = process ? fopen(path, "r") : NULL;
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*d %ld", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static double server_cpu_seconds(int process)
{
    char path[64], line[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    FILE *file = process ? fopen(path, "r") : NULL;
    if (file == NULL)
        return 0;
    /* The name may hold spaces, so count from the parenthesis behind it. */
    if (fgets(line, sizeof line, file)) {
        char *after = strrchr(line, ')');
        if (after)
            sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                   &system);
    }
    fclose(file);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double own_cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* ------------------------------------------------------------------ what is measured */

struct reading {
    uint64_t at_ns;
    double own_cpu, server_cpu;
    struct counts counts;
};

static struct reading read_now(const struct crowd *crowd, const struct timing *timing)
{
    return (struct reading){
        .at_ns = now_ns(),
        .own_cpu = own_cpu_seconds(),
        .server_cpu = server_cpu_seconds(timing->server),
        .counts = crowd->counts,
    };
}

/* One line of JSON; `more` are members of the object, each with a comma behind it. */
static void report(const struct crowd *crowd, const char *load, const char *more,
                   const struct reading *from, const struct reading *to)
{
    const struct histogram *latency = &crowd->latency;
    const struct counts *a = &from->counts, *b = &to->counts;
    double seconds = seconds_of(to->at_ns - from->at_ns);
    printf("{\"load\":\"%s\",\"dialect\":\"%s\",\"connections\":%u,\"rooms\":%u,%s", load,
           crowd->dialect->name, crowd->size, crowd->rooms, more);
    printf("\"seconds\":%.4f,\"deliveries_per_second\":%.1f,\"messages_per_second\":%.1f,", seconds,
           (double)(b->deliveries - a->deliveries) / seconds,
           (double)(b->messages - a->messages) / seconds);
    printf("\"received_bytes_per_second\":%.0f,",
           (double)(b->received_bytes - a->received_bytes) / seconds);
    printf("\"latency_ms\":{\"count\":%lu,\"p50\":%.4f,\"p99\":%.4f,\"p999\":%.4f,\"max\":%.4f},",
           (unsigned long)latency->total, histogram_quantile_ns(latency, 0.5) / 1e6,
           histogram_quantile_ns(latency, 0.99) / 1e6, histogram_quantile_ns(latency, 0.999) / 1e6,
           (double)latency->highest_ns / 1e6);
    /* These count from the program's start: what went wrong in a warm-up is wrong as well. */
    printf("\"errors\":%lu,\"disordered\":%lu,\"closed\":%lu,\"undelivered\":%lu,",
           (unsigned long)crowd->counts.errors, (unsigned long)crowd->counts.disordered,
           (unsigned long)crowd->counts.closed, (unsigned long)crowd->counts.expected);
    printf("\"generator_cpu_seconds\":%.3f,\"server_cpu_seconds\":%.3f}\n",
           to->own_cpu - from->own_cpu, to->server_cpu - from->server_cpu);
    fflush(stdout);
}

static void rest(struct crowd *crowd, double seconds)
{
    uint64_t until = now_ns() + (uint64_t)(seconds * 1e9);
    while (now_ns() < until)
        turn(crowd, 10);
}

/* Let the server finish what the connects or the last load left it with (who has come, garbage). */
static void settle(struct crowd *crowd, const struct timing *timing)
{
    uint64_t until = now_ns() + (uint64_t)(SETTLE_SECONDS * 1e9);
    double before, now = server_cpu_seconds(timing->server);
    do {
        before = now;
        rest(crowd, LOOK_SECONDS);
        now = server_cpu_seconds(timing->server);
    } while (now - before > QUIET_CPU_SECONDS && now_ns() < until);
}

/* Wait until all that was said has arrived, or the time is over. */
static void drain(struct crowd *crowd, const struct timing *timing)
{
    uint64_t until = now_ns() + (uint64_t)(timing->drain_seconds * 1e9);
    crowd->windowed = false;
    crowd->ready_size = 0;
    while (crowd->counts.expected && now_ns() < until)
        turn(crowd, 10);
}

static void spend(struct crowd *crowd, double seconds, void (*step)(struct crowd *, void *),
                  void *state)
{
    uint64_t until = now_ns() + (uint64_t)(seconds * 1e9);
    while (now_ns() < until)
        step(crowd, state);
}

/* A window bounds what is on its way, so what arrives within the time is what counts. */
static void measured(struct crowd *crowd, const struct timing *timing, const char *load,
                     const char *more, void (*step)(struct crowd *, void *), void *state)
{
    settle(crowd, timing);
    histogram_clear(&crowd->latency);
    crowd->from_ns = 0;
    crowd->until_ns = UINT64_MAX;
    spend(crowd, timing->warmup_seconds, step, state);
    struct reading from = read_now(crowd, timing);
    crowd->measuring = true;
    spend(crowd, timing->seconds, step, state);
    crowd->measuring = false;
    struct reading to = read_now(crowd, timing);
    drain(crowd, timing);
    report(crowd, load, more, &from, &to);
}

/* ------------------------------------------------------------------ the loads */

void run_connect(struct crowd *crowd, const struct timing *timing, uint32_t concurrency)
{
    char more[96];
    struct reading from = read_now(crowd, timing);
    crowd->measuring = true;
    open_crowd(crowd, concurrency, CONNECT_LIMIT_SECONDS);
    crowd->measuring = false;
    struct reading to = read_now(crowd, timing);
    snprintf(more, sizeof more, "\"concurrency\":%u,\"connects_per_second\":%.1f,", concurrency,
             crowd->size / seconds_of(to.at_ns - from.at_ns));
    report(crowd, "connect", more, &from, &to);
}

void run_idle(struct crowd *crowd, const struct timing *timing, long before_bytes)
{
    char more[128];
    struct reading from = read_now(crowd, timing);
    rest(crowd, REST_SECONDS);
    long bytes = resident_bytes(timing->server);
    struct reading to = read_now(crowd, timing);
    snprintf(more, sizeof more,
             "\"server_bytes_before\":%ld,\"server_bytes\":%ld,\"bytes_per_connection\":%.0f,",
             before_bytes, bytes, (double)(bytes - before_bytes) / crowd->size);
    histogram_clear(&crowd->latency);
    report(crowd, "idle", more, &from, &to);
}

struct talk {
    uint32_t window;
};

static void talk_on(struct crowd *crowd, void *state)
{
    uint32_t window = ((struct talk *)state)->window;
    uint64_t now = now_ns();
    for (uint32_t i = 0; i < crowd->ready_size; i++) {
        struct connection *c = &crowd->connections[crowd->ready[i]];
        struct sender *sender = c->sender;
        sender->waits = false;
        while (c->state == JOINED && sender->in_flight < window &&
               sender->remaining[sender->next_sequence % SLOTS] == 0)
            say(crowd, c, now);
    }
    crowd->ready_size = 0;
    flush(crowd);
    turn(crowd, 10);
}

static void begin_talk(struct crowd *crowd, uint32_t senders)
{
    crowd->windowed = true;
    for (uint32_t i = 0; i < senders * crowd->rooms; i++) {
        struct connection *c = &crowd->connections[i];
        make_sender(c)->waits = false;
        make_ready(crowd, c);
    }
}

void run_window(struct crowd *crowd, const struct timing *timing, uint32_t window,
                uint32_t senders, bool slow)
{
    char more[96];
    if (senders == 0 || senders > crowd->per_room)
        senders = crowd->per_room;
    if (window > SLOTS || senders > MAX_SENDERS)
        give_up("at most %d messages on their way and %d senders a room", SLOTS, MAX_SENDERS);
    if (slow && (crowd->rooms > 1 || senders == crowd->per_room))
        give_up("a slow reader is a member of the one room, and does not send");
    if (slow && crowd->paused == 0)
        pause_reading(crowd, &crowd->connections[crowd->size - 1]);
    snprintf(more, sizeof more, "\"window\":%u,\"senders\":%u,\"slow_readers\":%u,", window,
             senders, crowd->paused);
    begin_talk(crowd, senders);
    measured(crowd, timing, slow ? "slow" : "window", more, talk_on, &(struct talk){window});
}

void run_reply(struct crowd *crowd, const struct timing *timing)
{
    begin_talk(crowd, 1);
    measured(crowd, timing, "reply", "", talk_on, &(struct talk){1});
}

struct schedule {
    double due_ns, gap_ns;
    uint32_t random, senders;
};

static void keep_schedule(struct crowd *crowd, void *state)
{
    struct schedule *schedule = state;
    double now = (double)now_ns();
    for (; schedule->due_ns <= now; schedule->due_ns += schedule->gap_ns) {
        schedule->random = schedule->random * 1664525u + 1013904223u;
        struct connection *c = &crowd->connections[(schedule->random >> 8) % schedule->senders];
        if (c->state == JOINED)
            say(crowd, c, (uint64_t)schedule->due_ns);
    }
    flush(crowd);
    /* epoll counts in ms; below one, look again at once: the core is the generator's own. */
    double wait_ms = (schedule->due_ns - (double)now_ns()) / 1e6;
    turn(crowd, wait_ms < 1 ? 0 : (int)wait_ms);
}

void run_rate(struct crowd *crowd, const struct timing *timing, double deliveries)
{
    char more[64];
    uint32_t per_room = crowd->per_room < MAX_SENDERS ? crowd->per_room : MAX_SENDERS;
    settle(crowd, timing);
    struct schedule schedule = {
        .due_ns = (double)now_ns(),
        .gap_ns = 1e9 * (crowd->per_room - 1) / deliveries,
        .random = 1,
        .senders = per_room * crowd->rooms,
    };
    for (uint32_t i = 0; i < schedule.senders; i++)
        make_sender(&crowd->connections[i]);
    snprintf(more, sizeof more, "\"offered_deliveries_per_second\":%.0f,", deliveries);
    histogram_clear(&crowd->latency);
    spend(crowd, timing->warmup_seconds, keep_schedule, &schedule);
    struct reading from = read_now(crowd, timing);
    crowd->measuring = true;
    crowd->from_ns = from.at_ns;
    crowd->until_ns = UINT64_MAX;
    spend(crowd, timing->seconds, keep_schedule, &schedule);
    struct reading to = read_now(crowd, timing);
    /* What was said in the time counts whenever it arrives; otherwise a server that falls behind
       would be measured by the messages that it was quick with. What does not arrive at all has
       waited for that long at the least. */
    crowd->until_ns = to.at_ns;
    drain(crowd, timing);
    crowd->measuring = false;
    for (uint64_t i = 0; i < crowd->counts.expected; i++)
        histogram_add(&crowd->latency, now_ns() - to.at_ns);
    report(crowd, "rate", more, &from, &to);
}
