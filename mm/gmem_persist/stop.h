/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Moments at which a test kernel can be replaced: see stop.c.
 */
#ifndef _MM_GMEM_PERSIST_STOP_H
#define _MM_GMEM_PERSIST_STOP_H

#include <linux/types.h>

struct dentry;

#ifdef CONFIG_GMEM_PERSIST_STOP
void gmem_stop_here(const char *name);
void gmem_stop_init(struct dentry *dir);
bool gmem_stop_refuses_luo(void);
#else
static inline void gmem_stop_here(const char *name)
{
}

static inline void gmem_stop_init(struct dentry *dir)
{
}

static inline bool gmem_stop_refuses_luo(void)
{
	return false;
}
#endif

#endif /* _MM_GMEM_PERSIST_STOP_H */
