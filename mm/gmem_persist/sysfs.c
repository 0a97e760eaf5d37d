// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/mm/gmem_persist/: what the operator sees and may do.
 *
 * Documented in Documentation/virt/kvm/gmem-persist.rst.
 */
#include "internal.h"

#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

static struct kobject *gmem_kobj __ro_after_init;
static struct kobject *objects_kobj __ro_after_init;

/*
 * The pool
 */

#define POOL_ATTR_RO(_name) \
	static struct kobj_attribute _name##_attr = __ATTR_RO(_name)
#define POOL_ATTR_RW(_name) \
	static struct kobj_attribute _name##_attr = __ATTR_RW(_name)
/* Only root: physical addresses help an attacker. */
#define POOL_ATTR_ADMIN_RO(_name) \
	static struct kobj_attribute _name##_attr = __ATTR_RO_MODE(_name, 0400)
#define POOL_ATTR_WO(_name) \
	static struct kobj_attribute _name##_attr = __ATTR_WO(_name)

/*
 * The same attributes tell of the pool, in the top folder, and of one node, in the
 * folder of that node.
 */
struct node_dir {
	struct kobject kobj;
	int nid;
};

static const struct kobj_type node_ktype;

static void get_stat(const struct kobject *kobj, struct gmem_stat *stat)
{
	if (kobj->ktype == &node_ktype)
		gmem_pool_stat(container_of(kobj, struct node_dir, kobj)->nid, stat);
	else
		gmem_pool_stat(GMEM_ALL_NODES, stat);
}

#define STAT_ATTR(_name, _field)						\
static ssize_t _name##_show(struct kobject *kobj, struct kobj_attribute *attr,	\
			    char *buf)						\
{										\
	struct gmem_stat stat;							\
										\
	get_stat(kobj, &stat);							\
	return sysfs_emit(buf, "%llu\n", stat._field);				\
}										\
POOL_ATTR_RO(_name)

STAT_ATTR(pool_bytes, pool);
STAT_ATTR(clean_bytes, clean);
STAT_ATTR(dirty_bytes, dirty);
STAT_ATTR(used_bytes, used);
STAT_ATTR(quarantined_bytes, quarantined);
STAT_ATTR(poisoned_bytes, poisoned);
STAT_ATTR(free_1g_bytes, free_1g);

/* All of them at one moment, so that they add up. */
static ssize_t stat_show(struct kobject *kobj, struct kobj_attribute *attr,
			 char *buf)
{
	struct gmem_stat stat;

	get_stat(kobj, &stat);
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

static void free_node_dir(struct kobject *kobj)
{
	kfree(container_of(kobj, struct node_dir, kobj));
}

static const struct kobj_type node_ktype = {
	.release = free_node_dir,
	.sysfs_ops = &kobj_sysfs_ops,
	.default_groups = stat_groups,
};

static int __init add_node_dir(int nid)
{
	struct node_dir *dir = kzalloc_obj(*dir);
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
static ssize_t emit_ranges(char *buf, const struct gmem_extents *x)
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

static ssize_t extents_show(struct kobject *kobj, struct kobj_attribute *attr,
			    char *buf)
{
	return emit_ranges(buf, &gmem_pool.ranges);
}
POOL_ATTR_ADMIN_RO(extents);

static ssize_t quarantined_show(struct kobject *kobj,
				struct kobj_attribute *attr, char *buf)
{
	guard(mutex)(&gmem_pool.lock);
	return emit_ranges(buf, &gmem_pool.quarantined);
}
POOL_ATTR_ADMIN_RO(quarantined);

static ssize_t bad_pages_show(struct kobject *kobj, struct kobj_attribute *attr,
			      char *buf)
{
	guard(mutex)(&gmem_pool.lock);
	return emit_ranges(buf, &gmem_pool.bad_pages);
}
POOL_ATTR_ADMIN_RO(bad_pages);

static ssize_t generation_show(struct kobject *kobj, struct kobj_attribute *attr,
			       char *buf)
{
	return sysfs_emit(buf, "%llu\n", gmem_pool.generation);
}
POOL_ATTR_RO(generation);

static ssize_t record_bytes_show(struct kobject *kobj,
				 struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%zu\n", gmem_handover_record_size());
}
POOL_ATTR_RO(record_bytes);

static ssize_t holders_show(struct kobject *kobj, struct kobj_attribute *attr,
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

static ssize_t frozen_show(struct kobject *kobj, struct kobj_attribute *attr,
			   char *buf)
{
	return sysfs_emit(buf, "%d\n", gmem_pool_frozen());
}

static ssize_t frozen_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t count)
{
	bool freeze;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	err = kstrtobool(buf, &freeze);
	if (err)
		return err;
	err = freeze ? gmem_handover_freeze(GMEM_HOLDER_OPERATOR) :
		       gmem_handover_thaw(GMEM_HOLDER_OPERATOR);
	return err ?: count;
}
POOL_ATTR_RW(frozen);

static ssize_t discard_store(struct kobject *kobj, struct kobj_attribute *attr,
			     const char *buf, size_t count)
{
	char name[GMEM_NAME_SIZE + 1];
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (count > GMEM_NAME_SIZE)
		return -EINVAL;
	strscpy(name, buf);
	err = gmem_object_discard(strim(name));
	return err ?: count;
}
POOL_ATTR_WO(discard);

static ssize_t release_store(struct kobject *kobj, struct kobj_attribute *attr,
			     const char *buf, size_t count)
{
	u64 first, last;
	char end;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (sysfs_streq(buf, "all"))
		err = gmem_pool_release_quarantine(0, 0);
	else if (sscanf(buf, "%llx-%llx %c", &first, &last, &end) == 2 &&
		 last > first && last + 1)
		err = gmem_pool_release_quarantine(first, last - first + 1);
	else
		err = -EINVAL;
	return err ?: count;
}
POOL_ATTR_WO(release);

/*
 * Cleaning in the background, and by creation
 */

#define CLEAN_ATTR(_name)							\
static ssize_t clean_##_name##_show(struct kobject *kobj,			\
				    struct kobj_attribute *attr, char *buf)	\
{										\
	return sysfs_emit(buf, "%u\n", READ_ONCE(gmem_clean_##_name));		\
}										\
										\
static ssize_t clean_##_name##_store(struct kobject *kobj,			\
				     struct kobj_attribute *attr,		\
				     const char *buf, size_t count)		\
{										\
	unsigned int val;							\
	int err = kstrtouint(buf, 0, &val);					\
										\
	if (!capable(CAP_SYS_ADMIN))						\
		return -EPERM;							\
	if (err)								\
		return err;							\
	if (val > clean_##_name##_max)						\
		return -EINVAL;							\
	WRITE_ONCE(gmem_clean_##_name, val);					\
	gmem_clean_kick();							\
	return count;								\
}										\
POOL_ATTR_RW(clean_##_name)

enum {
	clean_background_max = 1,
	clean_rate_max = 1 << 20,	/* 1 TiB/s: whoever wants more wants no limit */
	clean_threads_max = 16,
};

CLEAN_ATTR(background);
CLEAN_ATTR(rate);
CLEAN_ATTR(threads);

static struct attribute *pool_attrs[] = {
	&clean_background_attr.attr,
	&clean_rate_attr.attr,
	&clean_threads_attr.attr,
	&extents_attr.attr,
	&quarantined_attr.attr,
	&bad_pages_attr.attr,
	&generation_attr.attr,
	&record_bytes_attr.attr,
	&holders_attr.attr,
	&frozen_attr.attr,
	&discard_attr.attr,
	&release_attr.attr,
	NULL,
};

static const struct attribute_group pool_group = { .attrs = pool_attrs };

/*
 * Objects
 */

struct object_attr {
	struct attribute attr;
	ssize_t (*show)(const struct gmem_object *obj, char *buf);
};

static ssize_t object_attr_show(struct kobject *kobj, struct attribute *attr,
				char *buf)
{
	struct object_attr *a = container_of(attr, struct object_attr, attr);
	const struct gmem_object *obj = container_of(kobj, struct gmem_object, kobj);

	guard(mutex)(&gmem_pool.lock);

	/* What is in a directory is nobody else's business. */
	if (obj->parent && !uid_eq(current_fsuid(), obj->inode->i_uid) &&
	    !capable(CAP_SYS_ADMIN))
		return -EACCES;
	return a->show(obj, buf);
}

static const struct sysfs_ops object_sysfs_ops = { .show = object_attr_show };

#define OBJECT_ATTR(_name, _fmt, ...)					\
static ssize_t object_##_name##_show(const struct gmem_object *obj,	\
				     char *buf)				\
{									\
	return sysfs_emit(buf, _fmt "\n", __VA_ARGS__);			\
}									\
static struct object_attr object_##_name = {				\
	.attr = { .name = #_name, .mode = 0444 },			\
	.show = object_##_name##_show,					\
}

static const char *state_name(const struct gmem_object *obj)
{
	switch (obj->state) {
	case GMEM_ALLOCATING:
		return "allocating";
	case GMEM_LIVE:
		if (gmem_object_is_dir(obj))
			return "live";
		if (!obj->ranges.nr)
			return "empty";
		return obj->vm_view || obj->handles ? "live" : "parked";
	case GMEM_DISCARDING:
		return "discarding";
	}
	return "unknown";
}

OBJECT_ATTR(size, "%llu", obj->meta.size);
OBJECT_ATTR(granule, "%llu", obj->meta.granule);
OBJECT_ATTR(flags, "%#llx", obj->meta.flags);
OBJECT_ATTR(vm_class, "%u", obj->meta.vm_class);
OBJECT_ATTR(uuid, "%pUb", obj->meta.uuid);
OBJECT_ATTR(generation, "%llu", obj->meta.generation);
OBJECT_ATTR(epoch, "%llu", obj->meta.epoch);
OBJECT_ATTR(state, "%s", state_name(obj));
OBJECT_ATTR(kind, "%s", gmem_object_is_dir(obj) ? "directory" :
	    obj->data ? "data" : "memory");
OBJECT_ATTR(views, "%u", obj->handles + obj->vm_view);

static ssize_t object_path_show(const struct gmem_object *obj, char *buf)
{
	const struct gmem_object *at;
	size_t len = 1;	/* its newline */
	char *to;

	for (at = obj; at; at = at->parent)
		len += strlen(at->name) + !!at->parent;
	if (len >= PAGE_SIZE)
		return -ENAMETOOLONG;

	to = buf + len;
	*--to = '\n';
	for (at = obj; at; at = at->parent) {
		to -= strlen(at->name);
		memcpy(to, at->name, strlen(at->name));
		if (at->parent)
			*--to = '/';
	}
	return len;
}

/* Only root: what is in a directory is the business of those who may look into it. */
static struct object_attr object_path = {
	.attr = { .name = "path", .mode = 0400 },
	.show = object_path_show,
};

/* As in /proc/PID/numa_maps, but in bytes. */
static ssize_t object_nodes_show(const struct gmem_object *obj, char *buf)
{
	const struct gmem_arena *arena = &gmem_pool.arena;
	ssize_t len = 0;
	unsigned int i;

	for (i = 0; i < arena->nr_nodes; i++) {
		const int nid = arena->nodes[i].nid;
		u64 bytes = gmem_arena_node_bytes(arena, &obj->ranges, nid);

		if (!bytes)
			continue;
		if (nid == NUMA_NO_NODE)
			len += sysfs_emit_at(buf, len, "unknown=%llu\n", bytes);
		else
			len += sysfs_emit_at(buf, len, "N%d=%llu\n", nid, bytes);
	}
	return len;
}

static struct object_attr object_nodes = {
	.attr = { .name = "nodes", .mode = 0444 },
	.show = object_nodes_show,
};

static ssize_t object_extents_show(const struct gmem_object *obj, char *buf)
{
	return emit_ranges(buf, &obj->ranges);
}

/* Only root, as for the pool's. */
static struct object_attr object_extents = {
	.attr = { .name = "extents", .mode = 0400 },
	.show = object_extents_show,
};

/* The offset of each; what does not fit into a page is only counted. */
static ssize_t object_bad_pages_show(const struct gmem_object *obj, char *buf)
{
	/* It has no function that only reads. */
	struct xarray *bad = (struct xarray *)&obj->bad_pages;
	unsigned long index, more = 0;
	ssize_t len = 0;
	void *entry;

	xa_for_each(bad, index, entry) {
		if (len < PAGE_SIZE - 128)
			len += sysfs_emit_at(buf, len, "%#llx\n",
					     (u64)index << PAGE_SHIFT);
		else
			more++;
	}
	if (more)
		len += sysfs_emit_at(buf, len, "and %lu more\n", more);
	return len;
}

static struct object_attr object_bad_pages = {
	.attr = { .name = "bad_pages", .mode = 0400 },
	.show = object_bad_pages_show,
};

static struct attribute *object_attrs[] = {
	&object_size.attr,
	&object_granule.attr,
	&object_flags.attr,
	&object_vm_class.attr,
	&object_uuid.attr,
	&object_generation.attr,
	&object_epoch.attr,
	&object_state.attr,
	&object_views.attr,
	&object_kind.attr,
	&object_path.attr,
	&object_nodes.attr,
	&object_extents.attr,
	&object_bad_pages.attr,
	NULL,
};
ATTRIBUTE_GROUPS(object);

const struct kobj_type gmem_object_ktype = {
	.release = gmem_object_free,
	.sysfs_ops = &object_sysfs_ops,
	.default_groups = object_groups,
};

/**
 * gmem_sysfs_add_object - give an object its directory
 * @obj: the object; without a name it gets none
 *
 * Context: process context, without gmem_pool.lock: readers take it.
 * Return: 0 or -ENOMEM.
 */
int gmem_sysfs_add_object(struct gmem_object *obj)
{
	char key[GMEM_NAME_SIZE];

	if (!obj->name[0])
		return 0;
	gmem_object_key(obj, key);
	return kobject_add(&obj->kobj, objects_kobj, "%s", key);
}

/**
 * gmem_sysfs_init - make /sys/kernel/mm/gmem_persist
 *
 * Return: 0 or -ENOMEM.
 */
int __init gmem_sysfs_init(void)
{
	unsigned int i;
	int err;

	gmem_kobj = kobject_create_and_add("gmem_persist", mm_kobj);
	if (!gmem_kobj)
		return -ENOMEM;
	objects_kobj = kobject_create_and_add("objects", gmem_kobj);
	err = objects_kobj ? sysfs_create_group(gmem_kobj, &pool_group) : -ENOMEM;
	err = err ?: sysfs_create_groups(gmem_kobj, stat_groups);
	for (i = 0; !err && i < gmem_pool.arena.nr_nodes; i++)
		err = add_node_dir(gmem_pool.arena.nodes[i].nid);
	if (err) {
		kobject_put(objects_kobj);
		kobject_put(gmem_kobj);
	}
	return err;
}
