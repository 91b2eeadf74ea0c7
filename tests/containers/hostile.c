/* A program of strangers that poses as a Python's loader: it tries the attack that it is told, and
   says on its error stream how that went, a line for each attempt. Static: it needs no library. */

#define _GNU_SOURCE
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void say(const char *what, long result) {
  dprintf(2, "%s %s\n", what, result < 0 ? strerror(errno) : "done");
}

static void who(void) {
  struct utsname name;
  uname(&name);
  dprintf(2, "uid %d\ngid %d\n", getuid(), getgid());
  dprintf(2, "host %s\n", name.nodename);
  for (char **item = environ; *item; item++) dprintf(2, "environment %s\n", *item);
  for (int number = 3; number < 4096; number++)
    if (fcntl(number, F_GETFD) >= 0) dprintf(2, "open %d\n", number);
}

static void look(const char *path) {
  say("read", open(path, O_RDONLY));
  say("list", open("/proc", O_RDONLY | O_DIRECTORY));
  say("devices", open("/dev/null", O_RDONLY));
  DIR *root = opendir("/");
  for (struct dirent *item; root && (item = readdir(root));)
    if (item->d_name[0] != '.') dprintf(2, "root has %s\n", item->d_name);
}

static void reach(void) {
  say("socket", socket(AF_INET, SOCK_STREAM, 0));
  say("local socket", socket(AF_UNIX, SOCK_STREAM, 0));
  say("link", socket(AF_NETLINK, SOCK_RAW, 0));
  say("ring", syscall(425, 1, 0));
}

static void rise(void) {
  dprintf(2, "pid %d\n", getpid());
  say("setuid", setuid(0));
  say("namespace", unshare(CLONE_NEWUSER));
  say("clone", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
  say("clone3", syscall(435, 0, 0));
  say("mount", mount("none", "/", "tmpfs", 0, ""));
  say("chroot", chroot("/usr"));
  say("trace", ptrace(PTRACE_ATTACH, 1, 0, 0));
  say("kill", kill(1, SIGKILL));
  say("kill all", kill(-1, SIGKILL));
  say("key", syscall(SYS_add_key, "user", "x", "y", 1, -3));
  say("memory of others", syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0));
}

static void fill(void) {
  for (int number = 0; number < 3; number++) {
    const char *path = (const char *[]){"/new", "/usr/new", "/tmp/new"}[number];
    dprintf(2, "%s ", path);
    say("create", open(path, O_WRONLY | O_CREAT, 0600));
  }
  say("folder", mkdir("/folder", 0700));
  say("rename", rename("/usr/lib", "/usr/other"));
  say("unnamed", open("/usr", O_WRONLY | O_TMPFILE, 0600));
  say("in memory", syscall(SYS_memfd_create, "x", 0));
  say("shared memory", syscall(SYS_shmget, 0, 1 << 20, 0600));
  say("change", open("/usr/bin/loader", O_WRONLY));
}

static void bomb(void) {
  int made = 0;
  for (; made < 4096; made++) {
    int child = fork();
    if (child < 0) break;
    if (child == 0)
      for (;;) pause();
  }
  dprintf(2, "forks %d\n", made);
}

static void eat(void) {
  long taken = 0;
  for (; taken < 1 << 16; taken++) {
    char *block = malloc(1 << 20);
    if (!block) break;
    block[0] = 1;
  }
  dprintf(2, "mebibytes %ld\n", taken);
}

/* Leave the family, so that no parent waits for it. */
static void linger(void) {
  if (fork() == 0) {
    setsid();
    if (fork() == 0)
      for (;;) sleep(1000);
    _exit(0);
  }
  wait(0);
  dprintf(2, "left\n");
}

int main(int count, char **words) {
  const char *attack = count > 1 ? words[1] : "";
  if (!strcmp(attack, "who")) who();
  else if (!strcmp(attack, "look")) look(words[2]);
  else if (!strcmp(attack, "reach")) reach();
  else if (!strcmp(attack, "rise")) rise();
  else if (!strcmp(attack, "fill")) fill();
  else if (!strcmp(attack, "bomb")) bomb();
  else if (!strcmp(attack, "eat")) eat();
  else if (!strcmp(attack, "linger")) linger();
  else if (!strcmp(attack, "spin")) for (;;);
  else if (!strcmp(attack, "hang")) {
    for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
    linger();
    for (;;) pause();
  }
  else if (!strcmp(attack, "chatter")) for (;;) dprintf(2, "errno 999\n");
  else {
    /* Started by mealkit to compile: answer with what the root says. */
    char answer[64];
    int told = open("/usr/answer", O_RDONLY);
    long size = read(told, answer, sizeof answer);
    write(1, answer, size);
    for (;;) if (write(1, answer, size) < 0) pause();
  }
  return 0;
}
