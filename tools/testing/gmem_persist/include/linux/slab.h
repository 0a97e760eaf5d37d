/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_SLAB_H
#define GMEM_TEST_LINUX_SLAB_H

#include <linux/types.h>

#define GFP_KERNEL	0

/* The allocation after that many more fails, and no other; -1: none does. */
extern int kvmalloc_fail_after;

void *kvmalloc(size_t size, gfp_t flags);
void *kvmalloc_array(size_t n, size_t size, gfp_t flags);
void *kvcalloc(size_t n, size_t size, gfp_t flags);
void kvfree(const void *p);
void kfree(const void *p);

#endif /* GMEM_TEST_LINUX_SLAB_H */
