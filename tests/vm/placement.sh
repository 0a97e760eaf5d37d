# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# For the tests of where the pool lies: what firmware, log, page tables and resource
# tree say of it. Needs lib.sh and objects.sh.

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

# overlap BASE END BASE END: bytes that both ranges have
overlap() {
	local base=$1 end=$2
	[ "$base" -ge "$3" ] || base=$3
	[ "$end" -le "$4" ] || end=$4
	if [ "$base" -lt "$end" ]; then echo $((end - base)); else echo 0; fi
}

# pool_on_node NODE: bytes of the pool that SRAT puts there
pool_on_node() {
	local sum=0 base end start stop node
	while read -r base end; do
		while read -r start stop node; do
			[ "$node" != "$1" ] || sum=$((sum + $(overlap "$base" "$end" "$start" "$stop")))
		done < /tmp/srat
	done < /tmp/pool
	echo $sum
}

# extents_in_log WHAT: how many of them the kernel reported with that word at the end
extents_in_log() { dmesg | grep -c "gmem_persist: extent .*, $1"; }

# log_agrees_with_srat: each extent that the kernel reported lies, all of it, on the node
# that the line says, and together they are the pool
log_agrees_with_srat() {
	local sum=0 first last said base end start stop node on
	dmesg | sed -n 's/.*gmem_persist: extent \[mem \(0x[0-9a-f]*\)-\(0x[0-9a-f]*\)\].* node \([0-9]*\),.*/\1 \2 \3/p' > /tmp/said
	while read -r first last said; do
		base=$(number "$first")
		end=$(($(number "$last") + 1))
		on=0
		while read -r start stop node; do
			[ "$node" != "$said" ] || on=$((on + $(overlap "$base" "$end" "$start" "$stop")))
		done < /tmp/srat
		[ $on = $((end - base)) ] || return 1
		sum=$((sum + on))
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

# mapped BASE END: bytes of that physical memory in the direct mapping
mapped() {
	local sum=0 start stop
	while read -r start stop; do
		sum=$((sum + $(overlap "$1" "$2" "$start" "$stop")))
	done < /tmp/mapped
	echo $sum
}

# ram_is_mapped: all of System RAM is, so the page tables were read right
ram_is_mapped() {
	local range
	sed -n 's/^\([0-9a-f]*\)-\([0-9a-f]*\) : System RAM$/\1 \2/p' /proc/iomem > /tmp/ram
	[ -s /tmp/ram ] || return 1
	while read -r first last; do
		set -- "$(number "$first")" "$(($(number "$last") + 1))"
		# Rounded to pages, as the kernel does
		set -- $((($1 + 4095) & ~4095)) $(($2 & ~4095))
		[ "$(mapped "$1" "$2")" = $(($2 - $1)) ] || return 1
	done < /tmp/ram
}

pool_is_not_mapped() {
	local base end
	[ -s /tmp/mapped ] && [ -s /tmp/pool ] || return 1
	while read -r base end; do
		[ "$(mapped "$base" "$end")" = 0 ] || return 1
	done < /tmp/pool
}

pool_is_no_ram() {
	local first last base end
	sed -n 's/^\([0-9a-f]*\)-\([0-9a-f]*\) : System RAM$/\1 \2/p' /proc/iomem > /tmp/ram
	[ -s /tmp/ram ] || return 1
	while read -r base end; do
		while read -r first last; do
			[ "$(overlap "$base" "$end" "$(number "$first")" "$(($(number "$last") + 1))")" = 0 ] ||
				return 1
		done < /tmp/ram
	done < /tmp/pool
}

[ ! -e "$pool" ] || pool_ranges > /tmp/pool
srat > /tmp/srat
direct_mapping > /tmp/mapped
