// SPDX-License-Identifier: GPL-2.0
/*
 * gmem_persist=<size>[,<size>...][,zeroed]
 *
 * Pure logic, compiled in user space by tools/testing/gmem_persist/ as well.
 */
#include <linux/align.h>
#include <linux/ctype.h>
#include <linux/init.h>
#include <linux/overflow.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "param.h"

/* As memparse(), but decimal, and what does not fit is not taken modulo 2^64. */
static bool __init parse_size(const char **arg, u64 *size)
{
	static const char units[] = "KMGTPE";
	const char *unit;

	for (*size = 0; isdigit(**arg); ++*arg)
		if (check_mul_overflow(*size, 10ULL, size) ||
		    check_add_overflow(*size, (u64)(**arg - '0'), size))
			return false;

	unit = **arg ? strchr(units, toupper(**arg)) : NULL;
	if (!unit)
		return true;
	++*arg;
	return !check_shl_overflow(*size, 10 * (unit - units + 1), size);
}

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
		u64 size;

		if (!strncmp(arg, "zeroed", 6) && (!arg[6] || arg[6] == ',')) {
			p.zeroed = true;
			arg += 6;
		} else {
			if (!isdigit(*arg))
				return "a size or \"zeroed\" is expected";
			if (!parse_size(&arg, &size))
				return "the sizes are too large";
			if (*arg && *arg != ',')
				return "a size or \"zeroed\" is expected";
			if (!size || !IS_ALIGNED(size, SZ_1G))
				return "a size is no multiple of 1G";
			if (check_add_overflow(p.size, size, &p.size))
				return "the sizes are too large";
		}

		if (*arg == ',' && !*++arg)
			return "it ends with a comma";
	}
	if (!p.size)
		return "no size is given";

	*param = p;
	return NULL;
}
