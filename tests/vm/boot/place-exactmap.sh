#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=120 flavours="release" append="kho=on nokaslr memmap=exactmap,636K@4K,3070M@1M,5G@4G gmem_persist=2G"
#
# memmap=exactmap throws the memory map away, and with it the marks of an earlier kernel's
# pool. The pool is left alone all the same, and keeps its contents.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "the pool is all there" has 2
check "at the top" extent 7 9
[ "$STAGE" = 2 ] || check "an object is filled" vmm create kept size=1G granule=1G seed=3 per-gib=64 fill
[ "$STAGE" = 1 ] || check "and is as it was" vmm reclaim kept seed=3 per-gib=64 verify
host_works
[ "$STAGE" = 1 ] || exit 0
enter_stage
fail "kexec"
