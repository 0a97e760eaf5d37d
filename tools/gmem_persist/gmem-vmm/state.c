// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest is besides its memory, in a file: a header, and records of vCPUs and devices
 * in the order in which they are restored.
 *
 * The header says which memory it belongs to: its name and size, its uuid, and the token that
 * it had when the guest was saved. Whoever writes to the memory gives it another token, so if
 * uuid and token are the same when the guest is to go on, memory and file are of one moment.
 * The guest's own first write is the end of that: the file is stale then.
 *
 * The file is written as any other, and may be one of gmemfs, which survives a kexec beside the
 * memory.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vm.h"

#define MAGIC		"GMEM-VMM"
#define VERSION		2
#define MAX_STATE	MIB

#define MSR_TSC			0x10
#define MSR_TSC_DEADLINE	0x6e0
#define MAX_MSRS		1024

struct header {
	char magic[8];
	uint32_t version;
	uint32_t nr_cpus;
	char name[KVM_GMEM_PERSIST_NAME_SIZE];
	uint64_t memory;
	struct identity identity;
	uint32_t private;
	uint32_t size;		/* of the records */
	uint64_t sum;		/* of all the rest */
};

enum type {
	R_CPUID, R_SREGS, R_REGS, R_XCRS, R_XSAVE, R_LAPIC,
	R_IRQCHIP, R_PIT, R_UART, R_PRIVATE,
	R_TIME,
	R_MSRS, R_EVENTS, R_DEBUGREGS, R_MP_STATE,
};

struct record {
	uint32_t type;
	uint32_t index;		/* of the vCPU, or of the chip */
	uint32_t size;		/* of what follows, a multiple of 8 */
	uint32_t pad;
};

struct state {
	struct header header;
	char records[MAX_STATE];
};

/* Of all clocks at one moment, since the guest compares them. */
struct time {
	struct kvm_clock_data clock;
	uint64_t tsc_khz;
	__u64 tsc[MAX_CPUS];
};

struct uart_state {
	struct uart uart;
	uint32_t irq, pad;
};

/* vCPU state that an ioctl gives and another one takes, without more. */
static const struct plain {
	enum type type;
	unsigned long get, set;
	const char *what;
} plain[] = {
	{ R_SREGS, KVM_GET_SREGS2, KVM_SET_SREGS2, "SREGS2" },
	{ R_REGS, KVM_GET_REGS, KVM_SET_REGS, "REGS" },
	{ R_XCRS, KVM_GET_XCRS, KVM_SET_XCRS, "XCRS" },
	{ R_LAPIC, KVM_GET_LAPIC, KVM_SET_LAPIC, "LAPIC" },
	{ R_EVENTS, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, "VCPU_EVENTS" },
	{ R_DEBUGREGS, KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, "DEBUGREGS" },
	{ R_MP_STATE, KVM_GET_MP_STATE, KVM_SET_MP_STATE, "MP_STATE" },
};

#define NR_PLAIN (sizeof(plain) / sizeof(plain[0]))

static uint64_t sum_of(const struct state *state)
{
	struct header header = state->header;
	uint64_t sum = 0xcbf29ce484222325;
	size_t i;

	header.sum = 0;
	for (i = 0; i < sizeof(header); i++)
		sum = (sum ^ ((const uint8_t *)&header)[i]) * 0x100000001b3;
	for (i = 0; i < header.size; i++)
		sum = (sum ^ (uint8_t)state->records[i]) * 0x100000001b3;
	return sum;
}

/* Room for a record, zeroed. */
static void *add(struct state *state, enum type type, unsigned int index, size_t size)
{
	struct record *record = (struct record *)(state->records + state->header.size);

	size = (size + 7) & -8UL;
	if (state->header.size + sizeof(*record) + size > MAX_STATE)
		errx(STATUS_FAILED, "the state is larger than %lu bytes", MAX_STATE);
	*record = (struct record){ type, index, size, 0 };
	state->header.size += sizeof(*record) + size;
	return record + 1;
}

static void save_plain(struct state *state, struct cpu *cpu, enum type type)
{
	const struct plain *p;

	for (p = plain; p->type != type; p++)
		;
	xioctl(cpu->fd, p->get, add(state, type, cpu->index, _IOC_SIZE(p->get)), p->what);
}

static void save_cpuid(struct state *state, struct cpu *cpu)
{
	struct kvm_cpuid2 *cpuid;
	const unsigned int max = 256;

	cpuid = add(state, R_CPUID, cpu->index, sizeof(*cpuid) + max * sizeof(cpuid->entries[0]));
	cpuid->nent = max;
	XIOCTL(cpu->fd, KVM_GET_CPUID2, cpuid);
}

static void save_xsave(struct state *state, struct cpu *cpu)
{
	int size = ioctl(cpu->vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

	if (size > 0)
		XIOCTL(cpu->fd, KVM_GET_XSAVE2, add(state, R_XSAVE, cpu->index, size));
	else
		XIOCTL(cpu->fd, KVM_GET_XSAVE,
		       add(state, R_XSAVE, cpu->index, sizeof(struct kvm_xsave)));
}

/* One MSR; false if this host, or this guest, has none of that number. */
static bool access_msr(const struct cpu *cpu, unsigned long request, uint32_t index,
		       __u64 *value)
{
	union {
		struct kvm_msrs head;
		char room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} msr = { .head.nmsrs = 1 };

	msr.head.entries[0] = (struct kvm_msr_entry){ .index = index, .data = *value };
	if (ioctl(cpu->fd, request, &msr) != 1)
		return false;
	*value = msr.head.entries[0].data;
	return true;
}

static void save_msrs(struct state *state, struct cpu *cpu)
{
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + MAX_MSRS * sizeof(uint32_t));
	struct kvm_msr_entry *entry = calloc(MAX_MSRS, sizeof(*entry));
	__u64 deadline = 0;
	uint32_t i, nr = 0;

	if (!list || !entry)
		err(STATUS_FAILED, "MSRs");
	list->nmsrs = MAX_MSRS - 1;
	XIOCTL(cpu->vm->kvm, KVM_GET_MSR_INDEX_LIST, list);
	for (i = 0; i < list->nmsrs; i++) {
		entry[nr].index = list->indices[i];
		if (entry[nr].index != MSR_TSC && entry[nr].index != MSR_TSC_DEADLINE &&
		    access_msr(cpu, KVM_GET_MSRS, entry[nr].index, &entry[nr].data))
			nr++;
	}
	/* It starts a timer, by the TSC and by what the local APIC is set to. */
	if (access_msr(cpu, KVM_GET_MSRS, MSR_TSC_DEADLINE, &deadline))
		entry[nr++] = (struct kvm_msr_entry){ MSR_TSC_DEADLINE, 0, deadline };
	memcpy(add(state, R_MSRS, cpu->index, nr * sizeof(*entry)), entry, nr * sizeof(*entry));
	free(entry);
	free(list);
}

static void save_time(struct state *state, struct vm *vm)
{
	struct time *time = add(state, R_TIME, 0, sizeof(*time));
	unsigned int i;

	time->tsc_khz = XIOCTL(vm->cpus[0].fd, KVM_GET_TSC_KHZ, 0);
	XIOCTL(vm->fd, KVM_GET_CLOCK, &time->clock);
	for (i = 0; i < vm->nr_cpus; i++)
		if (!access_msr(&vm->cpus[i], KVM_GET_MSRS, MSR_TSC, &time->tsc[i]))
			err(STATUS_FAILED, "TSC of vCPU %u", i);
}

static void save_devices(struct state *state, struct vm *vm)
{
	struct kvm_memory_attributes ranges[2];
	struct uart_state *uart;
	unsigned int i, nr;

	for (i = 0; i < 3; i++) {
		struct kvm_irqchip *chip = add(state, R_IRQCHIP, i, sizeof(*chip));

		chip->chip_id = i;
		XIOCTL(vm->fd, KVM_GET_IRQCHIP, chip);
	}
	XIOCTL(vm->fd, KVM_GET_PIT2, add(state, R_PIT, 0, sizeof(struct kvm_pit_state2)));
	uart = add(state, R_UART, 0, sizeof(*uart));
	uart->uart = vm->uart;
	uart->irq = vm->uart_irq;
	nr = vm->private ? memory_ranges(vm, ranges) : 0;
	for (i = 0; i < nr; i++)
		memcpy(add(state, R_PRIVATE, i, sizeof(ranges[i])), &ranges[i], sizeof(ranges[i]));
}

/*
 * The order is that of restoring: a local APIC is where SREGS say, and the timers that some
 * MSRs start need the APIC, and the clocks. MP_STATE is restored last, but asked for first: KVM
 * lets the vCPU take an INIT or SIPI that waits for it then, which changes all else.
 */
static void save_records(struct state *state, struct vm *vm)
{
	struct cpu *cpu, *end = vm->cpus + vm->nr_cpus;
	struct kvm_mp_state mp_state[MAX_CPUS];

	for (cpu = vm->cpus; cpu < end; cpu++)
		XIOCTL(cpu->fd, KVM_GET_MP_STATE, &mp_state[cpu->index]);
	for (cpu = vm->cpus; cpu < end; cpu++) {
		save_cpuid(state, cpu);
		save_plain(state, cpu, R_SREGS);
		save_plain(state, cpu, R_REGS);
		save_plain(state, cpu, R_XCRS);
		save_xsave(state, cpu);
		save_plain(state, cpu, R_LAPIC);
	}
	save_devices(state, vm);
	save_time(state, vm);
	for (cpu = vm->cpus; cpu < end; cpu++) {
		save_msrs(state, cpu);
		save_plain(state, cpu, R_EVENTS);
		save_plain(state, cpu, R_DEBUGREGS);
		memcpy(add(state, R_MP_STATE, cpu->index, sizeof(mp_state[0])),
		       &mp_state[cpu->index], sizeof(mp_state[0]));
	}
}

static bool write_file(const char *path, const struct state *state)
{
	const size_t size = sizeof(state->header) + state->header.size;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	size_t done = 0;
	ssize_t n = 0;

	while (fd >= 0 && done < size && n >= 0) {
		n = write(fd, (const char *)state + done, size - done);
		done += n > 0 ? n : 0;
	}
	if (fd < 0 || n < 0 || fsync(fd)) {
		warn("%s", path);
		done = 0;
	}
	if (fd >= 0)
		close(fd);
	return done;
}

static void spoil_header(struct header *header, enum fault fault)
{
	switch (fault) {
	case FAULT_STALE_TOKEN:
		header->identity.own[0] ^= 1;
		break;
	case FAULT_WRONG_NAME:
		header->name[0] ^= 1;
		break;
	case FAULT_WRONG_SIZE:
		header->memory *= 2;
		break;
	case FAULT_WRONG_VERSION:
		header->version++;
		break;
	default:
		break;
	}
}

/**
 * state_save - write all that the guest is besides its memory
 * @vm: the VM, paused
 * @path: the file, which is made, or overwritten
 *
 * Return: how many bytes that were, or 0 if they could not be written, which was said.
 */
size_t state_save(struct vm *vm, const char *path)
{
	struct state *state = calloc(1, sizeof(*state));
	struct header *header = &state->header;
	size_t size;

	if (!state)
		err(STATUS_FAILED, "state");
	memcpy(header->magic, MAGIC, sizeof(header->magic));
	header->version = VERSION;
	header->nr_cpus = vm->nr_cpus;
	memcpy(header->name, vm->name, strlen(vm->name));
	header->memory = vm->size;
	header->identity = vm->identity;
	header->private = vm->private;
	save_records(state, vm);
	spoil_header(header, vm->fault);
	if (vm->fault == FAULT_WRONG_RECORD)
		((struct record *)state->records)->size = -(uint32_t)sizeof(struct record);
	header->sum = sum_of(state);
	if (vm->fault == FAULT_DAMAGED)
		state->records[header->size / 2] ^= 1;
	size = write_file(path, state) ? sizeof(*header) + header->size : 0;
	free(state);
	return size;
}

/* Does each record end where the next one begins, and the last one with all of them? */
static bool records_fit(const struct state *state)
{
	uint32_t at = 0, left;

	while ((left = state->header.size - at)) {
		const struct record *record = (const struct record *)(state->records + at);

		if (left < sizeof(*record) || record->size > left - sizeof(*record) ||
		    record->size % 8)
			return false;
		at += sizeof(*record) + record->size;
	}
	return true;
}

/**
 * state_read - read a file of state_save(), and check whether it is for this VM
 * @vm: the VM: name and type
 * @path: the file
 * @size: what the memory's size should be; 0: do not care
 *
 * Return: the state. What does not fit is an error, before anything was changed.
 */
struct state *state_read(const struct vm *vm, const char *path, uint64_t size)
{
	struct state *state = calloc(1, sizeof(*state));
	struct header *header = &state->header;
	int fd = open(path, O_RDONLY);
	size_t length = 0;
	ssize_t n;

	if (!state || fd < 0)
		err(STATUS_FAILED, "%s", path);
	do {
		n = read(fd, (char *)state + length, sizeof(*state) - length);
		if (n < 0)
			err(STATUS_FAILED, "%s", path);
		length += n;
	} while (n);
	close(fd);
	if (length < sizeof(*header))
		errx(STATUS_NOT_OURS, "%s is no state file", path);

	if (memcmp(header->magic, MAGIC, sizeof(header->magic)))
		errx(STATUS_NOT_OURS, "%s is no state file", path);
	if (header->version != VERSION)
		errx(STATUS_NOT_OURS, "%s has format %u, this program knows %u", path,
		     header->version, VERSION);
	if (header->size > length - sizeof(*header) || header->sum != sum_of(state) ||
	    header->nr_cpus > MAX_CPUS || !records_fit(state))
		errx(STATUS_NOT_OURS, "%s is damaged", path);
	header->name[sizeof(header->name) - 1] = 0;
	if (strcmp(header->name, vm->name))
		errx(STATUS_NOT_OURS, "%s is the state of %s, not of %s", path, header->name,
		     vm->name);
	if (size && header->memory != size)
		errx(STATUS_NOT_OURS, "%s is of a guest with %llu bytes of memory, not %llu",
		     path, (unsigned long long)header->memory, (unsigned long long)size);
	if (header->private != vm->private)
		errx(STATUS_NOT_OURS, "%s is of a guest with%s private memory", path,
		     header->private ? "" : "out");
	return state;
}

const struct identity *state_identity(const struct state *state)
{
	return &state->header.identity;
}

uint64_t state_memory(const struct state *state)
{
	return state->header.memory;
}

unsigned int state_cpus(const struct state *state)
{
	return state->header.nr_cpus;
}

/*
 * Those that a new vCPU has so by itself are left alone: not all that can be read as zero
 * can be written.
 */
static void restore_msrs(struct cpu *cpu, const struct kvm_msr_entry *entry, uint32_t nr)
{
	__u64 value = 0;

	for (; nr--; entry++) {
		if (access_msr(cpu, KVM_GET_MSRS, entry->index, &value) && value == entry->data)
			continue;
		value = entry->data;
		if (!access_msr(cpu, KVM_SET_MSRS, entry->index, &value))
			warnx("vCPU %u: this host does not take %#llx for MSR %#x", cpu->index,
			      entry->data, entry->index);
	}
}

static void restore_time(struct vm *vm, struct time *time)
{
	unsigned int i;

	for (i = 0; i < vm->nr_cpus; i++)
		if (ioctl(vm->cpus[i].fd, KVM_SET_TSC_KHZ, time->tsc_khz))
			warnx("vCPU %u: the TSC cannot run at %llu kHz as before", i,
			      (unsigned long long)time->tsc_khz);
	/* The guest's time stood still. Only the real time could be made to go on. */
	time->clock.flags = 0;
	XIOCTL(vm->fd, KVM_SET_CLOCK, &time->clock);
	for (i = 0; i < vm->nr_cpus; i++)
		if (!access_msr(&vm->cpus[i], KVM_SET_MSRS, MSR_TSC, &time->tsc[i]))
			err(STATUS_FAILED, "TSC of vCPU %u", i);
}

static void restore_record(struct vm *vm, const struct record *record)
{
	const struct uart_state *uart = (const void *)(record + 1);
	const struct kvm_memory_attributes *range = (const void *)(record + 1);
	struct cpu *cpu = &vm->cpus[record->index % MAX_CPUS];
	void *data = (void *)(record + 1);
	const struct plain *p;

	switch (record->type) {
	case R_CPUID:
		XIOCTL(cpu->fd, KVM_SET_CPUID2, data);
		break;
	case R_XSAVE:
		XIOCTL(cpu->fd, KVM_SET_XSAVE, data);
		break;
	case R_IRQCHIP:
		XIOCTL(vm->fd, KVM_SET_IRQCHIP, data);
		break;
	case R_PIT:
		XIOCTL(vm->fd, KVM_SET_PIT2, data);
		break;
	case R_UART:
		vm->uart = uart->uart;
		vm->uart_irq = uart->irq;
		break;
	case R_PRIVATE:
		if (vm->fault != FAULT_NO_ATTRIBUTES)
			memory_set_private(vm, range->address, range->size);
		break;
	case R_TIME:
		restore_time(vm, data);
		break;
	case R_MSRS:
		if (vm->fault != FAULT_NO_MSRS)
			restore_msrs(cpu, data, record->size / sizeof(struct kvm_msr_entry));
		break;
	default:
		for (p = plain; p < plain + NR_PLAIN && p->type != record->type; p++)
			;
		if (p == plain + NR_PLAIN)
			errx(STATUS_NOT_OURS, "a record of type %u", record->type);
		xioctl(cpu->fd, p->set, data, p->what);
	}
}

/**
 * state_restore - make new vCPUs and devices what the saved ones were
 * @vm: the VM, with its memory, and with as many vCPUs
 * @state: what state_read() found
 */
void state_restore(struct vm *vm, const struct state *state)
{
	const struct record *record;
	unsigned int i;
	uint32_t at;

	for (at = 0; at < state->header.size; at += sizeof(*record) + record->size) {
		record = (const struct record *)(state->records + at);
		restore_record(vm, record);
	}
	/* Spare the guest's watchdogs what it could not do in the meantime. */
	for (i = 0; i < vm->nr_cpus; i++)
		ioctl(vm->cpus[i].fd, KVM_KVMCLOCK_CTRL, 0);
}
