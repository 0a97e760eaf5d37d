// SPDX-License-Identifier: GPL-2.0
/*
 * What a program does with a file of gmemfs.
 *
 *   gmem-file PATH ACTION...
 *
 * Actions, in the order given:
 *   uid=N           be user and group N from now on
 *   create ro rw wo ask   open the file: O_RDWR|O_CREAT, O_RDONLY, O_RDWR, O_WRONLY, and
 *                   with access mode 3, which is for ioctls only
 *   new excl exclro path   open it O_RDWR|O_CREAT|O_EXCL, O_RDWR|O_EXCL, O_RDONLY|O_EXCL,
 *                   O_PATH
 *   truncate=SIZE   ftruncate(), in MiB, or in bytes with a B behind the number
 *   bypath=SIZE     truncate() by a path that leads to the open file
 *   empty           open it once more by such a path, by access mode 3 and O_TRUNC
 *   allocate=SIZE   fallocate(), the same
 *   map             mmap() all of it, shared, for reading and, if it is so opened, writing
 *   mapro           the same for reading only; protect makes that a mapping for writing
 *   mapat=SKEW      map it so much behind an address that is a multiple of 1 GiB
 *   unmap           munmap() that
 *   share           say that other writers do no harm
 *   lock flock      take an open file's lock of it (F_OFD_SETLK), or a shared flock()
 *   settle          let all writers take another token before they write again
 *   token           print uuid, token and own token
 *   put=N poke=N  write the number N to its beginning, by pwrite(), or by the mapping
 *   direct=PATH     read a page of that file or disk into the mapping, by direct I/O
 *   wait=PATH       print "waiting" and wait until there is such a file
 *   fill=N verify=N zero   the pattern of seed N: write it; compare; or compare with zero
 *   stamp=N stamped=N   the same, but of each page one word only
 *   punch           punch all of it
 *   alarms          get a signal every 10 ms from now on, which ends no process
 *   write=SIZE      write so much to it, by one call
 *   badwrite=SIZE   the same from memory that is not there; half=SIZE: of which a half is there
 *   dropped=SIZE    write so much again and again, from memory of which another thread drops all
 *                   pages meanwhile, and compare each time; nothing: write and read
 *                   no bytes
 *   unlink          take the name away
 *   close           close it; a VM that has it goes on
 *   cpu=N           stay on that CPU
 *   bytes=N         N times, each by a call of its own, write a byte and read it back
 *   reserve=SIZE    fallocate() that keeps its length
 *   attach=ADDRESS  let it have the 2 MiB there, which are quarantined
 *   attachvm=ADDRESS  the same with the guest_memfd of vm= or private= in its place
 *   limit=N         of a directory: N names may be below it
 *   info            ask what it is; ranges: where its memory is
 *   rename=PATH     call it that; exchange=PATH exchanges the two
 *   vm=SIZE         let a VM of its own have it, by KVM_GMEM_PERSIST_HANDLE, and create it
 *                   if it has no memory: SIZE in MiB, 0 for any
 *   private=SIZE    the same with a protected VM, whose memory is private
 *   alone           fail if this process has another thread
 *   resource=SIZE   the same with a default VM by KVM_CREATE_GUEST_MEMFD, which needs the size
 *   hold            print "holding" and stay until killed
 *
 * Prints key=value lines. Exit status: 0; 1 if a comparison found a difference; 2 for a
 * usage error; 3 and "errno=NAME" if an action failed.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/gmem_persist.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "pattern.h"
#include "vmm.h"

#define PAGE	4096UL

static const char *path;
static int file = -1;
static int guest_memfd = -1;
static char *memory;
static uint64_t size;

/* In MiB, or in bytes with a B: for tests, and not what users may write */
static uint64_t parse_size(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	return *end == 'B' ? n : n << 20;
}

static bool read_directly(const char *from)
{
	const int fd = open(from, O_RDONLY | O_DIRECT);
	const bool done = fd >= 0 && read(fd, memory, PAGE) == PAGE;

	if (fd >= 0)
		close(fd);
	return done;
}

static bool open_file(int flags)
{
	file = open(path, flags, 0640);
	return file >= 0;
}

static bool truncate_by_path(uint64_t bytes)
{
	char link[32];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	return !truncate(link, bytes);
}

/* That mode is for ioctls, and neither reads nor writes, but O_TRUNC goes with it. */
static bool empty_by_path(void)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
	fd = open(name, O_ACCMODE | O_TRUNC);
	return fd >= 0 && !close(fd);
}

static bool attach(int fd, uint64_t address)
{
	struct gmem_persist_range_entry range = { .base = address, .size = 2 << 20 };
	struct gmem_persist_attach args = {
		.ranges = (uintptr_t)&range,
		.nr_ranges = 1,
		.granule = 2 << 20,
		.kind = GMEM_PERSIST_FILE_MEMORY,
	};

	return !ioctl(fd, GMEM_PERSIST_ATTACH, &args);
}

static bool get_info(void)
{
	struct gmem_persist_info info = {};
	struct stat st;

	if (ioctl(file, GMEM_PERSIST_GET_INFO, &info) || fstat(file, &st))
		return false;
	printf("info_size=%llu\ninfo_views=%u\ninfo_mtime=%lld%09ld\n", info.size, info.views,
	       (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	return true;
}

static bool limit_names(uint64_t n)
{
	struct gmem_persist_quota quota = { .max_names = n };

	return !ioctl(file, GMEM_PERSIST_SET_QUOTA, &quota);
}

static bool get_ranges(void)
{
	struct gmem_persist_range_entry range;
	struct gmem_persist_list list = { .entries = (uintptr_t)&range, .nr = 1 };

	return !ioctl(file, GMEM_PERSIST_GET_RANGES, &list) && list.nr == 1;
}

static bool map(bool write, char *at)
{
	int prot = PROT_READ;
	struct stat st;

	if (write && (fcntl(file, F_GETFL) & O_ACCMODE) == O_RDWR)
		prot |= PROT_WRITE;
	if (fstat(file, &st))
		return false;
	size = st.st_size;
	memory = mmap(at, size ?: 4096, prot, MAP_SHARED | (at ? MAP_FIXED : 0), file, 0);
	return memory != MAP_FAILED;
}

static bool map_at(uint64_t skew)
{
	const uint64_t gib = 1UL << 30;
	struct stat st;
	char *area;

	if (fstat(file, &st))
		return false;
	area = mmap(NULL, st.st_size + 2 * gib, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return false;
	return map(true, (char *)(((uintptr_t)area + gib - 1) & -gib) + skew);
}

/* A word each so many bytes */
static void fill(uint64_t seed, uint64_t step)
{
	for (uint64_t off = 0; off < size; off += step)
		*(uint64_t *)(memory + off) = pattern(off, seed);
}

static bool print_token(void)
{
	struct gmem_persist_view view = {};

	if (ioctl(file, GMEM_PERSIST_GET_VIEW, &view))
		return false;
	print_bytes("uuid", view.uuid, sizeof(view.uuid));
	print_bytes("token", view.token, sizeof(view.token));
	print_bytes("own_token", view.own_token, sizeof(view.own_token));
	return true;
}

static void wait_for(const char *name)
{
	for (puts("waiting"), fflush(stdout); access(name, F_OK);)
		usleep(10000);
}

static void compare(bool zero, uint64_t seed, uint64_t step)
{
	uint64_t off, compared = 0, different = 0;

	for (off = 0; off < size; off += step, compared += 8)
		if (*(uint64_t *)(memory + off) != (zero ? 0 : pattern(off, seed)))
			different += 8;
	printf("compared=%lu\ndifferent=%lu\n", compared, different);
	if (!size || different)
		exit(1);
}

static bool stay_on_cpu(uint64_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

static bool move_bytes(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		uint8_t byte = i, back;

		if (pwrite(file, &byte, 1, i) != 1 || pread(file, &back, 1, i) != 1)
			return false;
		if (back != byte)
			errx(1, "byte %lu is not what was written", i);
	}
	return true;
}

static void ignore(int signal)
{
}

static bool get_alarms(void)
{
	const struct sigaction action = { .sa_handler = ignore };
	const struct itimerval often = { { 0, 10000 }, { 0, 10000 } };

	return !sigaction(SIGALRM, &action, NULL) && !setitimer(ITIMER_REAL, &often, NULL);
}

/* From a buffer of which the first @there bytes are there. */
static bool write_from(uint64_t there, uint64_t bytes)
{
	char *from = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ssize_t done;

	if (from == MAP_FAILED || (there < bytes && munmap(from + there, bytes - there)))
		err(1, "buffer");
	done = pwrite(file, from, bytes, 0);
	if (done >= 0 && done != there)
		errx(1, "%zd bytes are written, not %lu", done, there);
	return done >= 0;
}

/* Pages of a file: what is dropped comes back as it was. */
struct dropped {
	char *memory;
	uint64_t bytes;
	atomic_bool end;
};

static void *drop(void *arg)
{
	struct dropped *dropped = arg;

	while (!dropped->end)
		if (madvise(dropped->memory, dropped->bytes, MADV_DONTNEED))
			err(1, "MADV_DONTNEED");
	return NULL;
}

static bool write_dropped(uint64_t bytes)
{
	struct dropped from = { .bytes = bytes };
	int pages = memfd_create("dropped", 0);
	char *back = malloc(bytes);
	bool ok = true;
	pthread_t other;

	if (pages == -1 || ftruncate(pages, bytes) || !back)
		err(1, "buffer");
	from.memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, pages, 0);
	if (from.memory == MAP_FAILED || pthread_create(&other, NULL, drop, &from))
		err(1, "buffer");
	for (uint64_t round = 1; ok && round <= 20; round++) {
		for (uint64_t i = 0; i < bytes; i += sizeof(i))
			*(uint64_t *)(from.memory + i) = pattern(i, round);
		ok = pwrite(file, from.memory, bytes, 0) == (ssize_t)bytes &&
		     pread(file, back, bytes, 0) == (ssize_t)bytes;
		if (ok && memcmp(from.memory, back, bytes))
			errx(1, "round %lu: what is read is not what was written", round);
	}
	from.end = true;
	pthread_join(other, NULL);
	return ok;
}

/* Neither has anything to say of no bytes, wherever they are. */
static bool move_nothing(void)
{
	return !pwrite(file, NULL, 0, 1) && !pread(file, NULL, 0, 1) &&
	       !pread(file, NULL, 0, INT64_MAX);
}

static bool use_in_vm(uint64_t bytes, unsigned long type)
{
	struct kvm_gmem_persist gmem = {
		.op = KVM_GMEM_PERSIST_CREATE_OR_RECLAIM | KVM_GMEM_PERSIST_HANDLE,
		.handle = file,
		.size = bytes,
	};
	int vm = create_vm(open_kvm(), type);

	if (type == KVM_X86_DEFAULT_VM)
		gmem.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	guest_memfd = ioctl(vm, KVM_GMEM_PERSIST, &gmem);
	if (guest_memfd < 0)
		return false;
	printf("size=%llu\n", gmem.size);
	print_bytes("token", gmem.token, sizeof(gmem.token));
	return true;
}

/* With a second thread, nobody could do this. */
static bool is_alone(void)
{
	return !unshare(CLONE_VM);
}

static bool use_as_resource(uint64_t bytes)
{
	struct kvm_create_guest_memfd gmem = {
		.size = bytes,
		.flags = GUEST_MEMFD_FLAG_USE_RESOURCE | GUEST_MEMFD_FLAG_MMAP |
			 GUEST_MEMFD_FLAG_INIT_SHARED,
		.resource_fd = file,
	};

	return ioctl(create_vm(open_kvm(), KVM_X86_DEFAULT_VM), KVM_CREATE_GUEST_MEMFD,
		     &gmem) >= 0;
}

static bool act(const char *action)
{
	const char *value = strchr(action, '=');
	uint64_t n = value ? strtoull(++value, NULL, 0) : 0;
	size_t len = value ? value - action : strlen(action);

#define IS(name) (len == strlen(name) && !strncmp(action, name, len))
	if (IS("uid="))
		return !setgid(n) && !setuid(n);
	if (IS("create"))
		return open_file(O_RDWR | O_CREAT);
	if (IS("ro"))
		return open_file(O_RDONLY);
	if (IS("rw"))
		return open_file(O_RDWR);
	if (IS("ask"))
		return open_file(O_ACCMODE);
	if (IS("wo"))
		return open_file(O_WRONLY);
	if (IS("new"))
		return open_file(O_RDWR | O_CREAT | O_EXCL);
	if (IS("excl"))
		return open_file(O_RDWR | O_EXCL);
	if (IS("exclro"))
		return open_file(O_RDONLY | O_EXCL);
	if (IS("path"))
		return open_file(O_PATH);
	if (IS("alarms"))
		return get_alarms();
	if (IS("write="))
		return write_from(parse_size(value), parse_size(value));
	if (IS("badwrite="))
		return write_from(0, parse_size(value));
	if (IS("half="))
		return write_from(parse_size(value) / 2, parse_size(value));
	if (IS("dropped="))
		return write_dropped(parse_size(value));
	if (IS("nothing"))
		return move_nothing();
	if (IS("cpu="))
		return stay_on_cpu(n);
	if (IS("alone"))
		return is_alone();
	if (IS("bytes="))
		return move_bytes(n);
	if (IS("info"))
		return get_info();
	if (IS("ranges"))
		return get_ranges();
	if (IS("bypath="))
		return truncate_by_path(parse_size(value));
	if (IS("empty"))
		return empty_by_path();
	if (IS("truncate="))
		return !ftruncate(file, parse_size(value));
	if (IS("allocate="))
		return !fallocate(file, 0, 0, parse_size(value));
	if (IS("reserve="))
		return !fallocate(file, FALLOC_FL_KEEP_SIZE, 0, parse_size(value));
	if (IS("attach="))
		return attach(file, n);
	if (IS("attachvm="))
		return attach(guest_memfd, n);
	if (IS("limit="))
		return limit_names(n);
	if (IS("punch"))
		return !fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, size);
	if (IS("rename="))
		return !rename(path, value);
	if (IS("exchange="))
		return !renameat2(AT_FDCWD, path, AT_FDCWD, value, RENAME_EXCHANGE);
	if (IS("map"))
		return map(true, NULL);
	if (IS("mapro"))
		return map(false, NULL);
	if (IS("mapat="))
		return map_at(parse_size(value));
	if (IS("protect"))
		return !mprotect(memory, size, PROT_READ | PROT_WRITE);
	if (IS("unmap"))
		return !munmap(memory, size);
	if (IS("share"))
		return !ioctl(file, GMEM_PERSIST_SHARE);
	if (IS("lock"))
		return !fcntl(file, F_OFD_SETLK, &(struct flock){ .l_type = F_WRLCK });
	if (IS("flock"))
		return !flock(file, LOCK_SH);
	if (IS("settle"))
		return !ioctl(file, GMEM_PERSIST_SETTLE);
	if (IS("token"))
		return print_token();
	if (IS("put="))
		return pwrite(file, &n, sizeof(n), 0) == sizeof(n);
	if (IS("direct="))
		return read_directly(value);
	if (IS("close"))
		return !close(file);
	if (IS("unlink"))
		return !unlink(path);
	if (IS("vm="))
		return use_in_vm(n << 20, KVM_X86_DEFAULT_VM);
	if (IS("private="))
		return use_in_vm(n << 20, KVM_X86_SW_PROTECTED_VM);
	if (IS("resource="))
		return use_as_resource(n << 20);
	if (IS("fill="))
		fill(n, 8);
	else if (IS("stamp="))
		fill(n, PAGE);
	else if (IS("poke="))
		*(volatile uint64_t *)memory = n;
	else if (IS("wait="))
		wait_for(value);
	else if (IS("verify="))
		compare(false, n, 8);
	else if (IS("stamped="))
		compare(false, n, PAGE);
	else if (IS("zero"))
		compare(true, 0, 8);
	else if (IS("hold"))
		for (puts("holding"), fflush(stdout);;)
			pause();
	else
		errx(2, "unknown action %s", action);
	return true;
#undef IS
}

int main(int argc, char **argv)
{
	if (argc < 3)
		errx(2, "usage: gmem-file PATH ACTION...");
	path = argv[1];
	for (int i = 2; i < argc; i++) {
		if (act(argv[i]))
			continue;
		printf("failed=%s\nerrno=%s\n", argv[i], strerrorname_np(errno));
		return 3;
	}
	return 0;
}
