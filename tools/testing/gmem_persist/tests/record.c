// SPDX-License-Identifier: GPL-2.0
/*
 * Records that nothing is wrong with: what is written is what is read, in the
 * bytes that the ABI promises.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/errno.h>
#include <linux/libfdt.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/stat.h>

#include <linux/gmem_persist.h>

#include "records.h"

static struct image img;
static struct reading r;

/* CRC-32 of "1234567890123456" is complemented by crc32_le(); what it is, zlib says. */
static void checksum(void)
{
	struct gmem_object_ser slot = {};

	gmem_slot_set_token(&slot, (const u8 *)"1234567890123456");
	CHECK_EQ(slot.token_crc, (u32)~0x1e5fcdb7);
	CHECK_EQ(gmem_record_ranges_crc((const void *)"1234567890123456", 1), slot.token_crc);
	CHECK_EQ(gmem_record_ranges_crc(NULL, 0), ~0U);
}

/*
 * What @crc of a structure is for: of all of its bits from @first up to @end, those of the
 * checksum itself make it wrong, too.
 */
static void check_covered(void *p, size_t size, size_t first, size_t end, bool (*good)(void *p))
{
	u8 *bytes = p;
	size_t i;

	CHECK(good(p));
	for (i = 0; i < 8 * size; i++) {
		where->step = i;
		bytes[i / 8] ^= 1 << i % 8;
		CHECK_EQ(good(p), i / 8 < first || i / 8 >= end);
		bytes[i / 8] ^= 1 << i % 8;
	}
	CHECK(good(p));
}

static bool header_good(void *p)
{
	return !gmem_header_check(p, &img.pool);
}

static void header_checksum(void)
{
	image_fixed(&img);
	check_covered(img.header[0], sizeof(*img.header[0]), 0, sizeof(*img.header[0]),
		      header_good);
	image_free(&img);
}

static bool block_page_good(void *p)
{
	return gmem_block_page_good(p, 5);
}

static void block_checksum(void)
{
	image_fixed(&img);
	CHECK(!gmem_block_page_good(image_block_page(&img, 1), 4));
	CHECK(!gmem_block_page_good(image_block_page(&img, 1), 6));
	check_covered(image_block_page(&img, 1), PAGE_SIZE, 0, PAGE_SIZE, block_page_good);
	image_free(&img);
}

static bool bad_good(void *p)
{
	u64 room[2 * GMEM_PERSIST_MAX_BAD_PAGES];
	struct gmem_ranges pages = { (void *)room, 0, GMEM_PERSIST_MAX_BAD_PAGES };

	return !gmem_bad_read(p, &img.pool, &pages);
}

/* Of the list, only what is used counts. */
static void bad_checksum(void)
{
	image_fixed(&img);
	check_covered(img.bad[1], 128, 0, 8 + 4 * 8, bad_good);
	image_free(&img);
}

static bool slot_good(void *p)
{
	return !gmem_slot_check(p);
}

static bool token_good(void *p)
{
	return gmem_slot_token_good(p);
}

static bool slot_unused(void *p)
{
	return !gmem_slot_check(p) && *(u64 *)p == 0;
}

/* The token is not the slot's concern, nor the slot the token's. */
static void slot_checksum(void)
{
	const size_t token = offsetof(struct gmem_object_ser, token_crc);
	const size_t unused = offsetof(struct gmem_object_ser, unused);
	struct gmem_object_ser nothing = {};
	u32 id;

	image_fixed(&img);
	for (id = 0; id < 6; id++) {
		check_covered(image_slot(&img, id), sizeof(nothing), 0, token, slot_good);
		check_covered(image_slot(&img, id), sizeof(nothing), token, unused, token_good);
	}
	check_covered(&nothing, sizeof(nothing), 0, sizeof(nothing), slot_unused);
	CHECK(!gmem_slot_token_good(&nothing));
	image_free(&img);
}

static bool list_good(void *p)
{
	return !gmem_slot_check_ranges(image_slot(&img, 9), p, &img.pool);
}

static void list_checksum(void)
{
	image_fixed(&img);
	check_covered(image_ranges(&img, image_slot(&img, 9)), 20 * 16, 0, 20 * 16, list_good);
	image_free(&img);
}

/* 1 to 63 letters, digits and "._-+:@=", no dot in front */
static void names(void)
{
	static const char others[] = "._-+:@=";
	char name[GMEM_NAME_SIZE + 1], *full;
	unsigned int c, len;

	CHECK_EQ(GMEM_NAME_SIZE, GMEM_PERSIST_NAME_SIZE);
	for (c = 0; c < 256; c++) {
		bool ok = c && c < 128 && (isalnum(c) || strchr(others, c));

		where->step = c;
		snprintf(name, sizeof(name), "%c", c);
		CHECK_EQ(gmem_name_valid(name), ok && c != '.');
		snprintf(name, sizeof(name), "a%cb", c);
		CHECK_EQ(gmem_name_valid(name), ok || !c);
		snprintf(name, sizeof(name), "ab%c", c);
		CHECK_EQ(gmem_name_valid(name), ok || !c);
	}

	for (len = 0; len < sizeof(name); len++) {
		where->step = len;
		memset(name, 'x', len);
		name[len] = 0;
		CHECK_EQ(gmem_name_valid(name), len >= 1 && len <= 63);
		/* Neither more nor less of it than its NUL is looked at. */
		if (len < sizeof(name) - 1)
			name[len + 1] = '/';
		CHECK_EQ(gmem_name_valid(name), len >= 1 && len <= 63);
	}
	CHECK(!gmem_name_valid("."));
	CHECK(!gmem_name_valid(".."));
	CHECK(!gmem_name_valid(".a"));
	CHECK(!gmem_name_valid("a/b"));
	CHECK(gmem_name_valid("a..b"));
	CHECK(gmem_name_valid("a."));

	/* A full buffer without a NUL is no name, and nothing behind it is read. */
	full = xmalloc(GMEM_NAME_SIZE);
	memset(full, 'x', GMEM_NAME_SIZE);
	CHECK(!gmem_name_valid(full));
	free(full);
}

/* All of an image must come back, and nothing else. */
static void check_reading(void)
{
	unsigned int i = 0;
	u32 id;

	image_read(&img, &r);
	CHECK_TEXT(r.refused, NULL);
	CHECK_EQ(r.err, 0);
	CHECK_EQ(r.blocks_refused, 0);
	CHECK_EQ(r.bad_refused, 0);
	CHECK(gmem_ranges_equal(&r.bad_pages, &img.bad_pages));
	reading_check(&img, &r);
	for (id = 0; id < image_nr_slots(&img); id++) {
		const struct gmem_object_ser *slot = image_slot(&img, id);

		if (!image_tells(slot))
			continue;
		CHECK(i < r.nr);
		CHECK_EQ(r.found[i].id, id);
		CHECK_TEXT(r.found[i].bad, NULL);
		CHECK(gmem_slot_token_good(r.found[i].slot));
		i++;
	}
	CHECK_EQ(i, r.nr);
	reading_free(&r);
}

static void round_trip(void)
{
	random_start(0x70);
	for (where->step = 0; where->step < random_rounds(1000); where->step++) {
		image_random(&img);
		check_reading();
		image_free(&img);
	}
}

/* A pool that has no objects, and no pool */
static void nothing(void)
{
	static const struct gmem_range pool = { 4 * G, G };
	struct gmem_header_ser h = { .magic = GMEM_PERSIST_MAGIC };
	struct gmem_ranges none = {};

	image_start(&img, &pool, 1, 0);
	image_seal(&img);
	check_reading();
	image_free(&img);

	h.bad[0] = 8 * PAGE_SIZE;
	h.bad[1] = 16 * PAGE_SIZE;
	gmem_header_seal(&h, GMEM_PERSIST_STATE_SEALED);
	CHECK_TEXT(gmem_header_check(&h, &none), NULL);
	CHECK_EQ(gmem_record_judge(NULL, 0, NULL, NULL), 0);
}

/*
 * Fixed input must give the bytes that it gave when the format was decided on,
 * and these bytes must be understood forever.
 */
static void golden_v2(void)
{
	unsigned int g;

	golden_check(TESTS_DIR "/golden-v2.hex");
	image_fixed(&img);
	check_reading();

	image_read(&img, &r);
	CHECK_EQ(r.nr, 6);
	CHECK_EQ(r.found[0].depth, 1);
	CHECK_EQ(r.found[1].depth, 2);
	CHECK_EQ(r.found[2].depth, 3);
	CHECK_EQ(r.found[5].depth, 1);
	for (g = 0; g < 512; g++) {
		CHECK_EQ(r.has[g], GRANULE_CLEAN);
		CHECK_EQ(r.has[512 + g], 2);
		CHECK_EQ(r.has[2 * 512 + g], g < 2 || g == 511 ? 3 : GRANULE_NOBODY);
		CHECK_EQ(r.has[3 * 512 + g], GRANULE_DIRTY);
		CHECK_EQ(r.has[5 * 512 + g], GRANULE_QUARANTINED);
		CHECK_EQ(r.has[21 * 512 + g], GRANULE_NOBODY);
		CHECK_EQ(r.has[22 * 512 + g], g < 40 && g % 2 == 0 ? 9 : GRANULE_DIRTY);
		CHECK_EQ(r.has[23 * 512 + g], GRANULE_NOBODY);
	}
	reading_free(&r);
	image_free(&img);
}

/* However little room there is, it is said to be too little and not exceeded. */
static void tree_size(void)
{
	const u64 headers[2] = { 0x1000, 0xfffffffffffff000 };
	u64 is[2];
	size_t room, size = 0;
	int len;
	u8 *buf;

	for (room = 0; room <= GMEM_RECORD_FDT_SIZE; room++) {
		where->step = room;
		buf = xmalloc(room);
		len = gmem_record_write_fdt(buf, room, headers);
		CHECK(len == -ENOSPC || (len > 0 && len <= room));
		CHECK(len > 0 || !size);
		if (len > 0) {
			size = len;
			CHECK_TEXT(gmem_record_read_fdt(buf, room, is), NULL);
			CHECK_TEXT(gmem_record_read_fdt(buf, len, is), NULL);
			CHECK(is[0] == headers[0] && is[1] == headers[1]);
		}
		free(buf);
	}
	CHECK(size && size < GMEM_RECORD_FDT_SIZE / 2);
}

/* A header that is opened again, and sealed again */
static void seal(void)
{
	struct gmem_header_ser was, *h;

	image_fixed(&img);
	h = img.header[0];
	was = *h;
	gmem_header_seal(h, GMEM_PERSIST_STATE_OPEN);
	CHECK_TEXT(gmem_header_check(h, &img.pool), "it is not sealed");
	h->generation++;
	CHECK_TEXT(gmem_header_check(h, &img.pool), "it is not sealed");
	gmem_header_seal(h, GMEM_PERSIST_STATE_SEALED);
	CHECK_TEXT(gmem_header_check(h, &img.pool), NULL);
	CHECK(h->crc != was.crc);
	h->generation--;
	gmem_header_seal(h, GMEM_PERSIST_STATE_SEALED);
	CHECK(!memcmp(h, &was, sizeof(was)));
	image_free(&img);
}

/* As many bad pages as there may be, and one more, which gets no place */
static void most_bad_pages(void)
{
	const struct gmem_range pool = { 4 * G, G };
	const struct gmem_ranges in = { (struct gmem_range *)&pool, 1, 1 };
	struct gmem_ranges pages = {}, is = {};
	struct gmem_bad_ser *bad = xmalloc(sizeof(*bad));
	struct gmem_range all;
	int i, nr;

	is.cap = GMEM_PERSIST_MAX_BAD_PAGES;
	is.r = xmalloc(is.cap * sizeof(*is.r));
	pages.cap = GMEM_PERSIST_MAX_BAD_PAGES + 1;
	pages.r = xmalloc(pages.cap * sizeof(*pages.r));
	/* Every other page, so that each is a range */
	for (i = 0; i < pages.cap; i++)
		CHECK_EQ(gmem_ranges_add(&pages, 4 * G + 2 * i * PAGE_SIZE, PAGE_SIZE), 0);
	for (nr = GMEM_PERSIST_MAX_BAD_PAGES - 1; nr < pages.cap; nr++) {
		pages.nr = nr;
		gmem_bad_write(bad, &pages);
		CHECK_TEXT(gmem_bad_read(bad, &in, &is), NULL);
		pages.nr = nr > GMEM_PERSIST_MAX_BAD_PAGES ? GMEM_PERSIST_MAX_BAD_PAGES : nr;
		CHECK(gmem_ranges_equal(&pages, &is));
	}

	/* All of them in one piece */
	all = (struct gmem_range){ 4 * G, (GMEM_PERSIST_MAX_BAD_PAGES + 1) * PAGE_SIZE };
	pages.r[0] = all;
	pages.nr = 1;
	gmem_bad_write(bad, &pages);
	CHECK_TEXT(gmem_bad_read(bad, &in, &is), NULL);
	CHECK_EQ(is.nr, 1);
	CHECK_EQ(is.r[0].size, GMEM_PERSIST_MAX_BAD_PAGES * PAGE_SIZE);

	/* None */
	pages.nr = 0;
	gmem_bad_write(bad, &pages);
	CHECK_TEXT(gmem_bad_read(bad, &in, &is), NULL);
	CHECK_EQ(is.nr, 0);
	free(is.r);
	free(pages.r);
	free(bad);
}

const struct test record_tests[] = {
	TEST(checksum),
	TEST(header_checksum),
	TEST(block_checksum),
	TEST(bad_checksum),
	TEST(slot_checksum),
	TEST(list_checksum),
	TEST(names),
	TEST(round_trip),
	TEST(nothing),
	TEST(golden_v2),
	TEST(tree_size),
	TEST(seal),
	TEST(most_bad_pages),
	{}
};
