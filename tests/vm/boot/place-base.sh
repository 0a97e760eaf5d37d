#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=120 flavours="release" append="kho=on nokaslr gmem_persist=1G,1G!0x200000000,1G!5G"
#
# Sizes with an address lie there, and one without, although it stands first, goes
# elsewhere.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "the pool is all there" has 3
check "no line about what is missing" none_short
check "one is where it was asked for" extent 5 6
check "and one at the top, with the one that may lie anywhere below it" extent 7 9
host_works
