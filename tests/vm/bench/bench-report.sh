#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: icount=0 smp=1 words=1 timeout=1800 append="nokaslr kho=on liveupdate=on gmem_persist.clean=0 trace_event=gmem_persist,initcall trace_clock=x86-tsc" flavours="bench"
# vm ours: big=1070G append="gmem_persist=1060G,zeroed"
# vm peers: mem=9G append="gmem_persist=2G,zeroed hugepagesz=1G hugepages=1"
#
# make report: what it costs to take a guest's memory to the next kernel. The clock of this VM counts
# instructions, a nanosecond each, of which a copy needs one or two for 8 bytes.
#
# ours: one guest per kexec, larger each time, in a pool of 1 TiB.
# peers: memfds in a session of the live update orchestrator, one kexec with pages of 4 KiB and one
# with 2 MiB; and copies to a file and back: a file of the pool, as memory is the fastest disk.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/files.sh

memfd_mib="256 512 1024"
trace=/sys/kernel/tracing/trace
[ -e $trace ] || mount -t tracefs tracefs /sys/kernel/tracing

# peers PREFIX WORDS...: run gmem-peers; its figures are results
peers() {
	local status=0 prefix=$1 key value
	shift
	gmem-peers "$@" > /tmp/figures || status=$?
	while IFS='=' read -r key value; do
		result "$prefix$key" "$value"
	done < /tmp/figures
	return $status
}

# leave WITH: for the loaded kernel
leave() {
	drain
	gmem-peers now > "$fs/left"
	require "freeze" peers "$1_" freeze
	enter_stage
	fail "kexec"
	exit 1
}

# arrived WITH: by a kexec; how long that took until the last initcall, and our initcalls of that.
# What comes then waits for disks, which count no instructions.
arrived() {
	result "boot_ns_$1" $(($(awk '/initcall_finish:/ { at = $4 + 0 } END { printf "%.0f", at }' $trace) -
		$(cat "$fs/left")))
	result "start_ns_$1" "$(awk '/initcall_start: .*gmem_/ { at = $4 + 0 }
		/initcall_finish: .*gmem_/ { ns += $4 - at } END { printf "%.0f", ns }' $trace)"
}

# ours_leave GIB: with a guest of that size
ours_leave() {
	require "a guest of $1 GiB" \
		vmm create "vm$1" "size=${1}G" granule=1G seed=42 per-gib=1 fill verify
	require "load the next kernel" load_stage
	leave "ours_$1"
}

# ours_arrived GIB: it is there
ours_arrived() {
	arrived "ours_$1"
	result "ours_$1_restore_ns" "$(sed -n 's/.*: gmem_restore: name=vm.* ns=\([0-9]*\) .*/\1/p' $trace)"
	require "reclaim" peers "ours_$1_" reclaim "vm$1"
	check "every byte" vmm reclaim "vm$1" seed=42 per-gib=1 verify
}

# luo_leave LEAF: with memfds of such leaves
luo_leave() {
	require "load the next kernel" load_stage
	# shellcheck disable=SC2086	# words
	gmem-peers preserve "$1" "$1" $memfd_mib > /tmp/preserved &
	until grep -q holding /tmp/preserved; do
		kill -0 $! || { fail "preserve"; exit 1; }
	done
	sed -n "s/=/ /; s/^preserve/luo_$1_preserve/p" /tmp/preserved | while read -r key value; do
		result "$key" "$value"
	done
	leave "luo_$1"
}

# luo_arrived LEAF
luo_arrived() {
	arrived "luo_$1"
	# shellcheck disable=SC2086	# words
	require "memfds of $1, every byte" peers "luo_$1_" retrieve "$1" "$1" $memfd_mib
}

# copied KIND MIB...: saved to a file and read back
copied() {
	local kind=$1 mib
	shift
	for mib; do
		truncate -s "${mib}M" "$fs/state"
		require "save $mib MiB, $kind" peers "${kind}_" save "$kind" "$fs/state" "$mib"
		require "read it back, every byte" peers "${kind}_" load "$kind" "$fs/state" "$mib"
		rm "$fs/state"
	done
}

case $CASE-$STAGE in
ours-1)	require "load the next kernel" load_stage; leave ours_0 ;;
ours-2)	arrived ours_0; ours_leave 1 ;;
ours-3)	ours_arrived 1; ours_leave 32 ;;
ours-4)	ours_arrived 32; ours_leave 1024 ;;
ours-5)	ours_arrived 1024 ;;
peers-1) require "load the next kernel" load_stage; leave luo_0 ;;
peers-2) arrived luo_0; luo_leave 4k ;;
peers-3)
	luo_arrived 4k
	echo always > /sys/kernel/mm/transparent_hugepage/shmem_enabled
	luo_leave 2m
	;;
peers-4)
	luo_arrived 2m
	copied anon 256 512 1024
	copied hugetlb 1024
	copied gmem 256 512 1024
	;;
esac
