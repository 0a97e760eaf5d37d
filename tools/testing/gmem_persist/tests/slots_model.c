// SPDX-License-Identifier: GPL-2.0
/*
 * Random lives of objects in a record: slots, lists of ranges and free memory together, next to
 * a model that knows who has each granule and who wrote to it last.
 *
 * The kernel's files that bring these together know of locks and inodes, and are not compiled
 * here: what they do to the record, and in which order, is done here once more, in the words of
 * backing.c, keep.c, name.c and object.c. All that it is done with is the kernel's: slots are
 * found by chunks.c, sealed and checked by record.c, memory is taken and freed by arena.c and
 * its neighbours, in pieces by ranges.c, and all of it is read by judge.c.
 *
 * What holds, after each store to the record, after each step, and in each next kernel:
 *
 * I1	What is free and not dirty is zero.
 * I2	Whatever memory a valid slot names is kept, and not free. Nobody but its object has
 *	written to it: it was zero when the object got it, and when an object loses it the slot
 *	says so first.
 * I3	What ends or changes an object allocates nothing, and neither does a freeze.
 * I4	Nobody looks at a slot but at those of the objects that he was told of; a freeze looks at
 *	none. With the address sanitizer all others are poisoned meanwhile. Without it, it is
 *	only seen that they are not changed.
 * I6	Free is what no object has.
 *
 * The kernel is replaced at random, also in the middle of whatever it does: then it freezes
 * first. The next one goes on with the tables where they are.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, size)	((void)(p), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(p, size)	((void)(p), (void)(size))
#endif

#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/numa.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/stat.h>

#include "arena.h"
#include "record.h"
#include "stores.h"
#include "test.h"

#define BLOCKS		4
#define PER_BLOCK	GMEM_BLOCK_GRANULES
#define GRANULES	(BLOCKS * PER_BLOCK)
#define SLOTS		96
#define PIECES		200
#define NODE		0
#define G1		((u64)SZ_1G)
#define M2		((u64)SZ_2M)

static struct gmem_range pool_ranges[] = { { 4 * G1, 3 * G1 }, { 9 * G1, G1 } };
static const struct gmem_ranges pool = { pool_ranges, 2, 2 };

/* The record */
static struct gmem_header_ser *header;
static struct gmem_block_page_ser *page;
static struct gmem_bad_ser *bad_pages[2];

static struct gmem_block blocks[BLOCKS];
static struct gmem_arena_node node;
static struct gmem_arena arena;

/*
 * What is known of an object. @mem is what the record shall tell of, with @told, and @more what
 * is on its way to it. What is @begun is kept while no valid slot tells of it.
 */
struct object {
	bool used, told;
	u32 serial;
	struct gmem_ranges mem, more;
	struct gmem_range mem_ranges[PIECES], more_ranges[PIECES];
	struct gmem_range_ser *list;
	const struct gmem_ranges *begun;
	struct gmem_cursor at;
	char name[GMEM_PERSIST_NAME_SIZE];
	u8 token[16];
	u32 mode;
};

static struct object objects[SLOTS];
static u32 last_serial;

#define NOBODY	(-1)

/* Of each granule: whose it is, and the serial number of who wrote to it; 0: it is zero */
static struct {
	int owner;
	u32 wrote;
} model[GRANULES];

static u64 addr_of(unsigned int g)
{
	return g < 3 * PER_BLOCK ? 4 * G1 + g * M2 : 9 * G1 + (g - 3 * PER_BLOCK) * M2;
}

static unsigned int granule_at(u64 addr)
{
	return addr < 9 * G1 ? (addr - 4 * G1) / M2 : 3 * PER_BLOCK + (addr - 9 * G1) / M2;
}

static bool bit(const u64 *words, unsigned int g)
{
	return words[g % PER_BLOCK / 64] >> g % 64 & 1;
}

static bool is_kept(unsigned int g)
{
	return bit(page->blocks[g / PER_BLOCK].kept, g);
}

static bool is_free(unsigned int g)
{
	return bit(page->blocks[g / PER_BLOCK].free, g);
}

static bool is_dirty(unsigned int g)
{
	return bit(page->blocks[g / PER_BLOCK].dirty, g);
}

#define for_granules(g, range)						\
	for (unsigned int g = granule_at((range)->base),		\
	     end_ = g + (range)->size / M2; g < end_; g++)

/*
 * Which slots may be looked at
 */

static int ours = NOBODY;

static void *chunk_at(unsigned int i)
{
	return (void *)(uintptr_t)header->slot_chunks[i].phys;
}

static size_t chunk_size(unsigned int i)
{
	return PAGE_SIZE << header->slot_chunks[i].order;
}

/* All may look again, be it to check. */
static void show_slots(void)
{
	unsigned int i;

	for (i = 0; i < header->nr_slot_chunks; i++)
		ASAN_UNPOISON_MEMORY_REGION(chunk_at(i), chunk_size(i));
}

/* Without those of record.c and chunks.c, which are what is tested */
static struct gmem_object_ser *slot_at(u32 id)
{
	unsigned int i;

	for (i = 0; id >= chunk_size(i) / sizeof(struct gmem_object_ser); i++)
		id -= chunk_size(i) / sizeof(struct gmem_object_ser);
	return (struct gmem_object_ser *)chunk_at(i) + id;
}

static void hide_slots(void)
{
	unsigned int i;

	for (i = 0; i < header->nr_slot_chunks; i++)
		ASAN_POISON_MEMORY_REGION(chunk_at(i), chunk_size(i));
	if (ours != NOBODY)
		ASAN_UNPOISON_MEMORY_REGION(slot_at(ours), sizeof(struct gmem_object_ser));
}

/*
 * What a kernel that was stopped at a store would have left
 */

static const struct gmem_range_ser *ranges_of(const struct gmem_object_ser *slot)
{
	return slot->nr_ranges > GMEM_PERSIST_INLINE_RANGES ?
		(void *)(uintptr_t)slot->list.phys : slot->ranges;
}

/* Is it valid, as far as the next kernel can tell? */
static bool says_valid(const struct gmem_object_ser *slot)
{
	return slot->state == GMEM_PERSIST_SLOT_VALID && !gmem_slot_check(slot) &&
	       !gmem_slot_check_ranges(slot, ranges_of(slot), &pool);
}

static bool names(const struct gmem_object_ser *slot, unsigned int g)
{
	const struct gmem_range_ser *r = ranges_of(slot);
	unsigned int i;

	for (i = 0; i < slot->nr_ranges; i++)
		if (addr_of(g) >= r[i].base && addr_of(g) - r[i].base < r[i].size)
			return true;
	return false;
}

/* I2 */
static void check_memory(u32 id)
{
	const struct gmem_object_ser *slot = slot_at(id);
	const struct gmem_range_ser *r = ranges_of(slot);
	unsigned int i;

	if (!says_valid(slot))
		return;
	for (i = 0; i < slot->nr_ranges; i++) {
		for_granules(g, &r[i]) {
			CHECK(is_kept(g) && !is_free(g));
			CHECK_EQ(model[g].owner, id);
			CHECK(!model[g].wrote || model[g].wrote == objects[id].serial);
		}
	}
}

static void check_granule(unsigned int g)
{
	const struct gmem_object_ser *slot;

	CHECK(!(is_free(g) && is_kept(g)));
	/* I1 */
	CHECK(!is_free(g) || is_dirty(g) || !model[g].wrote);
	/* I2, for whoever has it */
	if (model[g].owner == NOBODY || (is_kept(g) && !is_free(g)))
		return;
	slot = slot_at(model[g].owner);
	CHECK(!says_valid(slot) || !names(slot, g));
}

/* A word of a block */
static void stored(const void *at)
{
	size_t offset = (char *)at - (char *)page->blocks;
	unsigned int g = offset / sizeof(*page->blocks) * PER_BLOCK, end;
	long in = offset % sizeof(*page->blocks) - offsetof(struct gmem_block_ser, free);

	CHECK(offset < BLOCKS * sizeof(*page->blocks));
	CHECK(in >= 0);
	g += in % sizeof(page->blocks->free) / sizeof(u64) * 64;
	show_slots();
	for (end = g + 64; g < end; g++)
		check_granule(g);
	hide_slots();
}

/* The caller's slot */
static void slot_stored(void)
{
	show_slots();
	check_memory(ours);
	hide_slots();
}

#define SET(what, value)	((what) = (value), slot_stored())
#define SEAL(slot)		(gmem_slot_seal(slot), slot_stored())

/*
 * Steps
 */

/* What all slots were, to see that the others are the same after it */
static struct gmem_object_ser before[SLOTS];

static void copy_slots(void)
{
	u32 id;

	for (id = 0; id < gmem_slot_count() && id < SLOTS; id++)
		before[id] = *slot_at(id);
}

static void check_others(void)
{
	u32 id;

	for (id = 0; id < gmem_slot_count() && id < SLOTS; id++)
		CHECK((int)id == ours || !memcmp(&before[id], slot_at(id), sizeof(before[id])));
}

/* It may allocate only if it @makes something. */
static void begin(int id, bool makes)
{
	copy_slots();
	ours = id;
	on_store = stored;
	kvmalloc_fail_after = makes ? -1 : 0;
	hide_slots();
}

static void end(bool makes)
{
	/* I3 */
	CHECK_EQ(kvmalloc_fail_after, makes ? -1 : 0);
	kvmalloc_fail_after = -1;
	on_store = NULL;
	show_slots();
	check_others();
	ours = NOBODY;
}

static jmp_buf replaced;

/* No lock is held, so another task may take the way of kexec. */
static void moment(void)
{
	if (!random_below(300))
		longjmp(replaced, 1);
}

static void keep_piece(const struct gmem_range *piece, bool kept)
{
	gmem_arena_set_kept(&arena, piece->base, piece->size, kept);
	for_granules(g, piece)
		CHECK_EQ(is_kept(g), kept && !is_free(g));
}

/* As gmem_keep_all() */
static void keep_all(struct object *o, const struct gmem_ranges *x)
{
	struct gmem_cursor c = {};
	struct gmem_range piece;

	o->begun = x;
	o->at = (struct gmem_cursor){};
	while (gmem_ranges_next(x, &c, (1 + random_below(64)) * M2, &piece)) {
		keep_piece(&piece, true);
		moment();
	}
	CHECK_EQ(c.i, x->nr);
}

/* As gmem_keep_stop() */
static bool keep_stop_some(struct object *o)
{
	struct gmem_range piece;

	if (!o->begun)
		return false;
	if (!gmem_ranges_next(o->begun, &o->at, (1 + random_below(64)) * M2, &piece)) {
		o->begun = NULL;
		return false;
	}
	keep_piece(&piece, false);
	return true;
}

/* As gmem_keep_free_some(), of all */
static void free_all(const struct gmem_ranges *x, bool all_dirty)
{
	struct gmem_cursor c = {};
	struct gmem_range piece;

	while (gmem_ranges_next(x, &c, (1 + random_below(64)) * M2, &piece)) {
		CHECK_EQ(gmem_arena_free(&arena, piece.base, piece.size, all_dirty), 0);
		for_granules(g, &piece)
			model[g].owner = NOBODY;
		moment();
	}
}

/* As gmem_backing_take(): what it gets is zero. */
static void take(u32 id, u64 size, u64 granule)
{
	struct object *o = &objects[id];
	struct gmem_range part;
	unsigned int i;

	CHECK_EQ(gmem_arena_alloc(&arena, NODE, size, granule, &o->more), size);
	for (i = 0; i < o->more.nr; i++)
		for_granules(g, &o->more.r[i]) {
			CHECK_EQ(model[g].owner, NOBODY);
			model[g].owner = id;
		}
	moment();
	for (i = 0; i < o->more.nr; i++) {
		const struct gmem_range *r = &o->more.r[i];

		while (gmem_arena_next_dirty(&arena, r->base, r->size, &part)) {
			for_granules(g, &part)
				model[g].wrote = 0;
			gmem_arena_set_clean(&arena, part.base, part.size);
			moment();
		}
		for_granules(g, r)
			CHECK_EQ(model[g].wrote, 0);
	}
}

/* As gmem_backing_describe(): the ranges, in the slot or in a list */
static void describe(u32 id, bool longer)
{
	struct object *o = &objects[id];
	struct gmem_object_ser *slot = gmem_slot(id);
	struct gmem_range_ser *list = o->list, *old = NULL;
	const unsigned int nr = o->mem.nr;
	const void *all = o->mem.r;

	CHECK(nr <= PIECES && nr * sizeof(*slot->ranges) <= PAGE_SIZE);
	if (nr > GMEM_PERSIST_INLINE_RANGES) {
		/* What is longer gets another list; what is shorter has one. */
		if (longer)
			list = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
		CHECK(list);
		memcpy(list, all, nr * sizeof(*slot->ranges));
		old = list == o->list ? NULL : o->list;
		o->list = list;
		SET(slot->list.phys, (uintptr_t)o->list);
		memset(slot->ranges, 0, sizeof(slot->ranges));
		SET(slot->list_crc, gmem_record_ranges_crc(o->list, nr));
	} else {
		memset(slot->ranges, 0, sizeof(slot->ranges));
		memcpy(slot->ranges, all, nr * sizeof(*slot->ranges));
		SET(slot->list.phys, 0);
		SET(slot->list_crc, 0);
	}
	SET(slot->nr_ranges, nr);
	SET(slot->size, gmem_ranges_bytes(&o->mem));
	free(old);
}

/* As gmem_backing_attach() */
static void attach(u32 id)
{
	struct object *o = &objects[id];
	unsigned int i;

	for (i = 0; i < o->more.nr; i++)
		CHECK_EQ(gmem_ranges_append(&o->mem, o->more.r[i].base, o->more.r[i].size), 0);
	o->more.nr = 0;
	describe(id, true);
	SEAL(gmem_slot(id));
	o->begun = NULL;
}

/*
 * Operations
 */

static void add_chunk(void)
{
	const unsigned int order = random_below(2);
	void *slots = aligned_alloc(PAGE_SIZE << order, PAGE_SIZE << order);

	memset(slots, 0, PAGE_SIZE << order);
	header->slot_chunks[header->nr_slot_chunks++] = (struct gmem_chunk_ser){
		.phys = (uintptr_t)slots, .order = order };
	gmem_chunks_add(slots, order);
}

/* The first number that is free, as with an ida; NOBODY: none is */
static int take_slot(void)
{
	int id;

	for (id = 0; id < SLOTS && objects[id].used; id++)
		;
	if (id == SLOTS)
		return NOBODY;
	if (id >= gmem_slot_count())
		add_chunk();
	CHECK(id < gmem_slot_count());
	return id;
}

static void forget(struct object *o)
{
	free(o->list);
	memset(o, 0, sizeof(*o));
}

/* In which granule there is room, and how much of it is wanted; false: there is none */
static bool choose(u64 *size, u64 *granule)
{
	*granule = random_below(8) ? M2 : G1;
	*size = *granule * (*granule == M2 ? 1 + random_below(random_below(4) ? 20 : 150) : 1);
	return *size <= gmem_arena_capacity(&arena, NODE, *granule);
}

static void draw_token(struct object *o, struct gmem_object_ser *slot)
{
	u64 token[2] = { random_next(), random_next() };

	memcpy(o->token, token, sizeof(token));
	gmem_slot_set_token(slot, o->token);
}

/* As gmem_object_enter(): hidden */
static struct gmem_object_ser *enter(u32 id)
{
	struct object *o = &objects[id];
	struct gmem_object_ser *slot = gmem_slot(id);
	u64 uuid[2] = { random_next(), random_next() };

	o->used = true;
	o->serial = ++last_serial;
	o->mem = (struct gmem_ranges){ o->mem_ranges, 0, PIECES };
	o->more = (struct gmem_ranges){ o->more_ranges, 0, PIECES };
	o->mode = S_IFREG | random_below(01000);
	snprintf(o->name, sizeof(o->name), "object-%u", o->serial);

	CHECK(gmem_slot(id) == slot_at(id));
	*slot = (struct gmem_object_ser){
		.state = GMEM_PERSIST_SLOT_HIDDEN, .mode = o->mode, .granule = SZ_2M };
	memcpy(slot->uuid, uuid, sizeof(uuid));
	slot_stored();
	draw_token(o, slot);
	SEAL(slot);
	return slot;
}

/* With a name, or without: then no next kernel learns of it. */
static void do_create(void)
{
	struct gmem_object_ser *slot;
	u64 size, granule;
	struct object *o;
	int id;

	if (!choose(&size, &granule))
		return;
	id = take_slot();
	if (id == NOBODY)
		return;
	o = &objects[id];
	begin(id, true);
	slot = enter(id);
	take(id, size, granule);
	slot->granule = granule;
	attach(id);
	if (random_below(5)) {
		keep_all(o, &o->mem);
		strcpy(slot->name, o->name);
		SET(slot->state, GMEM_PERSIST_SLOT_VALID);
		SEAL(slot);
		o->told = true;
		o->begun = NULL;
	}
	end(true);
}

/* As gmem_backing_give_back(): nobody has seen it. */
static void do_create_in_vain(void)
{
	const int id = take_slot();
	u64 size, granule;

	if (id == NOBODY || !choose(&size, &granule))
		return;
	begin(id, true);
	enter(id);
	take(id, size, granule);
	if (random_below(2))
		keep_all(&objects[id], &objects[id].more);
	kvmalloc_fail_after = 0;
	while (keep_stop_some(&objects[id]))
		moment();
	free_all(&objects[id].more, false);
	memset(gmem_slot(id), 0, sizeof(struct gmem_object_ser));
	slot_stored();
	end(false);
	forget(&objects[id]);
}

/* Some object, if it is one that the record tells of or if any will do; NULL: none */
static struct object *any(bool told)
{
	struct object *o = &objects[random_below(SLOTS)];

	return o->used && (o->told || !told) ? o : NULL;
}

static u32 id_of(const struct object *o)
{
	return o - objects;
}

/* Begin to change what the slot of such an object says; NULL: there is none */
static struct object *begin_any(bool told, struct gmem_object_ser **slot)
{
	struct object *o = any(told);

	if (!o)
		return NULL;
	begin(id_of(o), false);
	*slot = gmem_slot(id_of(o));
	return o;
}

static void do_write(void)
{
	struct object *o = any(false);
	unsigned int i;

	if (!o)
		return;
	for (i = 0; i < o->mem.nr; i++)
		if (random_below(3))
			for_granules(g, &o->mem.r[i])
				model[g].wrote = o->serial;
	begin(id_of(o), false);
	draw_token(o, gmem_slot(id_of(o)));
	end(false);
}

static void do_rename(void)
{
	struct gmem_object_ser *slot;
	struct object *o = begin_any(true, &slot);

	if (!o)
		return;
	snprintf(o->name, sizeof(o->name), "other-%llu-%u", random_next() & 0xffff, o->serial);
	memset(slot->name, 0, sizeof(slot->name));
	strcpy(slot->name, o->name);
	slot_stored();
	SEAL(slot);
	end(false);
}

static void do_chmod(void)
{
	struct gmem_object_ser *slot;
	struct object *o = begin_any(false, &slot);

	if (!o)
		return;
	o->mode = S_IFREG | random_below(01000);
	SET(slot->mode, o->mode);
	SEAL(slot);
	end(false);
}

/* As gmem_object_grow() */
static void do_grow(void)
{
	struct object *o = any(false);
	u64 size, granule;

	if (!o || !choose(&size, &granule) || granule != gmem_slot(id_of(o))->granule ||
	    o->mem.nr + size / granule > PIECES)
		return;
	begin(id_of(o), true);
	take(id_of(o), size, granule);
	if (o->told)
		keep_all(o, &o->more);
	attach(id_of(o));
	end(true);
}

/* As gmem_backing_cut(): what is behind is free, but that is told of at last. */
static void do_shrink(void)
{
	struct object *o = any(false);
	struct gmem_range *last, gone[PIECES];
	struct gmem_object_ser *slot;
	unsigned int nr = 0;
	u64 keep;

	if (!o || !o->mem.nr)
		return;
	begin(id_of(o), false);
	slot = gmem_slot(id_of(o));
	while (o->mem.nr && (!nr || random_below(3)))
		gone[nr++] = o->mem.r[--o->mem.nr];
	last = &gone[nr - 1];
	if (random_below(2)) {
		keep = random_below(last->size / slot->granule) * slot->granule;
		if (keep)
			CHECK_EQ(gmem_ranges_append(&o->mem, last->base, keep), 0);
		*last = (struct gmem_range){ last->base + keep, last->size - keep };
	}
	describe(id_of(o), false);
	SEAL(slot);
	while (nr--) {
		CHECK_EQ(gmem_arena_free(&arena, gone[nr].base, gone[nr].size, true), 0);
		for_granules(g, &gone[nr])
			model[g].owner = NOBODY;
	}
	if (o->mem.nr <= GMEM_PERSIST_INLINE_RANGES) {
		free(o->list);
		o->list = NULL;
	}
	end(false);
}

/* As gmem_object_unlink(), and gmem_object_remove() */
static void do_end(void)
{
	struct gmem_object_ser *slot;
	struct object *o = begin_any(false, &slot);

	if (!o)
		return;
	if (o->told) {
		SET(slot->state, GMEM_PERSIST_SLOT_HIDDEN);
		o->begun = &o->mem;
		o->at = (struct gmem_cursor){};
		SEAL(slot);
		o->told = false;
		moment();
		while (keep_stop_some(o))
			moment();
	}
	free_all(&o->mem, true);
	memset(slot, 0, sizeof(*slot));
	slot_stored();
	end(false);
	forget(o);
}

static void do_clean(void)
{
	struct gmem_range part;

	begin(NOBODY, false);
	if (gmem_arena_find_dirty(&arena, NODE, (1 + random_below(64)) * M2, &part)) {
		for_granules(g, &part) {
			CHECK_EQ(model[g].owner, NOBODY);
			model[g].wrote = 0;
		}
		gmem_arena_set_clean(&arena, part.base, part.size);
	}
	end(false);
}

/*
 * The next kernel
 */

/* As gmem_keep_stop_any() and gmem_tables_set_state(): nothing is done for each object. */
static void seal(void)
{
	u32 id;

	begin(NOBODY, false);
	for (id = 0; id < SLOTS; id++)
		while (keep_stop_some(&objects[id]))
			;
	gmem_block_page_seal(page);
	gmem_header_seal(header, GMEM_PERSIST_STATE_SEALED);
	end(false);
}

static void start_arena(void)
{
	unsigned int i;

	memset(blocks, 0xa5, sizeof(blocks));
	memset(&node, 0xa5, sizeof(node));
	gmem_arena_init(&arena, blocks, BLOCKS, &node, 1);
	for (i = 0; i < BLOCKS; i++)
		CHECK_EQ(gmem_arena_add_block(&arena, &page->blocks[i], addr_of(i * PER_BLOCK),
					      NODE), 0);
}

/* How many are told of; one that is not is forgotten if it @may. */
static unsigned int read_slots(struct gmem_found *found, bool may_forget)
{
	unsigned int nr = 0;
	u32 id;

	for (id = 0; id < gmem_slot_count(); id++) {
		struct gmem_object_ser *slot = gmem_slot(id);

		CHECK(slot == slot_at(id));
		CHECK(!gmem_slot_check(slot));
		if (slot->state == GMEM_PERSIST_SLOT_HIDDEN && may_forget)
			memset(slot, 0, sizeof(*slot));
		if (slot->state != GMEM_PERSIST_SLOT_VALID)
			continue;
		CHECK(nr < SLOTS);
		found[nr++] = (struct gmem_found){
			.slot = slot, .id = id, .ranges = ranges_of(slot) };
		CHECK(!gmem_slot_check_ranges(slot, ranges_of(slot), &pool));
	}
	return nr;
}

/* All that is told of is good, and nothing else is kept. Lack of memory changes nothing. */
static void judge(struct gmem_found *found, unsigned int nr, unsigned long *owned)
{
	struct gmem_range part;
	unsigned int i;

	memset(owned, 0, GRANULES / 8);
	kvmalloc_fail_after = random_below(8);
	while (gmem_record_judge(found, nr, &arena, owned)) {
		for (i = 0; i < GRANULES / 64; i++)
			CHECK(!owned[i]);
		kvmalloc_fail_after = -1;
	}
	kvmalloc_fail_after = -1;
	for (i = 0; i < nr; i++)
		CHECK(!found[i].bad && !found[i].lost && found[i].depth == 1);
	CHECK(!gmem_arena_next_kept(&arena, owned, 0, &part));
}

/* What the record tells of are the objects that it shall tell of, as they are. */
static void check_found(const struct gmem_found *found, unsigned int nr)
{
	unsigned int i = 0;
	u32 id;

	for (id = 0; id < SLOTS; id++) {
		const struct object *o = &objects[id];
		const struct gmem_object_ser *slot;

		if (!o->told)
			continue;
		CHECK(i < nr && found[i].id == id);
		slot = found[i].slot;
		CHECK_TEXT(slot->name, o->name);
		CHECK_EQ(slot->mode, o->mode);
		CHECK(gmem_slot_token_good(slot));
		CHECK(!memcmp(slot->token, o->token, sizeof(o->token)));
		CHECK_EQ(slot->nr_ranges, o->mem.nr);
		CHECK(!memcmp(found[i].ranges, o->mem.r, o->mem.nr * sizeof(*o->mem.r)));
		check_memory(id);
		i++;
	}
	CHECK_EQ(i, nr);
}

/* Does the record tell that an object has it? What is on its way to it is nobody's. */
static bool is_told(const struct object *o, unsigned int g)
{
	unsigned int i;

	for (i = 0; o->told && i < o->mem.nr; i++)
		if (addr_of(g) >= o->mem.r[i].base && addr_of(g) < gmem_range_end(&o->mem.r[i]))
			return true;
	return false;
}

static void do_reboot(void)
{
	static unsigned long owned[GRANULES / 64];
	struct gmem_found found[SLOTS];
	unsigned int i, nr, g;
	u32 id;

	on_store = NULL;
	show_slots();
	ours = NOBODY;
	seal();

	CHECK(!gmem_header_check(header, &pool));
	CHECK(gmem_block_page_good(page, BLOCKS));
	gmem_chunks_forget();
	for (i = 0; i < header->nr_slot_chunks; i++)
		gmem_chunks_add(chunk_at(i), header->slot_chunks[i].order);
	start_arena();
	nr = read_slots(found, true);
	judge(found, nr, owned);
	check_found(found, nr);

	for (g = 0; g < GRANULES; g++) {
		if (model[g].owner != NOBODY && !is_told(&objects[model[g].owner], g))
			model[g].owner = NOBODY;
		CHECK_EQ(owned[g / 64] >> g % 64 & 1, model[g].owner != NOBODY);
	}
	for (id = 0; id < SLOTS; id++) {
		objects[id].more.nr = 0;
		if (!objects[id].told)
			forget(&objects[id]);
	}
	gmem_arena_settle(&arena);
	gmem_header_seal(header, GMEM_PERSIST_STATE_OPEN);
}

static void check_all(void)
{
	static unsigned long owned[GRANULES / 64];
	struct gmem_found found[SLOTS];
	unsigned int g, nr;
	u32 id;

	for (g = 0; g < GRANULES; g++) {
		check_granule(g);
		/* I6 */
		CHECK_EQ(is_free(g), model[g].owner == NOBODY);
		CHECK_EQ(is_kept(g), model[g].owner != NOBODY && objects[model[g].owner].told);
	}
	for (id = 0; id < gmem_slot_count(); id++) {
		CHECK(!gmem_slot_check(slot_at(id)));
		CHECK_EQ(slot_at(id)->state,
			 id >= SLOTS || !objects[id].used ? GMEM_PERSIST_SLOT_UNUSED :
			 objects[id].told ? GMEM_PERSIST_SLOT_VALID : GMEM_PERSIST_SLOT_HIDDEN);
	}
	nr = read_slots(found, false);
	check_found(found, nr);
	judge(found, nr, owned);
}

static void start(void)
{
	unsigned int i;

	header = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	memset(header, 0, PAGE_SIZE);
	memset(page, 0, PAGE_SIZE);
	header->magic = GMEM_PERSIST_MAGIC;
	header->nr_extents = pool.nr;
	for (i = 0; i < pool.nr; i++)
		header->extents[i] = (struct gmem_range_ser){ pool.r[i].base, pool.r[i].size };
	header->nr_block_chunks = 1;
	header->block_chunks[0].phys = (uintptr_t)page;
	for (i = 0; i < 2; i++) {
		bad_pages[i] = aligned_alloc(PAGE_SIZE << GMEM_PERSIST_BAD_ORDER,
					     PAGE_SIZE << GMEM_PERSIST_BAD_ORDER);
		header->bad[i] = (uintptr_t)bad_pages[i];
	}
	page->nr = BLOCKS;
	for (i = 0; i < GRANULES; i++) {
		model[i].owner = NOBODY;
		model[i].wrote = ~0;
	}
	for (i = 0; i < BLOCKS; i++)
		memset(page->blocks[i].dirty, 0xff, sizeof(page->blocks[i].dirty));
	start_arena();
	gmem_arena_settle(&arena);
}

static void stop(void)
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++)
		forget(&objects[i]);
	for (i = 0; i < header->nr_slot_chunks; i++)
		free(chunk_at(i));
	gmem_chunks_forget();
	free(bad_pages[0]);
	free(bad_pages[1]);
	free(header);
	free(page);
}

static void (* const operations[])(void) = {
	do_create, do_create, do_create, do_create, do_create_in_vain, do_write, do_write,
	do_rename, do_chmod, do_grow, do_grow, do_shrink, do_end, do_end, do_clean, do_clean,
};

static void random_life(void)
{
	static unsigned int reboots, halfway;

	random_start(0x51075);
	start();
	check_all();
	for (; where->step < random_rounds(5000); where->step++) {
		/* A kernel that was in the middle of something is gone with all that it knew. */
		if (setjmp(replaced)) {
			halfway++;
			do_reboot();
		} else if (!random_below(100)) {
			reboots++;
			do_reboot();
		} else {
			operations[random_below(ARRAY_SIZE(operations))]();
		}
		check_all();
	}
	CHECK(reboots && halfway);
	stop();
}

const struct test slots_model_tests[] = {
	TEST(random_life),
	{}
};
