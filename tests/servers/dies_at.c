// A process that loads this dies at the n-th call that changes a file in one folder: a moment that no other test can choose.
//
//     cc -shared -fPIC -O1 -o dies_at.so dies_at.c -ldl
//     LD_PRELOAD=./dies_at.so python ...      then arm(n, folder, half) through ctypes; half: half of what is written is there
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[4096];
static volatile long left = 0;
static int half_written = 0;

void arm(long n, const char *path, int half) {
    strncpy(folder, path, sizeof folder - 1);
    half_written = half;
    left = n;
}

static int strikes(void) { return left > 0 && __sync_sub_and_fetch(&left, 1) == 0; }

static int within(const char *path) {
    size_t size = strlen(folder);
    return left > 0 && path && strncmp(path, folder, size) == 0 && (path[size] == '/' || path[size] == 0);
}

static int opened_within(int fd) {
    char link[64], path[4096];
    if (left <= 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 0) return 0;
    path[size] = 0;
    return within(path);
}

static void at_path(const char *path) {
    if (within(path) && strikes()) _exit(9);
}

static void at_fd(int fd) {
    if (opened_within(fd) && strikes()) _exit(9);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPENS(name)                                              \
    int name(const char *path, int flags, ...) {                 \
        va_list rest;                                            \
        va_start(rest, flags);                                   \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                            \
        if (flags & (O_CREAT | O_TRUNC)) at_path(path);          \
        return REAL(name)(path, flags, mode);                    \
    }
OPENS(open)
OPENS(open64)

#define WRITES(name, extra, given)                                           \
    ssize_t name(int fd, const void *data, size_t size extra) {              \
        if (opened_within(fd) && strikes()) {                                \
            if (half_written) REAL(name)(fd, data, size / 2 given);          \
            _exit(9);                                                        \
        }                                                                    \
        return REAL(name)(fd, data, size given);                             \
    }
#define AND ,
WRITES(write, , )
WRITES(pwrite, AND off_t place, AND place)
WRITES(pwrite64, AND off64_t place, AND place)

#define ON_FD(name, params, given)  \
    int name(int fd params) {       \
        at_fd(fd);                  \
        return REAL(name)(fd given); \
    }
ON_FD(ftruncate, AND off_t size, AND size)
ON_FD(ftruncate64, AND off64_t size, AND size)
ON_FD(fsync, , )
ON_FD(fdatasync, , )

int rename(const char *from, const char *to) {
    at_path(from);
    return REAL(rename)(from, to);
}

int unlink(const char *path) {
    at_path(path);
    return REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode) {
    at_path(path);
    return REAL(mkdir)(path, mode);
}
