/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_GMEM_PERSIST_RECORD_H
#define _MM_GMEM_PERSIST_RECORD_H

#include <linux/types.h>
#include <linux/kho/abi/gmem_persist.h>

#include "extent.h"

/* Bounds that a reader can rely on; a writer refuses to exceed them. */
#define GMEM_RECORD_MAX_OBJECTS	4096
#define GMEM_RECORD_MAX_SIZE	(64UL << 20)
#define GMEM_RECORD_MAX_BAD_PAGES	4096

/**
 * struct gmem_record_object - an object as it stands in a record
 * @name: its name, NUL-terminated
 * @meta: its attributes
 * @ranges: its memory, in the order of its offsets
 * @file: of a file of data; otherwise its @kind is 0
 * @directory: of a directory; otherwise its @id is 0
 * @mtime: of all but data: when it was last changed, in ns since the epoch; 0: not known
 * @parent: after reading: the directory that it is in, which stands before it; or NULL
 * @bad: after reading: why it was refused, or NULL
 */
struct gmem_record_object {
	const char *name;
	struct gmem_persist_object meta;
	struct gmem_extents ranges;
	struct gmem_persist_file file;
	struct gmem_persist_directory directory;
	u64 mtime;
	const struct gmem_record_object *parent;
	const char *bad;
};

/**
 * struct gmem_record - what the pool consists of
 * @pool: all memory of it
 * @clean: free and zero
 * @dirty: free and in need of clearing
 * @quarantined: nobody's
 * @bad_pages: pages with memory errors, at most %GMEM_RECORD_MAX_BAD_PAGES
 * @retired: granules that nobody gets because of them
 * @nodes: which parts of @pool the writer saw on which NUMA node; may be empty
 * @nr_nodes: how many
 * @objects: the named objects, each behind the directory that it is in
 * @nr_objects: how many
 * @unnamed_bytes: after reading: memory that no entry, good or bad, named
 * @bad_free: after reading: number of ranges refused that are no object's
 */
struct gmem_record {
	struct gmem_extents pool;
	struct gmem_extents clean;
	struct gmem_extents dirty;
	struct gmem_extents quarantined;
	struct gmem_extents bad_pages;
	struct gmem_extents retired;
	struct gmem_persist_node *nodes;
	unsigned int nr_nodes;
	struct gmem_record_object *objects;
	unsigned int nr_objects;
	u64 unnamed_bytes;
	unsigned int bad_free;
};

size_t gmem_record_size(const struct gmem_record *rec);
int gmem_record_write(struct gmem_record *rec, void *buf, size_t size);
const char *gmem_record_read(const void *fdt, size_t size,
			     const struct gmem_extents *pool,
			     struct gmem_record *rec);
void gmem_record_free(struct gmem_record *rec);

u32 gmem_record_crc(const void *p, size_t size);
u32 gmem_record_header_crc(const struct gmem_persist_header *hdr);
bool gmem_name_valid(const char *name);

#endif /* _MM_GMEM_PERSIST_RECORD_H */
