// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lives of persistent memory: who holds it and who does not, and what happens to whom
 * when it is punched, taken away, discarded or frozen while guests run on it.
 *
 * Needs a kernel booted with gmem_persist=3G or more, and root.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "gmem_persist_util.h"

/* Where whoever looks at all of an object with 1 GiB granules does look. */
#define LARGE_STEP	((u64)SZ_2M + SZ_4K)

/*
 * Cases: who holds a view
 */

enum part { PART_VM, PART_VCPU, PART_FD, PART_MAPPING, NR_PARTS };

#define NR_ORDERS	24

/* Order number @n of all. */
static void get_order(enum part order[NR_PARTS], int n)
{
	enum part last;
	int i, j;

	for (i = 0; i < NR_PARTS; i++)
		order[i] = i;
	for (i = NR_PARTS; i > 1; i--) {
		j = n % i;
		n /= i;
		last = order[i - 1];
		order[i - 1] = order[j];
		order[j] = last;
	}
}

/*
 * A VM, a vCPU that has run on the memory, a descriptor and a mapping, given up one
 * after the other. The last two hold the view, each alone, in any order.
 */
static void give_up_in_order(void *arg)
{
	const enum part *order = arg;
	const char *name = PREFIX "order";
	bool fd_open = true, mapped = true;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	void *mem;
	int fd, i, run_size;

	vm = gmem_create_default_vm(&vcpu);
	run_size = __kvm_ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL);
	fd = gmem_reclaim(vm, name, FLAGS_SHARED);
	gmem_add_slot(vm, fd, SZ_2M);
	mem = gmem_map(fd, SZ_2M);
	gmem_run_guest(vcpu, GUEST_CHECK, SZ_2M);
	gmem_check(mem, 0, SZ_2M, SZ_4K, SEED_GUEST);

	for (i = 0; i < NR_PARTS; i++) {
		switch (order[i]) {
		case PART_VM:
			close(vm->stats.fd);
			close(vm->fd);
			break;
		case PART_VCPU:
			kvm_munmap(vcpu->run, run_size);
			close(vcpu->stats.fd);
			close(vcpu->fd);
			break;
		case PART_FD:
			close(fd);
			fd_open = false;
			break;
		default:
			kvm_munmap(mem, SZ_2M);
			mapped = false;
			break;
		}
		if (fd_open || mapped) {
			gmem_assert_live(name);
			EXPECT_ERRNO(gmem_discard(name), EBUSY);
		} else {
			gmem_assert_parked(name);
		}
		if (mapped)
			gmem_check(mem, 0, SZ_2M, SZ_4K, SEED_GUEST);
	}
}

static void test_orders(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = __gmem_create(vm, PREFIX "order", SZ_2M, 0, FLAGS_SHARED);
	void *mem = gmem_map(fd, SZ_2M);
	enum part order[NR_PARTS];
	int i;

	gmem_fill(mem, 0, SZ_2M, SZ_4K, SEED_GUEST);
	kvm_munmap(mem, SZ_2M);
	kvm_vm_free(vm);
	close(fd);
	for (i = 0; i < NR_ORDERS; i++) {
		get_order(order, i);
		run_in_child(give_up_in_order, order);
		gmem_assert_parked(PREFIX "order");
	}
}

static void assert_held(const char *name, const char *by)
{
	char state[32];

	gmem_object_attr(state, sizeof(state), name, "state");
	TEST_ASSERT(!strcmp(state, "live"), "%s does not hold the view: %s", by, state);
	EXPECT_ERRNO(gmem_discard(name), EBUSY);
}

/* What is left of a mapping holds the view, wherever it is and whoever can read it. */
static void test_pieces_of_mappings(void)
{
	const char *name = PREFIX "pieces";
	struct kvm_vm *vm = vm_create_barebones();
	int fd = gmem_create(vm, name, FLAGS_SHARED);
	void *mem = gmem_map_at(fd, OBJECT_SIZE, SZ_2M, 0);
	void *to = kvm_mmap(SZ_4K, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	kvm_vm_free(vm);
	close(fd);
	gmem_fill(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	assert_held(name, "a mapping");

	TEST_ASSERT(!mprotect(mem, OBJECT_SIZE, PROT_NONE), "mprotect");
	assert_held(name, "a mapping that nobody can read");
	TEST_ASSERT(!mprotect(mem, OBJECT_SIZE, PROT_READ | PROT_WRITE), "mprotect");
	gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);

	kvm_munmap(mem, SZ_2M + SZ_4K);
	kvm_munmap(mem + SZ_4M, SZ_4M);
	assert_held(name, "a part of a mapping");
	gmem_check(mem, SZ_2M + SZ_4K, SZ_2M - SZ_4K, SZ_4K, SEED_HOST);

	TEST_ASSERT(mremap(mem + SZ_2M + SZ_4K, SZ_4K, SZ_4K,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to) == to, "mremap");
	kvm_munmap(mem + SZ_2M + 2 * SZ_4K, SZ_2M - 2 * SZ_4K);
	assert_held(name, "a page that was moved");
	gmem_check(to - SZ_2M - SZ_4K, SZ_2M + SZ_4K, SZ_4K, SZ_4K, SEED_HOST);
	kvm_munmap(to, SZ_4K);
	gmem_assert_parked(name);
}

/* A process that does nothing but to hold what it has inherited. */
static pid_t start_holder(int pipe_fds[2])
{
	pid_t pid;
	char c;

	TEST_ASSERT(!pipe(pipe_fds), "pipe");
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork failed");
	if (!pid) {
		close(pipe_fds[1]);
		TEST_ASSERT(!read(pipe_fds[0], &c, 1), "pipe");
		_exit(0);
	}
	close(pipe_fds[0]);
	return pid;
}

static void end_holder(pid_t pid, int pipe_fds[2])
{
	close(pipe_fds[1]);
	TEST_ASSERT_EQ(wait_for_child(pid), 0);
}

static void test_fork_and_o_path(void)
{
	const char *name = PREFIX "fork";
	struct kvm_vm *vm = vm_create_barebones();
	int fd = gmem_create(vm, name, FLAGS_SHARED);
	void *mem = gmem_map(fd, OBJECT_SIZE);
	char path[64];
	int pipe_fds[2], o_path;
	pid_t pid;

	/* A child with nothing but the mapping. */
	close(fd);
	pid = start_holder(pipe_fds);
	kvm_munmap(mem, OBJECT_SIZE);
	assert_held(name, "a mapping of a child");
	end_holder(pid, pipe_fds);
	gmem_assert_parked(name);

	/* A child that was not to get it. */
	fd = gmem_reclaim(vm, name, FLAGS_SHARED);
	mem = gmem_map(fd, OBJECT_SIZE);
	close(fd);
	TEST_ASSERT(!madvise(mem, OBJECT_SIZE, MADV_DONTFORK), "madvise");
	pid = start_holder(pipe_fds);
	assert_held(name, "a mapping");
	kvm_munmap(mem, OBJECT_SIZE);
	gmem_assert_parked(name);
	end_holder(pid, pipe_fds);

	fd = gmem_reclaim(vm, name, FLAGS_SHARED);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	o_path = open(path, O_PATH);
	TEST_ASSERT(o_path >= 0, "O_PATH: errno %d", errno);
	close(fd);
	assert_held(name, "a descriptor of O_PATH");
	EXPECT_ERRNO(mmap(NULL, SZ_2M, PROT_READ, MAP_SHARED, o_path, 0), EBADF);
	close(o_path);
	gmem_assert_parked(name);
	kvm_vm_free(vm);
}

static void send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = {}, c = 0;
	struct iovec iov = { .iov_base = &c, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	TEST_ASSERT(sendmsg(socket, &msg, 0) == 1, "sendmsg");
}

static int receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, c;
	struct iovec iov = { .iov_base = &c, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	TEST_ASSERT(recvmsg(socket, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg), "recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* A VMM that sends its memory away, and is killed while its guest runs on it. */
static void sending_vmm(const char *name, int socket)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = gmem_create_default_vm(&vcpu);
	int fd = gmem_create(vm, name, FLAGS_SHARED);

	gmem_add_slot(vm, fd, OBJECT_SIZE);
	gmem_run_guest(vcpu, GUEST_FILL, OBJECT_SIZE);
	send_fd(socket, fd);
	gmem_run_guest(vcpu, GUEST_FILL_FOREVER, OBJECT_SIZE);
}

static void test_socket(void)
{
	const char *name = PREFIX "socket";
	struct kvm_gmem_persist args = GMEM_ARGS(RECLAIM, PREFIX "socket",
		.flags = FLAGS_SHARED);
	struct kvm_vm *vm = vm_create_barebones();
	int sockets[2], fd;
	char state[32];
	void *mem;
	pid_t pid;

	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), "socketpair");
	pid = fork();
	if (!pid) {
		close(sockets[0]);
		sending_vmm(name, sockets[1]);
		exit(1);
	}
	close(sockets[1]);
	/* Peek, so that the descriptor stays on its way. */
	TEST_ASSERT(recv(sockets[0], state, 1, MSG_PEEK) == 1, "the VMM ended too early");
	kill(pid, SIGKILL);
	TEST_ASSERT(WIFSIGNALED(wait_for_child(pid)), "the VMM was not killed");
	assert_held(name, "a message in a socket");

	fd = receive_fd(sockets[0]);
	mem = gmem_map(fd, OBJECT_SIZE);
	gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_GUEST);
	gmem_punch(fd, 0, SZ_4K);
	gmem_check_zero(mem, 0, SZ_4K);
	close(fd);
	assert_held(name, "a mapping");
	gmem_expect_refused(vm, &args, EBUSY, "claim while another process has it");
	kvm_munmap(mem, OBJECT_SIZE);
	gmem_assert_parked(name);

	/* On its way again, but nobody takes it. */
	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), "socketpair");
	fd = gmem_reclaim(vm, name, FLAGS_SHARED);
	send_fd(sockets[1], fd);
	close(fd);
	assert_held(name, "a message in a socket");
	close(sockets[0]);
	close(sockets[1]);
	gmem_assert_parked(name);
	kvm_vm_free(vm);
}

/*
 * The view goes, the VM stays, and another VM gets the memory: the guest of the first
 * one must not see it any more, whatever it had mapped.
 */
static void test_view_is_gone(void)
{
	const char *name = PREFIX "gone";
	struct kvm_vcpu *vcpus[2];
	struct kvm_vm *vms[2];
	void *mem;
	int fd, bound, r;

	for (bound = 0; bound < 2; bound++) {
		vms[0] = gmem_create_default_vm(&vcpus[0]);
		fd = bound ? gmem_reclaim(vms[0], name, FLAGS_SHARED) :
			     gmem_create(vms[0], name, FLAGS_SHARED);
		mem = gmem_map_at(fd, OBJECT_SIZE, SZ_2M, 0);
		if (bound)
			gmem_add_slot(vms[0], fd, OBJECT_SIZE);
		else
			vm_set_user_memory_region2(vms[0], GUEST_SLOT, 0, GUEST_BASE,
						   OBJECT_SIZE, mem, -1, 0);
		gmem_run_guest(vcpus[0], GUEST_FILL, OBJECT_SIZE);
		kvm_munmap(mem, OBJECT_SIZE);
		close(fd);
		gmem_assert_parked(name);

		vms[1] = gmem_create_default_vm(&vcpus[1]);
		fd = gmem_reclaim(vms[1], name, FLAGS_SHARED);
		gmem_add_slot(vms[1], fd, OBJECT_SIZE);

		gmem_start_job(vcpus[0], &(struct gmem_guest_job){ GUEST_FILL, GUEST_BASE,
			       0, OBJECT_SIZE, SZ_4K, SEED_HOST });
		r = _vcpu_run(vcpus[0]);
		TEST_ASSERT(r == -1 && errno == EFAULT,
			    "a guest without a view: %d, errno %d, exit %s", r, errno,
			    exit_reason_str(vcpus[0]->run->exit_reason));
		if (bound)
			TEST_ASSERT_EQ(vcpus[0]->run->exit_reason, KVM_EXIT_MEMORY_FAULT);
		gmem_run_guest(vcpus[1], GUEST_CHECK, OBJECT_SIZE);
		kvm_vm_free(vms[0]);
		gmem_run_guest(vcpus[1], GUEST_CHECK, OBJECT_SIZE);
		kvm_vm_free(vms[1]);
		close(fd);
		gmem_assert_parked(name);
	}
}

/*
 * Cases: while guests run
 */

static int nr_mmio;

/* A vCPU that does its job for ever. Without a slot, its accesses are MMIO: of zeroes. */
static void *vcpu_thread(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct ucall uc;

	for (;;) {
		vcpu_run(vcpu);
		if (vcpu->run->exit_reason == KVM_EXIT_MMIO) {
			memset(vcpu->run->mmio.data, 0, sizeof(vcpu->run->mmio.data));
			__atomic_add_fetch(&nr_mmio, 1, __ATOMIC_RELAXED);
			sched_yield();
			continue;
		}
		if (get_ucall(vcpu, &uc) == UCALL_ABORT)
			REPORT_GUEST_ASSERT(uc);
		TEST_FAIL("exit %s", exit_reason_str(vcpu->run->exit_reason));
	}
	return NULL;
}

/* The thread ends with the process of the case. */
static void start_vcpu(struct kvm_vcpu *vcpu)
{
	pthread_t thread;

	kvm_pthread_create(&thread, NULL, vcpu_thread, vcpu);
}

struct refill {
	void *mem;
	u64 size;
	u64 step;
};

/* User space on the second half of each page, as the guest is on the first. */
static void *refill_thread(void *arg)
{
	const struct refill *refill = arg;
	u64 offset, word;

	for (;;) {
		for (offset = SZ_2K; offset < refill->size; offset += refill->step) {
			word = READ_ONCE(*(u64 *)(refill->mem + offset));
			TEST_ASSERT(!word || word == gmem_pattern(offset, SEED_HOST),
				    "user space at offset 0x%lx: 0x%lx, neither zero nor 0x%lx",
				    offset, word, gmem_pattern(offset, SEED_HOST));
			WRITE_ONCE(*(u64 *)(refill->mem + offset),
				   gmem_pattern(offset, SEED_HOST));
		}
	}
	return NULL;
}

static u64 faults_of(struct kvm_vcpu *vcpus[2])
{
	return vcpu_get_stat(vcpus[0], pf_fixed) + vcpu_get_stat(vcpus[1], pf_fixed);
}

/*
 * Until the guest has had another fault. A vCPU counts it after the leaf is there, which
 * the other one may have used meanwhile.
 */
static void wait_for_fault(struct kvm_vcpu *vcpus[2], u64 faults)
{
	alarm(120);
	while (faults_of(vcpus) == faults)
		sched_yield();
	alarm(0);
}

/*
 * Holes under the feet of two vCPUs and a thread, which see the old contents, or zero,
 * or what they have written since, and go on.
 */
static void punch_while_running(u64 size, u64 granule, u64 step)
{
	const struct {
		u64 offset;
		u64 size;
	} holes[] = {
		{ 0, SZ_4K },
		{ step, SZ_4K },
		{ 0, SZ_2M },
		{ 2 * step, SZ_2M },
		{ 0, size },
	};
	/* The thread is there until the process ends. */
	static struct refill refill;
	struct kvm_vcpu *vcpus[2];
	pthread_t thread;
	struct kvm_vm *vm;
	long user_faults;
	u64 faults;
	int fd, i;

	vm = gmem_create_default_vm(&vcpus[0]);
	vcpus[1] = gmem_add_vcpu(vm, 1);
	fd = __gmem_create(vm, PREFIX "holes", size, granule, FLAGS_SHARED);
	refill = (struct refill){ gmem_map_at(fd, size, granule, 0), size, step };
	gmem_add_slot(vm, fd, size);
	gmem_start_job(vcpus[0], &(struct gmem_guest_job){ GUEST_REFILL_FOREVER, GUEST_BASE,
		       0, size, step, SEED_GUEST });
	start_vcpu(vcpus[0]);
	start_vcpu(vcpus[1]);
	kvm_pthread_create(&thread, NULL, refill_thread, &refill);

	for (i = 0; i < 4 * ARRAY_SIZE(holes); i++) {
		const u64 offset = holes[i % ARRAY_SIZE(holes)].offset;
		u64 *word = refill.mem + offset;

		gmem_wait_for(word, gmem_pattern(offset, SEED_GUEST));
		gmem_wait_for(word + SZ_2K / 8, gmem_pattern(offset + SZ_2K, SEED_HOST));
		faults = faults_of(vcpus);
		user_faults = gmem_minor_faults();
		gmem_punch(fd, offset, holes[i % ARRAY_SIZE(holes)].size);
		gmem_wait_for(word, gmem_pattern(offset, SEED_GUEST));
		gmem_wait_for(word + SZ_2K / 8, gmem_pattern(offset + SZ_2K, SEED_HOST));
		/* All got there by a fault, so the memory had been taken away. */
		wait_for_fault(vcpus, faults);
		TEST_ASSERT(gmem_minor_faults() > user_faults, "hole %d: no fault", i);
	}
}

static void test_punch(void)
{
	punch_while_running(OBJECT_SIZE, SZ_2M, SZ_4K);
}

static void test_punch_1g(void)
{
	SKIP_UNLESS(gmem_pool_attr("free_1g_bytes") >= SZ_1G,
		    "not enough whole GiB are free");
	punch_while_running(SZ_1G, SZ_1G, LARGE_STEP);
}

/*
 * By its address, KVM has a fault handled and looks for what it has brought, which may be gone by
 * then, as leaves are dropped all the time. The guest only sees what it has written.
 */
static void test_drop(void)
{
	struct kvm_vcpu *vcpus[2];
	struct kvm_vm *vm;
	u64 faults;
	void *mem;
	int fd, i;

	vm = gmem_create_default_vm(&vcpus[0]);
	vcpus[1] = gmem_add_vcpu(vm, 1);
	fd = gmem_create(vm, PREFIX "drop", FLAGS_SHARED);
	mem = gmem_map_at(fd, OBJECT_SIZE, SZ_2M, 0);
	vm_set_user_memory_region2(vm, GUEST_SLOT, 0, GUEST_BASE, OBJECT_SIZE, mem, -1, 0);
	gmem_start_job(vcpus[0], &(struct gmem_guest_job){ GUEST_REFILL_FOREVER, GUEST_BASE,
		       0, OBJECT_SIZE, SZ_4K, SEED_GUEST });
	start_vcpu(vcpus[0]);
	start_vcpu(vcpus[1]);
	gmem_wait_for(mem + OBJECT_SIZE - SZ_4K,
		      gmem_pattern(OBJECT_SIZE - SZ_4K, SEED_GUEST));
	faults = faults_of(vcpus);
	for (i = 0; i < 20000; i++)
		TEST_ASSERT(!madvise(mem + i % 4 * SZ_2M, SZ_4K, MADV_DONTNEED),
			    "MADV_DONTNEED: errno %d", errno);
	wait_for_fault(vcpus, faults);
}

/* Until the guest has found a slot missing. */
static void wait_for_mmio(void)
{
	int nr = __atomic_load_n(&nr_mmio, __ATOMIC_RELAXED);

	alarm(120);
	while (__atomic_load_n(&nr_mmio, __ATOMIC_RELAXED) == nr)
		sched_yield();
	alarm(0);
}

/* Until the guest has come to the beginning of the object once more. */
static void wait_for_refill(u64 *mem)
{
	WRITE_ONCE(*mem, 0);
	gmem_wait_for(mem, gmem_pattern(0, SEED_GUEST));
}

static void test_slots_come_and_go(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	int fd, i, r;
	void *mem;

	vm = gmem_create_default_vm(&vcpu);
	fd = gmem_create(vm, PREFIX "slots", FLAGS_SHARED);
	mem = gmem_map_at(fd, OBJECT_SIZE, SZ_2M, 0);
	gmem_add_slot(vm, fd, OBJECT_SIZE);
	gmem_start_job(vcpu, &(struct gmem_guest_job){ GUEST_REFILL_FOREVER, GUEST_BASE, 0,
		       OBJECT_SIZE, SZ_4K, SEED_GUEST });
	start_vcpu(vcpu);

	for (i = 0; i < 4; i++) {
		wait_for_refill(mem);
		gmem_delete_slot(vm);
		wait_for_mmio();
		/* Nobody writes there any more. */
		gmem_fill(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
		wait_for_mmio();
		gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
		gmem_punch(fd, 0, OBJECT_SIZE);
		gmem_add_slot(vm, fd, OBJECT_SIZE);
	}

	/* Of memslots that are bound, only the address in user space would be free. */
	r = __vm_set_user_memory_region2(vm, GUEST_SLOT, KVM_MEM_GUEST_MEMFD,
					 GUEST_BASE + SZ_1G, OBJECT_SIZE, mem, fd, 0);
	TEST_ASSERT(r && errno == EINVAL, "moving a bound slot: %d, errno %d", r, errno);
	wait_for_refill(mem);
	gmem_delete_slot(vm);
	wait_for_mmio();
	gmem_punch(fd, 0, OBJECT_SIZE);

	/* One that refers to the mapping moves. */
	for (i = 0; i < 4; i++) {
		vm_set_user_memory_region2(vm, GUEST_SLOT, 0, GUEST_BASE, OBJECT_SIZE, mem,
					   -1, 0);
		wait_for_refill(mem);
		vm_set_user_memory_region2(vm, GUEST_SLOT, 0, GUEST_BASE + SZ_1G,
					   OBJECT_SIZE, mem, -1, 0);
		wait_for_mmio();
		gmem_fill(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
		wait_for_mmio();
		gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
		gmem_punch(fd, 0, OBJECT_SIZE);
	}
}

/*
 * Frozen while a guest runs: it goes on, on memory that it had and on memory that it
 * must fault in; only the layout stands still.
 */
static void freeze_while_running(u64 size, u64 granule, u64 step)
{
	const struct kvm_gmem_persist refused[] = {
		GMEM_ARGS(CREATE, PREFIX "new", .size = SZ_2M),
		GMEM_ARGS(CREATE_OR_RECLAIM, PREFIX "new", .size = SZ_2M),
		GMEM_ARGS(RECLAIM, PREFIX "parked", .flags = FLAGS_SHARED),
	};
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	struct kvm_vcpu *vcpus[2];
	struct kvm_vm *vm;
	u64 faults;
	void *mem;
	int fd, i, r;

	vm = gmem_create_default_vm(&vcpus[0]);
	vcpus[1] = gmem_add_vcpu(vm, 1);
	close(__gmem_create(vm, PREFIX "parked", SZ_2M, 0, FLAGS_SHARED));
	fd = __gmem_create(vm, PREFIX "running", size, granule, FLAGS_SHARED);
	gmem_add_slot(vm, fd, size);
	mem = gmem_map_at(fd, size, granule, 0);
	gmem_start_job(vcpus[0], &(struct gmem_guest_job){ GUEST_REFILL_FOREVER, GUEST_BASE,
		       0, size, step, SEED_GUEST });
	start_vcpu(vcpus[0]);
	wait_for_refill(mem);
	gmem_punch(fd, 0, size);

	r = gmem_set_frozen("1");
	SKIP_UNLESS(!r || errno != EOPNOTSUPP, "KHO is off: no freezing");
	TEST_ASSERT(!r, "freezing: errno %d (%s)", errno, strerror(errno));

	faults = faults_of(vcpus);
	start_vcpu(vcpus[1]);
	wait_for_refill(mem);
	gmem_wait_for(mem + size / step / 2 * step,
		      gmem_pattern(size / step / 2 * step, SEED_GUEST));
	kvm_munmap(mem, size);
	mem = gmem_map_at(fd, size, granule, SZ_4K);
	wait_for_refill(mem);
	/* With the memory still mapped, there would be none of the second half. */
	gmem_delete_slot(vm);
	wait_for_mmio();
	faults = faults_of(vcpus);
	gmem_add_slot(vm, fd, size);
	wait_for_refill(mem);
	wait_for_fault(vcpus, faults);

	for (i = 0; i < ARRAY_SIZE(refused); i++)
		gmem_expect_refused(vm, &refused[i], EBUSY, "frozen");
	gmem_expect_unnamed_refused(vm, SZ_2M, GUEST_MEMFD_FLAG_PERSIST, EBUSY);
	EXPECT_ERRNO(gmem_discard(PREFIX "parked"), EBUSY);
	EXPECT_ERRNO(gmem_discard(PREFIX "running"), EBUSY);
	EXPECT_ERRNO(fallocate(fd, punch, 0, size), EBUSY);
	wait_for_refill(mem);

	TEST_ASSERT(!gmem_set_frozen("0"), "thawing");
	gmem_punch(fd, 0, size);
	wait_for_refill(mem);
	close(gmem_reclaim(vm, PREFIX "parked", FLAGS_SHARED));
	TEST_ASSERT(!gmem_discard(PREFIX "parked"), "discard");
	close(__gmem_create(vm, PREFIX "new", SZ_2M, 0, FLAGS_SHARED));
	wait_for_refill(mem);
}

static void test_freeze(void)
{
	freeze_while_running(OBJECT_SIZE, SZ_2M, SZ_4K);
}

static void test_freeze_1g(void)
{
	SKIP_UNLESS(gmem_pool_attr("free_1g_bytes") >= SZ_1G,
		    "not enough whole GiB are free");
	freeze_while_running(SZ_1G, SZ_1G, LARGE_STEP);
}

/*
 * Cases: what user space says about a mapping
 */

static int register_with_userfaultfd(void *mem, u64 mode)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { .start = (u64)mem, .len = OBJECT_SIZE },
		.mode = mode,
	};
	int uffd = syscall(__NR_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	int r, error;

	SKIP_UNLESS(uffd >= 0, "no userfaultfd");
	TEST_ASSERT(!ioctl(uffd, UFFDIO_API, &api), "UFFDIO_API");
	r = ioctl(uffd, UFFDIO_REGISTER, &reg);
	error = errno;
	close(uffd);
	errno = error;
	return r;
}

/* None of it frees the memory, or changes what is in there, but a hole. */
static void test_advice(void)
{
	static const struct {
		int advice;
		int error;
	} advices[] = {
		{ MADV_WILLNEED, 0 },
		{ MADV_DONTFORK, 0 },
		{ MADV_DONTNEED, 0 },
		{ MADV_DONTNEED_LOCKED, 0 },
		{ MADV_FREE, EINVAL },
		{ MADV_COLD, EINVAL },
		{ MADV_PAGEOUT, EINVAL },
		{ MADV_POPULATE_READ, EINVAL },
		{ MADV_POPULATE_WRITE, EINVAL },
		{ MADV_WIPEONFORK, EINVAL },
	};
	const char *name = PREFIX "advice";
	struct kvm_vm *vm = vm_create_barebones();
	int fd = gmem_create(vm, name, FLAGS_SHARED);
	void *mem = gmem_map_at(fd, OBJECT_SIZE, SZ_2M, 0);
	int i, r;

	gmem_fill(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	for (i = 0; i < ARRAY_SIZE(advices); i++) {
		errno = 0;
		r = madvise(mem, OBJECT_SIZE, advices[i].advice);
		TEST_ASSERT((r ? errno : 0) == advices[i].error,
			    "madvise(%d) gave %d, errno %d, wanted %d",
			    advices[i].advice, r, errno, advices[i].error);
		gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	}

	/* Nothing to lock, and nothing that an unlocking would let go. */
	TEST_ASSERT(!mlock(mem, OBJECT_SIZE), "mlock: errno %d", errno);
	TEST_ASSERT(!munlock(mem, OBJECT_SIZE), "munlock: errno %d", errno);
	EXPECT_ERRNO(register_with_userfaultfd(mem, UFFDIO_REGISTER_MODE_MISSING), EINVAL);
	EXPECT_ERRNO(register_with_userfaultfd(mem, UFFDIO_REGISTER_MODE_WP), EINVAL);
	gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);

	/* A hole by another name. */
	TEST_ASSERT(!madvise(mem + SZ_2M, SZ_4K, MADV_REMOVE), "MADV_REMOVE: errno %d",
		    errno);
	gmem_check_zero(mem, SZ_2M, SZ_4K);
	gmem_check(mem, 0, SZ_2M, SZ_4K, SEED_HOST);
	gmem_check(mem, SZ_2M + SZ_4K, OBJECT_SIZE - SZ_2M - SZ_4K, SZ_4K, SEED_HOST);
	close(fd);
	kvm_vm_free(vm);
	assert_held(name, "a mapping");
	kvm_munmap(mem, OBJECT_SIZE);
	gmem_assert_parked(name);
}

static const struct gmem_test tests[] = {
	{ "VM, vCPU, descriptor and mapping, in all orders", test_orders },
	{ "pieces of a mapping hold the view", test_pieces_of_mappings },
	{ "what a child has, and O_PATH", test_fork_and_o_path },
	{ "a descriptor in a socket", test_socket },
	{ "a guest that has lost its view", test_view_is_gone },
	{ "holes while guests run", test_punch },
	{ "holes while guests run, in granules of 1 GiB", test_punch_1g },
	{ "leaves that are dropped while guests run", test_drop },
	{ "memslots while a guest runs", test_slots_come_and_go },
	{ "frozen while guests run", test_freeze },
	{ "frozen while guests run, in granules of 1 GiB", test_freeze_1g },
	{ "madvise, mlock, userfaultfd", test_advice },
};

int main(int argc, char *argv[])
{
	return gmem_run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
