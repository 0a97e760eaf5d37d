/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What happens to persistent guest memory. Sizes are in bytes, durations in ns, and
 * a result is 0 or a negative errno.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM gmem_persist

#if !defined(_TRACE_GMEM_PERSIST_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_GMEM_PERSIST_H

#include <linux/gmem_persist.h>
#include <linux/tracepoint.h>
#include <linux/types.h>

DECLARE_EVENT_CLASS(gmem_object,

	TP_PROTO(const char *name, u64 size, u64 granule, u64 ns, int result),

	TP_ARGS(name, size, granule, ns, result),

	TP_STRUCT__entry(
		__string(name, name)
		__field(u64, size)
		__field(u64, granule)
		__field(u64, ns)
		__field(int, result)
	),

	TP_fast_assign(
		__assign_str(name);
		__entry->size = size;
		__entry->granule = granule;
		__entry->ns = ns;
		__entry->result = result;
	),

	TP_printk("name=%s size=%llu granule=%llu ns=%llu result=%d",
		  __get_str(name), __entry->size, __entry->granule, __entry->ns,
		  __entry->result)
);

/* A new object, cleared and in the record; no name: "". On failure, what was asked. */
DEFINE_EVENT(gmem_object, gmem_create,
	TP_PROTO(const char *name, u64 size, u64 granule, u64 ns, int result),
	TP_ARGS(name, size, granule, ns, result)
);

/* Its view goes to somebody. On failure, what was asked for; 0: whatever it has. */
DEFINE_EVENT(gmem_object, gmem_claim,
	TP_PROTO(const char *name, u64 size, u64 granule, u64 ns, int result),
	TP_ARGS(name, size, granule, ns, result)
);

/* It comes out of the record of the kernel before, or not. */
DEFINE_EVENT(gmem_object, gmem_restore,
	TP_PROTO(const char *name, u64 size, u64 granule, u64 ns, int result),
	TP_ARGS(name, size, granule, ns, result)
);

/* It is gone, and the pool has its memory; a creation that failed late, too. */
TRACE_EVENT(gmem_free,

	TP_PROTO(const char *name, u64 size, u64 granule),

	TP_ARGS(name, size, granule),

	TP_STRUCT__entry(
		__string(name, name)
		__field(u64, size)
		__field(u64, granule)
	),

	TP_fast_assign(
		__assign_str(name);
		__entry->size = size;
		__entry->granule = granule;
	),

	TP_printk("name=%s size=%llu granule=%llu",
		  __get_str(name), __entry->size, __entry->granule)
);

/* The current process is about to change its memory: what was saved beside it is stale. */
TRACE_EVENT(gmem_write,

	TP_PROTO(const char *name, const u8 *token),

	TP_ARGS(name, token),

	TP_STRUCT__entry(
		__string(name, name)
		__array(u8, token, GMEM_TOKEN_SIZE)
	),

	TP_fast_assign(
		__assign_str(name);
		memcpy(__entry->token, token, GMEM_TOKEN_SIZE);
	),

	TP_printk("name=%s token=%*phN",
		  __get_str(name), GMEM_TOKEN_SIZE, __entry->token)
);

/* A piece of the pool was cleared, or, if the result says so, part of it. */
TRACE_EVENT(gmem_clean,

	TP_PROTO(u64 base, u64 size, u64 ns, int result),

	TP_ARGS(base, size, ns, result),

	TP_STRUCT__entry(
		__field(u64, base)
		__field(u64, size)
		__field(u64, ns)
		__field(int, result)
	),

	TP_fast_assign(
		__entry->base = base;
		__entry->size = size;
		__entry->ns = ns;
		__entry->result = result;
	),

	TP_printk("base=%#llx size=%llu ns=%llu result=%d", __entry->base,
		  __entry->size, __entry->ns, __entry->result)
);

/* The numbers of enum gmem_holder. */
#define show_gmem_holder(holder)		\
	__print_symbolic(holder,		\
			 { 0, "operator" },	\
			 { 1, "reboot" })

DECLARE_EVENT_CLASS(gmem_hold,

	TP_PROTO(unsigned int holder, u64 ns, int result),

	TP_ARGS(holder, ns, result),

	TP_STRUCT__entry(
		__field(unsigned int, holder)
		__field(u64, ns)
		__field(int, result)
	),

	TP_fast_assign(
		__entry->holder = holder;
		__entry->ns = ns;
		__entry->result = result;
	),

	TP_printk("holder=%s ns=%llu result=%d",
		  show_gmem_holder(__entry->holder), __entry->ns,
		  __entry->result)
);

/* The layout of the pool stands still, and the record is sealed. */
DEFINE_EVENT(gmem_hold, gmem_freeze,
	TP_PROTO(unsigned int holder, u64 ns, int result),
	TP_ARGS(holder, ns, result)
);

/* A holder lets go. */
DEFINE_EVENT(gmem_hold, gmem_thaw,
	TP_PROTO(unsigned int holder, u64 ns, int result),
	TP_ARGS(holder, ns, result)
);

#endif /* _TRACE_GMEM_PERSIST_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
