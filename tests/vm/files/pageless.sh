#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G timeout=200 scratch=16
# vm leaves: quick=1 mem=9G
# vm dio: quick=1
# vm madvise: quick=1 mem=9G smp=4
# vm iommufd: flavours="debug"
#
# Memory without struct page that is not a pool's, by the devices and selftests that come with the
# small series (lib/test_pfnmap.c, lib/test_pageless.c). The mock domain of iommufd's own tests is
# in the debug kernel only.
. /tests/lib/test.sh

case $CASE in
leaves)		program=pfnmap_leaves ;;
dio)		program="pageless_dio $(disk scratch)" ;;
madvise)	program=pageless_madvise ;;
iommufd)	program=iommufd_pageless ;;
esac

# A case that was skipped, or all of them, has shown nothing: the VM has all that they ask for.
passes() {
	"$@" > /tmp/said || return
	! grep '# SKIP' /tmp/said | grep -v 'only what is asynchronous'
}

# shellcheck disable=SC2086	# words
check "$program" passes $program
cat /tmp/said
