// SPDX-License-Identifier: GPL-2.0
/*
 * Handles of gmemfs in sessions of the live update orchestrator, LUO.
 */

/**
 * DOC: handles in sessions of LUO
 *
 * A name is one way of a guest's memory into the next kernel. A session of LUO is another: it
 * holds an open file of gmemfs, a handle, and there is one like it in the next kernel, for
 * whoever retrieves the session and knows the token. Both work in one kexec, also for one object.
 *
 * The happy path:
 *
 * 1. *Preserve.* The session gets a reference to the open file, so the object keeps a view. What
 *    identifies the object is written to a page that KHO preserves: its uuid and where its slot
 *    is (struct gmem_luo_ser). An object without a name is *held* from here on, in its slot, too:
 *    the next kernel learns of it. It may get memory or data afterwards, it may lose its name,
 *    and its guest runs.
 * 2. *Freeze.* kernel_kexec() asks the pool first, which freezes and seals its record (leave.c),
 *    and LUO last. Then there is nothing left to do but to note where in the file the handle
 *    is: a session needs nothing of the pool that could fail.
 * 3. The next kernel restores all objects at boot (restore.c), before anybody can ask LUO for
 *    one. One that was held has no name, is found by nobody, and waits.
 * 4. *Retrieve.* The file is opened anew, by the uuid. From here on it is a handle like any other;
 *    the object without a name dies with its last view, and is charged to who retrieved it. In a
 *    frozen pool, too: LUO asks once. The record learns with the thaw that nobody waits any more.
 * 5. *Finish.* The page is freed. An object without a name that was not retrieved is freed, as
 *    nobody can ask for it any more; one with a name stays where it is.
 *
 * The unhappy ones:
 *
 * - Before the kexec the session is closed (*unpreserve*): the hold goes, and then LUO's
 *   reference. An object that has neither name nor views then is freed. If the
 *   pool is frozen, that is done with the thaw; if a kexec comes before it, the memory is
 *   quarantined.
 * - Step 2 fails, in the pool or for another file of a session: nothing has to be undone here,
 *   so there is no *unfreeze*. LUO gives up first, and then the pool is thawed.
 * - The next kernel does not believe the record, or the object's slot, or has LUO off: the
 *   memory is quarantined, as any other of which the record cannot tell whose it is. Retrieve,
 *   where there is LUO, fails with ENOENT.
 * - Retrieve fails: LUO never asks again, so there is no second attempt when there is memory. What
 *   has a name can be opened by that. What has none is out of reach in this kernel; finish frees
 *   nothing then, and the next kernel quarantines the memory, which root can attach to a file.
 *   The file cannot be made at boot instead: it has the credentials of who retrieves it, and a
 *   security module decides about that. So if there is no memory for it, it is made with what
 *   is left for those who free memory, and beyond the limit of a memory cgroup.
 * - Nobody finishes the session before the next kexec: LUO forgets it, and the next kernel
 *   quarantines what it held.
 *
 * There is no *can_finish*, since nothing that finish does can fail. Several handles of an object
 * may be held, by one session or by more.
 *
 * Preserved properties: the object with all that the record says of it, and so its memory; whether
 * the file is open for reading, for writing or for both, and O_APPEND; the position.
 *
 * Non-preserved properties: close-on-exec; exclusive use (O_EXCL), for the next kernel may have
 * given the object to somebody before the session is retrieved; %GMEM_PERSIST_SHARE; a
 * VM's view. The handle is on no mount that anybody sees, so it has no path.
 */
#include "fs.h"

#include <linux/crc32.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/io.h>
#include <linux/kexec_handover.h>
#include <linux/liveupdate.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/sched/mm.h>
#include <linux/stat.h>
#include <linux/string.h>

#define GMEM_LUO_MODE	(GMEM_PERSIST_LUO_READ | GMEM_PERSIST_LUO_WRITE)
#define GMEM_LUO_FLAGS	(GMEM_LUO_MODE | GMEM_PERSIST_LUO_APPEND)

static u32 gmem_luo_crc(const struct gmem_luo_ser *ser)
{
	return crc32_le(~0, (const u8 *)ser + sizeof(ser->crc), sizeof(*ser) - sizeof(ser->crc));
}

static void gmem_luo_write(struct gmem_luo_ser *ser, const struct file *file)
{
	const struct gmem_object *obj = gmem_fs_inode_object(file_inode(file));

	memset(ser, 0, sizeof(*ser));
	if (file->f_mode & FMODE_READ)
		ser->flags |= GMEM_PERSIST_LUO_READ;
	if (file->f_mode & FMODE_WRITE)
		ser->flags |= GMEM_PERSIST_LUO_WRITE;
	if (file->f_flags & O_APPEND)
		ser->flags |= GMEM_PERSIST_LUO_APPEND;
	memcpy(ser->uuid, obj->ser->uuid, sizeof(ser->uuid));
	ser->slot = obj->id;
	ser->pos = file->f_pos;
	ser->crc = gmem_luo_crc(ser);
}

static int gmem_luo_check(const struct gmem_luo_ser *ser)
{
	if (ser->crc != gmem_luo_crc(ser))
		return -EINVAL;
	if (ser->flags & ~GMEM_LUO_FLAGS || !(ser->flags & GMEM_LUO_MODE))
		return -EOPNOTSUPP;
	return 0;
}

static bool gmem_luo_can_preserve(struct liveupdate_file_handler *handler, struct file *file)
{
	return gmem_file_is_view(file);
}

/*
 * Return: 0, -ESTALE (the object is being discarded), -EBUSY (it has no name, and somebody changes
 * it just now, the pool is frozen, or what is in the record may not have been restored), or what
 * kho_alloc_preserve() says, as -ENOMEM.
 */
static int gmem_luo_preserve(struct liveupdate_file_op_args *args)
{
	struct gmem_luo_ser *ser = kho_alloc_preserve(sizeof(*ser));
	int err;

	if (IS_ERR(ser))
		return PTR_ERR(ser);
	err = gmem_session_begin(gmem_fs_inode_object(file_inode(args->file)));
	if (err) {
		kho_unpreserve_free(ser);
		return err;
	}
	gmem_luo_write(ser, args->file);
	args->serialized_data = virt_to_phys(ser);
	return 0;
}

static void gmem_luo_unpreserve(struct liveupdate_file_op_args *args)
{
	kho_unpreserve_free(phys_to_virt(args->serialized_data));
	/* LUO still has the file: what has no name ends with that. */
	gmem_session_end(gmem_fs_inode_object(file_inode(args->file)));
}

static int gmem_luo_freeze(struct liveupdate_file_op_args *args)
{
	if (gmem_stop_refuses_luo())
		return -EIO;
	gmem_luo_write(phys_to_virt(args->serialized_data), args->file);
	return 0;
}

/* The object that a handle was of, with a reference, or NULL */
static struct gmem_object *gmem_luo_find(const struct gmem_luo_ser *ser)
{
	struct gmem_object *obj;

	guard(spinlock)(&gmem_pool.lock);

	/* All keep their slots. */
	obj = xa_load(&gmem_pool.objects, ser->slot);
	if (!obj || obj->state != GMEM_LIVE || gmem_object_is_dir(obj) ||
	    memcmp(obj->ser->uuid, ser->uuid, sizeof(ser->uuid)))
		return NULL;
	ihold(obj->inode);
	return obj;
}

/* By its name; what has none is called as with O_TMPFILE, and nobody finds it by that. */
static struct dentry *gmem_luo_dentry(struct gmem_object *obj)
{
	struct dentry *dentry = d_find_any_alias(obj->inode);
	char name[24];

	if (dentry)
		return dentry;
	snprintf(name, sizeof(name), "#%llu", (u64)obj->inode->i_ino);
	dentry = d_alloc_name(gmem_fs_mount->mnt_root, name);
	if (!dentry)
		return ERR_PTR(-ENOMEM);
	ihold(obj->inode);
	d_instantiate(dentry, obj->inode);
	return dentry;
}

static struct file *gmem_luo_open(struct gmem_object *obj, const struct gmem_luo_ser *ser)
{
	static const int modes[] = {
		[GMEM_PERSIST_LUO_READ] = O_RDONLY,
		[GMEM_PERSIST_LUO_WRITE] = O_WRONLY,
		[GMEM_LUO_MODE] = O_RDWR,
	};
	int flags = modes[ser->flags & GMEM_LUO_MODE] | O_LARGEFILE;
	struct path path = { .mnt = gmem_fs_mount };
	struct file *file;

	path.dentry = gmem_luo_dentry(obj);
	if (IS_ERR(path.dentry))
		return ERR_CAST(path.dentry);
	if (ser->flags & GMEM_PERSIST_LUO_APPEND)
		flags |= O_APPEND;
	file = dentry_open(&path, flags, current_cred());
	dput(path.dentry);
	if (!IS_ERR(file))
		vfs_setpos(file, ser->pos, MAX_LFS_FILESIZE);
	return file;
}

/* An object without a name would be lost to this kernel for want of a file and a dentry. */
static struct file *gmem_luo_open_at_last(struct gmem_object *obj, const struct gmem_luo_ser *ser)
{
	struct file *file = gmem_luo_open(obj, ser);
	unsigned int flags;

	if (file != ERR_PTR(-ENOMEM))
		return file;
	flags = memalloc_noreclaim_save();
	file = gmem_luo_open(obj, ser);
	memalloc_noreclaim_restore(flags);
	return file;
}

/*
 * Return: 0, -EINVAL (what the last kernel wrote is damaged), -EOPNOTSUPP (it asks for what this
 * kernel does not know), -ENODEV (there is no pool), -ENOENT (the pool has no such object: it was
 * refused when the record was read, or has been discarded), -ENOMEM (there is no memory for a
 * file, or was none to restore the object), -EBUSY (the object has a name, the handle was open for
 * writing, and the pool is frozen; or somebody uses the object exclusively), -ESTALE (it is being
 * discarded), -ENFILE, or what a security module says.
 */
static int gmem_luo_retrieve(struct liveupdate_file_op_args *args)
{
	const struct gmem_luo_ser *ser = phys_to_virt(args->serialized_data);
	struct gmem_object *obj;
	struct file *file;
	int err = gmem_luo_check(ser);

	if (err)
		return err;
	if (!gmem_pool.present)
		return -ENODEV;
	/* LUO asks once, and there may be memory by now. */
	if (!gmem_persist_enabled() || gmem_left_pending())
		gmem_pool.again();
	if (!gmem_persist_enabled())
		return -ENOMEM;
	obj = gmem_luo_find(ser);
	if (!obj)
		return gmem_left_pending() ? -ENOMEM : -ENOENT;
	file = gmem_luo_open_at_last(obj, ser);
	/* It has a view now. */
	if (!IS_ERR(file))
		gmem_session_take_back(obj);
	gmem_object_put(obj);
	if (IS_ERR(file))
		return PTR_ERR(file);
	args->file = file;
	return 0;
}

/* Nobody has asked for a handle, and nobody will. */
static void gmem_luo_give_up(const struct gmem_luo_ser *ser)
{
	struct gmem_object *obj;

	if (gmem_luo_check(ser) || !gmem_persist_enabled())
		return;
	obj = gmem_luo_find(ser);
	if (!obj)
		return;
	gmem_session_take_back(obj);
	gmem_object_put(obj);
}

static void gmem_luo_finish(struct liveupdate_file_op_args *args)
{
	struct gmem_luo_ser *ser = phys_to_virt(args->serialized_data);

	if (!args->retrieve_status)
		gmem_luo_give_up(ser);
	else if (args->retrieve_status < 0)
		pr_warn("object %pUb: no handle could be retrieved (%pe): if it has no name, its memory stays, and the next kernel quarantines it\n",
			ser->uuid, ERR_PTR(args->retrieve_status));
	kho_restore_free(ser);
}

static const struct liveupdate_file_ops gmem_luo_ops = {
	.can_preserve = gmem_luo_can_preserve,
	.preserve = gmem_luo_preserve,
	.unpreserve = gmem_luo_unpreserve,
	.freeze = gmem_luo_freeze,
	.retrieve = gmem_luo_retrieve,
	.finish = gmem_luo_finish,
	.owner = THIS_MODULE,
};

static struct liveupdate_file_handler gmem_luo_handler = {
	.ops = &gmem_luo_ops,
	.compatible = GMEM_PERSIST_LUO_COMPATIBLE,
};

/* Also without a pool: LUO gives up all sessions if it finds a file that nobody knows. */
static int __init gmem_luo_init(void)
{
	int err = liveupdate_register_file_handler(&gmem_luo_handler);

	if (err && err != -EOPNOTSUPP)
		pr_err("sessions of LUO cannot have handles (%pe)\n", ERR_PTR(err));
	return 0;
}
late_initcall(gmem_luo_init);
