/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_GMEM_PERSIST_PARAM_H
#define _MM_GMEM_PERSIST_PARAM_H

#include <linux/types.h>

/* So many sizes at most. */
#define GMEM_PARAM_ITEMS	16

enum gmem_param_place {
	GMEM_ANYWHERE,
	GMEM_AT_BASE,
	GMEM_ON_NODE,
};

/**
 * struct gmem_param_item - one size of gmem_persist=, and where to take it
 * @size: bytes, a multiple of 1 GiB, not 0
 * @place: where
 * @base: with %GMEM_AT_BASE: its first byte, a multiple of 1 GiB
 * @node: with %GMEM_ON_NODE: the node, not negative; there may be no such node
 */
struct gmem_param_item {
	u64 size;
	enum gmem_param_place place;
	u64 base;
	int node;
};

/**
 * struct gmem_param - what gmem_persist= asks for
 * @item: the sizes, in the order in which they were given
 * @nr: how many
 * @size: bytes, all sizes together
 * @zeroed: RAM was cleared at this power-on
 */
struct gmem_param {
	struct gmem_param_item item[GMEM_PARAM_ITEMS];
	unsigned int nr;
	u64 size;
	bool zeroed;
};

const char *gmem_param_parse(const char *arg, struct gmem_param *param);

#endif /* _MM_GMEM_PERSIST_PARAM_H */
