/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the core share. Nobody outside includes this.
 *
 * Locks: gmem_pool.lock protects everything in struct gmem_pool but @ranges, which
 * never changes after boot, and the fields of an object that say so. It is taken
 * inside of an object's invalidate lock, of KVM's locks, and of those of kexec and
 * memory_failure(); nothing but memory allocation, KHO, the dmem cgroup with charge.c's
 * own lock, d_instantiate() and kexec_trylock() is called with it held.
 */
#ifndef _MM_GMEM_PERSIST_INTERNAL_H
#define _MM_GMEM_PERSIST_INTERNAL_H

#define pr_fmt(fmt) "gmem_persist: " fmt

#include <linux/gmem_persist.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/numa.h>
#include <linux/uidgid.h>
#include <linux/uuid.h>
#include <linux/xarray.h>

#include "arena.h"
#include "extent.h"
#include "record.h"
#include "stop.h"

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
 * @arena: what of it is free, and what must be cleared before it is given out
 * @quarantined: of unknown contents, not to be had until the operator says so
 * @retired: not to be had before the machine is reset: 2 MiB granules with bad pages
 * @bad_pages: all pages with memory errors, wherever they are
 * @objects: all objects, also unnamed ones
 * @nr_awaited: how many of them are being created such that a freeze should wait
 * @nr_named: how many of them have, or had, a name
 * @holders: bits of enum gmem_holder; while there is one, the layout stands still
 * @generation: how many handovers the pool has seen
 * @error_unrecorded: the record lacks a memory error
 * @data_unrecorded: the record lacks the length of a file of data
 * @ready: the pool can be used
 */
struct gmem_pool {
	struct mutex lock;	/* all but @ranges */
	struct gmem_extents ranges;
	struct gmem_arena arena;
	struct gmem_extents quarantined;
	struct gmem_extents retired;
	struct gmem_extents bad_pages;
	struct list_head objects;
	unsigned int nr_awaited;
	unsigned int nr_named;
	unsigned long holders;
	u64 generation;
	bool error_unrecorded;
	bool data_unrecorded;
	bool ready;
};

extern struct gmem_pool gmem_pool;

struct debugfs_blob_wrapper;
struct dentry;
struct file;
struct gmem_charge;
struct iattr;
struct iov_iter;
struct kiocb;
struct kstat;
struct mnt_idmap;
struct path;

enum gmem_state {
	GMEM_ALLOCATING,
	GMEM_LIVE,
	GMEM_DISCARDING,
};

/**
 * struct gmem_object - one piece of persistent memory
 * @kobj: its directory in sysfs, if it has a name; the inode holds a reference
 * @node: in gmem_pool.objects
 * @name: its name in @parent; empty if it dies with its last view; under gmem_pool.lock
 * @parent: the directory that it is in; NULL: the root; under gmem_pool.lock
 * @meta: what the record says of it; epoch, uid, gid and mode under gmem_pool.lock,
 *	the rest constant once it has memory
 * @data: it holds data, as many bytes as the inode says: then its memory may be
 *	replaced, which takes the inode's lock, its invalidate lock and gmem_pool.lock
 * @ranges: its memory in the order of its offsets; constant once it is live and has
 *	some, but for data; under gmem_pool.lock before
 * @start: offset of each of @ranges; as constant as these
 * @bad_pages: which of its pages nobody may access, by their number; set under the
 *	invalidate lock, looked up without
 * @charges: who pays for it, by node; see charge.c for whose it is
 * @state: under gmem_pool.lock
 * @awaited: it counts in gmem_pool.nr_awaited; under gmem_pool.lock
 * @named: it counts in gmem_pool.nr_named; under gmem_pool.lock
 * @vm_view: a VM uses it; under gmem_pool.lock
 * @handles: how many open files of gmemfs show it; under gmem_pool.lock
 * @pins: how many are at work on its name, and keep it there; under gmem_pool.lock
 * @exclusive: the one handle that admits no other; under gmem_pool.lock
 * @unlinked: it loses its name, or has; under gmem_pool.lock
 * @inode: owner of the one address_space, and so of the one invalidate lock, that
 *	all mappings of the object hang on, whoever made them; a reference to it is
 *	one to the object
 * @consumers: who else maps it; under the invalidate lock
 * @described: of a directory: when it was put into a record last, and
 * @below: what was put there behind it; only while a record is made, under gmem_pool.lock
 */
struct gmem_object {
	struct kobject kobj;
	struct list_head node;
	char name[GMEM_NAME_SIZE];
	struct gmem_object *parent;
	struct gmem_persist_object meta;
	bool data;
	struct gmem_extents ranges;
	u64 *start;
	struct xarray bad_pages;
	struct gmem_charge *charges;
	enum gmem_state state;
	bool awaited;
	bool named;
	bool vm_view;
	unsigned int handles;
	unsigned int pins;
	bool exclusive;
	bool unlinked;
	struct inode *inode;
	struct list_head consumers;
	u64 described;
	struct gmem_object *below;
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
/**
 * struct gmem_stat - where the memory of the pool, or of one node of it, is
 * @pool: all of it, in bytes: the sum of the next five
 * @clean: free and zero
 * @dirty: free, to be cleared before it is given out
 * @used: of objects
 * @quarantined: of unknown contents
 * @poisoned: taken out of use because of memory errors
 * @free_1g: the part of @clean and @dirty that is in whole, aligned GiB
 */
struct gmem_stat {
	u64 pool;
	u64 clean;
	u64 dirty;
	u64 used;
	u64 quarantined;
	u64 poisoned;
	u64 free_1g;
};

/* All nodes together; no node has this number. */
#define GMEM_ALL_NODES	(NUMA_NO_NODE - 1)

void gmem_pool_stat(int nid, struct gmem_stat *stat);
int gmem_extents_reserve(struct gmem_extents *x, unsigned int extra);
int gmem_pool_release_quarantine(u64 base, u64 size);
bool gmem_pool_frozen(void);

/* clean.c */
void gmem_clean_init(void);
void gmem_clean_kick(void);
int gmem_clean_object(struct gmem_object *obj);
void gmem_clean_leave(const struct gmem_extents *x);
extern bool gmem_clean_background;
extern unsigned int gmem_clean_rate;
extern unsigned int gmem_clean_threads;

/* object.c */
int gmem_object_discard(const char *name);
int gmem_object_create_file(struct inode *dir, struct dentry *dentry, umode_t mode);
int gmem_object_populate(struct gmem_object *obj,
			 const struct gmem_object_params *params);
int gmem_object_resize(struct gmem_object *obj, u64 size);
int gmem_object_set_length(struct gmem_object *obj, u64 length);
int gmem_object_sync(void);
int gmem_object_open(struct gmem_object *obj, bool write, bool exclusive);
void gmem_object_close(struct gmem_object *obj);
void gmem_object_unpin(struct gmem_object *obj);
struct gmem_object *gmem_object_restore(const struct gmem_record_object *rec,
					struct gmem_object *parent);

/* name.c */
bool gmem_object_is_dir(const struct gmem_object *obj);
bool gmem_object_visible(const struct gmem_object *obj);
void gmem_object_key(const struct gmem_object *obj, char key[GMEM_NAME_SIZE]);
struct gmem_object *gmem_object_find(const struct gmem_object *dir, const char *name);
struct inode *gmem_object_lookup(const struct gmem_object *dir, const char *name);
struct inode *gmem_object_next(const struct gmem_object *dir, u64 ino, char *name);
bool gmem_object_shown(const struct dentry *dentry, const char *name);
int gmem_object_unlink(struct gmem_object *obj);
int gmem_object_rename(struct gmem_object *obj, struct gmem_object *dir, const char *name,
		       struct gmem_object *target, bool exchange);
int gmem_object_set_attr(struct gmem_object *obj, kuid_t uid, kgid_t gid,
			 umode_t mode);

/* data.c */
ssize_t gmem_data_read_iter(struct kiocb *iocb, struct iov_iter *to);
ssize_t gmem_data_write_iter(struct kiocb *iocb, struct iov_iter *from);
int gmem_data_truncate(struct inode *inode, u64 size);

/* fs.c */
int gmem_fs_init(void);
bool gmem_fs_options(u64 *granule, nodemask_t *nodes);
struct inode *gmem_fs_new_inode(struct gmem_object *obj);

/* file.c */
extern const struct file_operations gmem_file_fops;
extern const struct inode_operations gmem_file_iops;
struct gmem_object *gmem_fs_object(const struct file *file);
struct gmem_object *gmem_fs_inode_object(const struct inode *inode);
int gmem_fs_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr);
int gmem_fs_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat,
		    u32 mask, unsigned int flags);

/* dir.c */
extern const struct dentry_operations gmem_dops;
extern const struct file_operations gmem_dir_fops;
extern const struct inode_operations gmem_dir_iops;
extern const struct inode_operations gmem_root_iops;

/* node.c */
void gmem_nodes_init(void);
void gmem_nodes_tell(struct gmem_record *rec);
void gmem_nodes_check(const struct gmem_record *rec);

/* poison.c */
int gmem_poison_init(void);
void gmem_poison_watch(void);
void gmem_poison_restore(const struct gmem_record *rec);
int gmem_poison_restore_object(struct gmem_object *obj);
void gmem_poison_retire(u64 base, u64 size);
bool gmem_poison_hit(const struct gmem_extents *ranges);
u64 gmem_poison_good_run(struct gmem_object *obj, u64 offset, u64 size);
bool gmem_poison_find(const struct gmem_object *obj, u64 addr, pgoff_t *index);

/* mmap.c */
int gmem_vma_pgoff(struct vm_area_struct *vma, unsigned long pfn, pgoff_t *pgoff);
/* charge.c */
int gmem_charge_init(void);
int gmem_charge(struct gmem_object *obj);
int gmem_charge_move(struct gmem_object *obj);
void gmem_charge_swap(struct gmem_object *a, struct gmem_object *b);
void gmem_uncharge(struct gmem_object *obj);

/* window.c */
int gmem_window_walk(u64 base, u64 size, int (*fn)(void *addr, u64 size, void *arg),
		     void *arg);
int gmem_window_walk_user(u64 base, u64 size,
			  int (*fn)(void *addr, u64 size, void *arg), void *arg);
int gmem_zero(u64 base, u64 size, int (*stop)(void *), void *arg);

/* handover.c */
void gmem_handover_init(void);
int gmem_handover_update(void);
int gmem_handover_freeze(enum gmem_holder holder);
int gmem_handover_thaw(enum gmem_holder holder);
size_t gmem_handover_record_size(void);
int gmem_handover_copy_record(const void *which, struct debugfs_blob_wrapper *copy);

/* debugfs.c */
void gmem_debugfs_init(void *current_one, void *refused);

/* sysfs.c */
int gmem_sysfs_init(void);
int gmem_sysfs_add_object(struct gmem_object *obj);
extern const struct kobj_type gmem_object_ktype;
void gmem_object_free(struct kobject *kobj);

#endif /* _MM_GMEM_PERSIST_INTERNAL_H */
