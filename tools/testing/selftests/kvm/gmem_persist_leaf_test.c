// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which leaves map persistent memory, in the page tables of user space and of guests:
 * the largest that address, offset and slot permit, and the contents right in each.
 *
 * Needs a kernel booted with gmem_persist=3G or more, and root. Page tables of user
 * space are read from debugfs.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "gmem_persist_util.h"

#define PAGE_TABLES	"/sys/kernel/debug/page_tables/current_kernel"

/* Two leaves of 1 GiB */
#define SIZE		(2ull * SZ_1G)
/* Touches every leaf of 2 MiB, each at another offset. */
#define STEP		((u64)SZ_2M + SZ_4K)
/* The same for leaves of 4 KiB, of which there are too many to touch all */
#define NR_STEPS(_size)	(((_size) + STEP - 1) / STEP)

static int create_1g(struct kvm_vm *vm, const char *name)
{
	SKIP_UNLESS(gmem_pool_attr("free_1g_bytes") >= SIZE,
		    "not enough whole GiB are free");
	return __gmem_create(vm, name, SIZE, SZ_1G, FLAGS_SHARED);
}

/*
 * Page tables of user space
 */

/**
 * struct mapped - by what leaves a part of the address space is mapped, in bytes
 * @pud: of 1 GiB
 * @pmd: of 2 MiB
 * @pte: of 4 KiB
 */
struct mapped {
	u64 pud;
	u64 pmd;
	u64 pte;
};

static struct mapped read_page_tables(void *mem, u64 size)
{
	const u64 first = (u64)mem, end = first + size;
	struct mapped by = {};
	u64 from, to, bytes;
	char line[256];
	FILE *file;

	file = fopen(PAGE_TABLES, "r");
	SKIP_UNLESS(file, "no " PAGE_TABLES);
	while (fgets(line, sizeof(line), file)) {
		/* Without USR, nothing is mapped there. */
		if (sscanf(line, "0x%lx-0x%lx", &from, &to) != 2 ||
		    to <= first || from >= end || !strstr(line, " USR "))
			continue;
		bytes = min(to, end) - max(from, first);
		if (strstr(line, " pud\n"))
			by.pud += bytes;
		else if (strstr(line, " pmd\n"))
			by.pmd += bytes;
		else if (strstr(line, " pte\n"))
			by.pte += bytes;
	}
	fclose(file);
	return by;
}

static void assert_mapped(void *mem, u64 size, u64 pud, u64 pmd, u64 pte)
{
	struct mapped by = read_page_tables(mem, size);

	TEST_ASSERT(by.pud == pud && by.pmd == pmd && by.pte == pte,
		    "mapped by PUDs, PMDs, PTEs: 0x%lx 0x%lx 0x%lx bytes, not 0x%lx 0x%lx 0x%lx",
		    by.pud, by.pmd, by.pte, pud, pmd, pte);
}

static void test_user_leaves(void)
{
	static const struct {
		u64 skew;
		u64 offset;
		u64 leaf;
	} cases[] = {
		{ 0,		0,		SZ_1G },
		{ 0,		SZ_1G,		SZ_1G },
		{ SZ_2M,	0,		SZ_2M },
		{ 0,		SZ_2M,		SZ_2M },
		{ SZ_4K,	0,		SZ_4K },
		{ 0,		SZ_4K,		SZ_4K },
	};
	struct kvm_vm *vm = vm_create_barebones();
	int fd = create_1g(vm, PREFIX "user");
	u64 size, nr, first;
	void *mem;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		size = SIZE - cases[i].offset;
		mem = gmem_map_at(fd, SIZE, SZ_1G, cases[i].skew);
		kvm_munmap(mem, SIZE);
		TEST_ASSERT(mmap(mem, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
				 fd, cases[i].offset) == mem, "mmap at %p", mem);

		/* The patterns follow the offset in the object. */
		first = (cases[i].offset + STEP - 1) / STEP * STEP;
		nr = NR_STEPS(SIZE - first);
		if (!i)
			gmem_fill(mem, 0, SIZE, STEP, SEED_HOST);
		else
			gmem_check(mem - cases[i].offset, first, SIZE - first, STEP,
				   SEED_HOST);
		switch (cases[i].leaf) {
		case SZ_1G:
			assert_mapped(mem, size, size, 0, 0);
			break;
		case SZ_2M:
			assert_mapped(mem, size, 0, nr * SZ_2M, 0);
			break;
		default:
			assert_mapped(mem, size, 0, 0, nr * SZ_4K);
		}
		kvm_munmap(mem, size);
	}
	close(fd);
	kvm_vm_free(vm);
}

static void *touched(int fd, u64 skew)
{
	void *mem = gmem_map_at(fd, SIZE, SZ_1G, skew);

	gmem_check(mem, 0, SIZE, STEP, SEED_HOST);
	return mem;
}

static void look_and_leave(void *mem)
{
	assert_mapped(mem, SZ_1G, SZ_1G, 0, 0);
	gmem_check(mem, 0, SIZE / 2, STEP, SEED_HOST);
}

/* An area as large as the object and as aligned as it can be, for others to take */
static void *reserve(void)
{
	void *area = kvm_mmap(SIZE + 2ull * SZ_1G, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);

	return align_ptr_up(area, SZ_1G);
}

/*
 * Core mm cuts and moves leaves. What it cuts is gone until the next access, and what
 * it does not touch stays.
 */
static void test_cut_user_leaves(void)
{
	const u64 half = SZ_1G / 2, at = SZ_1G + half;
	const u64 first = (at + STEP - 1) / STEP * STEP;
	struct kvm_vm *vm = vm_create_barebones();
	int fd = create_1g(vm, PREFIX "cut");
	static u8 resident[SZ_1G / SZ_4K];
	void *mem, *to;

	mem = gmem_map_at(fd, SIZE, SZ_1G, 0);
	gmem_fill(mem, 0, SIZE, STEP, SEED_HOST);

	/* A page is unmapped: the leaf around it goes, the other one stays. */
	kvm_munmap(mem + SZ_1G + SZ_4K, SZ_4K);
	assert_mapped(mem, SIZE, SZ_1G, 0, 0);
	gmem_check(mem, 0, SIZE, STEP, SEED_HOST);
	kvm_munmap(mem, SIZE);

	/* Another protection for a part, and for the whole */
	mem = touched(fd, 0);
	TEST_ASSERT(!mprotect(mem + SZ_2M, SZ_2M, PROT_READ), "mprotect");
	assert_mapped(mem, SIZE, SZ_1G, 0, 0);
	gmem_check(mem, 0, SIZE, STEP, SEED_HOST);
	kvm_munmap(mem, SIZE);
	mem = touched(fd, 0);
	TEST_ASSERT(!mprotect(mem, SIZE, PROT_READ), "mprotect");
	assert_mapped(mem, SIZE, SIZE, 0, 0);
	TEST_ASSERT(!mprotect(mem, SIZE, PROT_READ | PROT_WRITE), "mprotect");
	gmem_fill(mem, 0, SIZE, STEP, SEED_HOST);
	assert_mapped(mem, SIZE, SIZE, 0, 0);

	/* Out of reach for a time, and only looked at */
	TEST_ASSERT(!mprotect(mem, SIZE, PROT_NONE), "mprotect");
	assert_mapped(mem, SIZE, 0, 0, 0);
	TEST_ASSERT(!mprotect(mem, SIZE, PROT_READ | PROT_WRITE), "mprotect");
	TEST_ASSERT(!mincore(mem, SZ_1G, resident), "mincore");
	TEST_ASSERT(!memchr(resident, 0, sizeof(resident)), "mincore sees holes");
	assert_mapped(mem, SIZE, SIZE, 0, 0);
	gmem_check(mem, 0, SIZE, STEP, SEED_HOST);

	/* A child that inherits all, and one that inherits but a part */
	run_in_child(look_and_leave, mem);
	TEST_ASSERT(!madvise(mem + at, SZ_2M, MADV_DONTFORK), "madvise");
	assert_mapped(mem, SIZE, SZ_1G, 0, 0);
	run_in_child(look_and_leave, mem);
	gmem_check(mem, 0, SIZE, STEP, SEED_HOST);
	kvm_munmap(mem, SIZE);

	/* Moved as a whole: leaves move, too. */
	mem = touched(fd, 0);
	to = reserve();
	TEST_ASSERT(mremap(mem, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to,
		    "mremap");
	assert_mapped(mem, SIZE, 0, 0, 0);
	assert_mapped(to, SIZE, SIZE, 0, 0);
	gmem_check(to, 0, SIZE, STEP, SEED_HOST);

	/* To where the leaves do not fit, and a part of it */
	mem = reserve() + SZ_4K;
	TEST_ASSERT(mremap(to, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, mem) == mem,
		    "mremap with another alignment");
	assert_mapped(mem, SIZE, 0, 0, 0);
	gmem_check(mem, 0, SIZE, STEP, SEED_HOST);
	kvm_munmap(mem, SIZE);

	mem = touched(fd, 0);
	to = reserve();
	TEST_ASSERT(mremap(mem + at, half, half, MREMAP_MAYMOVE | MREMAP_FIXED,
			   to + half) == to + half, "mremap of a part");
	assert_mapped(mem, SIZE, SZ_1G, 0, 0);
	gmem_check(to - SZ_1G, first, SIZE - first, STEP, SEED_HOST);
	gmem_check(mem, 0, at, STEP, SEED_HOST);
	kvm_munmap(to, SZ_1G);
	kvm_munmap(mem, SIZE);

	close(fd);
	kvm_vm_free(vm);
}

/*
 * Page tables of guests
 */

/**
 * struct leaves - how many leaves of a size a VM has
 * @nr_1g: of 1 GiB
 * @nr_2m: of 2 MiB
 * @nr_4k: of 4 KiB
 */
struct leaves {
	s64 nr_1g;
	s64 nr_2m;
	s64 nr_4k;
};

static struct leaves count_leaves(struct kvm_vm *vm)
{
	return (struct leaves){
		.nr_1g = vm_get_stat(vm, pages_1g),
		.nr_2m = vm_get_stat(vm, pages_2m),
		.nr_4k = vm_get_stat(vm, pages_4k),
	};
}

/**
 * struct slot - a memslot, and the leaves that it gets when all of it is touched
 * @gpa_skew: where it begins behind GUEST_BASE
 * @hva_skew: how its userspace_addr lies behind a multiple of 1 GiB
 * @offset: where it begins in the object
 * @leaf: size of its leaves
 */
struct slot {
	u64 gpa_skew;
	u64 hva_skew;
	u64 offset;
	u64 leaf;
};

static void add_slot(struct kvm_vm *vm, const struct slot *slot, bool bound, int fd,
		     void *hva)
{
	const u64 gpa = GUEST_BASE + slot->gpa_skew;
	const u64 size = SIZE - slot->offset;

	vm_set_user_memory_region2(vm, GUEST_SLOT, bound ? KVM_MEM_GUEST_MEMFD : 0, gpa,
				   size, hva, bound ? fd : -1, bound ? slot->offset : 0);
}

static u64 touch_slot(struct kvm_vcpu *vcpu, const struct slot *slot, enum guest_op op)
{
	const u64 first = (slot->offset + STEP - 1) / STEP * STEP;

	gmem_run_job(vcpu, &(struct gmem_guest_job){
		.op = op,
		.gpa = GUEST_BASE + slot->gpa_skew + first - slot->offset,
		.offset = first,
		.size = SIZE - first,
		.step = STEP,
		.seed = SEED_GUEST,
	});
	return NR_STEPS(SIZE - first);
}

static u64 prefault_slot(struct kvm_vcpu *vcpu, const struct slot *slot)
{
	struct kvm_pre_fault_memory range = {
		.gpa = GUEST_BASE + slot->gpa_skew,
		.size = SIZE - slot->offset,
	};
	const u64 pages = range.size / slot->leaf;
	int r;

	while (range.size) {
		r = __vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range);
		TEST_ASSERT(!r || errno == EINTR, "KVM_PRE_FAULT_MEMORY: errno %d", errno);
	}
	return pages;
}

static void assert_leaves(const struct leaves *before, const struct leaves *after,
			  const struct slot *slot, u64 nr, const char *what)
{
	const s64 nr_1g = after->nr_1g - before->nr_1g;
	const s64 nr_2m = after->nr_2m - before->nr_2m;
	const s64 nr_4k = after->nr_4k - before->nr_4k;
	const s64 whole = (SIZE - slot->offset) / SZ_1G;

	TEST_ASSERT(nr_1g == (slot->leaf == SZ_1G ? whole : 0) &&
		    nr_2m == (slot->leaf == SZ_2M ? nr : 0) &&
		    nr_4k == (slot->leaf == SZ_4K ? nr : 0),
		    "%s, gpa +0x%lx, address +0x%lx, offset 0x%lx: %ld, %ld, %ld leaves of 1 GiB, 2 MiB, 4 KiB; wanted those of 0x%lx, %lu times",
		    what, slot->gpa_skew, slot->hva_skew, slot->offset, nr_1g, nr_2m,
		    nr_4k, slot->leaf, slot->leaf == SZ_1G ? whole : nr);
}

static void try_slot(struct kvm_vcpu *vcpu, const struct slot *slot, bool bound, int fd,
		     enum guest_op op)
{
	struct kvm_vm *vm = vcpu->vm;
	struct leaves before, after;
	void *hva;
	u64 nr;

	hva = gmem_map_at(fd, SIZE, SZ_1G, slot->hva_skew);
	if (slot->offset)
		TEST_ASSERT(mmap(hva, SIZE - slot->offset, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_FIXED, fd, slot->offset) == hva, "mmap");

	/* The first time, leaves of the guest's code and page tables come, too. */
	add_slot(vm, slot, bound, fd, hva);
	touch_slot(vcpu, slot, op);
	gmem_delete_slot(vm);

	add_slot(vm, slot, bound, fd, hva);
	before = count_leaves(vm);
	nr = touch_slot(vcpu, slot, GUEST_CHECK);
	after = count_leaves(vm);
	assert_leaves(&before, &after, slot, nr, bound ? "bound" : "user memory");
	gmem_delete_slot(vm);

	/* With leaves of 4 KiB it takes long, and shows nothing more. */
	if (slot->leaf != SZ_4K) {
		add_slot(vm, slot, bound, fd, hva);
		before = count_leaves(vm);
		nr = prefault_slot(vcpu, slot);
		after = count_leaves(vm);
		assert_leaves(&before, &after, slot, nr,
			      bound ? "bound, prefaulted" : "user memory, prefaulted");
		touch_slot(vcpu, slot, GUEST_CHECK);
		gmem_delete_slot(vm);
	}
	kvm_munmap(hva, SIZE);
}

static void try_slots(const struct slot *slots, int nr, bool bound, const char *name)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	int fd, i;

	SKIP_UNLESS(kvm_is_tdp_enabled(), "no two-dimensional paging");
	vm = gmem_create_default_vm(&vcpu);
	/* A slot that goes takes its own leaves with it, and no others. */
	vm_enable_cap(vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_SLOT_ZAP_ALL);
	fd = create_1g(vm, name);
	for (i = 0; i < nr; i++)
		try_slot(vcpu, &slots[i], bound, fd, i ? GUEST_CHECK : GUEST_FILL);
	close(fd);
	kvm_vm_free(vm);
}

static void test_bound_slots(void)
{
	static const struct slot slots[] = {
		{ 0,		0,	0,	SZ_1G },
		{ 0,		0,	SZ_1G,	SZ_1G },
		{ SZ_2M,	SZ_2M,	0,	SZ_2M },
		{ 0,		0,	SZ_2M,	SZ_2M },
		/* The address has a say, though nobody looks there. */
		{ 0,		SZ_2M,	0,	SZ_2M },
		{ SZ_4K,	SZ_4K,	0,	SZ_4K },
		{ 0,		0,	SZ_4K,	SZ_4K },
	};

	try_slots(slots, ARRAY_SIZE(slots), true, PREFIX "bound");
}

static void test_user_memory_slots(void)
{
	static const struct slot slots[] = {
		{ 0,		0,	0,	SZ_1G },
		{ 0,		0,	SZ_1G,	SZ_1G },
		/* Small leaves in user space, in the guest, or in both */
		{ SZ_2M,	SZ_2M,	0,	SZ_2M },
		{ SZ_2M,	0,	0,	SZ_2M },
		{ 0,		0,	SZ_2M,	SZ_2M },
		{ SZ_4K,	SZ_4K,	0,	SZ_4K },
		{ SZ_4K,	0,	0,	SZ_4K },
	};

	try_slots(slots, ARRAY_SIZE(slots), false, PREFIX "address");
}

/* A hole in the middle of leaves that are in use, in a guest and in user space */
static void test_hole_in_leaf(void)
{
	struct leaves before, after;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	void *mem;
	int fd;

	vm = gmem_create_default_vm(&vcpu);
	fd = create_1g(vm, PREFIX "hole");
	mem = gmem_map_at(fd, SIZE, SZ_1G, 0);
	gmem_add_slot(vm, fd, SIZE);
	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_FILL, GUEST_BASE, 0, SIZE,
		     STEP, SEED_GUEST });
	gmem_check(mem, 0, SIZE, STEP, SEED_GUEST);

	before = count_leaves(vm);
	kvm_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, STEP, SZ_4K);
	after = count_leaves(vm);
	if (kvm_is_tdp_enabled())
		TEST_ASSERT_EQ(before.nr_1g - after.nr_1g, 1);
	assert_mapped(mem, SIZE, SZ_1G, 0, 0);

	gmem_check_zero(mem, STEP, SZ_4K);
	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_CHECK_ZERO,
		     GUEST_BASE + STEP, STEP, SZ_4K, 8, 0 });
	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_CHECK, GUEST_BASE + 2 * STEP,
		     2 * STEP, SIZE - 2 * STEP, STEP, SEED_GUEST });
	gmem_check(mem, 0, STEP, STEP, SEED_GUEST);
	gmem_check(mem, 2 * STEP, SIZE - 2 * STEP, STEP, SEED_GUEST);

	/* What is read there has brought it back, as large as it was. */
	assert_mapped(mem, SIZE, SIZE, 0, 0);
	after = count_leaves(vm);
	TEST_ASSERT_EQ(after.nr_1g, before.nr_1g);
	close(fd);
	kvm_vm_free(vm);
}

/* Leaves that MADV_DONTNEED drops come back, as large as they were. */
static void test_dropped_leaves(void)
{
	struct leaves before, after;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	void *mem;
	int fd;

	vm = gmem_create_default_vm(&vcpu);
	fd = create_1g(vm, PREFIX "drop");
	mem = gmem_map_at(fd, SIZE, SZ_1G, 0);
	vm_set_user_memory_region2(vm, GUEST_SLOT, 0, GUEST_BASE, SIZE, mem, -1, 0);
	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_FILL, GUEST_BASE, 0, SIZE,
		     STEP, SEED_GUEST });
	before = count_leaves(vm);
	assert_mapped(mem, SIZE, SIZE, 0, 0);

	/* A page in the middle of the first leaf takes all of it along, in both. */
	kvm_madvise(mem + SZ_2M, SZ_4K, MADV_DONTNEED);
	assert_mapped(mem, SIZE, SZ_1G, 0, 0);
	after = count_leaves(vm);
	if (kvm_is_tdp_enabled())
		TEST_ASSERT_EQ(before.nr_1g - after.nr_1g, 1);

	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_CHECK, GUEST_BASE, 0, SIZE,
		     STEP, SEED_GUEST });
	gmem_check(mem, 0, SIZE, STEP, SEED_GUEST);
	assert_mapped(mem, SIZE, SIZE, 0, 0);
	after = count_leaves(vm);
	TEST_ASSERT_EQ(after.nr_1g, before.nr_1g);
	TEST_ASSERT_EQ(after.nr_4k, before.nr_4k);

	/* All of it */
	kvm_madvise(mem, SIZE, MADV_DONTNEED);
	assert_mapped(mem, SIZE, 0, 0, 0);
	gmem_check(mem, 0, SIZE, STEP, SEED_GUEST);
	assert_mapped(mem, SIZE, SIZE, 0, 0);
	kvm_vm_free(vm);
	close(fd);
}

/* PR_SET_THP_DISABLE is about pages, of which there are none. */
static void test_thp_disabled(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = create_1g(vm, PREFIX "thp");
	void *mem;

	TEST_ASSERT(!prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), "PR_SET_THP_DISABLE");
	mem = gmem_map_at(fd, SIZE, SZ_1G, 0);
	gmem_fill(mem, 0, SIZE, STEP, SEED_HOST);
	assert_mapped(mem, SIZE, SIZE, 0, 0);
	kvm_munmap(mem, SIZE);

	/* What is said of the mapping itself is obeyed. */
	mem = gmem_map_at(fd, SIZE, SZ_1G, 0);
	kvm_madvise(mem, SIZE, MADV_NOHUGEPAGE);
	gmem_check(mem, 0, SIZE, STEP, SEED_HOST);
	assert_mapped(mem, SIZE, 0, 0, NR_STEPS(SIZE) * SZ_4K);
	close(fd);
	kvm_vm_free(vm);
}

static const struct gmem_test tests[] = {
	{ "leaves in user space", test_user_leaves },
	{ "leaves in user space that are cut and moved", test_cut_user_leaves },
	{ "leaves of a guest, bound slots", test_bound_slots },
	{ "leaves of a guest, slots of user memory", test_user_memory_slots },
	{ "a hole in leaves that are in use", test_hole_in_leaf },
	{ "leaves that are dropped", test_dropped_leaves },
	{ "leaves with PR_SET_THP_DISABLE", test_thp_disabled },
};

int main(int argc, char *argv[])
{
	return gmem_run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
