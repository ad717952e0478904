/* Sends hostile datagrams to the agents' socket as fast as it can: flood SECONDS NAME…
   It tells how many it tried and how many were taken. NAME: agents in whose names it lies. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LONGEST 8192
#define MOST 64
static char words[MOST][LONGEST + 64];
static size_t sizes[MOST];
static int count;

static void say(const char *text, size_t size) {
    memcpy(words[count], text, size);
    sizes[count++] = size;
}

static void lie(const char *name) {
    char text[512];
    const char *said[] = {
        "{\"v\":1,\"agent\":\"%s\",\"status\":\"error\",\"error\":\"it burns\",\"health\":0}",
        "{\"v\":1,\"agent\":\"%s\",\"status\":\"stopping\"}",
    };
    for (int i = 0; i < 2; i++)
        say(text, (size_t)snprintf(text, sizeof text, said[i], name));
}

static void fill(const char *before, const char *unit, const char *after) {
    static char text[LONGEST];
    size_t size = strlen(before), step = strlen(unit), end = LONGEST - strlen(after);
    memcpy(text, before, size);
    for (; size + step <= end; size += step)
        memcpy(text + size, unit, step);
    memcpy(text + size, after, strlen(after));
    say(text, size + strlen(after));
}

int main(int argc, char **argv) {
    struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/run/supervise/agent.sock"};
    int out = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    double seconds = atof(argv[1]);
    for (int i = 2; i < argc && count < MOST - 24; i++)
        lie(argv[i]);
    fill("{\"v\":1,\"status\":\"error\",\"activity\":\"", "\\u001b[2J\\u001b]0;x\\u0007", "\"}");
    fill("{\"v\":1,\"activity\":\"", "\\u202e\\u2066\\u2028\\u0085\\u009b31m", "\"}");
    fill("{\"v\":1,\"activity\":\"", "\xe2\x80\xae\xe2\x81\xa6", "\"}");
    fill("{\"v\":1,\"error\":\"", "[/x][bold red]", "\"}");
    fill("{\"v\":1,\"error\":\"", "\x1b[31m", "\"}");
    fill("{\"v\":1,\"metadata\":", "[", "");
    fill("{\"v\":1,\"metadata\":", "{\"a\":", "");
    fill("{\"v\":1,\"progress\":", "9", "}");
    fill("{\"v\":1,\"health\":-", "9", "}");
    fill("{\"v\":1,\"health\":1e", "9", "}");
    fill("", "\xff\xfe", "");
    memset(words[count], 0, LONGEST);
    sizes[count++] = LONGEST;
    say("{\"v\":1,\"activity\":\"\\ud800\",\"error\":\"\\udfff\"}", 43);
    say("{\"v\":1,\"health\":NaN,\"progress\":Infinity}", 40);
    say("{\"v\":1,\"agent\":[[]],\"status\":{},\"activity\":7}", 46);
    say("null", 4);
    say("{\"v\":1,", 7);
    say("", 0);
    sizes[count] = LONGEST + 32; /* too long */
    memset(words[count++], 'x', LONGEST + 32);

    long tried = 0, taken = 0, forks = 0;
    struct timespec now, begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        for (int i = 0; i < 1000; i++, tried++)
            taken += sendto(out, words[tried % count], sizes[tried % count], 0, (void *)&to, sizeof to) >= 0;
        if (tried % 20000 == 0 && fork() == 0) { /* one that is gone before anybody can ask who it was */
            for (int i = 0; i < 50; i++)
                sendto(out, words[i % count], sizes[i % count], 0, (void *)&to, sizeof to);
            _exit(0);
        } else if (tried % 20000 == 0)
            forks++;
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9 < seconds);
    printf("{\"tried\": %ld, \"taken\": %ld, \"dying\": %ld}\n", tried, taken, forks);
    fflush(stdout);
    if (seconds > 0 && getenv("SUPERVISE_AGENT")) /* the agent goes on */
        pause();
    return 0;
}
