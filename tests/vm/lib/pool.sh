# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What the tests and the demo share when they look at the pool.

pool=/sys/kernel/mm/gmem_persist

# is FILE VALUE: what a file below the pool's folder says
is() { [ "$(cat "$pool/$1")" = "$2" ]; }

# quotas_add_up: what each directory says is used below it is the sum of what is there
quotas_add_up() { grep -q -x "wrong 0" /sys/kernel/debug/gmem_persist/quota; }

# adds_up: every byte of the pool is in exactly one of the five states, and what is used is what
# all objects have together. Of one moment: a worker may be cleaning. So do quotas.
adds_up() {
	quotas_add_up && awk '{ v[$1] = $2 } END { exit v["used"] != v["bytes"] - v["pending"] ||
		v["pool"] != v["clean"] + v["dirty"] + v["used"] + v["quarantined"] + v["poisoned"] }' \
		"$pool/stat" /sys/kernel/debug/gmem_persist/quota
}

# free_is BYTES: so much is free, clean or dirty
free_is() { [ "$(free_bytes)" = "$1" ]; }

# free_bytes: how much is
free_bytes() {
	awk '$1 == "clean" || $1 == "dirty" { n += $2 } END { printf "%.0f", n }' "$pool/stat"
}

# free_mib: the same in MiB
free_mib() { echo $(($(free_bytes) >> 20)); }

# write FILE TEXT: returns what the kernel answers: 0, or 1 and the message
write() { echo "$2" > "$pool/$1"; }

# refused FILE TEXT: the kernel must not take that
refused() { ! write "$1" "$2" 2>/dev/null; }

# object NAME FIELD: what an object is, by its path in gmemfs, which need not be mounted;
# gmemctl(8) has the fields
object() { gmemctl show --field "$2" "$1"; }

# object_is NAME FIELD VALUE
object_is() { [ "$(object "$1" "$2")" = "$3" ]; }

# object_at NAME: its physical ranges, in one line
object_at() { object "$1" ranges | tr '\n' ' '; }

# slot_of NAME: the number of the slot that has, or seems to have, that name
slot_of() {
	gmemctl decode | awk -v name="$1" '
		$1 == "object" { found = $2 == name || $2 ~ "/" name "$" }
		found && $1 == "slot" { sub(",", "", $2); print $2; exit }'
}

# no_object NAME: there is none of that name; no_objects: there are none at all
no_object() {
	! gmemctl show "$1" > /dev/null 2> /tmp/no-object &&
		grep -q -x "gmemctl: $1: no such object" /tmp/no-object
}
no_objects() { [ "$(gmemctl list --json)" = "[]" ]; }

# vmm WORDS...: run the VMM; its figures stay in /tmp/vmm
vmm() { gmem-payload "$@" > /tmp/vmm; }

# vmm_fails ERRNO WORDS...: the VMM must be refused the object, with that errno
vmm_fails() {
	local errno=$1 status=0
	shift
	vmm "$@" || status=$?
	[ $status = 3 ] && [ "$(figure errno)" = "$errno" ]
}

# figure KEY: one of them
figure() { sed -n "s/^$1=//p" /tmp/vmm; }

# logged TEXT: did the kernel say so
logged() { dmesg | grep -q "gmem_persist: .*$1"; }

# not COMMAND...: the opposite, without what the command says
not() { ! "$@" 2>/dev/null; }

# look WORDS...: look at physical memory; its figures stay in /tmp/look
look() { gmem-look "$@" > /tmp/look; }

# look_fails ERRNO WORDS...: it must be refused, with that errno
look_fails() {
	local errno=$1 status=0
	shift
	look "$@" || status=$?
	[ $status = 3 ] && [ "$(sed -n 's/^errno=//p' /tmp/look)" = "$errno" ]
}

# ranges FILE: what such a file below the pool's folder lists, in one line
ranges() { tr '\n' ' ' < "$pool/$1"; }

# word NAME: the value of that word on the kernel's command line, commas as spaces
word() {
	tr ' ' '\n' < /proc/cmdline | sed -n "s/^$1=//p" | tail -n 1 | tr ',' ' '
}

# ram_ranges: System RAM as this kernel sees it, first-last in hexadecimal
ram_ranges() { sed -n 's/^ *\([0-9a-f]*-[0-9a-f]*\) : System RAM$/\1/p' /proc/iomem; }

# in_ram RANGE: is any of it System RAM
in_ram() {
	local range first=$((${1%-*})) last=$((${1#*-}))
	for range in $(ram_ranges); do
		[ $((0x${range%-*})) -gt $last ] || [ $((0x${range#*-})) -lt $first ] ||
			return 0
	done
	return 1
}

# off_ram RANGE...: none of them is
off_ram() {
	local range
	for range in "$@"; do
		! in_ram "$range" || return 1
	done
}

# in_pieces NAME SEED: an object of 30 MiB in 15 pieces, with a pattern: all other memory is in use
# meanwhile, and piece-2, piece-4 to piece-30 of 2 MiB stay
in_pieces() {
	local i
	for i in $(seq 30); do
		vmm create "piece-$i" size=2M || return 1
	done
	vmm create rest size="$(free_mib)M" || return 1
	for i in $(seq 1 2 30); do
		write discard "piece-$i" || return 1
	done
	vmm create "$1" size=30M seed="$2" fill || return 1
	write discard rest
}
