// SPDX-License-Identifier: GPL-2.0
/*
 * The record as bytes: writing it, and reading it without trusting it.
 *
 * The format is described in include/linux/kho/abi/gmem_persist.h. This file
 * turns it into a struct gmem_record and back. It knows nothing of KHO, locks or
 * live objects, and is compiled in user space by tools/testing/gmem_persist/,
 * where it is fed broken records.
 */
#include <linux/align.h>
#include <linux/array_size.h>
#include <linux/crc32.h>
#include <linux/ctype.h>
#include <linux/errno.h>
#include <linux/libfdt.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/stat.h>
#include <linux/string.h>

#include <linux/gmem_persist.h>

#include "record.h"

static_assert(sizeof(struct gmem_range) == sizeof(struct gmem_persist_range));
static_assert(offsetof(struct gmem_range, size) ==
	      offsetof(struct gmem_persist_range, size));

/**
 * gmem_record_crc - the checksum of the record's parts
 * @p: first byte
 * @size: length in bytes
 *
 * Return: the CRC-32.
 */
u32 gmem_record_crc(const void *p, size_t size)
{
	return crc32_le(~0, p, size);
}

/**
 * gmem_record_header_crc - the checksum that a header should have
 * @hdr: the header; what it has in its own checksum field does not matter
 *
 * Return: the CRC-32.
 */
u32 gmem_record_header_crc(const struct gmem_persist_header *hdr)
{
	struct gmem_persist_header copy = *hdr;

	copy.crc = 0;
	return gmem_record_crc(&copy, sizeof(copy));
}

/**
 * gmem_name_valid - may an object be called that
 * @name: the name, in a buffer of at least %GMEM_NAME_SIZE bytes or NUL-terminated
 *
 * A name is a file name: 1 to 63 letters, digits and the characters ``._-+:@=``,
 * and does not begin with a dot.
 *
 * Return: true if so.
 */
bool gmem_name_valid(const char *name)
{
	size_t len = strnlen(name, GMEM_NAME_SIZE);
	size_t i;

	if (!len || len == GMEM_NAME_SIZE || name[0] == '.')
		return false;
	for (i = 0; i < len; i++)
		if (!isascii(name[i]) ||
		    (!isalnum(name[i]) && !strchr("._-+:@=", name[i])))
			return false;
	return true;
}

static u32 object_crc(const struct gmem_record_object *obj)
{
	struct gmem_persist_object meta = obj->meta;
	u32 crc;

	meta.crc = 0;
	crc = crc32_le(~0, (const void *)obj->name, strlen(obj->name) + 1);
	crc = crc32_le(crc, (const void *)&meta, sizeof(meta));
	return crc32_le(crc, (const void *)obj->ranges.r,
			obj->ranges.nr * sizeof(*obj->ranges.r));
}

static u32 file_crc(const struct gmem_record_object *obj)
{
	struct gmem_persist_file file = obj->file;

	file.crc = 0;
	return crc32_le(obj->meta.crc, (const void *)&file, sizeof(file));
}

static u32 directory_crc(const struct gmem_record_object *obj)
{
	struct gmem_persist_directory directory = obj->directory;

	directory.crc = 0;
	return crc32_le(obj->meta.crc, (const void *)&directory, sizeof(directory));
}

/*
 * Writing
 */

static size_t ranges_size(const struct gmem_extents *x)
{
	return x->nr * sizeof(*x->r) + FDT_TAGSIZE * 4;
}

/**
 * gmem_record_size - how large a record may become
 * @rec: the record
 *
 * Return: a number of bytes that gmem_record_write() will not exceed.
 */
size_t gmem_record_size(const struct gmem_record *rec)
{
	size_t size = 1024;
	unsigned int i;

	size += ranges_size(&rec->pool) + ranges_size(&rec->clean) +
		ranges_size(&rec->dirty) + ranges_size(&rec->quarantined) +
		ranges_size(&rec->bad_pages) + ranges_size(&rec->retired) +
		rec->nr_nodes * sizeof(*rec->nodes);
	for (i = 0; i < rec->nr_objects; i++)
		size += 192 + GMEM_NAME_SIZE +
			sizeof(struct gmem_persist_object) +
			sizeof(struct gmem_persist_file) +
			sizeof(struct gmem_persist_directory) + sizeof(u64) +
			ranges_size(&rec->objects[i].ranges);
	return size;
}

static int put_ranges(void *buf, const char *name, const struct gmem_extents *x)
{
	return fdt_property(buf, name, x->r, x->nr * sizeof(*x->r));
}

static int put_object(void *buf, unsigned int i, struct gmem_record_object *obj)
{
	char node[24];
	int err;

	snprintf(node, sizeof(node), "object@%x", i);
	obj->meta.crc = object_crc(obj);

	err = fdt_begin_node(buf, node);
	err = err ?: fdt_property_string(buf, "name", obj->name);
	err = err ?: fdt_property(buf, "meta", &obj->meta, sizeof(obj->meta));
	err = err ?: put_ranges(buf, "ranges", &obj->ranges);
	if (obj->file.kind) {
		obj->file.crc = file_crc(obj);
		err = err ?: fdt_property(buf, "file", &obj->file, sizeof(obj->file));
	}
	if (obj->directory.id) {
		obj->directory.crc = directory_crc(obj);
		err = err ?: fdt_property(buf, "directory", &obj->directory,
					  sizeof(obj->directory));
	}
	if (obj->mtime)
		err = err ?: fdt_property(buf, "mtime", &obj->mtime, sizeof(obj->mtime));
	return err ?: fdt_end_node(buf);
}

/**
 * gmem_record_write - write a record as a flattened device tree
 * @rec: the record; the checksums of its objects are filled in
 * @buf: where to write it
 * @size: size of @buf in bytes
 *
 * Return: the length of the tree in bytes, or -ENOSPC (more objects than
 * %GMEM_RECORD_MAX_OBJECTS, more bad pages than %GMEM_RECORD_MAX_BAD_PAGES, or @size
 * too small).
 */
int gmem_record_write(struct gmem_record *rec, void *buf, size_t size)
{
	const bool bad_pages = rec->bad_pages.nr || rec->retired.nr;
	u64 features[2] = {
		bad_pages ? GMEM_PERSIST_FEATURE_BAD_PAGES : 0,
		rec->nr_nodes ? GMEM_PERSIST_FEATURE_NODES : 0,
	};
	const u64 page_size = PAGE_SIZE;
	unsigned int i;
	int err;

	for (i = 0; i < rec->nr_objects; i++) {
		if (rec->objects[i].file.kind)
			features[0] |= GMEM_PERSIST_FEATURE_DATA;
		if (rec->objects[i].directory.id)
			features[0] |= GMEM_PERSIST_FEATURE_DIRECTORIES;
	}

	if (rec->nr_objects > GMEM_RECORD_MAX_OBJECTS ||
	    gmem_extents_bytes(&rec->bad_pages) >
	    GMEM_RECORD_MAX_BAD_PAGES * page_size ||
	    size > GMEM_RECORD_MAX_SIZE)
		return -ENOSPC;

	err = fdt_create(buf, size);
	err = err ?: fdt_finish_reservemap(buf);
	err = err ?: fdt_begin_node(buf, "");
	err = err ?: fdt_property_string(buf, "compatible",
					 GMEM_PERSIST_COMPATIBLE);
	err = err ?: fdt_property(buf, "page-size", &page_size,
				  sizeof(page_size));
	err = err ?: fdt_property(buf, "features", features, sizeof(features));
	err = err ?: put_ranges(buf, "pool", &rec->pool);
	err = err ?: put_ranges(buf, "clean", &rec->clean);
	err = err ?: put_ranges(buf, "dirty", &rec->dirty);
	err = err ?: put_ranges(buf, "quarantined", &rec->quarantined);
	if (bad_pages) {
		err = err ?: put_ranges(buf, "bad", &rec->bad_pages);
		err = err ?: put_ranges(buf, "retired", &rec->retired);
	}
	if (rec->nr_nodes)
		err = err ?: fdt_property(buf, "nodes", rec->nodes,
					  rec->nr_nodes * sizeof(*rec->nodes));
	for (i = 0; i < rec->nr_objects && !err; i++)
		err = put_object(buf, i, &rec->objects[i]);
	err = err ?: fdt_end_node(buf);
	err = err ?: fdt_finish(buf);

	return err ? -ENOSPC : fdt_totalsize(buf);
}

/*
 * Reading
 */

static const char *get_ranges(const void *fdt, int node, const char *name,
			      struct gmem_extents *x)
{
	const void *prop;
	int len;

	prop = fdt_getprop(fdt, node, name, &len);
	if (!prop)
		return "a list of ranges is missing";
	if (len % sizeof(*x->r))
		return "a list of ranges has an odd length";
	if (!len)
		return NULL;

	x->nr = len / sizeof(*x->r);
	x->cap = x->nr;
	x->r = kvmalloc(len, GFP_KERNEL);
	if (!x->r) {
		x->nr = 0;
		x->cap = 0;
		return "no memory to read it";
	}
	/* Properties are aligned to 4 bytes only. */
	memcpy(x->r, prop, len);
	return NULL;
}

static const char *read_file_attr(const void *fdt, int node,
				  struct gmem_record_object *obj)
{
	const void *file;
	int len;

	file = fdt_getprop(fdt, node, "file", &len);
	if (!file)
		return NULL;
	if (len != sizeof(obj->file))
		return "what it says of its file is malformed";
	memcpy(&obj->file, file, sizeof(obj->file));
	if (obj->file.crc != file_crc(obj))
		return "the checksum of its file is wrong";
	if (obj->file.kind != GMEM_PERSIST_FILE_DATA)
		return "its kind of file is unknown";
	if (obj->file.bytes > obj->meta.size)
		return "its file is longer than its memory";
	return NULL;
}

static const char *read_directory(const void *fdt, int node,
				  struct gmem_record_object *obj)
{
	const void *directory;
	int len;

	directory = fdt_getprop(fdt, node, "directory", &len);
	if (!directory != !S_ISDIR(obj->meta.mode))
		return "it is half a directory";
	if (!directory)
		return NULL;
	if (len != sizeof(obj->directory))
		return "what it says of its directory is malformed";
	memcpy(&obj->directory, directory, sizeof(obj->directory));
	if (obj->directory.crc != directory_crc(obj))
		return "the checksum of its directory is wrong";
	if (!obj->directory.id || obj->directory.reserved)
		return "its directory is unknown";
	if (obj->meta.size || obj->meta.granule || obj->ranges.nr || obj->file.kind)
		return "it is a directory with memory";
	return NULL;
}

/* Nothing depends on it: what cannot be read was not said. */
static void read_mtime(const void *fdt, int node, struct gmem_record_object *obj)
{
	int len;
	const void *mtime = fdt_getprop(fdt, node, "mtime", &len);

	if (mtime && len == sizeof(obj->mtime))
		memcpy(&obj->mtime, mtime, sizeof(obj->mtime));
}

static const char *get_object(const void *fdt, int node,
			      struct gmem_record_object *obj)
{
	const void *meta;
	const char *bad;
	int len;

	/* First of all: whatever else is wrong, nobody else gets this memory. */
	bad = get_ranges(fdt, node, "ranges", &obj->ranges);

	obj->name = fdt_getprop(fdt, node, "name", &len);
	if (!obj->name || len < 1 || obj->name[len - 1] ||
	    strlen(obj->name) != len - 1 || !gmem_name_valid(obj->name)) {
		obj->name = NULL;
		return "its name is missing or malformed";
	}

	meta = fdt_getprop(fdt, node, "meta", &len);
	if (!meta || len != sizeof(obj->meta))
		return "its attributes are missing or malformed";
	memcpy(&obj->meta, meta, sizeof(obj->meta));

	if (bad)
		return bad;

	if (obj->meta.crc != object_crc(obj))
		return "its checksum is wrong";
	if (obj->meta.reserved)
		return "its attributes are unknown";
	read_mtime(fdt, node, obj);
	bad = read_file_attr(fdt, node, obj);
	bad = bad ?: read_directory(fdt, node, obj);
	if (bad || obj->directory.id)
		return bad;
	if (obj->meta.granule != SZ_2M && obj->meta.granule != SZ_1G)
		return "its granule is unknown";
	return obj->meta.size ? NULL : "its attributes are unknown";
}

static int cmp_name(const void *a, const void *b)
{
	const struct gmem_record_object *const *x = a, *const *y = b;

	if ((*x)->meta.parent != (*y)->meta.parent)
		return (*x)->meta.parent < (*y)->meta.parent ? -1 : 1;
	return strcmp((*x)->name, (*y)->name);
}

static int cmp_id(const void *a, const void *b)
{
	const struct gmem_record_object *const *x = a, *const *y = b;
	const u64 id = (*x)->directory.id, other = (*y)->directory.id;

	return id < other ? -1 : id > other;
}

static int cmp_uuid(const void *a, const void *b)
{
	const struct gmem_record_object *const *x = a, *const *y = b;

	return memcmp((*x)->meta.uuid, (*y)->meta.uuid, sizeof((*x)->meta.uuid));
}

/* Whoever shares what must be his alone is refused, and so is the other. */
static void refuse_twins(struct gmem_record_object **objs, unsigned int nr,
			 int (*cmp)(const void *, const void *),
			 const char *why)
{
	unsigned int i;

	sort(objs, nr, sizeof(*objs), cmp, NULL);
	for (i = 1; i < nr; i++) {
		if (cmp(&objs[i - 1], &objs[i]))
			continue;
		objs[i - 1]->bad = why;
		objs[i]->bad = why;
	}
}

static const char *refuse_duplicates(struct gmem_record *rec)
{
	struct gmem_record_object **objs;
	unsigned int i, nr = 0;

	if (!rec->nr_objects)
		return NULL;

	objs = kvmalloc_array(rec->nr_objects, sizeof(*objs), GFP_KERNEL);
	if (!objs)
		return "no memory to read it";

	for (i = 0; i < rec->nr_objects; i++)
		if (!rec->objects[i].bad)
			objs[nr++] = &rec->objects[i];

	refuse_twins(objs, nr, cmp_name, "another object has the same name");
	refuse_twins(objs, nr, cmp_uuid, "another object has the same uuid");

	for (i = 0, nr = 0; i < rec->nr_objects; i++)
		if (rec->objects[i].directory.id && !rec->objects[i].bad)
			objs[nr++] = &rec->objects[i];
	refuse_twins(objs, nr, cmp_id, "another directory has the same number");
	kvfree(objs);
	return NULL;
}

/* In the order of the record: so a directory has been judged when it is needed. */
static void find_parents(struct gmem_record *rec)
{
	struct gmem_record_object *obj, *dir;
	unsigned int i;

	for (i = 0; i < rec->nr_objects; i++) {
		obj = &rec->objects[i];
		if (obj->bad || !obj->meta.parent)
			continue;
		for (dir = rec->objects; dir < obj; dir++)
			if (dir->directory.id == obj->meta.parent && !dir->bad)
				break;
		if (dir < obj)
			obj->parent = dir;
		else
			obj->bad = "its directory is missing";
	}
}

/*
 * A damaged entry costs its own memory, but a list of bad pages that is wrong costs
 * everything: any page may be the one that it should have named, and no memory may be
 * given out then, nor any object be put under a guest. The checksum of the tree was
 * right, so this is no damage: the writer cannot be believed.
 */
static const char *check_bad_pages(struct gmem_extents *bad,
				   const struct gmem_extents *pool)
{
	struct gmem_extents set = { .r = bad->r, .cap = bad->cap };
	u64 end = 0, pages = 0;
	unsigned int i;

	for (i = 0; i < bad->nr; i++) {
		const struct gmem_range r = bad->r[i];

		if (!IS_ALIGNED(r.base | r.size, PAGE_SIZE) || r.base < end ||
		    !gmem_extents_contain(pool, r.base, r.size))
			return "its list of bad pages is malformed";
		end = gmem_range_end(&r);
		pages += r.size / PAGE_SIZE;
		if (pages > GMEM_RECORD_MAX_BAD_PAGES)
			return "it has too many bad pages";
		/* Neighbours become one, so it does not run ahead of us. */
		gmem_extents_append(&set, r.base, r.size);
	}
	bad->nr = set.nr;
	return NULL;
}

/* What is free must be good: a granule with a bad page in it is nobody's. */
static void retire_bad(struct gmem_record *rec)
{
	unsigned int i;
	u64 at;

	for (i = 0; i < rec->bad_pages.nr; i++) {
		const struct gmem_range *r = &rec->bad_pages.r[i];

		for (at = ALIGN_DOWN(r->base, SZ_2M); at < gmem_range_end(r);
		     at += SZ_2M)
			if (!gmem_extents_remove(&rec->clean, at, SZ_2M) ||
			    !gmem_extents_remove(&rec->dirty, at, SZ_2M))
				gmem_extents_add(&rec->retired, at, SZ_2M);
	}
}

static bool nodes_valid(const struct gmem_record *rec)
{
	u64 end = 0;
	unsigned int i;

	for (i = 0; i < rec->nr_nodes; i++) {
		const struct gmem_persist_node *n = &rec->nodes[i];

		if (!IS_ALIGNED(n->base | n->size, SZ_2M) || n->base < end ||
		    !gmem_extents_contain(&rec->pool, n->base, n->size) ||
		    n->reserved)
			return false;
		end = n->base + n->size;
	}
	return true;
}

/* Nothing depends on it: what cannot be read was not said. */
static void read_nodes(const void *fdt, struct gmem_record *rec)
{
	const void *prop;
	int len;

	prop = fdt_getprop(fdt, 0, "nodes", &len);
	if (!prop || len % sizeof(*rec->nodes))
		return;
	rec->nodes = kvmalloc(len, GFP_KERNEL);
	if (!rec->nodes)
		return;
	memcpy(rec->nodes, prop, len);
	rec->nr_nodes = len / sizeof(*rec->nodes);
	if (!nodes_valid(rec))
		rec->nr_nodes = 0;
}

/* A range that somebody says is his: an object, or (NULL) free memory. */
struct claim {
	struct gmem_range range;
	struct gmem_record_object *obj;
	struct gmem_extents *set;
	const char *bad;
};

static int cmp_claim(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	if (x->range.base != y->range.base)
		return x->range.base < y->range.base ? -1 : 1;
	return 0;
}

static void refuse(struct claim *c, const char *why)
{
	c->bad = why;
	/* The first reason is the one that leads to the others. */
	if (c->obj && !c->obj->bad)
		c->obj->bad = why;
}

static const char *check_range(const struct gmem_range *r,
			       const struct gmem_extents *pool)
{
	u64 end;

	if (!r->size || !IS_ALIGNED(r->base | r->size, SZ_2M) ||
	    check_add_overflow(r->base, r->size, &end))
		return "a range is malformed";
	if (!gmem_extents_contain(pool, r->base, r->size))
		return "a range lies outside of the pool";
	return NULL;
}

/* Add the ranges of @x to @claims, on behalf of @obj or of the set @set. */
static void make_claims(const struct gmem_extents *x,
			struct gmem_record_object *obj, struct gmem_extents *set,
			const struct gmem_extents *pool,
			struct claim *claims, unsigned int *nr)
{
	u64 sum = 0;
	unsigned int i;

	for (i = 0; i < x->nr; i++) {
		struct claim *c = &claims[*nr];
		const char *bad = check_range(&x->r[i], pool);

		*c = (struct claim){ .range = x->r[i], .obj = obj, .set = set };
		if (bad) {
			/* An absurd range must not blame its neighbours. */
			refuse(c, bad);
			continue;
		}
		if (obj && !IS_ALIGNED(x->r[i].base | x->r[i].size,
				       obj->meta.granule))
			refuse(c, "a range is malformed");
		sum += x->r[i].size;
		(*nr)++;
	}
	if (obj && !obj->bad && sum != obj->meta.size)
		obj->bad = "its size is not that of its ranges";
}

/*
 * Two claims on the same memory refuse each other. Claims are sorted, so one that
 * overlaps any earlier one overlaps the one of them that reaches furthest.
 */
static void refuse_overlaps(struct claim *claims, unsigned int nr)
{
	struct claim *furthest = &claims[0];
	unsigned int i;

	for (i = 1; i < nr; i++) {
		struct claim *c = &claims[i];

		if (c->range.base < gmem_range_end(&furthest->range)) {
			refuse(furthest, "it overlaps another entry");
			refuse(c, "it overlaps another entry");
		}
		if (gmem_range_end(&c->range) > gmem_range_end(&furthest->range))
			furthest = c;
	}
}

static int alloc_set(struct gmem_extents *set, unsigned int cap)
{
	set->nr = 0;
	set->cap = cap;
	set->r = kvmalloc_array(cap, sizeof(*set->r), GFP_KERNEL);
	return set->r ? 0 : -ENOMEM;
}

/*
 * Decide who owns what. All of the pool starts out quarantined, and only what a
 * good claim names leaves: so what is forgotten, damaged or disputed stays.
 */
static const char *settle(struct gmem_record *rec, const struct gmem_extents *pool)
{
	struct gmem_extents was[] = { rec->clean, rec->dirty, rec->quarantined,
				      rec->retired };
	struct gmem_extents *sets[] = { &rec->clean, &rec->dirty,
					&rec->quarantined, &rec->retired };
	const unsigned int nr_sets = ARRAY_SIZE(sets);
	struct gmem_extents unnamed = {};
	unsigned int i, nr = 0, max = pool->nr + 1;
	struct claim *claims;
	const char *err = "no memory to read it";

	for (i = 0; i < nr_sets; i++) {
		max += was[i].nr;
		*sets[i] = (struct gmem_extents){};
	}
	/* A bad granule may leave a hole, and a bad range may lie in several. */
	for (i = 0; i < rec->bad_pages.nr; i++)
		max += 2 + rec->bad_pages.r[i].size / SZ_2M;
	for (i = 0; i < rec->nr_objects; i++)
		max += rec->objects[i].ranges.nr;

	claims = kvmalloc_array(max, sizeof(*claims), GFP_KERNEL);
	if (!claims || alloc_set(&unnamed, max))
		goto out;
	for (i = 0; i < nr_sets; i++)
		if (alloc_set(sets[i], max))
			goto out;

	for (i = 0; i < rec->nr_objects; i++)
		make_claims(&rec->objects[i].ranges, &rec->objects[i], NULL,
			    pool, claims, &nr);
	for (i = 0; i < nr_sets; i++) {
		unsigned int before = nr;

		make_claims(&was[i], NULL, sets[i], pool, claims, &nr);
		rec->bad_free += was[i].nr - (nr - before);
	}

	sort(claims, nr, sizeof(*claims), cmp_claim, NULL);
	if (nr)
		refuse_overlaps(claims, nr);

	for (i = 0; i < pool->nr; i++) {
		gmem_extents_add(&unnamed, pool->r[i].base, pool->r[i].size);
		gmem_extents_add(&rec->quarantined, pool->r[i].base,
				 pool->r[i].size);
	}
	for (i = 0; i < nr; i++) {
		struct claim *c = &claims[i];
		u64 base = c->range.base, size = c->range.size;
		struct gmem_range part;

		while (gmem_extents_overlap(&unnamed, base, size, &part))
			gmem_extents_remove(&unnamed, part.base, part.size);
		if (c->bad && !c->obj)
			rec->bad_free++;
		if (c->bad || (c->obj && c->obj->bad) ||
		    c->set == &rec->quarantined)
			continue;
		gmem_extents_remove(&rec->quarantined, base, size);
		if (c->set)
			gmem_extents_add(c->set, base, size);
	}
	rec->unnamed_bytes = gmem_extents_bytes(&unnamed);
	retire_bad(rec);
	err = NULL;
out:
	kvfree(unnamed.r);
	kvfree(claims);
	for (i = 0; i < nr_sets; i++)
		kvfree(was[i].r);
	return err;
}

static const char *check_root(const void *fdt, size_t size, u64 features[2])
{
	const void *prop;
	u64 page_size;
	int len;

	if (size > GMEM_RECORD_MAX_SIZE || size < sizeof(struct fdt_header) ||
	    fdt_check_header(fdt) || fdt_totalsize(fdt) > size)
		return "it is no device tree";
	if (fdt_node_check_compatible(fdt, 0, GMEM_PERSIST_COMPATIBLE))
		return "its format is unknown";

	prop = fdt_getprop(fdt, 0, "page-size", &len);
	if (!prop || len != sizeof(page_size))
		return "its page size is missing";
	memcpy(&page_size, prop, sizeof(page_size));
	if (page_size != PAGE_SIZE)
		return "it was written by a kernel with another page size";

	prop = fdt_getprop(fdt, 0, "features", &len);
	if (!prop || len != 2 * sizeof(*features))
		return "its features are missing";
	memcpy(features, prop, len);
	if (features[0] & ~(GMEM_PERSIST_FEATURE_BAD_PAGES | GMEM_PERSIST_FEATURE_DATA |
			    GMEM_PERSIST_FEATURE_DIRECTORIES))
		return "it needs features that this kernel does not have";
	return NULL;
}

static bool is_object(const void *fdt, int node)
{
	const char *name = fdt_get_name(fdt, node, NULL);

	return name && !strncmp(name, "object", strlen("object"));
}

static const char *read_objects(const void *fdt, struct gmem_record *rec)
{
	unsigned int nr = 0;
	int node;

	fdt_for_each_subnode(node, fdt, 0)
		if (is_object(fdt, node))
			nr++;
	if (nr > GMEM_RECORD_MAX_OBJECTS)
		return "it has too many objects";
	if (!nr)
		return NULL;

	rec->objects = kvcalloc(nr, sizeof(*rec->objects), GFP_KERNEL);
	if (!rec->objects)
		return "no memory to read it";

	fdt_for_each_subnode(node, fdt, 0) {
		struct gmem_record_object *obj = &rec->objects[rec->nr_objects];

		if (!is_object(fdt, node))
			continue;
		obj->bad = get_object(fdt, node, obj);
		rec->nr_objects++;
	}
	return NULL;
}

/**
 * gmem_record_read - read a record and decide what of it can be believed
 * @fdt: the tree; names in the result point into it
 * @size: size of the memory that @fdt lies in, in bytes
 * @pool: the memory that the pool really consists of
 * @rec: the result, to be given back with gmem_record_free() in any case
 *
 * On success every byte of @pool is in exactly one of the sets of @rec (clean, dirty,
 * quarantined, retired) or in an object without @bad. Objects with @bad stand in @rec
 * only to be reported.
 *
 * Return: NULL, or why nothing in the record can be believed.
 */
const char *gmem_record_read(const void *fdt, size_t size,
			     const struct gmem_extents *pool,
			     struct gmem_record *rec)
{
	u64 features[2] = {};
	const char *bad;

	*rec = (struct gmem_record){};

	bad = check_root(fdt, size, features);
	bad = bad ?: get_ranges(fdt, 0, "pool", &rec->pool);
	bad = bad ?: get_ranges(fdt, 0, "clean", &rec->clean);
	bad = bad ?: get_ranges(fdt, 0, "dirty", &rec->dirty);
	bad = bad ?: get_ranges(fdt, 0, "quarantined", &rec->quarantined);
	if (features[0] & GMEM_PERSIST_FEATURE_BAD_PAGES) {
		bad = bad ?: get_ranges(fdt, 0, "bad", &rec->bad_pages);
		bad = bad ?: get_ranges(fdt, 0, "retired", &rec->retired);
	}
	if (!bad && !gmem_extents_equal(&rec->pool, pool))
		bad = "its pool is not the memory that the firmware map names";
	bad = bad ?: check_bad_pages(&rec->bad_pages, pool);
	if (!bad && features[1] & GMEM_PERSIST_FEATURE_NODES)
		read_nodes(fdt, rec);
	bad = bad ?: read_objects(fdt, rec);
	bad = bad ?: refuse_duplicates(rec);
	if (bad)
		return bad;
	find_parents(rec);
	return settle(rec, pool);
}

/**
 * gmem_record_free - give back what gmem_record_read() allocated
 * @rec: the record
 */
void gmem_record_free(struct gmem_record *rec)
{
	unsigned int i;

	kvfree(rec->pool.r);
	kvfree(rec->clean.r);
	kvfree(rec->dirty.r);
	kvfree(rec->quarantined.r);
	kvfree(rec->bad_pages.r);
	kvfree(rec->retired.r);
	kvfree(rec->nodes);
	for (i = 0; i < rec->nr_objects; i++)
		kvfree(rec->objects[i].ranges.r);
	kvfree(rec->objects);
	*rec = (struct gmem_record){};
}
