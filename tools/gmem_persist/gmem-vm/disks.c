// SPDX-License-Identifier: GPL-2.0
/*
 * The files that a guest writes to as disks. It knows what is in them from before it was saved, so
 * they must be the same files when it goes on, and nobody may have written to them.
 *
 * They are noted behind what QEMU has written, where an older gmem-vm does not look:
 *
 *   disks 8f1c2a90 0		CRC-32 of that; how many disks are not known
 *   disk 131 1073741824 1764484251.123456789 /var/lib/vm0.img
 *   disk - /dev/vg/vm0		inode (0: not known), size and time of the last write; or none of it
 *   part - /srv/parts		the disk is but a part of that file, to which others may write
 *   check 1234abcd		CRC-32 of the lines above
 *
 * The names come from QEMU when the guest is stopped; the rest from the file system when QEMU has
 * ended, after which nobody of ours writes any more, and a server knows of all that was written.
 * What is not noted, whyever, is not compared: none of it is worth more than a guest that could
 * go on. So the time of the last change, which chmod sets, too, does not count, nor do inode
 * numbers where a mount may change them; nor do disks to which others may write. Read-only ones
 * are not noted.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <zlib.h>

#include "vm.h"

#define MAX_DISKS	128
#define MAX_TEXT	(64 << 10)

/* Not in the kernel's headers */
#define ZFS_MAGIC	0x2fc12fc1

struct disk {
	char *path;
	bool part;	/* It is but a part of that file. */
	bool known;	/* what follows is */
	uint64_t ino;
	uint64_t size;
	int64_t sec;
	uint32_t nsec;
};

struct disks {
	unsigned int unknown;
	size_t nr;
	struct disk list[MAX_DISKS];
};

static void clear(struct disks *disks)
{
	while (disks->nr)
		free(disks->list[--disks->nr].path);
	disks->unknown = 0;
}

static void add(struct disks *disks, const char *path, bool part)
{
	if (*path == '/' && !strchr(path, '\n') && disks->nr < MAX_DISKS)
		disks->list[disks->nr++] = (struct disk){ .path = text("%s", path), .part = part };
	else
		disks->unknown++;
}

/* The files of a disk that QEMU describes by its options, but for those that it only reads */
static void add_options(struct disks *disks, json_t *options, bool part)
{
	const char *driver = "", *path = NULL, *key;
	json_t *value;
	size_t i;

	json_array_foreach(options, i, value)
		add_options(disks, value, part);
	json_unpack(options, "{s:s}", "driver", &driver);
	json_unpack(options, "{s:s}", "filename", &path);
	if (path && (!strcmp(driver, "file") || !strncmp(driver, "host_", 5))) {
		add(disks, path, part);
		return;
	}
	part |= !strcmp(driver, "raw") &&
		(json_object_get(options, "offset") || json_object_get(options, "size"));
	json_object_foreach(options, key, value)
		if (strcmp(key, "backing"))
			add_options(disks, value, part);
}

/* By the name that QEMU has for it */
static void add_name(struct disks *disks, const char *name)
{
	static const char prefix[] = "json:";
	const size_t length = strlen(prefix), before = disks->nr;
	json_t *options;

	if (strncmp(name, prefix, length)) {
		add(disks, name, false);
		return;
	}
	options = json_loads(name + length, 0, NULL);
	add_options(disks, options, false);
	json_decref(options);
	disks->unknown += disks->nr == before;
}

/* Those that the guest has. False: QEMU does not tell. */
static bool ask(struct qmp *qmp, struct disks *disks)
{
	json_t *drives = qmp_call(qmp, "query-block", NULL), *drive;
	const bool told = json_is_array(drives);
	const char *name;
	size_t i;
	int ro;

	json_array_foreach(drives, i, drive) {
		if (!json_object_get(drive, "qdev") ||
		    json_unpack(drive, "{s:{s:b,s:s}}", "inserted", "ro", &ro, "file", &name) || ro)
			continue;
		add_name(disks, name);
		/* qcow2 may have its data elsewhere. */
		if (!json_unpack(drive, "{s:{s:{s:{s:{s:s}}}}}", "inserted", "image",
				 "format-specific", "data", "data-file", &name))
			add_name(disks, name);
	}
	json_decref(drives);
	return told;
}

/* Does a file system tell when a file was written to last, also after a mount? */
static bool keeps_times(long type, bool *keeps_inodes)
{
	static const long types[] = {
		EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC,
		/* but not inode numbers */
		NFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, ZFS_MAGIC,
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		*keeps_inodes = i < 5;
		if (type == types[i])
			return true;
	}
	return false;
}

/* What the file is now; false: there is none. */
static bool look_at(struct disk *disk)
{
	struct statx status;
	struct statfs fs;
	bool keeps_inodes;

	if (statx(AT_FDCWD, disk->path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &status) ||
	    statfs(disk->path, &fs))
		return false;
	disk->known = S_ISREG(status.stx_mode) && keeps_times(fs.f_type, &keeps_inodes);
	if (!disk->known)
		return true;
	disk->ino = keeps_inodes ? status.stx_ino : 0;
	disk->size = status.stx_size;
	disk->sec = status.stx_mtime.tv_sec;
	disk->nsec = status.stx_mtime.tv_nsec;
	return true;
}

/* QEMU has written its data to the disk. So that the time of that gets there, too. */
static void sync_times(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

static uint32_t crc_of(const char *bytes, size_t length)
{
	return crc32(crc32(0, NULL, 0), (const unsigned char *)bytes, length);
}

static void write_to(int fd, const struct note *note, const struct disks *disks)
{
	char *all = NULL;
	size_t length;
	FILE *out = open_memstream(&all, &length);

	if (!out)
		return;
	fprintf(out, "disks %08" PRIx32 " %u\n", note->crc, disks->unknown);
	for (size_t i = 0; i < disks->nr; i++) {
		const struct disk *disk = &disks->list[i];

		fprintf(out, disk->part ? "part " : "disk ");
		if (disk->known)
			fprintf(out, "%" PRIu64 " %" PRIu64 " %" PRId64 ".%09" PRIu32 " ",
				disk->ino, disk->size, disk->sec, disk->nsec);
		else
			fprintf(out, "- ");
		fprintf(out, "%s\n", disk->path);
	}
	fflush(out);
	fprintf(out, "check %08" PRIx32 "\n", crc_of(all, length));
	/* If there is no room for all of it, none of it will be known. */
	if (!fclose(out) && length < MAX_TEXT)
		(void)!pwrite(fd, all, length, NOTE_SIZE + note->length);
	free(all);
}

/* One line, without its end. False: it is none. */
static bool parse_line(struct disks *disks, const char *line)
{
	const bool part = !strncmp(line, "part ", 5);
	struct disk disk = { .known = true };
	int end = 0;

	if (!part && strncmp(line, "disk ", 5))
		return false;
	line += 5;
	if (!strncmp(line, "- ", 2)) {
		disk.known = false;
		end = 2;
	} else if (sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNd64 ".%9" SCNu32 " %n", &disk.ino,
			  &disk.size, &disk.sec, &disk.nsec, &end) != 4 || !end) {
		return false;
	}
	if (line[end] != '/' || disks->nr == MAX_DISKS)
		return false;
	disk.part = part;
	disk.path = text("%s", line + end);
	disks->list[disks->nr++] = disk;
	return true;
}

static bool parse(char *at, const struct note *note, struct disks *disks)
{
	char *all = at;
	uint32_t crc;
	int end = 0;

	if (sscanf(at, "disks %8" SCNx32 " %u%n", &crc, &disks->unknown, &end) != 2 ||
	    crc != note->crc || at[end] != '\n')
		return false;
	/* The checksum comes first, since lines are cut then. */
	at = strstr(at, "\ncheck ");
	if (!at || sscanf(at, "\ncheck %8" SCNx32 "\n", &crc) != 1 ||
	    crc != crc_of(all, at + 1 - all))
		return false;
	*at = '\0';
	for (char *line = strtok(all + end, "\n"); line; line = strtok(NULL, "\n"))
		if (!parse_line(disks, line))
			return false;
	return true;
}

/* False: there are none, or they are none of what was saved. */
static bool read_from(int fd, const struct note *note, struct disks *disks)
{
	char *all = malloc(MAX_TEXT);
	ssize_t got = all ? pread(fd, all, MAX_TEXT - 1, NOTE_SIZE + note->length) : -1;
	bool good = got > 0;

	if (good) {
		all[got] = '\0';
		good = parse(all, note, disks);
	}
	free(all);
	if (!good)
		clear(disks);
	return good;
}

static bool read_noted(const struct vm *vm, const struct note *note, struct disks *disks)
{
	int fd = open(vm->state, O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0 && read_from(fd, note, disks);

	if (fd >= 0)
		close(fd);
	return good;
}

/**
 * disks_name - note which disks a guest has
 * @qmp: the session with its QEMU, which has stopped it
 * @fd: the room, with QEMU's part in it
 * @note: its note
 */
void disks_name(struct qmp *qmp, int fd, const struct note *note)
{
	struct disks disks = { 0 };

	if (ask(qmp, &disks))
		write_to(fd, note, &disks);
	clear(&disks);
}

/**
 * disks_look - note how they are
 * @vm: the VM, which is saved, and has no QEMU any more
 * @note: its note
 */
void disks_look(const struct vm *vm, const struct note *note)
{
	int fd = open(vm->state, O_RDWR | O_CLOEXEC);
	struct disks disks = { 0 };

	if (fd >= 0 && read_from(fd, note, &disks)) {
		for (size_t i = 0; i < disks.nr; i++) {
			struct disk *disk = &disks.list[i];

			disk->known = false;
			if (disk->part || !look_at(disk) || !disk->known)
				continue;
			sync_times(disk->path);
			look_at(disk);
		}
		write_to(fd, note, &disks);
		fsync(fd);
	}
	clear(&disks);
	if (fd >= 0)
		close(fd);
}

/* Nobody has written to it? Some file systems, and copies, know no more than the second. */
static bool same_time(const struct disk *a, const struct disk *b)
{
	return a->sec == b->sec && (a->nsec == b->nsec || !a->nsec || !b->nsec);
}

static bool unchanged(const struct disk *then, struct why *why)
{
	struct disk now = { .path = then->path };

	/* If it is not there, QEMU says so. */
	if (!then->known || !look_at(&now) || !now.known)
		return true;
	if (then->ino && now.ino && then->ino != now.ino)
		WHY(why, "its disk %s is not the file that it was", then->path);
	else if (then->size != now.size)
		WHY(why, "its disk %s had %" PRIu64 " bytes, and has %" PRIu64, then->path,
		    then->size, now.size);
	else if (!same_time(then, &now))
		WHY(why, "its disk %s has been written to since", then->path);
	else
		return true;
	return false;
}

/**
 * disks_unchanged - are they as they were when the guest was saved
 * @vm: the VM
 * @note: what says when
 * @why: if not, a sentence
 */
bool disks_unchanged(const struct vm *vm, const struct note *note, struct why *why)
{
	struct disks disks = { 0 };
	bool same = true;

	/* So somebody else may write to them. */
	if (conf_says(&vm->conf, "share-rw", true) || conf_says(&vm->conf, "locking", false))
		return true;
	if (read_noted(vm, note, &disks))
		for (size_t i = 0; same && i < disks.nr; i++)
			same = unchanged(&disks.list[i], why);
	clear(&disks);
	return same;
}

/* Is that one of them, by whichever name? */
static bool is_among(const struct disk *disk, const struct disks *disks)
{
	struct stat status, other;
	const bool there = !stat(disk->path, &status);

	for (size_t i = 0; i < disks->nr; i++) {
		const char *path = disks->list[i].path;

		if (!strcmp(path, disk->path) ||
		    (there && !stat(path, &other) && other.st_ino == status.st_ino &&
		     other.st_dev == status.st_dev))
			return true;
	}
	return false;
}

/* /dev/sdb may be another one under the next kernel; /dev/disk/by-id/... and /dev/vg/lv are not. */
static bool keeps_name(const struct disk *disk)
{
	return strncmp(disk->path, "/dev/", 5) || strchr(disk->path + 5, '/');
}

/* NULL: there is none */
static const struct disk *first_not_among(const struct disks *disks, const struct disks *others)
{
	for (size_t i = 0; i < disks->nr; i++)
		if (keeps_name(&disks->list[i]) && !is_among(&disks->list[i], others))
			return &disks->list[i];
	return NULL;
}

/**
 * disks_same - has QEMU the disks that the guest had
 * @vm: the VM
 * @qmp: the session with its QEMU, which has not loaded it
 * @note: what the guest had
 * @why: if not, a sentence
 */
bool disks_same(const struct vm *vm, struct qmp *qmp, const struct note *note, struct why *why)
{
	struct disks then = { 0 }, now = { 0 };
	const struct disk *gone = NULL, *other = NULL;

	/* A disk that this QEMU describes in another way is not a missing one. */
	if (read_noted(vm, note, &then) && ask(qmp, &now) && now.unknown <= then.unknown)
		gone = first_not_among(&then, &now);
	if (gone)
		other = first_not_among(&now, &then);
	if (other)
		WHY(why, "its disk was %s, and is %s now", gone->path, other->path);
	else if (gone)
		WHY(why, "its disk was %s, which is none now", gone->path);
	clear(&then);
	clear(&now);
	return !gone;
}
