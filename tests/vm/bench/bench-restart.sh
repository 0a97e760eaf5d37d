#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: big=16G icount=0 smp=1 timeout=3600 append="gmem_persist=10G,zeroed kho=on trace_event=gmem_persist" disk=guest flavours="bench"
#
# make bench-restart: how long a Linux guest is away when its host gets another kernel,
# by the size of its memory; and a guest whose memory is written to a file and read back,
# as without gmem_persist. One guest per kexec. The clock of this VM counts
# instructions, a nanosecond each.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh

mount -t tracefs tracefs /sys/kernel/tracing
# In MiB. All have the same working set.
set_mib=64
peer_mib=1024

# sum_us EVENT: of all such events since boot
sum_us() {
	sed -n "s/.*: gmem_$1: .* ns=\\([0-9]*\\) .*/\\1/p" /sys/kernel/tracing/trace |
		awk '{ n += $1 } END { printf "%.0f", n / 1000 }'
}

# peer_qemu ARGUMENTS...: a guest with ordinary memory, saved to a file with all of it. The
# file is in the pool, too: memory is the fastest disk.
peer_qemu() {
	[ -p /tmp/mon.in ] || mkfifo /tmp/mon.in /tmp/mon.out
	cat /tmp/mon.out > /tmp/mon.said &
	. "$GMEM_CONF/peer.conf"
	eval "set -- $(echo "$QEMU_ARGS" | tr '\n' ' ') $*"
	qemu-system-x86_64 -accel kvm -cpu host -M q35 -m ${peer_mib}M -monitor pipe:/tmp/mon "$@" &
	peer_pid=$!
}

# save_guest KIND
save_guest() {
	case $1 in
	peer)
		echo "migrate file:$fs/peer.state" > /tmp/mon.in
		echo quit > /tmp/mon.in
		wait "$peer_pid" ;;
	*)	vm_save vm0 ;;
	esac
}

# begin KIND MIB: start a guest, save it, and leave
begin() {
	new_guest "$1" "$2M" $set_mib
	case $1 in
	peer)	peer_qemu ;;
	*)	require "start" vm_start vm0 ;;
	esac
	require "$1 works, $2 MiB" swept "$1"
	require "load the next kernel" load_stage
	remember save_begin "$(gmem-stamp)"
	require "$1 is saved" save_guest "$1"
	remember save_end "$(gmem-stamp)"
	note_tick "$1"
	result "state_bytes_$1_$2" "$(stat -c %s "$fs/$1.state")"
	[ "$1" = peer ] || result "ram_bytes_copied_$1_$2" "$(ram_bytes_copied)"
	result working_set_bytes $((set_mib << 20))
	remember freeze "$(gmem-stamp)"
	require "freeze" write frozen 1
	result "freeze_us_$1_$2" "$(sum_us freeze)"
	enter_stage
	fail kexec
	exit 1
}

# finish KIND MIB: it goes on
finish() {
	local begin=$1 kind=$2 mib=$3 first

	new_guest "$kind" "${mib}M" $set_mib
	case $kind in
	peer)	peer_qemu -incoming "file:$fs/peer.state" ;;
	*)	require "start" vm_start vm0 ;;
	esac
	require "$kind works" ticks_on "$kind"
	check "$kind goes on" goes_on "$kind"
	first=$(first_tick "$kind")
	result "blackout_ms_${kind}_$mib" "$(blackout "$kind")"
	result "save_ms_${kind}_$mib" $(($(recall save_end) - $(recall save_begin)))
	result "shutdown_ms_${kind}_$mib" $(($(recall freeze) - $(recall save_end)))
	result "kexec_ms_${kind}_$mib" $((up - $(recall freeze)))
	result "boot_ms_${kind}_$mib" $((begin - up))
	result "restore_us_${kind}_$mib" "$(sum_us restore)"
	result "reclaim_us_${kind}_$mib" "$(sum_us claim)"
	result "resume_ms_${kind}_$mib" $((${first#* } - begin))
	require "$kind works" swept "$kind"
	check "$kind is fine" guest_fine "$kind"
	case $kind in
	peer)	kill "$peer_pid" && wait "$peer_pid" ;;
	*)	vm_kill vm0 ;;
	esac
	rm -f "$fs/$kind" "$fs/$kind.state"
	: > "/tmp/$kind.log"
}

up=$(($(gmem-stamp) - $(awk '{ printf "%d", $1 * 1000 }' /proc/uptime)))
guest_setup
begin=$(gmem-stamp)
console vm0
console peer
case $STAGE in
1)	begin vm0 256 ;;
2)	finish "$begin" vm0 256; begin vm0 1024 ;;
3)	finish "$begin" vm0 1024; begin vm0 8192 ;;
4)	finish "$begin" vm0 8192; begin peer $peer_mib ;;
5)	finish "$begin" peer $peer_mib ;;
esac
