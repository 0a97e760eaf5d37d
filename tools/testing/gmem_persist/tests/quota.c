// SPDX-License-Identifier: GPL-2.0
/*
 * What is used below directories, and may be.
 *
 * The tables are about this tree; capital letters are directories, N(x) is the quota of one:
 *
 *	/-+- A -+- B --- f
 *	  |     '- g
 *	  '- C --- h
 */
#include <stdlib.h>
#include <string.h>

#include <linux/errno.h>
#include <linux/slab.h>

#include "quota.h"
#include "test.h"

enum { A, B, C, F, G, H, NR, NEW = NR, ROOT = -1 };

static struct gmem_quota_item o[NR];

static struct gmem_quota *quota(int dir)
{
	return dir == ROOT ? NULL : o[dir].own;
}

static void make_dir(struct gmem_quota_item *item)
{
	item->own = xmalloc(sizeof(*item->own));
	gmem_quota_init(item->own, (struct gmem_usage){});
}

/* The tree, with @bytes in each file, instead of the one before */
static void start(u64 bytes)
{
	static const int in[NR] = { ROOT, A, ROOT, B, A, C };
	int i;

	for (i = 0; i < NR; i++)
		free(o[i].own);
	memset(o, 0, sizeof(o));
	for (i = 0; i < NR; i++) {
		if (i <= C)
			make_dir(&o[i]);
		else
			o[i].bytes = bytes;
		gmem_quota_add(&o[i], quota(in[i]));
	}
}

static void check_sums(void)
{
	int i;

	for (i = 0; i < NR; i++)
		gmem_quota_forget(&o[i]);
	for (i = 0; i < NR; i++)
		gmem_quota_count(&o[i]);
	for (i = 0; i < NR; i++)
		CHECK(gmem_quota_agrees(&o[i]));
}

/* What is used below each of the three directories */
struct used {
	struct gmem_usage a, b, c;
};

static void check_used(const struct used *used)
{
	CHECK_EQ(o[A].own->used.bytes, used->a.bytes);
	CHECK_EQ(o[A].own->used.names, used->a.names);
	CHECK_EQ(o[B].own->used.bytes, used->b.bytes);
	CHECK_EQ(o[B].own->used.names, used->b.names);
	CHECK_EQ(o[C].own->used.bytes, used->c.bytes);
	CHECK_EQ(o[C].own->used.names, used->c.names);
}

/* With 10 bytes in each file */
static const struct used at_first = { { 20, 3 }, { 10, 1 }, { 10, 1 } };

static void set_limits(const struct used *max)
{
	o[A].own->max = max->a;
	o[B].own->max = max->b;
	o[C].own->max = max->c;
}

/* A new object comes into a directory. */
static void new_names(void)
{
	static const struct {
		struct used max;
		int in;
		int err;
	} row[] = {
		{ { }, ROOT, 0 },
		{ { }, B, 0 },
		{ { { 0, 4 } }, A, 0 },
		{ { { 0, 4 } }, B, 0 },
		{ { { 0, 3 } }, A, -EDQUOT },
		{ { { 0, 3 } }, B, -EDQUOT },
		{ { { 0, 2 } }, B, -EDQUOT },
		{ { { 0, 3 } }, C, 0 },
		{ { { 0, 3 } }, ROOT, 0 },
		{ { .b = { 0, 1 } }, B, -EDQUOT },
		{ { .b = { 0, 1 } }, A, 0 },
		{ { .b = { 0, 2 } }, B, 0 },
		{ { { 0, 4 }, { 0, 1 } }, B, -EDQUOT },
		{ { { 0, 4 }, { 0, 2 } }, B, 0 },
		{ { .c = { 0, 1 } }, C, -EDQUOT },
		/* Nothing is full for a name that has no memory. */
		{ { { 20, 0 }, { 1, 0 } }, B, 0 },
		{ { { ~0ULL, ~0ULL } }, B, 0 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(row); i++) {
		where->step = i;
		start(10);
		set_limits(&row[i].max);
		CHECK_EQ(gmem_quota_may_add(quota(row[i].in), false), row[i].err);
		CHECK_EQ(gmem_quota_may_add(quota(row[i].in), true), row[i].err);
		check_used(&at_first);
	}
}

/* An object gets memory, and loses it again. */
static void memory(void)
{
	static const struct {
		struct used max;
		int who;
		u64 bytes;
		int err;
	} row[] = {
		{ { }, F, 100, 0 },
		{ { { 120, 0 } }, F, 100, 0 },
		{ { { 119, 0 } }, F, 100, -EDQUOT },
		{ { { 119, 0 } }, G, 100, -EDQUOT },
		{ { { 119, 0 } }, H, 100, 0 },
		{ { .b = { 110, 0 } }, F, 100, 0 },
		{ { .b = { 109, 0 } }, F, 100, -EDQUOT },
		{ { .b = { 109, 0 } }, G, 100, 0 },
		{ { { 121, 0 }, { 109, 0 } }, F, 100, -EDQUOT },
		{ { { 119, 0 }, { 111, 0 } }, F, 100, -EDQUOT },
		{ { { 20, 0 } }, F, 1, -EDQUOT },
		/* Below what is used */
		{ { { 19, 0 } }, F, 1, -EDQUOT },
		{ { { 1, 0 } }, F, ~0ULL, -EDQUOT },
		{ { { ~0ULL, 0 } }, F, ~0ULL, -EDQUOT },
		{ { { ~0ULL, 0 } }, F, ~0ULL - 20, 0 },
		/* Nobody counts names for it. */
		{ { { 0, 1 }, { 0, 1 } }, F, 100, 0 },
		{ { { 19, 0 } }, F, 0, 0 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(row); i++) {
		const int who = row[i].who;
		struct used used = at_first;

		where->step = i;
		start(10);
		set_limits(&row[i].max);
		CHECK_EQ(gmem_quota_take(&o[who], row[i].bytes), row[i].err);
		if (!row[i].err) {
			CHECK_EQ(o[who].bytes, 10 + row[i].bytes);
			used.a.bytes += who != H ? row[i].bytes : 0;
			used.b.bytes += who == F ? row[i].bytes : 0;
			used.c.bytes += who == H ? row[i].bytes : 0;
		}
		check_used(&used);
		check_sums();
		if (row[i].err)
			continue;
		gmem_quota_give(&o[who], row[i].bytes);
		CHECK_EQ(o[who].bytes, 10);
		check_used(&at_first);
		check_sums();
	}
}

/* What has a limit, or does not, is moved, or changes places with something. */
static void moving(void)
{
	static const struct {
		struct used max;
		int who;
		int to;
		int other;
		int err;
		struct used used;
	} row[] = {
		/* A file */
		{ { }, F, C, NEW, 0, { { 10, 2 }, { 0, 0 }, { 20, 2 } } },
		{ { }, F, A, NEW, 0, { { 20, 3 }, { 0, 0 }, { 10, 1 } } },
		{ { }, F, ROOT, NEW, 0, { { 10, 2 }, { 0, 0 }, { 10, 1 } } },
		{ { }, H, B, NEW, 0, { { 30, 4 }, { 20, 2 }, { 0, 0 } } },
		{ { .c = { 20, 2 } }, F, C, NEW, 0, { { 10, 2 }, { 0, 0 }, { 20, 2 } } },
		{ { .c = { 19, 0 } }, F, C, NEW, -EDQUOT },
		{ { .c = { 0, 1 } }, F, C, NEW, -EDQUOT },
		{ { { 29, 0 } }, H, B, NEW, -EDQUOT },
		{ { { 0, 3 } }, H, B, NEW, -EDQUOT },
		{ { .b = { 0, 1 } }, H, B, NEW, -EDQUOT },
		{ { .b = { 0, 1 } }, H, A, NEW, 0, { { 30, 4 }, { 10, 1 }, { 0, 0 } } },
		/* Where the limit holds already, also one that is exceeded */
		{ { { 1, 1 } }, F, A, NEW, 0, { { 20, 3 }, { 0, 0 }, { 10, 1 } } },
		{ { { 1, 1 } }, G, B, NEW, 0, { { 20, 3 }, { 20, 2 }, { 10, 1 } } },
		{ { { 1, 1 }, { 19, 0 } }, G, B, NEW, -EDQUOT },
		{ { .b = { 1, 1 } }, F, B, NEW, 0, { { 20, 3 }, { 10, 1 }, { 10, 1 } } },
		{ { { 1, 1 }, { 1, 1 } }, F, ROOT, NEW, 0, { { 10, 2 }, { 0, 0 }, { 10, 1 } } },
		/* A directory with what is in it */
		{ { }, B, C, NEW, 0, { { 10, 1 }, { 10, 1 }, { 20, 3 } } },
		{ { .c = { 20, 3 } }, B, C, NEW, 0, { { 10, 1 }, { 10, 1 }, { 20, 3 } } },
		{ { .c = { 19, 3 } }, B, C, NEW, -EDQUOT },
		{ { .c = { 20, 2 } }, B, C, NEW, -EDQUOT },
		{ { }, C, B, NEW, 0, { { 30, 5 }, { 20, 3 }, { 10, 1 } } },
		/* Its own limit is not concerned. */
		{ { .c = { 1, 1 } }, C, B, NEW, 0, { { 30, 5 }, { 20, 3 }, { 10, 1 } } },
		{ { { 29, 0 } }, C, B, NEW, -EDQUOT },
		{ { }, A, C, NEW, 0, { { 20, 3 }, { 10, 1 }, { 30, 5 } } },
		/* In exchange: as much */
		{ { { 20, 3 }, { 10, 1 }, { 10, 1 } }, F, C, H, 0,
		  { { 20, 3 }, { 10, 1 }, { 10, 1 } } },
		{ { { 1, 1 }, { 1, 1 }, { 1, 1 } }, F, C, H, 0,
		  { { 20, 3 }, { 10, 1 }, { 10, 1 } } },
		/* More for less */
		{ { .c = { 0, 2 } }, B, C, H, 0, { { 20, 2 }, { 10, 1 }, { 10, 2 } } },
		{ { .c = { 0, 1 } }, B, C, H, -EDQUOT },
		{ { { 1, 1 } }, B, C, H, 0, { { 20, 2 }, { 10, 1 }, { 10, 2 } } },
		{ { { 0, 4 }, { 0, 2 } }, F, ROOT, C, 0, { { 20, 4 }, { 10, 2 }, { 10, 1 } } },
		{ { { 0, 3 } }, F, ROOT, C, -EDQUOT },
		{ { .b = { 0, 1 } }, F, ROOT, C, -EDQUOT },
		{ { { 19, 0 }, { 9, 0 } }, F, ROOT, C, 0, { { 20, 4 }, { 10, 2 }, { 10, 1 } } },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(row); i++) {
		struct gmem_quota_item *item = &o[row[i].who];
		struct gmem_quota_item *other = row[i].other == NEW ? NULL : &o[row[i].other];
		struct gmem_quota *from, *to;

		where->step = i;
		start(10);
		set_limits(&row[i].max);
		from = item->in;
		to = quota(row[i].to);
		CHECK_EQ(gmem_quota_move(item, to, other), row[i].err);
		CHECK(item->in == (row[i].err ? from : to));
		if (other)
			CHECK(other->in == (row[i].err ? to : from));
		check_used(row[i].err ? &at_first : &row[i].used);
		check_sums();
	}
}

/* In exchange for less memory, of two that differ */
static void moving_memory(void)
{
	start(10);
	CHECK_EQ(gmem_quota_take(&o[F], 5), 0);
	set_limits(&(struct used){ .c = { 14, 0 } });
	CHECK_EQ(gmem_quota_move(&o[F], quota(C), &o[H]), -EDQUOT);
	CHECK_EQ(gmem_quota_move(&o[H], quota(B), &o[F]), -EDQUOT);
	set_limits(&(struct used){ { 1, 0 }, { 1, 0 }, { 15, 0 } });
	CHECK_EQ(gmem_quota_move(&o[H], quota(B), &o[F]), 0);
	check_used(&(struct used){ { 20, 3 }, { 10, 1 }, { 15, 1 } });
	check_sums();
	/* Less than there is, and still too much */
	set_limits(&(struct used){ .a = { 19, 0 } });
	CHECK_EQ(gmem_quota_move(&o[F], quota(B), NULL), -EDQUOT);
	CHECK_EQ(gmem_quota_move(&o[F], quota(B), &o[H]), -EDQUOT);
	set_limits(&(struct used){ .a = { 25, 0 } });
	CHECK_EQ(gmem_quota_move(&o[F], quota(B), &o[H]), 0);
	check_sums();
}

/* What has no name any more counts, also when its directories have gone. */
static void ending(void)
{
	struct gmem_quota *b;

	start(10);
	gmem_quota_remove(&o[G]);
	check_used(&(struct used){ { 10, 2 }, { 10, 1 }, { 10, 1 } });
	CHECK(!o[G].in && !o[G].bytes);

	b = o[B].own;
	gmem_quota_remove(&o[B]);
	CHECK(b->gone && b->used.names == 1 && !o[B].own);
	CHECK_EQ(o[A].own->used.names, 1);
	CHECK_EQ(o[A].own->used.bytes, 10);
	/* It goes on being limited. */
	b->max.bytes = 11;
	CHECK_EQ(gmem_quota_take(&o[F], 2), -EDQUOT);
	CHECK_EQ(gmem_quota_take(&o[F], 1), 0);
	gmem_quota_give(&o[F], 1);
	/* So does the one above it. */
	gmem_quota_remove(&o[A]);
	CHECK_EQ(gmem_quota_take(&o[F], 2), -EDQUOT);
	CHECK_EQ(gmem_quota_take(&o[F], 1), 0);
	/* The last one takes both with it: if not, they are leaked, and ASan tells. */
	gmem_quota_remove(&o[F]);
	gmem_quota_remove(&o[H]);
	CHECK_EQ(o[C].own->used.names, 0);
	CHECK_EQ(o[C].own->used.bytes, 0);
	gmem_quota_remove(&o[C]);
	CHECK(!o[C].own);
}

static void room(void)
{
	static const struct {
		struct used max;
		int in;
		struct gmem_usage most, left;
	} row[] = {
		{ { }, ROOT, { 1000, 100 }, { 500, 50 } },
		{ { }, B, { 1000, 100 }, { 500, 50 } },
		{ { { 30, 0 } }, A, { 30, 100 }, { 10, 50 } },
		{ { { 30, 0 } }, B, { 30, 100 }, { 10, 50 } },
		{ { { 30, 0 } }, C, { 1000, 100 }, { 500, 50 } },
		{ { { 0, 5 } }, B, { 1000, 5 }, { 500, 2 } },
		{ { { 30, 5 }, { 12, 4 } }, B, { 12, 4 }, { 2, 2 } },
		{ { { 21, 4 }, { 20, 9 } }, B, { 20, 4 }, { 1, 1 } },
		/* More is used than may be. */
		{ { { 20, 3 } }, A, { 20, 3 }, { 0, 0 } },
		{ { { 1, 1 } }, B, { 1, 1 }, { 0, 0 } },
		/* The pool has less. */
		{ { { 5000, 500 } }, A, { 1000, 100 }, { 500, 50 } },
		{ { { 900, 90 } }, A, { 900, 90 }, { 500, 50 } },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(row); i++) {
		struct gmem_usage most = { 1000, 100 }, left = { 500, 50 };

		where->step = i;
		start(10);
		set_limits(&row[i].max);
		gmem_quota_room(quota(row[i].in), &most, &left);
		CHECK_EQ(most.bytes, row[i].most.bytes);
		CHECK_EQ(most.names, row[i].most.names);
		CHECK_EQ(left.bytes, row[i].left.bytes);
		CHECK_EQ(left.names, row[i].left.names);
	}
}

/* Directories in each other: as deep as they may be, and no deeper */
static void levels(void)
{
	static struct gmem_quota_item deep[GMEM_QUOTA_MAX_LEVELS], top, side, file;
	unsigned int i;

	for (i = 0; i < GMEM_QUOTA_MAX_LEVELS; i++) {
		struct gmem_quota *in = i ? deep[i - 1].own : NULL;

		CHECK_EQ(gmem_quota_may_add(in, true), 0);
		make_dir(&deep[i]);
		gmem_quota_add(&deep[i], in);
		CHECK_EQ(deep[0].own->levels, i + 1);
	}
	CHECK_EQ(gmem_quota_may_add(deep[i - 1].own, true), -ENAMETOOLONG);
	CHECK_EQ(gmem_quota_may_add(deep[i - 1].own, false), 0);
	CHECK_EQ(gmem_quota_may_add(deep[i - 2].own, true), 0);
	CHECK_EQ(deep[i - 1].own->levels, 1);

	make_dir(&top);
	gmem_quota_add(&top, NULL);
	gmem_quota_add(&file, NULL);
	/* One level is too much, also in exchange for a file. */
	CHECK_EQ(gmem_quota_move(&deep[0], top.own, NULL), -ENAMETOOLONG);
	CHECK_EQ(gmem_quota_move(&top, deep[i - 1].own, NULL), -ENAMETOOLONG);
	CHECK_EQ(gmem_quota_move(&file, deep[i - 1].own, NULL), 0);
	CHECK_EQ(gmem_quota_move(&file, NULL, &top), -ENAMETOOLONG);
	CHECK_EQ(gmem_quota_move(&top, deep[i - 1].own, &file), -ENAMETOOLONG);
	CHECK_EQ(deep[i - 1].own->levels, 1);
	CHECK_EQ(gmem_quota_move(&file, deep[i - 2].own, NULL), 0);
	CHECK_EQ(gmem_quota_move(&file, NULL, &top), 0);
	CHECK_EQ(gmem_quota_move(&top, NULL, NULL), 0);
	make_dir(&side);
	gmem_quota_add(&side, NULL);
	CHECK_EQ(gmem_quota_move(&file, NULL, NULL), 0);
	CHECK_EQ(gmem_quota_move(&file, deep[1].own, NULL), 0);
	CHECK_EQ(gmem_quota_move(&side, deep[1].own, &file), 0);
	CHECK_EQ(side.own->levels, 1);
	/* All but one level are moved into it: exactly as deep as before */
	CHECK_EQ(gmem_quota_move(&deep[3], side.own, NULL), 0);
	CHECK_EQ(side.own->levels, GMEM_QUOTA_MAX_LEVELS - 2);
	CHECK_EQ(deep[0].own->levels, GMEM_QUOTA_MAX_LEVELS);
	CHECK_EQ(deep[2].own->levels, 1);
	CHECK_EQ(gmem_quota_move(&side, deep[2].own, NULL), -ENAMETOOLONG);
}

/*
 * Whoever has been deeper may be taken to be as deep, until there is nothing left. What has
 * lost its name is there, too.
 */
static void stale_levels(void)
{
	struct gmem_quota_item a = {}, b = {}, c = {}, file = {};

	make_dir(&a);
	make_dir(&b);
	make_dir(&c);
	gmem_quota_add(&a, NULL);
	gmem_quota_add(&b, a.own);
	gmem_quota_add(&c, b.own);
	gmem_quota_add(&file, c.own);
	gmem_quota_remove(&c);
	CHECK_EQ(a.own->levels, 3);
	CHECK_EQ(b.own->levels, 2);
	gmem_quota_remove(&file);
	CHECK_EQ(a.own->levels, 3);
	CHECK_EQ(b.own->levels, 1);
	gmem_quota_remove(&b);
	CHECK_EQ(a.own->levels, 1);
	gmem_quota_remove(&a);
}

/* The check finds each sum that is wrong, and each that is in the wrong place. */
static void broken_sums(void)
{
	u64 *const wrong[] = {
		&o[F].bytes, &o[G].bytes, &o[H].bytes,
	};
	unsigned int i;
	int k, agrees;

	for (i = 0; i < ARRAY_SIZE(wrong) + 7; i++) {
		where->step = i;
		start(10);
		switch (i) {
		case 0:
		case 1:
		case 2:
			++*wrong[i];
			break;
		case 3:
			o[A].own->used.bytes++;
			break;
		case 4:
			o[B].own->used.names++;
			break;
		case 5:
			o[C].own->used.bytes--;
			break;
		case 6:
			o[C].own->used.names--;
			break;
		case 7:
			o[F].in = o[A].own;
			break;
		case 8:
			o[B].own->up = o[C].own;
			break;
		case 9:
			/* Empty ones, too */
			gmem_quota_remove(&o[H]);
			o[H] = (struct gmem_quota_item){};
			o[C].own->used.bytes = 1;
			break;
		}
		agrees = 0;
		for (k = 0; k < NR; k++)
			gmem_quota_forget(&o[k]);
		for (k = 0; k < NR; k++)
			if (o[k].in || o[k].own)
				gmem_quota_count(&o[k]);
		for (k = 0; k < NR; k++)
			agrees += gmem_quota_agrees(&o[k]);
		CHECK(agrees < NR);
		/* It says so itself. */
		CHECK(i != 8 || !gmem_quota_agrees(&o[B]));
	}
}

/*
 * Random lives, against a tree in which each sum is made anew by looking at all objects
 */

#define OBJECTS	64

static struct model {
	bool used, named, dir;
	int in;		/* the object that it counts in, or ROOT */
	u64 bytes;
	struct gmem_usage max;
	struct gmem_quota_item item;
} m[OBJECTS];

static bool below(int i, int dir)
{
	for (i = m[i].in; i != ROOT; i = m[i].in)
		if (i == dir)
			return true;
	return false;
}

static struct gmem_usage sum(int dir)
{
	struct gmem_usage use = {};
	int i;

	for (i = 0; i < OBJECTS; i++) {
		if (!m[i].used || !below(i, dir))
			continue;
		use.bytes += m[i].bytes;
		/* A directory that is gone passes on what it has, and is no name. */
		use.names += m[i].item.own || !m[i].dir;
	}
	return use;
}

static bool fits(u64 max, u64 before, u64 after)
{
	return !max || after <= before || after <= max;
}

/* Is what all limits say of before and after the same as what is said? */
static void check_limits(const struct gmem_usage *before, int err)
{
	bool fit = true;
	int i;

	for (i = 0; i < OBJECTS; i++) {
		const struct gmem_usage after = m[i].used && m[i].dir ? sum(i) :
							    (struct gmem_usage){};

		if (m[i].used && m[i].dir)
			fit = fit && fits(m[i].max.bytes, before[i].bytes, after.bytes) &&
			      fits(m[i].max.names, before[i].names, after.names);
	}
	CHECK_EQ(err, fit ? 0 : -EDQUOT);
}

static struct gmem_quota *model_quota(int dir)
{
	return dir == ROOT ? NULL : m[dir].item.own;
}

/* A directory of which one may make something, or the root */
static int any_dir(void)
{
	int i = random_below(OBJECTS + 1) - 1;

	return i != ROOT && m[i].used && m[i].dir && m[i].named ? i : ROOT;
}

static void note_sums(struct gmem_usage *sums)
{
	int i;

	for (i = 0; i < OBJECTS; i++)
		sums[i] = m[i].used && m[i].dir ? sum(i) : (struct gmem_usage){};
}

static void model_create(int i)
{
	struct gmem_usage before[OBJECTS];
	const int in = any_dir();
	const bool dir = random_below(2);
	int err = gmem_quota_may_add(model_quota(in), dir);

	note_sums(before);
	m[i] = (struct model){ .used = true, .named = true, .dir = dir, .in = in };
	if (dir)
		make_dir(&m[i].item);
	before[i] = (struct gmem_usage){};
	check_limits(before, err);
	if (!err) {
		gmem_quota_add(&m[i].item, model_quota(in));
		return;
	}
	free(m[i].item.own);
	m[i] = (struct model){};
}

static void model_grow(int i)
{
	struct gmem_usage before[OBJECTS];
	const u64 bytes = random_below(10);
	int err = gmem_quota_take(&m[i].item, bytes);

	note_sums(before);
	m[i].bytes += bytes;
	check_limits(before, err);
	if (err)
		m[i].bytes -= bytes;
}

static bool model_may_move(int i, int to)
{
	return to != i && (to == ROOT || !below(to, i));
}

static void model_move(int i)
{
	struct gmem_usage before[OBJECTS];
	int other = random_below(2) ? (int)random_below(OBJECTS) : ROOT;
	const int from = m[i].in;
	int to = any_dir(), err;

	if (other != ROOT) {
		if (!m[other].used || !m[other].named || other == i)
			return;
		to = m[other].in;
		if (!model_may_move(other, from))
			return;
	}
	/* What has lost its directory has lost its name. */
	if (!model_may_move(i, to))
		return;
	note_sums(before);
	err = gmem_quota_move(&m[i].item, model_quota(to), other == ROOT ? NULL : &m[other].item);
	m[i].in = to;
	if (other != ROOT)
		m[other].in = from;
	check_limits(before, err);
	if (!err)
		return;
	m[i].in = from;
	if (other != ROOT)
		m[other].in = to;
}

static bool empty(int dir)
{
	int i;

	for (i = 0; i < OBJECTS; i++)
		if (m[i].used && m[i].named && m[i].in == dir)
			return false;
	return true;
}

/* Nobody counts in it, by himself or by one that is gone. */
static bool forgotten(int dir)
{
	int i;

	for (i = 0; i < OBJECTS; i++)
		if (m[i].used && m[i].in == dir)
			return false;
	return true;
}

static void model_end(int i)
{
	int k;

	if (m[i].dir && !empty(i))
		return;
	gmem_quota_remove(&m[i].item);
	m[i].named = false;
	/* Those that are gone go with the last one, however many they are. */
	m[i].used = m[i].dir && !forgotten(i);
	for (k = 0; k < OBJECTS; k++)
		for (i = 0; i < OBJECTS; i++)
			if (m[i].used && m[i].dir && !m[i].item.own && forgotten(i))
				m[i].used = false;
}

static void model_check(void)
{
	int i;

	for (i = 0; i < OBJECTS; i++)
		if (m[i].used && (m[i].item.own || !m[i].dir))
			gmem_quota_forget(&m[i].item);
	for (i = 0; i < OBJECTS; i++)
		if (m[i].used && (m[i].item.own || !m[i].dir))
			gmem_quota_count(&m[i].item);
	for (i = 0; i < OBJECTS; i++) {
		struct gmem_usage use;

		if (!m[i].used || (m[i].dir && !m[i].item.own))
			continue;
		CHECK(gmem_quota_agrees(&m[i].item));
		CHECK_EQ(m[i].item.bytes, m[i].bytes);
		if (!m[i].dir)
			continue;
		use = sum(i);
		CHECK_EQ(m[i].item.own->used.bytes, use.bytes);
		CHECK_EQ(m[i].item.own->used.names, use.names);
	}
}

/* Another kernel: what has no name ends, and all else is added up from the root down. */
static void model_reboot(void)
{
	static const struct model none[OBJECTS];
	struct model old[OBJECTS];
	bool more = true;
	int i;

	for (i = 0; i < OBJECTS; i++)
		if (m[i].used && !m[i].named && (m[i].item.own || !m[i].dir))
			model_end(i);
	memcpy(old, m, sizeof(m));
	memcpy(m, none, sizeof(m));
	while (more) {
		more = false;
		for (i = 0; i < OBJECTS; i++) {
			if (m[i].used || !old[i].used ||
			    (old[i].in != ROOT && !m[old[i].in].used))
				continue;
			m[i] = old[i];
			m[i].item = (struct gmem_quota_item){ .bytes = m[i].bytes };
			if (m[i].dir) {
				make_dir(&m[i].item);
				m[i].item.own->max = m[i].max;
			}
			gmem_quota_add(&m[i].item, model_quota(m[i].in));
			more = true;
		}
	}
	for (i = 0; i < OBJECTS; i++) {
		CHECK_EQ(m[i].used, old[i].used);
		if (m[i].used && m[i].dir) {
			CHECK_EQ(m[i].item.own->used.bytes, old[i].item.own->used.bytes);
			CHECK_EQ(m[i].item.own->used.names, old[i].item.own->used.names);
			free(old[i].item.own);
		}
	}
}

static void model_step(void)
{
	const int i = random_below(OBJECTS);

	if (!m[i].used) {
		model_create(i);
		return;
	}
	/* Gone */
	if (m[i].dir && !m[i].item.own)
		return;
	switch (random_below(8)) {
	case 0:
		model_end(i);
		break;
	case 1:
		if (m[i].dir && m[i].named) {
			m[i].max.bytes = random_below(40);
			m[i].max.names = random_below(12);
			m[i].item.own->max = m[i].max;
		}
		break;
	case 2:
		/* It loses its name, and goes on. */
		if (!m[i].dir || empty(i))
			m[i].named = false;
		break;
	case 3:
		if (m[i].bytes) {
			const u64 bytes = random_below(m[i].bytes + 1);

			gmem_quota_give(&m[i].item, bytes);
			m[i].bytes -= bytes;
		}
		break;
	case 4:
	case 5:
		if (!m[i].dir)
			model_grow(i);
		break;
	default:
		if (m[i].named)
			model_move(i);
		break;
	}
}

static void lives(void)
{
	unsigned long step;

	random_start(11);
	for (step = 0; step < random_rounds(60000); step++) {
		where->step = step;
		model_step();
		model_check();
		if (!random_below(1000))
			model_reboot();
	}
}

const struct test quota_tests[] = {
	TEST(new_names),
	TEST(memory),
	TEST(moving),
	TEST(moving_memory),
	TEST(ending),
	TEST(room),
	TEST(levels),
	TEST(stale_levels),
	TEST(broken_sums),
	TEST(lives),
	{}
};
