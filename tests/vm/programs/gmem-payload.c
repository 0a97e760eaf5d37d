// SPDX-License-Identifier: GPL-2.0
/*
 * A VMM whose guest is a payload of this very file: a VM with one vCPU whose memory is a
 * persistent object.
 *
 *   gmem-payload create|reclaim|any NAME [OPTION...] [ACTION...]
 *
 * create '' makes memory without a name, that is gone with the VMM.
 *
 * Options
 *   size=SIZE granule=SIZE   of the object; with reclaim: what it must be
 *   nodes=MASK               where a new object shall be
 *   vm=default|protected     type of the VM; the memory of a protected one is
 *                            private, and only its guest can reach it
 *   shared=NAME              the object for what a protected VM shares: as large as the
 *                            other. Nothing is private then until the guest asks for it
 *   state=NAME               an object of the VMM's own, to note there what is private,
 *                            and to look it up again
 *   private=none             of a protected VM: nothing is private
 *   seed=N                   of the pattern
 *   per-gib=N                touch only N pages, in a row, of each GiB
 *   slot=gmem|hva            what the guest's memory slot refers to: the guest_memfd, or
 *                            only the VMM's mapping of it
 *   mce=early|late           be told of a memory error at once, or on access
 *
 * Actions, in the order given, by code that runs in the guest:
 *   fill      write the pattern
 *   verify    compare with the pattern
 *   zero      compare with zero, the pages between those of per-gib: one a GiB
 *   allzero   compare with zero, all pages of per-gib
 *   count     add 1000 to a counter in the object's first page, one by one
 *   convert   ask for some pages to be private, by a rule, and for the others not to be
 *   run       print "running" and count until killed, or until the host is replaced
 * and by the VMM itself, through its own mapping: host-fill host-verify host-zero.
 * Pages with memory errors are left out by all of these. Further actions:
 *   punch        punch all of the object
 *   poison@OFF   let the kernel take the page at offset OFF for bad
 *   touch@OFF    read a word there, by the VMM
 *   guest@OFF    read a word there, by the guest
 *   futex@OFF    let futex(2) add 0 to a word there, by the VMM
 * The last four say what came of it, as "touch@OFF=...": "ok", the name of an errno, "exit
 * OFF SIZE ERRNO" (the vCPU's exit for a memory fault), or, both with the offset of the
 * address in it and the size as a power of two, "AR OFF LSB" and "AO OFF LSB" (SIGBUS:
 * action required, action optional).
 *
 * A word of the pattern is a function of its offset and of the seed, so that
 * memory in the wrong place does not pass for right. With shared=, it is another one in
 * pages that are private by the rule (seed + 1, for fill and verify), and in those of the
 * shared side that nobody sees meanwhile (seed + 2, for host-fill and host-verify, and
 * for "hidden", by which the guest compares what it should see of the shared side if
 * nothing is private). The first page of the object
 * belongs to the counter, and to the VMM's note of when it last counted: a VMM that
 * reclaims a default VM's object says how many milliseconds ago that was (dark_ms).
 *
 * Prints key=value lines. Exit status: 0; 1 if a comparison found a difference;
 * 2 for a usage error; 3 and "errno=NAME" if the object cannot be had.
 *
 *   gmem-payload freeze          freeze the pool and print how long that took (freeze_us)
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "gmemfs.h"
#include "pattern.h"
#include "vmm.h"

/* The guest has no constants in memory, and no SSE switched on. */
#pragma GCC optimize("no-tree-vectorize", "no-jump-tables")

#define PAGE		4096UL
#define GIB		(1UL << 30)

/* Guest physical addresses: below, what runs; above, the object. */
#define GPA_ARGS	0x1000UL
#define GPA_CODE	0x2000UL
#define GPA_STACK	0x8000UL
#define GPA_PML4	0x10000UL
#define GPA_PDPT	0x11000UL
#define NR_PDPT		8
#define LOW_SIZE	0x20000UL
#define GPA_OBJECT	(4 * GIB)

#define PORT_DONE	0x10
#define PORT_CONVERT	0x11

#define GRANULE		(2UL << 20)

#define POOL		"/sys/kernel/mm/gmem_persist/"
#define HARD_OFFLINE	"/sys/devices/system/memory/hard_offline_page"

#define MAX_BAD		8

enum op { OP_FILL, OP_VERIFY, OP_ZERO, OP_ALLZERO, OP_COUNT, OP_TOUCH, OP_CONVERT };

/* The first page of the object. The TSC counts on over a kexec. */
struct note {
	uint64_t counter;
	uint64_t last_tsc;
};

/* What the guest is asked to do, and what it says. */
struct args {
	uint64_t op;
	uint64_t size;
	uint64_t seed;
	uint64_t per_gib;
	uint64_t sides;			/* the object has two */
	uint64_t hidden;		/* look at the shared one */
	uint64_t convert;		/* offset of what shall be private now, or not */
	uint64_t convert_size;
	uint64_t convert_private;
	uint64_t compared;
	uint64_t different;
	uint64_t counter;
	uint64_t offset;		/* of OP_TOUCH */
	uint64_t nr_bad;
	uint64_t bad[MAX_BAD];		/* offsets of pages not to be touched */
};

static inline __attribute__((always_inline)) bool is_bad(const struct args *a, uint64_t page)
{
	for (uint64_t i = 0; i < a->nr_bad; i++)
		if (a->bad[i] == page)
			return true;
	return false;
}

/*
 * The rule: of eight granules of 2 MiB, the second one is private, of the third one every
 * other page, of the fourth one the second half.
 */
static inline __attribute__((always_inline)) bool is_private(uint64_t offset)
{
	uint64_t granule = offset / GRANULE % 8;

	return granule == 1 || (granule == 2 && offset / PAGE % 2) ||
	       (granule == 3 && offset % GRANULE >= GRANULE / 2);
}

/* One word, as @op says. */
static inline __attribute__((always_inline)) void touch(struct args *a, uint64_t *word,
							 uint64_t offset)
{
	uint64_t seed = a->seed, want = 0;

	if (a->sides && is_private(offset))
		seed += a->hidden ? 2 : 1;
	if (a->op == OP_FILL || a->op == OP_VERIFY)
		want = pattern(offset, seed);

	if (a->op == OP_FILL) {
		*word = want;
		return;
	}
	a->compared += sizeof(*word);
	if (*word != want)
		a->different += sizeof(*word);
}

/* The same work, for guest and VMM: all words of the chosen pages. */
static inline __attribute__((always_inline)) void work(struct args *a, char *memory)
{
	uint64_t gib, page, off, first, last;

	for (gib = 0; gib < a->size; gib += GIB) {
		first = gib;
		last = a->size - gib < GIB ? a->size : gib + GIB;
		if (a->op == OP_ZERO) {
			/* A page that no fill has touched. */
			first = gib + a->per_gib * PAGE + (last - gib) / 2;
			if (!a->per_gib || first + PAGE > last)
				continue;
			first &= ~(PAGE - 1);
			last = first + PAGE;
		} else if (a->per_gib && last - first > a->per_gib * PAGE) {
			last = first + a->per_gib * PAGE;
		}
		for (page = first; page < last; page += PAGE) {
			if (!page || is_bad(a, page))
				continue;	/* 0 is the counter's */
			for (off = page; off < page + PAGE; off += 8)
				touch(a, (uint64_t *)(memory + off), off);
		}
	}
}

/* Ask, run by run, for what the rule says. */
static inline __attribute__((always_inline)) void ask_for_conversions(struct args *a)
{
	uint64_t first, end;

	for (first = 0; first < a->size; first = end) {
		end = first + PAGE;
		while (end < a->size && is_private(end) == is_private(first))
			end += PAGE;
		a->convert = first;
		a->convert_size = end - first;
		a->convert_private = is_private(first);
		asm volatile("out %%al, %0" : : "i"(PORT_CONVERT) : "memory");
	}
}

/*
 * The guest's only function: no calls, no constants outside of it, so that it can
 * be copied anywhere.
 */
__attribute__((section("guest"), noinline, noclone, used, noreturn))
static void guest_code(void)
{
	struct args *a = (struct args *)GPA_ARGS;
	volatile uint64_t *counter = (uint64_t *)GPA_OBJECT;

	for (;;) {
		if (a->op == OP_COUNT) {
			for (int i = 0; i < 1000; i++)
				++*counter;
			a->counter = *counter;
		} else if (a->op == OP_TOUCH) {
			(void)*(volatile uint64_t *)(GPA_OBJECT + a->offset);
		} else if (a->op == OP_CONVERT) {
			ask_for_conversions(a);
		} else {
			work(a, (char *)GPA_OBJECT);
		}
		asm volatile("out %%al, %0" : : "i"(PORT_DONE) : "memory");
	}
}

extern char __start_guest[], __stop_guest[];

struct vm {
	const char *name;
	uint8_t *state;		/* a bit for each page that is private: KVM forgets them */
	int kvm, fd, holder, vcpu, gmem;
	struct kvm_run *run;
	char *low;
	char *object;
	uint64_t size;
	bool private, nothing_private, sides, hva;
};

/* The last SIGBUS that told of a memory error, and where to go on if need be */
static volatile sig_atomic_t bus_code;
static char *volatile bus_addr;
static volatile int bus_lsb;
static volatile bool bus_expected, in_guest;
static sigjmp_buf bus_return;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	bus_code = info->si_code;
	bus_addr = info->si_addr;
	bus_lsb = info->si_addr_lsb;
	if (bus_expected)
		siglongjmp(bus_return, 1);
	/* An access that is not expected to fail would do so for ever. */
	if (info->si_code != BUS_MCEERR_AO && !in_guest)
		_exit(4);
}

static int xioctl(int fd, unsigned long request, void *arg, const char *what)
{
	int r = ioctl(fd, request, arg);

	if (r < 0)
		err(1, "%s", what);
	return r;
}

static void add_slot(struct vm *vm, int slot, uint64_t gpa, uint64_t size, void *addr,
		     int gmem)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.flags = gmem < 0 ? 0 : KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)addr,
		.guest_memfd = gmem < 0 ? 0 : gmem,
	};

	xioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &region, "KVM_SET_USER_MEMORY_REGION2");
}

/* Long mode with 1 GiB pages, each address where it is. */
static void set_up_low_memory(struct vm *vm)
{
	uint64_t *pml4, *pdpt;

	vm->low = mmap(NULL, LOW_SIZE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (vm->low == MAP_FAILED)
		err(1, "mmap");
	memcpy(vm->low + GPA_CODE, __start_guest, __stop_guest - __start_guest);

	pml4 = (uint64_t *)(vm->low + GPA_PML4);
	pdpt = (uint64_t *)(vm->low + GPA_PDPT);
	for (uint64_t i = 0; i < NR_PDPT; i++)
		pml4[i] = (GPA_PDPT + i * PAGE) | 3;
	for (uint64_t i = 0; i < NR_PDPT * 512; i++)
		pdpt[i] = i * GIB | 0x83;
	add_slot(vm, 0, 0, LOW_SIZE, vm->low, -1);
}

static void start_at_beginning(struct vm *vm)
{
	struct kvm_regs regs = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };

	xioctl(vm->vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

static void set_up_vcpu(struct vm *vm)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(cpuid->entries[0]));
	struct kvm_segment code = { .selector = 8, .type = 11, .present = 1, .s = 1,
				    .l = 1, .g = 1, .limit = ~0U };
	struct kvm_segment data = { .selector = 16, .type = 3, .present = 1, .s = 1,
				    .db = 1, .g = 1, .limit = ~0U };
	struct kvm_sregs sregs;
	int size;

	if (!cpuid)
		err(1, "calloc");
	vm->vcpu = xioctl(vm->fd, KVM_CREATE_VCPU, 0, "KVM_CREATE_VCPU");
	/* Without it the guest would have 36 address bits and no 1 GiB pages. */
	cpuid->nent = 256;
	xioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, cpuid, "KVM_GET_SUPPORTED_CPUID");
	xioctl(vm->vcpu, KVM_SET_CPUID2, cpuid, "KVM_SET_CPUID2");
	free(cpuid);

	xioctl(vm->vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr3 = GPA_PML4;
	sregs.cr4 = 1 << 5;			/* PAE */
	sregs.cr0 = 1U << 31 | 1;		/* PG, PE */
	sregs.efer = 1 << 10 | 1 << 8;		/* LMA, LME */
	xioctl(vm->vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
	start_at_beginning(vm);

	size = xioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0, "KVM_GET_VCPU_MMAP_SIZE");
	vm->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
	if (vm->run == MAP_FAILED)
		err(1, "mmap of the vCPU");
}

/*
 * An address for the object. KVM uses 1 GiB leaves only in slots whose addresses in
 * guest and VMM are aligned alike; so does the VMM's own page table.
 */
static void *reserve_address(uint64_t size)
{
	void *p = mmap(NULL, size + GIB, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		err(1, "no address space");
	return (void *)(((uintptr_t)p + GIB - 1) & -GIB);
}

static void set_private(struct vm *vm, uint64_t offset, uint64_t size, bool private)
{
	struct kvm_memory_attributes attributes = {
		.address = GPA_OBJECT + offset,
		.size = size,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	xioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, &attributes, "KVM_SET_MEMORY_ATTRIBUTES");
}

static bool noted_private(const struct vm *vm, uint64_t offset)
{
	return vm->state[offset / PAGE / 8] & 1 << offset / PAGE % 8;
}

/* The guest wants a range to be private, or shared. */
static void convert(struct vm *vm, const struct args *args)
{
	uint64_t offset, end = args->convert + args->convert_size;

	set_private(vm, args->convert, args->convert_size, args->convert_private);
	if (!vm->state)
		return;
	for (offset = args->convert; offset < end; offset += PAGE)
		if (noted_private(vm, offset) != args->convert_private)
			vm->state[offset / PAGE / 8] ^= 1 << offset / PAGE % 8;
}

/* Make private what was so when the VMM, or the host, was replaced. */
static void apply_state(struct vm *vm)
{
	uint64_t first, end, nr = 0;

	for (first = 0; first < vm->size; first = end) {
		for (end = first + PAGE; end < vm->size; end += PAGE)
			if (noted_private(vm, end) != noted_private(vm, first))
				break;
		if (!noted_private(vm, first))
			continue;
		set_private(vm, first, end - first, true);
		nr++;
	}
	printf("private_ranges=%lu\n", nr);
}

/* What the kernel uses for its own small objects. */
static long slab_kib(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char line[128];
	long kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Slab: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

static void set_all_private(struct vm *vm)
{
	long kib = slab_kib();

	set_private(vm, 0, vm->size, true);
	printf("attributes_kib=%ld\n", slab_kib() - kib);
}

/*
 * Map an object that a VM with private memory cannot have: that of an empty VM.
 */
static void *map_shared_object(struct vm *vm, const char *name, struct kvm_gmem_persist gmem,
			       uint64_t size, void *address)
{
	void *mapping;
	int fd;

	if (!vm->holder)
		vm->holder = create_vm(vm->kvm, KVM_X86_DEFAULT_VM);
	gmem.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	gmem.size = size;
	memset(gmem.name, 0, sizeof(gmem.name));
	snprintf((char *)gmem.name, sizeof(gmem.name), "%s", name);
	fd = xioctl(vm->holder, KVM_GMEM_PERSIST, &gmem, name);
	mapping = mmap(address, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	if (mapping == MAP_FAILED)
		err(1, "mmap of %s", name);
	close(fd);
	return mapping;
}

static void set_up_object(struct vm *vm)
{
	void *address = vm->sides ? vm->object : reserve_address(vm->size);

	if (!vm->private) {
		vm->object = mmap(address, vm->size, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_FIXED, vm->gmem, 0);
		if (vm->object == MAP_FAILED)
			err(1, "mmap of the object");
	}
	if (vm->private) {
		/* If there is no object for it, the shared side of the slot is not touched. */
		add_slot(vm, 1, GPA_OBJECT, vm->size, address, vm->gmem);
		if (vm->state)
			apply_state(vm);
		else if (!vm->sides && !vm->nothing_private)
			set_all_private(vm);
	} else {
		add_slot(vm, 1, GPA_OBJECT, vm->size, vm->object, vm->hva ? -1 : vm->gmem);
	}
}

/* Let the guest run until it says that it is done. */
static void run_guest(struct vm *vm, struct args *args)
{
	memcpy(vm->low + GPA_ARGS, args, sizeof(*args));
	for (;;) {
		if (ioctl(vm->vcpu, KVM_RUN, NULL) < 0)
			err(1, "KVM_RUN (exit reason %u)", vm->run->exit_reason);
		if (vm->run->exit_reason != KVM_EXIT_IO || vm->run->io.port != PORT_CONVERT)
			break;
		convert(vm, (const struct args *)(vm->low + GPA_ARGS));
	}
	if (vm->run->exit_reason != KVM_EXIT_IO || vm->run->io.port != PORT_DONE)
		errx(1, "the guest stopped with exit reason %u", vm->run->exit_reason);
	memcpy(args, vm->low + GPA_ARGS, sizeof(*args));
}

static uint64_t parse_size(const char *text)
{
	char *end;
	uint64_t size = strtoull(text, &end, 0);

	switch (*end) {
	case 'T':
		size <<= 10;
		/* fall through */
	case 'G':
		size <<= 10;
		/* fall through */
	case 'M':
		size <<= 10;
		/* fall through */
	case 'K':
		size <<= 10;
		end++;
	}
	if (*end)
		errx(2, "%s is no size", text);
	return size;
}

static bool option(const char *arg, const char *name, const char **value)
{
	size_t len = strlen(name);

	*value = arg + len + 1;
	return !strncmp(arg, name, len) && arg[len] == '=';
}

static uint64_t tsc(void)
{
	uint32_t lo, hi;

	asm volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

/* How fast it counts, against a tenth of a second of the kernel's clock. */
static double tsc_per_ms(void)
{
	struct timespec from, now;
	uint64_t start = tsc();
	double ms;

	clock_gettime(CLOCK_MONOTONIC, &from);
	do {
		clock_gettime(CLOCK_MONOTONIC, &now);
		ms = (now.tv_sec - from.tv_sec) * 1e3 + (now.tv_nsec - from.tv_nsec) / 1e6;
	} while (ms < 100);
	return (tsc() - start) / ms;
}

/* A VMM that was replaced by this one: when did its guest last count? */
static void print_dark_time(const struct vm *vm)
{
	const struct note *note = (const struct note *)vm->object;

	if (note && note->last_tsc)
		printf("dark_ms=%.0f\n", (tsc() - note->last_tsc) / tsc_per_ms());
}

static void run_for_ever(struct vm *vm, struct args *args)
{
	struct note *note = (struct note *)vm->object;

	args->op = OP_COUNT;
	run_guest(vm, args);
	puts("running");
	fflush(stdout);
	for (;;) {
		run_guest(vm, args);
		if (note)
			note->last_tsc = tsc();
	}
}

/* The VMM's own work; the page faults that it took tell how large its leaves are. */
static void work_here(struct vm *vm, const char *action, struct args *args)
{
	struct rusage before, after;

	getrusage(RUSAGE_SELF, &before);
	work(args, vm->object);
	getrusage(RUSAGE_SELF, &after);
	printf("%s_faults=%ld\n", action, after.ru_minflt - before.ru_minflt);
}

/* Which pages of the object are bad, as the kernel says. */
static void read_bad_pages(const struct vm *vm, struct args *args)
{
	struct gmem_persist_list list = {
		.entries = (uintptr_t)args->bad,
		.nr = MAX_BAD,
	};
	int fd;

	args->nr_bad = 0;
	/* Without a name it is no file. */
	if (!vm->name[0])
		return;
	fd = open_object(vm->name);
	if (ioctl(fd, GMEM_PERSIST_GET_BAD_PAGES, &list))
		err(1, "bad pages of %s", vm->name);
	args->nr_bad = list.nr;
	close(fd);
}

static uint64_t physical_address(const struct vm *vm, uint64_t offset)
{
	struct gmem_persist_range_entry range;
	struct gmem_persist_list list = {
		.start = offset,
		.entries = (uintptr_t)&range,
		.nr = 1,
	};
	int fd = open_object(vm->name);

	if (ioctl(fd, GMEM_PERSIST_GET_RANGES, &list))
		err(1, "ranges of %s", vm->name);
	if (!list.nr)
		errx(1, "offset %#lx is not in the object", offset);
	close(fd);
	return range.base;
}

/* By a process of its own: whoever asks for it is told that he must act at once. */
static void poison(const struct vm *vm, uint64_t offset)
{
	char command[256];

	snprintf(command, sizeof(command), "echo %#lx > " HARD_OFFLINE,
		 physical_address(vm, offset));
	if (system(command))
		errx(1, "failed: %s", command);
}

static void touch_by_guest(struct vm *vm, const char *action, struct args *args)
{
	int failed;

	args->op = OP_TOUCH;
	memcpy(vm->low + GPA_ARGS, args, sizeof(*args));
	in_guest = true;
	failed = ioctl(vm->vcpu, KVM_RUN, NULL);
	in_guest = false;
	if (!failed) {
		if (vm->run->exit_reason != KVM_EXIT_IO)
			errx(1, "the guest stopped with exit reason %u", vm->run->exit_reason);
		printf("%s=ok\n", action);
		return;
	}
	if (errno != EINTR && vm->run->exit_reason == KVM_EXIT_MEMORY_FAULT)
		printf("%s=exit %#llx %#llx %s\n", action,
		       vm->run->memory_fault.gpa - GPA_OBJECT,
		       vm->run->memory_fault.size, strerrorname_np(errno));
	else if (!bus_code)
		printf("%s=%s\n", action, strerrorname_np(errno));
	/* It would come back to the same instruction. */
	start_at_beginning(vm);
}

/* The kernel itself writes to the word, and so resolves a page fault there. */
static void futex_here(const struct vm *vm, const char *action, uint64_t offset)
{
	uint32_t other = 0;

	if (syscall(SYS_futex, &other, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 1, 1,
		    vm->object + offset, FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0)) < 0)
		printf("%s=%s\n", action, strerrorname_np(errno));
	else
		printf("%s=ok\n", action);
}

/* Actions at an offset; false if it is none of them. */
static bool act_at(struct vm *vm, const char *action, struct args *args)
{
	const char *at = strchr(action, '@');

	if (!at)
		return false;
	args->offset = strtoull(at + 1, NULL, 0);
	bus_code = 0;
	if (!strncmp(action, "poison@", 7)) {
		poison(vm, args->offset);
		read_bad_pages(vm, args);
		if (!bus_code)
			printf("%s=ok\n", action);
	} else if (!strncmp(action, "touch@", 6)) {
		bus_expected = true;
		if (!sigsetjmp(bus_return, 1)) {
			(void)*(volatile uint64_t *)(vm->object + args->offset);
			printf("%s=ok\n", action);
		}
		bus_expected = false;
	} else if (!strncmp(action, "guest@", 6)) {
		touch_by_guest(vm, action, args);
	} else if (!strncmp(action, "futex@", 6)) {
		futex_here(vm, action, args->offset);
	} else {
		return false;
	}
	if (bus_code)
		printf("%s=%s %#lx %d\n", action, bus_code == BUS_MCEERR_AR ? "AR" :
		       bus_code == BUS_MCEERR_AO ? "AO" : "ADRERR",
		       bus_addr - vm->object, bus_lsb);
	return true;
}

static int freeze(void)
{
	int fd = open(POOL "frozen", O_WRONLY);
	struct timespec from, to;
	int failed;

	if (fd < 0)
		err(1, "frozen");
	clock_gettime(CLOCK_MONOTONIC, &from);
	failed = write(fd, "1", 1) != 1;
	clock_gettime(CLOCK_MONOTONIC, &to);
	if (failed)
		err(1, "freeze");
	printf("freeze_us=%.0f\n", (to.tv_sec - from.tv_sec) * 1e6 +
	       (to.tv_nsec - from.tv_nsec) / 1e3);
	return 0;
}

static bool act(struct vm *vm, const char *action, struct args *args)
{
	static const struct { const char *name; enum op op; bool host; } actions[] = {
		{ "fill", OP_FILL }, { "verify", OP_VERIFY }, { "zero", OP_ZERO },
		{ "allzero", OP_ALLZERO }, { "count", OP_COUNT },
		{ "host-fill", OP_FILL, true }, { "host-verify", OP_VERIFY, true },
		{ "host-zero", OP_ALLZERO, true },
		{ "convert", OP_CONVERT }, { "hidden", OP_VERIFY },
	};

	if (!strcmp(action, "run"))
		run_for_ever(vm, args);
	if (act_at(vm, action, args))
		return true;
	if (!strcmp(action, "punch")) {
		if (fallocate(vm->gmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, vm->size))
			err(1, "punch");
		return true;
	}
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(action, actions[i].name))
			continue;
		args->op = actions[i].op;
		args->size = vm->size;
		args->compared = args->different = 0;
		args->hidden = actions[i].host || !strcmp(action, "hidden");
		if (actions[i].host && !vm->object)
			errx(2, "the memory is private");
		if (actions[i].host)
			work_here(vm, action, args);
		else
			run_guest(vm, args);
		if (args->op == OP_COUNT)
			printf("counter=%lu\n", args->counter);
		else if (args->op != OP_FILL && args->op != OP_CONVERT)
			printf("%s_compared=%lu\n%s_different=%lu\n", action,
			       args->compared, action, args->different);
		return !args->different;
	}
	errx(2, "unknown action %s", action);
}

/* By the ioctl of guest_memfd, which tells nothing about the memory. */
static int create_unnamed(const struct vm *vm, const struct kvm_gmem_persist *gmem)
{
	struct kvm_create_guest_memfd memfd = {
		.size = gmem->size,
		.flags = gmem->flags | GUEST_MEMFD_FLAG_PERSIST,
	};

	return ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, &memfd);
}

static const char *usage =
	"usage: gmem-payload create|reclaim|any NAME [option=value...] [action...], or freeze";

int main(int argc, char **argv)
{
	struct kvm_gmem_persist gmem = {};
	uint64_t nodes = 0;
	const struct sigaction sigbus = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };
	struct args args = { .seed = 1 };
	struct vm vm = {};
	const char *value, *shared = NULL, *state = NULL;
	int early = PR_MCE_KILL_EARLY, first;
	bool same = true;

	if (argc == 2 && !strcmp(argv[1], "freeze"))
		return freeze();
	if (argc < 3 || strlen(argv[2]) > sizeof(gmem.name))
		errx(2, "%s", usage);
	if (!strcmp(argv[1], "create"))
		gmem.op = KVM_GMEM_PERSIST_CREATE;
	else if (!strcmp(argv[1], "reclaim"))
		gmem.op = KVM_GMEM_PERSIST_RECLAIM;
	else if (!strcmp(argv[1], "any"))
		gmem.op = KVM_GMEM_PERSIST_CREATE_OR_RECLAIM;
	else
		errx(2, "%s", usage);
	memcpy(gmem.name, argv[2], strlen(argv[2]));
	vm.name = argv[2];

	for (first = 3; first < argc && strchr(argv[first], '='); first++) {
		const char *arg = argv[first];

		if (option(arg, "size", &value))
			gmem.size = parse_size(value);
		else if (option(arg, "granule", &value))
			gmem.granule = parse_size(value);
		else if (option(arg, "nodes", &value))
			nodes = strtoull(value, NULL, 0);
		else if (option(arg, "seed", &value))
			args.seed = strtoull(value, NULL, 0);
		else if (option(arg, "per-gib", &value))
			args.per_gib = strtoull(value, NULL, 0);
		else if (option(arg, "slot", &value))
			vm.hva = !strcmp(value, "hva");
		else if (option(arg, "mce", &value))
			early = strcmp(value, "late") ? PR_MCE_KILL_EARLY : PR_MCE_KILL_LATE;
		else if (option(arg, "vm", &value))
			vm.private = !strcmp(value, "protected");
		else if (option(arg, "shared", &value))
			shared = value;
		else if (option(arg, "state", &value))
			state = value;
		else if (option(arg, "private", &value))
			vm.nothing_private = !strcmp(value, "none");
		else
			errx(2, "unknown option %s", arg);
	}
	if (!vm.private)
		gmem.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;

	if (nodes) {
		gmem.nodemask = (uintptr_t)&nodes;
		gmem.nodemask_bits = 64;
	}

	vm.kvm = open_kvm();
	vm.fd = create_vm(vm.kvm, vm.private ? KVM_X86_SW_PROTECTED_VM : KVM_X86_DEFAULT_VM);
	vm.gmem = gmem.name[0] ? ioctl(vm.fd, KVM_GMEM_PERSIST, &gmem) :
				 create_unnamed(&vm, &gmem);
	if (vm.gmem < 0) {
		printf("errno=%s\n", strerrorname_np(errno));
		return 3;
	}
	vm.size = gmem.size;
	printf("size=%llu\ngranule=%llu\ngeneration=%llu\n", gmem.size, gmem.granule,
	       gmem.generation);
	print_bytes("uuid", gmem.uuid, sizeof(gmem.uuid));
	print_bytes("token", gmem.token, sizeof(gmem.token));
	print_bytes("own_token", gmem.own_token, sizeof(gmem.own_token));
	if (GPA_OBJECT + vm.size > NR_PDPT * 512 * GIB)
		errx(1, "the object is larger than the guest's page tables");

	if (shared)
		vm.object = map_shared_object(&vm, shared, gmem, vm.size,
					      reserve_address(vm.size));
	if (state && vm.size > GRANULE * 8 * PAGE)
		errx(1, "no room for so many notes");
	if (state)
		vm.state = map_shared_object(&vm, state, gmem, GRANULE,
					     reserve_address(GRANULE));
	vm.sides = shared;
	args.sides = vm.sides;
	set_up_low_memory(&vm);
	set_up_object(&vm);
	sigaction(SIGBUS, &sigbus, NULL);
	if (prctl(PR_MCE_KILL, PR_MCE_KILL_SET, early, 0, 0))
		err(1, "PR_MCE_KILL");
	read_bad_pages(&vm, &args);
	print_dark_time(&vm);
	set_up_vcpu(&vm);
	for (; first < argc; first++)
		same &= act(&vm, argv[first], &args);
	return !same;
}
