#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=7G virtual=1 smp=1 timeout=900 append="gmem_persist=1G,zeroed kho=on" disk="guest debian-kernel" flavours="release"
#
# virtio-mem gives a guest memory of the pool, and takes it back, by stock QEMU. The guest has
# Debian's kernel: one that lets tests read /dev/mem has no driver for that.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh
. /tests/lib/qmp.sh

M=$((1 << 20))

# resize MIB: it shall have so much of it, and does
resize() {
	qmp "{\"execute\":\"qom-set\",\"arguments\":{\"path\":\"/machine/peripheral/plug0\",
		\"property\":\"requested-size\",\"value\":$(($1 * M))}}"
	until qmp '{"execute":"query-memory-devices"}' |
		grep -q "\"size\": $(($1 * M))[,}]"; do
		[ -d "/proc/$qemu_pid" ] || return 1
		ticks_on vm0
	done
}

# starts: QEMU does, or says why not
starts() {
	until qmp query-status > /dev/null 2>&1; do
		[ -d "/proc/$qemu_pid" ] || { cat /tmp/vm0.said; return 1; }
		sleep 0.2
	done
}

# is_used: something is in the file
is_used() { not gmem-file "$fs/plug" ro mapro zero > /dev/null; }

[ -d /boot/debian/modules ] || skip_all "no kernel of Debian's (scripts/debian-kernel)"
guest_setup
(cd /boot/debian && find modules | cpio -o -H newc 2> /dev/null) | cat /guest/initrd - > /tmp/initrd
truncate -s 256M "$fs/vm0"
truncate -s 256M "$fs/plug"
console vm0
"/qemu/$qemu/qemu-system-x86_64" -name vm0 -accel kvm -cpu max \
	-nodefaults -no-user-config -display none -vga none -nic none -smp 1 -L /usr/share/qemu \
	-machine q35,memory-backend=ram0 -m 256M,maxmem=1G,slots=1 \
	-object memory-backend-file,id=ram0,size=256M,mem-path="$fs/vm0",share=on,align=2M \
	-object memory-backend-file,id=ram1,size=256M,mem-path="$fs/plug",share=on,align=2M \
	-device virtio-mem-pci,id=plug0,memdev=ram1,requested-size=0 \
	-serial file:/tmp/vm0.console -qmp unix:/tmp/vm0.qmp,server=on,wait=off \
	-kernel /boot/debian/vmlinuz -initrd /tmp/initrd \
	-append "$(guest_words 16) memhp_default_state=online_movable init_on_alloc=0 hold=2" 2> /tmp/vm0.said &
qemu_pid=$!
require "QEMU starts" starts
require "the guest works" swept vm0
check "nothing of it is used" not is_used
before=$(last mem)
used=$(cat "$pool/used_bytes")
require "256 MiB are plugged" resize 256
check "the guest has them" reaches mem -gt $((before + 200))
check "and uses them" reaches more -gt 300
check "it is fine" guest_fine vm0
check "that is where they are" is_used
check "the pool has given nothing for that" is used_bytes "$used"
# The host takes what is in it: with init_on_alloc=1 the guest would have cleared it before.
require "they are unplugged" resize 0
check "the guest has them no more" reaches mem -le "$before"
check "nothing of them is left" not is_used
check "but the memory, which the pool does not get back" is used_bytes "$used"
require "128 MiB are plugged" resize 128
check "the guest has them" reaches mem -gt $((before + 100))
require "it goes on" swept vm0
check "and is fine" guest_fine vm0
cat /tmp/vm0.said
check "QEMU has nothing to complain of" sh -c '! grep . /tmp/vm0.said'
qmp quit > /dev/null
wait $qemu_pid
rm "$fs/vm0" "$fs/plug"
check "all memory is free" sh -c "until [ \$(cat $pool/used_bytes) = 0 ]; do :; done"
check "the pool adds up" adds_up
