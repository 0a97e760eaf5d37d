// SPDX-License-Identifier: GPL-2.0
/*
 * The names of objects, and the directories that they are in.
 */

/**
 * DOC: names
 *
 * An object may have a name, which is unique in its directory. A directory is an object
 * without memory. The ioctl knows the names of the root directory only.
 *
 * In sysfs an object goes by its *key*: its name if it is in the root directory, else "#"
 * and its inode number. So what tenants call their files is seen in gmemfs alone, with the
 * permissions that are set there.
 *
 * A name stays taken until no directory of sysfs has it any more, which waits for readers
 * and so cannot be done under gmem_pool.lock. An object that is renamed has no name in sysfs
 * meanwhile, only its number. VFS sees to it that nobody else renames or unlinks it then.
 */
#include "internal.h"

#include <linux/fs.h>
#include <linux/stat.h>

/**
 * gmem_object_is_dir - is it a directory
 * @obj: the object
 *
 * Return: true if so.
 */
bool gmem_object_is_dir(const struct gmem_object *obj)
{
	return S_ISDIR(obj->meta.mode);
}

/**
 * gmem_object_key - what an object is called in sysfs
 * @obj: the object, which has a name and an inode number
 * @key: set to the key
 */
void gmem_object_key(const struct gmem_object *obj, char key[GMEM_NAME_SIZE])
{
	if (obj->parent)
		snprintf(key, GMEM_NAME_SIZE, "#%llu", (u64)obj->inode->i_ino);
	else
		strscpy(key, obj->name, GMEM_NAME_SIZE);
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

	list_for_each_entry(obj, &gmem_pool.objects, node)
		if (obj->name[0] && obj->parent == dir && !strcmp(obj->name, name))
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
	return obj && obj->state == GMEM_LIVE && obj->name[0] && !obj->unlinked;
}

static struct gmem_object *find_visible(const struct gmem_object *dir, const char *name)
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

	guard(mutex)(&gmem_pool.lock);

	/* It gets an inode under the lock, too. */
	inode = d_inode(dentry);
	if (inode)
		return gmem_object_visible(gmem_fs_inode_object(inode));
	return !name || !find_visible(NULL, name);
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

	guard(mutex)(&gmem_pool.lock);

	obj = find_visible(dir, name);
	if (!obj)
		return NULL;
	ihold(obj->inode);
	return obj->inode;
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
	struct gmem_object *obj;

	guard(mutex)(&gmem_pool.lock);

	list_for_each_entry(obj, &gmem_pool.objects, node) {
		if (obj->inode->i_ino <= ino || obj->parent != dir || !gmem_object_visible(obj))
			continue;
		memcpy(name, obj->name, sizeof(obj->name));
		ihold(obj->inode);
		return obj->inode;
	}
	return NULL;
}

/* Unlinked ones that are in use are not in it any more. */
static bool is_empty(const struct gmem_object *dir)
{
	struct gmem_object *obj;

	lockdep_assert_held(&gmem_pool.lock);

	list_for_each_entry(obj, &gmem_pool.objects, node)
		if (obj->parent == dir && !obj->unlinked)
			return false;
	return true;
}

static int may_unlink(const struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	if (!gmem_object_visible(obj))
		return -ENOENT;
	return gmem_object_is_dir(obj) && !is_empty(obj) ? -ENOTEMPTY : 0;
}

/* Its name is taken away; with its last view it is freed. The caller has pinned it. */
static void finish_unlink(struct gmem_object *obj)
{
	/* Its name was in use there until now. */
	kobject_del(&obj->kobj);
	scoped_guard(mutex, &gmem_pool.lock) {
		obj->name[0] = '\0';
		obj->parent = NULL;
	}
	clear_nlink(obj->inode);
	gmem_object_unpin(obj);
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
 * -EBUSY (the pool is frozen), -ENOSPC (the record would become too large), -ENOMEM.
 */
int gmem_object_unlink(struct gmem_object *obj)
{
	int err;

	scoped_guard(mutex, &gmem_pool.lock) {
		if (gmem_pool.holders)
			return -EBUSY;
		err = may_unlink(obj);
		if (err)
			return err;
		obj->unlinked = true;
		err = gmem_handover_update();
		if (err) {
			obj->unlinked = false;
			return err;
		}
		/* Nobody else frees it meanwhile. */
		obj->pins++;
	}
	gmem_stop_here("unlink-recorded");
	finish_unlink(obj);
	return 0;
}

/* Where an object is. */
struct place {
	struct gmem_object *dir;
	char name[GMEM_NAME_SIZE];
};

static void get_place(const struct gmem_object *obj, struct place *place)
{
	place->dir = obj->parent;
	strscpy(place->name, obj->name);
}

static void set_place(struct gmem_object *obj, const struct place *place)
{
	obj->parent = place->dir;
	strscpy(obj->name, place->name);
}

/*
 * Put @obj where @target is, or where nobody is if that is NULL; @target loses its name
 * or, with @exchange, gets that of @obj.
 */
static int change_places(struct gmem_object *obj, const struct place *to,
			 struct gmem_object *target, bool exchange)
{
	struct place from;
	int err;

	lockdep_assert_held(&gmem_pool.lock);

	get_place(obj, &from);
	set_place(obj, to);
	if (exchange)
		set_place(target, &from);
	else if (target)
		target->unlinked = true;
	err = gmem_handover_update();
	if (err) {
		set_place(obj, &from);
		if (exchange)
			set_place(target, to);
		else if (target)
			target->unlinked = false;
	} else if (target && !exchange) {
		target->name[0] = '\0';
	}
	return err;
}

static int may_rename(const struct gmem_object *obj, const struct place *to,
		      const struct gmem_object *target, bool exchange)
{
	const struct gmem_object *found = gmem_object_find(to->dir, to->name);

	if (gmem_pool.holders)
		return -EBUSY;
	if (!gmem_object_visible(obj) || (target && !gmem_object_visible(target)))
		return -ENOENT;
	/* By the ioctl; what can be seen will be looked up again. */
	if (found != target)
		return found && !gmem_object_visible(found) ? -EBUSY : -ESTALE;
	return target && !exchange ? may_unlink(target) : 0;
}

/* Let sysfs not call it by its name. */
static int show_number(struct gmem_object *obj)
{
	char number[GMEM_NAME_SIZE];

	snprintf(number, sizeof(number), "#%llu", (u64)obj->inode->i_ino);
	return obj->parent ? 0 : kobject_rename(&obj->kobj, number);
}

/* Let sysfs call it by its key again; if that cannot be done, its number will do. */
static void show_key(struct gmem_object *obj)
{
	char key[GMEM_NAME_SIZE];

	gmem_object_key(obj, key);
	if (strcmp(kobject_name(&obj->kobj), key) && kobject_rename(&obj->kobj, key))
		pr_warn("no memory to call %s by its name in sysfs: it is %s\n", obj->name,
			kobject_name(&obj->kobj));
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
 * of gmem_object_unlink() for @target, -EBUSY (the pool is frozen, or an object of that name is
 * being created or discarded), -ENOSPC (the record would become too large), -ENOMEM.
 */
int gmem_object_rename(struct gmem_object *obj, struct gmem_object *dir, const char *name,
		       struct gmem_object *target, bool exchange)
{
	struct place to = { .dir = dir };
	int err;

	strscpy(to.name, name);
	/* So that neither is discarded */
	scoped_guard(mutex, &gmem_pool.lock) {
		err = may_rename(obj, &to, target, exchange);
		if (err)
			return err;
		obj->pins++;
		if (target)
			target->pins++;
	}

	/* So that neither stands in the way of the other there. */
	err = show_number(obj);
	if (exchange)
		err = err ?: show_number(target);
	if (!err) {
		scoped_guard(mutex, &gmem_pool.lock) {
			err = may_rename(obj, &to, target, exchange);
			err = err ?: change_places(obj, &to, target, exchange);
		}
	}
	gmem_stop_here("rename-recorded");
	if (target && !exchange && !err) {
		finish_unlink(target);
	} else if (target) {
		show_key(target);
		gmem_object_unpin(target);
	}
	show_key(obj);
	gmem_object_unpin(obj);
	return err;
}

/**
 * gmem_object_set_attr - change owner and permissions
 * @obj: the object
 * @uid: its owner from now on
 * @gid: its group
 * @mode: its file type and permissions
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0, -EBUSY (the pool is frozen), -ENOSPC (the record would become too large),
 * -ENOMEM; nothing has changed then.
 */
int gmem_object_set_attr(struct gmem_object *obj, kuid_t uid, kgid_t gid,
			 umode_t mode)
{
	struct gmem_persist_object old;
	int err;

	guard(mutex)(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	old = obj->meta;
	obj->meta.uid = from_kuid(&init_user_ns, uid);
	obj->meta.gid = from_kgid(&init_user_ns, gid);
	obj->meta.mode = mode;
	err = gmem_handover_update();
	if (err) {
		obj->meta.uid = old.uid;
		obj->meta.gid = old.gid;
		obj->meta.mode = old.mode;
	}
	return err;
}
