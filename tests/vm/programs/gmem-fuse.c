// SPDX-License-Identifier: GPL-2.0
/*
 * Transfers between memory of the pool and a file system that takes the pages of what is read
 * and written, which there are none of: FUSE without a cache.
 *
 *   gmem-fuse MEMORY PLACE
 *
 * MEMORY is a file of gmemfs of 2 MiB or more. PLACE is a file, on which another one is mounted that
 * this program serves. Prints what each transfer gives, as "WHAT: bytes" or "WHAT: errno".
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE		4096
#define SIZE		(16 * PAGE)

static char content[SIZE], request[SIZE + PAGE], reply[SIZE + PAGE];

/* One request. Returns how much the answer has behind its header, or -errno. */
static int answer(const struct fuse_in_header *in, void *out)
{
	const void *arg = in + 1;
	const struct fuse_read_in *r = arg;
	const struct fuse_write_in *w = arg;

	switch (in->opcode) {
	case FUSE_INIT:
		*(struct fuse_init_out *)out = (struct fuse_init_out) {
			.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION,
			.max_write = SIZE,
		};
		return sizeof(struct fuse_init_out);
	case FUSE_GETATTR:
		*(struct fuse_attr_out *)out = (struct fuse_attr_out) {
			.attr = { .ino = 1, .size = SIZE, .mode = S_IFREG | 0600, .nlink = 1 },
		};
		return sizeof(struct fuse_attr_out);
	case FUSE_OPEN:
		*(struct fuse_open_out *)out = (struct fuse_open_out) {
			.open_flags = FOPEN_DIRECT_IO,
		};
		return sizeof(struct fuse_open_out);
	case FUSE_READ:
		memcpy(out, content + r->offset, r->size);
		return r->size;
	case FUSE_WRITE:
		memcpy(content + w->offset, w + 1, w->size);
		*(struct fuse_write_out *)out = (struct fuse_write_out) { .size = w->size };
		return sizeof(struct fuse_write_out);
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static void serve(int dev)
{
	const struct fuse_in_header *in = (void *)request;
	struct fuse_out_header *out = (void *)reply;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(dev, request, sizeof(request)) > 0) {
		int len = answer(in, out + 1);

		*out = (struct fuse_out_header) {
			.len = sizeof(*out) + (len > 0 ? len : 0),
			.error = len < 0 ? len : 0, .unique = in->unique,
		};
		if (write(dev, reply, out->len) < 0 && errno != ENOENT)
			err(1, "answering");
	}
	exit(0);
}

static void mount_file(const char *place)
{
	const int dev = open("/dev/fuse", O_RDWR);
	char options[64];
	pid_t pid;

	snprintf(options, sizeof(options), "fd=%d,rootmode=100600,user_id=0,group_id=0", dev);
	if (dev < 0 || mount("fuse", place, "fuse", 0, options))
		err(1, "FUSE");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid)
		serve(dev);
	close(dev);
}

static void tell(const char *what, ssize_t n)
{
	if (n < 0)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: %zd\n", what, n);
}

/* A page of ordinary memory, and one of the pool */
static void transfers(const char *how, int fd, char *plain, char *pool)
{
	struct iovec both[] = { { plain, PAGE }, { pool, PAGE } };
	char what[64];

	for (int i = 0; i < 2; i++) {
		snprintf(what, sizeof(what), "%s%s ordinary", how, i ? "write" : "read");
		tell(what, i ? pwrite(fd, plain, PAGE, 0) : pread(fd, plain, PAGE, 0));
		snprintf(what, sizeof(what), "%s%s pool", how, i ? "write" : "read");
		tell(what, i ? pwrite(fd, pool, PAGE, 0) : pread(fd, pool, PAGE, 0));
		snprintf(what, sizeof(what), "%s%s both", how, i ? "write" : "read");
		tell(what, i ? pwritev(fd, both, 2, 0) : preadv(fd, both, 2, 0));
	}
}

int main(int argc, char **argv)
{
	static char plain[PAGE] __attribute__((aligned(PAGE)));
	char *pool;
	int memory, fd;

	if (argc != 3)
		errx(2, "usage: gmem-fuse MEMORY PLACE");
	memory = open(argv[1], O_RDWR);
	pool = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (memory < 0 || pool == MAP_FAILED)
		err(1, "%s", argv[1]);
	memset(pool, 1, PAGE);
	mount_file(argv[2]);
	fd = open(argv[2], O_RDWR);
	if (fd < 0)
		err(1, "%s", argv[2]);
	transfers("", fd, plain, pool);
	fd = open(argv[2], O_RDWR | O_DIRECT);
	if (fd < 0)
		err(1, "%s by O_DIRECT", argv[2]);
	transfers("O_DIRECT ", fd, plain, pool);
	if (pread(fd, pool, PAGE, 0) != PAGE || memcmp(pool, content, PAGE))
		errx(1, "other bytes");
	umount(argv[2]);
	return 0;
}
