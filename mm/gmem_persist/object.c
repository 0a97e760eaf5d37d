// SPDX-License-Identifier: GPL-2.0
/*
 * Pieces of persistent memory: their names, their lives, who uses them.
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
 * 4. A parked object is freed by an explicit *discard* only. Its memory becomes
 *    dirty. An object without a name is freed with its last view.
 *
 * Unhappy paths: creation that is interrupted, runs out of memory or meets a
 * freeze gives everything back. A creation in the middle of which the host is
 * replaced never was: in the record its memory is dirty.
 *
 * The object owns one inode, and so the one address_space that all mappings of
 * the memory hang on; a view borrows it.
 */
#include "internal.h"

#include <linux/anon_inodes.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/kvm_types.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/topology.h>
#include <linux/uidgid.h>

#include <trace/events/gmem_persist.h>

/* "GMEP" */
#define GMEM_PERSIST_FS_MAGIC	0x474d4550

/* A punch holds the invalidate lock no longer than clearing this much takes. */
#define PUNCH_CHUNK		SZ_1G

static struct vfsmount *gmem_mnt __ro_after_init;

static int gmem_init_fs_context(struct fs_context *fc)
{
	return init_pseudo(fc, GMEM_PERSIST_FS_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type gmem_fs = {
	.name = "gmem_persist",
	.init_fs_context = gmem_init_fs_context,
	.kill_sb = kill_anon_super,
};

/**
 * gmem_object_init - prepare for objects
 *
 * Return: 0 or -errno.
 */
int __init gmem_object_init(void)
{
	gmem_mnt = kern_mount(&gmem_fs);
	return PTR_ERR_OR_ZERO(gmem_mnt);
}

static const struct address_space_operations gmem_aops = {
	.dirty_folio = noop_dirty_folio,
};

static struct inode *new_object_inode(const struct gmem_object *obj)
{
	struct inode *inode = alloc_anon_inode(gmem_mnt->mnt_sb);

	if (IS_ERR(inode))
		return inode;

	inode->i_mode = obj->meta.mode;
	inode->i_uid = make_kuid(&init_user_ns, obj->meta.uid);
	inode->i_gid = make_kgid(&init_user_ns, obj->meta.gid);
	inode->i_size = obj->meta.size;
	inode->i_mapping->a_ops = &gmem_aops;
	/* No folios will ever be in there. */
	mapping_set_inaccessible(inode->i_mapping);
	return inode;
}

/* Release function of the kobject: the last reference is gone. */
void gmem_object_free(struct kobject *kobj)
{
	struct gmem_object *obj = container_of(kobj, struct gmem_object, kobj);

	if (obj->inode)
		iput(obj->inode);
	xa_destroy(&obj->bad_pages);
	kvfree(obj->ranges.r);
	kvfree(obj->start);
	kfree(obj);
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

	inode = new_object_inode(obj);
	if (IS_ERR(inode)) {
		kobject_put(&obj->kobj);
		return ERR_CAST(inode);
	}
	obj->inode = inode;
	return obj;
}

/* Give the room back that the ranges did not need, if that is easily done. */
static void shrink_ranges(struct gmem_object *obj)
{
	const size_t size = array_size(obj->ranges.nr, sizeof(*obj->ranges.r));
	struct gmem_range *r = kvmalloc(size, GFP_KERNEL | __GFP_NOWARN);

	if (!r)
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

static struct gmem_object *find_object(const char *name)
{
	struct gmem_object *obj;

	lockdep_assert_held(&gmem_pool.lock);

	list_for_each_entry(obj, &gmem_pool.objects, node)
		if (obj->name[0] && !strcmp(obj->name, name))
			return obj;
	return NULL;
}

static void insert_object(struct gmem_object *obj)
{
	list_add_tail(&obj->node, &gmem_pool.objects);
	if (obj->name[0])
		gmem_pool.nr_named++;
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
	trace_gmem_free(obj->name, obj->meta.size, obj->meta.granule,
			obj->meta.epoch);
	gmem_uncharge(obj);
	if (obj->kobj.state_in_sysfs)
		kobject_del(&obj->kobj);

	mutex_lock(&gmem_pool.lock);
	list_del(&obj->node);
	if (obj->name[0])
		gmem_pool.nr_named--;
	mutex_unlock(&gmem_pool.lock);

	kobject_put(&obj->kobj);
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

/* Take all of @obj's memory from @nodes, or from anywhere if that is NULL. */
static int take_memory(struct gmem_object *obj, const nodemask_t *nodes)
{
	const u64 granule = obj->meta.granule;
	struct gmem_arena *arena = &gmem_pool.arena;
	nodemask_t left = NODE_MASK_NONE;
	u64 need = obj->meta.size;
	u64 capacity = 0;
	unsigned int i;
	int nid;

	for (i = 0; i < arena->nr_nodes; i++) {
		nid = arena->nodes[i].nid;
		if (nodes && (nid == NUMA_NO_NODE || !node_isset(nid, *nodes)))
			continue;
		capacity += gmem_arena_capacity(arena, nid, granule);
		if (nid != NUMA_NO_NODE)
			node_set(nid, left);
	}
	if (capacity < need)
		return -ENOSPC;

	/* Memory of which nobody knows the node comes last: then all else is used. */
	do {
		nid = next_node_to_use(&left);
		need -= gmem_arena_alloc(arena, nid, need, granule, &obj->ranges);
	} while (need && nid != NUMA_NO_NODE);
	return WARN_ON(need) ? -ENOSPC : 0;
}

/* Take memory for @obj, and its name, out of the pool. */
static int allocate(struct gmem_object *obj, const nodemask_t *nodes)
{
	int err;

	guard(mutex)(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	if (obj->name[0] && find_object(obj->name))
		return -EEXIST;
	if (obj->name[0] && gmem_pool.nr_named == GMEM_RECORD_MAX_OBJECTS)
		return -ENOSPC;

	err = take_memory(obj, nodes);
	if (err)
		return err;
	/* Before the lock is let go of, or others would find no memory meanwhile. */
	err = gmem_charge(obj);
	if (err) {
		free_ranges(obj, false);
		return err;
	}

	insert_object(obj);
	gmem_pool.nr_allocating++;
	gmem_clean_leave(&obj->ranges);
	gmem_clean_kick();
	return 0;
}

/* Show a finished object to the world; its first view is the caller's. */
static int publish(struct gmem_object *obj)
{
	struct gmem_range part;
	unsigned int i;
	int err;

	guard(mutex)(&gmem_pool.lock);

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

	obj->state = GMEM_LIVE;
	obj->vm_view = true;
	obj->meta.epoch = 1;
	err = gmem_handover_update();
	if (err) {
		obj->state = GMEM_ALLOCATING;
		obj->vm_view = false;
		return err;
	}
	gmem_pool.nr_allocating--;
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

static struct gmem_object *create(const struct gmem_object_params *params)
{
	struct gmem_persist_object meta = {
		.size = params->size,
		.granule = params->granule ?: SZ_2M,
		.flags = params->flags,
		.vm_class = params->vm_class,
		.uid = from_kuid(&init_user_ns, current_fsuid()),
		.gid = from_kgid(&init_user_ns, current_fsgid()),
		.mode = S_IFREG | 0600,
		.ctime = ktime_get_real_ns(),
	};
	struct gmem_object *obj;
	u64 most;
	int err;

	generate_random_uuid(meta.uuid);
	obj = new_object(params->name ?: "", &meta);
	if (IS_ERR(obj))
		return obj;

	/*
	 * As many ranges as there are granules, in a pool that is all in pieces.
	 * What is larger than the pool will not be had anyway.
	 */
	most = min(meta.size, gmem_extents_bytes(&gmem_pool.ranges));
	err = gmem_extents_reserve(&obj->ranges, div64_u64(most, meta.granule));
	err = err ?: allocate(obj, params->nodes);
	if (err) {
		kobject_put(&obj->kobj);
		return ERR_PTR(err);
	}
	shrink_ranges(obj);
	err = index_ranges(obj);
	err = err ?: gmem_sysfs_add_object(obj);
	err = err ?: gmem_clean_object(obj);
	err = err ?: publish(obj);
	if (err)
		goto err_free;

	/* One reference is the list's, one the view's. */
	kobject_get(&obj->kobj);
	return obj;

err_free:
	mutex_lock(&gmem_pool.lock);
	free_ranges(obj, false);
	obj->state = GMEM_DISCARDING;
	gmem_pool.nr_allocating--;
	mutex_unlock(&gmem_pool.lock);
	remove_object(obj);
	return ERR_PTR(err);
}

/**
 * gmem_object_create - make a new object and claim its VM view
 * @params: what it shall be; without a name it dies with its last view
 *
 * The memory is zero, and is charged to the caller's dmem cgroup.
 *
 * Context: process context; takes gmem_pool.lock, clears memory and may take
 * seconds.
 * Return: the object, to be given back with gmem_object_release(), or an
 * ERR_PTR(): -EINVAL (name, size, granule or nodes), -EEXIST (the name is taken),
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
	err = check_params(params, false);
	if (err)
		return ERR_PTR(err);

	obj = create(params);
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

	obj = find_object(params->name);
	if (!obj)
		return ERR_PTR(-ENOENT);
	if (obj->state != GMEM_LIVE || obj->vm_view || gmem_pool.holders)
		return ERR_PTR(-EBUSY);
	if (!matches(obj, params))
		return ERR_PTR(-EINVAL);

	obj->meta.epoch++;
	err = gmem_handover_update();
	if (err) {
		obj->meta.epoch--;
		return ERR_PTR(err);
	}
	obj->vm_view = true;
	kobject_get(&obj->kobj);
	return obj;
}

/**
 * gmem_object_claim - claim the VM view of a parked object
 * @params: its name, and what the caller takes it to be
 *
 * The memory is charged to the caller's dmem cgroup from now on, be it beyond the
 * limits of that.
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: the object, to be given back with gmem_object_release(), or an
 * ERR_PTR(): -EINVAL (a malformed argument, or the object is not what the caller
 * takes it to be), -ENOENT (no object has this name), -EBUSY (another VM has the
 * view, the object is being created or discarded, or the pool is frozen), -ENODEV
 * (there is no pool), -ENOSPC (the record would become too large), -ENOMEM (no
 * kernel memory for the bookkeeping).
 */
struct gmem_object *gmem_object_claim(const struct gmem_object_params *params)
{
	const u64 start = ktime_get_ns();
	struct gmem_object *obj;
	int err;

	if (!gmem_persist_enabled())
		return ERR_PTR(-ENODEV);
	if (!params->name || !params->name[0])
		return ERR_PTR(-EINVAL);
	err = check_params(params, true);
	if (err)
		return ERR_PTR(err);

	obj = claim(params);
	err = PTR_ERR_OR_ZERO(obj);
	if (!err) {
		err = gmem_charge_move(obj);
		if (err)
			gmem_object_undo(obj, false);
	}
	if (err) {
		trace_gmem_claim(params->name, params->size, params->granule,
				 0, ktime_get_ns() - start, err);
		return ERR_PTR(err);
	}
	trace_gmem_claim(obj->name, obj->meta.size, obj->meta.granule,
			 obj->meta.epoch, ktime_get_ns() - start, 0);
	return obj;
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_claim);

/**
 * gmem_object_release - give a VM view back
 * @obj: the object; the caller's reference goes with the view
 *
 * A named object is parked. One without a name is freed.
 *
 * Context: process context; takes gmem_pool.lock. Nothing maps the object any
 * more on behalf of this view.
 */
void gmem_object_release(struct gmem_object *obj)
{
	bool last = !obj->name[0];

	mutex_lock(&gmem_pool.lock);
	obj->vm_view = false;
	if (last) {
		/* In the record its memory was dirty all along. */
		obj->state = GMEM_DISCARDING;
		free_ranges(obj, true);
	}
	mutex_unlock(&gmem_pool.lock);

	if (last)
		remove_object(obj);
	kobject_put(&obj->kobj);
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
		if (!obj->name[0] || gmem_pool.holders)
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
	kobject_put(&obj->kobj);
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_undo);

/**
 * gmem_object_discard - free a parked object
 * @name: its name
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0, -EINVAL (no such name is possible), -ENOENT (no object has it),
 * -EBUSY (the object has views, is being created or discarded, or the pool is
 * frozen), -ENOSPC (the record would become too large), -ENOMEM (no kernel memory
 * for the bookkeeping).
 */
int gmem_object_discard(const char *name)
{
	struct gmem_object *obj;
	int err;

	if (!gmem_name_valid(name))
		return -EINVAL;

	scoped_guard(mutex, &gmem_pool.lock) {
		obj = find_object(name);
		if (!obj)
			return -ENOENT;
		if (obj->state != GMEM_LIVE || obj->vm_view || gmem_pool.holders)
			return -EBUSY;

		err = retire(obj);
		if (err)
			return err;
	}
	remove_object(obj);
	return 0;
}

/**
 * gmem_object_restore - bring an object back from the record
 * @rec: what the record says of it; already checked
 *
 * Context: boot; the ranges are in no set of the pool.
 * Return: 0 or -ENOMEM.
 */
int __init gmem_object_restore(const struct gmem_record_object *rec)
{
	struct gmem_object *obj = new_object(rec->name, &rec->meta);
	unsigned int i;
	int err;

	if (IS_ERR(obj))
		return PTR_ERR(obj);

	obj->meta.generation++;
	obj->state = GMEM_LIVE;
	err = gmem_extents_reserve(&obj->ranges, rec->ranges.nr);
	for (i = 0; !err && i < rec->ranges.nr; i++)
		err = gmem_extents_append(&obj->ranges, rec->ranges.r[i].base,
					  rec->ranges.r[i].size);
	err = err ?: index_ranges(obj);
	err = err ?: gmem_poison_restore_object(obj);
	/* To the root group, which has no limit. */
	err = err ?: gmem_charge(obj);
	err = err ?: gmem_sysfs_add_object(obj);
	if (err) {
		gmem_uncharge(obj);
		kobject_put(&obj->kobj);
		return err;
	}

	mutex_lock(&gmem_pool.lock);
	insert_object(obj);
	mutex_unlock(&gmem_pool.lock);
	return 0;
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
