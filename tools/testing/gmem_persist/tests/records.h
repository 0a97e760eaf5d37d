/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_RECORDS_H
#define GMEM_TEST_RECORDS_H

/*
 * Making records, good ones and bad ones.
 *
 * A draft is what is written: unlike what the kernel keeps, it may be wrong in
 * every way that struct gmem_record can express. The rest is done to the tree.
 */
#include "record.h"
#include "test.h"

#define DRAFT_OBJECTS	16

struct draft {
	struct gmem_record rec;
	struct gmem_record_object obj[DRAFT_OBJECTS];
	char name[DRAFT_OBJECTS][2 * 64];
};

void node_put(struct draft *d, u64 base, u64 size, u32 nid);
void list_put(struct gmem_extents *list, u64 base, u64 size);

void draft_fixed(struct draft *d);
void draft_poison(struct draft *d);
void draft_data(struct draft *d);
void draft_directories(struct draft *d);
void draft_random(struct draft *d);
void draft_free(struct draft *d);
void *draft_write(struct draft *d, size_t *size);

/* The tree, with room to edit it */
void *tree_open(struct draft *d, size_t *room);
int tree_object(void *fdt, unsigned int i);
/* A copy without room, in memory of its own */
void *tree_close(void *fdt, size_t *size);

void record_check(const struct gmem_extents *pool, const struct gmem_record *rec);
const struct gmem_record_object *record_find(const struct gmem_record *rec,
					     const char *name);

void golden_print(const char *which);

#endif /* GMEM_TEST_RECORDS_H */
