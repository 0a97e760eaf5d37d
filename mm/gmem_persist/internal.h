/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the core share. Nobody outside includes this.
 */
#ifndef _MM_GMEM_PERSIST_INTERNAL_H
#define _MM_GMEM_PERSIST_INTERNAL_H

/**
 * DOC: lock ordering
 *
 * ::
 *
 *  kernel_kexec() / sysfs / sessions of LUO	(who may sleep here holds none of ours)
 *    start_lock				(start.c: who starts the pool, by a work)
 *      gmem_left_lock			(left.c: what is quarantined becomes less)
 *        inode->i_rwsem of a directory	(which names are in it)
 *        inode->i_rwsem			(size and kind of an object)
 *        watches_lock of an object	(hold.c: who is told of bad pages, as iommufd is)
 *          mmap_lock of a process, or KVM's slots_lock
 *            mapping->invalidate_lock	(who maps an object, bad pages of it)
 *              writers_lock of an object	(view.c: who writes to it)
 *                gmem_pool.lock
 *                  xa_lock of gmem_pool.objects, or of bad pages of an object
 *                  the lock of a waitqueue
 *              KVM's mmu_lock
 *          the object's charge_lock		(who pays for it)
 *            locks of the dmem cgroup
 *
 * gmem_pool.lock is a spinlock: what is done under it allocates nothing and prints nothing, and
 * cannot be preempted by anybody. It is bounded, however much memory an object has (keep.c), but
 * for these. Taking memory is one step, so that of two who want the last memory one gets it
 * (backing.c). Sealing adds up the pages of blocks, of which there are as many as the pool has
 * GiB (tables.c). And what root asks for is done at one moment: that refused memory be attached
 * (grow.c) or released (quarantine.c), range by range, and copies of the record and of quotas in
 * debugfs.
 *
 * All others are an object's own. Who holds one may be a tenant of the lowest priority, who is
 * preempted then and does not run for long, or who clears some MiB. So freezing, thawing and
 * memory_failure() take none of them. Claiming an object, and whatever else is
 * done to it, takes those of this object, and so waits for those who use it and for nobody
 * else.
 */

#define pr_fmt(fmt) "gmem_persist: " fmt

#include <linux/gmem_persist.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/numa.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>
#include <linux/uuid.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "arena.h"
#include "quota.h"
#include "ranges.h"
#include "record.h"
#include "stop.h"

/**
 * struct gmem_keeping - memory that is kept, or in part, while no valid slot has it
 * @node: in gmem_pool.keeping, while that is so; under gmem_pool.lock, as @at
 * @ranges: the memory
 * @at: all before it is kept no more
 */
struct gmem_keeping {
	struct list_head node;
	const struct gmem_ranges *ranges;
	struct gmem_cursor at;
};

/* Who wants the layout of the pool to stand still. */
enum gmem_holder {
	GMEM_HOLDER_OPERATOR,
	GMEM_HOLDER_REBOOT,
	GMEM_NR_HOLDERS,
};

/**
 * struct gmem_pool - the memory set aside, and who has it
 * @lock: protects what follows, if it does not say otherwise
 * @ranges: all of it
 * @arena: what of it is free, and what must be cleared before it is given out
 * @quarantined: of unknown contents, unavailable until the operator releases it
 * @retired: unavailable until the machine is reset: 2 MiB granules with bad pages
 * @bad_pages: all pages with memory errors, wherever they are
 * @objects: all objects, also unnamed ones, by the number of their slot
 * @keeping: memory that is kept and that no valid slot has, see keep.c
 * @deferred: objects that ended while the pool was frozen, and keep their memory until then
 * @ended: objects that nobody finds any more, but somebody still has open
 * @nr_awaited: how many of @objects are being created such that a freeze should wait
 * @nr_named: how many of them have, or had, a name, or are, or were, held by a session
 * @holders: bits of enum gmem_holder; while there is one, the layout stands still
 * @sealed: the record is, and there is a holder; the record itself may be damaged since
 * @image: what the kernel that is loaded for kexec gets: 0, the record; -ENOEXEC, nothing;
 *	-ENOENT if none is loaded; without @lock
 * @generation: how many handovers the pool has seen
 * @errors: how many memory errors were noted since boot
 * @retire_later: a free granule got a bad page while the pool was frozen
 * @present: there is a pool, and nobody else has its memory; constant after early boot
 * @ready: the pool can be used; without @lock
 * @again: do what there was no memory for at boot, see gmem_start_again(); constant after boot
 */
struct gmem_pool {
	spinlock_t lock;	/* all but what says otherwise */
	struct gmem_ranges ranges;
	struct gmem_arena arena;
	struct gmem_ranges quarantined;
	struct gmem_ranges retired;
	struct gmem_ranges bad_pages;
	struct xarray objects;
	struct list_head keeping;
	struct list_head deferred;
	struct list_head ended;
	unsigned int nr_awaited;
	unsigned int nr_named;
	unsigned long holders;
	bool sealed;
	int image;
	u64 generation;
	unsigned int errors;
	bool retire_later;
	bool present;
	bool ready;
	int (*again)(void);
};

extern struct gmem_pool gmem_pool;

struct debugfs_blob_wrapper;
struct dentry;
struct fault_attr;
struct file;
struct gmem_charge;
struct iattr;
struct iov_iter;
struct kiocb;
struct kstat;
struct mnt_idmap;
struct obj_cgroup;
struct pageless_file_operations;
struct pageless_hold;
struct path;
struct vfsmount;
struct vm_area_struct;

enum gmem_state {
	GMEM_ALLOCATING,
	GMEM_LIVE,
	GMEM_DISCARDING,
};

/**
 * struct gmem_object - one piece of persistent memory
 * @id: the number of its slot
 * @ser: its slot in the record, where its attributes are; under gmem_pool.lock. Those that
 *	never change, and size, granule, flags and VM class once it has memory, are read without
 * @payer: which memory cgroup pays for the slot; NULL: none
 * @deferred: in gmem_pool.deferred
 * @ended: in gmem_pool.ended
 * @parent: the directory that it is in; NULL: the root, or it has no name; under gmem_pool.lock
 * @nr_below: of a directory: how many names are in it; under gmem_pool.lock
 * @quota: what it counts for, and where; under gmem_pool.lock
 * @ranges: its memory in the order of its offsets, in the record; changes, also while it is
 *	live if it holds data, under its invalidate lock and gmem_pool.lock
 * @start: offset of each of @ranges; as constant as these
 * @keeping: it was hidden, and its memory is not all kept no more
 * @freed: how far its memory has been freed; of whoever removes it
 * @reserved: of data: for so many bytes it keeps memory; under the inode's lock
 * @bad_pages: which of its pages nobody may access, by their number; set under the
 *	invalidate lock, looked up without
 * @poison_work: takes those away that nobody may access any more
 * @poison_asked: how often that was asked for; under gmem_pool.lock
 * @poison_done: how many of these are done
 * @charges: who pays for it, and for what
 * @charge_lock: protects @charges
 * @state: under gmem_pool.lock
 * @awaited: it counts in gmem_pool.nr_awaited; under gmem_pool.lock
 * @named: it counts in gmem_pool.nr_named; under gmem_pool.lock
 * @sessions: how many of its handles sessions hold (luo.c); under gmem_pool.lock
 * @awaiting: without a name, how many of the last kernel's did; under gmem_pool.lock
 * @unsettled: in a list of those that may be kept only because the record stood still
 * @vm_view: a VM uses it; under gmem_pool.lock
 * @handles: how many open files of gmemfs show it; under gmem_pool.lock
 * @exclusive: the one handle that admits no other; under gmem_pool.lock
 * @untouched: nobody has written to its memory since that was given to it, zero; under
 *	gmem_pool.lock
 * @inode: owner of the one address_space, and so of the one invalidate lock, that
 *	all mappings of the object hang on, whoever made them; a reference to it is
 *	one to the object, which ends with the last
 * @consumers: who else maps it; under the invalidate lock
 * @watches_lock: protects @watches; those who are told take their own locks inside of it
 * @watches: who holds it, and is told of bad pages, see hold.c
 * @writers_lock: protects @writers, and what struct gmem_view says; taken inside of the
 *	invalidate lock and outside of gmem_pool.lock
 * @writers: views that can write to it now
 */
struct gmem_object {
	u32 id;
	struct gmem_object_ser *ser;
	struct obj_cgroup *payer;
	struct list_head deferred;
	struct list_head ended;
	struct gmem_object *parent;
	unsigned int nr_below;
	struct gmem_quota_item quota;
	struct gmem_ranges ranges;
	u64 *start;
	struct gmem_keeping keeping;
	struct gmem_cursor freed;
	u64 reserved;
	struct xarray bad_pages;
	struct work_struct poison_work;
	u32 poison_asked;
	u32 poison_done;
	struct gmem_charge *charges;
	struct mutex charge_lock;	/* @charges */
	enum gmem_state state;
	bool awaited;
	bool named;
	unsigned int sessions;
	unsigned int awaiting;
	struct list_head unsettled;
	bool vm_view;
	unsigned int handles;
	bool exclusive;
	bool untouched;
	struct inode *inode;
	struct list_head consumers;
	struct mutex watches_lock;	/* @watches */
	struct list_head watches;
	struct mutex writers_lock;	/* @writers */
	struct list_head writers;
};

/* Whoever looks at all objects holds gmem_pool.lock for so many at a time. */
#define GMEM_OBJECT_BATCH	256

static inline bool gmem_object_is_dir(const struct gmem_object *obj)
{
	return obj->ser->kind == GMEM_PERSIST_KIND_DIRECTORY;
}

static inline bool gmem_object_named(const struct gmem_object *obj)
{
	return obj->ser->state == GMEM_PERSIST_SLOT_VALID;
}

/* Is its memory kept for the next kernel, since it has a name, or sessions hold it, or held? */
static inline bool gmem_object_kept(const struct gmem_object *obj)
{
	return READ_ONCE(obj->ser->state) != GMEM_PERSIST_SLOT_HIDDEN;
}

static inline bool gmem_object_has_views(const struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	return obj->vm_view || obj->handles;
}

/* What is below a directory; NULL: it is the root, of which nobody asks that. */
static inline struct gmem_quota *gmem_object_quota(const struct gmem_object *dir)
{
	return dir ? dir->quota.own : NULL;
}

static inline bool gmem_object_is_data(const struct gmem_object *obj)
{
	return obj->ser->kind == GMEM_PERSIST_KIND_DATA;
}

/**
 * struct gmem_view - a use of an object: by a VM, or an open file of gmemfs
 * @obj: the object
 * @node: among the object's writers
 * @found: the token that stood when it began, or at its last SETTLE; 0 if it created the object
 * @own: the token that it takes when it writes, or has taken
 * @party: views of one number are one writer
 * @uses: its mappings that may become writable, its writes under way, and its VM; under
 *	gmem_object.writers_lock, as what follows
 * @holds: how many of these write without a fault, as devices do; see hold.c
 * @vm: it is a VM's
 * @shares: it may be a writer beside others; never taken back
 * @writer: it can write now, and is among the object's writers
 * @wrote: it has done so, and has taken its token; while it is a writer
 * @misaligned: the log has told of a mapping that cannot have large leaves; once for each view
 */
struct gmem_view {
	struct gmem_object *obj;
	struct list_head node;
	u8 found[GMEM_TOKEN_SIZE];
	u8 own[GMEM_TOKEN_SIZE];
	u64 party;
	unsigned long uses;
	unsigned long holds;
	bool vm;
	bool shares;
	bool writer;
	bool wrote;
	bool misaligned;
};

/* The memory map has room for so many, beside its own entries. */
#define GMEM_MAX_EXTENTS	GMEM_PERSIST_MAX_EXTENTS

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
int gmem_pool_init_sums(void);
void gmem_pool_count_quarantined(u64 base, u64 size, bool more);
void gmem_pool_count_retired(u64 base);
int gmem_ranges_reserve(struct gmem_ranges *x, unsigned int extra);
bool gmem_pool_frozen(void);

/*
 * For tests: which allocation of the next attempt to start the pool fails (start.c); 0 when it
 * has. With that the attempt ends, whether or not it could have done without.
 */
#ifdef CONFIG_FAULT_INJECTION
extern u32 gmem_pool_fail_nth;

static inline bool gmem_pool_has_failed(void)
{
	return gmem_pool_fail_nth && !current->fail_nth;
}
#else
static inline bool gmem_pool_has_failed(void)
{
	return false;
}
#endif

/* clean.c */
void gmem_clean_init(void);
void gmem_clean_kick(void);
int gmem_clean_ranges(const struct gmem_ranges *x, bool killable);
u64 gmem_clean_bytes_ahead(void);
void gmem_clean_leave(const struct gmem_ranges *x);
extern bool gmem_clean_background;
extern unsigned int gmem_clean_rate;
extern unsigned int gmem_clean_threads;

/* tables.c */
const char *gmem_tables_find(void);
int gmem_tables_preserve_all(void);
int gmem_tables_make(bool kept);
int gmem_tables_publish(void);
void gmem_tables_set_state(u32 state);
bool gmem_tables_published(void);
struct gmem_block_ser *gmem_tables_block(unsigned int i);
void gmem_tables_write_bad(void);
size_t gmem_tables_size(void);
int gmem_tables_copy(struct debugfs_blob_wrapper *copy, struct xarray *lists);

void *gmem_tables_alloc(unsigned int order, gfp_t gfp);
void *gmem_tables_adopt(u64 phys, unsigned int order);
int gmem_tables_preserve(void *p);
void gmem_tables_free(void *p);
int gmem_tables_add_slots(void *slots, unsigned int order);

/* slots.c */
int gmem_slot_take(u32 *id, struct obj_cgroup **payer);
int gmem_slot_reserve(u32 id);
void gmem_slot_free(u32 id, struct obj_cgroup *payer);
struct gmem_range *gmem_list_alloc(unsigned int nr, unsigned int *order);
struct gmem_range *gmem_list_adopt(const struct gmem_chunk_ser *list);
void gmem_list_free(struct gmem_range *list);
void gmem_slot_draw_token(struct gmem_object_ser *slot);

/* left.c */
enum gmem_left {
	GMEM_LEFT_NONE,
	GMEM_LEFT_REFUSED,
	GMEM_LEFT_PENDING,
};

extern struct mutex gmem_left_lock;
extern struct xarray gmem_left_lists;
extern bool gmem_left_judged;
unsigned int gmem_left_pending(void);
bool gmem_left_is(u32 id, enum gmem_left kind);
bool gmem_left_next(u32 *id, enum gmem_left kind);
int gmem_left_add(u32 id);
void gmem_left_taken(u32 id);
void gmem_left_refuse(u32 id);
int gmem_left_mark(struct gmem_object_ser *slot);
int gmem_left_forget(u32 id);
int gmem_left_adopt_list(u32 id, const struct gmem_object_ser *slot);
struct gmem_range *gmem_left_list(u32 id);
void gmem_left_drop_list(u32 id);

/* restore.c */
int gmem_restore_prepare(void);
int gmem_restore(void);
int gmem_restore_copy(struct debugfs_blob_wrapper *copy);

/* refused.c */
struct gmem_attach;
int gmem_refused_release(u64 base, u64 size);
int gmem_refused_attach(struct gmem_attach *attach, u64 slot);

/* quarantine.c */
int gmem_quarantine_fill(const unsigned long *owned);
int gmem_quarantine_make_room(void);
int gmem_quarantine_release(u64 base, u64 size);
int gmem_quarantine_without(const struct gmem_ranges *out, struct gmem_ranges *rest);

/* keep.c */
/* gmem_pool.lock is held for so many pieces at a time, of some GiB at most. */
#define GMEM_KEEP_PIECES	16

bool gmem_keep_next(struct gmem_cursor *c, const struct gmem_ranges *x,
		    struct gmem_range *piece);
void gmem_keep_init(struct gmem_keeping *k, const struct gmem_ranges *x);
void gmem_keep_begin(struct gmem_keeping *k);
bool gmem_keep_is_begun(const struct gmem_keeping *k);
int gmem_keep_all(struct gmem_keeping *k);
void gmem_keep_done(struct gmem_keeping *k);
void gmem_keep_stop(struct gmem_keeping *k);
bool gmem_keep_stop_any(void);
void gmem_keep_free_range(const struct gmem_range *r, bool all_dirty);
bool gmem_keep_free_some(const struct gmem_ranges *x, struct gmem_cursor *c, bool all_dirty);

/* backing.c */
/**
 * struct gmem_backing - memory that was taken from the pool and is no object's yet
 * @ranges: the memory, with room from kvmalloc()
 * @size: all of it, in bytes
 * @charges: who pays for it
 * @keep: it is to be kept before it becomes an object's
 * @keeping: that it is, in part
 * @errors: gmem_pool.errors when it was looked at
 * @freed: how far it has been given back
 * @deferred: given back while the pool was frozen
 */
struct gmem_backing {
	struct gmem_ranges ranges;
	u64 size;
	struct gmem_charge *charges;
	bool keep;
	struct gmem_keeping keeping;
	unsigned int errors;
	struct gmem_cursor freed;
	struct list_head deferred;
};

/**
 * struct gmem_room - room for the ranges of an object
 * @list: in the record, and filled; NULL: they have room in the slot
 * @order: of the folio of @list
 * @nr: how many are in @list
 * @crc: checksum of these
 * @start: for the offset of each; filled, too
 */
struct gmem_room {
	struct gmem_range *list;
	unsigned int order;
	unsigned int nr;
	u32 crc;
	u64 *start;
};

/**
 * struct gmem_cut - a step in taking memory away from an object
 * @size: what it keeps for now, in bytes
 * @nr: so many ranges, of which the last one may lose its end
 * @crc: checksum of these if they are in a list
 */
struct gmem_cut {
	u64 size;
	unsigned int nr;
	u32 crc;
};

struct gmem_backing *gmem_backing_take(u64 size, u64 granule, const nodemask_t *nodes,
				       bool killable);
int gmem_backing_ready(struct gmem_backing *b, bool keep);
int gmem_backing_check(const struct gmem_backing *b);
void gmem_backing_give_back(struct gmem_backing *b);
void gmem_backing_reap(void);
struct gmem_backing *gmem_backing_of(const struct gmem_ranges *x);
void gmem_backing_let_go(struct gmem_backing *b);
int gmem_backing_make_room(const struct gmem_backing *b, const struct gmem_object *obj,
			   struct gmem_room *room);
void gmem_room_free(struct gmem_room *room);
void gmem_backing_attach(struct gmem_backing *b, struct gmem_object *obj,
			 struct gmem_room *room);
void gmem_backing_done(struct gmem_backing *b, struct gmem_object *obj);
void gmem_backing_cut_step(const struct gmem_object *obj, u64 size, struct gmem_cut *step);
void gmem_backing_cut(struct gmem_object *obj, const struct gmem_cut *step,
		      struct gmem_room *room);
void gmem_backing_index_ranges(const struct gmem_ranges *x, u64 *start);

/* object.c */
int gmem_object_check_params(const struct gmem_object_params *params, bool claim);
struct gmem_object *gmem_object_new(struct gmem_object_ser *ser, bool awaited);
void gmem_object_go_live(struct gmem_object *obj);
void gmem_object_not_awaited(struct gmem_object *obj);
void gmem_object_give_up(struct gmem_object *obj);
void gmem_object_hide(struct gmem_object *obj);
void gmem_object_unhide(struct gmem_object *obj);
void gmem_object_note_holds(struct gmem_object *obj);
void gmem_object_count_name(struct gmem_object *obj);
void gmem_object_count_held(struct gmem_object *obj);
bool gmem_object_end_unused(struct gmem_object *obj);
void gmem_object_remove(struct gmem_object *obj);
void gmem_object_put(struct gmem_object *obj);
void gmem_object_free(struct gmem_object *obj);
void gmem_object_reap(void);
struct gmem_object *gmem_object_restore(u32 id, struct gmem_object_ser *ser,
					struct gmem_range *list, struct gmem_object *parent);

/* create.c */
struct gmem_object *gmem_create_memory(const struct gmem_object_params *params);
struct gmem_object *gmem_create_file(const struct inode *dir, umode_t mode);

/* use.c */
int gmem_use_claim(struct gmem_object *obj, const struct gmem_object_params *params);
int gmem_object_open(struct gmem_object *obj, bool write, bool exclusive);
void gmem_object_close(struct gmem_object *obj);

/* session.c */
int gmem_session_begin(struct gmem_object *obj);
void gmem_session_end(struct gmem_object *obj);
void gmem_session_take_back(struct gmem_object *obj);

/* mapping.c */
bool gmem_mapping_find(const struct gmem_object *obj, u64 addr, pgoff_t *index);
int gmem_object_punch_locked(struct gmem_object *obj, u64 offset, u64 size);

/* grow.c */
/**
 * struct gmem_attach - memory that is quarantined, and the object that shall have it
 * @obj: the object, which has none
 * @ranges: the memory, in the order of its offsets, in an array from kvmalloc()
 * @kind: GMEM_PERSIST_KIND_MEMORY or GMEM_PERSIST_KIND_DATA
 * @vm_class: as with struct gmem_object_params
 * @granule: likewise
 * @flags: likewise
 * @length: of data: how many bytes there are; else 0
 * @ready: called when nothing but a freeze is in the way any more; says so if that is
 */
struct gmem_attach {
	struct gmem_object *obj;
	struct gmem_ranges ranges;
	u32 kind;
	u32 vm_class;
	u64 granule;
	u64 flags;
	u64 length;
	int (*ready)(void);
};

int gmem_object_attach_memory(const struct gmem_attach *a);
int gmem_object_populate(struct gmem_object *obj,
			 const struct gmem_object_params *params);
void gmem_object_save_times(struct inode *inode);
void gmem_fs_touch(struct inode *inode);
int gmem_object_grow(struct gmem_object *obj, u64 size);
void gmem_object_shrink(struct gmem_object *obj, u64 size);
int gmem_object_set_length(struct gmem_object *obj, u64 length);

/* badpages.c */
int gmem_badpages_init(void);
void gmem_badpages_restore(void);
void gmem_badpages_retire(u64 base, u64 size);
void gmem_badpages_retire_all(void);
bool gmem_badpages_hit(u64 base, u64 size);
u64 gmem_badpages_good_run(struct gmem_object *obj, u64 offset, u64 size);
bool gmem_badpages_next_new(struct gmem_object *obj, const struct gmem_ranges *list,
			    u64 *addr, pgoff_t *index);
int gmem_badpages_mark(struct gmem_object *obj, const struct gmem_ranges *list);

/* poison.c */
void gmem_poison_watch(int (*pgoff)(struct vm_area_struct *vma, unsigned long pfn, pgoff_t *index));
void gmem_poison_init_object(struct gmem_object *obj);
void gmem_poison_look_again(struct gmem_object *obj);

/* hold.c */
int gmem_hold_file(struct file *file, bool write, struct pageless_hold *hold);
int gmem_hold_vma(struct vm_area_struct *vma, bool write, struct pageless_hold *hold);

/* mmap.c */
unsigned long gmem_mmap_get_unmapped_area(struct file *file, unsigned long addr,
					  unsigned long len, unsigned long pgoff,
					  unsigned long flags);
int gmem_vma_pgoff(struct vm_area_struct *vma, unsigned long pfn, pgoff_t *pgoff);

/* view.c */
void gmem_object_set_token(struct gmem_object *obj, const u8 token[GMEM_TOKEN_SIZE]);
struct gmem_view *gmem_view_open(struct gmem_object *obj);
void gmem_view_close(struct gmem_view *view);
bool gmem_view_has_written(const struct gmem_view *view);
int gmem_view_begin_write(struct gmem_view *view);
void gmem_view_end_write(struct gmem_view *view);
int gmem_view_map(struct gmem_view *view, bool write);
int gmem_view_map_write(struct gmem_view *view);
void gmem_view_unmap(struct gmem_view *view);
int gmem_view_hold(struct gmem_view *view);
void gmem_view_unhold(struct gmem_view *view);
long gmem_view_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* charge.c */
int gmem_charge_init(void);
struct gmem_charge *gmem_charge_new(void);
int gmem_charge(struct gmem_charge *c, int nid, u64 size);
struct gmem_charge *gmem_charge_ranges(const struct gmem_ranges *x);
int gmem_charge_object(struct gmem_object *obj);
void gmem_charge_move(struct gmem_object *obj);
void gmem_charge_merge(struct gmem_object *obj, struct gmem_charge *c);
void gmem_charge_fit(struct gmem_object *obj);
void gmem_uncharge(struct gmem_charge *c);

/* window.c */
extern struct fault_attr gmem_window_fail_read;
int gmem_window_init(void);
size_t gmem_window_read(void *to, u64 from, size_t size);
void gmem_window_write(u64 to, const void *from, size_t size);
int gmem_zero(u64 base, u64 size, int (*stop)(void *), void *arg);

/* handover.c */
int gmem_handover_init(void);
int gmem_handover_check(void);
int gmem_handover_freeze(enum gmem_holder holder, bool anyway);
int gmem_handover_thaw(enum gmem_holder holder);

/* leave.c */
void gmem_leave_init(void);
const char *gmem_leave_answer(void);
extern bool gmem_lossy_kexec;

/* debugfs.c */
void gmem_debugfs_init(unsigned int *steps);

/* sysfs.c */
int gmem_sysfs_init(void);
int gmem_sysfs_add_nodes(void);

#endif /* _MM_GMEM_PERSIST_INTERNAL_H */
