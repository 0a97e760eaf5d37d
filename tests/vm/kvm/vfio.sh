#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=7G timeout=180 append="gmem_persist=2G kho=on intel_iommu=on vfio_iommu_type1.allow_unsafe_interrupts=1 iommufd.allow_unsafe_interrupts=1" qemu="-machine q35 -device intel-iommu -device edu"
#
# A device behind an IOMMU gets at ordinary memory by VFIO type1, and not at persistent
# memory, which nobody could take away from it. By iommufd it gets at both.
#
# The next kernel comes while the device writes to a file's memory, and finds a device that writes
# nowhere.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/files.sh
. /tests/lib/iommufd.sh

require "QEMU has an edu device" find_edu
edu=$(find_edu)
require "there is an IOMMU in front of it" [ -e "/sys/bus/pci/devices/$edu/iommu_group" ]

# bus_master: the device may write to memory
bus_master() {
	local command
	command=$(hexdump -s 4 -n 1 -e '1/1 "%d"' "/sys/bus/pci/devices/$edu/config")
	[ $((command & 4)) != 0 ]
}

if [ "$STAGE" = 2 ]; then
	check "the device writes to memory no more" not bus_master
	require "vfio-pci drives it" bind "$edu"
	check "of its file it wrote what it was told, or nothing" gmem-iommufd "$edu" "$fs/mine" streamed
	check "what it had no access to is as it was" file beside ro map verify=9
	file mine rw unlink
	check "its memory is free" is used_bytes $((4 << 20))
	check "somebody else gets zeroes" file other create truncate="$(free_mib)" map zero
	exit
fi
require "vfio-pci drives it" bind "$edu"

check "it copies ordinary memory" gmem-vfio "$edu" dma
check "it does not get a page of the pool, nor 2 MiB" \
	[ "$(gmem-vfio "$edu" pool 0x200000)" = "EOPNOTSUPP
EOPNOTSUPP" ]
check "nor 1 GiB" [ "$(gmem-vfio "$edu" pool 0x40000000)" = "EOPNOTSUPP
EOPNOTSUPP" ]
check "nor a page behind one of ordinary memory, which is let go of" \
	[ "$(gmem-vfio "$edu" mixed)" = EOPNOTSUPP ]
file untouched create truncate=2
before=$(gmemctl token "$fs/untouched")
check "nor a file's" [ "$(gmem-vfio "$edu" file "$fs/untouched")" = EOPNOTSUPP ]
check "which nobody is taken to have written to" [ "$(gmemctl token "$fs/untouched")" = "$before" ]
file untouched rw unlink
check "the log tells what to use instead" sh -c \
	"dmesg | grep -q 'gmem-vfio.*memory without struct page: use iommufd'"
check "it still copies ordinary memory" gmem-vfio "$edu" dma
check "all of the pool is free again" is used_bytes 0

M=$((1 << 20))
# shellcheck disable=SC2034	# of lib/iommufd.sh
dev=$edu
check "the container of iommufd lets it copy persistent memory" gmem-vfio "$edu" compat
check "a file" file a create truncate=4
check "by iommufd it reaches memory of the file" \
	device a attach file=32M:0:4M same=32M:0:8K same=0x2200000:2M:4K
check "also if it comes later" device a file=32M:0:4M attach same=32M:0:4K
check "and by address" device a attach addr=32M:0:4M same=32M:0:8K same=0x23ff000:0x3ff000:4K
check "but not what it was not given, nor what was taken away" \
	device a attach file=32M:1M:4K reach=32M noreach=0x2001000 unmap=32M:4K noreach=32M
check "nor private memory" file_then_fails secret private=4 ENODEV attach file=32M:0:4M

# What it can reach is nobody else's.
require "it reaches memory that has no file and no mapping here any more" \
	device_waits a attach file=32M:0:4M close unlink reach=32M wait=/tmp/go reach=32M
check "which is in use, beside the private memory" is used_bytes $((8 * M))
check "another file gets other memory" file b create truncate=4
check "until it is done" device_goes_on /tmp/go
check "when it is free" is used_bytes $((8 * M))
file b rw unlink
file secret rw unlink

# What it could reach is somebody else's when the operator has discarded it, and only then.
check "a file" file a create truncate=4
check "the rest of the pool is in use" file rest create truncate="$(free_mib)"
at=$(object_at a)
require "it reaches the file, which nobody has open" \
	device_waits a attach file=32M:0:4M close reach=32M wait=/tmp/go reach=32M unmap=32M:4M \
	wait=/tmp/then noreach=32M
check "so nobody can discard it" fails_with busy write discard a
check "it still has it, and lets go" device_goes_on_to 2 /tmp/go
check "then it can be discarded" write discard a
check "another file gets that memory" file b create truncate=4 map fill=9
check "the same" [ "$(object_at b)" = "$at" ]
check "which the device does not reach" device_goes_on /tmp/then
check "nor has it changed" file b rw map verify=9
file b rw unlink
file rest rw unlink

check "a file" file a create truncate=8
check "a memory error: no access to what was mapped with it; the rest stays" \
	device a attach file=32M:0:4M file=64M:4M:4M reach=32M bad=1M \
	noreach=32M noreach=0x2100000 same=64M:4M:4K unmap=32M:4M unmap=64M:4M
check "it cannot be mapped again" device_fails EFAULT a attach file=32M:0:4M
check "what has none can" device a attach file=32M:2M:6M same=32M:2M:4K
file a rw unlink

# Beside other memory at 1 GiB, for which there are tables
check "1 GiB in small granules" file small create truncate=1024
check "is mapped" device small attach page=0x3ff00000 tables file=1G:0:1G tables
result iommu_tables_2m "$(sed -n "s/^tables=//p" /tmp/device | tail -n 1)"
check "by leaves of 2 MiB, or larger" tables_at_most 1
check "at an odd address it takes small leaves" \
	device small attach page=0x3ff00000 tables file=0x40001000:0:64M tables
check "which need tables" not tables_at_most 31
file small rw unlink
check "1 GiB in one granule" vmm create large size=1G granule=1G
check "is mapped" device large attach page=0x3ff00000 tables file=1G:0:1G tables
result iommu_tables_1g "$(sed -n "s/^tables=//p" /tmp/device | tail -n 1)"
check "by one leaf" tables_at_most 0
file large rw unlink
check "all of the pool is free again, but for what is bad" \
	[ "$(awk '$1 == "used" { print $2 }' "$pool/stat")" = 0 ]

require "load kernel 2" load_stage
check "two files" file mine create truncate=4
check "one of which the device has no access to" file beside create truncate=4 map fill=9
require "the device writes to the other" device_waits mine attach file=32M:0:4M stream=32M:4M
check "by itself" bus_master
require "freeze" write frozen 1
enter_stage
fail "kexec"
