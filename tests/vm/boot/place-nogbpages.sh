#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=10G timeout=120 flavours="release debug" append="kho=on kho_scratch=128M,128M,128M nogbpages gmem_persist=2G@0,1G"
#
# Without pages of 1 GiB in the direct mapping, its tables are taken away as well.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "the pool is all there" has 3
check "the direct mapping has no pages of 1 GiB" test -z "$(grep DirectMap1G /proc/meminfo)"
host_works
