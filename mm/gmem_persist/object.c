// SPDX-License-Identifier: GPL-2.0
/*
 * Pieces of persistent memory: their lives, and who uses them.
 */

/**
 * DOC: life of an object
 *
 * 1. Creation takes granules out of the pool (state *allocating*), clears what is
 *    not known to be zero, puts the object into the record and only then shows
 *    it to anybody (state *live*). All memory is there from then on and stays
 *    where it is; nobody has to wait for memory, or to be told that there is
 *    none, later.
 * 2. A *view* is a use of the object. A VM view is claimed by one VM at a time and
 *    goes when the VM's guest_memfd is closed for the last time. Every claim
 *    raises the object's *epoch*: a VMM that saved state beside the memory can
 *    tell whether somebody else has run on the memory since.
 * 3. A named object without views is *parked*: it keeps its contents, over the
 *    death of the VMM and over a kexec. It can be claimed again, by a caller that
 *    asks for what was recorded.
 * 4. A parked object is freed by an explicit *discard*, or when its file is unlinked in
 *    gmemfs, and by nothing else. Its memory becomes dirty. An object without a name is
 *    freed with its last view.
 *
 * Unhappy paths: creation that is interrupted, runs out of memory or meets a
 * freeze gives everything back. A creation in the middle of which the host is
 * replaced never was: in the record its memory is dirty.
 *
 * The object owns one inode, and so the one address_space that all mappings of
 * the memory hang on; a view borrows it.
 */
#include "internal.h"

#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/kvm_types.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/topology.h>
#include <linux/uidgid.h>

#include <trace/events/gmem_persist.h>

/* A punch holds the invalidate lock no longer than clearing this much takes. */
#define PUNCH_CHUNK		SZ_1G

/* Release function of the kobject, to which the inode held the last reference. */
void gmem_object_free(struct kobject *kobj)
{
	struct gmem_object *obj = container_of(kobj, struct gmem_object, kobj);

	xa_destroy(&obj->bad_pages);
	kvfree(obj->ranges.r);
	kvfree(obj->start);
	kfree(obj);
}

static void put_object(struct gmem_object *obj)
{
	iput(obj->inode);
}

static bool has_views(const struct gmem_object *obj)
{
	return obj->vm_view || obj->handles;
}

static bool in_use(const struct gmem_object *obj)
{
	return has_views(obj) || obj->pins;
}

/* A new object with one reference, and with nothing in it. */
static struct gmem_object *new_object(const char *name,
				      const struct gmem_persist_object *meta)
{
	struct gmem_object *obj = kzalloc_obj(*obj);
	struct inode *inode;

	if (!obj)
		return ERR_PTR(-ENOMEM);

	kobject_init(&obj->kobj, &gmem_object_ktype);
	INIT_LIST_HEAD(&obj->node);
	INIT_LIST_HEAD(&obj->consumers);
	xa_init(&obj->bad_pages);
	strscpy(obj->name, name);
	obj->meta = *meta;
	obj->state = GMEM_ALLOCATING;

	inode = gmem_fs_new_inode(obj);
	if (!inode) {
		kobject_put(&obj->kobj);
		return ERR_PTR(-ENOMEM);
	}
	obj->inode = inode;
	return obj;
}

/* Give the room back that the ranges did not need, if that is easily done. */
static void shrink_ranges(struct gmem_object *obj)
{
	const size_t size = array_size(obj->ranges.nr, sizeof(*obj->ranges.r));
	struct gmem_range *r = kvmalloc(size, GFP_KERNEL | __GFP_NOWARN);

	if (ZERO_OR_NULL_PTR(r))
		return;
	memcpy(r, obj->ranges.r, size);
	/* It is in the list already, and a memory error may be looking. */
	scoped_guard(mutex, &gmem_pool.lock) {
		swap(obj->ranges.r, r);
		obj->ranges.cap = obj->ranges.nr;
	}
	kvfree(r);
}

/* Note at which offset each range of the object begins. */
static int index_ranges(struct gmem_object *obj)
{
	u64 offset = 0;
	unsigned int i;

	obj->start = kvmalloc_array(obj->ranges.nr, sizeof(*obj->start),
				    GFP_KERNEL);
	if (!obj->start)
		return -ENOMEM;
	for (i = 0; i < obj->ranges.nr; i++) {
		obj->start[i] = offset;
		offset += obj->ranges.r[i].size;
	}
	return 0;
}

static void insert_object(struct gmem_object *obj)
{
	/* 1 is the root directory. The list is sorted by it. */
	static u64 last_ino = 1;

	lockdep_assert_held(&gmem_pool.lock);

	obj->inode->i_ino = ++last_ino;
	list_add_tail(&obj->node, &gmem_pool.objects);
	obj->named = obj->name[0];
	gmem_pool.nr_named += obj->named;
}

static void delete_object(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	list_del(&obj->node);
	/* Also if it has been unlinked since: who keeps it open makes all others wait. */
	gmem_pool.nr_named -= obj->named;
}

/*
 * Give the memory back. It must not be in the record as the object's any more.
 * Without @all_dirty, what has been cleaned of it is known to be still clean.
 */
static void free_ranges(struct gmem_object *obj, bool all_dirty)
{
	unsigned int i;

	lockdep_assert_held(&gmem_pool.lock);

	for (i = 0; i < obj->ranges.nr; i++) {
		const struct gmem_range *r = &obj->ranges.r[i];

		WARN_ON(gmem_arena_free(&gmem_pool.arena, r->base, r->size,
					all_dirty));
		gmem_poison_retire(r->base, r->size);
	}
	gmem_clean_kick();
}

/*
 * Take @obj out of sysfs and out of the list. Its name stays taken until its
 * directory is gone, which waits for readers and so cannot be done under the lock.
 */
static void remove_object(struct gmem_object *obj)
{
	if (obj->ranges.nr)
		trace_gmem_free(obj->name, obj->meta.size, obj->meta.granule,
				obj->meta.epoch);
	gmem_uncharge(obj);
	clear_nlink(obj->inode);
	if (obj->kobj.state_in_sysfs)
		kobject_del(&obj->kobj);

	scoped_guard(mutex, &gmem_pool.lock)
		delete_object(obj);
	put_object(obj);
}

/* The nearest node to the caller's of those in @nodes, which loses it. */
static int next_node_to_use(nodemask_t *nodes)
{
	const int here = numa_node_id();
	int best = NUMA_NO_NODE;
	int nid;

	for_each_node_mask(nid, *nodes)
		if (best == NUMA_NO_NODE ||
		    node_distance(here, nid) < node_distance(here, best))
			best = nid;
	if (best != NUMA_NO_NODE)
		node_clear(best, *nodes);
	return best;
}

/* How much can be had from @nodes, or from anywhere if that is NULL; @left is from where. */
static u64 capacity_of(u64 granule, const nodemask_t *nodes, nodemask_t *left)
{
	const struct gmem_arena *arena = &gmem_pool.arena;
	u64 capacity = 0;
	unsigned int i;
	int nid;

	lockdep_assert_held(&gmem_pool.lock);

	nodes_clear(*left);
	for (i = 0; i < arena->nr_nodes; i++) {
		nid = arena->nodes[i].nid;
		if (nodes && (nid == NUMA_NO_NODE || !node_isset(nid, *nodes)))
			continue;
		capacity += gmem_arena_capacity(arena, nid, granule);
		if (nid != NUMA_NO_NODE)
			node_set(nid, *left);
	}
	return capacity;
}

/* Take all of @obj's memory from @nodes, or from anywhere if that is NULL. */
static int take_memory(struct gmem_object *obj, const nodemask_t *nodes)
{
	const u64 granule = obj->meta.granule;
	struct gmem_arena *arena = &gmem_pool.arena;
	u64 need = obj->meta.size;
	nodemask_t left;
	int nid;

	if (capacity_of(granule, nodes, &left) < need)
		return -ENOSPC;
	if (!need)
		return 0;

	/* Memory of which nobody knows the node comes last: then all else is used. */
	do {
		nid = next_node_to_use(&left);
		need -= gmem_arena_alloc(arena, nid, need, granule, &obj->ranges);
	} while (need && nid != NUMA_NO_NODE);
	return WARN_ON(need) ? -ENOSPC : 0;
}

/* May @obj come into the pool now, under its name? */
static int may_enter(const struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	if (!obj->name[0])
		return 0;
	if (gmem_object_find(obj->parent, obj->name))
		return -EEXIST;
	return gmem_pool.nr_named == GMEM_RECORD_MAX_OBJECTS ? -ENOSPC : 0;
}

/* Take memory for @obj, and its name, out of the pool. */
static int allocate(struct gmem_object *obj, const nodemask_t *nodes)
{
	int err;

	guard(mutex)(&gmem_pool.lock);

	err = may_enter(obj);
	err = err ?: take_memory(obj, nodes);
	if (err)
		return err;
	/* Before the lock is let go of, or others would find no memory meanwhile. */
	err = gmem_charge(obj);
	if (err) {
		free_ranges(obj, false);
		return err;
	}

	insert_object(obj);
	gmem_pool.nr_awaited += obj->awaited;
	gmem_clean_leave(&obj->ranges);
	gmem_clean_kick();
	return 0;
}

/* May the memory that was taken for @obj be shown to anybody? */
static int check_memory(const struct gmem_object *obj)
{
	struct gmem_range part;
	unsigned int i;

	lockdep_assert_held(&gmem_pool.lock);

	/* Frozen since: the next kernel was told that this memory is dirty. */
	if (gmem_pool.holders)
		return -EBUSY;
	/* Nobody maps it yet: better none than one with a hole in it. */
	if (gmem_poison_hit(&obj->ranges))
		return -EHWPOISON;
	/* What everything rests on. */
	for (i = 0; i < obj->ranges.nr; i++)
		if (WARN_ON_ONCE(gmem_arena_next_dirty(&gmem_pool.arena,
						       obj->ranges.r[i].base,
						       obj->ranges.r[i].size,
						       &part)))
			return -EIO;
	return 0;
}

static void not_awaited(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	gmem_pool.nr_awaited -= obj->awaited;
	obj->awaited = false;
}

/* Show a finished object to the world; its first view is the caller's. */
static int publish(struct gmem_object *obj)
{
	int err;

	guard(mutex)(&gmem_pool.lock);

	err = check_memory(obj);
	if (err)
		return err;

	obj->state = GMEM_LIVE;
	obj->vm_view = true;
	obj->meta.epoch = 1;
	err = gmem_handover_update();
	if (err) {
		obj->state = GMEM_ALLOCATING;
		obj->vm_view = false;
		return err;
	}
	not_awaited(obj);
	return 0;
}

static int check_params(const struct gmem_object_params *params, bool claim)
{
	const u64 granule = params->granule ?: SZ_2M;

	if (params->name && params->name[0] && !gmem_name_valid(params->name))
		return -EINVAL;
	if (granule != SZ_2M && granule != SZ_1G)
		return -EINVAL;
	if ((!params->size && !claim) || !IS_ALIGNED(params->size, granule) ||
	    params->size > MAX_LFS_FILESIZE)
		return -EINVAL;
	if (params->nodes && nodes_empty(*params->nodes))
		return -EINVAL;
	return 0;
}

static struct gmem_persist_object new_meta(umode_t mode)
{
	struct gmem_persist_object meta = {
		.uid = from_kuid(&init_user_ns, current_fsuid()),
		.gid = from_kgid(&init_user_ns, current_fsgid()),
		.mode = mode,
		.ctime = ktime_get_real_ns(),
	};

	generate_random_uuid(meta.uuid);
	return meta;
}

/* Give everything back that an object has taken which nobody has seen; see free_ranges(). */
static void give_up(struct gmem_object *obj, bool all_dirty)
{
	mutex_lock(&gmem_pool.lock);
	free_ranges(obj, all_dirty);
	obj->state = GMEM_DISCARDING;
	not_awaited(obj);
	mutex_unlock(&gmem_pool.lock);
	remove_object(obj);
}

/*
 * Make room for as many ranges as there are granules, in a pool that is all in pieces, on
 * the caller's account. Not for what cannot be had anyway, as allocate() will say.
 */
static int reserve_ranges(struct gmem_object *obj, const nodemask_t *nodes)
{
	const u64 granule = obj->meta.granule;
	const unsigned int nr = div64_u64(obj->meta.size, granule);
	nodemask_t left;
	int err;

	scoped_guard(mutex, &gmem_pool.lock) {
		err = may_enter(obj);
		if (!err && capacity_of(granule, nodes, &left) < obj->meta.size)
			err = -ENOSPC;
	}
	if (err || !nr)
		return err;
	obj->ranges.r = kvmalloc_array(nr, sizeof(*obj->ranges.r), GFP_KERNEL_ACCOUNT);
	if (!obj->ranges.r)
		return -ENOMEM;
	obj->ranges.cap = nr;
	return 0;
}

/*
 * An object with its memory, cleared, to be published, or to be given up. If it is @awaited,
 * the operator is asked to freeze a little later.
 */
static struct gmem_object *prepare(const char *name, bool awaited,
				   const struct gmem_object_params *params)
{
	struct gmem_persist_object meta = new_meta(S_IFREG | 0600);
	struct gmem_object *obj;
	int err;

	meta.size = params->size;
	meta.granule = params->granule ?: SZ_2M;
	meta.flags = params->flags;
	meta.vm_class = params->vm_class;
	obj = new_object(name, &meta);
	if (IS_ERR(obj))
		return obj;

	obj->awaited = awaited;
	err = reserve_ranges(obj, params->nodes);
	err = err ?: allocate(obj, params->nodes);
	if (err) {
		put_object(obj);
		return ERR_PTR(err);
	}
	shrink_ranges(obj);
	err = index_ranges(obj);
	err = err ?: gmem_sysfs_add_object(obj);
	gmem_stop_here("alloc-taken");
	err = err ?: gmem_clean_object(obj);
	if (err) {
		give_up(obj, false);
		return ERR_PTR(err);
	}
	return obj;
}

static struct gmem_object *create(const struct gmem_object_params *params)
{
	struct gmem_object *obj = prepare(params->name ?: "", true, params);
	int err;

	if (IS_ERR(obj))
		return obj;
	gmem_stop_here("object-cleared");
	/* One reference is the list's, one the view's. */
	ihold(obj->inode);
	err = publish(obj);
	gmem_stop_here("object-recorded");
	if (err) {
		give_up(obj, false);
		put_object(obj);
		return ERR_PTR(err);
	}
	return obj;
}

static struct gmem_object *claim(const struct gmem_object_params *params);

static struct gmem_object *create_by_handle(const struct gmem_object_params *params)
{
	struct gmem_object *obj = gmem_fs_object(params->handle);
	int err;

	inode_lock(obj->inode);
	err = gmem_object_populate(obj, params);
	inode_unlock(obj->inode);
	return err ? ERR_PTR(err) : claim(params);
}

/* Either a name or a handle says which object is meant. */
static int check_handle(const struct gmem_object_params *params, bool claim)
{
	if (!params->handle)
		return claim && (!params->name || !params->name[0]) ? -EINVAL : 0;
	if (params->name && params->name[0])
		return -EINVAL;
	return gmem_fs_object(params->handle) ? 0 : -EBADF;
}

/**
 * gmem_object_create - make a new object and claim its VM view
 * @params: what it shall be; without a name it dies with its last view. With a
 *	handle, the memory is for the object that it shows, which has none.
 *
 * The memory is zero, and is charged to the caller's dmem cgroup.
 *
 * Context: process context; takes gmem_pool.lock, clears memory and may take
 * seconds.
 * Return: the object, to be given back with gmem_object_release(), or an
 * ERR_PTR(): -EINVAL (name, size, granule or nodes), -EBADF (the handle is no file of
 * gmemfs that is open for reading and writing), -EEXIST (the name is taken, or the
 * handle's object has memory), -ENOENT (the handle's object has been discarded),
 * -ENOSPC (not enough free memory in this granule on these nodes, 4096 names, or
 * the record would become too large), -EDQUOT (a limit of the caller's dmem cgroup,
 * or of one above it, would be exceeded), -EBUSY (the pool is frozen), -EINTR (a
 * signal), -EHWPOISON (a memory error hit the memory meanwhile; there is other),
 * -ENODEV (there is no pool), -ENOMEM (no kernel memory for the bookkeeping), -EIO (a
 * bug of the kernel, with a warning: not all of the memory was cleared).
 */
struct gmem_object *gmem_object_create(const struct gmem_object_params *params)
{
	const u64 start = ktime_get_ns();
	struct gmem_object *obj;
	int err;

	if (!gmem_persist_enabled())
		return ERR_PTR(-ENODEV);
	err = check_handle(params, false);
	err = err ?: check_params(params, false);
	if (err)
		return ERR_PTR(err);

	obj = params->handle ? create_by_handle(params) : create(params);
	trace_gmem_create(params->name ?: "", params->size,
			  params->granule ?: SZ_2M, !IS_ERR(obj),
			  ktime_get_ns() - start, PTR_ERR_OR_ZERO(obj));
	return obj;
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_create);

static bool matches(const struct gmem_object *obj,
		    const struct gmem_object_params *params)
{
	return (!params->size || params->size == obj->meta.size) &&
	       (!params->granule || params->granule == obj->meta.granule) &&
	       params->flags == obj->meta.flags &&
	       params->vm_class == obj->meta.vm_class;
}

static struct gmem_object *claim(const struct gmem_object_params *params)
{
	struct gmem_object *obj;
	int err;

	guard(mutex)(&gmem_pool.lock);

	obj = params->handle ? gmem_fs_object(params->handle) :
			       gmem_object_find(NULL, params->name);
	if (!obj)
		return ERR_PTR(-ENOENT);
	if (obj->vm_view || gmem_pool.holders)
		return ERR_PTR(-EBUSY);
	if (params->handle) {
		if (!obj->ranges.nr)
			return ERR_PTR(-ENOENT);
	} else if (obj->state != GMEM_LIVE || obj->unlinked || obj->exclusive) {
		return ERR_PTR(-EBUSY);
	}
	if (!obj->ranges.nr || obj->data || !matches(obj, params))
		return ERR_PTR(-EINVAL);

	/* A handle has raised it when it was opened. */
	if (!params->handle) {
		obj->meta.epoch++;
		err = gmem_handover_update();
		if (err) {
			obj->meta.epoch--;
			return ERR_PTR(err);
		}
	}
	obj->vm_view = true;
	ihold(obj->inode);
	return obj;
}

/**
 * gmem_object_claim - claim the VM view of a parked object
 * @params: its name or a handle, and what the caller takes it to be. A handle
 *	has raised the epoch already.
 *
 * The memory is charged to the caller's dmem cgroup from now on, be it beyond the
 * limits of that.
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: the object, to be given back with gmem_object_release(), or an
 * ERR_PTR(): -EINVAL (a malformed argument, or the object is not what the caller
 * takes it to be), -EBADF (the handle is no file of gmemfs that is open for reading and
 * writing), -ENOENT (no object has this name, or the handle's has no memory), -EBUSY
 * (another VM has the view, a handle has the object exclusively, it is being created or
 * discarded, or the pool is frozen), -ENODEV (there is no pool), -ENOSPC (the record
 * would become too large), -ENOMEM (no kernel memory for the bookkeeping).
 */
struct gmem_object *gmem_object_claim(const struct gmem_object_params *params)
{
	const u64 start = ktime_get_ns();
	struct gmem_object *obj;
	int err;

	if (!gmem_persist_enabled())
		return ERR_PTR(-ENODEV);
	err = check_handle(params, true);
	err = err ?: check_params(params, true);
	if (err)
		return ERR_PTR(err);

	obj = claim(params);
	err = PTR_ERR_OR_ZERO(obj);
	if (!err) {
		err = gmem_charge_move(obj);
		if (err && params->handle)
			gmem_object_release(obj);
		else if (err)
			gmem_object_undo(obj, false);
	}
	if (err) {
		trace_gmem_claim(params->name ?: "", params->size, params->granule,
				 0, ktime_get_ns() - start, err);
		return ERR_PTR(err);
	}
	trace_gmem_claim(obj->name, obj->meta.size, obj->meta.granule,
			 obj->meta.epoch, ktime_get_ns() - start, 0);
	return obj;
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_claim);

enum use { USE_VM, USE_HANDLE, USE_PIN };

/* A use ends. An object that has neither name nor users is freed. */
static void drop_use(struct gmem_object *obj, enum use use)
{
	bool last;

	mutex_lock(&gmem_pool.lock);
	switch (use) {
	case USE_VM:
		obj->vm_view = false;
		break;
	case USE_HANDLE:
		obj->handles--;
		break;
	case USE_PIN:
		obj->pins--;
		break;
	}
	if (!obj->handles)
		obj->exclusive = false;	/* it was the only one */
	last = !obj->name[0] && !in_use(obj);
	if (last) {
		/* In the record its memory was dirty all along. */
		obj->state = GMEM_DISCARDING;
		free_ranges(obj, true);
	}
	mutex_unlock(&gmem_pool.lock);

	if (!last)
		return;
	gmem_stop_here("last-use-freed");
	remove_object(obj);
}

/**
 * gmem_object_release - give a VM view back
 * @obj: the object; the caller's reference goes with the view
 *
 * A named object is parked, if it has no other view. One without a name is freed.
 *
 * Context: process context; takes gmem_pool.lock. Nothing maps the object any
 * more on behalf of this view.
 */
void gmem_object_release(struct gmem_object *obj)
{
	drop_use(obj, USE_VM);
	put_object(obj);
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_release);

/* Take a live object out of the record and free its memory. */
static int retire(struct gmem_object *obj)
{
	int err;

	lockdep_assert_held(&gmem_pool.lock);

	obj->state = GMEM_DISCARDING;
	err = gmem_handover_update();
	if (err) {
		obj->state = GMEM_LIVE;
		return err;
	}
	gmem_stop_here("discard-recorded");	/* gmem_pool.lock is held */
	free_ranges(obj, true);
	return 0;
}

/**
 * gmem_object_undo - give back a VM view that nobody has used
 * @obj: the object; the caller's reference goes with the view
 * @created: it comes from gmem_object_create(), not from gmem_object_claim()
 *
 * What create or claim did is undone: a new object is gone, and the epoch of an old
 * one is what it was, so that state saved beside the memory stays valid. If the pool
 * was frozen since, or the record cannot be changed, the object is parked as it is.
 * One that was claimed stays charged to the cgroup of the one who claimed it.
 *
 * Context: process context; takes gmem_pool.lock.
 */
void gmem_object_undo(struct gmem_object *obj, bool created)
{
	bool gone = false;

	scoped_guard(mutex, &gmem_pool.lock) {
		/* Files of gmemfs may show it meanwhile. */
		if (!obj->name[0] || obj->unlinked || obj->handles || obj->pins ||
		    gmem_pool.holders)
			break;
		if (created) {
			gone = !retire(obj);
			break;
		}
		obj->meta.epoch--;
		if (gmem_handover_update())
			obj->meta.epoch++;
	}

	if (!gone) {
		gmem_object_release(obj);
		return;
	}
	remove_object(obj);
	put_object(obj);
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_undo);

/**
 * gmem_object_discard - free a parked object
 * @name: its name
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0, -EINVAL (no such name is possible), -ENOENT (no object has it),
 * -EISDIR (it is a directory), -EBUSY (the object has views, is being created or
 * discarded, or the pool is frozen), -ENOSPC (the record would become too large), -ENOMEM
 * (no kernel memory for the bookkeeping).
 */
int gmem_object_discard(const char *name)
{
	struct gmem_object *obj;
	int err;

	if (!gmem_name_valid(name))
		return -EINVAL;

	scoped_guard(mutex, &gmem_pool.lock) {
		obj = gmem_object_find(NULL, name);
		if (!obj)
			return -ENOENT;
		if (gmem_object_is_dir(obj))
			return -EISDIR;
		if (obj->state != GMEM_LIVE || obj->unlinked || in_use(obj) ||
		    gmem_pool.holders)
			return -EBUSY;

		err = retire(obj);
		if (err)
			return err;
	}
	gmem_stop_here("discard-freed");
	remove_object(obj);
	return 0;
}

/* As prescribed by the directory, if that has a say in the group */
static void init_owner(struct gmem_object *obj, struct inode *dir, umode_t mode)
{
	struct inode *inode = obj->inode;

	inode_init_owner(&nop_mnt_idmap, inode, dir, mode);
	obj->meta.uid = from_kuid(&init_user_ns, inode->i_uid);
	obj->meta.gid = from_kgid(&init_user_ns, inode->i_gid);
	obj->meta.mode = inode->i_mode;
}

/* A file is known to the record once it has memory, a directory from now on. */
static int publish_file(struct gmem_object *obj, struct dentry *dentry)
{
	int err = 0;

	guard(mutex)(&gmem_pool.lock);

	obj->state = GMEM_LIVE;
	if (gmem_object_is_dir(obj))
		err = gmem_pool.holders ? -EBUSY : gmem_handover_update();
	if (err)
		obj->state = GMEM_ALLOCATING;
	else
		/* Under the lock: see gmem_object_shown(). */
		d_instantiate(dentry, obj->inode);
	return err;
}

/* The name was free when it was looked up. */
static int name_taken(const struct gmem_object *dir, const char *name)
{
	guard(mutex)(&gmem_pool.lock);

	/* What can be seen is found by the next look, which -ESTALE asks for. */
	return gmem_object_visible(gmem_object_find(dir, name)) ? -ESTALE : -EBUSY;
}

/**
 * gmem_object_create_file - make a new object without memory: a file, or a directory
 * @dir: the inode of the directory that it will be in
 * @dentry: its name; gets its inode
 * @mode: its file type and permissions; the caller owns it
 *
 * The record does not know of a file before it has memory, see gmem_object_populate().
 *
 * Context: process context; takes gmem_pool.lock; the lock of @dir is held.
 * Return: 0, -EINVAL (no such name is possible), -ESTALE (it is taken by now), -EBUSY (an
 * object of that name is being created or discarded, or the pool is frozen), -ENOSPC (4096
 * names, or the record would become too large), -ENOMEM.
 */
int gmem_object_create_file(struct inode *dir, struct dentry *dentry, umode_t mode)
{
	const char *name = (const char *)dentry->d_name.name;
	struct gmem_persist_object meta = new_meta(mode);
	struct gmem_object *obj;
	int err;

	if (!gmem_name_valid(name))
		return -EINVAL;
	meta.granule = S_ISDIR(mode) ? 0 : SZ_2M;
	obj = new_object(name, &meta);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	obj->parent = dir->i_private;
	init_owner(obj, dir, mode);

	err = allocate(obj, NULL);
	if (err) {
		put_object(obj);
		return err == -EEXIST ? name_taken(dir->i_private, name) : err;
	}
	/* The list has one reference, the dentry another. */
	ihold(obj->inode);
	err = gmem_sysfs_add_object(obj);
	err = err ?: publish_file(obj, dentry);
	if (err) {
		give_up(obj, false);
		put_object(obj);
	}
	return err;
}

/* Let @obj have the memory of @donor, which nobody has seen, and @donor that of @obj. */
static int exchange(struct gmem_object *obj, struct gmem_object *donor, bool data)
{
	struct gmem_persist_object old;
	bool was_data;
	int err;

	guard(mutex)(&gmem_pool.lock);

	if (obj->state != GMEM_LIVE)
		return -ENOENT;
	err = check_memory(donor);
	if (err)
		return err;

	old = obj->meta;
	was_data = obj->data;
	obj->meta.size = donor->meta.size;
	obj->meta.granule = donor->meta.granule;
	obj->meta.flags = donor->meta.flags;
	obj->meta.vm_class = donor->meta.vm_class;
	obj->meta.epoch = max(old.epoch, 1);
	obj->data = data;
	swap(obj->ranges, donor->ranges);
	swap(obj->start, donor->start);
	err = gmem_handover_update();
	if (err) {
		swap(obj->ranges, donor->ranges);
		swap(obj->start, donor->start);
		obj->meta = old;
		obj->data = was_data;
	}
	return err;
}

static int adopt(struct gmem_object *obj, struct gmem_object *donor, bool data)
{
	struct address_space *mapping = obj->inode->i_mapping;
	int err;

	filemap_invalidate_lock(mapping);
	err = exchange(obj, donor, data);
	if (!err) {
		inode_set_bytes(obj->inode, obj->meta.size);
		/* Of memory that it has no more */
		xa_destroy(&obj->bad_pages);
	}
	filemap_invalidate_unlock(mapping);
	if (!err)
		gmem_charge_swap(obj, donor);
	return err;
}

/**
 * gmem_object_populate - give an object without memory some
 * @obj: the object
 * @params: what it shall be; the name does not matter
 *
 * As with gmem_object_create(), the memory is zero and charged to the caller's
 * dmem cgroup, and the epoch is 1.
 *
 * Context: process context; the lock of the object's inode is held; takes
 * gmem_pool.lock, clears memory and may take seconds.
 * Return: 0, -EEXIST (it has memory), -ENOENT (it has been discarded), or an error of
 * gmem_object_create().
 */
int gmem_object_populate(struct gmem_object *obj,
			 const struct gmem_object_params *params)
{
	struct gmem_object *donor;
	int err;

	if (obj->ranges.nr)
		return -EEXIST;
	err = check_params(params, false);
	if (err)
		return err;
	donor = prepare("", false, params);
	if (IS_ERR(donor))
		return PTR_ERR(donor);

	err = adopt(obj, donor, false);
	gmem_stop_here("populate-recorded");
	if (!err)
		/* From here on it may be mapped. */
		i_size_write(obj->inode, obj->meta.size);
	give_up(donor, false);
	return err;
}

struct copying {
	u64 to;
	void *from;
};

static int copy_to_piece(void *addr, u64 size, void *arg)
{
	struct copying *copying = arg;

	memcpy(addr, copying->from, size);
	copying->from += size;
	return 0;
}

static int copy_from_piece(void *addr, u64 size, void *arg)
{
	struct copying *copying = arg;
	int err;

	copying->from = addr;
	err = gmem_window_walk(copying->to, size, copy_to_piece, copying);
	cond_resched();
	return err;
}

/* Copy the first @size bytes of one object to another, a granule at a time. */
static int copy_memory(struct gmem_object *to, struct gmem_object *from, u64 size)
{
	u64 offset;

	for (offset = 0; offset < size; offset += SZ_2M) {
		const pgoff_t index = offset >> PAGE_SHIFT;
		struct copying copying = {
			.to = PFN_PHYS(gmem_object_pfn(to, index, NULL)),
		};
		int err;

		if (gmem_poison_good_run(from, offset, SZ_2M) < SZ_2M)
			return -EIO;
		if (fatal_signal_pending(current))
			return -EINTR;
		gmem_stop_here("resize-copy");
		err = gmem_window_walk(PFN_PHYS(gmem_object_pfn(from, index, NULL)),
				       SZ_2M, copy_from_piece, &copying);
		if (err)
			return err;
	}
	return 0;
}

/**
 * gmem_object_resize - give an object as much memory for data as it needs
 * @obj: the object; it has none, or holds data
 * @size: in bytes, a multiple of 2 MiB; 0 frees all
 *
 * It gets other memory, with the same contents in it as far as they fit and nothing else
 * but zeroes, which is charged to the caller's dmem cgroup. Its length does not change.
 *
 * Context: process context; the lock of the object's inode is held; takes its invalidate
 * lock and gmem_pool.lock, clears and copies memory.
 * Return: 0, -EIO (a page of it has a memory error), or an error of
 * gmem_object_populate().
 */
int gmem_object_resize(struct gmem_object *obj, u64 size)
{
	const struct gmem_object_params params = { .size = size };
	struct gmem_object *donor = prepare("", false, &params);
	int err;

	if (IS_ERR(donor))
		return PTR_ERR(donor);

	gmem_stop_here("resize-cleared");
	err = copy_memory(donor, obj, min3(size, obj->meta.size,
					   (u64)i_size_read(obj->inode)));
	gmem_stop_here("resize-copied");
	err = err ?: adopt(obj, donor, size > 0);
	gmem_stop_here("resize-recorded");
	/* Whichever memory it is, there is something in it. */
	give_up(donor, true);
	return err;
}

/**
 * gmem_object_set_length - say how many bytes of data there are
 * @obj: the object, which holds data
 * @length: the number, not more than it has memory for
 *
 * Context: process context; the lock of the object's inode is held; takes gmem_pool.lock.
 * Return: 0, -EBUSY (the pool is frozen).
 */
int gmem_object_set_length(struct gmem_object *obj, u64 length)
{
	guard(mutex)(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	i_size_write(obj->inode, length);
	gmem_pool.data_unrecorded = true;
	return 0;
}

/**
 * gmem_object_sync - tell the record how long the files of data are
 *
 * Freezing does so, too, but it might find no memory for that.
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0, -ENOSPC (the record would become too large), -ENOMEM.
 */
int gmem_object_sync(void)
{
	guard(mutex)(&gmem_pool.lock);

	return gmem_pool.data_unrecorded && !gmem_pool.holders ?
	       gmem_handover_update() : 0;
}

/**
 * gmem_object_open - begin to use an object by a file
 * @obj: the object
 * @write: to change its contents
 * @exclusive: nobody else may use it meanwhile
 *
 * Whoever opens an object for writing that nobody else uses pays for it from now on.
 * Opening it for writing raises the epoch once it has memory.
 *
 * Context: process context; takes gmem_pool.lock. The caller holds a reference.
 * Return: 0, -ESTALE (it is being discarded), -EBUSY (somebody uses it exclusively, or
 * uses it and @exclusive is asked for; or the pool is frozen and @write is asked for),
 * -ENOSPC (the record would become too large), -ENOMEM.
 */
int gmem_object_open(struct gmem_object *obj, bool write, bool exclusive)
{
	const u64 start = ktime_get_ns();
	bool claims, alone = false;
	int err = 0;

	scoped_guard(mutex, &gmem_pool.lock) {
		if (obj->state != GMEM_LIVE)
			return -ESTALE;
		if (obj->exclusive || (exclusive && has_views(obj)) ||
		    (write && gmem_pool.holders))
			return -EBUSY;
		claims = write && obj->ranges.nr;
		if (claims) {
			obj->meta.epoch++;
			err = gmem_handover_update();
			if (err) {
				obj->meta.epoch--;
				return err;
			}
			alone = !has_views(obj);
		}
		obj->handles++;
		obj->exclusive = exclusive;
	}
	if (alone)
		err = gmem_charge_move(obj);
	if (claims)
		trace_gmem_claim(obj->name, obj->meta.size, obj->meta.granule,
				 err ? 0 : obj->meta.epoch, ktime_get_ns() - start, err);
	if (err)
		drop_use(obj, USE_HANDLE);
	return err;
}

/**
 * gmem_object_close - a file that showed an object is gone
 * @obj: the object
 *
 * Context: process context; takes gmem_pool.lock. The caller holds a reference.
 */
void gmem_object_close(struct gmem_object *obj)
{
	drop_use(obj, USE_HANDLE);
}

/**
 * gmem_object_unpin - an object's name is left alone again
 * @obj: the object; gmem_object.pins was raised
 *
 * Context: process context; takes gmem_pool.lock. The caller holds a reference.
 */
void gmem_object_unpin(struct gmem_object *obj)
{
	drop_use(obj, USE_PIN);
}

static void __init restore_times(struct gmem_object *obj,
				 const struct gmem_record_object *rec)
{
	u64 mtime = obj->data ? rec->file.mtime : rec->mtime ?: rec->meta.ctime;

	inode_set_mtime_to_ts(obj->inode, ns_to_timespec64(mtime));
}

static int __init restore_memory(struct gmem_object *obj, const struct gmem_extents *ranges)
{
	unsigned int i;
	int err = gmem_extents_reserve(&obj->ranges, ranges->nr);

	for (i = 0; !err && i < ranges->nr; i++)
		err = gmem_extents_append(&obj->ranges, ranges->r[i].base,
					  ranges->r[i].size);
	err = err ?: index_ranges(obj);
	err = err ?: gmem_poison_restore_object(obj);
	/* To the root group, which has no limit. */
	return err ?: gmem_charge(obj);
}

/**
 * gmem_object_restore - bring an object back from the record
 * @rec: what the record says of it; already checked
 * @parent: the directory that it is in; NULL: the root
 *
 * Context: boot; the ranges are in no set of the pool.
 * Return: the object, or ERR_PTR(-ENOMEM).
 */
struct gmem_object * __init gmem_object_restore(const struct gmem_record_object *rec,
						struct gmem_object *parent)
{
	struct gmem_object *obj = new_object(rec->name, &rec->meta);
	int err = 0;

	if (IS_ERR(obj))
		return obj;

	obj->parent = parent;
	obj->meta.generation++;
	obj->state = GMEM_LIVE;
	if (rec->file.kind == GMEM_PERSIST_FILE_DATA) {
		obj->data = true;
		i_size_write(obj->inode, rec->file.bytes);
	}
	restore_times(obj, rec);
	if (rec->ranges.nr)
		err = restore_memory(obj, &rec->ranges);
	/* Its number is part of what it is called in sysfs. */
	scoped_guard(mutex, &gmem_pool.lock)
		insert_object(obj);
	err = err ?: gmem_sysfs_add_object(obj);
	if (err) {
		scoped_guard(mutex, &gmem_pool.lock)
			delete_object(obj);
		gmem_uncharge(obj);
		put_object(obj);
		return ERR_PTR(err);
	}
	return obj;
}

/**
 * gmem_object_get_info - what is this object
 * @obj: the object
 * @info: the answer
 *
 * Context: the caller holds a view.
 */
void gmem_object_get_info(struct gmem_object *obj,
			  struct gmem_object_info *info)
{
	guard(mutex)(&gmem_pool.lock);

	*info = (struct gmem_object_info){
		.size = obj->meta.size,
		.granule = obj->meta.granule,
		.generation = obj->meta.generation,
		.epoch = obj->meta.epoch,
	};
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_get_info);

/**
 * gmem_object_inode - the inode whose mapping a view must use
 * @obj: the object
 *
 * Context: the caller holds a view.
 * Return: the inode, valid as long as the view is.
 */
struct inode *gmem_object_inode(struct gmem_object *obj)
{
	return obj->inode;
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_inode);

/* Index of the range that holds @offset, which lies in the object. */
static unsigned int range_at(const struct gmem_object *obj, u64 offset)
{
	unsigned int lo = 0, hi = obj->ranges.nr - 1;

	while (lo < hi) {
		unsigned int mid = hi - (hi - lo) / 2;

		if (obj->start[mid] <= offset)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

/* Is there a whole, aligned leaf of @size bytes around @offset, all of it good? */
static bool leaf_fits(struct gmem_object *obj, unsigned int i, u64 offset, u64 size)
{
	const struct gmem_range *r = &obj->ranges.r[i];
	u64 phys = r->base + (offset - obj->start[i]);
	u64 leaf = ALIGN_DOWN(phys, size);

	return leaf >= r->base && leaf + size <= gmem_range_end(r) &&
	       !((phys ^ offset) & (size - 1)) &&
	       gmem_poison_good_run(obj, ALIGN_DOWN(offset, size), size) == size;
}

/**
 * gmem_object_pfn - where a page of an object is
 * @obj: the object
 * @index: number of the page in the object; must lie in it
 * @max_order: set to the order of the largest leaf, 0, PMD_ORDER or PUD_ORDER,
 *	that may map the page, with offset and address aligned alike; may be NULL
 *
 * A bad page has a number, too, see gmem_object_is_bad(), but no leaf covers it.
 *
 * Context: any; the caller holds a view. An object's memory never moves.
 * Return: the page frame number.
 */
unsigned long gmem_object_pfn(struct gmem_object *obj, pgoff_t index,
			      int *max_order)
{
	const u64 offset = (u64)index << PAGE_SHIFT;
	const unsigned int i = range_at(obj, offset);
	const struct gmem_range *r = &obj->ranges.r[i];

	if (max_order) {
		*max_order = 0;
		if (leaf_fits(obj, i, offset, PUD_SIZE))
			*max_order = PUD_SHIFT - PAGE_SHIFT;
		else if (leaf_fits(obj, i, offset, PMD_SIZE))
			*max_order = PMD_SHIFT - PAGE_SHIFT;
	}
	return PHYS_PFN(r->base + (offset - obj->start[i]));
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_pfn);

/**
 * gmem_object_attach - be told when memory is taken away
 * @obj: the object
 * @consumer: who wants to know
 *
 * Context: process context; takes the object's invalidate lock.
 */
void gmem_object_attach(struct gmem_object *obj, struct gmem_consumer *consumer)
{
	filemap_invalidate_lock(obj->inode->i_mapping);
	list_add_tail(&consumer->node, &obj->consumers);
	filemap_invalidate_unlock(obj->inode->i_mapping);
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_attach);

/**
 * gmem_object_detach - be told no more
 * @obj: the object
 * @consumer: who was told
 *
 * Context: process context; takes the object's invalidate lock.
 */
void gmem_object_detach(struct gmem_object *obj, struct gmem_consumer *consumer)
{
	filemap_invalidate_lock(obj->inode->i_mapping);
	list_del(&consumer->node);
	filemap_invalidate_unlock(obj->inode->i_mapping);
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_detach);

static int clear_part(struct gmem_object *obj, u64 offset, u64 size)
{
	int err = 0;

	while (size && !err) {
		unsigned int i = range_at(obj, offset);
		u64 skip = offset - obj->start[i];
		u64 len = min(size, obj->ranges.r[i].size - skip);

		len = gmem_poison_good_run(obj, offset, len);
		if (len)
			err = gmem_zero(obj->ranges.r[i].base + skip, len, NULL, NULL);
		else
			len = PAGE_SIZE;
		offset += len;
		size -= len;
	}
	return err;
}

static int punch_chunk(struct gmem_object *obj, u64 offset, u64 size)
{
	struct address_space *mapping = obj->inode->i_mapping;
	const pgoff_t start = offset >> PAGE_SHIFT;
	const pgoff_t end = (offset + size) >> PAGE_SHIFT;
	struct gmem_consumer *consumer;
	int err;

	/* Faults wait, in user space for the lock and in KVM for the end. */
	filemap_invalidate_lock(mapping);
	list_for_each_entry(consumer, &obj->consumers, node)
		consumer->ops->invalidate_start(consumer, start, end);
	unmap_mapping_range(mapping, offset, size, 1);
	err = clear_part(obj, offset, size);
	list_for_each_entry(consumer, &obj->consumers, node)
		consumer->ops->invalidate_end(consumer, start, end);
	filemap_invalidate_unlock(mapping);
	return err;
}

/**
 * gmem_object_punch - clear part of an object
 * @obj: the object
 * @offset: where the part begins, in bytes, aligned to pages
 * @size: its length in bytes, aligned to pages
 *
 * The part reads zero afterwards, except for pages with memory errors, and stays the
 * object's. What lies behind the end of the object is ignored.
 *
 * Context: process context; takes the object's invalidate lock, for 1 GiB at a
 * time. The caller holds a view.
 * Return: 0, -EBUSY (the pool is frozen), -EINTR (a signal; a first part has been
 * cleared), -ENOMEM (no kernel memory for a mapping).
 */
int gmem_object_punch(struct gmem_object *obj, u64 offset, u64 size)
{
	u64 end = min(offset + size, obj->meta.size);

	while (offset < end) {
		u64 len = min_t(u64, end - offset, PUNCH_CHUNK);
		int err;

		if (gmem_pool_frozen())
			return -EBUSY;
		if (signal_pending(current))
			return -EINTR;
		err = punch_chunk(obj, offset, len);
		if (err)
			return err;
		offset += len;
	}
	return 0;
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_punch);
