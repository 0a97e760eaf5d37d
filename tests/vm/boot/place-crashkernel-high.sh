#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=10G timeout=120 flavours="release" append="kho=on gmem_persist=3G@0 crashkernel=512M,high kho_scratch=512M,1G,256M"
#
# A crash kernel high up wants memory that the pool wants; and under the next kernel it
# must fit into the scratch areas.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "the pool is all there" has 3
check "so is the crash kernel's memory" test "$(cat /sys/kernel/kexec_crash_size)" -ge $((512 << 20))
[ "$STAGE" = 1 ] || exit 0
host_works
enter_stage
fail "kexec"
