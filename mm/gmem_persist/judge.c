// SPDX-License-Identifier: GPL-2.0
/*
 * Which objects of a record can be believed beside each other.
 *
 * Pure logic, as record.c, which has looked at each of them alone. It is compiled in user
 * space, too.
 */
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/random.h>
#include <linux/siphash.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "arena.h"
#include "record.h"

/* In gmem_found.depth: it is on the way up that is being walked. */
#define GMEM_JUDGE_WALKED	U32_MAX

/**
 * struct gmem_judge - what it takes to compare all objects
 * @arena: the memory
 * @objs: the objects that were good by themselves, by ascending id
 * @nr: how many
 * @table: a hash table of them, with room for twice as many
 * @mask: its size less 1, a power of two less 1
 * @key: by which names are hashed; tenants choose them
 * @named: one bit per granule: an object names it, or one that lives has it
 * @disputed: likewise: more than one does, or the same one twice
 * @dispute: any of @disputed is set
 */
struct gmem_judge {
	const struct gmem_arena *arena;
	struct gmem_found **objs;
	unsigned int nr;
	struct gmem_found **table;
	u32 mask;
	hsiphash_key_t key;
	unsigned long *named;
	unsigned long *disputed;
	bool dispute;
};

static void gmem_judge_refuse(struct gmem_found *f, const char *why)
{
	/* The first reason is the one that leads to the others. */
	if (!f->bad)
		f->bad = why;
	f->depth = 0;
}

/* Length of a map of all granules */
static size_t gmem_judge_words(const struct gmem_arena *arena)
{
	return arena->nr_blocks * (GMEM_BLOCK_GRANULES / BITS_PER_LONG);
}

static int gmem_judge_alloc(struct gmem_judge *j, unsigned int nr)
{
	const size_t words = gmem_judge_words(j->arena);

	j->mask = roundup_pow_of_two(2 * nr) - 1;
	get_random_bytes(&j->key, sizeof(j->key));
	j->objs = kvmalloc_array(nr, sizeof(*j->objs), GFP_KERNEL);
	j->table = kvmalloc_array(j->mask + 1, sizeof(*j->table), GFP_KERNEL);
	j->named = kvmalloc_array(words, sizeof(*j->named), GFP_KERNEL);
	j->disputed = kvcalloc(words, sizeof(*j->disputed), GFP_KERNEL);
	return j->objs && j->table && j->named && j->disputed ? 0 : -ENOMEM;
}

static void gmem_judge_free(struct gmem_judge *j)
{
	kvfree(j->objs);
	kvfree(j->table);
	kvfree(j->named);
	kvfree(j->disputed);
}

/*
 * Who names a granule disputes it with all who do, also if he is refused for another reason:
 * nobody knows which of them is right.
 */
static void gmem_judge_dispute(struct gmem_judge *j, const struct gmem_found *f)
{
	const struct gmem_range_ser *r = f->ranges;
	unsigned int i;

	for (i = 0; r && i < f->slot->nr_ranges; i++, r++) {
		if (!gmem_arena_mark(j->arena, j->named, r->base, r->size))
			continue;
		gmem_arena_mark(j->arena, j->disputed, r->base, r->size);
		j->dispute = true;
	}
}

static const char *gmem_judge_memory(const struct gmem_judge *j, const struct gmem_found *f)
{
	const struct gmem_range_ser *r = f->ranges;
	unsigned int i;

	if (!r && f->slot->nr_ranges)
		return "a list of ranges is missing";
	for (i = 0; i < f->slot->nr_ranges; i++, r++) {
		if (!gmem_arena_is_kept(j->arena, r->base, r->size))
			return "its memory was not kept";
		if (j->dispute &&
		    gmem_arena_marked(j->arena, j->disputed, r->base, r->size))
			return "it overlaps another entry";
	}
	return NULL;
}

static void gmem_judge_own(const struct gmem_judge *j, const struct gmem_found *f,
			   unsigned long *owned)
{
	const struct gmem_range_ser *r = f->ranges;
	unsigned int i;

	for (i = 0; r && i < f->slot->nr_ranges; i++, r++)
		gmem_arena_mark(j->arena, owned, r->base, r->size);
}

static u32 gmem_judge_hash_uuid(const struct gmem_judge *j, const struct gmem_object_ser *slot)
{
	u32 words[4];

	/* A uuid is random, and nobody chooses it. */
	static_assert(sizeof(words) == sizeof(slot->uuid));
	memcpy(words, slot->uuid, sizeof(words));
	return words[0] ^ words[1] ^ words[2] ^ words[3];
}

/* Those that have no name are not all in one place of the table. */
static u32 gmem_judge_hash_name(const struct gmem_judge *j, const struct gmem_object_ser *slot)
{
	if (!slot->name[0])
		return gmem_judge_hash_uuid(j, slot);
	return hsiphash(slot->name, strlen(slot->name), &j->key) ^ slot->parent;
}

static bool gmem_judge_same_name(const struct gmem_object_ser *a,
				 const struct gmem_object_ser *b)
{
	return a->name[0] && a->parent == b->parent && !strcmp(a->name, b->name);
}

static bool gmem_judge_same_uuid(const struct gmem_object_ser *a,
				 const struct gmem_object_ser *b)
{
	return !memcmp(a->uuid, b->uuid, sizeof(a->uuid));
}

/*
 * Whoever shares what must be his alone is refused, and so is the other, unless that one
 * lives. Only the first of all that are the same gets into the table, so a thousand twins do
 * not make it slow.
 */
static void gmem_judge_twins(struct gmem_judge *j,
			     u32 (*hash)(const struct gmem_judge *j,
					 const struct gmem_object_ser *slot),
			     bool (*same)(const struct gmem_object_ser *a,
					  const struct gmem_object_ser *b),
			     const char *why)
{
	unsigned int i;
	u32 at;

	memset(j->table, 0, (j->mask + 1) * sizeof(*j->table));
	for (i = 0; i < j->nr; i++) {
		struct gmem_found *f = j->objs[i], *twin;

		at = hash(j, f->slot) & j->mask;
		while (j->table[at] && !same(j->table[at]->slot, f->slot))
			at = (at + 1) & j->mask;

		twin = j->table[at];
		if (!twin) {
			j->table[at] = f;
			continue;
		}
		if (!twin->depth)
			gmem_judge_refuse(twin, why);
		if (!f->depth)
			gmem_judge_refuse(f, why);
	}
}

/* The directory that an object is in; NULL if there is none, or it is the root. */
static struct gmem_found *gmem_judge_parent(const struct gmem_judge *j,
					    const struct gmem_found *f)
{
	/* Ids ascend: the object with the id i is one of the first i + 1. */
	unsigned int lo = 0, hi = f->slot->parent < j->nr ? f->slot->parent : j->nr;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (j->objs[mid]->id + 1ULL >= f->slot->parent)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo < j->nr && j->objs[lo]->id + 1ULL == f->slot->parent ? j->objs[lo] : NULL;
}

/* Is the directory that an object is in none that it can be found in? */
static bool gmem_judge_is_lost(const struct gmem_found *f, const struct gmem_found *dir)
{
	if (!dir)
		return f->slot->parent;
	/* Who comes to where he has been is in a circle. */
	return dir->bad || dir->depth == GMEM_JUDGE_WALKED ||
	       dir->slot->kind != GMEM_PERSIST_KIND_DIRECTORY;
}

/*
 * Walk up to the root, to a directory of which all is known, or to one that is lost, and then
 * once more to tell those on the way. What is lost is in a directory that is to be made.
 */
static void gmem_judge_place(const struct gmem_judge *j, struct gmem_found *f)
{
	struct gmem_found *at = f, *dir;
	u32 steps = 0, depth = 0;

	while (at && !at->depth) {
		at->depth = GMEM_JUDGE_WALKED;
		steps++;
		dir = gmem_judge_parent(j, at);
		at->lost = gmem_judge_is_lost(at, dir);
		if (at->lost)
			break;
		at = dir;
	}
	if (at)
		depth = at->depth == GMEM_JUDGE_WALKED ? 1 : at->depth;

	for (at = f; steps; at = --steps ? gmem_judge_parent(j, at) : NULL)
		at->depth = depth + steps;
}

/**
 * gmem_record_judge - decide which objects can be believed beside each other
 * @found: the objects, by ascending id. One with @bad set has been found bad by itself, and
 *	counts for nothing. The others have passed gmem_slot_check() and, unless they have
 *	depth, gmem_slot_check_ranges()
 * @nr: how many
 * @arena: the memory of the pool, in which the bits of the record tell what is kept
 * @owned: one bit per granule, see gmem_arena_mark(): those that living objects have
 *
 * Refused are: those with the same name in the same directory, or with the same uuid; those
 * with memory that was not kept, or that another object names, or that they name twice. Of two
 * that want the same, both are refused, in whatever order they stand.
 *
 * Lost are: those whose directory is none, or was refused; and of those that are in each other,
 * in a circle, one. Nothing is wrong with them but where they are: the caller makes a directory
 * in the root directory, one for all that were in the same one.
 *
 * Those that are good have a depth, and all of their granules are set in @owned. Memory that
 * is kept and not in @owned then is quarantined.
 *
 * It may be called again for objects that are found later, or for those that were refused,
 * with @bad set to NULL again. @owned is then as the objects that live have it, and these
 * stand in @found, too, with their depth. They are not judged: they cannot be refused, and
 * their @ranges may be NULL. But who wants the name, the uuid or the memory of one is refused,
 * and only he; and they may be directories of others. At first, @owned is all 0 and no object
 * has depth.
 *
 * Context: May sleep. The arena and the slots do not change.
 * Return: 0, or with nothing changed -ENOMEM.
 */
int gmem_record_judge(struct gmem_found *found, unsigned int nr, struct gmem_arena *arena,
		      unsigned long *owned)
{
	struct gmem_judge j = { .arena = arena };
	unsigned int i, good = 0;
	int err;

	if (!nr)
		return 0;
	err = gmem_judge_alloc(&j, nr);
	if (err)
		goto out;

	memcpy(j.named, owned, gmem_judge_words(arena) * sizeof(*owned));
	for (i = 0; i < nr; i++) {
		if (found[i].bad)
			continue;
		j.objs[j.nr++] = &found[i];
		if (!found[i].depth)
			gmem_judge_dispute(&j, &found[i]);
	}
	for (i = 0; i < j.nr; i++)
		if (!j.objs[i]->depth)
			j.objs[i]->bad = gmem_judge_memory(&j, j.objs[i]);

	gmem_judge_twins(&j, gmem_judge_hash_name, gmem_judge_same_name,
			 "another object has the same name");
	gmem_judge_twins(&j, gmem_judge_hash_uuid, gmem_judge_same_uuid,
			 "another object has the same uuid");

	for (i = 0; i < j.nr; i++) {
		if (j.objs[i]->bad)
			continue;
		gmem_judge_place(&j, j.objs[i]);
		good++;
	}
	/* Where all that name memory are good, they have all that is named. */
	if (good == j.nr)
		memcpy(owned, j.named, gmem_judge_words(arena) * sizeof(*owned));
	for (i = 0; good < j.nr && i < j.nr; i++)
		if (!j.objs[i]->bad)
			gmem_judge_own(&j, j.objs[i], owned);
out:
	gmem_judge_free(&j);
	return err;
}

/**
 * gmem_record_was_hidden - may a slot with a wrong checksum be forgotten
 * @slot: the slot
 * @arena: the memory of the pool, in which the bits of the record tell what is kept
 *
 * What it says is not believed, but if it says that its object was hidden, and no memory that
 * it names was kept, then nothing hangs on it.
 *
 * Context: Any.
 * Return: true if so.
 */
bool gmem_record_was_hidden(const struct gmem_object_ser *slot, const struct gmem_arena *arena)
{
	unsigned int i;

	if (slot->state != GMEM_PERSIST_SLOT_HIDDEN)
		return false;
	for (i = 0; i < GMEM_PERSIST_INLINE_RANGES; i++)
		if (gmem_arena_is_kept(arena, slot->ranges[i].base, SZ_2M))
			return false;
	return true;
}
