# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# For the tests of where the pool lies: what firmware, log, page tables and resource
# tree say of it. Needs test.sh and pool.sh.

gib=$((1 << 30))

# number HEX: a hexadecimal number without 0x as the shell takes it
number() { echo $((0x${1#0x})); }

# pool_ranges: "base end" of each extent in bytes, the end exclusive
pool_ranges() {
	local range
	while read -r range; do
		echo "$(number "${range%-*}") $(($(number "${range#*-}") + 1))"
	done < "$pool/extents"
}

# srat: "base end node" of each range that firmware gives to a node
srat() {
	dmesg | sed -n 's/.*SRAT: Node \([0-9]*\) PXM [0-9]* \[mem \(0x[0-9a-f]*\)-\(0x[0-9a-f]*\)\].*/\2 \3 \1/p' |
	while read -r first last node; do
		echo "$(number "$first") $(($(number "$last") + 1)) $node"
	done
}

# add_overlap BASE END BASE END: add the bytes that both ranges have to $sum
add_overlap() {
	local base=$1 end=$2
	[ "$base" -ge "$3" ] || base=$3
	[ "$end" -le "$4" ] || end=$4
	[ "$base" -ge "$end" ] || sum=$((sum + end - base))
}

# pool_on_node NODE: bytes of the pool that SRAT puts there
pool_on_node() {
	local sum=0 base end start stop node
	while read -r base end; do
		while read -r start stop node; do
			[ "$node" != "$1" ] || add_overlap "$base" "$end" "$start" "$stop"
		done < /tmp/srat
	done < /tmp/pool
	echo $sum
}

# extents_in_log WHAT: how many of them the kernel reported with that word at the end
extents_in_log() { dmesg | grep -c "gmem_persist: extent .*, $1"; }

# log_agrees_with_srat: each extent that the kernel reported lies, all of it, on the node
# that the line says, and together they are the pool
log_agrees_with_srat() {
	local sum=0 all=0 first last said base end start stop node
	dmesg | sed -n 's/.*gmem_persist: extent \[mem \(0x[0-9a-f]*\)-\(0x[0-9a-f]*\)\].* node \([0-9]*\),.*/\1 \2 \3/p' > /tmp/said
	while read -r first last said; do
		base=$(number "$first")
		end=$(($(number "$last") + 1))
		while read -r start stop node; do
			[ "$node" != "$said" ] || add_overlap "$base" "$end" "$start" "$stop"
		done < /tmp/srat
		all=$((all + end - base))
		[ $sum = $all ] || return 1
	done < /tmp/said
	is pool_bytes $sum
}

# direct_mapping: "base end" of physical memory that the kernel has mapped at its place
# in the direct mapping, from its page tables
direct_mapping() {
	local offset='' range
	# The first line is where the mapping starts, and memory begins at 0.
	sed -n '/^---\[ Low Kernel Mapping/,/^---\[ [^L]/p' /sys/kernel/debug/page_tables/kernel |
	grep '^0x' | while read -r range rest; do
		[ -n "$offset" ] || offset=$(number "${range%-*}")
		case " $rest " in
		*" RW "* | *" ro "*)
			echo "$(($(number "${range%-*}") - offset)) $(($(number "${range#*-}") - offset))"
			;;
		esac
	done
}

# ram: "base end" of what the kernel has as its memory, in whole pages
ram() {
	local range
	sed -n 's/^\([0-9a-f]*-[0-9a-f]*\) : System RAM$/\1/p' /proc/iomem |
	while read -r range; do
		echo "$((($(number "${range%-*}") + 4095) & ~4095))" \
			"$((($(number "${range#*-}") + 1) & ~4095))"
	done
}

# common FILE FILE: bytes that ranges of the one and of the other have in common
common() {
	local sum=0 base end start stop
	while read -r base end; do
		while read -r start stop; do
			add_overlap "$base" "$end" "$start" "$stop"
		done < "$2"
	done < "$1"
	echo $sum
}

# total FILE: bytes in all its ranges
total() {
	local sum=0 base end
	while read -r base end; do
		sum=$((sum + end - base))
	done < "$1"
	echo $sum
}

# ram_is_mapped: all of it is, so the page tables were read right
ram_is_mapped() { [ -s /tmp/ram ] && [ "$(common /tmp/ram /tmp/mapped)" = "$(total /tmp/ram)" ]; }

pool_is_not_mapped() { [ -s /tmp/pool ] && [ "$(common /tmp/pool /tmp/mapped)" = 0 ]; }

pool_is_no_ram() { [ -s /tmp/pool ] && [ "$(common /tmp/pool /tmp/ram)" = 0 ]; }

: > /tmp/pool
[ ! -e "$pool" ] || pool_ranges > /tmp/pool
srat > /tmp/srat
ram > /tmp/ram
direct_mapping > /tmp/mapped

# has GIB: so large is the pool
has() { is pool_bytes $(($1 * gib)); }

# extent BASE END: the pool has an extent from there to there, in GiB
extent() {
	grep -qx "$(printf '%#x-%#x' $(($1 * gib)) $(($2 * gib - 1)))" "$pool/extents"
}

# short WHAT: the kernel said that of a size which it could not take in full
short() { logged "gmem_persist=$1"; }

# none_short: it took all sizes in full
none_short() { ! logged 'gmem_persist=.* GiB instead of '; }

kexec_loads() { load_stage && kexec -u; }

# host_works: what every test of a placement ends with. The pool is where nobody else
# is, guests can have it, it can be handed over, and the kernel has memory to work with.
host_works() {
	check "ordinary memory is mapped" ram_is_mapped
	check "the pool is not" pool_is_not_mapped
	check "the pool is no System RAM" pool_is_no_ram
	check "a guest uses some of it" vmm create x size=64M seed=7 fill verify
	check "and gives it back" write discard x
	check "the kernel has memory" dd if=/dev/zero of=/dev/shm/fill bs=1M count=256 2>/dev/null
	check "and has it back" rm /dev/shm/fill
	check "the next kernel can be loaded" kexec_loads
	require "and again" load_stage
	check "the pool can be handed over" write frozen 1
}
