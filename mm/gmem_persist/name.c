// SPDX-License-Identifier: GPL-2.0
/*
 * The names of objects, and the directories that they are in.
 */

/**
 * DOC: names
 *
 * An object may have a name, which is unique in its directory. A directory is an object
 * without memory. The ioctl knows the names of the root directory only.
 */
#include "internal.h"

#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/stat.h>
#include <linux/stringhash.h>

/* By parent and name; under gmem_pool.lock. */
static DEFINE_HASHTABLE(gmem_names, 12);

static unsigned long gmem_name_hash(const struct gmem_object *dir, const char *name)
{
	return full_name_hash(dir, name, strlen(name));
}

/**
 * gmem_name_insert - let an object be found by its name
 * @obj: the object, which has one
 *
 * Context: gmem_pool.lock is held.
 */
void gmem_name_insert(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	hash_add(gmem_names, &obj->hash, gmem_name_hash(obj->parent, obj->ser->name));
	if (obj->parent)
		obj->parent->nr_below++;
}

/**
 * gmem_name_remove - an object is not found by its name any more
 * @obj: the object, which may have none
 *
 * Context: gmem_pool.lock is held.
 */
void gmem_name_remove(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	if (hlist_unhashed(&obj->hash))
		return;
	hash_del(&obj->hash);
	if (obj->parent)
		obj->parent->nr_below--;
}

/**
 * gmem_object_find - find the object that has a name
 * @dir: the directory; NULL: the root
 * @name: the name
 *
 * Context: gmem_pool.lock is held.
 * Return: the object, also if it is being created or discarded: the name is taken. NULL: it
 * is not.
 */
struct gmem_object *gmem_object_find(const struct gmem_object *dir, const char *name)
{
	struct gmem_object *obj;

	lockdep_assert_held(&gmem_pool.lock);

	hash_for_each_possible(gmem_names, obj, hash, gmem_name_hash(dir, name))
		if (obj->parent == dir && !strcmp(obj->ser->name, name))
			return obj;
	return NULL;
}

/**
 * gmem_object_visible - does gmemfs show an object
 * @obj: the object; may be NULL
 *
 * Context: gmem_pool.lock is held.
 * Return: true if so.
 */
bool gmem_object_visible(const struct gmem_object *obj)
{
	return obj && obj->state == GMEM_LIVE && gmem_object_named(obj);
}

static struct gmem_object *gmem_name_find_visible(const struct gmem_object *dir,
						  const char *name)
{
	struct gmem_object *obj = gmem_object_find(dir, name);

	return gmem_object_visible(obj) ? obj : NULL;
}

/**
 * gmem_object_shown - is it still true what a dentry says
 * @dentry: the dentry
 * @name: its name, if it is in the root directory; else NULL
 *
 * All that has an inode gets its name, and loses it, by VFS, which knows; but the ioctl
 * may discard it. That nothing has the name is not true for long in the root directory,
 * where the ioctl creates objects.
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: true if so.
 */
bool gmem_object_shown(const struct dentry *dentry, const char *name)
{
	const struct inode *inode;

	guard(spinlock)(&gmem_pool.lock);

	/* It gets an inode under the lock, too. */
	inode = d_inode(dentry);
	if (inode)
		return gmem_object_visible(gmem_fs_inode_object(inode));
	return !name || !gmem_name_find_visible(NULL, name);
}

/**
 * gmem_object_lookup - find the object that a name stands for
 * @dir: the directory; NULL: the root
 * @name: the name
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: its inode, with a reference; NULL if there is none.
 */
struct inode *gmem_object_lookup(const struct gmem_object *dir, const char *name)
{
	struct gmem_object *obj;

	guard(spinlock)(&gmem_pool.lock);

	obj = gmem_name_find_visible(dir, name);
	if (!obj)
		return NULL;
	ihold(obj->inode);
	return obj->inode;
}

/* The next one of a directory among the objects with GMEM_OBJECT_BATCH numbers from @id on */
static struct inode *gmem_name_next_of(const struct gmem_object *dir, u32 id, char *name)
{
	struct gmem_object *obj;
	unsigned long i;

	guard(spinlock)(&gmem_pool.lock);

	xa_for_each_range(&gmem_pool.objects, i, obj, id, id + GMEM_OBJECT_BATCH - 1) {
		if (obj->parent != dir || !gmem_object_visible(obj))
			continue;
		memcpy(name, obj->ser->name, sizeof(obj->ser->name));
		ihold(obj->inode);
		return obj->inode;
	}
	return NULL;
}

/**
 * gmem_object_next - the next object in a directory
 * @dir: the directory; NULL: the root
 * @ino: behind the one with this number
 * @name: set to its name
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: its inode, with a reference; NULL if there is none.
 */
struct inode *gmem_object_next(const struct gmem_object *dir, u64 ino, char *name)
{
	/* Inode numbers are those of slots, and 2. */
	u32 id = max(ino, 1) - 1;
	struct inode *inode;

	/* Who looks for long lets others in between. */
	for (; id < gmem_slot_count(); id += GMEM_OBJECT_BATCH) {
		inode = gmem_name_next_of(dir, id, name);
		if (inode)
			return inode;
		cond_resched();
	}
	return NULL;
}

static int gmem_name_may_unlink(const struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	if (!gmem_object_visible(obj))
		return -ENOENT;
	/* There may be more in it than is known. */
	if (gmem_object_is_dir(obj) && gmem_restore_pending())
		return -EBUSY;
	return obj->nr_below ? -ENOTEMPTY : 0;
}

/* Take the name of an object away: true if that was the last that kept it. */
static bool gmem_name_take_away(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	gmem_object_hide(obj);
	gmem_name_remove(obj);
	obj->parent = NULL;
	return gmem_object_end_unused(obj);
}

/**
 * gmem_object_unlink - take an object's name away
 * @obj: the object
 *
 * It is freed with its last view, at once if it has none.
 *
 * Context: process context; takes gmem_pool.lock. The caller holds a reference, and keeps
 * others from renaming or unlinking it, and from creating anything in it.
 * Return: 0, -ENOENT (it has none any more), -ENOTEMPTY (a directory with something in it),
 * -EBUSY (the pool is frozen).
 */
int gmem_object_unlink(struct gmem_object *obj)
{
	bool unused;
	int err;

	scoped_guard(spinlock, &gmem_pool.lock) {
		if (gmem_pool.holders)
			return -EBUSY;
		err = gmem_name_may_unlink(obj);
		if (err)
			return err;
		unused = gmem_name_take_away(obj);
	}
	gmem_stop_here("unlink-recorded");
	clear_nlink(obj->inode);
	gmem_keep_stop(&obj->keeping);
	if (unused)
		gmem_object_remove(obj);
	return 0;
}

/* Where an object is. */
struct gmem_name_place {
	struct gmem_object *dir;
	char name[GMEM_NAME_SIZE];
};

static void gmem_name_get_place(const struct gmem_object *obj, struct gmem_name_place *place)
{
	place->dir = obj->parent;
	strscpy(place->name, obj->ser->name);
}

static void gmem_name_set_place(struct gmem_object *obj, const struct gmem_name_place *place)
{
	gmem_name_remove(obj);
	obj->parent = place->dir;
	obj->ser->parent = place->dir ? place->dir->id + 1 : 0;
	memset(obj->ser->name, 0, sizeof(obj->ser->name));
	strscpy(obj->ser->name, place->name);
	gmem_slot_seal(obj->ser);
	gmem_name_insert(obj);
}

/*
 * Put @obj where @target is, or where nobody is if that is NULL; @target loses its name
 * or, with @exchange, gets that of @obj. True if nobody wants @target any more.
 */
static bool gmem_name_change_places(struct gmem_object *obj, const struct gmem_name_place *to,
				    struct gmem_object *target, bool exchange)
{
	bool unused = false;
	struct gmem_name_place from;

	lockdep_assert_held(&gmem_pool.lock);

	gmem_name_get_place(obj, &from);
	if (target && !exchange)
		unused = gmem_name_take_away(target);
	gmem_name_set_place(obj, to);
	if (exchange)
		gmem_name_set_place(target, &from);
	return unused;
}

static int gmem_name_may_rename(const struct gmem_object *obj, const struct gmem_name_place *to,
				const struct gmem_object *target, bool exchange)
{
	const struct gmem_object *found = gmem_object_find(to->dir, to->name);

	/* The new name may be that of an object that has not been restored. */
	if (gmem_pool.holders || gmem_restore_pending())
		return -EBUSY;
	if (!gmem_object_visible(obj) || (target && !gmem_object_visible(target)))
		return -ENOENT;
	/* By the ioctl; what can be seen will be looked up again. */
	if (found != target)
		return found && !gmem_object_visible(found) ? -EBUSY : -ESTALE;
	return target && !exchange ? gmem_name_may_unlink(target) : 0;
}

/**
 * gmem_object_rename - give an object another name
 * @obj: the object
 * @dir: the directory in which it will be; NULL: the root
 * @name: its name there
 * @target: the object that has that name and loses it, as with gmem_object_unlink(); or NULL
 * @exchange: @target gets the name that @obj had
 *
 * Context: process context; takes gmem_pool.lock. The caller holds references, and keeps
 * others from renaming or unlinking the two, and from putting a directory into itself.
 * Return: 0, -ENOENT (it has none any more), -ESTALE (the new name is not @target's), an error
 * of gmem_object_unlink() for @target, -EDQUOT (a limit would be exceeded that does not hold
 * where it is now), -ENAMETOOLONG (too many directories would be in each other), -EBUSY (the pool
 * is frozen, or an object of that name is being created or discarded).
 */
int gmem_object_rename(struct gmem_object *obj, struct gmem_object *dir, const char *name,
		       struct gmem_object *target, bool exchange)
{
	struct gmem_name_place to = { .dir = dir };
	bool unused;
	int err;

	strscpy(to.name, name);
	scoped_guard(spinlock, &gmem_pool.lock) {
		err = gmem_name_may_rename(obj, &to, target, exchange);
		if (!err)
			err = gmem_quota_move(&obj->quota, gmem_object_quota(dir),
					      exchange ? &target->quota : NULL);
		if (err)
			return err;
		unused = gmem_name_change_places(obj, &to, target, exchange);
	}
	gmem_stop_here("rename-recorded");
	if (target && !exchange) {
		clear_nlink(target->inode);
		gmem_keep_stop(&target->keeping);
	}
	if (unused)
		gmem_object_remove(target);
	return 0;
}

/**
 * gmem_object_set_attr - change owner and permissions
 * @obj: the object
 * @uid: its owner from now on
 * @gid: its group
 * @mode: its file type and permissions
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0, -EBUSY (the pool is frozen).
 */
int gmem_object_set_attr(struct gmem_object *obj, kuid_t uid, kgid_t gid,
			 umode_t mode)
{
	guard(spinlock)(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	obj->ser->uid = from_kuid(&init_user_ns, uid);
	obj->ser->gid = from_kgid(&init_user_ns, gid);
	obj->ser->mode = mode;
	gmem_slot_seal(obj->ser);
	return 0;
}
