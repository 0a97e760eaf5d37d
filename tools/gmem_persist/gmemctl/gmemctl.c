// SPDX-License-Identifier: GPL-2.0
/*
 * gmemctl: look at the pool of persistent guest memory, and say what shall be done with it.
 * See gmemctl.8.
 */
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "gmemctl.h"

#define RECORD	"/sys/kernel/debug/gmem_persist/record"

static const char usage[] =
"usage: gmemctl status [--json]             the pool\n"
"       gmemctl watch [--interval SECONDS] [--json]   the pool, and a line whenever it changes\n"
"       gmemctl list [--json]               objects, a line each\n"
"       gmemctl show [--json] [--field NAME] PATH...   what objects are\n"
"       gmemctl token FILE [--json]         who changed the memory of a file of gmemfs last\n"
"       gmemctl quota DIRECTORY [--bytes N] [--names N] [--json]   what is used there, and may be\n"
"       gmemctl create NAME SIZE [--granule 2M|1G] [--nodes MASK] [--private]\n"
"       gmemctl discard NAME                free a parked object\n"
"       gmemctl attach FILE [--slot N] [--granule 2M|1G] [--private | --data LENGTH] [RANGE...]\n"
"                                           a new file, of quarantined memory\n"
"       gmemctl freeze | thaw               before a kexec | if there will be none\n"
"       gmemctl decode [FILE] [--json]      the record for the next kernel, or in FILE\n";

bool json;
static bool private;
static const char *granule, *nodes, *field, *slot, *length, *bytes, *names, *interval;

static void __attribute__((noreturn)) bad_usage(void)
{
	fputs(usage, stderr);
	exit(STATUS_USAGE);
}

static void need_pool(void)
{
	if (access(POOL, F_OK))
		errx(STATUS_NO_POOL, "no pool on this host (gmem_persist= on the kernel's command line)");
}

/* The first line of a file of sysfs, until the next call */
static const char *read_line(const char *path)
{
	static char line[4096];
	FILE *file = fopen(path, "r");

	if (!file)
		return NULL;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static bool write_pool(const char *file, const char *text)
{
	char path[128];
	bool done;
	int fd;

	snprintf(path, sizeof(path), POOL "/%s", file);
	fd = open(path, O_WRONLY);
	done = fd >= 0 && write(fd, text, strlen(text)) >= 0;
	if (fd >= 0)
		close(fd);
	return done;
}

static int discard(const char *name)
{
	if (!write_pool("discard", name))
		err(STATUS_FAILED, "%s", name);
	return STATUS_OK;
}

/* What the errno of the file "frozen" means, where its own words do not say it */
static const char *freeze_error(int error)
{
	switch (error) {
	case EALREADY:
		return "it is frozen";
	case EAGAIN:
		return "an object is being created";
	case EOPNOTSUPP:
		return "KHO is off (kho=on on the kernel's command line)";
	case ENOEXEC:
		return "the kernel loaded for kexec gets no handover (load it with kexec -s)";
	default:
		return strerror(error);
	}
}

static int freeze(bool freeze)
{
	if (write_pool("frozen", freeze ? "1" : "0"))
		return STATUS_OK;
	if (!freeze && errno == EINVAL)
		errx(STATUS_FAILED, "thaw: the operator does not hold it frozen");
	errx(STATUS_FAILED, "%s: %s", freeze ? "freeze" : "thaw", freeze_error(errno));
}

static bool is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text);
}

/**
 * print_pair - print a key and a value, as JSON or a line; numbers stay numbers
 * @key: the key
 * @value: the value
 * @comma: what stands before it in JSON, and is a comma from then on
 */
void print_pair(const char *key, const char *value, const char **comma)
{
	if (!json)
		printf("%-18s %s\n", key, value);
	else if (is_number(value))
		printf("%s\"%s\":%s", *comma, key, value);
	else
		printf("%s\"%s\":\"%s\"", *comma, key, value);
	*comma = ",";
}

static int status(void)
{
	static const char * const files[] = {
		"pool_bytes", "clean_bytes", "dirty_bytes", "used_bytes", "quarantined_bytes",
		"poisoned_bytes", "free_1g_bytes", "generation", "record_bytes", "frozen",
		"holders", "handover",
	};
	const char *comma = "{", *value;
	char path[128];

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), POOL "/%s", files[i]);
		value = read_line(path);
		if (value)
			print_pair(files[i], value, &comma);
	}
	if (json)
		printf("}\n");
	return STATUS_OK;
}

/**
 * parse_number - read a number, which has no sign
 * @text: decimal, or hexadecimal with 0x before it
 * @end: is set to what is behind it
 * @n: is set
 *
 * Return: false if it is none, or has more than 64 bits.
 */
bool parse_number(const char *text, const char **end, uint64_t *n)
{
	const bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');

	if (hex ? !isxdigit((unsigned char)text[2]) : !isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*n = strtoull(text, (char **)end, hex ? 16 : 10);
	return !errno;
}

/**
 * parse_size - read a size
 * @text: a number, perhaps with K, M, G or T behind it
 *
 * Return: the number. What is none ends the program.
 */
uint64_t parse_size(const char *text)
{
	static const char units[] = "KMGT";
	const char *end, *unit;
	unsigned int shift;
	uint64_t n;

	if (!parse_number(text, &end, &n))
		errx(STATUS_USAGE, "%s: not a size", text);
	unit = *end ? strchr(units, *end) : NULL;
	shift = unit ? 10 * (unit - units + 1) : 0;
	if (end[!!unit] || n > UINT64_MAX >> shift)
		errx(STATUS_USAGE, "%s: not a size", text);
	return n << shift;
}

/* A number of at most that much, of which there is nothing else */
static uint64_t parse_whole(const char *text, uint64_t most, const char *what)
{
	const char *end;
	uint64_t n;

	if (!parse_number(text, &end, &n) || *end || n > most)
		errx(STATUS_USAGE, "%s: not %s", text, what);
	return n;
}

static int create(const char *name, const char *size)
{
	uint64_t mask = nodes ? parse_whole(nodes, UINT64_MAX, "a mask of nodes") : 0;
	struct kvm_gmem_persist gmem = {
		.op = KVM_GMEM_PERSIST_CREATE,
		.size = parse_size(size),
		.granule = parse_size(granule ?: "2M"),
		.nodemask = nodes ? (uintptr_t)&mask : 0,
		.nodemask_bits = nodes ? 64 : 0,
	};
	unsigned long type = private ? KVM_X86_SW_PROTECTED_VM : KVM_X86_DEFAULT_VM;
	int kvm, vm;

	/* A VM belongs to the process that has made it. */
	progress(name);
	kvm = open("/dev/kvm", O_RDWR);
	vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, type);
	if (strlen(name) >= sizeof(gmem.name))
		errx(STATUS_FAILED, "%s: too long a name", name);
	strcpy((char *)gmem.name, name);
	if (!private)
		gmem.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	if (vm < 0)
		err(STATUS_FAILED, "no VM to have it");
	if (ioctl(vm, KVM_GMEM_PERSIST, &gmem) < 0)
		err(STATUS_FAILED, "%s", name);
	return STATUS_OK;
}

/* All of a file, and its size */
static char *read_file(const char *path, size_t *length)
{
	size_t size = 0, room = 0;
	char *buf = NULL;
	ssize_t n;
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		err(STATUS_FAILED, "%s", path);
	do {
		if (size == room) {
			room = 2 * room + (1 << 16);
			buf = realloc(buf, room);
			if (!buf)
				err(STATUS_FAILED, "%s", path);
		}
		n = read(fd, buf + size, room - size);
		if (n < 0)
			err(STATUS_FAILED, "%s", path);
		size += n;
	} while (n);
	close(fd);
	if (!size)
		errx(STATUS_FAILED, "%s: there is no record", path);
	*length = size;
	return buf;
}

static int decode_file(const char *path)
{
	size_t size;
	char *bytes = read_file(path, &size);

	return decode(bytes, size);
}

/* What the slot says, unless the user says otherwise */
static int attach_file(const char *path, char * const *ranges, int nr)
{
	struct suggestion s = {
		.granule = 2 << 20,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
		.vm_class = KVM_X86_DEFAULT_VM,
	};
	const long nr_slot = slot ? (long)parse_whole(slot, INT32_MAX, "the number of a slot") : -1;
	size_t size;
	char *bytes;

	if (private && length)
		bad_usage();
	if (slot) {
		bytes = read_file(RECORD, &size);
		suggest(bytes, size, nr_slot, &s);
	}
	if (granule)
		s.granule = parse_size(granule);
	if (private) {
		s.data = false;
		s.flags = 0;
		s.vm_class = KVM_X86_SW_PROTECTED_VM;
	}
	if (length) {
		s.data = true;
		s.length = parse_size(length);
		s.flags = 0;
		s.vm_class = 0;
	}
	if (nr) {
		s.nr = nr;
		s.ranges = calloc(nr, sizeof(*s.ranges));
		if (!s.ranges)
			err(STATUS_FAILED, "%s", path);
	}
	for (int i = 0; i < nr; i++)
		if (!parse_range(ranges[i], &s.ranges[i]))
			errx(STATUS_USAGE, "%s: not a range (0xfirst-0xlast)", ranges[i]);
	if (!s.nr)
		errx(STATUS_FAILED, "%s: nobody says of which ranges", path);
	return attach(path, &s, nr_slot);
}

/* Returns false if nothing but help is wanted. What is behind the options begins at optind. */
static bool parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "granule", required_argument, NULL, 'g' },
		{ "nodes", required_argument, NULL, 'n' },
		{ "private", no_argument, NULL, 'p' },
		{ "field", required_argument, NULL, 'f' },
		{ "slot", required_argument, NULL, 's' },
		{ "data", required_argument, NULL, 'd' },
		{ "bytes", required_argument, NULL, 'b' },
		{ "names", required_argument, NULL, 'm' },
		{ "interval", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'g':
			granule = optarg;
			break;
		case 'n':
			nodes = optarg;
			break;
		case 'p':
			private = true;
			break;
		case 'f':
			field = optarg;
			break;
		case 's':
			slot = optarg;
			break;
		case 'd':
			length = optarg;
			break;
		case 'b':
			bytes = optarg;
			break;
		case 'm':
			names = optarg;
			break;
		case 'i':
			interval = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return false;
		default:
			bad_usage();
		}
	}
	return true;
}

static int run(int argc, char **argv)
{
	const char *command;
	int nr;

	if (!parse_options(argc, argv))
		return STATUS_OK;
	nr = argc - optind;
	if (!nr)
		bad_usage();
	command = argv[optind];
	argv += optind;
	/* The kernel would take it for nothing to be done. */
	for (int i = 1; i < nr; i++)
		if (!*argv[i])
			errx(STATUS_USAGE, "%s: a name that is empty", command);
#define IS(name, words)	(!strcmp(command, name) && nr == 1 + (words))
	if (IS("decode", 1))
		return decode_file(argv[1]);
	if (IS("token", 1))
		return show_token(argv[1]);
	need_pool();
	if (IS("decode", 0))
		return decode_file(RECORD);
	if (IS("status", 0))
		return status();
	if (IS("watch", 0))
		watch(interval);
	if (IS("list", 0))
		return list();
	if (!strcmp(command, "show") && nr > 1)
		return show(argv + 1, nr - 1, field);
	if (IS("quota", 1))
		return quota(argv[1], bytes, names);
	if (IS("create", 2))
		return create(argv[1], argv[2]);
	if (IS("discard", 1))
		return discard(argv[1]);
	if (!strcmp(command, "attach") && nr > 1)
		return attach_file(argv[1], argv + 2, nr - 2);
	if (IS("freeze", 0))
		return freeze(true);
	if (IS("thaw", 0))
		return freeze(false);
	bad_usage();
}

int main(int argc, char **argv)
{
	const int status = run(argc, argv);

	if (fflush(stdout))
		err(STATUS_FAILED, "cannot write");
	if (ferror(stdout))
		errx(STATUS_FAILED, "cannot write all of it");
	return status;
}
