#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=7G timeout=200 append="kho=on gmem_persist.clean=0 gmem_persist=2G trace_event=gmem_persist" flavours="release debug"
#
# The tracepoints: each thing that happens to an object leaves its event, with the
# figures that the VMM or sysfs tell as well.
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
. /tests/lib/files.sh

M=$((1 << 20))
tracing=/sys/kernel/tracing
mount -t tracefs tracefs $tracing
# Any time but none; that it is not longer than the kernel runs is looked at below.
some='[1-9][0-9]*'

# traced EVENT FIELDS: exactly one such event since the last call of forget
traced() {
	local n
	n=$(sed -n "s/.*: $1: //p" $tracing/trace | grep -cx "$2")
	[ "$n" = 1 ] && return
	grep -v '^#' $tracing/trace | sed 's/^/# /'
	return 1
}

# cleared BYTES: by all events together
cleared() {
	sed -n 's/.*: gmem_clean: .* size=\([0-9]*\) .* result=0$/\1/p' $tracing/trace |
		awk -v want="$1" '{ n += $1 } END { exit n != want }'
}

# only N: so many events, and no more
only() { [ "$(grep -vc '^#' $tracing/trace)" = "$1" ]; }
forget() { echo > $tracing/trace; }
creations() { [ "$(grep -c ': gmem_create: ' $tracing/trace)" = "$1" ]; }

# plausible_times: no event took longer than the kernel has been running
plausible_times() {
	local up
	read -r up _ < /proc/uptime
	sed -n 's/.* ns=\([0-9]*\).*/\1/p' $tracing/trace |
		awk -v up="$up" '$1 > up * 1e9 { bad = 1 } END { exit bad }'
}

case $STAGE in
1)
	for event in create claim free write clean freeze thaw restore; do
		check "gmem_$event is there" [ -d $tracing/events/gmem_persist/gmem_$event ]
	done
	check "create" vmm create a size=64M
	check "its event" traced gmem_create \
		"name=a size=$((64 * M)) granule=$((2 * M)) ns=$some result=0"
	check "all of it was cleared" cleared $((64 * M))
	forget
	check "a refused creation" vmm_fails ENOSPC create b size=4G granule=1G
	check "its event" traced gmem_create \
		"name=b size=$((4096 * M)) granule=$((1024 * M)) ns=$some result=-28"
	check "no other event" only 1
	forget
	check "claim" vmm reclaim a
	check "its event" traced gmem_claim \
		"name=a size=$((64 * M)) granule=$((2 * M)) ns=$some result=0"
	check "a refused claim" vmm_fails EINVAL reclaim a size=2M
	check "its event" traced gmem_claim \
		"name=a size=$((2 * M)) granule=0 ns=$some result=-22"
	check "no other event" only 2
	forget
	check "writing" vmm reclaim a seed=1 fill
	check "its event, once" traced gmem_write "name=a token=$(figure own_token)"
	check "no other event" only 2
	forget
	check "discard" write discard a
	check "its event" traced gmem_free \
		"name=a size=$((64 * M)) granule=$((2 * M))"
	check "no other event" only 1

	forget
	check "a file, as QEMU makes it" file file create truncate=4
	check "its event" traced gmem_create \
		"name=file size=$((4 * M)) granule=$((2 * M)) ns=$some result=0"
	check "that has memory already" file_fails EPERM file rw truncate=6
	check "leaves no event" creations 1
	check "what no memory can be" file_fails EINVAL file-2 create truncate=4097B
	check "neither" creations 1
	rm $fs/file $fs/file-2

	check "memory without a name" vmm create '' size=6M
	check "is freed" traced gmem_free "name= size=$((6 * M)) granule=$((2 * M))"

	check "an object stays" vmm create keep size=32M
	check "claimed twice" vmm reclaim keep
	require "load the next kernel" load_stage
	forget
	check "freeze" write frozen 1
	check "its event" traced gmem_freeze "holder=operator ns=$some result=0"
	check "another freeze" refused frozen 1
	check "its event" traced gmem_freeze "holder=operator ns=$some result=-114"
	check "thaw" write frozen 0
	check "its event" traced gmem_thaw "holder=operator ns=$some result=0"
	check "no other event" only 3
	check "plausible times" plausible_times
	enter_stage
	fail "kexec"
	;;
2)
	check "the object came over, with its event" traced gmem_restore \
		"name=keep size=$((32 * M)) granule=$((2 * M)) ns=$some result=0"
	check "no other event" only 1
	check "plausible times" plausible_times
	check "discard" write discard keep
	;;
esac
