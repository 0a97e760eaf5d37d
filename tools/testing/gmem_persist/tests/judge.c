// SPDX-License-Identifier: GPL-2.0
/*
 * Which objects are believed beside each other.
 *
 * The objects are o[0], o[1], ...; each is good by itself, in the root directory, with a name
 * and a uuid of its own and without memory, until a case says otherwise.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/errno.h>
#include <linux/siphash.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "records.h"

#define E_NAME		"another object has the same name"
#define E_UUID		"another object has the same uuid"
#define E_OVERLAP	"it overlaps another entry"
#define E_KEPT		"its memory was not kept"
#define E_LIST		"a list of ranges is missing"

#define MANY 65536
#define BLOCKS 4

static struct gmem_object_ser o[MANY];
static struct gmem_range_ser range[MANY][4];
static struct gmem_found f[MANY];
static unsigned int nr;

static struct gmem_arena arena;
static struct gmem_block blocks[BLOCKS];
static struct gmem_block_ser ser[BLOCKS];
static struct gmem_arena_node node;
static unsigned long owned[BLOCKS * 512 / 64];

/* Begin with @n objects, numbered 3, 5, 7, ..., and a pool of 4 GiB, of which 3 are kept. */
static void start(unsigned int n)
{
	unsigned int i;

	memset(o, 0, n * sizeof(*o));
	memset(range, 0, n * sizeof(*range));
	memset(ser, 0, sizeof(ser));
	memset(owned, 0, sizeof(owned));
	nr = n;
	for (i = 0; i < n; i++) {
		snprintf(o[i].name, sizeof(o[i].name), "object-%u", i);
		memcpy(o[i].uuid, &i, sizeof(i));
		f[i] = (struct gmem_found){ .slot = &o[i], .ranges = range[i], .id = 2 * i + 3 };
	}
	gmem_arena_init(&arena, blocks, BLOCKS, &node, 1);
	for (i = 0; i < BLOCKS; i++) {
		if (i < 3)
			memset(ser[i].kept, 0xff, sizeof(ser[i].kept));
		CHECK_EQ(gmem_arena_add_block(&arena, &ser[i], (4 + i) * G, 0), 0);
	}
}

static void directory(unsigned int i)
{
	o[i].kind = GMEM_PERSIST_KIND_DIRECTORY;
}

/* o[i] is in o[dir]. */
static void in(unsigned int i, unsigned int dir)
{
	o[i].parent = f[dir].id + 1;
}

/* o[i] has granules [first, first + n) of the pool. */
static void has(unsigned int i, unsigned int first, unsigned int n)
{
	range[i][o[i].nr_ranges++] = (struct gmem_range_ser){
		4 * G + first * (u64)SZ_2M, n * (u64)SZ_2M };
	o[i].size += n * (u64)SZ_2M;
}

static bool is_owned(unsigned int granule)
{
	return owned[granule / 64] >> granule % 64 & 1;
}

static void judge(void)
{
	CHECK_EQ(gmem_record_judge(f, nr, &arena, owned), 0);
}

/* Good, but not in the directory that it names; see verdict() */
#define LOST	"lost"

/* What is said of them, and that exactly those that are good own what they have */
static void check_verdict(const char *const *why)
{
	unsigned int i, k, g;
	u8 expected[BLOCKS * 512] = {};

	for (i = 0; i < nr; i++) {
		where->step = i;
		CHECK_EQ(f[i].lost, why[i] && !strcmp(why[i], LOST));
		CHECK_TEXT(f[i].bad, f[i].lost ? NULL : why[i]);
		CHECK_EQ(!f[i].depth, !!f[i].bad);
		for (k = 0; k < o[i].nr_ranges && !f[i].bad; k++)
			memset(expected + (range[i][k].base - 4 * G) / SZ_2M, 1,
			       range[i][k].size / SZ_2M);
	}
	for (g = 0; g < BLOCKS * 512; g++)
		CHECK_EQ(is_owned(g), expected[g]);
}

#define verdict(...) AT((judge(), check_verdict((const char *const []){ __VA_ARGS__ })))

static void alone(void)
{
	start(1);
	verdict(NULL);
	CHECK_EQ(f[0].depth, 1);
	start(1);
	has(0, 0, 1536);
	verdict(NULL);
	start(3);
	has(0, 0, 1);
	has(1, 1, 511);
	has(2, 700, 1);
	has(2, 512, 100);
	verdict(NULL, NULL, NULL);
}

static void names(void)
{
	start(4);
	strcpy(o[1].name, o[3].name);
	verdict(NULL, E_NAME, NULL, E_NAME);
	start(4);
	strcpy(o[0].name, "x");
	strcpy(o[1].name, "x");
	strcpy(o[3].name, "x");
	verdict(E_NAME, E_NAME, NULL, E_NAME);

	/* In different directories they do not meet. */
	start(4);
	directory(0);
	directory(1);
	in(2, 0);
	in(3, 1);
	strcpy(o[2].name, "x");
	strcpy(o[3].name, "x");
	verdict(NULL, NULL, NULL, NULL);
	start(3);
	directory(0);
	in(1, 0);
	in(2, 0);
	strcpy(o[1].name, o[2].name);
	verdict(NULL, E_NAME, E_NAME);

	/* What is bad by itself has no name. */
	start(2);
	strcpy(o[0].name, o[1].name);
	f[0].bad = "bad";
	verdict("bad", NULL);
	/* A name is not compared behind its end. */
	start(2);
	strcpy(o[0].name, "x");
	strcpy(o[1].name, "x");
	o[0].name[2] = 'z';
	verdict(E_NAME, E_NAME);
}

static void uuids(void)
{
	start(4);
	memcpy(o[1].uuid, o[2].uuid, 16);
	verdict(NULL, E_UUID, E_UUID, NULL);
	/* Wherever they are */
	start(3);
	directory(0);
	in(1, 0);
	memcpy(o[1].uuid, o[2].uuid, 16);
	verdict(NULL, E_UUID, E_UUID);
	start(2);
	o[1].uuid[0] = 0;
	o[1].uuid[15] = 1;
	verdict(NULL, NULL);
	start(3);
	memset(o[2].uuid, 0, 16);
	f[0].bad = "bad";
	verdict("bad", NULL, NULL);

	/* Who has another twin for another reason is a twin, too; the first reason stays. */
	start(3);
	strcpy(o[0].name, o[1].name);
	memcpy(o[1].uuid, o[2].uuid, 16);
	verdict(E_NAME, E_NAME, E_UUID);
}

static void directories(void)
{
	unsigned int i;

	/* Whichever stands first: the directory, or what is in it */
	start(5);
	directory(1);
	directory(3);
	directory(4);
	in(0, 3);
	in(1, 4);
	in(3, 1);
	verdict(NULL, NULL, NULL, NULL, NULL);
	CHECK_EQ(f[0].depth, 4);
	CHECK_EQ(f[1].depth, 2);
	CHECK_EQ(f[2].depth, 1);
	CHECK_EQ(f[3].depth, 3);
	CHECK_EQ(f[4].depth, 1);

	/* None, one that is no directory, one that is bad */
	start(4);
	directory(3);
	f[3].bad = "bad";
	o[0].parent = 1;
	in(1, 2);
	has(1, 0, 1);
	in(2, 3);
	verdict(LOST, LOST, LOST, "bad");
	for (i = 0; i < 3; i++)
		CHECK_EQ(f[i].depth, 2);
	start(1);
	o[0].parent = f[0].id + 2;
	verdict(LOST);
	start(1);
	o[0].parent = f[0].id + 1 + (1ULL << 32);
	verdict(LOST);
	start(1);
	o[0].parent = ~0ULL;
	verdict(LOST);
	/* The number of another slot is none, between those that there are. */
	start(3);
	directory(1);
	o[0].parent = f[1].id;
	o[2].parent = f[1].id + 2;
	verdict(LOST, NULL, LOST);

	/* One that is refused: what is in it is lost, and what is below that stays there. */
	start(6);
	for (i = 0; i < 5; i++)
		directory(i);
	strcpy(o[2].name, o[5].name);
	in(0, 1);
	in(1, 2);
	in(4, 3);
	verdict(NULL, LOST, E_NAME, NULL, NULL, E_NAME);
	CHECK_EQ(f[0].depth, 3);
	CHECK_EQ(f[1].depth, 2);
	CHECK_EQ(f[4].depth, 2);
}

/* One of each circle is lost, and the others are below it. */
static void circles(void)
{
	start(1);
	directory(0);
	in(0, 0);
	verdict(LOST);
	CHECK_EQ(f[0].depth, 2);
	/* It is no directory. */
	start(1);
	in(0, 0);
	verdict(LOST);
	start(5);
	directory(0);
	directory(1);
	directory(2);
	in(0, 1);
	in(1, 2);
	in(2, 0);
	in(3, 2);
	has(3, 0, 1);
	verdict(NULL, NULL, LOST, NULL, NULL);
	CHECK_EQ(f[0].depth, 4);
	CHECK_EQ(f[1].depth, 3);
	CHECK_EQ(f[2].depth, 2);
	CHECK_EQ(f[3].depth, 3);
	CHECK_EQ(f[4].depth, 1);
	/* From a tail into the circle */
	start(4);
	directory(0);
	directory(1);
	directory(2);
	in(0, 1);
	in(1, 2);
	in(2, 1);
	in(3, 0);
	verdict(NULL, NULL, LOST, NULL);
	CHECK_EQ(f[0].depth, 4);
	CHECK_EQ(f[1].depth, 3);
	CHECK_EQ(f[3].depth, 5);
	/* Two circles */
	start(4);
	directory(0);
	directory(1);
	directory(2);
	directory(3);
	in(0, 3);
	in(3, 0);
	in(1, 2);
	in(2, 1);
	verdict(NULL, NULL, LOST, LOST);
	/* It is found again where it was put: in a directory that is there now. */
	start(3);
	directory(0);
	directory(1);
	directory(2);
	in(0, 1);
	in(1, 0);
	verdict(NULL, LOST, NULL);
	in(1, 2);
	f[0].depth = 0;
	f[1].depth = 0;
	verdict(NULL, NULL, NULL);
	CHECK_EQ(f[1].depth, 2);
	CHECK_EQ(f[0].depth, 3);
}

static void memory(void)
{
	/* Each granule of it must be kept; the last GiB is not. */
	start(3);
	has(0, 0, 1);
	has(0, 1536, 1);
	has(1, 1535, 2);
	has(2, 1534, 1);
	verdict(E_KEPT, E_KEPT, NULL);

	/* Two want the same, whatever is in between */
	start(4);
	has(0, 0, 10);
	has(1, 100, 10);
	has(2, 9, 1);
	has(3, 110, 10);
	verdict(E_OVERLAP, NULL, E_OVERLAP, NULL);
	start(4);
	has(0, 10, 10);
	has(1, 0, 512);
	has(2, 511, 2);
	has(3, 513, 1);
	verdict(E_OVERLAP, E_OVERLAP, E_OVERLAP, NULL);
	start(3);
	has(0, 7, 1);
	has(0, 5, 1);
	has(1, 6, 1);
	has(2, 5, 1);
	verdict(E_OVERLAP, NULL, E_OVERLAP);
	/* Who disputes it twice disputes no more than that. */
	start(4);
	has(0, 0, 1);
	has(1, 0, 1);
	has(2, 0, 1);
	has(3, 1, 1);
	verdict(E_OVERLAP, E_OVERLAP, E_OVERLAP, NULL);
	/* With himself */
	start(2);
	has(0, 0, 2);
	has(0, 1, 2);
	has(1, 3, 1);
	verdict(E_OVERLAP, NULL);

	/* Who is refused for another reason wants it none the less. */
	start(3);
	has(0, 0, 1);
	has(1, 0, 1);
	strcpy(o[1].name, o[2].name);
	verdict(E_OVERLAP, E_OVERLAP, E_NAME);
	start(2);
	has(0, 0, 1);
	has(1, 0, 1);
	o[1].parent = 77;
	verdict(E_OVERLAP, E_OVERLAP);
	CHECK(!f[1].lost);
	/* Who is bad by himself does not: what he says may be damage. */
	start(2);
	has(0, 0, 1);
	has(1, 0, 1);
	f[1].bad = "bad";
	verdict(NULL, "bad");

	/* What stands behind its ranges is none of them. */
	start(2);
	has(0, 0, 1);
	has(0, 1, 1);
	o[0].nr_ranges = 1;
	has(1, 1, 1);
	verdict(NULL, NULL);

	/* Ranges that nobody could read */
	start(2);
	has(0, 0, 1);
	f[0].ranges = NULL;
	f[1].ranges = NULL;
	verdict(E_LIST, NULL);
}

/* Some are found later, or were refused and are no more. */
static void again(void)
{
	/* The first time: o[0] to o[2] live, o[3] to o[5] are not good enough. */
	start(6);
	directory(0);
	in(1, 0);
	has(1, 0, 10);
	has(2, 10, 10);
	has(4, 30, 5);
	f[3].bad = "a";
	f[4].bad = "b";
	f[5].bad = "c";
	verdict(NULL, NULL, NULL, "a", "b", "c");

	/* The second time they are, and the living may forget their ranges. */
	f[1].ranges = NULL;
	f[3].bad = NULL;
	f[4].bad = NULL;
	in(3, 0);
	verdict(NULL, NULL, NULL, NULL, NULL, "c");
	CHECK_EQ(f[3].depth, 2);

	/* The third time: who wants what a living one has is refused, and only he. */
	f[5].bad = NULL;
	has(5, 12, 1);
	verdict(NULL, NULL, NULL, NULL, NULL, E_OVERLAP);
	f[5].bad = NULL;
	range[5][0].base = 4 * G + 20 * (u64)SZ_2M;
	strcpy(o[5].name, o[2].name);
	verdict(NULL, NULL, NULL, NULL, NULL, E_NAME);
	f[5].bad = NULL;
	o[5].name[0] = 'O';
	memcpy(o[5].uuid, o[1].uuid, 16);
	verdict(NULL, NULL, NULL, NULL, NULL, E_UUID);
	f[5].bad = NULL;
	o[5].uuid[0] = 77;
	in(5, 3);
	verdict(NULL, NULL, NULL, NULL, NULL, LOST);
	CHECK_EQ(f[5].depth, 2);

	/* In one that lives */
	start(6);
	directory(0);
	f[0].depth = 1;
	in(5, 0);
	verdict(NULL, NULL, NULL, NULL, NULL, NULL);
	CHECK_EQ(f[5].depth, 2);

	/* A living directory's own one need not be there: its depth tells. */
	start(2);
	directory(0);
	o[0].parent = 2;
	f[0].depth = 5;
	in(1, 0);
	verdict(NULL, NULL);
	CHECK_EQ(f[0].depth, 5);
	CHECK_EQ(f[1].depth, 6);

	/* Which of the two stands first does not matter. */
	start(3);
	f[1].depth = 1;
	strcpy(o[0].name, o[1].name);
	memcpy(o[2].uuid, o[1].uuid, 16);
	verdict(E_NAME, NULL, E_UUID);
	/* Two newcomers of one name beside one who lives */
	start(3);
	f[2].depth = 1;
	strcpy(o[0].name, o[2].name);
	strcpy(o[1].name, o[2].name);
	verdict(E_NAME, E_NAME, NULL);
}

/* Each allocation fails once: nothing has changed, and the next time it works. */
static void no_memory(void)
{
	static struct gmem_found was[4];
	unsigned int i, after;
	int err;

	for (after = 0;; after++) {
		start(4);
		has(0, 0, 1);
		has(1, 0, 1);
		has(2, 1, 1);
		in(3, 2);
		memcpy(was, f, sizeof(was));
		kvmalloc_fail_after = after;
		err = gmem_record_judge(f, nr, &arena, owned);
		if (kvmalloc_fail_after >= 0)
			break;
		CHECK_EQ(err, -ENOMEM);
		CHECK(!memcmp(was, f, sizeof(was)));
		for (i = 0; i < ARRAY_SIZE(owned); i++)
			CHECK_EQ(owned[i], 0);
		verdict(E_OVERLAP, E_OVERLAP, NULL, LOST);
	}
	CHECK_EQ(err, 0);
	CHECK_EQ(after, 4);
	kvmalloc_fail_after = -1;
}

/* Whether nothing hangs on a slot that says that its object was hidden */
static void hidden(void)
{
	start(1);
	o[0].state = GMEM_PERSIST_SLOT_HIDDEN;
	CHECK(gmem_record_was_hidden(&o[0], &arena));
	/* The last GiB is not kept. */
	o[0].ranges[0] = (struct gmem_range_ser){ 7 * G, SZ_2M };
	o[0].ranges[1] = (struct gmem_range_ser){ 7 * G + SZ_2M, G };
	CHECK(gmem_record_was_hidden(&o[0], &arena));
	/* What lies nowhere, or is no granule, is nobody's. */
	o[0].ranges[2] = (struct gmem_range_ser){ ~0ULL, 5 };
	o[0].ranges[3] = (struct gmem_range_ser){ 4 * G + 1, 5 };
	o[0].ranges[4] = (struct gmem_range_ser){ 100 * G, G };
	CHECK(gmem_record_was_hidden(&o[0], &arena));
	o[0].ranges[11] = (struct gmem_range_ser){ 7 * G - SZ_2M, 2 * SZ_2M };
	CHECK(!gmem_record_was_hidden(&o[0], &arena));
	o[0].ranges[11].base = 0;
	o[0].state = GMEM_PERSIST_SLOT_VALID;
	CHECK(!gmem_record_was_hidden(&o[0], &arena));
}

/* What has no name shares it with nobody, but may share a uuid. */
static void without_names(void)
{
	unsigned int i;

	start(4);
	for (i = 1; i < 4; i++)
		o[i].name[0] = 0;
	verdict(NULL, NULL, NULL, NULL);
	start(3);
	o[0].name[0] = 0;
	o[2].name[0] = 0;
	memcpy(o[2].uuid, o[0].uuid, 16);
	verdict(E_UUID, NULL, E_UUID);

	start(MANY);
	for (i = 0; i < MANY; i++)
		o[i].name[0] = 0;
	judge();
	for (i = 0; i < MANY; i++)
		CHECK_TEXT(f[i].bad, NULL);
}

/* As many as there may be; of those some are as bad as can be: it takes no longer. */
static void many(void)
{
	unsigned int i;

	/* Tenants choose names, and cannot know which have the same hash. */
	start(MANY);
	nr_keyed = 0;
	judge();
	CHECK_EQ(nr_keyed, MANY);
	for (i = 0; i < MANY; i++)
		CHECK_TEXT(f[i].bad, NULL);

	/* All with one name, and one uuid */
	start(MANY);
	for (i = 0; i < MANY; i++) {
		strcpy(o[i].name, "x");
		memset(o[i].uuid, 0, 16);
	}
	judge();
	for (i = 0; i < MANY; i++)
		CHECK_TEXT(f[i].bad, E_NAME);

	/* Each in the next one; then in a circle */
	start(MANY);
	for (i = 0; i < MANY; i++)
		directory(i);
	for (i = 0; i < MANY - 1; i++)
		in(i, i + 1);
	judge();
	for (i = 0; i < MANY; i++)
		CHECK_EQ(f[i].depth, MANY - i);
	for (i = 0; i < MANY; i++)
		f[i].depth = 0;
	in(MANY - 1, 0);
	judge();
	for (i = 0; i < MANY; i++) {
		CHECK_TEXT(f[i].bad, NULL);
		CHECK_EQ(f[i].lost, i == MANY - 1);
		CHECK_EQ(f[i].depth, MANY - i + 1);
	}

	/* All in the other direction */
	start(MANY);
	for (i = 0; i < MANY; i++)
		directory(i);
	for (i = 1; i < MANY; i++)
		in(i, i - 1);
	judge();
	for (i = 0; i < MANY; i++)
		CHECK_EQ(f[i].depth, i + 1);

	/* All with the same memory */
	start(MANY);
	for (i = 0; i < MANY; i++)
		has(i, 5, 512);
	judge();
	for (i = 0; i < MANY; i++)
		CHECK_TEXT(f[i].bad, E_OVERLAP);
}

/* Twins are found wherever the table puts them, and nobody else is refused. */
static void many_names(void)
{
	unsigned int i, k, a, b, n;

	random_start(0x7a);
	for (i = 0; i < random_rounds(60); i++) {
		where->step = i;
		n = 1 + random_below(random_below(2) ? 20 : 2000);
		start(n);
		for (k = 0; k < n; k++) {
			snprintf(o[k].name, sizeof(o[k].name), "%llx", random_next());
			*(u64 *)o[k].uuid = random_next();
			*(u64 *)(o[k].uuid + 8) = random_next();
		}
		a = random_below(n);
		b = random_below(n);
		if (random_below(2))
			memmove(o[a].name, o[b].name, sizeof(o[a].name));
		else
			memmove(o[a].uuid, o[b].uuid, sizeof(o[a].uuid));
		judge();
		for (k = 0; k < n; k++)
			CHECK_EQ(!!f[k].bad, a != b && (k == a || k == b));
	}
}

const struct test judge_tests[] = {
	TEST(alone),
	TEST(names),
	TEST(uuids),
	TEST(directories),
	TEST(circles),
	TEST(memory),
	TEST(again),
	TEST(no_memory),
	TEST(hidden),
	TEST(without_names),
	TEST(many),
	TEST(many_names),
	{}
};
