// SPDX-License-Identifier: GPL-2.0
/*
 * Taking over what is in the record of the last kernel.
 */

/**
 * DOC: restore
 *
 * gmem_tables_find() has made the tables of the last kernel ours. What they say of objects is
 * looked at here, slot by slot, and nothing of it is believed:
 *
 * 1. A slot that is hidden is cleared: its object was not finished, or had neither a name nor a
 *    session that held it. All others keep their numbers.
 * 2. These are judged together: checksum, name, directory, and whether the memory is theirs
 *    alone (gmem_record_judge()). What is good, but in no good directory, gets one: for all that
 *    were in the same one a directory is made in the root directory, ``lost+UUID``, which is
 *    root's and closed to all others, as nobody knows who might look into the one that is lost.
 *    They keep their names in there, and can be moved to where they were.
 * 3. Each good one becomes an object. One that is held by a session has no name, and waits for
 *    the session (luo.c); with LUO off, or if it was held by an earlier kernel than the last,
 *    there will be none, so it is refused.
 *
 * A slot that is not good is marked as *refused*, so that it stands in nobody's way later, and
 * stays until the operator attaches its memory to a file (attach.c), or releases all that is
 * quarantined. All memory that the record keeps
 * and that no good slot has is quarantined, and so never cleared, handed out or given to the
 * page allocator without the operator's word. Memory that is neither free nor kept is free and
 * dirty.
 *
 * Without memory for step 2 or 3 slots are *pending*: they stay in the record as they are, for
 * another attempt (start.c) or for another kernel. Until then nobody gets a name, since it may
 * be theirs, and without step 2 nothing is released or attached.
 */
#include "fs.h"

#include <linux/bitmap.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/liveupdate.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/stat.h>
#include <linux/timekeeping.h>
#include <linux/uuid.h>

#include <trace/events/gmem_persist.h>

/* Good directories, each behind the one that it is in, as long as something is pending */
struct gmem_restore_dir {
	u32 depth;
	u32 id;
};

static struct gmem_restore_dir *dirs;
static unsigned int nr_dirs;

/*
 * What it takes to judge all slots; @homes are the directories that are made for what is lost,
 * by what their slots say of the one that it was in.
 */
struct gmem_restore {
	struct gmem_found *found;
	unsigned int nr;
	unsigned long *owned;
	struct xarray homes;
	unsigned int nr_homes;
};

static int gmem_restore_alloc(struct gmem_restore *r)
{
	const size_t bits = (size_t)gmem_pool.arena.nr_blocks * GMEM_BLOCK_GRANULES;

	r->found = kvcalloc(gmem_slot_count(), sizeof(*r->found), GFP_KERNEL);
	r->owned = kvcalloc(BITS_TO_LONGS(bits), sizeof(long), GFP_KERNEL);
	xa_init(&r->homes);
	return r->found && r->owned ? 0 : -ENOMEM;
}

static void gmem_restore_free(struct gmem_restore *r)
{
	kvfree(r->found);
	kvfree(r->owned);
	xa_destroy(&r->homes);
}

/*
 * Step 1
 */

static bool gmem_restore_is_unused(const struct gmem_object_ser *slot)
{
	return slot->state == GMEM_PERSIST_SLOT_UNUSED && !memchr_inv(slot, 0, sizeof(*slot));
}

static int gmem_restore_prepare_slot(u32 id)
{
	struct gmem_object_ser *slot = gmem_slot(id);
	int err;

	if (gmem_restore_is_unused(slot))
		return 0;
	err = gmem_left_adopt_list(id, slot);
	if (err)
		return err;
	if (slot->state == GMEM_PERSIST_SLOT_HIDDEN && gmem_slot_sealed(slot)) {
		/* Its object was not finished, or had no name. */
		gmem_left_drop_list(id);
		memset(slot, 0, sizeof(*slot));
		return 0;
	}
	err = gmem_slot_reserve(id);
	if (err)
		return err;
	return gmem_left_add(id);
}

/**
 * gmem_restore_prepare - look which slots of the last kernel are in use
 *
 * Context: process context; the tables are those of the last kernel, and nobody else knows of
 * them.
 * Return: 0 or -ENOMEM; it may be tried again, and goes on then.
 */
int gmem_restore_prepare(void)
{
	static u32 id;
	int err;

	guard(mutex)(&gmem_left_lock);

	for (; id < gmem_slot_count(); id++) {
		err = gmem_restore_prepare_slot(id);
		if (err)
			return err;
	}
	return 0;
}

/*
 * Step 2
 */

/* Will the session come that holds it? LUO has those of the last kernel only. */
static const char *gmem_restore_check_held(const struct gmem_object_ser *slot)
{
	if (slot->state != GMEM_PERSIST_SLOT_HELD)
		return NULL;
	if (!liveupdate_enabled())
		return "a session held it, and liveupdate is off";
	if (slot->held_in != (u32)(gmem_pool.generation - 1))
		return "a session of an earlier kernel held it";
	return NULL;
}

static void gmem_restore_look(struct gmem_restore *r, u32 id)
{
	struct gmem_object_ser *slot = gmem_slot(id);
	struct gmem_found *found = &r->found[r->nr++];

	*found = (struct gmem_found){ .slot = slot, .id = id };
	found->bad = gmem_slot_check(slot);
	if (!found->bad)
		found->bad = gmem_restore_check_held(slot);
	if (found->bad || !slot->nr_ranges)
		return;
	found->ranges = slot->ranges;
	if (slot->list.phys)
		found->ranges = (struct gmem_range_ser *)gmem_left_list(id);
	if (found->ranges)
		found->bad = gmem_slot_check_ranges(slot, found->ranges, &gmem_pool.ranges);
	else
		found->bad = "the pages of its ranges are lost";
}

/* Directories come before what is in them. */
static int gmem_restore_by_depth(const void *a, const void *b)
{
	const struct gmem_restore_dir *x = a, *y = b;

	return x->depth < y->depth ? -1 : x->depth > y->depth;
}

static int gmem_restore_list_dirs(struct gmem_restore *r)
{
	unsigned int i, nr = r->nr_homes;
	unsigned long parent;
	void *home;

	for (i = 0; i < r->nr; i++)
		nr += !r->found[i].bad && r->found[i].slot->kind == GMEM_PERSIST_KIND_DIRECTORY;
	dirs = kvmalloc_array(nr, sizeof(*dirs), GFP_KERNEL);
	if (!dirs)
		return -ENOMEM;
	nr_dirs = 0;
	xa_for_each(&r->homes, parent, home)
		dirs[nr_dirs++] = (struct gmem_restore_dir){
			.depth = 1, .id = xa_to_value(home),
		};
	for (i = 0; i < r->nr; i++)
		if (!r->found[i].bad && r->found[i].slot->kind == GMEM_PERSIST_KIND_DIRECTORY)
			dirs[nr_dirs++] = (struct gmem_restore_dir){
				.depth = r->found[i].depth, .id = r->found[i].id,
			};
	sort(dirs, nr_dirs, sizeof(*dirs), gmem_restore_by_depth, NULL);
	return 0;
}

/* A valid slot for a directory that is as good as one of the last kernel */
static int gmem_restore_make_home(u32 *id)
{
	struct gmem_object_ser ser = {
		.state = GMEM_PERSIST_SLOT_VALID,
		.kind = GMEM_PERSIST_KIND_DIRECTORY,
		.mode = S_IFDIR | 0700,
		.ctime = ktime_get_coarse_real_ns(),
	};
	struct obj_cgroup *payer;
	int err = gmem_slot_take(id, &payer);

	if (err)
		return err;
	err = gmem_left_add(*id);
	if (err)
		goto free_slot;

	ser.mtime = ser.ctime;
	generate_random_uuid(ser.uuid);
	snprintf(ser.name, sizeof(ser.name), "lost+%pUb", ser.uuid);
	scoped_guard(spinlock, &gmem_pool.lock) {
		if (gmem_pool.holders) {
			err = -EBUSY;
			break;
		}
		ser.born = gmem_pool.generation;
		*gmem_slot(*id) = ser;
		gmem_slot_draw_token(gmem_slot(*id));
		gmem_slot_seal(gmem_slot(*id));
	}
	if (!err)
		return 0;

	gmem_left_taken(*id);
free_slot:
	gmem_slot_free(*id, payer);
	return err;
}

/* The directory for what was in another one */
static int gmem_restore_find_home(struct gmem_restore *r, u64 parent, u32 *id)
{
	void *home = xa_load(&r->homes, parent);
	int err;

	if (home) {
		*id = xa_to_value(home);
		return 0;
	}
	err = xa_reserve(&r->homes, parent, GFP_KERNEL);
	if (err)
		return err;
	err = gmem_restore_make_home(id);
	if (err)
		return err;
	/* Room for it has been made. */
	xa_store(&r->homes, parent, xa_mk_value(*id), GFP_KERNEL);
	r->nr_homes++;
	pr_err("the directory in slot %llu is missing: what was in it is in %s\n", parent - 1,
	       gmem_slot(*id)->name);
	return 0;
}

/* Let all that is lost be in a directory. What has been done stays, if memory runs out. */
static int gmem_restore_rehome(struct gmem_restore *r)
{
	struct gmem_object_ser *slot;
	unsigned int i;
	u32 home;
	int err;

	for (i = 0; i < r->nr; i++) {
		slot = r->found[i].slot;
		if (r->found[i].bad || !r->found[i].lost)
			continue;
		err = gmem_restore_find_home(r, slot->parent, &home);
		if (err)
			return err;
		scoped_guard(spinlock, &gmem_pool.lock) {
			if (gmem_pool.holders)
				return -EBUSY;
			slot->parent = home + 1;
			gmem_slot_seal(slot);
		}
	}
	return 0;
}

/* A name that cannot be believed is not shown. */
static const char *gmem_restore_name(const struct gmem_object_ser *slot)
{
	return gmem_name_valid(slot->name) ? slot->name : "";
}

static void gmem_restore_refuse(const struct gmem_found *found)
{
	const char *name = gmem_restore_name(found->slot);

	gmem_left_refuse(found->id);
	if (gmem_record_was_hidden(found->slot, &gmem_pool.arena)) {
		pr_warn("slot %u: %s: it was hidden, and nothing is lost\n", found->id, found->bad);
		gmem_left_forget(found->id);
		return;
	}
	trace_gmem_restore(name, found->slot->size, found->slot->granule, 0, -EINVAL);
	pr_err("object %s: %s: its memory is quarantined\n", name[0] ? name : "(without name)",
	       found->bad);
	/* Another kernel may know what this one does not. */
	if (!gmem_slot_check(found->slot))
		gmem_left_mark(found->slot);
}

static int gmem_restore_do_judge(struct gmem_restore *r)
{
	u32 id;
	int err;

	for (id = 0; gmem_left_next(&id, GMEM_LEFT_PENDING); id++)
		gmem_restore_look(r, id);
	err = gmem_record_judge(r->found, r->nr, &gmem_pool.arena, r->owned);
	if (!err)
		err = gmem_restore_rehome(r);
	if (!err)
		err = gmem_restore_list_dirs(r);
	if (!err)
		/* What is pending is not quarantined: its memory is somebody's. */
		err = gmem_quarantine_fill(r->owned);
	return err;
}

static int gmem_restore_judge(void)
{
	struct gmem_restore r = {};
	unsigned int i;
	int err;

	err = gmem_restore_alloc(&r);
	if (!err)
		err = gmem_restore_do_judge(&r);
	if (err) {
		kvfree(dirs);
		dirs = NULL;
		goto out;
	}
	for (i = 0; i < r.nr; i++)
		if (r.found[i].bad)
			gmem_restore_refuse(&r.found[i]);
	gmem_left_judged = true;
out:
	gmem_restore_free(&r);
	return err;
}

/*
 * Step 3
 */

/* Nobody knows who has written to it: no saved state is fresh. */
static int gmem_restore_check_token(struct gmem_object_ser *slot)
{
	if (gmem_slot_token_good(slot))
		return 0;

	guard(spinlock)(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	gmem_slot_draw_token(slot);
	return 0;
}

static struct gmem_object *gmem_restore_named(u32 id, struct gmem_object_ser *slot,
					      struct gmem_range *list,
					      struct gmem_object *parent)
{
	struct dentry *dentry = gmem_dir_begin_restore(parent, slot->name);
	struct gmem_object *obj;

	if (IS_ERR(dentry))
		return ERR_CAST(dentry);
	obj = gmem_object_restore(id, slot, list, parent);
	if (!IS_ERR(obj))
		gmem_dir_restore(dentry, obj);
	simple_done_creating(dentry);
	return obj;
}

static int gmem_restore_object(u32 id)
{
	struct gmem_object_ser *slot = gmem_slot(id);
	const u64 start = trace_gmem_restore_enabled() ? ktime_get_ns() : 0;
	struct gmem_object *parent = NULL, *obj;
	struct gmem_range *list = NULL;
	int err;

	if (slot->parent) {
		parent = xa_load(&gmem_pool.objects, slot->parent - 1);
		/* There was no memory for it. */
		if (!parent)
			return -ENOMEM;
	}
	err = gmem_restore_check_token(slot);
	if (err)
		return err;
	if (slot->list.phys)
		list = gmem_left_list(id);
	obj = slot->state == GMEM_PERSIST_SLOT_HELD ?
	      gmem_object_restore(id, slot, list, NULL) :
	      gmem_restore_named(id, slot, list, parent);
	err = PTR_ERR_OR_ZERO(obj);
	if (start)
		trace_gmem_restore(slot->name, slot->size, slot->granule,
				   ktime_get_ns() - start, err);
	if (err)
		return err;
	/* The list is the object's. */
	gmem_left_taken(id);
	gmem_stop_here("restore-step");
	return 0;
}

/* Whoever finds no memory does not ask for more. */
static int gmem_restore_all(void)
{
	unsigned int i;
	u32 id;
	int err;

	/* All others find their directories then. */
	for (i = 0; i < nr_dirs; i++) {
		if (!gmem_left_is(dirs[i].id, GMEM_LEFT_PENDING))
			continue;
		if (gmem_pool_has_failed())
			return -ENOMEM;
		err = gmem_restore_object(dirs[i].id);
		if (err)
			return err;
	}
	for (id = 0; gmem_left_next(&id, GMEM_LEFT_PENDING); id++) {
		if (gmem_pool_has_failed())
			return -ENOMEM;
		err = gmem_restore_object(id);
		if (err)
			return err;
	}
	kvfree(dirs);
	dirs = NULL;
	nr_dirs = 0;
	return 0;
}

/**
 * gmem_restore - take over the objects of the last kernel
 *
 * Those that were taken over before, and those that were refused, are left alone.
 *
 * Context: process context; gmem_restore_prepare() was called, and free memory is known; takes
 * a mutex and gmem_pool.lock.
 * Return: 0; -EBUSY (the pool is frozen) or -ENOMEM: some are still left.
 */
int gmem_restore(void)
{
	unsigned int before;
	int err = 0;

	guard(mutex)(&gmem_left_lock);

	if (gmem_left_judged && !gmem_left_pending())
		return 0;
	if (!gmem_left_judged)
		err = gmem_restore_judge();
	if (err) {
		pr_err("no memory to read the record (%pe): %u objects stay in it, write 1 to restore\n",
		       ERR_PTR(err), gmem_left_pending());
		/* For the time being */
		gmem_quarantine_fill(NULL);
		return err;
	}
	before = gmem_left_pending();
	err = gmem_restore_all();
	pr_info("%u objects taken over, generation %llu\n", before - gmem_left_pending(),
		gmem_pool.generation);
	if (err)
		pr_err("no memory to take %u objects over (%pe): they stay in the record, write 1 to restore\n",
		       gmem_left_pending(), ERR_PTR(err));
	return err;
}

/**
 * gmem_restore_copy - copy the record
 * @copy: see gmem_tables_copy()
 *
 * Context: process context; takes a mutex and gmem_pool.lock.
 * Return: 0, or an error of gmem_tables_copy().
 */
int gmem_restore_copy(struct debugfs_blob_wrapper *copy)
{
	guard(mutex)(&gmem_left_lock);

	return gmem_tables_copy(copy, &gmem_left_lists);
}
