// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory without struct page in an IOAS, by file and by address, with the mock domain. Needs
 * CONFIG_IOMMUFD_TEST and CONFIG_TEST_PAGELESS.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define __EXPORTED_HEADERS__
#include <linux/vfio.h>

#include "iommufd_utils.h"
#include "../../../../lib/test_pageless_uapi.h"

#define DEVICE		"/dev/test_pageless"

/* More than a large leaf, in either page table */
#define SIZE		(6UL << 20)
#define HALF		(SIZE / 2)

FIXTURE(pageless)
{
	int fd;
	int dev;
	uint32_t ioas_id;
	uint32_t stdev_id;
	uint32_t hwpt_id;
	char *mem;
};

FIXTURE_VARIANT(pageless)
{
	bool by_file;
};

FIXTURE_VARIANT_ADD(pageless, file)
{
	.by_file = true,
};

FIXTURE_VARIANT_ADD(pageless, address)
{
	.by_file = false,
};

FIXTURE_SETUP(pageless)
{
	self->fd = open("/dev/iommu", O_RDWR);
	ASSERT_NE(-1, self->fd);
	test_ioctl_ioas_alloc(&self->ioas_id);
	test_cmd_mock_domain(self->ioas_id, &self->stdev_id, &self->hwpt_id,
			     NULL);
	self->dev = open(DEVICE, O_RDWR);
	ASSERT_NE(-1, self->dev);
	self->mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->dev, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	memset(self->mem, 1, SIZE);
}

FIXTURE_TEARDOWN(pageless)
{
	close(self->fd);
	close(self->dev);
}

/* At *@iova, if that is not 0; returns 0 or an errno. */
static int map_by(struct _test_data_pageless *self, bool by_file, int dev,
		  char *mem, size_t offset, size_t length, __u64 *iova)
{
	const unsigned int flags = IOMMU_IOAS_MAP_READABLE |
				   IOMMU_IOAS_MAP_WRITEABLE |
				   (*iova ? IOMMU_IOAS_MAP_FIXED_IOVA : 0);
	int rc = by_file ? _test_ioctl_ioas_map_file(self->fd, self->ioas_id,
						     dev, offset, length, iova,
						     flags) :
			   _test_ioctl_ioas_map(self->fd, self->ioas_id,
						mem + offset, length, iova,
						flags);

	return rc ? errno : 0;
}

#define map(_offset, _length, _iova)                                      \
	map_by(self, variant->by_file, self->dev, self->mem, _offset,     \
	       _length, _iova)

/* Does the mock domain have what is mapped here at that offset? */
static bool domain_has(struct _test_data_pageless *self, __u64 iova, size_t offset,
		       size_t length)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_MD_CHECK_MAP,
		.id = self->hwpt_id,
		.check_map = { .iova = iova,
			       .length = length,
			       .uptr = (uintptr_t)self->mem + offset },
	};

	return !ioctl(self->fd, _IOMMU_TEST_CMD(IOMMU_TEST_OP_MD_CHECK_MAP),
		      &cmd);
}

static int poison(struct _test_data_pageless *self, __u64 offset)
{
	return ioctl(self->dev, TEST_PAGELESS_POISON, &offset);
}

TEST_F(pageless, map)
{
	__u64 all = 0, part = 0;

	ASSERT_EQ(0, map(0, SIZE, &all));
	ASSERT_EQ(0, map(HALF, PAGE_SIZE, &part));
	EXPECT_TRUE(domain_has(self, all, 0, SIZE));
	EXPECT_TRUE(domain_has(self, part, HALF, PAGE_SIZE));
	EXPECT_FALSE(domain_has(self, part, 0, PAGE_SIZE));
	test_ioctl_ioas_unmap(all, SIZE);
	EXPECT_FALSE(domain_has(self, all, 0, PAGE_SIZE));
	EXPECT_TRUE(domain_has(self, part, HALF, PAGE_SIZE));
	test_ioctl_ioas_unmap(part, PAGE_SIZE);
}

/* Ordinary memory beside it is pinned, as ever. */
TEST_F(pageless, ordinary)
{
	__u64 iova = 0, file, user;

	ASSERT_EQ(0, map(0, SIZE, &iova));
	mfd_buffer = memfd_mmap(PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
				&mfd);
	ASSERT_NE(MAP_FAILED, mfd_buffer);
	test_ioctl_ioas_map_file(mfd, 0, PAGE_SIZE, &file);
	test_ioctl_ioas_map(mfd_buffer, PAGE_SIZE, &user);
	EXPECT_TRUE(domain_has(self, iova, 0, SIZE));
	test_ioctl_ioas_unmap(iova, SIZE);
	self->mem = mfd_buffer;
	EXPECT_TRUE(domain_has(self, file, 0, PAGE_SIZE));
	EXPECT_TRUE(domain_has(self, user, 0, PAGE_SIZE));
}

/* Before there is a domain, and in a second one */
TEST_F(pageless, later_domain)
{
	uint32_t stdev_id;
	__u64 iova = MOCK_APERTURE_START;

	test_ioctl_destroy(self->stdev_id);
	ASSERT_EQ(0, map(0, SIZE, &iova));
	test_cmd_mock_domain(self->ioas_id, NULL, &self->hwpt_id, NULL);
	EXPECT_TRUE(domain_has(self, iova, 0, SIZE));
	test_cmd_mock_domain(self->ioas_id, &stdev_id, &self->hwpt_id, NULL);
	EXPECT_TRUE(domain_has(self, iova, 0, SIZE));
	test_ioctl_destroy(stdev_id);
	test_ioctl_ioas_unmap(iova, SIZE);
}

/* It is held: neither the mapping nor the file need stay. */
TEST_F(pageless, held)
{
	int dev = open(DEVICE, O_RDWR);
	char *mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, dev, 0);
	char *mine = self->mem;
	__u64 iova = 0;

	ASSERT_NE(MAP_FAILED, mem);
	memset(mem, 2, SIZE);
	ASSERT_EQ(0, map_by(self, variant->by_file, dev, mem, 0, SIZE, &iova));
	ASSERT_EQ(0, close(dev));
	self->mem = mem;
	EXPECT_TRUE(domain_has(self, iova, 0, SIZE));
	self->mem = mine;
	ASSERT_EQ(0, munmap(mem, SIZE));
	EXPECT_FALSE(domain_has(self, iova, 0, PAGE_SIZE));
	test_ioctl_ioas_unmap(iova, SIZE);
}

/* A memory error takes away all that was mapped with it, and nothing else. */
TEST_F(pageless, revoke)
{
	const size_t bad = HALF + PAGE_SIZE;
	uint32_t stdev_id;
	__u64 low = 0, high = 0;

	ASSERT_EQ(0, map(0, HALF, &low));
	ASSERT_EQ(0, map(HALF, HALF, &high));
	EXPECT_TRUE(domain_has(self, high, HALF, HALF));
	ASSERT_EQ(0, poison(self, bad));
	EXPECT_TRUE(domain_has(self, low, 0, HALF));
	/* The first page of it is a good one. */
	memset(self->mem + HALF, 1, PAGE_SIZE);
	EXPECT_FALSE(domain_has(self, high, HALF, PAGE_SIZE));

	/* It does not come back, neither with a new domain nor with a new mapping. */
	test_cmd_mock_domain(self->ioas_id, &stdev_id, &self->hwpt_id, NULL);
	EXPECT_TRUE(domain_has(self, low, 0, HALF));
	EXPECT_FALSE(domain_has(self, high, HALF, PAGE_SIZE));
	test_ioctl_ioas_unmap(high, HALF);
	high = 0;
	EXPECT_EQ(EFAULT, map(HALF, HALF, &high));
	high = 0;
	EXPECT_EQ(0, map(HALF, PAGE_SIZE, &high));
	EXPECT_TRUE(domain_has(self, high, HALF, PAGE_SIZE));
	test_ioctl_ioas_unmap(high, PAGE_SIZE);
	test_ioctl_ioas_unmap(low, HALF);
}

/* There was one before there was a domain. */
TEST_F(pageless, revoke_early)
{
	__u64 low = MOCK_APERTURE_START, high = low + HALF;

	test_ioctl_destroy(self->stdev_id);
	ASSERT_EQ(0, map(0, HALF, &low));
	ASSERT_EQ(0, map(HALF, HALF, &high));
	ASSERT_EQ(0, poison(self, 0));
	test_cmd_mock_domain(self->ioas_id, NULL, &self->hwpt_id, NULL);
	memset(self->mem + PAGE_SIZE, 1, PAGE_SIZE);
	EXPECT_FALSE(domain_has(self, low + PAGE_SIZE, PAGE_SIZE, PAGE_SIZE));
	EXPECT_TRUE(domain_has(self, high, HALF, HALF));
	test_ioctl_ioas_unmap(low, HALF);
	test_ioctl_ioas_unmap(high, HALF);
}

/* From @iova on, in a domain that knows what was written; returns an error of the ioctl. */
static int get_dirty(struct _test_data_pageless *self, uint32_t hwpt_id, __u64 iova,
		     __u64 *bitmap)
{
	memset(bitmap, 0, SIZE / PAGE_SIZE / BITS_PER_BYTE);
	return _test_cmd_get_dirty_bitmap(self->fd, hwpt_id, SIZE, iova, PAGE_SIZE,
					  bitmap, 0);
}

/* What was written there before it was taken away is not known any more: so all may have been. */
TEST_F(pageless, revoke_dirty)
{
	const __u64 low = MOCK_APERTURE_START, high = low + HALF;
	__u64 bitmap[SIZE / 4096 / 64], at = low, dirty;
	uint32_t stdev_id, hwpt_id, idev_id;
	size_t i;

	test_cmd_mock_domain(self->ioas_id, &stdev_id, NULL, &idev_id);
	test_cmd_hwpt_alloc(idev_id, self->ioas_id, IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
			    &hwpt_id);
	ASSERT_EQ(0, map(0, HALF, &at));
	at = high;
	ASSERT_EQ(0, map(HALF, HALF, &at));
	test_cmd_set_dirty_tracking(hwpt_id, true);
	memset(bitmap, 0, sizeof(bitmap));
	bitmap[0] = 1;
	test_cmd_mock_domain_set_dirty(self->fd, hwpt_id, SIZE, low, PAGE_SIZE, bitmap, &dirty);
	ASSERT_EQ(1, dirty);
	ASSERT_EQ(0, get_dirty(self, hwpt_id, low, bitmap));
	ASSERT_TRUE(test_bit(0, (unsigned long *)bitmap));
	ASSERT_FALSE(test_bit(HALF / PAGE_SIZE, (unsigned long *)bitmap));
	ASSERT_EQ(0, poison(self, HALF + PAGE_SIZE));
	for (int again = 0; again < 2; again++) {
		ASSERT_EQ(0, get_dirty(self, hwpt_id, low, bitmap));
		for (i = 0; i < SIZE / PAGE_SIZE; i++)
			ASSERT_EQ(i >= HALF / PAGE_SIZE, test_bit(i, (unsigned long *)bitmap));
		/* Nothing is in the way of another begin. */
		test_cmd_set_dirty_tracking(hwpt_id, false);
		test_cmd_set_dirty_tracking(hwpt_id, true);
	}
	test_ioctl_destroy(hwpt_id);
	test_ioctl_destroy(stdev_id);
}

/* While somebody reads what was written, from tables that go */
TEST_F(pageless, revoke_while_read)
{
	__u64 bitmap[SIZE / 4096 / 64], iova;
	uint32_t stdev_id, hwpt_id, idev_id;

	test_cmd_mock_domain(self->ioas_id, &stdev_id, NULL, &idev_id);
	test_cmd_hwpt_alloc(idev_id, self->ioas_id, IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
			    &hwpt_id);
	test_cmd_set_dirty_tracking(hwpt_id, true);
	for (int i = 0; i < 20; i++) {
		int dev = open(DEVICE, O_RDWR), status;
		char *mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, dev, 0);
		__u64 offset = PAGE_SIZE;
		pid_t reader;

		ASSERT_NE(MAP_FAILED, mem);
		iova = MOCK_APERTURE_START;
		ASSERT_EQ(0, map_by(self, variant->by_file, dev, mem, 0, SIZE, &iova));
		reader = fork();
		ASSERT_NE(-1, reader);
		if (!reader) {
			/* It ends when all of it is dirty. */
			do {
				if (get_dirty(self, hwpt_id, iova, bitmap))
					_exit(1);
			} while (~bitmap[0]);
			_exit(0);
		}
		ASSERT_EQ(0, ioctl(dev, TEST_PAGELESS_POISON, &offset));
		ASSERT_EQ(reader, waitpid(reader, &status, 0));
		ASSERT_EQ(0, status);
		test_ioctl_ioas_unmap(iova, SIZE);
		ASSERT_EQ(0, munmap(mem, SIZE));
		close(dev);
	}
	test_ioctl_destroy(hwpt_id);
	test_ioctl_destroy(stdev_id);
}

/* A memory error does not wait until user space handles the page fault of somebody's bitmap. */
TEST_F(pageless, revoke_waits_for_nobody)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	__u64 bits[SIZE / 4096 / 64] = { 1 }, iova = MOCK_APERTURE_START, dirty;
	uint32_t stdev_id, hwpt_id, idev_id;
	int uffd, status;
	__u64 *page;
	pid_t handler;

	test_cmd_mock_domain(self->ioas_id, &stdev_id, NULL, &idev_id);
	test_cmd_hwpt_alloc(idev_id, self->ioas_id, IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
			    &hwpt_id);
	test_cmd_set_dirty_tracking(hwpt_id, true);
	ASSERT_EQ(0, map(0, SIZE, &iova));
	test_cmd_mock_domain_set_dirty(self->fd, hwpt_id, SIZE, iova, PAGE_SIZE, bits, &dirty);
	ASSERT_EQ(1, dirty);

	uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	ASSERT_NE(-1, uffd);
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_API, &api));
	page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	area.range.start = (uintptr_t)page;
	area.range.len = PAGE_SIZE;
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_REGISTER, &area));

	handler = fork();
	ASSERT_NE(-1, handler);
	if (!handler) {
		struct uffdio_zeropage zero = { .range = area.range };
		struct pollfd wait = { .fd = uffd, .events = POLLIN };
		struct uffd_msg msg;

		if (poll(&wait, 1, -1) != 1 || read(uffd, &msg, sizeof(msg)) != sizeof(msg))
			_exit(1);
		if (poison(self, PAGE_SIZE))
			_exit(2);
		_exit(ioctl(uffd, UFFDIO_ZEROPAGE, &zero) ? 3 : 0);
	}
	ASSERT_EQ(0, _test_cmd_get_dirty_bitmap(self->fd, hwpt_id, SIZE, iova, PAGE_SIZE,
						page, 0));
	/* All of the leaf, and not the last one */
	ASSERT_NE(0, page[0]);
	ASSERT_EQ(0, page[ARRAY_SIZE(bits) - 1]);
	ASSERT_EQ(handler, waitpid(handler, &status, 0));
	ASSERT_EQ(0, status);

	/* Who had looked has revoked. */
	ASSERT_EQ(0, get_dirty(self, hwpt_id, iova, bits));
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		ASSERT_EQ(~0ULL, bits[i]);
	close(uffd);
	test_ioctl_destroy(hwpt_id);
	test_ioctl_destroy(stdev_id);
}

TEST_F(pageless, refused)
{
	__u64 iova = 0;
	int readonly;

	EXPECT_EQ(EFAULT, map(HALF, SIZE, &iova));

	/* By address, ordinary memory in the middle of it */
	ASSERT_NE(MAP_FAILED,
		  mmap(self->mem + PAGE_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	iova = 0;
	EXPECT_EQ(variant->by_file ? 0 : EFAULT, map(0, HALF, &iova));

	/* What may not be written to; the memory of this file begins with its mapping. */
	readonly = open(DEVICE, O_RDONLY);
	ASSERT_NE(-1, readonly);
	self->mem = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, readonly, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	iova = 0;
	EXPECT_EQ(variant->by_file ? EACCES : EFAULT,
		  map_by(self, variant->by_file, readonly, self->mem, 0, SIZE,
			 &iova));
	close(readonly);
}

/* The kernel has no pages there for a mediated device. */
TEST_F(pageless, access)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_ACCESS_RW,
	};
	char buf[16];

	ASSERT_EQ(0, map(0, SIZE, (__u64 *)&cmd.access_rw.iova));
	test_cmd_create_access(self->ioas_id, &cmd.id, 0);
	cmd.access_rw.length = sizeof(buf);
	cmd.access_rw.uptr = (uintptr_t)buf;
	EXPECT_EQ(-1, ioctl(self->fd, _IOMMU_TEST_CMD(IOMMU_TEST_OP_ACCESS_RW),
			    &cmd));
	EXPECT_EQ(EINVAL, errno);
	test_cmd_destroy_access(cmd.id);
}

/* Without iommufd's own tests there is no mock domain. */
static const char *missing(void)
{
	uint32_t ioas_id;
	int fd;

	PAGE_SIZE = sysconf(_SC_PAGE_SIZE);
	if (access(DEVICE, R_OK | W_OK))
		return "no " DEVICE;
	fd = open("/dev/iommu", O_RDWR);
	if (fd < 0)
		return "no /dev/iommu";
	if (_test_ioctl_ioas_alloc(fd, &ioas_id) ||
	    _test_cmd_mock_domain(fd, ioas_id, NULL, NULL, NULL))
		return "no mock domain";
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	const char *reason = missing();

	if (reason) {
		ksft_print_header();
		ksft_exit_skip("%s\n", reason);
	}
	return test_harness_run(argc, argv);
}
