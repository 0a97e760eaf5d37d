// SPDX-License-Identifier: GPL-2.0
/*
 * What a program does with a session of the live update orchestrator, and handles in it.
 *
 *   gmem-luo ACTION...
 *
 * Actions, in the order given:
 *   create=NAME session=NAME   make a session for the next kernel; retrieve one of the last
 *   in=N            go on with the session that we were given as that descriptor
 *   rw=PATH ro=PATH wo=PATH append=PATH   open a file for that, and go on with it
 *   excl=PATH dir=PATH ask=PATH   likewise, exclusively; a directory; to ask what it is
 *   fd=N            go on with the file that we were given as that descriptor
 *   tmp=PATH        a new file without a name, in that directory; memfd: one that is not ours
 *   keep=TOKEN      let the session have the file
 *   get=TOKEN       go on with the file that the session has
 *   finish drop     finish the session; close it
 *   close           close the file
 *   truncate=SIZE   ftruncate(), in MiB; punch: punch all of it
 *   fill=N verify=N the pattern of seed N by a mapping: write it; compare
 *   write=TEXT      write() that; read=TEXT: read() as much from where the file is, and compare
 *   seek=N          go there; at=N: expect to be there
 *   mode=WORD       expect to have it open that way: ro, rw, wo, append
 *   same=PATH       expect it to be the same file; size=SIZE: expect that size, in MiB
 *   vm=SIZE         let a VM of its own have it
 *   spoil=WORD      change what the last kernel wrote of a handle of the file, wherever that is:
 *                   its checksum, its flags or its slot
 *   nth=N           the N-th allocation from now on fails, once
 *   retry=TOKEN     go on with the file that the session has, and if that fails, once more
 *   starve          all allocations of ours fail from now on, if failslab and fail_page_alloc have
 *                   been told to look at make-it-fail; fed: no more
 *   wait=PATH       print "waiting" and wait until there is such a file
 *   hold            print "holding" and stay until killed
 *   ERRNO:ACTION    expect the action to fail with that
 *
 * Exit status: 0; 1 if something was not as expected; 2 for a usage error; 3 and "errno=NAME"
 * if an action failed.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/gmem_persist.h>
#include <linux/kvm.h>
#include <linux/liveupdate.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pattern.h"
#include "vmm.h"

static int file = -1;
static int session = -1;

static void expect(bool right, const char *what)
{
	if (!right)
		errx(1, "%s", what);
}

/* Make a session, or retrieve one: the arguments are alike. */
static bool open_session(unsigned long cmd, const char *name)
{
	struct liveupdate_ioctl_create_session arg = { .size = sizeof(arg) };
	int luo = open("/dev/liveupdate", O_RDWR | O_CLOEXEC), error;
	bool done;

	_Static_assert(sizeof(arg) == sizeof(struct liveupdate_ioctl_retrieve_session));
	snprintf((char *)arg.name, sizeof(arg.name), "%s", name);
	done = luo >= 0 && !ioctl(luo, cmd, &arg);
	error = errno;
	session = arg.fd;
	/* One process at a time may have it. */
	close(luo);
	errno = error;
	return done;
}

static bool keep(uint64_t token)
{
	struct liveupdate_session_preserve_fd arg = {
		.size = sizeof(arg), .fd = file, .token = token,
	};

	return !ioctl(session, LIVEUPDATE_SESSION_PRESERVE_FD, &arg);
}

static bool get(uint64_t token)
{
	struct liveupdate_session_retrieve_fd arg = { .size = sizeof(arg), .token = token };

	if (ioctl(session, LIVEUPDATE_SESSION_RETRIEVE_FD, &arg))
		return false;
	file = arg.fd;
	return true;
}

static bool finish(void)
{
	struct liveupdate_session_finish arg = { .size = sizeof(arg) };

	return !ioctl(session, LIVEUPDATE_SESSION_FINISH, &arg);
}

static bool open_file(const char *path, int flags)
{
	file = open(path, flags, 0600);
	return file >= 0;
}

static bool make_memfd(void)
{
	file = memfd_create("memfd", 0);
	return file >= 0;
}

static uint64_t file_size(void)
{
	struct stat st;

	if (fstat(file, &st))
		err(1, "fstat");
	return st.st_size;
}

static uint64_t *map(int prot)
{
	uint64_t size = file_size(), *memory = mmap(NULL, size, prot, MAP_SHARED, file, 0);

	if (memory == MAP_FAILED)
		err(1, "mmap");
	return memory;
}

static void fill(uint64_t seed)
{
	uint64_t size = file_size(), *memory = map(PROT_READ | PROT_WRITE);

	for (uint64_t off = 0; off < size; off += 8)
		memory[off / 8] = pattern(off, seed);
	munmap(memory, size);
}

static void verify(uint64_t seed)
{
	uint64_t size = file_size(), *memory = map(PROT_READ), different = 0;

	for (uint64_t off = 0; off < size; off += 8)
		different += memory[off / 8] != pattern(off, seed);
	printf("compared=%lu\ndifferent=%lu\n", size, different * 8);
	expect(!different, "other contents");
	munmap(memory, size);
}

static bool write_text(const char *text)
{
	return write(file, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool read_text(const char *text)
{
	char buffer[256] = {};
	ssize_t n = read(file, buffer, strlen(text));

	if (n < 0)
		return false;
	expect(!strcmp(buffer, text), "other text");
	return true;
}

static void check_mode(const char *mode)
{
	const int flags = fcntl(file, F_GETFL);
	const char *is = (flags & O_ACCMODE) == O_RDONLY ? "ro" :
			 (flags & O_ACCMODE) == O_WRONLY ? "wo" :
			 flags & O_APPEND ? "append" : "rw";

	printf("mode=%s\n", is);
	expect(!strcmp(is, mode), "another mode");
}

static bool check_same(const char *path)
{
	struct stat a, b;

	if (fstat(file, &a) || stat(path, &b))
		return false;
	expect(a.st_dev == b.st_dev && a.st_ino == b.st_ino, "another file");
	return true;
}

static bool use_in_vm(uint64_t size)
{
	struct kvm_gmem_persist gmem = {
		.op = KVM_GMEM_PERSIST_RECLAIM | KVM_GMEM_PERSIST_HANDLE,
		.handle = file,
		.size = size,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
	};

	return ioctl(create_vm(open_kvm(), KVM_X86_DEFAULT_VM), KVM_GMEM_PERSIST, &gmem) >= 0;
}

static uint32_t crc32(const uint8_t *bytes, size_t n)
{
	uint32_t crc = ~0;

	while (n--) {
		crc ^= *bytes++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return crc;
}

/* As in include/linux/kho/abi/gmem_persist.h */
struct handle {
	uint32_t crc;
	uint32_t flags;
	uint8_t uuid[16];
	uint64_t slot;
	uint64_t pos;
};

static uint32_t crc_of(const struct handle *h)
{
	return crc32((const uint8_t *)h + 4, sizeof(*h) - 4);
}

static void spoil_handle(struct handle *h, const char *what)
{
	if (!strcmp(what, "flags"))
		h->flags |= 1 << 31;
	else if (!strcmp(what, "slot"))
		h->slot++;
	h->crc = crc_of(h);
	if (!strcmp(what, "checksum"))
		h->crc++;
}

/* It is at the beginning of a page of System RAM, and the kernel takes no parts of pages. */
static bool spoil(const char *what)
{
	struct gmem_persist_view view = {};
	unsigned long long first, last;
	FILE *ram = fopen("/proc/iomem", "r");
	int mem = open("/dev/mem", O_RDWR);
	struct handle h;
	char line[128];

	if (!ram || mem < 0 || ioctl(file, GMEM_PERSIST_GET_VIEW, &view))
		return false;
	while (fgets(line, sizeof(line), ram)) {
		if (sscanf(line, "%llx-%llx : System RAM", &first, &last) != 2 ||
		    !strstr(line, ": System RAM"))
			continue;
		for (; first + 4095 <= last; first += 4096) {
			if (pread(mem, &h, sizeof(h), first) != sizeof(h) ||
			    memcmp(h.uuid, view.uuid, 16) || h.crc != crc_of(&h))
				continue;
			spoil_handle(&h, what);
			return pwrite(mem, &h, sizeof(h), first) == sizeof(h);
		}
	}
	errx(1, "no handle of it was found");
}

static void write_proc(int fd, const char *text)
{
	if (fd < 0 || pwrite(fd, text, strlen(text), 0) < 0)
		err(1, "writing to /proc");
}

/* Both files are opened while there is memory for that. */
static void fail_the(const char *nth)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/proc/thread-self/fail-nth", O_RDWR);
	write_proc(fd, nth);
}

static void starve(bool begin)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/proc/self/make-it-fail", O_RDWR);
	/* Nor is there memory for a page that is touched for the first time. */
	if (mlockall(MCL_CURRENT))
		err(1, "mlockall");
	write_proc(fd, begin ? "1" : "0");
}

/* An allocation may have failed before LUO has asked for the file, and that is no loss. */
static bool retry(uint64_t token)
{
	bool first = get(token);

	fail_the("0");
	printf("first=%s\n", first ? "done" : strerrorname_np(errno));
	return first || get(token);
}

static void wait_for(const char *name)
{
	for (puts("waiting"), fflush(stdout); access(name, F_OK);)
		usleep(10000);
}

static bool act(const char *action)
{
	const char *value = strchr(action, '=');
	uint64_t n = value ? strtoull(++value, NULL, 0) : 0;
	size_t len = value ? value - action : strlen(action);

#define IS(name) (len == strlen(name) && !strncmp(action, name, len))
	if (IS("create="))
		return open_session(LIVEUPDATE_IOCTL_CREATE_SESSION, value);
	if (IS("session="))
		return open_session(LIVEUPDATE_IOCTL_RETRIEVE_SESSION, value);
	if (IS("in=")) {
		session = n;
		return true;
	}
	if (IS("fd=")) {
		file = n;
		return true;
	}
	if (IS("keep="))
		return keep(n);
	if (IS("get="))
		return get(n);
	if (IS("finish"))
		return finish();
	if (IS("drop"))
		return !close(session);
	if (IS("rw="))
		return open_file(value, O_RDWR);
	if (IS("ro="))
		return open_file(value, O_RDONLY);
	if (IS("wo="))
		return open_file(value, O_WRONLY);
	if (IS("append="))
		return open_file(value, O_RDWR | O_APPEND);
	if (IS("excl="))
		return open_file(value, O_RDWR | O_EXCL);
	if (IS("ask="))
		return open_file(value, O_ACCMODE);
	if (IS("dir="))
		return open_file(value, O_RDONLY | O_DIRECTORY);
	if (IS("tmp="))
		return open_file(value, O_RDWR | O_TMPFILE);
	if (IS("memfd"))
		return make_memfd();
	if (IS("close"))
		return !close(file);
	if (IS("truncate="))
		return !ftruncate(file, n << 20);
	if (IS("punch"))
		return !fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, file_size());
	if (IS("write="))
		return write_text(value);
	if (IS("read="))
		return read_text(value);
	if (IS("seek="))
		return lseek(file, n, SEEK_SET) == (off_t)n;
	if (IS("same="))
		return check_same(value);
	if (IS("spoil="))
		return spoil(value);
	if (IS("vm="))
		return use_in_vm(n << 20);
	if (IS("retry="))
		return retry(n);
	if (IS("fill="))
		fill(n);
	else if (IS("verify="))
		verify(n);
	else if (IS("at="))
		expect(lseek(file, 0, SEEK_CUR) == (off_t)n, "another position");
	else if (IS("size="))
		expect(file_size() == n << 20, "another size");
	else if (IS("mode="))
		check_mode(value);
	else if (IS("nth="))
		fail_the(value);
	else if (IS("starve") || IS("fed"))
		starve(*action == 's');
	else if (IS("wait="))
		wait_for(value);
	else if (IS("hold"))
		for (puts("holding"), fflush(stdout);;)
			pause();
	else
		errx(2, "unknown action %s", action);
	return true;
#undef IS
}

static bool fails_with(const char *name, const char *action)
{
	if (act(action))
		errx(1, "%s did not fail", action);
	return !strncmp(name, strerrorname_np(errno), strcspn(name, ":"));
}

int main(int argc, char **argv)
{
	if (argc < 2)
		errx(2, "usage: gmem-luo ACTION...");
	for (int i = 1; i < argc; i++) {
		const char *colon = strchr(argv[i], ':');

		if (colon ? fails_with(argv[i], colon + 1) : act(argv[i]))
			continue;
		printf("failed=%s\nerrno=%s\n", argv[i], strerrorname_np(errno));
		return 3;
	}
	return 0;
}
