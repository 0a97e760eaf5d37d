// SPDX-License-Identifier: GPL-2.0
/*
 * The file of what was saved, and the room for it.
 *
 * As long as a guest runs there is NAME.room, which is long enough and mostly empty. What is
 * saved is written there; when all of it is there it is renamed, and is NAME.state from that
 * moment. When the guest goes on it is renamed back, so that no step needs room that is not
 * there already.
 *
 * For as long as a guest is saved the mark, NAME.saved, stands beside its memory, with the same
 * note: whose memory that is, and where what was saved is, which may be on a disk that is not there
 * when somebody starts a guest, or in a slot of the pool that is damaged. No memory is given up that
 * a mark or a note has. Room for the mark is NAME.spare.
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

static int open_room(const char *path, struct why *why)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 && !is_frozen(errno, why))
		WHY(why, "cannot make %s: %m", path);
	return fd;
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
	return open_room(vm->room, why);
}

static bool reserve(const char *path, uint64_t bytes, struct why *why)
{
	int fd = open_room(path, why), error;

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
	    (unsigned long long)(bytes + (1 << 20) - 1) >> 20, path);
	return false;
}

/**
 * file_reserve - let there be room for what is to be saved, and for the mark
 * @vm: the VM
 * @bytes: how much that may be
 * @why: why not
 *
 * Return: false: there is not so much.
 */
bool file_reserve(const struct vm *vm, uint64_t bytes, struct why *why)
{
	return reserve(vm->room, bytes, why) && reserve(vm->spare, NOTE_SIZE, why);
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

static bool make_mark(const struct vm *vm, const struct note *note, struct why *why)
{
	int fd = open_room(vm->spare, why);
	bool good = fd >= 0 && write_note(fd, vm->spare, note, why);

	if (fd >= 0)
		close(fd);
	if (!good || !rename(vm->spare, vm->mark))
		return good;
	WHY(why, "cannot rename %s: %m", vm->spare);
	return false;
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
	if (!rename(vm->mark, vm->spare) || errno == ENOENT)
		return true;
	WHY(why, "cannot rename %s: %m", vm->mark);
	return false;
}

/* The note at the beginning of a file. False: it cannot be read. */
static bool peek(const char *path, struct note *note)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *reason;
	char block[NOTE_SIZE];
	bool good = fd >= 0 && pread(fd, block, NOTE_SIZE, 0) == NOTE_SIZE;

	*note = (struct note){ 0 };
	good = good && note_parse(block, note, &reason);
	if (fd >= 0)
		close(fd);
	return good;
}

/**
 * file_of_mark - where what was saved is
 * @mark: path of a mark, whosever
 *
 * Return: the path, to be freed; NULL: the mark does not tell.
 */
char *file_of_mark(const char *mark)
{
	struct note note;
	char *file;

	file = peek(mark, &note) ? note.file : NULL;
	if (file)
		note.file = NULL;
	note_clear(&note);
	return file;
}

/**
 * file_is_missing - it was saved, and that is not where it should be
 * @vm: the VM, of which there is no QEMU
 * @why: if so, a sentence
 */
bool file_is_missing(const struct vm *vm, struct why *why)
{
	struct note note;

	if (!access(vm->state, F_OK) || access(vm->mark, F_OK))
		return false;
	if (peek(vm->mark, &note) && note.file && strcmp(note.file, vm->state))
		WHY(why, "%s is not there: it was saved as %s", vm->state, note.file);
	else
		WHY(why, "%s is not there", vm->state);
	note_clear(&note);
	return true;
}

/* The name that what was saved has got is on the disk, too, if it is on one. */
static bool sync_folder(const struct vm *vm, struct why *why)
{
	char *path = text("%.*s", (int)(strrchr(vm->state, '/') - vm->state), vm->state);
	int fd = vm->elsewhere ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	/* Some file systems cannot, and need not. */
	bool good = !vm->elsewhere || (fd >= 0 && (!fsync(fd) || errno == EINVAL));

	if (!good)
		WHY(why, "cannot sync %s: %m", path);
	if (fd >= 0)
		close(fd);
	free(path);
	return good;
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
	struct note note;
	bool paused = peek(vm->room, &note) && note.paused;

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
	if (!write_note(fd, vm->room, note, why) || !make_mark(vm, note, why))
		return false;
	if (rename(vm->room, vm->state)) {
		WHY(why, "cannot rename %s: %m", vm->room);
	} else {
		if (sync_folder(vm, why))
			return true;
		/* The guest goes on, and not also from there. */
		rename(vm->state, vm->room);
	}
	rename(vm->mark, vm->spare);
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
		if (errno != ENOENT)
			WHY(why, "cannot be opened: %m");
		return false;
	}
	good = read_file(fd, note, why);
	close(fd);
	return good;
}

/* A note as it is written. False: it cannot be read. */
static bool read_block(const char *path, char block[NOTE_SIZE])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0 && pread(fd, block, NOTE_SIZE, 0) == NOTE_SIZE;

	if (fd >= 0)
		close(fd);
	return good;
}

/**
 * file_has_no_name - is the room all that was saved, which only has no name yet
 * @vm: the VM, of which there is no QEMU
 * @note: is set; to be cleared, also if it is not
 *
 * So it is if file_commit() was killed behind the mark, which has the same note then.
 */
bool file_has_no_name(const struct vm *vm, struct note *note)
{
	char room[NOTE_SIZE], mark[NOTE_SIZE];
	struct why why;
	bool good;
	int fd;

	*note = (struct note){ 0 };
	if (!access(vm->state, F_OK) || errno != ENOENT || !read_block(vm->mark, mark) ||
	    !read_block(vm->room, room) || memcmp(room, mark, NOTE_SIZE))
		return false;
	fd = open(vm->room, O_RDONLY | O_CLOEXEC);
	good = fd >= 0 && read_file(fd, note, &why);
	if (fd >= 0)
		close(fd);
	return good;
}

/**
 * file_finish - let that have its name
 * @vm: the VM, of which there is no QEMU, and whose lock is held
 *
 * Return: false: it is so, and stays so, which was said.
 */
bool file_finish(const struct vm *vm)
{
	struct note note;
	struct why why;
	bool finished = true;

	if (file_has_no_name(vm, &note)) {
		finished = !rename(vm->room, vm->state);
		if (!finished)
			complain(vm, "cannot rename %s: %m", vm->room);
		else if (!sync_folder(vm, &why))
			complain(vm, "%s", why.text);
	}
	note_clear(&note);
	return finished;
}

/* Does the note of a VM, whichever, name a memory? Of two files that have it, the larger answer. */
enum names {
	NAMES_NOTHING,	/* There is none. */
	NAMES_UNKNOWN,
	NAMES_NOT,
	NAMES_IT,
};

static enum names note_names(const char *path, bool mark, const char *uuid)
{
	char block[NOTE_SIZE] = "";
	struct note note = { 0 };
	const char *reason;
	struct stat status;
	enum names names;
	ssize_t got;
	int fd;

	if (stat(path, &status))
		return errno == ENOENT ? NAMES_NOTHING : NAMES_UNKNOWN;
	if (!S_ISREG(status.st_mode))
		return NAMES_NOTHING;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : pread(fd, block, NOTE_SIZE, 0);
	if (fd >= 0)
		close(fd);
	/* An empty mark is one of an older gmem-vm. */
	names = got < 0 || (!got && mark) || note_is_ours(block) ? NAMES_UNKNOWN : NAMES_NOTHING;
	if (got == NOTE_SIZE && note_parse(block, &note, &reason)) {
		names = NAMES_NOT;
		for (size_t i = 0; i < note.nr_parts; i++)
			if (!strcmp(note.parts[i].uuid, uuid))
				names = NAMES_IT;
	}
	note_clear(&note);
	return names;
}

/* Where what was saved of VMs may be, and marks */
struct folders {
	size_t nr;
	char *paths[3];
};

static void add_folder(struct folders *folders, const char *path)
{
	char *folder = text("%.*s", (int)(strrchr(path, '/') - path), path);

	for (size_t i = 0; i < folders->nr; i++) {
		if (!strcmp(folders->paths[i], folder)) {
			free(folder);
			return;
		}
	}
	folders->paths[folders->nr++] = folder;
}

/* A VM that is saved, by its mark and its state: one of them is enough to know it. */
static enum names vm_names(const struct folders *folders, const char *name, const char *uuid)
{
	static const char * const endings[] = { "state", "saved" };
	enum names found = NAMES_NOTHING;

	for (size_t i = 0; i < 2 * folders->nr && found != NAMES_IT; i++) {
		char *path = text("%s/%s.%s", folders->paths[i / 2], name, endings[i % 2]);
		const enum names names = note_names(path, i % 2, uuid);

		if (names > found)
			found = names;
		free(path);
	}
	/* It may have gone on since somebody has seen a name of it. */
	return found == NAMES_NOTHING ? NAMES_NOT : found;
}

/* Any VM of which one of the two is in that folder. Set why, if not NAMES_NOT. */
static enum names folder_names(const struct folders *folders, const char *folder,
			       const char *memory, const char *uuid, struct why *why)
{
	enum names names = NAMES_NOT;
	DIR *dir = opendir(folder);
	struct dirent *entry;

	if (!dir && errno != ENOENT) {
		WHY(why, "%s: %m", folder);
		return NAMES_UNKNOWN;
	}
	while (dir && names == NAMES_NOT && (entry = readdir(dir))) {
		const char *ending = strrchr(entry->d_name, '.');
		char *name;

		if (!ending || (strcmp(ending, ".state") && strcmp(ending, ".saved")))
			continue;
		name = text("%.*s", (int)(ending - entry->d_name), entry->d_name);
		names = vm_names(folders, name, uuid);
		free(name);
		if (names == NAMES_IT)
			WHY(why, "a guest that is saved has %s: %s/%s", memory, folder,
			    entry->d_name);
		else if (names == NAMES_UNKNOWN)
			WHY(why, "a guest that is saved may have %s: %s/%s cannot be read", memory,
			    folder, entry->d_name);
	}
	if (dir)
		closedir(dir);
	return names;
}

/**
 * file_names_memory - has a VM that is saved that memory
 * @vm: who wants to know. It is looked for where its own state would be, and where both its
 *	memory and this are
 * @path: of the memory
 * @uuid: of the memory
 * @why: a sentence, if so
 *
 * Return: true also if that cannot be told.
 */
bool file_names_memory(const struct vm *vm, const char *path, const char *uuid, struct why *why)
{
	struct folders folders = { 0 };
	enum names names = NAMES_NOT;

	add_folder(&folders, vm->memory);
	add_folder(&folders, vm->state);
	add_folder(&folders, path);
	for (size_t i = 0; i < folders.nr && names == NAMES_NOT; i++)
		names = folder_names(&folders, folders.paths[i], path, uuid, why);
	while (folders.nr)
		free(folders.paths[--folders.nr]);
	return names != NAMES_NOT;
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
	if (unlink(vm->spare) && errno != ENOENT)
		complain(vm, "cannot remove %s: %m", vm->spare);
}
