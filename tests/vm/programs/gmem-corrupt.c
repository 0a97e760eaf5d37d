// SPDX-License-Identifier: GPL-2.0
/*
 * Damage the record that the next kernel will get, as bad memory or a bad kernel
 * would: through /dev/mem, behind the kernel's back.
 *
 *   gmem-corrupt header          change the header's magic number
 *   gmem-corrupt tree            change a byte of the tree
 *   gmem-corrupt object NAME     change an object's size, with all checksums of the
 *                                record but the object's own made right
 *   gmem-corrupt overlap A B     let object A name the memory of B, checksums right
 *   gmem-corrupt version         another compatible string, checksums right
 *
 * Run it when the record is sealed: sealing makes the header's own checksum right.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record.h"

#define PAGE	4096ULL
#define WINDOW	(64ULL << 20)

/* The pages of what kho_preserve_vmalloc() keeps: kexec_handover.h, with addresses for pointers */
struct chunk {
	u64 next;
	u64 phys[PAGE / 8 - 1];
};

static int mem;

static void *map(u64 phys)
{
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mem, phys);

	if (p == MAP_FAILED)
		err(1, "mmap of %#llx", phys);
	return p;
}

/*
 * The header page: the page of System RAM that reads like the blob that KHO shows.
 * (KHO also shows its root tree, but cut to the length that it had at boot.)
 */
static struct gmem_persist_header *find_header(void)
{
	int blob_fd = open("/sys/kernel/debug/kho/out/sub_fdts/gmem-persist", O_RDONLY);
	FILE *iomem = fopen("/proc/iomem", "r");
	struct gmem_persist_header blob;
	u64 start, end, at, off;
	char line[256];

	if (blob_fd < 0 || read(blob_fd, &blob, sizeof(blob)) != sizeof(blob))
		err(1, "KHO's debugfs files");
	if (!iomem)
		err(1, "/proc/iomem");
	while (fgets(line, sizeof(line), iomem)) {
		if (sscanf(line, "%llx-%llx : System RAM", &start, &end) != 2 ||
		    !strstr(line, " : System RAM"))
			continue;
		start = (start + PAGE - 1) & -PAGE;
		end = (end + 1) & -PAGE;
		for (at = start; at < end; at += WINDOW) {
			u64 size = end - at < WINDOW ? end - at : WINDOW;
			char *p = mmap(NULL, size, PROT_READ, MAP_SHARED, mem, at);

			if (p == MAP_FAILED)
				err(1, "mmap of %#llx", at);
			for (off = 0; off < size; off += PAGE)
				if (!memcmp(p + off, &blob, sizeof(blob)))
					return map(at + off);
			munmap(p, size);
		}
	}
	errx(1, "the header is nowhere in memory");
}

/* Copy the record from its pages, or back into them. */
static void copy_record(const struct gmem_persist_header *header, char *record, bool back)
{
	struct chunk *chunk = map(header->fdt.first);
	u64 done = 0;

	if (header->fdt.order)
		errx(1, "the record lies in large pages");
	for (unsigned int i = 0; done < header->fdt_size; i++) {
		u64 n = header->fdt_size - done < PAGE ? header->fdt_size - done : PAGE;
		char *page;

		if (i == sizeof(chunk->phys) / sizeof(chunk->phys[0])) {
			chunk = map(chunk->next);
			i = 0;
		}
		page = map(chunk->phys[i]);
		if (back)
			memcpy(page, record + done, n);
		else
			memcpy(record + done, page, n);
		munmap(page, PAGE);
		done += n;
	}
}

/* The record as the next kernel would read it */
static void read_record(const char *record, size_t size, struct gmem_record *rec)
{
	static struct gmem_range ranges[64];
	struct gmem_extents pool = { .r = ranges, .cap = sizeof(ranges) / sizeof(ranges[0]) };
	FILE *file = fopen("/sys/kernel/mm/gmem_persist/extents", "r");
	const char *bad;
	u64 first, last;

	if (!file)
		err(1, "the pool's extents");
	while (fscanf(file, "%llx-%llx", &first, &last) == 2)
		if (gmem_extents_add(&pool, first, last + 1 - first))
			errx(1, "too many extents");
	fclose(file);
	bad = gmem_record_read(record, size, &pool, rec);
	if (bad)
		errx(1, "%s", bad);
}

static struct gmem_record_object *find(const struct gmem_record *rec, const char *name)
{
	for (unsigned int i = 0; i < rec->nr_objects; i++)
		if (!rec->objects[i].bad && !strcmp(rec->objects[i].name, name))
			return &rec->objects[i];
	errx(1, "no object %s in the record", name);
}

/* Where these bytes are in the record */
static char *find_bytes(char *record, size_t size, const void *bytes, size_t len)
{
	char *p = memmem(record, size, bytes, len);

	if (!p)
		errx(1, "the record does not contain it");
	return p;
}

/* Write it anew, with checksums that are right. */
static void write_record(struct gmem_record *rec, char *record, size_t size)
{
	size_t room = gmem_record_size(rec);
	char *buf = malloc(room);

	if (!buf)
		err(1, "malloc");
	if (gmem_record_write(rec, buf, room) != (int)size)
		errx(1, "the record has another length");
	memcpy(record, buf, size);
	free(buf);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct gmem_persist_header *header;
	struct gmem_record_object *obj;
	struct gmem_record rec;
	char *record, *p;
	size_t size;

	mem = open("/dev/mem", O_RDWR);
	if (mem < 0)
		err(1, "/dev/mem");
	header = find_header();
	size = header->fdt_size;
	record = malloc(size);
	if (!record)
		err(1, "malloc");
	copy_record(header, record, false);
	read_record(record, size, &rec);

	if (!strcmp(what, "header")) {
		header->magic ^= 1;
		return 0;
	} else if (!strcmp(what, "tree")) {
		record[size / 2] ^= 1;
		copy_record(header, record, true);
		return 0;
	} else if (!strcmp(what, "object") && argc == 3) {
		obj = find(&rec, argv[2]);
		p = find_bytes(record, size, &obj->meta, sizeof(obj->meta));
		p[offsetof(struct gmem_persist_object, size) + 3] ^= 1;
	} else if (!strcmp(what, "overlap") && argc == 4) {
		/* Where the other one's memory begins; their ranges are of one size. */
		find(&rec, argv[2])->ranges.r[0].base = find(&rec, argv[3])->ranges.r[0].base;
		write_record(&rec, record, size);
	} else if (!strcmp(what, "version")) {
		p = find_bytes(record, size, GMEM_PERSIST_COMPATIBLE,
			       sizeof(GMEM_PERSIST_COMPATIBLE));
		p[sizeof(GMEM_PERSIST_COMPATIBLE) - 2]++;
	} else {
		errx(2, "usage: gmem-corrupt header|tree|object NAME|overlap A B|version");
	}
	copy_record(header, record, true);
	header->fdt_crc = gmem_record_crc(record, size);
	header->crc = gmem_record_header_crc(header);
	return 0;
}
