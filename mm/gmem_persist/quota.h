/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_GMEM_PERSIST_QUOTA_H
#define _MM_GMEM_PERSIST_QUOTA_H

#include <linux/types.h>

/*
 * So many directories may be in each other: a path of the longest possible names that is
 * twice as long as PATH_MAX. What is done for each of them is done under a spinlock.
 */
#define GMEM_QUOTA_MAX_LEVELS	128

/**
 * struct gmem_usage - what is used, or may be
 * @bytes: memory, in bytes
 * @names: slots of the record
 */
struct gmem_usage {
	u64 bytes;
	u64 names;
};

/**
 * struct gmem_quota - what is used below a directory
 * @up: the same of the directory that it is in; NULL: the root, of which nobody asks that
 * @used: by all that is below it
 * @max: so much may be used; 0: any. It may be less than is used
 * @seen: for gmem_quota_agrees()
 * @levels: so many directories are in each other here, this one included, or fewer
 * @gone: the directory is no more; this goes with the last that counts here
 */
struct gmem_quota {
	struct gmem_quota *up;
	struct gmem_usage used;
	struct gmem_usage max;
	struct gmem_usage seen;
	unsigned int levels;
	bool gone;
};

/**
 * struct gmem_quota_item - an object, as quotas see it
 * @in: where it counts, and so in all that are above that; NULL: in the root only
 * @own: of a directory: what is below it, from kmalloc(); NULL for all else
 * @bytes: how much memory it has, or is about to get; 0 for a directory
 */
struct gmem_quota_item {
	struct gmem_quota *in;
	struct gmem_quota *own;
	u64 bytes;
};

void gmem_quota_init(struct gmem_quota *q, struct gmem_usage max);
int gmem_quota_may_add(const struct gmem_quota *in, bool dir);
void gmem_quota_add(struct gmem_quota_item *item, struct gmem_quota *in);
void gmem_quota_remove(struct gmem_quota_item *item);
int gmem_quota_take(struct gmem_quota_item *item, u64 bytes);
void gmem_quota_give(struct gmem_quota_item *item, u64 bytes);
int gmem_quota_move(struct gmem_quota_item *item, struct gmem_quota *to,
		    struct gmem_quota_item *other);
void gmem_quota_room(const struct gmem_quota *q, struct gmem_usage *max,
		     struct gmem_usage *left);

void gmem_quota_forget(struct gmem_quota_item *item);
void gmem_quota_count(struct gmem_quota_item *item);
bool gmem_quota_agrees(const struct gmem_quota_item *item);

#endif /* _MM_GMEM_PERSIST_QUOTA_H */
