// SPDX-License-Identifier: GPL-2.0
/*
 * Handing the pool to the next kernel, and taking it from the last one.
 */

/**
 * DOC: handover
 *
 * Outgoing: whenever the layout of the pool changes, a new record is built,
 * preserved by KHO, and only then becomes the record that the header page points
 * to; if that cannot be done, the change is refused. So there is always a complete
 * record, and the way into kexec, on which nothing may fail, has only to *seal* it.
 *
 * A record may be sealed while the layout cannot change, that is while somebody
 * holds the pool *frozen*: the operator, or the kernel itself once a kexec is
 * under way. The last holder to let go thaws the pool and unseals the record. What
 * is in the memory may change all the time.
 *
 * Incoming: a sealed, intact record says what the pool contains. All memory for
 * which that is not so is quarantined: never cleared, never handed out, never given
 * to the page allocator, until the operator says so. What nobody has claimed goes
 * into this kernel's own record right away.
 */
#include "internal.h"

#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/kexec.h>
#include <linux/kexec_handover.h>
#include <linux/mm.h>
#include <linux/reboot.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>

#include <trace/events/gmem_persist.h>

/* The record that the header points to; under gmem_pool.lock. */
struct blob {
	void *fdt;
	size_t size;
	struct kho_vmalloc kho;
};

static struct blob current_blob;
/* The one that this kernel found, if not all of it was good. */
static struct blob refused_blob;
static struct gmem_persist_header *header;

static void set_header(const struct blob *blob, u32 state)
{
	header->state = state;
	header->generation = gmem_pool.generation;
	header->fdt = blob->kho;
	header->fdt_size = blob->size;
	header->fdt_crc = gmem_record_crc(blob->fdt, blob->size);
	header->crc = gmem_record_header_crc(header);
}

static void set_state(u32 state)
{
	lockdep_assert_held(&gmem_pool.lock);

	header->state = state;
	header->crc = gmem_record_header_crc(header);
}

static void free_blob(struct blob *blob)
{
	if (!blob->fdt)
		return;
	kho_unpreserve_vmalloc(&blob->kho);
	vfree(blob->fdt);
	*blob = (struct blob){};
}

static int copy_set(struct gmem_extents *to, const struct gmem_extents *from,
		    unsigned int extra)
{
	int err = gmem_extents_reserve(to, from->nr + extra);

	if (err)
		return err;
	if (from->nr)
		memcpy(to->r, from->r, from->nr * sizeof(*to->r));
	to->nr = from->nr;
	return 0;
}

static int cmp_base(const void *a, const void *b)
{
	const struct gmem_range *x = a, *y = b;

	return x->base < y->base ? -1 : x->base > y->base;
}

static void add_all(struct gmem_extents *to, const struct gmem_extents *from)
{
	if (from->nr)
		memcpy(&to->r[to->nr], from->r, from->nr * sizeof(*to->r));
	to->nr += from->nr;
}

/* Dirty is all of the pool of which nothing else is said; @nr ranges are objects'. */
static int list_dirty(struct gmem_record *rec, unsigned int nr)
{
	struct gmem_extents said = {};
	unsigned int i, k = 0;
	int err;

	nr += rec->clean.nr + rec->quarantined.nr + rec->retired.nr;
	err = gmem_extents_reserve(&said, nr);
	err = err ?: gmem_extents_reserve(&rec->dirty, nr + rec->pool.nr);
	if (err)
		goto out;

	add_all(&said, &rec->clean);
	add_all(&said, &rec->quarantined);
	add_all(&said, &rec->retired);
	for (i = 0; i < rec->nr_objects; i++)
		add_all(&said, &rec->objects[i].ranges);
	sort(said.r, said.nr, sizeof(*said.r), cmp_base, NULL);

	for (i = 0; i < rec->pool.nr; i++) {
		const u64 end = gmem_range_end(&rec->pool.r[i]);
		u64 at = rec->pool.r[i].base;

		for (; k < said.nr && said.r[k].base < end; k++) {
			if (said.r[k].base > at)
				gmem_extents_append(&rec->dirty, at,
						    said.r[k].base - at);
			at = gmem_range_end(&said.r[k]);
		}
		if (at < end)
			gmem_extents_append(&rec->dirty, at, end - at);
	}
out:
	kvfree(said.r);
	return err;
}

static int list_clean(struct gmem_extents *to)
{
	struct gmem_range r;
	u64 at = 0;
	int err;

	for (; gmem_arena_next_free(&gmem_pool.arena, at, false, &r);
	     at = gmem_range_end(&r)) {
		err = gmem_extents_reserve(to, 1);
		err = err ?: gmem_extents_append(to, r.base, r.size);
		if (err)
			return err;
	}
	return 0;
}

/* Does the next kernel learn of this object? */
static bool is_recorded(const struct gmem_object *obj)
{
	return obj->state == GMEM_LIVE && obj->name[0] && !obj->unlinked &&
	       (obj->ranges.nr || gmem_object_is_dir(obj));
}

static void describe(const struct gmem_object *obj, struct gmem_record_object *to)
{
	const struct timespec64 ts = inode_get_mtime(obj->inode);
	const u64 mtime = timespec64_to_ns(&ts);

	*to = (struct gmem_record_object){
		.name = obj->name,
		.meta = obj->meta,
		.ranges = obj->ranges,
		.mtime = obj->data ? 0 : mtime,
	};
	to->meta.parent = obj->parent ? obj->parent->inode->i_ino : 0;
	if (obj->data)
		to->file = (struct gmem_persist_file){
			.bytes = i_size_read(obj->inode),
			.mtime = mtime,
			.kind = GMEM_PERSIST_FILE_DATA,
		};
	if (gmem_object_is_dir(obj))
		to->directory.id = obj->inode->i_ino;
}

/* A directory, and those that it is in before it, unless they are there already */
static void describe_dir(struct gmem_object *dir, u64 turn,
			 struct gmem_record_object **to)
{
	struct gmem_object *below = NULL;

	for (; dir && dir->described != turn; dir = dir->parent) {
		dir->described = turn;
		dir->below = below;
		below = dir;
	}
	for (; below; below = below->below)
		describe(below, (*to)++);
}

/* All that is recorded: directories first, each behind the one that it is in. */
static void describe_all(struct gmem_record_object *to)
{
	static u64 turn;
	struct gmem_object *obj;

	turn++;
	list_for_each_entry(obj, &gmem_pool.objects, node)
		if (is_recorded(obj) && gmem_object_is_dir(obj))
			describe_dir(obj, turn, &to);
	list_for_each_entry(obj, &gmem_pool.objects, node)
		if (is_recorded(obj) && !gmem_object_is_dir(obj))
			describe(obj, to++);
}

/*
 * What the pool consists of, as the next kernel should see it: memory of objects
 * that do not go there, and of ones that are not finished, is dirty.
 */
static int collect(struct gmem_record *rec)
{
	struct gmem_object *obj;
	unsigned int nr = 0;
	int err;

	lockdep_assert_held(&gmem_pool.lock);

	*rec = (struct gmem_record){
		.pool = gmem_pool.ranges,
		.quarantined = gmem_pool.quarantined,
		.bad_pages = gmem_pool.bad_pages,
		.retired = gmem_pool.retired,
	};
	gmem_nodes_tell(rec);

	list_for_each_entry(obj, &gmem_pool.objects, node)
		if (is_recorded(obj)) {
			rec->nr_objects++;
			nr += obj->ranges.nr;
		}
	rec->objects = kvcalloc(rec->nr_objects, sizeof(*rec->objects),
				GFP_KERNEL);
	if (rec->nr_objects && !rec->objects)
		return -ENOMEM;

	describe_all(rec->objects);
	err = list_clean(&rec->clean);
	return err ?: list_dirty(rec, nr);
}

static int build_blob(struct blob *blob)
{
	struct gmem_record rec;
	size_t size;
	int err;

	err = collect(&rec);
	if (err)
		goto out;

	size = gmem_record_size(&rec);
	blob->fdt = vzalloc(size);
	if (!blob->fdt) {
		err = -ENOMEM;
		goto out;
	}
	err = gmem_record_write(&rec, blob->fdt, size);
	if (err > 0) {
		blob->size = err;
		err = kho_preserve_vmalloc(blob->fdt, &blob->kho);
	}
	if (err) {
		vfree(blob->fdt);
		blob->fdt = NULL;
	}
out:
	kvfree(rec.clean.r);
	kvfree(rec.dirty.r);
	kvfree(rec.objects);
	return err;
}

/**
 * gmem_handover_update - make the record say what the pool has become
 *
 * To be called with the change made but not visible to anybody yet, so that it can
 * be taken back. A memory error is the one change that nobody can refuse: then the
 * record stays sealed if it was.
 *
 * Context: gmem_pool.lock is held, and the pool is not frozen; or, after a memory error,
 * not frozen by the reboot.
 * Return: 0, -ENOSPC (the record would become too large), -ENOMEM; the old record
 * stays in force then.
 */
int gmem_handover_update(void)
{
	struct blob next = {};
	int err;

	lockdep_assert_held(&gmem_pool.lock);

	/* Nothing can be handed over. The pool works all the same. */
	if (!header)
		return 0;

	err = build_blob(&next);
	if (err)
		return err;

	gmem_stop_here("record-built");	/* gmem_pool.lock is held */
	set_header(&next, gmem_pool.holders ? GMEM_PERSIST_STATE_SEALED :
					      GMEM_PERSIST_STATE_OPEN);
	free_blob(&current_blob);
	current_blob = next;
	gmem_pool.error_unrecorded = false;
	gmem_pool.data_unrecorded = false;
	return 0;
}

/**
 * gmem_handover_record_size - how large the record is
 *
 * Return: its length in bytes, without the header page; 0 if there is none.
 */
size_t gmem_handover_record_size(void)
{
	guard(mutex)(&gmem_pool.lock);
	return current_blob.size;
}

/**
 * gmem_handover_copy_record - copy a record
 * @which: which one, as gmem_debugfs_init() was told
 * @copy: set to the copy, to be freed with vfree(); of no bytes if there is no such record
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0 or -ENOMEM.
 */
int gmem_handover_copy_record(const void *which, struct debugfs_blob_wrapper *copy)
{
	const struct blob *blob = which;

	guard(mutex)(&gmem_pool.lock);

	if (!blob->fdt)
		return 0;
	copy->data = vmalloc(blob->size);
	if (!copy->data)
		return -ENOMEM;
	memcpy(copy->data, blob->fdt, blob->size);
	copy->size = blob->size;
	return 0;
}

/* Would a kexec now lose what the pool contains? */
static int check_way_out(void)
{
	int err;

	if (!header)
		return -EOPNOTSUPP;
	err = kexec_image_takes_kho();
	if (err)
		return err;
	return gmem_pool.nr_awaited ? -EAGAIN : 0;
}

static int freeze(enum gmem_holder holder)
{
	int err;

	guard(mutex)(&gmem_pool.lock);

	if (gmem_pool.holders & BIT(holder))
		return -EALREADY;

	err = check_way_out();
	if (err && holder != GMEM_HOLDER_REBOOT)
		return err;
	if (err == -ENOEXEC || err == -EOPNOTSUPP)
		pr_warn("the next kernel gets no handover: it will find all of the pool quarantined\n");

	/*
	 * What has been cleaned since; if not, the next kernel cleans it again. But it
	 * must not meet a memory error again, nor lose data. On the way into kexec only
	 * what must be.
	 */
	if (!gmem_pool.holders &&
	    (holder != GMEM_HOLDER_REBOOT || gmem_pool.data_unrecorded)) {
		err = gmem_handover_update();
		if (err && holder == GMEM_HOLDER_REBOOT)
			pr_err("the next kernel will not know how long files of data are (%pe)\n",
			       ERR_PTR(err));
		else if (err && (gmem_pool.error_unrecorded || gmem_pool.data_unrecorded))
			return err;
	}

	WRITE_ONCE(gmem_pool.holders, gmem_pool.holders | BIT(holder));
	gmem_stop_here("before-seal");	/* gmem_pool.lock is held */
	if (header)
		set_state(GMEM_PERSIST_STATE_SEALED);
	return 0;
}

/**
 * gmem_handover_freeze - hold the layout of the pool still and seal the record
 * @holder: on whose behalf
 *
 * A reboot is not asked whether it would like to fail. Everybody else gets
 * an error while something can still be done about it.
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0, -EALREADY (@holder holds it already), -EOPNOTSUPP (KHO is off, nothing
 * can be handed over), -EAGAIN (root is creating an object), -ENOEXEC (the kernel
 * loaded for kexec gets no handover), -EBUSY (an image is being loaded), -ENOMEM or
 * -ENOSPC (the record lacks a memory error or the length of data, and cannot be made anew).
 */
int gmem_handover_freeze(enum gmem_holder holder)
{
	const u64 start = ktime_get_ns();
	int err = freeze(holder);

	trace_gmem_freeze(holder, ktime_get_ns() - start, err);
	return err;
}

static int thaw(enum gmem_holder holder)
{
	guard(mutex)(&gmem_pool.lock);

	if (!(gmem_pool.holders & BIT(holder)))
		return -EINVAL;

	WRITE_ONCE(gmem_pool.holders, gmem_pool.holders & ~BIT(holder));
	if (!gmem_pool.holders && header)
		set_state(GMEM_PERSIST_STATE_OPEN);
	gmem_clean_kick();
	return 0;
}

/**
 * gmem_handover_thaw - let go of the pool
 * @holder: on whose behalf
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0, or -EINVAL (@holder does not hold it).
 */
int gmem_handover_thaw(enum gmem_holder holder)
{
	const u64 start = ktime_get_ns();
	int err = thaw(holder);

	trace_gmem_thaw(holder, ktime_get_ns() - start, err);
	return err;
}

/**
 * gmem_persist_kexec_loaded - say so if a kernel to be booted would lose objects
 * @takes_kho: its image carries KHO data
 *
 * Loading it is not refused: the next image may be another one. If it is not, the
 * freeze is.
 *
 * Context: process context, in the system call that loaded the image; takes
 * gmem_pool.lock.
 */
void gmem_persist_kexec_loaded(bool takes_kho)
{
	guard(mutex)(&gmem_pool.lock);

	if (gmem_pool.nr_named && !(takes_kho && header))
		pr_warn("the kernel that was loaded for kexec gets no handover: booting it loses %u objects\n",
			gmem_pool.nr_named);
}

static int reboot_notify(struct notifier_block *nb, unsigned long action,
			 void *arg)
{
	if (action == SYS_RESTART && kexec_in_progress)
		gmem_handover_freeze(GMEM_HOLDER_REBOOT);
	return NOTIFY_DONE;
}

/* After all others: they may still close files. */
static struct notifier_block reboot_nb = {
	.notifier_call = reboot_notify,
	.priority = INT_MIN,
};

/* Find the tree of the incoming record, or say why there is none. */
static const char * __init find_record(struct gmem_persist_header **hdr, void **fdt)
{
	struct gmem_persist_header *h;
	phys_addr_t phys;
	size_t size;

	if (kho_retrieve_subtree(GMEM_PERSIST_KHO_SUBTREE, &phys, &size))
		return "none came from the kernel before this one";
	if (size < sizeof(*h))
		return "its header is too short";

	h = phys_to_virt(phys);
	*hdr = h;
	if (h->magic != GMEM_PERSIST_MAGIC)
		return "its header is something else";
	if (h->crc != gmem_record_header_crc(h))
		return "the checksum of its header is wrong";
	if (h->state != GMEM_PERSIST_STATE_SEALED)
		return "it is not sealed";

	/* Only now can the list of pages be believed. */
	*fdt = kho_restore_vmalloc(&h->fdt);
	if (!*fdt)
		return "its pages are lost";
	if (h->fdt_size > (u64)h->fdt.total_pages << PAGE_SHIFT)
		return "its length is wrong";
	if (h->fdt_crc != gmem_record_crc(*fdt, h->fdt_size))
		return "its checksum is wrong";
	return NULL;
}

static int __init quarantine(const struct gmem_extents *ranges)
{
	unsigned int i;
	int err = gmem_extents_reserve(&gmem_pool.quarantined, ranges->nr);

	for (i = 0; !err && i < ranges->nr; i++)
		err = gmem_extents_add(&gmem_pool.quarantined,
				       ranges->r[i].base, ranges->r[i].size);
	return err;
}

/* Take the sets over; they tile the pool together with the objects. */
static int __init restore_sets(const struct gmem_record *rec)
{
	struct gmem_extents quarantined = {};
	unsigned int i, nr = 0;
	int err;

	/* Room for every object that cannot be restored: see restore_objects(). */
	for (i = 0; i < rec->nr_objects; i++)
		nr += rec->objects[i].ranges.nr;
	err = copy_set(&quarantined, &rec->quarantined, nr);
	if (err)
		return err;
	kvfree(gmem_pool.quarantined.r);
	gmem_pool.quarantined = quarantined;

	for (i = 0; i < rec->clean.nr; i++) {
		const struct gmem_range *r = &rec->clean.r[i];

		gmem_arena_set_clean(&gmem_pool.arena, r->base, r->size);
		WARN_ON(gmem_arena_free(&gmem_pool.arena, r->base, r->size, false));
	}
	for (i = 0; i < rec->dirty.nr; i++)
		WARN_ON(gmem_arena_free(&gmem_pool.arena, rec->dirty.r[i].base,
					rec->dirty.r[i].size, true));
	return 0;
}

/* NULL, or why there is no object */
static const char * __init restore_object(const struct gmem_record_object *rec,
					  struct gmem_object *parent,
					  struct gmem_object **obj)
{
	const u64 start = ktime_get_ns();
	const char *bad = rec->bad;
	int err = -EINVAL;

	if (!bad) {
		/* Its directory could not be restored: that is the one reason. */
		*obj = rec->parent && !parent ? ERR_PTR(-ENOMEM) :
						gmem_object_restore(rec, parent);
		err = PTR_ERR_OR_ZERO(*obj);
	}
	trace_gmem_restore(rec->name ?: "", rec->meta.size, rec->meta.granule,
			   rec->meta.epoch, ktime_get_ns() - start, err);
	if (bad || !err)
		return bad;
	*obj = NULL;
	/* restore_sets() has made room for it. */
	WARN_ON(quarantine(&rec->ranges));
	return "no memory to restore it";
}

static void __init restore_objects(const struct gmem_record *rec,
				   struct gmem_object **objs)
{
	unsigned int i, good = 0;

	for (i = 0; i < rec->nr_objects; i++) {
		const struct gmem_record_object *obj = &rec->objects[i];
		struct gmem_object *parent = obj->parent ?
					     objs[obj->parent - rec->objects] : NULL;
		const char *bad = restore_object(obj, parent, &objs[i]);

		if (bad)
			pr_err("object %s: %s: its memory is quarantined\n",
			       obj->name ?: "(without name)", bad);
		else
			good++;
	}
	if (rec->unnamed_bytes)
		pr_err("%llu MiB are named by nothing in the record and are quarantined\n",
		       rec->unnamed_bytes >> 20);
	if (rec->bad_free)
		pr_err("%u ranges of free memory are malformed or disputed and are quarantined\n",
		       rec->bad_free);
	pr_info("%u objects taken over, generation %llu\n", good,
		gmem_pool.generation);
}

static void __init restore(void)
{
	struct gmem_persist_header *hdr = NULL;
	struct gmem_object **objs = NULL;
	struct gmem_record rec = {};
	void *fdt = NULL;
	const char *bad;

	bad = find_record(&hdr, &fdt);
	bad = bad ?: gmem_record_read(fdt, hdr->fdt_size, &gmem_pool.ranges, &rec);
	if (!bad) {
		gmem_pool.generation = hdr->generation + 1;
		objs = kvcalloc(rec.nr_objects + 1, sizeof(*objs), GFP_KERNEL);
		if (!objs || gmem_extents_reserve(&gmem_pool.retired, rec.retired.nr +
						  GMEM_RECORD_MAX_BAD_PAGES) ||
		    restore_sets(&rec)) {
			bad = "no memory to read it";
		} else {
			gmem_poison_restore(&rec);
			restore_objects(&rec, objs);
			gmem_nodes_check(&rec);
		}
	}
	if (bad)
		pr_err("record refused: %s: all of the pool is quarantined\n", bad);
	if (gmem_pool.quarantined.nr)
		pr_warn("%llu MiB are quarantined; the operator may release them\n",
			gmem_extents_bytes(&gmem_pool.quarantined) >> 20);

	kvfree(objs);
	gmem_record_free(&rec);
	/* The header, one page, stays as long as KHO shows it in debugfs. */
	if (gmem_pool.quarantined.nr && fdt)
		refused_blob = (struct blob){
			.fdt = fdt,
			/* The length may be what was wrong. */
			.size = min(hdr->fdt_size,
				    (u64)hdr->fdt.total_pages << PAGE_SHIFT),
		};
	else
		vfree(fdt);
}

/* Put the header page, and the first record, where the next kernel finds them. */
static int __init publish(void)
{
	int err;

	header = kho_alloc_preserve(PAGE_SIZE);
	if (IS_ERR(header)) {
		err = PTR_ERR(header);
		header = NULL;
		return err;
	}
	header->magic = GMEM_PERSIST_MAGIC;

	mutex_lock(&gmem_pool.lock);
	err = gmem_handover_update();
	mutex_unlock(&gmem_pool.lock);
	err = err ?: kho_add_subtree(GMEM_PERSIST_KHO_SUBTREE, header, PAGE_SIZE);
	if (err) {
		free_blob(&current_blob);
		kho_unpreserve_free(header);
		header = NULL;
	}
	return err;
}

/**
 * gmem_handover_init - take the pool over and prepare to hand it on
 *
 * Context: boot, after KHO is ready. All of a pool that an earlier kernel left is
 * quarantined so far.
 */
void __init gmem_handover_init(void)
{
	int err = -EOPNOTSUPP;

	gmem_nodes_init();
	if (gmem_pool.quarantined.nr)
		restore();

	if (kho_is_enabled())
		err = publish();
	if (err)
		pr_warn("KHO is not available (%pe): objects will not survive a kexec\n",
			ERR_PTR(err));

	gmem_debugfs_init(&current_blob, &refused_blob);
	/* Also then: creation must stop, and somebody must say what is lost. */
	register_reboot_notifier(&reboot_nb);
}
