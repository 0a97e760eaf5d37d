/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_GMEM_PERSIST_PARAM_H
#define _MM_GMEM_PERSIST_PARAM_H

#include <linux/types.h>

/**
 * struct gmem_param - what gmem_persist= asks for
 * @size: bytes, all sizes together
 * @zeroed: RAM was cleared at this power-on
 */
struct gmem_param {
	u64 size;
	bool zeroed;
};

const char *gmem_param_parse(const char *arg, struct gmem_param *param);

#endif /* _MM_GMEM_PERSIST_PARAM_H */
