// SPDX-License-Identifier: GPL-2.0
/*
 * Ask a file or directory of gmemfs all that it tells, in every way that there is.
 *
 *   gmem-info PATH [KEY=VALUE...]
 *
 * What is not as include/uapi/linux/gmem_persist.h has it ends the program with status 1 and a
 * message. What it told is printed as key=value lines, and each KEY must have that VALUE.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/gmem_persist.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* More than any of the files has, and more than one call tells */
#define MAX_ENTRIES	2048

static int file;
static FILE *said;

static const struct list {
	const char *name;
	unsigned long request;
	size_t size;
} lists[] = {
	{ "nodes", GMEM_PERSIST_GET_NODES, sizeof(struct gmem_persist_node_entry) },
	{ "bad_pages", GMEM_PERSIST_GET_BAD_PAGES, sizeof(__u64) },
	{ "ranges", GMEM_PERSIST_GET_RANGES, sizeof(struct gmem_persist_range_entry) },
};

#define NR_LISTS	(sizeof(lists) / sizeof(*lists))

/* All entries, at most @room at a time; how many there are */
static unsigned int read_list(const struct list *list, void *entries, unsigned int room)
{
	struct gmem_persist_list args = {};
	unsigned int nr = 0;

	for (;;) {
		args.entries = (uintptr_t)entries + nr * list->size;
		args.nr = room;
		if (ioctl(file, list->request, &args))
			err(1, "%s", list->name);
		if (!args.nr)
			return nr;
		nr += args.nr;
		if (args.nr > room || nr > MAX_ENTRIES - room)
			errx(1, "%s: %u entries, with room for %u", list->name, args.nr, room);
	}
}

/* However it is read, it is the same. */
static unsigned int read_in_parts(const struct list *list, void *entries)
{
	static const unsigned int rooms[] = { 1, 2, 3, 127, 129, MAX_ENTRIES / 2 };
	unsigned int nr = read_list(list, entries, 128);
	void *again = malloc(MAX_ENTRIES * list->size);

	for (size_t i = 0; i < sizeof(rooms) / sizeof(*rooms); i++)
		if (read_list(list, again, rooms[i]) != nr ||
		    memcmp(entries, again, nr * list->size))
			errx(1, "%s: another list with room for %u", list->name, rooms[i]);
	free(again);
	return nr;
}

static void must_fail(unsigned long request, void *args, int error, const char *what)
{
	if (ioctl(file, request, args) != -1 || errno != error)
		errx(1, "%s: %s, not %s", what, strerrorname_np(errno) ?: "no error",
		     strerrorname_np(error));
}

static void check_errors(void)
{
	const size_t first = offsetof(struct gmem_persist_info, reserved);
	union {
		struct gmem_persist_info info;
		struct gmem_persist_list list;
		char bytes[sizeof(struct gmem_persist_info)];
	} args;
	__u64 word;

	for (size_t i = first; i < sizeof(args.info); i++) {
		memset(&args, 0, sizeof(args));
		args.bytes[i] = 1;
		must_fail(GMEM_PERSIST_GET_INFO, &args, EINVAL, "a reserved byte of info");
	}
	must_fail(GMEM_PERSIST_GET_INFO, NULL, EFAULT, "no address for info");
	for (size_t l = 0; l < NR_LISTS; l++) {
		for (size_t i = offsetof(struct gmem_persist_list, reserved);
		     i < sizeof(args.list); i++) {
			memset(&args, 0, sizeof(args));
			args.bytes[i] = 1;
			must_fail(lists[l].request, &args, EINVAL, "a reserved byte of a list");
		}
		must_fail(lists[l].request, NULL, EFAULT, "no address for a list");
		/* Nothing is behind the end. */
		args.list = (struct gmem_persist_list){
			.start = UINT64_MAX,
			.entries = (uintptr_t)&word,
			.nr = 1,
		};
		if (ioctl(file, lists[l].request, &args) || args.list.nr)
			errx(1, "%s: something is behind the end", lists[l].name);
	}
	must_fail(_IO(GMEM_PERSIST_IOCTL_TYPE, 0x1f), NULL, ENOTTY, "no ioctl");
	must_fail(_IOWR(GMEM_PERSIST_IOCTL_TYPE, 0x00, char[8]), &args, ENOTTY, "another size");
}

/* The entries must add up to what the file says of itself. */
static void check_nodes(const struct gmem_persist_info *info)
{
	struct gmem_persist_node_entry *entry = calloc(MAX_ENTRIES, sizeof(*entry));
	unsigned int nr = read_in_parts(&lists[0], entry);
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < nr; i++) {
		if (!entry[i].bytes || entry[i].reserved)
			errx(1, "nodes: entry %u is malformed", i);
		for (unsigned int j = 0; j < i; j++)
			if (entry[i].node == entry[j].node)
				errx(1, "nodes: %d comes twice", entry[i].node);
		bytes += entry[i].bytes;
	}
	if (bytes != info->size)
		errx(1, "nodes: %lu bytes of %llu", bytes, info->size);
	fprintf(said, "nodes=%u\n", nr);
	free(entry);
}

static void check_bad_pages(const struct gmem_persist_info *info)
{
	__u64 *offset = calloc(MAX_ENTRIES, sizeof(*offset));
	unsigned int nr = read_in_parts(&lists[1], offset);

	for (unsigned int i = 0; i < nr; i++)
		if (offset[i] >= info->size || offset[i] % 4096 ||
		    (i && offset[i] <= offset[i - 1]))
			errx(1, "bad pages: %#llx cannot be", offset[i]);
	if (nr != info->nr_bad_pages)
		errx(1, "bad pages: %u of %llu", nr, info->nr_bad_pages);
	fprintf(said, "bad_pages=%u\n", nr);
	free(offset);
}

static void check_ranges(const struct gmem_persist_info *info)
{
	struct gmem_persist_range_entry *entry = calloc(MAX_ENTRIES, sizeof(*entry)), part;
	struct gmem_persist_list args = { .entries = (uintptr_t)&part, .nr = 1 };
	unsigned int nr = read_in_parts(&lists[2], entry);
	uint64_t offset = 0;

	for (unsigned int i = 0; i < nr; i++) {
		if (entry[i].offset != offset || !entry[i].size || entry[i].reserved ||
		    !entry[i].base || (entry[i].base | entry[i].size) % (2 << 20))
			errx(1, "ranges: entry %u is malformed", i);
		/* One can begin in the middle of it. */
		args.start = offset + entry[i].size - 4096;
		args.nr = 1;
		if (ioctl(file, GMEM_PERSIST_GET_RANGES, &args) || args.nr != 1 ||
		    part.offset != offset + entry[i].size - 4096 || part.size != 4096 ||
		    part.base != entry[i].base + entry[i].size - 4096 ||
		    part.node != entry[i].node)
			errx(1, "ranges: not the last page of entry %u", i);
		offset += entry[i].size;
		if (args.start != offset)
			errx(1, "ranges: entry %u does not lead to the next", i);
	}
	if (offset != info->size)
		errx(1, "ranges: %lu bytes of %llu", offset, info->size);
	args = (struct gmem_persist_list){ .entries = 0, .nr = 1 };
	if (nr)
		must_fail(GMEM_PERSIST_GET_RANGES, &args, EFAULT, "no address for entries");
	/* One on two nodes is two entries. */
	if (nr < info->nr_ranges)
		errx(1, "ranges: %u of %llu", nr, info->nr_ranges);
	fprintf(said, "ranges=%u\n", nr);
	free(entry);
}

/* Of a directory, the root directory excepted, and of nothing else */
static void check_quota(const struct gmem_persist_info *info, bool root)
{
	struct gmem_persist_quota q = {}, again;
	struct gmem_persist_list list;
	const size_t first = offsetof(struct gmem_persist_quota, reserved);

	if (info->kind != GMEM_PERSIST_FILE_DIRECTORY || root) {
		must_fail(GMEM_PERSIST_GET_QUOTA, &q, ENOTTY, "a quota where there is none");
		must_fail(GMEM_PERSIST_SET_QUOTA, &q, ENOTTY, "a quota where there is none");
		return;
	}
	/* What is not reserved is not looked at. */
	memset(&q, 0xff, first);
	if (ioctl(file, GMEM_PERSIST_GET_QUOTA, &q))
		err(1, "GMEM_PERSIST_GET_QUOTA");
	for (size_t i = 0; i < sizeof(q.reserved) / sizeof(*q.reserved); i++)
		if (q.reserved[i])
			errx(1, "a reserved field of a quota is set");
	fprintf(said, "max_bytes=%llu\nmax_names=%llu\nused_bytes=%llu\nused_names=%llu\n",
		q.max_bytes, q.max_names, q.used_bytes, q.used_names);

	must_fail(GMEM_PERSIST_GET_QUOTA, NULL, EFAULT, "no address for a quota");
	must_fail(GMEM_PERSIST_SET_QUOTA, NULL, EFAULT, "no address for a quota");
	for (size_t i = first; i < sizeof(q); i++) {
		again = q;
		((char *)&again)[i] = 1;
		must_fail(GMEM_PERSIST_GET_QUOTA, &again, EINVAL, "a reserved byte of a quota");
		must_fail(GMEM_PERSIST_SET_QUOTA, &again, EINVAL, "a reserved byte of a quota");
	}
	must_fail(_IOW(GMEM_PERSIST_IOCTL_TYPE, 0x31, char[8]), &list, ENOTTY, "another size");
	/* Any limit can be set, and what is used is not. */
	again = (struct gmem_persist_quota){
		.max_bytes = UINT64_MAX, .max_names = 1, .used_bytes = 7, .used_names = 7,
	};
	if (ioctl(file, GMEM_PERSIST_SET_QUOTA, &again) ||
	    ioctl(file, GMEM_PERSIST_GET_QUOTA, &again) ||
	    again.max_bytes != UINT64_MAX || again.max_names != 1 ||
	    again.used_bytes != q.used_bytes || again.used_names != q.used_names)
		errx(1, "limits are not what was set");
	if (ioctl(file, GMEM_PERSIST_SET_QUOTA, &q) || ioctl(file, GMEM_PERSIST_GET_QUOTA, &again) ||
	    memcmp(&q, &again, sizeof(q)))
		errx(1, "limits are not what they were");
}

static const char *const kinds[] = { "empty", "memory", "data", "directory" };

int main(int argc, char **argv)
{
	static const __u8 no_uuid[16];
	struct gmem_persist_info info = {};
	char *text, *pair;
	size_t len;

	if (argc < 2)
		errx(2, "usage: gmem-info PATH [KEY=VALUE...]");
	file = open(argv[1], O_RDONLY);
	said = open_memstream(&text, &len);
	if (file < 0 || !said)
		err(1, "%s", argv[1]);
	check_errors();
	/* What is not reserved is not looked at. */
	memset(&info, 0xff, offsetof(struct gmem_persist_info, reserved));
	if (ioctl(file, GMEM_PERSIST_GET_INFO, &info))
		err(1, "GMEM_PERSIST_GET_INFO");
	for (size_t i = 0; i < sizeof(info.reserved) / sizeof(*info.reserved); i++)
		if (info.reserved[i] || info.reserved32)
			errx(1, "a reserved field is set");
	if (info.kind > GMEM_PERSIST_FILE_DIRECTORY)
		errx(1, "kind %u", info.kind);

	/* Each pair between newlines */
	fprintf(said, "\nkind=%s\nsize=%llu\nlength=%llu\ngranule=%llu\nflags=%#llx\n",
		kinds[info.kind], info.size, info.length, info.granule, info.flags);
	fprintf(said, "vm_class=%u\ngeneration=%llu\nviews=%u\n", info.vm_class,
		info.generation, info.views);
	check_nodes(&info);
	check_bad_pages(&info);
	check_ranges(&info);
	/* The root directory has no uuid. */
	check_quota(&info, !memcmp(info.uuid, no_uuid, sizeof(no_uuid)));
	fclose(said);
	fputs(text + 1, stdout);
	for (int i = 2; i < argc; i++) {
		if (asprintf(&pair, "\n%s\n", argv[i]) < 0 || !strstr(text, pair))
			errx(1, "not %s", argv[i]);
		free(pair);
	}
	return 0;
}
