// SPDX-License-Identifier: GPL-2.0
/*
 * The readers of records: any bytes for any piece; a good record with some bytes changed; a
 * record that tells lies, with checksums that are right. See reading_check() for what must
 * hold whatever comes.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/crc32.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "fuzz.h"
#include "tests/records.h"

static struct image img;

/* Give a reader memory that begins with these bytes and ends where it must not read on. */
static void *memory(const u8 *data, size_t size, size_t room)
{
	u8 *p = calloc(1, room);

	memcpy(p, data, min(size, room));
	return p;
}

static void read_tree(const u8 *data, size_t size)
{
	void *fdt = memory(data, size, size);
	u64 headers[2] = {};

	if (!gmem_record_read_fdt(fdt, size, headers))
		CHECK(headers[0] && headers[1] && headers[0] != headers[1]);
	free(fdt);
}

static void read_header(const u8 *data, size_t size, bool seal)
{
	struct gmem_header_ser *h = memory(data, size, sizeof(*h));

	if (seal) {
		h->magic = GMEM_PERSIST_MAGIC;
		gmem_header_seal(h, GMEM_PERSIST_STATE_SEALED);
	}
	if (!gmem_header_check(h, &img.pool))
		CHECK(h->nr_extents == img.pool.nr && h->nr_block_chunks &&
		      h->bad[0] != h->bad[1]);
	free(h);
}

static void read_bad(const u8 *data, size_t size, bool seal)
{
	struct gmem_bad_ser *bad = memory(data, size, sizeof(*bad));
	struct gmem_ranges pages = { .cap = GMEM_PERSIST_MAX_BAD_PAGES };
	unsigned int i;

	pages.r = xmalloc(pages.cap * sizeof(*pages.r));
	if (seal) {
		bad->nr %= GMEM_PERSIST_MAX_BAD_PAGES + 2;
		bad->crc = crc32_le(~0, &bad->nr, 4 + 8 * min(bad->nr, GMEM_PERSIST_MAX_BAD_PAGES));
	}
	if (!gmem_bad_read(bad, &img.pool, &pages))
		for (i = 0; i < pages.nr; i++)
			CHECK(gmem_ranges_contain(&img.pool, pages.r[i].base, pages.r[i].size));
	free(pages.r);
	free(bad);
}

/* A slot, and what is behind it as its list of ranges */
static void read_slot(const u8 *data, size_t size, bool seal)
{
	struct gmem_object_ser *slot = memory(data, size, sizeof(*slot));
	size_t behind = size - min(size, sizeof(*slot)), bytes;
	struct gmem_range_ser *list = NULL;

	if (seal)
		gmem_slot_seal(slot);
	if (!gmem_slot_check(slot) && image_tells(slot)) {
		CHECK(gmem_name_valid(slot->name) == (slot->state == GMEM_PERSIST_SLOT_VALID));
		bytes = slot->nr_ranges * sizeof(*list);
		CHECK(bytes <= SZ_2M * 2);
		list = memory(slot->nr_ranges > GMEM_PERSIST_INLINE_RANGES ?
			      data + size - behind : (u8 *)slot->ranges,
			      slot->nr_ranges > GMEM_PERSIST_INLINE_RANGES ? behind : bytes, bytes);
		gmem_slot_check_ranges(slot, list, &img.pool);
	}
	free(list);
	free(slot);
}

static void read_image(void)
{
	struct reading r;

	image_read(&img, &r);
	reading_check(&img, &r);
	reading_free(&r);
}

static void change_bytes(u8 *bytes, size_t size)
{
	size_t at = random_below(size), from = random_below(size);

	switch (random_below(4)) {
	case 0:
		bytes[at] = random_below(256);
		break;
	case 1:
		bytes[at] ^= 1 << random_below(8);
		break;
	default:
		at &= ~7;
		from &= ~7;
		memmove(bytes + at, bytes + from, min((size_t)8, size - (at > from ? at : from)));
	}
}

/* The tables, where there is something in them */
static void damage(void)
{
	switch (random_below(6)) {
	case 0:
		change_bytes(img.fdt[random_below(2)], img.fdt_size);
		break;
	case 1:
		change_bytes((u8 *)img.header[random_below(2)], sizeof(*img.header[0]));
		break;
	case 2:
		change_bytes((u8 *)img.bad[random_below(2)], 128);
		break;
	case 3:
		change_bytes((u8 *)image_block_page(&img, 0), 1024);
		break;
	default:
		change_bytes((u8 *)image_slot(&img, random_below(image_nr_slots(&img))),
			     sizeof(struct gmem_object_ser));
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	unsigned int way;

	fuzz_start(data, size);
	way = random_below(10);
	if (way > 6 && random_below(2))
		image_random(&img);
	else
		image_fixed(&img);
	data += size - fuzz_left();
	size = fuzz_left();

	if (way == 0)
		read_tree(data, size);
	else if (way < 3)
		read_header(data, size, way == 1);
	else if (way < 5)
		read_bad(data, size, way == 3);
	else if (way < 7)
		read_slot(data, size, way == 5);
	while (way >= 7 && fuzz_left())
		damage();
	if (way >= 8)
		image_seal_slots(&img);
	if (way >= 7)
		read_image();
	image_free(&img);
	return 0;
}
