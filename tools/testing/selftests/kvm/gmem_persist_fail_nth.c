// SPDX-License-Identifier: GPL-2.0-only
/*
 * Failing allocations: each operation on persistent memory is done again and again, and
 * each allocation of kernel memory on its way fails once, the first one in the first turn,
 * the second one in the second, until there is none left to fail (/proc/PID/fail-nth).
 *
 * An operation that fails must say why (ENOMEM), must have changed nothing, must leave nothing
 * in memory that is called clean, and must work when it is done again. One that works in spite of
 * it is right, too.
 *
 * Only making something allocates (Documentation/mm/gmem-persist.rst, Invariants). What ends
 * something, or changes what is there, must work whatever fails, if it is asked for by an open
 * file. By a path VFS allocates, as for the name, and for a write to sysfs kernfs does: such a call
 * may fail, but not by an allocation that a function of the pool has asked for.
 *
 * To add an operation, add a row to the table at the end: setup() makes what it needs, run()
 * is the operation, of which allocations fail, undo() takes back what a successful one did
 * and what setup() made. These may do anything and leave by TEST_ASSERT().
 *
 * Needs a kernel booted with gmem_persist=1G or more, with FAILSLAB and FAIL_PAGE_ALLOC and
 * debugfs mounted, and root. A disk with the serial number "scratch" is read from and written to.
 * An argument: only operations whose names contain it.
 */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/gmem_persist.h>
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
#define PROBE		PREFIX "probe"

#define SIZE		SZ_2M
#define SOILED		(4ul * SIZE)

/**
 * struct operation - a row of the table
 * @name: what is done
 * @setup: make what it needs
 * @run: do it; returns what a system call would, and sets errno
 * @undo: take back what was done and made
 * @check: after a failure: is what it works on as it was
 * @also: an errno that is right beside ENOMEM
 * @keeps: what was made stays when the rest of it fails, as is documented
 * @uses_up: of what it takes, something is gone for good
 * @must_not_fail: it ends or changes something, by an open file
 * @ours_must_not_fail: likewise, by a path or by sysfs, so others may fail
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
	bool uses_up;
	bool must_not_fail;
	bool ours_must_not_fail;
	bool may_not_allocate;
	bool (*possible)(void);
};

static struct kvm_vm *vm;
static int fail_nth = -1;

/* What operations have in their hands. */
static int fd = -1;
static char *mem;
static char data[SIZE] __aligned(SZ_4K);

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

/* Memory is zero when somebody gets it, and is not when he has had it. */
static void soil(u64 size, const char *when)
{
	int probe = open(FS PROBE, O_RDWR | O_CREAT | O_EXCL, 0600);
	char *soiled;

	TEST_ASSERT(probe >= 0 && !ftruncate(probe, size), "%s: having %lu bytes: errno %d", when,
		    size, errno);
	soiled = gmem_map(probe, size);
	gmem_check_zero(soiled, 0, size);
	gmem_fill(soiled, 0, size, SZ_4K, SEED_GUEST);
	kvm_munmap(soiled, size);
	close(probe);
	TEST_ASSERT(!unlink(FS PROBE), "unlink");
}

/* Of what is free, all that is called clean is; a frozen pool gives none of it. */
static void check_clean(const char *when)
{
	const u64 clean = gmem_pool_attr("clean_bytes");

	if (clean && !gmem_pool_attr("frozen"))
		soil(clean, when);
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

/*
 * Who has asked for the allocation that failed: the kernel says so in its log
 */

static int kmsg = -1;

/* With a trace of the stack for each of them, which takes most of the time */
static void set_verbose(bool traces)
{
	set_option("failslab/verbose", traces ? "2" : "0");
	set_option("fail_page_alloc/verbose", traces ? "2" : "0");
}

static void begin_listening(void)
{
	if (kmsg < 0)
		kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	TEST_ASSERT(kmsg >= 0 && lseek(kmsg, 0, SEEK_END) >= 0, "opening /dev/kmsg");
}

/* A frame of the stack, and not one that the kernel only guesses */
static bool is_frame_of_ours(const char *line)
{
	const char *at = strstr(line, " gmem_");
	unsigned int offset;

	return at && !strstr(line, "? ") && sscanf(at, " gmem_%*[a-z0-9_.]+0x%x", &offset) == 1;
}

static void assert_not_ours(const char *when)
{
	char record[SZ_8K];
	bool seen = false;
	ssize_t len;

	for (;;) {
		len = read(kmsg, record, sizeof(record) - 1);
		/* Some have been overwritten. */
		if (len < 0 && errno == EPIPE)
			continue;
		if (len <= 0)
			break;
		record[len] = '\0';
		seen |= !!strstr(record, "FAULT_INJECTION");
		TEST_ASSERT(!seen || !is_frame_of_ours(record), "%s: failed below %s", when,
			    record);
	}
	TEST_ASSERT(seen, "%s: the kernel does not say what has failed", when);
}

static void set_up(const struct operation *op)
{
	if (op->setup)
		op->setup();
}

/* Is it right if it fails with that? */
static void assert_may_fail(const struct operation *op, int error, const char *when)
{
	TEST_ASSERT(error == ENOMEM || (op->also && error == op->also), "%s: errno %d (%s)", when,
		    error, strerror(error));
	TEST_ASSERT(!op->must_not_fail, "%s: it fails", when);
	if (op->ours_must_not_fail)
		assert_not_ours(when);
}

/* What is made anew in each turn has other times. */
static void forget_times(struct picture *p)
{
	char *line = p->files;

	while ((line = strstr(line, " changed "))) {
		const char *end = line + strcspn(line, "\n");

		memmove(line, end, strlen(end) + 1);
	}
}

/* Both are without times. */
static void assert_like(const struct picture *other, const struct picture *p, const char *which,
			const char *when)
{
	TEST_ASSERT(p->free == other->free && p->used == other->used &&
		    p->quarantined == other->quarantined,
		    "%s %s: free, used, quarantined are %lu %lu %lu, not %lu %lu %lu", which, when,
		    p->free, p->used, p->quarantined, other->free, other->used,
		    other->quarantined);
	TEST_ASSERT(!strcmp(p->objects, other->objects) && !strcmp(p->files, other->files),
		    "%s %s: there are these objects and files:\n%s%sand not\n%s%s", which, when,
		    p->objects, p->files, other->objects, other->files);
}

/* What failed once is done again, so in the end each turn has done the same. */
static void assert_done(const struct picture *done, const char *when)
{
	static struct picture now;

	take_picture(&now);
	forget_times(&now);
	assert_like(done, &now, "after", when);
}

static void sweep(const struct operation *op)
{
	static struct picture base, before, last, now, done;
	int nth, injected = 0, refused = 0, whole, r, error;
	bool failed;
	char when[64];

	make_witnesses();
	take_picture(&base);

	/* Once without, so that this program needs no new pages for it any more. */
	set_up(op);
	whole = op->run();
	TEST_ASSERT(whole >= 0, "%s: errno %d (%s), without any failure", op->name, errno,
		    strerror(errno));
	take_picture(&done);
	forget_times(&done);
	op->undo();
	if (!op->uses_up)
		assert_same(&base, "after undoing it");
	TEST_ASSERT(!mlockall(MCL_CURRENT), "mlockall");

	for (nth = 1; nth <= MAX_TURNS; nth++) {
		snprintf(when, sizeof(when), "%s, allocation %d", op->name, nth);
		/* What the operation gets is to have something in it. */
		soil(SOILED, when);
		set_up(op);
		take_picture(&before);
		now = before;
		forget_times(&now);
		if (nth > 1 && !op->uses_up)
			assert_like(&last, &now, "before", when);
		last = now;
		if (op->ours_must_not_fail)
			begin_listening();
		r = try_failing(op, nth, &failed, &error);
		injected += failed;
		if (r < 0) {
			TEST_ASSERT(failed, "%s: errno %d (%s), without any failure", when, error,
				    strerror(error));
			assert_may_fail(op, error, when);
			refused++;
			if (!op->keeps)
				assert_same(&before, when);
			if (op->check)
				op->check();
			check_clean(when);
			r = op->run();
			TEST_ASSERT(r >= 0, "%s: errno %d (%s) when done again", when, errno,
				    strerror(errno));
		}
		/* It may have been done in part, by what it returns. */
		if (r >= whole && !op->uses_up)
			assert_done(&done, when);
		check_witnesses(SZ_4K);
		op->undo();
		if (!failed)
			break;
	}
	TEST_ASSERT(nth <= MAX_TURNS, "%s: more than %d allocations", op->name, MAX_TURNS);
	TEST_ASSERT(injected || op->may_not_allocate || op->must_not_fail,
		    "%s: nothing was made to fail", op->name);
	check_witnesses(8);
	if (!op->uses_up)
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

/* It is gone, whatever comes. */
static int run_close(void)
{
	int closing = fd;

	fd = -1;
	return close(closing);
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

static void make_unnamed(void)
{
	TEST_ASSERT(run_unnamed() >= 0, "create");
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

static void open_root(void)
{
	handle = open(FS, O_RDONLY | O_DIRECTORY);
	TEST_ASSERT(handle >= 0, "open");
}

static void close_root(void)
{
	close_fd();
	close(handle);
}

static int run_resource(void)
{
	struct kvm_create_guest_memfd args = {
		.size = SIZE,
		.flags = FLAGS_SHARED | GUEST_MEMFD_FLAG_USE_RESOURCE,
		.resource_fd = handle,
	};

	fd = ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, &args);
	return fd;
}

/*
 * Operations: memory of a guest
 */

static void *nothing;

static int set_slot(u64 size, u32 flags)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = GUEST_SLOT,
		.flags = flags,
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
	return set_slot(SIZE, KVM_MEM_GUEST_MEMFD);
}

static void unbind(void)
{
	TEST_ASSERT(!set_slot(0, 0), "deleting the slot");
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
	TEST_ASSERT(!run_bind(), "binding");
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

/* With a large leaf, which logging does away with */
static void fault_in_new_vm(void)
{
	bind_to_new_vm();
	TEST_ASSERT(!run_prefault(), "KVM_PRE_FAULT_MEMORY");
}

static int run_log_dirty(void)
{
	return set_slot(SIZE, KVM_MEM_GUEST_MEMFD | KVM_MEM_LOG_DIRTY_PAGES);
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

#include "gmem_persist_fail_files.h"

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
	{ "punch", punch_setup, run_punch, undo_punch, .must_not_fail = true },
	{ "begin to log dirty pages", fault_in_new_vm, run_log_dirty, free_new_vm },
	{ "close the last view of what has no name", make_unnamed, run_close, nothing_left,
	  .must_not_fail = true },
	{ "resource: an empty file", open_handle, run_resource, close_handle, .keeps = true },
	{ "resource: a file with memory", open_handle_with_memory, run_resource, close_handle },
	{ "resource: the root directory", open_root, run_resource, close_root },

	{ "file: create", NULL, run_file_create, remove_file },
	{ "file: create without a name", NULL, run_file_create_unnamed, close_fd },
	{ "file: create in a directory", new_dir, run_create_in_dir, remove_file_and_dir },
	{ "file: open", new_closed_file, run_file_open, remove_file },
	{ "file: open in a new cgroup", new_file_for_other_cgroup, run_file_open,
	  remove_file_and_leave, .possible = dmem_is_there },
	{ "file: open to read", new_closed_file, run_file_open_ro, remove_file },
	{ "file: ftruncate to its size", new_file, run_file_populate, remove_file },
	{ "file: truncate to its size", new_file, run_file_populate_by_path, remove_file },
	{ "file: ftruncate, in many pieces", leave_pieces, run_populate_pieces, fill_pieces },
	{ "file: fallocate", new_file, run_file_allocate, remove_file },
	{ "file: punch", write_to_file, run_punch, remove_punched, .must_not_fail = true },
	{ "file: read", new_memory_file, run_read_zeroes, remove_file },
	{ "file: write", new_memory_file, run_write_memory, remove_file },
	{ "file: unlink", new_closed_file, run_unlink, nothing_left, .ours_must_not_fail = true },
	{ "file: unlink an open one", new_memory_file, run_unlink, close_fd,
	  .ours_must_not_fail = true },
	{ "file: close the last view of an unlinked one", new_unlinked_file, run_close,
	  nothing_left, .must_not_fail = true },
	{ "file: chmod", new_closed_file, run_chmod, remove_file, .ours_must_not_fail = true },
	{ "file: fchmod", new_memory_file, run_fchmod, remove_file, .must_not_fail = true },
	{ "file: chown", new_closed_file, run_chown, remove_file, .ours_must_not_fail = true },
	{ "file: fchown", new_memory_file, run_fchown, remove_file, .must_not_fail = true },
	{ "file: utimes", new_closed_file, run_utimes, remove_file, .ours_must_not_fail = true },
	{ "file: futimens", new_memory_file, run_futimens, remove_file, .must_not_fail = true },
	{ "file: stat", new_closed_file, run_stat, remove_file, .ours_must_not_fail = true },
	{ "file: rename", new_closed_file, run_rename, remove_renamed,
	  .ours_must_not_fail = true },
	{ "file: rename onto another", new_two_files, run_rename, remove_renamed,
	  .ours_must_not_fail = true },
	{ "file: exchange", new_two_files, run_exchange, remove_both,
	  .ours_must_not_fail = true },
	{ "file: rename into a directory", new_file_and_dir, run_move, remove_moved,
	  .ours_must_not_fail = true },
	{ "file: ask for its lists", new_memory_file, run_ask_more, remove_file },
	{ "file: share", new_memory_file, run_share, remove_file, .must_not_fail = true },
	{ "file: settle", write_to_file, run_settle, remove_written, .must_not_fail = true },
	{ "file: attach", choose_memory, run_attach, remove_file, check_empty_file,
	  .uses_up = true, .possible = something_is_quarantined },

	{ "data: write to an empty file", new_file, run_write_first, remove_file,
	  check_empty_file },
	{ "data: write over", new_data_file, run_write_over, remove_file, check_data_file },
	{ "data: write to a longer one", new_data_file, run_write_growing, remove_file,
	  check_data_file },
	{ "data: read", new_data_file, run_read, remove_file, check_data_file },
	{ "data: ftruncate, longer", new_data_file, run_truncate_longer, remove_file,
	  check_data_file_and_length },
	{ "data: ftruncate, shorter", new_long_data_file, run_truncate_shorter, remove_file,
	  .must_not_fail = true },
	{ "data: ftruncate to nothing", new_data_file, run_truncate_to_nothing, remove_file,
	  .must_not_fail = true },
	{ "data: fsync", new_data_file, run_fsync, remove_file, .must_not_fail = true },
	{ "data: reserve", new_data_file, run_file_reserve, remove_file,
	  check_data_file_and_length },
	{ "data: reserve in an empty file", new_file, run_file_reserve, remove_file,
	  check_empty_file },
	{ "data: reserve, in many pieces", leave_pieces, run_reserve_pieces, fill_pieces,
	  check_empty_file },
	{ "data: close the last view of an unlinked one", new_unlinked_data_file, run_close,
	  nothing_left, .must_not_fail = true },
	{ "data: ask what it is", new_data_file, run_ask, remove_file, check_data_file },

	{ "directory: mkdir", NULL, run_mkdir, remove_dir },
	{ "directory: rmdir", new_dir, run_rmdir, nothing_left, .ours_must_not_fail = true },
	{ "directory: set limits", open_dir, run_set_quota, remove_open_dir,
	  .must_not_fail = true },
	{ "directory: read", new_closed_file, run_readdir, remove_file },

	{ "direct I/O: read", prepare_reading, run_direct_read, end_reading,
	  .possible = disk_is_there },
	{ "direct I/O: write", prepare_writing, run_direct_write, end_writing,
	  .possible = disk_is_there },
	{ "direct I/O: read, asynchronous", prepare_reading, run_aio_read, end_reading,
	  .also = EAGAIN, .possible = disk_is_there },
	{ "direct I/O: write, asynchronous", prepare_writing, run_aio_write, end_writing,
	  .also = EAGAIN, .possible = disk_is_there },
	/* iommufd_should_fail() fails here and there, too, as if an allocation did. */
	{ "device: map", prepare_iommu, run_map_for_device, close_iommu,
	  .also = ENOENT, .possible = mock_is_there },
	{ "device: unmap", map_for_device, run_unmap_for_device, close_iommu,
	  .also = ENOENT, .possible = mock_is_there },

	{ "session: preserve", new_session, run_preserve, end_session,
	  .possible = luo_is_there },
	{ "session: end", preserve, run_end_session, close_fd, .must_not_fail = true,
	  .possible = luo_is_there },

	{ "sysfs: discard", set_up_discard, run_discard, close_control,
	  .ours_must_not_fail = true },
	{ "sysfs: freeze", set_up_freeze, run_freeze, undo_freeze, .ours_must_not_fail = true },
	{ "sysfs: thaw", set_up_thaw, run_thaw, close_control, .ours_must_not_fail = true },
	{ "sysfs: read", open_stat, run_read_control, close_control },
	{ "debugfs: the record", NULL, run_open_record, close_control },
	{ "mount", NULL, run_mount, undo_mount },
	{ "remount", NULL, run_remount, nothing_left },
	{ "sysfs: release", choose_granule, run_release, close_control, .uses_up = true,
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
	gmem_thaw();
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
	set_verbose(op->ours_must_not_fail);
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
	set_verbose(false);
	umount(FS);
	ksft_finished();
}
