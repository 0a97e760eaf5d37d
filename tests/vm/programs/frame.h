/* SPDX-License-Identifier: GPL-2.0 */
/* What a guest sends to its host, and gets back as it was */
#include <arpa/inet.h>
#include <stdint.h>

#include "pattern.h"

/* Of those for experiments on a local network */
#define FRAME_TYPE	0x88b5
/* About as long as a frame may be */
#define FRAME_WORDS	180
/* So many at a time */
#define FRAMES		16

/* The first word is its number. */
static inline void fill_frame(uint64_t *frame, uint64_t number)
{
	frame[0] = number;
	for (unsigned int i = 1; i < FRAME_WORDS; i++)
		frame[i] = pattern(i * sizeof(*frame), number << 16);
}
