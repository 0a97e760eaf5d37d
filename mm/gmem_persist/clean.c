// SPDX-License-Identifier: GPL-2.0
/*
 * Who clears dirty memory, and when.
 */

/**
 * DOC: cleaning
 *
 * Memory is zero when an object gets it. Two parties see to that:
 *
 * - One worker per node, of the lowest priority while it clears and on the node's own
 *   CPUs, cleans free memory in the background, so that most objects find theirs
 *   clean. The operator can slow it down or switch it off.
 * - Creation clears what is still dirty of its own memory, on several CPUs of the
 *   nodes that the memory is on. Threads of the creator's own do that: in its cgroup, of
 *   its priority, on the CPUs that it may use. A signal, a freeze or a reboot ends it.
 *
 * What is being cleaned is dirty until it is clean, in sysfs and in the record, so
 * that a kexec at any moment is safe. It stays free as well: whoever is given
 * memory that a worker is about has the worker leave it first.
 */
#include "internal.h"

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/moduleparam.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/task_work.h>
#include <linux/timekeeping.h>
#include <linux/topology.h>
#include <linux/wait.h>

#include <trace/events/gmem_persist.h>

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "gmem_persist."

/* How much is taken at a time, and so lost when the work is interrupted. */
#define PART_SIZE	SZ_256M

/* In so many ranges is looked for dirty memory at a time. */
#define LOOK_AT		256

/* More CPUs than this do not clear any faster: memory is the limit. */
#define MAX_THREADS	16

/* Does the background worker work? Also gmem_persist.clean= at boot. */
bool gmem_clean_background = true;
module_param_named(clean, gmem_clean_background, bool, 0);

/* How much the background worker cleans, in MiB per second and node; 0: no limit. */
unsigned int gmem_clean_rate;

/* How many CPUs per node creation may use; 0: as many as are useful. */
unsigned int gmem_clean_threads;

static int gmem_clean_clear(const struct gmem_range *part, int (*stop)(void *), void *arg)
{
	const u64 start = ktime_get_ns();
	int err = gmem_zero(part->base, part->size, stop, arg);

	trace_gmem_clean(part->base, part->size, ktime_get_ns() - start, err);
	return err;
}

/*
 * Creation
 */

/* What all who create have still to clear; under gmem_pool.lock */
static u64 gmem_clean_ahead;

/**
 * struct gmem_clean_helpers - threads of a creator's that will be gone when it comes back
 * @work: for the creator, on the way to user space
 * @nr: how many there are
 * @pids: they
 */
struct gmem_clean_helpers {
	struct callback_head work;
	unsigned int nr;
	struct pid *pids[MAX_THREADS];
};

/**
 * struct gmem_clean_job - clearing memory that was taken
 * @ranges: the memory
 * @creator: who waits for it, and whose signals end it
 * @killable: only fatal ones do
 * @err: why it ends early
 * @i: the range that is being handed out
 * @offset: where in it the next part begins
 * @left: how much it counts in gmem_clean_ahead
 * @busy: how many are at work on it
 * @done: nobody is any more
 * @helpers: the creator's threads that were started for it; NULL: none
 */
struct gmem_clean_job {
	const struct gmem_ranges *ranges;
	struct task_struct *creator;
	bool killable;
	int err;		/* under gmem_pool.lock, read without */
	unsigned int i;		/* under gmem_pool.lock */
	u64 offset;		/* likewise */
	u64 left;		/* likewise */
	atomic_t busy;
	struct completion done;
	struct gmem_clean_helpers *helpers;
};

static int gmem_clean_stop_job(void *arg)
{
	const struct gmem_clean_job *job = arg;

	if (current == job->creator)
		gmem_stop_here("alloc-clear");
	else
		gmem_stop_here("helper-clear");
	if (READ_ONCE(job->err))
		return job->err;
	if (job->killable ? fatal_signal_pending(job->creator) :
			    task_sigpending(job->creator))
		return -EINTR;
	/* A reboot does not wait for anybody. */
	if (gmem_pool_frozen())
		return -EBUSY;
	return 0;
}

/*
 * The next part of the memory that is not known to be zero, of size 0 if there is none in the
 * ranges that are looked at for now. False: there is nothing left.
 */
static bool gmem_clean_next_part(struct gmem_clean_job *job, struct gmem_range *part)
{
	const struct gmem_ranges *x = job->ranges;
	unsigned int left = LOOK_AT;

	lockdep_assert_held(&gmem_pool.lock);

	for (; job->i < x->nr && left; job->i++, job->offset = 0, left--) {
		const struct gmem_range *r = &x->r[job->i];

		if (!gmem_arena_next_dirty(&gmem_pool.arena,
					   r->base + job->offset,
					   r->size - job->offset, part))
			continue;
		part->size = min_t(u64, part->size, PART_SIZE);
		job->offset = gmem_range_end(part) - r->base;
		if (job->offset == r->size) {
			job->i++;
			job->offset = 0;
		}
		return true;
	}
	part->size = 0;
	return job->i < x->nr;
}

/* So much of @job is done, or will not be. */
static void gmem_clean_count(struct gmem_clean_job *job, u64 bytes)
{
	lockdep_assert_held(&gmem_pool.lock);

	bytes = min(bytes, job->left);
	job->left -= bytes;
	gmem_clean_ahead -= bytes;
}

/**
 * gmem_clean_bytes_ahead - how much all who create an object now have still to clear
 *
 * Context: any; takes gmem_pool.lock.
 * Return: bytes; the kernel's own threads are not counted.
 */
u64 gmem_clean_bytes_ahead(void)
{
	guard(spinlock)(&gmem_pool.lock);
	return gmem_clean_ahead;
}

/* What everybody who helps with @job does until nothing is left of it. */
static void gmem_clean_work_on(struct gmem_clean_job *job)
{
	struct gmem_range part;
	int err;

	spin_lock(&gmem_pool.lock);
	while (!job->err && gmem_clean_next_part(job, &part)) {
		spin_unlock(&gmem_pool.lock);
		err = part.size ? gmem_clean_clear(&part, gmem_clean_stop_job, job) : 0;
		cond_resched();
		spin_lock(&gmem_pool.lock);
		/* The record stands still then. */
		if (!err && gmem_pool.holders)
			err = -EBUSY;
		if (!err && part.size) {
			gmem_arena_set_clean(&gmem_pool.arena, part.base,
					     part.size);
			gmem_clean_count(job, part.size);
		} else if (err && !job->err) {
			WRITE_ONCE(job->err, err);
		}
	}
	spin_unlock(&gmem_pool.lock);
	gmem_clean_kick();
}

/* Signals are nothing to this thread: the creator looks for them, and it ends soon. */
static int gmem_clean_help(void *arg)
{
	static const char name[TASK_COMM_LEN] = "gmem_clear";
	struct gmem_clean_job *job = arg;

	set_task_comm(current, name);
	gmem_clean_work_on(job);
	if (atomic_dec_and_test(&job->busy))
		complete(&job->done);
	gmem_stop_here("helper-ends");
	do_exit(0);
}

/*
 * A thread of the creator's process, which never sees user space: what it does is counted,
 * limited and scheduled as what the creator does. io_uring has such threads, too. One of
 * vhost's would not do: it may be stopped or frozen before it ends, and the creator would
 * wait for it meanwhile.
 */
static bool gmem_clean_start_helper(struct gmem_clean_job *job, const struct cpumask *cpus)
{
	struct task_struct *task = create_io_thread(gmem_clean_help, job, NUMA_NO_NODE);

	if (IS_ERR(task))
		return false;
	set_cpus_allowed_ptr(task, cpus);
	atomic_inc(&job->busy);
	job->helpers->pids[job->helpers->nr++] = get_task_pid(task, PIDTYPE_PID);
	wake_up_new_task(task);
	return true;
}

/*
 * The creator has as many threads as before when it comes back: whoever has one may do what
 * others may not, as unshare(). They have nothing left to do but to end. Who traces them can
 * hold them up, so nobody else waits for that: the creator has left all locks.
 */
static void gmem_clean_miss_helpers(struct callback_head *work)
{
	struct gmem_clean_helpers *helpers = container_of(work, struct gmem_clean_helpers, work);
	unsigned int i;

	for (i = 0; i < helpers->nr; i++) {
		struct pid *pid = helpers->pids[i];

		wait_event_killable(pid->wait_pidfd, !pid_has_task(pid, PIDTYPE_PID));
		put_pid(pid);
	}
	kfree(helpers);
	/* The last of them may still be about leaving the list of threads, under this. */
	read_lock(&tasklist_lock);
	read_unlock(&tasklist_lock);
}

static void gmem_clean_miss_helpers_later(struct gmem_clean_helpers *helpers)
{
	if (!helpers)
		return;
	init_task_work(&helpers->work, gmem_clean_miss_helpers);
	/* Refused is who ends, and does not come back. */
	if (task_work_add(current, &helpers->work, TWA_RESUME))
		gmem_clean_miss_helpers(&helpers->work);
}

/* How many CPUs of @cpus are worth asking for @bytes. */
static unsigned int gmem_clean_threads_for(const struct cpumask *cpus, u64 bytes)
{
	unsigned int max = READ_ONCE(gmem_clean_threads) ?: MAX_THREADS;

	return min3((u64)max, (u64)cpumask_weight(cpus), div_u64(bytes, PART_SIZE) + 1);
}

static u64 gmem_clean_dirty_on(const struct gmem_ranges *x, int nid)
{
	struct gmem_range rest, part;
	u64 bytes = 0;
	unsigned int i;
	bool found;

	for (i = 0; i < x->nr; i++) {
		rest = x->r[i];
		while (rest.size) {
			scoped_guard(spinlock, &gmem_pool.lock)
				found = gmem_arena_next_dirty(&gmem_pool.arena, rest.base,
							      rest.size, &part);
			if (!found)
				break;
			if (gmem_arena_nid(&gmem_pool.arena, part.base) == nid)
				bytes += part.size;
			rest.size = gmem_range_end(&rest) - gmem_range_end(&part);
			rest.base = gmem_range_end(&part);
		}
	}
	return bytes;
}

/* Ask CPUs of the nodes that the memory is on, which the creator may use. */
static void gmem_clean_get_help(struct gmem_clean_job *job)
{
	bool creator_counts = false;
	cpumask_var_t cpus;
	unsigned int i, n;

	/* Those of the kernel have no process, and io_uring's would pass on what they are. */
	if (current->flags & (PF_KTHREAD | PF_USER_WORKER))
		return;
	if (!alloc_cpumask_var(&cpus, GFP_KERNEL))
		return;
	job->helpers = kzalloc_obj(*job->helpers, GFP_KERNEL_ACCOUNT);
	for (i = 0; i < gmem_pool.arena.nr_nodes; i++) {
		const int nid = gmem_pool.arena.nodes[i].nid;
		const u64 bytes = gmem_clean_dirty_on(job->ranges, nid);

		if (!bytes)
			continue;
		scoped_guard(spinlock, &gmem_pool.lock) {
			job->left += bytes;
			gmem_clean_ahead += bytes;
		}
		/* The node may have no CPUs, or none that the creator may use. */
		if (nid == NUMA_NO_NODE ||
		    !cpumask_and(cpus, current->cpus_ptr, cpumask_of_node(nid)))
			cpumask_copy(cpus, current->cpus_ptr);
		n = gmem_clean_threads_for(cpus, bytes);
		/* The creator itself is the first. */
		if (!creator_counts)
			n--;
		creator_counts = true;
		for (; n && job->helpers && job->helpers->nr < MAX_THREADS; n--)
			if (!gmem_clean_start_helper(job, cpus))
				break;
	}
	free_cpumask_var(cpus);
}

/**
 * gmem_clean_ranges - clear what must be cleared of memory that was taken
 * @x: the memory, which nobody else knows yet
 * @killable: only a fatal signal ends it, not any one
 *
 * What has been cleaned stays clean, also if this is interrupted.
 *
 * Context: process context, may take seconds; takes gmem_pool.lock.
 * Return: 0, -EINTR (a signal), -EBUSY (somebody froze the pool).
 */
int gmem_clean_ranges(const struct gmem_ranges *x, bool killable)
{
	struct gmem_clean_job job = {
		.ranges = x,
		.creator = current,
		.killable = killable,
		.busy = ATOMIC_INIT(1),
	};

	init_completion(&job.done);
	/* Without help it just takes longer. */
	gmem_clean_get_help(&job);
	gmem_clean_work_on(&job);
	/* Nothing is left to do, but somebody may still be about his last part. */
	if (!atomic_dec_and_test(&job.busy))
		wait_for_completion(&job.done);
	gmem_clean_miss_helpers_later(job.helpers);
	scoped_guard(spinlock, &gmem_pool.lock)
		gmem_clean_count(&job, job.left);
	return job.err;
}

/*
 * Background
 */

/**
 * struct gmem_clean_worker - the worker of a node
 * @nid: the node
 * @task: the worker
 * @part: what it is cleaning; size 0: nothing; under gmem_pool.lock
 * @leave: it must stop that; set under gmem_pool.lock
 */
struct gmem_clean_worker {
	int nid;
	struct task_struct *task;
	struct gmem_range part;
	bool leave;
};

static struct gmem_clean_worker *workers;
static unsigned int nr_workers;
static DECLARE_WAIT_QUEUE_HEAD(work_wait);	/* for something to clean */
static DECLARE_WAIT_QUEUE_HEAD(leave_wait);	/* for a worker to stop */

static bool gmem_clean_may_work(void)
{
	return READ_ONCE(gmem_clean_background) && !gmem_pool_frozen();
}

static int gmem_clean_stop_worker(void *arg)
{
	const struct gmem_clean_worker *worker = arg;

	gmem_stop_here("clean-clear");
	return READ_ONCE(worker->leave) || !gmem_clean_may_work() ? -EAGAIN : 0;
}

static bool gmem_clean_has_work(const struct gmem_clean_worker *worker)
{
	const struct gmem_arena_node *node =
		gmem_arena_node(&gmem_pool.arena, worker->nid);

	return READ_ONCE(node->free_dirty);
}

static bool gmem_clean_take_part(struct gmem_clean_worker *worker)
{
	const unsigned int rate = READ_ONCE(gmem_clean_rate);
	u64 max = PART_SIZE;

	/* With a limit, what a tenth of a second may clean. */
	if (rate)
		max = clamp_t(u64, (u64)rate * SZ_1M / 10, SZ_2M, max);

	guard(spinlock)(&gmem_pool.lock);
	worker->leave = false;
	return gmem_clean_may_work() &&
	       gmem_arena_find_dirty(&gmem_pool.arena, worker->nid,
				     ALIGN_DOWN(max, SZ_2M), &worker->part);
}

static void gmem_clean_part_done(struct gmem_clean_worker *worker, bool clean)
{
	guard(spinlock)(&gmem_pool.lock);

	/* A record that is sealed stands still: then it is cleaned again. */
	if (clean && !gmem_pool.holders)
		gmem_arena_set_clean(&gmem_pool.arena, worker->part.base,
				     worker->part.size);
	worker->part.size = 0;
	wake_up_all(&leave_wait);
}

/* No faster than the operator allows. */
static void gmem_clean_pace(u64 bytes, u64 started)
{
	const unsigned int rate = READ_ONCE(gmem_clean_rate);
	u64 due, spent = ktime_get_ns() - started;

	if (!rate)
		return;
	due = div64_u64(bytes * 1000, (u64)rate * SZ_1M) * NSEC_PER_MSEC;
	/* What 2 MiB take at the lowest rate; the rate may just have become lower. */
	due = min_t(u64, due, 2 * NSEC_PER_SEC);
	if (due > spent)
		schedule_timeout_idle(nsecs_to_jiffies(due - spent) + 1);
}

/*
 * Of the lowest priority, but not when somebody waits for it: with gmem_pool.lock
 * held, or in gmem_clean_leave(), which may come at any moment.
 */
static int gmem_clean_work_part(struct gmem_clean_worker *worker)
{
	int err;

	set_user_nice(current, MAX_NICE);
	if (READ_ONCE(worker->leave))
		set_user_nice(current, 0);
	err = gmem_clean_clear(&worker->part, gmem_clean_stop_worker, worker);
	set_user_nice(current, 0);
	return err;
}

static int gmem_clean_node(void *arg)
{
	struct gmem_clean_worker *worker = arg;

	while (!kthread_should_stop()) {
		u64 started, bytes;
		int err;

		wait_event_idle(work_wait,
				gmem_clean_has_work(worker) && gmem_clean_may_work());
		if (!gmem_clean_take_part(worker))
			continue;
		started = ktime_get_ns();
		bytes = worker->part.size;
		err = gmem_clean_work_part(worker);
		gmem_stop_here("clean-cleared");
		gmem_clean_part_done(worker, !err);
		gmem_stop_here("clean-marked");
		gmem_clean_pace(bytes, started);
	}
	return 0;
}

/**
 * gmem_clean_kick - there may be something to clean
 *
 * To be called after whatever changed the arena: the workers look at its sums without
 * the lock, and may have seen them halfway through a change.
 *
 * Context: any that may wake up a task.
 */
void gmem_clean_kick(void)
{
	wake_up_all(&work_wait);
}

static struct gmem_range gmem_clean_part_of(const struct gmem_clean_worker *worker)
{
	guard(spinlock)(&gmem_pool.lock);
	return worker->part;
}

static bool gmem_clean_in_the_way(const struct gmem_range *part, const struct gmem_ranges *x)
{
	unsigned int i;

	for (i = 0; part->size && i < x->nr; i++)
		if (x->r[i].base < gmem_range_end(part) && part->base < gmem_range_end(&x->r[i]))
			return true;
	return false;
}

/* Have a worker leave its part: false if it has done so. */
static bool gmem_clean_still_at(struct gmem_clean_worker *worker, const struct gmem_range *part)
{
	guard(spinlock)(&gmem_pool.lock);

	if (!worker->part.size || worker->part.base != part->base)
		return false;
	WRITE_ONCE(worker->leave, true);
	set_user_nice(worker->task, 0);
	return true;
}

/**
 * gmem_clean_leave - have the background workers leave memory alone
 * @x: memory that is not free any more, so that none of them begins with it
 *
 * Takes no longer than clearing 2 MiB.
 *
 * Context: process context; takes gmem_pool.lock.
 */
void gmem_clean_leave(const struct gmem_ranges *x)
{
	unsigned int i;

	for (i = 0; i < nr_workers; i++) {
		const struct gmem_range part = gmem_clean_part_of(&workers[i]);

		if (gmem_clean_in_the_way(&part, x))
			wait_event(leave_wait, !gmem_clean_still_at(&workers[i], &part));
	}
}

/**
 * gmem_clean_init - start the background workers
 *
 * Context: process context; the pool has been taken over.
 */
void gmem_clean_init(void)
{
	const struct gmem_arena *arena = &gmem_pool.arena;
	unsigned int i;

	/* Without workers, creation has more to clear; that is all. */
	workers = kcalloc(arena->nr_nodes, sizeof(*workers), GFP_KERNEL);
	if (!workers)
		return;

	nr_workers = arena->nr_nodes;
	for (i = 0; i < arena->nr_nodes; i++) {
		struct gmem_clean_worker *worker = &workers[i];
		const int nid = arena->nodes[i].nid;
		struct task_struct *task;

		if (nid == NUMA_NO_NODE)
			task = kthread_create(gmem_clean_node, worker, "gmem_clean/any");
		else
			task = kthread_create_on_node(gmem_clean_node, worker, nid,
						      "gmem_clean/%d", nid);
		if (IS_ERR(task)) {
			pr_warn("no worker cleans node %d in the background\n", nid);
			continue;
		}
		worker->nid = nid;
		worker->task = task;
		wake_up_process(task);
	}
}
