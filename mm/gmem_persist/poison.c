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
 *   to anybody again: user space gets SIGBUS, a guest's access ends in the VMM, a device's
 *   in a fault of its IOMMU. Leaves
 *   around it become smaller, so that all other pages can be used as before. The processes
 *   that map the page are told by memory_failure_tell().
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
 *
 * memory_failure() lets one error after the other come here, so nothing here waits for who
 * uses an object: the page is noted, in the record as well, and a work item of the object takes
 * it away. That waits for the locks that the object's users hold, be it for long. A process
 * that ran into the page, or reported it, does not go back to user space before the
 * work is done: it would run into it again.
 */
#include "internal.h"

#include <linux/fs.h>
#include <linux/memory-failure.h>
#include <linux/mm.h>
#include <linux/pageless.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/task_work.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

/* Who looks for an owner holds gmem_pool.lock for so many ranges, or objects, at a time. */
#define GMEM_POISON_BATCH	1024

static struct pfn_address_space gmem_poison_space[GMEM_MAX_EXTENTS];

/**
 * struct gmem_poison_search - a search for whose memory it is
 * @addr: which memory
 * @id: it goes on with the object of this number,
 * @i: and this range of it
 * @over: it has come to its end
 */
struct gmem_poison_search {
	u64 addr;
	unsigned long id;
	unsigned int i;
	bool over;
};

/* Look for the memory in some of an object's ranges: the offset, or false. */
static bool gmem_poison_search_object(struct gmem_poison_search *s, unsigned int *left,
				      const struct gmem_object *obj, pgoff_t *index)
{
	/* One that is being discarded has not got it any more. */
	const unsigned int nr = obj->state == GMEM_DISCARDING ? 0 : obj->ranges.nr;

	for (; s->i < nr && *left; s->i++, --*left) {
		const struct gmem_range *r = &obj->ranges.r[s->i];

		if (s->addr < r->base || s->addr >= gmem_range_end(r))
			continue;
		*index = (obj->start[s->i] + s->addr - r->base) >> PAGE_SHIFT;
		return true;
	}
	if (s->i >= nr) {
		s->i = 0;
		s->id++;
	}
	return false;
}

/* The owner, with a reference, or NULL: it is none of those that were looked at. */
static struct gmem_object *gmem_poison_search_on(struct gmem_poison_search *s, pgoff_t *index)
{
	const unsigned long before = s->id;
	unsigned int left = GMEM_POISON_BATCH;
	struct gmem_object *obj;

	guard(spinlock)(&gmem_pool.lock);

	for (; left; left -= !!left) {
		obj = xa_find(&gmem_pool.objects, &s->id, ULONG_MAX, XA_PRESENT);
		s->over = !obj;
		if (s->over)
			return NULL;
		/* The one that it came to has gone meanwhile. */
		if (s->id != before && left == GMEM_POISON_BATCH)
			s->i = 0;
		if (gmem_poison_search_object(s, &left, obj, index)) {
			ihold(obj->inode);
			return obj;
		}
	}
	return NULL;
}

/*
 * The page has been noted: an object that gets this memory from now on finds that out, see
 * gmem_backing_check(). So whoever has it is there all the time.
 */
static struct gmem_object *gmem_poison_find_owner(u64 addr, pgoff_t *index)
{
	struct gmem_poison_search s = { .addr = addr };
	struct gmem_object *obj;

	do {
		obj = gmem_poison_search_on(&s, index);
	} while (!obj && !s.over);
	return obj;
}

/* Note the page: 0, -EEXIST (that has been done before), -ENOSPC (there are too many). */
static int gmem_poison_note(u64 addr)
{
	struct gmem_ranges *bad = &gmem_pool.bad_pages;
	int err;

	guard(spinlock)(&gmem_pool.lock);

	if (gmem_ranges_contain(bad, addr, PAGE_SIZE))
		return -EEXIST;
	if (gmem_ranges_bytes(bad) == GMEM_PERSIST_MAX_BAD_PAGES * PAGE_SIZE)
		return -ENOSPC;
	err = gmem_ranges_add(bad, addr, PAGE_SIZE);
	if (WARN_ON(err))
		return err;
	WRITE_ONCE(gmem_pool.errors, gmem_pool.errors + 1);
	gmem_tables_write_bad();
	gmem_badpages_retire(ALIGN_DOWN(addr, SZ_2M), SZ_2M);
	return 0;
}

static void gmem_poison_report(u64 addr, const struct gmem_object *obj, pgoff_t index)
{
	char name[GMEM_NAME_SIZE] = "(without name)";
	bool quarantined;

	/* A console may be slow: nobody waits for it. */
	scoped_guard(spinlock, &gmem_pool.lock) {
		quarantined = gmem_ranges_contain(&gmem_pool.quarantined, addr, PAGE_SIZE);
		if (obj && gmem_object_named(obj))
			strscpy(name, obj->ser->name);
	}
	if (obj)
		pr_err_ratelimited("memory error at %#llx: object %s, offset %#llx: no access to this page any more\n",
				   addr, name, (u64)index << PAGE_SHIFT);
	else if (quarantined)
		pr_err_ratelimited("memory error at %#llx: quarantined memory: it will not be released with the rest\n",
				   addr);
	else
		pr_err_ratelimited("memory error at %#llx: free memory: its 2 MiB are not given out any more\n",
				   addr);
}

/*
 * Taking a page away from an object's users
 */

/* For what is asked of an object to be done */
static DECLARE_WAIT_QUEUE_HEAD(gmem_poison_wait);

static void gmem_poison_take_away(struct gmem_object *obj, pgoff_t index)
{
	struct address_space *mapping = obj->inode->i_mapping;
	struct gmem_consumer *consumer;
	pgoff_t start, end;
	int order;

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
}

/* Who begins to watch after the page has been taken away finds that it is bad. */
static void gmem_poison_revoke(struct gmem_object *obj, pgoff_t index)
{
	struct pageless_watch *watch;

	guard(mutex)(&obj->watches_lock);
	list_for_each_entry(watch, &obj->watches, node)
		watch->revoke(watch, (u64)index << PAGE_SHIFT, PAGE_SIZE);
}

/* Take one page away from everybody who maps it, for good: its address, or false. */
static bool gmem_poison_take_one(struct gmem_object *obj, u64 *addr)
{
	struct address_space *mapping = obj->inode->i_mapping;
	pgoff_t index;
	bool found;

	filemap_invalidate_lock(mapping);
	/* Data may have been truncated meanwhile. */
	found = gmem_badpages_next_new(obj, &obj->ranges, addr, &index);
	if (found)
		gmem_poison_take_away(obj, index);
	filemap_invalidate_unlock(mapping);
	if (found)
		gmem_poison_revoke(obj, index);
	return found;
}

/* It may wait for the object's users, and nobody but them waits for it. */
static void gmem_poison_work(struct work_struct *work)
{
	struct gmem_object *obj = container_of(work, struct gmem_object, poison_work);
	u32 asked;
	u64 addr;

	/* What is asked for from now on makes it run again. */
	scoped_guard(spinlock, &gmem_pool.lock)
		asked = obj->poison_asked;
	/* Everybody is told once. All of the spaces are alike. */
	while (gmem_poison_take_one(obj, &addr))
		memory_failure_tell(&gmem_poison_space[0], obj->inode->i_mapping,
				    PHYS_PFN(addr));
	WRITE_ONCE(obj->poison_done, asked);
	wake_up_all(&gmem_poison_wait);
	iput(obj->inode);
}

/* Have bad pages of an object taken away; returns what gmem_poison_is_done() is to be asked. */
static u32 gmem_poison_ask(struct gmem_object *obj)
{
	u32 asked;

	scoped_guard(spinlock, &gmem_pool.lock)
		asked = ++obj->poison_asked;
	ihold(obj->inode);
	if (!queue_work(system_dfl_long_wq, &obj->poison_work))
		iput(obj->inode);
	return asked;
}

/**
 * gmem_poison_look_again - errors may have come while nobody knew of an object
 * @obj: the object, which is known now
 *
 * Context: process context; takes gmem_pool.lock.
 */
void gmem_poison_look_again(struct gmem_object *obj)
{
	if (READ_ONCE(gmem_pool.errors))
		gmem_poison_ask(obj);
}

static bool gmem_poison_is_done(const struct gmem_object *obj, u32 asked)
{
	return (s32)(READ_ONCE(obj->poison_done) - asked) >= 0;
}

/**
 * struct gmem_poison_stay - a process that must not go back to user space yet
 * @work: on its way there
 * @obj: the object, with a reference
 * @asked: what is to be done to it
 */
struct gmem_poison_stay {
	struct callback_head work;
	struct gmem_object *obj;
	u32 asked;
};

static void gmem_poison_do_stay(struct callback_head *work)
{
	struct gmem_poison_stay *stay = container_of(work, struct gmem_poison_stay, work);

	wait_event_killable(gmem_poison_wait, gmem_poison_is_done(stay->obj, stay->asked));
	iput(stay->obj->inode);
	kfree(stay);
}

/* By now no lock may be waited for; on the way back to user space there is none. */
static void gmem_poison_let_stay(struct gmem_object *obj, u32 asked)
{
	struct gmem_poison_stay *stay;

	if (current->flags & PF_KTHREAD)
		return;
	/* Whoever does not stay runs into the page until it is away. */
	stay = kmalloc_obj(*stay, GFP_NOWAIT);
	if (!stay)
		return;
	stay->obj = obj;
	stay->asked = asked;
	ihold(obj->inode);
	init_task_work(&stay->work, gmem_poison_do_stay);
	if (task_work_add(current, &stay->work, TWA_RESUME)) {
		iput(obj->inode);
		kfree(stay);
	}
}

/* See struct pfn_address_space. */
static int gmem_poison_failure(struct pfn_address_space *space, unsigned long pfn, int flags)
{
	const u64 addr = PFN_PHYS(pfn);
	struct gmem_object *obj;
	pgoff_t index;
	int err;

	err = gmem_poison_note(addr);
	if (err && err != -EEXIST) {
		pr_err_ratelimited("memory error at %#llx: this is more than %u bad pages: it will be forgotten. Take the host out of service\n",
				   addr, GMEM_PERSIST_MAX_BAD_PAGES);
		return err;
	}
	obj = gmem_poison_find_owner(addr, &index);
	if (!err)
		gmem_poison_report(addr, obj, index);
	if (obj) {
		gmem_poison_let_stay(obj, gmem_poison_ask(obj));
		iput(obj->inode);
	}
	return 0;
}

/**
 * gmem_poison_init_object - let bad pages of an object be taken away
 * @obj: the object, which nobody knows yet
 */
void gmem_poison_init_object(struct gmem_object *obj)
{
	xa_init(&obj->bad_pages);
	INIT_WORK(&obj->poison_work, gmem_poison_work);
}

/**
 * gmem_poison_watch - ask to be told of memory errors
 * @pgoff: tells where in its file a mapping has a page, see struct pfn_address_space
 *
 * Context: process context; the pool has been taken over.
 */
void gmem_poison_watch(int (*pgoff)(struct vm_area_struct *vma, unsigned long pfn, pgoff_t *index))
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < gmem_pool.ranges.nr; i++) {
		const struct gmem_range *r = &gmem_pool.ranges.r[i];

		gmem_poison_space[i] = (struct pfn_address_space) {
			.node.start = PHYS_PFN(r->base),
			.node.last = PHYS_PFN(gmem_range_end(r)) - 1,
			.pfn_to_vma_pgoff = pgoff,
			.failure = gmem_poison_failure,
		};
		err = register_pfn_address_space(&gmem_poison_space[i]);
	}
	if (err)
		pr_warn("memory errors will not be handled (%pe)\n", ERR_PTR(err));
}
