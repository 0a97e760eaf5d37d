#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=6G timeout=120 append="kho=on gmem_persist=100G" flavours="release"
#
# A request that cannot be met: a clear line, and the kernel boots without a pool.
. /tests/lib.sh
. /tests/objects.sh

check "logged" logged "gmem_persist=: 100 GiB: there is not that much free memory at or above 4G, in pieces of 1G: no pool"
check "no pool" test ! -e "$pool"
check "no resource" test -z "$(grep -i gmem /proc/iomem)"
status=0
gmem-vmm create x size=2M > /tmp/vmm || status=$?
check "the ioctl says so" test "$status $(figure errno)" = "3 ENODEV"
