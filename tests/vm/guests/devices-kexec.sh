#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G virtual=1 smp=1 timeout=900 append="gmem_persist=1G,zeroed kho=on" disk="guest guest-versions" scratch=64 flavours="release"
#
# What a Linux guest has beside its first memory, by stock QEMU and over a kexec of the host:
# memory that is plugged while it runs (pc-dimm), a network by vhost-net, which ends in the host,
# and disks of qemu-storage-daemon's by vhost-user-blk, with the page cache and without. And the
# further options that memory has.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh
. /tests/lib/qmp.sh

M=$((1 << 20))

# storage: two disks, one behind the other on $scratch
storage() {
	rm -f /tmp/cached /tmp/direct
	/qemu/11/qemu-storage-daemon \
		--blockdev "driver=host_device,node-name=all0,filename=/dev/$scratch,locking=off" \
		--blockdev "driver=host_device,node-name=all1,filename=/dev/$scratch,locking=off,cache.direct=on" \
		--blockdev driver=raw,node-name=cached,file=all0,offset=0,size=$((16 * M)) \
		--blockdev driver=raw,node-name=direct,file=all1,offset=$((16 * M)),size=$((16 * M)),cache.direct=on \
		--export type=vhost-user-blk,id=cached,node-name=cached,writable=on,addr.type=unix,addr.path=/tmp/cached \
		--export type=vhost-user-blk,id=direct,node-name=direct,writable=on,addr.type=unix,addr.path=/tmp/direct &
	daemon=$!
	until [ -S /tmp/cached ] && [ -S /tmp/direct ]; do
		[ -d /proc/$daemon ] || return 1
	done
}

# vhost: the kernel moves the frames, in threads of QEMU's
vhost() {
	local pid
	pid=$(cat "$GMEM_RUN/vm0.pid")
	cat "/proc/$pid"/task/*/comm | grep -x "vhost-$pid"
}

# start: QEMU, and whoever answers at the other end of the network
start() {
	gmem-vm start vm0 && {
		gmem-echo tap0 2> /tmp/echo &
	}
}

guest_setup
[ -e /qemu/11/qemu-storage-daemon ] || skip_all "no qemu-storage-daemon (scripts/guest-versions)"
find_scratch
require "qemu-storage-daemon starts" storage
qemu_guest vm0 128M "16 memhp_default_state=online"
cat >> "$GMEM_CONF/vm0.conf" <<EOF
QEMU_ARGS="\$QEMU_ARGS -qmp unix:/tmp/vm0.qmp,server=on,wait=off
	-m 128M,slots=1,maxmem=512M -overcommit mem-lock=on
	-chardev socket,id=cached,path=/tmp/cached -device vhost-user-blk-pci,chardev=cached
	-chardev socket,id=direct,path=/tmp/direct -device vhost-user-blk-pci,chardev=direct
	-netdev tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=on
	-device virtio-net-pci,netdev=net0,romfile="
EOF
console vm0

case $STAGE in
1)
	require "QEMU starts" start
	require "the guest works" swept vm0
	check "with both disks" test "$(last disks)" = 2
	check "vhost-net, too" vhost
	check "frames come back" reaches net -gt 100
	before=$(last mem)
	check "memory may be in a folder" qmp '{"execute":"object-add","arguments":{
		"qom-type":"memory-backend-file","id":"folder","size":4194304,"share":true,
		"mem-path":"/gmem"}}' '{"execute":"object-del","arguments":{"id":"folder"}}'
	require "there is a file for more memory" qmp '{"execute":"object-add","arguments":{
		"qom-type":"memory-backend-file","id":"more","size":134217728,"share":true,
		"align":2097152,"prealloc":true,"merge":true,"dump":false,"policy":"bind","host-nodes":[0],
		"mem-path":"/gmem/vm0.more"}}'
	require "it is plugged" qmp '{"execute":"device_add","arguments":{
		"driver":"pc-dimm","id":"dimm","memdev":"more"}}'
	check "the guest has it" reaches mem -gt $((before + 100))
	check "and uses it" reaches more -gt 200
	check "it is fine" guest_fine vm0
	check "memory is dumped" qmp '{"execute":"dump-guest-memory","arguments":{"paging":false,
		"protocol":"file:/tmp/dump","begin":0,"length":16777216}}'
	check "as much as it is" test "$(stat -c %s /tmp/dump)" -gt $((16 * M))
	require "load kernel 2" load_stage
	require "it is saved" gmem-vm save vm0
	note_tick vm0
	remember net "$(last net)"
	check "and was fine until then" guest_fine vm0
	check "no memory of it was copied" test "$(stat -c %s "$fs/vm0.state")" -lt $M
	kill "$daemon"
	wait "$daemon"
	sync
	require "freeze" write frozen 1
	enter_stage
	fail "kexec"
	;;
2)
	check "without the memory that was plugged it does not go on" refused gmem-vm start vm0
	check "for that reason" grep -q "its memory was 2 files, and is 1 now" /tmp/said
	# Without prealloc=, which writes: what was saved would be stale.
	cat >> "$GMEM_CONF/vm0.conf" <<-EOF
		QEMU_ARGS="\$QEMU_ARGS -device pc-dimm,id=dimm,memdev=more
			-object memory-backend-file,id=more,size=128M,share=on,align=2M,merge=on,policy=bind,host-nodes=0,mem-path=$fs/vm0.more"
	EOF
	require "with it, it does" start
	require "and works" swept vm0
	check "from where it was" goes_on vm0
	check "with both disks" test "$(last disks)" = 2
	check "and all of its memory" reaches more -gt 400
	check "frames come back" reaches net -gt $(($(recall net) + 100))
	check "it is fine" guest_fine vm0
	kill_qemu vm0
	kill "$daemon"
	wait "$daemon"
	rm "$fs"/vm0* "$fs/facts"
	check "the pool adds up" adds_up
	;;
esac
