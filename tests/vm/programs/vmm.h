/* SPDX-License-Identifier: GPL-2.0 */
/* How each of these programs becomes a VMM. */
#ifndef VMM_H
#define VMM_H

#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>

/* A line KEY=HEXADECIMAL */
static inline void print_bytes(const char *key, const __u8 *bytes, int nr)
{
	printf("%s=", key);
	while (nr--)
		printf("%02x", *bytes++);
	printf("\n");
}

static inline int open_kvm(void)
{
	int kvm = open("/dev/kvm", O_RDWR);

	if (kvm < 0)
		err(1, "/dev/kvm");
	return kvm;
}

static inline int create_vm(int kvm, unsigned long type)
{
	int vm = ioctl(kvm, KVM_CREATE_VM, type);

	if (vm < 0)
		err(1, "KVM_CREATE_VM");
	return vm;
}

#endif /* VMM_H */
