// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test guests of a guest whose memory is persistent.
 *
 * All that L1 has lies in persistent memory: its code and page tables, and what it
 * shares with KVM to run L2: VMCB, bitmap, nested page tables. L2 works on a second
 * object, which it sees elsewhere in its memory than L1 does.
 *
 * Needs a kernel booted with gmem_persist=, root, and SVM. With kvm_amd.npt=0 only
 * those cases run that have no L2: then the guest's own page tables are shadowed.
 */
#include <pthread.h>
#include <signal.h>

#include "gmem_persist_util.h"
#include "svm_util.h"

/* Where L1 sees the object, and where L2 does: the same words at other addresses. */
#define L1_BASE		GUEST_BASE
#define L2_BASE		(GUEST_BASE + SZ_1G)

/* Any number of exits from L2 to L1 shall do. */
#define NR_EXITS	50

#define MAIN_SLOT	0
#define MAIN_NAME	PREFIX "main"
#define DATA_NAME	PREFIX "data"

/* What L1's memory is to KVM. */
enum slot_kind {
	SLOT_BOUND,	/* to the guest_memfd, which is mapped at userspace_addr, too */
	SLOT_MAPPED,	/* the mapping at userspace_addr, and nothing else */
	SLOT_FILE,	/* the same, and the mapping is of a file of gmemfs */
	SLOT_BLIND,	/* bound, and nothing at userspace_addr */
};

/*
 * Guests
 */

static void l2_code(void)
{
	int i;

	for (i = 0; i < NR_EXITS; i++)
		vmmcall();
	gmem_guest_code();
}

static void l1_code(struct svm_test_data *svm)
{
	struct vmcb *vmcb = svm->vmcb;
	int i;

	generic_svm_setup(svm, l2_code);
	for (i = 0; i < NR_EXITS; i++) {
		run_guest(vmcb, svm->vmcb_gpa);
		GUEST_ASSERT_EQ(vmcb->control.exit_code, SVM_EXIT_VMMCALL);
		vmcb->save.rip += 3;
	}
	run_guest(vmcb, svm->vmcb_gpa);
	GUEST_FAIL("L2 ended with 0x%x", vmcb->control.exit_code);
}

/*
 * VMs
 */

struct nested_vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	int main_fd;
	int data_fd;
	void *data;
	u64 data_size;
};

static u64 main_size(struct kvm_vm *vm)
{
	return memslot2region(vm, MAIN_SLOT)->region.memory_size;
}

static int create_memory(struct kvm_vm *vm, enum slot_kind kind, const char *name, u64 size,
			 u64 granule)
{
	if (kind == SLOT_FILE)
		return gmem_create_file(name, size, granule);
	return __gmem_create(vm, name, size, granule, FLAGS_SHARED);
}

/* A slot is what is at userspace_addr, or is bound. */
static u32 slot_flags(enum slot_kind kind)
{
	return kind == SLOT_MAPPED || kind == SLOT_FILE ? 0 : KVM_MEM_GUEST_MEMFD;
}

/* The library goes on using the addresses that it has for the VM's memory. */
static void map_main(struct kvm_vm *vm, int fd)
{
	void *mem = memslot2region(vm, MAIN_SLOT)->host_mem;

	TEST_ASSERT(mmap(mem, main_size(vm), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0) == mem, "mmap");
}

/* Move all that the library has put into the VM's memory to a persistent object. */
static int persist_main(struct kvm_vm *vm, enum slot_kind kind)
{
	struct userspace_mem_region *region = memslot2region(vm, MAIN_SLOT);
	u64 size = main_size(vm);
	void *hva = region->host_mem;
	int fd = create_memory(vm, kind, MAIN_NAME, align_up(size, SZ_2M), SZ_2M);
	void *mem = gmem_map(fd, size);

	memcpy(mem, hva, size);
	kvm_munmap(mem, size);
	map_main(vm, fd);

	if (kind == SLOT_BLIND)
		hva = kvm_mmap(size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	vm_set_user_memory_region2(vm, MAIN_SLOT, 0, 0, 0, NULL, -1, 0);
	vm_set_user_memory_region2(vm, MAIN_SLOT, slot_flags(kind), 0, size, hva, fd, 0);
	return fd;
}

/* Let L2 see what L1 has at @l1, in leaves of @level of L1's nested page tables. */
static void map_l2(struct kvm_vm *vm, u64 l2, u64 l1, u64 size, int level)
{
	u64 i;

	for (i = 0; i < size; i += PG_LEVEL_SIZE(level))
		__virt_pg_map(vm, &vm->stage2_mmu, l2 + i, l1 + i, level);
}

/* The first @size bytes with the order of pages reversed: no two are contiguous. */
static void map_l2_reversed(struct kvm_vm *vm, u64 size)
{
	u64 i;

	for (i = 0; i < size; i += SZ_4K)
		map_l2(vm, L2_BASE + i, L1_BASE + size - SZ_4K - i, SZ_4K, PG_LEVEL_4K);
}

static void add_data(struct nested_vm *n, enum slot_kind kind, u64 size, u64 granule)
{
	n->data_size = size;
	n->data_fd = create_memory(n->vm, kind, DATA_NAME, size, granule);
	n->data = gmem_map_at(n->data_fd, size, SZ_1G, 0);
	vm_set_user_memory_region2(n->vm, GUEST_SLOT, slot_flags(kind), L1_BASE, size,
				   n->data, n->data_fd, 0);
}

/*
 * A VM that runs an L2, all in place but the mappings of L2_BASE. @kind is that of
 * slot 0, whose memory moves when the VM is complete: see start_nested().
 */
static struct nested_vm create_nested(void)
{
	struct nested_vm n = {};
	gva_t svm;

	SKIP_UNLESS(kvm_cpu_has(X86_FEATURE_SVM) && kvm_cpu_has_npt(),
		    "no nested SVM with nested page tables");
	n.vm = vm_create_with_one_vcpu(&n.vcpu, l1_code);
	virt_map_level(n.vm, GUEST_BASE, GUEST_BASE, GUEST_WINDOW, PG_LEVEL_2M);
	vm_enable_tdp(n.vm);
	vcpu_alloc_svm(n.vm, &svm);
	vcpu_args_set(n.vcpu, 1, svm);
	tdp_identity_map_default_memslots(n.vm);
	return n;
}

static void start_nested(struct nested_vm *n, enum slot_kind kind)
{
	n->main_fd = persist_main(n->vm, kind);
}

static void free_nested(struct nested_vm *n)
{
	kvm_vm_free(n->vm);
	kvm_munmap(n->data, n->data_size);
	close(n->data_fd);
	close(n->main_fd);
	gmem_clean_up();
}

static struct gmem_guest_job l2_job(enum guest_op op, u64 size, u64 step, u64 seed)
{
	return (struct gmem_guest_job){ op, L2_BASE, 0, size, step, seed };
}

/*
 * Cases
 */

/* L1 maps the object to L2 by leaves of @level; KVM installs none larger than that. */
static void check_level(enum slot_kind kind, int level, u64 size, u64 step)
{
	struct nested_vm n = create_nested();
	struct gmem_guest_job j = l2_job(GUEST_CHECK, size, step, SEED_HOST);
	u64 huge;

	map_l2(n.vm, L2_BASE, L1_BASE, size, level);
	add_data(&n, kind, SZ_1G, SZ_1G);
	start_nested(&n, kind);

	gmem_fill(n.data, 0, size, step, SEED_HOST);
	gmem_run_job(n.vcpu, &j);
	huge = vm_get_stat(n.vm, pages_1g);
	TEST_ASSERT(huge == (level == PG_LEVEL_1G), "%lu leaves of 1 GiB", huge);
	if (level == PG_LEVEL_2M)
		TEST_ASSERT(vm_get_stat(n.vm, pages_2m) >= size / SZ_2M,
			    "%lu leaves of 2 MiB", (u64)vm_get_stat(n.vm, pages_2m));
	if (level == PG_LEVEL_4K)
		TEST_ASSERT(vm_get_stat(n.vm, pages_4k) >= size / SZ_4K,
			    "%lu leaves of 4 KiB", (u64)vm_get_stat(n.vm, pages_4k));

	j = l2_job(GUEST_FILL, size, step, SEED_GUEST);
	gmem_run_job(n.vcpu, &j);
	gmem_check(n.data, 0, size, step, SEED_GUEST);

	/* Punching takes the memory away from L2 as well. */
	TEST_ASSERT(!fallocate(n.data_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       0, SZ_1G), "punch");
	TEST_ASSERT_EQ(vm_get_stat(n.vm, pages_1g), 0);
	if (level == PG_LEVEL_4K)
		TEST_ASSERT(vm_get_stat(n.vm, pages_4k) < size / SZ_4K,
			    "leaves are left of what was punched");
	j.op = GUEST_CHECK_ZERO;
	gmem_run_job(n.vcpu, &j);
	free_nested(&n);
}

static void check_levels(enum slot_kind kind)
{
	check_level(kind, PG_LEVEL_4K, SZ_4M, SZ_4K);
	check_level(kind, PG_LEVEL_2M, 64 * SZ_1M, SZ_64K + SZ_4K);
	check_level(kind, PG_LEVEL_1G, SZ_1G, SZ_2M + SZ_4K);
}

static void test_bound(void)
{
	check_levels(SLOT_BOUND);
}

static void test_mapped(void)
{
	check_levels(SLOT_MAPPED);
}

static void test_file(void)
{
	check_levels(SLOT_FILE);
}

/*
 * In 4 KiB pages that L1 has in reverse order, a leaf of more than one of them shows
 * L2 the wrong ones.
 */
static void test_reversed(void)
{
	const u64 size = SZ_4M, last = size - SZ_4K;
	struct nested_vm n = create_nested();
	struct gmem_guest_job j = l2_job(GUEST_CHECK, size, SZ_4K, SEED_HOST);
	u64 *word;
	u64 i;

	map_l2_reversed(n.vm, size);
	add_data(&n, SLOT_BOUND, SZ_1G, SZ_1G);
	start_nested(&n, SLOT_BOUND);

	for (i = 0; i < size; i += SZ_4K) {
		word = n.data + last - i;
		*word = gmem_pattern(i, SEED_HOST);
	}
	gmem_run_job(n.vcpu, &j);

	j = l2_job(GUEST_FILL, size, SZ_4K, SEED_GUEST);
	gmem_run_job(n.vcpu, &j);
	for (i = 0; i < size; i += SZ_4K) {
		word = n.data + last - i;
		TEST_ASSERT(*word == gmem_pattern(i, SEED_GUEST),
			    "page %lu of L2 went elsewhere", i / SZ_4K);
	}
	free_nested(&n);
}

/* The same without an L2: with kvm_amd.npt=0 KVM shadows these page tables. */
static void test_reversed_own(void)
{
	const u64 size = SZ_4M, last = size - SZ_4K;
	const u64 base = L2_BASE + SZ_1G;
	struct gmem_guest_job j = { GUEST_CHECK, base, 0, size, SZ_4K, SEED_HOST };
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	void *data;
	u64 *word;
	int fd;
	u64 i;

	vm = vm_create_with_one_vcpu(&vcpu, gmem_guest_code);
	for (i = 0; i < size; i += SZ_4K)
		virt_pg_map(vm, base + i, L1_BASE + last - i);
	fd = __gmem_create(vm, DATA_NAME, SZ_1G, SZ_1G, FLAGS_SHARED);
	data = gmem_map_at(fd, SZ_1G, SZ_1G, 0);
	gmem_add_slot(vm, fd, SZ_1G);

	for (i = 0; i < size; i += SZ_4K) {
		word = data + last - i;
		*word = gmem_pattern(i, SEED_HOST);
	}
	gmem_run_job(vcpu, &j);
	kvm_vm_free(vm);
	close(fd);
}

/*
 * userspace_addr of a bound slot has something else: L2 must not see that. KVM maps
 * neighbours of what faults only if L1 has marked them as accessed.
 */
static void test_other_at_userspace_addr(void)
{
	struct nested_vm n = create_nested();
	struct gmem_guest_job j = l2_job(GUEST_CHECK, SZ_2M, SZ_4K, SEED_HOST);
	void *other;
	u64 i;

	map_l2(n.vm, L2_BASE, L1_BASE, SZ_2M, PG_LEVEL_4K);
	for (i = 0; i < SZ_2M; i += SZ_4K)
		*tdp_get_pte(n.vm, L2_BASE + i) |= PTE_ACCESSED_MASK(&n.vm->stage2_mmu);
	n.data_size = SZ_2M;
	n.data_fd = __gmem_create(n.vm, DATA_NAME, SZ_2M, 0, FLAGS_SHARED);
	n.data = gmem_map(n.data_fd, SZ_2M);
	gmem_fill(n.data, 0, SZ_2M, SZ_4K, SEED_HOST);

	other = kvm_mmap(SZ_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memset(other, 0xaa, SZ_2M);
	vm_set_user_memory_region2(n.vm, GUEST_SLOT, KVM_MEM_GUEST_MEMFD, L1_BASE,
				   SZ_2M, other, n.data_fd, 0);
	start_nested(&n, SLOT_BOUND);
	gmem_run_job(n.vcpu, &j);
	free_nested(&n);
}

static void assert_cannot_emulate(struct kvm_vcpu *vcpu)
{
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_INTERNAL_ERROR);
	TEST_ASSERT_EQ(vcpu->run->internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
}

/* KVM reaches L1's VMCB by userspace_addr only, and says so if there is nothing. */
static void test_blind(void)
{
	struct nested_vm n = create_nested();

	n.data_size = SZ_2M;
	n.data_fd = __gmem_create(n.vm, DATA_NAME, SZ_2M, 0, FLAGS_SHARED);
	n.data = gmem_map(n.data_fd, SZ_2M);
	start_nested(&n, SLOT_BLIND);
	vcpu_run(n.vcpu);
	assert_cannot_emulate(n.vcpu);
	free_nested(&n);
}

/* KVM would read, and write, the shared side of what L1 has in private memory. */
static void test_private_vmcb(void)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_SW_PROTECTED_VM,
	};
	struct svm_test_data *svm;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	gva_t gva;
	int fd;

	SKIP_UNLESS(kvm_cpu_has(X86_FEATURE_SVM), "no nested SVM");
	SKIP_UNLESS(kvm_has_vm_type(shape.type), "no KVM_X86_SW_PROTECTED_VM");
	vm = vm_create_shape_with_one_vcpu(shape, &vcpu, l1_code);
	svm = vcpu_alloc_svm(vm, &gva);
	vcpu_args_set(vcpu, 1, gva);

	/* All of L1 is shared but for the VMCB. */
	fd = __gmem_create(vm, MAIN_NAME, align_up(main_size(vm), SZ_2M), 0,
			   FLAGS_PRIVATE);
	vm_set_user_memory_region2(vm, MAIN_SLOT, 0, 0, 0, NULL, -1, 0);
	vm_set_user_memory_region2(vm, MAIN_SLOT, KVM_MEM_GUEST_MEMFD, 0, main_size(vm),
				   memslot2region(vm, MAIN_SLOT)->host_mem, fd, 0);
	vm_mem_set_private(vm, svm->vmcb_gpa, SZ_4K);

	vcpu_run(vcpu);
	assert_cannot_emulate(vcpu);
	kvm_vm_free(vm);
	close(fd);
}

static void *run_vcpu(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	int r = __vcpu_run(vcpu);

	TEST_ASSERT(r == -1 && errno == EINTR, "L2 ended: %d, errno %d, %s", r, errno,
		    exit_reason_str(vcpu->run->exit_reason));
	return NULL;
}

static void ignore_signal(int signal)
{
}

/* Until L2 has written the last word, again if it had done so before. */
static void wait_for_l2(void *data, u64 size)
{
	while (READ_ONCE(*(u64 *)(data + size - SZ_4K)) !=
	       gmem_pattern(size - SZ_4K, SEED_GUEST))
		;
}

static void test_punch_running(void)
{
	const u64 size = SZ_4M;
	struct nested_vm n = create_nested();
	struct gmem_guest_job j = l2_job(GUEST_FILL_FOREVER, size, SZ_4K, SEED_GUEST);
	pthread_t thread;
	int i;

	map_l2(n.vm, L2_BASE, L1_BASE, SZ_1G, PG_LEVEL_1G);
	add_data(&n, SLOT_BOUND, SZ_1G, SZ_1G);
	start_nested(&n, SLOT_BOUND);
	gmem_start_job(n.vcpu, &j);
	signal(SIGUSR1, ignore_signal);
	TEST_ASSERT(!pthread_create(&thread, NULL, run_vcpu, n.vcpu), "pthread_create");
	for (i = 0; i < 20; i++) {
		wait_for_l2(n.data, size);
		TEST_ASSERT(!fallocate(n.data_fd,
				       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				       size), "punch");
	}
	wait_for_l2(n.data, size);
	WRITE_ONCE(n.vcpu->run->immediate_exit, 1);
	TEST_ASSERT(!pthread_kill(thread, SIGUSR1), "pthread_kill");
	pthread_join(thread, NULL);
	free_nested(&n);
}

/*
 * A new VMM takes over both objects, and the state of the vCPU in the middle of L2.
 * The library puts slots back as they were, so they must not be bound.
 */
static void test_reclaimed(void)
{
	const u64 size = 64 * SZ_4K;
	struct nested_vm n = create_nested();
	struct userspace_mem_region *region = memslot2region(n.vm, MAIN_SLOT);
	struct gmem_guest_job j = l2_job(GUEST_FILL, size, SZ_4K, SEED_GUEST);
	struct kvm_x86_state *state;

	map_l2(n.vm, L2_BASE, L1_BASE, SZ_2M, PG_LEVEL_2M);
	add_data(&n, SLOT_MAPPED, SZ_2M, 0);
	start_nested(&n, SLOT_MAPPED);
	gmem_run_job(n.vcpu, &j);

	state = vcpu_save_state(n.vcpu);
	TEST_ASSERT(state->nested.flags & KVM_STATE_NESTED_GUEST_MODE, "not in L2");
	kvm_vm_release(n.vm);
	kvm_munmap(n.data, n.data_size);
	/* The address space stays taken. */
	TEST_ASSERT(mmap(region->host_mem, main_size(n.vm), PROT_NONE, MAP_PRIVATE |
			 MAP_ANONYMOUS | MAP_FIXED, -1, 0) == region->host_mem, "mmap");
	close(n.main_fd);
	close(n.data_fd);
	gmem_assert_parked(MAIN_NAME);
	gmem_assert_parked(DATA_NAME);

	n.vcpu = vm_recreate_with_one_vcpu(n.vm);
	n.main_fd = gmem_reclaim(n.vm, MAIN_NAME, FLAGS_SHARED);
	n.data_fd = gmem_reclaim(n.vm, DATA_NAME, FLAGS_SHARED);
	map_main(n.vm, n.main_fd);
	n.data = gmem_map(n.data_fd, n.data_size);
	vm_set_user_memory_region2(n.vm, GUEST_SLOT, 0, L1_BASE, n.data_size, n.data,
				   -1, 0);
	vcpu_load_state(n.vcpu, state);
	kvm_x86_state_cleanup(state);

	j.op = GUEST_CHECK;
	gmem_run_job(n.vcpu, &j);
	gmem_check(n.data, 0, size, SZ_4K, SEED_GUEST);
	free_nested(&n);
}

static const struct gmem_test tests[] = {
	{ "the guest maps 4 KiB pages in reverse order", test_reversed_own },
	{ "L2 in slots that are bound", test_bound },
	{ "L2 in slots of a mapping", test_mapped },
	{ "L2 in slots of a mapping of files", test_file },
	{ "L1 maps 4 KiB pages to L2 in reverse order", test_reversed },
	{ "L2 does not see what else is at userspace_addr", test_other_at_userspace_addr },
	{ "nothing at userspace_addr", test_blind },
	{ "a VMCB in private memory", test_private_vmcb },
	{ "punching while L2 runs", test_punch_running },
	{ "L2 goes on under a new VMM", test_reclaimed },
};

int main(int argc, char *argv[])
{
	return gmem_run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
