#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G virtual=1 smp=1 timeout=900 append="gmem_persist=1G,zeroed kho=on" disk=guest flavours="release"
#
# Live migration by stock QEMU, out of ordinary memory into memory of the pool and out of that again,
# while the guest writes.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh

# start NAME MEMORY WORD...: a QEMU with memory by that backend, on the guest's one console
start() {
	local name=$1 memory=$2
	shift 2
	rm -f /tmp/way
	"/qemu/$qemu/qemu-system-x86_64" -name "$name" -accel kvm -cpu max \
		-nodefaults -no-user-config -display none -vga none -nic none -smp 1 \
		-L /usr/share/qemu -machine pc,memory-backend=ram0 -m 128M \
		-object "$memory,id=ram0,size=128M" \
		-serial file:/tmp/vm0.console -qmp "unix:/tmp/$name.qmp,server=on,wait=off" \
		-kernel /guest/bzImage -initrd /guest/initrd \
		-append "$(guest_words 16)" "$@" 2> "/tmp/$name.said" &
	pid=$!
	echo $pid > "/tmp/$name.pid"
	# It listens to the one before it does to the other.
	until [ -S "/tmp/$name.qmp" ] && { [ $# = 0 ] || [ -S /tmp/way ]; }; do
		[ -d "/proc/$pid" ] || return 1
	done
}

# status NAME COMMAND WORD: wait until the answer to that has it
status() {
	until gmem-qmp "/tmp/$1.qmp" "$2" | grep -q "\"status\": \"$3\""; do
		if gmem-qmp "/tmp/$1.qmp" "$2" | grep '"status": "failed"'; then
			cat /tmp/*.said
			return 1
		fi
		sleep 0.5
	done
}

# refused NAME CAPABILITY REASON: QEMU does not take it, which takes faults that pool memory does not
# have, and says so; the guest goes on
refused() {
	not gmem-qmp "/tmp/$1.qmp" "{\"execute\":\"migrate-set-capabilities\",\"arguments\":{
		\"capabilities\":[{\"capability\":\"$2\",\"state\":true}]}}" > /tmp/refused
	cat /tmp/refused
	grep -q "$3" /tmp/refused && ticks_on vm0 2 && guest_fine vm0
}

# quit NAME: that QEMU has had nothing to complain of, and ends
quit() {
	gmem-qmp "/tmp/$1.qmp" quit > /tmp/quit
	wait "$(cat "/tmp/$1.pid")"
	cat "/tmp/$1.said"
	check "$1 has nothing to complain of" not grep . "/tmp/$1.said"
}

# migrate FROM TO
migrate() {
	local before
	check "the way is fast enough for what the guest writes" gmem-qmp "/tmp/$1.qmp" \
		'{"execute":"migrate-set-parameters","arguments":{"max-bandwidth":1073741824,"downtime-limit":2000}}'
	before=$(tick vm0)
	check "it begins" gmem-qmp "/tmp/$1.qmp" \
		'{"execute":"migrate","arguments":{"uri":"unix:/tmp/way"}}'
	require "it ends" status "$1" query-migrate completed
	require "the guest runs there" status "$2" query-status running
	require "and works" swept vm0
	check "from where it was" test "$(tick vm0)" -gt "$before"
	check "and is fine" guest_fine vm0
	gmem-qmp "/tmp/$1.qmp" query-migrate > /tmp/migrated
	tr ',' '\n' < /tmp/migrated | grep -E 'dirty-sync-count|downtime|"transferred'
	check "the memory was gone through more than once" grep -q '"dirty-sync-count": [2-9]' /tmp/migrated
	quit "$1"
	require "it needs nothing of the old one any more" swept vm0
	check "and is still fine" guest_fine vm0
}

guest_setup
console vm0
ordinary="memory-backend-memfd,share=on"
require "QEMU starts, with ordinary memory" start first "$ordinary"
require "the guest works" swept vm0
truncate -s 128M "$fs/vm0"
require "a QEMU with memory of the pool waits for it" \
	start second "memory-backend-file,mem-path=$fs/vm0,share=on,align=2M" -incoming unix:/tmp/way
check "it refuses postcopy" refused second postcopy-ram \
	"Postcopy is not supported: Host backend files need to be TMPFS or HUGETLBFS only"
migrate first second
check "a snapshot in the background is refused" refused second background-snapshot \
	"Background-snapshot is not compatible with guest memory configuration"
require "one with ordinary memory waits for it" start third "$ordinary" -incoming unix:/tmp/way
migrate second third
rm "$fs/vm0"
quit third
check "all memory is free" sh -c "until [ \$(cat $pool/used_bytes) = 0 ]; do :; done"
check "the pool adds up" adds_up
