// SPDX-License-Identifier: GPL-2.0
/*
 * What is there of a VM; and what an earlier call left half done, because it was killed, is
 * brought to an end.
 */

/**
 * DOC: steps
 *
 * Saving and going on are steps, after each of which we may be gone. Two things are looked at
 * then: NAME.state, which is there as a whole or not at all, and QEMU. If there are neither, but
 * NAME.room has what NAME.saved tells of, with the right checksum, that gets its name.
 *
 *	what is done			NAME.state	QEMU			and so
 *   save
 *	the guest runs			-		running
 *	NAME.room has a note		-		running
 *	QEMU writes, we to NAME.room	-		cpr-reboot mode		called off
 *	QEMU has written		-		cpr-reboot mode		called off
 *	NAME.saved has the same note	-		postmigrate		called off
 *	    without QEMU		-		-			NAME.room is NAME.state
 *	NAME.room is NAME.state		complete	postmigrate		QEMU ends
 *	QEMU ends			complete	-			saved
 *	the disks are noted		complete	-			saved
 *   go on
 *	QEMU starts			complete	inmigrate		QEMU ends
 *	QEMU has read it		complete	paused			QEMU ends
 *	it is marked			resuming	paused			the guest goes on
 *	that is refused			complete	paused			QEMU ends
 *	the guest goes on		resuming	running			it is running
 *	NAME.state is NAME.room		-		running
 *   start anew
 *	QEMU starts			-		prelaunch		start lets it run
 *
 * To load a guest may change its memory: KVM writes a clock to where the guest has told it to. So
 * the memory's tokens are noted anew when it is marked. With "resuming" and no QEMU, they tell
 * whether the guest has run: if nobody has written to its memory, it has not, and what was saved is
 * good. Else it has run, and has died with QEMU as any guest does whose QEMU is killed.
 *
 * A guest that waits (-S, or paused) is saved as one that does. No other call than start lets one run
 * that has not run yet.
 *
 * So a guest runs in one place only, and there is always one from which it can go on.
 */
#include <stdio.h>
#include <string.h>

#include "vm.h"

/**
 * scene_close - done with it
 * @scene: the scene
 */
void scene_close(struct scene *scene)
{
	qmp_close(&scene->qmp);
	note_clear(&scene->note);
}

static void stale(struct scene *scene, bool overridable, const char *why)
{
	scene->there = THERE_STALE;
	scene->overridable = overridable;
	if (why != scene->why.text)
		WHY(&scene->why, "%s", why);
}

/* May what was saved be used, without QEMU? */
static void judge_saved(struct vm *vm, struct scene *scene)
{
	const struct note *note = &scene->note;
	enum parts parts;
	char why[1100];

	if (strcmp(note->name, vm->name)) {
		snprintf(why, sizeof(why), "it is of another VM, %s", note->name);
		stale(scene, false, why);
		return;
	}
	if (*vm->conf.memory && conf_size(note->memory) != conf_size(vm->conf.memory)) {
		snprintf(why, sizeof(why), "it is of a VM with MEMORY=%s", note->memory);
		stale(scene, true, why);
		return;
	}
	parts = memory_compare(note, &scene->why);
	if (parts == PARTS_FRESH && !disks_unchanged(vm, note, &scene->why))
		stale(scene, true, scene->why.text);
	else if (parts == PARTS_FRESH)
		scene->there = THERE_SAVED;
	else if (note->state == NOTE_RESUMING && parts == PARTS_WRITTEN)
		scene->there = THERE_NONE;	/* it has run */
	else
		stale(scene, parts != PARTS_GONE, scene->why.text);
}

/**
 * look - what is there, without changing or asking anything
 * @vm: the VM
 * @scene: is set; to be closed
 *
 * There is no session with QEMU then.
 */
void look(struct vm *vm, struct scene *scene)
{
	*scene = (struct scene){ .qmp = { .fd = -1 } };
	scene->pid = qemu_pid(vm, &scene->why);
	if (scene->pid)
		scene->there = scene->pid > 0 ? THERE_RUNNING : THERE_UNCLEAR;
	else if (file_read(vm, &scene->note, &scene->why) ||
		 (!scene->why.text[0] && file_has_no_name(vm, &scene->note)))
		judge_saved(vm, scene);
	else if (scene->why.text[0])
		stale(scene, false, text("%s %s", vm->state, scene->why.text));
	else if (file_is_missing(vm, &scene->why))
		stale(scene, false, scene->why.text);
}

static void finish_and_look(struct vm *vm, struct scene *scene)
{
	const bool finished = file_finish(vm);

	look(vm, scene);
	if (!finished)
		stale(scene, false, "all of it is there, but cannot get its name: try again");
}

static void unclear(struct scene *scene, const char *why)
{
	scene->there = THERE_UNCLEAR;
	if (why != scene->why.text)
		WHY(&scene->why, "%s", why);
}

/*
 * The guest goes on, or has done so: what was saved is used up. If that cannot be written down, as
 * on a disk that has become read-only, its memory tells that it has run.
 */
static void goes_on(struct vm *vm, struct scene *scene)
{
	scene->there = THERE_RUNNING;
	if (!file_use_up(vm, &scene->why))
		complain(vm, "%s", scene->why.text);
}

/* QEMU runs, and nothing was saved. */
static void settle_running(struct vm *vm, struct scene *scene, const char *status)
{
	struct qmp *qmp = &scene->qmp;
	bool saving, paused;

	scene->there = THERE_RUNNING;
	if (!guest_in_restart_mode(qmp, &saving)) {
		unclear(scene, qmp->why.text);
	} else if (!strcmp(status, "inmigrate")) {
		unclear(scene, "QEMU waits for what was saved, and that is gone");
	} else if (saving) {
		paused = file_was_paused(vm);
		complain(vm, "saving it did not come to an end: it goes on%s",
			 paused ? ", paused" : "");
		if (!file_remove_mark(vm, &scene->why))
			complain(vm, "%s", scene->why.text);
		scene->finished = guest_call_off(qmp, !paused);
		if (!scene->finished)
			unclear(scene, qmp->why.text);
	}
}

/* It is saved, just now or before, and has no need of this QEMU. */
static void end_and_judge(struct vm *vm, struct scene *scene, bool just_saved)
{
	if (!qemu_end(vm, &scene->qmp, scene->pid)) {
		unclear(scene, "QEMU does not end");
		return;
	}
	scene->pid = 0;
	scene->finished = true;
	if (just_saved)
		disks_look(vm, &scene->note);
	judge_saved(vm, scene);
}

/* It has been loaded, and does not run. */
static bool is_loaded(const char *status)
{
	return !strcmp(status, "paused") || !strcmp(status, "prelaunch");
}

/* QEMU runs, and what was saved is there: complete, so the guest does not run on from it. */
static void settle_complete(struct vm *vm, struct scene *scene, const char *status)
{
	enum parts parts;
	bool loaded;

	if (!strcmp(status, "running")) {
		/* Somebody has let it go on by other means. */
		complain(vm, "it runs: what was saved of it is used up");
		goes_on(vm, scene);
		return;
	}
	parts = memory_compare(&scene->note, &scene->why);
	/* To load it may have written to its memory. That it has not run since, who can tell? */
	loaded = parts == PARTS_WRITTEN && is_loaded(status);
	if (parts != PARTS_FRESH && !(loaded && vm->override)) {
		char why[1100];

		snprintf(why, sizeof(why), "QEMU has it, stopped, and %s%s", scene->why.text,
			 loaded ? " (see --override)" : "");
		unclear(scene, why);
		return;
	}
	complain(vm, "it is saved, and a QEMU that was in the middle of that ends");
	end_and_judge(vm, scene, !strcmp(status, "postmigrate"));
}

/* QEMU had read it all when somebody was about to let it go on. */
static void settle_resuming(struct vm *vm, struct scene *scene, const char *status)
{
	if (!strcmp(status, "inmigrate")) {
		settle_complete(vm, scene, status);
		return;
	}
	if (!scene->note.paused && !guest_cont(&scene->qmp)) {
		if (!scene->qmp.refused || !is_loaded(status)) {
			unclear(scene, scene->qmp.why.text);
			return;
		}
		complain(vm, "%s", scene->qmp.why.text);
		scene->note.state = NOTE_COMPLETE;
		if (file_note(vm, &scene->note, &scene->why))
			settle_complete(vm, scene, status);
		else
			unclear(scene, scene->why.text);
		return;
	}
	goes_on(vm, scene);
	scene->finished = true;
}

/**
 * settle - what is there, put in order
 * @vm: the VM, whose lock is held
 * @scene: is set; to be closed. With THERE_RUNNING there is a session with QEMU
 */
void settle(struct vm *vm, struct scene *scene)
{
	const char *status = scene->status;
	struct why why;
	bool read;

	*scene = (struct scene){ .qmp = { .fd = -1, .gone = true } };
	scene->pid = qemu_pid(vm, &scene->why);
	if (scene->pid < 0)
		unclear(scene, scene->why.text);
	if (!scene->pid)
		finish_and_look(vm, scene);
	if (scene->pid <= 0)
		return;
	if (!qmp_open(&scene->qmp, vm) || !guest_status(&scene->qmp, scene->status)) {
		unclear(scene, scene->qmp.why.text);
		if (qemu_pid(vm, &why))
			return;
		/* It has just ended. */
		scene_close(scene);
		finish_and_look(vm, scene);
		return;
	}
	read = file_read(vm, &scene->note, &scene->why);
	if (!read && scene->why.text[0])
		complain(vm, "%s %s", vm->state, scene->why.text);
	if (!read)
		settle_running(vm, scene, status);
	else if (scene->note.state == NOTE_RESUMING)
		settle_resuming(vm, scene, status);
	else
		settle_complete(vm, scene, status);
}
