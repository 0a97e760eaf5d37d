// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel's files call, by libc and zlib: for programs that use them. The tests
 * of these files have stubs.c instead.
 */
#include <stdlib.h>
#include <zlib.h>

#include <linux/crc32.h>
#include <linux/slab.h>
#include <linux/sort.h>

void *kvmalloc(size_t size, gfp_t flags)
{
	return malloc(size);
}

void *kvmalloc_array(size_t n, size_t size, gfp_t flags)
{
	return reallocarray(NULL, n, size);
}

void *kvcalloc(size_t n, size_t size, gfp_t flags)
{
	return calloc(n, size);
}

void kvfree(const void *p)
{
	free((void *)p);
}

void sort(void *base, size_t num, size_t size,
	  int (*cmp)(const void *, const void *),
	  void (*swap)(void *, void *, int))
{
	qsort(base, num, size, cmp);
}

u32 crc32_le(u32 crc, const void *p, size_t len)
{
	/* To zlib, NULL means something else than nothing. */
	return len ? ~crc32(~crc, p, len) : crc;
}
