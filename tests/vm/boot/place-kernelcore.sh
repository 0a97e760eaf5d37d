#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=10G timeout=120 flavours="release" append="kho=on gmem_persist=3G@0 kernelcore=2G"
#
# kernelcore= divides what the pool leaves.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "the pool is all there" has 3
check "there is movable memory" grep -q Movable /proc/zoneinfo
host_works
