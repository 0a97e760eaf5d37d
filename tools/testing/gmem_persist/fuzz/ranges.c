// SPDX-License-Identifier: GPL-2.0
/*
 * Sequences of operations on a set of ranges: next to the model of
 * tests/ranges_model.c, or with any numbers at all.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/errno.h>

#include "ranges.h"
#include "fuzz.h"

#define ROOM	64

/* Any number; more often one that is close to another, or to where it wraps */
static u64 number(const struct gmem_ranges *set)
{
	const struct gmem_range *r;

	switch (random_below(4)) {
	case 0:
		return random_next();
	case 1:
		return random_below(256) - 128;
	case 2:
		return (1ULL << random_below(64)) + random_below(16) - 8;
	}
	if (!set->nr)
		return 0;
	r = &set->r[random_below(set->nr)];
	return (random_below(2) ? r->base : gmem_range_end(r)) + random_below(16) - 8;
}

static void check_set(const struct gmem_ranges *set)
{
	unsigned int i;

	CHECK(set->nr <= set->cap);
	for (i = 0; i < set->nr; i++) {
		CHECK(set->r[i].size);
		CHECK(gmem_range_end(&set->r[i]) > set->r[i].base);
		CHECK(!i || gmem_range_end(&set->r[i - 1]) < set->r[i].base);
	}
}

/* Is all of the range in the set, or some of it? By looking at all of the set. */
static void look(const struct gmem_ranges *set, u64 base, u64 size, bool *all,
		 bool *some)
{
	unsigned int i;

	*all = false;
	*some = false;
	if (!size || base + size < base)
		return;
	for (i = 0; i < set->nr; i++) {
		u64 end = gmem_range_end(&set->r[i]);

		*all |= set->r[i].base <= base && base + size <= end;
		*some |= set->r[i].base < base + size && base < end;
	}
}

static void step(struct gmem_ranges *set)
{
	u64 base = number(set), size = number(set) - (random_below(2) ? base : 0);
	bool wraps = !size || base + size < base, all, some, was_all, was_some;
	u64 bytes = gmem_ranges_bytes(set);
	struct gmem_range old[ROOM], part;
	unsigned int nr = set->nr;
	int err;

	memcpy(old, set->r, nr * sizeof(*old));
	look(set, base, size, &was_all, &was_some);
	CHECK_EQ(gmem_ranges_contain(set, base, size), was_all);
	if (!wraps) {
		CHECK_EQ(gmem_ranges_overlap(set, base, size, &part), was_some);
		if (was_some) {
			CHECK(part.size && part.base >= base);
			CHECK(gmem_range_end(&part) <= base + size);
			CHECK(gmem_ranges_contain(set, part.base, part.size));
			CHECK(part.base == base ||
			      !gmem_ranges_overlap(set, base, part.base - base,
						   NULL));
		}
	}

	if (random_below(2)) {
		err = gmem_ranges_add(set, base, size);
		CHECK_EQ(err == -EINVAL, wraps);
		CHECK_EQ(err == -EEXIST, was_some);
		CHECK(!err || err == -EINVAL || err == -EEXIST ||
		      (err == -ENOMEM && nr == set->cap));
		look(set, base, size, &all, &some);
		CHECK(err || all);
		CHECK_EQ(gmem_ranges_bytes(set), bytes + (err ? 0 : size));
	} else {
		err = gmem_ranges_remove(set, base, size);
		CHECK_EQ(err == -ENOENT, !was_all);
		CHECK(!err || err == -ENOENT || (err == -ENOMEM && nr == set->cap));
		look(set, base, size, &all, &some);
		CHECK(err || !some);
		CHECK_EQ(gmem_ranges_bytes(set), bytes - (err ? 0 : size));
	}
	if (err)
		CHECK(set->nr == nr && !memcmp(old, set->r, nr * sizeof(*old)));
	check_set(set);
}

static void any_numbers(void)
{
	unsigned int cap = 1 + random_below(ROOM);
	struct gmem_ranges set = {
		.r = xmalloc(cap * sizeof(*set.r)), .cap = cap,
	};

	for (; fuzz_left(); where->step++)
		step(&set);
	free(set.r);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	unsigned int i, nr;

	fuzz_start(data, size);
	for (nr = 0; ranges_model_tests[nr].name; nr++)
		;
	i = random_below(2 * nr);
	if (i < nr)
		ranges_model_tests[i].run();
	else
		any_numbers();
	return 0;
}
