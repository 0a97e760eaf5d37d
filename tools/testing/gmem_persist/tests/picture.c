// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "picture.h"

/**
 * picture_set - the set that a picture shows
 * @picture: the picture
 * @mark: the character that stands for memory of the set
 * @room: for how many more entries the array is to have room
 *
 * Return: the set; its array is exactly as long as that and is the caller's.
 */
struct gmem_ranges picture_set(const char *picture, char mark,
			       unsigned int room)
{
	struct gmem_ranges set = {};
	u64 addr = ORIGIN;
	const char *c;
	char last = 0;

	for (c = picture; *c; c++)
		set.cap++;
	set.r = xmalloc(set.cap * sizeof(*set.r));

	for (c = picture; *c; c++) {
		if (*c == '|')
			continue;
		if (*c == mark && last == mark)
			set.r[set.nr - 1].size += UNIT;
		else if (*c == mark)
			set.r[set.nr++] = (struct gmem_range){ addr, UNIT };
		last = *c;
		addr += UNIT;
	}

	set.cap = set.nr + room;
	set.r = realloc(set.r, set.cap * sizeof(*set.r) ?: 1);
	return set;
}

/* The only range in a picture. */
struct gmem_range picture_range(const char *picture, char mark)
{
	struct gmem_ranges set = picture_set(picture, mark, 0);
	struct gmem_range r = {};

	CHECK_EQ(set.nr, 1);
	r = set.r[0];
	free(set.r);
	return r;
}

/* Fail unless @set is what the '#' in @picture show, in the only way to write it. */
void picture_check(const struct gmem_ranges *set, const char *picture)
{
	struct gmem_ranges expected = picture_set(picture, '#', 0);
	bool same = set->nr == expected.nr && set->nr <= set->cap;
	unsigned int i;

	for (i = 0; same && i < set->nr; i++)
		same = set->r[i].base == expected.r[i].base &&
		       set->r[i].size == expected.r[i].size;
	if (!same) {
		printf("# expected %s; got, from unit to unit:\n", picture);
		for (i = 0; i < set->nr; i++)
			printf("#   %.2f to %.2f\n",
			       ((double)set->r[i].base - ORIGIN) / UNIT,
			       ((double)gmem_range_end(&set->r[i]) - ORIGIN) / UNIT);
	}
	free(expected.r);
	CHECK(same);
}
