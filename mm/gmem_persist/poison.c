// SPDX-License-Identifier: GPL-2.0
/*
 * Memory errors in the pool.
 */

/**
 * DOC: memory errors
 *
 * memory_failure() knows pages by their struct page. For the pool it asks here first,
 * and what happens depends on whose the page is:
 *
 * * *An object's.* The page is taken away from everybody who maps it, and is not given
 *   to anybody again: user space gets SIGBUS, a guest's access ends in the VMM. Leaves
 *   around it become smaller, so that all other pages can be used as before. Finding
 *   the processes that map the page, and telling them, stays with memory_failure().
 * * *Nobody's.* The 2 MiB granule that it is in is *retired*: it leaves free memory for
 *   good. The same happens when an object with a bad page is freed, and when such a
 *   page is released from quarantine.
 *
 * The list of bad pages is in the record, and which granules are retired follows from it,
 * so all of this holds in the next kernel, too. In a frozen pool a granule is retired by the
 * thaw. A page never becomes good again before the machine is reset.
 *
 * Nothing here fails: there is room for %GMEM_PERSIST_MAX_BAD_PAGES pages from the start.
 * A host with more of them is one that must not run guests.
 */
#include "internal.h"

#include <linux/fs.h>
#include <linux/kvm_types.h>
#include <linux/memory-failure.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include <linux/xarray.h>

static struct pfn_address_space gmem_poison_space[GMEM_MAX_EXTENTS];

/* Move *@addr on to the next bad page before @end, if there is one. */
static bool gmem_poison_next(u64 *addr, u64 end)
{
	struct gmem_range part;

	if (*addr >= end || !gmem_ranges_overlap(&gmem_pool.bad_pages, *addr,
						 end - *addr, &part))
		return false;
	*addr = part.base;
	return true;
}

static void gmem_poison_retire_granule(u64 base)
{
	/* Then it is told by the page alone, and the next kernel does the same. */
	if (gmem_pool.holders) {
		gmem_pool.retire_later = true;
		return;
	}
	/* It may be retired already, or quarantined, or an object's. */
	if (!gmem_arena_take(&gmem_pool.arena, base, SZ_2M))
		WARN_ON(gmem_ranges_add(&gmem_pool.retired, base, SZ_2M));
}

/**
 * gmem_poison_retire - keep bad memory from being given out
 * @base: first byte of memory that has just become free, aligned to 2 MiB
 * @size: its length in bytes, a multiple of 2 MiB
 *
 * Every granule with a bad page in it leaves the free memory; in a frozen pool, with the
 * thaw. The next kernel does the same with what it finds in the list of bad pages.
 *
 * Context: gmem_pool.lock is held.
 */
void gmem_poison_retire(u64 base, u64 size)
{
	u64 addr;

	lockdep_assert_held(&gmem_pool.lock);

	for (addr = base; gmem_poison_next(&addr, base + size); addr += SZ_2M) {
		addr = ALIGN_DOWN(addr, SZ_2M);
		gmem_poison_retire_granule(addr);
	}
}

/**
 * gmem_poison_retire_all - keep all bad memory from being given out
 *
 * Context: gmem_pool.lock is held; the pool is not frozen.
 */
void gmem_poison_retire_all(void)
{
	const struct gmem_ranges *bad = &gmem_pool.bad_pages;
	unsigned int i;

	gmem_pool.retire_later = false;
	for (i = 0; i < bad->nr; i++)
		gmem_poison_retire(bad->r[i].base, bad->r[i].size);
}

/**
 * gmem_poison_hit - is there a bad page
 * @ranges: in this list of ranges
 *
 * Context: gmem_pool.lock is held.
 * Return: true if so.
 */
bool gmem_poison_hit(const struct gmem_ranges *ranges)
{
	unsigned int i;

	lockdep_assert_held(&gmem_pool.lock);

	for (i = 0; i < ranges->nr; i++) {
		u64 addr = ranges->r[i].base;

		if (gmem_poison_next(&addr, gmem_range_end(&ranges->r[i])))
			return true;
	}
	return false;
}

/**
 * gmem_object_is_bad - is a page of an object one that nobody may access
 * @obj: the object
 * @index: number of the page in the object
 *
 * Context: any; the caller holds a view. Whoever makes a mapping must ask after he has
 * begun to watch for invalidations of the page: there is one when the answer changes.
 * Return: true if the page has a memory error.
 */
bool gmem_object_is_bad(struct gmem_object *obj, pgoff_t index)
{
	return xa_load(&obj->bad_pages, index);
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_is_bad);

/**
 * gmem_poison_good_run - how far a part of an object is good
 * @obj: the object
 * @offset: where the part begins, in bytes, aligned to pages
 * @size: its length in bytes, aligned to pages
 *
 * Context: any; without the invalidate lock the answer may change.
 * Return: the number of bytes before the first bad page, @size if there is none.
 */
u64 gmem_poison_good_run(struct gmem_object *obj, u64 offset, u64 size)
{
	unsigned long first = offset >> PAGE_SHIFT;

	if (!xa_find(&obj->bad_pages, &first, ((offset + size) >> PAGE_SHIFT) - 1,
		     XA_PRESENT))
		return size;
	return ((u64)first << PAGE_SHIFT) - offset;
}

/* Which page of a list of ranges is at an address? False if none is. */
static bool gmem_poison_index(const struct gmem_ranges *list, u64 addr, pgoff_t *index)
{
	u64 offset = 0;
	unsigned int i;

	for (i = 0; i < list->nr; i++) {
		const struct gmem_range *r = &list->r[i];

		if (addr >= r->base && addr < gmem_range_end(r)) {
			*index = (offset + addr - r->base) >> PAGE_SHIFT;
			return true;
		}
		offset += r->size;
	}
	return false;
}

/**
 * gmem_poison_find - which page of an object is at an address
 * @obj: the object
 * @addr: the physical address
 * @index: the number of the page in the object
 *
 * Return: true if the object has this memory.
 */
bool gmem_poison_find(const struct gmem_object *obj, u64 addr, pgoff_t *index)
{
	return gmem_poison_index(&obj->ranges, addr, index);
}

/*
 * The object that has @addr, with a reference. One that is being discarded has not got
 * it any more.
 */
static struct gmem_object *gmem_poison_find_owner_from(u64 addr, u32 id, pgoff_t *index)
{
	struct gmem_object *obj;
	unsigned long i;

	guard(spinlock)(&gmem_pool.lock);

	xa_for_each_range(&gmem_pool.objects, i, obj, id, id + GMEM_OBJECT_BATCH - 1) {
		if (obj->state == GMEM_DISCARDING ||
		    !gmem_poison_find(obj, addr, index))
			continue;
		ihold(obj->inode);
		return obj;
	}
	return NULL;
}

/*
 * The page has been noted: an object that gets this memory from now on finds that out, see
 * gmem_backing_check().
 */
static struct gmem_object *gmem_poison_find_owner(u64 addr, pgoff_t *index)
{
	struct gmem_object *obj;
	u32 id;

	for (id = 0; id < gmem_slot_count(); id += GMEM_OBJECT_BATCH) {
		obj = gmem_poison_find_owner_from(addr, id, index);
		if (obj)
			return obj;
	}
	return NULL;
}

/* Note the page; -EEXIST if that has been done before. */
static int gmem_poison_note(u64 addr)
{
	struct gmem_ranges *bad = &gmem_pool.bad_pages;

	if (gmem_ranges_contain(bad, addr, PAGE_SIZE))
		return -EEXIST;
	if (gmem_ranges_bytes(bad) == GMEM_PERSIST_MAX_BAD_PAGES * PAGE_SIZE) {
		pr_err_ratelimited("memory error at %#llx: this is more than %u bad pages: it will be forgotten. Take the host out of service\n",
				   addr, GMEM_PERSIST_MAX_BAD_PAGES);
		return -ENOSPC;
	}
	return gmem_ranges_add(bad, addr, PAGE_SIZE);
}

static void gmem_poison_report(u64 addr, const struct gmem_object *obj, pgoff_t index)
{
	guard(spinlock)(&gmem_pool.lock);

	if (obj)
		pr_err_ratelimited("memory error at %#llx: object %s, offset %#llx: no access to this page any more\n",
				   addr, gmem_object_named(obj) ? obj->ser->name : "(without name)",
				   (u64)index << PAGE_SHIFT);
	else if (gmem_ranges_contain(&gmem_pool.quarantined, addr, PAGE_SIZE))
		pr_err_ratelimited("memory error at %#llx: quarantined memory: it will not be released with the rest\n",
				   addr);
	else
		pr_err_ratelimited("memory error at %#llx: free memory: its 2 MiB are not given out any more\n",
				   addr);
}

/* Take the page away from everybody who maps it, for good. */
static void gmem_poison_take_away(struct gmem_object *obj, u64 addr)
{
	struct address_space *mapping = obj->inode->i_mapping;
	struct gmem_consumer *consumer;
	pgoff_t index, start, end;
	int order;

	filemap_invalidate_lock(mapping);
	/* Data may have been truncated meanwhile. */
	if (!gmem_poison_find(obj, addr, &index)) {
		filemap_invalidate_unlock(mapping);
		return;
	}

	/* All of the leaf, as it may be mapped until now. */
	gmem_object_pfn(obj, index, &order);
	start = ALIGN_DOWN(index, 1UL << order);
	end = start + (1UL << order);

	list_for_each_entry(consumer, &obj->consumers, node)
		consumer->ops->invalidate_start(consumer, start, end);
	/* Entries of an xarray are no larger than a page. */
	xa_store(&obj->bad_pages, index, xa_mk_value(1), GFP_KERNEL | __GFP_NOFAIL);
	unmap_mapping_range(mapping, (loff_t)index << PAGE_SHIFT, PAGE_SIZE, 1);
	list_for_each_entry(consumer, &obj->consumers, node)
		consumer->ops->invalidate_end(consumer, start, end);

	filemap_invalidate_unlock(mapping);
}

/* See struct pfn_address_space. */
static struct address_space *gmem_poison_failure(struct pfn_address_space *space,
						 unsigned long pfn, int flags)
{
	struct address_space *mapping = NULL;
	const u64 addr = PFN_PHYS(pfn);
	struct gmem_object *obj;
	bool news, live;
	pgoff_t index;

	scoped_guard(spinlock, &gmem_pool.lock) {
		news = gmem_poison_note(addr) != -EEXIST;
		if (news) {
			gmem_tables_write_bad();
			gmem_poison_retire(ALIGN_DOWN(addr, SZ_2M), SZ_2M);
		}
	}
	obj = gmem_poison_find_owner(addr, &index);
	live = obj && obj->state == GMEM_LIVE;
	if (news)
		gmem_poison_report(addr, obj, index);
	if (live && news)
		gmem_poison_take_away(obj, addr);
	/* Everybody is told once, and again if somebody has just run into it. */
	if (live && (news || flags & MF_ACTION_REQUIRED)) {
		ihold(obj->inode);
		mapping = obj->inode->i_mapping;
	}
	if (obj)
		iput(obj->inode);
	return mapping;
}

/**
 * gmem_poison_init - make room for lists of bad memory
 *
 * Return: 0 or -ENOMEM.
 */
int gmem_poison_init(void)
{
	int err = gmem_ranges_reserve(&gmem_pool.bad_pages, GMEM_PERSIST_MAX_BAD_PAGES);

	if (err)
		return err;
	return gmem_ranges_reserve(&gmem_pool.retired, GMEM_PERSIST_MAX_BAD_PAGES);
}

/**
 * gmem_poison_watch - ask to be told of memory errors
 *
 * Context: process context; the pool has been taken over.
 */
void gmem_poison_watch(void)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < gmem_pool.ranges.nr; i++) {
		const struct gmem_range *r = &gmem_pool.ranges.r[i];

		gmem_poison_space[i] = (struct pfn_address_space) {
			.node.start = PHYS_PFN(r->base),
			.node.last = PHYS_PFN(gmem_range_end(r)) - 1,
			.pfn_to_vma_pgoff = gmem_vma_pgoff,
			.failure = gmem_poison_failure,
		};
		err = register_pfn_address_space(&gmem_poison_space[i]);
	}
	if (err)
		pr_warn("memory errors will not be handled (%pe)\n", ERR_PTR(err));
}

/**
 * gmem_poison_restore - take over what the last kernel knew
 *
 * Context: process context; the list of bad pages is there, and free memory is known.
 */
void gmem_poison_restore(void)
{
	const struct gmem_ranges *bad = &gmem_pool.bad_pages;

	guard(spinlock)(&gmem_pool.lock);

	gmem_poison_retire_all();
	if (bad->nr)
		pr_warn("%llu pages have memory errors, %llu MiB are not given out because of them\n",
			gmem_ranges_bytes(bad) >> PAGE_SHIFT,
			gmem_ranges_bytes(&gmem_pool.retired) >> 20);
}

/* The first bad page of a list of ranges that is not marked yet; gmem_pool.lock is held. */
static bool gmem_poison_next_unmarked(struct xarray *pages, const struct gmem_ranges *list,
				      pgoff_t *index)
{
	unsigned int i;
	u64 addr;

	lockdep_assert_held(&gmem_pool.lock);

	for (i = 0; i < list->nr && gmem_pool.bad_pages.nr; i++) {
		const struct gmem_range *r = &list->r[i];

		for (addr = r->base; gmem_poison_next(&addr, gmem_range_end(r));
		     addr += PAGE_SIZE) {
			gmem_poison_index(list, addr, index);
			if (!xa_load(pages, *index))
				return true;
		}
	}
	return false;
}

/**
 * gmem_poison_mark - mark the bad pages of an object that comes with contents
 * @obj: the object, which nobody can use yet
 * @list: its memory, which need not be its yet
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0, and unless gmem_poison_is_marked() finds another one, all are marked; or -ENOMEM.
 */
int gmem_poison_mark(struct gmem_object *obj, const struct gmem_ranges *list)
{
	bool more = true;
	pgoff_t index;
	int err = 0;

	while (!err) {
		scoped_guard(spinlock, &gmem_pool.lock)
			more = gmem_poison_next_unmarked(&obj->bad_pages, list, &index);
		if (!more)
			break;
		err = xa_err(xa_store(&obj->bad_pages, index, xa_mk_value(1), GFP_KERNEL));
	}
	return err;
}

/**
 * gmem_poison_is_marked - are all bad pages of an object marked
 * @obj: the object
 * @list: its memory
 *
 * If so, whoever meets another one from now on finds the object, if it is shown before
 * gmem_pool.lock is let go of.
 *
 * Context: gmem_pool.lock is held.
 * Return: true if so.
 */
bool gmem_poison_is_marked(struct gmem_object *obj, const struct gmem_ranges *list)
{
	pgoff_t index;

	return !gmem_poison_next_unmarked(&obj->bad_pages, list, &index);
}
