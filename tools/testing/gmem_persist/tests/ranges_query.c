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

/* The next piece must be this one, and the cursor must stand there after it. */
static void check_next(const struct gmem_ranges *list, struct gmem_cursor *c, u64 base, u64 size,
		       unsigned int i, u64 offset)
{
	struct gmem_range piece = {};

	CHECK(gmem_ranges_next(list, c, 2 * UNIT, &piece));
	CHECK_EQ(piece.base, base * UNIT);
	CHECK_EQ(piece.size, size * UNIT);
	CHECK_EQ(c->i, i);
	CHECK_EQ(c->offset, offset * UNIT);
}

#define next(...) AT(check_next(__VA_ARGS__))

/* There is none, however often one asks, and nothing is said of it. */
static void check_no_next(const struct gmem_ranges *list, struct gmem_cursor *c)
{
	struct gmem_range piece = { 1, 2 };
	struct gmem_cursor was;

	CHECK(!gmem_ranges_next(list, c, 2 * UNIT, &piece));
	was = *c;
	CHECK(!gmem_ranges_next(list, c, 2 * UNIT, &piece));
	CHECK(c->i == was.i && c->offset == was.offset);
	CHECK(c->i >= list->nr);
	CHECK(piece.base == 1 && piece.size == 2);
}

#define no_next(...) AT(check_no_next(__VA_ARGS__))

/*
 * A list of three ranges, the digit being the number of each:
 *
 *	"111.|00..|.22."
 *
 * In pieces of two characters it is 00, 11, 1 and 22.
 */
static struct gmem_range *three_ranges(struct gmem_ranges *list)
{
	*list = (struct gmem_ranges){ xmalloc(4 * sizeof(*list->r)), 0, 4 };
	CHECK_EQ(gmem_ranges_append(list, 4 * UNIT, 2 * UNIT), 0);
	CHECK_EQ(gmem_ranges_append(list, 0, 3 * UNIT), 0);
	CHECK_EQ(gmem_ranges_append(list, 9 * UNIT, 2 * UNIT), 0);
	return list->r;
}

/* All of it, once, in the order of the list */
static void next_all(void)
{
	struct gmem_cursor c = {};
	struct gmem_ranges list;

	three_ranges(&list);
	next(&list, &c, 4, 2, 1, 0);
	next(&list, &c, 0, 2, 1, 2);
	next(&list, &c, 2, 1, 2, 0);
	next(&list, &c, 9, 2, 3, 0);
	no_next(&list, &c);
	free(list.r);

	c = (struct gmem_cursor){};
	list = (struct gmem_ranges){};
	no_next(&list, &c);
}

/* What was taken away is not told of, whether the cursor stands in it, before or behind it. */
static void next_of_shorter(void)
{
	struct gmem_ranges list;
	struct gmem_range *r = three_ranges(&list);
	struct gmem_cursor c = {};

	next(&list, &c, 4, 2, 1, 0);
	next(&list, &c, 0, 2, 1, 2);
	/* The rest of the range is gone: exactly, */
	r[1].size = 2 * UNIT;
	next(&list, &c, 9, 2, 3, 0);
	/* ... and more than that, as the last one of the list. */
	c = (struct gmem_cursor){ .i = 1, .offset = 2 * UNIT };
	r[1].size = UNIT;
	list.nr = 2;
	no_next(&list, &c);
	/* All of the range */
	c = (struct gmem_cursor){ .i = 1, .offset = UNIT };
	list.nr = 1;
	no_next(&list, &c);
	/* All that it had told of, and more */
	c = (struct gmem_cursor){ .i = 3 };
	list.nr = 0;
	no_next(&list, &c);
	free(r);
}

/* What has come to be there is told of. */
static void next_of_longer(void)
{
	struct gmem_ranges list;
	struct gmem_range *r = three_ranges(&list);
	struct gmem_cursor c = { .i = 2 };

	next(&list, &c, 9, 2, 3, 0);
	no_next(&list, &c);
	CHECK_EQ(gmem_ranges_append(&list, 13 * UNIT, UNIT), 0);
	next(&list, &c, 13, 1, 4, 0);
	no_next(&list, &c);
	/* In the middle of the last one, which grows */
	c = (struct gmem_cursor){ .i = 3, .offset = UNIT / 2 };
	CHECK_EQ(gmem_ranges_append(&list, 14 * UNIT, UNIT / 2), 0);
	CHECK(gmem_ranges_next(&list, &c, 2 * UNIT, r));
	CHECK(r[0].base == 13 * UNIT + UNIT / 2 && r[0].size == UNIT);
	free(r);
}

/* Pieces of any size are the same memory as the list, in the same order. */
static void next_random(void)
{
	random_start(0xc0450);
	for (; where->step < random_rounds(2000); where->step++) {
		unsigned int nr = random_below(6), i;
		struct gmem_range r[6], copy[6], piece;
		struct gmem_ranges list = { r, nr, nr };
		struct gmem_cursor c = {};
		u64 most, done = 0, at;

		for (i = 0; i < nr; i++)
			r[i] = (struct gmem_range){ random_below(100) * UNIT,
						    (1 + random_below(9)) * UNIT };
		memcpy(copy, r, sizeof(copy));
		for (i = 0;; done += piece.size) {
			most = 1 + random_below(3 * UNIT);
			if (!gmem_ranges_next(&list, &c, most, &piece))
				break;
			CHECK(piece.size && piece.size <= most);
			for (at = done, i = 0; at >= r[i].size; i++)
				at -= r[i].size;
			CHECK_EQ(piece.base, r[i].base + at);
			/* It is that long, or the range ends. */
			CHECK(piece.size == most || at + piece.size == r[i].size);
			CHECK(at + piece.size <= r[i].size);
		}
		CHECK_EQ(done, gmem_ranges_bytes(&list));
		CHECK(!memcmp(copy, r, nr * sizeof(*r)));
	}
}

const struct test ranges_query_tests[] = {
	TEST(contain_range),
	TEST(contain_malformed),
	TEST(overlap_range),
	TEST(bytes_of_set),
	TEST(equal_sets),
	TEST(append_list),
	TEST(next_all),
	TEST(next_of_shorter),
	TEST(next_of_longer),
	TEST(next_random),
	{}
};
