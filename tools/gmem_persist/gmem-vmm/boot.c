// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest boots from: a bzImage by the 64-bit boot protocol
 * (Documentation/arch/x86/boot.rst), with an initrd and a command line. There is no
 * firmware: a memory map and an MP table say what firmware would.
 *
 * A file that is no bzImage is a flat image of 64-bit code, put at 16 MiB and entered at its
 * first byte.
 *
 * Private memory cannot be filled by us. There, all of this is put into ordinary memory at
 * GPA_STAGING, and the guest's first instructions, which lie there too, copy it.
 */
#include <asm/bootparam.h>
#include <assert.h>
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm.h"

/* Low memory. All of it is the guest's as soon as it runs, but for the MP table. */
#define GPA_COPY_LIST	0x1000UL
#define GPA_COPY_CODE	0x2000UL
#define GPA_GDT		0x6000UL
#define GPA_ZERO_PAGE	0x7000UL
#define GPA_TABLES	0x10000UL	/* page tables, 11 pages */
#define GPA_COPY_TABLES	0x30000UL	/* likewise, for the copying */
#define GPA_CMDLINE	0x50000UL
#define GPA_LOW_END	0x9fc00UL
#define GPA_MP_TABLE	0xf0000UL
#define GPA_HIGH	0x100000UL
#define GPA_FLAT	0x1000000UL

#define BOOT_CS		0x10
#define BOOT_DS		0x18

#define LAPIC_BASE	0xfee00000U
#define IOAPIC_BASE	0xfec00000U
#define NR_ISA_IRQS	16

#define CR0_PE		(1UL << 0)
#define CR0_ET		(1UL << 4)
#define CR0_PG		(1UL << 31)
#define CR4_PAE		(1UL << 5)
#define EFER_LME	(1UL << 8)
#define EFER_LMA	(1UL << 10)

#define PTE_TABLE	0x03UL		/* present, writable */
#define PTE_LEAF	0x83UL		/* the same, and large */
#define MAPPED_GIB	4UL

#define E820_RAM	1
#define E820_RESERVED	2

/* What the guest of a VM with private memory has to copy. */
#define MAX_COPIES	(PAGE / sizeof(struct copy))
struct copy {
	uint64_t from, to, size;
};

struct image {
	char *start;
	size_t size;
};

/*
 * %rbx: the list; %rdx: page tables in private memory; %r8: "arrived" there; %r9, %r10: zero
 * page and entry. The port is PORT_LOADED of device.c.
 */
asm(
	".pushsection .rodata\n"
	"copy_code:\n"
	"1:	mov	(%rbx), %rsi\n"
	"	mov	8(%rbx), %rdi\n"
	"	mov	16(%rbx), %rcx\n"
	"	jrcxz	2f\n"
	"	rep	movsb\n"
	"	add	$24, %rbx\n"
	"	jmp	1b\n"
	"2:	mov	%rdx, %cr3\n"
	"	jmp	*%r8\n"
	"copy_arrived:\n"
	"	mov	$0xf1, %dx\n"
	"	out	%al, (%dx)\n"
	"	mov	%r9, %rsi\n"
	"	jmp	*%r10\n"
	"copy_end:\n"
	".popsection\n");

static struct copy copies[MAX_COPIES];
static unsigned int nr_copies;

/* Put something into the guest's memory, or have the guest do it. */
static void put(struct vm *vm, uint64_t gpa, const void *data, size_t size)
{
	memcpy(memory_at(vm, gpa, size), data, size);
	if (nr_copies == MAX_COPIES - 1)
		errx(STATUS_FAILED, "too many parts to copy");
	copies[nr_copies++] = (struct copy){ GPA_STAGING + gpa, gpa, size };
}

static struct image map_file(const char *path)
{
	struct image image;
	struct stat stat;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &stat))
		err(STATUS_FAILED, "%s", path);
	image.size = stat.st_size;
	image.start = mmap(NULL, image.size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (image.start == MAP_FAILED)
		err(STATUS_FAILED, "%s", path);
	close(fd);
	return image;
}

/*
 * Map the first 4 GiB to themselves, and those at GPA_STAGING, in leaves of 2 MiB. In
 * staging memory the tables name each other by addresses there.
 */
static void put_page_tables(struct vm *vm, uint64_t gpa, uint64_t base)
{
	const uint64_t regions[] = { 0, GPA_STAGING };
	uint64_t table[PAGE / 8] = {}, page = gpa + PAGE, i, j, k;

	for (i = 0; i < 2; i++)
		table[regions[i] / (512 * GIB)] = (base + page + i * 5 * PAGE) | PTE_TABLE;
	put(vm, gpa, table, PAGE);
	for (i = 0; i < 2; i++) {
		memset(table, 0, PAGE);
		for (j = 0; j < MAPPED_GIB; j++)
			table[j] = (base + page + (j + 1) * PAGE) | PTE_TABLE;
		put(vm, page, table, PAGE);
		for (j = 0; j < MAPPED_GIB; j++) {
			page += PAGE;
			for (k = 0; k < 512; k++)
				table[k] = (regions[i] + j * GIB + k * 2 * MIB) | PTE_LEAF;
			put(vm, page, table, PAGE);
		}
		page += PAGE;
	}
}

struct mp_pointer {
	char signature[4];
	uint32_t table;
	uint8_t paragraphs, version, checksum, features[5];
} __attribute__((packed));

struct mp_table {
	char signature[4];
	uint16_t length;
	uint8_t version, checksum;
	char oem[8], product[12];
	uint32_t oem_table;
	uint16_t oem_length, nr_entries;
	uint32_t lapic, extended;
	/* Entries. vCPUs would come first, but there may be less of them. */
	struct { uint8_t type, id; char name[6]; } bus;
	struct { uint8_t type, id, version, flags; uint32_t address; } ioapic;
	struct {
		uint8_t type, irq_type;
		uint16_t flags;
		uint8_t bus, bus_irq, apic, pin;
	} irqs[NR_ISA_IRQS], nmi;
	struct {
		uint8_t type, apic, apic_version, flags;
		uint32_t signature, features, reserved[2];
	} cpus[MAX_CPUS];
} __attribute__((packed));

static_assert(sizeof(struct mp_pointer) == 16);
static_assert(sizeof(struct mp_table) == 44 + 18 * 8 + 8 + MAX_CPUS * 20);

static uint8_t checksum(const void *data, size_t size)
{
	const uint8_t *byte = data;
	uint8_t sum = 0;

	while (size--)
		sum += *byte++;
	return -sum;
}

/*
 * The MP table: vCPUs, the I/O APIC, and that ISA interrupt N is its pin N, which is what KVM
 * does by itself. A guest without ACPI looks for it at 0xf0000.
 */
static void put_mp_table(struct vm *vm)
{
	struct mp_pointer pointer = {
		.signature = "_MP_", .table = GPA_MP_TABLE + sizeof(pointer), .paragraphs = 1,
		.version = 4,
	};
	const size_t size = offsetof(struct mp_table, cpus[vm->nr_cpus]);
	struct mp_table table = {
		.signature = "PCMP", .length = size, .version = 4,
		.oem = "GMEM    ", .product = "GMEM-VMM    ",
		.nr_entries = vm->nr_cpus + NR_ISA_IRQS + 3, .lapic = LAPIC_BASE,
		.bus = { .type = 1, .name = "ISA   " },
		.ioapic = { .type = 2, .id = MAX_CPUS, .version = 0x11, .flags = 1,
			    .address = IOAPIC_BASE },
		/* NMI comes to pin 1 of every local APIC. */
		.nmi = { .type = 4, .irq_type = 1, .apic = 0xff, .pin = 1 },
	};
	unsigned int i;

	for (i = 0; i < vm->nr_cpus; i++) {
		table.cpus[i].apic = i;
		table.cpus[i].apic_version = 0x14;
		table.cpus[i].flags = i ? 1 : 3;	/* enabled; the first one boots */
	}
	for (i = 0; i < NR_ISA_IRQS; i++) {
		table.irqs[i].type = 3;
		table.irqs[i].bus_irq = i;
		table.irqs[i].apic = MAX_CPUS;
		table.irqs[i].pin = i;
	}
	table.checksum = checksum(&table, size);
	pointer.checksum = checksum(&pointer, sizeof(pointer));
	put(vm, GPA_MP_TABLE, &pointer, sizeof(pointer));
	put(vm, GPA_MP_TABLE + sizeof(pointer), &table, size);
}

static void add_e820(struct boot_params *params, uint64_t addr, uint64_t size, uint32_t type)
{
	params->e820_table[params->e820_entries++] = (struct boot_e820_entry){ addr, size, type };
}

static void put_memory_map(struct vm *vm, struct boot_params *params)
{
	struct kvm_memory_attributes ranges[2];

	add_e820(params, 0, GPA_LOW_END, E820_RAM);
	add_e820(params, GPA_LOW_END, GPA_HIGH - GPA_LOW_END, E820_RESERVED);
	if (memory_ranges(vm, ranges) > 1)
		add_e820(params, ranges[1].address, ranges[1].size, E820_RAM);
	add_e820(params, GPA_HIGH, ranges[0].size - GPA_HIGH, E820_RAM);
}

/* As high as the kernel takes it, and out of the way of where that unpacks itself. */
static void put_initrd(struct vm *vm, struct boot_params *params, const char *path)
{
	struct kvm_memory_attributes ranges[2];
	struct image initrd = map_file(path);
	uint64_t end, gpa;

	memory_ranges(vm, ranges);
	end = ranges[0].size;
	if (end > (uint64_t)params->hdr.initrd_addr_max + 1)
		end = (uint64_t)params->hdr.initrd_addr_max + 1;
	gpa = (end - initrd.size) & -PAGE;
	if (initrd.size > end || gpa < params->hdr.pref_address + params->hdr.init_size)
		errx(STATUS_FAILED, "the guest has too little memory for %s", path);
	put(vm, gpa, initrd.start, initrd.size);
	params->hdr.ramdisk_image = gpa;
	params->hdr.ramdisk_size = initrd.size;
	munmap(initrd.start, initrd.size);
}

/* Kernel, zero page and what it names; where the kernel is entered. */
static uint64_t put_bzimage(struct vm *vm, const struct image *image, const char *path,
			    const char *initrd, const char *append)
{
	const size_t header = offsetof(struct boot_params, hdr);
	struct boot_params params = {};
	size_t end, setup;

	/* The jump at 0x200 tells how long the header is. */
	end = 0x202 + (uint8_t)image->start[0x201];
	if (end > header + sizeof(params.hdr))
		end = header + sizeof(params.hdr);
	memcpy(&params.hdr, image->start + header, end - header);
	if (params.hdr.version < 0x20c || !(params.hdr.xloadflags & XLF_KERNEL_64))
		errx(STATUS_FAILED, "%s has no 64-bit entry", path);
	if (strlen(append) > params.hdr.cmdline_size)
		errx(STATUS_FAILED, "the command line is too long for %s", path);
	setup = ((params.hdr.setup_sects ?: 4) + 1) * 512;
	if (setup >= image->size)
		errx(STATUS_FAILED, "%s is too short", path);

	memory_at(vm, params.hdr.pref_address, params.hdr.init_size);
	put(vm, params.hdr.pref_address, image->start + setup, image->size - setup);
	put(vm, GPA_CMDLINE, append, strlen(append) + 1);
	params.hdr.cmd_line_ptr = GPA_CMDLINE;
	params.hdr.type_of_loader = 0xff;
	put_memory_map(vm, &params);
	if (initrd)
		put_initrd(vm, &params, initrd);
	put(vm, GPA_ZERO_PAGE, &params, sizeof(params));
	put_mp_table(vm);
	return params.hdr.pref_address + 0x200;
}

static void set_entry(struct vm *vm, uint64_t entry)
{
	const uint64_t gdt[] = { 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff };
	const struct kvm_segment code = { .limit = ~0U, .selector = BOOT_CS, .type = 0xb,
					  .present = 1, .s = 1, .l = 1, .g = 1 };
	const struct kvm_segment data = { .limit = ~0U, .selector = BOOT_DS, .type = 0x3,
					  .present = 1, .s = 1, .db = 1, .g = 1 };
	struct kvm_regs regs = { .rip = entry, .rsi = GPA_ZERO_PAGE, .rflags = 2 };
	const int cpu = vm->cpus[0].fd;
	struct kvm_sregs sregs;

	put(vm, GPA_GDT, gdt, sizeof(gdt));
	put_page_tables(vm, GPA_TABLES, 0);
	XIOCTL(cpu, KVM_GET_SREGS, &sregs);
	sregs.cs = code;
	sregs.ds = data;
	sregs.es = data;
	sregs.fs = data;
	sregs.gs = data;
	sregs.ss = data;
	sregs.gdt.base = GPA_GDT;
	sregs.gdt.limit = sizeof(gdt) - 1;
	sregs.cr0 = CR0_PE | CR0_ET | CR0_PG;
	sregs.cr3 = GPA_TABLES;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;

	if (vm->private) {
		put(vm, GPA_COPY_CODE, copy_code, copy_end - copy_code);
		/* These stay where they are. */
		memcpy(memory_at(vm, GPA_COPY_LIST, sizeof(copies)), copies, sizeof(copies));
		put_page_tables(vm, GPA_COPY_TABLES, GPA_STAGING);
		sregs.cr3 = GPA_STAGING + GPA_COPY_TABLES;
		regs.rip = GPA_STAGING + GPA_COPY_CODE;
		regs.rbx = GPA_STAGING + GPA_COPY_LIST;
		regs.rdx = GPA_TABLES;
		regs.r8 = GPA_COPY_CODE + (copy_arrived - copy_code);
		regs.r9 = GPA_ZERO_PAGE;
		regs.r10 = entry;
	}
	XIOCTL(cpu, KVM_SET_SREGS, &sregs);
	XIOCTL(cpu, KVM_SET_REGS, &regs);
}

/**
 * boot_load - put a kernel into memory, and the first vCPU to where it starts
 * @vm: the VM; memory and vCPUs are there
 * @kernel: path of a bzImage, or of a flat image
 * @initrd: path, or NULL
 * @append: the kernel's command line
 */
void boot_load(struct vm *vm, const char *kernel, const char *initrd, const char *append)
{
	struct image image = map_file(kernel);
	uint64_t entry = GPA_FLAT;

	if (image.size > 0x1000 && !memcmp(image.start + 0x202, "HdrS", 4))
		entry = put_bzimage(vm, &image, kernel, initrd, append);
	else
		put(vm, GPA_FLAT, image.start, image.size);
	munmap(image.start, image.size);
	set_entry(vm, entry);
}
