// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin for QEMU's TCG that mends VMRUN, so that an emulated host can run guests.
 *
 * Two faults of helper_vmrun() (target/i386/tcg/system/svm_helper.c) make such a host
 * stand still now and then, and one beside it (fpu_helper.c, there) costs it a guest, or itself:
 *
 * - For an interrupt that the hypervisor injects, it puts the vector into
 *   cpu->exception_index, delivers the interrupt itself, and leaves the vector there. If
 *   the CPU leaves cpu_exec() before the guest's next exit, because the main loop wants it
 *   or the budget of -icount is used up, the interrupt is delivered once more on the way
 *   back, even where the guest has interrupts disabled. QEMU 10.0 and 11.1 have this one.
 *
 * - It sets CPU_INTERRUPT_VIRQ in cpu->interrupt_request without the big lock and without
 *   atomicity. That undoes a bit which the timers' thread has set meanwhile, and the local
 *   APIC's interrupt is never looked at. QEMU 10.2 and newer do not have this one.
 *
 * - cpu_clear_ignne() clears a bit in hflags2 of the first CPU, whichever CPU it runs on, without
 *   a lock and without atomicity; any CPU that loads the state of the FPU calls it. That undoes
 *   what the first CPU changes in there meanwhile, and HF2_NPT is there: a guest runs on without
 *   its nested page tables, in the host's memory, or the host with the guest's. QEMU 10.0 and
 *   11.1 have this one.
 *
 * The plugin stands in front of the helper. It takes the big lock around it, and leaves by
 * cpu_loop_exit_noexc(), which resets exception_index and has the CPU look at what is
 * pending. Code generated later calls the plugin, because TCG takes a helper's address from
 * its TCGHelperInfo, where the plugin puts its own.
 *
 * cpu_clear_ignne() becomes a function that does nothing. The bit is set only by a write to port
 * F0h, which is for an FPU whose errors are interrupts of the PIC, and Linux has them as exceptions.
 *
 * All of these names are QEMU's own, not those of its plugin API. A QEMU that lacks one,
 * or whose TCGHelperInfo does not begin with the function, is refused.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/*
 * QEMU 10.0 takes plugins of version 2 to 4 of the API, 11.1 those of version 7 only. It looks
 * when it has loaded the plugin, so that this can still choose, by a function of the newer one.
 */
EXPORT int qemu_plugin_version = 4;

__attribute__((constructor)) static void choose_version(void)
{
	if (dlsym(RTLD_DEFAULT, "qemu_plugin_set_pc"))
		qemu_plugin_version = 7;
}

static void (*qemu_vmrun)(void *env, int aflag, int next_eip_addend);
static void (*qemu_bql_lock)(const char *file, int line);
static void (*qemu_bql_unlock)(void);
static void (*qemu_leave)(void *cpu);
/* Of each thread its own; dlsym() gives the address of the caller's. */
static __thread void **current_cpu;

static void mended_vmrun(void *env, int aflag, int next_eip_addend)
{
	if (!current_cpu)
		current_cpu = dlsym(RTLD_DEFAULT, "current_cpu");
	/* The helper may leave by longjmp(); cpu_exec() then gives the lock back. */
	qemu_bql_lock(__FILE__, __LINE__);
	qemu_vmrun(env, aflag, next_eip_addend);
	qemu_bql_unlock();
	qemu_leave(*current_cpu);
}

/* Have a function of QEMU's without arguments and without a result return at once. */
static bool make_empty(void *function)
{
#ifdef __x86_64__
	const uintptr_t size = sysconf(_SC_PAGESIZE);
	void *page = (void *)((uintptr_t)function & ~(size - 1));

	if (!function || mprotect(page, size, PROT_READ | PROT_WRITE | PROT_EXEC))
		return false;
	*(uint8_t *)function = 0xc3;	/* ret */
	return !mprotect(page, size, PROT_READ | PROT_EXEC);
#else
	(void)function;
	return false;
#endif
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	void **helper = dlsym(RTLD_DEFAULT, "helper_info_vmrun");

	(void)id, (void)info, (void)argc, (void)argv;
	qemu_vmrun = dlsym(RTLD_DEFAULT, "helper_vmrun");
	qemu_bql_lock = dlsym(RTLD_DEFAULT, "bql_lock_impl");
	qemu_bql_unlock = dlsym(RTLD_DEFAULT, "bql_unlock");
	qemu_leave = dlsym(RTLD_DEFAULT, "cpu_loop_exit_noexc");
	if (!helper || !qemu_vmrun || !qemu_bql_lock || !qemu_bql_unlock || !qemu_leave ||
	    !dlsym(RTLD_DEFAULT, "current_cpu") || *helper != (void *)qemu_vmrun ||
	    !make_empty(dlsym(RTLD_DEFAULT, "cpu_clear_ignne"))) {
		fprintf(stderr, "vmrun: this QEMU is not one that the plugin knows\n");
		return 1;
	}
	*helper = mended_vmrun;
	return 0;
}
