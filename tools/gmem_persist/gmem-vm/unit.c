// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of what needs neither QEMU nor a pool: settings, the note, whose memory it is, features of
 * CPUs, what comes in from a socket, disks. Each test runs in a process of its own. The output is KTAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "conf.h"
#include "cpu.h"
#include "note.h"
#include "parse.h"
#include "vm.h"

#define CHECK(cond) do {						\
	if (!(cond)) {							\
		printf("# %s:%d: not true: %s\n", __FILE__, __LINE__, #cond); \
		fflush(stdout);						\
		_exit(1);						\
	}								\
} while (0)

#define UUID	"01234567-89ab-cdef-0123-456789abcdef"
#define OTHER	"fedcba98-7654-3210-fedc-ba9876543210"
#define TOKEN	"00112233445566778899aabbccddeeff"

static const char *why;

volatile sig_atomic_t interrupted;

char *text(const char *format, ...)
{
	char *made;
	va_list args;

	va_start(args, format);
	CHECK(vasprintf(&made, format, args) >= 0);
	va_end(args);
	return made;
}

void complain(const struct vm *vm, const char *format, ...)
{
}

static int bad_disk;

/* In place of libc's: on a bad disk no name gets to it, for that reason. */
int fsync(int fd)
{
	struct stat status;
	const bool bad = bad_disk && !fstat(fd, &status) && S_ISDIR(status.st_mode);

	errno = bad_disk;
	return bad ? -1 : 0;
}

static long fs_type = EXT4_SUPER_MAGIC;

/* In place of libc's: whatever the tests' folder is on */
int statfs(const char *path, struct statfs *fs)
{
	*fs = (struct statfs){ .f_type = fs_type };
	return 0;
}

/*
 * Settings
 */

static const char answer[] = "qemu\0q35\0host\0002M\0004G\00060\0003\0-smp\0\0a b\0end";

static void conf_good(void)
{
	char copy[sizeof(answer)];
	struct conf conf;

	memcpy(copy, answer, sizeof(answer));
	CHECK(conf_parse(copy, sizeof(answer), &conf, &why));
	CHECK(!strcmp(conf.memory, "4G") && conf.patience == 60 && conf.nr_args == 3);
	CHECK(!strcmp(conf.args[0], "-smp") && !*conf.args[1] && !strcmp(conf.args[2], "a b"));
	CHECK(!conf.args[3]);
	CHECK(conf_has_word(&conf, "-smp") && !conf_has_word(&conf, "-S"));
}

/* Half an answer is none: not even the last byte may be missing, and nothing may follow. */
static void conf_half(void)
{
	char copy[sizeof(answer) + 1];
	struct conf conf;

	for (size_t length = 0; length < sizeof(answer); length++) {
		memcpy(copy, answer, sizeof(answer));
		CHECK(!conf_parse(copy, length, &conf, &why));
	}
	memcpy(copy, answer, sizeof(answer));
	copy[sizeof(answer)] = 'x';
	CHECK(!conf_parse(copy, sizeof(copy), &conf, &why));
}

static bool conf_of(const char *memory, const char *patience)
{
	char copy[256];
	struct conf conf;
	int length = snprintf(copy, sizeof(copy), "q%cq%cc%c2M%c%s%c%s%c0%cend", 0, 0, 0, 0,
			      memory, 0, patience, 0, 0);

	return conf_parse(copy, length + 1, &conf, &why);
}

static void conf_values(void)
{
	CHECK(conf_of("512M", "1") && conf_of("1024", "86400") && conf_of("1T", "60"));
	CHECK(!conf_of("", "60") && !strcmp(why, "has no MEMORY="));
	CHECK(!conf_of("4GiB", "60") && !conf_of("G", "60") && !conf_of("4G,slots=2", "60"));
	CHECK(!conf_of("4\nG", "60") && conf_of("9999T", "60") && !conf_of("16777216T", "60"));
	CHECK(conf_of("9999999999999K", "60") && !conf_of("99999999999999999", "60"));
	CHECK(!conf_of("4G", "0") && !conf_of("4G", "") && !conf_of("4G", "-1"));
	CHECK(!conf_of("4G", "1.5") && !conf_of("4G", "99999999999999"));
}

static void conf_sizes(void)
{
	CHECK(conf_size("4G") == 4ULL << 30 && conf_size("4194304K") == 4ULL << 30);
	CHECK(conf_size("1t") == 1ULL << 40 && conf_size("512m") == 512 << 20);
	CHECK(conf_size("4096") == 4096);
}

static int read_file(const char *text, struct conf *conf)
{
	char path[] = "/tmp/gmem-vm-unit-XXXXXX";
	int fd = mkstemp(path), status;

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	status = conf_read(path, conf, &why);
	unlink(path);
	return status;
}

/* By a real shell */
static void conf_shell(void)
{
	struct conf conf;

	setenv("GMEM_VM_UNIT", "from outside", 1);
	CHECK(!read_file("MEMORY=1G\nCPU=EPYC\necho noise\n"
			 "QEMU_ARGS=\"-smp 2\n\t-append 'a  b=\\\"c\\\"' -name $GMEM_VM_UNIT\"\n", &conf));
	CHECK(!strcmp(conf.memory, "1G") && !strcmp(conf.cpu, "EPYC"));
	CHECK(!strcmp(conf.machine, "q35") && !strcmp(conf.granule, "2M") && conf.patience == 60);
	CHECK(conf.nr_args == 7 && !strcmp(conf.args[3], "a  b=\"c\""));
	CHECK(!strcmp(conf.args[6], "outside"));
	CHECK(!read_file("MEMORY=1G\n", &conf) && !conf.nr_args);
	conf_seconds = 1;
	CHECK(read_file("MEMORY=1G\nsleep 60\n", &conf) && strstr(why, "not in time"));
	CHECK(read_file("MEMORY=1G\nfi\n", &conf));
	CHECK(read_file("MEMORY=1G\nQEMU_ARGS=\"-append 'a\"\n", &conf));
	CHECK(read_file("MEMORY=1G\nexit 0\n", &conf));
	CHECK(read_file("QEMU_ARGS=x\n", &conf));
}

static void conf_paths(void)
{
	char *args[8] = {
		"-object", "memory-backend-file,id=a,mem-path=/gmem/a,,b,share=on",
		"-append", "xmem-path=/no", "mem-path=/gmem/c",
		"{\"mem-path\": \"/gmem/d,e\", \"mem-path\":\"/f\"}", "mem-path", "\"mem-path\":1",
	};
	struct conf conf = { .args = args, .nr_args = sizeof(args) / sizeof(*args) };
	static const char * const paths[] = { "/gmem/a,b", "/gmem/c", "/gmem/d,e", "/f" };
	size_t arg = 0, offset = 0;

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		char *path = conf_next_path(&conf, &arg, &offset);

		CHECK(path && !strcmp(path, paths[i]));
		free(path);
	}
	CHECK(!conf_next_path(&conf, &arg, &offset));
}

static bool switched_on(const char *key, const char *word)
{
	char *args[2] = { "-object", (char *)word };
	struct conf conf = { .args = args, .nr_args = 2 };

	return conf_says(&conf, key, true);
}

static bool discards(const char *word)
{
	return switched_on("discard-data", word);
}

static void conf_discarding(void)
{
	CHECK(discards("memory-backend-file,discard-data=on,id=a") && discards("discard-data=yes"));
	CHECK(discards("discard-data=off,discard-data=true"));
	CHECK(discards("{\"discard-data\": true}") && discards("{\"discard-data\":true}"));
	CHECK(!discards("discard-data=off") && !discards("discard-data=no,share=on"));
	CHECK(!discards("{\"discard-data\": false}") && !discards("x") && !discards("discard-data"));
}

static void conf_snapshots(void)
{
	CHECK(switched_on("snapshot=", "file=a,snapshot=on"));
	CHECK(switched_on("snapshot=", "snapshot=yes,file=a"));
	CHECK(!switched_on("snapshot=", "file=a,snapshot=off"));
	CHECK(!switched_on("snapshot=", "file=snapshot-on"));
}

static bool switched_off(const char *key, const char *word)
{
	const struct conf conf = { .args = (char **)&word, .nr_args = 1 };

	return conf_says(&conf, key, false);
}

static void conf_locking(void)
{
	CHECK(switched_off("locking", "file.locking=off,file=a"));
	CHECK(switched_off("locking", "{\"locking\": \"off\"}"));
	CHECK(switched_off("locking", "locking=auto,locking=no"));
	CHECK(!switched_off("locking", "locking=on") && !switched_off("locking", "locking=auto"));
	CHECK(!switched_off("locking", "file=/srv/blocking/new") && !switched_off("locking", "x"));
}

static void conf_names(void)
{
	char longest[202];

	memset(longest, 'a', sizeof(longest) - 1);
	longest[201] = '\0';
	CHECK(conf_name_good("vm0") && conf_name_good("a b") && conf_name_good(longest + 1));
	CHECK(!conf_name_good(longest) && !conf_name_good("") && !conf_name_good(".x"));
	CHECK(!conf_name_good("a/b") && !conf_name_good("a,b") && !conf_name_good("a\nb"));
	CHECK(!conf_name_good("vm0.state") && !conf_name_good("vm0.room"));
	CHECK(!conf_name_good("vm0.saved"));
	CHECK(conf_name_good("state") && conf_name_good("vm.states"));
}

/*
 * Features of CPUs
 */

static const struct cpu cpu = {
	.nr = 3,
	.words = {
		{ 1, 0, CPU_ECX, 0x90000001 },
		{ 7, 0, CPU_EBX, 0 },
		{ 0x80000001, 0, CPU_ECX, 0x4 },
	},
};

static void cpu_text(void)
{
	struct cpu read;
	char text[128];

	CHECK(cpu_print(&cpu, text, sizeof(text)) == (int)strlen(text));
	CHECK(!strcmp(text, "1.0.ecx=90000001 80000001.0.ecx=4"));
	CHECK(cpu_parse(text, &read) && read.nr == 2 && read.words[1].bits == 4);
	CHECK(cpu_parse("", &read) && !read.nr);
	CHECK(cpu_print(&cpu, text, 5) == 33);
}

static void cpu_bad_text(void)
{
	static const char * const bad[] = {
		" ", "1.0.ecx=1 ", " 1.0.ecx=1", "1.0.ecx=1  2.0.ecx=1", "1.0.fcx=1", "1.0.ecx",
		"1.0.ecx=", "1.0=1", "1.ecx=1", "1.0.ecx=g", "1.0.ecx=123456789", "-1.0.ecx=1",
		"1.0.ecx=0x1", "1.0.ecx=1 1.0.ecx=2", "1.0.ecx= 1",
	};
	struct cpu read;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CHECK(!cpu_parse(bad[i], &read));
}

static void cpu_compare(void)
{
	struct cpu now = cpu;
	char names[64];

	CHECK(!cpu_missing(&cpu, &now, names, sizeof(names)) && !*names);
	now.words[0].bits |= 2;		/* More is no harm. */
	CHECK(!cpu_missing(&cpu, &now, names, sizeof(names)));
	now.words[0].bits &= ~0x90000000;
	CHECK(cpu_missing(&cpu, &now, names, sizeof(names)) == 2);
	CHECK(!strcmp(names, "avx guest_status"));
	now.nr = 0;			/* A word that is not known has no features. */
	CHECK(cpu_missing(&cpu, &now, names, sizeof(names)) == 4);
	CHECK(!strcmp(names, "pni avx guest_status svm"));
	CHECK(cpu_missing(&cpu, &now, names, 16) == 4 && strlen(names) < 16);
	CHECK(!strcmp(names, "pni avx ..."));
	CHECK(!cpu_missing(&now, &cpu, names, sizeof(names)));
}

/* Each bit of each word has a name of its own, or says where it is. */
static void cpu_all_names(void)
{
	static const struct cpu none;
	struct cpu one = { .nr = 1, .words = { { 0x40000001, 0, CPU_EAX, 1 << 5 } } };
	char names[64];

	CHECK(cpu_missing(&one, &none, names, sizeof(names)) == 1);
	CHECK(!strcmp(names, "CPUID.40000001H.0:eax[5]"));
	CHECK(nr_cpu_names > 300);
}

/*
 * The note
 */

static struct note example(void)
{
	struct note note = {
		.version = 4, .name = "vm0", .memory = "4G", .machine = "pc-q35-10.0",
		.qemu = "10.0.2", .length = 297123, .crc = 0xabcdef01, .cpu = cpu,
	};

	note.file = strdup("/gmem/vm0.state");
	CHECK(note_add_part(&note, UUID, TOKEN, "/gmem/vm0"));
	CHECK(note_add_part(&note, UUID, TOKEN, "/gmem/a dimm"));
	CHECK(note_add_where(&note.parts[1], "dimm1", 4096));
	return note;
}

static void note_round(void)
{
	struct note note = example(), read;
	char block[NOTE_SIZE], again[NOTE_SIZE];

	note.state = NOTE_RESUMING;
	note.paused = true;
	CHECK(note_print(&note, block, &why));
	CHECK(note_parse(block, &read, &why));
	CHECK(read.state == NOTE_RESUMING && read.paused && read.length == 297123);
	CHECK(read.crc == 0xabcdef01 && read.nr_parts == 2 && read.cpu.nr == 2);
	CHECK(!strcmp(read.file, "/gmem/vm0.state"));
	CHECK(!strcmp(read.parts[1].path, "/gmem/a dimm") && !strcmp(read.parts[1].token, TOKEN));
	CHECK(!read.parts[0].where && !strcmp(read.parts[1].where, "dimm1+4096"));
	CHECK(note_print(&read, again, &why) && !memcmp(block, again, NOTE_SIZE));
	note_clear(&read);
	note_clear(&note);
}

/* Several backends of a file, in the same order whoever comes first */
static void note_places(void)
{
	static const char * const orders[] = { "abc", "acb", "bac", "bca", "cab", "cba" };
	struct note note = example(), now = example();

	for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++) {
		struct note_part part = { 0 };

		for (const char *at = orders[i]; *at; at++) {
			const char name[] = { 'd', *at, '\0' };

			CHECK(note_add_where(&part, name, *at));
		}
		CHECK(!strcmp(part.where, "da+97,db+98,dc+99"));
		CHECK(!note_add_where(&part, "a b", 0) && !note_add_where(&part, "a,b", 0));
		free(part.where);
	}
	/* What is known of them stays known, of those that are the same. */
	note_clear_parts(&now);
	CHECK(note_add_part(&now, OTHER, TOKEN, "/x") && note_add_part(&now, UUID, TOKEN, "/y"));
	note_replace_parts(&note, &now);
	CHECK(note.nr_parts == 2 && !now.nr_parts && !note.parts[0].where);
	CHECK(!strcmp(note.parts[1].where, "dimm1+4096") && !strcmp(note.parts[1].path, "/y"));
	note_clear(&now);
	note_clear(&note);
}

/* Any byte that is another one is noticed, and so is a block that ends early. */
static void note_damage(void)
{
	struct note note = example(), read;
	char block[NOTE_SIZE];

	CHECK(note_print(&note, block, &why));
	note_clear(&note);
	for (size_t i = 0; i < NOTE_SIZE; i++) {
		for (unsigned int mask = 1; mask < 256; mask++) {
			block[i] ^= mask;
			if (note_parse(block, &read, &why))
				printf("# byte %zu ^ %#x\n", i, mask);
			CHECK(!note_parse(block, &read, &why));
			note_clear(&read);
			block[i] ^= mask;
		}
	}
	for (size_t i = strlen(block); i; i--) {
		block[i - 1] = '\0';
		CHECK(!note_parse(block, &read, &why));
		note_clear(&read);
	}
	memset(block, 'x', NOTE_SIZE);
	CHECK(!note_parse(block, &read, &why));
}

/* And what is written again is the same, in its own format. */
static bool parses(const char *text, struct note *note)
{
	char block[NOTE_SIZE] = "", again[NOTE_SIZE];

	memcpy(block, text, strlen(text));
	if (!note_parse(block, note, &why))
		return false;
	CHECK(note_print(note, again, &why) && !memcmp(block, again, NOTE_SIZE));
	return true;
}

/* Format 3 */
static bool parses_3(const char *extra, struct note *note)
{
	static const char * const lines[] = {
		"gmem-vm 3", "name vm0", "memory 64M", "state complete", "guest running",
		"machine pc", "qemu 10.0.2", "cpu 1.0.ecx=1", "payload 1 00000001",
		"part " UUID " " TOKEN " /gmem/vm0",
	};
	char text[1024];
	int length = 0;

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		length += sprintf(text + length, "%s%s\n",
				  i + 1 < sizeof(lines) / sizeof(*lines) ? "" : extra, lines[i]);
	sprintf(text + length, "check %08lx\n", crc32(0, (unsigned char *)text, length));
	return parses(text, note);
}

/* Format 2, of the script; 3; and one that there is not yet */
static void note_before(void)
{
	static const char head[] = "gmem-vm 2\nname vm0\nmemory 64M\nstate complete\n";
	static const char tail[] = "machine\x20\nqemu 10.0.2\npart " UUID " " TOKEN " /gmem/vm0\n";
	struct note note;
	char text[512];

	CHECK(parses_3("", &note) && note.version == 3 && !note.file && note.nr_parts == 1);
	note_clear(&note);
	CHECK(!parses_3("file /gmem/vm0.state\n", &note));
	note_clear(&note);
	CHECK(!parses("gmem-vm 5\nname vm0\n", &note) && strstr(why, "another version"));
	CHECK(!parses("gmem-vm 42\nname vm0\n", &note) && strstr(why, "another version"));
	CHECK(!parses("gmem-vmm 3\nname vm0\n", &note) && strstr(why, "is none of"));
	sprintf(text, "%s%s", head, tail);
	CHECK(parses(text, &note) && note.version == 2 && !note.cpu.nr && !note.machine[0]);
	note_clear(&note);
	CHECK(!parses(head, &note));
	sprintf(text, "%scpu\x20\n%s", head, tail);
	CHECK(!parses(text, &note));
	sprintf(text, "%sname vm0\n%s", head, tail);
	CHECK(!parses(text, &note));
	sprintf(text, "gmem-vm 3%s%s", head + 9, tail);
	CHECK(!parses(text, &note));
	note_clear(&note);
	sprintf(text, "gmem-vm 2\nname vm0\nmemory 64M\nstate incomplete\n%s", tail);
	CHECK(!parses(text, &note));
}

static void note_limits(void)
{
	struct note note = example();
	char block[NOTE_SIZE], path[2100];

	CHECK(!note_add_part(&note, UUID, TOKEN, "relative"));
	CHECK(!note_add_part(&note, UUID, TOKEN, "/line\nbreak"));
	CHECK(!note_add_part(&note, UUID "x", TOKEN, "/x"));
	memset(path, '/', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	CHECK(note_add_part(&note, UUID, TOKEN, path) && note_print(&note, block, &why));
	CHECK(note_add_part(&note, UUID, TOKEN, path) && !note_print(&note, block, &why));
	while (note.nr_parts < NOTE_PARTS)
		CHECK(note_add_part(&note, UUID, TOKEN, "/x"));
	CHECK(!note_add_part(&note, UUID, TOKEN, "/x"));
	note_clear(&note);
}

/*
 * Whose memory it is
 */

static char folder[32];

static struct vm vm_of(const char *name, const char *state)
{
	struct vm vm = { .name = name, .elsewhere = strcmp(state, "gmem") };

	vm.memory = text("%s/gmem/%s", folder, name);
	vm.mark = text("%s/gmem/%s.saved", folder, name);
	vm.spare = text("%s/gmem/%s.spare", folder, name);
	vm.state = text("%s/%s/%s.state", folder, state, name);
	vm.room = text("%s/%s/%s.room", folder, state, name);
	return vm;
}

static void make_folders(void)
{
	strcpy(folder, "/tmp/gmem-vm-unit-XXXXXX");
	CHECK(mkdtemp(folder) && !chdir(folder));
	CHECK(!mkdir("gmem", 0700) && !mkdir("disk", 0700) && !mkdir("other", 0700));
}

static void remove_folders(void)
{
	char *command = text("rm -r %s", folder);

	CHECK(!system(command));
	free(command);
}

static void save(const struct vm *vm)
{
	struct note note = example();
	struct why reason;
	int fd;

	free(note.file);
	note.file = strdup(vm->state);
	note.length = 1;
	note.crc = crc32(0, (const unsigned char *)"x", 1);
	CHECK(file_reserve(vm, 4096, &reason));
	fd = file_open_room(vm, &reason);
	CHECK(pwrite(fd, "x", 1, NOTE_SIZE) == 1);
	CHECK(file_commit(vm, fd, &note, &reason));
	close(fd);
	note_clear(&note);
}

/* Nobody has that one, but somebody whom nobody can ask may. */
static bool other_may(const struct vm *asks, const struct vm *whose)
{
	struct why reason;

	return file_names_memory(asks, whose->memory, OTHER, &reason) &&
	       strstr(reason.text, "may have");
}

/* The memory that example() has */
static bool has(const struct vm *asks)
{
	struct why reason = { "" };
	bool found = file_names_memory(asks, asks->memory, UUID, &reason);

	CHECK(found == !!*reason.text);
	return found;
}

/* Wherever what was saved is, and whoever asks, and from whichever folder: the mark tells it. */
static void file_named(void)
{
	static const char * const where[] = { "gmem", "disk" };

	make_folders();
	for (size_t i = 0; i < sizeof(where) / sizeof(*where); i++) {
		struct vm saved = vm_of("vm0", where[i]);
		struct vm moved = vm_of("web", "gmem"), third = vm_of("web", "other");
		struct vm again = vm_of("vm0", "other");
		struct why reason;

		CHECK(!has(&moved) && !has(&third) && !file_is_missing(&again, &reason));
		save(&saved);
		CHECK(!file_is_missing(&saved, &reason) && file_is_missing(&again, &reason));
		CHECK(strstr(reason.text, saved.state));
		CHECK(has(&saved) && has(&moved) && has(&third) && has(&again));
		/* What was saved is lost, or its disk is not there. */
		CHECK(!unlink(saved.state) && has(&moved) && has(&third));
		CHECK(file_is_missing(&saved, &reason));
		/* It went on, or was dropped. */
		CHECK(file_use_up(&saved, &reason) && !has(&moved) && !has(&third));
		CHECK(!file_is_missing(&saved, &reason) && !access(saved.spare, F_OK));
		file_remove_room(&saved);
		CHECK(access(saved.spare, F_OK));
	}
	remove_folders();
}

/* Of the mark and the state, one may be damaged; of both nobody knows. Nor of an empty mark. */
static void file_unreadable(void)
{
	struct vm saved, asks, far;
	struct why reason;

	make_folders();
	saved = vm_of("vm0", "disk");
	asks = vm_of("web", "disk");
	far = vm_of("web", "gmem");
	save(&saved);
	CHECK(!truncate(saved.mark, 0) && has(&asks));
	CHECK(!file_names_memory(&asks, asks.memory, OTHER, &reason));
	CHECK(other_may(&far, &asks));
	CHECK(!truncate(saved.state, 100) && has(&asks));
	CHECK(other_may(&asks, &asks));
	CHECK(file_use_up(&saved, &reason) && !has(&asks));
	/* What is no file of ours is nobody's, nor is what is gone when it is looked at. */
	CHECK(!mkdir("gmem/a.state", 0700) && close(creat("gmem/b.spare", 0600)) == 0);
	CHECK(!symlink("/proc/version", "disk/c.state") && !has(&asks));
	CHECK(!symlink("nowhere", "disk/d.state") && !symlink("nowhere", "gmem/d.saved"));
	CHECK(close(creat("disk/e.state", 0600)) == 0 && !has(&asks));
	/* But an empty mark is one, whatever is beside it. */
	CHECK(close(creat("gmem/e.saved", 0600)) == 0 && other_may(&asks, &asks));
	remove_folders();
}

/* What was saved could not get its name: it is not saved. */
static void file_uncommitted(void)
{
	struct note note = example();
	struct why reason;
	struct vm vm;
	int fd;

	make_folders();
	vm = vm_of("vm0", "disk");
	CHECK(!mkdir(vm.state, 0700) && file_reserve(&vm, 4096, &reason));
	fd = file_open_room(&vm, &reason);
	CHECK(!file_commit(&vm, fd, &note, &reason) && strstr(reason.text, "cannot rename"));
	CHECK(access(vm.mark, F_OK) && !access(vm.spare, F_OK) && !has(&vm));
	CHECK(!rmdir(vm.state));
	bad_disk = EIO;
	CHECK(!file_commit(&vm, fd, &note, &reason) && strstr(reason.text, "cannot sync"));
	CHECK(access(vm.mark, F_OK) && access(vm.state, F_OK) && !access(vm.room, F_OK));
	/* One that knows no such thing is not bad. */
	bad_disk = EINVAL;
	CHECK(file_commit(&vm, fd, &note, &reason) && !access(vm.state, F_OK) && has(&vm));
	close(fd);
	note_clear(&note);
	remove_folders();
}

/* Saving was killed behind the mark. */
static void file_nameless(void)
{
	struct note note;
	struct why reason;
	struct vm vm;
	int fd;

	make_folders();
	vm = vm_of("vm0", "disk");
	CHECK(!file_has_no_name(&vm, &note));
	save(&vm);
	CHECK(!file_has_no_name(&vm, &note) && !rename(vm.state, vm.room));
	CHECK(file_has_no_name(&vm, &note) && !strcmp(note.name, "vm0") && note.nr_parts == 2);
	note_clear(&note);
	/* The mark has another note; or there is none. */
	CHECK(!rename(vm.mark, "mark") && close(creat(vm.mark, 0600)) == 0);
	CHECK(!truncate(vm.mark, NOTE_SIZE));
	CHECK(file_finish(&vm) && access(vm.state, F_OK));
	CHECK(!unlink(vm.mark) && !file_has_no_name(&vm, &note));
	CHECK(!rename("mark", vm.mark));
	/* Another byte */
	fd = open(vm.room, O_RDWR);
	CHECK(fd >= 0 && pwrite(fd, "y", 1, NOTE_SIZE) == 1 && !file_has_no_name(&vm, &note));
	note_clear(&note);
	CHECK(file_finish(&vm) && access(vm.state, F_OK) && file_is_missing(&vm, &reason));
	CHECK(pwrite(fd, "x", 1, NOTE_SIZE) == 1 && !close(fd));
	CHECK(file_finish(&vm) && !access(vm.state, F_OK) && access(vm.room, F_OK));
	CHECK(!file_is_missing(&vm, &reason) && file_read(&vm, &note, &reason));
	note_clear(&note);
	remove_folders();
}

/*
 * What others say
 */

/* As QEMU 8.2 to 11 write it */
static void parse_ram(void)
{
	static const char table[] =
"              Block Name    PSize              Offset               Used              Total\n"
"                    ram0    2 MiB  0x0000000000000000 0x0000000004000000 0x0000000004000000\n"
"    /rom@etc/acpi/tables    4 KiB  0x0000000004080000 0x0000000000020000 0x0000000000200000 0x7f6c00000000  ro\n";

	CHECK(parse_blocks(table) == 0x4020000);
	CHECK(!parse_blocks("") && !parse_blocks("no 0x1 table\n 0x2 0x3"));
}

static void parse_jobs(void)
{
	static const char jobs[] = " 12 gmem-vm@vm0.service stop  running\n"
		"345 kexec.target        start waiting\n346 reboot.target       stop waiting";

	CHECK(parse_starts(jobs, "kexec.target") && !parse_starts(jobs, "reboot.target"));
	CHECK(!parse_starts(jobs, "gmem-vm@vm0.service") && !parse_starts("", "kexec.target"));
	CHECK(!parse_starts("kexec.target start", "kexec.target"));
	CHECK(!parse_starts("1 not-kexec.target start waiting", "kexec.target"));
}

/* A save that gets on asks for time, wherever systemd listens, if anywhere. */
static void host_more_time(void)
{
	char *abstract = text("@gmem-vm-unit-%d", (int)getpid());
	const char * const names[] = { "notify", abstract };

	make_folders();
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
		char got[64] = "";

		strcpy(address.sun_path, names[i]);
		if (i)
			address.sun_path[0] = '\0';
		CHECK(!bind(fd, (struct sockaddr *)&address,
			    offsetof(struct sockaddr_un, sun_path) + strlen(names[i])));
		setenv("NOTIFY_SOCKET", names[i], 1);
		host_extend(86400);
		CHECK(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT) > 0);
		CHECK(!strcmp(got, "EXTEND_TIMEOUT_USEC=86400000000"));
		unsetenv("NOTIFY_SOCKET");
		host_extend(1);
		CHECK(recv(fd, got, sizeof(got), MSG_DONTWAIT) < 0);
		close(fd);
	}
	free(abstract);
	remove_folders();
}

/* In place of systemctl */
static void fake_systemctl(const char *script)
{
	int fd = open("systemctl", O_WRONLY | O_CREAT | O_TRUNC, 0700);

	CHECK(dprintf(fd, "#!/bin/sh\n%s\n", script) > 0 && !close(fd));
}

static bool ends(int patience, const char *lost, char line[HANDOVER_MAX])
{
	const struct vm vm = { .conf.patience = patience };

	return host_memory_ends(&vm, lost, line);
}

/* A systemd that does not say what it is about to do is asked again; in the end it may be a kexec. */
static void host_jobs(void)
{
	char line[HANDOVER_MAX];
	char *path;

	make_folders();
	path = text("%s:%s", folder, getenv("PATH"));
	setenv("PATH", path, 1);
	host_systemd = folder;
	fake_systemctl("echo 1 reboot.target start waiting; exec >&-; sleep 0.2");
	CHECK(ends(0, "", line) && !strcmp(line, "reboot.target"));
	fake_systemctl("mkdir asked || exec echo 1 halt.target start waiting; exit 1");
	CHECK(ends(9, "", line) && !strcmp(line, "halt.target"));
	fake_systemctl(":");
	CHECK(!ends(0, "lost", line));
	fake_systemctl("echo 1 kexec.target start waiting");
	CHECK(ends(0, "lost", line) && !strcmp(line, "lost"));
	fake_systemctl("kill -9 $$");
	CHECK(ends(0, "lost", line) && !strcmp(line, "lost"));
	fake_systemctl("yes");
	CHECK(ends(0, "lost", line) && !strcmp(line, "lost"));
	host_systemd = "nowhere";
	CHECK(!ends(9, "lost", line));
	setenv("GMEM_JOBS", "jobs", 1);
	CHECK(!ends(0, "lost", line));
	CHECK(!symlink("told", "jobs") && close(creat("told", 0600)) == 0);
	host_systemd = folder;
	CHECK(!ends(0, "lost", line));
	unsetenv("GMEM_JOBS");
	free(path);
	remove_folders();
}

/*
 * What QEMU says
 */

#define EVENT	"{\"event\": \"MIGRATION\", \"data\": {\"status\": \"completed\"}}\r\n"

static void says(int end, const char *lines)
{
	CHECK(write(end, lines, strlen(lines)) == (ssize_t)strlen(lines));
}

/* A session whose other end has said that already */
static struct qmp said(const char *lines)
{
	struct qmp qmp = { .patience = 1 };
	int ends[2];

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	says(ends[1], lines);
	qmp.fd = ends[0];
	return qmp;
}

/* An event is taken in before, and also behind an answer that is read together with it. */
static void qmp_event(void)
{
	struct qmp qmp = said(EVENT "{\"return\": {}}\r\n");

	CHECK(qmp_do(&qmp, "x", NULL) && qmp.migration == MIGRATION_COMPLETED);
	qmp_close(&qmp);
	qmp = said("{\"return\": {}}\r\n" EVENT);
	CHECK(qmp_do(&qmp, "x", NULL) && qmp.migration == MIGRATION_COMPLETED);
	qmp_close(&qmp);
}

/* Answers that come too late are not taken for those to what is asked after them. */
static void qmp_late(void)
{
	struct qmp qmp = { 0 };
	char *text;
	int ends[2];

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	qmp.fd = ends[0];
	CHECK(!qmp_do(&qmp, "a", NULL) && !qmp_do(&qmp, "b", NULL) && !qmp.refused);
	says(ends[1], "{\"return\": {\"is\": \"a\"}}\r\n");
	CHECK(qmp_pump(&qmp));
	says(ends[1], "{\"error\": {\"class\": \"b\", \"desc\": \"b\"}}\r\n" EVENT
	     "{\"return\": {\"is\": \"c\"}}\r\n");
	qmp.patience = 1;
	text = qmp_text(&qmp, "c", NULL, "is");
	CHECK(text && !strcmp(text, "c") && qmp.migration == MIGRATION_COMPLETED);
	free(text);
	says(ends[1], "{\"return\": {\"is\": \"d\"}}\r\n");
	text = qmp_text(&qmp, "d", NULL, "is");
	CHECK(text && !strcmp(text, "d"));
	free(text);
	close(ends[1]);
	qmp_close(&qmp);
}

#include "unit-disks.c"

#define TEST(function)	{ #function, function }

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	TEST(conf_good), TEST(conf_half), TEST(conf_values), TEST(conf_sizes), TEST(conf_shell),
	TEST(conf_paths), TEST(conf_discarding), TEST(conf_snapshots), TEST(conf_locking),
	TEST(conf_names),
	TEST(cpu_text), TEST(cpu_bad_text), TEST(cpu_compare),
	TEST(cpu_all_names), TEST(note_round), TEST(note_damage), TEST(note_before),
	TEST(note_places),
	TEST(note_limits), TEST(file_named), TEST(file_unreadable), TEST(file_uncommitted),
	TEST(file_nameless),
	TEST(parse_ram), TEST(parse_jobs),
	TEST(host_more_time), TEST(host_jobs), TEST(qmp_event), TEST(qmp_late),
	TEST(disks_names), TEST(disks_written), TEST(disks_replaced), TEST(disks_not_known),
	TEST(disks_damaged), TEST(disks_others),
};

int main(void)
{
	const int nr = sizeof(tests) / sizeof(*tests);
	int failed = 0;

	printf("TAP version 13\n1..%d\n", nr);
	for (int i = 0; i < nr; i++) {
		int status;
		pid_t pid;

		fflush(stdout);
		pid = fork();
		if (!pid) {
			tests[i].run();
			fflush(stdout);
			_exit(0);
		}
		waitpid(pid, &status, 0);
		failed += !!status;
		printf("%sok %d gmem_vm.%s\n", status ? "not " : "", i + 1, tests[i].name);
	}
	return !!failed;
}
