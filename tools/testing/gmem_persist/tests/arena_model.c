// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations on an arena, next to a model that has a plain array of granules: who
 * has each, what was written to it, and what the record must say of it.
 *
 * The kernel is replaced at random: the next one makes an arena of the same record. As
 * it may be replaced at any instant, what it would see is also checked after each single
 * store to the record.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/types.h>

#include <linux/numa.h>

#include "arena.h"
#include "stores.h"
#include "test.h"

#define BLOCKS		14
#define NODES		3
#define PER_BLOCK	512
#define GRANULES	(BLOCKS * PER_BLOCK)
#define OBJECTS		40
#define G1		((u64)SZ_1G)
#define M2		((u64)SZ_2M)

/* Where the blocks are: neighbours, gaps, nodes that alternate, one without */
static const struct {
	u64 gib;
	int node;
} layout[BLOCKS] = {
	{ 4, 0 }, { 5, 0 }, { 6, 0 }, { 8, 0 }, { 9, 1 }, { 10, 1 }, { 11, 0 },
	{ 12, 1 }, { 64, 2 }, { 65, 2 }, { 66, 1 }, { 1024, 1 }, { 1025, 1 }, { 1026, 0 },
};

/* The next kernel may see other nodes; then the first of these is another. */
static const int nids[NODES] = { 0, 1, NUMA_NO_NODE };
static unsigned int first_nid;

static struct gmem_block_ser record[BLOCKS];
static struct gmem_block blocks[BLOCKS];
static struct gmem_arena_node nodes[NODES];
static struct gmem_arena arena;

/* Who has a granule, but for the objects */
#define NOBODY		-1
#define SOMEBODY	-2

static struct {
	int owner;
	bool kept, dirty;
	bool written;	/* it is not all zero, whatever the record says */
	bool marked;	/* in @map */
} model[GRANULES];

static unsigned long map[GRANULES / 64];

/* What has been taken: lists of ranges, as objects would have them */
static struct gmem_ranges object[OBJECTS];

static u64 addr_of(unsigned int g)
{
	return layout[g / PER_BLOCK].gib * G1 + g % PER_BLOCK * M2;
}

static int nid_of(unsigned int g)
{
	return nids[(layout[g / PER_BLOCK].node + first_nid) % NODES];
}

/* Index of the granule at an address; -1 if there is none */
static int granule_at(u64 addr)
{
	unsigned int i;

	for (i = 0; i < BLOCKS; i++)
		if (addr / G1 == layout[i].gib)
			return i * PER_BLOCK + addr % G1 / M2;
	return -1;
}

/* Free is what nobody has; nothing else says so. */
static bool is_free(unsigned int g)
{
	return model[g].owner == NOBODY;
}

static bool is(unsigned int g, bool free, bool dirty)
{
	return is_free(g) == free && model[g].dirty == dirty;
}

static bool bit(const u64 *words, unsigned int g)
{
	return words[g % PER_BLOCK / 64] >> g % 64 & 1;
}

/*
 * What the next kernel sees, after every store
 */

/* What a granule is to it */
enum sight {
	CLEAN,
	DIRTY,
	KEPT,
};

static enum sight sight_of(const struct gmem_block_ser *ser, unsigned int g)
{
	if (bit(ser->kept, g))
		return KEPT;
	return bit(ser->free, g) && !bit(ser->dirty, g) ? CLEAN : DIRTY;
}

/* The record before a call, and each block as it was after each store of the call */
static struct gmem_block_ser before[BLOCKS];
static struct {
	unsigned int block, word;
	struct gmem_block_ser ser;
} stops[1024];
static unsigned int nr_stops;

/* Number of the map that has been stored to since the last barrier */
#define NO_STORE	-1
#define OTHER_STORE	-2	/* the caller's own, to anything */
static long unordered;

static void stored(const void *at)
{
	const size_t map_size = sizeof(record[0].free);
	size_t offset = (char *)at - (char *)record;
	unsigned int block = offset / sizeof(record[0]);
	long in = offset % sizeof(record[0]) - offsetof(struct gmem_block_ser, free);
	long map_nr = block * 3 + in / map_size;

	CHECK(offset < sizeof(record));
	CHECK(in >= 0);
	/* It is seen after what the caller has stored, and after other maps' changes. */
	CHECK(unordered == NO_STORE || unordered == map_nr);
	unordered = map_nr;

	CHECK(nr_stops < ARRAY_SIZE(stops));
	stops[nr_stops].block = block;
	stops[nr_stops].word = in % map_size / sizeof(u64);
	stops[nr_stops++].ser = record[block];
}

static void barrier_seen(void)
{
	unordered = NO_STORE;
}

static void begin(void)
{
	memcpy(before, record, sizeof(record));
	nr_stops = 0;
	unordered = OTHER_STORE;
	on_store = stored;
	on_barrier = barrier_seen;
}

/*
 * A kernel that was stopped in the middle of it: what is said to be clean is, and what is
 * neither as before nor as after is to be cleared, and was not to be kept throughout.
 */
static void check_stop(unsigned int stop)
{
	const struct gmem_block_ser *ser = &stops[stop].ser;
	unsigned int block = stops[stop].block;
	unsigned int g = block * PER_BLOCK + stops[stop].word * 64, end = g + 64;

	for (; g < end; g++) {
		enum sight was = sight_of(&before[block], g);
		enum sight is = sight_of(&record[block], g);
		enum sight now = sight_of(ser, g);

		CHECK(!(bit(ser->free, g) && bit(ser->kept, g)));
		CHECK(now != CLEAN || !model[g].written);
		CHECK(now == was || now == is ||
		      (now == DIRTY && (was != KEPT || is != KEPT)));
	}
}

static void end(void)
{
	unsigned int i;

	on_store = NULL;
	on_barrier = NULL;
	/* What the caller stores next is seen after all that. */
	CHECK(!nr_stops || unordered == NO_STORE);
	for (i = 0; i < nr_stops; i++)
		check_stop(i);
}

#define WATCH(call) ({			\
	typeof(call) result;		\
					\
	begin();			\
	result = (call);		\
	end();				\
	result;				\
})

#define WATCH_VOID(call)	((void)WATCH(((call), 0)))

/*
 * Checks
 */

/* Every tree is sorted and has the blocks that it should have. */
static void check_trees(void)
{
	unsigned int i, t, found = 0, expected = 0;

	for (i = 0; i < arena.nr_nodes; i++) {
		for (t = 0; t < 2; t++) {
			const struct gmem_block *b, *last = NULL;
			struct rb_node *n;

			for (n = rb_first(&nodes[i].by_free[t]); n; n = rb_next(n)) {
				b = rb_entry(n, struct gmem_block, node);
				CHECK_EQ((int)b->ser->nid, nodes[i].nid);
				CHECK_EQ(!!b->nr_dirty, t);
				CHECK(b->nr_free);
				CHECK(!last || last->nr_free < b->nr_free ||
				      (last->nr_free == b->nr_free &&
				       last->ser->base < b->ser->base));
				last = b;
				found++;
			}
		}
	}
	for (i = 0; i < BLOCKS; i++)
		expected += !!blocks[i].nr_free;
	CHECK_EQ(found, expected);
}

static void check_blocks(void)
{
	unsigned int i, g;

	for (i = 0; i < BLOCKS; i++) {
		unsigned int nr_free = 0, nr_dirty = 0;
		const struct gmem_block_ser *ser = &record[i];

		CHECK(blocks[i].ser == ser);
		CHECK_EQ(ser->base, layout[i].gib * G1);
		CHECK_EQ((int)ser->nid, nid_of(i * PER_BLOCK));
		for (g = i * PER_BLOCK; g < (i + 1) * PER_BLOCK; g++) {
			CHECK_EQ(bit(ser->free, g), is_free(g));
			CHECK_EQ(bit(ser->kept, g), model[g].kept);
			CHECK_EQ(bit(ser->dirty, g), model[g].dirty);
			CHECK(!is_free(g) || !model[g].kept);
			/* I1 */
			CHECK(!is(g, true, false) || !model[g].written);
			nr_free += is_free(g);
			nr_dirty += is(g, true, true);
		}
		CHECK_EQ(blocks[i].nr_free, nr_free);
		CHECK_EQ(blocks[i].nr_dirty, nr_dirty);
	}
}

static void check_sums(void)
{
	unsigned int i, n;

	for (n = 0; n < NODES; n++) {
		const struct gmem_arena_node *node = gmem_arena_node(&arena, nids[n]);
		struct gmem_arena_node sum = {};

		for (i = 0; i < BLOCKS; i++) {
			if (nid_of(i * PER_BLOCK) != nids[n])
				continue;
			sum.total += G1;
			sum.free += blocks[i].nr_free * M2;
			sum.free_dirty += blocks[i].nr_dirty * M2;
			if (blocks[i].nr_free != PER_BLOCK)
				continue;
			sum.free_1g += G1;
			if (!blocks[i].nr_dirty)
				sum.free_1g_clean += G1;
		}
		CHECK(node);
		CHECK_EQ(node->total, sum.total);
		CHECK_EQ(node->free, sum.free);
		CHECK_EQ(node->free_dirty, sum.free_dirty);
		CHECK_EQ(node->free_1g, sum.free_1g);
		CHECK_EQ(node->free_1g_clean, sum.free_1g_clean);
		CHECK_EQ(gmem_arena_capacity(&arena, nids[n], SZ_2M), sum.free);
		CHECK_EQ(gmem_arena_capacity(&arena, nids[n], SZ_1G), sum.free_1g);
	}
}

/* The walk over free memory of one state gives the model's, in as few runs. */
static void check_walk(bool dirty)
{
	struct gmem_range part;
	unsigned int g = 0;
	u64 from = 0;

	while (gmem_arena_next_free(&arena, from, dirty, &part)) {
		while (g < GRANULES && !is(g, true, dirty))
			g++;
		CHECK(g < GRANULES);
		CHECK_EQ(part.base, addr_of(g));
		for (from = part.base; from < gmem_range_end(&part); from += M2, g++) {
			CHECK(g < GRANULES && is(g, true, dirty));
			CHECK_EQ(from, addr_of(g));
		}
		CHECK(g == GRANULES || addr_of(g) != from || !is(g, true, dirty));
	}
	for (; g < GRANULES; g++)
		CHECK(!is(g, true, dirty));
}

/* ... and from anywhere, also from the middle of a granule. */
static void check_walk_from(u64 from, bool dirty)
{
	struct gmem_range part;
	unsigned int g = 0;

	while (g < GRANULES && (addr_of(g) < from || !is(g, true, dirty)))
		g++;
	CHECK_EQ(gmem_arena_next_free(&arena, from, dirty, &part), g < GRANULES);
	if (g < GRANULES)
		CHECK_EQ(part.base, addr_of(g));
}

/* The same for what is kept: all of it, or what is not in the map */
static bool is_kept(unsigned int g, const unsigned long *owned)
{
	return model[g].kept && !(owned && model[g].marked);
}

static void check_kept(const unsigned long *owned)
{
	struct gmem_range part;
	unsigned int g = 0;
	u64 from = 0;

	while (gmem_arena_next_kept(&arena, owned, from, &part)) {
		while (g < GRANULES && !is_kept(g, owned))
			g++;
		CHECK(g < GRANULES);
		CHECK_EQ(part.base, addr_of(g));
		for (from = part.base; from < gmem_range_end(&part); from += M2, g++) {
			CHECK(g < GRANULES && is_kept(g, owned));
			CHECK_EQ(from, addr_of(g));
		}
		CHECK(g == GRANULES || addr_of(g) != from || !is_kept(g, owned));
	}
	for (; g < GRANULES; g++)
		CHECK(!is_kept(g, owned));
}

static void check_map(void)
{
	unsigned int g;

	for (g = 0; g < GRANULES; g++)
		CHECK_EQ(map[g / 64] >> g % 64 & 1, model[g].marked);
}

static void check_all(void)
{
	check_blocks();
	check_sums();
	check_trees();
	check_walk(false);
	check_walk(true);
	check_walk_from(random_below(1030 * G1), random_below(2));
	check_kept(NULL);
	check_kept(map);
	check_map();
}

/* A random address: in the arena mostly, at its edges, far away */
static u64 random_addr(void)
{
	u64 addr = addr_of(random_below(GRANULES));

	switch (random_below(16)) {
	case 0:
		return addr / G1 * G1 - (random_below(2) ? M2 : 0);
	case 1:
		return addr / G1 * G1 + G1;
	case 2:
		return addr + SZ_4K;
	case 3:
		return random_next();
	case 4:
		return ~(M2 - 1) - random_below(3) * M2;
	default:
		return addr;
	}
}

static u64 random_size(void)
{
	switch (random_below(20)) {
	case 0:
		return random_below(2) ? 0 : SZ_4K;
	case 1:
		return random_next() & ~(M2 - 1);
	case 2:
	case 3:
		return (1 + random_below(4)) * G1;
	case 4:
	case 5:
		return (1 + random_below(3 * PER_BLOCK)) * M2;
	default:
		return (1 + random_below(40)) * M2;
	}
}

/* Is the range whole granules of the arena? */
static bool covered(u64 base, u64 size)
{
	u64 at;

	if (!size || base % M2 || size % M2 || base + size < base)
		return false;
	if (size > GRANULES * M2)
		return false;
	for (at = base; at < base + size; at += M2)
		if (granule_at(at) < 0)
			return false;
	return true;
}

/* How many granules of a range that is covered are free */
static unsigned int count_free(u64 base, u64 size)
{
	unsigned int nr = 0;
	u64 at;

	for (at = base; at < base + size; at += M2)
		nr += is_free(granule_at(at));
	return nr;
}

static void set_owner(u64 base, u64 size, int owner)
{
	u64 at;

	for (at = base; at < base + size; at += M2) {
		CHECK(is_free(granule_at(at)) != (owner == NOBODY));
		model[granule_at(at)].owner = owner;
		if (owner == NOBODY)
			model[granule_at(at)].kept = false;
	}
}

static void set_dirty(u64 base, u64 size, bool dirty)
{
	u64 at;

	for (at = base; at < base + size; at += M2)
		model[granule_at(at)].dirty = dirty;
}

static void set_written(u64 base, u64 size, bool written)
{
	u64 at;

	for (at = base; at < base + size; at += M2)
		model[granule_at(at)].written = written;
}

static void do_alloc(void)
{
	unsigned int who = random_below(OBJECTS);
	struct gmem_ranges *obj = &object[who];
	int nid = nids[random_below(NODES)];
	bool giant = !random_below(3), ragged = false;
	u64 granule = giant ? G1 : M2;
	u64 size = giant ? (1 + random_below(3)) * G1 : random_size() & ~(M2 - 1);
	u64 capacity = gmem_arena_capacity(&arena, nid, granule);
	u64 taken;
	unsigned int i;

	if (obj->nr || size > 16 * G1)
		return;
	obj->cap = size / granule;
	obj->r = xmalloc(obj->cap * sizeof(*obj->r));
	taken = WATCH(gmem_arena_alloc(&arena, nid, size, granule, obj));
	CHECK_EQ(taken, min(size, capacity));
	CHECK_EQ(gmem_ranges_bytes(obj), taken);
	CHECK_EQ(gmem_arena_node_bytes(&arena, obj, nid), taken);
	for (i = 0; i < obj->nr; i++) {
		const struct gmem_range *r = &obj->r[i];

		CHECK(covered(r->base, r->size));
		CHECK_EQ(r->base % granule, 0);
		CHECK_EQ(r->size % granule, 0);
		CHECK(!i || gmem_range_end(r - 1) != r->base);
		/* Whole blocks come first. */
		CHECK(!ragged || r->base % G1 || r->size < G1);
		ragged |= r->base % G1 || r->size % G1;
		set_owner(r->base, r->size, who);
	}
	if (!obj->nr) {
		free(obj->r);
		obj->r = NULL;
	}
}

/* Who gives memory back says so if it may not be as clean as the record has it. */
static void free_one(u64 base, u64 size, bool dirty)
{
	u64 at;

	for (at = base; at < base + size; at += M2)
		dirty |= model[granule_at(at)].written && !model[granule_at(at)].dirty;
	CHECK_EQ(WATCH(gmem_arena_free(&arena, base, size, dirty)), 0);
	set_owner(base, size, NOBODY);
	if (dirty)
		set_dirty(base, size, true);
}

static void forget(struct gmem_ranges *obj)
{
	free(obj->r);
	*obj = (struct gmem_ranges){};
}

static void do_free(void)
{
	struct gmem_ranges *obj = &object[random_below(OBJECTS)];
	bool dirty = random_below(4);
	unsigned int i;

	for (i = 0; i < obj->nr; i++)
		free_one(obj->r[i].base, obj->r[i].size, dirty);
	forget(obj);
}

/* An object is written to, or somebody. */
static void do_write(void)
{
	u64 base = random_addr(), size = random_size(), at;

	if (!covered(base, size))
		return;
	for (at = base; at < base + size; at += M2)
		if (!is_free(granule_at(at)))
			model[granule_at(at)].written = true;
}

static void do_keep(void)
{
	u64 base = random_addr(), size = random_size(), at;
	const struct gmem_ranges *obj = &object[random_below(OBJECTS)];
	bool kept = random_below(4), expected = true;
	unsigned int i;

	for (i = 0; i < obj->nr && kept; i++) {
		WATCH_VOID(gmem_arena_set_kept(&arena, obj->r[i].base, obj->r[i].size, true));
		for (at = obj->r[i].base; at < gmem_range_end(&obj->r[i]); at += M2)
			model[granule_at(at)].kept = true;
		CHECK(gmem_arena_is_kept(&arena, obj->r[i].base, obj->r[i].size));
	}

	WATCH_VOID(gmem_arena_set_kept(&arena, base, size, kept));
	if (!covered(base, size)) {
		CHECK(!gmem_arena_is_kept(&arena, base, size));
		return;
	}
	for (at = base; at < base + size; at += M2)
		if (!is_free(granule_at(at)))
			model[granule_at(at)].kept = kept;
	base = random_below(4) ? base : base / G1 * G1;
	if (!covered(base, size))
		return;
	for (at = base; at < base + size; at += M2)
		expected &= model[granule_at(at)].kept;
	CHECK_EQ(gmem_arena_is_kept(&arena, base, size), expected);
}

static void do_map(void)
{
	u64 base = random_addr(), size = random_size(), at;
	bool was_set = false;
	unsigned int g;

	if (!random_below(16)) {
		memset(map, 0, sizeof(map));
		for (g = 0; g < GRANULES; g++)
			model[g].marked = false;
	}
	for (at = base; covered(base, size) && at < base + size; at += M2)
		was_set |= model[granule_at(at)].marked;
	CHECK_EQ(gmem_arena_marked(&arena, map, base, size), was_set);
	CHECK_EQ(gmem_arena_mark(&arena, map, base, size), was_set);
	for (at = base; covered(base, size) && at < base + size; at += M2)
		model[granule_at(at)].marked = true;
}

/* Give some range back: nobody's, somebody's, or what is free. */
static void do_free_any(void)
{
	u64 base = random_addr(), size = random_size(), at;
	bool dirty = random_below(2);

	if (!covered(base, size)) {
		CHECK_EQ(WATCH(gmem_arena_free(&arena, base, size, dirty)), -ENOENT);
		return;
	}
	if (count_free(base, size)) {
		CHECK_EQ(WATCH(gmem_arena_free(&arena, base, size, dirty)), -EEXIST);
		return;
	}
	for (at = base; at < base + size; at += M2)
		if (model[granule_at(at)].owner != SOMEBODY)
			return;
	free_one(base, size, dirty);
}

static void do_take(void)
{
	u64 base = random_addr(), size = random_size();

	if (!covered(base, size) || count_free(base, size) < size / M2) {
		CHECK_EQ(WATCH(gmem_arena_take(&arena, base, size)), -ENOENT);
		return;
	}
	CHECK_EQ(WATCH(gmem_arena_take(&arena, base, size)), 0);
	set_owner(base, size, SOMEBODY);
}

/* Something is cleared and said to be clean, or said not to be. */
static void do_mark(void)
{
	u64 base = random_addr(), size = random_size();

	if (random_below(2)) {
		WATCH_VOID(gmem_arena_set_dirty(&arena, base, size));
		if (covered(base, size))
			set_dirty(base, size, true);
		return;
	}
	if (covered(base, size))
		set_written(base, size, false);
	WATCH_VOID(gmem_arena_set_clean(&arena, base, size));
	if (covered(base, size))
		set_dirty(base, size, false);
}

static void do_clean(void)
{
	int nid = nids[random_below(NODES)];
	u64 max = random_size(), at;
	struct gmem_range part;

	if (!gmem_arena_find_dirty(&arena, nid, max, &part)) {
		CHECK(max < M2 || !gmem_arena_node(&arena, nid)->free_dirty);
		return;
	}
	CHECK(part.size && part.size <= max);
	CHECK(covered(part.base, part.size));
	for (at = part.base; at < gmem_range_end(&part); at += M2) {
		CHECK(is(granule_at(at), true, true));
		CHECK_EQ(nid_of(granule_at(at)), nid);
	}
	if (random_below(4)) {
		set_written(part.base, part.size, false);
		WATCH_VOID(gmem_arena_set_clean(&arena, part.base, part.size));
		set_dirty(part.base, part.size, false);
	}
}

static void do_next_dirty(void)
{
	u64 base = random_addr(), size = random_size(), at;
	struct gmem_range part;

	if (!covered(base, size)) {
		CHECK(!gmem_arena_next_dirty(&arena, base, size, &part));
		return;
	}
	for (at = base; at < base + size; at += M2)
		if (model[granule_at(at)].dirty)
			break;
	CHECK_EQ(gmem_arena_next_dirty(&arena, base, size, &part), at < base + size);
	if (at == base + size)
		return;
	CHECK_EQ(part.base, at);
	/* It ends where the dirty memory, the range or the block does. */
	for (; at < base + size; at += M2)
		if (!model[granule_at(at)].dirty ||
		    (at % G1 == 0 && at != part.base))
			break;
	CHECK_EQ(gmem_range_end(&part), at);
}

static void do_ask(void)
{
	u64 addr = random_addr() + random_below(M2);
	int g = granule_at(addr);

	CHECK_EQ(gmem_arena_nid(&arena, addr), g < 0 ? NUMA_NO_NODE : nid_of(g));
}

static void add_blocks(void)
{
	unsigned int i;

	gmem_arena_init(&arena, blocks, BLOCKS, nodes, NODES);
	for (i = 0; i < BLOCKS; i++)
		CHECK_EQ(WATCH(gmem_arena_add_block(&arena, &record[i], layout[i].gib * G1,
						    nid_of(i * PER_BLOCK))), 0);
}

/* Does an object have all of its memory? */
static bool survives(unsigned int who)
{
	const struct gmem_ranges *obj = &object[who];
	unsigned int i;
	u64 at;

	for (i = 0; i < obj->nr; i++)
		for (at = obj->r[i].base; at < gmem_range_end(&obj->r[i]); at += M2)
			if (!model[granule_at(at)].kept)
				return false;
	return true;
}

/*
 * The next kernel: all that is kept is the object's still, or quarantined if the object
 * did not make it; all else is free.
 */
static void do_reboot(void)
{
	unsigned int g, i;

	first_nid = random_below(NODES);
	memset(blocks, 0xa5, sizeof(blocks));
	memset(nodes, 0xa5, sizeof(nodes));
	/* The impossible happens. */
	for (i = random_below(8); i; i--) {
		g = random_below(GRANULES);
		if (model[g].kept)
			record[g / PER_BLOCK].free[g % PER_BLOCK / 64] |= 1ULL << g % 64;
	}
	add_blocks();

	memset(map, 0, sizeof(map));
	for (g = 0; g < GRANULES; g++)
		model[g].marked = false;
	for (i = 0; i < OBJECTS; i++) {
		const struct gmem_ranges *obj = &object[i];
		bool all = true;
		unsigned int j;

		for (j = 0; j < obj->nr; j++)
			all &= gmem_arena_is_kept(&arena, obj->r[j].base, obj->r[j].size);
		CHECK_EQ(all, survives(i));
		for (j = 0; j < obj->nr && all; j++)
			CHECK(!gmem_arena_mark(&arena, map, obj->r[j].base, obj->r[j].size));
		if (!all)
			forget(&object[i]);
	}
	for (g = 0; g < GRANULES; g++) {
		bool mine = model[g].owner >= 0 && object[model[g].owner].nr;

		model[g].marked = mine;
		if (mine || is_free(g))
			continue;
		model[g].owner = model[g].kept ? SOMEBODY : NOBODY;
		model[g].dirty |= !model[g].kept;
	}
	WATCH_VOID(gmem_arena_settle(&arena));
}

static void start(void)
{
	unsigned int i, g;

	memset(model, 0, sizeof(model));
	memset(map, 0, sizeof(map));
	memset(record, 0, sizeof(record));
	first_nid = 0;
	for (i = 0; i < BLOCKS; i++)
		memset(record[i].dirty, 0xff, sizeof(record[i].dirty));
	for (g = 0; g < GRANULES; g++) {
		model[g].owner = SOMEBODY;
		model[g].dirty = true;
		model[g].written = true;
	}
	add_blocks();
	check_all();
	for (i = 0; i < BLOCKS; i++)
		if (random_below(8))
			free_one(layout[i].gib * G1, G1, false);
	check_all();
}

static void random_life(void)
{
	unsigned int i;

	random_start(0xa7e4a);
	start();
	for (; where->step < random_rounds(15000); where->step++) {
		switch (random_below(16)) {
		case 0:
		case 1:
		case 2:
			do_alloc();
			break;
		case 3:
		case 4:
			do_free();
			break;
		case 5:
			do_free_any();
			break;
		case 6:
			if (!random_below(4))
				do_take();
			break;
		case 7:
			do_mark();
			break;
		case 8:
		case 9:
			do_clean();
			break;
		case 10:
			do_next_dirty();
			break;
		case 11:
			do_ask();
			break;
		case 12:
			do_write();
			break;
		case 13:
			do_keep();
			break;
		case 14:
			do_map();
			break;
		case 15:
			if (!random_below(8))
				do_reboot();
			break;
		}
		check_all();
	}
	for (i = 0; i < OBJECTS; i++)
		forget(&object[i]);
}

const struct test arena_model_tests[] = {
	TEST(random_life),
	{}
};
