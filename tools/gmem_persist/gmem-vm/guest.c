// SPDX-License-Identifier: GPL-2.0
/*
 * What QEMU knows of its guest, and how it is told to save it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "vm.h"

#define MIB	(1ULL << 20)

static bool copy_text(char *to, size_t size, char *from)
{
	bool fits = from && (size_t)snprintf(to, size, "%s", from) < size;

	free(from);
	return fits;
}

/**
 * guest_status - does it run
 * @qmp: the session
 * @status: QEMU's word for it: running, paused, prelaunch, inmigrate, postmigrate, ...
 *
 * Return: false, and a reason in the session.
 */
bool guest_status(struct qmp *qmp, char status[32])
{
	return copy_text(status, 32, qmp_text(qmp, "query-status", NULL, "status"));
}

/**
 * guest_cont - let it run
 * @qmp: the session
 *
 * Return: false, and a reason in the session.
 */
bool guest_cont(struct qmp *qmp)
{
	return qmp_do(qmp, "cont", NULL);
}

/**
 * guest_restart_mode - save and load without memory: QEMU's own mode for a reboot of the host
 * @qmp: the session
 * @on: begin, or end it
 *
 * While x-ignore-shared is set, QEMU's own snapshots (savevm) have no memory in them, without a
 * word. So it is set for no longer than it takes.
 *
 * Return: false, and a reason in the session.
 */
bool guest_restart_mode(struct qmp *qmp, bool on)
{
	return qmp_do(qmp, "migrate-set-parameters",
		      json_pack("{s:s}", "mode", on ? "cpr-reboot" : "normal")) &&
	       qmp_do(qmp, "migrate-set-capabilities",
		      json_pack("{s:[{s:s,s:b},{s:s,s:b}]}", "capabilities",
				"capability", "x-ignore-shared", "state", on,
				"capability", "events", "state", 1));
}

/**
 * guest_in_restart_mode - is QEMU in that mode, because somebody did not come to its end
 * @qmp: the session
 * @on: is set
 *
 * Return: false, and a reason in the session.
 */
bool guest_in_restart_mode(struct qmp *qmp, bool *on)
{
	char mode[32];

	if (!copy_text(mode, sizeof(mode),
		       qmp_text(qmp, "query-migrate-parameters", NULL, "mode")))
		return false;
	*on = !strcmp(mode, "cpr-reboot");
	return true;
}

/**
 * guest_migration_state - how far saving or loading it has come
 * @qmp: the session
 * @status: QEMU's word for it; "none"
 * @why: what QEMU says has gone wrong, or ""
 *
 * Return: false, and a reason in the session.
 */
bool guest_migration_state(struct qmp *qmp, char status[32], struct why *why)
{
	json_t *found = qmp_call(qmp, "query-migrate", NULL);
	const char *word = "none", *words = "";

	if (!found)
		return false;
	json_unpack(found, "{s:s}", "status", &word);
	json_unpack(found, "{s:s}", "error-desc", &words);
	snprintf(status, 32, "%s", word);
	WHY(why, "%s", words);
	json_decref(found);
	return true;
}

/**
 * guest_call_off - it shall not be saved after all
 * @qmp: the session, with what QEMU writes to closed
 * @cont: it ran before
 *
 * Return: false, and a reason in the session.
 */
bool guest_call_off(struct qmp *qmp, bool cont)
{
	static const char * const over[] = { "none", "completed", "failed", "cancelled" };
	const int64_t deadline = qmp_deadline(qmp);
	char status[32];
	struct why why;
	bool ended = false;

	/* Refused if there is nothing to cancel */
	qmp_do(qmp, "migrate_cancel", NULL);
	while (!ended) {
		if (!guest_migration_state(qmp, status, &why))
			return false;
		for (size_t i = 0; i < sizeof(over) / sizeof(*over); i++)
			ended |= !strcmp(status, over[i]);
		if (!ended && now_ms() > deadline) {
			WHY(&qmp->why, "QEMU does not cancel: %s", status);
			return false;
		}
	}
	/* It goes on first: how QEMU is set matters less. */
	if (cont && !guest_cont(qmp))
		return false;
	return guest_restart_mode(qmp, false);
}

/**
 * guest_pause_again - let it be saved once more
 * @qmp: the session
 * @status: how it is
 *
 * QEMU takes no guest that an earlier migration has stopped, as when a paused one was saved and
 * that was called off. It has to run for a moment.
 *
 * Return: false, and a reason in the session.
 */
bool guest_pause_again(struct qmp *qmp, const char *status)
{
	return strcmp(status, "postmigrate") || (guest_cont(qmp) && qmp_do(qmp, "stop", NULL));
}

/* The machine's name, with a version */
static bool guest_machine(struct qmp *qmp, char machine[NOTE_WORD])
{
	static const char tail[] = "-machine";
	size_t length;

	if (!copy_text(machine, NOTE_WORD,
		       qmp_text(qmp, "qom-get", json_pack("{s:s,s:s}", "path", "/machine",
							  "property", "type"), NULL)))
		return false;
	length = strlen(machine);
	if (length > strlen(tail) && !strcmp(machine + length - strlen(tail), tail))
		machine[length - strlen(tail)] = '\0';
	return true;
}

/*
 * How much memory it began with, as a size that MEMORY= could have. The settings may be others by
 * now.
 */
static bool guest_memory(struct qmp *qmp, char memory[NOTE_WORD])
{
	json_t *sizes = qmp_call(qmp, "query-memory-size-summary", NULL);
	json_int_t bytes;
	bool told = sizes && !json_unpack(sizes, "{s:I}", "base-memory", &bytes);

	if (told)
		snprintf(memory, NOTE_WORD, "%lldK", (long long)bytes >> 10);
	else if (sizes)
		WHY(&qmp->why, "QEMU does not tell the size of its memory");
	json_decref(sizes);
	return told;
}

/* A number of one of QEMU's objects; 0 if it has no such property */
static uint64_t number_of(struct qmp *qmp, const char *object, const char *property)
{
	json_t *found = qmp_call(qmp, "qom-get",
				 json_pack("{s:s,s:s}", "path", object, "property", property));
	const uint64_t number = json_integer_value(found);

	json_decref(found);
	return number;
}

/* What is in that file, which is not on gmemfs? QEMU saves none that it shares. */
static bool keep_other(struct qmp *qmp, const char *object, const char *path, struct mapped *mapped)
{
	json_t *share = qmp_call(qmp, "qom-get", json_pack("{s:s,s:s}", "path", object,
							   "property", "share"));
	const bool shared = json_is_true(share), told = share;

	json_decref(share);
	if (!told)
		return false;
	if (shared && (memory_is_lost(path) || memory_in_folder(path))) {
		WHY(&qmp->why, "its memory %s is not on gmemfs and would be lost", path);
		return false;
	}
	if (shared)
		mapped->shared += number_of(qmp, object, "size");
	return true;
}

/* The same for one of the files. Nor shall QEMU clear it when it ends. */
static bool keep_file(struct qmp *qmp, const char *name, struct note *note, struct mapped *mapped)
{
	const bool ask = mapped->others || (note && mapped->nr > 1);
	char *object = text("/objects/%s", name), *path = NULL;
	bool kept = qmp_do(qmp, "qom-set", json_pack("{s:s,s:s,s:b}", "path", object,
						     "property", "discard-data", "value", 0));
	struct note_part *part;

	if (kept && ask) {
		path = qmp_text(qmp, "qom-get", json_pack("{s:s,s:s}", "path", object,
							  "property", "mem-path"), NULL);
		kept = path;
	}
	if (path && !memory_on_gmemfs(path)) {
		kept = keep_other(qmp, object, path, mapped);
	} else if (path && note) {
		part = memory_part(note, path);
		if (part)
			note_add_where(part, name, number_of(qmp, object, "offset"));
	}
	free(path);
	free(object);
	return kept;
}

/**
 * guest_keeps_files - what QEMU has in files as memory is there when the guest goes on
 * @qmp: the session
 * @note: what its mappings tell (memory_parts()), is told which memory that is; NULL
 * @mapped: likewise, is told of memory in other files. Without any, and with a single file, there
 *	is nothing that QEMU has to be asked
 *
 * Return: false, and a reason in the session: it would not be.
 */
bool guest_keeps_files(struct qmp *qmp, struct note *note, struct mapped *mapped)
{
	json_t *objects = qmp_call(qmp, "qom-list", json_pack("{s:s}", "path", "/objects"));
	bool kept = objects;
	const char *name, *type;
	json_t *object;
	size_t i;

	json_array_foreach(objects, i, object)
		if (kept && !json_unpack(object, "{s:s,s:s}", "name", &name, "type", &type) &&
		    !strcmp(type, "child<memory-backend-file>"))
			kept = keep_file(qmp, name, note, mapped);
	json_decref(objects);
	return kept;
}

/* Add those of one folder of QEMU's devices to a list. */
static bool add_assigned(struct qmp *qmp, const char *folder, char **list)
{
	json_t *devices = qmp_call(qmp, "qom-list", json_pack("{s:s}", "path", folder)), *device;
	static const char type_of[] = "child<vfio-";
	const bool told = devices;
	const char *name, *type;
	size_t i;

	json_array_foreach(devices, i, device) {
		char *path, *host, *before = *list;

		if (json_unpack(device, "{s:s,s:s}", "name", &name, "type", &type) ||
		    strncmp(type, type_of, strlen(type_of)))
			continue;
		path = text("%s/%s", folder, name);
		host = qmp_text(qmp, "qom-get", json_pack("{s:s,s:s}", "path", path,
							  "property", "host"), NULL);
		*list = text("%s%s%s (%s)", before, *before ? ", " : "", path, host ? host : "");
		free(before);
		free(host);
		free(path);
	}
	json_decref(devices);
	return told;
}

/**
 * guest_has_no_assigned - is no device of the host's assigned to it
 * @qmp: the session
 * @status: how it is
 *
 * QEMU saves these of no guest that runs, and says so late, and not which they are. A guest that
 * has suspended itself has saved what its devices need.
 *
 * Return: false, and a reason in the session.
 */
bool guest_has_no_assigned(struct qmp *qmp, const char *status)
{
	char *list;
	bool none;

	if (!strcmp(status, "suspended"))
		return true;
	list = text("%s", "");
	none = add_assigned(qmp, "/machine/peripheral", &list) &&
	       add_assigned(qmp, "/machine/peripheral-anon", &list);
	if (none && *list) {
		WHY(&qmp->why,
		    "devices of the host's cannot be saved: unplug them first (device_del), and plug them again when the guest goes on: %s",
		    list);
		none = false;
	}
	free(list);
	return none;
}

static void add_word(struct cpu *cpu, json_t *found)
{
	json_int_t leaf, subleaf = 0, bits;
	struct cpu_word word;
	const char *reg;

	if (json_unpack(found, "{s:I,s:s,s:I}", "cpuid-input-eax", &leaf, "cpuid-register", &reg,
			"features", &bits))
		return;
	json_unpack(found, "{s:I}", "cpuid-input-ecx", &subleaf);
	word.leaf = leaf;
	word.subleaf = subleaf;
	word.bits = bits;
	if (cpu_reg_of(reg, &word.reg))
		cpu_add(cpu, &word);
}

/**
 * guest_cpu - what its CPUs can do
 * @qmp: the session
 * @cpu: is set
 *
 * All have the same features, so the first one is asked.
 *
 * Return: false, and a reason in the session.
 */
bool guest_cpu(struct qmp *qmp, struct cpu *cpu)
{
	json_t *cpus = qmp_call(qmp, "query-cpus-fast", NULL), *words, *word;
	const char *path;
	size_t i;

	*cpu = (struct cpu){ 0 };
	if (!cpus)
		return false;
	if (json_unpack(json_array_get(cpus, 0), "{s:s}", "qom-path", &path)) {
		json_decref(cpus);
		WHY(&qmp->why, "QEMU tells of no CPU");
		return false;
	}
	words = qmp_call(qmp, "qom-get",
			 json_pack("{s:s,s:s}", "path", path, "property", "feature-words"));
	json_decref(cpus);
	if (!words)
		return false;
	json_array_foreach(words, i, word)
		add_word(cpu, word);
	json_decref(words);
	return true;
}

/**
 * guest_facts - ask for what does not change while QEMU runs
 * @qmp: the session
 * @note: machine, memory and CPU are set, this one if it is not yet
 *
 * Return: false, and a reason in the session.
 */
bool guest_facts(struct qmp *qmp, struct note *note)
{
	return guest_machine(qmp, note->machine) && guest_memory(qmp, note->memory) &&
	       (note->cpu.nr || guest_cpu(qmp, &note->cpu));
}

/**
 * guest_state_bytes - how much may have to be saved, at most
 * @qmp: the session
 * @shared: how much memory is in files that are not saved
 * @bytes: is set
 *
 * That is QEMU's memory which is in no file: firmware, video memory, plugged memory of a
 * common kind; and devices, which are small.
 *
 * Return: false, and a reason in the session.
 */
bool guest_state_bytes(struct qmp *qmp, uint64_t shared, uint64_t *bytes)
{
	char *table = qmp_text(qmp, "x-query-ramblock", NULL, "human-readable-text");
	uint64_t all;

	if (!table)
		return false;
	all = parse_blocks(table);
	if (!all)
		WHY(&qmp->why, "QEMU does not tell what memory it has");
	free(table);
	if (!all)
		return false;
	all = all > shared ? all - shared : 0;
	/* Each page has its address with it. */
	*bytes = NOTE_SIZE + all + all / 256 + MIB;
	return true;
}

/**
 * guest_can_be_saved - is this QEMU one that knows how to
 * @qmp: the session
 *
 * Return: false, and a reason in the session.
 */
bool guest_can_be_saved(struct qmp *qmp)
{
	if (qmp->major > 8 || (qmp->major == 8 && qmp->minor >= 2))
		return true;
	WHY(&qmp->why, "this is QEMU %s; 8.2 or newer can save a guest without its memory",
	    qmp->version);
	return false;
}
