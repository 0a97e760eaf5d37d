// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests of guest_memfd over persistent memory.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/gmem_persist.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "gmem_persist_util.h"

int wait_for_child(pid_t pid)
{
	int status;

	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid failed");
	return status;
}

/* Run @fn in a child, which succeeds when it returns. */
void run_in_child(void (*fn)(void *), void *arg)
{
	pid_t pid = fork();

	TEST_ASSERT(pid >= 0, "fork failed");
	if (!pid) {
		fn(arg);
		exit(0);
	}
	TEST_ASSERT_EQ(wait_for_child(pid), 0);
}

/*
 * sysfs, and objects
 */

/* The text of a file without its newline; a file that is not there is empty. */
char *gmem_read_text(char *buf, size_t size, const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t len = 0;

	if (fd >= 0) {
		len = read(fd, buf, size - 1);
		TEST_ASSERT(len >= 0, "reading %s failed", path);
		close(fd);
	}
	if (len && buf[len - 1] == '\n')
		len--;
	buf[len] = '\0';
	return buf;
}

int gmem_write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	int error, r;

	TEST_ASSERT(fd >= 0, "opening %s failed", path);
	r = write(fd, text, strlen(text));
	error = errno;
	close(fd);
	errno = error;
	return r < 0 ? -1 : 0;
}

u64 gmem_pool_attr(const char *attr)
{
	char path[128], buf[64];

	snprintf(path, sizeof(path), SYSFS "%s", attr);
	gmem_read_text(buf, sizeof(buf), path);
	TEST_ASSERT(buf[0], "%s is not there", path);
	return strtoull(buf, NULL, 0);
}

int gmem_set_frozen(const char *value)
{
	return gmem_write_text(SYSFS "frozen", value);
}

int gmem_discard(const char *name)
{
	return gmem_write_text(SYSFS "discard", name);
}

/* The root directory of gmemfs, by a mount of our own */
static int open_gmemfs(void)
{
	static int root = -1;
	int fs;

	if (root >= 0)
		return root;
	fs = fsopen("gmemfs", FSOPEN_CLOEXEC);
	TEST_ASSERT(fs >= 0 && !fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), "no gmemfs");
	root = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	TEST_ASSERT(root >= 0, "mounting gmemfs");
	close(fs);
	return root;
}

/* Open it to ask what it is, which makes no view; -1: it is not there. */
int gmem_ask_object(const char *name)
{
	int fd = openat(open_gmemfs(), name, O_ACCMODE | O_CLOEXEC);

	if (fd < 0 && errno == EISDIR)
		fd = openat(open_gmemfs(), name, O_RDONLY | O_CLOEXEC);
	TEST_ASSERT(fd >= 0 || errno == ENOENT, "opening object %s", name);
	return fd;
}

/* For direct I/O: the disk that a test may write to, by its serial number; -1: there is none */
int gmem_open_disk(void)
{
	char path[64], serial[32];
	char letter;
	int fd;

	for (letter = 'a'; letter <= 'z'; letter++) {
		snprintf(path, sizeof(path), "/sys/block/vd%c/serial", letter);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		memset(serial, 0, sizeof(serial));
		TEST_ASSERT(read(fd, serial, sizeof(serial) - 1) >= 0, "reading %s", path);
		close(fd);
		if (strncmp(serial, "scratch", strlen("scratch")))
			continue;
		snprintf(path, sizeof(path), "/dev/vd%c", letter);
		return open(path, O_RDWR | O_DIRECT);
	}
	return -1;
}

static const char *state_of(const struct gmem_persist_info *info)
{
	if (info->kind == GMEM_PERSIST_FILE_EMPTY)
		return "empty";
	if (info->kind == GMEM_PERSIST_FILE_DIRECTORY)
		return "live";
	return info->views ? "live" : "parked";
}

static void print_uuid(char *buf, size_t size, const __u8 uuid[16])
{
	size_t i, len = 0;

	for (i = 0; i < 16; i++)
		len += snprintf(buf + len, size - len, "%02x", uuid[i]);
}

/* What an object is, as text; of one that is not there it is empty. */
char *gmem_object_attr(char *buf, size_t size, const char *name,
		       const char *attr)
{
	struct gmem_persist_info info = {};
	int fd = gmem_ask_object(name);
	int err;

	buf[0] = '\0';
	if (fd < 0)
		return buf;
	err = ioctl(fd, GMEM_PERSIST_GET_INFO, &info);
	TEST_ASSERT(!err || errno == ESTALE, "asking object %s", name);
	close(fd);
	if (err)
		return buf;

	if (!strcmp(attr, "state"))
		snprintf(buf, size, "%s", state_of(&info));
	else if (!strcmp(attr, "views"))
		snprintf(buf, size, "%u", info.views);
	else if (!strcmp(attr, "generation"))
		snprintf(buf, size, "%llu", info.generation);
	else if (!strcmp(attr, "size"))
		snprintf(buf, size, "%llu", info.size);
	else if (!strcmp(attr, "granule"))
		snprintf(buf, size, "%llu", info.granule);
	else if (!strcmp(attr, "flags"))
		snprintf(buf, size, "%#llx", info.flags);
	else if (!strcmp(attr, "vm_class"))
		snprintf(buf, size, "%u", info.vm_class);
	else if (!strcmp(attr, "uuid"))
		print_uuid(buf, size, info.uuid);
	else
		TEST_FAIL("objects have no attribute %s", attr);
	return buf;
}

void gmem_assert_attr(const char *name, const char *attr, const char *value)
{
	char buf[128];

	gmem_object_attr(buf, sizeof(buf), name, attr);
	TEST_ASSERT(!strcmp(buf, value), "%s of %s is '%s', not '%s'", attr,
		    name, buf, value);
}

void gmem_assert_live(const char *name)
{
	gmem_assert_attr(name, "state", "live");
	gmem_assert_attr(name, "views", "1");
}

void gmem_assert_parked(const char *name)
{
	gmem_assert_attr(name, "state", "parked");
	gmem_assert_attr(name, "views", "0");
}

void gmem_assert_gone(const char *name)
{
	gmem_assert_attr(name, "state", "");
}

static int is_object(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

void gmem_take_snapshot(struct gmem_snapshot *s)
{
	struct dirent **entries;
	static const char format[] =
		"pool %lu clean %lu dirty %lu used %lu quarantined %lu poisoned %lu";
	u64 pool, poisoned;
	char buf[512];
	size_t len = 0;
	int i, nr;

	/* All at one moment: memory may be cleaned meanwhile. */
	gmem_read_text(buf, sizeof(buf), SYSFS "stat");
	TEST_ASSERT(sscanf(buf, format, &pool, &s->clean, &s->dirty, &s->used,
			   &s->quarantined, &poisoned) == 6, "stat is: %s", buf);
	TEST_ASSERT(s->clean + s->dirty + s->used + s->quarantined + poisoned == pool,
		    "stat does not add up: %s", buf);

	s->objects[0] = '\0';
	nr = scandirat(open_gmemfs(), ".", &entries, is_object, alphasort);
	TEST_ASSERT(nr >= 0, "reading gmemfs failed");
	for (i = 0; i < nr; i++) {
		const char *name = entries[i]->d_name;
		char state[32];

		gmem_object_attr(state, sizeof(state), name, "state");
		len += snprintf(s->objects + len, sizeof(s->objects) - len,
				"%s %s\n", name, state);
		TEST_ASSERT(len < sizeof(s->objects), "too many objects");
		free(entries[i]);
	}
	free(entries);
}

void gmem_check_pool(void)
{
	struct gmem_snapshot s;

	gmem_take_snapshot(&s);
}

void gmem_assert_unchanged(const struct gmem_snapshot *before, const char *what)
{
	struct gmem_snapshot after;

	gmem_take_snapshot(&after);
	TEST_ASSERT(after.used == before->used &&
		    after.quarantined == before->quarantined &&
		    after.clean == before->clean && after.dirty == before->dirty,
		    "%s: clean, dirty, used, quarantined bytes were %lu %lu %lu %lu, are %lu %lu %lu %lu",
		    what, before->clean, before->dirty, before->used,
		    before->quarantined, after.clean, after.dirty, after.used,
		    after.quarantined);
	TEST_ASSERT(!strcmp(before->objects, after.objects),
		    "%s: objects were\n%sand are\n%s", what, before->objects,
		    after.objects);
}

/* However the pool is */
void gmem_thaw(void)
{
	if (gmem_pool_attr("frozen"))
		TEST_ASSERT(!gmem_set_frozen("0"), "thawing failed");
}

/* Whatever an earlier run or case has left. */
void gmem_clean_up(void)
{
	struct dirent **entries;
	int i, nr;

	gmem_thaw();
	nr = scandirat(open_gmemfs(), ".", &entries, is_object, NULL);
	TEST_ASSERT(nr >= 0, "reading gmemfs failed");
	for (i = 0; i < nr; i++) {
		const char *name = entries[i]->d_name;

		if (!strncmp(name, PREFIX, strlen(PREFIX)))
			TEST_ASSERT(!gmem_discard(name) ||
				    !unlinkat(open_gmemfs(), name, AT_REMOVEDIR),
				    "discarding %s failed", name);
		free(entries[i]);
	}
	free(entries);
}

/*
 * KVM_GMEM_PERSIST
 */

int gmem_persist(struct kvm_vm *vm, struct kvm_gmem_persist *args)
{
	return __vm_ioctl(vm, KVM_GMEM_PERSIST, args);
}

int gmem_open_object(struct kvm_vm *vm, struct kvm_gmem_persist *args)
{
	int fd = gmem_persist(vm, args);

	TEST_ASSERT(fd >= 0, KVM_IOCTL_ERROR(KVM_GMEM_PERSIST, fd));
	gmem_assert_live((char *)args->name);
	gmem_check_pool();
	return fd;
}

int __gmem_create(struct kvm_vm *vm, const char *name, u64 size, u64 granule,
		  u64 flags)
{
	struct kvm_gmem_persist args = {
		.op = KVM_GMEM_PERSIST_CREATE,
		.size = size,
		.granule = granule,
		.flags = flags,
	};

	snprintf((char *)args.name, sizeof(args.name), "%s", name);
	return gmem_open_object(vm, &args);
}

int gmem_create(struct kvm_vm *vm, const char *name, u64 flags)
{
	return __gmem_create(vm, name, OBJECT_SIZE, 0, flags);
}

int gmem_reclaim(struct kvm_vm *vm, const char *name, u64 flags)
{
	struct kvm_gmem_persist args = {
		.op = KVM_GMEM_PERSIST_RECLAIM,
		.flags = flags,
	};

	snprintf((char *)args.name, sizeof(args.name), "%s", name);
	return gmem_open_object(vm, &args);
}

/* The call fails as it should, and fails before it has changed anything. */
void gmem_expect_refused(struct kvm_vm *vm, const struct kvm_gmem_persist *args,
			 int error, const char *what)
{
	struct kvm_gmem_persist copy = *args;
	struct gmem_snapshot before;
	int r;

	gmem_take_snapshot(&before);
	errno = 0;
	r = gmem_persist(vm, &copy);
	TEST_ASSERT(r == -1 && errno == error,
		    "%s: got %d, errno %d (%s), wanted errno %d (%s)", what, r,
		    errno, strerror(errno), error, strerror(error));
	TEST_ASSERT(!memcmp(&copy, args, sizeof(copy)),
		    "%s: the arguments were changed", what);
	gmem_assert_unchanged(&before, what);
}

void gmem_expect_unnamed_refused(struct kvm_vm *vm, u64 size, u64 flags,
				 int error)
{
	struct gmem_snapshot before;

	gmem_take_snapshot(&before);
	EXPECT_ERRNO(__vm_create_guest_memfd(vm, size, flags), error);
	gmem_assert_unchanged(&before, "KVM_CREATE_GUEST_MEMFD");
}

/*
 * Contents: words that tell the offset in the object they belong to
 */

u64 gmem_pattern(u64 offset, u64 seed)
{
	return (offset + 1) * 0x9e3779b97f4a7c15ull ^ seed;
}

void gmem_fill(void *object, u64 offset, u64 size, u64 step, u64 seed)
{
	u64 end = offset + size;

	for (; offset < end; offset += step)
		WRITE_ONCE(*(u64 *)(object + offset), gmem_pattern(offset, seed));
}

void gmem_check(void *object, u64 offset, u64 size, u64 step, u64 seed)
{
	u64 end = offset + size;

	for (; offset < end; offset += step) {
		u64 word = READ_ONCE(*(u64 *)(object + offset));

		TEST_ASSERT(word == gmem_pattern(offset, seed),
			    "at 0x%lx: 0x%lx instead of 0x%lx", offset, word,
			    gmem_pattern(offset, seed));
	}
}

/* Every byte. */
void gmem_check_zero(void *object, u64 offset, u64 size)
{
	static const u8 zero[SZ_4K];
	u64 end = offset + size;

	for (; offset < end; offset += sizeof(zero))
		TEST_ASSERT(!memcmp(object + offset, zero, sizeof(zero)),
			    "the page at 0x%lx is not zero", offset);
}

void *gmem_map(int fd, u64 size)
{
	return kvm_mmap(size, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
}

/* Map at an address that lies @skew bytes behind a multiple of @align. */
/* A file of gmemfs, which is mounted for the moment only. Its name is discarded as others are. */
int gmem_create_file(const char *name, u64 size, u64 granule)
{
	char dir[] = "/tmp/gmemfs-XXXXXX", path[128];
	int fd;

	TEST_ASSERT(mkdtemp(dir), "mkdtemp");
	TEST_ASSERT(!mount("none", dir, "gmemfs", 0,
			   granule == SZ_1G ? "granule=1G" : "granule=2M"), "mount");
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	TEST_ASSERT(fd >= 0, "open %s", path);
	TEST_ASSERT(!ftruncate(fd, size), "ftruncate");
	TEST_ASSERT(!umount2(dir, MNT_DETACH) && !rmdir(dir), "umount");
	return fd;
}

void *gmem_map_at(int fd, u64 size, u64 align, u64 skew)
{
	void *area = kvm_mmap(size + 2 * align, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	void *addr = align_ptr_up(area, align) + skew;
	void *mem = mmap(addr, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0);

	TEST_ASSERT(mem == addr, "mmap at %p failed", addr);
	return mem;
}

/* Of this process, and all of its threads. */
long gmem_minor_faults(void)
{
	struct rusage usage;

	TEST_ASSERT(!getrusage(RUSAGE_SELF, &usage), "getrusage");
	return usage.ru_minflt;
}

/*
 * Guests
 */

static struct gmem_guest_job job;

static void guest_word(const struct gmem_guest_job *j, u64 i)
{
	u64 *p = (u64 *)(j->gpa + i);
	u64 word;

	switch (j->op) {
	case GUEST_FILL:
	case GUEST_FILL_FOREVER:
		WRITE_ONCE(*p, gmem_pattern(j->offset + i, j->seed));
		break;
	case GUEST_REFILL_FOREVER:
		word = READ_ONCE(*p);
		__GUEST_ASSERT(!word || word == gmem_pattern(j->offset + i, j->seed),
			       "guest at offset 0x%lx: 0x%lx, neither zero nor 0x%lx",
			       j->offset + i, word, gmem_pattern(j->offset + i, j->seed));
		WRITE_ONCE(*p, gmem_pattern(j->offset + i, j->seed));
		break;
	case GUEST_CHECK:
		__GUEST_ASSERT(READ_ONCE(*p) == gmem_pattern(j->offset + i, j->seed),
			       "guest at offset 0x%lx: 0x%lx instead of 0x%lx",
			       j->offset + i, *p,
			       gmem_pattern(j->offset + i, j->seed));
		break;
	case GUEST_CHECK_ZERO:
		__GUEST_ASSERT(!READ_ONCE(*p), "guest at offset 0x%lx: 0x%lx",
			       j->offset + i, *p);
		break;
	}
}

/* Does jobs for ever. It may run as the guest, or as a guest of the guest. */
void gmem_guest_code(void)
{
	u64 i;

	for (;;) {
		struct gmem_guest_job j = READ_ONCE(job);

		do {
			for (i = 0; i < j.size; i += j.step)
				guest_word(&j, i);
		} while (j.op == GUEST_FILL_FOREVER || j.op == GUEST_REFILL_FOREVER);
		GUEST_DONE();
	}
}

struct kvm_vm *gmem_create_vm(unsigned long type, struct kvm_vcpu **vcpu)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = type,
	};
	struct kvm_vm *vm = vm_create_shape_with_one_vcpu(shape, vcpu,
							  gmem_guest_code);

	virt_map_level(vm, GUEST_BASE, GUEST_BASE, GUEST_WINDOW, PG_LEVEL_2M);
	return vm;
}

struct kvm_vm *gmem_create_default_vm(struct kvm_vcpu **vcpu)
{
	return gmem_create_vm(KVM_X86_DEFAULT_VM, vcpu);
}

/* Another vCPU, which does the same job as the first one when it runs. */
struct kvm_vcpu *gmem_add_vcpu(struct kvm_vm *vm, u32 id)
{
	return vm_vcpu_add(vm, id, gmem_guest_code);
}

/* What gmem_guest_code() does when the vCPU runs next. */
void gmem_start_job(struct kvm_vcpu *vcpu, const struct gmem_guest_job *j)
{
	job = *j;
	sync_global_to_guest(vcpu->vm, job);
}

void gmem_run_job(struct kvm_vcpu *vcpu, const struct gmem_guest_job *j)
{
	struct ucall uc;

	gmem_start_job(vcpu, j);
	vcpu_run(vcpu);
	switch (get_ucall(vcpu, &uc)) {
	case UCALL_DONE:
		break;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	default:
		vcpu_dump(stderr, vcpu, 0);
		TEST_FAIL("exit %s, ucall %lu",
			  exit_reason_str(vcpu->run->exit_reason), uc.cmd);
	}
}

/* A job on all pages of an object that lies at GUEST_BASE from its beginning. */
void gmem_run_guest(struct kvm_vcpu *vcpu, enum guest_op op, u64 size)
{
	const struct gmem_guest_job j = {
		.op = op,
		.gpa = GUEST_BASE,
		.size = size,
		.step = SZ_4K,
		.seed = SEED_GUEST,
	};

	gmem_run_job(vcpu, &j);
}

/**
 * gmem_bind - put part of an object into a slot that is bound to it
 * @vm: the VM
 * @gpa: where the guest sees it, behind GUEST_BASE
 * @size: how much, in bytes
 * @fd: the guest_memfd
 * @offset: from where in it
 *
 * Nothing lies at the slot's userspace_addr. 0 would not do: the program itself is
 * there, and KVM drops leaves of the guest when mappings at these addresses change.
 */
void gmem_bind(struct kvm_vm *vm, u64 gpa, u64 size, int fd, u64 offset)
{
	static void *nothing;

	if (!nothing)
		nothing = align_ptr_up(kvm_mmap(GUEST_WINDOW + SZ_1G, PROT_NONE,
						MAP_PRIVATE | MAP_ANONYMOUS |
						MAP_NORESERVE, -1), SZ_1G);
	vm_set_user_memory_region2(vm, GUEST_SLOT, KVM_MEM_GUEST_MEMFD, gpa, size,
				   nothing + (gpa - GUEST_BASE), fd, offset);
}

void gmem_add_slot(struct kvm_vm *vm, int fd, u64 size)
{
	gmem_bind(vm, GUEST_BASE, size, fd, 0);
}

void gmem_delete_slot(struct kvm_vm *vm)
{
	vm_set_user_memory_region2(vm, GUEST_SLOT, 0, GUEST_BASE, 0, NULL, -1, 0);
}

bool kvm_has_vm_type(unsigned long type)
{
	return kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(type);
}

void gmem_punch(int fd, u64 offset, u64 size)
{
	kvm_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size);
}

/* Until somebody else has written that, or the time of the test is over. */
void gmem_wait_for(u64 *word, u64 value)
{
	alarm(120);
	while (READ_ONCE(*word) != value)
		sched_yield();
	alarm(0);
}

/*
 * Running cases
 */

static void run_test(const struct gmem_test *test)
{
	u64 used = gmem_pool_attr("used_bytes");
	int status, result = KSFT_FAIL;
	pid_t pid = fork();

	TEST_ASSERT(pid >= 0, "fork failed");
	if (!pid) {
		setpgid(0, 0);
		test->fn();
		exit(KSFT_PASS);
	}

	status = wait_for_child(pid);
	/* A case that failed may have left others behind, with views. */
	kill(-pid, SIGKILL);
	while (waitpid(-pid, NULL, 0) > 0)
		;
	if (WIFEXITED(status) && (!WEXITSTATUS(status) ||
				  WEXITSTATUS(status) == KSFT_SKIP))
		result = WEXITSTATUS(status);
	else
		ksft_print_msg("%s: status 0x%x\n", test->name, status);

	gmem_clean_up();
	gmem_check_pool();
	if (gmem_pool_attr("used_bytes") != used) {
		ksft_print_msg("%s: %lu bytes of the pool are lost\n", test->name,
			       gmem_pool_attr("used_bytes") - used);
		result = KSFT_FAIL;
	}
	ksft_test_result_report(result, "%s\n", test->name);
}

/**
 * gmem_run_tests - main() of a test program
 * @tests: its cases
 * @nr: how many
 * @argc: of main()
 * @argv: of main(); with an argument, only cases are run whose names contain it
 *
 * Every case runs in a process of its own and so may drop privileges, run out of
 * file descriptors or fail half-way. What it leaves behind is killed and discarded,
 * and then as much of the pool must be in use as before.
 *
 * Return: does not, but ends the process with the result.
 */
int gmem_run_tests(const struct gmem_test *tests, int nr, int argc, char *argv[])
{
	int i;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_GUEST_MEMFD_PERSIST));

	TEST_ASSERT(!prctl(PR_SET_CHILD_SUBREAPER, 1), "prctl");
	ksft_print_header();
	ksft_set_plan(nr);
	gmem_clean_up();
	for (i = 0; i < nr; i++) {
		if (argc < 2 || strstr(tests[i].name, argv[1]))
			run_test(&tests[i]);
		else
			ksft_test_result_skip("%s\n", tests[i].name);
	}
	ksft_finished();
}
