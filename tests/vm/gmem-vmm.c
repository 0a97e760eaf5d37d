// SPDX-License-Identifier: GPL-2.0
/*
 * A VMM in one file: a VM with one vCPU whose memory is a persistent object.
 *
 *   gmem-vmm create|reclaim|any NAME [OPTION...] [ACTION...]
 *
 * Options
 *   size=SIZE granule=SIZE   of the object; with reclaim: what it must be
 *   vm=default|protected     type of the VM; the memory of a protected one is
 *                            private, and only its guest can reach it
 *   seed=N                   of the pattern
 *   per-gib=N                touch only N pages, in a row, of each GiB
 *
 * Actions, in the order given, by code that runs in the guest:
 *   fill      write the pattern
 *   verify    compare with the pattern
 *   zero      compare with zero, the pages between those of per-gib: one a GiB
 *   allzero   compare with zero, all pages of per-gib
 *   count     add 1000 to a counter in the object's first page, one by one
 *   run       print "running" and count until killed, or until the host is replaced
 * and by the VMM itself, through its own mapping: host-fill host-verify host-zero.
 *
 * A word of the pattern is a function of its offset and of the seed, so that
 * memory in the wrong place does not pass for right. The first page of the object
 * belongs to the counter, and to the VMM's note of when it last counted: a VMM that
 * reclaims a default VM's object says how many milliseconds ago that was (dark_ms).
 *
 * Prints key=value lines. Exit status: 0; 1 if a comparison found a difference;
 * 2 for a usage error; 3 and "errno=NAME" if the object cannot be had.
 *
 *   gmem-vmm freeze          freeze the pool and print how long that took (freeze_us)
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
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "pattern.h"

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

enum op { OP_FILL, OP_VERIFY, OP_ZERO, OP_ALLZERO, OP_COUNT };

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
	uint64_t compared;
	uint64_t different;
	uint64_t counter;
};

/* One word, as @op says. */
static inline __attribute__((always_inline)) void touch(struct args *a, uint64_t *word,
							 uint64_t offset)
{
	uint64_t want = a->op == OP_FILL || a->op == OP_VERIFY ?
			pattern(offset, a->seed) : 0;

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
			if (!page)
				continue;	/* the counter's */
			for (off = page; off < page + PAGE; off += 8)
				touch(a, (uint64_t *)(memory + off), off);
		}
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
		} else {
			work(a, (char *)GPA_OBJECT);
		}
		asm volatile("out %%al, %0" : : "i"(PORT_DONE) : "memory");
	}
}

extern char __start_guest[], __stop_guest[];

struct vm {
	int kvm, fd, vcpu, gmem;
	struct kvm_run *run;
	char *low;
	char *object;
	uint64_t size;
	bool private;
};

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

static void set_up_vcpu(struct vm *vm)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(cpuid->entries[0]));
	struct kvm_regs regs = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };
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
	xioctl(vm->vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");

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

static void set_up_object(struct vm *vm)
{
	void *address = reserve_address(vm->size);

	if (!vm->private) {
		vm->object = mmap(address, vm->size, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_FIXED, vm->gmem, 0);
		if (vm->object == MAP_FAILED)
			err(1, "mmap of the object");
	}
	if (vm->private) {
		struct kvm_memory_attributes attributes = {
			.address = GPA_OBJECT,
			.size = vm->size,
			.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
		};

		/* The shared side of the slot is never touched. */
		add_slot(vm, 1, GPA_OBJECT, vm->size, address, vm->gmem);
		xioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, &attributes,
		       "KVM_SET_MEMORY_ATTRIBUTES");
	} else {
		add_slot(vm, 1, GPA_OBJECT, vm->size, vm->object, vm->gmem);
	}
}

/* Let the guest run until it says that it is done. */
static void run_guest(struct vm *vm, struct args *args)
{
	memcpy(vm->low + GPA_ARGS, args, sizeof(*args));
	if (ioctl(vm->vcpu, KVM_RUN, NULL) < 0)
		err(1, "KVM_RUN (exit reason %u)", vm->run->exit_reason);
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

static int freeze(void)
{
	int fd = open("/sys/kernel/mm/gmem_persist/frozen", O_WRONLY);
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
	};

	if (!strcmp(action, "run"))
		run_for_ever(vm, args);
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(action, actions[i].name))
			continue;
		args->op = actions[i].op;
		args->size = vm->size;
		args->compared = args->different = 0;
		if (actions[i].host && !vm->object)
			errx(2, "the memory is private");
		if (actions[i].host)
			work_here(vm, action, args);
		else
			run_guest(vm, args);
		if (args->op == OP_COUNT)
			printf("counter=%lu\n", args->counter);
		else if (args->op != OP_FILL)
			printf("%s_compared=%lu\n%s_different=%lu\n", action,
			       args->compared, action, args->different);
		return !args->different;
	}
	errx(2, "unknown action %s", action);
}

static const char *usage =
	"usage: gmem-vmm create|reclaim|any NAME [option=value...] [action...], or freeze";

int main(int argc, char **argv)
{
	struct kvm_gmem_persist gmem = {};
	struct args args = { .seed = 1 };
	struct vm vm = {};
	const char *value;
	bool same = true;
	int first;

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

	for (first = 3; first < argc && strchr(argv[first], '='); first++) {
		const char *arg = argv[first];

		if (option(arg, "size", &value))
			gmem.size = parse_size(value);
		else if (option(arg, "granule", &value))
			gmem.granule = parse_size(value);
		else if (option(arg, "seed", &value))
			args.seed = strtoull(value, NULL, 0);
		else if (option(arg, "per-gib", &value))
			args.per_gib = strtoull(value, NULL, 0);
		else if (option(arg, "vm", &value))
			vm.private = !strcmp(value, "protected");
		else
			errx(2, "unknown option %s", arg);
	}
	if (!vm.private)
		gmem.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;

	vm.kvm = open("/dev/kvm", O_RDWR);
	if (vm.kvm < 0)
		err(1, "/dev/kvm");
	vm.fd = ioctl(vm.kvm, KVM_CREATE_VM, vm.private ? KVM_X86_SW_PROTECTED_VM : 0);
	if (vm.fd < 0)
		err(1, "KVM_CREATE_VM");
	vm.gmem = ioctl(vm.fd, KVM_GMEM_PERSIST, &gmem);
	if (vm.gmem < 0) {
		printf("errno=%s\n", strerrorname_np(errno));
		return 3;
	}
	vm.size = gmem.size;
	printf("size=%llu\ngranule=%llu\ngeneration=%llu\nepoch=%llu\n", gmem.size,
	       gmem.granule, gmem.generation, gmem.epoch);
	if (GPA_OBJECT + vm.size > NR_PDPT * 512 * GIB)
		errx(1, "the object is larger than the guest's page tables");

	set_up_low_memory(&vm);
	set_up_object(&vm);
	print_dark_time(&vm);
	set_up_vcpu(&vm);
	for (; first < argc; first++)
		same &= act(&vm, argv[first], &args);
	return !same;
}
