// SPDX-License-Identifier: GPL-2.0
/*
 * Every reason for which a record, an object in it or a range of it is refused.
 *
 * All cases start from the record that draft_fixed() draws, and do one thing to it:
 * to the draft, before it is written with checksums that are right, or to the tree.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/libfdt.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/stat.h>

#include <linux/gmem_persist.h>

#include "records.h"

#define E_TREE		"it is no device tree"
#define E_FORMAT	"its format is unknown"
#define E_PAGE_MISSING	"its page size is missing"
#define E_PAGE		"it was written by a kernel with another page size"
#define E_FEAT_MISSING	"its features are missing"
#define E_FEATURES	"it needs features that this kernel does not have"
#define E_POOL		"its pool is not the memory that the firmware map names"
#define E_MANY		"it has too many objects"
#define E_BAD_PAGES	"its list of bad pages is malformed"
#define E_BAD_MANY	"it has too many bad pages"
#define E_MEMORY	"no memory to read it"
#define E_LIST_MISSING	"a list of ranges is missing"
#define E_LIST_ODD	"a list of ranges has an odd length"
#define E_NAME		"its name is missing or malformed"
#define E_META		"its attributes are missing or malformed"
#define E_CHECKSUM	"its checksum is wrong"
#define E_GRANULE	"its granule is unknown"
#define E_UNKNOWN	"its attributes are unknown"
#define E_FILE		"what it says of its file is malformed"
#define E_FILE_CRC	"the checksum of its file is wrong"
#define E_FILE_KIND	"its kind of file is unknown"
#define E_FILE_LONG	"its file is longer than its memory"
#define E_HALF		"it is half a directory"
#define E_DIR		"what it says of its directory is malformed"
#define E_DIR_CRC	"the checksum of its directory is wrong"
#define E_DIR_UNKNOWN	"its directory is unknown"
#define E_DIR_MEMORY	"it is a directory with memory"
#define E_PARENT	"its directory is missing"
#define E_SAME_ID	"another directory has the same number"
#define E_SAME_NAME	"another object has the same name"
#define E_SAME_UUID	"another object has the same uuid"
#define E_RANGE		"a range is malformed"
#define E_OUTSIDE	"a range lies outside of the pool"
#define E_SUM		"its size is not that of its ranges"
#define E_OVERLAP	"it overlaps another entry"

#define G ((u64)SZ_1G)
#define M ((u64)SZ_1M)
#define HIGH (16 * G)

static struct draft draft;
static void *tree;
static size_t room;
static struct gmem_record rec;

static struct gmem_record_object *obj;

static void start(void)
{
	draft_fixed(&draft);
	obj = draft.obj;
}

static void edit(void)
{
	start();
	tree = tree_open(&draft, &room);
}

static void poison(void)
{
	draft_poison(&draft);
	obj = draft.obj;
}

static void edit_draft(void)
{
	tree = tree_open(&draft, &room);
}

/* Read what was made; @why: why all of it is refused, or NULL. */
static void check_read(const char *why)
{
	size_t size;

	if (!tree)
		tree = tree_open(&draft, &room);
	tree = tree_close(tree, &size);
	CHECK_TEXT(gmem_record_read(tree, size, &draft.rec.pool, &rec), why);
	if (!why)
		record_check(&draft.rec.pool, &rec);
}

static void finish(void)
{
	gmem_record_free(&rec);
	draft_free(&draft);
	free(tree);
	tree = NULL;
}

static void check_refused(const char *why)
{
	check_read(why);
	finish();
}

/* The objects must be refused for these reasons (NULL: accepted); nothing else is. */
static void check_objects(const char *why0, const char *why1, const char *why2)
{
	const char *const why[3] = { why0, why1, why2 };
	bool all = true;
	unsigned int i;

	check_read(NULL);
	CHECK_EQ(rec.nr_objects, 3);
	for (i = 0; i < 3; i++) {
		CHECK_TEXT(rec.objects[i].bad, why[i]);
		all = all && !why[i];
	}
	CHECK(gmem_extents_equal(&rec.clean, &draft.rec.clean));
	CHECK(gmem_extents_equal(&rec.dirty, &draft.rec.dirty));
	CHECK_EQ(rec.bad_free, 0);
	if (all)
		CHECK(gmem_extents_equal(&rec.quarantined, &draft.rec.quarantined));
}

#define refused(...) AT(check_refused(__VA_ARGS__))
#define objects(...) AT((check_objects(__VA_ARGS__), finish()))

static void set(int node, const char *name, const void *value, int len)
{
	CHECK_EQ(fdt_setprop(tree, node, name, value, len), 0);
}

static void change_byte(int node, const char *name, unsigned int byte)
{
	int len;
	u8 *p = (u8 *)fdt_getprop(tree, node, name, &len);

	CHECK(p && byte < len);
	p[byte] ^= 0x10;
}

/* What is done to the record that all start from: nothing. */
static void none(void)
{
	edit();
	objects(NULL, NULL, NULL);
}

static void root_is_no_tree(void)
{
	const char *why;
	size_t size;

	edit();
	tree = tree_close(tree, &size);
	/* none, less than a header, less than the tree, more than there may be */
	why = gmem_record_read(tree, 0, &draft.rec.pool, &rec);
	CHECK_TEXT(why, E_TREE);
	why = gmem_record_read(tree, sizeof(struct fdt_header) - 1,
			       &draft.rec.pool, &rec);
	CHECK_TEXT(why, E_TREE);
	why = gmem_record_read(tree, size - 1, &draft.rec.pool, &rec);
	CHECK_TEXT(why, E_TREE);
	why = gmem_record_read(tree, GMEM_RECORD_MAX_SIZE + 1, &draft.rec.pool,
			       &rec);
	CHECK_TEXT(why, E_TREE);
	/* memory behind it is no fault */
	tree = realloc(tree, size + 64);
	why = gmem_record_read(tree, size + 64, &draft.rec.pool, &rec);
	CHECK_TEXT(why, NULL);
	gmem_record_free(&rec);
	/* another magic */
	fdt_set_magic(tree, FDT_MAGIC + 1);
	why = gmem_record_read(tree, size, &draft.rec.pool, &rec);
	CHECK_TEXT(why, E_TREE);
	finish();
}

static void root_compatible(void)
{
	edit();
	CHECK_EQ(fdt_setprop_string(tree, 0, "compatible", "gmem-persist-v2"), 0);
	refused(E_FORMAT);
	edit();
	CHECK_EQ(fdt_setprop_string(tree, 0, "compatible", "gmem-persist-v10"), 0);
	refused(E_FORMAT);
	edit();
	CHECK_EQ(fdt_setprop_string(tree, 0, "compatible", ""), 0);
	refused(E_FORMAT);
	edit();
	CHECK_EQ(fdt_delprop(tree, 0, "compatible"), 0);
	refused(E_FORMAT);
}

static void root_page_size(void)
{
	u64 size[2] = { PAGE_SIZE, 0 };

	edit();
	CHECK_EQ(fdt_delprop(tree, 0, "page-size"), 0);
	refused(E_PAGE_MISSING);
	edit();
	set(0, "page-size", size, 4);
	refused(E_PAGE_MISSING);
	edit();
	set(0, "page-size", size, 16);
	refused(E_PAGE_MISSING);
	edit();
	size[0] = 16 * PAGE_SIZE;
	set(0, "page-size", size, 8);
	refused(E_PAGE);
}

static void root_features(void)
{
	u64 features[3] = {};
	unsigned int bit;

	edit();
	CHECK_EQ(fdt_delprop(tree, 0, "features"), 0);
	refused(E_FEAT_MISSING);
	edit();
	set(0, "features", features, 8);
	refused(E_FEAT_MISSING);
	edit();
	set(0, "features", features, 24);
	refused(E_FEAT_MISSING);

	for (bit = 0; bit < 64; bit++) {
		where->step = bit;
		/* ones that a reader must know */
		features[0] = 1ULL << bit;
		features[1] = 0;
		edit();
		set(0, "features", features, 16);
		/* what the first one promises is not there; the second promises nothing */
		if (bit == 1 || bit == 2)
			objects(NULL, NULL, NULL);
		else
			refused(bit ? E_FEATURES : E_LIST_MISSING);
		/* ones that it may ignore */
		features[0] = 0;
		features[1] = 1ULL << bit;
		edit();
		set(0, "features", features, 16);
		objects(NULL, NULL, NULL);
	}
}

static void root_lists(void)
{
	static const char *const lists[] = { "pool", "clean", "dirty",
					     "quarantined" };
	unsigned int i;

	for (i = 0; i < 4; i++) {
		where->step = i;
		edit();
		CHECK_EQ(fdt_delprop(tree, 0, lists[i]), 0);
		refused(E_LIST_MISSING);
		edit();
		CHECK_EQ(fdt_appendprop(tree, 0, lists[i], "12345678", 8), 0);
		refused(E_LIST_ODD);
		edit();
		set(0, lists[i], "123", 3);
		refused(E_LIST_ODD);
	}
}

/* Whatever is wrong with the list of bad pages, nothing of the record is believed. */
static void bad_pages(void)
{
	static const struct {
		u64 base, size;
		const char *why;
	} bad[] = {
		{ HIGH + 9 * M, 0, E_BAD_PAGES },
		{ HIGH + 9 * M + 1, SZ_4K, E_BAD_PAGES },
		{ HIGH + 9 * M, SZ_4K + 8, E_BAD_PAGES },
		{ HIGH + 9 * M, SZ_4K - 1, E_BAD_PAGES },
		{ 0, SZ_4K, E_BAD_PAGES },
		{ HIGH + 6 * M - SZ_4K, SZ_4K, E_BAD_PAGES },
		{ HIGH + 22 * M - SZ_4K, 2 * SZ_4K, E_BAD_PAGES },
		{ HIGH + 9 * M, -SZ_4K, E_BAD_PAGES },
		{ -SZ_4K, SZ_4K, E_BAD_PAGES },
		{ 4 * G, (GMEM_RECORD_MAX_BAD_PAGES + 1) * (u64)SZ_4K, E_BAD_MANY },
		{ 4 * G, 2 * G, E_BAD_MANY },
		{ 4 * G, GMEM_RECORD_MAX_BAD_PAGES * (u64)SZ_4K, NULL },
	};
	struct gmem_range *r, tmp;
	unsigned int i;

	/* alone, and behind all of the good ones */
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		where->step = i;
		start();
		list_put(&draft.rec.bad_pages, HIGH + 20 * M, SZ_4K);
		edit_draft();
		tmp = (struct gmem_range){ bad[i].base, bad[i].size };
		set(0, "bad", &tmp, sizeof(tmp));
		refused(bad[i].why);

		if (!bad[i].why)
			continue;
		poison();
		edit_draft();
		CHECK_EQ(fdt_appendprop(tree, 0, "bad", &tmp, sizeof(tmp)), 0);
		/* What is out of order is seen first. */
		refused(E_BAD_PAGES);
	}

	/* out of order, one in another, the same twice */
	poison();
	r = draft.rec.bad_pages.r;
	tmp = r[0];
	r[0] = r[1];
	r[1] = tmp;
	refused(E_BAD_PAGES);
	poison();
	draft.rec.bad_pages.r[1] = draft.rec.bad_pages.r[0];
	refused(E_BAD_PAGES);
	poison();
	r = draft.rec.bad_pages.r;
	r[3].base = r[2].base + SZ_4K;
	refused(E_BAD_PAGES);
	/* many, none of them too many by itself */
	start();
	list_put(&draft.rec.bad_pages, 5 * G, 4000 * (u64)SZ_4K);
	edit_draft();
	tmp = (struct gmem_range){ 5 * G + 16 * M, 97 * SZ_4K };
	CHECK_EQ(fdt_appendprop(tree, 0, "bad", &tmp, sizeof(tmp)), 0);
	refused(E_BAD_MANY);

	/* either list missing, or odd */
	poison();
	edit_draft();
	CHECK_EQ(fdt_delprop(tree, 0, "bad"), 0);
	refused(E_LIST_MISSING);
	poison();
	edit_draft();
	CHECK_EQ(fdt_delprop(tree, 0, "retired"), 0);
	refused(E_LIST_MISSING);
	poison();
	edit_draft();
	CHECK_EQ(fdt_appendprop(tree, 0, "bad", "12345678", 8), 0);
	refused(E_LIST_ODD);
}

/* Neighbours in the list are written as one, but may be two. */
static void bad_neighbours(void)
{
	start();
	list_put(&draft.rec.bad_pages, 5 * G, SZ_4K);
	list_put(&draft.rec.bad_pages, 5 * G + SZ_4K, SZ_4K);
	list_put(&draft.rec.bad_pages, 5 * G + 2 * SZ_4K, SZ_4K);
	check_read(NULL);
	CHECK_EQ(rec.bad_pages.nr, 1);
	CHECK_EQ(rec.bad_pages.r[0].size, 3 * SZ_4K);
	finish();
}

/* Free memory with a bad page in it is retired, all else stays whose it is. */
static void bad_and_free(void)
{
	unsigned int i;

	/* the first, a middle and the last granule of clean memory */
	start();
	list_put(&draft.rec.bad_pages, 4 * G, SZ_4K);
	list_put(&draft.rec.bad_pages, 4 * G + 9 * M, SZ_4K);
	list_put(&draft.rec.bad_pages, 5 * G - SZ_4K, SZ_4K);
	check_read(NULL);
	CHECK_EQ(gmem_extents_bytes(&rec.clean), G - 6 * M);
	CHECK_EQ(gmem_extents_bytes(&rec.retired), 6 * M);
	CHECK(gmem_extents_contain(&rec.retired, 4 * G + 8 * M, 2 * M));
	CHECK(gmem_extents_equal(&rec.dirty, &draft.rec.dirty));
	CHECK_EQ(rec.bad_free, 0);
	finish();

	/* every other granule of it: many holes, and room for all */
	start();
	for (i = 0; i < 200; i++)
		list_put(&draft.rec.bad_pages, 4 * G + (4 * i + 3) * M, SZ_4K);
	check_read(NULL);
	CHECK_EQ(rec.clean.nr, 201);
	CHECK_EQ(rec.retired.nr, 200);
	finish();

	/* two pages of one dirty granule, and a range across three */
	start();
	list_put(&draft.rec.bad_pages, HIGH + 8 * M + SZ_4K, SZ_4K);
	list_put(&draft.rec.bad_pages, HIGH + 8 * M + 3 * SZ_4K, SZ_4K);
	list_put(&draft.rec.bad_pages, HIGH + 12 * M - SZ_4K, 2 * M + 2 * SZ_4K);
	check_read(NULL);
	CHECK_EQ(gmem_extents_bytes(&rec.dirty), 0);
	CHECK_EQ(gmem_extents_bytes(&rec.retired), 8 * M);
	finish();

	/* an object and quarantined memory keep what they have */
	start();
	list_put(&draft.rec.bad_pages, 5 * G, SZ_4K);
	list_put(&draft.rec.bad_pages, HIGH + 20 * M, SZ_4K);
	check_objects(NULL, NULL, NULL);
	CHECK_EQ(rec.retired.nr, 0);
	CHECK_EQ(rec.bad_pages.nr, 2);
	finish();

	/* from an object into free memory; that it is refused frees nothing */
	start();
	obj[0].meta.reserved = 1;
	list_put(&draft.rec.bad_pages, 5 * G - SZ_4K, 2 * SZ_4K);
	check_read(NULL);
	CHECK_TEXT(rec.objects[0].bad, E_UNKNOWN);
	CHECK_EQ(gmem_extents_bytes(&rec.retired), 2 * M);
	CHECK(gmem_extents_contain(&rec.quarantined, 5 * G, G));
	finish();
}

/* What is retired is a set as the others are. */
static void retired(void)
{
	/* disputed: by an object, by free memory */
	poison();
	list_put(&draft.rec.retired, 5 * G, 2 * M);
	check_read(NULL);
	CHECK_TEXT(rec.objects[0].bad, E_OVERLAP);
	CHECK(gmem_extents_contain(&rec.quarantined, 5 * G, G));
	CHECK_EQ(rec.bad_free, 1);
	CHECK_EQ(gmem_extents_bytes(&rec.retired), 2 * M);
	finish();
	poison();
	list_put(&draft.rec.retired, 4 * G, 2 * M);
	check_read(NULL);
	CHECK_EQ(rec.bad_free, 2);
	CHECK_EQ(rec.clean.nr, 0);
	finish();
	/* not named any more: it is nobody's all the same */
	poison();
	draft.rec.retired.nr = 0;
	check_read(NULL);
	CHECK_EQ(rec.unnamed_bytes, 2 * M);
	CHECK_EQ(gmem_extents_bytes(&rec.quarantined), 4 * M);
	finish();
	/* by a reader that was told of retired memory alone */
	poison();
	draft.rec.bad_pages.nr = 0;
	check_read(NULL);
	CHECK_EQ(gmem_extents_bytes(&rec.retired), 2 * M);
	finish();
}

/* Where the pool was is only a hint: if it cannot be, it was not given. */
static void nodes(void)
{
	static const struct gmem_persist_node bad[] = {
		{ 20 * G, 2 * M, 1 }, { HIGH + 20 * M, 4 * M, 1 },
		{ HIGH + 20 * M, 0, 1 }, { HIGH + 20 * M + SZ_4K, 2 * M, 1 },
		{ HIGH + 20 * M, M, 1 }, { HIGH + 20 * M, 2 * M, 1, 1 },
		{ HIGH + 20 * M, -2 * M, 1 }, { 4 * G, 2 * M, 1 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		where->step = i;
		start();
		node_put(&draft, 5 * G, G, 0);
		edit_draft();
		CHECK_EQ(fdt_appendprop(tree, 0, "nodes", &bad[i], sizeof(*bad)), 0);
		check_objects(NULL, NULL, NULL);
		CHECK_EQ(rec.nr_nodes, 0);
		finish();
	}
	for (i = 0; i < 3; i++) {
		where->step = i;
		poison();
		edit_draft();
		if (i == 0)
			set(0, "nodes", "", 0);
		else if (i == 1)
			CHECK_EQ(fdt_appendprop(tree, 0, "nodes", "1234", 4), 0);
		else
			CHECK_EQ(fdt_delprop(tree, 0, "nodes"), 0);
		check_objects(NULL, NULL, NULL);
		CHECK_EQ(rec.nr_nodes, 0);
		finish();
	}
}

/* The record's pool must be the real one, neither more nor less. */
static void root_pool(void)
{
	struct gmem_range all[3];

	start();
	memcpy(all, draft.rec.pool.r, 2 * sizeof(*all));
	all[2] = (struct gmem_range){ 20 * G, 2 * M };
	draft_free(&draft);

	edit();
	set(0, "pool", all, 3 * sizeof(*all));
	refused(E_POOL);
	edit();
	set(0, "pool", all, sizeof(*all));
	refused(E_POOL);
	edit();
	set(0, "pool", all, 0);
	refused(E_POOL);
	edit();
	all[1].size += 2 * M;
	set(0, "pool", all, 2 * sizeof(*all));
	refused(E_POOL);
	edit();
	all[1].size -= 2 * M;
	all[0].base -= 2 * M;
	set(0, "pool", all, 2 * sizeof(*all));
	refused(E_POOL);
}

static void root_too_many_objects(void)
{
	const unsigned int max = GMEM_RECORD_MAX_OBJECTS;
	unsigned int i;
	char name[32];
	void *big;

	edit();
	big = xmalloc(1 << 20);
	CHECK_EQ(fdt_open_into(tree, big, 1 << 20), 0);
	free(tree);
	tree = big;
	/* what has another name does not count */
	CHECK(fdt_add_subnode(tree, 0, "other") > 0);
	for (i = 0; i < max - 3; i++) {
		snprintf(name, sizeof(name), "object-%u", i);
		CHECK(fdt_add_subnode(tree, 0, name) > 0);
	}
	check_read(NULL);
	CHECK_EQ(rec.nr_objects, max);
	for (i = 0; i < max; i++)
		CHECK_TEXT(rec.objects[i].bad, i < max - 3 ? E_NAME : NULL);
	finish();

	edit();
	big = xmalloc(1 << 20);
	CHECK_EQ(fdt_open_into(tree, big, 1 << 20), 0);
	free(tree);
	tree = big;
	for (i = 0; i < max - 2; i++) {
		snprintf(name, sizeof(name), "object-%u", i);
		CHECK(fdt_add_subnode(tree, 0, name) > 0);
	}
	refused(E_MANY);
}

/* Properties and nodes that a later version may add are ignored. */
static void unknown_is_ignored(void)
{
	edit();
	set(0, "colour", "blue", 5);
	set(tree_object(tree, 1), "colour", "blue", 5);
	CHECK(fdt_add_subnode(tree, tree_object(tree, 1), "detail") > 0);
	CHECK(fdt_add_subnode(tree, 0, "directory@0") > 0);
	objects(NULL, NULL, NULL);
}

static void object_name(void)
{
	static const struct {
		const char *name;
		int len;
	} bad[] = {
		{ "", 0 }, { "", 1 }, { "x", 1 }, { "vm-1", 4 },
		{ "vm\0001", 5 }, { "vm-1\0", 6 }, { ".vm", 4 }, { "a/b", 4 },
		{ "a b", 4 }, { "\xe4", 2 }, { "..", 3 },
		{ "0123456789012345678901234567890123456789012345678901234567890123",
		  65 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		where->step = i;
		edit();
		set(tree_object(tree, 0), "name", bad[i].name, bad[i].len);
		check_objects(E_NAME, NULL, NULL);
		CHECK(!rec.objects[0].name);
		finish();
	}
	edit();
	CHECK_EQ(fdt_delprop(tree, tree_object(tree, 1), "name"), 0);
	objects(NULL, E_NAME, NULL);
	/* a good one, but not the one that the checksum is of */
	edit();
	set(tree_object(tree, 0), "name", "vm-2", 5);
	objects(E_CHECKSUM, NULL, NULL);
}

static void object_meta(void)
{
	unsigned int byte;

	edit();
	CHECK_EQ(fdt_delprop(tree, tree_object(tree, 0), "meta"), 0);
	objects(E_META, NULL, NULL);
	edit();
	set(tree_object(tree, 0), "meta", &draft.obj[0].meta,
	    sizeof(draft.obj[0].meta) - 1);
	objects(E_META, NULL, NULL);
	edit();
	CHECK_EQ(fdt_appendprop(tree, tree_object(tree, 0), "meta", "1234", 4), 0);
	objects(E_META, NULL, NULL);

	for (byte = 0; byte < sizeof(struct gmem_persist_object); byte++) {
		where->step = byte;
		edit();
		change_byte(tree_object(tree, 1), "meta", byte);
		objects(NULL, E_CHECKSUM, NULL);
	}
}

static void data(void)
{
	draft_data(&draft);
	obj = draft.obj;
}

/* Of files of data */
static void object_file(void)
{
	unsigned int byte;

	data();
	objects(NULL, NULL, NULL);
	data();
	obj[1].file.bytes = 0;
	obj[2].file.bytes = obj[2].meta.size;
	objects(NULL, NULL, NULL);
	data();
	obj[2].file.bytes = obj[2].meta.size + 1;
	objects(NULL, NULL, E_FILE_LONG);
	data();
	obj[1].file.bytes = ~0ULL;
	objects(NULL, E_FILE_LONG, NULL);
	data();
	obj[1].file.kind = 2;
	objects(NULL, E_FILE_KIND, NULL);

	data();
	edit_draft();
	set(tree_object(tree, 1), "file", &obj[1].file, sizeof(obj[1].file) - 1);
	objects(NULL, E_FILE, NULL);
	/* that of another object */
	data();
	edit_draft();
	set(tree_object(tree, 1), "file", &obj[2].file, sizeof(obj[2].file));
	objects(NULL, E_FILE_CRC, NULL);
	for (byte = 0; byte < sizeof(struct gmem_persist_file); byte++) {
		where->step = byte;
		data();
		edit_draft();
		change_byte(tree_object(tree, 1), "file", byte);
		objects(NULL, E_FILE_CRC, NULL);
	}
}

static void directories(void)
{
	draft_directories(&draft);
	obj = draft.obj;
}

static void object_directory(void)
{
	unsigned int byte;
	u64 mtime = 1;

	directories();
	check_objects(NULL, NULL, NULL);
	CHECK(!rec.objects[0].parent);
	CHECK(rec.objects[1].parent == &rec.objects[0]);
	CHECK(rec.objects[2].parent == &rec.objects[1]);
	finish();

	/* half of what makes a directory, or more */
	directories();
	obj[1].meta.mode = S_IFREG | 0644;
	objects(NULL, E_HALF, E_PARENT);
	directories();
	obj[2].meta.mode = S_IFDIR | 0755;
	objects(NULL, NULL, E_HALF);
	directories();
	edit_draft();
	CHECK_EQ(fdt_delprop(tree, tree_object(tree, 0), "directory"), 0);
	objects(E_HALF, E_PARENT, E_PARENT);
	directories();
	obj[0].meta.size = 2 * M;
	objects(E_DIR_MEMORY, E_PARENT, E_PARENT);
	directories();
	obj[1].meta.granule = 2 * M;
	objects(NULL, E_DIR_MEMORY, E_PARENT);
	directories();
	obj[1].file.kind = GMEM_PERSIST_FILE_DATA;
	objects(NULL, E_DIR_MEMORY, E_PARENT);
	directories();
	obj[1].ranges = obj[2].ranges;
	obj[2].ranges = (struct gmem_extents){};
	objects(NULL, E_DIR_MEMORY, E_PARENT);

	/* its number */
	directories();
	obj[0].directory.reserved = 1;
	objects(E_DIR_UNKNOWN, E_PARENT, E_PARENT);
	directories();
	edit_draft();
	set(tree_object(tree, 0), "directory", &obj[0].directory,
	    sizeof(obj[0].directory) - 1);
	objects(E_DIR, E_PARENT, E_PARENT);
	for (byte = 0; byte < sizeof(struct gmem_persist_directory); byte++) {
		where->step = byte;
		directories();
		edit_draft();
		change_byte(tree_object(tree, 1), "directory", byte);
		objects(NULL, E_DIR_CRC, E_PARENT);
	}
	directories();
	obj[1].directory.id = 7;
	objects(E_SAME_ID, E_SAME_ID, E_PARENT);

	/* where it is */
	directories();
	obj[2].meta.parent = 8;
	objects(NULL, NULL, E_PARENT);
	directories();
	obj[0].meta.parent = 7;
	objects(E_PARENT, E_PARENT, E_PARENT);
	directories();
	obj[0].meta.parent = obj[1].directory.id;
	objects(E_PARENT, E_PARENT, E_PARENT);
	directories();
	obj[1].meta.parent = 0;
	obj[2].meta.parent = 0;
	objects(NULL, E_SAME_NAME, E_SAME_NAME);
	directories();
	obj[2].meta.parent = 0;
	objects(NULL, NULL, NULL);

	/* Nothing depends on when it was. */
	directories();
	edit_draft();
	set(tree_object(tree, 0), "mtime", &mtime, 4);
	CHECK_EQ(fdt_delprop(tree, tree_object(tree, 1), "mtime"), 0);
	check_objects(NULL, NULL, NULL);
	CHECK_EQ(rec.objects[0].mtime, 0);
	CHECK_EQ(rec.objects[1].mtime, 0);
	finish();
}

static void object_list(void)
{
	edit();
	CHECK_EQ(fdt_delprop(tree, tree_object(tree, 2), "ranges"), 0);
	objects(NULL, NULL, E_LIST_MISSING);
	edit();
	CHECK_EQ(fdt_appendprop(tree, tree_object(tree, 2), "ranges", "1234", 4),
		 0);
	objects(NULL, NULL, E_LIST_ODD);
	/* a byte of it that makes a range of nobody's memory */
	edit();
	change_byte(tree_object(tree, 0), "ranges", 7);
	objects(E_CHECKSUM, NULL, NULL);
	/* no ranges at all, with the right checksum */
	start();
	obj[0].ranges.nr = 0;
	objects(E_SUM, NULL, NULL);
}

/* Attributes with the right checksum that no writer of this version writes */
static void object_attributes(void)
{
	static const u64 granules[] = { 0, 1, SZ_4K, SZ_1M, 2 * SZ_2M, 2 * G,
					512 * G, -1ULL };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(granules); i++) {
		where->step = i;
		start();
		obj[1].meta.granule = granules[i];
		objects(NULL, E_GRANULE, NULL);
	}
	start();
	obj[1].meta.size = 0;
	objects(NULL, E_UNKNOWN, NULL);
	start();
	obj[1].meta.reserved = 1;
	objects(NULL, E_UNKNOWN, NULL);
	start();
	obj[1].meta.parent = 1;
	objects(NULL, E_PARENT, NULL);

	start();
	obj[1].meta.size += 2 * M;
	objects(NULL, E_SUM, NULL);
	start();
	obj[1].meta.size -= 2 * M;
	objects(NULL, E_SUM, NULL);
	start();
	obj[1].ranges.nr--;
	objects(NULL, E_SUM, NULL);
}

/* Who has the same name or uuid as another is refused, and so is the other. */
static void object_twins(void)
{
	start();
	obj[2].name = obj[0].name;
	objects(E_SAME_NAME, NULL, E_SAME_NAME);
	start();
	obj[1].name = obj[0].name;
	obj[2].name = obj[0].name;
	objects(E_SAME_NAME, E_SAME_NAME, E_SAME_NAME);
	start();
	memcpy(obj[1].meta.uuid, obj[0].meta.uuid, 16);
	objects(E_SAME_UUID, E_SAME_UUID, NULL);
	start();
	memcpy(obj[1].meta.uuid, obj[0].meta.uuid, 16);
	memcpy(obj[2].meta.uuid, obj[0].meta.uuid, 16);
	objects(E_SAME_UUID, E_SAME_UUID, E_SAME_UUID);
	/* the last byte counts, too */
	start();
	memcpy(obj[1].meta.uuid, obj[0].meta.uuid, 15);
	objects(NULL, NULL, NULL);
	/* one twin by name, one by uuid */
	start();
	obj[1].name = obj[0].name;
	memcpy(obj[2].meta.uuid, obj[0].meta.uuid, 16);
	objects(E_SAME_UUID, E_SAME_NAME, E_SAME_UUID);
	/* A damaged object is nobody's twin: what it says is not believed. */
	start();
	obj[2].name = obj[0].name;
	obj[2].meta.reserved = 1;
	objects(NULL, NULL, E_UNKNOWN);
	start();
	memcpy(obj[1].meta.uuid, obj[0].meta.uuid, 16);
	obj[1].meta.granule = 1;
	objects(NULL, E_GRANULE, NULL);
}

/* Ranges that cannot be; the object keeps the sum of its size. */
static void object_ranges(void)
{
	static const struct {
		u64 base, size;
		const char *why;
	} bad[] = {
		{ HIGH + 6 * M, 0, E_RANGE },
		{ HIGH + 6 * M + SZ_4K, 2 * M, E_RANGE },
		{ HIGH + 7 * M, 2 * M, E_RANGE },
		{ HIGH + 6 * M, M, E_RANGE },
		{ HIGH + 6 * M, 2 * M + 1, E_RANGE },
		{ -2 * M, 4 * M, E_RANGE },
		{ HIGH + 6 * M, -2 * M, E_RANGE },
		{ -2 * M, 2 * M, E_RANGE },
		{ 0, 2 * M, E_OUTSIDE },
		{ HIGH + 4 * M, 2 * M, E_OUTSIDE },
		{ HIGH + 4 * M, 4 * M, E_OUTSIDE },
		{ HIGH + 22 * M, 2 * M, E_OUTSIDE },
		{ 0, 1ULL << 62, E_OUTSIDE },
		{ -4 * M, 2 * M, E_OUTSIDE },
	};
	unsigned int i, first;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		/* as the last and as the first of its ranges */
		for (first = 0; first < 2; first++) {
			struct gmem_range *r;

			where->step = 2 * i + first;
			start();
			r = obj[1].ranges.r;
			if (first)
				r[0] = r[1];
			r += !first;
			*r = (struct gmem_range){ bad[i].base, bad[i].size };
			obj[1].meta.size = gmem_extents_bytes(&obj[1].ranges) ?:
					   2 * M;
			/* The first one wrong leaves 6G..7G to nobody. */
			objects(NULL, bad[i].why, NULL);
		}
	}

	/* right for 2 MiB granules, wrong for the object's 1 GiB ones */
	start();
	obj[0].ranges.r[0].size = 2 * M;
	obj[0].meta.size = 2 * M;
	objects(E_RANGE, NULL, NULL);
	start();
	obj[1].meta.granule = G;
	objects(NULL, E_RANGE, NULL);
}

/* Memory that two entries name is nobody's. */
static void overlap(void)
{
	/* two objects: partly, wholly, one with itself */
	start();
	obj[0].meta.granule = 2 * M;
	obj[0].meta.size += 2 * M;
	obj[0].ranges.r[0].size += 2 * M;
	objects(E_OVERLAP, E_OVERLAP, NULL);
	start();
	obj[2].ranges.r[0] = obj[1].ranges.r[1];
	objects(NULL, E_OVERLAP, E_OVERLAP);
	start();
	obj[2].ranges.r[0] = obj[2].ranges.r[1];
	objects(NULL, NULL, E_OVERLAP);

	/* an object and free memory: neither is believed */
	start();
	draft.rec.clean.r[0].size += 2 * M;
	check_read(NULL);
	CHECK_TEXT(rec.objects[0].bad, E_OVERLAP);
	CHECK_EQ(rec.bad_free, 1);
	CHECK_EQ(rec.clean.nr, 0);
	CHECK(gmem_extents_equal(&rec.dirty, &draft.rec.dirty));
	CHECK_EQ(rec.unnamed_bytes, 0);
	finish();

	/* clean and dirty, clean and quarantined: clean is what must be certain */
	start();
	list_put(&draft.rec.clean, HIGH + 14 * M, 2 * M);
	check_read(NULL);
	CHECK_EQ(rec.bad_free, 2);
	CHECK_EQ(rec.dirty.nr, 0);
	CHECK_EQ(gmem_extents_bytes(&rec.clean), G);
	finish();
	start();
	list_put(&draft.rec.clean, HIGH + 20 * M, 2 * M);
	check_read(NULL);
	CHECK_EQ(rec.bad_free, 2);
	CHECK_EQ(gmem_extents_bytes(&rec.clean), G);
	CHECK(gmem_extents_equal(&rec.quarantined, &draft.rec.quarantined));
	finish();

	/* the same twice in one set */
	start();
	list_put(&draft.rec.dirty, HIGH + 8 * M, 8 * M);
	check_read(NULL);
	CHECK_EQ(rec.bad_free, 2);
	CHECK_EQ(rec.dirty.nr, 0);
	finish();
}

/*
 * Several entries in a long one; sorted by address, the last two do not touch
 * each other and the one before each is not the long one.
 *
 *	clean        |####################|
 *	quarantined    |##|  |##|  |##|
 */
static void overlap_long(void)
{
	start();
	list_put(&draft.rec.quarantined, 4 * G + 2 * M, 2 * M);
	list_put(&draft.rec.quarantined, 4 * G + 6 * M, 2 * M);
	list_put(&draft.rec.quarantined, 4 * G + 10 * M, 2 * M);
	check_read(NULL);
	CHECK_EQ(rec.clean.nr, 0);
	CHECK_EQ(rec.bad_free, 4);
	CHECK(!rec.objects[0].bad && !rec.objects[1].bad && !rec.objects[2].bad);
	finish();

	/* and an object that begins inside and ends outside of it */
	start();
	list_put(&draft.rec.quarantined, 4 * G + 2 * M, 2 * M);
	draft.rec.clean.r[0].size = G - 2 * M;
	list_put(&draft.rec.dirty, 5 * G - 4 * M, 4 * M);
	check_read(NULL);
	CHECK_EQ(rec.clean.nr, 0);
	CHECK(gmem_extents_bytes(&rec.dirty) == 8 * M);
	CHECK_EQ(rec.bad_free, 3);
	CHECK(!rec.objects[0].bad);
	finish();
}

/* Free ranges that cannot be are left out one by one. */
static void free_ranges(void)
{
	static const struct gmem_range bad[] = {
		{ 4 * G, 0 }, { 4 * G + SZ_4K, 2 * M }, { 4 * G, M },
		{ 4 * G, -2 * M }, { -4 * G, 4 * G }, { 0, 2 * M },
		{ 4 * G - 2 * M, 4 * M }, { 0, 1ULL << 63 }, { 12 * G, G },
	};
	struct gmem_extents *list;
	unsigned int i, which;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		for (which = 0; which < 3; which++) {
			where->step = 3 * i + which;
			start();
			list = which == 0 ? &draft.rec.clean :
			       which == 1 ? &draft.rec.dirty :
					    &draft.rec.quarantined;
			list_put(list, bad[i].base, bad[i].size);
			check_read(NULL);
			CHECK_EQ(rec.bad_free, 1);
			CHECK_EQ(rec.unnamed_bytes, 0);
			CHECK_EQ(gmem_extents_bytes(&rec.clean), G);
			CHECK_EQ(gmem_extents_bytes(&rec.dirty), 8 * M);
			CHECK_EQ(gmem_extents_bytes(&rec.quarantined), 2 * M);
			finish();
		}
	}
}

/* What no entry names is counted and stays quarantined. */
static void unnamed(void)
{
	start();
	draft.rec.clean.r[0].size -= 6 * M;
	check_read(NULL);
	CHECK_EQ(rec.unnamed_bytes, 6 * M);
	CHECK_EQ(gmem_extents_bytes(&rec.quarantined), 8 * M);
	CHECK_EQ(gmem_extents_bytes(&rec.clean), G - 6 * M);
	CHECK_EQ(rec.bad_free, 0);
	finish();

	/* What a refused object names is named. */
	start();
	obj[0].meta.reserved = 1;
	check_read(NULL);
	CHECK_EQ(rec.unnamed_bytes, 0);
	CHECK_EQ(gmem_extents_bytes(&rec.quarantined), G + 2 * M);
	finish();
}

/*
 * Whatever is wrong with an object, as long as its ranges can be read, memory that
 * they name is not free, even if a free list names it, too.
 *
 *	object 2, refused for each reason in turn |##|
 *	clean                                     |##|
 */
static void damaged_object_keeps_memory(void)
{
	static const char *const why[] = { E_NAME, E_META, E_CHECKSUM, E_GRANULE,
					   E_UNKNOWN, E_RANGE, E_OUTSIDE,
					   E_RANGE, E_SUM };
	unsigned int i;
	int node;

	for (i = 0; i < ARRAY_SIZE(why); i++) {
		where->step = i;
		start();
		list_put(&draft.rec.clean, HIGH + 16 * M, 2 * M);
		if (i == 3)
			obj[2].meta.granule = SZ_4K;
		if (i == 4)
			obj[2].meta.reserved = 1;
		if (i == 5)
			obj[2].ranges.r[0].base += SZ_4K;
		if (i == 6)
			obj[2].ranges.r[0].base = 0;
		if (i == 7)
			obj[2].meta.granule = G;
		if (i == 8)
			obj[2].meta.size += 2 * M;
		tree = tree_open(&draft, &room);
		node = tree_object(tree, 2);
		if (i == 0)
			set(node, "name", "a/b", 4);
		if (i == 1)
			CHECK_EQ(fdt_delprop(tree, node, "meta"), 0);
		if (i == 2)
			change_byte(node, "meta", 0);

		/* This is where it is checked. */
		check_read(NULL);
		CHECK_TEXT(rec.objects[2].bad, why[i]);
		CHECK_EQ(gmem_extents_bytes(&rec.clean), G);
		CHECK_EQ(rec.bad_free, 1);
		finish();
	}
}

/* Each allocation may fail: then all is refused, or the object that it was for. */
static void no_memory(void)
{
	unsigned int i, nr, nr_all = 0, nr_one = 0;
	bool failed = true;
	const char *why;
	size_t size;
	void *fdt;

	for (nr = 0; failed; nr++) {
		where->step = nr;
		poison();
		fdt = draft_write(&draft, &size);
		kvmalloc_fail_after = nr;
		why = gmem_record_read(fdt, size, &draft.rec.pool, &rec);
		failed = kvmalloc_fail_after < 0;
		kvmalloc_fail_after = -1;
		if (why) {
			CHECK_TEXT(why, E_MEMORY);
			nr_all++;
		} else {
			record_check(&draft.rec.pool, &rec);
			for (i = 0; i < rec.nr_objects; i++) {
				if (!rec.objects[i].bad)
					continue;
				CHECK_TEXT(rec.objects[i].bad, E_MEMORY);
				nr_one++;
			}
		}
		finish();
		free(fdt);
	}
	/* six lists, all objects, twins, claims, five sets; ranges of objects */
	CHECK_EQ(nr_all, 14);
	CHECK_EQ(nr_one, 3);
}

const struct test record_refuse_tests[] = {
	TEST(none),
	TEST(root_is_no_tree),
	TEST(root_compatible),
	TEST(root_page_size),
	TEST(root_features),
	TEST(root_lists),
	TEST(bad_pages),
	TEST(bad_neighbours),
	TEST(bad_and_free),
	TEST(retired),
	TEST(nodes),
	TEST(root_pool),
	TEST(root_too_many_objects),
	TEST(unknown_is_ignored),
	TEST(object_name),
	TEST(object_meta),
	TEST(object_file),
	TEST(object_directory),
	TEST(object_list),
	TEST(object_attributes),
	TEST(object_twins),
	TEST(object_ranges),
	TEST(overlap),
	TEST(overlap_long),
	TEST(free_ranges),
	TEST(unnamed),
	TEST(damaged_object_keeps_memory),
	TEST(no_memory),
	{}
};
