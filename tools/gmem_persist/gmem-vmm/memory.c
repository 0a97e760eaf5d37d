// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's memory: an object with a name, which outlives this program and the kernel.
 *
 * It is given to the VM in slots with KVM_MEM_GUEST_MEMFD, so the guest's page tables are
 * filled from the guest_memfd, and in leaves as large as the object has them. Our own
 * mapping of it serves to load a kernel, and KVM for what it writes into the guest
 * (kvmclock, for one) and for emulation.
 *
 * With --private, the guest's memory is an object without MMAP, and all of it private:
 * neither we nor KVM's emulator can read it. Only the guest can fill it; see boot.c.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/gmem_persist.h>

#include "vm.h"

enum { SLOT_LOW, SLOT_HIGH, SLOT_STAGING };

/*
 * What the guest's memory is to us: the object; if that is private, what the guest copies
 * from, or nothing at all. The largest leaves need an address that is aligned to them.
 */
static char *map_memory(const struct vm *vm)
{
	const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	char *space, *address;
	void *memory;

	space = mmap(NULL, vm->size + GIB, PROT_NONE, anonymous, -1, 0);
	if (space == MAP_FAILED)
		err(STATUS_FAILED, "no address space");
	address = (char *)(((uintptr_t)space + GIB - 1) & -GIB);
	if (!vm->private)
		memory = mmap(address, vm->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			      vm->gmem, 0);
	else
		memory = mmap(address, vm->size, vm->staged ? PROT_READ | PROT_WRITE : PROT_NONE,
			      anonymous | MAP_FIXED, -1, 0);
	if (memory == MAP_FAILED)
		err(STATUS_FAILED, "mmap of guest memory");
	return memory;
}

/* Who has no CAP_SYS_ADMIN names the memory by a file of gmemfs, whose permissions decide. */
static int open_handle(const struct vm *vm, bool create)
{
	struct stat stat;

	if (create && !lstat(vm->path, &stat) && stat.st_size) {
		errno = EEXIST;
		return -1;
	}
	return open(vm->path, O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
}

/* The ioctl, by name or by handle. */
static int claim(const struct vm *vm, struct kvm_gmem_persist *gmem)
{
	int handle, fd, error;

	if (!vm->path) {
		snprintf((char *)gmem->name, sizeof(gmem->name), "%s", vm->name);
		return ioctl(vm->fd, KVM_GMEM_PERSIST, gmem);
	}
	handle = open_handle(vm, gmem->op == KVM_GMEM_PERSIST_CREATE);
	if (handle < 0)
		return -1;
	gmem->op |= KVM_GMEM_PERSIST_HANDLE;
	gmem->handle = handle;
	fd = ioctl(vm->fd, KVM_GMEM_PERSIST, gmem);
	error = errno;
	/* From here on the guest_memfd keeps the memory. */
	close(handle);
	errno = error;
	return fd;
}

/**
 * memory_claim - create or reclaim the object that is the guest's memory
 * @vm: name and type of the VM
 * @op: %KVM_GMEM_PERSIST_CREATE or %KVM_GMEM_PERSIST_RECLAIM
 * @size: in bytes; 0 when reclaiming: what it has
 * @granule: in bytes; 0: the kernel's choice, or what it has
 */
void memory_claim(struct vm *vm, uint32_t op, uint64_t size, uint64_t granule)
{
	struct kvm_gmem_persist gmem = {
		.op = op,
		.size = size,
		.granule = granule,
	};

	if (ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_PERSIST) != 1)
		errx(STATUS_FAILED, "this host has no persistent memory for such a VM");
	/* A reclaim must ask for what the object was created with. */
	if (!vm->private)
		gmem.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	vm->gmem = claim(vm, &gmem);
	if (vm->gmem < 0 && errno == EEXIST)
		errx(STATUS_NO_MEMORY,
		     "%s exists (EEXIST): --resume its guest, or discard its memory", vm->name);
	if (vm->gmem < 0)
		err(STATUS_NO_MEMORY, "memory %s (%s)", vm->name, strerrorname_np(errno));
	vm->size = gmem.size;
	vm->granule = gmem.granule;
	memcpy(vm->identity.uuid, gmem.uuid, UUID_SIZE);
	memcpy(vm->identity.found, gmem.token, TOKEN_SIZE);
	memcpy(vm->identity.own, gmem.own_token, TOKEN_SIZE);
	vm->staged = vm->private && op == KVM_GMEM_PERSIST_CREATE;
	vm->ram = map_memory(vm);
}

/**
 * memory_check_fresh - is the memory what it was when the guest was saved?
 * @vm: the VM, whose memory has been claimed
 * @saved: what was true of the memory then
 *
 * It must be the same object, and nobody have written to it since. The claim changed nothing,
 * so to be refused here does no harm to a good pair.
 */
void memory_check_fresh(const struct vm *vm, const struct identity *saved)
{
	const uint8_t *token = vm->identity.found;

	if (memcmp(vm->identity.uuid, saved->uuid, UUID_SIZE))
		errx(STATUS_STALE, "stale: %s was saved with other memory of that name", vm->name);
	/* The latter if it was saved without having run. */
	if (memcmp(token, saved->own, TOKEN_SIZE) && memcmp(token, saved->found, TOKEN_SIZE))
		errx(STATUS_STALE, "stale: the memory of %s has been written to since it was saved",
		     vm->name);
}

/**
 * memory_note_token - what is the memory known by, now that the guest does not run?
 * @vm: the VM
 *
 * Its file says so. Who has only a name has what the claim answered: that is as good as long as
 * no other writer has been let in (chmod +t), who would make the guest take another token.
 */
void memory_note_token(struct vm *vm)
{
	struct gmem_persist_view view = {};
	int fd;

	if (!vm->path)
		return;
	fd = open(vm->path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, GMEM_PERSIST_SETTLE) || ioctl(fd, GMEM_PERSIST_GET_VIEW, &view))
		err(STATUS_FAILED, "%s", vm->path);
	close(fd);
	if (memcmp(view.uuid, vm->identity.uuid, UUID_SIZE))
		errx(STATUS_FAILED, "%s is not the guest's memory any more", vm->path);
	memcpy(vm->identity.found, view.token, TOKEN_SIZE);
	memcpy(vm->identity.own, view.token, TOKEN_SIZE);
}

/**
 * memory_ranges - where the guest has RAM
 * @vm: the VM
 * @ranges: guest physical address and size of each range
 *
 * Return: how many there are, 1 or 2.
 */
unsigned int memory_ranges(const struct vm *vm, struct kvm_memory_attributes ranges[2])
{
	uint64_t low = vm->size < GAP_START ? vm->size : GAP_START;

	memset(ranges, 0, 2 * sizeof(*ranges));
	ranges[0].size = low;
	ranges[1].address = GAP_END;
	ranges[1].size = vm->size - low;
	return ranges[1].size ? 2 : 1;
}

static void add_slot(struct vm *vm, unsigned int slot, uint64_t gpa, uint64_t size,
		     uint64_t offset, bool bound)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.flags = bound ? KVM_MEM_GUEST_MEMFD : 0,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)vm->ram + offset,
		.guest_memfd = bound ? vm->gmem : 0,
		.guest_memfd_offset = bound ? offset : 0,
	};

	XIOCTL(vm->fd, KVM_SET_USER_MEMORY_REGION2, &region);
}

/**
 * memory_add_slots - give the memory to the VM
 * @vm: the VM, whose memory has been claimed
 */
void memory_add_slots(struct vm *vm)
{
	struct kvm_memory_attributes ranges[2];
	unsigned int nr = memory_ranges(vm, ranges);

	add_slot(vm, SLOT_LOW, 0, ranges[0].size, 0, true);
	if (nr > 1)
		add_slot(vm, SLOT_HIGH, ranges[1].address, ranges[1].size, ranges[0].size, true);
	if (vm->staged)
		add_slot(vm, SLOT_STAGING, GPA_STAGING, ranges[0].size, 0, false);
}

/**
 * memory_set_private - make a part of a protected VM's memory private
 * @vm: the VM
 * @gpa: guest physical address
 * @size: in bytes
 *
 * It is an attribute of the VM, not of the memory: a VMM that resumes a guest has to do it
 * again before the guest runs.
 */
void memory_set_private(struct vm *vm, uint64_t gpa, uint64_t size)
{
	struct kvm_memory_attributes attributes = {
		.address = gpa,
		.size = size,
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};

	XIOCTL(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, &attributes);
}

/**
 * memory_drop_staging - the guest has copied what it boots from
 * @vm: the VM
 */
void memory_drop_staging(struct vm *vm)
{
	if (!vm->staged)
		return;
	add_slot(vm, SLOT_STAGING, GPA_STAGING, 0, 0, false);
	if (mmap(vm->ram, vm->size, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		err(STATUS_FAILED, "mmap over the staging area");
	vm->staged = false;
}

/**
 * memory_at - our address of a part of the guest's RAM
 * @vm: the VM
 * @gpa: guest physical address
 * @size: in bytes
 *
 * Return: the address. It is an error if not all of that is RAM.
 */
void *memory_at(const struct vm *vm, uint64_t gpa, uint64_t size)
{
	struct kvm_memory_attributes ranges[2];
	unsigned int i, nr = memory_ranges(vm, ranges);
	uint64_t offset = 0;

	for (i = 0; i < nr; offset += ranges[i++].size)
		if (gpa >= ranges[i].address && size <= ranges[i].size &&
		    gpa - ranges[i].address <= ranges[i].size - size)
			return vm->ram + offset + (gpa - ranges[i].address);
	errx(STATUS_FAILED, "the guest has too little memory: nothing at %#lx", gpa);
}

/**
 * memory_sum - a checksum over all memory, for tests
 * @vm: the VM, which must not be running
 *
 * Return: the sum. It depends on the place of each word.
 */
uint64_t memory_sum(const struct vm *vm)
{
	const uint64_t *word = (const uint64_t *)vm->ram;
	const uint64_t *end = (const uint64_t *)(vm->ram + vm->size);
	uint64_t sum = 0, sums = 0;

	if (vm->private)
		errx(STATUS_USAGE, "nobody but the guest can read private memory");
	while (word < end) {
		sum += *word++;
		sums += sum;
	}
	return sums ^ (sum << 32 | sum >> 32);
}
