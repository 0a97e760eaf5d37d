// SPDX-License-Identifier: GPL-2.0
/*
 * Taking memory from the pool, and giving it back.
 */

/**
 * DOC: taking memory
 *
 * There is one way by which anybody gets memory, whatever it is for:
 *
 * 1. gmem_backing_take() decides how much comes from which node, charges that, takes it, and
 *    clears what is not known to be zero. From the moment it is taken it is not free in the
 *    record, and nobody has written to it before.
 * 2. gmem_backing_make_room() makes room for the list of ranges in the record.
 * 3. gmem_backing_ready() looks whether nothing is wrong, and has it kept.
 * 4. gmem_backing_attach() gives it to an object, under gmem_pool.lock, if
 *    gmem_backing_check() says that this is still so.
 *
 * Nothing but 4. is seen by anybody, and up to there gmem_backing_give_back() undoes all. A
 * kernel that is replaced in between leaves memory that is neither free nor kept, and the
 * next one takes it for dirty.
 */
#include "internal.h"

#include <linux/io.h>
#include <linux/kho/abi/gmem_persist.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/topology.h>

/* How often somebody else may be faster with the memory that was chosen */
#define MAX_TRIES	16

/* So much, in so many pieces, is taken away from an object at once. */
#define GMEM_CUT_RANGES	16
#define GMEM_CUT_SIZE	((u64)SZ_1G * 64)

static_assert(sizeof(struct gmem_range) == sizeof(struct gmem_range_ser));
static_assert(offsetof(struct gmem_range, base) == offsetof(struct gmem_range_ser, base));
static_assert(offsetof(struct gmem_range, size) == offsetof(struct gmem_range_ser, size));

/**
 * struct gmem_plan - how much to take from where
 * @nr: how many nodes
 * @node: in the order in which they are used
 */
struct gmem_plan {
	unsigned int nr;
	struct {
		int nid;
		u64 size;
	} node[];
};

/* The nearest node to the caller's of those in @nodes, which loses it. */
static int gmem_backing_next_node(nodemask_t *nodes)
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

/* Which nodes may give memory: those in @allowed, or all if that is NULL */
static void gmem_backing_nodes(const nodemask_t *allowed, nodemask_t *nodes)
{
	const struct gmem_arena *arena = &gmem_pool.arena;
	unsigned int i;

	nodes_clear(*nodes);
	for (i = 0; i < arena->nr_nodes; i++)
		if (arena->nodes[i].nid != NUMA_NO_NODE)
			node_set(arena->nodes[i].nid, *nodes);
	if (allowed)
		nodes_and(*nodes, *nodes, *allowed);
}

/* Choose nodes; their memory is still there for anybody. */
static int gmem_backing_plan(struct gmem_plan *plan, u64 size, u64 granule,
			     const nodemask_t *allowed)
{
	nodemask_t nodes;
	int nid;

	gmem_backing_nodes(allowed, &nodes);
	plan->nr = 0;

	guard(spinlock)(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	/* Memory of which nobody knows the node comes last: then all else is used. */
	do {
		u64 part;

		nid = gmem_backing_next_node(&nodes);
		if (nid == NUMA_NO_NODE && allowed)
			break;
		part = min(size, gmem_arena_capacity(&gmem_pool.arena, nid, granule));
		if (!part)
			continue;
		plan->node[plan->nr].nid = nid;
		plan->node[plan->nr++].size = part;
		size -= part;
	} while (size && nid != NUMA_NO_NODE);
	return size ? -ENOSPC : 0;
}

static int gmem_backing_charge(struct gmem_backing *b, const struct gmem_plan *plan)
{
	unsigned int i;
	int err;

	b->charges = gmem_charge_new();
	if (!b->charges)
		return -ENOMEM;
	for (i = 0; i < plan->nr; i++) {
		err = gmem_charge(b->charges, plan->node[i].nid, plan->node[i].size);
		if (err)
			return err;
	}
	return 0;
}

/* Take what was chosen: -EAGAIN if somebody else has some of it by now. */
static int gmem_backing_take_plan(struct gmem_backing *b, const struct gmem_plan *plan,
				  u64 granule)
{
	struct gmem_arena *arena = &gmem_pool.arena;
	unsigned int i;
	u64 taken;

	guard(spinlock)(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	for (i = 0; i < plan->nr; i++)
		if (gmem_arena_capacity(arena, plan->node[i].nid, granule) < plan->node[i].size)
			return -EAGAIN;
	for (i = 0; i < plan->nr; i++) {
		taken = gmem_arena_alloc(arena, plan->node[i].nid, plan->node[i].size, granule,
					 &b->ranges);
		if (WARN_ON(taken != plan->node[i].size))
			return -ENOSPC;
	}
	return 0;
}

static int gmem_backing_try(struct gmem_backing *b, struct gmem_plan *plan, u64 size,
			    u64 granule, const nodemask_t *nodes)
{
	unsigned int tries;
	int err;

	for (tries = 0; tries < MAX_TRIES; tries++) {
		err = gmem_backing_plan(plan, size, granule, nodes);
		if (err)
			return err;
		if (!b->ranges.r) {
			/* As many ranges as granules, in a pool that is all in pieces */
			b->ranges.cap = div64_u64(size, granule);
			b->ranges.r = kvmalloc_array(b->ranges.cap, sizeof(*b->ranges.r),
						     GFP_KERNEL_ACCOUNT);
			if (!b->ranges.r)
				return -ENOMEM;
		}
		err = gmem_backing_charge(b, plan);
		if (!err)
			err = gmem_backing_take_plan(b, plan, granule);
		if (err != -EAGAIN)
			return err;
		gmem_uncharge(b->charges);
		b->charges = NULL;
	}
	return -ENOSPC;
}

static struct gmem_backing *gmem_backing_new(u64 size)
{
	struct gmem_backing *b = kzalloc_obj(*b, GFP_KERNEL_ACCOUNT);

	if (!b)
		return NULL;
	b->size = size;
	gmem_keep_init(&b->keeping, &b->ranges);
	return b;
}

/**
 * gmem_backing_take - take memory from the pool, and clear it
 * @size: how much, in bytes, a multiple of @granule; not 0
 * @granule: %SZ_2M or %SZ_1G
 * @nodes: from these nodes only; NULL: from the caller's node first, then from the nearest one
 * @killable: only a fatal signal ends it, not any one
 *
 * It is charged to the caller's dmem cgroup.
 *
 * Context: process context; takes gmem_pool.lock, clears memory and may take seconds.
 * Return: the memory, for gmem_backing_attach() or gmem_backing_give_back(); or an ERR_PTR():
 * -ENOSPC (not enough free memory in this granule on these nodes), -EDQUOT (a limit of the
 * caller's dmem cgroup, or of one above it, would be exceeded), -EBUSY (the pool is frozen),
 * -EINTR (a signal), -ENOMEM (no kernel memory).
 */
struct gmem_backing *gmem_backing_take(u64 size, u64 granule, const nodemask_t *nodes,
				       bool killable)
{
	struct gmem_backing *b = gmem_backing_new(size);
	struct gmem_plan *plan;
	int err = -ENOMEM;

	plan = kmalloc(struct_size(plan, node, gmem_pool.arena.nr_nodes), GFP_KERNEL_ACCOUNT);
	if (b && plan)
		err = gmem_backing_try(b, plan, size, granule, nodes);
	kfree(plan);
	if (!b)
		return ERR_PTR(-ENOMEM);
	if (!err)
		gmem_clean_leave(&b->ranges);
	gmem_stop_here("alloc-taken");
	if (!err)
		err = gmem_clean_ranges(&b->ranges, killable);
	if (err) {
		gmem_backing_give_back(b);
		return ERR_PTR(err);
	}
	return b;
}

/**
 * gmem_backing_check - is what gmem_backing_ready() has found out still true
 * @b: the memory
 *
 * Context: gmem_pool.lock is held.
 * Return: 0, -EBUSY (the pool is frozen), -EAGAIN (look once more).
 */
int gmem_backing_check(const struct gmem_backing *b)
{
	lockdep_assert_held(&gmem_pool.lock);

	/* Frozen since: the record stands still. */
	if (gmem_pool.holders)
		return -EBUSY;
	/* Thawed again: it is not kept any more. */
	if (b->keep && list_empty(&b->keeping.node))
		return -EAGAIN;
	return b->errors == gmem_pool.errors ? 0 : -EAGAIN;
}

/* Returns how much is left, 1 or 0, or -errno. */
static int gmem_backing_ready_some(struct gmem_backing *b, struct gmem_cursor *c)
{
	unsigned int pieces = GMEM_KEEP_PIECES;
	struct gmem_range piece, dirty;
	int err;

	guard(spinlock)(&gmem_pool.lock);

	for (; pieces; pieces--) {
		err = gmem_backing_check(b);
		/* Frozen and thawed since, or another memory error: from the beginning */
		if (err == -EAGAIN)
			*c = (struct gmem_cursor){};
		else if (err)
			return err;
		if (!c->i && !c->offset) {
			b->errors = gmem_pool.errors;
			if (b->keep)
				gmem_keep_begin(&b->keeping);
		}
		if (!gmem_keep_next(c, &b->ranges, &piece))
			return 0;
		/* Nobody maps it yet: better none than one with a hole in it. */
		if (gmem_badpages_hit(piece.base, piece.size))
			return -EHWPOISON;
		/* What everything rests on. */
		if (WARN_ON_ONCE(gmem_arena_next_dirty(&gmem_pool.arena, piece.base, piece.size,
						       &dirty)))
			return -EIO;
		if (b->keep)
			gmem_arena_set_kept(&gmem_pool.arena, piece.base, piece.size, true);
	}
	return c->i < b->ranges.nr;
}

/**
 * gmem_backing_ready - see that memory can become an object's, and prepare it for that
 * @b: the memory, which nobody has seen
 * @keep: the record shall tell of the object
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0, -EBUSY (the pool is frozen), -EHWPOISON (a memory error hit it), -EIO (a bug of
 * the kernel, with a warning: not all of it was cleared).
 */
int gmem_backing_ready(struct gmem_backing *b, bool keep)
{
	struct gmem_cursor c = {};
	int more;

	b->keep = keep;
	do {
		more = gmem_backing_ready_some(b, &c);
		if (more > 0)
			gmem_stop_here("ready-step");
		cond_resched();
	} while (more > 0);
	return more;
}

static void gmem_backing_free(struct gmem_backing *b)
{
	gmem_uncharge(b->charges);
	kvfree(b->ranges.r);
	kfree(b);
}

/**
 * gmem_backing_let_go - undo gmem_backing_of()
 * @b: the memory, which stays nobody's
 *
 * Context: process context; without gmem_pool.lock.
 */
void gmem_backing_let_go(struct gmem_backing *b)
{
	gmem_backing_free(b);
}

/**
 * gmem_backing_of - take hold of memory that has contents, and is nobody's
 * @x: the memory; its array is the backing's from now on, also if it fails
 *
 * It is charged to the caller's dmem cgroup.
 *
 * Context: process context.
 * Return: the memory, for gmem_backing_attach() or gmem_backing_let_go(); or an ERR_PTR():
 * -EDQUOT (a limit of the caller's dmem cgroup, or of one above it, would be exceeded), -ENOMEM.
 */
struct gmem_backing *gmem_backing_of(const struct gmem_ranges *x)
{
	struct gmem_backing *b = gmem_backing_new(gmem_ranges_bytes(x));
	struct gmem_charge *charges;

	if (!b) {
		kvfree(x->r);
		return ERR_PTR(-ENOMEM);
	}
	b->ranges = *x;
	charges = gmem_charge_ranges(x);
	if (IS_ERR(charges)) {
		gmem_backing_let_go(b);
		return ERR_CAST(charges);
	}
	b->charges = charges;
	return b;
}

/* Given back while the pool was frozen, and so not free yet; under gmem_pool.lock. */
static LIST_HEAD(gmem_backing_deferred);

/**
 * gmem_backing_give_back - undo gmem_backing_take()
 * @b: the memory, which nobody has seen
 *
 * In a frozen pool it becomes free with the thaw: until then the record stands still.
 *
 * Context: process context; takes gmem_pool.lock.
 */
void gmem_backing_give_back(struct gmem_backing *b)
{
	bool more = b->ranges.nr;

	gmem_keep_stop(&b->keeping);
	while (more) {
		scoped_guard(spinlock, &gmem_pool.lock) {
			if (gmem_pool.holders) {
				list_add(&b->deferred, &gmem_backing_deferred);
				return;
			}
			more = gmem_keep_free_some(&b->ranges, &b->freed, false);
		}
		cond_resched();
	}
	gmem_backing_free(b);
}

/**
 * gmem_backing_reap - let go of what was given back while the pool was frozen
 *
 * Context: process context; takes gmem_pool.lock.
 */
void gmem_backing_reap(void)
{
	struct gmem_backing *b, *next;
	LIST_HEAD(list);

	scoped_guard(spinlock, &gmem_pool.lock)
		list_splice_init(&gmem_backing_deferred, &list);
	/* Frozen again meanwhile, they go back where they were. */
	list_for_each_entry_safe(b, next, &list, deferred)
		gmem_backing_give_back(b);
}

/* The ranges as they will be, so that little is left to be done under gmem_pool.lock */
static void gmem_backing_fill_room(const struct gmem_backing *b, const struct gmem_object *obj,
				   struct gmem_room *room)
{
	struct gmem_ranges all = {
		.r = room->list,
		.nr = obj->ranges.nr,
		.cap = obj->ranges.nr + b->ranges.nr,
	};
	unsigned int i;

	memcpy(all.r, obj->ranges.r, all.nr * sizeof(*all.r));
	for (i = 0; i < b->ranges.nr; i++)
		WARN_ON(gmem_ranges_append(&all, b->ranges.r[i].base, b->ranges.r[i].size));
	gmem_backing_index_ranges(&all, room->start);
	room->nr = all.nr;
	room->crc = gmem_record_ranges_crc((struct gmem_range_ser *)all.r, all.nr);
}

/**
 * gmem_backing_make_room - make room in the record for an object's ranges
 * @b: what the object will get
 * @obj: the object
 * @room: the room, for gmem_backing_attach(), and to be freed afterwards in any case
 *
 * Context: process context; nobody else changes the object's ranges.
 * Return: 0 or -ENOMEM.
 */
int gmem_backing_make_room(const struct gmem_backing *b, const struct gmem_object *obj,
			   struct gmem_room *room)
{
	const unsigned int nr = obj->ranges.nr + b->ranges.nr;

	*room = (struct gmem_room){};
	room->start = kvmalloc_array(nr, sizeof(*room->start), GFP_KERNEL_ACCOUNT);
	if (!room->start)
		return -ENOMEM;
	if (nr <= GMEM_PERSIST_INLINE_RANGES)
		return 0;
	room->list = gmem_list_alloc(nr, &room->order);
	if (!room->list) {
		gmem_room_free(room);
		return -ENOMEM;
	}
	gmem_backing_fill_room(b, obj, room);
	return 0;
}

/**
 * gmem_room_free - free what was made room, or what it has replaced
 * @room: the room
 *
 * Context: process context.
 */
void gmem_room_free(struct gmem_room *room)
{
	if (room->list)
		gmem_list_free(room->list);
	kvfree(room->start);
	*room = (struct gmem_room){};
}

static struct gmem_range *gmem_backing_inline(struct gmem_object *obj)
{
	return (struct gmem_range *)obj->ser->ranges;
}

/* The object's list of its own, if it has one */
static struct gmem_range *gmem_backing_own_list(const struct gmem_object *obj)
{
	return obj->ser->list.phys ? obj->ranges.r : NULL;
}

/*
 * Let the record tell of the ranges as they are, of @size bytes in all and with the checksum
 * @crc if they are in a list; the slot is sealed by the caller. A list that is not needed goes
 * into @room.
 */
static void gmem_backing_describe(struct gmem_object *obj, u64 size, u32 crc,
				  struct gmem_room *room)
{
	struct gmem_object_ser *ser = obj->ser;

	if (gmem_backing_own_list(obj) && obj->ranges.nr <= GMEM_PERSIST_INLINE_RANGES) {
		room->list = obj->ranges.r;
		memcpy(ser->ranges, obj->ranges.r, obj->ranges.nr * sizeof(*obj->ranges.r));
		ser->list = (struct gmem_chunk_ser){};
		obj->ranges.r = gmem_backing_inline(obj);
		obj->ranges.cap = GMEM_PERSIST_INLINE_RANGES;
	}
	ser->nr_ranges = obj->ranges.nr;
	ser->size = size;
	ser->list_crc = ser->list.phys ? crc : 0;
}

/* The list that was filled takes the place of what the object has. */
static void gmem_backing_use_list(struct gmem_object *obj, struct gmem_room *room)
{
	struct gmem_range *list = room->list;

	room->list = gmem_backing_own_list(obj);
	memset(obj->ser->ranges, 0, sizeof(obj->ser->ranges));
	obj->ser->list.phys = virt_to_phys(list);
	obj->ser->list.order = room->order;
	obj->ranges.r = list;
	obj->ranges.nr = room->nr;
	obj->ranges.cap = (PAGE_SIZE << room->order) / sizeof(*list);
	swap(obj->start, room->start);
}

/* In the slot there is room for a few. */
static void gmem_backing_append(const struct gmem_backing *b, struct gmem_object *obj,
				struct gmem_room *room)
{
	unsigned int i;

	for (i = 0; i < b->ranges.nr; i++)
		WARN_ON(gmem_ranges_append(&obj->ranges, b->ranges.r[i].base,
					   b->ranges.r[i].size));
	swap(obj->start, room->start);
	gmem_backing_index_ranges(&obj->ranges, obj->start);
}

/**
 * gmem_backing_attach - give memory to an object, behind what it has
 * @b: the memory; gmem_backing_check() has found nothing wrong
 * @obj: the object
 * @room: from gmem_backing_make_room(); has what was replaced afterwards
 *
 * The caller seals the slot afterwards, and then frees @b by gmem_backing_done().
 *
 * Context: gmem_pool.lock is held, and the object's invalidate lock if anybody knows it.
 */
void gmem_backing_attach(struct gmem_backing *b, struct gmem_object *obj,
			 struct gmem_room *room)
{
	lockdep_assert_held(&gmem_pool.lock);

	if (room->list)
		gmem_backing_use_list(obj, room);
	else
		gmem_backing_append(b, obj, room);
	gmem_backing_describe(obj, obj->ser->size + b->size, room->crc, room);
	gmem_keep_done(&b->keeping);
}

/**
 * gmem_backing_done - memory has become an object's
 * @b: the memory
 * @obj: the object, which pays for it from now on
 *
 * Context: process context; without gmem_pool.lock.
 */
void gmem_backing_done(struct gmem_backing *b, struct gmem_object *obj)
{
	gmem_charge_merge(obj, b->charges);
	b->charges = NULL;
	gmem_backing_free(b);
}

/**
 * gmem_backing_index_ranges - note at which offset each range of an object begins
 * @x: the ranges
 * @start: with room for as many
 */
void gmem_backing_index_ranges(const struct gmem_ranges *x, u64 *start)
{
	u64 offset = 0;
	unsigned int i;

	for (i = 0; i < x->nr; i++) {
		start[i] = offset;
		offset += x->r[i].size;
	}
}

/**
 * gmem_backing_cut_step - how much of an object's end can be taken away at once
 * @obj: the object
 * @size: what it shall keep at last, in bytes; less than it has
 * @step: set to what gmem_backing_cut() is to be told
 *
 * Context: process context; nobody else changes the object's ranges.
 */
void gmem_backing_cut_step(const struct gmem_object *obj, u64 size, struct gmem_cut *step)
{
	const struct gmem_range_ser *list = (struct gmem_range_ser *)obj->ranges.r;
	const unsigned int nr = obj->ranges.nr;
	struct gmem_range_ser last;

	*step = (struct gmem_cut){ .size = size };
	if (nr > GMEM_CUT_RANGES)
		step->size = max(step->size, obj->start[nr - GMEM_CUT_RANGES]);
	if (obj->ser->size > GMEM_CUT_SIZE)
		step->size = max(step->size, obj->ser->size - GMEM_CUT_SIZE);

	for (step->nr = nr; step->nr && obj->start[step->nr - 1] >= step->size; )
		step->nr--;
	if (!step->nr || !gmem_backing_own_list(obj))
		return;
	last = list[step->nr - 1];
	last.size = min(last.size, step->size - obj->start[step->nr - 1]);
	step->crc = gmem_record_ranges_crc_on(gmem_record_ranges_crc(list, step->nr - 1),
					      &last, 1);
}

/**
 * gmem_backing_cut - take the end of an object's memory away
 * @obj: the object; nobody maps that part
 * @step: from gmem_backing_cut_step()
 * @room: set to what is to be freed by gmem_room_free()
 *
 * Context: gmem_pool.lock is held, and the object's invalidate lock; the pool is not frozen.
 */
void gmem_backing_cut(struct gmem_object *obj, const struct gmem_cut *step,
		      struct gmem_room *room)
{
	const unsigned int old = obj->ranges.nr, nr = step->nr;
	struct gmem_range cut = {}, *list = obj->ranges.r;
	unsigned int i;

	lockdep_assert_held(&gmem_pool.lock);

	/* In the middle of a range: what is behind is free, but that is told of at last. */
	if (nr && obj->start[nr - 1] + list[nr - 1].size > step->size) {
		const u64 keep = step->size - obj->start[nr - 1];

		cut = (struct gmem_range){ list[nr - 1].base + keep, list[nr - 1].size - keep };
		list[nr - 1].size = keep;
	}
	obj->ranges.nr = nr;
	gmem_backing_describe(obj, step->size, step->crc, room);
	/* First of all: only then is the memory free. */
	gmem_slot_seal(obj->ser);

	if (cut.size)
		gmem_keep_free_range(&cut, true);
	for (i = nr; i < old; i++)
		gmem_keep_free_range(&list[i], true);
	gmem_clean_kick();
	if (list == gmem_backing_inline(obj)) {
		memset(&list[nr], 0, (old - nr) * sizeof(*list));
		gmem_slot_seal(obj->ser);
	}
	if (!nr) {
		room->start = obj->start;
		obj->start = NULL;
	}
}
