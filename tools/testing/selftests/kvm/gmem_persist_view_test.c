// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tokens of persistent memory: what changes them, what does not, and who may write beside whom.
 *
 * The table of uses is the point: each is done to an object that is parked, and the object's
 * token must be the same afterwards, or must not.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/gmem_persist.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gmem_persist_util.h"

#define FS		"/tmp/gmem_persist_view_test"
#define NAME		PREFIX "view"
#define PATH		FS "/" NAME
#define TOKEN_SIZE	GMEM_PERSIST_TOKEN_SIZE

static struct gmem_persist_view get_view(int fd)
{
	struct gmem_persist_view view = {};

	TEST_ASSERT(!ioctl(fd, GMEM_PERSIST_GET_VIEW, &view), "GET_VIEW: errno %d", errno);
	return view;
}

/* What the object is known by now, as a reader sees it. */
static struct gmem_persist_view look(void)
{
	int fd = open(PATH, O_RDONLY);
	struct gmem_persist_view view;

	TEST_ASSERT(fd >= 0, "open: errno %d", errno);
	view = get_view(fd);
	close(fd);
	return view;
}

static bool same(const void *a, const void *b)
{
	return !memcmp(a, b, TOKEN_SIZE);
}

static int open_handle(int flags)
{
	int fd = open(PATH, flags);

	TEST_ASSERT(fd >= 0, "open: errno %d", errno);
	return fd;
}

static void *map_handle(int fd, int prot)
{
	return kvm_mmap(OBJECT_SIZE, prot, MAP_SHARED, fd);
}

static void write_handle(int fd)
{
	TEST_ASSERT_EQ(pwrite(fd, &fd, sizeof(fd), 0), (ssize_t)sizeof(fd));
}

static int claim(struct kvm_vm *vm, int handle, struct kvm_gmem_persist *args)
{
	*args = (struct kvm_gmem_persist){
		.op = KVM_GMEM_PERSIST_RECLAIM,
		.flags = FLAGS_SHARED,
	};
	if (handle < 0) {
		snprintf((char *)args->name, sizeof(args->name), NAME);
	} else {
		args->op |= KVM_GMEM_PERSIST_HANDLE;
		args->handle = handle;
	}
	return gmem_persist(vm, args);
}

static int must_claim(struct kvm_vm *vm, int handle)
{
	struct kvm_gmem_persist args;
	int fd = claim(vm, handle, &args);

	TEST_ASSERT(fd >= 0, "claim: errno %d", errno);
	return fd;
}

static void new_object(void)
{
	struct kvm_vm *vm = vm_create_barebones();

	close(gmem_create(vm, NAME, FLAGS_SHARED));
	kvm_vm_free(vm);
}

/*
 * Uses
 */

static void use_open(void)
{
	close(open_handle(O_RDONLY));
	close(open_handle(O_RDWR));
	close(open_handle(O_RDWR | O_EXCL));
}

static void use_truncate(void)
{
	EXPECT_ERRNO(open(PATH, O_RDWR | O_TRUNC), EPERM);
	EXPECT_ERRNO(truncate(PATH, 0), EPERM);
	EXPECT_ERRNO(truncate(PATH, 2 * OBJECT_SIZE), EPERM);
	TEST_ASSERT(!truncate(PATH, OBJECT_SIZE), "truncate");
}

static void use_attributes(void)
{
	TEST_ASSERT(!chmod(PATH, 0640) && !chown(PATH, 1, 1), "attributes");
	TEST_ASSERT(!utimensat(AT_FDCWD, PATH, NULL, 0), "touch");
}

static void use_rename(void)
{
	TEST_ASSERT(!rename(PATH, PATH "2") && !rename(PATH "2", PATH), "rename");
}

static void use_read(void)
{
	int fd = open_handle(O_RDWR);
	char buf[64];

	TEST_ASSERT_EQ(pread(fd, buf, sizeof(buf), SZ_2M), (ssize_t)sizeof(buf));
	close(fd);
}

static void use_map_unused(void)
{
	map_handle(open_handle(O_RDWR), PROT_READ | PROT_WRITE);
}

/* By large leaves, and by small ones. */
static void use_map_and_read(void)
{
	int fd = open_handle(O_RDWR);

	gmem_check_zero(gmem_map_at(fd, OBJECT_SIZE, SZ_2M, 0), 0, OBJECT_SIZE);
	gmem_check_zero(gmem_map_at(fd, OBJECT_SIZE, SZ_2M, SZ_4K), 0, OBJECT_SIZE);
}

static void use_protect_and_read(void)
{
	char *mem = map_handle(open_handle(O_RDWR), PROT_READ);

	TEST_ASSERT(!mprotect(mem, OBJECT_SIZE, PROT_READ | PROT_WRITE), "mprotect");
	gmem_check_zero(mem, 0, OBJECT_SIZE);
	TEST_ASSERT(!mprotect(mem + SZ_2M, SZ_4K, PROT_READ), "mprotect");
	gmem_check_zero(mem, 0, OBJECT_SIZE);
	TEST_ASSERT(!mprotect(mem, OBJECT_SIZE, PROT_READ | PROT_WRITE), "mprotect");
	gmem_check_zero(mem, 0, OBJECT_SIZE);
}

static void read_it(void *mem)
{
	gmem_check_zero(mem, 0, OBJECT_SIZE);
}

static void use_read_in_child(void)
{
	void *mem = map_handle(open_handle(O_RDWR), PROT_READ | PROT_WRITE);

	read_it(mem);
	run_in_child(read_it, mem);
}

static void use_write_nothing(void)
{
	int fd = open_handle(O_RDWR);

	EXPECT_ERRNO(pwrite(fd, &fd, sizeof(fd), OBJECT_SIZE), ENOSPC);
	TEST_ASSERT(!pwrite(fd, &fd, 0, 0), "write");
	gmem_punch(fd, OBJECT_SIZE, SZ_2M);
	close(fd);
	fd = open_handle(O_RDONLY);
	EXPECT_ERRNO(pwrite(fd, &fd, sizeof(fd), 0), EBADF);
	close(fd);
}

static void use_claim(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int handle = open_handle(O_RDWR);

	close(must_claim(vm, -1));
	close(must_claim(vm, handle));
	close(handle);
}

static void use_claim_refused(void)
{
	const struct kvm_gmem_persist args = GMEM_ARGS(RECLAIM, NAME, .size = SZ_2M,
						       .flags = FLAGS_SHARED);

	gmem_expect_refused(vm_create_barebones(), &args, EINVAL, "another size");
}

/* The name is there: whatever was made before that is found out, the old object stays. */
static void use_create_again(void)
{
	struct kvm_gmem_persist args = GMEM_ARGS(CREATE, NAME, .size = OBJECT_SIZE,
						 .flags = FLAGS_SHARED);
	struct kvm_vm *vm = vm_create_barebones();

	EXPECT_ERRNO(gmem_persist(vm, &args), EEXIST);
	args = (struct kvm_gmem_persist)GMEM_ARGS(CREATE, NAME, .size = SZ_2M,
						  .flags = FLAGS_PRIVATE);
	EXPECT_ERRNO(gmem_persist(vm, &args), EEXIST);
	args = (struct kvm_gmem_persist)GMEM_ARGS(CREATE_OR_RECLAIM, NAME, .size = SZ_2M,
						  .flags = FLAGS_SHARED);
	EXPECT_ERRNO(gmem_persist(vm, &args), EINVAL);
	args = (struct kvm_gmem_persist){
		.op = KVM_GMEM_PERSIST_CREATE | KVM_GMEM_PERSIST_HANDLE,
		.handle = open_handle(O_RDWR),
		.size = OBJECT_SIZE,
		.flags = FLAGS_SHARED,
	};
	EXPECT_ERRNO(gmem_persist(vm, &args), EEXIST);
	EXPECT_ERRNO(open(PATH, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
}

/* The same, but there is no memory for it. */
static void use_create_too_much(void)
{
	const u64 size = 2 * gmem_pool_attr("pool_bytes");
	struct kvm_gmem_persist args = GMEM_ARGS(CREATE, NAME, .size = size,
						 .flags = FLAGS_SHARED);
	int r;

	r = gmem_persist(vm_create_barebones(), &args);
	TEST_ASSERT(r < 0 && (errno == ENOSPC || errno == EEXIST), "too much: errno %d", errno);
}

/* All that a VMM does before its guest runs. */
static void use_claim_and_read(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = gmem_create_default_vm(&vcpu);
	int fd = must_claim(vm, -1);

	gmem_check_zero(gmem_map(fd, OBJECT_SIZE), 0, OBJECT_SIZE);
	gmem_add_slot(vm, fd, OBJECT_SIZE);
	gmem_delete_slot(vm);
}

static struct kvm_vcpu *ordinary_slot(void)
{
	void *mem = gmem_map_at(open_handle(O_RDWR), OBJECT_SIZE, SZ_2M, 0);
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = gmem_create_default_vm(&vcpu);

	vm_set_user_memory_region(vm, GUEST_SLOT, 0, GUEST_BASE, OBJECT_SIZE, mem);
	return vcpu;
}

/* As QEMU's guests have it. */
static void use_guest_reads(void)
{
	gmem_run_guest(ordinary_slot(), GUEST_CHECK_ZERO, OBJECT_SIZE);
}

static void use_map_and_write(void)
{
	gmem_fill(gmem_map_at(open_handle(O_RDWR), OBJECT_SIZE, SZ_2M, 0), SZ_4K, SZ_4K, SZ_4K, 1);
}

static void use_write_small(void)
{
	gmem_fill(gmem_map_at(open_handle(O_RDWR), OBJECT_SIZE, SZ_2M, SZ_4K), SZ_4K, SZ_4K, SZ_4K,
		  1);
}

/* What is there for reading must become writable. */
static void use_read_and_write(void)
{
	void *mem = gmem_map_at(open_handle(O_RDWR), OBJECT_SIZE, SZ_2M, 0);

	gmem_check_zero(mem, 0, OBJECT_SIZE);
	gmem_fill(mem, 0, OBJECT_SIZE, SZ_4K, 1);
	gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, 1);
}

static void use_read_and_write_small(void)
{
	void *mem = gmem_map_at(open_handle(O_RDWR), OBJECT_SIZE, SZ_2M, SZ_4K);

	gmem_check_zero(mem, 0, OBJECT_SIZE);
	gmem_fill(mem, 0, OBJECT_SIZE, SZ_4K, 1);
	gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, 1);
}

static void use_protect_and_write(void)
{
	void *mem = map_handle(open_handle(O_RDWR), PROT_READ);

	gmem_check_zero(mem, 0, OBJECT_SIZE);
	TEST_ASSERT(!mprotect(mem, OBJECT_SIZE, PROT_READ | PROT_WRITE), "mprotect");
	gmem_fill(mem, 0, OBJECT_SIZE, SZ_4K, 1);
}

static void fill_it(void *mem)
{
	gmem_fill(mem, 0, SZ_4K, SZ_4K, 1);
}

static void use_write_in_child(void)
{
	void *mem = map_handle(open_handle(O_RDWR), PROT_READ | PROT_WRITE);

	read_it(mem);
	run_in_child(fill_it, mem);
}

static void use_write(void)
{
	write_handle(open_handle(O_RDWR));
}

static void use_punch(void)
{
	gmem_punch(open_handle(O_RDWR), SZ_4K, SZ_4K);
}

static void use_kernel_writes(void)
{
	void *mem = map_handle(open_handle(O_RDWR), PROT_READ | PROT_WRITE);
	int fd = open("/proc/self/exe", O_RDONLY);

	TEST_ASSERT_EQ(read(fd, mem, 64), 64l);
	close(fd);
}

static void use_claim_and_write(void)
{
	struct kvm_vm *vm = vm_create_barebones();

	gmem_fill(gmem_map(must_claim(vm, -1), OBJECT_SIZE), 0, SZ_4K, SZ_4K, 1);
}

static void use_claim_and_punch(void)
{
	gmem_punch(must_claim(vm_create_barebones(), -1), 0, SZ_4K);
}

static struct kvm_vcpu *bound_slot(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = gmem_create_default_vm(&vcpu);

	gmem_add_slot(vm, must_claim(vm, -1), OBJECT_SIZE);
	return vcpu;
}

static void use_bound_guest_writes(void)
{
	gmem_run_guest(bound_slot(), GUEST_FILL, SZ_4K);
}

/* KVM maps for writing whatever the guest does. */
static void use_bound_guest_reads(void)
{
	gmem_run_guest(bound_slot(), GUEST_CHECK_ZERO, SZ_4K);
}

static void use_prefault(void)
{
	struct kvm_pre_fault_memory range = { .gpa = GUEST_BASE, .size = SZ_2M };
	struct kvm_vcpu *vcpu = bound_slot();

	TEST_ASSERT(!__vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range), "pre-fault");
}

static void use_guest_writes(void)
{
	gmem_run_guest(ordinary_slot(), GUEST_FILL, SZ_4K);
}

static void use_guest_reads_and_writes(void)
{
	struct kvm_vcpu *vcpu = ordinary_slot();

	gmem_run_guest(vcpu, GUEST_CHECK_ZERO, OBJECT_SIZE);
	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
	gmem_run_guest(vcpu, GUEST_CHECK, OBJECT_SIZE);
}

/* By an instruction that KVM does not emulate: it must find the page writable. */
static void guest_swaps(void)
{
	__uint128_t *p = (void *)GUEST_BASE;
	u64 low = READ_ONCE(*(u64 *)p), high = 0;

	asm volatile("lock cmpxchg16b %0"
		     : "+m" (*p), "+a" (low), "+d" (high)
		     : "b" (1ull), "c" (2ull) : "cc");
	GUEST_DONE();
}

static void use_guest_reads_and_swaps(void)
{
	const struct vm_shape shape = { .mode = VM_MODE_DEFAULT };
	void *mem = gmem_map_at(open_handle(O_RDWR), OBJECT_SIZE, SZ_2M, 0);
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = vm_create_shape_with_one_vcpu(shape, &vcpu, guest_swaps);

	virt_map_level(vm, GUEST_BASE, GUEST_BASE, GUEST_WINDOW, PG_LEVEL_2M);
	vm_set_user_memory_region(vm, GUEST_SLOT, 0, GUEST_BASE, OBJECT_SIZE, mem);
	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, NULL), UCALL_DONE);
	TEST_ASSERT_EQ(*(u64 *)mem, 1ull);
}

static void use_frozen(void)
{
	int fd = open_handle(O_RDWR), other = open_handle(O_RDWR);
	int r = gmem_set_frozen("1");

	SKIP_UNLESS(!r || errno != EOPNOTSUPP, "KHO is off: no freezing");
	TEST_ASSERT(!r, "freezing: errno %d", errno);
	EXPECT_ERRNO(pwrite(other, &fd, sizeof(fd), 0), EBUSY);
	EXPECT_ERRNO(fallocate(other, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SZ_4K), EBUSY);
	gmem_check_zero(map_handle(fd, PROT_READ | PROT_WRITE), 0, OBJECT_SIZE);
}

static void use_frozen_and_write(void)
{
	int fd = open_handle(O_RDWR);
	int r = gmem_set_frozen("1");

	SKIP_UNLESS(!r || errno != EOPNOTSUPP, "KHO is off: no freezing");
	TEST_ASSERT(!r, "freezing: errno %d", errno);
	fill_it(map_handle(fd, PROT_READ | PROT_WRITE));
}

static const struct use {
	const char *what;
	void (*fn)(void);
	bool changes;
} uses[] = {
	{ "open", use_open, false },
	{ "truncate", use_truncate, false },
	{ "chmod, chown, touch", use_attributes, false },
	{ "rename there and back", use_rename, false },
	{ "read()", use_read, false },
	{ "mmap()", use_map_unused, false },
	{ "mmap() and read", use_map_and_read, false },
	{ "mprotect() and read", use_protect_and_read, false },
	{ "read in a child", use_read_in_child, false },
	{ "writing nothing", use_write_nothing, false },
	{ "claim", use_claim, false },
	{ "a claim that is refused", use_claim_refused, false },
	{ "a creation of the same name", use_create_again, false },
	{ "one of more than there is", use_create_too_much, false },
	{ "claim, map, bind", use_claim_and_read, false },
	{ "a guest of an ordinary slot reads", use_guest_reads, false },
	{ "frozen, and read", use_frozen, false },
	{ "mmap() and write", use_map_and_write, true },
	{ "mmap() and write, small leaves", use_write_small, true },
	{ "read, then write", use_read_and_write, true },
	{ "read, then write, small leaves", use_read_and_write_small, true },
	{ "mprotect() and write", use_protect_and_write, true },
	{ "write in a child", use_write_in_child, true },
	{ "write()", use_write, true },
	{ "punch", use_punch, true },
	{ "the kernel writes to a mapping", use_kernel_writes, true },
	{ "claim, map, write", use_claim_and_write, true },
	{ "claim, punch", use_claim_and_punch, true },
	{ "a guest of a bound slot writes", use_bound_guest_writes, true },
	{ "a guest of a bound slot reads", use_bound_guest_reads, true },
	{ "pre-fault", use_prefault, true },
	{ "a guest of an ordinary slot writes", use_guest_writes, true },
	{ "a guest of an ordinary slot reads, then writes", use_guest_reads_and_writes, true },
	{ "a guest reads, then writes, and KVM cannot do it", use_guest_reads_and_swaps, true },
	{ "frozen, and write", use_frozen_and_write, true },
};

static void call(void *use)
{
	((const struct use *)use)->fn();
}

/* In a process of its own, with which all that it has ends. */
static void test_uses(void)
{
	struct gmem_persist_view before, after;
	const struct use *use;

	for (use = uses; use < uses + ARRAY_SIZE(uses); use++) {
		new_object();
		before = look();
		run_in_child(call, (void *)use);
		if (gmem_pool_attr("frozen"))
			TEST_ASSERT(!gmem_set_frozen("0"), "thawing");
		after = look();
		TEST_ASSERT(same(before.uuid, after.uuid), "%s: another uuid", use->what);
		TEST_ASSERT_EQ(same(before.token, after.token), !use->changes);
		ksft_print_msg("%s: %s\n", use->what, use->changes ? "changes it" : "the same");
		TEST_ASSERT(!gmem_discard(NAME), "discard");
	}
}

/* What is answered is what happens. */
static void test_answers(void)
{
	static const u8 nobody[TOKEN_SIZE];
	struct kvm_gmem_persist args = GMEM_ARGS(CREATE, NAME, .size = OBJECT_SIZE,
						 .flags = FLAGS_SHARED), again;
	struct kvm_vm *vm = vm_create_barebones();
	struct gmem_persist_view now;
	int fd = gmem_persist(vm, &args);

	TEST_ASSERT(fd >= 0, "create: errno %d", errno);
	TEST_ASSERT(same(args.token, nobody), "a new object has a token that was found");
	now = look();
	TEST_ASSERT(same(now.uuid, args.uuid), "uuid");
	TEST_ASSERT(!same(now.token, args.own_token), "it has not written yet");
	fill_it(gmem_map(fd, OBJECT_SIZE));
	TEST_ASSERT(same(look().token, args.own_token), "it has written");
	close(fd);
	kvm_vm_free(vm);

	/* The mapping is still there. */
	gmem_assert_live(NAME);
	vm = vm_create_barebones();
	EXPECT_ERRNO(claim(vm, -1, &again), EBUSY);
}

static void test_answers_to_handles(void)
{
	struct gmem_persist_view view, own, bad = { .reserved = { 1 } };
	struct kvm_gmem_persist args;
	struct kvm_vm *vm = vm_create_barebones();
	int fd, vm_fd;

	new_object();
	fd = open_handle(O_RDWR);
	view = get_view(fd);
	TEST_ASSERT(same(view.token, look().token), "the token that was found");
	TEST_ASSERT(!same(view.own_token, look().own_token), "two views have one token");
	fill_it(map_handle(fd, PROT_READ | PROT_WRITE));
	own = get_view(fd);
	TEST_ASSERT(same(own.token, view.token) && same(own.own_token, view.own_token),
		    "it answers otherwise when it has written");
	TEST_ASSERT(same(look().token, view.own_token), "it has written");

	vm_fd = claim(vm, fd, &args);
	TEST_ASSERT(vm_fd >= 0, "claim by a handle that maps it: errno %d", errno);
	TEST_ASSERT(same(args.uuid, view.uuid) && same(args.token, view.own_token), "answer");
	fill_it(gmem_map(vm_fd, OBJECT_SIZE));
	TEST_ASSERT(same(look().token, args.own_token), "the VM has written");

	bad.reserved[7] = 1;
	EXPECT_ERRNO(ioctl(fd, GMEM_PERSIST_GET_VIEW, &bad), EINVAL);
	EXPECT_ERRNO(ioctl(fd, GMEM_PERSIST_GET_VIEW, NULL), EFAULT);
	EXPECT_ERRNO(ioctl(fd, _IO(GMEM_PERSIST_IOCTL_TYPE, 0x7f)), ENOTTY);
}

/*
 * Writers
 */

enum how { OPENED, READER, MAPPED, VM_BY_NAME, VM_BY_HANDLE };

static void expect_others(bool refused)
{
	int fd = open_handle(O_RDWR);
	struct kvm_vm *vm = vm_create_barebones();
	struct kvm_gmem_persist args;
	int r;

	/* To read is always allowed, also with a file that is open for writing. */
	gmem_check_zero(map_handle(open_handle(O_RDONLY), PROT_READ), SZ_2M, SZ_4K);
	gmem_check_zero(map_handle(fd, PROT_READ), SZ_2M, SZ_4K);
	TEST_ASSERT_EQ(pread(fd, &r, sizeof(r), 0), (ssize_t)sizeof(r));
	if (refused) {
		EXPECT_ERRNO(mmap(NULL, OBJECT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
			     EBUSY);
		EXPECT_ERRNO(mprotect(map_handle(fd, PROT_READ), OBJECT_SIZE,
				      PROT_READ | PROT_WRITE), EBUSY);
		EXPECT_ERRNO(pwrite(fd, &r, sizeof(r), 0), EBUSY);
		EXPECT_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SZ_4K),
			     EBUSY);
		EXPECT_ERRNO(claim(vm, -1, &args), EBUSY);
		EXPECT_ERRNO(claim(vm, fd, &args), EBUSY);
	} else {
		write_handle(fd);
		gmem_punch(fd, 0, SZ_4K);
		fill_it(map_handle(fd, PROT_READ | PROT_WRITE));
	}
	kvm_vm_free(vm);
}

static void sharer(void *arg)
{
	int fd = open_handle(O_RDWR);

	TEST_ASSERT(!ioctl(fd, GMEM_PERSIST_SHARE), "SHARE");
	write_handle(fd);
	gmem_punch(fd, 0, SZ_4K);
	fill_it(map_handle(fd, PROT_READ | PROT_WRITE));
}

static void unrefused(void *arg)
{
	expect_others(false);
}

static void refused(void *arg)
{
	expect_others(true);
}

static void expect_writers(enum how how)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = open_handle(how == READER ? O_RDONLY : O_RDWR);
	bool writer = how >= MAPPED;
	struct gmem_persist_view before;

	if (how == MAPPED)
		map_handle(fd, PROT_READ | PROT_WRITE);
	else if (how == READER)
		map_handle(fd, PROT_READ);
	else if (how == VM_BY_NAME)
		must_claim(vm, -1);
	else if (how == VM_BY_HANDLE)
		must_claim(vm, fd);
	before = look();
	run_in_child(writer ? refused : unrefused, NULL);
	/* What is refused changes nothing. */
	TEST_ASSERT_EQ(same(before.token, look().token), writer);
	run_in_child(sharer, NULL);
	TEST_ASSERT(!same(before.token, look().token), "a sharer wrote");

	/* By the owner's word */
	TEST_ASSERT(!chmod(PATH, 01600), "chmod +t");
	run_in_child(unrefused, NULL);
	TEST_ASSERT(!chmod(PATH, 0600), "chmod -t");
	if (writer)
		run_in_child(refused, NULL);
}

static void expect_writers_of(void *how)
{
	expect_writers((enum how)(long)how);
}

static void test_writers(void)
{
	long how;

	new_object();
	for (how = OPENED; how <= VM_BY_HANDLE; how++) {
		run_in_child(expect_writers_of, (void *)how);
		gmem_assert_parked(NAME);
	}
}

/* Whoever has the open file is the same writer, and its VM. */
static void same_writer(void *fd)
{
	write_handle((long)fd);
	fill_it(map_handle((long)fd, PROT_READ | PROT_WRITE));
}

static void test_one_writer(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	long fd;

	new_object();
	fd = open_handle(O_RDWR);
	map_handle(fd, PROT_READ | PROT_WRITE);
	run_in_child(same_writer, (void *)fd);
	must_claim(vm, fd);
	same_writer((void *)fd);
	run_in_child(same_writer, (void *)fd);
}

/*
 * Late writes: each is noticed, whatever was written by that view before.
 */

static void expect_change(struct gmem_persist_view *last, const char *what)
{
	struct gmem_persist_view now = look();

	TEST_ASSERT(!same(last->token, now.token), "not noticed: %s", what);
	*last = now;
}

static void test_late_write(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct gmem_persist_view last;
	int fd, vm_fd;
	void *mem;

	new_object();
	last = look();
	fd = open_handle(O_RDWR);
	write_handle(fd);
	expect_change(&last, "write()");
	vm_fd = must_claim(vm, -1);
	mem = gmem_map(vm_fd, OBJECT_SIZE);
	fill_it(mem);
	expect_change(&last, "the VM");
	kvm_munmap(mem, OBJECT_SIZE);
	close(vm_fd);
	gmem_assert_attr(NAME, "views", "1");

	write_handle(fd);
	expect_change(&last, "write() by who had written");
	mem = map_handle(fd, PROT_READ | PROT_WRITE);
	fill_it(mem);
	expect_change(&last, "a new mapping by who had written");
	kvm_munmap(mem, OBJECT_SIZE);
	fill_it(map_handle(fd, PROT_READ | PROT_WRITE));
	expect_change(&last, "another mapping");
}

/* A manager's mapping, which it wrote to before it passed the file on, goes on in silence. */
static void test_late_store(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct gmem_persist_view last;
	int fd, vm_fd, round;
	void *mem, *vm_mem;

	new_object();
	last = look();
	fd = open_handle(O_RDWR);
	mem = gmem_map_at(fd, OBJECT_SIZE, SZ_2M, 0);
	for (round = 0; round < 3; round++) {
		fill_it(mem);
		expect_change(&last, "the manager");
		vm_fd = must_claim(vm, fd);
		vm_mem = gmem_map(vm_fd, OBJECT_SIZE);
		fill_it(vm_mem);
		expect_change(&last, "the VM");
		fill_it(mem);
		TEST_ASSERT(same(last.token, look().token), "they are one");
		kvm_munmap(vm_mem, OBJECT_SIZE);
		close(vm_fd);
	}
	fill_it(mem);
	expect_change(&last, "the manager, when the VM was gone");
}

/* What a VMM is given by its manager, who keeps it, too */
struct passed {
	int handle;
	int sockets[2];
};

static void pass_on(int to, int handle)
{
	char control[CMSG_SPACE(sizeof(handle))] = {}, byte = 0;
	struct iovec vec = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &vec,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(handle));
	memcpy(CMSG_DATA(c), &handle, sizeof(handle));
	TEST_ASSERT(sendmsg(to, &msg, 0) == 1, "sendmsg: errno %d", errno);
}

static int receive(int from)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, byte;
	struct iovec vec = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &vec,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int handle;

	TEST_ASSERT(recvmsg(from, &msg, 0) == 1 && msg.msg_controllen, "recvmsg: errno %d", errno);
	memcpy(&handle, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(handle));
	return handle;
}

static void vmm_of_manager(void *arg)
{
	const struct passed *passed = arg;

	close(passed->handle);
	fill_it(gmem_map(must_claim(vm_create_barebones(), receive(passed->sockets[1])),
			 OBJECT_SIZE));
}

/* What the VMM saved is fresh while its manager only keeps the file, and stale when he writes. */
static void test_passed_on(void)
{
	struct gmem_persist_view last;
	struct passed passed;
	int round;
	void *mem;

	new_object();
	last = look();
	passed.handle = open_handle(O_RDWR);
	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, passed.sockets), "socketpair");
	mem = gmem_map_at(passed.handle, OBJECT_SIZE, SZ_2M, 0);
	for (round = 0; round < 3; round++) {
		pass_on(passed.sockets[0], passed.handle);
		run_in_child(vmm_of_manager, &passed);
		expect_change(&last, "the VM");
		gmem_check(mem, 0, SZ_4K, SZ_4K, 1);
		get_view(passed.handle);
		TEST_ASSERT(same(last.token, look().token), "the manager has only looked");
		if (round == 1)
			write_handle(passed.handle);
		else
			fill_it(mem);
		expect_change(&last, "the manager");
	}
}

/* Two share; what the one that goes has saved is stale when the other goes on. */
static void test_sharers(void)
{
	struct gmem_persist_view last;
	struct kvm_vcpu *vcpu;
	void *mem;
	int fd;

	new_object();
	last = look();
	vcpu = bound_slot();
	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
	expect_change(&last, "the guest");
	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
	TEST_ASSERT(same(last.token, look().token), "the guest has written before");

	fd = open_handle(O_RDWR);
	TEST_ASSERT(!ioctl(fd, GMEM_PERSIST_SHARE), "SHARE");
	mem = gmem_map_at(fd, OBJECT_SIZE, SZ_2M, 0);
	fill_it(mem);
	expect_change(&last, "a sharer");
	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
	fill_it(mem);
	TEST_ASSERT(same(last.token, look().token), "they do not disturb each other");

	kvm_munmap(mem, OBJECT_SIZE);
	TEST_ASSERT(same(last.token, look().token), "nobody has written");
	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
	expect_change(&last, "the guest, when the sharer was gone");
}

/* Who has written before and goes on after SETTLE is noticed, too. */
static void test_settle(void)
{
	struct gmem_persist_view last, settled;
	struct kvm_vcpu *vcpu;
	void *mem;
	int fd;

	new_object();
	last = look();
	vcpu = bound_slot();
	fd = open_handle(O_RDWR);
	TEST_ASSERT(!ioctl(fd, GMEM_PERSIST_SETTLE), "nobody has written");
	TEST_ASSERT(same(last.token, look().token), "SETTLE changes nothing");
	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
	expect_change(&last, "the guest");
	TEST_ASSERT(!ioctl(fd, GMEM_PERSIST_SETTLE), "SETTLE");
	settled = get_view(fd);
	TEST_ASSERT(same(settled.token, last.token) && same(last.token, look().token),
		    "it tells the token that stands");
	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
	expect_change(&last, "the guest that goes on");

	TEST_ASSERT(!ioctl(fd, GMEM_PERSIST_SHARE), "SHARE");
	mem = gmem_map_at(fd, OBJECT_SIZE, SZ_2M, 0);
	fill_it(mem);
	expect_change(&last, "a mapping");
	TEST_ASSERT(!ioctl(fd, GMEM_PERSIST_SETTLE), "SETTLE with two writers");
	fill_it(mem);
	expect_change(&last, "the mapping that goes on");
	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
	expect_change(&last, "the guest beside it");

	EXPECT_ERRNO(ioctl(open_handle(O_RDONLY), GMEM_PERSIST_SETTLE), EBADF);
	EXPECT_ERRNO(ioctl(open_handle(O_ACCMODE), GMEM_PERSIST_SETTLE), EBADF);
}

static void test_new_object(void)
{
	struct gmem_persist_view last;

	new_object();
	last = look();
	TEST_ASSERT(!unlink(PATH), "unlink");
	new_object();
	TEST_ASSERT(!same(last.uuid, look().uuid), "two objects have one uuid");
	expect_change(&last, "a new object");
}

static const struct gmem_test tests[] = {
	{ "what changes the token, and what does not", test_uses },
	{ "what KVM_GMEM_PERSIST answers", test_answers },
	{ "what GET_VIEW answers", test_answers_to_handles },
	{ "who may write beside whom", test_writers },
	{ "one open file is one writer", test_one_writer },
	{ "late write()", test_late_write },
	{ "late stores by a mapping", test_late_store },
	{ "a file that is passed on", test_passed_on },
	{ "two that share", test_sharers },
	{ "who goes on after SETTLE", test_settle },
	{ "a new object of the same name", test_new_object },
};

int main(int argc, char *argv[])
{
	mkdir(FS, 0700);
	/* An earlier run's */
	umount2(FS, MNT_DETACH);
	TEST_REQUIRE(!mount("none", FS, "gmemfs", 0, NULL));
	return gmem_run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
