// SPDX-License-Identifier: GPL-2.0
/*
 * gmem-vmm: a small VMM whose guests survive a kexec of the host.
 *
 * An example for authors of VMMs. What is special about persistent memory is
 *
 *   memory.c   memory_claim(): create or reclaim an object by name
 *              memory_add_slots(): bind the guest's memory slots to it
 *              memory_set_private(): private memory is made private again
 *   state.c    vCPUs and devices in a file, and how a stale file is told from a fresh one
 *
 * and what every VMM has is
 *
 *   main.c     options, and the order of it all
 *   boot.c     loading a kernel
 *   cpu.c      running vCPUs, and stopping them
 *   device.c   a serial port
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

static const char *usage =
"usage: gmem-vmm --name NAME --memory SIZE --kernel FILE [OPTION...]   boot a guest\n"
"       gmem-vmm --name NAME --resume --state FILE [OPTION...]         let it go on\n"
"       gmem-vmm --name NAME --sum                                     look at its memory\n"
"\n"
"  --name NAME        the object that is the guest's memory; or the path of its file in a\n"
"                     gmemfs, which needs no CAP_SYS_ADMIN\n"
"  --memory SIZE      its size: a multiple of the granule, with K, M, G or T\n"
"  --granule SIZE     2M (default) or 1G: what the memory consists of\n"
"  --private          private memory, in a KVM_X86_SW_PROTECTED_VM\n"
"  --cpus N           1 to 8 vCPUs; 1 is the default\n"
"  --kernel FILE      a bzImage; anything else is a flat image, for 16 MiB\n"
"  --initrd FILE\n"
"  --append TEXT      the kernel's command line\n"
"  --state FILE       where the guest's state is saved, by SIGTERM, SIGINT or SIGUSR1\n"
"  --resume           go on from there\n"
"  --sum              show a checksum of all memory when the guest is paused or resumed\n"
"  --fault WHAT       for tests: do something wrong. Of what is saved: stale-token,\n"
"                     wrong-name, wrong-size, wrong-version, wrong-record, damaged,\n"
"                     kill-before-save (do not save, die); of what is restored: no-msrs,\n"
"                     no-attributes\n"
"\n"
"The guest's console is standard output. Exit status: 0 the guest ended, or was saved; 1\n"
"this host cannot do it; 2 usage; 3 the memory was refused; 4 the state file is damaged, or\n"
"not of this guest; 5 memory and state file are not of the same moment; 6 KVM cannot run\n"
"the guest any further.\n";

static const char * const faults[] = {
	[FAULT_STALE_TOKEN] = "stale-token", [FAULT_WRONG_NAME] = "wrong-name",
	[FAULT_WRONG_SIZE] = "wrong-size", [FAULT_WRONG_VERSION] = "wrong-version",
	[FAULT_WRONG_RECORD] = "wrong-record", [FAULT_DAMAGED] = "damaged",
	[FAULT_KILL_BEFORE_SAVE] = "kill-before-save",
	[FAULT_NO_MSRS] = "no-msrs", [FAULT_NO_ATTRIBUTES] = "no-attributes",
};

struct options {
	uint64_t memory, granule;
	unsigned long cpus;
	const char *kernel, *initrd, *append, *state;
	bool resume, sum;
};

/* The ioctl's result, which is no error. */
int xioctl(int fd, unsigned long request, void *arg, const char *what)
{
	int result = ioctl(fd, request, arg);

	if (result < 0)
		err(STATUS_FAILED, "%s", what);
	return result;
}

static uint64_t parse_size(const char *text)
{
	static const char units[] = "KMGT";
	const char *unit;
	unsigned int shift = 0;
	uint64_t size;
	char *end;

	errno = 0;
	size = strtoull(text, &end, 0);
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (unit - units + 1);
		end++;
	}
	if (errno || *end || !size || strchr(text, '-') || size > UINT64_MAX >> shift)
		errx(STATUS_USAGE, "%s is no size", text);
	return size << shift;
}

static enum fault parse_fault(const char *text)
{
	size_t i;

	for (i = 1; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (!strcmp(text, faults[i]))
			return i;
	errx(STATUS_USAGE, "no such fault: %s", text);
}

/* Do they go together? With @rest words that are none */
static void check_options(const struct vm *vm, const struct options *options, int rest)
{
	if (rest || !vm->name || !*vm->name || strlen(vm->name) >= KVM_GMEM_PERSIST_NAME_SIZE)
		errx(STATUS_USAGE, "a name is needed, see --help");
	if (options->cpus < 1 || options->cpus > MAX_CPUS)
		errx(STATUS_USAGE, "1 to %u vCPUs", MAX_CPUS);
	if (options->resume ? !options->state || options->kernel :
	    options->kernel ? !options->memory : !options->sum)
		errx(STATUS_USAGE, "--kernel and --memory, or --resume and --state, see --help");
}

static void parse_options(int argc, char **argv, struct vm *vm, struct options *options)
{
	static const struct option names[] = {
		{ "name", 1, NULL, 'n' }, { "memory", 1, NULL, 'm' },
		{ "granule", 1, NULL, 'g' }, { "private", 0, NULL, 'p' },
		{ "cpus", 1, NULL, 'c' }, { "kernel", 1, NULL, 'k' },
		{ "initrd", 1, NULL, 'i' }, { "append", 1, NULL, 'a' },
		{ "state", 1, NULL, 's' }, { "resume", 0, NULL, 'r' },
		{ "sum", 0, NULL, 'S' }, { "fault", 1, NULL, 'f' },
		{ "help", 0, NULL, 'h' }, {}
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (option) {
		case 'n':
			vm->path = strchr(optarg, '/') ? optarg : NULL;
			vm->name = vm->path ? strrchr(optarg, '/') + 1 : optarg;
			break;
		case 'm':
			options->memory = parse_size(optarg);
			break;
		case 'g':
			options->granule = parse_size(optarg);
			break;
		case 'p':
			vm->private = true;
			break;
		case 'c':
			options->cpus = strtoul(optarg, NULL, 0);
			break;
		case 'k':
			options->kernel = optarg;
			break;
		case 'i':
			options->initrd = optarg;
			break;
		case 'a':
			options->append = optarg;
			break;
		case 's':
			options->state = optarg;
			break;
		case 'r':
			options->resume = true;
			break;
		case 'S':
			options->sum = true;
			break;
		case 'f':
			vm->fault = parse_fault(optarg);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(STATUS_OK);
		default:
			exit(STATUS_USAGE);
		}
	}
	check_options(vm, options, argc - optind);
}

static void create_vm(struct vm *vm)
{
	vm->ended = -1;
	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		err(STATUS_FAILED, "/dev/kvm");
	vm->fd = XIOCTL(vm->kvm, KVM_CREATE_VM,
			vm->private ? KVM_X86_SW_PROTECTED_VM : KVM_X86_DEFAULT_VM);
}

static void show_sum(const struct vm *vm, const struct options *options)
{
	if (options->sum)
		warnx("%s: sum of memory %016lx", vm->name, memory_sum(vm));
}

static double milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

/* A new guest, in new memory. */
static void boot(struct vm *vm, const struct options *options)
{
	struct kvm_memory_attributes ranges[2];
	unsigned int i, nr;

	memory_claim(vm, KVM_GMEM_PERSIST_CREATE, options->memory, options->granule);
	device_create(vm);
	cpu_create_all(vm, options->cpus);
	memory_add_slots(vm);
	nr = vm->private ? memory_ranges(vm, ranges) : 0;
	for (i = 0; i < nr; i++)
		memory_set_private(vm, ranges[i].address, ranges[i].size);
	for (i = 0; i < vm->nr_cpus; i++)
		cpu_set_cpuid(&vm->cpus[i]);
	boot_load(vm, options->kernel, options->initrd, options->append);
	warnx("%s: new, %lu bytes of memory", vm->name, vm->size);
}

/* The guest as it was saved, in the memory that it had. */
static void resume(struct vm *vm, const struct options *options)
{
	const double start = milliseconds();
	struct state *state;

	state = state_read(vm, options->state, options->memory);
	memory_claim(vm, KVM_GMEM_PERSIST_RECLAIM, state_memory(state), options->granule);
	memory_check_fresh(vm, state_identity(state));
	show_sum(vm, options);
	device_create(vm);
	cpu_create_all(vm, state_cpus(state));
	memory_add_slots(vm);
	state_restore(vm, state);
	free(state);
	warnx("%s: resumed, in %.1f ms", vm->name, milliseconds() - start);
}

/* False: it cannot be saved, which was said, and goes on. */
static bool save(struct vm *vm, const struct options *options, double start)
{
	size_t size;

	if (vm->fault == FAULT_KILL_BEFORE_SAVE) {
		show_sum(vm, options);
		kill(getpid(), SIGKILL);
	}
	if (!options->state) {
		warnx("%s: stopped, not saved: no --state", vm->name);
		return true;
	}
	if (vm->staged) {
		warnx("%s has not yet filled its private memory, and goes on", vm->name);
		return false;
	}
	memory_note_token(vm);
	size = state_save(vm, options->state);
	if (!size) {
		warnx("%s: not saved, and goes on", vm->name);
		return false;
	}
	show_sum(vm, options);
	warnx("%s: saved, %zu bytes in %.1f ms", vm->name, size, milliseconds() - start);
	return true;
}

int main(int argc, char **argv)
{
	struct options options = { .cpus = 1, .append = "" };
	static struct vm vm;
	sigset_t signals;
	double start;
	int number;

	parse_options(argc, argv, &vm, &options);
	/* Before there are threads, which inherit that. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGUSR2);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	/* Nobody has to listen to the console. */
	signal(SIGPIPE, SIG_IGN);

	create_vm(&vm);
	if (options.resume) {
		resume(&vm, &options);
	} else if (options.kernel) {
		boot(&vm, &options);
	} else {
		memory_claim(&vm, KVM_GMEM_PERSIST_RECLAIM, options.memory, options.granule);
		show_sum(&vm, &options);
		return STATUS_OK;
	}
	do {
		cpu_start_all(&vm);
		/* SIGUSR2 is our own: a vCPU ended the guest. */
		sigwait(&signals, &number);
		start = milliseconds();
		cpu_pause_all(&vm);
		if (vm.ended >= 0) {
			warnx("%s: %s", vm.name, vm.reason);
			return vm.ended;
		}
	} while (!save(&vm, &options, start));
	return STATUS_OK;
}
