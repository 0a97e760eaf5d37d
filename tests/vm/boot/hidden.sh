#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=7680M timeout=120 append="kho=on gmem_persist=2G" flavours="release debug"
#
# Nobody else can have the pool: /dev/mem, /proc/kcore, hibernation, memory hot-add.
# The kernels of these tests have no STRICT_DEVMEM, which would refuse more.
. /tests/lib/test.sh
. /tests/lib/pool.sh

# ram_above ADDRESS: the first address of System RAM behind that
ram_above() {
	local range
	for range in $(ram_ranges); do
		[ $((0x${range%-*})) -lt "$1" ] || echo $((0x${range%-*}))
	done | head -n 1
}

# in_firmware_map RANGE: what kexec-tools reads calls it what it is
in_firmware_map() {
	local entry
	for entry in /sys/firmware/memmap/*; do
		if [ $(($(cat "$entry/start"))) = $((${1%-*})) ] &&
		   [ $(($(cat "$entry/end"))) = $((${1#*-})) ]; then
			[ "$(cat "$entry/type")" = "Persistent Guest Memory" ]
			return
		fi
	done
	return 1
}

# in_iomem RANGE: whose it is, within what the memory map says
in_iomem() {
	local lines
	lines=$(printf '%08x-%08x' $((${1%-*})) $((${1#*-})))
	grep -A 1 "^$lines : Persistent Guest Memory$" /proc/iomem |
		grep -q "^  $lines : gmem_persist$"
}

# hot_add ADDRESS: returns what the kernel answers
hot_add() { echo "$1" > /sys/devices/system/memory/probe; }

# no_hot_add ADDRESS: the kernel must say that there is something else
no_hot_add() { ! hot_add "$1" 2>/tmp/error && grep -q "File exists" /tmp/error; }

# hibernate: returns what the kernel answers
hibernate() { echo disk > /sys/power/state; }

check "vm0: full of a pattern" vmm create vm0 size=66M seed=51 fill
# shellcheck disable=SC2046	# words
set -- $(ranges extents)
first=$((${1%-*}))
# shellcheck disable=SC2046	# words
set -- $(object_at vm0)
inside=$((${1%-*}))

# What the refusals are compared with: the same on other memory. read() reaches no
# further than the last RAM, so there must be some behind the pool.
ram=$(ram_above "$first")
require "there is RAM behind the pool" test -n "$ram"
require "/dev/mem reads it" look read "$ram" 4096
require "/dev/mem maps it" look mmap "$ram" 8192
check "/dev/mem maps the last page in front of the pool" look mmap $((first - 4096)) 4096

for size in 1 4096 $((2 << 20)); do
	check "no read of $size bytes" look_fails EPERM read "$inside" $size
	check "no write of $size bytes" look_fails EPERM write "$inside" $size
done
check "no read into the pool" look_fails EPERM read $((first - 4096)) 8192
check "no map of a page of an object" look_fails EPERM mmap "$inside" 4096
check "no map of a page of free memory" look_fails EPERM mmap "$first" 4096
check "no map that ends in the pool" look_fails EPERM mmap $((first - 4096)) 8192
check "no map around an object" look_fails EPERM mmap $((inside - (1 << 30))) $((3 << 30))
check "no comparison either" look_fails EPERM verify 51 "$@"

# shellcheck disable=SC2046	# words
check "/proc/kcore has nothing of the pool" look elf /proc/kcore $(ranges extents)
check "but it has other memory" not look elf /proc/kcore "$(printf '0x%x-0x%x' "$ram" $((ram + 1)))"
check "nor can it be read where the object would be" look kcore "$@"

for range in $(ranges extents); do
	check "$range stands in /sys/firmware/memmap" in_firmware_map "$range"
	check "$range stands in /proc/iomem" in_iomem "$range"
done
# shellcheck disable=SC2046	# words
check "the pool is not System RAM" off_ram $(ranges extents)
check "memory can be added where there is nothing" hot_add $((64 << 30))
check "no memory can be added over it" no_hot_add "$first"
check "nor over an object" no_hot_add "$inside"
# shellcheck disable=SC2046	# words
check "it still is not System RAM" off_ram $(ranges extents)
check "no hibernation" not hibernate
check "vm0 has its contents" vmm reclaim vm0 seed=51 verify host-verify
