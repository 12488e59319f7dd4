/* A disk that fails: from the n-th system call of a kind on (1: write, 2: sync, 4: read) on a file
 * that has a name, or is in a folder of it, each gets EIO; a number of 0 fails none. EIO_CONTROL is
 * a file of the bytes: kinds, number, name, 0. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile unsigned char *control;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("EIO_CONTROL");
  int file = path ? open(path, O_RDWR) : -1;
  void *at = file < 0 ? MAP_FAILED : mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (at != MAP_FAILED) control = at;
  if (file >= 0) close(file);
}

static int is_named(const char *path, const char *name) {
  size_t length = strlen(name);
  for (const char *at = path; (at = strchr(at, '/')); at++)
    if (!strncmp(at + 1, name, length) && (!at[length + 1] || at[length + 1] == '/')) return 1;
  return 0;
}

static int fails(int file, unsigned char kind) {
  char link[64], path[4096];
  if (!control || !(control[0] & kind)) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  if (!is_named(path, (const char *)control + 2)) return 0;
  if (control[1] > 1) return control[1]--, 0;
  errno = EIO;
  return control[1] == 1;
}

#define FAILING(kind, type, name, given, passed)        \
  type name given {                                     \
    static type(*real) given;                           \
    if (fails(file, kind)) return -1;                   \
    if (!real) real = dlsym(RTLD_NEXT, #name);          \
    return real passed;                                 \
  }
FAILING(1, ssize_t, write, (int file, const void *b, size_t n), (file, b, n))
FAILING(1, ssize_t, pwrite, (int file, const void *b, size_t n, off_t at), (file, b, n, at))
FAILING(1, ssize_t, pwrite64, (int file, const void *b, size_t n, off_t at), (file, b, n, at))
FAILING(2, int, fsync, (int file), (file))
FAILING(2, int, fdatasync, (int file), (file))
FAILING(4, ssize_t, read, (int file, void *b, size_t n), (file, b, n))
FAILING(4, ssize_t, pread, (int file, void *b, size_t n, off_t at), (file, b, n, at))
FAILING(4, ssize_t, pread64, (int file, void *b, size_t n, off_t at), (file, b, n, at))
