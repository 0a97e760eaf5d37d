// SPDX-License-Identifier: GPL-2.0
/*
 * Choosing memory for an object.
 *
 * The second picture of a case is the set afterwards, with what was chosen drawn
 * as letters: a is what the object uses first, then b, and so on.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/errno.h>

#include "picture.h"

static void check_alloc(u64 granule, const char *before, unsigned int units,
			int err, const char *after)
{
	struct gmem_extents set = picture_set(before, '#', 0);
	struct gmem_extents part, out = {};
	unsigned int nr = set.nr;
	char letter;

	/* The room that is asked for, and no more */
	free(set.r);
	set = picture_set(before, '#', nr);
	out.cap = 3 * nr;
	out.r = xmalloc(out.cap * sizeof(*out.r));

	CHECK_EQ(gmem_extents_alloc(&set, units * UNIT, granule, &out), err);
	picture_check(&set, after);
	CHECK_EQ(gmem_extents_bytes(&out), err ? 0 : units * UNIT);
	for (letter = 'a'; letter < 'a' + out.nr; letter++) {
		part = picture_set(after, letter, 0);
		CHECK_EQ(part.nr, 1);
		CHECK_EQ(out.r[letter - 'a'].base, part.r[0].base);
		CHECK_EQ(out.r[letter - 'a'].size, part.r[0].size);
		free(part.r);
	}
	CHECK(!strchr(after, letter));

	free(out.r);
	free(set.r);
}

#define alloc_2m(...) AT(check_alloc(SZ_2M, __VA_ARGS__))
#define alloc_1g(...) AT(check_alloc(SZ_1G, __VA_ARGS__))

/* 2 MiB granules come first from where no 1 GiB granule fits. */
static void small_from_ragged_ends(void)
{
	/* too small for one, or across two: all of it is ragged */
	alloc_2m(".###|....", 2, 0,
		 ".aa#|....");
	alloc_2m(".###|###.", 6, 0,
		 ".aaa|aaa.");
	/* the head: in part, all */
	alloc_2m("..##|####|##..", 1, 0,
		 "..a#|####|##..");
	alloc_2m("..##|####|##..", 2, 0,
		 "..aa|####|##..");
	/* the head and the tail, in part and all */
	alloc_2m("..##|####|##..", 3, 0,
		 "..aa|####|b#..");
	alloc_2m("..##|####|##..", 4, 0,
		 "..aa|####|bb..");
	/* a tail without a head */
	alloc_2m("....|####|##..", 1, 0,
		 "....|####|a#..");
	/* of several ranges, by address */
	alloc_2m("#...|####|....|.###|####|##..|####", 6, 0,
		 "a...|####|....|.bbb|####|cc..|####");
	alloc_2m("..##|....|####|....|##..", 4, 0,
		 "..aa|....|####|....|bb..");
}

/*
 * When that is not enough, the rest comes from 1 GiB-aligned parts; and as these
 * are what large leaves can map, the object begins with them.
 */
static void small_then_from_cores(void)
{
	alloc_2m("..##|####|##..", 6, 0,
		 "..bb|aa##|cc..");
	/* all there is */
	alloc_2m("..##|####|##..", 8, 0,
		 "..bb|aaaa|cc..");
	alloc_2m("####", 4, 0,
		 "aaaa");
	/* with no head, the tail continues what is before it */
	alloc_2m("####|##..", 6, 0,
		 "aaaa|aa..");
	/* but not if something is left between the two */
	alloc_2m("####|##..", 4, 0,
		 "aa##|bb..");
	/* the ragged end of one, the core of another */
	alloc_2m("#...|####|....|####|##..", 7, 0,
		 "b...|aaaa|....|####|cc..");
}

/* Of parts that hold it all, the smallest; of equal ones, the first. */
static void best_fit(void)
{
	alloc_2m("####|####|....|####|....", 4, 0,
		 "####|####|....|aaaa|....");
	alloc_2m("####|####|....|####|....", 3, 0,
		 "####|####|....|aaa#|....");
	alloc_2m("####|....|####|####|####|....|####|####", 5, 0,
		 "####|....|####|####|####|....|aaaa|a###");
	alloc_2m("####|....|####", 4, 0,
		 "aaaa|....|####");
	alloc_1g("####|####|....|####|....", 4, 0,
		 "####|####|....|aaaa|....");
	alloc_1g("####|....|####|####|####|....|####|####", 8, 0,
		 "####|....|####|####|####|....|aaaa|aaaa");
	/* What counts is the aligned part, not what is around it. */
	alloc_1g("####|####|....|.###|####|####|###.", 4, 0,
		 "aaaa|####|....|.###|####|####|###.");
	alloc_1g(".###|####|###.|####|####|....", 4, 0,
		 ".###|aaaa|###.|####|####|....");
}

/* If no part holds it all, by address. */
static void spread_over_cores(void)
{
	alloc_2m("####|....|####|####|....|####", 12, 0,
		 "aaaa|....|bbbb|bbbb|....|####");
	alloc_2m("####|....|####|####|....|####", 10, 0,
		 "aaaa|....|bbbb|bb##|....|####");
	alloc_1g("####|....|####|####|....|####", 12, 0,
		 "aaaa|....|bbbb|bbbb|....|####");
	/* every core: a set of n ranges becomes one of 2 * n */
	alloc_1g("...#|####|#..#|####|#..#|####|#...", 12, 0,
		 "...#|aaaa|#..#|bbbb|#..#|cccc|#...");
	/* and the most that an object can be scattered: 3 * n */
	alloc_2m("...#|####|#..#|####|#..#|####|#...", 18, 0,
		 "...d|aaaa|e..f|bbbb|g..h|cccc|i...");
}

/* 1 GiB granules are taken whole, from where they are aligned. */
static void large(void)
{
	alloc_1g("..##|####|##..", 4, 0,
		 "..##|aaaa|##..");
	alloc_1g("..##|####|####|#...", 4, 0,
		 "..##|aaaa|####|#...");
	alloc_1g("..##|####|####|#...", 8, 0,
		 "..##|aaaa|aaaa|#...");
	alloc_1g(".###|###.|####|....", 4, 0,
		 ".###|###.|aaaa|....");
}

/* Not enough of the granule: nothing is changed. */
static void no_space(void)
{
	alloc_2m("....", 1, -ENOSPC,
		 "....");
	alloc_2m("##..|##..", 5, -ENOSPC,
		 "##..|##..");
	alloc_2m("..##|####|##..", 9, -ENOSPC,
		 "..##|####|##..");
	/* enough memory, but not in whole granules */
	alloc_1g("..##|##..", 4, -ENOSPC,
		 "..##|##..");
	alloc_1g("..##|####|##..", 8, -ENOSPC,
		 "..##|####|##..");
	alloc_1g(".###|####|###.|.###", 8, -ENOSPC,
		 ".###|####|###.|.###");
}

/* Sizes and granules that are none: nothing is changed. */
static void malformed(void)
{
	static const struct {
		u64 size, granule;
	} bad[] = {
		{ 0, SZ_2M }, { 0, SZ_1G },
		{ 1, SZ_2M }, { SZ_4K, SZ_2M }, { SZ_2M + SZ_4K, SZ_2M },
		{ SZ_2M - 1, SZ_2M }, { SZ_1M, SZ_2M },
		{ SZ_2M, SZ_1G }, { SZ_1G + SZ_2M, SZ_1G }, { SZ_1G - 1, SZ_1G },
		{ SZ_1G, 0 }, { SZ_1G, SZ_4K }, { SZ_1G, SZ_1M },
		{ SZ_1G, 2 * SZ_2M }, { SZ_1G, SZ_2M + 1 }, { SZ_1G, 3 },
		{ 4ULL * SZ_1G, 2ULL * SZ_1G }, { SZ_1G, -1ULL },
	};
	static const char picture[] = "####|####";
	struct gmem_extents set = picture_set(picture, '#', 8);
	struct gmem_range r[8];
	struct gmem_extents out = { .r = r, .cap = 8 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		where->step = i;
		CHECK_EQ(gmem_extents_alloc(&set, bad[i].size, bad[i].granule,
					    &out), -EINVAL);
		CHECK_EQ(out.nr, 0);
		picture_check(&set, picture);
	}

	/* A list that is not empty: its memory would be taken out of the set. */
	r[0] = (struct gmem_range){ ORIGIN, SZ_2M };
	out.nr = 1;
	CHECK_EQ(gmem_extents_alloc(&set, SZ_2M, SZ_2M, &out), -EINVAL);
	CHECK_EQ(out.nr, 1);
	picture_check(&set, picture);

	/* The largest size there is */
	out.nr = 0;
	CHECK_EQ(gmem_extents_alloc(&set, -(u64)SZ_2M, SZ_2M, &out), -ENOSPC);
	CHECK_EQ(out.nr, 0);
	picture_check(&set, picture);
	free(set.r);
}

/* Less room than is asked for, in either array: nothing is changed. */
static void no_room(void)
{
	static const char picture[] = "..##|####|##..|####|....";
	unsigned int room, cap;

	for (room = 0; room <= 2; room++) {
		for (cap = 0; cap <= 6; cap++) {
			struct gmem_extents set = picture_set(picture, '#', room);
			struct gmem_extents out = {
				.r = xmalloc(cap * sizeof(*out.r)), .cap = cap };
			bool fits = room >= set.nr && cap >= 3 * set.nr;

			CHECK_EQ(gmem_extents_alloc(&set, SZ_2M, SZ_2M, &out),
				 fits ? 0 : -ENOMEM);
			CHECK_EQ(out.nr, fits);
			if (!fits)
				picture_check(&set, picture);
			free(out.r);
			free(set.r);
		}
	}
}

const struct test extent_alloc_tests[] = {
	TEST(small_from_ragged_ends),
	TEST(small_then_from_cores),
	TEST(best_fit),
	TEST(spread_over_cores),
	TEST(large),
	TEST(no_space),
	TEST(malformed),
	TEST(no_room),
	{}
};
