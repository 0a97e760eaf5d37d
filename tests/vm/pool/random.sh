#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=600 append="kho=on kho_scratch=128M,128M,128M gmem_persist=3G" flavours="release debug"
#
# 5,000 random operations, on the slow debug kernel 500: after each of them the books
# are right, and all memory that an object gets is zero.
. /tests/lib/test.sh
. /tests/lib/pool.sh

operations=5000
! grep -qw panic_on_warn=1 /proc/cmdline || operations=500

check "$operations operations" gmem-pool random $operations 1
check "all memory is free" is used_bytes 0
check "quotas add up" quotas_add_up
check "none of it is lost" is free_1g_bytes "$(cat "$pool/pool_bytes")"
