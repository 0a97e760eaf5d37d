/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the core share. Nobody outside includes this.
 *
 * Locks: gmem_pool.lock protects everything in struct gmem_pool but @ranges, which
 * never changes after boot, and the fields of an object that say so. It is taken
 * inside of an object's invalidate lock and of KVM's locks; nothing but memory
 * allocation and KHO is called with it held.
 */
#ifndef _MM_GMEM_PERSIST_INTERNAL_H
#define _MM_GMEM_PERSIST_INTERNAL_H

#define pr_fmt(fmt) "gmem_persist: " fmt

#include <linux/gmem_persist.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/uuid.h>

#include "extent.h"
#include "record.h"

/* Who wants the layout of the pool to stand still. */
enum gmem_holder {
	GMEM_HOLDER_OPERATOR,
	GMEM_HOLDER_REBOOT,
	GMEM_NR_HOLDERS,
};

/**
 * struct gmem_pool - the memory set aside, and who has it
 * @lock: protects what follows
 * @ranges: all of it
 * @free: nobody's, to be had
 * @dirty: the part of @free that must be cleared before it is given out; an
 *	object that is being created still has its own part here
 * @quarantined: of unknown contents, not to be had until the operator says so
 * @reserved: entries that freeing all objects could add to @free and @dirty; this
 *	much room is always there, so that freeing cannot fail
 * @objects: all objects, also unnamed ones
 * @nr_allocating: how many of them are being created
 * @nr_named: how many of them have a name
 * @holders: bits of enum gmem_holder; while there is one, the layout stands still
 * @generation: how many handovers the pool has seen
 * @ready: the pool can be used
 */
struct gmem_pool {
	struct mutex lock;	/* all but @ranges */
	struct gmem_extents ranges;
	struct gmem_extents free;
	struct gmem_extents dirty;
	struct gmem_extents quarantined;
	unsigned int reserved;
	struct list_head objects;
	unsigned int nr_allocating;
	unsigned int nr_named;
	unsigned long holders;
	u64 generation;
	bool ready;
};

extern struct gmem_pool gmem_pool;

struct gmem_charge;

enum gmem_state {
	GMEM_ALLOCATING,
	GMEM_LIVE,
	GMEM_DISCARDING,
};

/**
 * struct gmem_object - one piece of persistent memory
 * @kobj: its directory in sysfs, if it has a name, and its reference count
 * @node: in gmem_pool.objects
 * @name: its name; empty if it dies with its last view
 * @meta: what the record says of it; epoch under gmem_pool.lock, the rest constant
 * @ranges: its memory in the order of its offsets; constant
 * @start: offset of each of @ranges; constant
 * @charges: who pays for it, by node; see charge.c for whose it is
 * @state: under gmem_pool.lock
 * @vm_view: a VM uses it; under gmem_pool.lock
 * @inode: owner of the one address_space, and so of the one invalidate lock, that
 *	all mappings of the object hang on, whoever made them
 * @consumers: who else maps it; under the invalidate lock
 */
struct gmem_object {
	struct kobject kobj;
	struct list_head node;
	char name[GMEM_NAME_SIZE];
	struct gmem_persist_object meta;
	struct gmem_extents ranges;
	u64 *start;
	struct gmem_charge *charges;
	enum gmem_state state;
	bool vm_view;
	struct inode *inode;
	struct list_head consumers;
};

/* The memory map has room for so many, beside its own entries. */
#define GMEM_MAX_EXTENTS	48

/* Where the pool comes from, and so what is in it. */
enum gmem_origin {
	GMEM_POOL_ADOPTED,	/* an earlier kernel: whatever the record says */
	GMEM_POOL_NEW,		/* this boot: anything */
	GMEM_POOL_NEW_ZERO,	/* this boot: zero, by the operator's word */
};

/* reserve.c */
extern enum gmem_origin gmem_pool_origin;
int gmem_pool_nid(u64 addr);

/* pool.c */
int gmem_extents_reserve(struct gmem_extents *x, unsigned int extra);
int gmem_pool_release_quarantine(u64 base, u64 size);
bool gmem_pool_frozen(void);

/* object.c */
int gmem_object_init(void);
int gmem_object_discard(const char *name);
int gmem_object_restore(const struct gmem_record_object *rec);

/* charge.c */
int gmem_charge_init(void);
int gmem_charge(struct gmem_object *obj);
int gmem_charge_move(struct gmem_object *obj);
void gmem_uncharge(struct gmem_object *obj);

/* zero.c */
int gmem_zero(u64 base, u64 size, int (*stop)(void));

/* handover.c */
void gmem_handover_init(void);
int gmem_handover_update(void);
int gmem_handover_freeze(enum gmem_holder holder);
int gmem_handover_thaw(enum gmem_holder holder);
size_t gmem_handover_record_size(void);

/* sysfs.c */
int gmem_sysfs_init(void);
int gmem_sysfs_add_object(struct gmem_object *obj);
extern const struct kobj_type gmem_object_ktype;
void gmem_object_free(struct kobject *kobj);

#endif /* _MM_GMEM_PERSIST_INTERNAL_H */
