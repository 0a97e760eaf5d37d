// SPDX-License-Identifier: GPL-2.0
/*
 * The file of what was saved, and the room for it.
 *
 * As long as a guest runs there is NAME.room, which is long enough and mostly empty. What is
 * saved is written there; when all of it is there it is renamed, and is NAME.state from that
 * moment. When the guest goes on it is renamed back, so that no step needs room that is not
 * there already.
 *
 * If that is elsewhere than the memory, on a disk that may not be there when the guest shall go
 * on, the file NAME.saved, which is empty, stands beside the memory for as long.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "vm.h"

/* That a file is "busy" tells nobody that the whole pool is frozen. False: it is not that. */
static bool is_frozen(int error, struct why *why)
{
	if (error != EBUSY)
		return false;
	WHY(why, "the pool is frozen, so nothing can be saved (gmemctl thaw)");
	return true;
}

/**
 * file_open_room - open the room for what is to be saved
 * @vm: the VM
 * @why: why not
 *
 * Return: a descriptor, or -1.
 */
int file_open_room(const struct vm *vm, struct why *why)
{
	int fd = open(vm->room, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 && !is_frozen(errno, why))
		WHY(why, "cannot make %s: %m", vm->room);
	return fd;
}

/**
 * file_reserve - let there be room for what is to be saved
 * @vm: the VM
 * @bytes: how much that may be
 * @why: why not
 *
 * Return: false: there is not so much.
 */
bool file_reserve(const struct vm *vm, uint64_t bytes, struct why *why)
{
	int fd = file_open_room(vm, why), error;

	if (fd < 0)
		return false;
	error = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, bytes) ? errno : 0;
	close(fd);
	/* A file system that cannot promise it may have it nevertheless. */
	if (!error || error == EOPNOTSUPP)
		return true;
	if (is_frozen(error, why))
		return false;
	errno = error;
	WHY(why, "no room for the %llu MiB that it may be, in %s: %m",
	    (unsigned long long)(bytes + (1 << 20) - 1) >> 20, vm->room);
	return false;
}

static bool write_note(int fd, const char *path, const struct note *note, struct why *why)
{
	char block[NOTE_SIZE];
	const char *reason;
	ssize_t done;

	if (!note_print(note, block, &reason)) {
		WHY(why, "%s: %s", path, reason);
		return false;
	}
	done = pwrite(fd, block, NOTE_SIZE, 0);
	if (done == NOTE_SIZE && !fsync(fd))
		return true;
	if (done < 0 && is_frozen(errno, why))
		return false;
	WHY(why, "cannot write %s: %s", path, done >= 0 && done < NOTE_SIZE ? "no room" :
	    strerror(errno));
	return false;
}

static bool make_mark(const struct vm *vm, struct why *why)
{
	int fd;

	if (!vm->elsewhere)
		return true;
	fd = open(vm->mark, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		WHY(why, "cannot make %s: %m", vm->mark);
		return false;
	}
	close(fd);
	return true;
}

/**
 * file_remove_mark - it is not saved any more
 * @vm: the VM
 * @why: why not
 *
 * Return: false: the mark is still there.
 */
bool file_remove_mark(const struct vm *vm, struct why *why)
{
	if (access(vm->mark, F_OK) || !unlink(vm->mark))
		return true;
	WHY(why, "cannot remove %s: %m", vm->mark);
	return false;
}

/**
 * file_is_missing - it was saved, and that is not where it should be
 * @vm: the VM, of which there is no QEMU
 */
bool file_is_missing(const struct vm *vm)
{
	return access(vm->state, F_OK) && !access(vm->mark, F_OK);
}

/* The name that what was saved has got is on the disk, too, if it is on one. */
static void sync_folder(const struct vm *vm)
{
	char *path = text("%.*s", (int)(strrchr(vm->state, '/') - vm->state), vm->state);
	int fd = vm->elsewhere ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (vm->elsewhere && (fd < 0 || fsync(fd)))
		complain(vm, "cannot sync %s: %m", path);
	if (fd >= 0)
		close(fd);
	free(path);
}

/**
 * file_announce - saving begins: note in the room how the guest was before
 * @vm: the VM
 * @note: that
 * @why: why not
 *
 * Return: false: there is no such note.
 */
bool file_announce(const struct vm *vm, const struct note *note, struct why *why)
{
	int fd = file_open_room(vm, why);
	bool good = fd >= 0 && write_note(fd, vm->room, note, why);

	if (fd >= 0)
		close(fd);
	return good;
}

/**
 * file_was_paused - was the guest paused when saving it began
 * @vm: the VM, whose QEMU saves it
 */
bool file_was_paused(const struct vm *vm)
{
	int fd = open(vm->room, O_RDONLY | O_CLOEXEC);
	struct note note = { 0 };
	const char *reason;
	char block[NOTE_SIZE];
	bool paused = fd >= 0 && pread(fd, block, NOTE_SIZE, 0) == NOTE_SIZE &&
		      note_parse(block, &note, &reason) && note.paused;

	if (fd >= 0)
		close(fd);
	note_clear(&note);
	return paused;
}

/**
 * file_commit - what is in the room is what was saved, from now on
 * @vm: the VM
 * @fd: the room, with QEMU's part in it
 * @note: what it belongs to
 * @why: why not
 *
 * Return: false: it is not.
 */
bool file_commit(const struct vm *vm, int fd, struct note *note, struct why *why)
{
	/* What was there before may have been longer. To cut it would give the room up. */
	if (!write_note(fd, vm->room, note, why) || !make_mark(vm, why))
		return false;
	if (!rename(vm->room, vm->state)) {
		sync_folder(vm);
		return true;
	}
	WHY(why, "cannot rename %s: %m", vm->room);
	unlink(vm->mark);
	return false;
}

/* Length and checksum of QEMU's part */
static bool sum_payload(int fd, uint64_t limit, uint64_t *length, uint32_t *crc)
{
	unsigned char buffer[65536];
	ssize_t got;

	*length = 0;
	*crc = crc32(0, NULL, 0);
	while (*length < limit) {
		const uint64_t left = limit - *length;

		got = pread(fd, buffer, left < sizeof(buffer) ? left : sizeof(buffer),
			    NOTE_SIZE + *length);
		if (got < 0)
			return false;
		if (!got)
			break;
		*crc = crc32(*crc, buffer, got);
		*length += got;
	}
	return true;
}

static bool read_file(int fd, struct note *note, struct why *why)
{
	const char *reason = "is none of gmem-vm's files";
	char block[NOTE_SIZE];
	uint64_t length;
	uint32_t crc;

	if (pread(fd, block, NOTE_SIZE, 0) != NOTE_SIZE || !note_parse(block, note, &reason)) {
		WHY(why, "%s", reason);
		return false;
	}
	if (!sum_payload(fd, note->version == 2 ? UINT64_MAX : note->length, &length, &crc)) {
		WHY(why, "cannot be read: %m");
		return false;
	}
	if (note->version == 2) {
		note->length = length;
		note->crc = crc;
		note->version = 3;
		return true;
	}
	if (length == note->length && crc == note->crc)
		return true;
	WHY(why, "is damaged");
	return false;
}

/**
 * file_read - read what was saved without trusting it
 * @vm: the VM
 * @note: is set; to be cleared, also if it fails
 * @why: what is wrong, a part of a sentence; "": there is nothing
 *
 * Return: false: it cannot be used.
 */
bool file_read(const struct vm *vm, struct note *note, struct why *why)
{
	int fd = open(vm->state, O_RDONLY | O_CLOEXEC);
	bool good;

	*note = (struct note){ 0 };
	why->text[0] = '\0';
	if (fd < 0) {
		if (!access(vm->state, F_OK))
			WHY(why, "cannot be opened");
		return false;
	}
	good = read_file(fd, note, why);
	close(fd);
	return good;
}

/* Has what was saved in that file, of whichever VM, that memory? */
static bool names_memory(int folder, const char *name, const char *uuid)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	const char *reason;
	char block[NOTE_SIZE];
	struct note note = { 0 };
	bool found = false;

	if (fd < 0)
		return false;
	if (pread(fd, block, NOTE_SIZE, 0) == NOTE_SIZE && note_parse(block, &note, &reason))
		for (size_t i = 0; i < note.nr_parts; i++)
			found |= !strcmp(note.parts[i].uuid, uuid);
	note_clear(&note);
	close(fd);
	return found;
}

/* The same for all such files where that one is */
static bool folder_names_memory(const char *state, const char *uuid)
{
	char *path = text("%.*s", (int)(strrchr(state, '/') - state), state);
	DIR *folder = opendir(path);
	struct dirent *entry;
	bool found = false;

	while (folder && !found && (entry = readdir(folder))) {
		const char *ending = strrchr(entry->d_name, '.');

		if (ending && !strcmp(ending, ".state"))
			found = names_memory(dirfd(folder), entry->d_name, uuid);
	}
	if (folder)
		closedir(folder);
	free(path);
	return found;
}

/**
 * file_names_memory - has a VM that is saved that memory
 * @vm: another VM; what was saved is looked for where its own would be, and beside its memory
 * @uuid: of the memory
 */
bool file_names_memory(const struct vm *vm, const char *uuid)
{
	return folder_names_memory(vm->state, uuid) ||
	       (vm->elsewhere && folder_names_memory(vm->memory, uuid));
}

/**
 * file_note - let what was saved have another note
 * @vm: the VM
 * @note: that
 * @why: why not
 *
 * Return: false: it has not.
 */
bool file_note(const struct vm *vm, const struct note *note, struct why *why)
{
	int fd = open(vm->state, O_WRONLY | O_CLOEXEC);
	bool good;

	if (fd < 0) {
		WHY(why, "cannot open %s: %m", vm->state);
		return false;
	}
	good = write_note(fd, vm->state, note, why);
	close(fd);
	return good;
}

/**
 * file_use_up - what was saved is of no use any more, and its room is wanted
 * @vm: the VM
 * @why: why not
 *
 * Return: false: it is still there.
 */
bool file_use_up(const struct vm *vm, struct why *why)
{
	if (!file_remove_mark(vm, why))
		return false;
	if (!rename(vm->state, vm->room) || errno == ENOENT)
		return true;
	WHY(why, "cannot rename %s: %m", vm->state);
	return false;
}

/**
 * file_remove_room - nothing will be saved
 * @vm: the VM
 */
void file_remove_room(const struct vm *vm)
{
	if (unlink(vm->room) && errno != ENOENT)
		complain(vm, "cannot remove %s: %m", vm->room);
}
