// SPDX-License-Identifier: GPL-2.0
/*
 * Send the frames of a guest (gmem-guest.c) back to it.
 *
 *   gmem-echo INTERFACE
 *
 * The interface is there, but need not be up. It ends when the interface does.
 */
#define _GNU_SOURCE
#include <err.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "frame.h"

int main(int argc, char **argv)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(FRAME_TYPE) };
	int fd = socket(AF_PACKET, SOCK_DGRAM, htons(FRAME_TYPE));
	struct ifreq up = { .ifr_flags = IFF_UP };
	uint64_t frame[FRAME_WORDS];

	if (argc != 2 || strlen(argv[1]) >= IFNAMSIZ)
		errx(1, "usage: gmem-echo INTERFACE");
	snprintf(up.ifr_name, sizeof(up.ifr_name), "%s", argv[1]);
	address.sll_ifindex = if_nametoindex(argv[1]);
	if (fd < 0 || !address.sll_ifindex || ioctl(fd, SIOCSIFFLAGS, &up) ||
	    bind(fd, (void *)&address, sizeof(address)))
		err(1, "%s", argv[1]);
	for (;;) {
		struct sockaddr_ll from;
		socklen_t length = sizeof(from);
		ssize_t size = recvfrom(fd, frame, sizeof(frame), 0, (void *)&from, &length);

		if (size < 0)
			err(1, "%s", argv[1]);
		if (from.sll_pkttype == PACKET_OUTGOING)
			continue;
		/* What does not fit is lost, as on any network. */
		sendto(fd, frame, size, 0, (void *)&from, length);
	}
}
