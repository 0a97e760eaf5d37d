// SPDX-License-Identifier: GPL-2.0
/*
 * Damage the record that the next kernel will get, as bad memory or a bad kernel would:
 * through /dev/mem, behind the kernel's back. Of what there are two, N says which: 0 or 1.
 *
 *   gmem-corrupt tree [N]        a byte of the tree of a subtree, or of both
 *   gmem-corrupt version         another compatible string in both trees
 *   gmem-corrupt header [N]      a byte of a header, or of both
 *   gmem-corrupt open            say in both headers that they are not sealed, checksums right
 *   gmem-corrupt blocks N        a byte of page N of the blocks
 *   gmem-corrupt bad [N]         a byte of a list of bad pages, or of both
 *   gmem-corrupt object NAME     a byte of an object's slot
 *   gmem-corrupt quota NAME      a byte of a limit in it
 *   gmem-corrupt token NAME      a byte of its token
 *   gmem-corrupt list NAME       a byte of its list of ranges
 *   gmem-corrupt overlap A B     let object A name the memory of B, checksums right
 *   gmem-corrupt inside A B      let object A be in the directory B, checksums right
 *   gmem-corrupt newer NAME      let an object be of a kind that is not known yet, checksums right;
 *				  or, again, as it was
 *   gmem-corrupt hidden          a byte of the first slot that is hidden
 *   gmem-corrupt where PIECE     nothing: print the address of the first header, blocks, slots or bad
 *
 * Run it when the record is sealed: sealing makes checksums right.
 */
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record.h"

#define PAGE	4096ULL
#define WINDOW	(64ULL << 20)
#define DEBUGFS	"/sys/kernel/debug/kho/out/sub_fdts/"

static int mem;

static void *map(u64 phys, size_t size)
{
	char *p = mmap(NULL, size + phys % PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mem,
		       phys & -PAGE);

	if (p == MAP_FAILED)
		err(1, "mmap of %#llx", phys);
	return p + phys % PAGE;
}

/*
 * Trees
 */

struct tree {
	unsigned char bytes[GMEM_RECORD_FDT_SIZE];
};

/* A subtree as it is in memory now: KHO shows no copy of it. */
static struct tree show_tree(unsigned int nr)
{
	static const char *const names[] = {
		DEBUGFS GMEM_PERSIST_KHO_SUBTREE, DEBUGFS GMEM_PERSIST_KHO_SUBTREE_COPY,
	};
	int fd = open(names[nr], O_RDONLY);
	struct tree tree;

	if (fd < 0 || read(fd, &tree, sizeof(tree)) != sizeof(tree))
		err(1, "%s", names[nr]);
	close(fd);
	return tree;
}

/* Does KHO show this page as that subtree? Its last byte is behind the tree. */
static bool is_tree(struct tree *page, unsigned int nr)
{
	unsigned char *last = &page->bytes[sizeof(page->bytes) - 1];
	struct tree was = show_tree(nr), is;

	*last ^= 0xff;
	is = show_tree(nr);
	*last ^= 0xff;
	return memcmp(&is, &was, sizeof(is));
}

/*
 * A tree in memory: the page of System RAM that reads like what KHO shows, and that KHO
 * shows. Others that read like it are those of kernels before this one.
 */
static struct tree *find_tree(unsigned int nr)
{
	FILE *iomem = fopen("/proc/iomem", "r");
	const struct tree tree = show_tree(nr);
	u64 start, end, at, off;
	char line[256];

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
			char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, mem, at);

			if (p == MAP_FAILED)
				err(1, "mmap of %#llx", at);
			for (off = 0; off < size; off += PAGE)
				if (!memcmp(p + off, &tree, sizeof(tree)) &&
				    is_tree((struct tree *)(p + off), nr)) {
					fclose(iomem);
					return (struct tree *)(p + off);
				}
			munmap(p, size);
		}
	}
	errx(1, "the tree is nowhere in memory");
}

static void change_version(struct tree *tree)
{
	char *p = memmem(tree, sizeof(*tree), GMEM_PERSIST_COMPATIBLE,
			 sizeof(GMEM_PERSIST_COMPATIBLE));

	if (!p)
		errx(1, "the tree has no version");
	p[sizeof(GMEM_PERSIST_COMPATIBLE) - 2]++;
}

/*
 * Slots
 */

/* The slot of a valid object, or without a name the first hidden one; *@id is its number. */
static struct gmem_object_ser *find(const struct gmem_header_ser *h, const char *name, u64 *id)
{
	unsigned int i, k, nr;

	*id = 0;
	for (i = 0; i < h->nr_slot_chunks; i++) {
		const size_t size = PAGE << h->slot_chunks[i].order;
		struct gmem_object_ser *slots = map(h->slot_chunks[i].phys, size);

		nr = size / sizeof(*slots);
		for (k = 0; k < nr; k++, ++*id) {
			if (name ? slots[k].state == GMEM_PERSIST_SLOT_VALID &&
				   !gmem_slot_check(&slots[k]) && !strcmp(slots[k].name, name) :
				   slots[k].state == GMEM_PERSIST_SLOT_HIDDEN)
				return &slots[k];
		}
		munmap(slots, size);
	}
	errx(1, "no object %s in the record", name ?: "that is hidden");
}

/* The slot of whatever has, or had, that name */
static struct gmem_object_ser *find_any(const struct gmem_header_ser *h, const char *name)
{
	unsigned int i, k;

	for (i = 0; i < h->nr_slot_chunks; i++) {
		const size_t size = PAGE << h->slot_chunks[i].order;
		struct gmem_object_ser *slots = map(h->slot_chunks[i].phys, size);

		for (k = 0; k < size / sizeof(*slots); k++)
			if (gmem_slot_sealed(&slots[k]) && !strcmp(slots[k].name, name))
				return &slots[k];
		munmap(slots, size);
	}
	errx(1, "nothing in the record is called %s", name);
}

/* Where the memory of another object begins; both are of one size, in one range. */
static void overlap(struct gmem_object_ser *slot, struct gmem_object_ser *other)
{
	if (slot->nr_ranges != 1 || other->nr_ranges != 1 || slot->size != other->size)
		errx(1, "they are not alike");
	slot->ranges[0] = other->ranges[0];
	gmem_slot_seal(slot);
}

/*
 * Pieces
 */

static void flip(void *piece, size_t at)
{
	((unsigned char *)piece)[at] ^= 0x10;
}

/* Of two pieces the one that is asked for, or both: call for each. */
static bool wanted(char **argv, unsigned int nr)
{
	return !argv[2] || !strcmp(argv[2], nr ? "1" : "0");
}

static void change_pairs(char **argv, struct gmem_header_ser *const headers[2])
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		if (!wanted(argv, i))
			continue;
		if (!strcmp(argv[1], "tree"))
			flip(find_tree(i), 1);
		else if (!strcmp(argv[1], "header"))
			flip(headers[i], offsetof(struct gmem_header_ser, nr_objects));
		else
			flip(map(headers[0]->bad[i], sizeof(struct gmem_bad_ser)),
			     offsetof(struct gmem_bad_ser, nr));
	}
}

static void print_address(const char *piece, const u64 phys[2], const struct gmem_header_ser *h)
{
	u64 where = 0;

	if (!strcmp(piece, "header"))
		where = phys[0];
	else if (!strcmp(piece, "blocks"))
		where = h->block_chunks[0].phys;
	else if (!strcmp(piece, "slots"))
		where = h->slot_chunks[0].phys;
	else if (!strcmp(piece, "bad"))
		where = h->bad[0];
	else
		errx(2, "%s: no such piece", piece);
	printf("%#llx\n", where);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct gmem_header_ser *headers[2];
	struct gmem_object_ser *slot;
	struct tree tree;
	const char *bad;
	u64 phys[2], id, other;
	int i;

	mem = open("/dev/mem", O_RDWR);
	if (mem < 0)
		err(1, "/dev/mem");
	tree = show_tree(0);
	bad = gmem_record_read_fdt(&tree, sizeof(tree), phys);
	if (bad)
		errx(1, "the tree: %s", bad);
	for (i = 0; i < 2; i++)
		headers[i] = map(phys[i], sizeof(*headers[i]));

	if ((!strcmp(what, "tree") || !strcmp(what, "header") || !strcmp(what, "bad")) &&
	    argc <= 3) {
		change_pairs(argv, headers);
	} else if (!strcmp(what, "version") && argc == 2) {
		for (i = 0; i < 2; i++)
			change_version(find_tree(i));
	} else if (!strcmp(what, "open") && argc == 2) {
		for (i = 0; i < 2; i++)
			gmem_header_seal(headers[i], GMEM_PERSIST_STATE_OPEN);
	} else if (!strcmp(what, "blocks") && argc == 3) {
		flip(map(headers[0]->block_chunks[0].phys + atoi(argv[2]) * PAGE, PAGE),
		     offsetof(struct gmem_block_page_ser, blocks[0].free[0]));
	} else if (!strcmp(what, "object") && argc == 3) {
		flip(find(headers[0], argv[2], &id), offsetof(struct gmem_object_ser, size) + 3);
	} else if (!strcmp(what, "quota") && argc == 3) {
		flip(find(headers[0], argv[2], &id),
		     offsetof(struct gmem_object_ser, quota_names));
	} else if (!strcmp(what, "token") && argc == 3) {
		flip(find(headers[0], argv[2], &id), offsetof(struct gmem_object_ser, token));
	} else if (!strcmp(what, "list") && argc == 3) {
		slot = find(headers[0], argv[2], &id);
		if (!slot->list.phys)
			errx(1, "%s has no list", argv[2]);
		flip(map(slot->list.phys, PAGE), 3);
	} else if (!strcmp(what, "hidden") && argc == 2) {
		flip(find(headers[0], NULL, &id), offsetof(struct gmem_object_ser, mtime));
	} else if (!strcmp(what, "inside") && argc == 4) {
		find(headers[0], argv[3], &id);
		slot = find(headers[0], argv[2], &other);
		slot->parent = id + 1;
		gmem_slot_seal(slot);
	} else if (!strcmp(what, "newer") && argc == 3) {
		slot = find_any(headers[0], argv[2]);
		slot->kind ^= 0x100;
		gmem_slot_seal(slot);
	} else if (!strcmp(what, "where") && argc == 3) {
		print_address(argv[2], phys, headers[0]);
	} else if (!strcmp(what, "overlap") && argc == 4) {
		overlap(find(headers[0], argv[2], &id), find(headers[0], argv[3], &id));
	} else {
		errx(2, "usage: gmem-corrupt tree|header|bad [0|1], version|open, blocks N, object|quota|token|list|newer NAME, hidden, where PIECE, or overlap|inside A B");
	}
	return 0;
}
