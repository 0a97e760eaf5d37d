// SPDX-License-Identifier: GPL-2.0
/*
 * A record as a person or a script reads it, by the kernel's own reader of records.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/libfdt.h>

#include "record.h"

#include "decode.h"

/* The pool that the record says it is of; the kernel compares that with the memory map. */
static struct gmem_extents pool_of(const void *fdt, size_t size)
{
	struct gmem_extents pool = {};
	const void *prop;
	int len;

	if (size < sizeof(struct fdt_header) || fdt_check_header(fdt) ||
	    fdt_totalsize(fdt) > size)
		return pool;
	prop = fdt_getprop(fdt, 0, "pool", &len);
	if (!prop || len % sizeof(*pool.r))
		return pool;
	pool.r = malloc(len + 1);
	if (!pool.r)
		return pool;
	memcpy(pool.r, prop, len);
	pool.nr = len / sizeof(*pool.r);
	pool.cap = pool.nr;
	return pool;
}

static const char *kind(const struct gmem_record_object *obj)
{
	if (obj->directory.id)
		return "directory";
	return obj->file.kind == GMEM_PERSIST_FILE_DATA ? "data" : "memory";
}

static void print_path(const struct gmem_record_object *obj)
{
	if (obj->parent) {
		print_path(obj->parent);
		putchar('/');
	}
	fputs(obj->name, stdout);
}

static void print_set(const char *name, const struct gmem_extents *x, bool json)
{
	unsigned int i;

	if (json)
		printf(",\"%s_bytes\":%llu", name, (unsigned long long)gmem_extents_bytes(x));
	else
		printf("%-12s %llu\n", name, (unsigned long long)gmem_extents_bytes(x));
	for (i = 0; !json && i < x->nr; i++)
		printf("  %#llx-%#llx\n", (unsigned long long)x->r[i].base,
		       (unsigned long long)gmem_range_end(&x->r[i]) - 1);
}

/* Names are of letters, digits and a few signs that JSON has no opinion of. */
static void print_object(const struct gmem_record_object *obj, bool json)
{
	const struct gmem_persist_object *meta = &obj->meta;
	unsigned int i;

	if (json) {
		printf("{\"name\":\"");
		if (obj->name)
			print_path(obj);
		printf("\",\"problem\":");
		if (obj->bad)
			printf("\"%s\"", obj->bad);
		else
			printf("null");
		printf(",\"kind\":\"%s\",\"size\":%llu,\"granule\":%llu,\"flags\":%llu,\"vm_class\":%u,\"generation\":%llu,\"epoch\":%llu,\"uid\":%u,\"gid\":%u,\"mode\":%u,\"length\":%llu,\"ranges\":[",
		       kind(obj), (unsigned long long)meta->size,
		       (unsigned long long)meta->granule, (unsigned long long)meta->flags,
		       meta->vm_class, (unsigned long long)meta->generation,
		       (unsigned long long)meta->epoch, meta->uid, meta->gid, meta->mode,
		       (unsigned long long)(obj->file.kind ? obj->file.bytes : meta->size));
		for (i = 0; i < obj->ranges.nr; i++)
			printf("%s[%llu,%llu]", i ? "," : "",
			       (unsigned long long)obj->ranges.r[i].base,
			       (unsigned long long)obj->ranges.r[i].size);
		printf("]}");
		return;
	}
	printf("object ");
	if (obj->name)
		print_path(obj);
	else
		printf("(without a name)");
	printf("\n");
	if (obj->bad)
		printf("  PROBLEM: %s: the next kernel quarantines its memory\n", obj->bad);
	printf("  %s, size %llu, granule %llu, flags %#llx, VM type %u\n"
	       "  generation %llu, epoch %llu, owner %u:%u, mode %o\n",
	       kind(obj), (unsigned long long)meta->size, (unsigned long long)meta->granule,
	       (unsigned long long)meta->flags, meta->vm_class,
	       (unsigned long long)meta->generation, (unsigned long long)meta->epoch,
	       meta->uid, meta->gid, meta->mode & 07777);
	if (obj->file.kind)
		printf("  %llu bytes of data\n", (unsigned long long)obj->file.bytes);
	for (i = 0; i < obj->ranges.nr; i++)
		printf("  %#llx-%#llx\n", (unsigned long long)obj->ranges.r[i].base,
		       (unsigned long long)gmem_range_end(&obj->ranges.r[i]) - 1);
}

/**
 * decode - print a record, and what is wrong with it
 * @fdt: the tree
 * @size: its size in bytes, or more
 * @json: as JSON
 *
 * Return: STATUS_OK; STATUS_REFUSED: nothing of it can be believed; STATUS_DAMAGED: some of
 * it cannot.
 */
int decode(const void *fdt, size_t size, bool json)
{
	struct gmem_extents pool = pool_of(fdt, size);
	struct gmem_record rec;
	const char *bad = gmem_record_read(fdt, size, &pool, &rec);
	unsigned int i, problems = 0;

	if (bad && json)
		printf("{\"problem\":\"%s\"}\n", bad);
	else if (bad)
		printf("PROBLEM: %s: the next kernel quarantines all of the pool\n", bad);
	if (bad)
		goto out;

	for (i = 0; i < rec.nr_objects; i++)
		problems += !!rec.objects[i].bad;
	if (json)
		printf("{\"problem\":null,\"bytes\":%u", fdt_totalsize(fdt));
	else
		printf("record       %u bytes\n", fdt_totalsize(fdt));
	print_set("pool", &rec.pool, json);
	print_set("clean", &rec.clean, json);
	print_set("dirty", &rec.dirty, json);
	print_set("quarantined", &rec.quarantined, json);
	print_set("retired", &rec.retired, json);
	print_set("bad_pages", &rec.bad_pages, json);
	if (json)
		printf(",\"unnamed_bytes\":%llu,\"bad_free_ranges\":%u,\"objects\":[",
		       (unsigned long long)rec.unnamed_bytes, rec.bad_free);
	for (i = 0; i < rec.nr_objects; i++) {
		if (i && json)
			printf(",");
		print_object(&rec.objects[i], json);
	}
	if (json)
		printf("]}\n");
	if (!json && rec.unnamed_bytes)
		printf("PROBLEM: nothing names %llu bytes: the next kernel quarantines them\n",
		       (unsigned long long)rec.unnamed_bytes);
	if (!json && rec.bad_free)
		printf("PROBLEM: %u ranges of free memory are malformed or disputed\n",
		       rec.bad_free);
	problems += rec.unnamed_bytes || rec.bad_free;
out:
	gmem_record_free(&rec);
	free(pool.r);
	if (bad)
		return STATUS_REFUSED;
	return problems ? STATUS_DAMAGED : STATUS_OK;
}
