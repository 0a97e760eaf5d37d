// SPDX-License-Identifier: GPL-2.0
/*
 * Replacing the host at a named moment, for tests.
 */

/**
 * DOC: stop here
 *
 * What survives a kexec must be right whenever that comes, and the moments that matter are
 * too short to be met by chance. So the code names them, by a line gmem_stop_here("name"),
 * which is a *point*. A test loads the next kernel as usual, arms one point and does what
 * leads there::
 *
 *	echo "extend-cleared:3 kexec" > /sys/kernel/debug/gmem_persist/stop
 *
 * and at the third time from now on that somebody comes there, the host is replaced. Without
 * a number it is the first time. "off" disarms. Reading the file tells how often which point
 * was passed since boot, and what is armed. There are three modes:
 *
 * kexec
 *	Whoever came there is held, and another task takes the ordinary way of kexec, with the
 *	pool's own freeze, and with the shutdown of devices.
 *	The point must not hold a lock that this way needs, which of the pool's is
 *	gmem_pool.lock, and must be allowed to sleep.
 * now
 *	The host is left as it is, as in a crash: no freeze, no notifier, no shutdown, and
 *	other CPUs are taken out of whatever they do by an NMI. It works with any lock held and
 *	in atomic context, as long as the boot CPU takes interrupts: the next kernel
 *	could not start the CPUs from another one.
 * hold
 *	Whoever came there is held until "go" is written, or until he is killed, and the host
 *	goes on: so a test sees who waits for him, and who does not. The file tells where
 *	somebody is held, and who. No kernel need be loaded; the point must be allowed to sleep.
 *
 * Points with a lock held that the way of kexec needs, and so for "now" only, say so in a comment:
 * with gmem_pool.lock, or with those of LUO, which make a kexec wait.
 *
 * If nobody has left after a minute there is a warning, and things go on: the test has failed.
 *
 * With 1 in "refuse_kexec", beside "stop", a kexec fails with EIO when all others have agreed to
 * it, and they are told. With N in "refuse_luo", the N-th handle that LUO freezes for a kexec
 * refuses that with EIO, once.
 */
#define pr_fmt(fmt) "gmem_persist: " fmt

#include "stop.h"

#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/init.h>
#include <linux/kexec.h>
#include <linux/limits.h>
#include <linux/notifier.h>
#include <linux/objtool.h>
#include <linux/printk.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/suspend.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#define MAX_POINTS	64
#define NAME_SIZE	32
#define PATIENCE	(60 * HZ)

/* Passed in any context, and seldom. */
static DEFINE_RAW_SPINLOCK(lock);

/* Those that were passed, each with how often; under @lock. */
static struct {
	const char *name;
	unsigned long passed;
} points[MAX_POINTS];

enum gmem_stop_mode { GMEM_STOP_KEXEC, GMEM_STOP_NOW, GMEM_STOP_HOLD };

static const char * const modes[] = { "kexec", "now", "hold" };

/* The armed one; @left is 0 if there is none; under @lock. */
static struct {
	char name[NAME_SIZE];
	unsigned int left;
	enum gmem_stop_mode mode;
} armed;

/* Where somebody is held, the last one; NULL: nobody is; under @lock. */
static const char *held;
static pid_t held_pid;
/* How often those who are held, however many, were told to go; under @lock, read without */
static unsigned int goes;
static DECLARE_WAIT_QUEUE_HEAD(held_wait);

static DECLARE_COMPLETION(came_back);

static void gmem_stop_by_kexec(struct work_struct *work)
{
	int err;

	/* As reboot() does */
	mutex_lock(&system_transition_mutex);
	err = kernel_kexec();
	mutex_unlock(&system_transition_mutex);
	pr_err("stop: no kexec (%pe)\n", ERR_PTR(err));
	complete(&came_back);
}

static DECLARE_WORK(kexec_work, gmem_stop_by_kexec);

/* Like __crash_kexec(), but for the image of an ordinary kexec. */
static void __noclone gmem_stop_now(void *unused)
{
	struct pt_regs regs;

	crash_setup_regs(&regs, NULL);
	machine_crash_shutdown(&regs);
	machine_kexec(kexec_image);
}

/* As __crash_kexec(): flags are popped to where objtool takes them for the frame. */
STACK_FRAME_NON_STANDARD(gmem_stop_now);

static DEFINE_PER_CPU(call_single_data_t, leave_csd) = CSD_INIT(gmem_stop_now, NULL);

/* Count, and say whether this is the moment. */
static bool gmem_stop_is_time(const char *name, enum gmem_stop_mode *mode, unsigned int *before)
{
	unsigned int i;

	guard(raw_spinlock_irqsave)(&lock);

	for (i = 0; i < MAX_POINTS && points[i].name; i++)
		if (!strcmp(points[i].name, name))
			break;
	if (!WARN_ON_ONCE(i == MAX_POINTS)) {
		points[i].name = name;
		points[i].passed++;
	}
	if (!armed.left || strcmp(armed.name, name))
		return false;
	if (--armed.left)
		return false;
	*mode = armed.mode;
	if (armed.mode == GMEM_STOP_HOLD) {
		held_pid = task_tgid_nr(current);
		held = name;
	}
	*before = goes;
	return true;
}

static void gmem_stop_hold(const char *name, unsigned int before)
{
	wait_event_killable(held_wait, READ_ONCE(goes) != before);

	guard(raw_spinlock_irqsave)(&lock);
	/* Killed */
	if (held == name)
		held = NULL;
}

static void gmem_stop_go(void)
{
	scoped_guard(raw_spinlock_irqsave, &lock) {
		held = NULL;
		WRITE_ONCE(goes, goes + 1);
	}
	wake_up_all(&held_wait);
}

/**
 * gmem_stop_here - a moment at which a test may want to replace the host, or to stand still
 * @name: of the moment; a literal
 *
 * Context: any for mode "now", process context for the others; see above.
 */
void gmem_stop_here(const char *name)
{
	enum gmem_stop_mode mode;
	unsigned int before;

	if (!gmem_stop_is_time(name, &mode, &before))
		return;
	pr_notice("stop: at %s, %s\n", name, modes[mode]);
	if (mode == GMEM_STOP_HOLD) {
		gmem_stop_hold(name, before);
		return;
	}
	if (WARN_ON(!kexec_image))
		return;
	if (mode == GMEM_STOP_KEXEC) {
		schedule_work(&kexec_work);
		wait_for_completion_timeout(&came_back, PATIENCE);
		WARN(1, "stop: nobody left at %s\n", name);
		return;
	}
	local_irq_disable();
	smp_call_function_single_async(reboot_cpu, this_cpu_ptr(&leave_csd));
	for (;;)
		cpu_relax();
}

static int gmem_stop_show(struct seq_file *m, void *unused)
{
	unsigned int i;

	guard(raw_spinlock_irqsave)(&lock);

	for (i = 0; i < MAX_POINTS && points[i].name; i++)
		seq_printf(m, "%s %lu\n", points[i].name, points[i].passed);
	if (armed.left)
		seq_printf(m, "armed: %s:%u %s\n", armed.name, armed.left,
			   modes[armed.mode]);
	if (held)
		seq_printf(m, "held: %s %d\n", held, held_pid);
	return 0;
}

/* "name[:N] mode" */
static int gmem_stop_arm(char *text)
{
	char *name = strsep(&text, " ");
	char *times = name;
	unsigned int left = 1;
	int mode;

	strsep(&times, ":");
	mode = text ? match_string(modes, ARRAY_SIZE(modes), text) : -EINVAL;
	if (mode < 0 || !name[0] || strlen(name) >= NAME_SIZE)
		return -EINVAL;
	if (times && (kstrtouint(times, 10, &left) || !left))
		return -EINVAL;

	guard(raw_spinlock_irqsave)(&lock);
	strscpy(armed.name, name);
	armed.left = left;
	armed.mode = mode;
	return 0;
}

static ssize_t gmem_stop_write(struct file *file, const char __user *from, size_t count,
			       loff_t *pos)
{
	char text[NAME_SIZE + 32] = {};
	int err = 0;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	if (sysfs_streq(text, "go"))
		gmem_stop_go();
	else if (sysfs_streq(text, "off"))
		scoped_guard(raw_spinlock_irqsave, &lock)
			armed.left = 0;
	else
		err = gmem_stop_arm(strim(text));
	return err ?: count;
}

DEFINE_SHOW_STORE_ATTRIBUTE(gmem_stop);

static bool refuse;

static int gmem_stop_refuse_kexec(struct notifier_block *nb, unsigned long event, void *image)
{
	return notifier_from_errno(event == KEXEC_PREPARE && refuse ? -EIO : 0);
}

/* After all others */
static struct notifier_block refuse_nb = {
	.notifier_call = gmem_stop_refuse_kexec,
	.priority = INT_MIN,
};

static u32 refuse_luo;

/**
 * gmem_stop_refuses_luo - is this the handle that refuses to be frozen
 *
 * Context: process context; one at a time.
 * Return: true if so.
 */
bool gmem_stop_refuses_luo(void)
{
	return refuse_luo && !--refuse_luo;
}

/**
 * gmem_stop_init - let tests arm a point, or refuse a kexec
 * @dir: the directory of debugfs in which the files will be
 */
void __init gmem_stop_init(struct dentry *dir)
{
	debugfs_create_file("stop", 0600, dir, NULL, &gmem_stop_fops);
	debugfs_create_bool("refuse_kexec", 0600, dir, &refuse);
	debugfs_create_u32("refuse_luo", 0600, dir, &refuse_luo);
	register_kexec_notifier(&refuse_nb);
}
