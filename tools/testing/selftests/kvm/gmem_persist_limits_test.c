// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the rest of the kernel may do with a mapping of persistent memory, which has no
 * struct page. What is refused is refused with the errno that
 * Documentation/virt/kvm/gmem-persist.rst names, and changes nothing; what it says to
 * use instead works.
 *
 * Needs a kernel booted with gmem_persist=1G or more, and root.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <linux/bitmap.h>
#include <linux/futex.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/nvme_ioctl.h>
#include <linux/userfaultfd.h>
#include <linux/vhost.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "gmem_persist_util.h"

/* Values that not every C library knows yet */
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

static void *mem;

/* An object of OBJECT_SIZE with SEED_HOST's pattern, mapped at mem */
static struct kvm_vm *with_memory(const char *name)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = gmem_create(vm, name, FLAGS_SHARED);

	mem = gmem_map_at(fd, OBJECT_SIZE, SZ_2M, 0);
	gmem_fill(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	close(fd);
	return vm;
}

/*
 * System calls that want pages
 */

static long read_direct(void)
{
	static const char disk[] = "/dev/vda";
	int fd = open(disk, O_RDONLY | O_DIRECT);
	char buf[SZ_4K];

	SKIP_UNLESS(fd >= 0, "no disk /dev/vda");
	TEST_ASSERT_EQ(read(fd, mem, SZ_4K), SZ_4K);
	close(fd);
	fd = open(disk, O_RDONLY);
	TEST_ASSERT_EQ(read(fd, buf, SZ_4K), SZ_4K);
	return memcmp(mem, buf, SZ_4K) ? -1 : 0;
}

static long read_buffered(void)
{
	char path[] = "/tmp/gmem-XXXXXX";
	int fd = mkstemp(path);

	TEST_ASSERT(fd >= 0, "mkstemp");
	unlink(path);
	TEST_ASSERT_EQ(write(fd, mem, SZ_4K), SZ_4K);
	TEST_ASSERT_EQ(lseek(fd, 0, SEEK_SET), 0);
	TEST_ASSERT_EQ(read(fd, mem + SZ_2M, SZ_4K), SZ_4K);
	return memcmp(mem, mem + SZ_2M, SZ_4K);
}

static long register_buffer(void)
{
	struct iovec iov = { mem, SZ_4K };
	struct io_uring_params params = {};
	int ring = syscall(SYS_io_uring_setup, 1, &params);

	TEST_ASSERT(ring >= 0, "io_uring_setup");
	return syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1);
}

static long splice_pages(void)
{
	struct iovec iov = { mem, SZ_4K };
	int fds[2];

	TEST_ASSERT(!pipe(fds), "pipe");
	return vmsplice(fds[1], &iov, 1, 0);
}

static long pipe_copies(void)
{
	int fds[2];

	TEST_ASSERT(!pipe(fds), "pipe");
	TEST_ASSERT_EQ(write(fds[1], mem, SZ_4K), SZ_4K);
	TEST_ASSERT_EQ(read(fds[0], mem + SZ_2M, SZ_4K), SZ_4K);
	return memcmp(mem, mem + SZ_2M, SZ_4K);
}

/* Of an operation for which there is no device; the others go on. */
#define NOT_HERE	(-2L)

static long not_here(const char *why)
{
	ksft_print_msg("skipped: %s\n", why);
	return NOT_HERE;
}

/* To itself, by UDP, which the loopback device takes in pages */
static long send_zerocopy(void)
{
	struct sockaddr_in self = {
		.sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	socklen_t len = sizeof(self);

	if (fd < 0)
		return not_here("no IP");
	TEST_ASSERT(!ioctl(fd, SIOCSIFFLAGS, &ifr), "SIOCSIFFLAGS");
	TEST_ASSERT(!setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)), "SO_ZEROCOPY");
	TEST_ASSERT(!bind(fd, (void *)&self, len) && !getsockname(fd, (void *)&self, &len) &&
		    !connect(fd, (void *)&self, len), "a socket that is its own peer");
	TEST_ASSERT_EQ(send(fd, mem, SZ_4K, 0), SZ_4K);
	TEST_ASSERT_EQ(recv(fd, mem + SZ_2M, SZ_4K, 0), SZ_4K);
	TEST_ASSERT(!memcmp(mem, mem + SZ_2M, SZ_4K), "something else was sent");
	gmem_fill(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	return send(fd, mem, SZ_4K, MSG_ZEROCOPY);
}

/* Identify Controller */
static long nvme_passthrough(void)
{
	struct nvme_passthru_cmd cmd = {
		.opcode = 6,
		.data_len = SZ_4K,
		.cdw10 = 1,
	};
	int fd = open("/dev/nvme0", O_RDWR);
	u8 ordinary[2 * SZ_4K];

	if (fd < 0)
		return not_here("no NVMe controller");
	cmd.addr = (u64)align_ptr_up(ordinary, SZ_4K);
	TEST_ASSERT(!ioctl(fd, NVME_IOCTL_ADMIN_CMD, &cmd), "into ordinary memory");
	cmd.addr = (u64)mem;
	return ioctl(fd, NVME_IOCTL_ADMIN_CMD, &cmd);
}

static long vm_copy(bool out)
{
	char buf[64];
	struct iovec local = { buf, sizeof(buf) }, remote = { mem, sizeof(buf) };

	return out ? process_vm_readv(getpid(), &local, 1, &remote, 1, 0) :
		     process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
}

static long vm_read(void)
{
	return vm_copy(true);
}

static long vm_write(void)
{
	return vm_copy(false);
}

static long proc_mem(void)
{
	int fd = open("/proc/self/mem", O_RDWR);
	char buf[64];

	TEST_ASSERT(fd >= 0, "/proc/self/mem");
	return pread(fd, buf, sizeof(buf), (long)mem);
}

static long peek(void)
{
	pid_t pid = fork();
	int error;
	long r;

	TEST_ASSERT(pid >= 0, "fork");
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(0);
	}
	TEST_ASSERT(WIFSTOPPED(wait_for_child(pid)), "the child does not stop");
	errno = 0;
	r = ptrace(PTRACE_PEEKDATA, pid, mem, 0);
	error = errno;
	kill(pid, SIGKILL);
	wait_for_child(pid);
	errno = error;
	return r;
}

static long futex(int op)
{
	return syscall(SYS_futex, mem, op, 1, NULL, NULL, 0);
}

static long futex_shared(void)
{
	return futex(FUTEX_WAKE);
}

static long futex_private(void)
{
	return futex(FUTEX_WAKE_PRIVATE);
}

static long register_uffd(void)
{
	struct uffdio_register reg = {
		.range = { (u64)mem, OBJECT_SIZE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	TEST_ASSERT(fd >= 0 && !ioctl(fd, UFFDIO_API, &api), "userfaultfd");
	return ioctl(fd, UFFDIO_REGISTER, &reg);
}

static long lock_pages(void)
{
	return mlock(mem, OBJECT_SIZE);
}

static long lock_on_fault(void)
{
	return mlock2(mem, OBJECT_SIZE, MLOCK_ONFAULT);
}

static long grow(void)
{
	void *p = mremap(mem, OBJECT_SIZE, 2 * OBJECT_SIZE, MREMAP_MAYMOVE);

	return p == MAP_FAILED ? -1 : 0;
}

static long sync_pages(void)
{
	return msync(mem, OBJECT_SIZE, MS_SYNC);
}

/**
 * struct answer - what an operation on persistent memory says
 * @what: the operation
 * @fn: does it; returns -1 and errno, or 0 or more; or NOT_HERE
 * @error: its errno, 0 if it works
 */
struct answer {
	const char *what;
	long (*fn)(void);
	int error;
};

static const struct answer answers[] = {
	{ "a read with O_DIRECT", read_direct, 0 },
	{ "buffered reads and writes", read_buffered, 0 },
	{ "a registered buffer of io_uring", register_buffer, EFAULT },
	{ "vmsplice", splice_pages, EFAULT },
	{ "reads and writes of a pipe", pipe_copies, 0 },
	{ "passthrough of NVMe", nvme_passthrough, EFAULT },
	{ "MSG_ZEROCOPY", send_zerocopy, EFAULT },
	{ "process_vm_readv", vm_read, EFAULT },
	{ "process_vm_writev", vm_write, EFAULT },
	{ "/proc/PID/mem", proc_mem, EIO },
	{ "ptrace", peek, EIO },
	{ "a futex between processes", futex_shared, EFAULT },
	{ "a futex within a process", futex_private, 0 },
	{ "userfaultfd", register_uffd, EINVAL },
	{ "mlock", lock_pages, 0 },
	{ "mlock2(MLOCK_ONFAULT)", lock_on_fault, 0 },
	{ "mremap to a larger size", grow, EFAULT },
	{ "msync", sync_pages, EINVAL },
};

static void run_answer(void *arg)
{
	const struct answer *a = arg;
	long r;

	errno = 0;
	r = a->fn();
	if (r == NOT_HERE) {
		ksft_print_msg("not tried: %s\n", a->what);
		return;
	}
	if (a->error)
		TEST_ASSERT(r == -1 && errno == a->error,
			    "%s: %ld, errno %d (%s), wanted errno %d (%s)", a->what, r,
			    errno, strerror(errno), a->error, strerror(a->error));
	else
		TEST_ASSERT(r >= 0, "%s: errno %d (%s)", a->what, errno, strerror(errno));
}

static void test_system_calls(void)
{
	struct kvm_vm *vm = with_memory(PREFIX "calls");
	int i;

	for (i = 0; i < ARRAY_SIZE(answers); i++) {
		run_in_child(run_answer, (void *)&answers[i]);
		/* What works may have written. */
		if (answers[i].error)
			gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
		gmem_fill(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	}
	kvm_vm_free(vm);
}

static void test_madvise(void)
{
	static const struct {
		int advice;
		int error;
	} cases[] = {
		{ MADV_NORMAL,		0 },
		{ MADV_RANDOM,		0 },
		{ MADV_SEQUENTIAL,	0 },
		{ MADV_WILLNEED,	0 },
		{ MADV_HUGEPAGE,	0 },
		{ MADV_NOHUGEPAGE,	0 },
		{ MADV_DONTFORK,	0 },
		{ MADV_DONTDUMP,	0 },
		{ MADV_DONTNEED,	0 },
		{ MADV_DONTNEED_LOCKED,	0 },
		{ MADV_FREE,		EINVAL },
		{ MADV_COLD,		EINVAL },
		{ MADV_PAGEOUT,		EINVAL },
		{ MADV_COLLAPSE,	EINVAL },
		{ MADV_DOFORK,		EINVAL },
		{ MADV_DODUMP,		EINVAL },
		{ MADV_WIPEONFORK,	EINVAL },
		{ MADV_POPULATE_READ,	EINVAL },
		{ MADV_POPULATE_WRITE,	EINVAL },
		{ MADV_HWPOISON,	EFAULT },
		{ MADV_SOFT_OFFLINE,	EFAULT },
	};
	struct kvm_vm *vm = with_memory(PREFIX "madvise");
	int i, r;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		errno = 0;
		r = madvise(mem, SZ_2M, cases[i].advice);
		TEST_ASSERT(!r == !cases[i].error && errno == cases[i].error,
			    "madvise(%d): %d, errno %d, wanted errno %d",
			    cases[i].advice, r, errno, cases[i].error);
		gmem_check(mem, 0, OBJECT_SIZE, SZ_4K, SEED_HOST);
	}

	/* It punches a hole, as for any file. */
	kvm_madvise(mem, SZ_2M, MADV_REMOVE);
	gmem_check_zero(mem, 0, SZ_2M);
	gmem_check(mem, SZ_2M, OBJECT_SIZE - SZ_2M, SZ_4K, SEED_HOST);
	kvm_vm_free(vm);
}

/*
 * Core dumps
 */

#define CORE_PATTERN	"/proc/sys/kernel/core_pattern"

static void test_core_dump(void)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	static const char core[] = "/tmp/gmem-core";
	struct kvm_vm *vm = with_memory(PREFIX "core");
	char old[128], own[64], *dump;
	struct stat st;
	int fd, status;
	u64 word;
	pid_t pid;

	SKIP_UNLESS(!access(CORE_PATTERN, W_OK), "no core dumps");
	gmem_read_text(old, sizeof(old), CORE_PATTERN);
	TEST_ASSERT(!gmem_write_text(CORE_PATTERN, core), "core_pattern");

	/* Of its own memory */
	snprintf(own, sizeof(own), "words that only process %d has", getpid());
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork");
	if (!pid) {
		setrlimit(RLIMIT_CORE, &unlimited);
		signal(SIGABRT, SIG_DFL);
		abort();
	}
	status = wait_for_child(pid);
	gmem_write_text(CORE_PATTERN, old);
	TEST_ASSERT(WIFSIGNALED(status) && WCOREDUMP(status), "no core, status 0x%x", status);

	fd = open(core, O_RDONLY);
	unlink(core);
	TEST_ASSERT(fd >= 0 && !fstat(fd, &st) && st.st_size, "no core dump");
	dump = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	TEST_ASSERT(dump != MAP_FAILED, "mmap of the core dump");

	TEST_ASSERT(memmem(dump, st.st_size, own, strlen(own)),
		    "the dump has not got the process's own memory");
	word = gmem_pattern(SZ_4K, SEED_HOST);
	TEST_ASSERT_EQ(*(u64 *)(mem + SZ_4K), word);
	/* A word of the pattern and the zeroes behind it, as they are in the memory */
	TEST_ASSERT(!memmem(dump, st.st_size, mem + SZ_4K, 8 * sizeof(word)),
		    "the dump contains persistent memory");
	kvm_vm_free(vm);
}

/*
 * vhost: it copies by way of the user mapping, and so works.
 */

#define FRAME_PROTOCOL	0x88b5	/* for local experiments */
#define FRAME_SIZE	1000

static int packet_socket(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	const struct sockaddr_ll lo = {
		.sll_family = AF_PACKET,
		.sll_protocol = htobe16(FRAME_PROTOCOL),
		.sll_ifindex = if_nametoindex("lo"),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, htobe16(FRAME_PROTOCOL));

	SKIP_UNLESS(fd >= 0 && lo.sll_ifindex, "no packet sockets");
	TEST_ASSERT(!ioctl(fd, SIOCSIFFLAGS, &ifr), "SIOCSIFFLAGS");
	TEST_ASSERT(!bind(fd, (void *)&lo, sizeof(lo)), "bind to lo");
	return fd;
}

static void test_vhost(void)
{
	const u64 features = BIT(VHOST_NET_F_VIRTIO_NET_HDR);
	struct vhost_memory *table = calloc(1, sizeof(*table) + sizeof(table->regions[0]));
	struct vhost_vring_state state = { .index = 1, .num = 8 };
	struct vhost_vring_file file = { .index = 1 };
	struct vhost_vring_addr addr = { .index = 1 };
	struct kvm_vm *vm = with_memory(PREFIX "vhost");
	struct vring_avail *avail = mem + 2 * SZ_4K;
	struct vring_used *used = mem + 3 * SZ_4K;
	struct vring_desc *desc = mem + SZ_4K;
	u8 *frame = mem + 4 * SZ_4K + sizeof(struct virtio_net_hdr);
	int vhost, in, out, kick, i;
	u8 received[FRAME_SIZE];
	struct pollfd poll_in;
	u64 one = 1;

	vhost = open("/dev/vhost-net", O_RDWR);
	SKIP_UNLESS(vhost >= 0, "no vhost-net");
	in = packet_socket();
	out = packet_socket();

	/* Ring and frame lie in the memory, which "guest physical" address 0 is. */
	memset(mem, 0, 5 * SZ_4K);
	for (i = 0; i < FRAME_SIZE; i++)
		frame[i] = i * 7 + 1;
	memset(frame, 0, ETH_ALEN * 2);
	*(u16 *)(frame + 2 * ETH_ALEN) = htobe16(FRAME_PROTOCOL);
	desc[0] = (struct vring_desc){
		.addr = 4 * SZ_4K,
		.len = sizeof(struct virtio_net_hdr) + FRAME_SIZE,
	};
	avail->idx = 1;

	table->nregions = 1;
	table->regions[0] = (struct vhost_memory_region){
		.memory_size = OBJECT_SIZE,
		.userspace_addr = (u64)mem,
	};
	TEST_ASSERT(!ioctl(vhost, VHOST_SET_OWNER), "VHOST_SET_OWNER");
	TEST_ASSERT(!ioctl(vhost, VHOST_SET_FEATURES, &features), "VHOST_SET_FEATURES");
	TEST_ASSERT(!ioctl(vhost, VHOST_SET_MEM_TABLE, table), "VHOST_SET_MEM_TABLE");
	TEST_ASSERT(!ioctl(vhost, VHOST_SET_VRING_NUM, &state), "VHOST_SET_VRING_NUM");
	state.num = 0;
	TEST_ASSERT(!ioctl(vhost, VHOST_SET_VRING_BASE, &state), "VHOST_SET_VRING_BASE");
	addr.desc_user_addr = (u64)desc;
	addr.avail_user_addr = (u64)avail;
	addr.used_user_addr = (u64)used;
	TEST_ASSERT(!ioctl(vhost, VHOST_SET_VRING_ADDR, &addr), "VHOST_SET_VRING_ADDR");
	kick = eventfd(0, 0);
	file.fd = kick;
	TEST_ASSERT(!ioctl(vhost, VHOST_SET_VRING_KICK, &file), "VHOST_SET_VRING_KICK");
	file.fd = out;
	TEST_ASSERT(!ioctl(vhost, VHOST_NET_SET_BACKEND, &file), "VHOST_NET_SET_BACKEND");

	TEST_ASSERT_EQ(write(kick, &one, sizeof(one)), sizeof(one));
	poll_in = (struct pollfd){ .fd = in, .events = POLLIN };
	TEST_ASSERT(poll(&poll_in, 1, 60000) == 1, "no frame has come");
	TEST_ASSERT_EQ(read(in, received, sizeof(received)), FRAME_SIZE);
	TEST_ASSERT(!memcmp(received, frame, FRAME_SIZE), "another frame has come");

	/* It writes to the memory, too: when it is done, and before it lets go. */
	file.fd = VHOST_FILE_UNBIND;
	TEST_ASSERT(!ioctl(vhost, VHOST_NET_SET_BACKEND, &file), "unbind");
	TEST_ASSERT_EQ(READ_ONCE(used->idx), 1);
	close(vhost);
	free(table);
	kvm_vm_free(vm);
}

/*
 * Dirty logging
 */

static void test_dirty_log(void)
{
	const u64 pages = OBJECT_SIZE / SZ_4K;
	unsigned long bits[BITS_TO_LONGS(OBJECT_SIZE / SZ_4K)] = {};
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	u64 i, nr = 0;
	int fd;

	vm = gmem_create_default_vm(&vcpu);
	fd = gmem_create(vm, PREFIX "dirty", FLAGS_SHARED);
	mem = gmem_map_at(fd, OBJECT_SIZE, SZ_2M, 0);
	vm_set_user_memory_region2(vm, GUEST_SLOT, KVM_MEM_LOG_DIRTY_PAGES, GUEST_BASE,
				   OBJECT_SIZE, mem, -1, 0);
	gmem_run_job(vcpu, &(struct gmem_guest_job){ GUEST_FILL, GUEST_BASE, 0, SZ_2M,
		     2 * SZ_4K, SEED_GUEST });
	gmem_check(mem, 0, SZ_2M, 2 * SZ_4K, SEED_GUEST);
	kvm_vm_get_dirty_log(vm, GUEST_SLOT, bits);
	for (i = 0; i < pages; i++) {
		bool dirty = bits[i / BITS_PER_LONG] & BIT(i % BITS_PER_LONG);

		TEST_ASSERT(dirty == (i < SZ_2M / SZ_4K && !(i % 2)), "page %lu: %d", i,
			    dirty);
		nr += dirty;
	}
	TEST_ASSERT_EQ(nr, SZ_2M / SZ_4K / 2);
	gmem_delete_slot(vm);
	close(fd);
	kvm_vm_free(vm);
}

static const struct gmem_test tests[] = {
	{ "system calls", test_system_calls },
	{ "madvise", test_madvise },
	{ "core dumps do not contain it", test_core_dump },
	{ "vhost works", test_vhost },
	{ "dirty logging, by slots of user memory", test_dirty_log },
};

int main(int argc, char *argv[])
{
	return gmem_run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
