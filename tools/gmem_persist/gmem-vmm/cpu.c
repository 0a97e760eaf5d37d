// SPDX-License-Identifier: GPL-2.0
/*
 * vCPUs: a thread for each, which exists while the guest runs.
 */
#include <asm/kvm_para.h>
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm.h"

/* Interrupts KVM_RUN; the handler has nothing to do. */
#define SIGNAL_PAUSE	SIGRTMIN

#define MAX_CPUID	256

static void on_pause(int signal)
{
	(void)signal;
}

/**
 * cpu_set_cpuid - let a vCPU be what this host has, less what is not saved
 * @cpu: the vCPU
 *
 * Each vCPU is a package of its own. A guest that is resumed gets the CPUID that it had.
 */
void cpu_set_cpuid(struct cpu *cpu)
{
	struct kvm_cpuid2 *cpuid;
	uint32_t i;

	cpuid = calloc(1, sizeof(*cpuid) + MAX_CPUID * sizeof(cpuid->entries[0]));
	if (!cpuid)
		err(STATUS_FAILED, "CPUID");
	cpuid->nent = MAX_CPUID;
	XIOCTL(cpu->vm->kvm, KVM_GET_SUPPORTED_CPUID, cpuid);
	for (i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		switch (entry->function) {
		case 1:
			entry->ebx = (entry->ebx & 0xffff) | 1 << 16 | cpu->index << 24;
			entry->ecx &= ~(1U << 5);	/* VMX: nested state is not saved */
			entry->ecx |= 1U << 31;		/* a hypervisor is there */
			entry->edx &= ~(1U << 28);	/* HTT */
			if (ioctl(cpu->vm->kvm, KVM_CHECK_EXTENSION,
				  KVM_CAP_TSC_DEADLINE_TIMER) > 0)
				entry->ecx |= 1U << 24;
			break;
		case 4:
			entry->eax &= 0x3fff;		/* nobody shares its caches */
			break;
		case 0xb:
		case 0x1f:
			entry->edx = cpu->index;
			break;
		case KVM_CPUID_FEATURES:
			/* KVM would write to where a private guest does not look. */
			if (cpu->vm->private)
				entry->eax &= 1U << KVM_FEATURE_NOP_IO_DELAY;
			break;
		case 0x80000001:
			entry->ecx &= ~(1U << 2 | 1U << 22);	/* SVM, TOPOEXT */
			break;
		}
	}
	XIOCTL(cpu->fd, KVM_SET_CPUID2, cpuid);
	free(cpuid);
}

/**
 * cpu_create_all - make the vCPUs
 * @vm: the VM, which has its interrupt controllers
 * @nr: how many
 */
void cpu_create_all(struct vm *vm, unsigned int nr)
{
	int size = XIOCTL(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct cpu *cpu;

	for (cpu = vm->cpus; cpu < vm->cpus + nr; cpu++) {
		cpu->vm = vm;
		cpu->index = cpu - vm->cpus;
		cpu->fd = XIOCTL(vm->fd, KVM_CREATE_VCPU, cpu->index);
		cpu->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
		if (cpu->run == MAP_FAILED)
			err(STATUS_FAILED, "mmap of a vCPU");
	}
	vm->nr_cpus = nr;
}

/* KVM_RUN failed: say as much as it tells, and give up. */
static void cannot_run(struct cpu *cpu)
{
	const struct kvm_run *run = cpu->run;

	if (errno != EINTR && run->exit_reason == KVM_EXIT_MEMORY_FAULT)
		err(STATUS_GUEST, "vCPU %u: memory fault at %#llx, size %#llx", cpu->index,
		    run->memory_fault.gpa, run->memory_fault.size);
	err(STATUS_GUEST, "vCPU %u: KVM_RUN", cpu->index);
}

static void stopped(struct cpu *cpu)
{
	struct kvm_run *run = cpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		device_io(cpu->vm, run);
		break;
	case KVM_EXIT_MMIO:
		if (!run->mmio.is_write)
			memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
		break;
	case KVM_EXIT_SHUTDOWN:
		cpu->vm->reason = "a triple fault ended the guest";
		cpu->vm->ended = STATUS_OK;
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		errx(STATUS_GUEST, "vCPU %u: KVM_EXIT_INTERNAL_ERROR, suberror %u", cpu->index,
		     run->internal.suberror);
	default:
		errx(STATUS_GUEST, "vCPU %u: exit reason %u", cpu->index, run->exit_reason);
	}
}

static void *run_cpu(void *arg)
{
	struct cpu *cpu = arg;

	while (cpu->vm->ended < 0) {
		/*
		 * A port that was read gets its value into the guest by the next KVM_RUN. So
		 * the loop is left only by one that was told not to run the guest any more.
		 */
		if (ioctl(cpu->fd, KVM_RUN, NULL) == 0)
			stopped(cpu);
		else if (errno == EINTR && cpu->vm->pausing)
			return NULL;
		else if (errno != EINTR && errno != EAGAIN)
			cannot_run(cpu);
	}
	/* main() waits for that, as it does for whoever wants the guest to be saved. */
	kill(getpid(), SIGUSR2);
	return NULL;
}

/**
 * cpu_start_all - let the guest run
 * @vm: the VM
 */
void cpu_start_all(struct vm *vm)
{
	struct sigaction action = { .sa_handler = on_pause };
	struct cpu *cpu;

	sigaction(SIGNAL_PAUSE, &action, NULL);
	for (cpu = vm->cpus; cpu < vm->cpus + vm->nr_cpus; cpu++)
		if (pthread_create(&cpu->thread, NULL, run_cpu, cpu))
			errx(STATUS_FAILED, "no thread for a vCPU");
}

/**
 * cpu_pause_all - stop all vCPUs between two instructions
 * @vm: the VM
 *
 * immediate_exit is for a vCPU that is just on its way into KVM_RUN: the signal alone would
 * come too early.
 */
void cpu_pause_all(struct vm *vm)
{
	struct cpu *cpu;

	vm->pausing = true;
	for (cpu = vm->cpus; cpu < vm->cpus + vm->nr_cpus; cpu++) {
		__atomic_store_n(&cpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		pthread_kill(cpu->thread, SIGNAL_PAUSE);
	}
	for (cpu = vm->cpus; cpu < vm->cpus + vm->nr_cpus; cpu++) {
		pthread_join(cpu->thread, NULL);
		cpu->run->immediate_exit = 0;
	}
	vm->pausing = false;
}
