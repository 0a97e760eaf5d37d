#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=7G timeout=120 append="gmem_persist=2G kho=on kho_scratch=128M,128M,128M intel_iommu=on vfio_iommu_type1.allow_unsafe_interrupts=1 iommufd.allow_unsafe_interrupts=1" qemu="-machine q35 -device intel-iommu -device edu"
#
# A device behind an IOMMU gets at ordinary memory by VFIO, and not at persistent
# memory, which nobody could take away from it.
. /tests/lib/test.sh

# find_edu: the address of QEMU's edu device
find_edu() {
	local device
	for device in /sys/bus/pci/devices/*; do
		if [ "$(cat "$device/vendor" "$device/device")" = "0x1234
0x11e8" ]; then
			basename "$device"
			return 0
		fi
	done
	return 1
}

bind() {
	echo vfio-pci > "/sys/bus/pci/devices/$1/driver_override"
	echo "$1" > /sys/bus/pci/drivers_probe
	[ -e "/sys/bus/pci/drivers/vfio-pci/$1" ]
}

require "QEMU has an edu device" find_edu
edu=$(find_edu)
require "there is an IOMMU in front of it" [ -e "/sys/bus/pci/devices/$edu/iommu_group" ]
require "vfio-pci drives it" bind "$edu"

check "it copies ordinary memory" gmem-vfio "$edu" dma
check "it does not get a page of the pool, nor 2 MiB" \
	[ "$(gmem-vfio "$edu" pool 0x200000)" = "EOPNOTSUPP
EOPNOTSUPP" ]
check "nor 1 GiB" [ "$(gmem-vfio "$edu" pool 0x40000000)" = "EOPNOTSUPP
EOPNOTSUPP" ]
check "nor a page behind one of ordinary memory, which is let go of" \
	[ "$(gmem-vfio "$edu" mixed)" = EOPNOTSUPP ]
check "nor one by iommufd, which takes ordinary memory" \
	[ "$(gmem-vfio "$edu" iommufd)" = "mapped
EFAULT" ]
check "it still copies ordinary memory" gmem-vfio "$edu" dma
check "all of the pool is free again" [ "$(cat /sys/kernel/mm/gmem_persist/used_bytes)" = 0 ]
