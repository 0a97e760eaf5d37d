#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G virtual=1 smp=1 timeout=900 append="gmem_persist=1G,zeroed kho=on intel_iommu=on iommufd.allow_unsafe_interrupts=1" disk="guest" scratch=64 flavours="release"
# vm: qemu="-machine q35 -device intel-iommu -device edu -drive if=none,id=nvme,format=raw,file.driver=null-co,file.size=256M,file.read-zeroes=on,snapshot=on -device nvme,drive=nvme,serial=nvme"
# vm iommufd:
# vm iommufd-11: append="gmem.qemu=11" disk="guest guest-versions"
# vm group:
#
# Two devices of the host belong to a Linux guest in memory of the pool, by stock QEMU, while the
# guest runs: an NVMe disk, by which all of its working set goes and comes back, and an edu. They are
# unplugged, the guest is saved and goes on under the next kernel, and they are plugged again.
# A virtio disk with cache=none stays. What DMA does not reach is the guest's kernel and its own
# memory, of which it chooses nothing: the working set is what they leave.
#
# iommufd:     -object iommufd, which the distribution's QEMU tells addresses
# iommufd-11:  the same with a newer QEMU, which tells it the file
# group:       a VFIO group and container; the latter is iommufd's
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh
. /tests/lib/qmp.sh
. /tests/lib/iommufd.sh

[ -e "/qemu/$qemu" ] || skip_all "no QEMU $qemu (scripts/guest-versions)"

# plug ID ADDRESS: give the guest that device of the host's
plug() {
	local more=",\"iommufd\":\"iommufd-$1\""
	[ "$CASE" != group ] || more=
	qmp "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"vfio-pci\",\"id\":\"$1\",
		\"host\":\"$2\",\"bus\":\"for-$1\"$more}}"
}

# plugged: QEMU's names of devices that came later
plugged() {
	qmp '{"execute":"qom-list","arguments":{"path":"/machine/peripheral"}}' |
		grep -o '"child<vfio-pci>"' | wc -l
}

# unplug ID: take it away, and wait until the guest has let go of it
unplug() {
	local before
	before=$(plugged)
	qmp "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"$1\"}}" || return
	until [ "$(plugged)" -lt "$before" ]; do
		[ -d "/proc/$(cat "$GMEM_RUN/vm0.pid")" ] || return 1
		sleep 0.2
	done
}

# plug_both: and the guest uses them
plug_both() {
	require "the NVMe disk is plugged" plug nvme "$nvme"
	require "and edu" plug edu "$edu"
	check "all of the working set comes back from the disk" reaches nvme -gt $((2 * set + 2))
	check "edu copies pages from all over it" reaches edu -ge 16
	check "the guest is fine" guest_fine vm0
}

# All that the guest's kernel leaves, in MiB
set=160
! grep -qw panic_on_warn=1 /proc/cmdline || set=4

guest_setup
find_scratch
require "QEMU has an edu device" find_edu
require "and an NVMe disk" find_nvme
edu=$(find_edu) nvme=$(find_nvme)
require "there is an IOMMU in front of them" \
	[ -e "/sys/bus/pci/devices/$edu/iommu_group" -a -e "/sys/bus/pci/devices/$nvme/iommu_group" ]
require "vfio-pci drives edu" bind "$edu"
require "and the disk, in place of the host's driver" bind "$nvme"
[ "$CASE" != group ] || ln -sf /dev/iommu /dev/vfio/vfio

qemu_guest vm0 256M $set
cat >> "$GMEM_CONF/vm0.conf" <<EOF
QEMU_ARGS="\$QEMU_ARGS -qmp unix:/tmp/vm0.qmp,server=on,wait=off
	-device pcie-root-port,id=for-nvme,chassis=1 -device pcie-root-port,id=for-edu,chassis=2
	-drive file=/dev/$scratch,if=virtio,format=raw,cache=none,aio=native"
EOF
# Each device has one of its own, see INSTALL.md.
[ "$CASE" = group ] || cat >> "$GMEM_CONF/vm0.conf" <<EOF
QEMU_ARGS="\$QEMU_ARGS -object iommufd,id=iommufd-nvme -object iommufd,id=iommufd-edu"
EOF
console vm0

case $STAGE in
1)
	require "QEMU starts" gmem-vm start vm0
	require "the guest works" swept vm0
	check "with its virtio disk" test "$(last disks)" = 1
	plug_both
	require "load kernel 2" load_stage
	check "it is not saved with devices of the host's" refused gmem-vm save vm0
	check "for a reason" grep -q "devices of the host's cannot be saved: unplug them" /tmp/said
	check "with the disk's name" grep -q "/nvme ($nvme)" /tmp/said
	check "and edu's" grep -q "/edu ($edu)" /tmp/said
	check "nor could it be" refused gmem-vm check vm0
	check "for the same reason" grep -q "unplug them" /tmp/said
	check "and goes on" ticks_on vm0 17
	require "the disk is unplugged" unplug nvme
	require "and edu" unplug edu
	check "the guest has seen that" reaches nvme = 0
	check "of both" reaches edu = 0
	require "it is saved" gmem-vm save vm0
	note_tick vm0
	check "and was fine until then" guest_fine vm0
	require "freeze" write frozen 1
	enter_stage
	fail "kexec"
	;;
2)
	require "it goes on" gmem-vm start vm0
	require "and works" swept vm0
	check "from where it was" goes_on vm0
	check "with its virtio disk" test "$(last disks)" = 1
	check "and is fine" guest_fine vm0
	# What it wrote to the disk under kernel 1 comes first.
	plug_both
	require "the disk is unplugged" unplug nvme
	require "and edu" unplug edu
	require "the guest goes on" swept vm0
	check "and is fine" guest_fine vm0
	kill_qemu vm0
	rm "$fs"/vm0*
	check "the pool adds up" adds_up
	;;
esac
