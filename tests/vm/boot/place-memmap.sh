#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=120 flavours="release" append="kho=on nokaslr memmap=1G$6G,4K$8G gmem_persist=4G"
#
# What memmap= takes away is not there for the pool.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "the pool is what is left in whole pieces" has 3
check "below the holes" extent 4 6
check "and between them" extent 7 8
check "the log says so" \
	short "4G: 3 GiB instead of 4: there is no more free memory at or above 4G, in pieces of 1G"
host_works
