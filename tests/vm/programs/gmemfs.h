/* SPDX-License-Identifier: GPL-2.0 */
/* How each of these programs looks at an object, whether gmemfs is mounted or not. */
#ifndef GMEMFS_H
#define GMEMFS_H

#include <err.h>
#include <fcntl.h>
#include <linux/gmem_persist.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

/* The root directory of gmemfs, by a mount of our own */
static inline int open_gmemfs(void)
{
	static int root = -1;
	int fs;

	if (root >= 0)
		return root;
	fs = fsopen("gmemfs", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		err(1, "gmemfs");
	root = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (root < 0)
		err(1, "mounting gmemfs");
	close(fs);
	return root;
}

static inline int open_object(const char *name)
{
	/* To ask what it is, and no view */
	int fd = openat(open_gmemfs(), name, O_ACCMODE | O_CLOEXEC);

	if (fd < 0)
		err(1, "object %s", name);
	return fd;
}

#endif /* GMEMFS_H */
