#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=120 flavours="release" append="kho=on nokaslr memmap=2304M$0x30000000 gmem_persist=5G,1G"
#
# With little memory below 4 GiB the pool leaves the kernel a part of what is above:
# 1 GiB and what describes it.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "the pool leaves 1 GiB" has 4
check "the first size gets a part" short "5G: 4 GiB instead of 5: the kernel needs the rest"
check "the second one nothing" short "1G: 0 GiB instead of 1: the kernel needs the rest"
host_works
