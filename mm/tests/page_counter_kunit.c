// SPDX-License-Identifier: GPL-2.0
/*
 * page_counter_move() in a hierarchy of counters:
 *
 *	      root
 *	     /    \
 *	    a      b
 *	   / \      \
 *	 a1   a2     b1
 */
#include <kunit/test.h>
#include <linux/page_counter.h>

enum { ROOT, A, B, A1, A2, B1, NR_COUNTERS };

static const int parents[] = { -1, ROOT, ROOT, A, A, B };

/* 10 pages are charged to a1, and so to a and root. */
static int page_counter_test_init(struct kunit *test)
{
	struct page_counter *c;
	int i;

	c = kunit_kcalloc(test, NR_COUNTERS, sizeof(*c), GFP_KERNEL);
	if (!c)
		return -ENOMEM;
	for (i = 0; i < NR_COUNTERS; i++)
		page_counter_init(&c[i], i ? &c[parents[i]] : NULL, true);
	page_counter_charge(&c[A1], 10);
	test->priv = c;
	return 0;
}

/* Usage is as in the table, and no counter has ever had more than that, or than at first. */
static void expect_usage(struct kunit *test, const unsigned long *usage)
{
	static const unsigned long first[] = { [ROOT] = 10, [A] = 10, [A1] = 10, [B1] = 0 };
	struct page_counter *c = test->priv;
	unsigned long peak;
	int i;

	for (i = 0; i < NR_COUNTERS; i++) {
		peak = max(usage[i], first[i]);
		KUNIT_EXPECT_EQ_MSG(test, page_counter_read(&c[i]), usage[i],
				    "usage of counter %d", i);
		KUNIT_EXPECT_EQ_MSG(test, c[i].watermark, peak,
				    "peak of counter %d", i);
	}
}

static void page_counter_move_to_sibling(struct kunit *test)
{
	const unsigned long usage[NR_COUNTERS] = {
		[ROOT] = 10, [A] = 10, [A1] = 3, [A2] = 7,
	};
	struct page_counter *c = test->priv;

	page_counter_move(&c[A1], &c[A2], 7);
	expect_usage(test, usage);
}

static void page_counter_move_to_cousin(struct kunit *test)
{
	const unsigned long usage[NR_COUNTERS] = {
		[ROOT] = 10, [A] = 3, [A1] = 3, [B] = 7, [B1] = 7,
	};
	struct page_counter *c = test->priv;

	page_counter_move(&c[A1], &c[B1], 7);
	expect_usage(test, usage);
}

static void page_counter_move_up(struct kunit *test)
{
	const unsigned long usage[NR_COUNTERS] = {
		[ROOT] = 10, [A] = 3, [A1] = 3,
	};
	struct page_counter *c = test->priv;

	page_counter_move(&c[A1], &c[ROOT], 7);
	expect_usage(test, usage);
}

static void page_counter_move_down(struct kunit *test)
{
	const unsigned long usage[NR_COUNTERS] = {
		[ROOT] = 10, [A] = 10, [A1] = 10,
	};
	struct page_counter *c = test->priv;

	page_counter_move(&c[A1], &c[ROOT], 10);
	page_counter_move(&c[ROOT], &c[A1], 10);
	expect_usage(test, usage);
}

static void page_counter_move_to_itself(struct kunit *test)
{
	const unsigned long usage[NR_COUNTERS] = {
		[ROOT] = 10, [A] = 10, [A1] = 10,
	};
	struct page_counter *c = test->priv;

	page_counter_move(&c[A1], &c[A1], 10);
	expect_usage(test, usage);
}

/* A limit does not stop what is moved, but what is charged after that. */
static void page_counter_move_beyond_limit(struct kunit *test)
{
	const unsigned long usage[NR_COUNTERS] = {
		[ROOT] = 10, [B] = 10, [B1] = 10,
	};
	struct page_counter *c = test->priv, *fail = NULL;

	KUNIT_ASSERT_EQ(test, page_counter_set_max(&c[B], 5), 0);
	page_counter_move(&c[A1], &c[B1], 10);
	expect_usage(test, usage);
	KUNIT_EXPECT_FALSE(test, page_counter_try_charge(&c[B1], 1, &fail));
	KUNIT_EXPECT_PTR_EQ(test, fail, &c[B]);
}

/* What is protected goes along, in the parents of both. */
static void page_counter_move_protection(struct kunit *test)
{
	struct page_counter *c = test->priv;

	page_counter_set_low(&c[A1], 10);
	page_counter_set_low(&c[B1], 4);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&c[A].children_low_usage), 10);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&c[B].children_low_usage), 0);
	page_counter_move(&c[A1], &c[B1], 7);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&c[A].children_low_usage), 3);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&c[B].children_low_usage), 4);
}

static struct kunit_case page_counter_test_cases[] = {
	KUNIT_CASE(page_counter_move_to_sibling),
	KUNIT_CASE(page_counter_move_to_cousin),
	KUNIT_CASE(page_counter_move_up),
	KUNIT_CASE(page_counter_move_down),
	KUNIT_CASE(page_counter_move_to_itself),
	KUNIT_CASE(page_counter_move_beyond_limit),
	KUNIT_CASE(page_counter_move_protection),
	{}
};

static struct kunit_suite page_counter_test_suite = {
	.name = "page_counter",
	.init = page_counter_test_init,
	.test_cases = page_counter_test_cases,
};

kunit_test_suite(page_counter_test_suite);

MODULE_DESCRIPTION("Tests of page counters");
MODULE_LICENSE("GPL");
