// SPDX-License-Identifier: GPL-2.0
/*
 * Leaving this kernel by kexec: whether that may be, and if not, why.
 */

/**
 * DOC: leaving
 *
 * What has a name, or is held by a session of LUO (luo.c), lives through a kexec if the kernel
 * that comes gets the record. Not every
 * image does, and kexec can be refused for that while nothing has been shut down yet: the
 * pool registers with register_kexec_notifier(), and is asked by kernel_kexec() itself.
 *
 * The way out, when all is well:
 *
 * 1. An image is loaded (KEXEC_LOADED). Whether it gets the record is noted in gmem_pool.
 * 2. Scripts read the file "handover", which says "ok", before they stop any guest. Nothing
 *    changes by that.
 * 3. The operator may freeze the pool, and learns the same.
 * 4. reboot(2) asks whether it may be (KEXEC_PREPARE). The pool is frozen on behalf of the
 *    reboot, if the operator has not done so, and the record is sealed.
 * 5. LUO is asked, last, as it has no way back; its sessions need nothing of the pool any more.
 * 6. Nothing can fail any more. Reboot notifiers and devices come next, and then the CPUs are
 *    stopped, wherever they are.
 *
 * When it is not:
 *
 * - An image that gets no record is loaded, and there is something to lose: the log says so,
 *   and so does "handover". Nothing is refused yet, since the next image may be another one.
 * - The freeze of step 4 fails: reboot(2) fails with the same errno, the log has one
 *   line with the reason and the way out, and the pool is as it was before.
 * - An image that gets no record may start all the same if there is nothing to lose: no name,
 *   nothing that is held, and no memory in quarantine.
 * - The operator has written 1 to "lossy_kexec": whatever the reason, it goes into the log, and
 *   the kexec goes on. The pool is frozen then, too: an object whose creation has not come to
 *   its end fails, instead of being half there.
 * - Somebody else refuses after step 4, another notifier or LUO (KEXEC_ABORT): the pool is
 *   thawed, but for the operator's own freeze.
 *
 * There is no other way on which memory would survive, and so no reboot notifier: only
 * kernel_kexec() leads to step 6. A crash seals nothing; a kexec that comes back
 * (KEXEC_PRESERVE_CONTEXT) hands nothing over, and finds the pool as it was.
 */
#include "internal.h"

#include <linux/kexec.h>
#include <linux/notifier.h>

/* A kexec may lose what is in the pool. */
bool gmem_lossy_kexec;

/* The words before the colons are for scripts, and documented. */
static const char *gmem_leave_text(int err)
{
	switch (err) {
	case 0:
		return "ok";
	case -EOPNOTSUPP:
		return "no-kho: KHO is off in this kernel; boot with kho=on";
	case -ENOMEM:
		return "no-memory: there was no memory to hand the pool over; write 1 to restore";
	case -ENOEXEC:
		return "no-handover: the image for kexec gets no record; load it by kexec -s";
	case -EAGAIN:
		return "creating: an object is being created; wait, or interrupt its VMM";
	default:
		return "no-image: no kernel is loaded for kexec; load one by kexec -s";
	}
}

/**
 * gmem_leave_answer - would a kexec now hand over all that has a name
 *
 * Nothing is frozen, so the answer is of the moment. Whether the pool is frozen does not matter.
 *
 * Context: any.
 * Return: "ok", or a word, a colon, the reason, a semicolon and what can be done.
 */
const char *gmem_leave_answer(void)
{
	return gmem_leave_text(gmem_handover_check());
}

/* Does the next kernel get no record at all? */
static bool gmem_leave_without_record(int err)
{
	return err == -EOPNOTSUPP || err == -ENOEXEC || err == -ENOMEM;
}

/* Would a kexec lose anything if it came in spite of @err? */
static bool gmem_leave_loses(int err)
{
	struct gmem_stat stat;

	if (!gmem_leave_without_record(err))
		return err;
	gmem_pool_stat(GMEM_ALL_NODES, &stat);
	/* Also what there was no memory to take over, or to look at */
	return READ_ONCE(gmem_pool.nr_named) || stat.quarantined || gmem_left_pending() ||
	       !gmem_persist_enabled();
}

static void gmem_leave_loaded(const struct kimage *image)
{
	int err;

	if (!image)
		WRITE_ONCE(gmem_pool.image, -ENOENT);
	else
		WRITE_ONCE(gmem_pool.image, kimage_takes_kho(image) ? 0 : -ENOEXEC);
	if (!image || READ_ONCE(gmem_lossy_kexec))
		return;

	err = gmem_handover_check();
	if (gmem_leave_without_record(err) && gmem_leave_loses(err))
		pr_warn("kexec would be refused: %s\n", gmem_leave_text(err));
}

static int gmem_leave_prepare(void)
{
	const bool lossy = READ_ONCE(gmem_lossy_kexec);
	int err;

	/* There may be memory by now. */
	if (gmem_handover_check() == -ENOMEM)
		gmem_pool.again();
	err = gmem_handover_freeze(GMEM_HOLDER_REBOOT, false);
	if (!err)
		return 0;

	if (gmem_leave_loses(err)) {
		if (!lossy)
			goto refuse;
		pr_warn("kexec goes on, since lossy_kexec is set: %s\n", gmem_leave_text(err));
	}
	gmem_handover_freeze(GMEM_HOLDER_REBOOT, true);
	/* From here on nothing comes into the pool. Something may have come before. */
	if (lossy || !gmem_leave_loses(err))
		return 0;
	gmem_handover_thaw(GMEM_HOLDER_REBOOT);
refuse:
	pr_err("kexec refused: %s, or write 1 to lossy_kexec\n", gmem_leave_text(err));
	return err;
}

static int gmem_leave_notify(struct notifier_block *nb, unsigned long event, void *image)
{
	switch (event) {
	case KEXEC_LOADED:
		gmem_leave_loaded(image);
		break;
	case KEXEC_PREPARE:
		return notifier_from_errno(gmem_leave_prepare());
	case KEXEC_ABORT:
		gmem_handover_thaw(GMEM_HOLDER_REBOOT);
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block gmem_leave_nb = {
	.notifier_call = gmem_leave_notify,
};

/**
 * gmem_leave_init - have kexec ask the pool
 *
 * Also without KHO: then it is what is refused.
 *
 * Context: boot, before user space can load an image.
 */
void __init gmem_leave_init(void)
{
	register_kexec_notifier(&gmem_leave_nb);
}
