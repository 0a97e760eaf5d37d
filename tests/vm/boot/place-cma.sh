#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=10G timeout=120 flavours="release" append="kho=on gmem_persist=3G@0 cma=512M"
#
# cma= reserves right behind the second hook, up to the last address that is mapped.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "the pool is all there" has 3
check "so is the area" test "$(sed -n "s/^CmaTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo)" -ge $((512 << 10))
host_works
