// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names of persistent memory: KVM_GMEM_PERSIST by name does what open() does, with the same
 * checks, and the two see the same.
 *
 * open() itself says what is right: whoever may open a file, or create it, may claim or create
 * the object of that name if he has CAP_SYS_ADMIN, too, and whoever may not, may not.
 *
 * Needs a kernel booted with gmem_persist=3G or more, and root.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gmem_persist_util.h"

#define FS	"/tmp/gmem_persist_name_test"
#define NAME	PREFIX "name"
#define PATH	FS "/" NAME

#define OWNER	1000
#define GROUP	2000
#define OTHER	3000

#define ALL_CAPS	(~0ull)
#define ONLY_ADMIN	BIT_ULL(CAP_SYS_ADMIN)
#define ADMIN_AND_DAC	(ONLY_ADMIN | BIT_ULL(CAP_DAC_OVERRIDE))

static const struct who {
	const char *what;
	uid_t uid;
	gid_t gid;
	u64 caps;
} everybody[] = {
	{ "root", 0, 0, ALL_CAPS },
	{ "root without CAP_DAC_OVERRIDE", 0, 0, ONLY_ADMIN },
	{ "the owner", OWNER, OWNER, ONLY_ADMIN },
	{ "one of the group", OTHER, GROUP, ONLY_ADMIN },
	{ "another", OTHER, OTHER, ONLY_ADMIN },
	{ "another with CAP_DAC_OVERRIDE", OTHER, OTHER, ADMIN_AND_DAC },
	{ "another without CAP_SYS_ADMIN", OTHER, OTHER, 0 },
};

static void set_caps(u64 caps)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	TEST_ASSERT(!syscall(SYS_capget, &header, data), "capget");
	data[0].effective = data[0].permitted & (u32)caps;
	data[1].effective = data[1].permitted & (u32)(caps >> 32);
	TEST_ASSERT(!syscall(SYS_capset, &header, data), "capset");
}

/* Until be_root_again() */
static void become(const struct who *who)
{
	TEST_ASSERT(!setgroups(0, NULL) && !setegid(who->gid) && !seteuid(who->uid), "seteuid");
	set_caps(who->caps);
}

static void be_root_again(void)
{
	TEST_ASSERT(!seteuid(0), "seteuid");
	set_caps(ALL_CAPS);
	TEST_ASSERT(!setegid(0), "setegid");
}

/* 0, or with which errno it failed */
static int result_of(int fd)
{
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int by_ioctl_named(struct kvm_vm *vm, u32 op, const char *name)
{
	struct kvm_gmem_persist args = { .op = op, .size = SZ_2M, .flags = FLAGS_SHARED };

	strcpy((char *)args.name, name);
	return result_of(gmem_persist(vm, &args));
}

static int by_ioctl(struct kvm_vm *vm, u32 op)
{
	return by_ioctl_named(vm, op, NAME);
}

static void expect_same(const struct who *who, const char *what, unsigned int mode, int open_err,
			int ioctl_err)
{
	if (!(who->caps & ONLY_ADMIN))
		open_err = EPERM;
	/* EACCES would make a failure a skip. */
	errno = 0;
	TEST_ASSERT(ioctl_err == open_err,
		    "%s, mode %o, %s: the ioctl gave %d (%s), open() gave %d (%s)", who->what,
		    mode, what, ioctl_err, strerror(ioctl_err), open_err, strerror(open_err));
}

/*
 * Cases
 */

static void create_as(struct kvm_vm *vm, const struct who *who)
{
	bool may = !who->uid || who->caps & BIT_ULL(CAP_DAC_OVERRIDE);
	int open_err, ioctl_err;

	become(who);
	open_err = result_of(open(PATH, O_RDWR | O_CREAT | O_EXCL, 0600));
	TEST_ASSERT_EQ(open_err, may ? 0 : EACCES);
	if (!open_err) {
		expect_same(who, "create what is there", 0600, EEXIST,
			    by_ioctl(vm, KVM_GMEM_PERSIST_CREATE));
		TEST_ASSERT(!unlink(PATH), "unlink");
	}
	ioctl_err = by_ioctl(vm, KVM_GMEM_PERSIST_CREATE);
	be_root_again();
	expect_same(who, "create", 0600, open_err, ioctl_err);
	TEST_ASSERT_EQ(unlink(PATH), ioctl_err ? -1 : 0);
}

static void test_create(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	u64 used = gmem_pool_attr("used_bytes");
	int i;

	for (i = 0; i < ARRAY_SIZE(everybody); i++) {
		create_as(vm, &everybody[i]);
		TEST_ASSERT_EQ(gmem_pool_attr("used_bytes"), used);
	}
}

static void claim_as(struct kvm_vm *vm, const struct who *who, unsigned int mode)
{
	int open_err, claim_err, either_err;

	TEST_ASSERT(!chmod(PATH, mode), "chmod");
	become(who);
	open_err = result_of(open(PATH, O_RDWR));
	claim_err = by_ioctl(vm, KVM_GMEM_PERSIST_RECLAIM);
	either_err = by_ioctl(vm, KVM_GMEM_PERSIST_CREATE_OR_RECLAIM);
	be_root_again();
	expect_same(who, "claim", mode, open_err, claim_err);
	expect_same(who, "create or claim", mode, open_err, either_err);
}

static void test_claim(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	/* One of r and w is not enough, and x is nothing. */
	static const unsigned int bits[] = { 0, 4, 2, 6, 7 };
	int who, i, shift;

	close(__gmem_create(vm, NAME, SZ_2M, 0, FLAGS_SHARED));
	TEST_ASSERT(!chown(PATH, OWNER, GROUP), "chown");
	for (who = 0; who < ARRAY_SIZE(everybody); who++)
		for (shift = 0; shift <= 6; shift += 3)
			for (i = 0; i < ARRAY_SIZE(bits); i++)
				claim_as(vm, &everybody[who], bits[i] << shift);
}

static void test_discard(void)
{
	const struct who nobody = { "nobody", OTHER, OTHER, 0 };

	close(gmem_create(vm_create_barebones(), NAME, FLAGS_SHARED));
	become(&nobody);
	EXPECT_ERRNO(open(SYSFS "discard", O_WRONLY), EACCES);
	be_root_again();
	gmem_assert_parked(NAME);
	TEST_ASSERT(!gmem_discard(NAME), "discard");
	gmem_assert_gone(NAME);
}

/*
 * A process that has confined itself by Landlock: of what it has given up, it keeps what is
 * below a directory. To create is to mknod() here, to claim is to open(), to discard is to
 * unlink().
 */
#define MAKE		LANDLOCK_ACCESS_FS_MAKE_REG
#define READ		LANDLOCK_ACCESS_FS_READ_FILE
#define WRITE		LANDLOCK_ACCESS_FS_WRITE_FILE
#define REMOVE		LANDLOCK_ACCESS_FS_REMOVE_FILE
#define ALL_OF_THEM	(MAKE | READ | WRITE | REMOVE)

static const struct confined {
	const char *what;
	u64 given_up;
	const char *below;
	/* The ioctl knows of no directory above gmemfs, so a rule for one does not hold. */
	bool above;
} confined[] = {
	{ "may not create", MAKE },
	{ "may not read", READ },
	{ "may not write", WRITE },
	{ "may not remove", REMOVE },
	{ "may do nothing", ALL_OF_THEM },
	{ "may do all elsewhere", ALL_OF_THEM, "/proc" },
	{ "may do all in gmemfs", ALL_OF_THEM, FS },
	{ "may do all above gmemfs", ALL_OF_THEM, "/tmp", true },
};

static int landlock_create(const struct landlock_ruleset_attr *attr, u32 flags)
{
	return syscall(SYS_landlock_create_ruleset, attr, attr ? sizeof(*attr) : 0, flags);
}

static void confine(const struct confined *c)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = c->given_up };
	struct landlock_path_beneath_attr below = { .allowed_access = c->given_up };
	int fd = landlock_create(&attr, 0);

	TEST_ASSERT(fd >= 0, "a set of rules");
	if (c->below) {
		below.parent_fd = open(c->below, O_PATH);
		TEST_ASSERT(!syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH,
				     &below, 0), "a rule for %s", c->below);
		close(below.parent_fd);
	}
	TEST_ASSERT(!syscall(SYS_landlock_restrict_self, fd, 0), "restrict_self");
	close(fd);
}

static int errno_of(long ret)
{
	return ret < 0 ? errno : 0;
}

static void expect_confined(const struct confined *c, const char *what, u64 needs, int path_err,
			    int err)
{
	bool may = !(c->given_up & needs) || (c->below && strcmp(c->below, "/proc"));

	/* EACCES would make a failure a skip. */
	errno = 0;
	TEST_ASSERT(path_err == (may ? 0 : EACCES), "%s, %s by path: %d", c->what, what, path_err);
	TEST_ASSERT(err == (c->above ? EACCES : path_err), "%s, %s: %d, by path: %d", c->what,
		    what, err, path_err);
}

static void do_confined(void *arg)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = open(SYSFS "discard", O_WRONLY);
	int made, created, opened, claimed, removed, discarded;

	confine(arg);
	made = errno_of(mknod(PATH "-made", S_IFREG | 0600, 0));
	created = by_ioctl_named(vm, KVM_GMEM_PERSIST_CREATE, NAME "-created");
	opened = result_of(open(PATH, O_RDWR));
	claimed = by_ioctl(vm, KVM_GMEM_PERSIST_RECLAIM);
	removed = errno_of(unlink(PATH "-removed"));
	discarded = errno_of(write(fd, NAME, strlen(NAME)));
	expect_confined(arg, "create", MAKE, made, created);
	expect_confined(arg, "claim", READ | WRITE, opened, claimed);
	expect_confined(arg, "discard", REMOVE, removed, discarded);
}

static void test_landlock(void)
{
	static const char * const paths[] = {
		PATH, PATH "-made", PATH "-created", PATH "-removed",
	};
	struct kvm_vm *vm = vm_create_barebones();
	int i, j;

	SKIP_UNLESS(landlock_create(NULL, LANDLOCK_CREATE_RULESET_VERSION) > 0, "no Landlock");
	for (i = 0; i < ARRAY_SIZE(confined); i++) {
		TEST_ASSERT_EQ(by_ioctl(vm, KVM_GMEM_PERSIST_CREATE), 0);
		TEST_ASSERT(!mknod(PATH "-removed", S_IFREG | 0600, 0), "mknod");
		run_in_child(do_confined, (void *)&confined[i]);
		for (j = 0; j < ARRAY_SIZE(paths); j++)
			unlink(paths[j]);
	}
}

static unsigned int mode_of(void)
{
	struct stat st;

	TEST_ASSERT(!stat(PATH, &st), "stat");
	return st.st_mode & 07777;
}

/* Owner and mode are those that open() gives. */
static void test_umask(void)
{
	static const unsigned int masks[] = { 0, 022, 077, 0200, 0777 };
	struct kvm_vm *vm = vm_create_barebones();
	unsigned int mode;
	int i;

	for (i = 0; i < ARRAY_SIZE(masks); i++) {
		umask(masks[i]);
		close(open(PATH, O_RDWR | O_CREAT, 0600));
		mode = mode_of();
		TEST_ASSERT_EQ(mode, 0600 & ~masks[i]);
		TEST_ASSERT(!unlink(PATH), "unlink");
		TEST_ASSERT_EQ(by_ioctl(vm, KVM_GMEM_PERSIST_CREATE), 0);
		TEST_ASSERT_EQ(mode_of(), mode);
		TEST_ASSERT(!unlink(PATH), "unlink");
	}
}

/* Who watches the directory is told of what the ioctl and the operator do. */
static void expect_event(int fd, u32 mask)
{
	char buf[sizeof(struct inotify_event) + 256];
	const struct inotify_event *event = (void *)buf;

	TEST_ASSERT(read(fd, buf, sizeof(buf)) > 0, "no event 0x%x: errno %d", mask, errno);
	TEST_ASSERT(event->mask == mask && !strcmp(event->name, NAME),
		    "event 0x%x of %s, wanted 0x%x", event->mask, event->name, mask);
}

static void test_events(void)
{
	int fd = inotify_init1(IN_NONBLOCK);

	TEST_ASSERT(inotify_add_watch(fd, FS, IN_CREATE | IN_DELETE) >= 0, "watch");
	TEST_ASSERT_EQ(by_ioctl(vm_create_barebones(), KVM_GMEM_PERSIST_CREATE), 0);
	expect_event(fd, IN_CREATE);
	TEST_ASSERT(!gmem_discard(NAME), "discard");
	expect_event(fd, IN_DELETE);
}

/* What one has looked up, and found not to be there, comes and goes by the other. */
static void test_one_name_space(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct stat st;
	int i;

	for (i = 0; i < 100; i++) {
		EXPECT_ERRNO(stat(PATH, &st), ENOENT);
		TEST_ASSERT_EQ(by_ioctl(vm, KVM_GMEM_PERSIST_CREATE), 0);
		TEST_ASSERT(!stat(PATH, &st), "stat");
		TEST_ASSERT_EQ(by_ioctl(vm, KVM_GMEM_PERSIST_CREATE), EEXIST);
		if (i % 2)
			TEST_ASSERT(!gmem_discard(NAME), "discard");
		else
			TEST_ASSERT(!unlink(PATH), "unlink");
		TEST_ASSERT_EQ(by_ioctl(vm, KVM_GMEM_PERSIST_RECLAIM), ENOENT);
	}
	TEST_ASSERT(!mkdir(PATH, 0700), "mkdir");
	TEST_ASSERT_EQ(by_ioctl(vm, KVM_GMEM_PERSIST_RECLAIM), EISDIR);
	TEST_ASSERT_EQ(by_ioctl(vm, KVM_GMEM_PERSIST_CREATE), EEXIST);
	EXPECT_ERRNO(gmem_discard(NAME), EISDIR);
	TEST_ASSERT(!rmdir(PATH), "rmdir");
}

/* Again and again the name is had by one, and unlinked by him. */
static void contend(bool ioctl, int rounds)
{
	struct kvm_vm *vm = vm_create_barebones();
	int err;

	while (rounds) {
		err = ioctl ? by_ioctl(vm, KVM_GMEM_PERSIST_CREATE) :
			      result_of(open(PATH, O_RDWR | O_CREAT | O_EXCL, 0600));
		TEST_ASSERT(!err || err == EEXIST, "errno %d", err);
		if (err)
			continue;
		/* If both had it, one would find it gone. */
		TEST_ASSERT(!unlink(PATH), "unlink: errno %d", errno);
		rounds--;
	}
}

static void contend_by_open(void *arg)
{
	contend(false, 300);
}

static void test_one_winner(void)
{
	pid_t pid = fork();

	TEST_ASSERT(pid >= 0, "fork");
	if (!pid) {
		contend(true, 300);
		exit(0);
	}
	run_in_child(contend_by_open, NULL);
	TEST_ASSERT_EQ(wait_for_child(pid), 0);
}

static const struct gmem_test tests[] = {
	{ "who may create", test_create },
	{ "who may claim, by all modes", test_claim },
	{ "who may discard", test_discard },
	{ "who has confined himself by Landlock", test_landlock },
	{ "umask", test_umask },
	{ "who watches is told", test_events },
	{ "one name space", test_one_name_space },
	{ "one winner", test_one_winner },
};

int main(int argc, char *argv[])
{
	mkdir(FS, 0755);
	/* An earlier run's */
	umount2(FS, MNT_DETACH);
	TEST_REQUIRE(!mount("none", FS, "gmemfs", 0, NULL));
	return gmem_run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
