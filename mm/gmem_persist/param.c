// SPDX-License-Identifier: GPL-2.0
/*
 * gmem_persist=<size>[@<node>|!<base>][,...][,zeroed]
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

/* As simple_strtoull(), but what does not fit is not taken modulo 2^64. */
static bool __init gmem_param_digits(const char **arg, u64 radix, u64 *value)
{
	for (*value = 0; radix == 16 ? isxdigit(**arg) : isdigit(**arg); ++*arg) {
		u64 digit = isdigit(**arg) ? **arg - '0' :
					     toupper(**arg) - 'A' + 10;

		if (check_mul_overflow(*value, radix, value) ||
		    check_add_overflow(*value, digit, value))
			return false;
	}
	return true;
}

/* Decimal, with one of the usual suffixes or none. */
static bool __init gmem_param_size(const char **arg, u64 *size)
{
	static const char units[] = "KMGTPE";
	const char *unit;

	if (!gmem_param_digits(arg, 10, size))
		return false;
	unit = **arg ? strchr(units, toupper(**arg)) : NULL;
	if (!unit)
		return true;
	++*arg;
	return !check_shl_overflow(*size, 10 * (unit - units + 1), size);
}

/* As a size is written, or hexadecimal behind 0x. */
static bool __init gmem_param_base(const char **arg, u64 *base)
{
	if ((*arg)[0] != '0' || toupper((*arg)[1]) != 'X')
		return gmem_param_size(arg, base);
	*arg += 2;
	return gmem_param_digits(arg, 16, base);
}

static bool __init gmem_param_at_end(const char *arg)
{
	return !*arg || *arg == ',';
}

/* What stands behind @. */
static const char * __init gmem_param_node(const char **arg,
					   struct gmem_param_item *item)
{
	u64 node;

	if (!isdigit(**arg))
		return "the number of a node is expected behind @";
	/* It must fit an int. */
	if (!gmem_param_digits(arg, 10, &node) || node >= SZ_1G)
		return "the number of a node is too large";
	if (!gmem_param_at_end(*arg))
		return "the number of a node is expected behind @";
	item->place = GMEM_ON_NODE;
	item->node = node;
	return NULL;
}

/* What stands behind an exclamation mark. */
static const char * __init gmem_param_place(const char **arg,
					    struct gmem_param_item *item)
{
	u64 end;

	if (!isdigit(**arg))
		return "an address is expected behind !";
	if (!gmem_param_base(arg, &item->base) ||
	    check_add_overflow(item->base, item->size, &end))
		return "an address is too large";
	if (!gmem_param_at_end(*arg))
		return "an address is expected behind !";
	if (!IS_ALIGNED(item->base, SZ_1G))
		return "an address is no multiple of 1G";
	if (item->base < SZ_4G)
		return "an address is below 4G";
	item->place = GMEM_AT_BASE;
	return NULL;
}

static const char * __init gmem_param_item(const char **arg,
					   struct gmem_param_item *item)
{
	if (!isdigit(**arg))
		return "a size or \"zeroed\" is expected";
	if (!gmem_param_size(arg, &item->size))
		return "the sizes are too large";
	if (!gmem_param_at_end(*arg) && **arg != '@' && **arg != '!')
		return "a size or \"zeroed\" is expected";
	if (!item->size || !IS_ALIGNED(item->size, SZ_1G))
		return "a size is no multiple of 1G";

	switch (**arg) {
	case '@':
		++*arg;
		return gmem_param_node(arg, item);
	case '!':
		++*arg;
		return gmem_param_place(arg, item);
	}
	return NULL;
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
		if (!strncmp(arg, "zeroed", 6) && gmem_param_at_end(arg + 6)) {
			p.zeroed = true;
			arg += 6;
		} else {
			struct gmem_param_item item = {};
			const char *bad = gmem_param_item(&arg, &item);

			if (bad)
				return bad;
			if (check_add_overflow(p.size, item.size, &p.size))
				return "the sizes are too large";
			if (p.nr == GMEM_PARAM_ITEMS)
				return "there are more than 16 sizes";
			p.item[p.nr++] = item;
		}

		if (*arg == ',' && !*++arg)
			return "it ends with a comma";
	}
	if (!p.nr)
		return "no size is given";

	*param = p;
	return NULL;
}
