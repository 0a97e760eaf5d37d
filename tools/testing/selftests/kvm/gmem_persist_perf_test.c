// SPDX-License-Identifier: GPL-2.0-only
/*
 * What memory costs a VMM and its guest: persistent memory, guest_memfd's own, and
 * hugetlb's. A line "name=value" for each figure; times are in nanoseconds, for 1 GiB
 * unless the name says otherwise.
 *
 * Needs a kernel booted with gmem_persist=3G,zeroed gmem_persist.clean=0, and root; for
 * hugetlb's figures, one page of 1 GiB and 512 of 2 MiB.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/log2.h>
#include <sys/mman.h>

#include "gmem_persist_util.h"

#define SIZE		((u64)SZ_1G)
#define NR_READS	SZ_512K

static u64 now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void figure(const char *prefix, const char *name, u64 value)
{
	printf("%s%s=%lu\n", prefix, name, value);
	fflush(stdout);
}

/*
 * A guest that reads words all over its memory, each in another page
 */

static void reading_guest(u64 gpa, u64 nr)
{
	u64 i, at = 0, sum = 0;

	for (i = 0; i < nr; i++) {
		/* A full period over all pages, far from the one before */
		at = at * 5 + 0x12345;
		sum += READ_ONCE(*(u64 *)(gpa + (at % (SIZE / SZ_4K)) * SZ_4K));
	}
	GUEST_SYNC(sum);
}

/* Where the guest starts each time */
static struct kvm_regs start;

static struct kvm_vm *create_vm(struct kvm_vcpu **vcpu)
{
	struct kvm_vm *vm = vm_create_with_one_vcpu(vcpu, reading_guest);

	virt_map_level(vm, GUEST_BASE, GUEST_BASE, GUEST_WINDOW, PG_LEVEL_2M);
	vcpu_regs_get(*vcpu, &start);
	return vm;
}

static u64 run_reads(struct kvm_vcpu *vcpu, u64 gpa, u64 nr)
{
	struct kvm_regs regs = start;
	u64 t = now();

	regs.rdi = gpa;
	regs.rsi = nr;
	vcpu_regs_set(vcpu, &regs);
	vcpu_run(vcpu);
	t = now() - t;
	TEST_ASSERT_EQ(get_ucall(vcpu, NULL), UCALL_SYNC);
	return t;
}

/* Picoseconds for a read, with all leaves in place */
static void guest_reads(struct kvm_vcpu *vcpu, u64 gpa, const char *prefix, const char *leaf)
{
	run_reads(vcpu, gpa, SIZE / SZ_4K);
	printf("%sguest_read_ps_%s=%lu\n", prefix, leaf,
	       run_reads(vcpu, gpa, NR_READS) * 1000 / NR_READS);
}

/*
 * Making memory, and having it mapped
 */

static void prefault(struct kvm_vcpu *vcpu, const char *prefix)
{
	struct kvm_pre_fault_memory range = { .gpa = GUEST_BASE, .size = SIZE };
	u64 t = now();

	while (range.size) {
		int r = __vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range);

		TEST_ASSERT(!r || errno == EINTR, "KVM_PRE_FAULT_MEMORY: errno %d", errno);
	}
	figure(prefix, "prefault", now() - t);
}

static void touch(void *mem, const char *prefix, const char *name)
{
	u64 t = now(), at;

	for (at = 0; at < SIZE; at += SZ_4K)
		WRITE_ONCE(*(char *)(mem + at), 1);
	figure(prefix, name, now() - t);
}

static void map_and_touch(int fd, const char *prefix)
{
	void *mem = gmem_map_at(fd, SIZE, SZ_1G, 0);

	touch(mem, prefix, "first_touch");
	/* What of that is not for faults */
	touch(mem, prefix, "second_touch");
	kvm_munmap(mem, SIZE);
}

static int create_object(struct kvm_vm *vm, const char *prefix, const char *name)
{
	struct kvm_gmem_persist args = GMEM_ARGS(CREATE, PREFIX "perf", .size = SIZE,
		.granule = SZ_1G, .flags = FLAGS_SHARED);
	u64 t = now();
	int fd = gmem_persist(vm, &args);

	TEST_ASSERT(fd >= 0, KVM_IOCTL_ERROR(KVM_GMEM_PERSIST, fd));
	figure(prefix, name, now() - t);
	return fd;
}

static void persistent(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	int fd;

	TEST_ASSERT(gmem_pool_attr("clean_bytes") >= 2 * SIZE, "the pool is not clean");
	vm = create_vm(&vcpu);
	fd = create_object(vm, "", "create");
	gmem_bind(vm, GUEST_BASE, SIZE, fd, 0);
	prefault(vcpu, "");
	map_and_touch(fd, "");
	kvm_vm_free(vm);
	close(fd);
	TEST_ASSERT(!gmem_discard(PREFIX "perf"), "discard");

	/* All that is left, so that the next one gets what has been used. */
	vm = create_vm(&vcpu);
	fd = vm_create_guest_memfd(vm, gmem_pool_attr("clean_bytes"),
				   GUEST_MEMFD_FLAG_PERSIST | FLAGS_SHARED);
	close(create_object(vm, "", "create_dirty"));
	close(fd);
	kvm_vm_free(vm);
	TEST_ASSERT(!gmem_discard(PREFIX "perf"), "discard");
}

static void today(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create_vm(&vcpu);
	u64 t = now();
	int fd = vm_create_guest_memfd(vm, SIZE, FLAGS_SHARED);

	kvm_fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, SIZE);
	figure("peer_", "create", now() - t);
	gmem_bind(vm, GUEST_BASE, SIZE, fd, 0);
	prefault(vcpu, "peer_");
	guest_reads(vcpu, GUEST_BASE, "peer_", "4k");
	map_and_touch(fd, "peer_");
	kvm_vm_free(vm);
	close(fd);
}

/* hugetlb's memory, at an address that is as aligned as it can be */
static void *map_hugetlb(u64 page)
{
	void *mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
			 MAP_HUGETLB | (ilog2(page) << MAP_HUGE_SHIFT), -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

/* Its memory is cleared when it is first used, by whomever. */
static void hugetlb(u64 page, const char *prefix, const char *leaf)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	void *mem;

	mem = map_hugetlb(page);
	if (!mem) {
		ksft_print_msg("no pages of 0x%lx bytes\n", page);
		return;
	}
	vm = create_vm(&vcpu);
	vm_set_user_memory_region2(vm, GUEST_SLOT, 0, GUEST_BASE, SIZE, mem, -1, 0);
	prefault(vcpu, prefix);
	guest_reads(vcpu, GUEST_BASE, "hugetlb_", leaf);
	kvm_vm_free(vm);
	kvm_munmap(mem, SIZE);

	mem = map_hugetlb(page);
	touch(mem, prefix, "first_touch");
	kvm_munmap(mem, SIZE);
}

/*
 * Private memory: which pages are private is kept by KVM, for each page of 4 KiB.
 */

static u64 slab_bytes(void)
{
	char line[128];
	u64 kib = 0;
	FILE *file = fopen("/proc/meminfo", "r");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Slab: %lu kB", &kib) == 1)
			break;
	TEST_ASSERT(kib, "no Slab in /proc/meminfo");
	fclose(file);
	return kib << 10;
}

static void attributes(void)
{
	struct kvm_vm *vm;
	u64 t, bytes;

	if (!kvm_has_vm_type(KVM_X86_SW_PROTECTED_VM)) {
		ksft_print_msg("no software-protected VMs\n");
		return;
	}
	vm = vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
	bytes = slab_bytes();
	t = now();
	vm_mem_set_private(vm, GUEST_BASE, SIZE);
	t = now() - t;
	figure("", "attributes", t);
	figure("", "attributes_bytes", slab_bytes() - bytes);
	kvm_vm_free(vm);
}

/* Leaves are as large as the slot's place permits. */
static void reads(void)
{
	static const struct {
		u64 skew;
		const char *leaf;
	} cases[] = {
		{ 0,		"1g" },
		{ SZ_2M,	"2m" },
		{ SZ_4K,	"4k" },
	};
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create_vm(&vcpu);
	int fd = __gmem_create(vm, PREFIX "reads", SIZE, SZ_1G, FLAGS_SHARED);
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		gmem_bind(vm, GUEST_BASE + cases[i].skew, SIZE, fd, 0);
		guest_reads(vcpu, GUEST_BASE + cases[i].skew, "", cases[i].leaf);
		gmem_delete_slot(vm);
	}
	close(fd);
	kvm_vm_free(vm);
}

int main(void)
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_GUEST_MEMFD_PERSIST));
	TEST_REQUIRE(kvm_is_tdp_enabled());

	persistent();
	today();
	reads();
	hugetlb(SZ_2M, "hugetlb_2m_", "2m");
	hugetlb(SZ_1G, "hugetlb_1g_", "1g");
	attributes();
	gmem_clean_up();
	return 0;
}
