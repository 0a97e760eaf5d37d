// SPDX-License-Identifier: GPL-2.0
/*
 * The names of objects, and the directories that they are in.
 */

/**
 * DOC: names
 *
 * An object may have a name, which is unique in its directory. A directory is an object
 * without memory.
 *
 * Names are those of the dcache, as in ramfs: a dentry stays from when a name is given, or
 * restored, until it is taken away, so what has no dentry does not exist, and nobody else has a
 * table of names. Whoever changes what is in a directory does so by VFS, which holds the lock of
 * its inode; the functions here let the record know, and decide what the pool has a say in. KVM's
 * ioctl and the operator's discard are no exceptions (named.c).
 *
 * The record comes first, since it can refuse: the pool may be frozen. Between that and the
 * change of the dentry nobody can look, as the directory is locked; nor does it matter if the
 * host is replaced there.
 */
#include "fs.h"

#include <linux/fs.h>
#include <linux/stat.h>

static void gmem_name_leave_dir(struct gmem_object *obj)
{
	if (obj->parent)
		obj->parent->nr_below--;
	obj->parent = NULL;
}

static void gmem_name_write(struct gmem_object *obj, struct gmem_object *dir,
			    const char *name)
{
	obj->parent = dir;
	obj->ser->parent = dir ? dir->id + 1 : 0;
	memset(obj->ser->name, 0, sizeof(obj->ser->name));
	strscpy(obj->ser->name, name);
}

static int gmem_name_do_give(struct gmem_object *obj, struct gmem_object *dir,
			     const char *name)
{
	int err;

	guard(spinlock)(&gmem_pool.lock);

	if (gmem_pool.holders || gmem_left_pending())
		return -EBUSY;
	if (!gmem_keep_is_begun(&obj->keeping))
		return -EAGAIN;
	err = gmem_quota_move(&obj->quota, gmem_object_quota(dir), NULL);
	if (err)
		return err;
	gmem_name_write(obj, dir, name);
	gmem_object_unhide(obj);
	gmem_keep_done(&obj->keeping);
	gmem_object_count_name(obj);
	gmem_object_not_awaited(obj);
	return 0;
}

/**
 * gmem_name_give - give an object its name
 * @obj: the object, which is live and has none
 * @dir: the directory that it will be in; NULL: the root
 * @name: the name, which is a valid one, and free
 *
 * From here on the next kernel learns of the object.
 *
 * Context: process context; takes gmem_pool.lock; the lock of the directory's inode is held.
 * Return: 0, -EBUSY (the pool is frozen, or what has this name may not have been restored),
 * -EDQUOT (a limit would be exceeded), -ENAMETOOLONG (too many directories would be in each
 * other).
 */
int gmem_name_give(struct gmem_object *obj, struct gmem_object *dir, const char *name)
{
	int err;

	/* What is kept before it is known whose all the rest is would be quarantined. */
	if (gmem_left_pending())
		return -EBUSY;
	do {
		err = gmem_keep_all(&obj->keeping);
		gmem_stop_here("name-kept");
		if (!err)
			err = gmem_name_do_give(obj, dir, name);
	} while (err == -EAGAIN);
	gmem_keep_stop(&obj->keeping);
	return err;
}

static int gmem_name_may_unlink(const struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	/* There may be more in it than is known. */
	if (gmem_object_is_dir(obj) && gmem_left_pending())
		return -EBUSY;
	return obj->nr_below ? -ENOTEMPTY : 0;
}

/* Take the name of an object away: true if that was the last that kept it. */
static bool gmem_name_take_away(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	gmem_object_hide(obj);
	gmem_name_leave_dir(obj);
	return gmem_object_end_unused(obj);
}

/**
 * gmem_object_unlink - take an object's name away
 * @obj: the object
 *
 * It is freed with its last view, at once if it has none.
 *
 * Context: process context; takes gmem_pool.lock. The caller holds a reference, and the locks
 * of the directory's inode and, if it is a directory, of its own.
 * Return: 0, -ENOTEMPTY (a directory with something in it), -EBUSY (the pool is frozen, or what
 * is in the directory may not have been restored).
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
		clear_nlink(obj->inode);
	}
	gmem_stop_here("unlink-recorded");
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
	gmem_name_leave_dir(obj);
	gmem_name_write(obj, place->dir, place->name);
	gmem_slot_seal(obj->ser);
	gmem_object_count_name(obj);
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

static int gmem_name_may_rename(const struct gmem_object *target, bool exchange)
{
	lockdep_assert_held(&gmem_pool.lock);

	/* The new name may be that of an object that has not been restored. */
	if (gmem_pool.holders || gmem_left_pending())
		return -EBUSY;
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
 * Context: process context; takes gmem_pool.lock. The caller holds references, and the locks of
 * both directories' inodes and of @target's, and does not put a directory into itself.
 * Return: 0, -EBUSY (the pool is frozen, or what has the new name may not have been restored),
 * -EDQUOT (a limit would be exceeded that does not hold where it is now), -ENAMETOOLONG (too many
 * directories would be in each other), or an error of gmem_object_unlink() for @target.
 */
int gmem_object_rename(struct gmem_object *obj, struct gmem_object *dir, const char *name,
		       struct gmem_object *target, bool exchange)
{
	struct gmem_name_place to = { .dir = dir };
	bool unused;
	int err;

	strscpy(to.name, name);
	scoped_guard(spinlock, &gmem_pool.lock) {
		err = gmem_name_may_rename(target, exchange);
		if (!err)
			err = gmem_quota_move(&obj->quota, gmem_object_quota(dir),
					      exchange ? &target->quota : NULL);
		if (err)
			return err;
		unused = gmem_name_change_places(obj, &to, target, exchange);
		/* Who closes it last may be about that, too. */
		if (target && !exchange)
			clear_nlink(target->inode);
	}
	gmem_stop_here("rename-recorded");
	if (target && !exchange)
		gmem_keep_stop(&target->keeping);
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
