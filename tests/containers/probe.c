/* A stand-in for a kit: says what it is allowed to do, then serves HTTP on MEALKIT_HOST:MEALKIT_PORT.
 * GET /report     what it found at its start
 * GET /exit/N     exits with code N;   GET /crash  dies of SIGSEGV
 * GET /connect/A/P  connects to port P of address A and answers with the error's name, or ok
 * GET /eat/N      takes and touches N MiB of memory;   GET /say/WORD  writes WORD to the log
 * PROBE_STUBBORN=1 ignores the request to stop; PROBE_EXIT=N exits at once with code N. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char report[65536];

static void note(const char *form, ...) {
    va_list arguments;
    size_t used = strlen(report);
    va_start(arguments, form);
    vsnprintf(report + used, sizeof report - used, form, arguments);
    va_end(arguments);
}

static void note_write(const char *name, const char *path) {
    int opened = open(path, O_WRONLY | O_CREAT, 0644);
    note("write %s %s\n", name, opened < 0 ? strerrorname_np(errno) : "ok");
    if (opened >= 0) close(opened);
}

static void note_folder(const char *path) {
    struct dirent *entry;
    DIR *folder = opendir(path);
    note("list %s", path);
    while (folder && (entry = readdir(folder)))
        if (entry->d_name[0] != '.') note(" %s", entry->d_name);
    note("\n");
    if (folder) closedir(folder);
}

static void note_call(const char *name, long result) {
    note("call %s %s\n", name, result < 0 ? strerrorname_np(errno) : "ok");
}

static void look(char **environment) {
    char line[512];
    FILE *status = fopen("/proc/self/status", "r");
    note("uid %d\ngid %d\npid %d\n", getuid(), getgid(), getpid());
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "Cap", 3) || !strncmp(line, "NoNew", 5) || !strncmp(line, "Groups", 6)) note("%s", line);
    if (status) fclose(status);
    gethostname(line, sizeof line);
    note("hostname %s\n", line);
    note_write("/", "/written");
    note_write("/models", "/models/written");
    note_write("weights", "/models/model.safetensors");
    note_write("/var/lib/mealkit", "/var/lib/mealkit/written");
    note_write("/tmp", "/tmp/written");
    note_write("/dev", "/dev/written");
    note_write("/dev/null", "/dev/null");
    note_write("core_pattern", "/proc/sys/kernel/core_pattern");
    note_folder("/");
    note_folder("/models");
    note_folder("/models/deep");
    note_folder("/dev");
    note_folder("/proc/self/fd");
    note_folder("/sys/devices/system/cpu");
    FILE *weights = fopen("/models/model.safetensors", "r");
    note("weights %s\n", weights && fgets(line, sizeof line, weights) ? line : "none");
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    struct sigaction action;
    sigaction(SIGPIPE, NULL, &action);
    note("sigpipe %s\n", action.sa_handler == SIG_IGN ? "ignored" : "default");
    struct stat there;
    note("escape %s\n", stat("/../../../etc/hostname-of-host", &there) ? "no" : "yes");
    if (fork() == 0) {
        _exit(unshare(CLONE_NEWUSER) ? errno : 0);
    } else {
        int how;
        wait(&how);
        note("nested %s\n", WEXITSTATUS(how) ? strerrorname_np(WEXITSTATUS(how)) : "ok");
    }
    struct rlimit processes;
    getrlimit(RLIMIT_NPROC, &processes);
    note("core %ld\nprocesses %ld\n", (long)core.rlim_cur, (long)processes.rlim_max);
    long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    note_call("clone", child);
    note_call("setns", setns(0, 0));
    note_call("ptrace", syscall(SYS_ptrace, 16, 1, 0, 0));
    note_call("add_key", syscall(SYS_add_key, "user", "probe", "x", 1, -3));
    note_call("mount", syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, 0));
    note_call("bpf", syscall(SYS_bpf, 0, 0, 0));
    note_call("io_uring", syscall(425, 1, 0));
    note_call("vsock", socket(40, SOCK_STREAM, 0));
    note_call("packets", socket(AF_PACKET, SOCK_RAW, 0));
    /* 10: KEYCTL_SEARCH, -3: the session's keyring. */
    note_call("secret of the starter", syscall(SYS_keyctl, 10, -3, "user", "mealkit-test-secret", 0));
    FILE *network = fopen("/proc/net/dev", "r");
    while (network && fgets(line, sizeof line, network)) {
        char *end = strchr(line, ':');
        if (end) { *end = 0; note("interface %s\n", line + strspn(line, " ")); }
    }
    for (; *environment; environment++) note("env %s\n", *environment);
}

static void end(int number) { (void)number; _exit(0); }

static void eat(long mebibytes) {
    for (long i = 0; i < mebibytes; i++) {
        char *taken = malloc(1 << 20);
        if (taken) memset(taken, 1, 1 << 20);
    }
}

static void answer(int caller) {
    char request[1024] = {0}, word[256];
    int number;
    if (read(caller, request, sizeof request - 1) <= 0) return;
    if (sscanf(request, "GET /exit/%d", &number) == 1) exit(number);
    if (!strncmp(request, "GET /crash", 10)) { signal(SIGSEGV, SIG_DFL); kill(getpid(), SIGSEGV); *(volatile int *)0 = 1; }
    if (sscanf(request, "GET /eat/%d", &number) == 1) eat(number);
    if (sscanf(request, "GET /connect/%15[0-9.]/%d", word, &number) == 2) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(number)};
        struct timeval patience = {.tv_sec = 2};
        int peer = socket(AF_INET, SOCK_STREAM, 0);
        inet_pton(AF_INET, word, &to.sin_addr);
        setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        const char *how = connect(peer, (struct sockaddr *)&to, sizeof to) ? strerrorname_np(errno) : "ok";
        dprintf(caller, "HTTP/1.0 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(how), how);
        close(peer);
        return;
    }
    if (sscanf(request, "GET /say/%255s", word) == 1) { puts(word); fflush(stdout); }
    dprintf(caller, "HTTP/1.0 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(report), report);
}

int main(int count, char **arguments, char **environment) {
    (void)count; (void)arguments;
    const char *host = getenv("MEALKIT_HOST"), *port = getenv("MEALKIT_PORT"), *code = getenv("PROBE_EXIT");
    if (!getenv("PROBE_STUBBORN")) signal(SIGINT, end);
    look(environment);
    fputs(report, stdout);
    fputs("to the error stream\n", stderr);
    fflush(stdout);
    if (code) return atoi(code);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port ? port : "0"))};
    inet_pton(AF_INET, host ? host : "0.0.0.0", &address.sin_addr);
    int listener = 3, yes = 1;
    if (!getenv("LISTEN_FDS")) {
        listener = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16)) { perror("bind"); return 3; }
    }
    puts("serving");
    fflush(stdout);
    for (;;) {
        int caller = accept(listener, NULL, NULL);
        if (caller < 0) continue;
        answer(caller);
        close(caller);
    }
}
