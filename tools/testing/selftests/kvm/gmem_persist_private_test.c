// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMs with private memory over persistent memory. The private side of a memslot is an
 * object of the VM. The shared side is another one, mapped at the slot's
 * userspace_addr; a VM with private memory cannot have it, so it is that of a default
 * VM that has no other use.
 *
 * Needs a kernel booted with gmem_persist=3G or more, and root.
 */
#include <signal.h>
#include <unistd.h>

#include <linux/falloc.h>

#include "gmem_persist_util.h"

#define PRIVATE		PREFIX "private"
#define SHARED		PREFIX "shared"

/* What the guest writes on the private side. */
#define SEED_PRIVATE	0x3333333333333333ull

/**
 * struct sides - a VM with private memory, and its two objects
 * @vm: the VM
 * @vcpu: its vCPU
 * @private_fd: the object behind what is private
 * @shared_fd: the object behind what is shared
 * @shared: where user space has mapped the latter
 * @size: of either, in bytes
 */
struct sides {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	int private_fd;
	int shared_fd;
	void *shared;
	u64 size;
};

static struct sides open_sides(u64 size, u64 granule, u32 op)
{
	struct kvm_gmem_persist private_args = {
		.op = op,
		.size = size,
		.granule = granule,
		.flags = FLAGS_PRIVATE,
		.name = PRIVATE,
	};
	struct kvm_gmem_persist shared_args = {
		.op = op,
		.size = size,
		.granule = granule,
		.flags = FLAGS_SHARED,
		.name = SHARED,
	};
	struct kvm_vm *holder = vm_create_barebones();
	struct sides s = { .size = size };

	s.vm = gmem_create_vm(KVM_X86_SW_PROTECTED_VM, &s.vcpu);
	/* The file is all that is needed of the other VM. */
	s.shared_fd = gmem_open_object(holder, &shared_args);
	kvm_vm_free(holder);
	s.shared = gmem_map_at(s.shared_fd, size, SZ_1G, 0);
	s.private_fd = gmem_open_object(s.vm, &private_args);
	vm_set_user_memory_region2(s.vm, GUEST_SLOT, KVM_MEM_GUEST_MEMFD, GUEST_BASE,
				   size, s.shared, s.private_fd, 0);
	return s;
}

static struct sides create_sides(u64 size, u64 granule)
{
	SKIP_UNLESS(kvm_has_vm_type(KVM_X86_SW_PROTECTED_VM),
		    "no software-protected VMs on this host");
	return open_sides(size, granule, KVM_GMEM_PERSIST_CREATE);
}

static struct sides reclaim_sides(u64 size)
{
	return open_sides(size, 0, KVM_GMEM_PERSIST_RECLAIM);
}

static void close_sides(struct sides *s)
{
	kvm_munmap(s->shared, s->size);
	kvm_vm_free(s->vm);
	close(s->private_fd);
	close(s->shared_fd);
	gmem_assert_parked(PRIVATE);
	gmem_assert_parked(SHARED);
}

static void guest_does(struct sides *s, enum guest_op op, u64 offset, u64 size,
		       u64 step, u64 seed)
{
	if (size)
		gmem_run_job(s->vcpu, &(struct gmem_guest_job){ op,
			     GUEST_BASE + offset, offset, size, step, seed });
}

/*
 * Cases: conversions
 */

/* Both sides of a range have their own contents, and each is seen as long as it is in use. */
static void convert_range(struct sides *s, u64 offset, u64 size)
{
	const u64 end = offset + size, gpa = GUEST_BASE + offset;

	gmem_punch(s->private_fd, 0, s->size);
	gmem_fill(s->shared, 0, s->size, SZ_4K, SEED_HOST);
	guest_does(s, GUEST_CHECK, 0, s->size, SZ_4K, SEED_HOST);

	vm_mem_set_private(s->vm, gpa, size);
	guest_does(s, GUEST_CHECK_ZERO, offset, size, SZ_4K, 0);
	guest_does(s, GUEST_FILL, offset, size, SZ_4K, SEED_PRIVATE);
	guest_does(s, GUEST_CHECK, 0, offset, SZ_4K, SEED_HOST);
	guest_does(s, GUEST_CHECK, end, s->size - end, SZ_4K, SEED_HOST);
	gmem_check(s->shared, 0, s->size, SZ_4K, SEED_HOST);

	/* What user space writes now, the guest sees after it has become shared. */
	gmem_fill(s->shared, offset, size, SZ_4K, ~SEED_HOST);
	guest_does(s, GUEST_CHECK, offset, size, SZ_4K, SEED_PRIVATE);
	vm_mem_set_shared(s->vm, gpa, size);
	guest_does(s, GUEST_CHECK, offset, size, SZ_4K, ~SEED_HOST);
	guest_does(s, GUEST_FILL, offset, size, SZ_4K, SEED_GUEST);
	gmem_check(s->shared, offset, size, SZ_4K, SEED_GUEST);

	/* A conversion clears nothing; whoever wants that punches. */
	vm_mem_set_private(s->vm, gpa, size);
	guest_does(s, GUEST_CHECK, offset, size, SZ_4K, SEED_PRIVATE);
	gmem_punch(s->private_fd, offset, size);
	guest_does(s, GUEST_CHECK_ZERO, offset, size, SZ_4K, 0);
	gmem_punch(s->shared_fd, offset, size);
	gmem_check_zero(s->shared, offset, size);
	vm_mem_set_shared(s->vm, gpa, size);
	guest_does(s, GUEST_CHECK_ZERO, offset, size, SZ_4K, 0);
}

static void test_conversions(void)
{
	static const struct {
		u64 offset;
		u64 size;
	} ranges[] = {
		{ 0, SZ_4K },
		{ SZ_4K, SZ_4K },
		{ SZ_2M - SZ_4K, 2 * SZ_4K },		/* over a granule's end */
		{ SZ_2M, SZ_2M },			/* a whole granule */
		{ SZ_2M + SZ_1M, SZ_2M },		/* two halves */
		{ 0, OBJECT_SIZE },
	};
	struct sides s = create_sides(OBJECT_SIZE, SZ_2M);
	int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		convert_range(&s, ranges[i].offset, ranges[i].size);
	close_sides(&s);
}

/* Odd pages private, even ones shared: nothing but small leaves. */
static void test_alternating(void)
{
	struct sides s = create_sides(OBJECT_SIZE, SZ_2M);
	u64 offset;

	gmem_fill(s.shared, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	guest_does(&s, GUEST_CHECK, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	for (offset = SZ_4K; offset < SZ_2M; offset += 2 * SZ_4K)
		vm_mem_set_private(s.vm, GUEST_BASE + offset, SZ_4K);
	guest_does(&s, GUEST_CHECK_ZERO, SZ_4K, SZ_2M - SZ_4K, 2 * SZ_4K, 0);
	guest_does(&s, GUEST_FILL, SZ_4K, SZ_2M - SZ_4K, 2 * SZ_4K, SEED_PRIVATE);
	guest_does(&s, GUEST_CHECK, 0, SZ_2M, 2 * SZ_4K, SEED_HOST);
	guest_does(&s, GUEST_CHECK, SZ_4K, SZ_2M - SZ_4K, 2 * SZ_4K, SEED_PRIVATE);
	gmem_check(s.shared, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	close_sides(&s);
}

static void assert_leaves(struct sides *s, u64 pages_1g, u64 pages_2m, const char *when)
{
	/* Of 2 MiB, the memory of the program itself may have some more. */
	u64 nr_1g = vm_get_stat(s->vm, pages_1g), nr_2m = vm_get_stat(s->vm, pages_2m);

	if (kvm_is_tdp_enabled())
		TEST_ASSERT(nr_1g == pages_1g && nr_2m == pages_2m,
			    "%s: %lu leaves of 1 GiB, %lu of 2 MiB, not %lu and %lu",
			    when, nr_1g, nr_2m, pages_1g, pages_2m);
}

/*
 * A page in the middle of a whole GiB becomes shared, and private again. A leaf never
 * covers memory of both sides; the large one is back with the next fault.
 */
static void test_split_1g(void)
{
	const u64 size = SZ_1G, step = SZ_2M, hole = SZ_1G / 2;
	struct sides s;

	SKIP_UNLESS(gmem_pool_attr("free_1g_bytes") >= 2 * size,
		    "not enough whole GiB are free");
	s = create_sides(size, SZ_1G);
	gmem_fill(s.shared, 0, size, step, SEED_HOST);
	vm_mem_set_private(s.vm, GUEST_BASE, size);
	guest_does(&s, GUEST_FILL, 0, size, step, SEED_PRIVATE);
	assert_leaves(&s, 1, 0, "all private");

	vm_mem_set_shared(s.vm, GUEST_BASE + hole, SZ_4K);
	assert_leaves(&s, 0, 0, "one page converted");
	guest_does(&s, GUEST_CHECK, hole, SZ_4K, SZ_4K, SEED_HOST);
	guest_does(&s, GUEST_CHECK, 0, hole, step, SEED_PRIVATE);
	guest_does(&s, GUEST_CHECK, hole + step, size - hole - step, step, SEED_PRIVATE);
	guest_does(&s, GUEST_CHECK_ZERO, hole + SZ_4K, step - SZ_4K, SZ_4K, 0);
	assert_leaves(&s, 0, size / step - 1, "one page shared");

	/* The 2 MiB around the page become shared as a whole. */
	vm_mem_set_shared(s.vm, GUEST_BASE + hole, SZ_2M);
	guest_does(&s, GUEST_CHECK, hole, SZ_4K, SZ_4K, SEED_HOST);
	assert_leaves(&s, 0, size / step, "2 MiB shared");

	vm_mem_set_private(s.vm, GUEST_BASE + hole, SZ_2M);
	guest_does(&s, GUEST_CHECK, 0, size, step, SEED_PRIVATE);
	assert_leaves(&s, 1, 0, "all private again");

	vm_mem_set_shared(s.vm, GUEST_BASE, size);
	guest_does(&s, GUEST_CHECK, 0, size, step, SEED_HOST);
	gmem_check(s.shared, 0, size, step, SEED_HOST);
	close_sides(&s);
}

/*
 * Cases: the wrong side
 */

/* By a vCPU of its own, which will not get past that instruction. */
static void assert_fault_exit(struct kvm_vm *vm, u64 offset, const char *what)
{
	static u32 id = 1;
	struct kvm_vcpu *vcpu = gmem_add_vcpu(vm, id++);
	int r, error;

	gmem_start_job(vcpu, &(struct gmem_guest_job){ GUEST_FILL, GUEST_BASE + offset,
		       offset, SZ_4K, SZ_4K, SEED_GUEST });
	r = _vcpu_run(vcpu);
	error = errno;
	TEST_ASSERT(r == -1 && error == EFAULT, "%s: KVM_RUN gave %d, errno %d, exit %s",
		    what, r, error, exit_reason_str(vcpu->run->exit_reason));
	TEST_ASSERT_EQ(vcpu->run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	TEST_ASSERT_EQ(vcpu->run->memory_fault.gpa,
		       (GUEST_BASE + offset) & ~(SZ_4K - 1ull));
	TEST_ASSERT_EQ(vcpu->run->memory_fault.size, (u64)SZ_4K);
	TEST_ASSERT_EQ(vcpu->run->memory_fault.flags, KVM_MEMORY_EXIT_FLAG_PRIVATE);
}

/* No private memory where it should be: an exit that tells where, and no data. */
static void test_private_exits(void)
{
	struct sides s = create_sides(OBJECT_SIZE, SZ_2M);
	const u64 odd = SZ_2M + SZ_4K + 8;

	gmem_fill(s.shared, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	vm_mem_set_private(s.vm, GUEST_BASE, OBJECT_SIZE);

	/* A slot that has a shared side only, although that is persistent memory. */
	gmem_delete_slot(s.vm);
	vm_set_user_memory_region2(s.vm, GUEST_SLOT, 0, GUEST_BASE, OBJECT_SIZE, s.shared,
				   -1, 0);
	assert_fault_exit(s.vm, 0, "no private side");
	assert_fault_exit(s.vm, odd, "no private side");
	gmem_check(s.shared, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);

	/* No slot; private memory is never MMIO. */
	gmem_delete_slot(s.vm);
	assert_fault_exit(s.vm, odd, "no slot");

	/* A slot whose private side has gone with the last descriptor. */
	vm_set_user_memory_region2(s.vm, GUEST_SLOT, KVM_MEM_GUEST_MEMFD, GUEST_BASE,
				   OBJECT_SIZE, s.shared, s.private_fd, 0);
	close(s.private_fd);
	gmem_assert_parked(PRIVATE);
	assert_fault_exit(s.vm, odd, "no private side any more");
	gmem_check(s.shared, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	kvm_vm_free(s.vm);
	close(s.shared_fd);
}

/* Shared, but there is nothing on that side: an error, and no private memory instead. */
static void test_shared_faults(void)
{
	struct sides s = create_sides(OBJECT_SIZE, SZ_2M);
	struct kvm_vcpu *lost = gmem_add_vcpu(s.vm, 1);
	int r, error;

	vm_mem_set_private(s.vm, GUEST_BASE, OBJECT_SIZE);
	guest_does(&s, GUEST_FILL, 0, OBJECT_SIZE, SZ_4K, SEED_PRIVATE);
	TEST_ASSERT(!mprotect(s.shared, SZ_2M, PROT_NONE), "mprotect");
	kvm_munmap(s.shared + SZ_2M, SZ_2M);

	vm_mem_set_shared(s.vm, GUEST_BASE, OBJECT_SIZE);
	guest_does(&s, GUEST_CHECK_ZERO, SZ_4M, SZ_4M, SZ_4K, 0);
	gmem_start_job(lost, &(struct gmem_guest_job){ GUEST_CHECK, GUEST_BASE, 0, SZ_4K,
		       SZ_4K, SEED_PRIVATE });
	r = _vcpu_run(lost);
	error = errno;
	TEST_ASSERT(r == -1 && error == EFAULT, "PROT_NONE: %d, errno %d", r, error);

	vm_mem_set_private(s.vm, GUEST_BASE, OBJECT_SIZE);
	guest_does(&s, GUEST_CHECK, 0, OBJECT_SIZE, SZ_4K, SEED_PRIVATE);
	kvm_vm_free(s.vm);
}

/*
 * Cases: ways to private memory
 */

/* None for user space, whatever the flags and the state of the page. */
static void test_no_user_access(void)
{
	struct sides s = create_sides(OBJECT_SIZE, SZ_2M);
	struct kvm_gmem_persist args = GMEM_ARGS(CREATE, PREFIX "mmap", .size = OBJECT_SIZE,
		.flags = FLAGS_SHARED);
	void *mem;
	int fd;

	/* Memory that user space sees cannot be the private side of anything. */
	gmem_expect_refused(s.vm, &args, EINVAL, "shared memory of a protected VM");
	args.flags = GUEST_MEMFD_FLAG_INIT_SHARED;
	gmem_expect_refused(s.vm, &args, EINVAL, "shared memory of a protected VM");

	EXPECT_ERRNO(mmap(NULL, SZ_2M, PROT_READ, MAP_SHARED, s.private_fd, 0), ENODEV);
	vm_mem_set_shared(s.vm, GUEST_BASE, OBJECT_SIZE);
	EXPECT_ERRNO(mmap(NULL, SZ_2M, PROT_READ, MAP_SHARED, s.private_fd, 0), ENODEV);
	gmem_delete_slot(s.vm);

	/* One that may be mapped can be the private side, but mapped is nothing of it. */
	args.flags = GUEST_MEMFD_FLAG_MMAP;
	fd = gmem_open_object(s.vm, &args);
	mem = gmem_map_at(fd, OBJECT_SIZE, SZ_2M, 0);
	vm_set_user_memory_region2(s.vm, GUEST_SLOT, KVM_MEM_GUEST_MEMFD, GUEST_BASE,
				   OBJECT_SIZE, mem, fd, 0);
	vm_mem_set_private(s.vm, GUEST_BASE, OBJECT_SIZE);
	guest_does(&s, GUEST_FILL, 0, OBJECT_SIZE, SZ_4K, SEED_PRIVATE);
	TEST_EXPECT_SIGBUS(READ_ONCE(*(u64 *)mem));
	TEST_EXPECT_SIGBUS(WRITE_ONCE(*(u64 *)(mem + SZ_2M), 0));
	vm_mem_set_shared(s.vm, GUEST_BASE, SZ_2M);
	TEST_EXPECT_SIGBUS(READ_ONCE(*(u64 *)mem));
	vm_mem_set_private(s.vm, GUEST_BASE, OBJECT_SIZE);
	guest_does(&s, GUEST_CHECK, 0, OBJECT_SIZE, SZ_4K, SEED_PRIVATE);
	kvm_vm_free(s.vm);
}

static int pre_fault(struct kvm_vcpu *vcpu, u64 gpa, u64 size)
{
	struct kvm_pre_fault_memory range = { .gpa = gpa, .size = size };
	int r;

	do {
		r = __vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range);
	} while (range.size && (!r || errno == EINTR || errno == EAGAIN));
	return r;
}

/* Mapping ahead works on both sides and fills in nothing; putting contents in does not. */
static void test_populate(void)
{
	struct sides s = create_sides(OBJECT_SIZE, SZ_2M);
	struct kvm_sev_cmd cmd = { .id = KVM_SEV_INIT };
	const u64 half = OBJECT_SIZE / 2;
	u64 nr;
	int r;

	/* Launching by firmware is for SEV and TDX; this host may have neither. */
	r = ioctl(s.vm->fd, KVM_MEMORY_ENCRYPT_OP, &cmd);
	TEST_ASSERT(r == -1 && (errno == ENOTTY || errno == EINVAL),
		    "KVM_MEMORY_ENCRYPT_OP: %d, errno %d", r, errno);

	gmem_fill(s.shared, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	vm_mem_set_private(s.vm, GUEST_BASE, half);
	nr = vm_get_stat(s.vm, pages_2m);
	if (kvm_is_tdp_enabled()) {
		TEST_ASSERT(!pre_fault(s.vcpu, GUEST_BASE, OBJECT_SIZE), "prefault");
		TEST_ASSERT_EQ(vm_get_stat(s.vm, pages_2m) - nr, OBJECT_SIZE / SZ_2M);
	}
	guest_does(&s, GUEST_CHECK_ZERO, 0, half, SZ_4K, 0);
	guest_does(&s, GUEST_CHECK, half, half, SZ_4K, SEED_HOST);
	guest_does(&s, GUEST_FILL, 0, half, SZ_4K, SEED_PRIVATE);
	gmem_check(s.shared, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);

	/* Already there: it stays what it is. */
	if (kvm_is_tdp_enabled())
		TEST_ASSERT(!pre_fault(s.vcpu, GUEST_BASE, OBJECT_SIZE), "prefault");
	guest_does(&s, GUEST_CHECK, 0, half, SZ_4K, SEED_PRIVATE);

	/* No private side. */
	gmem_delete_slot(s.vm);
	vm_set_user_memory_region2(s.vm, GUEST_SLOT, 0, GUEST_BASE, OBJECT_SIZE, s.shared,
				   -1, 0);
	if (kvm_is_tdp_enabled())
		EXPECT_ERRNO(pre_fault(s.vcpu, GUEST_BASE, SZ_2M), EFAULT);
	close_sides(&s);
}

static int sev_init(struct kvm_vm *vm)
{
	struct kvm_sev_cmd cmd = { .id = KVM_SEV_INIT };

	return ioctl(vm->fd, KVM_MEMORY_ENCRYPT_OP, &cmd);
}

static void expect_no_persistent_memory(struct kvm_vm *vm)
{
	const struct kvm_gmem_persist args =
		GMEM_ARGS(CREATE, SHARED, .size = SZ_2M);

	TEST_ASSERT_EQ(vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_PERSIST), 0);
	gmem_expect_refused(vm, &args, EOPNOTSUPP, "an SEV guest");
	gmem_expect_unnamed_refused(vm, SZ_2M, GUEST_MEMFD_FLAG_PERSIST, EOPNOTSUPP);
}

/*
 * A VM of the default type becomes an SEV guest by itself, or by copying or moving the
 * context of one. It has encrypted memory or persistent memory, whichever comes first.
 */
static void test_sev(void)
{
	struct kvm_vm *sev, *mirror, *moved, *persistent;
	int fd;

	SKIP_UNLESS(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SEV_VM),
		    "no SEV on this host");

	sev = vm_create_barebones();
	TEST_ASSERT_EQ(sev_init(sev), 0);
	expect_no_persistent_memory(sev);

	persistent = vm_create_barebones();
	fd = vm_create_guest_memfd(persistent, SZ_2M, GUEST_MEMFD_FLAG_PERSIST);
	EXPECT_ERRNO(sev_init(persistent), EINVAL);
	EXPECT_ERRNO(__vm_enable_cap(persistent, KVM_CAP_VM_COPY_ENC_CONTEXT_FROM,
				     sev->fd), EINVAL);
	EXPECT_ERRNO(__vm_enable_cap(persistent, KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
				     sev->fd), EINVAL);
	close(fd);
	/* It has had some. */
	EXPECT_ERRNO(sev_init(persistent), EINVAL);
	fd = vm_create_guest_memfd(persistent, SZ_2M, GUEST_MEMFD_FLAG_PERSIST);
	close(fd);
	kvm_vm_free(persistent);

	mirror = vm_create_barebones();
	TEST_ASSERT_EQ(__vm_enable_cap(mirror, KVM_CAP_VM_COPY_ENC_CONTEXT_FROM, sev->fd), 0);
	expect_no_persistent_memory(mirror);
	kvm_vm_free(mirror);

	moved = vm_create_barebones();
	TEST_ASSERT_EQ(__vm_enable_cap(moved, KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM, sev->fd), 0);
	expect_no_persistent_memory(moved);
	kvm_vm_free(moved);
	kvm_vm_free(sev);
}

/*
 * Cases: the next VMM
 */

static void test_who_may_reclaim(void)
{
	static const struct {
		unsigned long type;
		const char *name;
		u64 flags;
	} refused[] = {
		/* The private side: by another type, or as what it is not. */
		{ KVM_X86_DEFAULT_VM, PRIVATE, FLAGS_PRIVATE },
		{ KVM_X86_DEFAULT_VM, PRIVATE, FLAGS_SHARED },
		{ KVM_X86_DEFAULT_VM, PRIVATE, GUEST_MEMFD_FLAG_MMAP },
		{ KVM_X86_DEFAULT_VM, PRIVATE, GUEST_MEMFD_FLAG_INIT_SHARED },
		{ KVM_X86_SW_PROTECTED_VM, PRIVATE, GUEST_MEMFD_FLAG_MMAP },
		{ KVM_X86_SW_PROTECTED_VM, PRIVATE, FLAGS_SHARED },
		/* The shared side: by the VM that has it mapped, or as private memory. */
		{ KVM_X86_SW_PROTECTED_VM, SHARED, FLAGS_PRIVATE },
		{ KVM_X86_SW_PROTECTED_VM, SHARED, FLAGS_SHARED },
		{ KVM_X86_DEFAULT_VM, SHARED, FLAGS_PRIVATE },
		{ KVM_X86_DEFAULT_VM, SHARED, GUEST_MEMFD_FLAG_MMAP },
	};
	struct sides s = create_sides(OBJECT_SIZE, SZ_2M);
	struct kvm_gmem_persist args;
	struct kvm_vm *vm;
	char what[64];
	int i;

	vm_mem_set_private(s.vm, GUEST_BASE, OBJECT_SIZE);
	guest_does(&s, GUEST_FILL, 0, OBJECT_SIZE, SZ_4K, SEED_PRIVATE);
	close_sides(&s);

	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		args = (struct kvm_gmem_persist){
			.op = KVM_GMEM_PERSIST_RECLAIM,
			.flags = refused[i].flags,
		};
		snprintf((char *)args.name, sizeof(args.name), "%s", refused[i].name);
		snprintf(what, sizeof(what), "reclaim %d", i);
		vm = vm_create_barebones_type(refused[i].type);
		gmem_expect_refused(vm, &args, EINVAL, what);
		args.op = KVM_GMEM_PERSIST_CREATE_OR_RECLAIM;
		args.size = OBJECT_SIZE;
		gmem_expect_refused(vm, &args, EINVAL, what);
		kvm_vm_free(vm);
	}

	s = reclaim_sides(OBJECT_SIZE);
	vm_mem_set_private(s.vm, GUEST_BASE, OBJECT_SIZE);
	guest_does(&s, GUEST_CHECK, 0, OBJECT_SIZE, SZ_4K, SEED_PRIVATE);
	close_sides(&s);
}

/* A VMM that is killed while its guest writes to private memory. */
static void doomed_vmm(int ready, u64 size, u64 granule, u64 step)
{
	struct sides s = create_sides(size, granule);
	char c = 0;

	gmem_fill(s.shared, 0, size, step, SEED_HOST);
	vm_mem_set_private(s.vm, GUEST_BASE, size / 2);
	guest_does(&s, GUEST_FILL, 0, size / 2, step, SEED_PRIVATE);
	TEST_ASSERT(write(ready, &c, 1) == 1, "pipe");
	guest_does(&s, GUEST_FILL_FOREVER, 0, size / 2, step, SEED_PRIVATE);
}

static void killed_vmm(u64 size, u64 granule, u64 step)
{
	int pipe_fds[2];
	struct sides s;
	pid_t pid;
	char c;

	TEST_ASSERT(!pipe(pipe_fds), "pipe");
	pid = fork();
	if (!pid) {
		close(pipe_fds[0]);
		doomed_vmm(pipe_fds[1], size, granule, step);
		exit(1);
	}
	close(pipe_fds[1]);
	TEST_ASSERT(read(pipe_fds[0], &c, 1) == 1, "the VMM ended too early");
	gmem_assert_live(PRIVATE);
	gmem_assert_live(SHARED);
	kill(pid, SIGKILL);
	TEST_ASSERT(WIFSIGNALED(wait_for_child(pid)), "the VMM was not killed");
	gmem_assert_parked(PRIVATE);
	gmem_assert_parked(SHARED);

	/* A new VM knows nothing of what was private: all of it is shared. */
	s = reclaim_sides(size);
	guest_does(&s, GUEST_CHECK, 0, size, step, SEED_HOST);
	vm_mem_set_private(s.vm, GUEST_BASE, size / 2);
	guest_does(&s, GUEST_CHECK, 0, size / 2, step, SEED_PRIVATE);
	guest_does(&s, GUEST_CHECK, size / 2, size / 2, step, SEED_HOST);
	close_sides(&s);
}

static void test_killed_vmm(void)
{
	SKIP_UNLESS(kvm_has_vm_type(KVM_X86_SW_PROTECTED_VM),
		    "no software-protected VMs on this host");
	killed_vmm(OBJECT_SIZE, SZ_2M, SZ_4K);
}

static void test_killed_vmm_1g(void)
{
	SKIP_UNLESS(kvm_has_vm_type(KVM_X86_SW_PROTECTED_VM),
		    "no software-protected VMs on this host");
	SKIP_UNLESS(gmem_pool_attr("free_1g_bytes") >= 2ull * SZ_1G,
		    "not enough whole GiB are free");
	killed_vmm(SZ_1G, SZ_1G, SZ_2M);
}

/* What is private is not layout: it may change, only the memory itself may not. */
static void test_frozen(void)
{
	struct sides s = create_sides(OBJECT_SIZE, SZ_2M);
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int r;

	r = gmem_set_frozen("1");
	SKIP_UNLESS(!r || errno != EOPNOTSUPP, "KHO is off: no freezing");
	TEST_ASSERT(!r, "freezing: errno %d", errno);

	gmem_fill(s.shared, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	vm_mem_set_private(s.vm, GUEST_BASE, SZ_2M);
	guest_does(&s, GUEST_CHECK_ZERO, 0, SZ_2M, SZ_4K, 0);
	guest_does(&s, GUEST_FILL, 0, SZ_2M, SZ_4K, SEED_PRIVATE);
	EXPECT_ERRNO(fallocate(s.private_fd, punch, 0, SZ_2M), EBUSY);
	EXPECT_ERRNO(fallocate(s.shared_fd, punch, 0, SZ_2M), EBUSY);
	vm_mem_set_shared(s.vm, GUEST_BASE, SZ_2M);
	guest_does(&s, GUEST_CHECK, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	vm_mem_set_private(s.vm, GUEST_BASE, SZ_2M);
	guest_does(&s, GUEST_CHECK, 0, SZ_2M, SZ_4K, SEED_PRIVATE);

	TEST_ASSERT(!gmem_set_frozen("0"), "thawing");
	gmem_punch(s.private_fd, 0, SZ_2M);
	guest_does(&s, GUEST_CHECK_ZERO, 0, SZ_2M, SZ_4K, 0);
	close_sides(&s);
}

static const struct gmem_test tests[] = {
	{ "conversions, in granules of 2 MiB", test_conversions },
	{ "every other page is private", test_alternating },
	{ "conversions within a leaf of 1 GiB", test_split_1g },
	{ "exits where no private memory is", test_private_exits },
	{ "errors where no shared memory is", test_shared_faults },
	{ "user space does not see private memory", test_no_user_access },
	{ "prefaulting, and no populating", test_populate },
	{ "encrypted memory or persistent memory", test_sev },
	{ "who may reclaim the sides", test_who_may_reclaim },
	{ "a VMM that is killed", test_killed_vmm },
	{ "a VMM that is killed, in granules of 1 GiB", test_killed_vmm_1g },
	{ "frozen", test_frozen },
};

int main(int argc, char *argv[])
{
	return gmem_run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
