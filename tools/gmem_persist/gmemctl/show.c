// SPDX-License-Identifier: GPL-2.0
/*
 * What objects are: their files and directories in gmemfs tell it.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/gmem_persist.h>

#include "gmemctl.h"

/* How much of a list one call can bring; the kernel gives less. */
#define PART	256

/**
 * struct object - what is shown
 * @name: how the user calls it, or where it is in gmemfs
 * @fd: an open file
 * @info: what the kernel says
 */
struct object {
	const char *name;
	int fd;
	struct gmem_persist_info info;
};

/*
 * gmemfs
 */

/* Spaces and the like are three octal digits there. */
static void unescape(char *path)
{
	char *to = path;

	for (; *path; path++, to++) {
		*to = *path;
		if (*path == '\\' && path[1]) {
			*to = (path[1] - '0') << 6 | (path[2] - '0') << 3 | (path[3] - '0');
			path += 3;
		}
	}
	*to = '\0';
}

/* The first place in the list of mounts that shows all of it; NULL: there is none. */
static char *find_mount(void)
{
	char line[8192], at[4096], root[4096], type[64];
	FILE *mounts = fopen("/proc/self/mountinfo", "r");
	char *found = NULL;

	while (mounts && !found && fgets(line, sizeof(line), mounts)) {
		const char *end = strstr(line, " - ");

		if (end && sscanf(end, " - %63s", type) == 1 && !strcmp(type, "gmemfs") &&
		    sscanf(line, "%*s %*s %*s %4095s %4095s", root, at) == 2 &&
		    !strcmp(root, "/"))
			found = strdup(at);
	}
	if (mounts)
		fclose(mounts);
	if (found)
		unescape(found);
	return found;
}

/* A mount that nobody else sees, which ends with us. Only root can have it. */
static int mount_own(bool change)
{
	int fs = fsopen("gmemfs", FSOPEN_CLOEXEC);
	int root;

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -1;
	root = fsmount(fs, FSMOUNT_CLOEXEC, change ? 0 : MOUNT_ATTR_RDONLY);
	close(fs);
	return root;
}

/**
 * open_root - open the root directory of gmemfs, which need not be mounted
 * @change: not only to look, however it is mounted; only root can
 *
 * Return: a descriptor. If it cannot be had, the program ends.
 */
int open_root(bool change)
{
	char *at = change ? NULL : find_mount();
	int root = at ? open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : mount_own(change);

	if (root < 0 && at)
		err(STATUS_FAILED, "%s", at);
	if (root < 0)
		errx(STATUS_FAILED, "gmemfs is not mounted (mount -t gmemfs none /gmem): %s",
		     strerror(errno));
	free(at);
	return root;
}

/* Why a file of gmemfs does not tell what it is */
static const char *reason(int error)
{
	switch (error) {
	case ENOENT:
		return "no such object";
	case EBUSY:
		return "somebody has it open exclusively";
	case EACCES:
		return "only who may read it may see that";
	case ENOTTY:
		return "it is not in gmemfs";
	default:
		return strerror(error);
	}
}

/* What is not in gmemfs may be anything, also a pipe. */
#define HARMLESS	(O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/**
 * open_to_ask - open a file or directory, which may be of gmemfs, to ask what it is
 * @dir: where its path begins
 * @path: its path
 *
 * Return: a descriptor, or -1, and errno.
 */
int open_to_ask(int dir, const char *path)
{
	int fd = openat(dir, path, O_ACCMODE | HARMLESS);

	/* So we are in nobody's way; who may not write, and with a directory, there is no other. */
	if (fd < 0 && (errno == EACCES || errno == EISDIR || errno == EROFS))
		fd = openat(dir, path, O_RDONLY | HARMLESS);
	return fd;
}

/* False, and errno, if it cannot be had. */
static bool open_object(int dir, const char *path, const char *name, struct object *obj)
{
	*obj = (struct object){ .name = name };
	obj->fd = open_to_ask(dir, path);
	if (obj->fd < 0)
		return false;
	if (!ioctl(obj->fd, GMEM_PERSIST_GET_INFO, &obj->info))
		return true;
	if (errno == EINVAL)
		errno = ENOTTY;	/* what some other file made of the number */
	close(obj->fd);
	return false;
}

/*
 * Values
 */

/* Between the entries of a list that is not JSON */
static char separator = ' ';

static void print_text(const char *text)
{
	if (!json) {
		fputs(text, stdout);
		return;
	}
	putchar('"');
	for (; *text; text++) {
		if ((unsigned char)*text < ' ')
			printf("\\u%04x", *text);
		else
			printf(*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	}
	putchar('"');
}

static void print_number(uint64_t number)
{
	printf("%llu", (unsigned long long)number);
}

static void print_name(const struct object *obj)
{
	print_text(obj->name);
}

static void print_size(const struct object *obj)
{
	print_number(obj->info.size);
}

static void print_length(const struct object *obj)
{
	print_number(obj->info.length);
}

static void print_granule(const struct object *obj)
{
	print_number(obj->info.granule);
}

static const char *kind_of(const struct object *obj)
{
	static const char * const kinds[] = {
		[GMEM_PERSIST_FILE_EMPTY] = "empty",
		[GMEM_PERSIST_FILE_MEMORY] = "memory",
		[GMEM_PERSIST_FILE_DATA] = "data",
		[GMEM_PERSIST_FILE_DIRECTORY] = "directory",
	};

	return obj->info.kind < sizeof(kinds) / sizeof(*kinds) ? kinds[obj->info.kind] : "unknown";
}

static void print_kind(const struct object *obj)
{
	print_text(kind_of(obj));
}

static const char *state_of(const struct object *obj)
{
	switch (obj->info.kind) {
	case GMEM_PERSIST_FILE_EMPTY:
		return "empty";
	case GMEM_PERSIST_FILE_DIRECTORY:
		return "live";
	default:
		return obj->info.views ? "live" : "parked";
	}
}

static void print_state(const struct object *obj)
{
	print_text(state_of(obj));
}

static void print_views(const struct object *obj)
{
	print_number(obj->info.views);
}

static void print_generation(const struct object *obj)
{
	print_number(obj->info.generation);
}

static void print_flags(const struct object *obj)
{
	if (json)
		print_number(obj->info.flags);
	else
		printf("0x%llx", (unsigned long long)obj->info.flags);
}

static void print_vm_class(const struct object *obj)
{
	print_number(obj->info.vm_class);
}

static void print_uuid(const struct object *obj)
{
	char text[UUID_TEXT_SIZE];

	print_text(uuid_text(text, obj->info.uuid));
}

/* A directory has none. */
static void print_token(const struct object *obj)
{
	struct gmem_persist_view view = {};
	char text[TOKEN_TEXT_SIZE];

	if (obj->info.kind == GMEM_PERSIST_FILE_DIRECTORY) {
		fputs(json ? "null" : "-", stdout);
		return;
	}
	if (ioctl(obj->fd, GMEM_PERSIST_GET_VIEW, &view))
		err(STATUS_FAILED, "%s", obj->name);
	print_text(token_text(text, view.token));
}

/* The next part of a list: how many entries, 0 at the end */
static unsigned int next_part(const struct object *obj, unsigned long request,
			      struct gmem_persist_list *list, void *entries)
{
	list->entries = (uintptr_t)entries;
	list->nr = PART;
	if (!ioctl(obj->fd, request, list))
		return list->nr;
	/* It has gone since, and has nothing any more. */
	if (errno == ESTALE)
		return 0;
	err(STATUS_FAILED, "%s", obj->name);
}

static void print_nodes(const struct object *obj)
{
	struct gmem_persist_node_entry entry[PART];
	struct gmem_persist_list list = {};
	bool first = true;
	char node[16];

	if (json)
		putchar('{');
	while (next_part(obj, GMEM_PERSIST_GET_NODES, &list, entry)) {
		for (unsigned int i = 0; i < list.nr; i++, first = false) {
			if (!first)
				putchar(json ? ',' : separator);
			snprintf(node, sizeof(node), entry[i].node < 0 ? "unknown" : "N%d",
				 entry[i].node);
			print_text(node);
			printf(json ? ":%llu" : "=%llu", (unsigned long long)entry[i].bytes);
		}
	}
	if (json)
		putchar('}');
}

static void print_bad_pages(const struct object *obj)
{
	struct gmem_persist_list list = {};
	uint64_t offset[PART];
	bool first = true;

	if (json)
		putchar('[');
	while (next_part(obj, GMEM_PERSIST_GET_BAD_PAGES, &list, offset)) {
		for (unsigned int i = 0; i < list.nr; i++, first = false) {
			if (!first)
				putchar(json ? ',' : separator);
			printf(json ? "%llu" : "0x%llx", (unsigned long long)offset[i]);
		}
	}
	if (json)
		putchar(']');
}

static void print_ranges(const struct object *obj)
{
	struct gmem_persist_range_entry entry[PART];
	struct gmem_persist_list list = {};
	bool first = true;

	if (json)
		putchar('[');
	while (next_part(obj, GMEM_PERSIST_GET_RANGES, &list, entry)) {
		for (unsigned int i = 0; i < list.nr; i++, first = false) {
			const unsigned long long base = entry[i].base, size = entry[i].size;

			if (!first)
				putchar(json ? ',' : separator);
			if (json)
				printf("[%llu,%llu]", base, size);
			else
				printf("%#llx-%#llx", base, base + size - 1);
		}
	}
	if (json)
		putchar(']');
}

/* What there is to be known; @asked: only if it is asked for */
static const struct field {
	const char *name;
	void (*print)(const struct object *obj);
	bool asked;
} fields[] = {
	{ "name", print_name },
	{ "size", print_size },
	{ "length", print_length },
	{ "granule", print_granule },
	{ "kind", print_kind },
	{ "state", print_state },
	{ "views", print_views },
	{ "generation", print_generation },
	{ "flags", print_flags },
	{ "vm_class", print_vm_class },
	{ "uuid", print_uuid },
	{ "token", print_token },
	{ "nodes", print_nodes },
	{ "bad_pages", print_bad_pages },
	{ "ranges", print_ranges, .asked = true },
};

#define NR_FIELDS	(sizeof(fields) / sizeof(*fields))

static void print_object(const struct object *obj)
{
	const char *comma = "{";

	for (size_t i = 0; i < NR_FIELDS; i++) {
		if (fields[i].asked)
			continue;
		if (json)
			printf("%s\"%s\":", comma, fields[i].name);
		else
			printf("%-18s ", fields[i].name);
		comma = ",";
		fields[i].print(obj);
		if (!json)
			putchar('\n');
	}
	if (json)
		putchar('}');
}

static const struct field *find_field(const char *name)
{
	for (size_t i = 0; i < NR_FIELDS; i++)
		if (!strcmp(fields[i].name, name))
			return &fields[i];
	errx(STATUS_USAGE, "%s: there is no such field", name);
}

/**
 * show - print what objects are
 * @paths: their paths: from the root of gmemfs, or, with a slash at the beginning, of this system
 * @nr: how many there are
 * @field: only this; NULL: all that is shown
 *
 * Return: STATUS_OK, or STATUS_FAILED if one of them was not to be had, which has been said.
 */
int show(char * const *paths, int nr, const char *field)
{
	const struct field *only = field ? find_field(field) : NULL;
	int root = -1, status = STATUS_OK;
	struct object obj;

	for (int i = 0; i < nr; i++) {
		if (paths[i][0] != '/' && root < 0)
			root = open_root(false);
		if (!open_object(root, paths[i], paths[i], &obj)) {
			warnx("%s: %s", paths[i], reason(errno));
			status = STATUS_FAILED;
			continue;
		}
		if (only) {
			separator = '\n';
			only->print(&obj);
		} else {
			print_object(&obj);
		}
		if (json || only)
			putchar('\n');
		close(obj.fd);
	}
	return status;
}

/*
 * The tree
 */

static void print_line(const struct object *obj)
{
	printf("%16llu %11llu %-9s %-9s  %s\n", (unsigned long long)obj->info.size,
	       (unsigned long long)obj->info.granule, kind_of(obj), state_of(obj), obj->name);
}

/* Of what may not be opened there is a name, and why. */
static void print_unknown(const char *name, int error)
{
	if (!json) {
		printf("%16s %11s %-9s %-9s  %s: %s\n", "-", "-", "-", "-", name, reason(error));
		return;
	}
	printf("{\"name\":");
	print_text(name);
	printf(",\"problem\":");
	print_text(reason(error));
	putchar('}');
}

static int no_dots(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
}

static void list_directory(int dir, const char *path);

/* The entry @name of the directory @dir, and what is in it; @path: where it is in gmemfs */
static void list_entry(int dir, const char *name, const char *path)
{
	static bool comma;
	struct object obj;
	bool known = open_object(dir, name, path, &obj);

	/* It has gone since. */
	if (!known && (errno == ENOENT || errno == ESTALE))
		return;
	if (json && comma)
		putchar(',');
	comma = true;
	if (!known) {
		print_unknown(path, errno);
		return;
	}
	if (json)
		print_object(&obj);
	else
		print_line(&obj);
	if (obj.info.kind == GMEM_PERSIST_FILE_DIRECTORY)
		list_directory(obj.fd, path);
	close(obj.fd);
}

static void list_directory(int dir, const char *path)
{
	struct dirent **entries;
	int nr = scandirat(dir, ".", &entries, no_dots, alphasort);
	char *at;

	/* It has gone since, as an entry may have; the root cannot. */
	if (nr < 0 && path[0] && (errno == ENOENT || errno == ESTALE))
		return;
	if (nr < 0)
		err(STATUS_FAILED, "%s", path);
	for (int i = 0; i < nr; i++) {
		if (asprintf(&at, "%s%s%s", path, path[0] ? "/" : "", entries[i]->d_name) < 0)
			err(STATUS_FAILED, "%s", path);
		list_entry(dir, entries[i]->d_name, at);
		free(at);
		free(entries[i]);
	}
	free(entries);
}

/**
 * list - print what is in gmemfs, as a table or, as JSON, an array of what show() prints
 *
 * Return: STATUS_OK.
 */
int list(void)
{
	if (json)
		putchar('[');
	else
		printf("%16s %11s %-9s %-9s  %s\n", "SIZE", "GRANULE", "KIND", "STATE", "NAME");
	list_directory(open_root(false), "");
	if (json)
		printf("]\n");
	return STATUS_OK;
}
