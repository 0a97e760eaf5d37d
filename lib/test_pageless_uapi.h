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

#endif /* _LIB_TEST_PAGELESS_UAPI_H */
