// SPDX-License-Identifier: GPL-2.0
/*
 * Every reason for which a piece of a record is refused.
 *
 * All cases start from the record that image_fixed() draws, and do one thing to it, with
 * checksums that are right unless they are what the case is about.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/crc32.h>
#include <linux/libfdt.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/stat.h>

#include "records.h"

#define E_TREE		"it is no device tree"
#define E_FORMAT	"its format is unknown"
#define E_PAGE_MISSING	"its page size is missing"
#define E_PAGE		"it was written by a kernel with another page size"
#define E_FEAT_MISSING	"its features are missing"
#define E_FEATURES	"it needs features that this kernel does not have"
#define E_HDR_MISSING	"its headers are missing"
#define E_HDR_NOWHERE	"its headers are nowhere"
#define E_CHECKSUM	"its checksum is wrong"
#define E_MAGIC		"it is no header"
#define E_OPEN		"it is not sealed"
#define E_STATE		"its state is unknown"
#define E_EARLIER	"an earlier kernel has refused it"
#define E_HELD_NAME	"it is held, and has a name"
#define E_HELD_BY_NOBODY "it is held by nobody"
#define E_TABLES	"it has too many tables"
#define E_UNKNOWN	"its attributes are unknown"
#define E_POOL_BAD	"its pool is malformed"
#define E_POOL		"its pool is not the memory that the firmware map names"
#define E_NOWHERE	"a table of it is nowhere"
#define E_IN_POOL	"a table of it lies in the pool"
#define E_TABLES_LAP	"tables of it overlap"
#define E_BLOCKS	"its table of blocks is too small"
#define E_HOLE		"its table of blocks has a hole"
#define E_MANY		"it has too many objects"
#define E_BAD_PAGES	"its list of bad pages is malformed"
#define E_BAD_MANY	"it has too many bad pages"
#define E_NAME		"its name is missing or malformed"
#define E_KIND		"its kind of file is unknown"
#define E_MODE		"its mode is not that of its kind"
#define E_GRANULE	"its granule is unknown"
#define E_SIZE		"its size is malformed"
#define E_LONG		"its file is longer than its memory"
#define E_DIR_MEMORY	"it is a directory with memory"
#define E_SUM		"its size is not that of its ranges"
#define E_LIST_MANY	"it has a list of ranges too many"
#define E_LIST_NOWHERE	"its list of ranges is nowhere"
#define E_LIST_SHORT	"its list of ranges is too short"
#define E_LIST_CRC	"the checksum of its ranges is wrong"
#define E_RANGE		"a range is malformed"
#define E_OUTSIDE	"a range lies outside of the pool"

#define SZ_4M		(2 * SZ_2M)

static struct image img;

/*
 * The tree
 */

/* Room to edit it, and where an edited copy ends */
static u8 tree[2 * GMEM_RECORD_FDT_SIZE];

static void tree_start(void)
{
	image_fixed(&img);
	CHECK_EQ(fdt_open_into(img.fdt[0], tree, sizeof(tree)), 0);
}

static void check_tree(const char *why)
{
	u64 headers[2] = { 1, 2 };
	size_t size;
	void *copy;

	CHECK_EQ(fdt_pack(tree), 0);
	size = fdt_totalsize(tree);
	copy = xmalloc(size);
	memcpy(copy, tree, size);
	CHECK_TEXT(gmem_record_read_fdt(copy, size, headers), why);
	if (why)
		CHECK(headers[0] == 1 && headers[1] == 2);
	else
		CHECK(headers[0] == image_phys(&img, img.header[0]) &&
		      headers[1] == image_phys(&img, img.header[1]));
	free(copy);
	image_free(&img);
}

static void set_prop(const char *name, const void *value, int len)
{
	tree_start();
	CHECK_EQ(fdt_setprop(tree, 0, name, value, len), 0);
}

static void del_prop(const char *name)
{
	tree_start();
	CHECK_EQ(fdt_delprop(tree, 0, name), 0);
}

#define tree_is(...) AT(check_tree(__VA_ARGS__))

static void tree_bytes(void)
{
	const u64 headers[2] = { 1 * PAGE_SIZE, 2 * PAGE_SIZE };
	u8 *fdt = xmalloc(GMEM_RECORD_FDT_SIZE);
	u64 is[2];
	size_t size, len;

	size = gmem_record_write_fdt(fdt, GMEM_RECORD_FDT_SIZE, headers);
	for (len = 0; len < size; len++) {
		u8 *copy = xmalloc(len);

		where->step = len;
		memcpy(copy, fdt, len);
		CHECK_TEXT(gmem_record_read_fdt(copy, len, is), E_TREE);
		free(copy);
	}
	/* Memory behind it is no fault. */
	CHECK_TEXT(gmem_record_read_fdt(fdt, size, is), NULL);
	CHECK_TEXT(gmem_record_read_fdt(fdt, GMEM_RECORD_FDT_SIZE, is), NULL);
	fdt_set_magic(fdt, FDT_MAGIC + 1);
	CHECK_TEXT(gmem_record_read_fdt(fdt, size, is), E_TREE);
	free(fdt);
}

static void tree_compatible(void)
{
	static const char *const others[] = {
		"gmem-persist-v1", "gmem-persist-v3", "gmem-persist-v20", "gmem-persist-v", "",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(others); i++) {
		set_prop("compatible", others[i], strlen(others[i]) + 1);
		tree_is(E_FORMAT);
	}
	del_prop("compatible");
	tree_is(E_FORMAT);
	/* One that is newer, and says that it can be read as this one */
	set_prop("compatible", "gmem-persist-v3\0gmem-persist-v2", 32);
	tree_is(NULL);
}

static void tree_page_size(void)
{
	u64 size = 2 * PAGE_SIZE;

	del_prop("page-size");
	tree_is(E_PAGE_MISSING);
	set_prop("page-size", &size, 4);
	tree_is(E_PAGE_MISSING);
	set_prop("page-size", &size, 8);
	tree_is(E_PAGE);
	size = PAGE_SIZE | 1ULL << 32;
	set_prop("page-size", &size, 8);
	tree_is(E_PAGE);
}

/* A writer that has more features than this kernel: those of the first word must be known. */
static void tree_features(void)
{
	u64 features[3] = {};
	unsigned int bit;

	del_prop("features");
	tree_is(E_FEAT_MISSING);
	set_prop("features", features, 8);
	tree_is(E_FEAT_MISSING);
	set_prop("features", features, 24);
	tree_is(E_FEAT_MISSING);
	for (bit = 0; bit < 64; bit++) {
		where->step = bit;
		features[0] = 1ULL << bit;
		features[1] = 0;
		set_prop("features", features, 16);
		tree_is(E_FEATURES);
		features[0] = 0;
		features[1] = 1ULL << bit;
		set_prop("features", features, 16);
		tree_is(NULL);
	}
	features[1] = ~0ULL;
	set_prop("features", features, 16);
	tree_is(NULL);
	/* What it says beside that is for those who know it. */
	set_prop("more", features, 16);
	CHECK(fdt_add_subnode(tree, 0, "even-more") > 0);
	tree_is(NULL);
}

static void set_headers(u64 first, u64 second, u32 reserved)
{
	u8 fdt[GMEM_RECORD_FDT_SIZE];
	const u64 phys[2] = { first, second };
	struct gmem_headers_ser ser;

	CHECK(gmem_record_write_fdt(fdt, sizeof(fdt), phys) > 0);
	memcpy(&ser, fdt_getprop(fdt, 0, "headers", NULL), sizeof(ser));
	ser.reserved = reserved;
	set_prop("headers", &ser, sizeof(ser));
}

static void tree_headers(void)
{
	struct gmem_headers_ser ser = {};

	del_prop("headers");
	tree_is(E_HDR_MISSING);
	set_prop("headers", &ser, sizeof(ser) - 4);
	tree_is(E_HDR_MISSING);
	set_prop("headers", &ser, sizeof(ser));
	tree_is(E_CHECKSUM);
	set_headers(PAGE_SIZE, 2 * PAGE_SIZE, 1);
	tree_is(E_HDR_NOWHERE);
	set_headers(0, 2 * PAGE_SIZE, 0);
	tree_is(E_HDR_NOWHERE);
	set_headers(2 * PAGE_SIZE, 0, 0);
	tree_is(E_HDR_NOWHERE);
	set_headers(PAGE_SIZE, PAGE_SIZE, 0);
	tree_is(E_HDR_NOWHERE);
	set_headers(PAGE_SIZE + 8, 2 * PAGE_SIZE, 0);
	tree_is(E_HDR_NOWHERE);
	set_headers(PAGE_SIZE, 2 * PAGE_SIZE + PAGE_SIZE / 2, 0);
	tree_is(E_HDR_NOWHERE);
}

/*
 * Headers
 */

static struct gmem_header_ser *h;

static void header_start(void)
{
	image_fixed(&img);
	h = img.header[1];
}

static void check_header(const char *why)
{
	struct gmem_header_ser *copy = xmalloc(sizeof(*copy));

	gmem_header_seal(h, GMEM_PERSIST_STATE_SEALED);
	*copy = *h;
	CHECK_TEXT(gmem_header_check(copy, &img.pool), why);
	free(copy);
	image_free(&img);
}

#define header_is(...) AT(check_header(__VA_ARGS__))

/* Do something to a header, and see what is said about it. */
#define HEADER(why, ...) do {		\
	header_start();			\
	__VA_ARGS__;			\
	header_is(why);			\
} while (0)

static void header_state(void)
{
	HEADER(NULL, (void)0);
	HEADER(E_MAGIC, h->magic ^= 1ULL << 40);
	HEADER(E_UNKNOWN, h->reserved[0] = 1);
	HEADER(E_UNKNOWN, h->reserved[7] = 1ULL << 63);

	header_start();
	gmem_header_seal(h, GMEM_PERSIST_STATE_OPEN);
	CHECK_TEXT(gmem_header_check(h, &img.pool), E_OPEN);
	gmem_header_seal(h, 0);
	CHECK_TEXT(gmem_header_check(h, &img.pool), E_STATE);
	gmem_header_seal(h, GMEM_PERSIST_STATE_SEALED ^ 1);
	CHECK_TEXT(gmem_header_check(h, &img.pool), E_STATE);
	h->crc ^= 1;
	CHECK_TEXT(gmem_header_check(h, &img.pool), E_CHECKSUM);
	image_free(&img);
}

static void header_pool(void)
{
	const unsigned int max = GMEM_PERSIST_MAX_EXTENTS;
	struct gmem_range many[GMEM_PERSIST_MAX_EXTENTS + 1];
	unsigned int i;

	/* Malformed: empty, not in GiBs, not sorted, overlapping, up to the end of all addresses */
	HEADER(E_POOL_BAD, h->extents[1].size = 0);
	HEADER(E_POOL_BAD, h->extents[0].base += SZ_2M);
	HEADER(E_POOL_BAD, h->extents[0].size += SZ_2M);
	HEADER(E_POOL_BAD, h->extents[1].base = 2 * G);
	HEADER(E_POOL_BAD, h->extents[1].base = 25 * G);
	HEADER(E_POOL_BAD, h->extents[1].size = -31 * G);
	HEADER(E_POOL_BAD, h->extents[1].size = -32 * G);
	HEADER(E_POOL, h->extents[1].size = -33 * G);
	HEADER(E_POOL, h->extents[1].base = 26 * G);

	/* Less, more, somewhere else */
	HEADER(E_POOL, h->extents[0].size -= G);
	HEADER(E_POOL, h->extents[0].size += G);
	HEADER(E_POOL, h->extents[1].base += G);
	HEADER(E_POOL, h->nr_extents = 1);
	HEADER(E_POOL, h->nr_extents = 0);
	HEADER(E_POOL, (h->nr_extents = 3, h->extents[2] = (struct gmem_range_ser){ 40 * G, G }));
	HEADER(E_POOL, img.pool.nr = 1);
	HEADER(E_POOL, img.pool_ranges[1].size += G);

	/* As many as there may be */
	header_start();
	for (i = 0; i <= max; i++) {
		many[i] = (struct gmem_range){ (4 + 2 * i) * G, G };
		if (i < max)
			h->extents[i] = (struct gmem_range_ser){ (4 + 2 * i) * G, G };
	}
	h->block_chunks[0].order = 2;
	h->block_chunks[0].phys = 0x100000;
	h->nr_extents = max;
	img.pool = (struct gmem_ranges){ many, max, max };
	header_is(NULL);
	HEADER(E_TABLES, (h->nr_extents = max + 1, img.pool.nr = 2));
	HEADER(E_TABLES, h->nr_extents = ~0);
}

/* So many tables, one after the other */
static void many_chunks(struct gmem_chunk_ser *chunks, unsigned int nr, u64 phys,
			unsigned int order)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		chunks[i] = (struct gmem_chunk_ser){ phys + i * (PAGE_SIZE << order), order };
}

static void header_tables(void)
{
	const struct gmem_chunk_ser in_pool = { 5 * G, 0 };
	const u64 end = -(u64)PAGE_SIZE;

	HEADER(E_NOWHERE, h->block_chunks[0].phys = 0);
	HEADER(E_NOWHERE, h->block_chunks[0].phys += PAGE_SIZE);
	HEADER(E_NOWHERE, h->slot_chunks[0].phys += 8);
	HEADER(E_NOWHERE, h->slot_chunks[1].phys += PAGE_SIZE);
	HEADER(E_NOWHERE, h->slot_chunks[1].reserved = 1);
	HEADER(E_NOWHERE, h->slot_chunks[1].order = 64);
	HEADER(E_NOWHERE, h->slot_chunks[0].phys = end);
	HEADER(NULL, h->slot_chunks[0].phys = end - PAGE_SIZE);
	HEADER(E_NOWHERE, h->bad[0] = 0);
	HEADER(E_NOWHERE, h->bad[1] += PAGE_SIZE);

	/* 256 pages at most */
	HEADER(NULL, h->slot_chunks[0] = (struct gmem_chunk_ser){ 256 * PAGE_SIZE, 8 });
	HEADER(E_NOWHERE, h->slot_chunks[0] = (struct gmem_chunk_ser){ 128 * PAGE_SIZE, 8 });
	HEADER(E_NOWHERE, h->slot_chunks[0] = (struct gmem_chunk_ser){ 512 * PAGE_SIZE, 9 });

	HEADER(E_IN_POOL, h->slot_chunks[0] = in_pool);
	HEADER(E_IN_POOL, h->bad[0] = 34 * G - 8 * PAGE_SIZE);
	HEADER(NULL, h->bad[0] = 34 * G);
	HEADER(NULL, h->bad[0] = 4 * G - 8 * PAGE_SIZE);
	HEADER(NULL, h->slot_chunks[0].phys = 4 * G - PAGE_SIZE);

	HEADER(E_TABLES_LAP, h->bad[0] = h->bad[1]);
	HEADER(E_TABLES_LAP, h->slot_chunks[0].phys = h->bad[0]);
	HEADER(E_TABLES_LAP, h->slot_chunks[0].phys = h->bad[1] + 7 * PAGE_SIZE);
	HEADER(NULL, h->slot_chunks[0].phys = h->bad[1] - PAGE_SIZE);
	HEADER(E_TABLES_LAP, h->slot_chunks[0].phys = h->slot_chunks[1].phys);
	HEADER(E_TABLES_LAP, h->slot_chunks[0].phys = h->slot_chunks[1].phys + PAGE_SIZE);
	HEADER(E_TABLES_LAP, h->slot_chunks[0] = h->block_chunks[0]);
	HEADER(E_TABLES_LAP, h->slot_chunks[1].phys = h->block_chunks[0].phys);
}

static void header_counts(void)
{
	const unsigned int blocks = GMEM_PERSIST_MAX_BLOCK_CHUNKS;
	const unsigned int slots = GMEM_PERSIST_MAX_SLOT_CHUNKS;
	/* 77,824 GiB are what 16 chunks of 256 pages have room for. */
	const u64 most = 16 * 256 * 19;
	struct gmem_range all = { 4 * G, most * G };
	unsigned int i, more;

	HEADER(E_TABLES, h->nr_block_chunks = blocks + 1);
	HEADER(E_TABLES, h->nr_block_chunks = ~0);
	HEADER(E_TABLES, h->nr_slot_chunks = slots + 1);
	HEADER(E_TABLES, h->nr_slot_chunks = ~0);
	header_start();
	many_chunks(h->block_chunks, blocks, 0x100000, 8);
	many_chunks(h->slot_chunks, slots, 0x2000000, 0);
	h->nr_block_chunks = blocks;
	h->nr_slot_chunks = slots;
	header_is(NULL);

	/* 24 GiB need two pages of 19 blocks. */
	HEADER(E_BLOCKS, h->nr_block_chunks = 0);
	HEADER(E_BLOCKS, h->block_chunks[0].order = 0);
	/* All but the last one are full, as a block is found by its number. */
	HEADER(NULL, (h->block_chunks[0] = (struct gmem_chunk_ser){ 0x100000, 8 },
		      h->block_chunks[1] = (struct gmem_chunk_ser){ 0x200000, 0 },
		      h->nr_block_chunks = 2));
	HEADER(E_HOLE, (h->block_chunks[0] = (struct gmem_chunk_ser){ 0x100000, 7 },
			h->block_chunks[1] = (struct gmem_chunk_ser){ 0x200000, 8 },
			h->nr_block_chunks = 2));
	/* 38 GiB need two, and 39 three. */
	for (more = 0; more < 2; more++) {
		header_start();
		img.pool_ranges[1].size += (14 + more) * G;
		h->extents[1].size += (14 + more) * G;
		header_is(more ? E_BLOCKS : NULL);
	}
	for (more = 0; more < 2; more++) {
		header_start();
		all.size = (most + more) * G;
		for (i = 0; i < blocks; i++)
			h->block_chunks[i] = (struct gmem_chunk_ser){ (i + 1) << 20, 8 };
		h->nr_block_chunks = blocks;
		h->extents[0] = (struct gmem_range_ser){ all.base, all.size };
		h->nr_extents = 1;
		img.pool = (struct gmem_ranges){ &all, 1, 1 };
		header_is(more ? E_BLOCKS : NULL);
	}

	/* 3 pages of 8 slots */
	HEADER(NULL, h->nr_objects = 24);
	HEADER(E_MANY, h->nr_objects = 25);
	HEADER(E_MANY, h->nr_objects = ~0);
	HEADER(NULL, (h->nr_slot_chunks = 0, h->nr_objects = 0));
	HEADER(E_MANY, (h->nr_slot_chunks = 0, h->nr_objects = 1));
}

/* Each bit counts, but the table alone says what of it is used. */
static void block_page(void)
{
	struct gmem_block_page_ser *page;

	image_fixed(&img);
	page = image_block_page(&img, 0);
	CHECK(gmem_block_page_good(page, 19));
	page->reserved = 1;
	gmem_block_page_seal(page);
	CHECK(!gmem_block_page_good(page, 19));
	page->reserved = 0;
	page->nr = 20;
	gmem_block_page_seal(page);
	CHECK(!gmem_block_page_good(page, 19));
	page->nr = 0;
	gmem_block_page_seal(page);
	CHECK(gmem_block_page_good(page, 0));
	image_free(&img);
}

/*
 * Bad pages
 */

static const char *bad_pages(const u64 *addr, unsigned int nr, unsigned int room)
{
	struct gmem_bad_ser *bad = xmalloc(sizeof(*bad));
	struct gmem_ranges none = {}, pages;
	const char *why;

	gmem_bad_write(bad, &none);
	memcpy(bad->addr, addr, nr * sizeof(*addr));
	bad->nr = nr;
	bad->crc = crc32_le(~0, &bad->nr, 4 + 8 * (u64)nr);
	pages = (struct gmem_ranges){ xmalloc(room * sizeof(*pages.r)), 77, room };
	why = gmem_bad_read(bad, &img.pool, &pages);
	if (why)
		CHECK_EQ(pages.nr, 0);
	free(pages.r);
	free(bad);
	return why;
}

static void bad_list(void)
{
	const u64 p = PAGE_SIZE;
	const u64 sorted[] = { 4 * G, 4 * G + p, 4 * G + 3 * p }, twice[] = { 4 * G, 4 * G };
	const u64 back[] = { 5 * G, 4 * G }, odd[] = { 4 * G + 8 }, wraps[] = { -p };
	const u64 before[] = { 4 * G - p }, gap[] = { 26 * G }, last[] = { 26 * G - p };
	const u64 good_and_bad[] = { 4 * G, 5 * G, 3 * G };
	struct gmem_bad_ser *bad;
	struct gmem_ranges none = {};

	image_fixed(&img);
	CHECK_TEXT(bad_pages(sorted, 3, 2), NULL);
	CHECK_TEXT(bad_pages(sorted, 3, 1), E_BAD_PAGES);
	CHECK_TEXT(bad_pages(last, 1, 1), NULL);
	CHECK_TEXT(bad_pages(twice, 2, 2), E_BAD_PAGES);
	CHECK_TEXT(bad_pages(back, 2, 2), E_BAD_PAGES);
	CHECK_TEXT(bad_pages(odd, 1, 1), E_BAD_PAGES);
	CHECK_TEXT(bad_pages(wraps, 1, 1), E_BAD_PAGES);
	CHECK_TEXT(bad_pages(before, 1, 1), E_BAD_PAGES);
	CHECK_TEXT(bad_pages(gap, 1, 1), E_BAD_PAGES);
	CHECK_TEXT(bad_pages(good_and_bad, 3, 3), E_BAD_PAGES);

	/* Nothing behind the list is read, whatever it says of its length. */
	bad = xmalloc(sizeof(*bad));
	memset(bad, 0, sizeof(*bad));
	bad->nr = GMEM_PERSIST_MAX_BAD_PAGES + 1;
	CHECK_TEXT(gmem_bad_read(bad, &img.pool, &none), E_BAD_MANY);
	bad->nr = ~0;
	CHECK_TEXT(gmem_bad_read(bad, &img.pool, &none), E_BAD_MANY);
	bad->nr = GMEM_PERSIST_MAX_BAD_PAGES;
	CHECK_TEXT(gmem_bad_read(bad, &img.pool, &none), E_CHECKSUM);
	free(bad);
	image_free(&img);
}

/*
 * Slots
 */

enum { DIR = 0, MEMORY = 2, DATA = 3, HIDDEN = 4, EMPTY = 5, UNUSED = 6, LIST = 9 };

static struct gmem_object_ser *slot;

static void slot_start(u32 id)
{
	image_fixed(&img);
	slot = image_slot(&img, id);
}

static void check_slot(const char *why)
{
	struct gmem_object_ser *copy = xmalloc(sizeof(*copy));

	image_seal_slots(&img);
	*copy = *slot;
	CHECK_TEXT(gmem_slot_check(copy), why);
	free(copy);
	image_free(&img);
}

/* Do something to a slot, and see what is said about it. */
#define SLOT(id, why, ...) do {		\
	slot_start(id);			\
	__VA_ARGS__;			\
	AT(check_slot(why));		\
} while (0)

static void slot_state(void)
{
	SLOT(UNUSED, NULL, (void)0);
	SLOT(UNUSED, E_STATE, slot->kind = 1);
	SLOT(UNUSED, E_STATE, slot->unused[11] = 1);
	SLOT(MEMORY, E_STATE, slot->state = GMEM_PERSIST_SLOT_UNUSED);
	SLOT(MEMORY, E_STATE, slot->state = 1);
	SLOT(MEMORY, E_STATE, slot->state = ~0);
	SLOT(MEMORY, NULL, slot->state = GMEM_PERSIST_SLOT_HIDDEN);
	/* What somebody refused does not become good again, whatever is in it. */
	SLOT(MEMORY, E_EARLIER, slot->state = GMEM_PERSIST_SLOT_REFUSED);
	SLOT(HIDDEN, E_EARLIER, (slot->state = GMEM_PERSIST_SLOT_REFUSED, slot->kind = 77));
	/* What is in a hidden one does not matter. */
	SLOT(HIDDEN, NULL, (void)0);
	SLOT(HIDDEN, NULL, memset(slot->name, '/', 64));
	SLOT(HIDDEN, NULL, slot->kind = 77);
	SLOT(MEMORY, NULL, memset(slot->unused, 0xff, sizeof(slot->unused)));

	slot_start(HIDDEN);
	slot->name[0] ^= 1;
	CHECK_TEXT(gmem_slot_check(slot), E_CHECKSUM);
	image_free(&img);
	slot_start(MEMORY);
	slot->state = GMEM_PERSIST_SLOT_HIDDEN;
	CHECK_TEXT(gmem_slot_check(slot), E_CHECKSUM);
	image_free(&img);
}

/* One that sessions hold has no name, and is checked as the others are. */
static void slot_held(void)
{
	SLOT(MEMORY, NULL, image_hold(slot));
	SLOT(DATA, NULL, image_hold(slot));
	SLOT(MEMORY, NULL, (image_hold(slot), slot->holds = ~0));
	SLOT(MEMORY, NULL, (image_hold(slot), slot->held_in = ~0));
	SLOT(MEMORY, E_HELD_NAME, slot->state = GMEM_PERSIST_SLOT_HELD);
	SLOT(MEMORY, E_HELD_NAME, (image_hold(slot), slot->name[63] = 'x'));
	SLOT(MEMORY, E_HELD_NAME, (image_hold(slot), slot->parent = 1));
	SLOT(MEMORY, E_HELD_BY_NOBODY, (image_hold(slot), slot->holds = 0));
	SLOT(DIR, E_HELD_BY_NOBODY, image_hold(slot));
	SLOT(MEMORY, E_UNKNOWN, (image_hold(slot), slot->reserved[0] = 1));
	SLOT(MEMORY, E_KIND, (image_hold(slot), slot->kind = 3));
	SLOT(MEMORY, E_MODE, (image_hold(slot), slot->mode |= 1 << 16));
}

static void slot_attributes(void)
{
	u32 type;

	SLOT(MEMORY, E_NAME, slot->name[0] = 0);
	SLOT(MEMORY, E_NAME, slot->name[1] = '/');
	SLOT(MEMORY, E_NAME, memset(slot->name, 'x', 64));
	SLOT(MEMORY, E_UNKNOWN, slot->reserved[0] = 1);
	SLOT(DIR, E_UNKNOWN, slot->reserved[16] = 1U << 31);
	SLOT(MEMORY, E_UNKNOWN, slot->holds = 1);
	SLOT(MEMORY, E_UNKNOWN, slot->held_in = 1);
	SLOT(MEMORY, E_KIND, slot->kind = 3);
	SLOT(MEMORY, E_KIND, slot->kind = ~0);

	SLOT(MEMORY, NULL, slot->mode = S_IFREG | 07777);
	SLOT(MEMORY, NULL, slot->mode = S_IFREG);
	SLOT(MEMORY, E_MODE, slot->mode |= 1 << 16);
	for (type = 0; type < 16; type++) {
		SLOT(MEMORY, type == S_IFREG >> 12 ? NULL : E_MODE, slot->mode = type << 12 | 0600);
		SLOT(DATA, type == S_IFREG >> 12 ? NULL : E_MODE, slot->mode = type << 12 | 0600);
		SLOT(DIR, type == S_IFDIR >> 12 ? NULL : E_MODE, slot->mode = type << 12 | 0700);
	}
	/* A kind does not become another with what it has. */
	SLOT(MEMORY, E_DIR_MEMORY, (slot->kind = 2, slot->mode = S_IFDIR | 0700));
	SLOT(DIR, E_GRANULE, (slot->kind = 0, slot->mode = S_IFREG | 0600));
	SLOT(MEMORY, NULL, slot->kind = GMEM_PERSIST_KIND_DATA);
	SLOT(DATA, E_LONG, slot->kind = GMEM_PERSIST_KIND_MEMORY);

	/* What nobody here can judge */
	SLOT(MEMORY, NULL, slot->flags = ~0ULL);
	SLOT(MEMORY, NULL, slot->vm_class = ~0);
	SLOT(MEMORY, NULL, slot->born = ~0ULL);
	SLOT(MEMORY, NULL, (slot->uid = ~0, slot->gid = ~0));
	SLOT(MEMORY, NULL, slot->parent = ~0ULL);
	SLOT(DIR, NULL, (slot->quota_bytes = ~0ULL, slot->quota_names = ~0ULL));
}

static void slot_directory(void)
{
	SLOT(DIR, E_DIR_MEMORY, slot->size = SZ_2M);
	SLOT(DIR, E_DIR_MEMORY, slot->granule = SZ_2M);
	SLOT(DIR, E_DIR_MEMORY, slot->nr_ranges = 1);
	SLOT(DIR, E_DIR_MEMORY, slot->list.phys = IMAGE_BASE);
	SLOT(DIR, E_UNKNOWN, slot->flags = 1);
	SLOT(DIR, E_UNKNOWN, slot->vm_class = 1);
	SLOT(DIR, E_UNKNOWN, slot->bytes = 1);
}

static void slot_size(void)
{
	SLOT(MEMORY, E_GRANULE, slot->granule = 0);
	SLOT(MEMORY, E_GRANULE, slot->granule = SZ_4K);
	SLOT(MEMORY, E_GRANULE, slot->granule = SZ_1G | SZ_2M);
	SLOT(MEMORY, E_GRANULE, slot->granule = SZ_1G * 2ULL);
	SLOT(MEMORY, E_SIZE, slot->size += SZ_2M);
	SLOT(DATA, E_SIZE, slot->size += SZ_4K);
	SLOT(DATA, NULL, slot->bytes = slot->size);
	SLOT(DATA, NULL, slot->bytes = 0);
	SLOT(DATA, E_LONG, slot->bytes = slot->size + 1);
	SLOT(DATA, E_LONG, slot->bytes = ~0ULL);
	SLOT(MEMORY, E_LONG, slot->bytes = 1);
	SLOT(MEMORY, E_UNKNOWN, slot->quota_bytes = 1);
	SLOT(DATA, E_UNKNOWN, slot->quota_names = 1);

	/* As many ranges as granules at most, and some if there is memory */
	SLOT(EMPTY, NULL, (void)0);
	SLOT(EMPTY, E_SUM, slot->nr_ranges = 1);
	SLOT(EMPTY, E_SUM, slot->size = SZ_2M);
	SLOT(DATA, NULL, slot->nr_ranges = 3);
	SLOT(DATA, E_SUM, slot->nr_ranges = 4);
	SLOT(DATA, E_SUM, slot->nr_ranges = ~0);
}

static void slot_list(void)
{
	const u64 most = (SZ_4K << 10) / 16;

	SLOT(LIST, NULL, (void)0);
	SLOT(DATA, E_LIST_MANY, slot->list.phys = IMAGE_BASE);
	SLOT(DATA, E_LIST_MANY, slot->list.order = 1);
	SLOT(DATA, E_LIST_MANY, slot->list.reserved = 1);
	SLOT(LIST, E_LIST_MANY, slot->nr_ranges = 12);
	SLOT(LIST, NULL, slot->nr_ranges = 13);
	SLOT(LIST, E_LIST_NOWHERE, slot->list = (struct gmem_chunk_ser){});
	SLOT(LIST, E_LIST_NOWHERE, slot->list.phys += 16);
	SLOT(LIST, E_LIST_NOWHERE, slot->list.reserved = 1);
	SLOT(LIST, E_LIST_NOWHERE, slot->list.order = 11);
	SLOT(LIST, E_LIST_NOWHERE, slot->list.order = ~0);
	SLOT(LIST, NULL, slot->list = (struct gmem_chunk_ser){ SZ_4M, 10 });
	SLOT(LIST, E_LIST_NOWHERE, slot->list = (struct gmem_chunk_ser){ SZ_2M, 10 });
	SLOT(LIST, E_LIST_NOWHERE, slot->list = (struct gmem_chunk_ser){ -(u64)SZ_4M, 10 });

	/* 256 ranges are in a page. */
	SLOT(LIST, NULL, (slot->size = G, slot->nr_ranges = 256));
	SLOT(LIST, E_LIST_SHORT, (slot->size = G, slot->nr_ranges = 257));
	SLOT(LIST, NULL, (slot->size = most * SZ_2M, slot->nr_ranges = most,
			  slot->list = (struct gmem_chunk_ser){ SZ_4M, 10 }));
	SLOT(LIST, E_LIST_SHORT, (slot->size = G << 10, slot->nr_ranges = most + 1,
				  slot->list = (struct gmem_chunk_ser){ SZ_4M, 10 }));
}

static void check_ranges(const char *why)
{
	struct gmem_range_ser *copy = xmalloc(slot->nr_ranges * sizeof(*copy));

	image_seal_slots(&img);
	memcpy(copy, image_ranges(&img, slot), slot->nr_ranges * sizeof(*copy));
	CHECK_TEXT(gmem_slot_check(slot), NULL);
	CHECK_TEXT(gmem_slot_check_ranges(slot, copy, &img.pool), why);
	free(copy);
	image_free(&img);
}

/* Do something to the ranges of an object. */
#define RANGES(id, why, ...) do {		\
	struct gmem_range_ser *r;		\
						\
	slot_start(id);				\
	r = image_ranges(&img, slot);		\
	__VA_ARGS__;				\
	AT(check_ranges(why));			\
	(void)r;				\
} while (0)

static void ranges(void)
{
	RANGES(DATA, NULL, (void)0);
	RANGES(LIST, NULL, (void)0);
	RANGES(EMPTY, NULL, (void)0);
	RANGES(DATA, E_RANGE, r[1].size = 0);
	RANGES(DATA, E_RANGE, r[1].base += SZ_4K);
	RANGES(DATA, E_RANGE, r[1].size += SZ_4K);
	RANGES(LIST, E_RANGE, r[19].base |= 1);
	RANGES(MEMORY, E_RANGE, r[0].base += SZ_2M);
	RANGES(MEMORY, E_RANGE, r[0].size += SZ_2M);
	RANGES(MEMORY, NULL, r[0].base = 25 * G);
	RANGES(MEMORY, E_OUTSIDE, r[0].base = 26 * G);
	RANGES(MEMORY, E_OUTSIDE, r[0].base = 3 * G);
	RANGES(MEMORY, E_OUTSIDE, r[0].base = -G);
	RANGES(MEMORY, E_OUTSIDE, (r[0].base = 25 * G, r[0].size = 2 * G));
	RANGES(MEMORY, E_OUTSIDE, r[0].size = -G);

	/* The sum, also where it does not fit in 64 bits */
	RANGES(DATA, E_SUM, r[0].size = SZ_4M);
	RANGES(DATA, E_SUM, r[1].size = SZ_2M);
	RANGES(DATA, NULL, (r[0].base = 4 * G, r[0].size = SZ_4M, r[1].size = SZ_2M));
	RANGES(DATA, E_SUM, (r[0].base = 4 * G, r[0].size = 20 * G));
	RANGES(DATA, E_SUM, (r[0].base = 4 * G, r[0].size = 3 * SZ_2M));
	RANGES(LIST, E_SUM, r[19].size = SZ_4M);
	RANGES(LIST, E_SUM, slot->size += SZ_2M);
	RANGES(LIST, E_SUM, slot->nr_ranges = 19);

	/* The same range twice is not its own concern. */
	RANGES(LIST, NULL, r[1] = r[0]);

	slot_start(LIST);
	image_ranges(&img, slot)[19].base += SZ_2M;
	CHECK_TEXT(gmem_slot_check_ranges(slot, image_ranges(&img, slot), &img.pool),
		   E_LIST_CRC);
	image_free(&img);
	/* Of those in the slot there is no other checksum than the slot's. */
	RANGES(DATA, NULL, slot->list_crc = 77);
}

const struct test record_refuse_tests[] = {
	TEST(tree_bytes),
	TEST(tree_compatible),
	TEST(tree_page_size),
	TEST(tree_features),
	TEST(tree_headers),
	TEST(header_state),
	TEST(header_pool),
	TEST(header_tables),
	TEST(header_counts),
	TEST(block_page),
	TEST(bad_list),
	TEST(slot_state),
	TEST(slot_held),
	TEST(slot_attributes),
	TEST(slot_directory),
	TEST(slot_size),
	TEST(slot_list),
	TEST(ranges),
	{}
};
