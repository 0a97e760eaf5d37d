#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G virtual=1 smp=1 timeout=600 append="gmem_persist=1G,zeroed kho=on" disk=guest flavours="release"
#
# Live migration by stock QEMU, out of memory of the pool and into other memory of it, while
# the guest writes.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh

# start NAME WORD...: a QEMU with memory of that name, on the guest's one console
start() {
	local name=$1
	shift
	truncate -s 128M "$fs/$name"
	"/qemu/$qemu/qemu-system-x86_64" -name "$name" -accel kvm -cpu max \
		-nodefaults -no-user-config -display none -vga none -nic none -smp 1 \
		-L /usr/share/qemu -machine pc,memory-backend=ram0 -m 128M \
		-object memory-backend-file,id=ram0,size=128M,mem-path="$fs/$name",share=on,align=2M \
		-serial file:/tmp/vm0.console -qmp "unix:/tmp/$name.qmp,server=on,wait=off" \
		-kernel /guest/bzImage -initrd /guest/initrd \
		-append "$(guest_words 16)" "$@" 2> "/tmp/$name.said" &
	eval "pid_$name=$!"
	# It listens to the one before it does to the other.
	until [ -S "/tmp/$name.qmp" ] && { [ "$name" = here ] || [ -S /tmp/way ]; }; do
		[ -d "/proc/$!" ] || return 1
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

# refused NAME CAPABILITY: QEMU does not take it, which takes faults that pool memory does not have
refused() {
	not gmem-qmp "/tmp/$1.qmp" "{\"execute\":\"migrate-set-capabilities\",\"arguments\":{
		\"capabilities\":[{\"capability\":\"$2\",\"state\":true}]}}"
}

guest_setup
console vm0
require "QEMU starts" start here
require "the guest works" swept vm0
check "a snapshot in the background is refused" refused here background-snapshot
require "another QEMU waits for it" start there -incoming unix:/tmp/way
check "it refuses postcopy" refused there postcopy-ram
check "the way is fast enough for what the guest writes" gmem-qmp /tmp/here.qmp \
	'{"execute":"migrate-set-parameters","arguments":{"max-bandwidth":1073741824,"downtime-limit":2000}}'
before=$(tick vm0)
check "it begins" gmem-qmp /tmp/here.qmp \
	'{"execute":"migrate","arguments":{"uri":"unix:/tmp/way"}}'
require "it ends" status here query-migrate completed
require "the guest runs there" status there query-status running
require "and works" swept vm0
check "from where it was" test "$(tick vm0)" -gt "$before"
check "and is fine" guest_fine vm0
gmem-qmp /tmp/here.qmp query-migrate | tr ',' '\n' | grep -E 'dirty-sync-count|downtime|"transferred'
check "the memory was gone through more than once" sh -c "gmem-qmp /tmp/here.qmp query-migrate |
	grep -q '\"dirty-sync-count\": [2-9]'"

gmem-qmp /tmp/here.qmp quit > /tmp/quit
# shellcheck disable=SC2154
wait "$pid_here"
rm "$fs/here"
require "it needs nothing of the old one any more" swept vm0
check "and is still fine" guest_fine vm0
cat /tmp/here.said /tmp/there.said
check "QEMU has nothing to complain of" sh -c '! grep . /tmp/here.said /tmp/there.said'
gmem-qmp /tmp/there.qmp quit > /tmp/quit
# shellcheck disable=SC2154
wait "$pid_there"
rm "$fs/there"
check "all memory is free" sh -c "until [ \$(cat $pool/used_bytes) = 0 ]; do :; done"
check "the pool adds up" adds_up
