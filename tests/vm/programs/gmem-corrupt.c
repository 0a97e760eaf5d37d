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
#include <libfdt.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	4096UL
#define WINDOW	(64UL << 20)

/* include/linux/kho/abi/gmem_persist.h and kexec_handover.h */
struct header {
	uint64_t magic;
	uint32_t state;
	uint32_t crc;
	uint64_t generation;
	uint64_t fdt_size;
	uint32_t fdt_crc;
	uint32_t reserved;
	uint64_t first_chunk;
	uint32_t total_pages;
	uint16_t flags;
	uint16_t order;
};

struct chunk {
	uint64_t next;
	uint64_t phys[PAGE / 8 - 1];
};

struct object {
	uint8_t uuid[16];
	uint64_t size, granule, flags, generation, epoch;
	uint32_t vm_class, uid, gid, mode;
	uint64_t parent, ctime;
	uint32_t reserved, crc;
};

static int mem;

static void *map(uint64_t phys)
{
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mem, phys);

	if (p == MAP_FAILED)
		err(1, "mmap of %#lx", phys);
	return p;
}

static uint32_t crc32(uint32_t crc, const void *p, size_t size)
{
	const uint8_t *byte = p;

	while (size--) {
		crc ^= *byte++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return crc;
}

/*
 * The header page: the page of System RAM that reads like the blob that KHO shows.
 * (KHO also shows its root tree, but cut to the length that it had at boot.)
 */
static struct header *find_header(void)
{
	int blob_fd = open("/sys/kernel/debug/kho/out/sub_fdts/gmem-persist", O_RDONLY);
	FILE *iomem = fopen("/proc/iomem", "r");
	uint64_t start, end, at, off;
	struct header blob;
	char line[256];

	if (blob_fd < 0 || read(blob_fd, &blob, sizeof(blob)) != sizeof(blob))
		err(1, "KHO's debugfs files");
	if (!iomem)
		err(1, "/proc/iomem");
	while (fgets(line, sizeof(line), iomem)) {
		if (sscanf(line, "%lx-%lx : System RAM", &start, &end) != 2 ||
		    !strstr(line, " : System RAM"))
			continue;
		start = (start + PAGE - 1) & -PAGE;
		end = (end + 1) & -PAGE;
		for (at = start; at < end; at += WINDOW) {
			uint64_t size = end - at < WINDOW ? end - at : WINDOW;
			char *p = mmap(NULL, size, PROT_READ, MAP_SHARED, mem, at);

			if (p == MAP_FAILED)
				err(1, "mmap of %#lx", at);
			for (off = 0; off < size; off += PAGE)
				if (!memcmp(p + off, &blob, sizeof(blob)))
					return map(at + off);
			munmap(p, size);
		}
	}
	errx(1, "the header is nowhere in memory");
}

/* Copy the tree from its pages, or back into them. */
static void copy_tree(const struct header *header, char *tree, int back)
{
	struct chunk *chunk = map(header->first_chunk);
	uint64_t done = 0;

	for (unsigned int i = 0; done < header->fdt_size; i++) {
		uint64_t n = header->fdt_size - done < PAGE ? header->fdt_size - done : PAGE;
		char *page;

		if (i == sizeof(chunk->phys) / sizeof(chunk->phys[0])) {
			chunk = map(chunk->next);
			i = 0;
		}
		if (header->order)
			errx(1, "the record lies in large pages");
		page = map(chunk->phys[i]);
		if (back)
			memcpy(page, tree + done, n);
		else
			memcpy(tree + done, page, n);
		munmap(page, PAGE);
		done += n;
	}
}

static void *prop(char *tree, const char *object, const char *name, int *len)
{
	int node;

	fdt_for_each_subnode(node, tree, 0) {
		const char *called = fdt_getprop(tree, node, "name", NULL);

		if (called && !strcmp(called, object))
			return fdt_getprop_w(tree, node, name, len);
	}
	errx(1, "no object %s in the record", object);
}

static void fix_object(char *tree, const char *name)
{
	struct object *meta, copy;
	uint32_t crc;
	void *ranges;
	int len;

	meta = prop(tree, name, "meta", &len);
	memcpy(&copy, meta, sizeof(copy));
	copy.crc = 0;
	ranges = prop(tree, name, "ranges", &len);
	crc = crc32(~0, name, strlen(name) + 1);
	crc = crc32(crc, &copy, sizeof(copy));
	crc = crc32(crc, ranges, len);
	memcpy((char *)meta + offsetof(struct object, crc), &crc, sizeof(crc));
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct header *header;
	char *tree, *p;
	int len, other;

	mem = open("/dev/mem", O_RDWR);
	if (mem < 0)
		err(1, "/dev/mem");
	header = find_header();
	tree = malloc(header->fdt_size);
	if (!tree)
		err(1, "malloc");
	copy_tree(header, tree, 0);

	if (!strcmp(what, "header")) {
		header->magic ^= 1;
		return 0;
	} else if (!strcmp(what, "tree")) {
		tree[header->fdt_size / 2] ^= 1;
		copy_tree(header, tree, 1);
		return 0;
	} else if (!strcmp(what, "object") && argc == 3) {
		p = prop(tree, argv[2], "meta", &len);
		p[offsetof(struct object, size) + 3] ^= 1;
	} else if (!strcmp(what, "overlap") && argc == 4) {
		/* Ranges of the same number; the first one is stolen. */
		p = prop(tree, argv[2], "ranges", &len);
		memcpy(p, prop(tree, argv[3], "ranges", &other), 8);
		fix_object(tree, argv[2]);
	} else if (!strcmp(what, "version")) {
		p = fdt_getprop_w(tree, 0, "compatible", &len);
		p[len - 2]++;
	} else {
		errx(2, "usage: gmem-corrupt header|tree|object NAME|overlap A B|version");
	}
	copy_tree(header, tree, 1);
	header->fdt_crc = crc32(~0, tree, header->fdt_size);
	header->crc = 0;
	header->crc = crc32(~0, header, sizeof(*header));
	return 0;
}
