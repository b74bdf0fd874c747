/* Stands between a program and the C library, and sees, or fails, what the program does to the files of one database.
 *
 * Preloaded (LD_PRELOAD), it serves every SQLite alike, one in a shared library as well as one linked into a Python
 * module: all of them reach the disk through these functions. What it does is told by the environment:
 *
 *   DISK_SHIM_DATABASE  the database file, absolute. Its files are this one, -wal, -journal, the folder they are in,
 *                       and -acknowledged, to which the program under test writes what it considers done.
 *   DISK_SHIM_LOG       record: every open, write, truncation, sync, removal of these files and every byte sent over
 *                       TCP is appended to this file in the order it happened. Nothing is really synced: what a sync
 *                       would have covered follows from the log.
 *   DISK_SHIM_FAULT     inject: as long as this file exists, calls fail as it says, e.g. "ENOSPC all" or
 *                       "EIO sync POST /": ENOSPC, EIO or EROFS; all, or sync alone; where a text follows, only from
 *                       the moment on at which something that begins with it is handed to a TCP connection.
 *
 * The shared-memory file (-shm) is not recorded: it is written through a mapping, never synced, and rebuilt from the
 * write-ahead log by whoever opens the database first after a power loss. But it can fail: it needs room as well.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define LARGEST_FD 65536
#define REAL(name) ((__typeof__(&name))real_function(#name))

enum file { NONE, DATABASE, WAL, JOURNAL, FOLDER, ACKNOWLEDGED, SHM, SOCKET };
enum kind { START = 1, OPEN, CLOSE, WRITE, TRUNCATE, SYNC, UNLINK, SENDING, SENT };

/* One record of the log, little-endian, followed by `length` bytes. tests/campaigns/disk_shim.py reads it. */
struct record {
    uint32_t process;
    int32_t fd;
    uint8_t kind;
    uint8_t file;
    uint16_t created; /* OPEN: the file did not exist before */
    uint32_t length;
    int64_t offset; /* WRITE: where; TRUNCATE: the new size */
} __attribute__((packed));

/* Held from before the real call until it is in the log, so that the log has the order in which things happened. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned char file_of[LARGEST_FD];
static char database[4096];
static char folder[4096];
static const char *control;
static int log_fd = -1;
static pid_t process;
static int is_armed; /* what the control file waits for has been sent */

static void *real_function(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) {
        fprintf(stderr, "disk_shim: the C library has no %s\n", name);
        abort();
    }
    return found;
}

static void note(enum kind kind, int fd, enum file file, int created, int64_t offset, const void *bytes, size_t length)
{
    if (log_fd < 0 || file == SHM)
        return;
    struct record record = {
        .process = (uint32_t)process,
        .fd = fd,
        .kind = (uint8_t)kind,
        .file = (uint8_t)file,
        .created = (uint16_t)created,
        .length = (uint32_t)length,
        .offset = offset,
    };
    struct iovec parts[2] = {{&record, sizeof record}, {(void *)bytes, length}};
    if (REAL(writev)(log_fd, parts, length ? 2 : 1) != (ssize_t)(sizeof record + length)) {
        perror("disk_shim: the log cannot be written");
        abort();
    }
}

static enum file file_at(const char *path)
{
    static const char *const endings[] = {"", "-wal", "-journal", "-acknowledged", "-shm"};
    static const enum file files[] = {DATABASE, WAL, JOURNAL, ACKNOWLEDGED, SHM};
    size_t length = strlen(database);
    if (!length || !path)
        return NONE;
    if (!strcmp(path, folder))
        return FOLDER;
    if (strncmp(path, database, length))
        return NONE;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!strcmp(path + length, endings[i]))
            return files[i];
    return NONE;
}

static enum file file_behind(int fd)
{
    return fd >= 0 && fd < LARGEST_FD ? (enum file)file_of[fd] : NONE;
}

struct order {
    char name[16], calls[16], after[64];
};

/* What the control file says; 0 when there is none. */
static int ordered(struct order *order)
{
    char text[128] = "";
    memset(order, 0, sizeof *order);
    int fd = control ? REAL(open)(control, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        ssize_t length = read(fd, text, sizeof text - 1);
        REAL(close)(fd);
        if (length > 0 && sscanf(text, "%15s %15s %63[^\n]", order->name, order->calls, order->after) >= 2)
            return 1;
    }
    __atomic_store_n(&is_armed, 0, __ATOMIC_SEQ_CST);
    return 0;
}

/* The error that a sync, or another change, is to fail with now; 0 for none. */
static int fault(enum file file, int is_sync)
{
    struct order order;
    if (file == NONE || file == SOCKET || file == ACKNOWLEDGED || !ordered(&order))
        return 0;
    if (*order.after && !__atomic_load_n(&is_armed, __ATOMIC_SEQ_CST))
        return 0;
    if (!strcmp(order.calls, "sync") && !is_sync)
        return 0;
    if (!strcmp(order.name, "EIO"))
        return EIO;
    if (is_sync) /* no room, or a file system that is read-only, keeps nobody from syncing */
        return 0;
    return !strcmp(order.name, "ENOSPC") ? ENOSPC : !strcmp(order.name, "EROFS") ? EROFS : 0;
}

/* Something is about to be sent: it may be what the control file waits for. */
static void arm(const void *bytes, size_t length)
{
    struct order order;
    size_t awaited = ordered(&order) ? strlen(order.after) : 0;
    if (awaited && length >= awaited && !memcmp(bytes, order.after, awaited))
        __atomic_store_n(&is_armed, 1, __ATOMIC_SEQ_CST);
}

#define FAIL_IF_ASKED(file, is_sync)      \
    do {                                  \
        int asked = fault(file, is_sync); \
        if (asked) {                      \
            errno = asked;                \
            return -1;                    \
        }                                 \
    } while (0)

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("DISK_SHIM_DATABASE"), *log = getenv("DISK_SHIM_LOG");
    control = getenv("DISK_SHIM_FAULT");
    process = getpid();
    if (!path || strlen(path) >= sizeof database)
        return;
    strcpy(database, path);
    strcpy(folder, path);
    *strrchr(folder, '/') = 0;
    if (log) {
        log_fd = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (log_fd < 0) {
            perror("disk_shim: the log cannot be opened");
            abort();
        }
        note(START, -1, NONE, 0, 0, NULL, 0);
    }
}

static int opened(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode)
{
    enum file file = file_at(path);
    if (file == NONE)
        return real(path, flags, mode);
    pthread_mutex_lock(&mutex);
    int is_new = (flags & O_CREAT) && access(path, F_OK) != 0;
    int asked = fault(file, 0), fd = -1;
    /* A full disk has no room for a new file; a read-only one opens nothing for writing. */
    if ((asked == ENOSPC && is_new) || (asked == EROFS && (flags & (O_WRONLY | O_RDWR)) != 0)) {
        errno = asked;
    } else {
        fd = real(path, flags, mode);
        if (fd >= 0 && fd < LARGEST_FD) {
            file_of[fd] = (unsigned char)file;
            note(OPEN, fd, file, is_new, 0, NULL, 0);
            if (flags & O_TRUNC)
                note(TRUNCATE, fd, file, 0, 0, NULL, 0);
        }
    }
    pthread_mutex_unlock(&mutex);
    return fd;
}

#define MODE(flags, mode)                          \
    mode_t mode = 0;                               \
    if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list rest;                              \
        va_start(rest, flags);                     \
        mode = va_arg(rest, mode_t);               \
        va_end(rest);                              \
    }

int open(const char *path, int flags, ...)
{
    MODE(flags, mode)
    return opened(REAL(open), path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE(flags, mode)
    return opened(REAL(open64), path, flags, mode);
}

int close(int fd)
{
    /* The child of a vfork closes handles of its own, but shares this memory until it runs another program. */
    if (file_behind(fd) == NONE || getpid() != process)
        return REAL(close)(fd);
    pthread_mutex_lock(&mutex);
    note(CLOSE, fd, file_behind(fd), 0, 0, NULL, 0);
    file_of[fd] = NONE;
    int result = REAL(close)(fd);
    pthread_mutex_unlock(&mutex);
    return result;
}

static ssize_t written(int fd, const void *bytes, size_t length, off64_t offset)
{
    FAIL_IF_ASKED(file_behind(fd), 0);
    pthread_mutex_lock(&mutex);
    ssize_t count = REAL(pwrite64)(fd, bytes, length, offset);
    if (count > 0)
        note(WRITE, fd, file_behind(fd), 0, offset, bytes, (size_t)count);
    pthread_mutex_unlock(&mutex);
    return count;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
    return file_behind(fd) == NONE ? REAL(pwrite64)(fd, bytes, length, offset) : written(fd, bytes, length, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    return file_behind(fd) == NONE ? REAL(pwrite)(fd, bytes, length, offset) : written(fd, bytes, length, offset);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    enum file file = file_behind(fd);
    if (file == NONE || file == SOCKET)
        return REAL(write)(fd, bytes, length);
    FAIL_IF_ASKED(file, 0);
    pthread_mutex_lock(&mutex);
    off64_t offset = lseek64(fd, 0, SEEK_CUR);
    ssize_t count = REAL(write)(fd, bytes, length);
    if (count > 0)
        note(WRITE, fd, file, 0, offset, bytes, (size_t)count);
    pthread_mutex_unlock(&mutex);
    return count;
}

static int truncated(int fd, off64_t size)
{
    if (file_behind(fd) == NONE)
        return REAL(ftruncate64)(fd, size);
    FAIL_IF_ASKED(file_behind(fd), 0);
    pthread_mutex_lock(&mutex);
    int result = REAL(ftruncate64)(fd, size);
    if (!result)
        note(TRUNCATE, fd, file_behind(fd), 0, size, NULL, 0);
    pthread_mutex_unlock(&mutex);
    return result;
}

int ftruncate(int fd, off_t size)
{
    return truncated(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    return truncated(fd, size);
}

/* Room set aside in advance would need a record of its own; SQLite asks for it only when told to, which nobody does. */
int posix_fallocate64(int fd, off64_t offset, off64_t length)
{
    if (file_behind(fd) == NONE)
        return REAL(posix_fallocate64)(fd, offset, length);
    return EINVAL;
}

int posix_fallocate(int fd, off_t offset, off_t length)
{
    return file_behind(fd) == NONE ? REAL(posix_fallocate)(fd, offset, length) : EINVAL;
}

/* fdatasync writes a changed size as well, for without it the data could not be read back: it counts as fsync. */
static int synced(int (*real)(int), int fd)
{
    enum file file = file_behind(fd);
    if (file == NONE || file == SOCKET)
        return real(fd);
    FAIL_IF_ASKED(file, 1);
    pthread_mutex_lock(&mutex);
    int result = log_fd < 0 ? real(fd) : 0;
    if (!result)
        note(SYNC, fd, file, 0, 0, NULL, 0);
    pthread_mutex_unlock(&mutex);
    return result;
}

int fsync(int fd)
{
    return synced(REAL(fsync), fd);
}

int fdatasync(int fd)
{
    return synced(REAL(fdatasync), fd);
}

int unlink(const char *path)
{
    enum file file = file_at(path);
    if (file == NONE)
        return REAL(unlink)(path);
    if (fault(file, 0) == EROFS) {
        errno = EROFS;
        return -1;
    }
    pthread_mutex_lock(&mutex);
    int result = REAL(unlink)(path);
    if (!result)
        note(UNLINK, -1, file, 0, 0, NULL, 0);
    pthread_mutex_unlock(&mutex);
    return result;
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    if (*database && fd >= 0 && fd < LARGEST_FD && (address->sa_family == AF_INET || address->sa_family == AF_INET6)) {
        pthread_mutex_lock(&mutex);
        file_of[fd] = SOCKET;
        note(OPEN, fd, SOCKET, 0, 0, NULL, 0);
        pthread_mutex_unlock(&mutex);
    }
    return REAL(connect)(fd, address, length);
}

/* Noted before the first byte leaves, for the other end may act on it at once; how much left is known afterwards. */
ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
    if (file_behind(fd) != SOCKET)
        return REAL(send)(fd, bytes, length, flags);
    pthread_mutex_lock(&mutex);
    note(SENDING, fd, SOCKET, 0, 0, NULL, 0);
    pthread_mutex_unlock(&mutex);
    arm(bytes, length);
    ssize_t count = REAL(send)(fd, bytes, length, flags);
    if (count > 0) {
        pthread_mutex_lock(&mutex);
        note(SENT, fd, SOCKET, 0, 0, bytes, (size_t)count);
        pthread_mutex_unlock(&mutex);
    }
    return count;
}
