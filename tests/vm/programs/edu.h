/* SPDX-License-Identifier: GPL-2.0 */
/*
 * QEMU's edu device (docs/specs/edu.rst), which copies between its own buffer and the addresses
 * that it is told, of 28 bits.
 */
#ifndef EDU_H
#define EDU_H

#include <stdint.h>
#include <unistd.h>

#define EDU_ID		"0x1234\n0x11e8\n"
#define EDU_SIZE	0x100000
#define EDU_DMA_FROM	(0x80 / 8)
#define EDU_DMA_TO	(0x88 / 8)
#define EDU_DMA_COUNT	(0x90 / 8)
#define EDU_DMA_COMMAND	(0x98 / 8)
#define EDU_DMA_START	1
#define EDU_DMA_TO_RAM	2
#define EDU_BUFFER	0x40000

/* edu_wait - until the device does not copy any more */
static inline void edu_wait(volatile uint64_t *edu)
{
	while (edu[EDU_DMA_COMMAND] & EDU_DMA_START)
		usleep(10000);
}

/* edu_copy - let the device copy, and wait for it; @command: 0 or EDU_DMA_TO_RAM */
static inline void edu_copy(volatile uint64_t *edu, uint64_t from, uint64_t to, uint64_t size,
			    uint64_t command)
{
	edu[EDU_DMA_FROM] = from;
	edu[EDU_DMA_TO] = to;
	edu[EDU_DMA_COUNT] = size;
	edu[EDU_DMA_COMMAND] = EDU_DMA_START | command;
	edu_wait(edu);
}

#endif
