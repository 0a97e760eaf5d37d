// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that the kernel has quarantined becomes a file's again.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/gmem_persist.h>

#include "gmemctl.h"

/* Why it is refused, where the words of the errno do not say it */
static const char *reason(int error)
{
	switch (error) {
	case ENOENT:
		return "not all of this memory is quarantined, or some of it is named twice";
	case ENXIO:
		return "that slot was not refused";
	case EINVAL:
		return "these ranges, or what they are made of, are impossible";
	case EBUSY:
		return "the pool is frozen";
	case EAGAIN:
		return "it is not known yet which memory is whose (write 1 to restore)";
	case ENOTTY:
		return "it is not in gmemfs";
	default:
		return strerror(error);
	}
}

/**
 * parse_range - read a range as the file "quarantined" shows it
 * @text: 0xfirst-0xlast
 * @range: the range
 *
 * Return: false if it is none.
 */
bool parse_range(const char *text, struct piece *range)
{
	uint64_t first, last;
	const char *end;

	if (strncmp(text, "0x", 2) || !parse_number(text, &end, &first) ||
	    strncmp(end, "-0x", 3) || !parse_number(end + 1, &end, &last) ||
	    *end || last <= first || last - first == UINT64_MAX)
		return false;
	*range = (struct piece){ .base = first, .size = last - first + 1 };
	return true;
}

/**
 * attach - let a new file have memory that is quarantined
 * @path: the file
 * @s: the memory
 * @slot: number of the slot that told of it and was refused; -1: none
 *
 * Return: STATUS_OK.
 */
int attach(const char *path, const struct suggestion *s, long slot)
{
	struct gmem_persist_range_entry *entries = calloc(s->nr + 1, sizeof(*entries));
	struct gmem_persist_attach args = {
		.ranges = (uintptr_t)entries,
		.nr_ranges = s->nr,
		.granule = s->granule,
		.flags = s->flags,
		.vm_class = s->vm_class,
		.length = s->data ? s->length : 0,
		.slot = slot + 1,
		.kind = s->data ? GMEM_PERSIST_FILE_DATA : GMEM_PERSIST_FILE_MEMORY,
	};
	int root = *path == '/' ? AT_FDCWD : open_root(true);
	uint64_t offset = 0;
	int fd, error;

	if (!entries)
		err(STATUS_FAILED, "%s", path);
	for (unsigned int i = 0; i < s->nr; i++) {
		entries[i].offset = offset;
		entries[i].base = s->ranges[i].base;
		entries[i].size = s->ranges[i].size;
		offset += s->ranges[i].size;
	}
	fd = openat(root, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		err(STATUS_FAILED, "%s", path);
	if (ioctl(fd, GMEM_PERSIST_ATTACH, &args)) {
		error = errno == EINVAL && ioctl(fd, GMEM_PERSIST_GET_INFO,
						 &(struct gmem_persist_info){}) ? ENOTTY : errno;
		unlinkat(root, path, 0);
		errx(STATUS_FAILED, "%s: %s", path, reason(error));
	}
	for (unsigned int i = 0; i < s->nr; i++)
		printf("0x%llx-0x%llx\n", (unsigned long long)s->ranges[i].base,
		       (unsigned long long)(s->ranges[i].base + s->ranges[i].size - 1));
	return STATUS_OK;
}
