// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd over persistent memory: GUEST_MEMFD_FLAG_PERSIST, KVM_GMEM_PERSIST
 * and /sys/kernel/mm/gmem_persist.
 *
 * Needs a kernel booted with gmem_persist=3G or more, and root.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/bitmap.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <linux/sizes.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "gmem_persist_util.h"

/*
 * Cases: creating and reclaiming
 */

static const unsigned long tested_types[] = {
	KVM_X86_DEFAULT_VM,
	KVM_X86_SW_PROTECTED_VM,
};

static void test_capability(void)
{
	u64 flag, valid, size;
	struct kvm_vm *vm;
	int fd, i;

	for (i = 0; i < ARRAY_SIZE(tested_types); i++) {
		if (!kvm_has_vm_type(tested_types[i])) {
			pr_info("# no VMs of type %lu\n", tested_types[i]);
			continue;
		}
		vm = vm_create_barebones_type(tested_types[i]);
		TEST_ASSERT_EQ(vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_PERSIST), 1);
		valid = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS);
		TEST_ASSERT(valid & GUEST_MEMFD_FLAG_PERSIST,
			    "PERSIST is not in the flags 0x%lx", valid);

		for (flag = 1; flag; flag <<= 1) {
			if (!(flag & valid))
				gmem_expect_unnamed_refused(vm, SZ_2M,
							    GUEST_MEMFD_FLAG_PERSIST | flag,
							    EINVAL);
		}
		for (size = 0; size <= 2 * SZ_4K; size += SZ_1K) {
			if (!size || size % SZ_4K)
				gmem_expect_unnamed_refused(vm, size,
							    GUEST_MEMFD_FLAG_PERSIST,
							    EINVAL);
		}
		gmem_expect_unnamed_refused(vm, 1ull << 63, GUEST_MEMFD_FLAG_PERSIST,
					    EINVAL);
		gmem_expect_unnamed_refused(vm, (1ull << 63) - SZ_4K,
					    GUEST_MEMFD_FLAG_PERSIST, EINVAL);

		fd = vm_create_guest_memfd(vm, SZ_2M, GUEST_MEMFD_FLAG_PERSIST);
		close(fd);
		kvm_vm_free(vm);
	}
}

/* Memory that needs a struct page, or the direct map, is refused by type. */
static void test_confidential_vms(void)
{
	const struct kvm_gmem_persist args =
		GMEM_ARGS(CREATE, PREFIX "coco", .size = SZ_2M);
	unsigned long types = kvm_check_cap(KVM_CAP_VM_TYPES);
	unsigned long type;
	struct kvm_vm *vm;
	int nr = 0;

	types &= ~(BIT(KVM_X86_DEFAULT_VM) | BIT(KVM_X86_SW_PROTECTED_VM));
	for_each_set_bit(type, &types, BITS_PER_TYPE(types)) {
		vm = vm_create_barebones_type(type);
		TEST_ASSERT_EQ(vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_PERSIST), 0);
		gmem_expect_refused(vm, &args, EOPNOTSUPP, "a confidential VM");
		gmem_expect_unnamed_refused(vm, SZ_2M, GUEST_MEMFD_FLAG_PERSIST,
					    EOPNOTSUPP);
		kvm_vm_free(vm);
		nr++;
	}
	SKIP_UNLESS(nr, "no SEV, SNP or TDX VMs on this host");
}

static void hold_until_closed(int gmem_fd, int pipe_fd)
{
	char c;

	TEST_ASSERT(read(pipe_fd, &c, 1) == 0, "pipe");
	close(gmem_fd);
	exit(0);
}

/*
 * The view goes with the last reference to the file: of a duplicate, of another
 * process, of a mapping, but not of a memslot.
 */
static void test_last_reference(void)
{
	const char *name = PREFIX "reference";
	struct kvm_vm *vm = vm_create_barebones();
	u64 used = gmem_pool_attr("used_bytes");
	int fd, copy, pipe_fds[2];
	void *mem;
	pid_t pid;

	fd = gmem_create(vm, name, FLAGS_SHARED);
	gmem_add_slot(vm, fd, OBJECT_SIZE);

	copy = kvm_dup(fd);
	close(fd);
	gmem_assert_live(name);

	mem = gmem_map(copy, OBJECT_SIZE);
	close(copy);
	gmem_assert_live(name);
	kvm_munmap(mem, OBJECT_SIZE);
	gmem_assert_parked(name);

	fd = gmem_reclaim(vm, name, FLAGS_SHARED);
	TEST_ASSERT(!pipe(pipe_fds), "pipe");
	pid = fork();
	if (!pid) {
		close(pipe_fds[1]);
		hold_until_closed(fd, pipe_fds[0]);
	}
	close(fd);
	gmem_assert_live(name);
	close(pipe_fds[1]);
	TEST_ASSERT_EQ(wait_for_child(pid), 0);
	gmem_assert_parked(name);

	TEST_ASSERT_EQ(gmem_pool_attr("used_bytes"), used + OBJECT_SIZE);
	kvm_vm_free(vm);
}

/* Memory without a name is in no list, and goes back with the last reference. */
static void test_unnamed(void)
{
	const u64 flags = GUEST_MEMFD_FLAG_PERSIST | FLAGS_SHARED;
	struct kvm_vm *vm = vm_create_barebones();
	struct gmem_snapshot before, during, after;
	int fd, copy, other, pipe_fds[2];
	struct stat st;
	void *mem;
	pid_t pid;

	gmem_take_snapshot(&before);
	fd = vm_create_guest_memfd(vm, OBJECT_SIZE, flags);
	TEST_ASSERT(!pipe(pipe_fds), "pipe");
	pid = fork();
	if (!pid) {
		close(pipe_fds[1]);
		hold_until_closed(fd, pipe_fds[0]);
	}
	other = vm_create_guest_memfd(vm, SZ_2M, flags);
	TEST_ASSERT(!fstat(fd, &st) && st.st_size == OBJECT_SIZE, "size");
	mem = gmem_map(fd, OBJECT_SIZE);
	gmem_check_zero(mem, 0, OBJECT_SIZE);
	gmem_fill(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);

	gmem_take_snapshot(&during);
	TEST_ASSERT_EQ(during.used, before.used + OBJECT_SIZE + SZ_2M);
	TEST_ASSERT(!strcmp(during.objects, before.objects),
		    "an object without a name is listed");

	copy = kvm_dup(fd);
	close(fd);
	close(copy);
	close(other);
	kvm_munmap(mem, OBJECT_SIZE);
	TEST_ASSERT_EQ(gmem_pool_attr("used_bytes"), before.used + OBJECT_SIZE);
	close(pipe_fds[1]);
	TEST_ASSERT_EQ(wait_for_child(pid), 0);

	gmem_take_snapshot(&after);
	TEST_ASSERT_EQ(after.used, before.used);
	TEST_ASSERT_EQ(after.dirty + after.clean, before.dirty + before.clean);
	kvm_vm_free(vm);
}

/* It ends where it was asked to, not where its last granule does. */
static void test_unnamed_odd_size(void)
{
	const u64 flags = GUEST_MEMFD_FLAG_PERSIST | FLAGS_SHARED;
	const u64 size = SZ_2M + 3 * SZ_4K, granules = 2 * SZ_2M;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	u64 used, at;
	char *mem;
	int fd, r;

	vm = gmem_create_default_vm(&vcpu);
	used = gmem_pool_attr("used_bytes");
	fd = vm_create_guest_memfd(vm, size, flags);
	TEST_ASSERT_EQ(gmem_pool_attr("used_bytes"), used + granules);

	mem = gmem_map_at(fd, granules, SZ_2M, 0);
	for (at = 0; at < granules; at += SZ_4K) {
		if (at < size)
			mem[at] = 1;
		else
			TEST_EXPECT_SIGBUS(mem[at] = 1);
	}
	EXPECT_ERRNO(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, granules), EINVAL);
	kvm_fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size);

	r = __vm_set_user_memory_region2(vm, GUEST_SLOT, KVM_MEM_GUEST_MEMFD, GUEST_BASE,
					 granules, mem, fd, 0);
	TEST_ASSERT(r && errno == EINVAL, "beyond the end: %d, errno %d", r, errno);
	gmem_bind(vm, GUEST_BASE, size, fd, 0);
	gmem_run_guest(vcpu, GUEST_FILL, size);
	gmem_check(mem, 0, size, SZ_4K, SEED_GUEST);
	kvm_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, granules);
	gmem_run_guest(vcpu, GUEST_CHECK_ZERO, size);

	kvm_vm_free(vm);
	close(fd);
	kvm_munmap(mem, granules);
	TEST_ASSERT_EQ(gmem_pool_attr("used_bytes"), used);
}

static void assert_outputs(const struct kvm_gmem_persist *args, u64 size,
			   u64 granule, bool created)
{
	static const u8 nobody[KVM_GMEM_PERSIST_TOKEN_SIZE];

	TEST_ASSERT_EQ(args->size, size);
	TEST_ASSERT_EQ(args->granule, granule);
	TEST_ASSERT_EQ(args->generation, 0ull);
	/* A token was found where there was an object. */
	TEST_ASSERT_EQ(!memcmp(args->token, nobody, sizeof(nobody)), created);
	TEST_ASSERT(memcmp(args->own_token, nobody, sizeof(nobody)), "no token");
	TEST_ASSERT(memcmp(args->own_token, args->token, sizeof(nobody)), "another's token");
}

static void test_create_and_reclaim(void)
{
	const struct kvm_gmem_persist create_args = GMEM_ARGS(CREATE, PREFIX "life",
		.size = OBJECT_SIZE, .flags = FLAGS_SHARED);
	const struct kvm_gmem_persist reclaim_args = GMEM_ARGS(RECLAIM, PREFIX "life",
		.flags = FLAGS_SHARED);
	struct kvm_vm *vm = vm_create_barebones();
	u64 used = gmem_pool_attr("used_bytes");
	const char *name = PREFIX "life";
	u8 token[KVM_GMEM_PERSIST_TOKEN_SIZE];
	struct kvm_gmem_persist args;
	char uuid[64], buf[64];
	struct stat st;
	int fd, round;

	args = create_args;
	fd = gmem_open_object(vm, &args);
	assert_outputs(&args, OBJECT_SIZE, SZ_2M, true);
	TEST_ASSERT(!fstat(fd, &st) && st.st_size == OBJECT_SIZE, "size");
	TEST_ASSERT_EQ(gmem_pool_attr("used_bytes"), used + OBJECT_SIZE);

	gmem_assert_attr(name, "size", "8388608");
	gmem_assert_attr(name, "granule", "2097152");
	gmem_assert_attr(name, "flags", "0x3");
	gmem_assert_attr(name, "vm_class", "0");
	gmem_assert_attr(name, "generation", "0");
	gmem_object_attr(uuid, sizeof(uuid), name, "uuid");
	TEST_ASSERT_EQ(strlen(uuid), 32ul);
	close(fd);
	gmem_assert_parked(name);

	/* By this VM, by a later one; stating what is known or leaving it open. */
	for (round = 0; round < 4; round++) {
		if (round == 2) {
			kvm_vm_free(vm);
			vm = vm_create_barebones();
		}
		args = reclaim_args;
		args.size = round & 1 ? OBJECT_SIZE : 0;
		args.granule = round & 2 ? SZ_2M : 0;
		/* These only go out. */
		args.generation = ~0ull;
		memset(args.uuid, 0xff, sizeof(args.uuid));
		memset(args.token, 0xff, sizeof(args.token));
		memset(args.own_token, 0xff, sizeof(args.own_token));
		fd = gmem_open_object(vm, &args);
		assert_outputs(&args, OBJECT_SIZE, SZ_2M, false);
		/* Nobody writes. */
		if (round)
			TEST_ASSERT(!memcmp(token, args.token, sizeof(token)), "token");
		memcpy(token, args.token, sizeof(token));
		close(fd);
		gmem_assert_parked(name);
	}
	gmem_assert_attr(name, "uuid", uuid);

	TEST_ASSERT(!gmem_discard(PREFIX "life\n"), "discard");
	gmem_assert_gone(name);
	TEST_ASSERT_EQ(gmem_pool_attr("used_bytes"), used);
	EXPECT_ERRNO(gmem_discard(name), ENOENT);
	gmem_expect_refused(vm, &reclaim_args, ENOENT, "reclaim after discard");

	/* The same name again is another object. */
	args = create_args;
	args.size = SZ_2M;
	fd = gmem_open_object(vm, &args);
	assert_outputs(&args, SZ_2M, SZ_2M, true);
	gmem_object_attr(buf, sizeof(buf), name, "uuid");
	TEST_ASSERT(strcmp(buf, uuid), "two objects have one UUID");
	close(fd);
	kvm_vm_free(vm);
}

static void test_create_or_reclaim(void)
{
	const struct kvm_gmem_persist args = GMEM_ARGS(CREATE_OR_RECLAIM, PREFIX "or",
		.size = SZ_2M, .flags = FLAGS_SHARED);
	struct kvm_vm *vm = vm_create_barebones();
	struct kvm_gmem_persist a;
	int fd;

	a = args;
	a.size = 0;
	gmem_expect_refused(vm, &a, EINVAL, "nothing there, and no size");

	a = args;
	fd = gmem_open_object(vm, &a);
	assert_outputs(&a, SZ_2M, SZ_2M, true);
	gmem_expect_refused(vm, &args, EBUSY, "claimed");
	close(fd);

	a = args;
	a.size = 0;
	fd = gmem_open_object(vm, &a);
	assert_outputs(&a, SZ_2M, SZ_2M, false);
	close(fd);

	a = args;
	a.size = 2 * SZ_2M;
	gmem_expect_refused(vm, &a, EINVAL, "there, but of another size");
	kvm_vm_free(vm);
}

static void test_names(void)
{
	static const char * const good[] = {
		PREFIX "a",
		PREFIX "AZaz09._-+:@=",
		PREFIX "..",
		PREFIX "63-012345678901234567890123456789012345678901234567890",
	};
	static const struct kvm_gmem_persist bad[] = {
		GMEM_ARGS(CREATE, "", .size = SZ_2M),
		GMEM_ARGS(CREATE, "/", .size = SZ_2M),
		GMEM_ARGS(CREATE, PREFIX "a/b", .size = SZ_2M),
		GMEM_ARGS(CREATE, "../" PREFIX "a", .size = SZ_2M),
		GMEM_ARGS(CREATE, ".", .size = SZ_2M),
		GMEM_ARGS(CREATE, "..", .size = SZ_2M),
		GMEM_ARGS(CREATE, "." PREFIX, .size = SZ_2M),
		GMEM_ARGS(CREATE, PREFIX " ", .size = SZ_2M),
		GMEM_ARGS(CREATE, PREFIX "\n", .size = SZ_2M),
		GMEM_ARGS(CREATE, PREFIX "\x01", .size = SZ_2M),
		GMEM_ARGS(CREATE, PREFIX "\x1b[m", .size = SZ_2M),
		GMEM_ARGS(CREATE, PREFIX "\x7f", .size = SZ_2M),
		GMEM_ARGS(CREATE, PREFIX "\x80", .size = SZ_2M),
		GMEM_ARGS(CREATE, PREFIX "\xc3\xa4", .size = SZ_2M),
		GMEM_ARGS(CREATE, PREFIX "%s", .size = SZ_2M),
		GMEM_ARGS(CREATE, PREFIX "*", .size = SZ_2M),
	};
	struct kvm_vm *vm = vm_create_barebones();
	struct kvm_gmem_persist args;
	char text[160];
	int op, i, fd;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		TEST_ASSERT(strlen(good[i]) < KVM_GMEM_PERSIST_NAME_SIZE,
			    "%s is too long", good[i]);
		fd = __gmem_create(vm, good[i], SZ_2M, 0, FLAGS_SHARED);
		close(fd);
		fd = gmem_reclaim(vm, good[i], FLAGS_SHARED);
		close(fd);
		TEST_ASSERT(!gmem_discard(good[i]), "discarding %s", good[i]);
		gmem_assert_gone(good[i]);
	}

	for (op = KVM_GMEM_PERSIST_CREATE;
	     op <= KVM_GMEM_PERSIST_CREATE_OR_RECLAIM; op++) {
		for (i = 0; i < ARRAY_SIZE(bad); i++) {
			args = bad[i];
			args.op = op;
			gmem_expect_refused(vm, &args, EINVAL, (char *)args.name);
		}
		/* With something behind its end, and without an end */
		memset(args.name, 0, sizeof(args.name));
		args.name[0] = 'a';
		args.name[sizeof(args.name) - 1] = 'a';
		gmem_expect_refused(vm, &args, EINVAL, "behind the end");
		memset(args.name, 'a', sizeof(args.name));
		gmem_expect_refused(vm, &args, EINVAL, "64 characters");
	}

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		/* Space around a name, as of echo, does not count. */
		if (!strpbrk((char *)bad[i].name, "\n ") && bad[i].name[0])
			EXPECT_ERRNO(gmem_discard((char *)bad[i].name), EINVAL);
	EXPECT_ERRNO(gmem_discard("\n"), EINVAL);
	EXPECT_ERRNO(gmem_discard(PREFIX "64-0123456789012345678901234567890123456789012345678901"),
		     EINVAL);
	memset(args.name, 'a', sizeof(args.name));
	snprintf(text, sizeof(text), "%.64s%.64s", args.name, args.name);
	EXPECT_ERRNO(gmem_discard(text), EINVAL);
	kvm_vm_free(vm);
}

/* One line for every way to be refused because of what is there. */
static void test_refused(void)
{
	static const struct {
		const char *what;
		struct kvm_gmem_persist args;
		int error;
	} cases[] = {
		{ "create: size 0",
		  GMEM_ARGS(CREATE, PREFIX "new", .size = 0), EINVAL },
		{ "create: one page",
		  GMEM_ARGS(CREATE, PREFIX "new", .size = SZ_4K), EINVAL },
		{ "create: size between granules",
		  GMEM_ARGS(CREATE, PREFIX "new", .size = SZ_2M + SZ_1M), EINVAL },
		{ "create: size between granules of 1 GiB",
		  GMEM_ARGS(CREATE, PREFIX "new", .size = SZ_2M, .granule = SZ_1G), EINVAL },
		{ "create: size with the highest bit",
		  GMEM_ARGS(CREATE, PREFIX "new", .size = 1ull << 63), EINVAL },
		{ "create: largest aligned size",
		  GMEM_ARGS(CREATE, PREFIX "new", .size = -(u64)SZ_2M), EINVAL },
		{ "create: granule of 4 KiB",
		  GMEM_ARGS(CREATE, PREFIX "new", .size = SZ_2M, .granule = SZ_4K), EINVAL },
		{ "create: granule 1",
		  GMEM_ARGS(CREATE, PREFIX "new", .size = SZ_2M, .granule = 1), EINVAL },
		{ "create: granule of 4 MiB",
		  GMEM_ARGS(CREATE, PREFIX "new", .size = SZ_4M, .granule = SZ_4M), EINVAL },
		{ "create: two granules in one",
		  GMEM_ARGS(CREATE, PREFIX "new", .size = SZ_1G, .granule = SZ_1G | SZ_2M),
		  EINVAL },
		{ "create: more than the pool",
		  GMEM_ARGS(CREATE, PREFIX "new", .size = 1ull << 50), ENOSPC },
		{ "create: more than the pool, in 1 GiB",
		  GMEM_ARGS(CREATE, PREFIX "new", .size = 1ull << 50, .granule = SZ_1G), ENOSPC },
		{ "create: more than fits into the physical address space",
		  GMEM_ARGS(CREATE, PREFIX "new", .size = 1ull << 62), ENOSPC },
		{ "create or reclaim: more than the pool",
		  GMEM_ARGS(CREATE_OR_RECLAIM, PREFIX "new", .size = 1ull << 50), ENOSPC },
		{ "create: the name of a parked object",
		  GMEM_ARGS(CREATE, PREFIX "parked", .size = SZ_4M, .flags = FLAGS_SHARED),
		  EEXIST },
		{ "create: the name of a claimed object",
		  GMEM_ARGS(CREATE, PREFIX "claimed", .size = SZ_2M), EEXIST },
		{ "create: the name of an object, and no memory for it",
		  GMEM_ARGS(CREATE, PREFIX "parked", .size = 1ull << 50), EEXIST },

		{ "reclaim: no such object",
		  GMEM_ARGS(RECLAIM, PREFIX "nobody"), ENOENT },
		{ "reclaim: the beginning of a name",
		  GMEM_ARGS(RECLAIM, PREFIX "parke", .flags = FLAGS_SHARED), ENOENT },
		{ "reclaim: more than a name",
		  GMEM_ARGS(RECLAIM, PREFIX "parkedd", .flags = FLAGS_SHARED), ENOENT },
		{ "reclaim: claimed",
		  GMEM_ARGS(RECLAIM, PREFIX "claimed"), EBUSY },
		{ "create or reclaim: claimed",
		  GMEM_ARGS(CREATE_OR_RECLAIM, PREFIX "claimed", .size = SZ_2M), EBUSY },
		{ "reclaim: smaller",
		  GMEM_ARGS(RECLAIM, PREFIX "parked", .size = SZ_2M, .flags = FLAGS_SHARED),
		  EINVAL },
		{ "reclaim: larger",
		  GMEM_ARGS(RECLAIM, PREFIX "parked", .size = SZ_8M, .flags = FLAGS_SHARED),
		  EINVAL },
		{ "reclaim: size between granules",
		  GMEM_ARGS(RECLAIM, PREFIX "parked", .size = SZ_1M, .flags = FLAGS_SHARED),
		  EINVAL },
		{ "reclaim: other granule",
		  GMEM_ARGS(RECLAIM, PREFIX "parked", .granule = SZ_1G, .flags = FLAGS_SHARED),
		  EINVAL },
		{ "reclaim: no granule",
		  GMEM_ARGS(RECLAIM, PREFIX "parked", .granule = SZ_4K, .flags = FLAGS_SHARED),
		  EINVAL },
		{ "reclaim: without its flags",
		  GMEM_ARGS(RECLAIM, PREFIX "parked"), EINVAL },
		{ "reclaim: with one of its flags",
		  GMEM_ARGS(RECLAIM, PREFIX "parked", .flags = GUEST_MEMFD_FLAG_MMAP), EINVAL },
		{ "reclaim: with a flag that it does not have",
		  GMEM_ARGS(RECLAIM, PREFIX "private", .flags = GUEST_MEMFD_FLAG_MMAP), EINVAL },
		{ "create or reclaim: without its flags",
		  GMEM_ARGS(CREATE_OR_RECLAIM, PREFIX "parked", .size = SZ_4M), EINVAL },

		{ "operation 3",
		  { .op = 3, .name = PREFIX "new", .size = SZ_2M }, EINVAL },
		{ "operation ~0",
		  { .op = ~0, .name = PREFIX "new", .size = SZ_2M }, EINVAL },
		{ "pad",
		  GMEM_ARGS(CREATE, PREFIX "new", .size = SZ_2M, .handle = 1), EINVAL },
		{ "pad, highest bit",
		  GMEM_ARGS(CREATE, PREFIX "new", .size = SZ_2M, .handle = 1u << 31), EINVAL },
	};
	struct kvm_vm *vm = vm_create_barebones();
	struct kvm_vm *other = vm_create_barebones();
	int i, claimed;

	close(__gmem_create(vm, PREFIX "parked", SZ_4M, 0, FLAGS_SHARED));
	close(__gmem_create(vm, PREFIX "private", SZ_2M, 0, FLAGS_PRIVATE));
	claimed = __gmem_create(vm, PREFIX "claimed", SZ_2M, 0, FLAGS_PRIVATE);

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		/* By the VM that holds the claim and by one that does not. */
		gmem_expect_refused(vm, &cases[i].args, cases[i].error, cases[i].what);
		gmem_expect_refused(other, &cases[i].args, cases[i].error,
				    cases[i].what);
	}

	close(claimed);
	kvm_vm_free(other);
	kvm_vm_free(vm);
}

static void test_reserved(void)
{
	const struct kvm_gmem_persist good = GMEM_ARGS(CREATE, PREFIX "reserved",
		.size = SZ_2M);
	struct kvm_vm *vm = vm_create_barebones();
	u64 valid = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS);
	struct kvm_gmem_persist args;
	struct gmem_snapshot before;
	void *page;
	u64 flag;
	int i;

	for (i = 0; i < ARRAY_SIZE(good.reserved); i++) {
		args = good;
		args.reserved[i] = 1;
		gmem_expect_refused(vm, &args, EINVAL, "a reserved word");
		args.reserved[i] = 1ull << 63;
		gmem_expect_refused(vm, &args, EINVAL, "a reserved word");
	}

	/* That the memory persists goes without saying here. */
	valid &= ~(GUEST_MEMFD_FLAG_PERSIST | GUEST_MEMFD_FLAG_USE_RESOURCE);
	for (flag = 1; flag; flag <<= 1) {
		if (flag & valid)
			continue;
		args = good;
		args.flags = flag;
		gmem_expect_refused(vm, &args, EINVAL, "a flag");
	}

	gmem_take_snapshot(&before);
	EXPECT_ERRNO(__vm_ioctl(vm, KVM_GMEM_PERSIST,
				(struct kvm_gmem_persist *)NULL), EFAULT);
	/* An answer that cannot be delivered must not leave an object behind. */
	page = kvm_mmap(SZ_4K, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memcpy(page, &good, sizeof(good));
	TEST_ASSERT(!mprotect(page, SZ_4K, PROT_READ), "mprotect");
	EXPECT_ERRNO(gmem_persist(vm, page), EFAULT);
	/* The second half of the arguments is not there. */
	page = kvm_mmap(2 * SZ_4K, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1);
	kvm_munmap(page + SZ_4K, SZ_4K);
	EXPECT_ERRNO(gmem_persist(vm, page + SZ_4K - sizeof(args) / 2), EFAULT);
	gmem_assert_unchanged(&before, "EFAULT");
	kvm_vm_free(vm);
}

static void drop_sys_admin(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	TEST_ASSERT(!syscall(SYS_capget, &header, data), "capget");
	data[0].effective &= ~CAP_TO_MASK(CAP_SYS_ADMIN);
	TEST_ASSERT(!syscall(SYS_capset, &header, data), "capset");
}

static void test_no_capability(void)
{
	const struct kvm_gmem_persist args[] = {
		GMEM_ARGS(CREATE, PREFIX "new", .size = SZ_2M),
		GMEM_ARGS(RECLAIM, PREFIX "parked", .flags = FLAGS_SHARED),
		GMEM_ARGS(RECLAIM, PREFIX "nobody"),
		GMEM_ARGS(CREATE_OR_RECLAIM, PREFIX "new", .size = SZ_2M),
	};
	struct kvm_vm *vm = vm_create_barebones();
	int fd, i;

	close(gmem_create(vm, PREFIX "parked", FLAGS_SHARED));
	drop_sys_admin();
	for (i = 0; i < ARRAY_SIZE(args); i++)
		gmem_expect_refused(vm, &args[i], EPERM, "no CAP_SYS_ADMIN");
	gmem_expect_unnamed_refused(vm, SZ_2M, GUEST_MEMFD_FLAG_PERSIST, EPERM);

	/* Other guest_memfds remain everybody's. */
	fd = vm_create_guest_memfd(vm, SZ_2M, 0);
	close(fd);
	kvm_vm_free(vm);
}

/* The call with no file descriptor left. */
static int without_fds(struct kvm_vm *vm, struct kvm_gmem_persist *args)
{
	struct rlimit old, none;
	int r, error;

	TEST_ASSERT(!getrlimit(RLIMIT_NOFILE, &old), "getrlimit");
	none = old;
	none.rlim_cur = kvm_dup(0);
	close(none.rlim_cur);
	TEST_ASSERT(!setrlimit(RLIMIT_NOFILE, &none), "setrlimit");
	r = args ? gmem_persist(vm, args) :
		   __vm_create_guest_memfd(vm, SZ_2M, GUEST_MEMFD_FLAG_PERSIST);
	error = errno;
	TEST_ASSERT(!setrlimit(RLIMIT_NOFILE, &old), "setrlimit");
	errno = error;
	return r;
}

static void test_no_fds(void)
{
	struct kvm_gmem_persist create_args = GMEM_ARGS(CREATE, PREFIX "new",
		.size = SZ_2M);
	struct kvm_gmem_persist reclaim_args = GMEM_ARGS(RECLAIM, PREFIX "parked",
		.flags = FLAGS_SHARED);
	struct kvm_vm *vm = vm_create_barebones();
	struct gmem_snapshot before, after;

	close(gmem_create(vm, PREFIX "parked", FLAGS_SHARED));
	gmem_take_snapshot(&before);
	EXPECT_ERRNO(without_fds(vm, NULL), EMFILE);
	EXPECT_ERRNO(without_fds(vm, &create_args), EMFILE);
	EXPECT_ERRNO(without_fds(vm, &reclaim_args), EMFILE);
	gmem_take_snapshot(&after);
	/* What was cleared for nothing may be dirty again. */
	TEST_ASSERT_EQ(after.used, before.used);
	TEST_ASSERT(!strcmp(after.objects, before.objects),
		    "objects were\n%sand are\n%s", before.objects, after.objects);
	close(gmem_reclaim(vm, PREFIX "parked", FLAGS_SHARED));
	kvm_vm_free(vm);
}

static void do_nothing(int signum)
{
}

/* A signal ends the clearing of memory, and everything is given back. */
static void test_interrupted(void)
{
	struct kvm_gmem_persist args = GMEM_ARGS(CREATE, PREFIX "interrupted",
		.size = SZ_1G);
	const struct itimerval often = {
		.it_interval.tv_usec = 1000,
		.it_value.tv_usec = 1000,
	}, never = {};
	struct sigaction sa = { .sa_handler = do_nothing };
	struct kvm_vm *vm = vm_create_barebones();
	struct gmem_snapshot before, after;
	int r, error;

	gmem_take_snapshot(&before);
	SKIP_UNLESS(!before.clean && before.dirty >= SZ_1G,
		    "only clearing memory can be interrupted");
	sigaction(SIGALRM, &sa, NULL);
	TEST_ASSERT(!setitimer(ITIMER_REAL, &often, NULL), "setitimer");
	r = gmem_persist(vm, &args);
	error = errno;
	TEST_ASSERT(!setitimer(ITIMER_REAL, &never, NULL), "setitimer");
	TEST_ASSERT(r == -1 && error == EINTR, "got %d, errno %d", r, error);

	gmem_take_snapshot(&after);
	TEST_ASSERT_EQ(after.used, before.used);
	TEST_ASSERT(!strcmp(after.objects, before.objects),
		    "left behind: %s", after.objects);
	kvm_vm_free(vm);
}

/*
 * Free memory of which too little is in whole, aligned GiB. Small objects take
 * the rest of a GiB before they break another one:
 *
 *   |    a: 1 GiB - 2 MiB     |bb| |bb|                       | ...
 */
static void test_fragmented(void)
{
	struct kvm_gmem_persist args = GMEM_ARGS(CREATE, PREFIX "c", .granule = SZ_1G);
	struct kvm_vm *vm = vm_create_barebones();
	u64 whole = gmem_pool_attr("free_1g_bytes");
	void *mem;
	int fd;

	close(__gmem_create(vm, PREFIX "a", SZ_1G - SZ_2M, SZ_2M, FLAGS_SHARED));
	fd = __gmem_create(vm, PREFIX "b", SZ_4M, SZ_2M, FLAGS_SHARED);
	TEST_ASSERT(!gmem_discard(PREFIX "a"), "discard");
	TEST_ASSERT_EQ(gmem_pool_attr("free_1g_bytes"), whole - 2 * (u64)SZ_1G);

	args.size = gmem_pool_attr("free_1g_bytes") + SZ_1G;
	TEST_ASSERT(args.size <= gmem_pool_attr("clean_bytes") + gmem_pool_attr("dirty_bytes"),
		    "not enough free memory for this test");
	gmem_expect_refused(vm, &args, ENOSPC, "fewer whole GiB than free bytes");

	/* Whatever pieces an object is made of, it is one. */
	mem = gmem_map_at(fd, SZ_4M, SZ_2M, 0);
	gmem_check_zero(mem, 0, SZ_4M);
	gmem_fill(mem, 0, SZ_4M, SZ_4K, SEED_HOST);
	gmem_check(gmem_map_at(fd, SZ_4M, SZ_2M, SZ_4K), 0, SZ_4M, SZ_4K, SEED_HOST);
	close(fd);
	kvm_vm_free(vm);
}

static void test_discard(void)
{
	const char *name = PREFIX "discard";
	struct kvm_vm *vm = vm_create_barebones();
	struct gmem_snapshot before, after;
	int fd;

	fd = gmem_create(vm, name, FLAGS_SHARED);
	gmem_take_snapshot(&before);
	EXPECT_ERRNO(gmem_discard(name), EBUSY);
	gmem_assert_live(name);
	close(fd);
	EXPECT_ERRNO(gmem_discard(PREFIX "discar"), ENOENT);
	EXPECT_ERRNO(gmem_discard(PREFIX "discardd"), ENOENT);
	gmem_assert_parked(name);
	TEST_ASSERT(!gmem_discard(name), "discard");
	gmem_assert_gone(name);

	/* What was handed out once is dirty, whoever wrote to it or not. */
	gmem_take_snapshot(&after);
	TEST_ASSERT_EQ(after.used, before.used - OBJECT_SIZE);
	TEST_ASSERT_EQ(after.dirty, before.dirty + OBJECT_SIZE);
	TEST_ASSERT_EQ(after.clean, before.clean);
	kvm_vm_free(vm);
}

/* Nobody sees what others have left: all free memory that is small is tried. */
static void test_memory_is_zero(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int round, i, fd[4];
	void *mem;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < ARRAY_SIZE(fd); i++) {
			fd[i] = i & 1 ?
				vm_create_guest_memfd(vm, OBJECT_SIZE,
						      GUEST_MEMFD_FLAG_PERSIST |
						      FLAGS_SHARED) :
				gmem_create(vm, i ? PREFIX "z2" : PREFIX "z0",
					    FLAGS_SHARED);
			mem = gmem_map(fd[i], OBJECT_SIZE);
			gmem_check_zero(mem, 0, OBJECT_SIZE);
			memset(mem, 0xa5, OBJECT_SIZE);
			kvm_munmap(mem, OBJECT_SIZE);
		}
		for (i = 0; i < ARRAY_SIZE(fd); i++)
			close(fd[i]);
		TEST_ASSERT(!gmem_discard(PREFIX "z0"), "discard");
		TEST_ASSERT(!gmem_discard(PREFIX "z2"), "discard");
	}
	kvm_vm_free(vm);
}

/* What leaves map it is gmem_persist_leaf_test's to look at. */
static void test_1g_granule(void)
{
	const u64 size = 2ull * SZ_1G, step = SZ_2M + SZ_4K;
	struct kvm_gmem_persist args = GMEM_ARGS(CREATE, PREFIX "1g", .size = size,
		.granule = SZ_1G, .flags = FLAGS_SHARED);
	u64 whole = gmem_pool_attr("free_1g_bytes");
	struct kvm_vm *vm;
	void *mem;
	int fd;

	SKIP_UNLESS(whole >= size, "not enough whole GiB are free");
	vm = vm_create_barebones();
	fd = gmem_open_object(vm, &args);
	assert_outputs(&args, size, SZ_1G, true);
	gmem_assert_attr(PREFIX "1g", "granule", "1073741824");
	TEST_ASSERT_EQ(gmem_pool_attr("free_1g_bytes"), whole - size);
	mem = gmem_map(fd, size);
	gmem_fill(mem, 0, size, step, SEED_HOST);
	kvm_munmap(mem, size);
	close(fd);
	gmem_assert_parked(PREFIX "1g");

	args = (struct kvm_gmem_persist)GMEM_ARGS(RECLAIM, PREFIX "1g",
		.granule = SZ_2M, .flags = FLAGS_SHARED);
	gmem_expect_refused(vm, &args, EINVAL, "granule of 2 MiB");
	args.granule = 0;
	args.size = size;
	fd = gmem_open_object(vm, &args);
	assert_outputs(&args, size, SZ_1G, false);
	mem = gmem_map(fd, size);
	gmem_check(mem, 0, size, step, SEED_HOST);
	kvm_vm_free(vm);
}

static const struct gmem_test tests[] = {
	{ "the capability, and PERSIST among the flags", test_capability },
	{ "confidential VMs are refused", test_confidential_vms },
	/* While most of the pool has never been cleared: */
	{ "creation is interrupted by a signal", test_interrupted },
	{ "memory without a name", test_unnamed },
	{ "memory without a name, of any size", test_unnamed_odd_size },
	{ "create, reclaim, discard; what sysfs says", test_create_and_reclaim },
	{ "create or reclaim", test_create_or_reclaim },
	{ "a view lives as long as its last reference", test_last_reference },
	{ "names", test_names },
	{ "what is refused changes nothing", test_refused },
	{ "reserved words, flags and bad pointers", test_reserved },
	{ "without CAP_SYS_ADMIN", test_no_capability },
	{ "without file descriptors", test_no_fds },
	{ "free memory in pieces", test_fragmented },
	{ "discard", test_discard },
	{ "memory is zero, whoever had it before", test_memory_is_zero },
	{ "granules of 1 GiB", test_1g_granule },
};

int main(int argc, char *argv[])
{
	return gmem_run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
