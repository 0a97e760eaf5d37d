// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin for QEMU's TCG that lets the CPUs of a machine whose clock counts instructions run at
 * the same time, by that clock.
 *
 * With -icount the CPUs take turns in one thread, and the clock counts what all of them execute:
 * so together they do no more in a second than one does. Here it counts that divided by the number of
 * CPUs that are not idle. When all are idle it jumps as it did before. All is as reproducible as it was.
 *
 * A turn should be short, or who waits for another CPU waits for too long. QEMU makes turns
 * that end with the next timer at the latest, so a timer of ours comes every QUANTUM; each turn is
 * an even part of what is left of that.
 *
 * The clock is two functions of QEMU's own, not of its plugin API. A QEMU that lacks one of the
 * names, or has not got them where they are looked for, is refused.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

/* In ns; with two CPUs that is 20 us for a turn, and less with more. */
#define QUANTUM		40000
/* QEMU's class of functions for its kinds of emulation has fewer words. */
#define CLASS_WORDS	64
#define CPUS		64
/* Of QEMU's headers */
#define QEMU_CLOCK_VIRTUAL	1
#define TIMER_EXTERNAL		1	/* it does not end idleness */

/* QEMU 10.0 takes plugins of version 2 to 4 of the API. */
EXPORT int qemu_plugin_version = 4;

static int64_t (*icount_get)(void);
static int64_t (*icount_get_raw)(void);
static int64_t (*icount_to_ns)(int64_t icount);
static bool (*cpu_is_idle)(void *cpu);
static void *(*class_by_name)(const char *name);
static void (*timer_init_full)(void *timer, void *group, int clock, int scale, int attributes,
			       void (*run)(void *), void *opaque);
static void (*timer_mod_ns)(void *timer, int64_t when);
static void (*register_vcpu_init)(uint64_t id, void (*call)(uint64_t id, unsigned int cpu));

/* Of each thread its own; NULL in one that runs no CPU */
static __thread void **current_cpu;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* In instructions: what QEMU had counted, what we count, and what is left of a division */
static int64_t seen, now, left;
/* Whose turn it is, how many CPUs were not idle when it began, and all CPUs */
static void *turn_of;
static unsigned int nr_busy = 1;
static void *cpus[CPUS];
static unsigned int nr_cpus;
/* What was told last, in ns */
static int64_t told;

static void begin_turn(void *cpu)
{
	unsigned int i;

	for (i = 0; i < nr_cpus && cpus[i] != cpu; i++)
		;
	if (i == nr_cpus && i < CPUS)
		cpus[nr_cpus++] = cpu;
	turn_of = cpu;
	nr_busy = 0;
	for (i = 0; i < nr_cpus; i++)
		nr_busy += !cpu_is_idle(cpus[i]);
	nr_busy += !nr_busy;
}

/* QEMU asks for the time when a turn begins, so what it has counted since is of the one before. */
static int64_t parallel_clock(void)
{
	int64_t raw, ns;
	void *cpu;

	if (!current_cpu)
		current_cpu = dlsym(RTLD_DEFAULT, "current_cpu");
	cpu = *current_cpu;
	pthread_mutex_lock(&lock);
	/* The thread of the CPUs may count meanwhile. */
	do {
		raw = icount_get_raw();
		ns = icount_get();
	} while (raw != icount_get_raw());
	left += raw - seen;
	seen = raw;
	now += left / nr_busy;
	left %= nr_busy;
	if (cpu && cpu != turn_of)
		begin_turn(cpu);
	/* With the idle time that QEMU has added */
	ns += icount_to_ns(now) - icount_to_ns(raw);
	if (ns > told)
		told = ns;
	ns = told;
	pthread_mutex_unlock(&lock);
	return ns;
}

static uint64_t timer[32];

static void end_turns(void *opaque)
{
	(void)opaque;
	timer_mod_ns(timer, parallel_clock() + QUANTUM);
}

/* The first CPU is there, and so is all that is looked for. */
static void take_over(uint64_t id, unsigned int cpu)
{
	void **words = class_by_name("tcg-accel-ops");
	unsigned int nr = 0;

	(void)id;
	if (cpu)
		return;
	for (unsigned int i = 0; words && i < CLASS_WORDS; i++) {
		if (words[i] != (void *)icount_get)
			continue;
		words[i] = (void *)parallel_clock;
		nr++;
	}
	if (nr != 2) {
		fprintf(stderr, "parallel: this QEMU is not one that the plugin knows, or has no -icount\n");
		exit(1);
	}
	timer_init_full(timer, NULL, QEMU_CLOCK_VIRTUAL, 1, TIMER_EXTERNAL, end_turns, NULL);
	timer_mod_ns(timer, QUANTUM);
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	const struct {
		const char *name;
		void *function;
	} names[] = {
		{ "icount_get", &icount_get }, { "icount_get_raw", &icount_get_raw },
		{ "icount_to_ns", &icount_to_ns }, { "cpu_thread_is_idle", &cpu_is_idle },
		{ "object_class_by_name", &class_by_name },
		{ "timer_init_full", &timer_init_full }, { "timer_mod_ns", &timer_mod_ns },
		{ "qemu_plugin_register_vcpu_init_cb", &register_vcpu_init },
	};

	(void)info, (void)argc, (void)argv;
	for (unsigned int i = 0; i < sizeof(names) / sizeof(*names); i++) {
		void **function = names[i].function;

		*function = dlsym(RTLD_DEFAULT, names[i].name);
		if (!*function) {
			fprintf(stderr, "parallel: this QEMU has no %s\n", names[i].name);
			return 1;
		}
	}
	if (!dlsym(RTLD_DEFAULT, "current_cpu"))
		return 1;
	register_vcpu_init(id, take_over);
	return 0;
}
