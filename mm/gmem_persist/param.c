// SPDX-License-Identifier: GPL-2.0
/*
 * gmem_persist=<size>[,<size>...][,zeroed]
 *
 * Pure logic, compiled in user space by tools/testing/gmem_persist/ as well.
 */
#include <linux/align.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/overflow.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "param.h"

/**
 * gmem_param_parse - read the value of gmem_persist=
 * @arg: the value
 * @param: the result; unchanged on failure
 *
 * Return: NULL, or what is wrong with it.
 */
const char * __init gmem_param_parse(const char *arg, struct gmem_param *param)
{
	struct gmem_param p = {};

	while (*arg) {
		char *end;
		u64 size;

		if (!strncmp(arg, "zeroed", 6) && (!arg[6] || arg[6] == ',')) {
			p.zeroed = true;
			end = (char *)arg + 6;
		} else {
			/* memparse() takes a sign, and nothing at all for 0. */
			if (*arg < '0' || *arg > '9')
				return "a size or \"zeroed\" is expected";
			size = memparse(arg, &end);
			if (end == arg || (*end && *end != ','))
				return "a size or \"zeroed\" is expected";
			if (!size || !IS_ALIGNED(size, SZ_1G))
				return "a size is no multiple of 1G";
			if (check_add_overflow(p.size, size, &p.size))
				return "the sizes are too large";
		}

		arg = end;
		if (*arg == ',' && !*++arg)
			return "it ends with a comma";
	}
	if (!p.size)
		return "no size is given";

	*param = p;
	return NULL;
}
