#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=120 flavours="release" append="kho=on gmem_persist=3G hugepages=512"
#
# hugepages= takes its pages from what the pool leaves.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "the pool is all there" has 3
check "so are the pages of 2 MiB" \
	test "$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages)" = 512
host_works
