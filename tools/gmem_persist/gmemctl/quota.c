// SPDX-License-Identifier: GPL-2.0
/*
 * How much is used below a directory of gmemfs, and how much may be.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/gmem_persist.h>

#include "gmemctl.h"

static void fail(const char *path)
{
	if (errno == ENOTTY)
		errx(STATUS_FAILED, "%s: no directory below the root of gmemfs", path);
	if (errno == EPERM)
		errx(STATUS_FAILED, "%s: only root sets limits", path);
	err(STATUS_FAILED, "%s", path);
}

static void print(const struct gmem_persist_quota *q)
{
	const struct {
		const char *name;
		unsigned long long value;
	} line[] = {
		{ "used_bytes", q->used_bytes },
		{ "max_bytes", q->max_bytes },
		{ "used_names", q->used_names },
		{ "max_names", q->max_names },
	};

	for (size_t i = 0; i < sizeof(line) / sizeof(*line); i++)
		if (json)
			printf("%s\"%s\":%llu", i ? "," : "{", line[i].name, line[i].value);
		else
			printf("%-18s %llu\n", line[i].name, line[i].value);
	if (json)
		printf("}\n");
}

/**
 * quota - set limits of a directory, and print what they are then, and what is used
 * @path: the directory: from the root of gmemfs, or, with a slash at the beginning, of this system
 * @bytes: limit of memory, "0" for none; NULL: as it is
 * @names: limit of files and directories, likewise
 *
 * Return: STATUS_OK.
 */
int quota(const char *path, const char *bytes, const char *names)
{
	const bool change = bytes || names;
	int root = path[0] == '/' ? AT_FDCWD : open_root(change);
	int fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct gmem_persist_quota q = {};

	if (fd < 0 || ioctl(fd, GMEM_PERSIST_GET_QUOTA, &q))
		fail(path);
	if (bytes)
		q.max_bytes = parse_size(bytes);
	if (names)
		q.max_names = parse_size(names);
	if (change && ioctl(fd, GMEM_PERSIST_SET_QUOTA, &q))
		fail(path);
	print(&q);
	close(fd);
	return STATUS_OK;
}
