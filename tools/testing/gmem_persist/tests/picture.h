/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_PICTURE_H
#define GMEM_TEST_PICTURE_H

/*
 * Sets of ranges drawn as text. A character is 256 MiB of memory, and
 *
 *	"..##|####|##.."
 *
 * is one range of 2 GiB that begins in the middle of a 1 GiB granule. '.' is not
 * in the set, anything else is in whatever the character stands for; '|' has no
 * width and only shows where 1 GiB granules begin.
 */
#include <linux/sizes.h>

#include "ranges.h"
#include "test.h"

/* What a character stands for, and where the first one lies */
#define UNIT	((u64)SZ_256M)
#define ORIGIN	(64 * (u64)SZ_1G)

struct gmem_ranges picture_set(const char *picture, char mark,
			       unsigned int room);
struct gmem_range picture_range(const char *picture, char mark);
void picture_check(const struct gmem_ranges *set, const char *picture);

#endif /* GMEM_TEST_PICTURE_H */
