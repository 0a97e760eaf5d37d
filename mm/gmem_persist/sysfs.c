// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/mm/gmem_persist/: what the operator sees and may do.
 *
 * Documented in Documentation/admin-guide/mm/gmem-persist.rst.
 */
#include "fs.h"

#include <linux/capability.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/kstrtox.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

static struct kobject *gmem_kobj;

/*
 * The pool
 */

#define POOL_ATTR(_name, _mode, _show, _store) \
	static struct kobj_attribute _name##_attr = __ATTR(_name, _mode, _show, _store)
#define POOL_ATTR_RO(_name) \
	POOL_ATTR(_name, 0444, gmem_sysfs_##_name##_show, NULL)
#define POOL_ATTR_RW(_name) \
	POOL_ATTR(_name, 0644, gmem_sysfs_##_name##_show, gmem_sysfs_##_name##_store)
/* Only root: physical addresses help an attacker. */
#define POOL_ATTR_ADMIN_RO(_name) \
	POOL_ATTR(_name, 0400, gmem_sysfs_##_name##_show, NULL)
#define POOL_ATTR_WO(_name) \
	POOL_ATTR(_name, 0200, NULL, gmem_sysfs_##_name##_store)

/*
 * The same attributes tell of the pool, in the top folder, and of one node, in the
 * folder of that node.
 */
struct gmem_sysfs_node {
	struct kobject kobj;
	int nid;
};

static const struct kobj_type node_ktype;

static void gmem_sysfs_stat(const struct kobject *kobj, struct gmem_stat *stat)
{
	if (kobj->ktype == &node_ktype)
		gmem_pool_stat(container_of(kobj, struct gmem_sysfs_node, kobj)->nid, stat);
	else
		gmem_pool_stat(GMEM_ALL_NODES, stat);
}

#define STAT_ATTR(_name, _field)							\
static ssize_t gmem_sysfs_##_name##_show(struct kobject *kobj,				\
					 struct kobj_attribute *attr, char *buf)	\
{											\
	struct gmem_stat stat;								\
											\
	gmem_sysfs_stat(kobj, &stat);							\
	return sysfs_emit(buf, "%llu\n", stat._field);					\
}											\
POOL_ATTR_RO(_name)

STAT_ATTR(pool_bytes, pool);
STAT_ATTR(clean_bytes, clean);
STAT_ATTR(dirty_bytes, dirty);
STAT_ATTR(used_bytes, used);
STAT_ATTR(quarantined_bytes, quarantined);
STAT_ATTR(poisoned_bytes, poisoned);
STAT_ATTR(free_1g_bytes, free_1g);

/* All of them at one moment, so that they add up. */
static ssize_t gmem_sysfs_stat_show(struct kobject *kobj, struct kobj_attribute *attr,
				    char *buf)
{
	struct gmem_stat stat;

	gmem_sysfs_stat(kobj, &stat);
	return sysfs_emit(buf,
			  "pool %llu\nclean %llu\ndirty %llu\nused %llu\nquarantined %llu\npoisoned %llu\nfree_1g %llu\n",
			  stat.pool, stat.clean, stat.dirty, stat.used,
			  stat.quarantined, stat.poisoned, stat.free_1g);
}
POOL_ATTR_RO(stat);

static struct attribute *stat_attrs[] = {
	&pool_bytes_attr.attr,
	&clean_bytes_attr.attr,
	&dirty_bytes_attr.attr,
	&used_bytes_attr.attr,
	&quarantined_bytes_attr.attr,
	&poisoned_bytes_attr.attr,
	&free_1g_bytes_attr.attr,
	&stat_attr.attr,
	NULL,
};
ATTRIBUTE_GROUPS(stat);

static void gmem_sysfs_free_node(struct kobject *kobj)
{
	kfree(container_of(kobj, struct gmem_sysfs_node, kobj));
}

static const struct kobj_type node_ktype = {
	.release = gmem_sysfs_free_node,
	.sysfs_ops = &kobj_sysfs_ops,
	.default_groups = stat_groups,
};

static int gmem_sysfs_add_node(int nid)
{
	struct gmem_sysfs_node *dir = kzalloc_obj(*dir);
	int err;

	if (!dir)
		return -ENOMEM;
	dir->nid = nid;
	if (nid == NUMA_NO_NODE)
		err = kobject_init_and_add(&dir->kobj, &node_ktype, gmem_kobj,
					   "node_unknown");
	else
		err = kobject_init_and_add(&dir->kobj, &node_ktype, gmem_kobj,
					   "node%d", nid);
	if (err)
		kobject_put(&dir->kobj);
	return err;
}

/* A line per range; what does not fit into a page is only counted. */
static ssize_t gmem_sysfs_emit_ranges(char *buf, const struct gmem_ranges *x)
{
	unsigned int i;
	ssize_t len = 0;

	for (i = 0; i < x->nr && len < PAGE_SIZE - 128; i++)
		len += sysfs_emit_at(buf, len, "%#llx-%#llx\n", x->r[i].base,
				     gmem_range_end(&x->r[i]) - 1);
	if (i < x->nr)
		len += sysfs_emit_at(buf, len, "and %u more\n", x->nr - i);
	return len;
}

static ssize_t gmem_sysfs_extents_show(struct kobject *kobj, struct kobj_attribute *attr,
				       char *buf)
{
	return gmem_sysfs_emit_ranges(buf, &gmem_pool.ranges);
}
POOL_ATTR_ADMIN_RO(extents);

static ssize_t gmem_sysfs_quarantined_show(struct kobject *kobj,
					   struct kobj_attribute *attr, char *buf)
{
	guard(spinlock)(&gmem_pool.lock);
	return gmem_sysfs_emit_ranges(buf, &gmem_pool.quarantined);
}
POOL_ATTR_ADMIN_RO(quarantined);

static ssize_t gmem_sysfs_bad_pages_show(struct kobject *kobj, struct kobj_attribute *attr,
					 char *buf)
{
	guard(spinlock)(&gmem_pool.lock);
	return gmem_sysfs_emit_ranges(buf, &gmem_pool.bad_pages);
}
POOL_ATTR_ADMIN_RO(bad_pages);

static ssize_t gmem_sysfs_generation_show(struct kobject *kobj, struct kobj_attribute *attr,
					  char *buf)
{
	return sysfs_emit(buf, "%llu\n", gmem_pool.generation);
}
POOL_ATTR_RO(generation);

static ssize_t gmem_sysfs_record_bytes_show(struct kobject *kobj,
					    struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%zu\n", gmem_tables_size());
}
POOL_ATTR_RO(record_bytes);

static ssize_t gmem_sysfs_holders_show(struct kobject *kobj, struct kobj_attribute *attr,
				       char *buf)
{
	static const char * const names[GMEM_NR_HOLDERS] = {
		[GMEM_HOLDER_OPERATOR] = "operator",
		[GMEM_HOLDER_REBOOT] = "reboot",
	};
	unsigned long holders = READ_ONCE(gmem_pool.holders);
	ssize_t len = 0;
	int i;

	for_each_set_bit(i, &holders, GMEM_NR_HOLDERS)
		len += sysfs_emit_at(buf, len, "%s\n", names[i]);
	return len;
}
POOL_ATTR_RO(holders);

static ssize_t gmem_sysfs_frozen_show(struct kobject *kobj, struct kobj_attribute *attr,
				      char *buf)
{
	return sysfs_emit(buf, "%d\n", gmem_pool_frozen());
}

static ssize_t gmem_sysfs_frozen_store(struct kobject *kobj, struct kobj_attribute *attr,
				       const char *buf, size_t count)
{
	bool freeze;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	err = kstrtobool(buf, &freeze);
	if (err)
		return err;
	err = freeze ? gmem_handover_freeze(GMEM_HOLDER_OPERATOR, false) :
		       gmem_handover_thaw(GMEM_HOLDER_OPERATOR);
	return err ?: count;
}
POOL_ATTR_RW(frozen);

static ssize_t gmem_sysfs_handover_show(struct kobject *kobj, struct kobj_attribute *attr,
					char *buf)
{
	return sysfs_emit(buf, "%s\n", gmem_leave_answer());
}
POOL_ATTR_RO(handover);

static ssize_t gmem_sysfs_lossy_kexec_show(struct kobject *kobj, struct kobj_attribute *attr,
					   char *buf)
{
	return sysfs_emit(buf, "%d\n", READ_ONCE(gmem_lossy_kexec));
}

static ssize_t gmem_sysfs_lossy_kexec_store(struct kobject *kobj, struct kobj_attribute *attr,
					    const char *buf, size_t count)
{
	bool lossy;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	err = kstrtobool(buf, &lossy);
	if (err)
		return err;
	WRITE_ONCE(gmem_lossy_kexec, lossy);
	return count;
}
POOL_ATTR_RW(lossy_kexec);

static ssize_t gmem_sysfs_discard_store(struct kobject *kobj, struct kobj_attribute *attr,
					const char *buf, size_t count)
{
	char name[GMEM_NAME_SIZE + 1];
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	/* There is no instance of gmemfs yet. */
	if (!gmem_persist_enabled())
		return -EAGAIN;
	if (count > GMEM_NAME_SIZE)
		return -EINVAL;
	strscpy(name, buf);
	err = gmem_named_discard(strim(name));
	return err ?: count;
}
POOL_ATTR_WO(discard);

static ssize_t gmem_sysfs_release_store(struct kobject *kobj, struct kobj_attribute *attr,
					const char *buf, size_t count)
{
	u64 first, last;
	char end;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (sysfs_streq(buf, "all"))
		err = gmem_refused_release(0, 0);
	else if (sscanf(buf, "%llx-%llx %c", &first, &last, &end) == 2 &&
		 last > first && last + 1)
		err = gmem_refused_release(first, last - first + 1);
	else
		err = -EINVAL;
	return err ?: count;
}
POOL_ATTR_WO(release);

static ssize_t gmem_sysfs_restore_show(struct kobject *kobj, struct kobj_attribute *attr,
				       char *buf)
{
	unsigned int pending = gmem_left_pending();

	/* How many is not always known. */
	return sysfs_emit(buf, "%u\n", gmem_persist_enabled() ? pending : max(pending, 1));
}

static ssize_t gmem_sysfs_restore_store(struct kobject *kobj, struct kobj_attribute *attr,
					const char *buf, size_t count)
{
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (!sysfs_streq(buf, "1"))
		return -EINVAL;
	err = gmem_pool.again();
	return err ?: count;
}
POOL_ATTR_RW(restore);

/*
 * Cleaning in the background, and by creation
 */

#define CLEAN_ATTR(_name)								\
static ssize_t gmem_sysfs_clean_##_name##_show(struct kobject *kobj,			\
					       struct kobj_attribute *attr, char *buf)	\
{											\
	return sysfs_emit(buf, "%u\n", READ_ONCE(gmem_clean_##_name));			\
}											\
											\
static ssize_t gmem_sysfs_clean_##_name##_store(struct kobject *kobj,			\
						struct kobj_attribute *attr,		\
						const char *buf, size_t count)		\
{											\
	unsigned int val;								\
	int err = kstrtouint(buf, 0, &val);						\
											\
	if (!capable(CAP_SYS_ADMIN))							\
		return -EPERM;								\
	if (err)									\
		return err;								\
	if (val > clean_##_name##_max)							\
		return -EINVAL;								\
	WRITE_ONCE(gmem_clean_##_name, val);						\
	gmem_clean_kick();								\
	return count;									\
}											\
POOL_ATTR_RW(clean_##_name)

enum {
	clean_background_max = 1,
	clean_rate_max = 1 << 20,	/* 1 TiB/s: whoever wants more wants no limit */
	clean_threads_max = 16,
};

CLEAN_ATTR(background);
CLEAN_ATTR(rate);
CLEAN_ATTR(threads);

static ssize_t gmem_sysfs_clearing_bytes_show(struct kobject *kobj, struct kobj_attribute *attr,
					      char *buf)
{
	return sysfs_emit(buf, "%llu\n", gmem_clean_bytes_ahead());
}
POOL_ATTR_RO(clearing_bytes);

static struct attribute *pool_attrs[] = {
	&clean_background_attr.attr,
	&clean_rate_attr.attr,
	&clean_threads_attr.attr,
	&clearing_bytes_attr.attr,
	&extents_attr.attr,
	&quarantined_attr.attr,
	&bad_pages_attr.attr,
	&generation_attr.attr,
	&record_bytes_attr.attr,
	&holders_attr.attr,
	&frozen_attr.attr,
	&handover_attr.attr,
	&lossy_kexec_attr.attr,
	&discard_attr.attr,
	&release_attr.attr,
	&restore_attr.attr,
	NULL,
};

static const struct attribute_group pool_group = { .attrs = pool_attrs };

/**
 * gmem_sysfs_init - make /sys/kernel/mm/gmem_persist
 *
 * Context: process context; nothing else needs to be there yet.
 * Return: 0 or -ENOMEM; it may be tried again.
 */
int gmem_sysfs_init(void)
{
	int err;

	gmem_kobj = kobject_create_and_add("gmem_persist", mm_kobj);
	if (!gmem_kobj)
		return -ENOMEM;
	err = sysfs_create_group(gmem_kobj, &pool_group);
	if (!err)
		err = sysfs_create_groups(gmem_kobj, stat_groups);
	if (err) {
		/* At once, for another try */
		kobject_del(gmem_kobj);
		kobject_put(gmem_kobj);
	}
	return err;
}

/**
 * gmem_sysfs_add_nodes - make the folders of the nodes in it
 *
 * Context: process context; the arena is there.
 * Return: 0 or -ENOMEM; it may be tried again, and goes on then.
 */
int gmem_sysfs_add_nodes(void)
{
	static unsigned int added;
	int err;

	for (; added < gmem_pool.arena.nr_nodes; added++) {
		err = gmem_sysfs_add_node(gmem_pool.arena.nodes[added].nid);
		if (err)
			return err;
	}
	return 0;
}
