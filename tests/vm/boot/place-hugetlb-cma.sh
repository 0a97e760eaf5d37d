#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=120 flavours="release" append="kho=on gmem_persist=3G hugetlb_cma=1G kho_scratch=256M,512M,256M"
#
# hugetlb_cma= reserves from what the pool leaves. KHO's scratch areas would be made
# four times as large, and not fit, if their sizes were not given.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "the pool is all there" has 3
check "so is the area" sh -c "dmesg | grep -q 'hugetlb_cma: reserved 1024 MiB'"
host_works
