#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=120 flavours="release" append="kho=on gmem_persist=1G,1G,zeroed,1G"
#
# Several sizes are added up; the kernel lies anywhere, and the pool around it.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "the pool is all there" has 3
check "no line about what is missing" none_short
check "all of it is said to be zero" is clean_bytes $((3 * gib))
host_works
