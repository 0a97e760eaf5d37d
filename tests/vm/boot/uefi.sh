#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=300 append="kho=on gmem_persist=2G" firmware=uefi flavours="release"
#
# A host with UEFI firmware: the first kernel comes by the EFI stub, and the second one
# is told to take RAM from the EFI memory map, too, which knows nothing of a pool.
. /tests/lib/test.sh
. /tests/lib/pool.sh

M=$((1 << 20))

require "UEFI booted this" test -d /sys/firmware/efi/runtime-map
require "there is a pool" is pool_bytes $((2048 * M))
# shellcheck disable=SC2046	# words
check "it is not System RAM" off_ram $(ranges extents)

case $STAGE in
1)
	check "small: 2 MiB granules" vmm create small size=66M seed=41 fill
	check "large: 1 GiB granules" vmm create large size=1G granule=1G per-gib=4096 seed=42 fill
	next_stage add_efi_memmap
	;;
2)
	check "of generation 1" is generation 1
	check "nothing is quarantined" is quarantined_bytes 0
	check "small has its contents" vmm reclaim small seed=41 verify host-verify
	check "large has its contents" vmm reclaim large seed=42 per-gib=4096 verify
	check "memory that was free is zero" vmm create new size=128M allzero
	check "the pool adds up" adds_up
	;;
esac
