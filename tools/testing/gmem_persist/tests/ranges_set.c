// SPDX-License-Identifier: GPL-2.0
/*
 * Putting ranges into sets and taking them out again.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/errno.h>

#include "picture.h"

typedef int (*change_fn)(struct gmem_ranges *set, u64 base, u64 size);

/*
 * Apply @change to the set and range of two pictures, with @room spare entries,
 * and expect @err and the set of a third picture.
 */
static void change_range(change_fn change, unsigned int room, const char *before,
			 u64 base, u64 size, int err, const char *after)
{
	struct gmem_ranges set = picture_set(before, '#', room);
	unsigned int cap = set.cap;

	CHECK_EQ(change(&set, base, size), err);
	CHECK_EQ(set.cap, cap);
	picture_check(&set, after);
	free(set.r);
}

static void change_picture(change_fn change, unsigned int room,
			   const char *before, const char *range, int err,
			   const char *after)
{
	struct gmem_range r = picture_range(range, '#');

	change_range(change, room, before, r.base, r.size, err, after);
}

/* with room for one more entry, and without */
#define add(...) \
	AT(change_picture(gmem_ranges_add, 1, __VA_ARGS__))
#define add_tight(...) \
	AT(change_picture(gmem_ranges_add, 0, __VA_ARGS__))
#define remove(...) \
	AT(change_picture(gmem_ranges_remove, 1, __VA_ARGS__))
#define remove_tight(...) \
	AT(change_picture(gmem_ranges_remove, 0, __VA_ARGS__))

/*
 * Ranges that touch nothing become entries of their own, in their place. This is
 * what needs room for one more.
 */
static void add_apart(void)
{
	/* into nothing */
	add("..........",
	    "...####...", 0,
	    "...####...");
	/* before all */
	add(".....###..",
	    ".##.......", 0,
	    ".##..###..");
	/* behind all */
	add(".###......",
	    "......###.", 0,
	    ".###..###.");
	/* between two */
	add("##......##",
	    "...####...", 0,
	    "##.####.##");
	/* each of the gaps of a longer list, with lists of even and odd length */
	add("#...#...#...#",
	    "..#..........", 0,
	    "#.#.#...#...#");
	add("#...#...#...#",
	    "..........#..", 0,
	    "#...#...#.#.#");
	add("#...#...#...#...#",
	    "......#..........", 0,
	    "#...#.#.#...#...#");
}

/*
 * Ranges that touch others become one with them, which never needs room: the set
 * does not grow, or even shrinks.
 */
static void add_merge(void)
{
	/* with the left one */
	add_tight("####......",
		  "....###...", 0,
		  "#######...");
	add_tight("##..##..##",
		  "......#...", 0,
		  "##..###.##");
	/* with the right one */
	add_tight("......####",
		  "...###....", 0,
		  "...#######");
	add_tight("##..##..##",
		  "...#......", 0,
		  "##.###..##");
	/* with both */
	add_tight("###....###",
		  "...####...", 0,
		  "##########");
	add_tight("#.##..##.#",
		  "....##....", 0,
		  "#.######.#");
	/* with both at either end of a longer list */
	add_tight("#.#.#.#",
		  ".#.....", 0,
		  "###.#.#");
	add_tight("#.#.#.#",
		  ".....#.", 0,
		  "#.#.###");
}

/* What is in the set already must not be added again, in no part. */
static void add_overlap(void)
{
	/* the same */
	add("...####...",
	    "...####...", -EEXIST,
	    "...####...");
	/* from the left, by the smallest part */
	add("...####...",
	    ".###......", -EEXIST,
	    "...####...");
	/* from the right, by the smallest part */
	add("...####...",
	    "......###.", -EEXIST,
	    "...####...");
	/* inside, and around */
	add("...####...",
	    "....##....", -EEXIST,
	    "...####...");
	add("...####...",
	    "..######..", -EEXIST,
	    "...####...");
	/* touching one, overlapping the next */
	add("##....####",
	    "..#####...", -EEXIST,
	    "##....####");
	/* over several */
	add(".#.#.#.#.#",
	    "##########", -EEXIST,
	    ".#.#.#.#.#");
	/* That it overlaps is what is wrong with it, not that the set is full. */
	add_tight("...####...",
		  "..######..", -EEXIST,
		  "...####...");
}

/* Nothing cannot be added, nor what ends beyond all addresses or at the very end. */
static void add_malformed(void)
{
	static const char set[] = "..####..";
	const u64 top = -(u64)SZ_2M;

	AT(change_range(gmem_ranges_add, 1, set, ORIGIN, 0, -EINVAL, set));
	AT(change_range(gmem_ranges_add, 1, set, ORIGIN + 3 * UNIT, 0, -EINVAL,
			set));
	AT(change_range(gmem_ranges_add, 1, set, 0, 0, -EINVAL, set));
	AT(change_range(gmem_ranges_add, 1, set, top, 2 * SZ_2M, -EINVAL, set));
	AT(change_range(gmem_ranges_add, 1, set, top, SZ_2M, -EINVAL, set));
	AT(change_range(gmem_ranges_add, 1, set, ORIGIN, -ORIGIN, -EINVAL, set));
	AT(change_range(gmem_ranges_add, 1, set, SZ_2M, -1ULL, -EINVAL, set));
}

/* The last addresses before the very end are addresses like any other. */
static void add_high(void)
{
	const u64 top = -2 * (u64)SZ_2M;
	struct gmem_range r[1];
	struct gmem_ranges set = { .r = r, .cap = 1 };

	CHECK_EQ(gmem_ranges_add(&set, top, SZ_2M), 0);
	CHECK_EQ(set.nr, 1);
	CHECK(r[0].base == top && r[0].size == SZ_2M);
	CHECK(gmem_ranges_contain(&set, top, SZ_2M));
	CHECK(!gmem_ranges_contain(&set, top, 2 * SZ_2M));
	CHECK(!gmem_ranges_contain(&set, top, 3 * SZ_2M));
	CHECK(!gmem_ranges_contain(&set, top, -1ULL));
}

/* Without room, a range of its own is refused and the set is as it was. */
static void add_full(void)
{
	add_tight("..........",
		  "...####...", -ENOMEM,
		  "..........");
	add_tight(".##..##...",
		  "........##", -ENOMEM,
		  ".##..##...");
	add_tight("##......##",
		  "...####...", -ENOMEM,
		  "##......##");
}

/* The head, the tail or all of an entry: the set does not grow. */
static void remove_edge(void)
{
	/* head */
	remove_tight(".########.",
		     ".###......", 0,
		     "....#####.");
	/* tail */
	remove_tight(".########.",
		     "......###.", 0,
		     ".#####....");
	/* all */
	remove_tight(".########.",
		     ".########.", 0,
		     "..........");
	/* of one among others: first, middle, last */
	remove_tight("##.##.##",
		     "##......", 0,
		     "...##.##");
	remove_tight("##.##.##",
		     "...##...", 0,
		     "##....##");
	remove_tight("##.##.##",
		     "......##", 0,
		     "##.##...");
	remove_tight("##.##.##",
		     "...#....", 0,
		     "##..#.##");
	remove_tight("##.##.##",
		     "....#...", 0,
		     "##.#..##");
}

/* A hole makes two entries of one. */
static void remove_middle(void)
{
	remove(".########.",
	       "...####...", 0,
	       ".##....##.");
	remove("#.######.#",
	       "....#.....", 0,
	       "#.##.###.#");
	/* for which there must be room */
	remove_tight(".########.",
		     "...####...", -ENOMEM,
		     ".########.");
	remove_tight("#.######.#",
		     "....#.....", -ENOMEM,
		     "#.######.#");
}

/* What is not in the set from end to end stays as it is. */
static void remove_missing(void)
{
	/* from an empty set */
	remove("..........",
	       "...####...", -ENOENT,
	       "..........");
	/* nothing of it is there: before, between, behind */
	remove("..##..##..",
	       "##........", -ENOENT,
	       "..##..##..");
	remove("..##..##..",
	       "....##....", -ENOENT,
	       "..##..##..");
	remove("..##..##..",
	       "........##", -ENOENT,
	       "..##..##..");
	/* all but the first part, all but the last part */
	remove("...####...",
	       "..####....", -ENOENT,
	       "...####...");
	remove("...####...",
	       "....####..", -ENOENT,
	       "...####...");
	/* both ends, but not what is between them */
	remove("####..####",
	       "..######..", -ENOENT,
	       "####..####");
	/* That it is missing is what is wrong, not that the set is full. */
	remove_tight("...####...",
		     "..####....", -ENOENT,
		     "...####...");
}

static void remove_malformed(void)
{
	static const char set[] = "..####..";
	const u64 inside = ORIGIN + 3 * UNIT;

	AT(change_range(gmem_ranges_remove, 1, set, inside, 0, -ENOENT, set));
	AT(change_range(gmem_ranges_remove, 1, set, inside, -inside, -ENOENT,
			set));
	AT(change_range(gmem_ranges_remove, 1, set, inside, -inside + UNIT,
			-ENOENT, set));
	AT(change_range(gmem_ranges_remove, 1, set, inside, -1ULL, -ENOENT,
			set));
}

const struct test ranges_set_tests[] = {
	TEST(add_apart),
	TEST(add_merge),
	TEST(add_overlap),
	TEST(add_malformed),
	TEST(add_high),
	TEST(add_full),
	TEST(remove_edge),
	TEST(remove_middle),
	TEST(remove_missing),
	TEST(remove_malformed),
	{}
};
