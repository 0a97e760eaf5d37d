#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=120 flavours="release" append="kho=on gmem_persist=3G crashkernel=256M"
#
# crashkernel= reserves after the pool, and the pool leaves room for it; also under the
# next kernel, where it must fit into KHO's scratch areas.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "the pool is all there" has 3
check "so is the crash kernel's memory" test "$(cat /sys/kernel/kexec_crash_size)" = $((256 << 20))
[ "$STAGE" = 1 ] || exit 0
host_works
enter_stage
fail "kexec"
