/* An agent that costs next to nothing, for fleets of hundreds: agent NAME. It does what the last signal said:
   SIGRTMIN nothing (as at its start, but where BENCH_MODE says otherwise), +1 ping its manager, which arms its watchdog,
   +2 also beat once a second, +3 with other words each time, +4 hang. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum mode { QUIET, PINGING, BEATING, TALKING, HANGING };
#define SYSTEM "/run/supervise/agent.sock"
#define SECOND 1000000LL

static int out;
static const char *name;
static long long watchdog; /* its interval, in microseconds */
static int armed, turns;

static long long now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * SECOND + at.tv_nsec / 1000;
}

/* Whether it got through: a queue that is full takes the next one. */
static int say(const char *path, const char *text) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path)
        snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    return to.sun_path[0] && sendto(out, text, strlen(text), MSG_DONTWAIT, (void *)&to, sizeof to) >= 0;
}

static void ping(void) {
    char text[64];
    snprintf(text, sizeof text, armed ? "WATCHDOG=1" : "WATCHDOG_USEC=%lld\nWATCHDOG=1", watchdog);
    if (say(getenv("NOTIFY_SOCKET"), text))
        armed = 1; /* else it is said again with the next ping */
}

/* As the library words it. */
static void beat(int number) {
    char text[256], path[108] = SYSTEM;
    if (access(SYSTEM, W_OK) && getenv("XDG_RUNTIME_DIR"))
        snprintf(path, sizeof path, "%s/supervise/agent.sock", getenv("XDG_RUNTIME_DIR"));
    snprintf(text, sizeof text, "{\"v\":1,\"agent\":\"%s\",\"status\":\"running\",\"activity\":\"page %d\"}", name, number);
    say(path, text);
}

int main(int argc, char **argv) {
    const char *wanted = getenv("BENCH_MODE"), *interval = getenv("SUPERVISE_WATCHDOG_USEC");
    int mode = wanted ? atoi(wanted) : QUIET;
    long long next_beat = now(), next_ping = next_beat;
    sigset_t orders;
    name = argc > 1 ? argv[1] : "";
    watchdog = interval ? atoll(interval) : 30 * SECOND;
    out = socket(AF_UNIX, SOCK_DGRAM, 0);
    sigemptyset(&orders);
    for (int one = QUIET; one <= HANGING; one++)
        sigaddset(&orders, SIGRTMIN + one);
    sigprocmask(SIG_BLOCK, &orders, NULL);
    for (;;) {
        if (mode >= PINGING && now() >= next_ping) {
            ping();
            next_ping = now() + watchdog / 3;
        }
        if (mode >= BEATING && now() >= next_beat) {
            beat(mode == TALKING ? ++turns : 0);
            next_beat += SECOND;
        }
        long long pause = (mode >= BEATING && next_beat < next_ping ? next_beat : next_ping) - now();
        struct timespec timeout = {pause / SECOND, pause % SECOND * 1000};
        if (mode != QUIET && pause < 0) /* else it would spin */
            continue;
        int told = mode == QUIET ? sigwaitinfo(&orders, NULL) : sigtimedwait(&orders, NULL, &timeout);
        if (told < 0)
            continue;
        mode = told - SIGRTMIN;
        while (mode == HANGING)
            sleep(60);
        srand((unsigned)getpid()); /* not all at once */
        next_ping = now();
        next_beat = now() + rand() % SECOND;
    }
}
