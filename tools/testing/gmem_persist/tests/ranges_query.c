// SPDX-License-Identifier: GPL-2.0
/*
 * Questions to sets, which change nothing; and lists, which are only appended to.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/errno.h>

#include "picture.h"

static void check_contain(const char *picture, const char *range, bool expected)
{
	struct gmem_ranges set = picture_set(picture, '#', 0);
	struct gmem_range r = picture_range(range, '#');

	CHECK_EQ(gmem_ranges_contain(&set, r.base, r.size), expected);
	picture_check(&set, picture);
	free(set.r);
}

#define contain(...) AT(check_contain(__VA_ARGS__))

/* A set contains a range if one entry holds it from end to end. */
static void contain_range(void)
{
	contain("..........",
		"...####...", false);
	/* all of it, its head, its tail, its middle */
	contain(".##.####..",
		"....####..", true);
	contain(".##.####..",
		"....##....", true);
	contain(".##.####..",
		"......##..", true);
	contain(".##.####..",
		".....##...", true);
	contain(".##.####..",
		".##.......", true);
	/* too far to the left, to the right, both */
	contain(".##.####..",
		"...##.....", false);
	contain(".##.####..",
		".......##.", false);
	contain(".##.####..",
		"...######.", false);
	/* across a gap, in a gap, before and behind all */
	contain(".##.####..",
		".#######..", false);
	contain(".##.####..",
		"...#......", false);
	contain(".##.####..",
		"#.........", false);
	contain(".##.####..",
		"........#.", false);
}

/* No range at all and one that wraps around are contained in nothing. */
static void contain_malformed(void)
{
	struct gmem_ranges set = picture_set("..####..", '#', 0);
	u64 inside = set.r[0].base + UNIT;

	CHECK(!gmem_ranges_contain(&set, inside, 0));
	CHECK(!gmem_ranges_contain(&set, inside, -inside));
	CHECK(!gmem_ranges_contain(&set, inside, -inside + UNIT));
	CHECK(!gmem_ranges_contain(&set, inside, -1ULL));
	CHECK(gmem_ranges_contain(&set, inside, 1));
	CHECK(gmem_ranges_contain(&set, gmem_range_end(&set.r[0]) - 1, 1));
	CHECK(!gmem_ranges_contain(&set, gmem_range_end(&set.r[0]), 1));
	CHECK(!gmem_ranges_contain(&set, set.r[0].base - 1, 1));
	free(set.r);
}

/* @expected: the part, or NULL if there is none */
static void check_overlap(const char *picture, const char *range,
			  const char *expected)
{
	struct gmem_ranges set = picture_set(picture, '#', 0);
	struct gmem_range r = picture_range(range, '#'), e, part = { 1, 2 };
	bool overlaps = gmem_ranges_overlap(&set, r.base, r.size, &part);

	CHECK_EQ(gmem_ranges_overlap(&set, r.base, r.size, NULL), overlaps);
	CHECK_EQ(overlaps, !!expected);
	if (expected) {
		e = picture_range(expected, '#');
		CHECK_EQ(part.base, e.base);
		CHECK_EQ(part.size, e.size);
	}
	picture_check(&set, picture);
	free(set.r);
}

#define overlap(...) AT(check_overlap(__VA_ARGS__))

/* The first part of a range that is in a set. */
static void overlap_range(void)
{
	overlap("..........",
		"...####...", NULL);
	/* in gaps that it fills from end to end */
	overlap("..###..###",
		"##........", NULL);
	overlap("..###..###",
		".....##...", NULL);
	overlap("..###..#..",
		"........##", NULL);
	/* from the left, from the right */
	overlap("..###..###",
		".##.......",
		"..#.......");
	overlap("..###..##.",
		"....##....",
		"....#.....");
	overlap("..###..##.",
		"........##",
		"........#.");
	/* inside, the same, around */
	overlap("..###.....",
		"...#......",
		"...#......");
	overlap("..###.....",
		"..###.....",
		"..###.....");
	overlap("..###.....",
		".#####....",
		"..###.....");
	/* several parts: the first one */
	overlap("..###..##.",
		"...######.",
		"...##.....");
	overlap("..###..##.",
		".....####.",
		".......##.");
}

static void bytes_of_set(void)
{
	struct gmem_ranges set = picture_set("#...|##..|.#.#", '#', 0);

	CHECK_EQ(gmem_ranges_bytes(&set), 5 * UNIT);
	free(set.r);
}

static void check_equal(const char *one, const char *two, bool expected)
{
	struct gmem_ranges a = picture_set(one, '#', 0);
	struct gmem_ranges b = picture_set(two, '#', 3);

	CHECK_EQ(gmem_ranges_equal(&a, &b), expected);
	CHECK_EQ(gmem_ranges_equal(&b, &a), expected);
	free(a.r);
	free(b.r);
}

#define equal(...) AT(check_equal(__VA_ARGS__))

/* Sets are equal if they cover the same, however much room they have. */
static void equal_sets(void)
{
	struct gmem_ranges a = {}, b = {};

	equal("......",
	      "......", true);
	equal("##..##",
	      "##..##", true);
	/* only the end, only the beginning, only the last entry differs */
	equal("##....",
	      "###...", false);
	equal("###...",
	      ".##...", false);
	equal("##..##",
	      "##..#.", false);
	/* one is the beginning of the other */
	equal("##..##",
	      "##....", false);
	equal("##....",
	      "......", false);
	/* Empty sets need not even have an array. */
	CHECK(gmem_ranges_equal(&a, &b));
	CHECK_EQ(gmem_ranges_bytes(&a), 0);
	CHECK(!gmem_ranges_contain(&a, 0, 1));
	CHECK(!gmem_ranges_overlap(&a, 0, 1, NULL));
	CHECK_EQ(gmem_ranges_remove(&a, 0, 1), -ENOENT);
	CHECK_EQ(gmem_ranges_add(&a, 0, 1), -ENOMEM);
	CHECK_EQ(gmem_ranges_append(&a, 0, 1), -ENOMEM);
}

/*
 * A list keeps the order in which it was appended to; only what continues its last
 * entry becomes part of it.
 *
 *	....cc..aabb..
 */
static void append_list(void)
{
	struct gmem_range *r = xmalloc(2 * sizeof(*r));
	struct gmem_ranges list = { .r = r, .cap = 2 };

	CHECK_EQ(gmem_ranges_append(&list, 8 * UNIT, 2 * UNIT), 0);
	CHECK_EQ(list.nr, 1);
	CHECK_EQ(gmem_ranges_append(&list, 10 * UNIT, 2 * UNIT), 0);
	CHECK_EQ(list.nr, 1);
	CHECK(r[0].base == 8 * UNIT && r[0].size == 4 * UNIT);
	CHECK_EQ(gmem_ranges_append(&list, 4 * UNIT, 2 * UNIT), 0);
	CHECK_EQ(list.nr, 2);
	CHECK(r[0].base == 8 * UNIT && r[0].size == 4 * UNIT);
	CHECK(r[1].base == 4 * UNIT && r[1].size == 2 * UNIT);

	/* Full: what would be an entry of its own is refused, ... */
	CHECK_EQ(gmem_ranges_append(&list, 12 * UNIT, UNIT), -ENOMEM);
	CHECK_EQ(gmem_ranges_append(&list, 3 * UNIT, UNIT), -ENOMEM);
	CHECK_EQ(list.nr, 2);
	CHECK(r[0].base == 8 * UNIT && r[0].size == 4 * UNIT);
	CHECK(r[1].base == 4 * UNIT && r[1].size == 2 * UNIT);
	/* ... what continues the last one is not, wherever that leads. */
	CHECK_EQ(gmem_ranges_append(&list, 6 * UNIT, 2 * UNIT), 0);
	CHECK_EQ(list.nr, 2);
	CHECK(r[1].base == 4 * UNIT && r[1].size == 4 * UNIT);
	CHECK_EQ(gmem_ranges_bytes(&list), 8 * UNIT);
	free(r);
}

const struct test ranges_query_tests[] = {
	TEST(contain_range),
	TEST(contain_malformed),
	TEST(overlap_range),
	TEST(bytes_of_set),
	TEST(equal_sets),
	TEST(append_list),
	{}
};
