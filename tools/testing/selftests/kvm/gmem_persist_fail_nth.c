// SPDX-License-Identifier: GPL-2.0-only
/*
 * Failing allocations: each operation on persistent memory is done again and again, and
 * each allocation of kernel memory on its way fails once, the first one in the first turn,
 * the second one in the second, until there is none left to fail (/proc/PID/fail-nth).
 *
 * An operation that fails must say why (ENOMEM), must have changed nothing, and must work when
 * it is done again. One that works in spite of it is right, too.
 *
 * To add an operation, add a row to the table at the end: setup() makes what it needs, run()
 * is the operation, of which allocations fail, undo() takes back what a successful one did
 * and what setup() made. These may do anything and leave by TEST_ASSERT().
 *
 * Needs a kernel booted with gmem_persist=1G or more, with FAILSLAB and FAIL_PAGE_ALLOC and
 * debugfs mounted, and root. An argument: only operations whose names contain it.
 */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/gmem_persist.h>
#include <linux/liveupdate.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "gmem_persist_util.h"

#define DEBUGFS		"/sys/kernel/debug/"
#define MAX_TURNS	400

/* Where gmemfs is mounted, and the names that the operations use there. */
#define FS		"/tmp/gmem_persist_fail_nth/"
#define OTHER_FS	"/tmp/gmem_persist_fail_nth.2/"
#define NAME		PREFIX "subject"
#define SUBJECT		FS PREFIX "subject"
#define TARGET		FS PREFIX "other"
#define WITNESS		PREFIX "witness"
#define NOTE		PREFIX "note"

#define SIZE		SZ_2M

/**
 * struct operation - a row of the table
 * @name: what is done
 * @setup: make what it needs
 * @run: do it; returns what a system call would, and sets errno
 * @undo: take back what was done and made; NULL: it cannot be taken back
 * @check: after a failure: is what it works on as it was
 * @also: an errno that is right beside ENOMEM
 * @keeps: what was made stays when the rest of it fails, as is documented
 * @may_not_allocate: it is right if there is nothing to fail
 * @possible: false if there is nothing to do that on; NULL: there always is
 */
struct operation {
	const char *name;
	void (*setup)(void);
	int (*run)(void);
	void (*undo)(void);
	void (*check)(void);
	int also;
	bool keeps;
	bool may_not_allocate;
	bool (*possible)(void);
};

static struct kvm_vm *vm;
static int fail_nth = -1;

/* What operations have in their hands. */
static int fd = -1;
static char *mem;
static char data[SIZE];

/*
 * What there is
 */

struct picture {
	u64 pool, free, used, quarantined, poisoned;
	char objects[SZ_4K];
	char files[SZ_4K];
};

static struct picture *now_seen;

static int add_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	char *files = now_seen->files;
	size_t len = strlen(files);

	/* The root of gmemfs has no attributes that anybody hands on. */
	if (!ftw->level)
		return 0;
	snprintf(files + len, sizeof(now_seen->files) - len,
		 "%s %o %u:%u size %ld blocks %ld nlink %lu changed %ld.%09ld\n",
		 path + strlen(FS), st->st_mode, st->st_uid, st->st_gid, st->st_size,
		 st->st_blocks, st->st_nlink, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	return 0;
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(const char **)a, *(const char **)b);
}

static void sort_lines(char *text)
{
	char *copy = strdup(text), *lines[64], *line, *rest = copy;
	int i, nr = 0;

	while ((line = strsep(&rest, "\n")) && *line) {
		TEST_ASSERT(nr < 64, "too many files");
		lines[nr++] = line;
	}
	qsort(lines, nr, sizeof(*lines), compare_lines);
	for (i = 0, *text = '\0'; i < nr; i++)
		text += sprintf(text, "%s\n", lines[i]);
	free(copy);
}

/* What is clean and what is dirty may change: that is the kernel's own business. */
static void take_picture(struct picture *p)
{
	static struct gmem_snapshot s;

	memset(p, 0, sizeof(*p));
	gmem_take_snapshot(&s);
	p->free = s.clean + s.dirty;
	p->used = s.used;
	p->quarantined = s.quarantined;
	snprintf(p->objects, sizeof(p->objects), "%s", s.objects);
	now_seen = p;
	TEST_ASSERT(!nftw(FS, add_file, 8, FTW_PHYS), "walking through " FS);
	sort_lines(p->files);
}

static void assert_same(const struct picture *before, const char *when)
{
	static struct picture after;

	take_picture(&after);
	TEST_ASSERT(after.free == before->free && after.used == before->used &&
		    after.quarantined == before->quarantined,
		    "%s: free, used, quarantined were %lu %lu %lu and are %lu %lu %lu", when,
		    before->free, before->used, before->quarantined, after.free, after.used,
		    after.quarantined);
	TEST_ASSERT(!strcmp(after.objects, before->objects),
		    "%s: objects were\n%sand are\n%s", when, before->objects, after.objects);
	TEST_ASSERT(!strcmp(after.files, before->files),
		    "%s: files were\n%sand are\n%s", when, before->files, after.files);
}

/* Two objects that have nothing to do with it: memory of a guest, and data. */
static char *witness;

static void make_witnesses(void)
{
	int memory = open(FS WITNESS, O_RDWR | O_CREAT, 0600);
	int note = open(FS NOTE, O_RDWR | O_CREAT, 0600);

	TEST_ASSERT(memory >= 0 && note >= 0, "opening the witnesses");
	TEST_ASSERT(!ftruncate(memory, SIZE), "memory for the witness");
	witness = gmem_map(memory, SIZE);
	gmem_fill(witness, 0, SIZE, 8, SEED_HOST);
	close(memory);
	memcpy(data, witness, SIZE);
	TEST_ASSERT(write(note, data, SZ_64K) == SZ_64K && !fsync(note), "writing the note");
	close(note);
}

/* @step: distance of the words that are looked at */
static void check_witnesses(u64 step)
{
	static u64 words[SZ_64K / 8];
	int note = open(FS NOTE, O_RDONLY);

	gmem_check(witness, 0, SIZE, step, SEED_HOST);
	TEST_ASSERT(read(note, words, sizeof(words)) == sizeof(words), "reading the note");
	gmem_check(words, 0, sizeof(words), step, SEED_HOST);
	close(note);
}

/*
 * Failing
 */

static void set_option(const char *file, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), DEBUGFS "%s", file);
	TEST_ASSERT(!gmem_write_text(path, value), "writing %s to %s", value, path);
}

/* Nothing but fail-nth makes anything fail: the probability stays 0. */
static void prepare_failing(void)
{
	set_option("failslab/ignore-gfp-wait", "N");
	set_option("failslab/cache-filter", "N");
	set_option("fail_page_alloc/ignore-gfp-wait", "N");
	set_option("fail_page_alloc/ignore-gfp-highmem", "N");
	set_option("fail_page_alloc/min-order", "0");
	/* A trace of the stack for each of them would take most of the time. */
	set_option("failslab/verbose", "0");
	set_option("fail_page_alloc/verbose", "0");
}

static void fail_the(int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", nth);

	TEST_ASSERT(pwrite(fail_nth, text, len, 0) == len, "setting fail-nth");
}

/* How many more would have gone by; 0: the one that was meant has failed. */
static int not_failed(void)
{
	char text[16] = {};

	TEST_ASSERT(pread(fail_nth, text, sizeof(text) - 1, 0) > 0, "reading fail-nth");
	return atoi(text);
}

static int try_failing(const struct operation *op, int nth, bool *failed, int *error)
{
	int r;

	fail_the(nth);
	errno = 0;
	r = op->run();
	*error = errno;
	*failed = !not_failed();
	fail_the(0);
	return r;
}

static void set_up(const struct operation *op)
{
	if (op->setup)
		op->setup();
}

static void undo(const struct operation *op)
{
	if (op->undo)
		op->undo();
}

/* Set up, this turn is what the last one was, but for times. */
static void assert_like_last(const struct picture *last, const struct picture *p,
			     const char *when)
{
	TEST_ASSERT(p->free == last->free && p->used == last->used &&
		    p->quarantined == last->quarantined && !strcmp(p->objects, last->objects),
		    "before %s: free, used, quarantined are %lu %lu %lu, not %lu %lu %lu, or these are other objects:\n%sand\n%s",
		    when, p->free, p->used, p->quarantined, last->free, last->used,
		    last->quarantined, p->objects, last->objects);
}

static void sweep(const struct operation *op)
{
	static struct picture base, last, before;
	int nth, injected = 0, refused = 0, r, error;
	bool failed;
	char when[64];

	make_witnesses();
	take_picture(&base);

	/* Once without, so that this program needs no new pages for it any more. */
	set_up(op);
	TEST_ASSERT(op->run() >= 0, "%s: errno %d (%s), without any failure", op->name, errno,
		    strerror(errno));
	undo(op);
	if (op->undo)
		assert_same(&base, "after undoing it");
	TEST_ASSERT(!mlockall(MCL_CURRENT), "mlockall");

	for (nth = 1; nth <= MAX_TURNS; nth++) {
		snprintf(when, sizeof(when), "%s, allocation %d", op->name, nth);
		set_up(op);
		take_picture(&before);
		if (nth > 1 && op->undo)
			assert_like_last(&last, &before, when);
		last = before;
		r = try_failing(op, nth, &failed, &error);
		injected += failed;
		if (r < 0) {
			TEST_ASSERT(failed, "%s: errno %d (%s), without any failure", when, error,
				    strerror(error));
			TEST_ASSERT(error == ENOMEM || (op->also && error == op->also),
				    "%s: errno %d (%s)", when, error, strerror(error));
			refused++;
			if (!op->keeps)
				assert_same(&before, when);
			if (op->check)
				op->check();
			TEST_ASSERT(op->run() >= 0, "%s: errno %d (%s) when done again", when,
				    errno, strerror(errno));
		}
		check_witnesses(SZ_4K);
		undo(op);
		if (!failed)
			break;
	}
	TEST_ASSERT(nth <= MAX_TURNS, "%s: more than %d allocations", op->name, MAX_TURNS);
	TEST_ASSERT(injected || op->may_not_allocate, "%s: nothing was made to fail", op->name);
	check_witnesses(8);
	if (op->undo)
		assert_same(&base, "in the end");
	ksft_print_msg("%s: %d allocations failed, and so did %d calls\n", op->name, injected,
		       refused);
}

/*
 * Operations: the ioctls
 */

static int persist(u32 op, const char *name, u64 flags)
{
	struct kvm_gmem_persist args = {
		.op = op,
		.size = op == KVM_GMEM_PERSIST_RECLAIM ? 0 : SIZE,
		.flags = flags,
	};

	snprintf((char *)args.name, sizeof(args.name), "%s", name);
	fd = gmem_persist(vm, &args);
	return fd;
}

static void close_fd(void)
{
	TEST_ASSERT(!close(fd), "close");
	fd = -1;
}

static void discard_it(void)
{
	TEST_ASSERT(!gmem_discard(NAME), "discard");
}

/*
 * Who claims an object pays for it from then on, and a cgroup of which the pool has never
 * heard needs an account for that.
 */
#define CGROUPS		"/sys/fs/cgroup/"
#define CGROUP		CGROUPS PREFIX "fail"

static void enter_cgroup(void)
{
	TEST_ASSERT(!mkdir(CGROUP, 0755), "mkdir " CGROUP);
	TEST_ASSERT(!gmem_write_text(CGROUP "/cgroup.procs", "0"), "entering " CGROUP);
}

static void leave_cgroup(void)
{
	TEST_ASSERT(!gmem_write_text(CGROUPS "cgroup.procs", "0"), "leaving " CGROUP);
	TEST_ASSERT(!rmdir(CGROUP), "rmdir " CGROUP);
}

static bool dmem_is_there(void)
{
	return !access(CGROUPS "dmem.capacity", F_OK);
}

static void make_object(void)
{
	TEST_ASSERT(persist(KVM_GMEM_PERSIST_CREATE, NAME, FLAGS_SHARED) >= 0, "create");
}

static void park_object(void)
{
	make_object();
	close_fd();
}

static void close_and_discard(void)
{
	close_fd();
	discard_it();
}

static void park_for_other_cgroup(void)
{
	park_object();
	enter_cgroup();
}

static void discard_and_leave(void)
{
	close_and_discard();
	leave_cgroup();
}

static int run_create(void)
{
	return persist(KVM_GMEM_PERSIST_CREATE, NAME, FLAGS_SHARED);
}

static int run_create_private(void)
{
	return persist(KVM_GMEM_PERSIST_CREATE, NAME, FLAGS_PRIVATE);
}

static int run_reclaim(void)
{
	return persist(KVM_GMEM_PERSIST_RECLAIM, NAME, FLAGS_SHARED);
}

static int run_create_or_reclaim(void)
{
	return persist(KVM_GMEM_PERSIST_CREATE_OR_RECLAIM, NAME, FLAGS_SHARED);
}

static int run_unnamed(void)
{
	fd = __vm_create_guest_memfd(vm, SIZE, FLAGS_SHARED | GUEST_MEMFD_FLAG_PERSIST);
	return fd;
}

static int handle = -1;

static int by_handle(u32 op)
{
	struct kvm_gmem_persist args = {
		.op = op | KVM_GMEM_PERSIST_HANDLE,
		.handle = handle,
		.size = SIZE,
		.flags = FLAGS_SHARED,
	};

	fd = gmem_persist(vm, &args);
	return fd;
}

static void open_handle(void)
{
	handle = open(SUBJECT, O_RDWR | O_CREAT, 0600);
	TEST_ASSERT(handle >= 0, "open");
}

static void open_handle_with_memory(void)
{
	open_handle();
	TEST_ASSERT(!ftruncate(handle, SIZE), "ftruncate");
}

static void close_handle(void)
{
	close_fd();
	close(handle);
	TEST_ASSERT(!unlink(SUBJECT), "unlink");
}

static int run_create_by_handle(void)
{
	return by_handle(KVM_GMEM_PERSIST_CREATE_OR_RECLAIM);
}

static int run_reclaim_by_handle(void)
{
	return by_handle(KVM_GMEM_PERSIST_RECLAIM);
}

/*
 * Operations: memory of a guest
 */

static void *nothing;

static int set_slot(u64 size)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = GUEST_SLOT,
		.flags = size ? KVM_MEM_GUEST_MEMFD : 0,
		.guest_phys_addr = GUEST_BASE,
		.memory_size = size,
		.userspace_addr = (u64)nothing,
		.guest_memfd = fd,
	};

	/* Not by the library, which would do more than that. */
	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &region);
}

static int run_bind(void)
{
	return set_slot(SIZE);
}

static void unbind(void)
{
	TEST_ASSERT(!set_slot(0), "deleting the slot");
	close_and_discard();
}

/* KVM keeps what it has once got for its page tables, so each turn has a VM of its own. */
static struct kvm_vm *usual_vm;
static int vcpu = -1;

static void bind_to_new_vm(void)
{
	usual_vm = vm;
	vm = vm_create_barebones();
	vcpu = __vm_ioctl(vm, KVM_CREATE_VCPU, NULL);
	TEST_ASSERT(vcpu >= 0, "KVM_CREATE_VCPU");
	make_object();
	TEST_ASSERT(!set_slot(SIZE), "binding");
}

static void free_new_vm(void)
{
	unbind();
	close(vcpu);
	kvm_vm_free(vm);
	vm = usual_vm;
}

static int run_prefault(void)
{
	struct kvm_pre_fault_memory range = { .gpa = GUEST_BASE, .size = SIZE };

	return ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range);
}

static int run_map(void)
{
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return mem == MAP_FAILED ? -1 : 0;
}

static void unmap(void)
{
	kvm_munmap(mem, SIZE);
	close_and_discard();
}

static void map_object(void)
{
	make_object();
	TEST_ASSERT(!run_map(), "mmap");
}

/* Where nothing else is, and so no page table, as long as addresses have 47 bits */
#define FAR_AWAY	((char *)(1UL << 45))

static void map_at(char *where)
{
	make_object();
	mem = mmap(where, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
	TEST_ASSERT(mem == where, "mmap");
}

static void map_large(void)
{
	map_at(FAR_AWAY);
}

static void map_small(void)
{
	map_at(FAR_AWAY + SZ_4K);
}

static sigjmp_buf bus_return;

static void on_sigbus(int sig)
{
	siglongjmp(bus_return, 1);
}

/* Core mm tries a fault again that has found no memory. */
static int run_touch(void)
{
	if (sigsetjmp(bus_return, 1)) {
		errno = EFAULT;
		return -1;
	}
	WRITE_ONCE(*mem, 1);
	return 0;
}

static void punch_setup(void)
{
	map_object();
	gmem_fill(mem, 0, SIZE, SZ_4K, SEED_GUEST);
}

static int run_punch(void)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE);
}

static void undo_punch(void)
{
	gmem_check_zero(mem, 0, SIZE);
	unmap();
}

/*
 * Operations: files
 */

static int open_subject(int flags)
{
	fd = open(SUBJECT, flags, 0600);
	return fd;
}

static void new_file(void)
{
	TEST_ASSERT(open_subject(O_RDWR | O_CREAT | O_EXCL) >= 0, "open");
}

static void new_memory_file(void)
{
	new_file();
	TEST_ASSERT(!ftruncate(fd, SIZE), "ftruncate");
}

static void new_closed_file(void)
{
	new_memory_file();
	close_fd();
}

static void new_data_file(void)
{
	new_file();
	TEST_ASSERT(write(fd, data, SIZE) == SIZE, "write");
}

static void remove_file(void)
{
	if (fd >= 0)
		close_fd();
	TEST_ASSERT(!unlink(SUBJECT), "unlink");
}

static void check_data_file(void)
{
	static char copy[SIZE];

	TEST_ASSERT(pread(fd, copy, SIZE, 0) == SIZE, "pread");
	gmem_check(copy, 0, SIZE, 8, SEED_HOST);
}

static void check_length(off_t length)
{
	struct stat st;

	TEST_ASSERT(!fstat(fd, &st) && st.st_size == length, "the length is %ld, not %ld",
		    (long)st.st_size, (long)length);
}

static void check_empty_file(void)
{
	check_length(0);
}

static void check_data_file_and_length(void)
{
	check_length(SIZE);
	check_data_file();
}

static void new_file_for_other_cgroup(void)
{
	new_closed_file();
	enter_cgroup();
}

static void remove_file_and_leave(void)
{
	remove_file();
	leave_cgroup();
}

static int run_file_create(void)
{
	return open_subject(O_RDWR | O_CREAT | O_EXCL);
}

static int run_file_open(void)
{
	return open_subject(O_RDWR);
}

static int run_file_open_ro(void)
{
	return open_subject(O_RDONLY);
}

static int run_file_populate(void)
{
	return ftruncate(fd, SIZE);
}

static int run_file_populate_by_path(void)
{
	return truncate(SUBJECT, SIZE);
}

static int run_file_allocate(void)
{
	return fallocate(fd, 0, 0, SIZE);
}

/* A part of what was asked for is an answer, too, but not of the wrong bytes. */
static int read_of(const char *want)
{
	static char buf[SZ_64K];
	int r = pread(fd, buf, sizeof(buf), 0);

	if (r > 0)
		TEST_ASSERT(!memcmp(buf, want, r), "read: wrong bytes");
	return r;
}

static int run_read(void)
{
	return read_of(data);
}

/* Memory that nobody has written to */
static int run_read_zeroes(void)
{
	static const char zeroes[SZ_64K];

	return read_of(zeroes);
}

static int run_write_memory(void)
{
	return pwrite(fd, data, SZ_64K, SZ_64K);
}

static int run_write_first(void)
{
	return pwrite(fd, data, SZ_64K, 0);
}

static int run_write_over(void)
{
	return pwrite(fd, data, SZ_64K, 0);
}

static int run_write_growing(void)
{
	return pwrite(fd, data, SZ_64K, SIZE);
}

static int run_truncate_longer(void)
{
	return ftruncate(fd, 2 * SIZE);
}

static void new_long_data_file(void)
{
	new_data_file();
	TEST_ASSERT(!ftruncate(fd, 2 * SIZE), "ftruncate");
}

static int run_truncate_shorter(void)
{
	return ftruncate(fd, SZ_64K);
}

static int run_truncate_to_nothing(void)
{
	return ftruncate(fd, 0);
}

/* One entry, of the one range that there is */
static int run_ask(void)
{
	struct gmem_persist_range_entry entry;
	struct gmem_persist_list list = { .entries = (uintptr_t)&entry, .nr = 1 };
	struct gmem_persist_info info = {};

	return ioctl(fd, GMEM_PERSIST_GET_INFO, &info) ?: ioctl(fd, GMEM_PERSIST_GET_RANGES, &list);
}

static int run_fsync(void)
{
	return fsync(fd);
}

static int run_unlink(void)
{
	return unlink(SUBJECT);
}

static void nothing_left(void)
{
}

static void close_unlinked(void)
{
	close_fd();
}

static int run_chmod(void)
{
	return chmod(SUBJECT, 0640);
}

static int run_chown(void)
{
	return chown(SUBJECT, 7, 8);
}

static int run_utimes(void)
{
	static const struct timespec times[2] = { { 1, 2 }, { 3, 4 } };

	return utimensat(AT_FDCWD, SUBJECT, times, 0);
}

static int run_stat(void)
{
	struct stat st;

	return stat(SUBJECT, &st);
}

static int run_readdir(void)
{
	static char entries[SZ_4K];
	int dir = open(FS, O_RDONLY | O_DIRECTORY);
	int r, error;

	if (dir < 0)
		return -1;
	r = syscall(SYS_getdents64, dir, entries, sizeof(entries));
	error = errno;
	close(dir);
	errno = error;
	return r;
}

static int run_mkdir(void)
{
	return mkdir(SUBJECT, 0700);
}

static void remove_dir(void)
{
	TEST_ASSERT(!rmdir(SUBJECT), "rmdir");
}

static void new_dir(void)
{
	TEST_ASSERT(!mkdir(SUBJECT, 0700), "mkdir");
}

static int run_rmdir(void)
{
	return rmdir(SUBJECT);
}

static int run_create_in_dir(void)
{
	fd = open(SUBJECT "/file", O_RDWR | O_CREAT | O_EXCL, 0600);
	return fd;
}

static void remove_file_and_dir(void)
{
	close_fd();
	TEST_ASSERT(!unlink(SUBJECT "/file"), "unlink");
	remove_dir();
}

static int run_rename(void)
{
	return rename(SUBJECT, TARGET);
}

static void remove_renamed(void)
{
	TEST_ASSERT(!unlink(TARGET), "unlink");
}

static void new_two_files(void)
{
	int other = open(TARGET, O_RDWR | O_CREAT | O_EXCL, 0600);

	TEST_ASSERT(other >= 0 && !ftruncate(other, SIZE), "making the other file");
	close(other);
	new_closed_file();
}

static int run_exchange(void)
{
	return syscall(SYS_renameat2, AT_FDCWD, SUBJECT, AT_FDCWD, TARGET, RENAME_EXCHANGE);
}

static void remove_both(void)
{
	remove_renamed();
	remove_file();
}

static void new_file_and_dir(void)
{
	new_closed_file();
	TEST_ASSERT(!mkdir(TARGET, 0700), "mkdir");
}

static int run_move(void)
{
	return rename(SUBJECT, TARGET "/file");
}

static void remove_moved(void)
{
	TEST_ASSERT(!unlink(TARGET "/file") && !rmdir(TARGET), "removing what was moved");
}

/*
 * Operations: sysfs, debugfs, mount. A file is opened in setup(), since how sysfs opens files
 * is not the pool's affair.
 */

static int control = -1;

static void open_control(const char *path, int flags)
{
	control = open(path, flags);
	TEST_ASSERT(control >= 0, "opening %s", path);
}

static void close_control(void)
{
	close(control);
	control = -1;
}

static int write_control(const char *text)
{
	return write(control, text, strlen(text));
}

static void set_up_discard(void)
{
	park_object();
	open_control(SYSFS "discard", O_WRONLY);
}

static int run_discard(void)
{
	return write_control(NAME);
}

static void set_up_freeze(void)
{
	/* The record lacks the length of that: freezing has to make it anew. */
	new_data_file();
	open_control(SYSFS "frozen", O_WRONLY);
}

static int run_freeze(void)
{
	return write_control("1");
}

static void undo_freeze(void)
{
	close_control();
	TEST_ASSERT(!gmem_set_frozen("0"), "thawing");
	remove_file();
}

static void set_up_thaw(void)
{
	TEST_ASSERT(!gmem_set_frozen("1"), "freezing");
	open_control(SYSFS "frozen", O_WRONLY);
}

static int run_thaw(void)
{
	return write_control("0");
}

static void open_stat(void)
{
	open_control(SYSFS "stat", O_RDONLY);
}

static int run_read_control(void)
{
	static char text[SZ_4K];

	return read(control, text, sizeof(text));
}

static int run_open_record(void)
{
	control = open(DEBUGFS "gmem_persist/record", O_RDONLY);
	return control;
}

static int run_mount(void)
{
	return mount("none", OTHER_FS, "gmemfs", 0, "granule=2M");
}

static void undo_mount(void)
{
	TEST_ASSERT(!umount(OTHER_FS), "umount");
}

static int run_remount(void)
{
	return mount("none", FS, "gmemfs", MS_REMOUNT, "granule=2M");
}

static bool something_is_quarantined(void)
{
	return gmem_pool_attr("quarantined_bytes");
}

/* A granule, of which there is no end; it cannot be quarantined again. */
static char granule[64];

static void choose_granule(void)
{
	char text[SZ_4K];
	u64 first;

	gmem_read_text(text, sizeof(text), SYSFS "quarantined");
	TEST_ASSERT(sscanf(text, "%lx-", &first) == 1, "quarantined is: %s", text);
	snprintf(granule, sizeof(granule), "%#lx-%#lx", first, first + SIZE - 1);
	open_control(SYSFS "release", O_WRONLY);
}

static int run_release(void)
{
	int r = write_control(granule);

	/* There is no undo(), which would close it. */
	if (r >= 0)
		close_control();
	return r;
}

/*
 * Operations: sessions of LUO
 */

#define LUO		"/dev/liveupdate"

static int session;

static bool luo_is_there(void)
{
	return !access(LUO, F_OK);
}

/* And an object that has no name, for it to hold */
static void new_session(void)
{
	struct liveupdate_ioctl_create_session create = {
		.size = sizeof(create),
		.name = "fail_nth",
	};
	int luo = open(LUO, O_RDWR);

	TEST_ASSERT(luo >= 0, "opening " LUO);
	TEST_ASSERT(!ioctl(luo, LIVEUPDATE_IOCTL_CREATE_SESSION, &create), "session");
	close(luo);
	session = create.fd;
	fd = open(FS, O_TMPFILE | O_RDWR, 0600);
	TEST_ASSERT(fd >= 0 && !ftruncate(fd, SIZE), "a file without a name");
}

static int run_preserve(void)
{
	struct liveupdate_session_preserve_fd preserve = {
		.size = sizeof(preserve),
		.fd = fd,
		.token = 1,
	};

	return ioctl(session, LIVEUPDATE_SESSION_PRESERVE_FD, &preserve);
}

static void end_session(void)
{
	TEST_ASSERT(!close(session), "closing the session");
	close_fd();
}

static const struct operation operations[] = {
	{ "create", NULL, run_create, close_and_discard },
	{ "create, private", NULL, run_create_private, close_and_discard },
	{ "reclaim", park_object, run_reclaim, close_and_discard },
	{ "create in a new cgroup", enter_cgroup, run_create, discard_and_leave,
	  .possible = dmem_is_there },
	{ "reclaim in a new cgroup", park_for_other_cgroup, run_reclaim, discard_and_leave,
	  .possible = dmem_is_there },
	{ "create or reclaim what is not there", NULL, run_create_or_reclaim, close_and_discard },
	{ "create or reclaim what is there", park_object, run_create_or_reclaim,
	  close_and_discard },
	{ "create by a handle", open_handle, run_create_by_handle, close_handle, .keeps = true },
	{ "reclaim by a handle", open_handle_with_memory, run_reclaim_by_handle, close_handle },
	{ "create without a name", NULL, run_unnamed, close_fd },
	{ "bind to a memslot", make_object, run_bind, unbind },
	{ "prefault", bind_to_new_vm, run_prefault, free_new_vm },
	{ "mmap", make_object, run_map, unmap },
	{ "first touch, large leaf", map_large, run_touch, unmap },
	{ "first touch, small leaf", map_small, run_touch, unmap },
	{ "punch", punch_setup, run_punch, undo_punch, .may_not_allocate = true },

	{ "file: create", NULL, run_file_create, remove_file },
	{ "file: create in a directory", new_dir, run_create_in_dir, remove_file_and_dir },
	{ "file: open", new_closed_file, run_file_open, remove_file },
	{ "file: open in a new cgroup", new_file_for_other_cgroup, run_file_open,
	  remove_file_and_leave, .possible = dmem_is_there },
	{ "file: open to read", new_closed_file, run_file_open_ro, remove_file },
	{ "file: ftruncate to its size", new_file, run_file_populate, remove_file },
	{ "file: truncate to its size", new_file, run_file_populate_by_path, remove_file },
	{ "file: fallocate", new_file, run_file_allocate, remove_file },
	{ "file: punch", new_memory_file, run_punch, remove_file, .may_not_allocate = true },
	{ "file: read", new_memory_file, run_read_zeroes, remove_file },
	{ "file: write", new_memory_file, run_write_memory, remove_file },
	{ "file: unlink", new_closed_file, run_unlink, nothing_left },
	{ "file: unlink an open one", new_memory_file, run_unlink, close_unlinked },
	{ "file: chmod", new_closed_file, run_chmod, remove_file },
	{ "file: chown", new_closed_file, run_chown, remove_file },
	{ "file: utimes", new_closed_file, run_utimes, remove_file },
	{ "file: stat", new_closed_file, run_stat, remove_file },
	{ "file: rename", new_closed_file, run_rename, remove_renamed },
	{ "file: rename onto another", new_two_files, run_rename, remove_renamed },
	{ "file: exchange", new_two_files, run_exchange, remove_both },
	{ "file: rename into a directory", new_file_and_dir, run_move, remove_moved },

	{ "data: write to an empty file", new_file, run_write_first, remove_file,
	  check_empty_file },
	{ "data: write over", new_data_file, run_write_over, remove_file, check_data_file },
	{ "data: write to a longer one", new_data_file, run_write_growing, remove_file,
	  check_data_file },
	{ "data: read", new_data_file, run_read, remove_file, check_data_file },
	{ "data: ftruncate, longer", new_data_file, run_truncate_longer, remove_file,
	  check_data_file_and_length },
	{ "data: ftruncate, shorter", new_long_data_file, run_truncate_shorter, remove_file,
	  check_data_file, .may_not_allocate = true },
	{ "data: ftruncate to nothing", new_data_file, run_truncate_to_nothing, remove_file,
	  check_data_file, .may_not_allocate = true },
	{ "data: fsync", new_data_file, run_fsync, remove_file, check_data_file,
	  .may_not_allocate = true },
	{ "data: ask what it is", new_data_file, run_ask, remove_file, check_data_file },

	{ "directory: mkdir", NULL, run_mkdir, remove_dir },
	{ "directory: rmdir", new_dir, run_rmdir, nothing_left },
	{ "directory: read", new_closed_file, run_readdir, remove_file },

	{ "session: preserve", new_session, run_preserve, end_session,
	  .possible = luo_is_there },

	{ "sysfs: discard", set_up_discard, run_discard, close_control },
	{ "sysfs: freeze", set_up_freeze, run_freeze, undo_freeze },
	{ "sysfs: thaw", set_up_thaw, run_thaw, close_control, .may_not_allocate = true },
	{ "sysfs: read", open_stat, run_read_control, close_control },
	{ "debugfs: the record", NULL, run_open_record, close_control },
	{ "mount", NULL, run_mount, undo_mount },
	{ "remount", NULL, run_remount, nothing_left },
	{ "sysfs: release", choose_granule, run_release, NULL,
	  .possible = something_is_quarantined },
};

static void sweep_in_child(const struct operation *op)
{
	char path[64];

	/* Of this process, which is its only thread. */
	snprintf(path, sizeof(path), "/proc/self/task/%d/fail-nth", getpid());
	fail_nth = open(path, O_RDWR);
	TEST_ASSERT(fail_nth >= 0, "opening %s", path);
	signal(SIGBUS, on_sigbus);

	/* Nothing ever runs in it. */
	vm = vm_create_barebones();
	nothing = align_ptr_up(kvm_mmap(SZ_4M, PROT_NONE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1), SZ_2M);
	sweep(op);
}

static int remove_ours(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (ftw->level && !strncmp(path + strlen(FS), PREFIX, strlen(PREFIX)))
		TEST_ASSERT(!remove(path), "removing %s", path);
	return 0;
}

/* Whatever an operation that went wrong has left. */
static void remove_all(void)
{
	if (gmem_pool_attr("frozen"))
		TEST_ASSERT(!gmem_set_frozen("0"), "thawing");
	rmdir(CGROUP);
	TEST_ASSERT(!nftw(FS, remove_ours, 8, FTW_PHYS | FTW_DEPTH), "clearing " FS);
}

/* In a process of its own: whatever it leaves open is closed. */
static void run_operation(const struct operation *op)
{
	int status;
	pid_t pid;

	if (op->possible && !op->possible()) {
		ksft_test_result_skip("%s: there is nothing to do that on\n", op->name);
		return;
	}
	fflush(NULL);
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork failed");
	if (!pid) {
		sweep_in_child(op);
		exit(KSFT_PASS);
	}
	status = wait_for_child(pid);
	remove_all();
	if (status)
		ksft_print_msg("%s: status 0x%x\n", op->name, status);
	ksft_test_result(!status, "%s\n", op->name);
}

int main(int argc, char *argv[])
{
	int i, nr = 0;

	ksft_print_header();
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_GUEST_MEMFD_PERSIST));
	if (access(DEBUGFS "failslab", F_OK) || access(DEBUGFS "fail_page_alloc", F_OK) ||
	    access("/proc/self/fail-nth", F_OK))
		ksft_exit_skip("this kernel makes no allocation fail\n");
	prepare_failing();

	for (i = 0; i < ARRAY_SIZE(operations); i++)
		nr += argc < 2 || strstr(operations[i].name, argv[1]);
	ksft_set_plan(nr);
	TEST_ASSERT(!mkdir(FS, 0700) || errno == EEXIST, "mkdir " FS);
	TEST_ASSERT(!mkdir(OTHER_FS, 0700) || errno == EEXIST, "mkdir " OTHER_FS);
	TEST_ASSERT(!mount("none", FS, "gmemfs", 0, NULL), "mounting gmemfs");
	remove_all();
	if (dmem_is_there())
		gmem_write_text(CGROUPS "cgroup.subtree_control", "+dmem");
	for (i = 0; i < ARRAY_SIZE(operations); i++)
		if (argc < 2 || strstr(operations[i].name, argv[1]))
			run_operation(&operations[i]);
	umount(FS);
	ksft_finished();
}
