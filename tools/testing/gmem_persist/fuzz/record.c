// SPDX-License-Identifier: GPL-2.0
/*
 * The reader of records: any bytes; a good record with some bytes changed; a record
 * that tells lies, with checksums that are right. See record_check() for what must
 * hold whatever comes.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/sizes.h>

#include "fuzz.h"
#include "tests/records.h"

/* Give the reader memory that ends with these bytes. */
static void read_bytes(const struct draft *d, const void *bytes, size_t size)
{
	void *copy = xmalloc(size);
	struct gmem_record rec;

	memcpy(copy, bytes, size);
	if (!gmem_record_read(copy, size, &d->rec.pool, &rec))
		record_check(&d->rec.pool, &rec);
	gmem_record_free(&rec);
	free(copy);
}

static void change_bytes(u8 *bytes, size_t size)
{
	while (fuzz_left()) {
		size_t at = random_below(size), len = 4, from;

		switch (random_below(4)) {
		case 0:
			bytes[at] = random_below(256);
			break;
		case 1:
			bytes[at] ^= 1 << random_below(8);
			break;
		default:
			at &= ~3;
			from = random_below(size) & ~3;
			if (at + len <= size && from + len <= size)
				memmove(bytes + at, bytes + from, len);
		}
	}
}

static struct gmem_extents *any_list(struct draft *d)
{
	unsigned int i = random_below(d->rec.nr_objects + 3);

	if (i < d->rec.nr_objects)
		return &d->obj[i].ranges;
	i -= d->rec.nr_objects;
	return i == 0 ? &d->rec.clean : i == 1 ? &d->rec.dirty : &d->rec.quarantined;
}

static void lie(struct draft *d)
{
	struct gmem_extents *list = any_list(d), *other = any_list(d);
	u64 *number;

	if (d->rec.nr_objects && !random_below(3)) {
		u8 *meta = (u8 *)&d->obj[random_below(d->rec.nr_objects)].meta;

		meta[random_below(sizeof(struct gmem_persist_object))] =
			random_below(256);
		return;
	}
	if (!list->nr)
		return;
	number = random_below(2) ? &list->r[random_below(list->nr)].base :
				   &list->r[random_below(list->nr)].size;
	switch (random_below(4)) {
	case 0:
		*number = random_next();
		break;
	case 1:
		*number += (random_below(256) - 128) * (u64)SZ_2M;
		break;
	case 2:
		*number += random_below(256) - 128;
		break;
	default:
		list_put(other, list->r[0].base, list->r[0].size);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	unsigned int way;
	struct draft d;
	u8 *fdt;

	fuzz_start(data, size);
	way = random_below(4);
	if (random_below(2))
		draft_random(&d);
	else
		draft_fixed(&d);

	if (way == 0) {
		read_bytes(&d, data + size - fuzz_left(), fuzz_left());
	} else {
		while (way > 1 && fuzz_left())
			lie(&d);
		fdt = draft_write(&d, &size);
		change_bytes(fdt, size);
		read_bytes(&d, fdt, size);
		free(fdt);
	}
	draft_free(&d);
	return 0;
}
