// SPDX-License-Identifier: GPL-2.0
/*
 * Saving a guest. DOC: steps in settle.c tells what becomes of it if we are killed.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "vm.h"

/* What QEMU writes, on its way into the room */
struct stream {
	int from;
	int to;
	uint64_t length;
	uint32_t crc;
	bool ended;
};

static bool write_all(struct stream *stream, const unsigned char *bytes, size_t length)
{
	while (length) {
		ssize_t done = pwrite(stream->to, bytes, length, NOTE_SIZE + stream->length);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		stream->crc = crc32(stream->crc, bytes, done);
		stream->length += done;
		bytes += done;
		length -= done;
	}
	return true;
}

/* Take what is there. False, and a reason: it cannot be kept. */
static bool take(struct vm *vm, struct stream *stream, struct why *why)
{
	static unsigned char buffer[256 << 10];
	ssize_t got = recv(stream->from, buffer, sizeof(buffer), MSG_DONTWAIT);

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (got < 0) {
		WHY(why, "what QEMU writes cannot be read: %m");
		return false;
	}
	stream->ended = !got;
	if (write_all(stream, buffer, got))
		return true;
	WHY(why, "cannot write %s after %" PRIu64 " bytes: %m", vm->room, stream->length);
	return false;
}

/*
 * Something has come, so it is not over yet. Once a second, ask for the time that QEMU may be
 * silent then, the guest may take to shut down, and QEMU to end.
 */
static void ask_for_time(const struct qmp *qmp)
{
	static int64_t next;

	if (now_ms() < next)
		return;
	next = now_ms() + 1000;
	host_extend(3 * qmp->patience);
}

/* Until QEMU has said that this is all, or that it has failed */
static bool take_all(struct vm *vm, struct qmp *qmp, struct stream *stream, struct why *why)
{
	int64_t deadline = qmp_deadline(qmp), left;
	struct pollfd fds[2] = {
		{ .fd = qmp->fd, .events = POLLIN },
		{ .fd = stream->from, .events = POLLIN },
	};

	while (!stream->ended || qmp->migration == MIGRATION_NONE) {
		char status[32];

		if (qmp->migration == MIGRATION_FAILED) {
			if (!guest_migration_state(qmp, status, why) || !why->text[0])
				WHY(why, "QEMU could not save it");
			return false;
		}
		left = deadline - now_ms();
		if (left <= 0) {
			WHY(why, "QEMU does not come to an end with saving it");
			return false;
		}
		/* What has ended is always ready. */
		if (poll(fds, stream->ended ? 1 : 2, left) < 0 && errno != EINTR) {
			WHY(why, "poll: %m");
			return false;
		}
		if (!stream->ended && fds[1].revents) {
			if (!take(vm, stream, why))
				return false;
			deadline = qmp_deadline(qmp);
			ask_for_time(qmp);
		}
		if (fds[0].revents && !qmp_pump(qmp)) {
			*why = qmp->why;
			return false;
		}
	}
	return true;
}

/* Let QEMU write it, and us keep it. What it writes to is closed then. */
static bool migrate(struct vm *vm, struct qmp *qmp, struct stream *stream, struct why *why)
{
	json_t *taken;
	int ends[2];
	bool done;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) {
		WHY(why, "socketpair: %m");
		return false;
	}
	stream->from = ends[0];
	taken = qmp_call_with(qmp, "getfd", json_pack("{s:s}", "fdname", "gmem-vm"), ends[1]);
	close(ends[1]);
	qmp->migration = MIGRATION_NONE;
	done = taken && qmp_do(qmp, "migrate", json_pack("{s:s}", "uri", "fd:gmem-vm"));
	json_decref(taken);
	if (!done)
		*why = qmp->why;
	else
		done = take_all(vm, qmp, stream, why);
	close(ends[0]);
	return done;
}

/*
 * QEMU itself refuses to save a device that is no file of the host's, as one of vfio-user is. So
 * only who asks whether a guest could be saved has to have QEMU tell of all.
 */
static bool has_no_assigned(struct scene *scene, bool save)
{
	return (save && !qemu_may_have_assigned(scene->pid)) ||
	       guest_has_no_assigned(&scene->qmp, scene->status);
}

/* Can it be written down when it is saved, however much that is? */
static bool note_fits(struct vm *vm, const struct note *note, struct why *why)
{
	struct note longest = *note;
	char block[NOTE_SIZE];
	const char *reason;

	longest.length = UINT64_MAX;
	if (note_print(&longest, block, &reason))
		return true;
	WHY(why, "%s: %s", reason, vm->state);
	return false;
}

/* What can be said of it while it runs, whether it is saved then or not, and room */
static bool get_ready(struct vm *vm, struct scene *scene, bool save, struct note *note,
		      struct mapped *mapped, struct why *why)
{
	struct qmp *qmp = &scene->qmp;
	uint64_t bytes;

	snprintf(note->name, sizeof(note->name), "%s", vm->name);
	snprintf(note->qemu, sizeof(note->qemu), "%s", qmp->version);
	note->file = text("%s", vm->state);
	if (!memory_parts(vm, scene->pid, false, note, mapped, why))
		return false;
	if (!guest_can_be_saved(qmp) ||
	    ((scene->finished || !*scene->status) && !guest_status(qmp, scene->status)) ||
	    !has_no_assigned(scene, save) ||
	    !guest_keeps_files(qmp, note, mapped) ||
	    !(facts_recall(vm, scene->pid, note) || guest_facts(qmp, note)) ||
	    !guest_state_bytes(qmp, mapped->shared, &bytes)) {
		*why = qmp->why;
		return false;
	}
	/* A paused one is in the second if saving it was called off. */
	note->paused = !strcmp(scene->status, "paused") ||
		       !strcmp(scene->status, "postmigrate") ||
		       (!strcmp(scene->status, "prelaunch") && qemu_is_to_wait(scene->pid));
	return note_fits(vm, note, why) && file_reserve(vm, bytes, why);
}

static bool save_to_room(struct vm *vm, struct scene *scene, struct note *note, struct why *why)
{
	struct stream stream = { .to = file_open_room(vm, why), .crc = crc32(0, NULL, 0) };
	struct note now = { 0 };
	struct mapped mapped;
	bool done;

	if (stream.to < 0)
		return false;
	/* What its memory is known by now, when the guest is stopped, is what counts. */
	done = migrate(vm, &scene->qmp, &stream, why) &&
	       memory_parts(vm, scene->pid, true, &now, &mapped, why);
	if (done)
		note_replace_parts(note, &now);
	note_clear(&now);
	note->length = stream.length;
	note->crc = stream.crc;
	if (done)
		disks_name(&scene->qmp, stream.to, note);
	done = done && file_commit(vm, stream.to, note, why);
	close(stream.to);
	return done;
}

/* It is saved, so QEMU is not needed any more. */
static void report_and_end(struct vm *vm, struct scene *scene, const struct note *note)
{
	bool ended = qemu_end(vm, &scene->qmp, scene->pid);

	say(vm, "saved, %" PRIu64 " bytes", NOTE_SIZE + note->length);
	if (ended)
		disks_look(vm, note);
	else
		complain(vm, "QEMU, process %d, does not end", (int)scene->pid);
}

/**
 * save_running - save a guest
 * @vm: the VM
 * @scene: with THERE_RUNNING
 *
 * Return: false: it could not be saved, and goes on, unless that was said, too.
 */
bool save_running(struct vm *vm, struct scene *scene)
{
	struct qmp *qmp = &scene->qmp;
	struct note note = { 0 };
	struct why why = { "" };
	struct mapped mapped;
	bool saved = false, goes_on = true;

	if (!get_ready(vm, scene, true, &note, &mapped, &why) || !file_announce(vm, &note, &why)) {
		complain(vm, "%s", why.text);
	} else if (!guest_pause_again(qmp, scene->status) || !guest_restart_mode(qmp, true) ||
		   !save_to_room(vm, scene, &note, &why)) {
		complain(vm, "%s", why.text[0] ? why.text : qmp->why.text);
		goes_on = guest_call_off(qmp, !note.paused);
		if (!goes_on)
			complain(vm, "and QEMU does not go on: %s", qmp->why.text);
	} else {
		saved = true;
		report_and_end(vm, scene, &note);
	}
	if (!saved && goes_on)
		complain(vm, "it could not be saved and goes on");
	note_clear(&note);
	return saved;
}

/**
 * save_is_lost - is what is saved of it, or will be, lost with this kernel
 * @vm: the VM
 * @why: if so, a sentence
 */
bool save_is_lost(const struct vm *vm, struct why *why)
{
	char *folder = text("%.*s", (int)(strrchr(vm->state, '/') - vm->state), vm->state);
	const bool lost = memory_is_lost(folder);

	free(folder);
	if (lost)
		WHY(why, "%s is not on gmemfs or a disk and would be lost", vm->state);
	return lost;
}

/**
 * check_running - could a guest be saved now, by all that can be said while it runs
 * @vm: the VM
 * @scene: with THERE_RUNNING
 *
 * Return: false: it could not, and that was said.
 */
bool check_running(struct vm *vm, struct scene *scene)
{
	struct note note = { 0 };
	struct why why = { "" };
	struct mapped mapped;
	bool ready = get_ready(vm, scene, false, &note, &mapped, &why);

	if (!ready) {
		complain(vm, "it could not be saved now: %s", why.text);
	} else if (memory_has_others(&note, &why) || save_is_lost(vm, &why)) {
		complain(vm, "it could not go on then: %s", why.text);
		ready = false;
	} else if (qemu_ends_early(scene->pid)) {
		complain(vm,
			 "it would end with the session that has started it: save it, and let systemctl start gmem-vm@%s",
			 vm->name);
		ready = false;
	}
	if (ready && mapped.unaligned)
		complain(vm,
			 "nothing is lost, but %s has small leaves: let its memory-backend-file have align=2M",
			 mapped.unaligned);
	note_clear(&note);
	return ready;
}
