// SPDX-License-Identifier: GPL-2.0
/*
 * List a directory into memory of which a page does not come, as anybody can who maps a file of
 * FUSE; here it is userfaultfd's, which is less to set up.
 *
 *   gmem-list-slowly UID DIRECTORY PAGE
 *
 * PAGE is its number. It comes with SIGUSR1. Prints a line before, and the names behind.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE	4096
#define SIZE	(16 * PAGE)

static struct uffdio_zeropage zero;
static int faults;

/* Whoever waits for it in the kernel has no signal. */
static void *let_it_come(void *arg)
{
	int signal;

	sigwait(arg, &signal);
	ioctl(faults, UFFDIO_ZEROPAGE, &zero);
	return NULL;
}

int main(int argc, char **argv)
{
	struct uffdio_register missing = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };
	pthread_t thread;
	int directory;
	char *memory;
	sigset_t set;
	long filled;

	if (argc != 4)
		errx(2, "usage: gmem-list-slowly UID DIRECTORY PAGE");
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	missing.range.start = (unsigned long)memory + atoi(argv[3]) * PAGE;
	missing.range.len = PAGE;
	zero.range = missing.range;
	faults = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api) ||
	    ioctl(faults, UFFDIO_REGISTER, &missing))
		err(1, "userfaultfd");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (pthread_create(&thread, NULL, let_it_come, &set))
		errx(1, "pthread_create");
	if (setuid(atoi(argv[1])))
		err(1, "setuid");
	directory = open(argv[2], O_RDONLY | O_DIRECTORY);
	if (directory < 0)
		err(1, "%s", argv[2]);
	puts("begins");
	fflush(stdout);
	while ((filled = syscall(SYS_getdents64, directory, memory, SIZE)) > 0)
		for (long at = 0; at < filled; at += ((struct dirent64 *)(memory + at))->d_reclen)
			puts(((struct dirent64 *)(memory + at))->d_name);
	return !!filled;
}
