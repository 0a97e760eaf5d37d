/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For tests of guest_memfd over persistent memory, which need a kernel booted with
 * gmem_persist=, and root. The names of a test's objects begin with PREFIX.
 */
#ifndef SELFTEST_KVM_GMEM_PERSIST_UTIL_H
#define SELFTEST_KVM_GMEM_PERSIST_UTIL_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/sizes.h>

#include "kselftest.h"
#include "kvm_syscalls.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"

#define SYSFS		"/sys/kernel/mm/gmem_persist/"
#define PREFIX		"gmemtest-"

#define FLAGS_PRIVATE	0
#define FLAGS_SHARED	(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

/* An object of a few 2 MiB granules, quick to clear under emulation. */
#define OBJECT_SIZE	(4ull * SZ_2M)

/* Guests see persistent memory behind this address, mapped one to one. */
#define GUEST_BASE	((u64)SZ_4G)
#define GUEST_WINDOW	(3ull * SZ_1G)
#define GUEST_SLOT	1

/* Tells apart what different writers have written. */
#define SEED_HOST	0x1111111111111111ull
#define SEED_GUEST	0x2222222222222222ull

#define EXPECT_ERRNO(_call, _error)					\
do {									\
	long __r, __e;							\
									\
	errno = 0;							\
	__r = (long)(_call);						\
	__e = errno;							\
	errno = 0;	/* EACCES would make a failure a skip */	\
	TEST_ASSERT(__r == -1 && __e == (_error),			\
		    "'%s' gave %ld, errno %ld (%s), wanted %s",		\
		    #_call, __r, __e, strerror(__e), #_error);		\
} while (0)

/* Leaves the process of the case; ksft_exit_skip() would end the whole run. */
#define SKIP_UNLESS(_cond, _why)					\
do {									\
	if (!(_cond)) {							\
		ksft_print_msg("skipped: %s\n", _why);			\
		exit(KSFT_SKIP);					\
	}								\
} while (0)

int wait_for_child(pid_t pid);
void run_in_child(void (*fn)(void *), void *arg);

/* sysfs, and objects */

char *gmem_read_text(char *buf, size_t size, const char *path);
int gmem_write_text(const char *path, const char *text);
u64 gmem_pool_attr(const char *attr);
int gmem_set_frozen(const char *value);
int gmem_discard(const char *name);
int gmem_ask_object(const char *name);
int gmem_open_disk(void);
char *gmem_object_attr(char *buf, size_t size, const char *name,
		       const char *attr);
void gmem_assert_attr(const char *name, const char *attr, const char *value);
void gmem_assert_live(const char *name);
void gmem_assert_parked(const char *name);
void gmem_assert_gone(const char *name);

/**
 * struct gmem_snapshot - what the pool is at one moment
 * @clean: bytes that are free and zero
 * @dirty: bytes that are free and must be cleared
 * @used: bytes that belong to objects
 * @quarantined: bytes of unknown contents
 * @objects: a line for each object in the root directory with all that is not constant in it
 */
struct gmem_snapshot {
	u64 clean;
	u64 dirty;
	u64 used;
	u64 quarantined;
	char objects[SZ_4K];
};

void gmem_take_snapshot(struct gmem_snapshot *s);
void gmem_check_pool(void);
void gmem_assert_unchanged(const struct gmem_snapshot *before, const char *what);
void gmem_thaw(void);
void gmem_clean_up(void);

/* KVM_GMEM_PERSIST */

#define GMEM_ARGS(_op, _name, ...)						\
	{ .op = KVM_GMEM_PERSIST_##_op, .name = _name, ##__VA_ARGS__ }

int gmem_persist(struct kvm_vm *vm, struct kvm_gmem_persist *args);
int gmem_open_object(struct kvm_vm *vm, struct kvm_gmem_persist *args);
int __gmem_create(struct kvm_vm *vm, const char *name, u64 size, u64 granule,
		  u64 flags);
int gmem_create(struct kvm_vm *vm, const char *name, u64 flags);
int gmem_create_file(const char *name, u64 size, u64 granule);
int gmem_reclaim(struct kvm_vm *vm, const char *name, u64 flags);
void gmem_expect_refused(struct kvm_vm *vm, const struct kvm_gmem_persist *args,
			 int error, const char *what);
void gmem_expect_unnamed_refused(struct kvm_vm *vm, u64 size, u64 flags,
				 int error);

/* Contents: words that tell the offset in the object they belong to */

u64 gmem_pattern(u64 offset, u64 seed);
void gmem_fill(void *object, u64 offset, u64 size, u64 step, u64 seed);
void gmem_check(void *object, u64 offset, u64 size, u64 step, u64 seed);
void gmem_check_zero(void *object, u64 offset, u64 size);
void *gmem_map(int fd, u64 size);
void *gmem_map_at(int fd, u64 size, u64 align, u64 skew);
long gmem_minor_faults(void);

/* Guests */

/*
 * FOREVER: again and again. REFILL: what is zero is filled, and what is neither zero nor
 * as it was filled is a failure.
 */
enum guest_op {
	GUEST_FILL,
	GUEST_FILL_FOREVER,
	GUEST_REFILL_FOREVER,
	GUEST_CHECK,
	GUEST_CHECK_ZERO,
};

/**
 * struct gmem_guest_job - what a guest shall do next
 * @op: one of enum guest_op
 * @gpa: where, in the guest
 * @offset: where that is in the object
 * @size: how much, in bytes
 * @step: distance of words that are looked at, in bytes
 * @seed: of the pattern
 */
struct gmem_guest_job {
	enum guest_op op;
	u64 gpa;
	u64 offset;
	u64 size;
	u64 step;
	u64 seed;
};

void gmem_guest_code(void);
struct kvm_vm *gmem_create_vm(unsigned long type, struct kvm_vcpu **vcpu);
struct kvm_vm *gmem_create_default_vm(struct kvm_vcpu **vcpu);
struct kvm_vcpu *gmem_add_vcpu(struct kvm_vm *vm, u32 id);
void gmem_start_job(struct kvm_vcpu *vcpu, const struct gmem_guest_job *j);
void gmem_run_job(struct kvm_vcpu *vcpu, const struct gmem_guest_job *j);
void gmem_run_guest(struct kvm_vcpu *vcpu, enum guest_op op, u64 size);
void gmem_bind(struct kvm_vm *vm, u64 gpa, u64 size, int fd, u64 offset);
void gmem_add_slot(struct kvm_vm *vm, int fd, u64 size);
void gmem_delete_slot(struct kvm_vm *vm);
bool kvm_has_vm_type(unsigned long type);
void gmem_punch(int fd, u64 offset, u64 size);
void gmem_wait_for(u64 *word, u64 value);

/* Test cases */

/**
 * struct gmem_test - a case
 * @name: what it shows
 * @fn: returns if that is so; SKIP_UNLESS() and TEST_ASSERT() leave it
 */
struct gmem_test {
	const char *name;
	void (*fn)(void);
};

int gmem_run_tests(const struct gmem_test *tests, int nr, int argc, char *argv[]);

#endif /* SELFTEST_KVM_GMEM_PERSIST_UTIL_H */
