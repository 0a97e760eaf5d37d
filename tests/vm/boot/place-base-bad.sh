#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=120 flavours="release" append="kho=on nokaslr gmem_persist=1G!5G,1G!5G,1G!64G,4G!7G,1G"
#
# An address that is taken, or is none of free memory, yields nothing; the others are
# honoured.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "two of the sizes are there" has 2
check "the first" extent 5 6
check "and the last" extent 8 9
check "not twice the same" short "1G!0x140000000: 0 GiB instead of 1: not all of that is free memory"
check "not where no memory is" short "1G!0x1000000000: 0 GiB instead of 1: not all of that is free memory"
check "nor where a part of it is none" short "4G!0x1c0000000: 0 GiB instead of 4: not all of that is free memory"
host_works
