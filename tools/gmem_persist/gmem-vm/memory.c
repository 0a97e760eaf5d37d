// SPDX-License-Identifier: GPL-2.0
/*
 * The files that a guest's memory consists of.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/gmem_persist.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vm.h"

#define GMEMFS_MAGIC	0x474d4550
#define LEAF		(2 << 20)

/**
 * memory_on_gmemfs - is it there
 * @path: a file or a directory
 */
bool memory_on_gmemfs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == GMEMFS_MAGIC;
}

/**
 * memory_is_lost - is it in a file that this kernel will not hand over
 * @path: the file, or the folder in which QEMU has made one
 *
 * A file on a disk is not, and a device has its own memory.
 */
bool memory_is_lost(const char *path)
{
	struct stat status;
	struct statfs fs;

	return !stat(path, &status) && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) &&
	       !statfs(path, &fs) &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == HUGETLBFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/**
 * memory_in_folder - has QEMU made a file in a folder, and removed its name
 * @path: what QEMU was told
 *
 * The next QEMU makes another one.
 */
bool memory_in_folder(const char *path)
{
	struct stat status;

	return !stat(path, &status) && S_ISDIR(status.st_mode);
}

/* Open it to ask what it is: by an access mode that is in nobody's way */
static int open_to_ask(const char *path)
{
	const int flags = O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd = open(path, O_ACCMODE | flags);

	if (fd < 0 && errno == EACCES)
		fd = open(path, O_RDONLY | flags);
	return fd;
}

static void hex(char *to, const uint8_t *bytes, size_t nr)
{
	while (nr--)
		to += sprintf(to, "%02x", *bytes++);
}

/*
 * Set uuid and token to what the memory of that file is known by. With @settle, it is known by
 * another token as soon as anybody writes to it, also if that is who has written last. False, and
 * errno.
 */
static bool identity(const char *path, bool settle, char uuid[37], char token[33])
{
	struct gmem_persist_view view = {};
	int fd = settle ? open(path, O_RDWR | O_CLOEXEC) : open_to_ask(path), error;
	char all[33];

	if (fd < 0)
		return false;
	error = (settle && ioctl(fd, GMEM_PERSIST_SETTLE)) ||
		ioctl(fd, GMEM_PERSIST_GET_VIEW, &view) ? errno : 0;
	close(fd);
	errno = error;
	if (error)
		return false;
	hex(all, view.uuid, 16);
	sprintf(uuid, "%.8s-%.4s-%.4s-%.4s-%.12s", all, all + 8, all + 12, all + 16, all + 20);
	hex(token, view.token, GMEM_PERSIST_TOKEN_SIZE);
	return true;
}

/* A file that a process has mapped so that others see what it writes, by its path when it was opened */
struct mapping {
	uint64_t size;
	bool aligned;
	dev_t dev;
	uint64_t ino;
	char path[4096];
};

/*
 * The first such file at or above an address, which goes on. The kernel is asked for these alone,
 * since QEMU maps hundreds of others. 0, 1 if there is none, or -1 and errno.
 */
static int next_mapping(int maps, uint64_t *address, struct mapping *mapping)
{
	struct procmap_query query = {
		.size = sizeof(query),
		.query_flags = PROCMAP_QUERY_COVERING_OR_NEXT_VMA | PROCMAP_QUERY_FILE_BACKED_VMA |
			       PROCMAP_QUERY_VMA_SHARED,
		.vma_name_addr = (uintptr_t)mapping->path,
	};

	do {
		query.query_addr = *address;
		query.vma_name_size = sizeof(mapping->path);
		if (ioctl(maps, PROCMAP_QUERY, &query))
			return errno == ENOENT ? 1 : -1;
		*address = query.vma_end;
		/* Others are the kernel's own: anon_inode:kvm-vcpu:0 */
	} while (!query.vma_name_size || mapping->path[0] != '/');
	mapping->size = query.vma_end - query.vma_start;
	mapping->aligned = !((query.vma_start - query.vma_offset) % LEAF);
	mapping->dev = makedev(query.dev_major, query.dev_minor);
	mapping->ino = query.inode;
	return 0;
}

/* What memory_parts() is at */
struct search {
	bool stopped;
	struct note *note;
	dev_t gmemfs;
	ino_t main;
	bool found_main;
	struct mapped *mapped;
	struct why *why;
};

/**
 * memory_part - the part of a guest's memory that is a file
 * @note: what that consists of
 * @path: of the file, by whichever way
 *
 * Return: that, or NULL.
 */
struct note_part *memory_part(struct note *note, const char *path)
{
	struct stat file, status;

	if (stat(path, &file))
		return NULL;
	for (size_t i = 0; i < note->nr_parts; i++)
		if (!stat(note->parts[i].path, &status) && status.st_ino == file.st_ino &&
		    status.st_dev == file.st_dev)
			return &note->parts[i];
	return NULL;
}

/* Note that file, if it is of gmemfs. */
static bool add_mapping(struct search *search, const struct mapping *mapping)
{
	static const char memfd[] = "/memfd:";
	const char *path = mapping->path;
	struct mapped *mapped = search->mapped;
	struct note *note = search->note;
	char uuid[37], token[33];
	struct note_part *part;
	struct stat status;

	/*
	 * Without a name, or with one that is another file's by now, the next QEMU would not find
	 * it. What is not of gmemfs is then anonymous memory, which is saved, or a file that QEMU has
	 * made in a folder: only it can tell.
	 */
	if (stat(path, &status) || status.st_ino != mapping->ino ||
	    status.st_dev != mapping->dev) {
		if (mapping->dev != search->gmemfs) {
			mapped->others |= strncmp(path, memfd, strlen(memfd));
			return true;
		}
		WHY(search->why, "QEMU's memory is not that file any more: %s", path);
		return false;
	}
	if (!memory_on_gmemfs(path)) {
		/* It need not be memory of the guest's. */
		mapped->others = true;
		return true;
	}
	mapped->shared += mapping->size;
	mapped->nr++;
	if (mapping->dev == search->gmemfs && mapping->ino == search->main)
		search->found_main = true;
	part = memory_part(note, path);
	if (!part && !identity(path, search->stopped, uuid, token)) {
		WHY(search->why, "cannot tell what %s is known by: %m", path);
		return false;
	}
	if (!part && !note_add_part(note, uuid, token, path)) {
		WHY(search->why, "its memory is too many files");
		return false;
	}
	part = part ?: &note->parts[note->nr_parts - 1];
	part->mapped++;
	if (!mapping->aligned)
		mapped->unaligned = part->path;
	return true;
}

/**
 * memory_parts - note what a guest's memory consists of, and is known by now
 * @vm: the VM
 * @pid: its QEMU
 * @stopped: the guest does not run, and what it is known by shall be stale if it goes on
 * @note: gets the parts, in place of those that it has
 * @mapped: is set to what else was found
 * @why: why not
 *
 * Return: false: it cannot be told of one of them, or the VM's own file is not among them.
 */
bool memory_parts(const struct vm *vm, pid_t pid, bool stopped, struct note *note,
		  struct mapped *mapped, struct why *why)
{
	struct search search = { .stopped = stopped, .note = note, .mapped = mapped, .why = why };
	struct mapping mapping;
	struct stat status;
	uint64_t address = 0;
	bool good = true;
	char path[64];
	int maps, end;

	if (stat(vm->memory, &status)) {
		WHY(why, "%s: %m", vm->memory);
		return false;
	}
	note_clear_parts(note);
	*mapped = (struct mapped){ 0 };
	search.gmemfs = status.st_dev;
	search.main = status.st_ino;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = open(path, O_RDONLY | O_CLOEXEC);
	do {
		end = maps < 0 ? -1 : next_mapping(maps, &address, &mapping);
		if (!end)
			good = add_mapping(&search, &mapping);
	} while (good && !end);
	if (end < 0)
		WHY(why, "%s: %m", path);
	if (maps >= 0)
		close(maps);
	if (end < 0)
		return false;
	if (good && !search.found_main) {
		WHY(why, "QEMU's memory is not %s", vm->memory);
		good = false;
	}
	return good;
}

/**
 * memory_compare - is the memory what it was when the guest was saved
 * @note: what that says
 * @why: if not, a sentence
 *
 * Return: so, or what is the matter with one of the files: the worst that was found.
 */
enum parts memory_compare(const struct note *note, struct why *why)
{
	enum parts worst = PARTS_FRESH;

	for (size_t i = 0; i < note->nr_parts; i++) {
		const struct note_part *part = &note->parts[i];
		enum parts found = PARTS_FRESH;
		char uuid[37], token[33];
		const char *what = "";

		if (!identity(part->path, false, uuid, token)) {
			found = PARTS_GONE;
			what = "is gone, or cannot be read";
		} else if (strcmp(uuid, part->uuid)) {
			found = PARTS_OTHER;
			what = "is not the file that it was";
		} else if (strcmp(token, part->token)) {
			found = PARTS_WRITTEN;
			what = "has been written to since";
		}
		if (found <= worst)
			continue;
		worst = found;
		WHY(why, "%s %s", part->path, what);
	}
	return worst;
}

/**
 * memory_settle - the guest belongs to its memory as that is now, and to no later one
 * @note: of the guest, which does not run
 * @override: also if one of the files is another one than it was
 * @why: why not
 *
 * Return: false: it cannot be told of one of them.
 */
bool memory_settle(struct note *note, bool override, struct why *why)
{
	for (size_t i = 0; i < note->nr_parts; i++) {
		struct note_part *part = &note->parts[i];
		char uuid[37], token[33];

		if (!identity(part->path, true, uuid, token)) {
			WHY(why, "cannot tell what %s is known by: %m", part->path);
			return false;
		}
		if (!override && strcmp(uuid, part->uuid)) {
			WHY(why, "%s is not the file that it was", part->path);
			return false;
		}
		memcpy(part->uuid, uuid, sizeof(uuid));
		memcpy(part->token, token, sizeof(token));
	}
	return true;
}

/* Nobody else has it open: false, and a reason, if somebody has. */
static bool unused(const char *path, struct why *why)
{
	struct gmem_persist_info info = {};
	int fd = open_to_ask(path), error;

	if (fd < 0) {
		if (errno == ENOENT)
			return true;
		WHY(why, "%s: %m", path);
		return false;
	}
	error = ioctl(fd, GMEM_PERSIST_GET_INFO, &info) ? errno : 0;
	close(fd);
	errno = error;
	if (error)
		WHY(why, "%s: %m", path);
	else if (info.views)
		WHY(why, "somebody else uses %s", path);
	return !error && !info.views;
}

/**
 * memory_has_others - may others write to a guest's memory when that has been saved
 * @note: what it consists of
 * @why: if so, a sentence
 *
 * Files in which several may write have the sticky bit. All other users of the rest read only.
 */
bool memory_has_others(const struct note *note, struct why *why)
{
	for (size_t i = 0; i < note->nr_parts; i++) {
		const struct note_part *part = &note->parts[i];
		struct gmem_persist_info info = {};
		struct stat status;
		int fd;

		if (stat(part->path, &status) || !(status.st_mode & S_ISVTX))
			continue;
		fd = open_to_ask(part->path);
		if (fd < 0 || ioctl(fd, GMEM_PERSIST_GET_INFO, &info))
			info.views = 0;
		if (fd >= 0)
			close(fd);
		if (info.views <= part->mapped)
			continue;
		WHY(why,
		    "others use %s, too (chmod +t): if they write to it when this is saved, that is stale",
		    part->path);
		return true;
	}
	return false;
}

/* There be such a file, which others cannot read: QEMU would make one that they can. */
static bool create(const char *path, struct why *why)
{
	int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0) {
		WHY(why, "cannot make %s: %m", path);
		return false;
	}
	close(fd);
	return true;
}

/* A guest that is saved, of whichever VM, has it, or may have it: false, and a reason. */
static bool unsaved(const struct vm *vm, const char *path, struct why *why)
{
	char uuid[37], token[33];

	return !identity(path, false, uuid, token) || !file_names_memory(vm, path, uuid, why);
}

/**
 * memory_is_free - no guest that is saved has the memory that QEMU_ARGS add
 * @vm: the VM, a new one
 * @why: who has
 *
 * QEMU writes to it. Files in which several may write have the sticky bit.
 *
 * Return: false: one has.
 */
bool memory_is_free(const struct vm *vm, struct why *why)
{
	size_t arg = 0, offset = 0;
	bool found = false;
	struct stat status;
	char *path;

	while (!found && (path = conf_next_path(&vm->conf, &arg, &offset))) {
		found = !stat(path, &status) && !(status.st_mode & S_ISVTX) &&
			memory_on_gmemfs(path) && !unsaved(vm, path, why);
		free(path);
	}
	return !found;
}

/**
 * memory_keep - let the VM have the memory that is there
 * @vm: the VM
 * @why: why not
 *
 * Return: false: it cannot.
 */
bool memory_keep(const struct vm *vm, struct why *why)
{
	struct stat status;

	return stat(vm->memory, &status) ? create(vm->memory, why) :
					   unsaved(vm, vm->memory, why);
}

static bool renew(const struct vm *vm, const char *path, struct why *why)
{
	struct stat old;
	const bool shared = !stat(path, &old) && old.st_mode & S_ISVTX;

	/* Who has it may be saved meanwhile: his QEMU has it until that can be seen. */
	if (!unused(path, why) || !unsaved(vm, path, why))
		return false;
	if (unlink(path) && errno != ENOENT) {
		WHY(why, "cannot remove %s: %m", path);
		return false;
	}
	if (!create(path, why))
		return false;
	if (!shared || !chmod(path, old.st_mode & 07777))
		return true;
	WHY(why, "cannot let several write to %s, as before: %m", path);
	return false;
}

/**
 * memory_renew - let the VM have new memory: whoever had it before, the guest shall not read it
 * @vm: the VM
 * @why: why not
 *
 * Also the memory that QEMU_ARGS add, where that is on gmemfs; see memory_is_free(). What somebody
 * uses now, or will when he goes on, is never given up: what two VMs share stays.
 *
 * Return: false: it cannot.
 */
bool memory_renew(const struct vm *vm, struct why *why)
{
	size_t arg = 0, offset = 0;
	char *path;

	if (!renew(vm, vm->memory, why))
		return false;
	while ((path = conf_next_path(&vm->conf, &arg, &offset))) {
		if (memory_on_gmemfs(path) && strcmp(path, vm->memory) &&
		    !renew(vm, path, why))
			complain(vm, "what is in it stays: %s", why->text);
		free(path);
	}
	return true;
}

/**
 * memory_is_there - has it memory
 * @vm: the VM
 */
bool memory_is_there(const struct vm *vm)
{
	struct stat status;

	return !stat(vm->memory, &status) && status.st_size;
}
