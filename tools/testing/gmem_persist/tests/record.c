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

#include <linux/gmem_persist.h>

#include "records.h"


/* CRC-32 of "123456789" is cbf43926, the complement of what crc32_le() gives. */
static void checksum(void)
{
	CHECK_EQ(gmem_record_crc("123456789", 9), (u32)~0xcbf43926);
	CHECK_EQ(gmem_record_crc("", 0), ~0U);
}

/* A header's checksum covers every bit of it but those of the checksum. */
static void header_checksum(void)
{
	struct gmem_persist_header hdr = {
		.magic = GMEM_PERSIST_MAGIC,
		.state = GMEM_PERSIST_STATE_SEALED,
		.generation = 3,
	}, copy = hdr;
	const size_t crc = offsetof(struct gmem_persist_header, crc);
	u32 good = gmem_record_header_crc(&hdr);
	size_t i;

	for (i = 0; i < 8 * sizeof(hdr); i++) {
		bool own = i / 8 >= crc && i / 8 < crc + sizeof(hdr.crc);

		where->step = i;
		((u8 *)&hdr)[i / 8] ^= 1 << i % 8;
		CHECK_EQ(gmem_record_header_crc(&hdr) == good, own);
		((u8 *)&hdr)[i / 8] ^= 1 << i % 8;
	}
	CHECK(!memcmp(&hdr, &copy, sizeof(hdr)));
}

/* 1 to 63 letters, digits and "._-+:@=", no dot in front */
static void names(void)
{
	static const char others[] = "._-+:@=";
	char name[GMEM_NAME_SIZE + 1];
	unsigned int c, len;

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
	{
		char *full = xmalloc(GMEM_NAME_SIZE);

		memset(full, 'x', GMEM_NAME_SIZE);
		CHECK(!gmem_name_valid(full));
		free(full);
	}
}

/* Read a draft's bytes; all of it must come back, and nothing else. */
static void check_reading(const struct draft *d, const void *fdt, size_t size)
{
	struct gmem_record rec;
	unsigned int i;

	CHECK_TEXT(gmem_record_read(fdt, size, &d->rec.pool, &rec), NULL);
	record_check(&d->rec.pool, &rec);
	CHECK(gmem_extents_equal(&rec.clean, &d->rec.clean));
	CHECK(gmem_extents_equal(&rec.dirty, &d->rec.dirty));
	CHECK(gmem_extents_equal(&rec.quarantined, &d->rec.quarantined));
	CHECK(gmem_extents_equal(&rec.bad_pages, &d->rec.bad_pages));
	CHECK(gmem_extents_equal(&rec.retired, &d->rec.retired));
	CHECK_EQ(rec.nr_nodes, d->rec.nr_nodes);
	CHECK(!rec.nr_nodes || !memcmp(rec.nodes, d->rec.nodes,
				       rec.nr_nodes * sizeof(*rec.nodes)));
	CHECK_EQ(rec.unnamed_bytes, 0);
	CHECK_EQ(rec.bad_free, 0);
	CHECK_EQ(rec.nr_objects, d->rec.nr_objects);
	for (i = 0; i < rec.nr_objects; i++) {
		const struct gmem_record_object *is = &rec.objects[i];
		const struct gmem_record_object *was = &d->rec.objects[i];

		CHECK_TEXT(is->bad, NULL);
		CHECK_TEXT(is->name, was->name);
		CHECK(!memcmp(&is->meta, &was->meta, sizeof(is->meta)));
		CHECK(gmem_extents_equal(&is->ranges, &was->ranges));
		CHECK(!memcmp(&is->file, &was->file, sizeof(is->file)));
		CHECK(!memcmp(&is->directory, &was->directory, sizeof(is->directory)));
		CHECK_EQ(is->mtime, was->mtime);
	}
	gmem_record_free(&rec);
	CHECK(!rec.objects && !rec.pool.r && !rec.clean.nr && !rec.nodes);
}

static void round_trip(void)
{
	struct draft d;
	size_t size;
	void *fdt;

	random_start(0x70);
	for (where->step = 0; where->step < random_rounds(1500); where->step++) {
		draft_random(&d);
		fdt = draft_write(&d, &size);
		check_reading(&d, fdt, size);
		free(fdt);
		draft_free(&d);
	}
}

/* A pool that has nothing in it, and one that is not there */
static void nothing(void)
{
	struct draft d = {};
	size_t size;
	void *fdt;

	fdt = draft_write(&d, &size);
	check_reading(&d, fdt, size);
	free(fdt);

	list_put(&d.rec.pool, 4 * (u64)SZ_1G, SZ_2M);
	list_put(&d.rec.clean, 4 * (u64)SZ_1G, SZ_2M);
	fdt = draft_write(&d, &size);
	check_reading(&d, fdt, size);
	free(fdt);
	draft_free(&d);
}

/*
 * Fixed input must give the bytes that it gave when the format was decided on,
 * and these bytes must be understood forever.
 */
static void check_golden(struct draft *d, const char *path)
{
	unsigned char *fdt, *golden = xmalloc(1 << 16);
	size_t size, nr = 0, i;
	unsigned int byte;
	FILE *file;

	file = fopen(path, "r");
	if (!file)
		test_fail(__FILE__, __LINE__, "cannot open %s", path);
	while (nr < 1 << 16 && fscanf(file, "%2x", &byte) == 1)
		golden[nr++] = byte;
	fclose(file);

	fdt = draft_write(d, &size);
	for (i = 0; i < size && i < nr; i++)
		if (fdt[i] != golden[i])
			break;
	if (i < size || i < nr)
		test_fail(__FILE__, __LINE__,
			  "byte %zu of %zu (golden: %zu) is not that of %s: the format of the record changed without a new version. Give it a new GMEM_PERSIST_COMPATIBLE and a new golden file, or undo the change",
			  i, size, nr, path);

	check_reading(d, golden, nr);
	free(fdt);
	free(golden);
	draft_free(d);
}

static void golden_v1(void)
{
	struct draft d;

	draft_fixed(&d);
	check_golden(&d, TESTS_DIR "/golden-v1.hex");
}

/* With bad pages and nodes, which a record has only if there are any */
static void golden_v1_poison(void)
{
	struct draft d;

	draft_poison(&d);
	check_golden(&d, TESTS_DIR "/golden-v1-poison.hex");
}

/* With files of data */
static void golden_v1_data(void)
{
	struct draft d;

	draft_data(&d);
	check_golden(&d, TESTS_DIR "/golden-v1-data.hex");
}

/* With directories */
static void golden_v1_directories(void)
{
	struct draft d;

	draft_directories(&d);
	check_golden(&d, TESTS_DIR "/golden-v1-directories.hex");
}

/* What the writer says it needs is enough even for the longest of everything. */
static void size_is_enough(void)
{
	static struct gmem_record_object objs[GMEM_RECORD_MAX_OBJECTS + 1];
	static char long_names[GMEM_RECORD_MAX_OBJECTS + 1][GMEM_NAME_SIZE];
	struct gmem_range r = { SZ_2M, SZ_2M };
	struct gmem_record rec = { .objects = objs };
	unsigned int i, nr;
	size_t size;
	void *buf;

	for (i = 0; i <= GMEM_RECORD_MAX_OBJECTS; i++) {
		memset(long_names[i], 'x', GMEM_NAME_SIZE - 1);
		objs[i].name = long_names[i];
		objs[i].ranges = (struct gmem_extents){ &r, 1, 1 };
		objs[i].file.kind = GMEM_PERSIST_FILE_DATA;
		objs[i].directory.id = ~0ULL;
		objs[i].mtime = ~0ULL;
	}
	for (nr = 0; nr <= GMEM_RECORD_MAX_OBJECTS; nr += nr < 32 ? 1 : 508) {
		rec.nr_objects = nr;
		size = gmem_record_size(&rec);
		buf = xmalloc(size);
		CHECK(gmem_record_write(&rec, buf, size) > 0);
		CHECK(!fdt_check_header(buf) && fdt_totalsize(buf) <= size);
		free(buf);
	}

	/* One object too many */
	rec.nr_objects = GMEM_RECORD_MAX_OBJECTS + 1;
	size = gmem_record_size(&rec);
	buf = xmalloc(size);
	CHECK_EQ(gmem_record_write(&rec, buf, size), -ENOSPC);
	rec.nr_objects--;
	CHECK(gmem_record_write(&rec, buf, size) > 0);
	/* More room than a reader accepts */
	CHECK_EQ(gmem_record_write(&rec, buf, GMEM_RECORD_MAX_SIZE + 1), -ENOSPC);
	free(buf);
}

/* As many bad pages as there may be, and one more */
static void most_bad_pages(void)
{
	const u64 base = 4 * (u64)SZ_1G;
	struct gmem_record rec;
	struct draft d = {};
	size_t size;
	void *fdt;
	int i;

	/* Every other page, so that each is a range. */
	list_put(&d.rec.pool, base, 16 * SZ_2M);
	list_put(&d.rec.retired, base, 16 * SZ_2M);
	for (i = 0; i < GMEM_RECORD_MAX_BAD_PAGES; i++)
		list_put(&d.rec.bad_pages, base + 2 * i * PAGE_SIZE, PAGE_SIZE);
	fdt = draft_write(&d, &size);
	check_reading(&d, fdt, size);
	free(fdt);

	list_put(&d.rec.bad_pages, base + PAGE_SIZE, PAGE_SIZE);
	size = gmem_record_size(&d.rec);
	fdt = xmalloc(size);
	CHECK_EQ(gmem_record_write(&d.rec, fdt, size), -ENOSPC);
	free(fdt);
	draft_free(&d);

	/* All of them in one piece, in free memory: nine granules of it go */
	list_put(&d.rec.pool, base, 16 * SZ_2M);
	list_put(&d.rec.clean, base, 16 * SZ_2M);
	list_put(&d.rec.bad_pages, base + 3 * PAGE_SIZE,
		 GMEM_RECORD_MAX_BAD_PAGES * PAGE_SIZE);
	fdt = draft_write(&d, &size);
	CHECK_TEXT(gmem_record_read(fdt, size, &d.rec.pool, &rec), NULL);
	record_check(&d.rec.pool, &rec);
	CHECK_EQ(gmem_extents_bytes(&rec.retired), 9 * SZ_2M);
	CHECK_EQ(gmem_extents_bytes(&rec.clean), 7 * SZ_2M);
	gmem_record_free(&rec);
	free(fdt);
	draft_free(&d);
}

/* However little room there is, it is said to be too little and not exceeded. */
static void size_too_small(void)
{
	size_t size, room;
	struct draft d;
	void *fdt, *buf;
	int len;

	draft_poison(&d);
	fdt = draft_write(&d, &size);
	free(fdt);
	for (room = 0; room <= size; room++) {
		where->step = room;
		buf = xmalloc(room);
		len = gmem_record_write(&d.rec, buf, room);
		/* The tree that is finished has no gap, the unfinished one has. */
		CHECK(len == -ENOSPC || len == size);
		CHECK(len < 0 || room >= size);
		free(buf);
	}
	draft_free(&d);
}

const struct test record_tests[] = {
	TEST(checksum),
	TEST(header_checksum),
	TEST(names),
	TEST(round_trip),
	TEST(nothing),
	TEST(golden_v1),
	TEST(golden_v1_poison),
	TEST(golden_v1_data),
	TEST(golden_v1_directories),
	TEST(size_is_enough),
	TEST(most_bad_pages),
	TEST(size_too_small),
	{}
};
