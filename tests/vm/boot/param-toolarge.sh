#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=6G timeout=120 append="kho=on gmem_persist=100G" flavours="release"
#
# A request that cannot be met gets what there is, and a line says how much that is.
. /tests/lib/test.sh
. /tests/lib/pool.sh

got=$(($(cat "$pool/pool_bytes") >> 30))
check "there is a pool" test $got -ge 1
check "the log tells its size" logged "gmem_persist=100G: $got GiB instead of 100: there is no more free memory at or above 4G, in pieces of 1G"
check "it can be used" vmm create all size=${got}G granule=1G per-gib=16 seed=1 fill verify
check "all of it is used" is used_bytes $((got << 30))
