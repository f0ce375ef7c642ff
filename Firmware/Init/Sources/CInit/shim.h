// The C library and kernel calls of init. Header shims and macro wrappers only; no logic.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline int init_errno(void) { return errno; }
static inline int init_open(const char *path, int flags) { return open(path, flags | O_CLOEXEC); }
static inline int init_ioctl(int descriptor, unsigned long request, void *argument) {
  return ioctl(descriptor, request, argument);
}
static inline int init_load_module(int descriptor, const char *parameters) {
  return (int)syscall(SYS_finit_module, descriptor, parameters, 0);
}
static inline int init_exited(int status) { return WIFEXITED(status); }
static inline int init_exit_status(int status) { return WEXITSTATUS(status); }
static inline int init_signal(int status) { return WTERMSIG(status); }
