/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What /dev/test_pageless may be asked: see test_pageless.c.
 */
#ifndef _LIB_TEST_PAGELESS_UAPI_H
#define _LIB_TEST_PAGELESS_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* A memory error in the page at that offset of the file. There can be one. */
#define TEST_PAGELESS_POISON	_IOW('T', 0x01, __u64)

/*
 * From now on a page fault does nothing and reports success, as those of drivers do that are busy;
 * or that is over. Returns how many page faults have been such.
 */
#define TEST_PAGELESS_BUSY	_IO('T', 0x02)

#endif /* _LIB_TEST_PAGELESS_UAPI_H */
