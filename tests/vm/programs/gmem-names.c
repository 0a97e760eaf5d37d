// SPDX-License-Identifier: GPL-2.0
/*
 * Many objects with names, by one VM and in one process.
 *
 *   gmem-names create|reclaim PREFIX COUNT    PREFIX0, PREFIX1, ... of 2 MiB each
 *
 * Each is parked again at once. Prints names=N, how many there were, and if they were
 * fewer errno=NAME, why. Exit status: 0; 3 if there were fewer; 1 for another error.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm.h"

int main(int argc, char **argv)
{
	int vm, fd, count, i;

	if (argc != 4)
		errx(1, "usage: gmem-names create|reclaim PREFIX COUNT");
	count = atoi(argv[3]);
	vm = create_vm(open_kvm(), KVM_X86_DEFAULT_VM);
	for (i = 0; i < count; i++) {
		struct kvm_gmem_persist gmem = {
			.op = strcmp(argv[1], "create") ? KVM_GMEM_PERSIST_RECLAIM :
							  KVM_GMEM_PERSIST_CREATE,
			.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
			.size = 2 << 20,
		};

		snprintf((char *)gmem.name, sizeof(gmem.name), "%s%d", argv[2], i);
		fd = ioctl(vm, KVM_GMEM_PERSIST, &gmem);
		if (fd < 0)
			break;
		close(fd);
	}
	printf("names=%d\n", i);
	if (i == count)
		return 0;
	printf("errno=%s\n", strerrorname_np(errno));
	return 3;
}
