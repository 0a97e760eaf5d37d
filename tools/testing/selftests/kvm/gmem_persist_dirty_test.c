// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty logging of slots that are bound to persistent memory: exactly what the guest has
 * written is in the log, also while logging is turned on and off under a running vCPU, and
 * large leaves come back when it ends.
 *
 * Needs a kernel booted with gmem_persist=, and root.
 */
#include <pthread.h>
#include <unistd.h>

#include <linux/bitmap.h>

#include "gmem_persist_util.h"

#define NR_PAGES	(OBJECT_SIZE / SZ_4K)
#define LOG		(KVM_MEM_GUEST_MEMFD | KVM_MEM_LOG_DIRTY_PAGES)

/* What the guest writes to: one page in so many, of two leaves of 2 MiB */
#define STEP		(37ull * SZ_4K)
#define WRITTEN		(2ull * SZ_2M)

static int set_slot(struct kvm_vm *vm, u32 flags, u64 gpa, u64 size, void *hva, int fd,
		    u64 offset)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = GUEST_SLOT,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (u64)hva,
		.guest_memfd = fd,
		.guest_memfd_offset = offset,
	};

	return __vm_ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &region);
}

static void log_dirty(struct kvm_vm *vm, bool on, void *hva, int fd)
{
	int err = set_slot(vm, on ? LOG : KVM_MEM_GUEST_MEMFD, GUEST_BASE, OBJECT_SIZE, hva,
			   fd, 0);

	TEST_ASSERT(!err, "dirty logging %s: errno %d", on ? "on" : "off", errno);
}

static void get_log(struct kvm_vm *vm, unsigned long *map)
{
	memset(map, 0, NR_PAGES / 8);
	kvm_vm_get_dirty_log(vm, GUEST_SLOT, map);
}

/* What GUEST_FILL of WRITTEN bytes in steps of STEP writes to, and no more */
static void assert_written(const unsigned long *map)
{
	u64 i, wanted;

	for (i = 0; i < NR_PAGES; i++) {
		wanted = i * SZ_4K < WRITTEN && !(i * SZ_4K % STEP);
		TEST_ASSERT(test_bit(i, map) == wanted, "page %lu is%s in the log", i,
			    wanted ? " not" : "");
	}
}

static void assert_none(const unsigned long *map)
{
	u64 i;

	for (i = 0; i < NR_PAGES; i++)
		TEST_ASSERT(!test_bit(i, map), "page %lu is in the log", i);
}

static void write_some(struct kvm_vcpu *vcpu, u64 seed)
{
	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_FILL, GUEST_BASE, 0, WRITTEN,
		     STEP, seed });
}

static struct kvm_vm *create(struct kvm_vcpu **vcpu, const char *name, int *fd, void **mem)
{
	struct kvm_vm *vm = gmem_create_default_vm(vcpu);

	*fd = gmem_create(vm, name, FLAGS_SHARED);
	*mem = gmem_map_at(*fd, OBJECT_SIZE, SZ_2M, 0);
	return vm;
}

static void test_log(void)
{
	unsigned long map[BITS_TO_LONGS(NR_PAGES)];
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	u64 nr_2m;
	void *mem;
	int fd;

	vm = create(&vcpu, PREFIX "log", &fd, &mem);
	log_dirty(vm, false, mem, fd);
	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
	nr_2m = vm_get_stat(vm, pages_2m);

	log_dirty(vm, true, mem, fd);
	get_log(vm, map);
	assert_none(map);
	write_some(vcpu, SEED_HOST);
	get_log(vm, map);
	assert_written(map);
	/* What has been told is told once, until it is written to again. */
	get_log(vm, map);
	assert_none(map);
	/* Reading is not writing. */
	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_CHECK, GUEST_BASE, 0, WRITTEN,
		     STEP, SEED_HOST });
	get_log(vm, map);
	assert_none(map);
	write_some(vcpu, SEED_GUEST);
	get_log(vm, map);
	assert_written(map);
	gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_GUEST);

	/* A hole takes leaves away, and what the guest writes there is told. */
	gmem_punch(fd, 0, SZ_2M);
	get_log(vm, map);
	write_some(vcpu, SEED_GUEST);
	get_log(vm, map);
	assert_written(map);

	log_dirty(vm, false, mem, fd);
	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_CHECK, GUEST_BASE, 0, WRITTEN,
		     STEP, SEED_GUEST });
	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_CHECK, GUEST_BASE + WRITTEN, WRITTEN,
		     OBJECT_SIZE - WRITTEN, SZ_4K, SEED_GUEST });
	if (kvm_is_tdp_enabled())
		TEST_ASSERT_EQ(vm_get_stat(vm, pages_2m), nr_2m);
	close(fd);
	kvm_vm_free(vm);
}

static void clear_log(struct kvm_vm *vm, unsigned long *map)
{
	kvm_vm_clear_dirty_log(vm, GUEST_SLOT, map, 0, NR_PAGES);
}

/* As VMMs migrate: all is in the log at first, and what is told stays there until it is cleared. */
static void test_manual(void)
{
	const u64 wanted = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;
	unsigned long map[BITS_TO_LONGS(NR_PAGES)];
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	u64 i, nr_2m;
	void *mem;
	int fd;

	SKIP_UNLESS((kvm_check_cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) & wanted) == wanted,
		    "no KVM_CLEAR_DIRTY_LOG");
	vm = create(&vcpu, PREFIX "manual", &fd, &mem);
	vm_enable_cap(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, wanted);
	log_dirty(vm, false, mem, fd);
	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
	nr_2m = vm_get_stat(vm, pages_2m);

	log_dirty(vm, true, mem, fd);
	get_log(vm, map);
	for (i = 0; i < NR_PAGES; i++)
		TEST_ASSERT(test_bit(i, map), "page %lu is not in the log", i);
	clear_log(vm, map);
	get_log(vm, map);
	assert_none(map);

	for (i = 0; i < 2; i++) {
		write_some(vcpu, i ? SEED_GUEST : SEED_HOST);
		get_log(vm, map);
		assert_written(map);
		get_log(vm, map);
		assert_written(map);
		clear_log(vm, map);
		get_log(vm, map);
		assert_none(map);
	}
	gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_GUEST);

	log_dirty(vm, false, mem, fd);
	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_CHECK, GUEST_BASE, 0, OBJECT_SIZE,
		     SZ_4K, SEED_GUEST });
	if (kvm_is_tdp_enabled())
		TEST_ASSERT_EQ(vm_get_stat(vm, pages_2m), nr_2m);
	close(fd);
	kvm_vm_free(vm);
}

/* Logging from the beginning, and a slot that is deleted with its log */
static void test_new_slot(void)
{
	unsigned long map[BITS_TO_LONGS(NR_PAGES)];
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	void *mem;
	int fd;

	vm = create(&vcpu, PREFIX "new", &fd, &mem);
	log_dirty(vm, true, mem, fd);
	write_some(vcpu, SEED_GUEST);
	get_log(vm, map);
	assert_written(map);
	gmem_delete_slot(vm);

	/* The range can be bound again, by a slot elsewhere. */
	log_dirty(vm, true, mem, fd);
	get_log(vm, map);
	assert_none(map);
	/* The file goes away first. */
	close(fd);
	EXPECT_ERRNO(set_slot(vm, KVM_MEM_GUEST_MEMFD, GUEST_BASE, OBJECT_SIZE, mem, fd, 0),
		     EINVAL);
	kvm_vm_free(vm);
}

static void *toggle(void *arg)
{
	struct kvm_vcpu *vcpu = arg;

	vcpu_run(vcpu);
	return NULL;
}

/* Logging goes on and off while the guest writes; nothing it writes is lost. */
static void test_running(void)
{
	unsigned long map[BITS_TO_LONGS(NR_PAGES)];
	struct kvm_vcpu *vcpu;
	pthread_t thread;
	struct kvm_vm *vm;
	void *mem;
	int fd, i;

	vm = create(&vcpu, PREFIX "running", &fd, &mem);
	log_dirty(vm, false, mem, fd);
	gmem_start_job(vcpu, &(struct gmem_guest_job){ GUEST_REFILL_FOREVER, GUEST_BASE, 0,
		       WRITTEN, STEP, SEED_GUEST });
	pthread_create(&thread, NULL, toggle, vcpu);
	gmem_wait_for(mem, gmem_pattern(0, SEED_GUEST));

	for (i = 0; i < 50; i++) {
		log_dirty(vm, true, mem, fd);
		/* It refills what it finds empty, and that is in the log then. */
		gmem_punch(fd, 0, SZ_2M);
		gmem_wait_for(mem, gmem_pattern(0, SEED_GUEST));
		get_log(vm, map);
		TEST_ASSERT(test_bit(0, map), "round %d: page 0 is not in the log", i);
		log_dirty(vm, false, mem, fd);
		gmem_punch(fd, 0, SZ_2M);
		gmem_wait_for(mem, gmem_pattern(0, SEED_GUEST));
	}
	/* The vCPU is in its loop for ever. */
	_exit(0);
}

static void test_refused(void)
{
	unsigned long map[BITS_TO_LONGS(NR_PAGES)];
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	void *mem;
	int fd, other;

	vm = create(&vcpu, PREFIX "refused", &fd, &mem);
	other = gmem_create(vm, PREFIX "other", FLAGS_SHARED);
	log_dirty(vm, true, mem, fd);

	/* Another file, another place in it, another address here or there, another size */
	EXPECT_ERRNO(set_slot(vm, KVM_MEM_GUEST_MEMFD, GUEST_BASE, OBJECT_SIZE, mem, other, 0),
		     EINVAL);
	EXPECT_ERRNO(set_slot(vm, KVM_MEM_GUEST_MEMFD, GUEST_BASE, OBJECT_SIZE, mem, -1, 0),
		     EINVAL);
	EXPECT_ERRNO(set_slot(vm, KVM_MEM_GUEST_MEMFD, GUEST_BASE, OBJECT_SIZE, mem, fd, SZ_2M),
		     EINVAL);
	EXPECT_ERRNO(set_slot(vm, LOG, GUEST_BASE + SZ_2M, OBJECT_SIZE, mem, fd, 0), EINVAL);
	EXPECT_ERRNO(set_slot(vm, LOG, GUEST_BASE, OBJECT_SIZE, mem + SZ_2M, fd, 0), EINVAL);
	EXPECT_ERRNO(set_slot(vm, LOG, GUEST_BASE, SZ_2M, mem, fd, 0), EINVAL);
	EXPECT_ERRNO(set_slot(vm, LOG | KVM_MEM_READONLY, GUEST_BASE, OBJECT_SIZE, mem, fd, 0),
		     EINVAL);
	/* The binding does not go either. */
	EXPECT_ERRNO(set_slot(vm, KVM_MEM_LOG_DIRTY_PAGES, GUEST_BASE, OBJECT_SIZE, mem, -1, 0),
		     EINVAL);
	/* Nothing has changed, and nothing is to be. */
	log_dirty(vm, true, mem, fd);
	write_some(vcpu, SEED_GUEST);
	get_log(vm, map);
	assert_written(map);
	close(fd);
	close(other);
	kvm_vm_free(vm);

	SKIP_UNLESS(kvm_has_vm_type(KVM_X86_SW_PROTECTED_VM), "no VMs with private memory");
	vm = gmem_create_vm(KVM_X86_SW_PROTECTED_VM, &vcpu);
	fd = gmem_create(vm, PREFIX "private", FLAGS_PRIVATE);
	EXPECT_ERRNO(set_slot(vm, LOG, GUEST_BASE, OBJECT_SIZE, mem, fd, 0), EINVAL);
	TEST_ASSERT(!set_slot(vm, KVM_MEM_GUEST_MEMFD, GUEST_BASE, OBJECT_SIZE, mem, fd, 0),
		    "bind private memory");
	EXPECT_ERRNO(set_slot(vm, LOG, GUEST_BASE, OBJECT_SIZE, mem, fd, 0), EINVAL);
	EXPECT_ERRNO(set_slot(vm, KVM_MEM_GUEST_MEMFD, GUEST_BASE, OBJECT_SIZE, mem, fd, 0),
		     EINVAL);
	close(fd);
	kvm_vm_free(vm);
}

static const struct gmem_test tests[] = {
	{ "what the guest writes is in the log", test_log },
	{ "the same, if it is cleared by hand", test_manual },
	{ "a slot that begins with it", test_new_slot },
	{ "logging on and off under a running guest", test_running },
	{ "what is refused", test_refused },
};

int main(int argc, char *argv[])
{
	return gmem_run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
