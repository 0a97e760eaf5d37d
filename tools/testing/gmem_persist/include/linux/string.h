/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_STRING_H
#define GMEM_TEST_LINUX_STRING_H

#include <stdbool.h>
#include <string.h>

static inline bool mem_is_zero(const void *p, size_t n)
{
	const char *byte = p;

	while (n--)
		if (*byte++)
			return false;
	return true;
}

#endif /* GMEM_TEST_LINUX_STRING_H */
