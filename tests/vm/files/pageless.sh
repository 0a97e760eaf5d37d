#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G timeout=200 scratch=16
# vm leaves: quick=1 mem=9G
# vm dio: quick=1 timeout=300
# vm madvise: quick=1 mem=9G smp=4
# vm faults:
# vm iommufd: flavours="debug"
#
# Memory without struct page that is not a pool's, by the devices and selftests that come with the
# small series (lib/test_pfnmap.c, lib/test_pageless.c). Direct I/O is to a disk and to a file of
# ext4. The mock domain of iommufd's own tests is in the debug kernel only.
. /tests/lib/test.sh

# A case that was skipped, or all of them, has shown nothing: the VM has all that they ask for.
skips='only what is asynchronous|only io_uring'

passes() {
	"$@" > /tmp/said || return
	! grep '# SKIP' /tmp/said | grep -v -E "# SKIP ($skips)"
}

# run PROGRAM...
run() {
	check "$*" passes "$@"
	cat /tmp/said
}

# file_of_ext4: of which a small disk without a journal is one, too
file_of_ext4() {
	mke2fs -b 4096 "$(disk scratch)" > /dev/null && mkdir -p /mnt &&
		mount -t ext4 "$(disk scratch)" /mnt && truncate -s 8M /mnt/file
}

case $CASE in
leaves)		run pfnmap_leaves ;;
madvise)	run pageless_madvise ;;
faults)		run /bin/pageless_fault_test ;;
iommufd)	run iommufd_pageless ;;
dio)
	skips="$skips|only a file has a limit"
	run pageless_dio "$(disk scratch)"
	require "make a file" file_of_ext4
	skips='only what is asynchronous|only io_uring|this file makes io_uring read from a worker'
	run pageless_dio /mnt/file
	;;
esac
