/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_INIT_H
#define GMEM_TEST_LINUX_INIT_H

#define __init

#endif /* GMEM_TEST_LINUX_INIT_H */
