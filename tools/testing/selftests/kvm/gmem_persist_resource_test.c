// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CREATE_GUEST_MEMFD with GUEST_MEMFD_FLAG_USE_RESOURCE: persistent memory by file descriptors
 * of gmemfs, and by no ioctl of its own.
 *
 * The tables of calls are the point: what is refused, with which errno, and that nothing has
 * changed then.
 *
 * Needs a kernel booted with gmem_persist=3G or more, and root.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/bitmap.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gmem_persist_util.h"

#define FS	"/tmp/gmem_persist_resource_test"
#define FS_RO	FS "-ro"
#define NAME	PREFIX "resource"
#define PATH	FS "/" NAME
#define DIR	FS "/" PREFIX "dir"
#define NOBODY	65534

static struct kvm_create_guest_memfd resource_args(int fd, u64 size, u64 flags)
{
	return (struct kvm_create_guest_memfd){
		.size = size,
		.flags = flags | GUEST_MEMFD_FLAG_USE_RESOURCE,
		.resource_fd = fd,
	};
}

static int __create_from(struct kvm_vm *vm, int fd, u64 size, u64 flags)
{
	struct kvm_create_guest_memfd args = resource_args(fd, size, flags);

	return __vm_ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);
}

static int create_from(struct kvm_vm *vm, int fd, u64 size, u64 flags)
{
	int gmem = __create_from(vm, fd, size, flags);

	TEST_ASSERT(gmem >= 0, KVM_IOCTL_ERROR(KVM_CREATE_GUEST_MEMFD, gmem));
	return gmem;
}

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	TEST_ASSERT(fd >= 0, "opening %s: errno %d", path, errno);
	return fd;
}

static int new_file(void)
{
	return open_file(PATH, O_RDWR | O_CREAT | O_EXCL);
}

static off_t size_of(int fd)
{
	struct stat st;

	TEST_ASSERT(!fstat(fd, &st), "fstat");
	return st.st_size;
}

/*
 * Cases: what is refused
 */

static int open_empty(void)
{
	return open_file(PATH, O_RDWR | O_CREAT);
}

static int open_reading(void)
{
	close(open_empty());
	return open_file(PATH, O_RDONLY);
}

static int open_writing(void)
{
	close(open_empty());
	return open_file(PATH, O_WRONLY);
}

static int open_asking(void)
{
	close(open_empty());
	return open_file(PATH, O_ACCMODE);
}

static int open_path(void)
{
	close(open_empty());
	return open_file(PATH, O_PATH);
}

static int open_memory(void)
{
	int fd = open_empty();

	TEST_ASSERT(!ftruncate(fd, OBJECT_SIZE), "ftruncate: errno %d", errno);
	return fd;
}

static int open_data(void)
{
	int fd = open_empty();

	TEST_ASSERT_EQ(write(fd, "data", 4), 4l);
	return fd;
}

static int open_root(void)
{
	return open_file(FS, O_RDONLY | O_DIRECTORY);
}

static int open_dir(void)
{
	TEST_ASSERT(!mkdir(DIR, 0700), "mkdir");
	return open_file(DIR, O_RDONLY | O_DIRECTORY);
}

static int open_elsewhere(void)
{
	return open_file("/dev/zero", O_RDWR);
}

static int open_directory_elsewhere(void)
{
	return open_file("/tmp", O_RDONLY | O_DIRECTORY);
}

static int open_guest_memfd(void)
{
	return vm_create_guest_memfd(vm_create_barebones(), SZ_2M, FLAGS_SHARED);
}

static int open_nothing(void)
{
	return -1;
}

static int open_closed(void)
{
	int fd = open_elsewhere();

	close(fd);
	return fd;
}

static const struct refused {
	const char *what;
	int (*open)(void);
	int error;
	u64 size;
	u64 flags;
	u32 pad;
	u64 reserved;
} refused[] = {
	{ "no fd", open_nothing, EBADF, SZ_2M },
	{ "a closed fd", open_closed, EBADF, SZ_2M },
	{ "a file for reading", open_reading, EBADF, SZ_2M },
	{ "a file for writing", open_writing, EBADF, SZ_2M },
	{ "a file with access mode 3", open_asking, EBADF, SZ_2M },
	{ "a file by O_PATH", open_path, EBADF, SZ_2M },
	{ "a file of another file system", open_elsewhere, ENODEV, SZ_2M },
	{ "a directory of another one", open_directory_elsewhere, ENODEV, SZ_2M },
	{ "a guest_memfd", open_guest_memfd, ENODEV, SZ_2M },
	{ "another directory than the root", open_dir, EISDIR, SZ_2M },
	{ "PERSIST as well", open_empty, EINVAL, SZ_2M, GUEST_MEMFD_FLAG_PERSIST },
	{ "an unknown flag", open_empty, EINVAL, SZ_2M, BIT(2) },
	{ "a pad that is not 0", open_empty, EINVAL, SZ_2M, .pad = 1 },
	{ "a reserved field that is not 0", open_empty, EINVAL, SZ_2M, .reserved = 1 },
	{ "no size", open_empty, EINVAL, 0 },
	{ "a size of one page", open_empty, EINVAL, SZ_4K },
	{ "a size of no whole granules", open_empty, EINVAL, SZ_2M + SZ_4K },
	{ "a negative size", open_empty, EINVAL, -SZ_2M },
	{ "more than there is", open_empty, ENOSPC, 1ull << 40 },
	{ "no whole granules of the root", open_root, EINVAL, SZ_4K },
	{ "more of the root than there is", open_root, ENOSPC, 1ull << 40 },
	{ "memory of another size", open_memory, EEXIST, 2 * OBJECT_SIZE, FLAGS_SHARED },
	{ "shared memory as private", open_memory, EEXIST, OBJECT_SIZE, FLAGS_PRIVATE },
	{ "data", open_data, EEXIST, SZ_2M, FLAGS_SHARED },
};

static void expect_refused(struct kvm_vm *vm, const struct refused *r)
{
	struct gmem_snapshot before;
	int fd = r->open();
	struct kvm_create_guest_memfd args = resource_args(fd, r->size, r->flags);
	int ret, error;

	args.pad = r->pad;
	args.reserved[4] = r->reserved;
	gmem_take_snapshot(&before);
	ret = __vm_ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);
	error = errno;
	/* EACCES would make a failure a skip. */
	errno = 0;
	TEST_ASSERT(ret == -1 && error == r->error, "%s: gave %d, errno %d (%s), wanted %d",
		    r->what, ret, error, strerror(error), r->error);
	gmem_assert_unchanged(&before, r->what);
	if (fd >= 0)
		close(fd);
	unlink(PATH);
	rmdir(DIR);
}

static void test_refused(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int i;

	for (i = 0; i < ARRAY_SIZE(refused); i++)
		expect_refused(vm, &refused[i]);
}

static void test_flags(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	u64 flag, valid = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS);
	struct kvm_gmem_persist by_name = GMEM_ARGS(CREATE, NAME, .size = SZ_2M);
	int fd = new_file();

	TEST_ASSERT(valid & GUEST_MEMFD_FLAG_USE_RESOURCE, "not in the flags 0x%lx", valid);
	for (flag = 1; flag; flag <<= 1)
		if (!(flag & valid))
			EXPECT_ERRNO(__create_from(vm, fd, SZ_2M, flag), EINVAL);
	close(fd);
	unlink(PATH);
	by_name.flags = GUEST_MEMFD_FLAG_USE_RESOURCE;
	gmem_expect_refused(vm, &by_name, EINVAL, "by name and by a resource");
}

static void test_confidential_vms(void)
{
	unsigned long types = kvm_check_cap(KVM_CAP_VM_TYPES), type;
	int fd = new_file(), nr = 0;

	types &= ~(BIT(KVM_X86_DEFAULT_VM) | BIT(KVM_X86_SW_PROTECTED_VM));
	for_each_set_bit(type, &types, BITS_PER_TYPE(types)) {
		EXPECT_ERRNO(__create_from(vm_create_barebones_type(type), fd, SZ_2M, 0),
			     EOPNOTSUPP);
		nr++;
	}
	SKIP_UNLESS(nr, "no SEV, SNP or TDX VMs on this host");
}

/*
 * Cases: files
 */

/* What a VMM does that knows nothing of persistent memory but the file. */
static void run_vmm(enum guest_op op)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = gmem_create_default_vm(&vcpu);
	int fd = open_file(PATH, O_RDWR | O_CREAT);
	int gmem = create_from(vm, fd, OBJECT_SIZE, FLAGS_SHARED);

	close(fd);
	TEST_ASSERT_EQ(size_of(gmem), (off_t)OBJECT_SIZE);
	gmem_add_slot(vm, gmem, OBJECT_SIZE);
	gmem_run_guest(vcpu, op, OBJECT_SIZE);
	kvm_vm_free(vm);
	close(gmem);
}

static void test_file(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd;

	run_vmm(GUEST_CHECK_ZERO);
	gmem_assert_parked(NAME);
	run_vmm(GUEST_FILL);
	gmem_assert_parked(NAME);
	run_vmm(GUEST_CHECK);
	gmem_assert_attr(NAME, "flags", "0x3");
	/* It is the same memory by its name, and by its file. */
	close(gmem_reclaim(vm, NAME, FLAGS_SHARED));
	fd = open_file(PATH, O_RDONLY);
	TEST_ASSERT_EQ(size_of(fd), (off_t)OBJECT_SIZE);
	gmem_check(kvm_mmap(OBJECT_SIZE, PROT_READ, MAP_SHARED, fd), 0, OBJECT_SIZE, SZ_4K,
		   SEED_GUEST);
}

static void test_one_vm(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = new_file(), gmem = create_from(vm, fd, OBJECT_SIZE, FLAGS_SHARED);
	struct kvm_gmem_persist by_name = GMEM_ARGS(RECLAIM, NAME, .flags = FLAGS_SHARED);

	EXPECT_ERRNO(__create_from(vm, fd, OBJECT_SIZE, FLAGS_SHARED), EBUSY);
	gmem_expect_refused(vm, &by_name, EBUSY, "by its name, while a VM has it");
	/* The VM keeps what it has, whatever becomes of the file. */
	close(fd);
	gmem_assert_live(NAME);
	TEST_ASSERT(!unlink(PATH), "unlink");
	gmem_fill(gmem_map(gmem, OBJECT_SIZE), 0, OBJECT_SIZE, SZ_4K, 1);
}

/* Handle and VM are one writer; another handle is another one. */
static void test_writers(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = open_memory(), other = open_file(PATH, O_RDWR);
	int gmem;

	gmem_fill(gmem_map(fd, OBJECT_SIZE), 0, OBJECT_SIZE, SZ_4K, 1);
	EXPECT_ERRNO(__create_from(vm, other, OBJECT_SIZE, FLAGS_SHARED), EBUSY);
	gmem = create_from(vm, fd, OBJECT_SIZE, FLAGS_SHARED);
	gmem_check(gmem_map(gmem, OBJECT_SIZE), 0, OBJECT_SIZE, SZ_4K, 1);
	EXPECT_ERRNO(pwrite(other, "x", 1, 0), EBUSY);
}

static void test_private(void)
{
	struct kvm_vm *vm = vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
	int fd = new_file();

	close(create_from(vm, fd, OBJECT_SIZE, FLAGS_PRIVATE));
	EXPECT_ERRNO((long)mmap(NULL, OBJECT_SIZE, PROT_READ, MAP_SHARED, fd, 0), ENODEV);
	EXPECT_ERRNO(__create_from(vm_create_barebones(), fd, OBJECT_SIZE, FLAGS_PRIVATE), EEXIST);
	EXPECT_ERRNO(__create_from(vm_create_barebones(), fd, OBJECT_SIZE, FLAGS_SHARED), EEXIST);
	close(create_from(vm, fd, OBJECT_SIZE, FLAGS_PRIVATE));
}

static void test_granule(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = new_file();

	TEST_ASSERT(!mount("none", FS, "gmemfs", MS_REMOUNT, "granule=1G"), "remount");
	EXPECT_ERRNO(__create_from(vm, fd, SZ_2M, FLAGS_SHARED), EINVAL);
	EXPECT_ERRNO(__create_from(vm, open_root(), SZ_2M, FLAGS_SHARED), EINVAL);
	close(create_from(vm, fd, SZ_1G, FLAGS_SHARED));
	gmem_assert_attr(NAME, "granule", "1073741824");
	TEST_ASSERT(!mount("none", FS, "gmemfs", MS_REMOUNT, "granule=2M"), "remount");
}

static void allow_no_more_files(int last)
{
	const struct rlimit limit = { .rlim_cur = last + 1, .rlim_max = last + 1 };

	TEST_ASSERT(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

/* Without a file descriptor for the guest_memfd, the file has its memory all the same. */
static void test_no_more_files(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = new_file();

	allow_no_more_files(fd);
	EXPECT_ERRNO(__create_from(vm, fd, OBJECT_SIZE, FLAGS_SHARED), EMFILE);
	TEST_ASSERT_EQ(size_of(fd), (off_t)OBJECT_SIZE);
	close(fd);
	gmem_assert_parked(NAME);
}

static void test_frozen(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int empty = new_file(), root = open_root(), memory;
	int r;

	memory = open_file(PATH "2", O_RDWR | O_CREAT);
	TEST_ASSERT(!ftruncate(memory, OBJECT_SIZE), "ftruncate");
	r = gmem_set_frozen("1");
	SKIP_UNLESS(!r || errno != EOPNOTSUPP, "KHO is off: no freezing");
	TEST_ASSERT(!r, "freezing: errno %d", errno);
	EXPECT_ERRNO(__create_from(vm, empty, OBJECT_SIZE, FLAGS_SHARED), EBUSY);
	EXPECT_ERRNO(__create_from(vm, root, OBJECT_SIZE, FLAGS_SHARED), EBUSY);
	EXPECT_ERRNO(__create_from(vm, memory, OBJECT_SIZE, FLAGS_SHARED), EBUSY);
	TEST_ASSERT_EQ(size_of(empty), 0l);
	TEST_ASSERT(!gmem_set_frozen("0"), "thawing");
	close(create_from(vm, memory, OBJECT_SIZE, FLAGS_SHARED));
}

/*
 * Cases: the root directory
 */

static void use_root(int root)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = gmem_create_default_vm(&vcpu);
	u64 used = gmem_pool_attr("used_bytes");
	struct gmem_snapshot before, after;
	int gmem, other;

	gmem_take_snapshot(&before);
	gmem = create_from(vm, root, OBJECT_SIZE, FLAGS_SHARED);
	other = create_from(vm, root, OBJECT_SIZE, FLAGS_SHARED);
	gmem_take_snapshot(&after);
	TEST_ASSERT(!strcmp(before.objects, after.objects), "it has a name:\n%s", after.objects);
	TEST_ASSERT_EQ(gmem_pool_attr("used_bytes"), used + 2 * OBJECT_SIZE);
	gmem_add_slot(vm, gmem, OBJECT_SIZE);
	gmem_run_guest(vcpu, GUEST_CHECK_ZERO, OBJECT_SIZE);
	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
	gmem_check(gmem_map(gmem, OBJECT_SIZE), 0, OBJECT_SIZE, SZ_4K, SEED_GUEST);
	gmem_check_zero(gmem_map(other, OBJECT_SIZE), 0, OBJECT_SIZE);
}

static void root_for_reading(void *arg)
{
	use_root(open_root());
}

static void root_by_path(void *arg)
{
	use_root(open_file(FS, O_PATH));
}

/* As in the series that the flag is from */
static void root_by_fsmount(void *arg)
{
	int fs = fsopen("gmemfs", FSOPEN_CLOEXEC);

	TEST_ASSERT(fs >= 0 && !fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), "fsopen");
	use_root(fsmount(fs, FSMOUNT_CLOEXEC, 0));
}

static void test_root(void)
{
	u64 used = gmem_pool_attr("used_bytes");

	run_in_child(root_for_reading, NULL);
	run_in_child(root_by_path, NULL);
	run_in_child(root_by_fsmount, NULL);
	TEST_ASSERT_EQ(gmem_pool_attr("used_bytes"), used);
}

/* Without a file descriptor for it, there is no memory either. */
static void test_root_no_more_files(void)
{
	u64 used = gmem_pool_attr("used_bytes");
	struct kvm_vm *vm = vm_create_barebones();
	int root = open_root();

	allow_no_more_files(root);
	EXPECT_ERRNO(__create_from(vm, root, OBJECT_SIZE, FLAGS_SHARED), EMFILE);
	close(root);
	TEST_ASSERT_EQ(gmem_pool_attr("used_bytes"), used);
}

/* The same for who wants the file itself. */
static void test_tmpfile(void)
{
	u64 used = gmem_pool_attr("used_bytes");
	struct kvm_vm *vm = vm_create_barebones();
	int fd = open_file(FS, O_TMPFILE | O_RDWR), gmem;

	TEST_ASSERT(!ftruncate(fd, OBJECT_SIZE), "ftruncate: errno %d", errno);
	TEST_ASSERT_EQ(gmem_pool_attr("used_bytes"), used + OBJECT_SIZE);
	gmem_fill(gmem_map(fd, OBJECT_SIZE), 0, OBJECT_SIZE, SZ_4K, 1);
	gmem = create_from(vm, fd, OBJECT_SIZE, FLAGS_SHARED);
	gmem_check(gmem_map(gmem, OBJECT_SIZE), 0, OBJECT_SIZE, SZ_4K, 1);
	EXPECT_ERRNO(linkat(fd, "", AT_FDCWD, PATH, AT_EMPTY_PATH), EPERM);
	TEST_ASSERT(!mkdir(DIR, 0700), "mkdir");
	EXPECT_ERRNO(open(DIR, O_TMPFILE | O_RDWR, 0600), EOPNOTSUPP);
	TEST_ASSERT(!rmdir(DIR), "rmdir");
	EXPECT_ERRNO(open(FS, O_TMPFILE | O_ACCMODE, 0600), EINVAL);
}

/*
 * Cases: who may
 */

/* Nobody's capabilities, and no file of his but what he has been given */
static void become_nobody(void)
{
	TEST_ASSERT(!setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY) &&
		    !setresuid(NOBODY, NOBODY, NOBODY), "setresuid");
}

static void run_tenant(void *arg)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct kvm_gmem_persist by_name = GMEM_ARGS(CREATE, NAME, .size = SZ_2M);
	int root = open_root(), fd;

	become_nobody();
	/* All that he needs is a directory of his own. */
	fd = open(DIR "/vm", O_RDWR | O_CREAT, 0600);
	TEST_ASSERT(fd >= 0, "creating a file: errno %d", errno);
	close(create_from(vm, fd, OBJECT_SIZE, FLAGS_SHARED));
	close(create_from(vm, fd, OBJECT_SIZE, FLAGS_SHARED));
	EXPECT_ERRNO(__create_from(vm, root, OBJECT_SIZE, FLAGS_SHARED), EACCES);
	EXPECT_ERRNO(__create_from(vm, open(FS, O_PATH), OBJECT_SIZE, FLAGS_SHARED), EACCES);
	EXPECT_ERRNO(open(FS, O_TMPFILE | O_RDWR, 0600), EACCES);
	EXPECT_ERRNO(gmem_persist(vm, &by_name), EPERM);
	EXPECT_ERRNO(__vm_ioctl(vm, KVM_CREATE_GUEST_MEMFD,
				(&(struct kvm_create_guest_memfd){
					.size = SZ_2M, .flags = GUEST_MEMFD_FLAG_PERSIST })),
		     EPERM);
}

static void test_tenant(void)
{
	TEST_ASSERT(!mkdir(DIR, 0700) && !chown(DIR, NOBODY, NOBODY), "mkdir");
	run_in_child(run_tenant, NULL);
	TEST_ASSERT(!unlink(DIR "/vm") && !rmdir(DIR), "rmdir");
}

static void test_read_only_mount(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int root;

	mkdir(FS_RO, 0700);
	TEST_ASSERT(!mount(FS, FS_RO, NULL, MS_BIND, NULL) &&
		    !mount(NULL, FS_RO, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), "mount");
	root = open_file(FS_RO, O_RDONLY | O_DIRECTORY);
	EXPECT_ERRNO(__create_from(vm, root, OBJECT_SIZE, FLAGS_SHARED), EROFS);
	close(root);
	TEST_ASSERT(!umount(FS_RO), "umount");
}

static const struct gmem_test tests[] = {
	{ "what is refused", test_refused },
	{ "flags", test_flags },
	{ "confidential VMs", test_confidential_vms },
	{ "a file's memory, from VM to VM", test_file },
	{ "one VM at a time", test_one_vm },
	{ "a handle and its VM are one writer", test_writers },
	{ "private memory", test_private },
	{ "granules of the mount", test_granule },
	{ "no more file descriptors", test_no_more_files },
	{ "a frozen pool", test_frozen },
	{ "the root directory", test_root },
	{ "the root directory, no more file descriptors", test_root_no_more_files },
	{ "O_TMPFILE", test_tmpfile },
	{ "a tenant", test_tenant },
	{ "a read-only mount", test_read_only_mount },
};

int main(int argc, char *argv[])
{
	mkdir(FS, 0700);
	/* An earlier run's */
	umount2(FS, MNT_DETACH);
	TEST_REQUIRE(!mount("none", FS, "gmemfs", 0, NULL));
	return gmem_run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
