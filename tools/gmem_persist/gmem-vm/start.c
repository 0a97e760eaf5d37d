// SPDX-License-Identifier: GPL-2.0
/*
 * Starting a guest: a new one, or one that goes on where it was. DOC: steps in settle.c tells
 * what becomes of it if we are killed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm.h"

/* So much is reserved before QEMU can tell how much it may be. */
#define ROOM_AT_LEAST	(2 << 20)

/* The guest has surely not run, and QEMU, which may have changed its memory, has ended. */
static void take_back(struct vm *vm, struct scene *scene)
{
	struct note *note = &scene->note;
	const bool refused = note->state == NOTE_RESUMING;
	struct why why;

	note->state = NOTE_COMPLETE;
	/* What was stale stays so, until QEMU has taken all of it. */
	if (scene->there != THERE_STALE && !memory_settle(note, false, &why))
		complain(vm, "%s", why.text);
	/* Up to 9.2 QEMU takes the disks when it has loaded, and may write, as to bitmaps of qcow2. */
	if (scene->there != THERE_STALE && !refused && scene->qmp.major < 10)
		disks_look(vm, note);
	if (!file_note(vm, note, &why))
		complain(vm, "%s", why.text);
}

/* Nothing of the guest has run, and nothing is lost: end QEMU, and say why. */
static int give_up(struct vm *vm, struct scene *scene, const char *why)
{
	struct why unclear;

	scene->pid = qemu_pid(vm, &unclear);
	if (scene->pid < 0)
		complain(vm, "%s", unclear.text);
	else if (scene->pid && !qemu_end(vm, &scene->qmp, scene->pid))
		complain(vm, "QEMU, process %d, does not end", (int)scene->pid);
	else if (scene->loaded)
		take_back(vm, scene);
	complain(vm, "%s", why);
	return STATUS_FAILED;
}

/* Room for all that saving it may take */
static bool reserve(struct vm *vm, struct scene *scene, struct why *why)
{
	struct note note = { .cpu = scene->cpu };
	struct mapped mapped;
	uint64_t bytes;
	bool told = memory_parts(vm, scene->pid, false, &note, &mapped, why);

	if (told && ((mapped.others && !guest_keeps_files(&scene->qmp, NULL, &mapped)) ||
		     !guest_state_bytes(&scene->qmp, mapped.shared, &bytes))) {
		*why = scene->qmp.why;
		told = false;
	}
	if (told && guest_facts(&scene->qmp, &note))
		facts_keep(vm, scene->pid, &note);
	note_clear(&note);
	return told && file_reserve(vm, bytes, why);
}

/* QEMU is up, and can do what is needed. */
static bool launch(struct vm *vm, struct scene *scene, const char *machine, bool incoming,
		   struct why *why)
{
	struct mapped any = { .others = true };
	struct qmp *qmp = &scene->qmp;

	qmp_close(qmp);
	if (qemu_launch(vm, machine, incoming)) {
		WHY(why, interrupted ? "interrupted" : "QEMU did not start");
		return false;
	}
	scene->pid = qemu_pid(vm, why);
	if (!scene->pid)
		WHY(why, "QEMU has ended again");
	if (scene->pid <= 0)
		return false;
	if (!qmp_open(qmp, vm) || !guest_can_be_saved(qmp) || !guest_keeps_files(qmp, NULL, &any)) {
		*why = qmp->why;
		return false;
	}
	qmp->interruptible = true;
	return true;
}

/* A new guest; if it is not to run, QEMU is to end. */
static bool begin(struct vm *vm, struct scene *scene, struct why *why)
{
	/* Who had such memory when it was asked for before may have been saved since. */
	if (!launch(vm, scene, vm->conf.machine, false, why) || !memory_is_free(vm, why) ||
	    !reserve(vm, scene, why))
		return false;
	if (interrupted) {
		WHY(why, "interrupted");
		return false;
	}
	scene->qmp.interruptible = false;
	if (conf_has_word(&vm->conf, "-S") || guest_cont(&scene->qmp))
		return true;
	*why = scene->qmp.why;
	return false;
}

static int start_anew(struct vm *vm, struct scene *scene)
{
	struct why why;

	/* What can fail comes before what is given up. */
	if (!file_reserve(vm, ROOM_AT_LEAST, &why) || !memory_is_free(vm, &why) ||
	    !(vm->keep_memory ? memory_keep(vm, &why) : memory_renew(vm, &why))) {
		complain(vm, "%s", why.text);
		return STATUS_FAILED;
	}
	if (!begin(vm, scene, &why))
		return give_up(vm, scene, why.text);
	say(vm, "started");
	return STATUS_OK;
}

/* The machine that it was, with the settings that it has now */
static char *machine_of(const struct vm *vm, const struct note *note)
{
	const char *settings = strchrnul(vm->conf.machine, ',');

	if (!note->machine[0])
		return text("%s", vm->conf.machine);
	return text("%s%s", note->machine, settings);
}

/* Does this host, with this kernel and QEMU, offer what the guest knows that its CPU can do? */
static bool cpu_suffices(struct vm *vm, struct scene *scene, struct why *why)
{
	char names[800], message[900];

	if (!scene->note.cpu.nr)
		return true;
	if (!guest_cpu(&scene->qmp, &scene->cpu)) {
		*why = scene->qmp.why;
		return false;
	}
	if (!cpu_missing(&scene->note.cpu, &scene->cpu, names, sizeof(names)))
		return true;
	snprintf(message, sizeof(message), "its CPU had what there is not here: %s", names);
	if (vm->override) {
		log_override(vm, message);
		return true;
	}
	WHY(why, "%s", message);
	return false;
}

/* Had the guest that memory, and is it where it was? */
static bool part_same(const struct note *note, const struct note_part *now, struct why *why)
{
	for (size_t i = 0; i < note->nr_parts; i++) {
		const struct note_part *then = &note->parts[i];

		if (strcmp(then->uuid, now->uuid))
			continue;
		if (!then->where || !now->where || !strcmp(then->where, now->where))
			return true;
		WHY(why, "%s is the memory of %s, and was that of %s", now->path, now->where,
		    then->where);
		return false;
	}
	WHY(why, "%s is no memory that it had", now->path);
	return false;
}

/* Has this QEMU mapped the memory that the guest had, all of it and no other, each where it was? */
static bool memory_same(struct vm *vm, struct scene *scene, struct why *why)
{
	struct note now = { 0 };
	struct mapped mapped;
	bool same = memory_parts(vm, scene->pid, false, &now, &mapped, why);

	if (same && mapped.nr > 1 && !guest_keeps_files(&scene->qmp, &now, &mapped)) {
		*why = scene->qmp.why;
		same = false;
	}
	if (same && now.nr_parts != scene->note.nr_parts) {
		WHY(why, "its memory was %zu files, and is %zu now", scene->note.nr_parts,
		    now.nr_parts);
		same = false;
	}
	for (size_t i = 0; same && i < now.nr_parts; i++)
		same = part_same(&scene->note, &now.parts[i], why);
	note_clear(&now);
	if (same || !vm->override)
		return same;
	log_override(vm, why->text);
	return true;
}

/* Since it was saved, until now, when nobody else can write to it any more */
static bool memory_fresh(struct vm *vm, struct scene *scene, struct why *why)
{
	struct why found;
	enum parts parts = memory_compare(&scene->note, &found);

	if (parts == PARTS_FRESH || (vm->override && parts != PARTS_GONE))
		return true;
	WHY(why, "it has just become stale: %s", found.text);
	return false;
}

/* Has this QEMU the disks that the guest had, as they were? */
static bool disks_fresh(struct vm *vm, struct scene *scene, struct why *why)
{
	struct why found;

	if (!disks_same(vm, &scene->qmp, &scene->note, &found)) {
		if (!vm->override) {
			WHY(why, "%.900s (see --override)", found.text);
			return false;
		}
		log_override(vm, found.text);
	}
	if (vm->override || disks_unchanged(vm, &scene->note, &found))
		return true;
	WHY(why, "it has just become stale: %.900s", found.text);
	return false;
}

static bool load(struct vm *vm, struct qmp *qmp, struct why *why)
{
	char *uri = text("file:%s,offset=%d", vm->state, NOTE_SIZE), status[32];
	json_t *arguments = json_pack("{s:s}", "uri", uri);
	struct why words;

	free(uri);
	/* Since 9.1 QEMU can live to tell what was wrong. */
	if (qmp->major > 9 || (qmp->major == 9 && qmp->minor >= 1))
		json_object_set_new(arguments, "exit-on-error", json_false());
	qmp->migration = MIGRATION_NONE;
	if (!qmp_do(qmp, "migrate-incoming", arguments)) {
		*why = qmp->why;
		return false;
	}
	while (qmp->migration == MIGRATION_NONE) {
		if (!qmp_hear(qmp)) {
			*why = qmp->why;
			/* It does not tell how far it is. */
			if (!qmp->gone)
				WHY(why, "QEMU has not loaded it within PATIENCE=%d seconds",
				    qmp->patience);
			return false;
		}
	}
	if (qmp->migration == MIGRATION_COMPLETED)
		return true;
	if (!guest_migration_state(qmp, status, &words))
		*why = qmp->why;
	else
		WHY(why, "QEMU says: %s", words.text[0] ? words.text : status);
	return false;
}

/* Up to the last moment in which nothing has changed */
static bool bring_back(struct vm *vm, struct scene *scene, const char *machine, struct why *why)
{
	struct qmp *qmp = &scene->qmp;
	bool good;

	if (!launch(vm, scene, machine, true, why) || !cpu_suffices(vm, scene, why) ||
	    !memory_fresh(vm, scene, why) || !memory_same(vm, scene, why) ||
	    !disks_fresh(vm, scene, why))
		return false;
	if (!guest_restart_mode(qmp, true)) {
		*why = qmp->why;
		return false;
	}
	/* Who is told to end waits for this: until QEMU has ended it, memory may change. */
	qmp->interruptible = false;
	scene->loaded = true;
	good = load(vm, qmp, why);
	qmp->interruptible = true;
	if (!good)
		return false;
	if (!guest_restart_mode(qmp, false)) {
		*why = qmp->why;
		return false;
	}
	if (!interrupted)
		return true;
	WHY(why, "interrupted");
	return false;
}

/* From here on there is no way back, unless QEMU refuses. */
static int let_go_on(struct vm *vm, struct scene *scene)
{
	struct note *note = &scene->note;
	struct why why;

	scene->qmp.interruptible = false;
	/* From now on, who has written to its memory is the guest. */
	if (!memory_settle(note, vm->override, &why))
		return give_up(vm, scene, why.text);
	note->state = NOTE_RESUMING;
	if (!file_note(vm, note, &why))
		return give_up(vm, scene, why.text);
	if (!note->paused && !guest_cont(&scene->qmp)) {
		why = scene->qmp.why;
		if (scene->qmp.refused)
			return give_up(vm, scene, why.text);
		complain(vm, "%s", why.text);
		complain(vm, "QEMU has it, and does not let it go on: start it again");
		return STATUS_FAILED;
	}
	if (!file_use_up(vm, &why))
		complain(vm, "%s", why.text);
	else if (!reserve(vm, scene, &why))
		complain(vm, "saving it may fail: %s", why.text);
	say(vm, note->paused ? "is as it was, paused" : "goes on");
	return STATUS_OK;
}

static int resume(struct vm *vm, struct scene *scene)
{
	char *machine = machine_of(vm, &scene->note);
	struct why why;
	bool ready = bring_back(vm, scene, machine, &why);

	free(machine);
	if (ready)
		return let_go_on(vm, scene);
	give_up(vm, scene, why.text);
	complain(vm, "it is a %s saved by QEMU %s, and is kept",
		 scene->note.machine[0] ? scene->note.machine : "machine", scene->note.qemu);
	return STATUS_FAILED;
}

static int resume_stale(struct vm *vm, struct scene *scene)
{
	if (vm->override && scene->overridable) {
		log_override(vm, scene->why.text);
		return resume(vm, scene);
	}
	complain(vm, "what was saved cannot be used: %s (see \"drop\"%s)", scene->why.text,
		 scene->overridable ? " and --override" : "");
	return STATUS_STALE;
}

static int start_what_is_there(struct vm *vm, struct scene *scene)
{
	struct why why;

	switch (scene->there) {
	case THERE_RUNNING:
		/* An earlier start did not come to its end. */
		if (!scene->finished && !strcmp(scene->status, "prelaunch") &&
		    !qemu_is_to_wait(scene->pid)) {
			scene->finished = guest_cont(&scene->qmp);
			if (!scene->finished)
				complain(vm, "%s", scene->qmp.why.text);
		}
		if (!scene->finished) {
			complain(vm, "it is running");
			return STATUS_FAILED;
		}
		if (!reserve(vm, scene, &why))
			complain(vm, "saving it may fail: %s", why.text);
		say(vm, "goes on");
		return STATUS_OK;
	case THERE_UNCLEAR:
		complain(vm, "%s", scene->why.text);
		return STATUS_FAILED;
	case THERE_STALE:
		return resume_stale(vm, scene);
	case THERE_SAVED:
		return resume(vm, scene);
	case THERE_NONE:
		break;
	}
	if (scene->note.state == NOTE_RESUMING && scene->note.nr_parts)
		complain(vm, "it had gone on, and its QEMU has ended since: it boots anew");
	if (file_use_up(vm, &why))
		return start_anew(vm, scene);
	complain(vm, "%s", why.text);
	return STATUS_FAILED;
}

/* With -snapshot, or so for one disk, QEMU writes to a file that goes with it. */
static bool forgets_disks(const struct conf *conf)
{
	return conf_has_word(conf, "-snapshot") || conf_has_word(conf, "--snapshot") ||
	       conf_says(conf, "snapshot=", true);
}

/**
 * start - start a VM
 * @vm: the VM
 *
 * Return: an exit status.
 */
int start(struct vm *vm)
{
	struct scene scene;
	int status;

	if (forgets_disks(&vm->conf)) {
		complain(vm, "with snapshot=on, what the guest writes to its disks would be lost");
		return STATUS_USAGE;
	}
	if (conf_says(&vm->conf, "discard-data", true)) {
		complain(vm, "with discard-data=on, QEMU would clear what is to be kept");
		return STATUS_USAGE;
	}
	status = prepare(vm, false);
	if (status)
		return status;
	host_wait_for_kvm();
	crowd_enter(vm);
	settle(vm, &scene);
	status = start_what_is_there(vm, &scene);
	scene_close(&scene);
	if (status || !interrupted) {
		crowd_leave();
		return status;
	}
	/* Who told us to end was too late for that, and will end QEMU next. */
	complain(vm, "interrupted: it is stopped again");
	stop_locked(vm);
	return STATUS_FAILED;
}
