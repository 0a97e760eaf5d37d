#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=8G virtual=1 smp=1 timeout=900 append="gmem_persist=2G,zeroed kho=on" disk="guest suites" scratch=512 flavours="release"
#
# Stock QEMU with a Linux guest in memory of the pool, as people run it: disks with cache=none,
# by each of QEMU's ways to do I/O, on a block device, ext4 and xfs; a balloon and free page
# reporting; and a virtio-mem device, for which QEMU discards all of its memory at the start. No
# memory is plugged: a kernel that lets tests read /dev/mem has no driver for it.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh
. /tests/lib/qmp.sh

# monitor COMMAND: to QEMU's monitor; prints the answer
monitor() {
	qmp "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"$1\"}}"
}

# says COMMAND TEXT: wait until the monitor's answer contains that
says() {
	until monitor "$1" | grep -q "$2"; do
		[ -d "/proc/$qemu_pid" ] || return 1
		sleep 0.5
	done
}

# image FILE: for a disk
image() { truncate -s 8M "$1" && sync; }

# discarded PATTERN: QEMU took so much of the guest's first memory away at once
discarded() { grep -q "ram0@.* + 0x$1: madvise: 1 fallocate: 1 ret: 0" /tmp/vm0.trace; }

# unaligned: a QEMU that chooses the addresses of its memory itself. Of two files one behind the
# other, with a page between them, one is at no multiple of 2 MiB.
unaligned() {
	truncate -s 4M "$fs/a"
	truncate -s 4M "$fs/b"
	echo quit | "/qemu/$qemu/qemu-system-x86_64" -M none -nodefaults -display none -monitor stdio \
		-object memory-backend-file,id=a,size=4M,mem-path="$fs/a",share=on \
		-object memory-backend-file,id=b,size=4M,mem-path="$fs/b",share=on
	rm "$fs/a" "$fs/b"
}

# told: the log tells that there are no large leaves
told() { dmesg | grep 'gmem_persist: qemu-.* maps memory at an address that is not aligned to 2 MiB'; }

[ -e /bin/mkfs.xfs ] || skip_all "no suites (scripts/suites)"
guest_setup
find_scratch
mkdir -p /mnt/xfs /mnt/ext4
require "xfs" sh -c "mkfs.xfs -q -f /dev/$scratch && mount -t xfs /dev/$scratch /mnt/xfs"
require "ext4" sh -c "truncate -s 64M /mnt/xfs/ext4.img && mkfs.ext4 -q -F /mnt/xfs/ext4.img &&
	mount -t ext4 -o loop /mnt/xfs/ext4.img /mnt/ext4"
image /mnt/xfs/disk
image /mnt/xfs/disk2
image /mnt/ext4/disk
image /mnt/xfs/device
loop=$(losetup -f)
losetup "$loop" /mnt/xfs/device

# So many MiB the guest does not touch, once it works
spare=24
truncate -s 1G "$fs/vm0"
truncate -s 256M "$fs/plug"
console vm0
"/qemu/$qemu/qemu-system-x86_64" -name vm0 -accel kvm -cpu max \
	-nodefaults -no-user-config -display none -vga none -nic none -smp 1 -L /usr/share/qemu \
	-machine pc,memory-backend=ram0 -m 1G,maxmem=2G,slots=1 \
	-object memory-backend-file,id=ram0,size=1G,mem-path="$fs/vm0",share=on,align=2M \
	-object memory-backend-file,id=ram1,size=256M,mem-path="$fs/plug",share=on,align=2M \
	-device virtio-mem-pci,id=plug0,memdev=ram1,requested-size=0 \
	-device virtio-balloon-pci,free-page-reporting=on \
	-drive file="$loop",if=virtio,format=raw,cache=none,aio=native \
	-drive file=/mnt/ext4/disk,if=virtio,format=raw,cache=none,aio=threads \
	-drive file=/mnt/xfs/disk,if=virtio,format=raw,cache=none,aio=io_uring \
	-drive file=/mnt/xfs/disk2,if=virtio,format=raw,cache=directsync,aio=native \
	-serial file:/tmp/vm0.console -qmp unix:/tmp/vm0.qmp,server=on,wait=off \
	-kernel /guest/bzImage -initrd /guest/initrd \
	-append "$(guest_words 32) spare=$spare" -trace ram_block_discard_range -D /tmp/vm0.trace 2> /tmp/vm0.said &
qemu_pid=$!
require "QEMU starts" says "info status" running
require "the guest works" swept vm0
check "with all of its disks" test "$(last disks)" = 4
check "and is fine" guest_fine vm0

check "QEMU discards what the guest reports as free" discarded '[2-9a-f]00000'

# large: so many MiB of the guest's 1024 are mapped by leaves of 2 MiB or more
large() {
	echo $((2 * $(cat /sys/kernel/debug/kvm/pages_2m) +
		1024 * $(cat /sys/kernel/debug/kvm/pages_1g)))
}

# percent MIB: of these 1024
percent() { echo $(($1 * 100 / 1024)); }

# The guest touches all that it has again in a sweep.
require "the guest takes its memory" reaches had -ge 800
require "all that there is" swept vm0
had=$(last had)
before=$(large)
result had_mib "$had"
result leaves_after_boot "$(percent "$before")"
check "large leaves" test "$(percent "$before")" -ge 95

used=$(cat "$pool/used_bytes")
mem=$(last mem)
monitor "balloon 960" > /dev/null
check "the balloon takes 64 MiB" says "info balloon" "actual=960"
check "page by page" discarded 1000
check "of the guest" reaches mem -lt "$((mem - 60))"
check "which had them" reaches had -le "$((had - 48))"
check "and is fine" guest_fine vm0
check "the host gets nothing of them" is used_bytes "$used"
monitor "balloon 1024" > /dev/null
check "the balloon gives it back" says "info balloon" "actual=1024"
check "to the guest" reaches mem -gt "$((mem - 4))"
check "which takes it" reaches had -ge "$((had - 8))"
require "and goes on" swept vm0
check "and is fine" guest_fine vm0
after=$(large)
result leaves_after_balloon "$(percent "$after")"
# What is free may be elsewhere, and not be mapped.
check "large leaves came back, $after MiB of $before" test "$after" -ge "$((before - spare - 4))"
check "which are nearly all of it" test "$(percent "$after")" -ge 95

check "nothing of virtio-mem's is plugged" says "info memory-devices" " size: 0"
check "none of it is without large leaves" not told
require "a QEMU without align=2M" unaligned
check "has none, and the log says so" told
cat /tmp/vm0.said
check "QEMU has nothing to complain of" sh -c '! grep . /tmp/vm0.said'
monitor quit > /dev/null
wait $qemu_pid
rm "$fs/vm0" "$fs/plug"
check "all memory is free" sh -c "until [ \$(cat $pool/used_bytes) = 0 ]; do :; done"
check "the pool adds up" adds_up
