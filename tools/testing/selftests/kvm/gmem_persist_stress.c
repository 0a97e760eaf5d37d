// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many VMMs at once do all that can be done with persistent memory, and with files beside it, in
 * random order, while others freeze and thaw the pool, ask what is in it and change how memory is
 * cleaned.
 *
 *   gmem_persist_stress [-t SECONDS] [-s SEED] [-w VMMS]
 *
 * What each object must contain, and what state it is in, is in a model that outlives
 * the VMM, so that a VMM may be killed in the middle of anything and another one goes on
 * with its objects. A seed gives each VMM the same decisions again, but not the same
 * interleaving of them.
 *
 * Needs a kernel booted with gmem_persist=2G or more, and root. A disk with the serial number
 * "scratch" is read from and written to by direct I/O.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/gmem_persist.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "gmem_persist_stress_files.h"
#include "gmem_persist_util.h"

#define CHUNK		((u64)SZ_2M)
#define MAX_CHUNKS	6
#define NR_OBJECTS	4
#define MAX_VMMS	8
/* Each VMM has its objects at these addresses in its guest. */
#define OBJECT_SPACE	((u64)SZ_32M)

/* What a VMM does in one step */
enum op {
	OP_CREATE,
	OP_CLAIM,
	OP_CLOSE,
	OP_DISCARD,
	OP_USER_FILL,
	OP_USER_CHECK,
	OP_GUEST_FILL,
	OP_GUEST_CHECK,
	OP_PUNCH,
	OP_SLOT_BOUND,
	OP_SLOT_USER,
	OP_SLOT_GONE,
	OP_PREFAULT,
	OP_CUT,
	OP_MOVE,
	OP_FORK,
	OP_CONVERT,
	OP_UNNAMED,
	OP_DIRECT_READ,
	OP_DIRECT_WRITE,
	OP_FILES,
	OP_DIE = OP_FILES + NR_FILE_OPS,
	NR_OPS,
};

static const char * const op_names[NR_OPS] = {
	"create", "claim", "close", "discard", "user_fill", "user_check", "guest_fill",
	"guest_check", "punch", "slot_bound", "slot_user", "slot_gone", "prefault", "cut",
	"move", "fork", "convert", "unnamed", "direct_read", "direct_write", FILE_OP_NAMES, "die",
};

/**
 * struct model - what an object is
 * @exists: it has been created, and not been discarded
 * @nr_chunks: its size. The first chunk is no step's: a vCPU writes there all the time
 * @token: of whoever wrote to it last, as it was told when it was claimed last; or that one's
 *	own, if he has written since
 * @own: the token of whoever claimed it last
 * @seed: of the pattern in each chunk but the first, 0 if it is zero
 * @private: it was made for a software-protected VM
 * @unsure: its VMM died in the middle of changing something
 */
struct model {
	bool exists;
	unsigned int nr_chunks;
	u8 token[KVM_GMEM_PERSIST_TOKEN_SIZE];
	u8 own[KVM_GMEM_PERSIST_TOKEN_SIZE];
	u64 seed[MAX_CHUNKS];
	bool private;
	bool unsure;
};

/**
 * struct vmm - what outlives a VMM
 * @objects: its objects
 * @files: its files
 * @random: state of its generator
 * @step: what it is doing
 * @protected: it is a software-protected VM
 * @done: how often it did what
 * @refused: how often the pool was frozen when it wanted to
 */
struct vmm {
	struct model objects[NR_OBJECTS];
	struct files files;
	u64 random;
	enum op step;
	bool protected;
	u64 done[NR_OPS];
	u64 refused;
};

/* Between all processes */
static struct shared {
	struct vmm vmms[MAX_VMMS];
	atomic_bool stop;
	atomic_ulong freezes;
	atomic_ulong reads;
} *shared;

/* A VMM's own: of each object, when it has a view */
static struct {
	int fd;
	void *mem;
	bool bound;
	bool by_user;
} views[NR_OBJECTS];

static struct vmm *me;
static int my_number;
static struct kvm_vm *vm;
static struct kvm_vcpu *vcpu;
static bool protected;

static u64 any(u64 limit)
{
	return random_u64(&me->random) % limit;
}

static const char *name_of(int i)
{
	static char name[KVM_GMEM_PERSIST_NAME_SIZE];

	snprintf(name, sizeof(name), PREFIX "%d-%d", my_number, i);
	return name;
}

static u64 gpa_of(int i)
{
	return GUEST_BASE + i * OBJECT_SPACE;
}

static u64 size_of(int i)
{
	return me->objects[i].nr_chunks * CHUNK;
}

static u64 flags_of(int i)
{
	return me->objects[i].private ? FLAGS_PRIVATE : FLAGS_SHARED;
}

/* A chunk that nobody writes but this VMM's steps */
static unsigned int any_chunk(int i)
{
	return 1 + any(me->objects[i].nr_chunks - 1);
}

/* A step that changes the layout may meet a frozen pool, and then has changed nothing. */
static bool was_frozen(int r, const char *what)
{
	if (r >= 0)
		return false;
	TEST_ASSERT(errno == EBUSY, "%s %d: errno %d (%s)", what, my_number, errno,
		    strerror(errno));
	me->refused++;
	return true;
}

/*
 * A second vCPU writes to the first chunk of an object, whatever happens to that
 */

static pthread_t writer;
static atomic_bool writer_stop;
static struct kvm_vcpu *writer_vcpu;

static void writing_guest(u64 gpa)
{
	u64 i;

	for (;;)
		for (i = 0; i < CHUNK; i += SZ_4K)
			WRITE_ONCE(*(u64 *)(gpa + i + 8), i);
}

static void *write_on(void *unused)
{
	while (!atomic_load(&writer_stop)) {
		/*
		 * Without a slot it is MMIO, without the right attribute or behind a
		 * mapping that is being cut it is a fault for the VMM: go on.
		 */
		if (__vcpu_run(writer_vcpu))
			TEST_ASSERT(errno == EINTR || errno == EFAULT || errno == EAGAIN,
				    "KVM_RUN: errno %d", errno);
		else
			TEST_ASSERT_KVM_EXIT_REASON(writer_vcpu, KVM_EXIT_MMIO);
	}
	return NULL;
}

static void do_nothing(int signum)
{
}

static void start_writer(int i)
{
	writer_vcpu = vm_vcpu_add(vm, 1, writing_guest);
	vcpu_args_set(writer_vcpu, 1, gpa_of(i));
	atomic_store(&writer_stop, false);
	TEST_ASSERT(!pthread_create(&writer, NULL, write_on, NULL), "pthread_create");
}

static void stop_writer(void)
{
	if (!writer_vcpu)
		return;
	atomic_store(&writer_stop, true);
	writer_vcpu->run->immediate_exit = 1;
	pthread_kill(writer, SIGUSR1);
	TEST_ASSERT(!pthread_join(writer, NULL), "pthread_join");
	writer_vcpu = NULL;
}

/*
 * Contents
 */

static void user_check(int i, unsigned int chunk)
{
	const u64 seed = me->objects[i].seed[chunk];

	if (seed)
		gmem_check(views[i].mem, chunk * CHUNK, CHUNK, SZ_4K, seed);
	else
		gmem_check_zero(views[i].mem, chunk * CHUNK, CHUNK);
}

static void guest_job(int i, unsigned int chunk, enum guest_op op, u64 seed)
{
	gmem_run_job(vcpu, &(struct gmem_guest_job){
		.op = op,
		.gpa = gpa_of(i) + chunk * CHUNK,
		.offset = chunk * CHUNK,
		.size = CHUNK,
		.step = SZ_4K,
		.seed = seed,
	});
}

static void guest_check(int i, unsigned int chunk)
{
	const u64 seed = me->objects[i].seed[chunk];

	guest_job(i, chunk, seed ? GUEST_CHECK : GUEST_CHECK_ZERO, seed);
}

static bool guest_sees(int i)
{
	return views[i].bound || views[i].by_user;
}

static void check_all(int i)
{
	unsigned int chunk;

	for (chunk = 1; chunk < me->objects[i].nr_chunks; chunk++) {
		if (views[i].mem)
			user_check(i, chunk);
		if (guest_sees(i))
			guest_check(i, chunk);
	}
}

/*
 * Slots
 */

static void set_slot(int i, u32 flags, u64 size)
{
	/* A place of nothing for bound private memory */
	static void *nothing;
	int r;

	if (!nothing)
		nothing = kvm_mmap(OBJECT_SPACE, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	r = __vm_set_user_memory_region2(vm, GUEST_SLOT + i, flags, gpa_of(i), size,
					 views[i].mem ?: nothing,
					 flags & KVM_MEM_GUEST_MEMFD ? views[i].fd : -1, 0);
	TEST_ASSERT(!r, "slot %d, flags 0x%x, size 0x%lx: errno %d", i, flags, size, errno);
}

static void drop_slot(int i)
{
	if (guest_sees(i))
		set_slot(i, 0, 0);
	views[i].bound = false;
	views[i].by_user = false;
}

static void bind_slot(int i)
{
	drop_slot(i);
	set_slot(i, KVM_MEM_GUEST_MEMFD, size_of(i));
	views[i].bound = true;
	if (protected)
		vm_mem_set_private(vm, gpa_of(i), size_of(i));
}

static void map_slot(int i)
{
	drop_slot(i);
	set_slot(i, 0, size_of(i));
	views[i].by_user = true;
}

/*
 * Views
 */

static void map_view(int i)
{
	static const u64 skews[] = { 0, 0, SZ_4K, SZ_2M + SZ_4K };

	if (!me->objects[i].private)
		views[i].mem = gmem_map_at(views[i].fd, size_of(i), SZ_2M,
					   skews[any(ARRAY_SIZE(skews))]);
}

static void unmap_view(int i)
{
	if (views[i].mem)
		kvm_munmap(views[i].mem, size_of(i));
	views[i].mem = NULL;
}

/* The parts of a view go in any order. */
static void close_view(int i)
{
	unsigned int left = 7;

	while (left) {
		unsigned int part = any(3);

		if (!(left & (1 << part)))
			continue;
		left &= ~(1 << part);
		if (part == 0)
			close(views[i].fd);
		else if (part == 1)
			unmap_view(i);
		else
			drop_slot(i);
	}
	views[i].fd = -1;
}

/* The token that was found where there was none: the object was created. */
static const u8 nobody[KVM_GMEM_PERSIST_TOKEN_SIZE];

static void note_tokens(struct model *o, const struct kvm_gmem_persist *args)
{
	memcpy(o->token, args->token, sizeof(o->token));
	memcpy(o->own, args->own_token, sizeof(o->own));
}

static bool create(int i)
{
	struct model *o = &me->objects[i];
	struct kvm_gmem_persist args = { .op = KVM_GMEM_PERSIST_CREATE };

	o->private = protected;
	o->nr_chunks = 2 + any(MAX_CHUNKS - 1);
	args.size = size_of(i);
	args.flags = flags_of(i);
	strcpy((char *)args.name, name_of(i));
	/* Should this VMM die here, nobody knows whether there is an object. */
	o->unsure = true;
	views[i].fd = gmem_persist(vm, &args);
	if (views[i].fd < 0 && errno == ENOSPC) {
		o->unsure = false;
		return false;
	}
	if (was_frozen(views[i].fd, "create")) {
		o->unsure = false;
		return false;
	}
	o->exists = true;
	note_tokens(o, &args);
	memset(o->seed, 0, sizeof(o->seed));
	o->unsure = false;
	map_view(i);
	check_all(i);
	return true;
}

static bool claim(int i)
{
	struct model *o = &me->objects[i];
	struct kvm_gmem_persist args = { .op = KVM_GMEM_PERSIST_RECLAIM, .flags = flags_of(i) };

	strcpy((char *)args.name, name_of(i));
	o->unsure = true;
	views[i].fd = gmem_persist(vm, &args);
	if (was_frozen(views[i].fd, "claim")) {
		o->unsure = false;
		return false;
	}
	TEST_ASSERT_EQ(args.size, size_of(i));
	/* Nobody else has written to it. What was found at its creation cannot be compared. */
	TEST_ASSERT(!memcmp(args.token, o->own, sizeof(o->own)) ||
		    !memcmp(args.token, o->token, sizeof(o->token)) ||
		    !memcmp(o->token, nobody, sizeof(nobody)), "another's token");
	note_tokens(o, &args);
	o->unsure = false;
	map_view(i);
	check_all(i);
	return true;
}

/*
 * Steps
 */

static void fill(int i, bool by_guest)
{
	const unsigned int chunk = any_chunk(i);
	const u64 seed = random_u64(&me->random) | 1;

	me->objects[i].unsure = true;
	if (by_guest)
		guest_job(i, chunk, GUEST_FILL, seed);
	else
		gmem_fill(views[i].mem, chunk * CHUNK, CHUNK, SZ_4K, seed);
	me->objects[i].seed[chunk] = seed;
	me->objects[i].unsure = false;
	if (views[i].mem)
		user_check(i, chunk);
	else
		guest_check(i, chunk);
}

static void punch(int i)
{
	const unsigned int chunk = any_chunk(i);
	int r;

	me->objects[i].unsure = true;
	r = fallocate(views[i].fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      chunk * CHUNK, CHUNK);
	if (!was_frozen(r, "punch")) {
		me->objects[i].seed[chunk] = 0;
		/* And in the one in which a vCPU is writing */
		r = fallocate(views[i].fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			      CHUNK / 2);
		was_frozen(r, "punching the first chunk");
	}
	me->objects[i].unsure = false;
}

static void prefault(int i)
{
	struct kvm_pre_fault_memory range = { .gpa = gpa_of(i), .size = size_of(i) };

	while (range.size && !__vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range))
		;
	TEST_ASSERT(!range.size || errno == EINTR || errno == EAGAIN,
		    "KVM_PRE_FAULT_MEMORY: errno %d", errno);
}

/* Leaves are cut, and come again. */
static void cut(int i)
{
	const u64 at = any(size_of(i) / SZ_4K) * SZ_4K;

	TEST_ASSERT(!mprotect(views[i].mem + at, SZ_4K, PROT_READ), "mprotect");
	TEST_ASSERT(!mprotect(views[i].mem, size_of(i), PROT_READ | PROT_WRITE), "mprotect");
	TEST_ASSERT(mmap(views[i].mem + at, SZ_4K, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, views[i].fd, at) != MAP_FAILED, "mmap");
}

static void move(int i)
{
	void *to;

	/* Its slot shows what is there, which would be nothing. */
	if (views[i].by_user)
		drop_slot(i);
	to = mremap(views[i].mem, size_of(i), size_of(i), MREMAP_MAYMOVE | MREMAP_FIXED,
		    gmem_map_at(views[i].fd, size_of(i), SZ_2M, any(2) * SZ_4K));
	TEST_ASSERT(to != MAP_FAILED, "mremap");
	views[i].mem = to;
	if (views[i].bound)
		bind_slot(i);
}

static void look_in_child(int i)
{
	pid_t pid = fork();

	TEST_ASSERT(pid >= 0, "fork");
	if (!pid) {
		/* This VMM may be killed at any time. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		user_check(i, any_chunk(i));
		_exit(0);
	}
	/* Its generator is a copy, or decisions would be made twice. */
	TEST_ASSERT_EQ(wait_for_child(pid), 0);
}

/* Conversions take leaves away, but no contents. */
static void convert(int i)
{
	const unsigned int chunk = any_chunk(i);

	vm_mem_set_shared(vm, gpa_of(i) + chunk * CHUNK + SZ_4K, SZ_64K);
	vm_mem_set_private(vm, gpa_of(i) + chunk * CHUNK + SZ_4K, SZ_64K);
	guest_check(i, chunk);
}

/* Memory without a name, zero and gone again */
static bool unnamed(void)
{
	const u64 size = SZ_4K * (1 + any(1024));
	int fd = __vm_create_guest_memfd(vm, size, GUEST_MEMFD_FLAG_PERSIST |
					 (protected ? FLAGS_PRIVATE : FLAGS_SHARED));
	void *mem;

	if (fd < 0 && errno == ENOSPC)
		return false;
	if (was_frozen(fd, "unnamed"))
		return false;
	if (!protected) {
		mem = gmem_map(fd, size);
		gmem_check_zero(mem, 0, size);
		gmem_fill(mem, 0, size, SZ_4K, SEED_HOST);
		kvm_munmap(mem, size);
	}
	close(fd);
	return true;
}

/* Between a chunk and a disk, or a file of gmemfs. Each VMM has its place there. */
static bool direct_io(int i, bool read)
{
	const unsigned int chunk = any_chunk(i);
	const u64 start = chunk * CHUNK, seed = random_u64(&me->random) | 1;
	void *mem = views[i].mem + start;
	int fd = file_open_direct(&me->files, any(2));
	bool done;

	if (fd < 0)
		return false;
	user_check(i, chunk);
	if (read) {
		me->objects[i].unsure = true;
		done = file_read_direct(&me->files, fd, mem, start, CHUNK, seed);
		if (done)
			me->objects[i].seed[chunk] = seed;
		me->objects[i].unsure = false;
	} else {
		done = file_write_direct(&me->files, fd, mem, CHUNK);
	}
	close(fd);
	user_check(i, chunk);
	return done;
}

/* Is this a thing to do with object i? */
static bool makes_sense(enum op op, int i)
{
	const struct model *o = &me->objects[i];
	const bool open = views[i].fd >= 0;

	switch (op) {
	case OP_CREATE:
		return !o->exists;
	case OP_CLAIM:
		return o->exists && !open && o->private == protected;
	case OP_DISCARD:
		return o->exists && !open;
	case OP_CLOSE:
	case OP_PUNCH:
	case OP_SLOT_BOUND:
		return open;
	case OP_USER_FILL:
	case OP_USER_CHECK:
	case OP_SLOT_USER:
	case OP_CUT:
	case OP_MOVE:
	case OP_FORK:
	case OP_DIRECT_READ:
	case OP_DIRECT_WRITE:
		return open && views[i].mem;
	case OP_GUEST_FILL:
	case OP_GUEST_CHECK:
	case OP_SLOT_GONE:
	case OP_PREFAULT:
		return open && guest_sees(i);
	case OP_CONVERT:
		return open && views[i].bound && protected;
	default:
		return true;
	}
}

static bool step(enum op op, int i)
{
	if (op >= OP_FILES && op < OP_DIE)
		return file_step(&me->files, op - OP_FILES, &me->random);
	switch (op) {
	case OP_CREATE:
		return create(i);
	case OP_CLAIM:
		return claim(i);
	case OP_CLOSE:
		close_view(i);
		break;
	case OP_DISCARD:
		me->objects[i].unsure = true;
		if (!was_frozen(gmem_discard(name_of(i)), "discard"))
			me->objects[i].exists = false;
		me->objects[i].unsure = false;
		break;
	case OP_USER_FILL:
	case OP_GUEST_FILL:
		fill(i, op == OP_GUEST_FILL);
		break;
	case OP_USER_CHECK:
		user_check(i, any_chunk(i));
		break;
	case OP_GUEST_CHECK:
		guest_check(i, any_chunk(i));
		break;
	case OP_PUNCH:
		punch(i);
		break;
	case OP_SLOT_BOUND:
		bind_slot(i);
		break;
	case OP_SLOT_USER:
		map_slot(i);
		break;
	case OP_SLOT_GONE:
		drop_slot(i);
		break;
	case OP_PREFAULT:
		prefault(i);
		break;
	case OP_CUT:
		cut(i);
		break;
	case OP_MOVE:
		move(i);
		break;
	case OP_FORK:
		look_in_child(i);
		break;
	case OP_CONVERT:
		convert(i);
		break;
	case OP_UNNAMED:
		return unnamed();
	case OP_DIRECT_READ:
	case OP_DIRECT_WRITE:
		return direct_io(i, op == OP_DIRECT_READ);
	case OP_DIE:
		/* With everything open, and a vCPU that runs */
		me->done[OP_DIE]++;
		kill(getpid(), SIGKILL);
		break;
	default:
		break;
	}
	return true;
}

/* An object of which nobody knows enough is looked up, and discarded. */
static void settle(int i)
{
	const time_t end = time(NULL) + LONG_TIME;
	struct model *o = &me->objects[i];

	if (!o->unsure)
		return;
	while (try_again(gmem_discard(name_of(i)), "discard", end))
		;
	o->exists = false;
	o->unsure = false;
}

/* Of two cgroups, if the caller has made them; who claims an object pays for it. */
static void join_cgroup(void)
{
	const char *procs = any(2) ? "/sys/fs/cgroup/stress0/cgroup.procs" :
				     "/sys/fs/cgroup/stress1/cgroup.procs";

	if (!access(procs, W_OK))
		TEST_ASSERT(!gmem_write_text(procs, "0"), "%s: errno %d", procs, errno);
}

static void run_vmm(int number)
{
	int i;

	me = &shared->vmms[number];
	my_number = number;
	join_cgroup();
	signal(SIGUSR1, do_nothing);
	protected = kvm_has_vm_type(KVM_X86_SW_PROTECTED_VM) && any(3) == 0;
	me->protected = protected;
	vm = gmem_create_vm(protected ? KVM_X86_SW_PROTECTED_VM : KVM_X86_DEFAULT_VM, &vcpu);

	for (i = 0; i < NR_OBJECTS; i++) {
		views[i].fd = -1;
		settle(i);
	}
	files_begin(&me->files, number);

	while (!atomic_load(&shared->stop)) {
		enum op op = any(NR_OPS);

		i = any(NR_OBJECTS);
		/* A life of some hundred steps */
		if ((op == OP_DIE && any(40)) || !makes_sense(op, i))
			continue;
		me->step = op;
		if (step(op, i))
			me->done[op]++;
		if (!writer_vcpu && guest_sees(i))
			start_writer(i);
	}

	stop_writer();
	for (i = 0; i < NR_OBJECTS; i++) {
		if (views[i].fd < 0)
			continue;
		check_all(i);
		close_view(i);
		/* So that the next view finds what this one has left */
		if (me->objects[i].private == protected && claim(i))
			close_view(i);
	}
	kvm_vm_free(vm);
	exit(0);
}

/*
 * What goes on beside the VMMs
 */

static void freeze_and_thaw(u64 seed)
{
	while (!atomic_load(&shared->stop)) {
		/* An object that is being created, or no handover */
		if (gmem_set_frozen("1")) {
			TEST_ASSERT(errno == EAGAIN || errno == EOPNOTSUPP,
				    "freezing: errno %d", errno);
		} else {
			atomic_fetch_add(&shared->freezes, 1);
			usleep(random_u64(&seed) % 2000);
			TEST_ASSERT(!gmem_set_frozen("0"), "thawing: errno %d", errno);
		}
		usleep(random_u64(&seed) % 300000);
	}
	exit(0);
}

/* One of the objects, that may not be there, or be gone by now */
static void ask_object(u64 *seed)
{
	char name[32], entries[SZ_4K];
	struct gmem_persist_list list = { .entries = (uintptr_t)entries, .nr = 64 };
	struct gmem_persist_info info = {};
	static const unsigned long requests[] = { GMEM_PERSIST_GET_NODES, GMEM_PERSIST_GET_RANGES,
						  GMEM_PERSIST_GET_BAD_PAGES };
	unsigned int i;
	int fd;

	snprintf(name, sizeof(name), PREFIX "%lu-%lu", random_u64(seed) % MAX_VMMS,
		 random_u64(seed) % NR_OBJECTS);
	fd = gmem_ask_object(name);
	if (fd < 0)
		return;
	TEST_ASSERT(!ioctl(fd, GMEM_PERSIST_GET_INFO, &info) || errno == ESTALE,
		    "asking %s: errno %d", name, errno);
	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		list.start = 0;
		list.nr = 64;
		TEST_ASSERT(!ioctl(fd, requests[i], &list) || errno == ESTALE,
			    "asking %s for list %u: errno %d", name, i, errno);
	}
	close(fd);
}

static void ask_all(u64 seed)
{
	static const char format[] =
		"pool %lu clean %lu dirty %lu used %lu quarantined %lu poisoned %lu";
	u64 pool, clean, dirty, used, quarantined, poisoned;
	char buf[SZ_4K];

	while (!atomic_load(&shared->stop)) {
		gmem_read_text(buf, sizeof(buf), SYSFS "stat");
		TEST_ASSERT(sscanf(buf, format, &pool, &clean, &dirty, &used, &quarantined,
				   &poisoned) == 6, "stat is: %s", buf);
		TEST_ASSERT(pool == clean + dirty + used + quarantined + poisoned,
			    "stat does not add up: %s", buf);
		ask_object(&seed);
		atomic_fetch_add(&shared->reads, 1);
		usleep(random_u64(&seed) % 5000);
	}
	exit(0);
}

static void change_cleaning(u64 seed)
{
	static const char * const rates[] = { "0", "1048576", "1073741824" };

	while (!atomic_load(&shared->stop)) {
		gmem_write_text(SYSFS "clean_rate", rates[random_u64(&seed) % ARRAY_SIZE(rates)]);
		gmem_write_text(SYSFS "clean_background", random_u64(&seed) % 2 ? "1" : "0");
		usleep(random_u64(&seed) % 50000);
	}
	exit(0);
}

static void (* const beside[])(u64 seed) = { freeze_and_thaw, ask_all, change_cleaning };

static pid_t start(int i, int nr_vmms, u64 seed)
{
	pid_t pid = fork();

	TEST_ASSERT(pid >= 0, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (i < nr_vmms)
			run_vmm(i);
		else
			beside[i - nr_vmms](seed + i);
	}
	return pid;
}

static void kill_one(pid_t pid)
{
	if (pid)
		kill(pid, SIGKILL);
}

static void print_process(int i, int nr_vmms)
{
	fprintf(stderr, "# process %d: %s\n", i,
		i < nr_vmms ? op_names[shared->vmms[i].step] : "beside the VMMs");
}

static void print_figures(int nr_vmms)
{
	u64 done, steps = 0, refused = 0, files_refused = 0, compared = 0;
	int op, i;

	for (op = 0; op < NR_OPS; op++) {
		for (done = 0, i = 0; i < nr_vmms; i++)
			done += shared->vmms[i].done[op];
		printf("%s=%lu\n", op_names[op], done);
		steps += done;
	}
	for (i = 0; i < nr_vmms; i++) {
		refused += shared->vmms[i].refused;
		files_refused += shared->vmms[i].files.refused;
		compared += shared->vmms[i].files.compared;
	}
	printf("steps=%lu\nrefused=%lu\nfiles_refused=%lu\nfile_bytes_compared=%lu\n", steps,
	       refused, files_refused, compared);
	printf("freezes=%lu\nsysfs_reads=%lu\n", atomic_load(&shared->freezes),
	       atomic_load(&shared->reads));
}

int main(int argc, char *argv[])
{
	pid_t pids[MAX_VMMS + ARRAY_SIZE(beside)];
	unsigned int seconds = 30;
	int nr_vmms = 3, nr, left, i, opt, status;
	u64 seed = time(NULL), killer, used;
	bool failed = false;
	time_t end;
	pid_t pid;

	while ((opt = getopt(argc, argv, "t:s:w:")) != -1) {
		switch (opt) {
		case 't':
			seconds = atoi_positive("seconds", optarg);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'w':
			nr_vmms = atoi_positive("VMMs", optarg);
			break;
		default:
			return KSFT_FAIL;
		}
	}
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_GUEST_MEMFD_PERSIST));
	TEST_ASSERT(nr_vmms <= MAX_VMMS, "at most %d VMMs", MAX_VMMS);

	shared = kvm_mmap(sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			  -1);
	files_mount();
	/* An earlier run may have left the pool frozen, and then no file can be removed. */
	gmem_thaw();
	for (i = 0; i < MAX_VMMS; i++) {
		shared->vmms[i].files.number = i;
		files_remove(&shared->vmms[i].files);
	}
	gmem_clean_up();
	used = gmem_pool_attr("used_bytes");
	TEST_ASSERT(!prctl(PR_SET_CHILD_SUBREAPER, 1), "prctl");
	printf("seed=%lu\n", seed);
	killer = seed | 1;
	for (i = 0; i < nr_vmms; i++)
		shared->vmms[i].random = seed * 1000003 + i + 1;

	nr = nr_vmms + ARRAY_SIZE(beside);
	for (i = 0; i < nr; i++)
		pids[i] = start(i, nr_vmms, seed);

	/*
	 * A VMM that was killed is started again. All else that ends early has failed, and so has
	 * what does not end at all.
	 */
	end = time(NULL) + seconds;
	for (left = nr; left;) {
		if (time(NULL) >= end || failed)
			atomic_store(&shared->stop, true);
		pid = waitpid(-1, &status, WNOHANG);
		if (!pid && time(NULL) >= end + LONG_TIME) {
			for (i = 0; i < nr; i++)
				if (pids[i])
					print_process(i, nr_vmms);
			TEST_FAIL("they go on %d seconds after the end", LONG_TIME);
		}
		if (!pid) {
			usleep(20000);
			/* In the middle of whatever it does */
			if (random_u64(&killer) % 300 == 0)
				kill_one(pids[random_u64(&killer) % nr_vmms]);
			continue;
		}
		TEST_ASSERT(pid > 0, "waitpid");
		for (i = 0; i < nr && pids[i] != pid; i++)
			;
		if (i == nr)
			continue;
		if (i < nr_vmms && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL &&
		    !atomic_load(&shared->stop)) {
			pids[i] = start(i, nr_vmms, seed);
			continue;
		}
		if (status && !(i < nr_vmms && WIFSIGNALED(status) &&
				WTERMSIG(status) == SIGKILL)) {
			fprintf(stderr, "# process %d ended with status 0x%x\n", i, status);
			print_process(i, nr_vmms);
			failed = true;
		}
		/* Its number may be somebody else's soon. */
		pids[i] = 0;
		left--;
	}
	/* What killed VMMs have left behind */
	while (waitpid(-1, NULL, 0) > 0)
		;

	gmem_thaw();
	for (i = 0; i < nr_vmms; i++)
		files_remove(&shared->vmms[i].files);
	umount(FILES_FS);
	gmem_clean_up();
	gmem_check_pool();
	print_figures(nr_vmms);
	TEST_ASSERT_EQ(gmem_pool_attr("used_bytes"), used);
	TEST_ASSERT(!failed, "something failed, see above");
	return 0;
}
