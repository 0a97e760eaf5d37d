#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=10G timeout=120 flavours="release" append="kho=on kho_scratch=256M,512M,256M gmem_persist=3G@0"
#
# The scratch areas for the next kernel come from what the pool leaves, in the size
# asked for.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "the pool is all there" has 3
check "nothing went wrong with the areas" \
	test -z "$(dmesg | grep -i "kho.*\(fail\|disab\)")"
host_works
