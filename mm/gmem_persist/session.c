// SPDX-License-Identifier: GPL-2.0
/*
 * Who holds an object over a kexec: sessions of the live update orchestrator, by luo.c.
 *
 * Sessions begin and end with a lock of LUO that a kexec waits for, and whoever uses an object may
 * have the lock of its inode for long: a write() waits for memory to be cleared. So who holds an
 * object changes under gmem_pool.lock alone. Only to keep memory that was not kept before it must
 * stand still, and nobody waits for that.
 */
#include "internal.h"

#include <linux/fs.h>

/* What is kept before it is known whose all the rest is would be quarantined. */
static bool gmem_session_must_wait(const struct gmem_object *obj)
{
	return !gmem_object_kept(obj) && gmem_left_pending();
}

/* Also if it is not kept, once gmem_keep_all() has seen to that: -EAGAIN if it has not */
static int gmem_session_record(struct gmem_object *obj, bool keeps)
{
	guard(spinlock)(&gmem_pool.lock);

	if (obj->state != GMEM_LIVE)
		return -ESTALE;
	if (!gmem_object_named(obj)) {
		if (gmem_pool.holders || gmem_session_must_wait(obj))
			return -EBUSY;
		if (!gmem_object_kept(obj) && !(keeps && gmem_keep_is_begun(&obj->keeping)))
			return -EAGAIN;
	}
	obj->sessions++;
	gmem_object_note_holds(obj);
	gmem_keep_done(&obj->keeping);
	gmem_object_count_held(obj);
	return 0;
}

/**
 * gmem_session_begin - let the next kernel learn of an object, whether or not it has a name
 * @obj: the object, of which the caller holds a handle until gmem_session_end()
 *
 * Context: process context; takes gmem_pool.lock, and the lock of the object's inode if there is
 * neither a name nor a session that keeps its memory. It does not wait for that: LUO calls with
 * locks that a kexec takes, and whoever has the inode's may have it for long.
 * Return: 0, -ESTALE (it is being discarded), -EBUSY (it has no name, and somebody changes it just
 * now, the pool is frozen, or what is in the record may not have been restored).
 */
int gmem_session_begin(struct gmem_object *obj)
{
	int err = gmem_session_record(obj, false);

	if (err != -EAGAIN)
		return err;
	if (!inode_trylock(obj->inode))
		return -EBUSY;
	do {
		/* Somebody else may have begun meanwhile: a freeze must not take that back. */
		err = gmem_object_kept(obj) ? 0 : gmem_keep_all(&obj->keeping);
		gmem_stop_here("session-kept");		/* LUO's locks are held */
		if (!err)
			err = gmem_session_record(obj, true);
	} while (err == -EAGAIN);
	gmem_keep_stop(&obj->keeping);
	inode_unlock(obj->inode);
	return err;
}

/* If somebody uses the object just now, what is kept of it no more waits for the next freeze. */
static void gmem_session_stop_keeping(struct gmem_object *obj)
{
	if (!inode_trylock(obj->inode))
		return;
	gmem_keep_stop(&obj->keeping);
	inode_unlock(obj->inode);
}

/**
 * gmem_session_end - take gmem_session_begin() back
 * @obj: the object
 *
 * Without a name it dies with its last view again. In a frozen pool its memory stays kept until
 * the thaw.
 *
 * Context: process context; takes gmem_pool.lock, and waits for nobody who uses the object.
 */
void gmem_session_end(struct gmem_object *obj)
{
	scoped_guard(spinlock, &gmem_pool.lock) {
		obj->sessions--;
		gmem_object_note_holds(obj);
	}
	gmem_session_stop_keeping(obj);
}

/**
 * gmem_session_take_back - a session of the last kernel holds a handle of an object no more
 * @obj: the object, of which the caller has a reference
 *
 * If it has no name, no views, and was the last to be taken back, it is freed.
 *
 * Context: process context; takes gmem_pool.lock, and waits for nobody who uses the object.
 */
void gmem_session_take_back(struct gmem_object *obj)
{
	bool unused = false;

	scoped_guard(spinlock, &gmem_pool.lock) {
		/* It had a name when it came here. */
		if (!obj->awaiting)
			break;
		obj->awaiting--;
		gmem_object_note_holds(obj);
		unused = gmem_object_end_unused(obj);
	}
	if (unused)
		gmem_object_remove(obj);
	else
		gmem_session_stop_keeping(obj);
}
