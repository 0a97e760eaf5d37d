#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G timeout=420 append="gmem_persist=1G,zeroed kho=on" disk=guest flavours="release debug"
#
# Debian's QEMU with Linux guests in persistent memory, by the operator's script: three
# host kernels, with one guest in the first two and another that joins. Before that, in the
# first, what does not need a kexec: QEMU killed, memory attached again, stale pairs.
. /tests/lib.sh
. /tests/objects.sh
. /tests/guest.sh

# exits STATUS COMMAND...: with that status
exits() {
	local want=$1 status=0
	shift
	"$@" || status=$?
	[ $status = "$want" ]
}

# status_is NAME WORDS
status_is() { [ "$(gmem-vm status "$1" 2>/dev/null)" = "$2" ]; }

# kill_qemu NAME: with no chance to do anything, and wait for it
kill_qemu() {
	local pid
	pid=$(cat "$GMEM_RUN/$1.pid")
	kill -9 "$pid"
	while [ -d "/proc/$pid" ]; do :; done
}

guest_setup
qemu_guest vm0 256M 32
qemu_guest vm1 128M 8
console vm0
console vm1

case $STAGE in
1)
	check "a name without settings" exits 2 gmem-vm start vm7
	check "nothing yet" status_is vm0 none
	require "QEMU starts vm0" gmem-vm start vm0
	check "its memory is an object" is objects/vm0/size $((256 << 20))
	check "it runs" status_is vm0 running
	check "once" exits 1 gmem-vm start vm0
	require "the guest works" swept vm0
	require "vm0 is saved" gmem-vm save vm0
	cat /tmp/vm0.log
	;;
esac
check "vm0 is fine" guest_fine vm0
