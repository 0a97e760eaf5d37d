#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=7G virtual=1 smp=1 timeout=900 append="gmem_persist=1G,zeroed kho=on" disk="guest suites debian-kernel" scratch=512 flavours="release"
#
# A guest of stock QEMU in memory of the pool has disks of all kinds: virtio-blk and virtio-scsi,
# each with each cache=, by each of QEMU's ways to do I/O, on a block device, ext4 and xfs. It
# writes to all of them, and compares what comes back. The guest has Debian's kernel, whose
# drivers are modules.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh
. /tests/lib/qmp.sh

M=$((1 << 20))
SIZE=$((4 * M))

# disk WHERE MODEL CACHE AIO: QEMU's words for one more disk, its own part of what is at WHERE
disks=0
disk() {
	local driver=file direct=on write=on
	[ ! -b "$1" ] || driver=host_device
	[ "$3" != writeback ] || direct=off
	[ "$3" != directsync ] || write=off
	echo "-blockdev driver=$driver,node-name=at$disks,filename=$1,locking=off,aio=$4,cache.direct=$direct"
	echo "-blockdev driver=raw,node-name=disk$disks,file=at$disks,offset=$((disks * SIZE)),size=$SIZE"
	echo "-device $2,drive=disk$disks,write-cache=$write"
	disks=$((disks + 1))
}

# all_disks: QEMU refuses aio=native with the page cache
all_disks() {
	local where cache aio
	for where in "$loop" /mnt/ext4/disks /mnt/xfs/disks; do
		for cache in none directsync writeback; do
			for aio in threads native io_uring; do
				[ $cache-$aio != writeback-native ] || continue
				disk "$where" virtio-blk-pci $cache $aio
				disk "$where" scsi-hd,bus=scsi.0 $cache $aio
			done
		done
	done
	echo "$disks" > /tmp/disks
}

[ -e /bin/mkfs.xfs ] || skip_all "no suites (scripts/suites)"
[ -d /boot/debian/modules ] || skip_all "no kernel of Debian's (scripts/debian-kernel)"
guest_setup
find_scratch
mkdir -p /mnt/xfs /mnt/ext4
require "xfs" sh -c "mkfs.xfs -q -f /dev/$scratch && mount -t xfs /dev/$scratch /mnt/xfs"
require "ext4" sh -c "truncate -s 256M /mnt/xfs/ext4.img && mkfs.ext4 -q -F /mnt/xfs/ext4.img &&
	mount -t ext4 -o loop /mnt/xfs/ext4.img /mnt/ext4"
truncate -s 192M /mnt/xfs/disks /mnt/ext4/disks /mnt/xfs/device
loop=$(losetup -f)
losetup "$loop" /mnt/xfs/device
(cd /boot/debian && find modules | cpio -o -H newc 2> /dev/null) | cat /guest/initrd - > /tmp/initrd

truncate -s 256M "$fs/vm0"
console vm0
words=$(all_disks)
disks=$(cat /tmp/disks)
# shellcheck disable=SC2086	# words
"/qemu/$qemu/qemu-system-x86_64" -name vm0 -accel kvm -cpu max \
	-nodefaults -no-user-config -display none -vga none -nic none -smp 1 -L /usr/share/qemu \
	-machine pc,memory-backend=ram0 -m 256M \
	-object memory-backend-file,id=ram0,size=256M,mem-path="$fs/vm0",share=on,align=2M \
	-device virtio-scsi-pci,id=scsi $words \
	-serial file:/tmp/vm0.console -qmp unix:/tmp/vm0.qmp,server=on,wait=off \
	-kernel /boot/debian/vmlinuz -initrd /tmp/initrd \
	-append "$(guest_words 16)" 2> /tmp/vm0.said &
qemu_pid=$!

# goes_well: QEMU runs, and the guest has found nothing wrong
goes_well() {
	[ -d "/proc/$qemu_pid" ] || { cat /tmp/vm0.said; return 1; }
	! grep -q ' tick ' /tmp/vm0.log || guest_fine vm0
}

# been_through N: the guest wrote all 64 blocks of N disks, one at each tick, and compared most of them
been_through() {
	until [ "$(last disks)" = "$1" ]; do
		goes_well && sleep 0.2 || return 1
	done
	local until=$(($(tick vm0) + 110))
	until [ "$(tick vm0)" -gt $until ]; do
		goes_well && sleep 0.2 || return 1
	done
}
require "the guest writes and compares $disks disks, and all is right" been_through "$disks"
cat /tmp/vm0.said
check "QEMU has nothing to complain of" sh -c '! grep . /tmp/vm0.said'
qmp '{"execute":"quit"}' > /dev/null
wait $qemu_pid
rm "$fs/vm0"
check "the pool adds up" adds_up
