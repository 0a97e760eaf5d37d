#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=7G icount=0 smp=1 timeout=300 append="kho=on gmem_persist=2G,zeroed brd.rd_nr=1 brd.rd_size=32768 hugepagesz=1G hugepages=1 intel_iommu=on iommufd.allow_unsafe_interrupts=1" qemu="-machine q35 -device intel-iommu -device edu" flavours="bench"
# vm words: words=1
# vm bytes:
# vm ordinary: words=1
#
# make bench-io: what direct I/O costs in instructions, on a disk that is memory and so needs none
# of its own time; and what it costs to let a device have 1 GiB.
#
# words: with memory of the pool and with ordinary memory; and devices.
# bytes: direct I/O once more, on a CPU on which Linux copies to user space by "rep movsb".
# ordinary: with ordinary memory, of a process that has no other; also on a pristine kernel.
. /tests/lib/test.sh

# figures PREFIX: what gmem-dio has printed
figures() {
	while IFS='=' read -r key value; do
		result "$1$key" "$value"
	done < /tmp/cost
}

if [ "$CASE" = ordinary ]; then
	check "a process without such memory" sh -c "gmem-dio /dev/ram0 - cost > /tmp/cost"
	figures ""
	exit
fi

. /tests/lib/pool.sh
fs=/gmem
. /tests/lib/files.sh
. /tests/lib/iommufd.sh

truncate -s 16M $fs/mem
check "a process that has memory of the pool" sh -c "gmem-dio /dev/ram0 $fs/mem cost > /tmp/cost"
figures ""
[ "$CASE" = words ] || exit 0

require "a device behind an IOMMU" find_edu
dev=$(find_edu)
require "vfio-pci drives it" bind "$dev"
check "1 GiB in one granule" vmm create large size=1G granule=1G
check "a device has it, and memory of other kinds" device large attach cost
cp /tmp/device /tmp/cost
figures ""
