/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEMCTL_DECODE_H
#define GMEMCTL_DECODE_H

#include <stdbool.h>
#include <stddef.h>

/* Exit status of gmemctl; see gmemctl.8. */
enum {
	STATUS_OK,
	STATUS_FAILED,
	STATUS_USAGE,
	STATUS_NO_POOL,
	STATUS_REFUSED,
	STATUS_DAMAGED,
};

int decode(const void *fdt, size_t size, bool json);

#endif
