// SPDX-License-Identifier: GPL-2.0
/*
 * How long it takes to freeze the pool, to claim an object, and to deal with a memory error,
 * without a tenant and beside one.
 *
 *   gmem-beside ROUNDS ADDRESS
 *
 * The tenant is of the lowest priority (SCHED_IDLE) and does one thing after the other with the
 * files in /gmem/t, all that he may do. On one CPU: in each round he runs for a while, other
 * work comes, and he is preempted wherever he is. What is measured then is done with real-time
 * priority: if it has to wait for him, it waits until the other work leaves him some time.
 *
 * "other" is an object that is claimed, by its name. At ADDRESS there are 2 MiB of free memory,
 * in which errors are reported, and one in ten in the tenant's memory, by a process that may
 * wait for him.
 *
 * Prints freeze_ns_alone, claim_ns_alone, error_ns_alone: the longest of all rounds; the same
 * with _beside; and tenant_memory, tenant_data, tenant_end and tenant_names, how often the tenant did
 * each of these things and nothing of it was refused. Exit status: 0, or 1 with a message.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/gmem_persist.h>
#include <linux/kvm.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vmm.h"

#define POOL		"/sys/kernel/mm/gmem_persist/"
#define HARD_OFFLINE	"/sys/devices/system/memory/hard_offline_page"
#define HOME		"/gmem/t/"
#define PAGE		4096UL
#define M		(1UL << 20)
#define MINE		(32 * M)

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000UL + t.tv_nsec;
}

static void set_policy(int policy, int priority)
{
	const struct sched_param param = { .sched_priority = priority };

	if (sched_setscheduler(0, policy, &param))
		err(1, "sched_setscheduler");
}

/*
 * The tenant. What is refused, because the pool is frozen or a page is bad, does not matter.
 */

static void on_bus_error(int signal)
{
	/* It would come back to the same access. */
	_exit(0);
}

/* His VMM, that claims his file; and what is mapped of it is written to. */
static bool run_vm(int file)
{
	struct kvm_gmem_persist gmem = {
		.op = KVM_GMEM_PERSIST_CREATE_OR_RECLAIM | KVM_GMEM_PERSIST_HANDLE,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
		.handle = file,
	};
	int vm = create_vm(open_kvm(), KVM_X86_DEFAULT_VM);
	int fd = ioctl(vm, KVM_GMEM_PERSIST, &gmem);

	if (fd >= 0)
		close(fd);
	close(vm);
	return fd >= 0;
}

static bool map_and_write(int file, uint64_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

	if (memory == MAP_FAILED)
		return false;
	for (uint64_t off = 0; off < size; off += M)
		memory[off] = 1;
	munmap(memory, size);
	return true;
}

/* All is tried, also after something was refused. */
static bool use_memory(void)
{
	int file = open(HOME "mine", O_RDWR | O_CREAT, 0600);
	struct gmem_persist_list list = {};
	struct gmem_persist_info info = {};
	struct gmem_persist_view view = {};
	char bytes[100] = {};
	bool good;

	if (file < 0)
		return false;
	good = !ftruncate(file, MINE);
	good &= !ioctl(file, GMEM_PERSIST_SHARE);
	good &= map_and_write(file, MINE);
	/* On his bad page it does not succeed. */
	(void)!pwrite(file, bytes, sizeof(bytes), M);
	(void)!pread(file, bytes, sizeof(bytes), 2 * M);
	good &= !ioctl(file, GMEM_PERSIST_GET_INFO, &info);
	good &= !ioctl(file, GMEM_PERSIST_GET_NODES, &list);
	good &= !ioctl(file, GMEM_PERSIST_GET_BAD_PAGES, &list);
	good &= !ioctl(file, GMEM_PERSIST_GET_VIEW, &view);
	good &= !ioctl(file, GMEM_PERSIST_SETTLE);
	good &= !fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, MINE);
	close(file);
	return good;
}

static bool use_data(void)
{
	static char bytes[3 * M];
	int file = open(HOME "data", O_RDWR | O_CREAT, 0600);
	bool good;

	if (file < 0)
		return false;
	good = !fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 4 * M);
	good &= write(file, bytes, sizeof(bytes)) == sizeof(bytes);
	good &= !ftruncate(file, 5 * M);
	good &= pread(file, bytes, sizeof(bytes), 0) == sizeof(bytes);
	good &= !fsync(file);
	good &= !ftruncate(file, 0);
	close(file);
	good &= !rename(HOME "data", HOME "moved");
	good &= !unlink(HOME "moved");
	return good;
}

/* Memory that comes and goes, also with its last user */
static bool use_and_lose(void)
{
	int file = open(HOME "goes", O_RDWR | O_CREAT, 0600);
	bool good;

	if (file < 0)
		return false;
	good = !ftruncate(file, 8 * M);
	good &= run_vm(file);
	good &= map_and_write(file, 8 * M);
	good &= !unlink(HOME "goes");
	good &= map_and_write(file, 8 * M);
	close(file);
	return good;
}

static bool use_names(void)
{
	struct statfs fs;
	struct stat st;
	bool good;
	DIR *dir;

	good = !mkdir(HOME "dir", 0700);
	close(open(HOME "dir/file", O_RDWR | O_CREAT, 0600));
	good &= !chmod(HOME "dir/file", 0640);
	good &= !rename(HOME "dir/file", HOME "file");
	dir = opendir(HOME);
	while (dir && readdir(dir))
		;
	if (dir)
		closedir(dir);
	good &= !statfs(HOME, &fs);
	good &= !stat(HOME "file", &st);
	good &= !truncate(HOME "file", 2 * M);
	good &= !unlink(HOME "file");
	good &= !rmdir(HOME "dir");
	return good;
}

/* What the tenant does */
static const struct {
	const char *name;
	bool (*run)(void);
} things[] = {
	{ "memory", use_memory }, { "data", use_data }, { "end", use_and_lose },
	{ "names", use_names },
};

#define NR_THINGS	(sizeof(things) / sizeof(*things))

/* How often he did each */
static volatile uint64_t *done;

static pid_t start(void (*work)(void))
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (pid)
		return pid;
	work();
	_exit(1);
}

/* A process for each turn, since one that meets a bad page is at its end. */
static void be_tenant(void)
{
	set_policy(SCHED_IDLE, 0);
	for (;;) {
		pid_t pid = fork();

		if (!pid) {
			signal(SIGBUS, on_bus_error);
			for (unsigned int i = 0; i < 8; i++)
				done[i % NR_THINGS] += things[i % NR_THINGS].run();
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

static void be_busy(void)
{
	set_policy(SCHED_OTHER, 0);
	raise(SIGSTOP);
	for (;;)
		;
}

/*
 * The others
 */

static int frozen, offline, vm;

static void report(uint64_t addr)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%#lx", addr);

	if (pwrite(offline, text, len, 0) != len)
		err(1, "error at %#lx", addr);
}

static void freeze(const char *text)
{
	if (pwrite(frozen, text, 1, 0) != 1)
		err(1, "frozen: %s", text);
}

static int claim(void)
{
	struct kvm_gmem_persist gmem = {
		.op = KVM_GMEM_PERSIST_RECLAIM,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
		.name = "other",
	};
	int fd = ioctl(vm, KVM_GMEM_PERSIST, &gmem);

	if (fd < 0)
		err(1, "claim");
	return fd;
}

enum { FREEZE, CLAIM, ERROR, NR_TIMES };

static void take(uint64_t *longest, uint64_t since)
{
	const uint64_t ns = now() - since;

	if (ns > *longest)
		*longest = ns;
}

static void measure(uint64_t *longest, uint64_t addr)
{
	uint64_t since = now();
	int fd;

	freeze("1");
	take(&longest[FREEZE], since);
	freeze("0");
	since = now();
	fd = claim();
	take(&longest[CLAIM], since);
	close(fd);
	since = now();
	report(addr);
	take(&longest[ERROR], since);
}

static void print(const char *how, const uint64_t *longest)
{
	static const char * const names[NR_TIMES] = { "freeze", "claim", "error" };

	for (int i = 0; i < NR_TIMES; i++)
		printf("%s_ns_%s=%lu\n", names[i], how, longest[i]);
}

static uint64_t tenants_memory(void)
{
	struct gmem_persist_range_entry range;
	struct gmem_persist_list list = { .entries = (uintptr_t)&range, .nr = 1 };
	int file = open(HOME "mine", O_RDWR | O_CREAT, 0600);

	if (file < 0 || ftruncate(file, MINE) ||
	    ioctl(file, GMEM_PERSIST_GET_RANGES, &list) || !list.nr)
		err(1, "the tenant's memory");
	close(file);
	return range.base;
}

/* By a process that comes back when the page is away */
static pid_t report_beside(uint64_t addr)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (pid)
		return pid;
	report(addr);
	_exit(0);
}

static void beside(uint64_t *longest, unsigned int rounds, uint64_t addr)
{
	const uint64_t mine = tenants_memory();
	pid_t tenant = start(be_tenant), busy = start(be_busy);
	unsigned int random = 1;

	waitpid(busy, NULL, WUNTRACED);
	for (unsigned int i = 0; i < rounds; i++) {
		random = random * 1103515245 + 12345;
		usleep(1000 + random / 65536 % 30000);
		kill(busy, SIGCONT);
		/* Not at its beginning: another page of it would be bad each time. */
		if (i % 10 == 5)
			report_beside(mine + i * PAGE);
		measure(longest, addr + i * PAGE);
		kill(busy, SIGSTOP);
	}
	kill(tenant, SIGKILL);
	kill(busy, SIGKILL);
}

int main(int argc, char **argv)
{
	const unsigned int rounds = argc == 3 ? atoi(argv[1]) : 0;
	const uint64_t addr = rounds ? strtoull(argv[2], NULL, 0) : 0;
	uint64_t longest[NR_TIMES] = {};

	if (!rounds || rounds > 200 || !addr)
		errx(1, "usage: gmem-beside ROUNDS ADDRESS");
	done = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	frozen = open(POOL "frozen", O_WRONLY);
	offline = open(HARD_OFFLINE, O_WRONLY);
	if (done == MAP_FAILED || frozen < 0 || offline < 0)
		err(1, "cannot begin");
	vm = create_vm(open_kvm(), KVM_X86_DEFAULT_VM);
	set_policy(SCHED_FIFO, 50);

	for (unsigned int i = 0; i < rounds; i++)
		measure(longest, addr + i * PAGE);
	print("alone", longest);
	memset(longest, 0, sizeof(longest));
	beside(longest, rounds, addr + rounds * PAGE);
	print("beside", longest);
	for (unsigned int i = 0; i < NR_THINGS; i++)
		printf("tenant_%s=%lu\n", things[i].name, done[i]);
	return 0;
}
