/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_KHO_ABI_KEXEC_HANDOVER_H
#define GMEM_TEST_LINUX_KHO_ABI_KEXEC_HANDOVER_H

#include <linux/types.h>

/* Nobody here looks into it, but it has its place and size in our header. */
struct kho_vmalloc {
	u64 first;
	u32 total_pages;
	u16 flags;
	u16 order;
};

#endif /* GMEM_TEST_LINUX_KHO_ABI_KEXEC_HANDOVER_H */
