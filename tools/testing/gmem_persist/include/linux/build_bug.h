/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_BUILD_BUG_H
#define GMEM_TEST_LINUX_BUILD_BUG_H

/* Has static_assert(), the message of which the compiler lets one omit. */
#include <assert.h>

#endif /* GMEM_TEST_LINUX_BUILD_BUG_H */
