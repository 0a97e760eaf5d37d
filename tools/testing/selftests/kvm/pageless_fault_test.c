// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest in memory of a driver whose page faults come to nothing for a while: the vCPU waits for
 * that in KVM. Meanwhile others can change what is mapped, and a signal reaches user space.
 *
 * Needs the device of CONFIG_TEST_PAGELESS.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/sizes.h>

#include "kvm_util.h"
#include "processor.h"
#include "ucall_common.h"
#include "../../../../lib/test_pageless_uapi.h"

#define SLOT		10
#define SIZE		SZ_2M
#define GPA		SZ_1G
/* More page faults than any that does not wait for the driver */
#define ENOUGH		100
/* Of a wait that is in vain, in seconds */
#define PATIENCE	60

static int device;
static int nr_interrupted;

static void guest_code(void)
{
	WRITE_ONCE(*(u64 *)GPA, 4711);
	GUEST_DONE();
}

static void *vcpu_thread(void *arg)
{
	struct kvm_vcpu *vcpu = arg;

	while (__vcpu_run(vcpu)) {
		TEST_ASSERT(errno == EINTR, KVM_IOCTL_ERROR(KVM_RUN, -1));
		__atomic_add_fetch(&nr_interrupted, 1, __ATOMIC_RELAXED);
	}
	TEST_ASSERT_EQ(get_ucall(vcpu, NULL), UCALL_DONE);
	return NULL;
}

static int busy(bool is_busy)
{
	int nr = ioctl(device, TEST_PAGELESS_BUSY, is_busy);

	TEST_ASSERT(nr >= 0, "TEST_PAGELESS_BUSY: errno %d", errno);
	return nr;
}

/* The vCPU goes on looking for its page. */
static void wait_for_faults(void)
{
	const int begin = busy(true);

	while (busy(true) < begin + ENOUGH)
		sched_yield();
}

static void on_signal(int signal)
{
}

int main(void)
{
	const struct sigaction action = { .sa_handler = on_signal };
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	pthread_t thread;
	void *other;
	u64 *mem;

	device = open("/dev/test_pageless", O_RDWR);
	__TEST_REQUIRE(device >= 0, "no /dev/test_pageless");
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
	TEST_ASSERT(mem != MAP_FAILED, "mmap: errno %d", errno);

	vm = vm_create_with_one_vcpu(&vcpu, guest_code);
	vm_set_user_memory_region(vm, SLOT, 0, GPA, SIZE, mem);
	virt_map(vm, GPA, GPA, SIZE / getpagesize());
	sigaction(SIGUSR1, &action, NULL);
	busy(true);
	alarm(PATIENCE);
	kvm_pthread_create(&thread, NULL, vcpu_thread, vcpu);

	/* The mmap_lock is for the taking. */
	wait_for_faults();
	other = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(other != MAP_FAILED, "mmap: errno %d", errno);
	TEST_ASSERT(!munmap(other, SIZE), "munmap: errno %d", errno);

	pthread_kill(thread, SIGUSR1);
	while (!__atomic_load_n(&nr_interrupted, __ATOMIC_RELAXED))
		sched_yield();
	wait_for_faults();

	busy(false);
	kvm_pthread_join(thread, NULL);
	TEST_ASSERT_EQ(*mem, 4711ULL);
	kvm_vm_free(vm);
	munmap(mem, SIZE);
	close(device);
	return 0;
}
