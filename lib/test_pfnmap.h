/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory for tests, which is mapped with VM_PFNMAP: see test_pfnmap.c.
 */
#ifndef _LIB_TEST_PFNMAP_H
#define _LIB_TEST_PFNMAP_H

#include <linux/mm.h>

/**
 * struct test_pfnmap - the memory of an open file
 * @page: the first page; NULL before the first mmap()
 * @nr_pages: how many there are, in a row
 */
struct test_pfnmap {
	struct page *page;
	unsigned long nr_pages;
};

int test_pfnmap_mmap(struct test_pfnmap *mem, struct vm_area_struct *vma);
vm_fault_t test_pfnmap_insert(const struct test_pfnmap *mem, struct vm_fault *vmf,
			      unsigned int order);
void test_pfnmap_free(struct test_pfnmap *mem);

#endif /* _LIB_TEST_PFNMAP_H */
