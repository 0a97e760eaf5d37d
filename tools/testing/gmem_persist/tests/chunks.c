// SPDX-License-Identifier: GPL-2.0
/*
 * Slots in chunks of any sizes: each is found, and where it is.
 */
#include <stdlib.h>

#include <linux/mm.h>

#include "record.h"
#include "test.h"

#define SLOTS(order)	(GMEM_SLOTS_PER_PAGE << (order))

/* What has been added, in this order */
static struct gmem_object_ser *made[GMEM_PERSIST_MAX_SLOT_CHUNKS];
static unsigned int orders[GMEM_PERSIST_MAX_SLOT_CHUNKS];
static unsigned int nr_made;

static void add(unsigned int order)
{
	made[nr_made] = xmalloc(PAGE_SIZE << order);
	orders[nr_made] = order;
	gmem_chunks_add(made[nr_made++], order);
}

static void forget(void)
{
	gmem_chunks_forget();
	CHECK_EQ(gmem_chunks_count(), 0);
	CHECK_EQ(gmem_slot_count(), 0);
	CHECK(!gmem_slot(0));
	while (nr_made)
		free(made[--nr_made]);
}

/* Each slot that there is, counted through all chunks */
static void check_all(void)
{
	unsigned int i, k, id = 0;

	CHECK_EQ(gmem_chunks_count(), nr_made);
	for (i = 0; i < nr_made; i++)
		for (k = 0; k < SLOTS(orders[i]); k++, id++)
			CHECK(gmem_slot(id) == &made[i][k]);
	CHECK_EQ(gmem_slot_count(), id);
}

/* Without any there is no slot. */
static void none(void)
{
	CHECK_EQ(gmem_chunks_count(), 0);
	CHECK_EQ(gmem_slot_count(), 0);
	CHECK(!gmem_slot(0));
	CHECK(!gmem_slot(~0));
}

static void few(void)
{
	unsigned int i;

	for (i = 0; i < 6; i++) {
		add(i % 3);
		check_all();
	}
	forget();
}

/* As many as a header has room for, in the sizes that memory in pieces leads to */
static void most(void)
{
	random_start(0xc4142);
	while (nr_made < GMEM_PERSIST_MAX_SLOT_CHUNKS) {
		add(random_below(4));
		where->step++;
	}
	check_all();
	forget();
}

/* The next kernel counts anew: what was before is found no more. */
static void anew(void)
{
	add(3);
	add(0);
	check_all();
	forget();
	add(0);
	add(2);
	check_all();
	forget();
}

const struct test chunks_tests[] = {
	TEST(none),
	TEST(few),
	TEST(most),
	TEST(anew),
	{}
};
