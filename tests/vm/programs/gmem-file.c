// SPDX-License-Identifier: GPL-2.0
/*
 * What a program does with a file of gmemfs.
 *
 *   gmem-file PATH ACTION...
 *
 * Actions, in the order given:
 *   uid=N           be user and group N from now on
 *   create ro rw    open the file: O_RDWR|O_CREAT, O_RDONLY, O_RDWR
 *   new excl exclro path   open it O_RDWR|O_CREAT|O_EXCL, O_RDWR|O_EXCL, O_RDONLY|O_EXCL,
 *                   O_PATH
 *   truncate=SIZE   ftruncate(), in MiB, or in bytes with a B behind the number
 *   bypath=SIZE     truncate() by a path that leads to the open file
 *   allocate=SIZE   fallocate(), the same
 *   map             mmap() all of it, shared, for reading and, if it is so opened, writing
 *   fill=N verify=N zero   the pattern of seed N: write it; compare; or compare with zero
 *   punch           punch all of it
 *   unlink          take the name away
 *   read=PATH       read something else
 *   rename=PATH     call it that; exchange=PATH exchanges the two
 *   vm=SIZE         let a VM of its own have it, by KVM_GMEM_PERSIST_HANDLE, and create it
 *                   if it has no memory: SIZE in MiB, 0 for any
 *   private=SIZE    the same with a protected VM, whose memory is private
 *   hold            print "holding" and stay until killed
 *
 * Prints key=value lines. Exit status: 0; 1 if a comparison found a difference; 2 for a
 * usage error; 3 and "errno=NAME" if an action failed.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
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

static const char *path;
static int file = -1;
static char *memory;
static uint64_t size;

static uint64_t parse_size(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	return *end == 'B' ? n : n << 20;
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

static bool read_file(const char *name)
{
	char byte;
	int fd = open(name, O_RDONLY);

	return fd >= 0 && read(fd, &byte, 1) == 1;
}

static bool map(void)
{
	int prot = PROT_READ;
	struct stat st;

	if ((fcntl(file, F_GETFL) & O_ACCMODE) == O_RDWR)
		prot |= PROT_WRITE;
	if (fstat(file, &st))
		return false;
	size = st.st_size;
	memory = mmap(NULL, size ?: 4096, prot, MAP_SHARED, file, 0);
	return memory != MAP_FAILED;
}

static void fill(uint64_t seed)
{
	for (uint64_t off = 0; off < size; off += 8)
		*(uint64_t *)(memory + off) = pattern(off, seed);
}

static void compare(bool zero, uint64_t seed)
{
	uint64_t off, different = 0;

	for (off = 0; off < size; off += 8)
		if (*(uint64_t *)(memory + off) != (zero ? 0 : pattern(off, seed)))
			different += 8;
	printf("compared=%lu\ndifferent=%lu\n", size, different);
	if (!size || different)
		exit(1);
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
	if (ioctl(vm, KVM_GMEM_PERSIST, &gmem) < 0)
		return false;
	printf("size=%llu\nepoch=%llu\n", gmem.size, gmem.epoch);
	return true;
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
	if (IS("new"))
		return open_file(O_RDWR | O_CREAT | O_EXCL);
	if (IS("excl"))
		return open_file(O_RDWR | O_EXCL);
	if (IS("exclro"))
		return open_file(O_RDONLY | O_EXCL);
	if (IS("path"))
		return open_file(O_PATH);
	if (IS("read="))
		return read_file(value);
	if (IS("bypath="))
		return truncate_by_path(parse_size(value));
	if (IS("truncate="))
		return !ftruncate(file, parse_size(value));
	if (IS("allocate="))
		return !fallocate(file, 0, 0, parse_size(value));
	if (IS("punch"))
		return !fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, size);
	if (IS("rename="))
		return !rename(path, value);
	if (IS("exchange="))
		return !renameat2(AT_FDCWD, path, AT_FDCWD, value, RENAME_EXCHANGE);
	if (IS("map"))
		return map();
	if (IS("unlink"))
		return !unlink(path);
	if (IS("vm="))
		return use_in_vm(n << 20, KVM_X86_DEFAULT_VM);
	if (IS("private="))
		return use_in_vm(n << 20, KVM_X86_SW_PROTECTED_VM);
	if (IS("fill="))
		fill(n);
	else if (IS("verify="))
		compare(false, n);
	else if (IS("zero"))
		compare(true, 0);
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
