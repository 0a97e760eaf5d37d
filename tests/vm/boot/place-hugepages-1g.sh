#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=120 flavours="release" append="kho=on gmem_persist=3G hugepagesz=1G hugepages=1"
#
# Pages of 1 GiB want what the pool wants, too: they get it from what is left.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "the pool is all there" has 3
check "so is the page of 1 GiB" \
	test "$(cat /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages)" = 1
host_works
