/* SPDX-License-Identifier: GPL-2.0 */
/*
 * gmem-vmm: what its files share. main.c tells how the parts work together.
 */
#ifndef GMEM_VMM_VM_H
#define GMEM_VMM_VM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE		4096UL
#define MIB		(1UL << 20)
#define GIB		(1UL << 30)

#define MAX_CPUS	8

/* A guest's RAM ends here, and goes on at 4 GiB: in between are the APICs. */
#define GAP_START	(3 * GIB)
#define GAP_END		(4 * GIB)

/* Where a guest with private memory finds the image that it copies there. */
#define GPA_STAGING	(512 * GIB)

/* Exit status, as --help tells it */
enum status {
	STATUS_OK = 0,		/* the guest has ended, or was saved */
	STATUS_FAILED = 1,	/* this host cannot do it; a message says why */
	STATUS_USAGE = 2,
	STATUS_NO_MEMORY = 3,	/* the memory was refused; the errno is in the message */
	STATUS_NOT_OURS = 4,	/* the state file is damaged, or not of this guest or program */
	STATUS_STALE = 5,	/* memory and state file are not of the same moment */
	STATUS_GUEST = 6,	/* KVM cannot run this guest any further */
};

/* What may go wrong on purpose, so that tests can see it noticed. */
enum fault {
	FAULT_NONE,
	FAULT_STALE_TOKEN,	/* save another token */
	FAULT_WRONG_NAME,	/* save another name, size, or version */
	FAULT_WRONG_SIZE,
	FAULT_WRONG_VERSION,
	FAULT_WRONG_RECORD,	/* save a record that does not end */
	FAULT_DAMAGED,		/* change a byte of the state after it was summed up */
	FAULT_KILL_BEFORE_SAVE,	/* die when the guest is paused */
	FAULT_NO_MSRS,		/* do not restore them */
	FAULT_NO_ATTRIBUTES,	/* do not make private again what was so */
};

#define UUID_SIZE	16
#define TOKEN_SIZE	KVM_GMEM_PERSIST_TOKEN_SIZE

/*
 * Which memory it is, and who has changed it last. While a guest runs, that is whoever did
 * before, until the guest writes for the first time, and then the guest.
 */
struct identity {
	uint8_t uuid[UUID_SIZE];
	uint8_t found[TOKEN_SIZE];	/* the token that the memory had when it was claimed */
	uint8_t own[TOKEN_SIZE];	/* the one that it has when the guest has written */
};

struct vm;

struct cpu {
	struct vm *vm;
	unsigned int index;	/* also its APIC's number */
	int fd;
	struct kvm_run *run;
	pthread_t thread;
};

/* The registers of a 16550A that software can see; no input ever comes. */
struct uart {
	uint8_t ier, lcr, mcr, scr, dll, dlm;
	uint8_t fifo;		/* is switched on */
	uint8_t thr_empty;	/* and the guest has not been told */
};

struct vm {
	const char *name;
	const char *path;	/* of its file in gmemfs; NULL: claim it by name */
	enum fault fault;
	int kvm, fd;

	/* memory.c */
	uint64_t size;
	uint64_t granule;
	struct identity identity;
	bool private;		/* a protected VM, its memory out of our reach */
	bool staged;		/* which the guest has not filled yet */
	int gmem;
	char *ram;		/* our mapping of it; if private, of what is to be copied */

	/* cpu.c */
	unsigned int nr_cpus;
	struct cpu cpus[MAX_CPUS];
	atomic_bool pausing;
	atomic_int ended;	/* enum status, or -1 */
	const char *reason;	/* for the guest's end */

	/* device.c */
	pthread_mutex_t device_lock;
	struct uart uart;
	uint32_t uart_irq;	/* level of its line */
};

/* main.c */
int xioctl(int fd, unsigned long request, void *arg, const char *what);
#define XIOCTL(fd, request, arg) \
	xioctl(fd, request, (void *)(uintptr_t)(arg), #request)

/* memory.c */
void memory_claim(struct vm *vm, uint32_t op, uint64_t size, uint64_t granule);
void memory_check_fresh(const struct vm *vm, const struct identity *saved);
void memory_note_token(struct vm *vm);
void memory_add_slots(struct vm *vm);
void memory_set_private(struct vm *vm, uint64_t gpa, uint64_t size);
void memory_drop_staging(struct vm *vm);
unsigned int memory_ranges(const struct vm *vm, struct kvm_memory_attributes ranges[2]);
void *memory_at(const struct vm *vm, uint64_t gpa, uint64_t size);
uint64_t memory_sum(const struct vm *vm);

/* boot.c */
extern const char copy_code[], copy_arrived[], copy_end[];	/* assembly in there */
void boot_load(struct vm *vm, const char *kernel, const char *initrd, const char *append);

/* cpu.c */
void cpu_create_all(struct vm *vm, unsigned int nr);
void cpu_set_cpuid(struct cpu *cpu);
void cpu_start_all(struct vm *vm);
void cpu_pause_all(struct vm *vm);

/* device.c */
void device_create(struct vm *vm);
void device_io(struct vm *vm, struct kvm_run *run);
void device_update_irq(struct vm *vm);

/* state.c */
struct state;
struct state *state_read(const struct vm *vm, const char *path, uint64_t size);
const struct identity *state_identity(const struct state *state);
unsigned int state_cpus(const struct state *state);
uint64_t state_memory(const struct state *state);
void state_restore(struct vm *vm, const struct state *state);
size_t state_save(struct vm *vm, const char *path);

#endif /* GMEM_VMM_VM_H */
