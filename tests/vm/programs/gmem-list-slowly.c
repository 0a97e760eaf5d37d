// SPDX-License-Identifier: GPL-2.0
/*
 * List a directory into memory that never comes, as anybody can who maps a file of FUSE; here it
 * is userfaultfd's, which is less to set up.
 *
 *   gmem-list-slowly UID DIRECTORY
 *
 * Prints a line before, and one behind if it comes back.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIZE	4096

int main(int argc, char **argv)
{
	struct uffdio_register missing = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };
	int faults, directory;
	void *memory;

	if (argc != 3)
		errx(2, "usage: gmem-list-slowly UID DIRECTORY");
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	missing.range = (struct uffdio_range){ (unsigned long)memory, SIZE };
	faults = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api) ||
	    ioctl(faults, UFFDIO_REGISTER, &missing))
		err(1, "userfaultfd");
	if (setuid(atoi(argv[1])))
		err(1, "setuid");
	directory = open(argv[2], O_RDONLY | O_DIRECTORY);
	if (directory < 0)
		err(1, "%s", argv[2]);
	puts("begins");
	fflush(stdout);
	syscall(SYS_getdents64, directory, memory, SIZE);
	puts("came back");
	return 0;
}
