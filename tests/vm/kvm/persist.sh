#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=8G timeout=300 append="gmem_persist=3G kho=on kho_scratch=128M,128M,128M gmem_persist.clean=0" flavours="release debug"
#
# The pool as user space sees it, and all that KVM may do with it. The pool is dirty
# at power-on, so that memory is really cleared. There is no kexec here; the small
# scratch areas leave KHO on, for freezing, where KASAN has taken an eighth of memory.
. /tests/lib/test.sh

sysfs=/sys/kernel/mm/gmem_persist
pool=$((3 << 30))

# pool_in_iomem: bytes of the pool in /proc/iomem; none of it may be in System RAM
pool_in_iomem() {
	local range name outer='' bytes=0
	while IFS= read -r line; do
		range=${line%% : *}
		name=${line##* : }
		case $line in
		' '*)	;;
		*)	outer=$name ;;
		esac
		[ "$name" = gmem_persist ] || continue
		[ "$outer" != "System RAM" ] || return 1
		range=${range##* }
		bytes=$((bytes + 0x${range#*-} - 0x${range%-*} + 1))
	done < /proc/iomem
	echo $bytes
}

# extents_in_log: "first-last" of each extent that the kernel said it got
extents_in_log() {
	dmesg | sed -n 's/.*gmem_persist: extent \[mem \(0x[0-9a-f]*\)-\(0x[0-9a-f]*\)\].*, new$/\1-\2/p'
}

# mem_total: of all memory, what the kernel has to give, in bytes
mem_total() {
	local kib
	kib=$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)
	echo $((kib << 10))
}

# same_extents: sysfs, without leading zeros, and log agree
same_extents() {
	[ "$(extents_in_log | sed 's/0x0*/0x/g')" = "$(cat $sysfs/extents)" ]
}

# all_write_back: each extent begins a write-back entry in the list of memory types
all_write_back() {
	local first
	while read -r first; do
		first=${first%-*}
		grep -q "^PAT: \[mem 0x0*${first#0x}-.* write-back$" \
			/sys/kernel/debug/x86/pat_memtype_list || return 1
	done < $sysfs/extents
}

require "there is a pool of 3 GiB" [ "$(cat $sysfs/pool_bytes)" = $pool ]
check "it is in /proc/iomem and not in System RAM" [ "$(pool_in_iomem)" = $pool ]
check "it is not in MemTotal" [ "$(mem_total)" -lt $(((8 << 30) - pool)) ]
check "the log has a line for each extent" same_extents
check "KHO is on" [ "$(cat $sysfs/record_bytes)" -gt 0 ]
check "hibernation is refused" grep -q disabled /sys/power/disk
check "its memory type is write-back" all_write_back
check "all of it is dirty" [ "$(cat $sysfs/dirty_bytes)" = $pool ]

selftest gmem_persist_test
selftest gmem_persist_use_test
selftest gmem_persist_leaf_test
selftest gmem_persist_dirty_test
selftest gmem_persist_life_test
selftest gmem_persist_view_test
selftest gmem_persist_name_test
selftest gmem_persist_resource_test

check "all of it is free again" [ "$(cat $sysfs/used_bytes)" = 0 ]
