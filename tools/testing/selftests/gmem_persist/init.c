// SPDX-License-Identifier: GPL-2.0
/*
 * First process of both kernels of vmtest.sh.
 *
 * Under the first one it makes a file of gmemfs, which is a named object of the pool, fills it
 * with a pattern, lets a guest run in it, and goes to the second one by kexec. There the same
 * file must have the same bytes, and the guest's program, which nobody loads again, goes on
 * counting where it was.
 *
 * What it finds goes to the second serial port, a line "pass TEXT", "fail TEXT" or "skip TEXT"
 * for each check; the kernel's messages are on the first one, and would cut lines in two.
 *
 * For nolibc, so that nothing but the tree and a compiler is needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <asm/ioctls.h>
#include <linux/kexec.h>
#include <linux/kvm.h>

#define COMMAND_LINE_SIZE	2048	/* as in arch/x86/include/asm/setup.h */
#define SECOND			"gmem_persist_test.second"

#define OBJECT			"/gmem/vm0"
#define OBJECT_SIZE		(16UL << 20)
#define PAGE			4096UL

/* The guest runs in the first two pages of its memory; the pattern is in all others. */
#define GUEST_CODE		0
#define GUEST_COUNTER		0x1000

static int report;	/* the second serial port */

static bool check(bool good, const char *what)
{
	dprintf(report, "%s %s\n", good ? "pass" : "fail", what);
	return good;
}

/* End this kernel when the port has sent all. */
static void leave(int how)
{
	ioctl(report, TCSBRK, 1);
	reboot(how);
}

/* An end that is none of the kernel's doing: the script sees that checks are missing. */
static void give_up(const char *what)
{
	dprintf(report, "fail %s: errno %d\n", what, errno);
	leave(RB_AUTOBOOT);
}

static int mount_all(void)
{
	mkdir("/gmem", 0700);
	if (mount("devtmpfs", "/dev", "devtmpfs", 0, NULL) && errno != EBUSY)
		return -1;
	if (mount("proc", "/proc", "proc", 0, NULL))
		return -1;
	return mount("sysfs", "/sys", "sysfs", 0, NULL);
}

/* A text file, without the newline at its end */
static ssize_t read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t len;

	if (fd < 0)
		return -1;
	len = read(fd, text, size - 1);
	close(fd);
	if (len < 0)
		return -1;
	if (len && text[len - 1] == '\n')
		len--;
	text[len] = 0;
	return len;
}

static bool pool_says(const char *file, const char *expected)
{
	char path[128], text[64];

	snprintf(path, sizeof(path), "/sys/kernel/mm/gmem_persist/%s", file);
	return read_text(path, text, sizeof(text)) >= 0 && !strcmp(text, expected);
}

/* What is at an offset of the object: no two words are the same, and none is 0. */
static uint64_t pattern(unsigned long offset)
{
	return (offset + 1) * 0x9e3779b97f4a7c15ULL;
}

static void fill(uint8_t *memory)
{
	unsigned long at;

	for (at = 2 * PAGE; at < OBJECT_SIZE; at += sizeof(uint64_t))
		*(uint64_t *)(memory + at) = pattern(at);
}

static bool is_filled(const uint8_t *memory)
{
	unsigned long at;

	for (at = 2 * PAGE; at < OBJECT_SIZE; at += sizeof(uint64_t)) {
		if (*(const uint64_t *)(memory + at) != pattern(at)) {
			dprintf(report, "# offset %#lx: %#lx, not %#lx\n", at,
				(unsigned long)*(const uint64_t *)(memory + at),
				(unsigned long)pattern(at));
			return false;
		}
	}
	return true;
}

static uint8_t *map_object(int fd)
{
	void *memory = mmap(NULL, OBJECT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* It counts in its own memory, and tells how far it is: in real mode, with all segments 0. */
static void load_guest(uint8_t *memory)
{
	static const uint8_t code[] = {
		0xff, 0x06, GUEST_COUNTER & 0xff, GUEST_COUNTER >> 8,	/* incw counter */
		0xa1, GUEST_COUNTER & 0xff, GUEST_COUNTER >> 8,		/* mov counter, %ax */
		0xe7, 0x10,						/* out %ax, $0x10 */
		0xf4,							/* hlt */
	};

	memcpy(memory + GUEST_CODE, code, sizeof(code));
}

/* A VM without memory, and its only vCPU; -1 if there cannot be one here */
static int make_vm(int *vcpu, struct kvm_run **run)
{
	int kvm = open("/dev/kvm", O_RDWR);
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);

	*vcpu = vm < 0 ? -1 : ioctl(vm, KVM_CREATE_VCPU, 0);
	if (*vcpu < 0)
		return -1;
	*run = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
		    MAP_SHARED, *vcpu, 0);
	return *run == MAP_FAILED ? -1 : vm;
}

/* Let the guest run until it has told its count, which is to be that. */
static void run_guest(uint8_t *memory, unsigned int expected, const char *what)
{
	struct kvm_userspace_memory_region slot = {
		.memory_size = OBJECT_SIZE,
		.userspace_addr = (unsigned long)memory,
	};
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 2 };
	struct kvm_run *run;
	unsigned int told = 0;
	int vm, vcpu;

	vm = make_vm(&vcpu, &run);
	if (vm < 0) {
		dprintf(report, "skip %s: no KVM here\n", what);
		return;
	}
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) || ioctl(vcpu, KVM_GET_SREGS, &sregs))
		give_up("VM");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs))
		give_up("vCPU");
	if (!ioctl(vcpu, KVM_RUN, 0) && run->exit_reason == KVM_EXIT_IO)
		told = *(uint16_t *)((uint8_t *)run + run->io.data_offset);
	if (!check(told == expected, what))
		dprintf(report, "# it told %u, not %u; exit reason %u\n", told, expected,
			run->exit_reason);
	close(vcpu);
	close(vm);
}

static int load_next(char *cmdline)
{
	int kernel = open("/kernel", O_RDONLY);
	int initrd = open("/initrd", O_RDONLY);
	size_t len;

	if (kernel < 0 || initrd < 0)
		return -1;
	strlcat(cmdline, " " SECOND, COMMAND_LINE_SIZE);
	/* A function that is called among the arguments would overwrite those that are set. */
	len = strlen(cmdline) + 1;
	return syscall(__NR_kexec_file_load, kernel, initrd, len, cmdline, 0L);
}

static void first_kernel(char *cmdline)
{
	uint8_t *memory;
	int fd;

	check(pool_says("generation", "0"), "kernel 1: a new pool");
	fd = open(OBJECT, O_RDWR | O_CREAT | O_EXCL, 0600);
	check(fd >= 0 && !ftruncate(fd, OBJECT_SIZE), "kernel 1: an object is created");
	memory = map_object(fd);
	if (!memory)
		give_up("mmap");
	fill(memory);
	check(is_filled(memory), "kernel 1: it has the pattern");
	load_guest(memory);
	run_guest(memory, 1, "kernel 1: a guest runs in it");
	if (load_next(cmdline))
		give_up("kexec_file_load");
	leave(RB_KEXEC);
	give_up("kexec");
}

static void second_kernel(void)
{
	uint8_t *memory;
	struct stat st;
	int fd;

	check(pool_says("generation", "1"), "kernel 2: the pool has been handed over");
	check(pool_says("quarantined_bytes", "0"), "kernel 2: nothing is quarantined");
	fd = open(OBJECT, O_RDWR);
	check(fd >= 0 && !fstat(fd, &st) && st.st_size == OBJECT_SIZE,
	      "kernel 2: the object is there");
	memory = map_object(fd);
	if (!memory)
		give_up("mmap");
	check(is_filled(memory), "kernel 2: it has the pattern");
	run_guest(memory, 2, "kernel 2: its guest goes on");
	munmap(memory, OBJECT_SIZE);
	close(fd);
	check(!unlink(OBJECT) && pool_says("used_bytes", "0"),
	      "kernel 2: its memory is free again");
	leave(RB_AUTOBOOT);
}

int main(void)
{
	char cmdline[COMMAND_LINE_SIZE];

	if (!mount_all())
		report = open("/dev/ttyS1", O_WRONLY | O_NOCTTY);
	if (report <= 0)
		reboot(RB_AUTOBOOT);
	if (read_text("/proc/cmdline", cmdline, sizeof(cmdline)) < 0)
		give_up("/proc/cmdline");
	if (mount("gmemfs", "/gmem", "gmemfs", 0, NULL))
		give_up("mounting gmemfs");
	if (strstr(cmdline, SECOND))
		second_kernel();
	else
		first_kernel(cmdline);
	return 1;
}
