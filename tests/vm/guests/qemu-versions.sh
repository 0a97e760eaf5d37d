#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G virtual=1 smp=1 timeout=400 append="gmem_persist=1G,zeroed kho=on" disk="guest guest-versions" flavours="release"
#
# A host's new kernel comes with a new QEMU, or with an older one when it is taken back. Two
# Linux guests over three kernels, each started by another QEMU, the distribution's or 11:
#
#            started by      kernel 2       kernel 3
#   old      distribution    distribution   11
#   new      11              11             distribution
#
# QEMU promises that for a machine type that both know, and a CPU of a name. "old" is a plain
# q35, which gmem-vm keeps at the version that it had; "new" names that version. "newest" is a
# plain q35 of 11: the distribution's QEMU does not know it, and must refuse it with a reason
# and without harm.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh

# guest NAME: 64 MiB, of which it uses 8
guest() {
	qemu_guest "$1" 64M 8
	echo "CPU=qemu64" >> "$GMEM_CONF/$1.conf"
	console "$1"
}

save() { gmem-vm save "$1" && note_tick "$1"; }

# runs_by_11 NAME: it is that QEMU that runs it
runs_by_11() {
	tr '\000' '\n' < "/proc/$(cat "$GMEM_RUN/$1.pid")/cmdline" | grep -q "^/qemu/11/"
}

# saved KEY NAME: what its file says of itself
saved() { head -c 4096 "$fs/$2.state" | tr -d '\000' | sed -n "s/^$1 //p"; }

status_is() { [ "$(gmem-vm status "$1" 2>/dev/null)" = "$2" ]; }

# refused WORD NAME REASON: by that QEMU, and nothing has changed
refused() {
	with_qemu "$1" gmem-vm start "$2" > /tmp/refusal 2>&1
	[ $? = 1 ] || return
	cat /tmp/refusal
	grep -q "$3" /tmp/refusal && status_is "$2" saved
}

# machine_is NAME MACHINE: write that into what was saved
machine_is() {
	old_note "$fs/$1.state" | sed "s/^machine .*/machine $2/" |
		dd bs=4096 count=1 conv=sync 2>/dev/null > /tmp/header
	dd if=/tmp/header of="$fs/$1.state" bs=4096 conv=notrunc 2>/dev/null
}

guest_setup
version=$(/qemu/distribution/qemu-system-x86_64 --version | sed -n 's/.* version \([0-9.]*\) .*/\1/p')
newer=$(/qemu/11/qemu-system-x86_64 --version | sed -n 's/.* version \([0-9.]*\) .*/\1/p')
[ "${version%%.*}" -lt 11 ] || skip_all "the distribution has QEMU $version"
# q35 of the distribution's QEMU, with its version
machine=$(/qemu/distribution/qemu-system-x86_64 -machine help |
	sed -n 's/^q35 .*alias of \(.*\)).*/\1/p')
guest old
guest new
guest newest
echo "MACHINE=$machine" >> "$GMEM_CONF/new.conf"

case $STAGE in
1)
	require "QEMU $version starts a q35, \"old\"" with_qemu distribution gmem-vm start old
	require "QEMU $newer starts a $machine, \"new\"" with_qemu 11 gmem-vm start new
	require "and a q35, \"newest\"" with_qemu 11 gmem-vm start newest
	require "which is saved" gmem-vm save newest
	require "old works" ticks_on old 17
	require "new works" ticks_on new 17
	require "load kernel 2" load_stage
	require "old is saved" save old
	require "new is saved" save new
	check "old, as a $machine" test "$(saved machine old)" = "$machine"
	check "by QEMU $version" test "$(saved qemu old)" = "$version"
	check "new, as a $machine" test "$(saved machine new)" = "$machine"
	check "by QEMU $newer" test "$(saved qemu new)" = "$newer"
	require "freeze" write frozen 1
	enter_stage
	fail "kexec"
	;;
2)
	require "QEMU $version resumes old" with_qemu distribution gmem-vm start old
	require "QEMU $newer resumes new" with_qemu 11 gmem-vm start new
	check "QEMU $version refuses newest" refused distribution newest \
		"pc-q35-.* saved by QEMU $newer"
	require "QEMU $newer resumes it" with_qemu 11 gmem-vm start newest
	require "newest works" ticks_on newest
	kill_qemu newest
	require "old works" swept old
	require "new works" swept new
	check "old goes on" goes_on old
	check "new goes on" goes_on new
	check "old is fine" guest_fine old
	check "new is fine" guest_fine new
	require "load kernel 3" load_stage
	require "old is saved" save old
	require "new is saved" save new
	require "freeze" write frozen 1
	enter_stage
	fail "kexec"
	;;
3)
	machine_is old ""
	check "as any q35, old is refused by QEMU $newer" refused 11 old \
		"Machine type received is '$machine'"
	machine_is old "$machine"
	require "as what it is, QEMU $newer resumes it" with_qemu 11 gmem-vm start old
	check "that is the one" runs_by_11 old
	require "QEMU $version resumes new" with_qemu distribution gmem-vm start new
	check "that is not" not runs_by_11 new
	require "old works" swept old
	require "new works" swept new
	check "old goes on" goes_on old
	check "new goes on" goes_on new
	check "old is fine" guest_fine old
	check "new is fine" guest_fine new
	kill_qemu old
	kill_qemu new
	check "the pool adds up" adds_up
	;;
esac
