// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations on a set, side by side with a model that is too simple to be
 * wrong: a bitmap of 2 MiB granules.
 *
 * Every operation is predicted from the bitmap, and after each one the set is
 * compared with the bitmap.
 * Arrays are as long as the descriptions of the functions ask for and not longer,
 * so that the address sanitizer sees every entry beyond.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/sizes.h>

#include "ranges.h"
#include "test.h"

#define GRANULE		((u64)SZ_2M)
#define PER_1G		(SZ_1G / SZ_2M)
#define NR_GRANULES	(72 * PER_1G)
#define WORDS		(NR_GRANULES / 64)
#define MAX_OBJECTS	96

struct bitmap {
	u64 word[WORDS];
};

/* Memory that is not in the set, and whose it is */
struct object {
	struct gmem_ranges mem;
};

static struct bitmap is_free;
static unsigned int nr_free;
static struct gmem_ranges set;
static struct object objects[MAX_OBJECTS];
static unsigned int nr_objects;

static bool test_bit(const struct bitmap *map, unsigned int i)
{
	return map->word[i / 64] >> (i % 64) & 1;
}

static void fill(struct bitmap *map, unsigned int i, unsigned int nr, bool value)
{
	while (nr) {
		unsigned int n = min(64 - i % 64, nr);
		u64 mask = (n == 64 ? ~0ULL : (1ULL << n) - 1) << (i % 64);

		if (value)
			map->word[i / 64] |= mask;
		else
			map->word[i / 64] &= ~mask;
		i += n;
		nr -= n;
	}
}

/* How many of these granules are free. */
static unsigned int count(unsigned int i, unsigned int nr)
{
	unsigned int found = 0;

	for (; nr; i++, nr--)
		found += test_bit(&is_free, i);
	return found;
}

/* The set must be the bitmap, written down in the only possible way. */
static void check_set(void)
{
	static struct bitmap seen;
	u64 end = 0;
	unsigned int i;

	CHECK(set.nr <= set.cap);
	memset(&seen, 0, sizeof(seen));
	for (i = 0; i < set.nr; i++) {
		const struct gmem_range *r = &set.r[i];

		CHECK(r->size && r->base % GRANULE == 0 && r->size % GRANULE == 0);
		CHECK(r->base > end || !i);
		end = r->base + r->size;
		CHECK(end > r->base && end <= NR_GRANULES * GRANULE);
		fill(&seen, r->base / GRANULE, r->size / GRANULE, true);
	}
	CHECK(!memcmp(&seen, &is_free, sizeof(seen)));
	CHECK_EQ(gmem_ranges_bytes(&set), nr_free * GRANULE);
}

/* Give an array a new length, in new memory. */
static void resize(struct gmem_ranges *x, unsigned int cap)
{
	struct gmem_range *r = xmalloc(cap * sizeof(*r));

	CHECK(cap >= x->nr);
	if (x->nr)
		memcpy(r, x->r, x->nr * sizeof(*r));
	free(x->r);
	x->r = r;
	x->cap = cap;
}

/* Room for one more or for none, by chance. */
static bool make_room(void)
{
	bool room = random_below(4);

	resize(&set, set.nr + room);
	return room;
}

static int remove_range(unsigned int i, unsigned int nr)
{
	bool room = make_room();
	bool hole = i && test_bit(&is_free, i - 1) &&
		    i + nr < NR_GRANULES && test_bit(&is_free, i + nr);
	int err = 0;

	if (!nr || count(i, nr) < nr)
		err = -ENOENT;
	else if (hole && !room)
		err = -ENOMEM;

	CHECK_EQ(gmem_ranges_contain(&set, i * GRANULE, nr * GRANULE),
		 err != -ENOENT);
	CHECK_EQ(gmem_ranges_remove(&set, i * GRANULE, nr * GRANULE), err);
	if (!err) {
		fill(&is_free, i, nr, false);
		nr_free -= nr;
	}
	check_set();
	return err;
}

static int add_range(unsigned int i, unsigned int nr)
{
	bool room = make_room();
	bool touches = (i && test_bit(&is_free, i - 1)) ||
		       (i + nr < NR_GRANULES && test_bit(&is_free, i + nr));
	int err = 0;

	if (!nr)
		err = -EINVAL;
	else if (count(i, nr))
		err = -EEXIST;
	else if (!touches && !room)
		err = -ENOMEM;

	CHECK_EQ(gmem_ranges_add(&set, i * GRANULE, nr * GRANULE), err);
	if (!err) {
		fill(&is_free, i, nr, true);
		nr_free += nr;
	}
	check_set();
	return err;
}

static void check_questions(unsigned int i, unsigned int nr)
{
	unsigned int first = i, end;
	struct gmem_range part;
	bool overlaps;

	while (first < i + nr && !test_bit(&is_free, first))
		first++;
	end = first;
	while (end < i + nr && test_bit(&is_free, end))
		end++;

	overlaps = gmem_ranges_overlap(&set, i * GRANULE, nr * GRANULE, &part);
	CHECK_EQ(overlaps, first < end);
	if (overlaps) {
		CHECK_EQ(part.base, first * GRANULE);
		CHECK_EQ(part.size, (end - first) * GRANULE);
	}
}

/* Give a piece of an object back, or, mostly, all of it. */
static void release(struct object *obj)
{
	bool all = random_below(4);

	do {
		unsigned int i = random_below(obj->mem.nr);
		struct gmem_range *r = &obj->mem.r[i];
		unsigned int nr = r->size / GRANULE, first = r->base / GRANULE;
		bool tail = random_below(2);

		if (!all && nr > 1)
			nr = 1 + random_below(nr);
		if (tail)
			first += r->size / GRANULE - nr;
		if (add_range(first, nr))
			continue;
		r->size -= nr * GRANULE;
		if (!tail)
			r->base += nr * GRANULE;
		if (!r->size)
			*r = obj->mem.r[--obj->mem.nr];
	} while (all && obj->mem.nr);

	if (!obj->mem.nr) {
		free(obj->mem.r);
		*obj = objects[--nr_objects];
	}
}

/* Take a range away. */
static void take(unsigned int i, unsigned int nr)
{
	struct gmem_ranges mem = {};

	if (remove_range(i, nr))
		return;
	resize(&mem, 1);
	CHECK_EQ(gmem_ranges_append(&mem, i * GRANULE, nr * GRANULE), 0);
	objects[nr_objects++] = (struct object){ .mem = mem };
}

static void step(void)
{
	static const unsigned int sizes[] = { 1, 8, 64, 700, 5000 };
	unsigned int i = random_below(NR_GRANULES);
	unsigned int max = sizes[random_below(5)];
	unsigned int nr = min(1 + random_below(max), NR_GRANULES - (u64)i);

	if (nr_objects == MAX_OBJECTS || (nr_objects && !nr_free)) {
		release(&objects[random_below(nr_objects)]);
		return;
	}

	switch (random_below(16)) {
	case 0 ... 8:
		take(i, nr);
		break;
	case 9:
		/* Mostly refused; what it adds, it takes out again. */
		if (!add_range(i, nr))
			while (remove_range(i, nr))
				;
		break;
	case 10:
		check_questions(i, nr);
		break;
	default:
		if (nr_objects)
			release(&objects[random_below(nr_objects)]);
		break;
	}
}

/* @pool: base and size in granules, in turns; ends with a size of 0 */
static void run_model(u64 seed, unsigned long steps, const unsigned int *pool)
{
	random_start(seed);
	memset(&is_free, 0, sizeof(is_free));
	nr_free = 0;
	set = (struct gmem_ranges){};
	for (; pool[1]; pool += 2)
		while (add_range(pool[0], pool[1]))
			;

	for (where->step = 0; where->step < random_rounds(steps); where->step++)
		step();

	while (nr_objects)
		release(&objects[random_below(nr_objects)]);
	free(set.r);
}

/* One range of 64 GiB, aligned to 1 GiB */
static void pool_of_64g(void)
{
	static const unsigned int pool[] = { 4 * PER_1G, 64 * PER_1G, 0, 0 };

	run_model(0x64, 60000, pool);
}

/* 8 GiB that begin and end in the middle of a 1 GiB granule */
static void pool_of_8g_ragged(void)
{
	static const unsigned int pool[] = { PER_1G + 77, 8 * PER_1G, 0, 0 };

	run_model(0x8, 120000, pool);
}

/* 24 GiB in several pieces, one of them smaller than 1 GiB, one at address 0 */
static void pool_in_pieces(void)
{
	static const unsigned int pool[] = {
		0, 3 * PER_1G + 1,
		4 * PER_1G - 1, 300,
		6 * PER_1G, 8 * PER_1G,
		20 * PER_1G + 511, 12 * PER_1G + 2,
		/* up to the end of what the bitmap can say */
		71 * PER_1G, PER_1G,
		0, 0
	};

	run_model(0x24, 80000, pool);
}

/* So little memory that most operations meet the edges */
static void pool_of_2g(void)
{
	static const unsigned int pool[] = { 511, 2 * PER_1G + 2, 0, 0 };

	run_model(0x2, 120000, pool);
}

const struct test ranges_model_tests[] = {
	TEST(pool_of_64g),
	TEST(pool_of_8g_ragged),
	TEST(pool_in_pieces),
	TEST(pool_of_2g),
	{}
};
