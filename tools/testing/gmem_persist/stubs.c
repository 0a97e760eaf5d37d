// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel's files call and a libc does not have. Where the kernel makes
 * no promise, these are as unkind as it may be: fresh memory is full of garbage,
 * and equal elements come out of sort() in any order.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <linux/crc32.h>
#include <linux/kernel.h>
#include <linux/random.h>
#include <linux/siphash.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "test.h"

int kvmalloc_fail_after = -1;

void *kvmalloc(size_t size, gfp_t flags)
{
	void *p;

	if (kvmalloc_fail_after >= 0 && kvmalloc_fail_after-- == 0)
		return NULL;

	p = malloc(size);
	if (p)
		memset(p, 0xa5, size);
	return p;
}

void *kvmalloc_array(size_t n, size_t size, gfp_t flags)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL :
							 kvmalloc(bytes, flags);
}

void *kvcalloc(size_t n, size_t size, gfp_t flags)
{
	void *p = kvmalloc_array(n, size, flags);

	return p ? memset(p, 0, n * size) : NULL;
}

void kvfree(const void *p)
{
	free((void *)p);
}

void kfree(const void *p)
{
	free((void *)p);
}

void sort(void *base, size_t num, size_t size,
	  int (*cmp)(const void *, const void *),
	  void (*swap)(void *, void *, int))
{
	char *a = base, tmp[64];
	size_t i, j;

	CHECK(size <= sizeof(tmp));
	for (i = 1; i < num; i++) {
		j = random_below(i + 1);
		if (i == j)
			continue;
		memcpy(tmp, a + i * size, size);
		memcpy(a + i * size, a + j * size, size);
		memcpy(a + j * size, tmp, size);
	}
	if (num)
		qsort(base, num, size, cmp);
}

u32 crc32_le(u32 crc, const void *p, size_t len)
{
	static u32 table[256];
	const u8 *byte = p;
	u32 i, bit;

	for (i = 0; !table[255] && i < 256; i++) {
		u32 c = i;

		for (bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
		table[i] = c;
	}
	while (len--)
		crc = crc >> 8 ^ table[(crc ^ *byte++) & 0xff];
	return crc;
}

static u64 last_random;
unsigned int nr_keyed;

void get_random_bytes(void *buf, size_t len)
{
	CHECK(len >= sizeof(last_random));
	last_random++;
	memset(buf, 0, len);
	memcpy(buf, &last_random, sizeof(last_random));
}

/* Any function does that has as much of the key in it. */
u32 hsiphash(const void *data, size_t len, const hsiphash_key_t *key)
{
	nr_keyed += key->key[0] == last_random;
	return crc32_le(key->key[0], data, len);
}

/* A number in C's notation with a suffix; too large ones wrap, as in the kernel. */
unsigned long long memparse(const char *ptr, char **retptr)
{
	static const char suffixes[] = "KMGTPE";
	unsigned int base = 10;
	u64 value = 0;
	const char *s;

	if (ptr[0] == '0') {
		base = 8;
		if (tolower(ptr[1]) == 'x' && isxdigit(ptr[2])) {
			base = 16;
			ptr += 2;
		}
	}
	for (; isxdigit(*ptr); ptr++) {
		unsigned int digit = isdigit(*ptr) ? *ptr - '0' :
						     tolower(*ptr) - 'a' + 10;

		if (digit >= base)
			break;
		value = value * base + digit;
	}
	s = *ptr ? strchr(suffixes, toupper(*ptr)) : NULL;
	if (s) {
		value <<= 10 * (s - suffixes + 1);
		ptr++;
	}
	*retptr = (char *)ptr;
	return value;
}
