#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=7G timeout=120 append="kho=on gmem_persist=2G@0,zeroed" flavours="release" qemu="-cpu max,phys-bits=46,-pdpe1gb"
#
# A CPU without 1 GiB pages: granules of 1 GiB can be had all the same, and user space
# maps them by smaller leaves. (Not run: the guest; its page table has 1 GiB pages.)
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "the CPU has no 1 GiB pages" test -z "$(grep pdpe1gb /proc/cpuinfo)"
check "ordinary memory is mapped" ram_is_mapped
check "the pool is not" pool_is_not_mapped
check "an object is written and read" vmm create big size=1G granule=1G seed=31 \
	host-fill host-verify
# QEMU lets a leaf that the CPU does not have pass, so look at its size: 2 MiB.
check "by 2 MiB leaves" test "$(figure host-fill_faults)" -ge 500
check "and is there afterwards" vmm reclaim big granule=1G seed=31 host-verify
