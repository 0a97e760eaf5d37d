/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_NODEMASK_TYPES_H
#define GMEM_TEST_LINUX_NODEMASK_TYPES_H

/* Only ever pointed to. */
typedef struct { unsigned long bits[1]; } nodemask_t;

#endif /* GMEM_TEST_LINUX_NODEMASK_TYPES_H */
