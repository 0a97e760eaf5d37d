// SPDX-License-Identifier: GPL-2.0
/*
 * What needs a kernel and a pool, but no user space: clearing by windows, leaves,
 * consumers. Everything else is tested by tools/testing/gmem_persist/ and by the KVM
 * selftests.
 *
 * Boot with kunit.enable=1 and a pool with 2 GiB of free memory.
 */
#include "internal.h"

#include <kunit/test.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#define PATTERN	0xa5

/* One page of the pool, where it can be seen. */
struct view {
	struct vm_struct *area;
	u8 *page;
};

static void *look(struct kunit *test, struct view *v, u64 addr)
{
	unsigned long at;

	v->area = get_vm_area(PAGE_SIZE, VM_IOREMAP);
	KUNIT_ASSERT_NOT_NULL(test, v->area);
	at = (unsigned long)v->area->addr;
	KUNIT_ASSERT_EQ(test, vmap_page_range(at, at + PAGE_SIZE, addr, PAGE_KERNEL), 0);
	v->page = v->area->addr;
	return v->page;
}

static void look_away(struct view *v)
{
	unsigned long at = (unsigned long)v->area->addr;

	vunmap_range(at, at + PAGE_SIZE);
	free_vm_area(v->area);
}

static void fill_page(struct kunit *test, u64 addr, u8 value)
{
	struct view v;

	memset(look(test, &v, addr), value, PAGE_SIZE);
	look_away(&v);
}

/* All of the page has that value. */
static void expect_page(struct kunit *test, u64 addr, u8 value)
{
	struct view v;

	look(test, &v, addr);
	KUNIT_EXPECT_NULL_MSG(test, memchr_inv(v.page, value, PAGE_SIZE),
			      "page at %#llx is not %#x", addr, value);
	look_away(&v);
}

static struct gmem_object *make_object(struct kunit *test, u64 size, u64 granule)
{
	const struct gmem_object_params params = { .size = size, .granule = granule };
	struct gmem_object *obj = gmem_object_create(&params);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, obj);
	return obj;
}

static u64 phys(struct gmem_object *obj, u64 offset)
{
	return PFN_PHYS(gmem_object_pfn(obj, offset >> PAGE_SHIFT, NULL));
}

/* Borders of pages, of large leaves and of windows, all in one object of 1 GiB. */
static const u64 places[] = {
	0, SZ_4K, SZ_2M - SZ_4K, SZ_2M, SZ_32M - SZ_4K, SZ_32M, SZ_32M + SZ_2M,
	SZ_512M + SZ_4K, SZ_1G - SZ_2M, SZ_1G - SZ_4K,
};

static void zero_clears_just_that(struct kunit *test)
{
	static const struct gmem_range parts[] = {
		{ 0, SZ_4K }, { SZ_4K, SZ_2M }, { SZ_2M, SZ_2M },
		{ SZ_32M - SZ_4K, SZ_8K }, { SZ_2M, SZ_32M }, { SZ_1G - SZ_4K, SZ_4K },
		{ SZ_4K, SZ_1G - SZ_8K }, { 0, SZ_1G },
	};
	struct gmem_object *obj = make_object(test, SZ_1G, SZ_1G);
	const u64 base = phys(obj, 0);
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		for (k = 0; k < ARRAY_SIZE(places); k++)
			fill_page(test, base + places[k], PATTERN);
		KUNIT_EXPECT_EQ(test, gmem_zero(base + parts[i].base, parts[i].size,
						NULL, NULL), 0);
		for (k = 0; k < ARRAY_SIZE(places); k++)
			expect_page(test, base + places[k],
				    places[k] >= parts[i].base &&
				    places[k] < gmem_range_end(&parts[i]) ? 0 : PATTERN);
	}
	gmem_object_release(obj);
}

static int stop_at_third(void *arg)
{
	unsigned int *calls = arg;

	return ++*calls == 3 ? -EINTR : 0;
}

static void zero_stops(struct kunit *test)
{
	struct gmem_object *obj = make_object(test, SZ_1G, SZ_1G);
	const u64 base = phys(obj, 0);
	unsigned int calls = 0;

	fill_page(test, base, PATTERN);
	fill_page(test, base + SZ_2M, PATTERN);
	fill_page(test, base + 2 * (u64)SZ_2M, PATTERN);
	KUNIT_EXPECT_EQ(test, gmem_zero(base, SZ_1G, stop_at_third, &calls), -EINTR);
	KUNIT_EXPECT_EQ(test, calls, 3);
	expect_page(test, base, 0);
	expect_page(test, base + SZ_2M, 0);
	expect_page(test, base + 2 * (u64)SZ_2M, PATTERN);
	gmem_object_release(obj);
}

static void leaves_fit(struct kunit *test)
{
	struct gmem_object *large = make_object(test, SZ_1G, SZ_1G);
	struct gmem_object *small = make_object(test, SZ_4M, SZ_2M);
	int order;

	gmem_object_pfn(large, (SZ_1G >> PAGE_SHIFT) - 1, &order);
	KUNIT_EXPECT_EQ(test, order, PUD_SHIFT - PAGE_SHIFT);
	gmem_object_pfn(small, 1, &order);
	KUNIT_EXPECT_EQ(test, order, PMD_SHIFT - PAGE_SHIFT);
	KUNIT_EXPECT_TRUE(test, gmem_persist_is_pool_pfn(PHYS_PFN(phys(small, SZ_2M))));
	gmem_object_release(small);
	gmem_object_release(large);
}

struct test_consumer {
	struct gmem_consumer consumer;
	unsigned int starts, ends;
	pgoff_t first, end;
};

static void note_start(struct gmem_consumer *consumer, pgoff_t start, pgoff_t end)
{
	struct test_consumer *t = container_of(consumer, struct test_consumer, consumer);

	t->starts++;
	t->first = start;
	t->end = end;
}

static void note_end(struct gmem_consumer *consumer, pgoff_t start, pgoff_t end)
{
	struct test_consumer *t = container_of(consumer, struct test_consumer, consumer);

	t->ends += start == t->first && end == t->end;
}

static const struct gmem_consumer_ops test_consumer_ops = {
	.invalidate_start = note_start,
	.invalidate_end = note_end,
};

static int punch(struct gmem_object *obj, u64 offset, u64 size)
{
	int err;

	filemap_invalidate_lock(obj->inode->i_mapping);
	err = gmem_object_punch_locked(obj, offset, size);
	filemap_invalidate_unlock(obj->inode->i_mapping);
	return err;
}

static void consumers_are_told(struct kunit *test)
{
	struct gmem_object *obj = make_object(test, SZ_4M, SZ_2M);
	struct test_consumer t = { .consumer.ops = &test_consumer_ops };

	gmem_object_attach(obj, &t.consumer);
	fill_page(test, phys(obj, SZ_2M), PATTERN);
	fill_page(test, phys(obj, SZ_2M + SZ_4K), PATTERN);
	KUNIT_EXPECT_EQ(test, punch(obj, SZ_2M, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, t.starts, 1);
	KUNIT_EXPECT_EQ(test, t.ends, 1);
	KUNIT_EXPECT_EQ(test, t.first, SZ_2M >> PAGE_SHIFT);
	KUNIT_EXPECT_EQ(test, t.end, (SZ_2M >> PAGE_SHIFT) + 1);
	expect_page(test, phys(obj, SZ_2M), 0);
	expect_page(test, phys(obj, SZ_2M + SZ_4K), PATTERN);

	gmem_object_detach(obj, &t.consumer);
	KUNIT_EXPECT_EQ(test, punch(obj, 0, SZ_4M), 0);
	KUNIT_EXPECT_EQ(test, t.starts, 1);
	gmem_object_release(obj);
}

/* What is freed is dirty; whoever gets it finds zero, and the books add up. */
static void memory_comes_back(struct kunit *test)
{
	struct gmem_stat before, now;
	struct gmem_object *obj;
	u64 addr;

	gmem_pool_stat(GMEM_ALL_NODES, &before);
	obj = make_object(test, SZ_1G, SZ_1G);
	gmem_pool_stat(GMEM_ALL_NODES, &now);
	KUNIT_EXPECT_EQ(test, now.used, before.used + SZ_1G);
	addr = phys(obj, SZ_512M);
	fill_page(test, addr, PATTERN);
	gmem_object_release(obj);

	gmem_pool_stat(GMEM_ALL_NODES, &now);
	KUNIT_EXPECT_EQ(test, now.used, before.used);
	KUNIT_EXPECT_EQ(test, now.clean + now.dirty, before.clean + before.dirty);

	obj = make_object(test, before.free_1g, SZ_1G);
	expect_page(test, addr, 0);
	gmem_object_release(obj);
}

static int need_pool(struct kunit_suite *suite)
{
	return gmem_persist_enabled() ? 0 : -ENODEV;
}

static struct kunit_case gmem_cases[] = {
	KUNIT_CASE(zero_clears_just_that),
	KUNIT_CASE(zero_stops),
	KUNIT_CASE(leaves_fit),
	KUNIT_CASE(consumers_are_told),
	KUNIT_CASE(memory_comes_back),
	{}
};

static struct kunit_suite gmem_suite = {
	.name = "gmem_persist",
	.suite_init = need_pool,
	.test_cases = gmem_cases,
};

kunit_test_suite(gmem_suite);
