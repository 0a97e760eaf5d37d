/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What gmem_persist_fail_nth.c does with files of gmemfs, devices, sysfs and sessions of LUO. It
 * has what all operations share, and includes this behind it.
 */
#ifndef SELFTEST_KVM_GMEM_PERSIST_FAIL_FILES_H
#define SELFTEST_KVM_GMEM_PERSIST_FAIL_FILES_H

#include <fcntl.h>
#include <unistd.h>

#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <linux/gmem_persist.h>
#include <linux/iommufd.h>
#include <linux/liveupdate.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "../../../../drivers/iommu/iommufd/iommufd_test.h"
#include "gmem_persist_util.h"

/*
 * Operations: files
 */

static int open_subject(int flags)
{
	fd = open(SUBJECT, flags, 0600);
	return fd;
}

static void new_file(void)
{
	TEST_ASSERT(open_subject(O_RDWR | O_CREAT | O_EXCL) >= 0, "open");
}

static void new_memory_file(void)
{
	new_file();
	TEST_ASSERT(!ftruncate(fd, SIZE), "ftruncate");
}

static void new_closed_file(void)
{
	new_memory_file();
	close_fd();
}

static void new_data_file(void)
{
	new_file();
	TEST_ASSERT(write(fd, data, SIZE) == SIZE, "write");
}

static void remove_file(void)
{
	if (fd >= 0)
		close_fd();
	TEST_ASSERT(!unlink(SUBJECT), "unlink");
}

static void check_data_file(void)
{
	static char copy[SIZE];

	TEST_ASSERT(pread(fd, copy, SIZE, 0) == SIZE, "pread");
	gmem_check(copy, 0, SIZE, 8, SEED_HOST);
}

static void check_length(off_t length)
{
	struct stat st;

	TEST_ASSERT(!fstat(fd, &st) && st.st_size == length, "the length is %ld, not %ld",
		    (long)st.st_size, (long)length);
}

static void check_empty_file(void)
{
	check_length(0);
}

static void check_data_file_and_length(void)
{
	check_length(SIZE);
	check_data_file();
}

static void new_file_for_other_cgroup(void)
{
	new_closed_file();
	enter_cgroup();
}

static void remove_file_and_leave(void)
{
	remove_file();
	leave_cgroup();
}

static void new_unlinked_file(void)
{
	new_memory_file();
	TEST_ASSERT(!unlink(SUBJECT), "unlink");
}

static void new_unlinked_data_file(void)
{
	new_data_file();
	TEST_ASSERT(!unlink(SUBJECT), "unlink");
}

static int run_file_create_unnamed(void)
{
	fd = open(FS, O_RDWR | O_TMPFILE, 0600);
	return fd;
}

static int run_file_create(void)
{
	return open_subject(O_RDWR | O_CREAT | O_EXCL);
}

static int run_file_open(void)
{
	return open_subject(O_RDWR);
}

static int run_file_open_ro(void)
{
	return open_subject(O_RDONLY);
}

static int run_file_populate(void)
{
	return ftruncate(fd, SIZE);
}

static int run_file_populate_by_path(void)
{
	return truncate(SUBJECT, SIZE);
}

static int run_file_allocate(void)
{
	return fallocate(fd, 0, 0, SIZE);
}

static int run_file_reserve(void)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 3 * SIZE);
}

/*
 * Memory in so many pieces has a list of its ranges in the record: all that is free are single
 * granules between others.
 */
#define PIECES	15

static void have_file_of(const char *name, u64 size)
{
	int file = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);

	TEST_ASSERT(file >= 0 && !ftruncate(file, size), "%s of %#lx bytes", name, size);
	close(file);
}

static const char *piece_name(int i)
{
	static char name[64];

	snprintf(name, sizeof(name), FS PREFIX "piece%d", i);
	return name;
}

static void leave_pieces(void)
{
	int i;

	for (i = 0; i < 2 * PIECES; i++)
		have_file_of(piece_name(i), SIZE);
	have_file_of(TARGET, gmem_pool_attr("clean_bytes") + gmem_pool_attr("dirty_bytes"));
	for (i = 0; i < 2 * PIECES; i += 2)
		TEST_ASSERT(!unlink(piece_name(i)), "unlink");
	new_file();
}

static void fill_pieces(void)
{
	int i;

	remove_file();
	for (i = 1; i < 2 * PIECES; i += 2)
		TEST_ASSERT(!unlink(piece_name(i)), "unlink");
	TEST_ASSERT(!unlink(TARGET), "unlink");
}

static int run_populate_pieces(void)
{
	return ftruncate(fd, PIECES * SIZE);
}

static int run_reserve_pieces(void)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, PIECES * SIZE);
}

/* A part of what was asked for is an answer, too, but not of the wrong bytes. */
static int read_of(const char *want)
{
	static char buf[SZ_64K];
	int r = pread(fd, buf, sizeof(buf), 0);

	if (r >= 0)
		TEST_ASSERT(r && !memcmp(buf, want, r), "read: no bytes, or wrong ones");
	return r;
}

static int run_read(void)
{
	return read_of(data);
}

/* Memory that nobody has written to */
static int run_read_zeroes(void)
{
	static const char zeroes[SZ_64K];

	return read_of(zeroes);
}

static int run_write_memory(void)
{
	return pwrite(fd, data, SZ_64K, SZ_64K);
}

static int run_write_first(void)
{
	return pwrite(fd, data, SZ_64K, 0);
}

static int run_write_over(void)
{
	return pwrite(fd, data, SZ_64K, 0);
}

static int run_write_growing(void)
{
	return pwrite(fd, data, SZ_64K, SIZE);
}

static int run_truncate_longer(void)
{
	return ftruncate(fd, 2 * SIZE);
}

static void new_long_data_file(void)
{
	new_data_file();
	TEST_ASSERT(!ftruncate(fd, 2 * SIZE), "ftruncate");
}

static int run_truncate_shorter(void)
{
	return ftruncate(fd, SZ_64K);
}

static int run_truncate_to_nothing(void)
{
	return ftruncate(fd, 0);
}

/* One entry, of the one range that there is */
static int run_ask(void)
{
	struct gmem_persist_range_entry entry;
	struct gmem_persist_list list = { .entries = (uintptr_t)&entry, .nr = 1 };
	struct gmem_persist_info info = {};

	return ioctl(fd, GMEM_PERSIST_GET_INFO, &info) ?: ioctl(fd, GMEM_PERSIST_GET_RANGES, &list);
}

static int run_ask_more(void)
{
	struct gmem_persist_node_entry node;
	struct gmem_persist_list nodes = { .entries = (uintptr_t)&node, .nr = 1 };
	u64 offset;
	struct gmem_persist_list bad = { .entries = (uintptr_t)&offset, .nr = 1 };
	struct gmem_persist_view view = {};

	return ioctl(fd, GMEM_PERSIST_GET_NODES, &nodes) ?:
	       ioctl(fd, GMEM_PERSIST_GET_BAD_PAGES, &bad) ?:
	       ioctl(fd, GMEM_PERSIST_GET_VIEW, &view);
}

static int run_share(void)
{
	return ioctl(fd, GMEM_PERSIST_SHARE);
}

/* Whoever has written by a mapping loses its leaves. */
static void write_to_file(void)
{
	new_memory_file();
	mem = gmem_map(fd, SIZE);
	gmem_fill(mem, 0, SIZE, SZ_4K, SEED_GUEST);
}

static void remove_punched(void)
{
	gmem_check_zero(mem, 0, SIZE);
	kvm_munmap(mem, SIZE);
	remove_file();
}

static int run_settle(void)
{
	return ioctl(fd, GMEM_PERSIST_SETTLE);
}

static void remove_written(void)
{
	gmem_check(mem, 0, SIZE, SZ_4K, SEED_GUEST);
	kvm_munmap(mem, SIZE);
	remove_file();
}

static int run_fsync(void)
{
	return fsync(fd);
}

static int run_unlink(void)
{
	return unlink(SUBJECT);
}

static void nothing_left(void)
{
}

static int run_chmod(void)
{
	return chmod(SUBJECT, 0640);
}

static int run_chown(void)
{
	return chown(SUBJECT, 7, 8);
}

static int run_utimes(void)
{
	static const struct timespec times[2] = { { 1, 2 }, { 3, 4 } };

	return utimensat(AT_FDCWD, SUBJECT, times, 0);
}

static int run_fchmod(void)
{
	return fchmod(fd, 0640);
}

static int run_fchown(void)
{
	return fchown(fd, 7, 8);
}

static int run_futimens(void)
{
	static const struct timespec times[2] = { { 1, 2 }, { 3, 4 } };

	return futimens(fd, times);
}

static int run_stat(void)
{
	struct stat st;

	return stat(SUBJECT, &st);
}

static int run_readdir(void)
{
	static char entries[SZ_4K];
	int dir = open(FS, O_RDONLY | O_DIRECTORY);
	int r, error;

	if (dir < 0)
		return -1;
	r = syscall(SYS_getdents64, dir, entries, sizeof(entries));
	error = errno;
	close(dir);
	errno = error;
	return r;
}

static int run_mkdir(void)
{
	return mkdir(SUBJECT, 0700);
}

static void remove_dir(void)
{
	TEST_ASSERT(!rmdir(SUBJECT), "rmdir");
}

static void new_dir(void)
{
	TEST_ASSERT(!mkdir(SUBJECT, 0700), "mkdir");
}

static int run_rmdir(void)
{
	return rmdir(SUBJECT);
}

static int run_create_in_dir(void)
{
	fd = open(SUBJECT "/file", O_RDWR | O_CREAT | O_EXCL, 0600);
	return fd;
}

static void remove_file_and_dir(void)
{
	close_fd();
	TEST_ASSERT(!unlink(SUBJECT "/file"), "unlink");
	remove_dir();
}

static int run_rename(void)
{
	return rename(SUBJECT, TARGET);
}

static void remove_renamed(void)
{
	TEST_ASSERT(!unlink(TARGET), "unlink");
}

static void new_two_files(void)
{
	int other = open(TARGET, O_RDWR | O_CREAT | O_EXCL, 0600);

	TEST_ASSERT(other >= 0 && !ftruncate(other, SIZE), "making the other file");
	close(other);
	new_closed_file();
}

static int run_exchange(void)
{
	return syscall(SYS_renameat2, AT_FDCWD, SUBJECT, AT_FDCWD, TARGET, RENAME_EXCHANGE);
}

static void remove_both(void)
{
	remove_renamed();
	remove_file();
}

static void new_file_and_dir(void)
{
	new_closed_file();
	TEST_ASSERT(!mkdir(TARGET, 0700), "mkdir");
}

static int run_move(void)
{
	return rename(SUBJECT, TARGET "/file");
}

static void remove_moved(void)
{
	TEST_ASSERT(!unlink(TARGET "/file") && !rmdir(TARGET), "removing what was moved");
}

static void open_dir(void)
{
	new_dir();
	fd = open(SUBJECT, O_RDONLY | O_DIRECTORY);
	TEST_ASSERT(fd >= 0, "open");
}

static int run_set_quota(void)
{
	struct gmem_persist_quota quota = { .max_bytes = SZ_1G, .max_names = 10 };

	return ioctl(fd, GMEM_PERSIST_SET_QUOTA, &quota);
}

static void remove_open_dir(void)
{
	struct gmem_persist_quota quota = {};

	TEST_ASSERT(!ioctl(fd, GMEM_PERSIST_GET_QUOTA, &quota) && quota.max_bytes == SZ_1G &&
		    quota.max_names == 10, "these are other limits");
	close_fd();
	remove_dir();
}

/*
 * Operations: devices. What they transfer is the beginning of the memory, and of "data".
 */

#define TRANSFER	SZ_64K

static int disk = -1;
static aio_context_t aio;
static ssize_t transferred;

static bool disk_is_there(void)
{
	int file = gmem_open_disk();

	close(file);
	return file >= 0;
}

/* The disk has it, and the memory has something else. */
static void prepare_reading(void)
{
	write_to_file();
	disk = gmem_open_disk();
	TEST_ASSERT(disk >= 0 && pwrite(disk, data, TRANSFER, 0) == TRANSFER, "the disk");
	TEST_ASSERT(!syscall(SYS_io_setup, 1, &aio), "io_setup");
}

static void prepare_writing(void)
{
	static const char zeroes[TRANSFER] __aligned(SZ_4K);

	prepare_reading();
	memcpy(mem, data, TRANSFER);
	TEST_ASSERT(pwrite(disk, zeroes, TRANSFER, 0) == TRANSFER, "the disk");
}

static void end_transfer(void)
{
	TEST_ASSERT(!syscall(SYS_io_destroy, aio), "io_destroy");
	aio = 0;
	close(disk);
	kvm_munmap(mem, SIZE);
	remove_file();
}

static void end_reading(void)
{
	TEST_ASSERT(transferred > 0 && !memcmp(mem, data, transferred),
		    "read: no bytes, or wrong ones");
	end_transfer();
}

static void end_writing(void)
{
	static char copy[TRANSFER] __aligned(SZ_4K);

	TEST_ASSERT(transferred > 0 && pread(disk, copy, TRANSFER, 0) == TRANSFER &&
		    !memcmp(copy, data, transferred), "written: no bytes, or wrong ones");
	end_transfer();
}

static int run_direct_read(void)
{
	transferred = pread(disk, mem, TRANSFER, 0);
	return transferred;
}

static int run_direct_write(void)
{
	transferred = pwrite(disk, mem, TRANSFER, 0);
	return transferred;
}

static int run_aio(u16 opcode)
{
	struct iocb iocb = {
		.aio_lio_opcode = opcode,
		.aio_fildes = disk,
		.aio_buf = (uintptr_t)mem,
		.aio_nbytes = TRANSFER,
	};
	struct iocb *list = &iocb;
	struct io_event event;

	transferred = -1;
	if (syscall(SYS_io_submit, aio, 1, &list) != 1 ||
	    syscall(SYS_io_getevents, aio, 1, 1, &event, NULL) != 1)
		return -1;
	transferred = event.res;
	if (transferred < 0)
		errno = -transferred;
	return transferred;
}

static int run_aio_read(void)
{
	return run_aio(IOCB_CMD_PREAD);
}

static int run_aio_write(void)
{
	return run_aio(IOCB_CMD_PWRITE);
}

#define IOMMU		"/dev/iommu"
#define IOVA		SZ_32M

static int iommu = -1;
static u32 ioas;

/* With the device of iommufd's own tests, which has a page table, and no memory is read by it */
static int open_iommu(void)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct iommu_test_cmd mock = {
		.size = sizeof(mock),
		.op = IOMMU_TEST_OP_MOCK_DOMAIN,
	};

	iommu = open(IOMMU, O_RDWR);
	if (iommu < 0 || ioctl(iommu, IOMMU_IOAS_ALLOC, &alloc))
		return -1;
	ioas = alloc.out_ioas_id;
	mock.id = ioas;
	return ioctl(iommu, IOMMU_TEST_CMD, &mock);
}

static bool mock_is_there(void)
{
	bool there = !open_iommu();

	close(iommu);
	return there;
}

static void prepare_iommu(void)
{
	new_memory_file();
	TEST_ASSERT(!open_iommu(), "the mock device");
}

static int run_map_for_device(void)
{
	struct iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE |
			 IOMMU_IOAS_MAP_FIXED_IOVA,
		.ioas_id = ioas,
		.fd = fd,
		.length = SIZE,
		.iova = IOVA,
	};

	return ioctl(iommu, IOMMU_IOAS_MAP_FILE, &map);
}

static void map_for_device(void)
{
	prepare_iommu();
	TEST_ASSERT(!run_map_for_device(), "IOMMU_IOAS_MAP_FILE");
}

static int run_unmap_for_device(void)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = ioas,
		.iova = IOVA,
		.length = SIZE,
	};

	return ioctl(iommu, IOMMU_IOAS_UNMAP, &unmap);
}

static void close_iommu(void)
{
	close(iommu);
	remove_file();
}

/*
 * Operations: sysfs, debugfs, mount. A file is opened in setup(), since how sysfs opens files
 * is not the pool's affair.
 */

static int control = -1;

static void open_control(const char *path, int flags)
{
	control = open(path, flags);
	TEST_ASSERT(control >= 0, "opening %s", path);
}

static void close_control(void)
{
	close(control);
	control = -1;
}

static int write_control(const char *text)
{
	return write(control, text, strlen(text));
}

static void set_up_discard(void)
{
	park_object();
	open_control(SYSFS "discard", O_WRONLY);
}

static int run_discard(void)
{
	return write_control(NAME);
}

static void set_up_freeze(void)
{
	/* The record lacks the length of that: freezing has to make it anew. */
	new_data_file();
	open_control(SYSFS "frozen", O_WRONLY);
}

static int run_freeze(void)
{
	return write_control("1");
}

static void undo_freeze(void)
{
	close_control();
	TEST_ASSERT(!gmem_set_frozen("0"), "thawing");
	remove_file();
}

static void set_up_thaw(void)
{
	TEST_ASSERT(!gmem_set_frozen("1"), "freezing");
	open_control(SYSFS "frozen", O_WRONLY);
}

static int run_thaw(void)
{
	return write_control("0");
}

static void open_stat(void)
{
	open_control(SYSFS "stat", O_RDONLY);
}

static int run_read_control(void)
{
	static char text[SZ_4K];

	return read(control, text, sizeof(text));
}

static int run_open_record(void)
{
	control = open(DEBUGFS "gmem_persist/record", O_RDONLY);
	return control;
}

static int run_mount(void)
{
	return mount("none", OTHER_FS, "gmemfs", 0, "granule=2M");
}

static void undo_mount(void)
{
	TEST_ASSERT(!umount(OTHER_FS), "umount");
}

static int run_remount(void)
{
	return mount("none", FS, "gmemfs", MS_REMOUNT, "granule=2M");
}

static bool something_is_quarantined(void)
{
	return gmem_pool_attr("quarantined_bytes");
}

/* A granule, of which there is no end; it cannot be quarantined again. */
static char granule[64];

static u64 first_quarantined(void)
{
	char text[SZ_4K];
	u64 first;

	gmem_read_text(text, sizeof(text), SYSFS "quarantined");
	TEST_ASSERT(sscanf(text, "%lx-", &first) == 1, "quarantined is: %s", text);
	return first;
}

static void choose_granule(void)
{
	u64 first = first_quarantined();

	snprintf(granule, sizeof(granule), "%#lx-%#lx", first, first + SIZE - 1);
	open_control(SYSFS "release", O_WRONLY);
}

static int run_release(void)
{
	return write_control(granule);
}

static u64 attached;

static void choose_memory(void)
{
	attached = first_quarantined();
	new_file();
}

static int run_attach(void)
{
	struct gmem_persist_range_entry range = { .base = attached, .size = SIZE };
	struct gmem_persist_attach args = {
		.ranges = (uintptr_t)&range,
		.nr_ranges = 1,
		.granule = SZ_2M,
		.flags = FLAGS_SHARED,
		.kind = GMEM_PERSIST_FILE_MEMORY,
	};

	return ioctl(fd, GMEM_PERSIST_ATTACH, &args);
}

/*
 * Operations: sessions of LUO
 */

#define LUO		"/dev/liveupdate"

static int session;

static bool luo_is_there(void)
{
	return !access(LUO, F_OK);
}

/* And an object that has no name, for it to hold */
static void new_session(void)
{
	struct liveupdate_ioctl_create_session create = {
		.size = sizeof(create),
		.name = "fail_nth",
	};
	int luo = open(LUO, O_RDWR);

	TEST_ASSERT(luo >= 0, "opening " LUO);
	TEST_ASSERT(!ioctl(luo, LIVEUPDATE_IOCTL_CREATE_SESSION, &create), "session");
	close(luo);
	session = create.fd;
	fd = open(FS, O_TMPFILE | O_RDWR, 0600);
	TEST_ASSERT(fd >= 0 && !ftruncate(fd, SIZE), "a file without a name");
}

static int run_preserve(void)
{
	struct liveupdate_session_preserve_fd preserve = {
		.size = sizeof(preserve),
		.fd = fd,
		.token = 1,
	};

	return ioctl(session, LIVEUPDATE_SESSION_PRESERVE_FD, &preserve);
}

static void end_session(void)
{
	TEST_ASSERT(!close(session), "closing the session");
	close_fd();
}

static void preserve(void)
{
	new_session();
	TEST_ASSERT(!run_preserve(), "LIVEUPDATE_SESSION_PRESERVE_FD");
}

/* It lets go of all that it has. The object would stay if it did not. */
static int run_end_session(void)
{
	return close(session);
}

#endif /* SELFTEST_KVM_GMEM_PERSIST_FAIL_FILES_H */
