/* SPDX-License-Identifier: GPL-2.0 */
/* A PCI device by VFIO, however it was opened */
#ifndef GMEM_VFIO_H
#define GMEM_VFIO_H

#include <err.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* vfio_enable - let it access memory, and be accessed; returns the registers of its BAR 0 */
static inline void *vfio_enable(int device)
{
	struct vfio_region_info bar = { .argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX };
	struct vfio_region_info config = { .argsz = sizeof(config),
					   .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t command;
	void *registers;

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &bar) ||
	    ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config))
		err(1, "VFIO_DEVICE_GET_REGION_INFO");
	/* Memory space and bus master */
	if (pread(device, &command, 2, config.offset + 4) != 2)
		err(1, "reading the device's command register");
	command |= 6;
	if (pwrite(device, &command, 2, config.offset + 4) != 2)
		err(1, "writing the device's command register");
	registers = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, bar.offset);
	if (registers == MAP_FAILED)
		err(1, "the device's registers");
	return registers;
}

#endif
