/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest memory that survives a kexec of the host: what the rest of the kernel
 * may ask of it. See Documentation/mm/gmem-persist.rst.
 */
#ifndef _LINUX_GMEM_PERSIST_H
#define _LINUX_GMEM_PERSIST_H

#include <linux/errno.h>
#include <linux/list.h>
#include <linux/nodemask_types.h>
#include <linux/types.h>

struct file;
struct gmem_consumer;
struct gmem_object;
struct gmem_view;
struct inode;
struct vm_area_struct;

/* Length of an object's name with its terminating NUL. */
#define GMEM_NAME_SIZE 64

/* Length of a token, which says who changed an object's memory last. */
#define GMEM_TOKEN_SIZE 16

/**
 * struct gmem_object_params - what a caller asks an object to be
 * @name: its name; NULL or empty for an object that dies with its last view
 * @handle: a file of gmemfs that shows it, instead of a name; or NULL
 * @size: its size in bytes; 0 when claiming: whatever it has
 * @granule: %SZ_2M or %SZ_1G; 0: %SZ_2M for a new object, any when claiming
 * @nodes: of a new object: take its memory from these nodes only; NULL: from the
 *	caller's node first, then from the nearest one
 * @flags: opaque to the core; recorded, and compared when the object is claimed
 * @vm_class: opaque to the core; recorded, and compared when it is claimed
 */
struct gmem_object_params {
	const char *name;
	struct file *handle;
	u64 size;
	u64 granule;
	const nodemask_t *nodes;
	u64 flags;
	u32 vm_class;
};

/**
 * struct gmem_object_info - what an object is
 * @size: its size in bytes
 * @granule: %SZ_2M or %SZ_1G
 * @generation: how many handovers to a next kernel it has survived
 */
struct gmem_object_info {
	u64 size;
	u64 granule;
	u64 generation;
};

/**
 * struct gmem_view_info - which object a view is of, and what its memory is known by
 * @uuid: of the object
 * @token: the token that stood when the view began; 0 if it created the object
 * @own_token: the token that stands from the view's first write on
 */
struct gmem_view_info {
	u8 uuid[16];
	u8 token[GMEM_TOKEN_SIZE];
	u8 own_token[GMEM_TOKEN_SIZE];
};

/**
 * struct gmem_consumer_ops - how the core takes memory away from its users
 * @invalidate_start: drop every mapping of pages [@start, @end) of the object
 *	and create none until @invalidate_end
 * @invalidate_end: mappings may be made again
 *
 * Both are called with the invalidate lock of the object's mapping held
 * exclusively, may sleep, and always come in pairs.
 */
struct gmem_consumer_ops {
	void (*invalidate_start)(struct gmem_consumer *consumer, pgoff_t start,
				 pgoff_t end);
	void (*invalidate_end)(struct gmem_consumer *consumer, pgoff_t start,
			       pgoff_t end);
};

/**
 * struct gmem_consumer - somebody who maps an object other than by mmap()
 * @ops: how to take the memory away
 * @node: in the object's list, under its invalidate lock
 */
struct gmem_consumer {
	const struct gmem_consumer_ops *ops;
	struct list_head node;
};

#ifdef CONFIG_GMEM_PERSIST

/* Boot, called by the architecture. */
void gmem_persist_reserve(void);
void gmem_persist_reserve_nodes(void);

/* The pool */
bool gmem_persist_enabled(void);
bool gmem_persist_is_pool_pfn(unsigned long pfn);
bool gmem_persist_overlaps(u64 base, u64 size);

/* Objects and their VM view */
struct gmem_object *gmem_object_create(const struct gmem_object_params *params);
struct gmem_object *gmem_object_claim(const struct gmem_object_params *params);
void gmem_object_release(struct gmem_object *obj);
void gmem_object_undo(struct gmem_object *obj, bool created);
struct file *gmem_resource_open(struct file *file);
struct gmem_object *gmem_resource_claim(struct file *handle, u64 size, u64 flags, u32 vm_class,
					bool *created);
void gmem_object_get_info(struct gmem_object *obj,
			  struct gmem_object_info *info);
struct inode *gmem_object_inode(struct gmem_object *obj);
unsigned long gmem_object_pfn(struct gmem_object *obj, pgoff_t index,
			      int *max_order);
bool gmem_object_is_bad(struct gmem_object *obj, pgoff_t index);
void gmem_object_attach(struct gmem_object *obj, struct gmem_consumer *consumer);
void gmem_object_detach(struct gmem_object *obj, struct gmem_consumer *consumer);

/* What a VM does with the memory */
struct gmem_view *gmem_view_begin(struct gmem_object *obj, const struct file *handle,
				  bool created);
void gmem_view_end(struct gmem_view *view);
void gmem_view_write(struct gmem_view *view);
int gmem_view_punch(struct gmem_view *view, u64 offset, u64 size);
int gmem_view_mmap(struct gmem_view *view, struct vm_area_struct *vma);
void gmem_view_get_info(struct gmem_view *view, struct gmem_view_info *info);

#else

static inline void gmem_persist_reserve(void) { }
static inline void gmem_persist_reserve_nodes(void) { }

static inline bool gmem_persist_enabled(void)
{
	return false;
}

static inline bool gmem_persist_is_pool_pfn(unsigned long pfn)
{
	return false;
}

static inline bool gmem_persist_overlaps(u64 base, u64 size)
{
	return false;
}

#endif /* CONFIG_GMEM_PERSIST */

#endif /* _LINUX_GMEM_PERSIST_H */
