// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel's files call, by libc and zlib: for programs that use them. The tests
 * of these files have stubs.c instead.
 */
#include <err.h>
#include <stdlib.h>
#include <sys/random.h>
#include <zlib.h>

#include <linux/crc32.h>
#include <linux/random.h>
#include <linux/siphash.h>
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

void get_random_bytes(void *buf, size_t len)
{
	if (getrandom(buf, len, 0) != (ssize_t)len)
		err(1, "getrandom");
}

/* No libc has it. Who chooses names so that this is slow makes nobody else wait. */
u32 hsiphash(const void *data, size_t len, const hsiphash_key_t *key)
{
	return crc32_le(key->key[0], data, len);
}
