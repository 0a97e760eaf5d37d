/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_LIST_H
#define GMEM_TEST_LINUX_LIST_H

struct list_head {
	struct list_head *next, *prev;
};

#endif /* GMEM_TEST_LINUX_LIST_H */
