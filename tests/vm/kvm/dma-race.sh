#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G timeout=300 append="gmem_persist=1G,zeroed gmem_persist.clean=0 kho=on intel_iommu=on iommufd.allow_unsafe_interrupts=1" qemu="-machine q35 -device intel-iommu -device edu"
#
# A device writes to memory all the time while that is taken away, in one way or another, in
# random order and at random moments; a transfer of QEMU's edu takes 100 ms. All other memory
# of the pool is in use, so that whatever is freed is somebody else's at once.
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
. /tests/lib/files.sh
. /tests/lib/iommufd.sh

# What happens before the process is killed that has the memory mapped for the device: nothing
# else, its name goes, a discard is tried, the memory is punched, or a page goes bad; or the process
# drops its own leaves, or mapping and file, so that the device alone has it. Each so often
kinds="kill unlink discard punch bad dontneed munmap"
each=4

# rounds SEED: lines of a kind, two delays, and a number, at random
rounds() {
	awk -v seed="$1" -v kinds="$kinds" -v each="$each" 'BEGIN {
		srand(seed)
		n = split(kinds, kind, " ")
		for (i = 0; i < n * each; i++)
			printf "%d %s %.3f %.3f %d\n", rand() * 1000000, kind[i % n + 1],
				rand() * 0.4, rand() * 0.4, rand() * 1000000
	}' | sort -n | cut -d ' ' -f 2-
}

# taken_away KIND NUMBER: from the device that writes there
taken_away() {
	case $1 in
	kill)	;;
	unlink)	rm $fs/a && file_fails ENOSPC b create truncate=2 && rm $fs/b ;;
	discard) fails_with busy write discard a ;;
	punch)	file a rw map punch ;;
	bad)	bad_page "$2" ;;
	dontneed) by_itself USR1 ;;
	munmap)	by_itself USR2 && fails_with busy write discard a ;;
	esac
}

# by_itself SIGNAL: what the process does with its own mapping, which it says
by_itself() {
	kill "-$1" "$waiting"
	until grep -q 'done' /tmp/waits; do
		kill -0 "$waiting" 2>/dev/null || return 1
	done
}

# bad_page NUMBER: one of the object's, in its first piece
bad_page() {
	local range first last
	range=$(object a ranges | head -n 1)
	first=$((${range%-*})) last=$((${range#*-}))
	echo $((first + $1 % ((last + 1 - first) / 4096) * 4096)) \
		> /sys/devices/system/memory/hard_offline_page
}

# dma_round KIND DELAY DELAY NUMBER: who gets the memory then finds in it what is his
dma_round() {
	local size how=file status=0
	size=$(free_mib)
	[ $(($4 % 2)) = 0 ] || how=addr
	file a create truncate="$size" && chmod +t $fs/a &&
		device_waits a attach "$how=32M:0:${size}M" "stream=32M:${size}M" || return 1
	sleep "$2"
	taken_away "$1" "$4" || status=1
	sleep "$3"
	kill -9 "$waiting"
	wait "$waiting"
	[ $status = 0 ] || return 1
	case $1 in
	unlink)	;;
	bad)	rm $fs/a || return 1 ;;
	*)	device a streamed && write discard a || return 1 ;;
	esac
	file b create truncate="$(free_mib)" map fill="$4" || return 1
	# What was on its way has arrived then, if it can.
	device b idle || return 1
	file b rw map verify="$4" unlink
}

require "QEMU has an edu device" find_edu
# shellcheck disable=SC2034	# of lib/iommufd.sh
dev=$(find_edu)
require "vfio-pci drives it" bind "$dev"
require "most of the pool is in use" \
	file rest create truncate=$(($(free_mib) - 32)) map fill=1
require "and other memory" gmem-file /tmp/other create truncate=32 map fill=2

seed=$(od -A n -N 4 -t u4 /dev/urandom)
echo "# seed $seed"
rounds "$seed" > /tmp/rounds
nr=0
while read -r kind first second number <&3; do
	nr=$((nr + 1))
	check "$nr: $kind after $first s, $second s to the end" \
		dma_round "$kind" "$first" "$second" "$number"
	failed || continue
	cat /tmp/vmm /tmp/device
	break
done 3< /tmp/rounds

check "what the rest of the pool has is as it was" file rest rw map verify=1 unlink
check "and so is other memory" gmem-file /tmp/other rw map verify=2
check "all of the pool is free again, but for what is bad" \
	[ "$(awk '$1 == "used" { print $2 }' "$pool/stat")" = 0 ]
check "which is 2 MiB for each error at most" \
	[ "$(cat "$pool/poisoned_bytes")" -le $((each << 21)) ]
check "the pool adds up" adds_up
