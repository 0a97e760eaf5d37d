// SPDX-License-Identifier: GPL-2.0-only
/*
 * Persistent guest memory in the hands of user space and of guests: what can be done with the file,
 * mappings of it, memslots; what is left when a VM or its VMM has gone; a pool that is frozen; and
 * what several VMMs want at once.
 *
 * Needs a kernel booted with gmem_persist=3G or more, and root.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/sizes.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "gmem_persist_util.h"

static const unsigned long tested_types[] = {
	KVM_X86_DEFAULT_VM,
	KVM_X86_SW_PROTECTED_VM,
};

/*
 * Cases: the file in the hands of user space
 */

/* What can be done to a file besides mapping it; nothing succeeds. */
static int file_op(int fd, int op)
{
	char buf[64] = {};
	struct iovec iov = { .iov_base = buf, .iov_len = sizeof(buf) };
	int r;

	errno = 0;
	switch (op) {
	case 0:
		r = read(fd, buf, sizeof(buf));
		break;
	case 1:
		r = write(fd, buf, sizeof(buf));
		break;
	case 2:
		r = pread(fd, buf, sizeof(buf), 0);
		break;
	case 3:
		r = pwrite(fd, buf, sizeof(buf), 0);
		break;
	case 4:
		r = readv(fd, &iov, 1);
		break;
	case 5:
		r = lseek(fd, 0, SEEK_END);
		break;
	case 6:
		r = ftruncate(fd, SZ_4K);
		break;
	case 7:
		r = ftruncate(fd, 2 * OBJECT_SIZE);
		break;
	case 8:
		r = fchmod(fd, 0666);
		break;
	case 9:
		r = fchown(fd, 1, 1);
		break;
	default:
		return -1;
	}
	TEST_ASSERT(r == -1, "file operation %d succeeded", op);
	return errno;
}

static void test_file_operations(void)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	const struct {
		int mode;
		off_t offset;
		off_t len;
		int error;
	} fallocates[] = {
		{ FALLOC_FL_KEEP_SIZE, 0, OBJECT_SIZE, 0 },
		{ FALLOC_FL_KEEP_SIZE, OBJECT_SIZE - SZ_4K, SZ_4K, 0 },
		{ FALLOC_FL_KEEP_SIZE, OBJECT_SIZE, SZ_4K, EINVAL },
		{ FALLOC_FL_KEEP_SIZE, OBJECT_SIZE + SZ_4K, SZ_4K, EINVAL },
		{ FALLOC_FL_KEEP_SIZE, 0, OBJECT_SIZE + SZ_4K, EINVAL },
		{ FALLOC_FL_KEEP_SIZE, 1, SZ_4K, EINVAL },
		{ FALLOC_FL_KEEP_SIZE, 0, 1, EINVAL },
		{ FALLOC_FL_KEEP_SIZE, 0, 0, EINVAL },
		{ FALLOC_FL_KEEP_SIZE, -SZ_4K, SZ_4K, EINVAL },
		{ punch, 0, 1, EINVAL },
		{ punch, 0, SZ_4K - 1, EINVAL },
		{ punch, 0, SZ_4K + 1, EINVAL },
		{ punch, 1, SZ_4K, EINVAL },
		{ punch, SZ_4K - 1, SZ_4K, EINVAL },
		{ punch, OBJECT_SIZE, SZ_4K, 0 },
		{ punch, OBJECT_SIZE + SZ_4K, SZ_4K, 0 },
		{ 0, 0, SZ_4K, EOPNOTSUPP },
		{ FALLOC_FL_PUNCH_HOLE, 0, SZ_4K, EOPNOTSUPP },
		{ FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, SZ_4K, EOPNOTSUPP },
		{ FALLOC_FL_COLLAPSE_RANGE, 0, SZ_4K, EOPNOTSUPP },
	};
	struct kvm_vm *vm = vm_create_barebones();
	int fd = gmem_create(vm, PREFIX "file", FLAGS_SHARED);
	int ordinary = vm_create_guest_memfd(vm, OBJECT_SIZE, FLAGS_SHARED);
	void *mem = gmem_map(fd, OBJECT_SIZE);
	struct stat st;
	int i;

	gmem_fill(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);

	/* Refused as they are by a guest_memfd of ordinary memory. */
	for (i = 0; file_op(ordinary, i) >= 0; i++)
		TEST_ASSERT_EQ(file_op(fd, i), file_op(ordinary, i));

	for (i = 0; i < ARRAY_SIZE(fallocates); i++) {
		int r, error;

		errno = 0;
		r = fallocate(fd, fallocates[i].mode, fallocates[i].offset,
			      fallocates[i].len);
		error = r ? errno : 0;
		TEST_ASSERT(error == fallocates[i].error,
			    "fallocate(0x%x, 0x%lx, 0x%lx): errno %d, wanted %d",
			    fallocates[i].mode, fallocates[i].offset,
			    fallocates[i].len, error, fallocates[i].error);
	}

	TEST_ASSERT(!fstat(fd, &st) && st.st_size == OBJECT_SIZE, "size");
	gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	close(fd);
	kvm_vm_free(vm);
}

static void test_punch(void)
{
	static const struct {
		u64 offset;
		u64 size;
	} holes[] = {
		{ 0, SZ_4K },
		{ SZ_4K, SZ_4K },
		{ SZ_2M - SZ_4K, 2 * SZ_4K },		/* over a granule's end */
		{ SZ_2M, SZ_2M },			/* a whole granule */
		{ SZ_2M + SZ_1M, SZ_2M },		/* two halves */
		{ OBJECT_SIZE - SZ_4K, SZ_4M },		/* over the object's end */
		{ 0, OBJECT_SIZE },
	};
	struct kvm_vm *vm = vm_create_barebones();
	int fd = gmem_create(vm, PREFIX "punch", FLAGS_SHARED);
	void *huge = gmem_map_at(fd, OBJECT_SIZE, SZ_2M, 0);
	void *small = gmem_map_at(fd, OBJECT_SIZE, SZ_2M, SZ_4K);
	u64 used = gmem_pool_attr("used_bytes");
	int i;

	for (i = 0; i < ARRAY_SIZE(holes); i++) {
		u64 offset = holes[i].offset;
		u64 end = min_t(u64, offset + holes[i].size, OBJECT_SIZE);

		/* Both mappings have what there is in their page tables. */
		gmem_fill(huge, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
		gmem_check(small, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
		kvm_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      offset, holes[i].size);

		gmem_check_zero(huge, offset, end - offset);
		gmem_check_zero(small, offset, end - offset);
		gmem_check(huge, 0, offset, SZ_4K, SEED_HOST);
		gmem_check(small, end, OBJECT_SIZE - end, SZ_4K, SEED_HOST);

		/* The memory is the same as ever. */
		gmem_fill(small, offset, end - offset, SZ_4K, SEED_HOST);
		gmem_check(huge, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
		TEST_ASSERT_EQ(gmem_pool_attr("used_bytes"), used);
	}
	close(fd);
	kvm_vm_free(vm);
}

static void test_mmap_refused(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int shared = gmem_create(vm, PREFIX "shared", FLAGS_SHARED);
	int private = gmem_create(vm, PREFIX "private", FLAGS_PRIVATE);
	void *mem;

	EXPECT_ERRNO(mmap(NULL, SZ_2M, PROT_READ, MAP_PRIVATE, shared, 0), EINVAL);
	EXPECT_ERRNO(mmap(NULL, SZ_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			  shared, 0), EINVAL);
	EXPECT_ERRNO(mmap(NULL, SZ_2M, PROT_READ, MAP_SHARED, private, 0), ENODEV);
	EXPECT_ERRNO(mmap(NULL, SZ_2M, PROT_READ, MAP_PRIVATE, private, 0), ENODEV);

	/* A mapping may be larger than the object, which ends where it ends. */
	mem = gmem_map(shared, 2 * OBJECT_SIZE);
	gmem_fill(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	TEST_EXPECT_SIGBUS(READ_ONCE(*(u64 *)(mem + OBJECT_SIZE)));
	TEST_EXPECT_SIGBUS(WRITE_ONCE(*(u64 *)(mem + OBJECT_SIZE), 0));
	TEST_EXPECT_SIGBUS(READ_ONCE(*(u64 *)(mem + 2 * OBJECT_SIZE - SZ_4K)));
	gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);

	mem = __kvm_mmap(SZ_2M, PROT_READ, MAP_SHARED, shared, OBJECT_SIZE);
	TEST_EXPECT_SIGBUS(READ_ONCE(*(u64 *)mem));
	kvm_vm_free(vm);
}

/*
 * Memory that is not shared from the start may be mapped, if it was created so,
 * but is never seen. That holds for objects of every VM type.
 */
static void test_private_memory_is_not_seen(void)
{
	struct kvm_vm *vm;
	void *mem;
	int fd, i;

	for (i = 0; i < ARRAY_SIZE(tested_types); i++) {
		if (!kvm_has_vm_type(tested_types[i]))
			continue;
		vm = vm_create_barebones_type(tested_types[i]);

		fd = vm_create_guest_memfd(vm, SZ_2M, GUEST_MEMFD_FLAG_PERSIST |
					   GUEST_MEMFD_FLAG_MMAP);
		mem = gmem_map(fd, SZ_2M);
		TEST_EXPECT_SIGBUS(READ_ONCE(*(u64 *)mem));
		TEST_EXPECT_SIGBUS(WRITE_ONCE(*(u64 *)(mem + SZ_1M), 0));
		kvm_munmap(mem, SZ_2M);
		close(fd);

		fd = gmem_create(vm, i ? PREFIX "mmap1" : PREFIX "mmap0",
				 GUEST_MEMFD_FLAG_MMAP);
		mem = gmem_map_at(fd, OBJECT_SIZE, SZ_2M, 0);
		TEST_EXPECT_SIGBUS(READ_ONCE(*(u64 *)mem));
		TEST_EXPECT_SIGBUS(WRITE_ONCE(*(u64 *)(mem + SZ_2M), 0));
		close(fd);
		kvm_vm_free(vm);
	}
}

/* Large entries where all is aligned, small ones where not; the same memory. */
static void test_user_mappings(void)
{
	static const u64 skews[] = { SZ_4K, SZ_1M, SZ_2M - SZ_4K, SZ_2M };
	struct kvm_vm *vm = vm_create_barebones();
	int fd = gmem_create(vm, PREFIX "map", FLAGS_SHARED);
	void *aligned = gmem_map_at(fd, OBJECT_SIZE, SZ_4M, 0);
	void *skewed, *part;
	long faults;
	int i;

	faults = gmem_minor_faults();
	gmem_fill(aligned, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	faults = gmem_minor_faults() - faults;
	TEST_ASSERT(faults < OBJECT_SIZE / SZ_2M + 16,
		    "%ld faults for %llu MiB: not mapped by large leaves", faults,
		    OBJECT_SIZE / SZ_1M);

	for (i = 0; i < ARRAY_SIZE(skews); i++) {
		skewed = gmem_map_at(fd, OBJECT_SIZE, SZ_4M, skews[i]);
		gmem_check(skewed, 0, OBJECT_SIZE, SZ_4K, SEED_HOST + i);
		gmem_fill(skewed, 0, OBJECT_SIZE, SZ_4K, SEED_HOST + i + 1);
		gmem_check(aligned, 0, OBJECT_SIZE, SZ_4K, SEED_HOST + i + 1);
		kvm_munmap(skewed, OBJECT_SIZE);
	}
	gmem_fill(aligned, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);

	/* A mapping that begins in the middle of a granule, and ends in one. */
	part = __kvm_mmap(SZ_4M, PROT_READ | PROT_WRITE, MAP_SHARED, fd, SZ_1M);
	gmem_check(part - SZ_1M, SZ_1M, SZ_4M, SZ_4K, SEED_HOST);

	/* Moved, to where large entries no longer fit; then cut in pieces. */
	skewed = gmem_map_at(fd, OBJECT_SIZE, SZ_4M, 0);
	gmem_check(skewed, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	part = kvm_mmap(OBJECT_SIZE + SZ_4M, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1);
	part = align_ptr_up(part, SZ_2M) + SZ_4K;
	TEST_ASSERT(mremap(skewed, OBJECT_SIZE, OBJECT_SIZE,
			   MREMAP_MAYMOVE | MREMAP_FIXED, part) == part, "mremap");
	gmem_check(part, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	kvm_munmap(part + SZ_2M, SZ_4K);
	kvm_munmap(part + SZ_4M, SZ_2M);
	gmem_fill(part, 0, SZ_2M, SZ_4K, SEED_GUEST);
	gmem_fill(part, SZ_2M + SZ_4K, SZ_2M - SZ_4K, SZ_4K, SEED_GUEST);
	gmem_fill(part, 3 * SZ_2M, SZ_2M, SZ_4K, SEED_GUEST);
	gmem_check(aligned, 0, SZ_2M, SZ_4K, SEED_GUEST);
	gmem_check(aligned, SZ_2M, SZ_4K, SZ_4K, SEED_HOST);
	gmem_check(aligned, SZ_2M + SZ_4K, SZ_2M - SZ_4K, SZ_4K, SEED_GUEST);
	gmem_check(aligned, SZ_4M, SZ_2M, SZ_4K, SEED_HOST);
	gmem_check(aligned, 3 * SZ_2M, SZ_2M, SZ_4K, SEED_GUEST);

	/* A large entry is split by a hole and by other protection. */
	kvm_munmap(aligned + SZ_1M, SZ_4K);
	TEST_ASSERT(!mprotect(aligned + SZ_2M, SZ_1M, PROT_READ), "mprotect");
	gmem_check(aligned, 0, SZ_1M, SZ_4K, SEED_GUEST);
	gmem_check(aligned, SZ_1M + SZ_4K, SZ_1M - SZ_4K, SZ_4K, SEED_GUEST);
	gmem_check(aligned, SZ_2M + SZ_4K, SZ_2M - SZ_4K, SZ_4K, SEED_GUEST);
	gmem_fill(aligned, SZ_2M + SZ_1M, SZ_1M, SZ_4K, SEED_HOST);
	gmem_check(part, SZ_2M + SZ_1M, SZ_1M, SZ_4K, SEED_HOST);

	/* It does not grow. */
	EXPECT_ERRNO(mremap(part, SZ_2M, SZ_4M, MREMAP_MAYMOVE), EFAULT);
	kvm_vm_free(vm);
}

static void child_sees_and_writes(void *mem)
{
	gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	gmem_fill(mem, 0, OBJECT_SIZE, SZ_4K, SEED_GUEST);
}

static void test_fork(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = gmem_create(vm, PREFIX "fork", FLAGS_SHARED);
	void *huge = gmem_map_at(fd, OBJECT_SIZE, SZ_2M, 0);
	void *small = gmem_map_at(fd, OBJECT_SIZE, SZ_2M, SZ_4K);

	gmem_fill(huge, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	run_in_child(child_sees_and_writes, huge);
	gmem_check(huge, 0, OBJECT_SIZE, SZ_4K, SEED_GUEST);

	gmem_fill(small, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	run_in_child(child_sees_and_writes, small);
	gmem_check(small, 0, OBJECT_SIZE, SZ_4K, SEED_GUEST);
	kvm_vm_free(vm);
}

/* Nobody can take a reference to a page of it, but everybody can copy. */
static void test_no_page_references(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = gmem_create(vm, PREFIX "pages", FLAGS_SHARED);
	void *mem = gmem_map(fd, OBJECT_SIZE);
	struct iovec iov = { .iov_base = mem, .iov_len = SZ_4K };
	u64 words[64];
	int pipe_fds[2];

	gmem_fill(mem, 0, sizeof(words), sizeof(words[0]), SEED_HOST);
	TEST_ASSERT(!pipe(pipe_fds), "pipe");
	EXPECT_ERRNO(vmsplice(pipe_fds[1], &iov, 1, 0), EFAULT);

	TEST_ASSERT_EQ(write(pipe_fds[1], mem, sizeof(words)), sizeof(words));
	TEST_ASSERT_EQ(read(pipe_fds[0], words, sizeof(words)), sizeof(words));
	gmem_check(words, 0, sizeof(words), sizeof(words[0]), SEED_HOST);
	TEST_ASSERT_EQ(write(pipe_fds[1], words, sizeof(words)), sizeof(words));
	TEST_ASSERT_EQ(read(pipe_fds[0], mem + SZ_2M, sizeof(words)), sizeof(words));
	TEST_ASSERT(!memcmp(mem, mem + SZ_2M, sizeof(words)), "copy");
	kvm_vm_free(vm);
}

/*
 * Cases: the memory in the hands of guests
 */

static void test_guest_memory(void)
{
	const char *name = PREFIX "guest";
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	void *mem;
	int fd;

	vm = gmem_create_default_vm(&vcpu);
	fd = gmem_create(vm, name, FLAGS_SHARED);
	gmem_add_slot(vm, fd, OBJECT_SIZE);
	gmem_run_guest(vcpu, GUEST_CHECK_ZERO, OBJECT_SIZE);
	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);

	mem = gmem_map(fd, OBJECT_SIZE);
	gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_GUEST);
	/* The other half of each page, so that both writers' words are seen. */
	gmem_fill(mem, SZ_2K, OBJECT_SIZE - SZ_2K, SZ_4K, SEED_HOST);
	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_CHECK, GUEST_BASE + SZ_2K, SZ_2K,
		     OBJECT_SIZE - SZ_2K, SZ_4K, SEED_HOST });

	/* A hole is a hole for the guest, whatever it had mapped. */
	kvm_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SZ_4K, SZ_2M);
	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_CHECK_ZERO, GUEST_BASE + SZ_4K,
		     SZ_4K, SZ_2M, 8, 0 });
	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_CHECK, GUEST_BASE, 0, SZ_4K, SZ_4K,
		     SEED_GUEST });
	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_CHECK, GUEST_BASE + SZ_4M, SZ_4M,
		     SZ_4M, SZ_4K, SEED_GUEST });

	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
	kvm_munmap(mem, OBJECT_SIZE);
	kvm_vm_free(vm);
	gmem_assert_live(name);
	close(fd);
	gmem_assert_parked(name);

	vm = gmem_create_default_vm(&vcpu);
	fd = gmem_reclaim(vm, name, FLAGS_SHARED);
	gmem_add_slot(vm, fd, OBJECT_SIZE);
	gmem_run_guest(vcpu, GUEST_CHECK, OBJECT_SIZE);
	close(fd);
	kvm_vm_free(vm);
}

/* The way of VMMs that know nothing of guest_memfd in memslots. */
static void test_guest_hva_slot(void)
{
	static const u64 skews[] = { 0, SZ_4K };
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	void *mem;
	int fd, i;

	vm = gmem_create_default_vm(&vcpu);
	fd = gmem_create(vm, PREFIX "hva", FLAGS_SHARED);
	for (i = 0; i < ARRAY_SIZE(skews); i++) {
		mem = gmem_map_at(fd, OBJECT_SIZE, SZ_2M, skews[i]);
		vm_set_user_memory_region2(vm, GUEST_SLOT, 0, GUEST_BASE,
					   OBJECT_SIZE, mem, -1, 0);
		gmem_run_guest(vcpu, GUEST_CHECK_ZERO, OBJECT_SIZE);
		gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
		gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_GUEST);
		gmem_fill(mem, 0, OBJECT_SIZE, SZ_4K, SEED_GUEST);
		gmem_run_guest(vcpu, GUEST_CHECK, OBJECT_SIZE);

		kvm_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			      OBJECT_SIZE);
		gmem_run_guest(vcpu, GUEST_CHECK_ZERO, OBJECT_SIZE);
		gmem_delete_slot(vm);
		kvm_munmap(mem, OBJECT_SIZE);
	}
	close(fd);
	kvm_vm_free(vm);
}

static void test_guest_slots(void)
{
	const u64 half = OBJECT_SIZE / 2;
	struct kvm_vm *vm, *other;
	struct kvm_vcpu *vcpu;
	void *mem;
	int fd, r;

	vm = gmem_create_default_vm(&vcpu);
	fd = gmem_create(vm, PREFIX "slots", FLAGS_SHARED);
	mem = gmem_map(fd, OBJECT_SIZE);

	/* The second half before the first one, with a gap. */
	vm_set_user_memory_region2(vm, 2, KVM_MEM_GUEST_MEMFD, GUEST_BASE, half,
				   NULL, fd, half);
	vm_set_user_memory_region2(vm, 3, KVM_MEM_GUEST_MEMFD,
				   GUEST_BASE + half + SZ_4M, half, NULL, fd, 0);
	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_FILL, GUEST_BASE, half, half, SZ_4K,
		     SEED_GUEST });
	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_FILL, GUEST_BASE + half + SZ_4M, 0,
		     half, SZ_4K, SEED_GUEST });
	gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_GUEST);

	r = __vm_set_user_memory_region2(vm, 4, KVM_MEM_GUEST_MEMFD,
					 GUEST_BASE + SZ_1G, SZ_2M, NULL, fd, half);
	TEST_ASSERT(r && errno == EEXIST, "bound twice: %d, errno %d", r, errno);
	r = __vm_set_user_memory_region2(vm, 4, KVM_MEM_GUEST_MEMFD,
					 GUEST_BASE + SZ_1G, SZ_2M, NULL, fd,
					 OBJECT_SIZE);
	TEST_ASSERT(r && errno == EINVAL, "beyond the end: %d, errno %d", r, errno);

	/* Taken away and put elsewhere. */
	vm_set_user_memory_region2(vm, 2, 0, GUEST_BASE, 0, NULL, -1, 0);
	vm_set_user_memory_region2(vm, 3, 0, GUEST_BASE, 0, NULL, -1, 0);
	gmem_add_slot(vm, fd, OBJECT_SIZE);
	gmem_run_guest(vcpu, GUEST_CHECK, OBJECT_SIZE);
	gmem_delete_slot(vm);
	gmem_add_slot(vm, fd, OBJECT_SIZE);
	gmem_run_guest(vcpu, GUEST_CHECK, OBJECT_SIZE);

	/* A view is one VM's. */
	other = vm_create_barebones();
	r = __vm_set_user_memory_region2(other, GUEST_SLOT, KVM_MEM_GUEST_MEMFD,
					 GUEST_BASE, OBJECT_SIZE, NULL, fd, 0);
	TEST_ASSERT(r && errno == EINVAL, "another VM's: %d, errno %d", r, errno);

	kvm_vm_free(other);
	kvm_vm_free(vm);
	close(fd);
}

/*
 * Where the guest's address, the offset and the memory are not aligned alike, only
 * small leaves are right.
 */
static void test_guest_alignment(void)
{
	static const struct {
		u64 gpa_skew;
		u64 offset;
		bool large;
	} cases[] = {
		{ 0,			0,		true },
		{ SZ_4K,		0,		false },
		{ 0,			SZ_4K,		false },
		{ SZ_1M,		0,		false },
		{ 0,			SZ_1M,		false },
		{ SZ_2M,		0,		true },
		{ 0,			SZ_2M,		true },
	};
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	void *mem;
	int fd, i;

	vm = gmem_create_default_vm(&vcpu);
	fd = gmem_create(vm, PREFIX "align", FLAGS_SHARED);
	mem = gmem_map(fd, OBJECT_SIZE);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct gmem_guest_job j = {
			.op = GUEST_FILL,
			.gpa = GUEST_BASE + cases[i].gpa_skew,
			.offset = cases[i].offset,
			.size = OBJECT_SIZE - cases[i].offset,
			.step = SZ_4K,
			.seed = SEED_GUEST + i,
		};

		gmem_bind(vm, j.gpa, j.size, fd, j.offset);
		gmem_run_job(vcpu, &j);
		gmem_check(mem, j.offset, j.size, SZ_4K, j.seed);
		gmem_fill(mem, j.offset, j.size, SZ_4K, ~j.seed);
		j.op = GUEST_CHECK;
		j.seed = ~j.seed;
		gmem_run_job(vcpu, &j);
		if (kvm_is_tdp_enabled()) {
			u64 nr = vm_get_stat(vm, pages_2m);

			TEST_ASSERT(!!nr == cases[i].large,
				    "case %d: %lu leaves of 2 MiB", i, nr);
		}
		gmem_delete_slot(vm);
	}
	close(fd);
	kvm_vm_free(vm);
}

/* Private memory of one VM is private memory of the next one, and only that. */
static void test_private_memory(void)
{
	const struct kvm_gmem_persist other_class = GMEM_ARGS(RECLAIM, PREFIX "private");
	const char *name = PREFIX "private";
	struct kvm_vm *vm, *plain;
	struct kvm_vcpu *vcpu;
	int fd, r;

	SKIP_UNLESS(kvm_has_vm_type(KVM_X86_SW_PROTECTED_VM),
		    "no software-protected VMs on this host");

	vm = gmem_create_vm(KVM_X86_SW_PROTECTED_VM, &vcpu);
	fd = gmem_create(vm, name, FLAGS_PRIVATE);
	gmem_assert_attr(name, "flags", "0");
	gmem_assert_attr(name, "vm_class", "1");
	EXPECT_ERRNO(mmap(NULL, SZ_2M, PROT_READ, MAP_SHARED, fd, 0), ENODEV);
	gmem_add_slot(vm, fd, OBJECT_SIZE);
	vm_mem_set_private(vm, GUEST_BASE, OBJECT_SIZE);
	gmem_run_guest(vcpu, GUEST_CHECK_ZERO, OBJECT_SIZE);
	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
	kvm_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SZ_4M, SZ_4K);
	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_CHECK_ZERO, GUEST_BASE + SZ_4M,
		     SZ_4M, SZ_4K, 8, 0 });
	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
	kvm_vm_free(vm);
	close(fd);
	gmem_assert_parked(name);

	plain = vm_create_barebones();
	gmem_expect_refused(plain, &other_class, EINVAL, "private memory, default VM");

	vm = gmem_create_vm(KVM_X86_SW_PROTECTED_VM, &vcpu);
	fd = gmem_reclaim(vm, name, FLAGS_PRIVATE);
	EXPECT_ERRNO(mmap(NULL, SZ_2M, PROT_READ, MAP_SHARED, fd, 0), ENODEV);
	gmem_add_slot(vm, fd, OBJECT_SIZE);
	/* Which pages are private is not the memory's to know. */
	vm_mem_set_private(vm, GUEST_BASE, OBJECT_SIZE);
	gmem_run_guest(vcpu, GUEST_CHECK, OBJECT_SIZE);

	/* No longer private: the guest does not get at it as shared memory. */
	vm_mem_set_shared(vm, GUEST_BASE, SZ_2M);
	gmem_start_job(vcpu, &(struct gmem_guest_job){ GUEST_CHECK, GUEST_BASE, 0,
		       SZ_4K, SZ_4K, SEED_GUEST });
	r = _vcpu_run(vcpu);
	TEST_ASSERT(r || get_ucall(vcpu, NULL) != UCALL_DONE,
		    "the guest saw private memory as shared");
	close(fd);
	kvm_vm_free(vm);

	/* And the other way round. */
	fd = gmem_create(plain, PREFIX "plain", FLAGS_PRIVATE);
	close(fd);
	vm = vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
	gmem_expect_refused(vm, &(struct kvm_gmem_persist)GMEM_ARGS(RECLAIM, PREFIX "plain"),
			    EINVAL, "a default VM's memory, protected VM");
	kvm_vm_free(vm);
	kvm_vm_free(plain);
}

/* A VMM whose guest is in the middle of something. */
static void doomed_vmm(const char *name, int ready)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	int fd;

	vm = gmem_create_default_vm(&vcpu);
	fd = gmem_create(vm, name, FLAGS_SHARED);
	gmem_add_slot(vm, fd, OBJECT_SIZE);
	gmem_map(fd, OBJECT_SIZE);
	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
	TEST_ASSERT(write(ready, "", 1) == 1, "pipe");
	gmem_run_guest(vcpu, GUEST_FILL_FOREVER, OBJECT_SIZE);
}

static void test_vmm_crash(void)
{
	const char *name = PREFIX "crash";
	struct kvm_vcpu *vcpu;
	int fd, pipe_fds[2];
	struct kvm_vm *vm;
	pid_t pid;
	char c;

	TEST_ASSERT(!pipe(pipe_fds), "pipe");
	pid = fork();
	if (!pid) {
		close(pipe_fds[0]);
		doomed_vmm(name, pipe_fds[1]);
		exit(1);
	}
	close(pipe_fds[1]);
	TEST_ASSERT(read(pipe_fds[0], &c, 1) == 1, "the VMM ended too early");
	gmem_assert_live(name);
	kill(pid, SIGKILL);
	TEST_ASSERT(WIFSIGNALED(wait_for_child(pid)), "the VMM was not killed");
	gmem_assert_parked(name);

	vm = gmem_create_default_vm(&vcpu);
	fd = gmem_reclaim(vm, name, FLAGS_SHARED);
	gmem_add_slot(vm, fd, OBJECT_SIZE);
	gmem_run_guest(vcpu, GUEST_CHECK, OBJECT_SIZE);
	gmem_check(gmem_map(fd, OBJECT_SIZE), 0, OBJECT_SIZE, SZ_4K, SEED_GUEST);
	kvm_vm_free(vm);
}

/*
 * Cases: freezing
 */

static void freeze_or_skip(void)
{
	int r = gmem_set_frozen("1");

	SKIP_UNLESS(!r || errno != EOPNOTSUPP, "KHO is off: no freezing");
	TEST_ASSERT(!r, "freezing: errno %d (%s)", errno, strerror(errno));
}

static void test_frozen(void)
{
	const struct kvm_gmem_persist refused[] = {
		GMEM_ARGS(CREATE, PREFIX "new", .size = SZ_2M),
		GMEM_ARGS(CREATE_OR_RECLAIM, PREFIX "new", .size = SZ_2M),
		GMEM_ARGS(RECLAIM, PREFIX "parked", .flags = FLAGS_SHARED),
		GMEM_ARGS(CREATE_OR_RECLAIM, PREFIX "parked", .size = OBJECT_SIZE,
			  .flags = FLAGS_SHARED),
	};
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	struct gmem_snapshot before, after;
	int fd, unnamed, i;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	char buf[64];
	void *mem;

	vm = gmem_create_default_vm(&vcpu);
	close(gmem_create(vm, PREFIX "parked", FLAGS_SHARED));
	fd = gmem_create(vm, PREFIX "frozen", FLAGS_SHARED);
	unnamed = vm_create_guest_memfd(vm, SZ_2M, GUEST_MEMFD_FLAG_PERSIST);
	mem = gmem_map(fd, OBJECT_SIZE);
	gmem_add_slot(vm, fd, OBJECT_SIZE);
	EXPECT_ERRNO(gmem_set_frozen("x"), EINVAL);
	EXPECT_ERRNO(gmem_set_frozen("0"), EINVAL);

	freeze_or_skip();
	EXPECT_ERRNO(gmem_set_frozen("1"), EALREADY);
	TEST_ASSERT_EQ(gmem_pool_attr("frozen"), 1ul);
	gmem_read_text(buf, sizeof(buf), SYSFS "holders");
	TEST_ASSERT(!strcmp(buf, "operator"), "held by '%s'", buf);

	/* The layout stands still. */
	gmem_take_snapshot(&before);
	for (i = 0; i < ARRAY_SIZE(refused); i++)
		gmem_expect_refused(vm, &refused[i], EBUSY, "frozen");
	gmem_expect_unnamed_refused(vm, SZ_2M, GUEST_MEMFD_FLAG_PERSIST, EBUSY);
	EXPECT_ERRNO(gmem_discard(PREFIX "parked"), EBUSY);
	EXPECT_ERRNO(gmem_discard(PREFIX "frozen"), EBUSY);
	EXPECT_ERRNO(gmem_write_text(SYSFS "release", "all"), EBUSY);
	gmem_fill(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	EXPECT_ERRNO(fallocate(fd, punch, 0, SZ_4K), EBUSY);
	gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	gmem_assert_unchanged(&before, "frozen");

	/* What is in the memory may change. */
	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
	gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_GUEST);
	kvm_munmap(mem, OBJECT_SIZE);
	mem = gmem_map(fd, OBJECT_SIZE);
	gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_GUEST);

	/* The last close parks what has a name, and frees what has none. */
	kvm_munmap(mem, OBJECT_SIZE);
	kvm_vm_free(vm);
	gmem_assert_live(PREFIX "frozen");
	close(fd);
	gmem_assert_parked(PREFIX "frozen");
	close(unnamed);
	gmem_take_snapshot(&after);
	/* The record stands still, so that takes until the thaw. */
	TEST_ASSERT_EQ(after.used, before.used);

	TEST_ASSERT(!gmem_set_frozen("0"), "thawing");
	EXPECT_ERRNO(gmem_set_frozen("0"), EINVAL);
	gmem_read_text(buf, sizeof(buf), SYSFS "holders");
	TEST_ASSERT(!buf[0], "held by '%s'", buf);
}

static void freeze_and_leave(void *arg)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = gmem_reclaim(vm, PREFIX "left", FLAGS_SHARED);

	gmem_fill(gmem_map(fd, OBJECT_SIZE), 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	TEST_ASSERT(!gmem_set_frozen("1"), "freezing");
}

/* A VMM freezes and ends; whoever thaws finds all as it was, and possible again. */
static void test_frozen_and_thawed(void)
{
	const char *name = PREFIX "left";
	struct kvm_vm *vm = vm_create_barebones();
	void *mem;
	int fd;

	freeze_or_skip();
	TEST_ASSERT(!gmem_set_frozen("0"), "thawing");

	close(gmem_create(vm, name, FLAGS_SHARED));
	run_in_child(freeze_and_leave, NULL);
	gmem_assert_parked(name);
	EXPECT_ERRNO(gmem_discard(name), EBUSY);
	TEST_ASSERT(!gmem_set_frozen("0"), "thawing");

	fd = gmem_reclaim(vm, name, FLAGS_SHARED);
	mem = gmem_map(fd, OBJECT_SIZE);
	gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	kvm_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SZ_4K);
	gmem_check_zero(mem, 0, SZ_4K);
	kvm_munmap(mem, OBJECT_SIZE);
	close(fd);
	TEST_ASSERT(!gmem_discard(name), "discard");
	gmem_assert_gone(name);
	close(gmem_create(vm, name, FLAGS_SHARED));
	kvm_vm_free(vm);
}

/*
 * Cases: several VMMs at once
 */

#define CONTENDERS	4
#define CLAIMS		8

/*
 * Whoever has the view is alone with the memory, and finds there what the last one
 * left: its token. The first one finds nothing.
 */
static void contend(int who)
{
	const char *name = PREFIX "contended";
	struct kvm_vm *vm = vm_create_barebones();
	int fd, claims = 0, refused = 0;
	struct kvm_gmem_persist args;
	u64 *word, found, own;

	while (claims < CLAIMS) {
		args = (struct kvm_gmem_persist)GMEM_ARGS(CREATE_OR_RECLAIM,
			PREFIX "contended", .size = SZ_2M, .flags = FLAGS_SHARED);
		fd = gmem_persist(vm, &args);
		if (fd < 0) {
			TEST_ASSERT(errno == EBUSY, "claim: errno %d", errno);
			refused++;
			sched_yield();
			continue;
		}

		claims++;
		word = gmem_map(fd, SZ_2M);
		memcpy(&found, args.token, sizeof(found));
		memcpy(&own, args.own_token, sizeof(own));
		if (!found)
			gmem_check_zero(word, 0, SZ_2M);
		TEST_ASSERT_EQ(READ_ONCE(*word), found);
		WRITE_ONCE(*word, own);
		gmem_fill(word, SZ_4K, SZ_2M - SZ_4K, SZ_4K, who);
		gmem_assert_live(name);
		gmem_check(word, SZ_4K, SZ_2M - SZ_4K, SZ_4K, who);
		TEST_ASSERT_EQ(READ_ONCE(*word), own);
		kvm_munmap(word, SZ_2M);
		close(fd);
		if (claims & 1 && gmem_discard(name))
			TEST_ASSERT(errno == EBUSY || errno == ENOENT,
				    "discard: errno %d", errno);
		sched_yield();
	}
	ksft_print_msg("VMM %d: %d claims, %d refused\n", who, claims, refused);
	kvm_vm_free(vm);
}

static void freeze_and_thaw(void)
{
	for (;;) {
		if (!gmem_set_frozen("1"))
			TEST_ASSERT(!gmem_set_frozen("0"), "thawing");
		else
			TEST_ASSERT(errno == EAGAIN || errno == EOPNOTSUPP,
				    "freezing: errno %d", errno);
		sched_yield();
	}
}

static void test_contention(void)
{
	pid_t pids[CONTENDERS + 1];
	int i;

	for (i = 0; i <= CONTENDERS; i++) {
		pids[i] = fork();
		TEST_ASSERT(pids[i] >= 0, "fork failed");
		if (pids[i])
			continue;
		if (i < CONTENDERS)
			contend(i);
		else
			freeze_and_thaw();
		exit(0);
	}
	for (i = 0; i < CONTENDERS; i++)
		TEST_ASSERT_EQ(wait_for_child(pids[i]), 0);
	kill(pids[CONTENDERS], SIGKILL);
	TEST_ASSERT(WIFSIGNALED(wait_for_child(pids[CONTENDERS])),
		    "freezing and thawing failed");
}

static const struct gmem_test tests[] = {
	{ "read, write, truncate, fallocate", test_file_operations },
	{ "punched holes", test_punch },
	{ "mmap that is refused, and SIGBUS", test_mmap_refused },
	{ "private memory is not seen by user space", test_private_memory_is_not_seen },
	{ "user mappings, large and small", test_user_mappings },
	{ "user mappings are inherited", test_fork },
	{ "no references to pages", test_no_page_references },
	{ "a guest's memory outlives its VM", test_guest_memory },
	{ "a guest with a slot of user memory", test_guest_hva_slot },
	{ "memslots come and go", test_guest_slots },
	{ "memslots of every alignment", test_guest_alignment },
	{ "private memory outlives its VM", test_private_memory },
	{ "a VMM that is killed", test_vmm_crash },
	{ "frozen", test_frozen },
	{ "frozen, left and thawed", test_frozen_and_thawed },
	{ "many want one object", test_contention },
};

int main(int argc, char *argv[])
{
	return gmem_run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
