#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=8G virtual=1 smp=1 timeout=900 append="kho=on gmem_persist=1G hugepages=64" flavours="debug"
#
# Upstream's selftests of iommufd pass in a kernel with a pool, by the mock domain, which is in the
# debug kernel only: those of how memory is mapped, and of dma-bufs and their revocation. With
# gmem.all=1 on the command line all of them, and iommufd_fail_nth, which takes nine minutes.
. /tests/lib/test.sh
. /tests/lib/pool.sh

if [ "$(word gmem.all)" ]; then
	selftest iommufd
	# On this kernel that one takes longer than the 30 s that a case may.
	skip map_two_domains "the debug kernel is too slow for that"
	selftest iommufd_fail_nth -T map_two_domains
else
	selftest iommufd -f iommufd_mock_domain -t dmabuf_simple -t dmabuf_revoke
fi
