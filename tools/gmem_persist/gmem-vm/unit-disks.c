// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of disks.c, a part of unit.c.
 */
/* As QEMU 10 and 11 write it, but for drives() */
#define DRIVE(file, ro)	"{'qdev':'/machine/x','inserted':{'ro':" #ro ",'file':'" file "'}}"
#define NBD		DRIVE("nbd://localhost/a", false)

/* QEMU tells of these drives: * is the tests' folder, ' a quote, and ` one in a text. */
static struct qmp drives(const char *list)
{
	char *answer = text("{'return':[%s]}\r\n", list), lines[8192];
	struct qmp qmp;
	int length = 0;

	for (const char *at = answer; *at; at++) {
		const char c[] = { *at, '\0' };

		length += sprintf(lines + length, "%s", *at == '*' ? folder : *at == '\'' ? "\"" :
				  *at == '`' ? "\\\"" : c);
	}
	qmp = said(lines);
	free(answer);
	return qmp;
}

static const struct note disks_note = { .length = 1, .crc = 0x8cdc1683 };

/* A VM that is saved, with these drives, of whose QEMU we know that it has ended, or not */
static struct vm saved_with(const char *list, bool ended)
{
	struct vm vm = vm_of("vm0", "gmem");
	struct qmp qmp = drives(list);
	int fd;

	save(&vm);
	fd = open(vm.state, O_RDWR);
	disks_name(&qmp, fd, &disks_note);
	close(fd);
	qmp_close(&qmp);
	if (ended)
		disks_look(&vm, &disks_note);
	return vm;
}

/* What was noted of the disks, with a * for the tests' folder */
static const char *noted(const struct vm *vm)
{
	static char all[4096];
	int fd = open(vm->state, O_RDONLY);
	ssize_t got = pread(fd, all, sizeof(all) - 1, NOTE_SIZE + 1);
	char *at;

	close(fd);
	all[got < 0 ? 0 : got] = '\0';
	while ((at = strstr(all, folder))) {
		*at = '*';
		memmove(at + 1, at + strlen(folder), strlen(at + strlen(folder)) + 1);
	}
	return all;
}

static struct why changed;

static bool same(const struct vm *vm)
{
	changed.text[0] = '\0';
	return disks_unchanged(vm, &disks_note, &changed);
}

/* A file of such a size, written to at such a time */
static void make_disk(const char *name, off_t size, time_t sec, long nsec)
{
	const struct timespec times[] = { { .tv_sec = sec }, { .tv_sec = sec, .tv_nsec = nsec } };
	int fd = open(name, O_WRONLY | O_CREAT, 0600);

	CHECK(fd >= 0 && !ftruncate(fd, size) && !futimens(fd, times) && !close(fd));
}

static void disks_names(void)
{
	static const char * const files[] = {
		"*/a",
		"json:{`driver`:`throttle`,`file`:{`driver`:`raw`,`file`:{`driver`:`host_device`,`filename`:`/d`}}}",
		"json:{`driver`:`raw`,`offset`:512,`file`:{`driver`:`file`,`filename`:`*/a`}}",
		"json:{`driver`:`quorum`,`children`:[{`driver`:`file`,`filename`:`/e`},{`driver`:`file`,`filename`:`/f`}]}",
		"json:{`driver`:`qcow2`,`file`:{`driver`:`file`,`filename`:`/g`},`backing`:{`driver`:`file`,`filename`:`/h`}}",
		/* Of these nothing can be known. */
		"nbd://localhost/a", "relative", "json:{", "json:{`driver`:`nbd`,`path`:`/k`}", "/l\\nl",
		/* qcow2, with another file */
		"/i','image':{'format-specific':{'type':'qcow2','data':{'data-file':'/j'}}},'drv':'qcow2",
	};
	static const char names[] =
		"disks 8cdc1683 5|disk - */a|disk - /d|part - */a|disk - /e|disk - /f|disk - /g|disk - /i|disk - /j|check ";
	/* It only reads that; there is none in; and that one is not the guest's. */
	char *list = text("%s,%s,%s", DRIVE("*/cd", true), "{'qdev':'/machine/y','locked':false}",
			  "{'device':'c','inserted':{'ro':false,'file':'/c'}}");
	struct note note;
	struct vm vm;
	char *found;

	make_folders();
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		char *before = list;

		list = text("%s," DRIVE("%s", false), before, files[i]);
		free(before);
	}
	vm = saved_with(list, false);
	free(list);
	found = text("%s", noted(&vm));
	for (char *at = found; (at = strchr(at, '\n')); )
		*at = '|';
	CHECK(!strncmp(found, names, sizeof(names) - 1));
	free(found);
	make_disk("a", 4096, 1764484251, 1234567);
	disks_look(&vm, &disks_note);
	CHECK(strstr(noted(&vm), " 4096 1764484251.001234567 */a\ndisk - /d\npart - */a\n"));
	CHECK(same(&vm));
	/* What was saved is whole. */
	CHECK(file_read(&vm, &note, &changed));
	note_clear(&note);
	remove_folders();
}

static void disks_written(void)
{
	struct vm vm;

	make_folders();
	make_disk("a", 4096, 1764484251, 1234567);
	make_disk("b", 8192, 1764484251, 0);
	vm = saved_with(DRIVE("*/a", false) ", " DRIVE("*/b", false), true);
	CHECK(same(&vm) && !chmod("a", 0400) && !link("a", "c") && same(&vm));
	make_disk("b", 8192, 1764484251, 1);
	CHECK(same(&vm));
	make_disk("b", 8192, 1764484252, 0);
	CHECK(!same(&vm) && strstr(changed.text, "/b has been written to since"));
	make_disk("b", 8193, 1764484251, 0);
	CHECK(!same(&vm) && strstr(changed.text, "/b had 8192 bytes, and has 8193"));
	/* If it is not there, QEMU says so. */
	CHECK(!unlink("b") && same(&vm) && !mkdir("b", 0700) && same(&vm));
	make_disk("c", 4096, 1764484251, 1234568);
	CHECK(!same(&vm) && strstr(changed.text, "/a has been written to since"));
	make_disk("c", 4096, 1764484251, 0);
	CHECK(same(&vm));
	/* By a QEMU that has not let it go on */
	make_disk("c", 4096, 1764484253, 9);
	CHECK(!same(&vm));
	disks_look(&vm, &disks_note);
	CHECK(same(&vm));
	remove_folders();
}

static void disks_replaced(void)
{
	const long without_inodes[] = {
		NFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC,
	};
	struct vm vm;

	make_folders();
	make_disk("a", 4096, 1764484251, 1234567);
	make_disk("b", 4096, 1764484251, 1234567);
	vm = saved_with(DRIVE("*/a", false), true);
	CHECK(!rename("b", "a") && !same(&vm));
	CHECK(strstr(changed.text, "/a is not the file that it was"));
	for (size_t i = 0; i < sizeof(without_inodes) / sizeof(*without_inodes); i++) {
		make_disk("b", 4096, 1764484251, 1234567);
		fs_type = without_inodes[i];
		CHECK(same(&vm));
		vm = saved_with(DRIVE("*/a", false), true);
		CHECK(strstr(noted(&vm), "\ndisk 0 4096 1764484251.001234567 */a\n"));
		CHECK(!rename("b", "a") && same(&vm));
		make_disk("a", 4096, 1764484251, 1234568);
		CHECK(!same(&vm));
		make_disk("a", 4096, 1764484251, 1234567);
	}
	remove_folders();
}

/* Others may write to it, or nobody knows whether that would be seen. */
static void disks_not_known(void)
{
	static const char * const words[] = {
		"scsi-hd,drive=a,share-rw=on", "driver=file,filename=a,locking=off",
	};
	struct vm vm;

	make_folders();
	make_disk("a", 4096, 1, 1);
	fs_type = 0x65735546;	/* FUSE */
	vm = saved_with(DRIVE("*/a", false), true);
	CHECK(strstr(noted(&vm), "\ndisk - */a\n"));
	fs_type = EXT4_SUPER_MAGIC;
	make_disk("a", 4096, 2, 1);
	CHECK(same(&vm));
	vm = saved_with(DRIVE("*/a", false), true);
	fs_type = 0x65735546;
	make_disk("a", 4096, 3, 1);
	CHECK(same(&vm));
	fs_type = EXT4_SUPER_MAGIC;
	CHECK(!same(&vm));
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		vm.conf = (struct conf){ .args = (char **)&words[i], .nr_args = 1 };
		CHECK(same(&vm));
	}
	remove_folders();
}

/* What is damaged, or was noted when another guest was saved there, is not known. */
static void disks_damaged(void)
{
	struct note other = disks_note;
	struct vm vm;
	size_t length;
	int fd;

	make_folders();
	make_disk("a", 4096, 1, 1);
	vm = saved_with(DRIVE("*/a", false), true);
	make_disk("a", 4096, 2, 1);
	CHECK(!same(&vm));
	other.crc++;
	CHECK(disks_unchanged(&vm, &other, &changed));
	length = strlen(noted(&vm)) - 1 + strlen(folder) - 1;
	fd = open(vm.state, O_RDWR);
	for (size_t i = NOTE_SIZE + 1; i < NOTE_SIZE + 1 + length; i++) {
		char byte, bad;

		CHECK(pread(fd, &byte, 1, i) == 1);
		bad = byte ^ 1;
		CHECK(pwrite(fd, &bad, 1, i) == 1 && same(&vm));
		bad = '\0';
		CHECK(pwrite(fd, &bad, 1, i) == 1 && same(&vm));
		CHECK(pwrite(fd, &byte, 1, i) == 1 && !same(&vm));
	}
	for (; length; length--)
		CHECK(!ftruncate(fd, NOTE_SIZE + length) && same(&vm));
	close(fd);
	remove_folders();
}

static bool has_same(const struct vm *vm, const char *list)
{
	struct qmp qmp = drives(list);
	bool is_same;

	changed.text[0] = '\0';
	is_same = disks_same(vm, &qmp, &disks_note, &changed);
	qmp_close(&qmp);
	return is_same;
}

static void disks_others(void)
{
	struct qmp qmp = said("{\"error\": {\"class\": \"a\", \"desc\": \"b\"}}\r\n");
	struct vm vm;
	char *path;

	make_folders();
	make_disk("a", 4096, 1, 1);
	make_disk("b", 4096, 1, 1);
	CHECK(!symlink("a", "c"));
	vm = saved_with(DRIVE("*/a", false) ", " DRIVE("/dev/vg/d", false) ", " NBD, false);
	CHECK(has_same(&vm, DRIVE("/dev/vg/d", false) ", " DRIVE("*/a", false) ", " NBD));
	CHECK(has_same(&vm, DRIVE("/dev/vg/d", false) ", " DRIVE("*/c", false)));
	CHECK(!has_same(&vm, DRIVE("/dev/vg/d", false) ", " DRIVE("*/b", false) ", " NBD));
	path = text("its disk was %s/a, and is %s/b now", folder, folder);
	CHECK(!strcmp(changed.text, path));
	CHECK(!has_same(&vm, DRIVE("*/a", false)));
	CHECK(!strcmp(changed.text, "its disk was /dev/vg/d, which is none now"));
	/* It only reads that. */
	CHECK(!has_same(&vm, DRIVE("/dev/vg/d", false) ", " DRIVE("*/a", true)));
	CHECK(has_same(&vm, DRIVE("/dev/vg/d", false) ", " NBD ", " NBD));
	CHECK(disks_same(&vm, &qmp, &disks_note, &changed));
	/* Under another kernel it has another name. */
	vm = saved_with(DRIVE("/dev/sda", false), false);
	CHECK(has_same(&vm, DRIVE("/dev/sdb", false)));
	/* QEMU did not tell; or an older gmem-vm has saved it. */
	CHECK(!truncate(vm.state, NOTE_SIZE + 1) && has_same(&vm, DRIVE("*/b", false)));
	free(path);
	remove_folders();
}
