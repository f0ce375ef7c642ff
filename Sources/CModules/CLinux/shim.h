// The kernel and C library interface, as one module: Embedded Swift has no Glibc overlay.
// Header shims and macro wrappers only; no logic.
#pragma once

// _GNU_SOURCE stays undefined: the toolchain's own Glibc and Dispatch modules are built without it, and a
// program that imports them beside this one must see the same structures. What it would add is declared below.
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/videodev2.h>
#include <malloc.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/statvfs.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#ifdef __x86_64__
#include <sys/platform/x86.h>
#endif

// Macros and variadic functions, which Swift cannot call.

static inline int edge_errno(void) { return errno; }
static inline void edge_set_errno(int code) { errno = code; }

static inline const char *edge_error_text(int code, char *buffer, size_t capacity) {
#ifdef __USE_GNU
  return strerror_r(code, buffer, capacity);
#else
  return strerror_r(code, buffer, capacity) == 0 ? buffer : 0;
#endif
}

static inline int edge_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }
static inline int edge_openat(int folder, const char *path, int flags, mode_t mode) { return openat(folder, path, flags, mode); }
// Flag 1 is RENAME_NOREPLACE; glibc shows its function and the flag to _GNU_SOURCE only.
static inline int edge_rename_new(int folder, const char *from, const char *to) {
  return (int)syscall(SYS_renameat2, folder, from, folder, to, 1u);
}
static inline int edge_ioctl(int fd, unsigned long request, void *argument) { return ioctl(fd, request, argument); }
static inline int edge_fcntl(int fd, int command, long argument) { return fcntl(fd, command, argument); }

static inline const char *edge_dirent_name(const struct dirent *entry) { return entry->d_name; }
static inline char **edge_environment(void) {
  extern char **environ;
  return environ;
}
// What x86-64-v3 has beyond the common, as far as the processor and the kernel let it be used.
static inline int edge_cpu_is_x86_64_v3(void) {
#ifdef __x86_64__
  return CPU_FEATURE_ACTIVE(AVX2) && CPU_FEATURE_ACTIVE(BMI1) && CPU_FEATURE_ACTIVE(BMI2) && CPU_FEATURE_ACTIVE(FMA) &&
         CPU_FEATURE_ACTIVE(F16C) && CPU_FEATURE_ACTIVE(LZCNT) && CPU_FEATURE_ACTIVE(MOVBE);
#else
  return 0;
#endif
}
static inline void edge_ignore_signal(int number) { signal(number, SIG_IGN); }

// glibc declares these with transparent unions, which Swift does not import as pointers.
static inline int edge_bind(int fd, const void *address, socklen_t length) {
  return bind(fd, (const struct sockaddr *)address, length);
}
static inline int edge_connect(int fd, const void *address, socklen_t length) {
  return connect(fd, (const struct sockaddr *)address, length);
}
extern int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
static inline int edge_accept4(int fd, void *address, socklen_t *length, int flags) {
  return accept4(fd, (struct sockaddr *)address, length, flags);
}
static inline int edge_getsockname(int fd, void *address, socklen_t *length) {
  return getsockname(fd, (struct sockaddr *)address, length);
}
static inline int edge_getpeername(int fd, void *address, socklen_t *length) {
  return getpeername(fd, (struct sockaddr *)address, length);
}

// struct mmsghdr and struct ucred of the kernel, under names of our own.
struct edge_message {
  struct msghdr header;
  unsigned int length;
};
struct edge_credentials {
  int pid;
  unsigned int uid, gid;
};
struct mmsghdr;
extern int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout);
static inline int edge_recvmmsg(int fd, struct edge_message *messages, unsigned int count, int flags) {
  return recvmmsg(fd, (struct mmsghdr *)messages, count, flags, 0);
}
extern int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags);
static inline int edge_sendmmsg(int fd, struct edge_message *messages, unsigned int count, int flags) {
  return sendmmsg(fd, (struct mmsghdr *)messages, count, flags);
}
static inline int edge_get_descriptor_limit(struct rlimit *limit) { return getrlimit(RLIMIT_NOFILE, limit); }
static inline int edge_set_descriptor_limit(const struct rlimit *limit) { return setrlimit(RLIMIT_NOFILE, limit); }
// Declared with another type where _GNU_SOURCE is defined.
extern int edge_sched_getaffinity(pid_t process, size_t bytes, void *mask) __asm__("sched_getaffinity");
extern int pthread_setname_np(pthread_t thread, const char *name);

static inline struct cmsghdr *edge_cmsg_first(struct msghdr *message) { return CMSG_FIRSTHDR(message); }
static inline struct cmsghdr *edge_cmsg_next(struct msghdr *message, struct cmsghdr *header) {
  return CMSG_NXTHDR(message, header);
}
static inline void *edge_cmsg_data(struct cmsghdr *header) { return CMSG_DATA(header); }
static inline size_t edge_cmsg_space(size_t length) { return CMSG_SPACE(length); }
static inline size_t edge_cmsg_length(size_t length) { return CMSG_LEN(length); }

// V4L2 requests: their macros compute sizes of structures.
static const unsigned long edge_vidioc_querycap = VIDIOC_QUERYCAP;
static const unsigned long edge_vidioc_enum_fmt = VIDIOC_ENUM_FMT;
static const unsigned long edge_vidioc_enum_framesizes = VIDIOC_ENUM_FRAMESIZES;
static const unsigned long edge_vidioc_enum_frameintervals = VIDIOC_ENUM_FRAMEINTERVALS;
static const unsigned long edge_vidioc_s_fmt = VIDIOC_S_FMT;
static const unsigned long edge_vidioc_g_parm = VIDIOC_G_PARM;
static const unsigned long edge_vidioc_s_parm = VIDIOC_S_PARM;
static const unsigned long edge_vidioc_reqbufs = VIDIOC_REQBUFS;
static const unsigned long edge_vidioc_querybuf = VIDIOC_QUERYBUF;
static const unsigned long edge_vidioc_qbuf = VIDIOC_QBUF;
static const unsigned long edge_vidioc_dqbuf = VIDIOC_DQBUF;
static const unsigned long edge_vidioc_streamon = VIDIOC_STREAMON;
static const unsigned long edge_vidioc_queryctrl = VIDIOC_QUERYCTRL;
static const unsigned long edge_vidioc_g_ctrl = VIDIOC_G_CTRL;
static const unsigned long edge_vidioc_s_ctrl = VIDIOC_S_CTRL;
static const unsigned long edge_vidioc_streamoff = VIDIOC_STREAMOFF;
static const unsigned long edge_vidioc_g_input = VIDIOC_G_INPUT;
static const unsigned long edge_vidioc_subscribe_event = VIDIOC_SUBSCRIBE_EVENT;
static const unsigned long edge_vidioc_dqevent = VIDIOC_DQEVENT;
static const unsigned long edge_vidioc_query_dv_timings = VIDIOC_QUERY_DV_TIMINGS;
static const unsigned long edge_vidioc_s_dv_timings = VIDIOC_S_DV_TIMINGS;
