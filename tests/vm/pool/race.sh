#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=200 append="kho=on gmem_persist=2G gmem_persist.clean=0" flavours="release debug"
# vm pay:
# vm poison:
#
# What meets at the wrong moment; see gmem-race.c.
#
# pay: a file is opened, and so paid for, by a process of one cgroup while it grows or shrinks for
# one of another: the sums are right in the end. Once by chance, many times; and once in the middle
# of it, where the kernel has points to stop at.
# poison: memory errors in objects that are just being freed: each page is out of use, and nobody
# looks for it in an object that is no more (KASAN).
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
. /tests/lib/files.sh

cg=/sys/fs/cgroup
. /tests/lib/stop.sh
M=$((1 << 20))

# charged GROUP: so much, in bytes
charged() { awk '{ n += $2 } END { printf "%.0f", n }' "$cg/$1/dmem.current"; }

# paid: both groups together pay for what the file has
paid() {
	echo "# a pays for $(charged a), b for $(charged b)"
	[ $(($(charged a) + $(charged b))) = "$(object file size)" ]
}

# as GROUP ACTION...: what a process of that group does with the file
as() {
	local group="$1"
	shift
	echo 0 > "$cg/$group/cgroup.procs"
	exec gmem-file "$fs/file" "$@"
}

# waits PID: it waits for a lock, and not just for a moment
waits() {
	for _ in $(seq 50); do
		grep -q '^State:.D' "/proc/$1/status" || return 1
	done
}

# shrink_in_between: while b takes over what a pays for, a makes it less
shrink_in_between() {
	local taker shrinker
	rm "$fs/file"
	# At once, so that it is one charge, of which a part goes
	check "a has room for 6 MiB of data" \
		sh -c "echo 0 > $cg/a/cgroup.procs && gmem-file $fs/file create reserve=6"
	hold_at charge-locked
	as b rw > /tmp/taker &
	taker=$!
	check "b is about to take it over" until_held_at charge-locked $taker
	as a wait=/tmp/go rw truncate=1B > /tmp/shrinker &
	shrinker=$!
	until grep -q waiting /tmp/shrinker || ! kill -0 $shrinker; do :; done 2> /tmp/said
	: > /tmp/go
	until waits $shrinker || ! kill -0 $shrinker; do :; done 2> /tmp/said
	let_on
	check "he does" wait $taker
	check "a gave 4 MiB back" wait $shrinker
	check "which he, or b, does not pay for" paid
}

[ "$(nproc)" -ge 2 ] || skip_all "there is no other CPU"
case $CASE in
pay)
	[ -e $cg/dmem.capacity ] || skip_all "the kernel has no dmem cgroup"
	echo +dmem > $cg/cgroup.subtree_control
	mkdir $cg/a $cg/b
	check "open, grow and shrink" gmem-race pay $fs/file 2000 $cg/a $cg/b
	check "together they pay for what it has" paid
	[ ! -e "$stop" ] || shrink_in_between
	check "no more is used" is used_bytes "$(object file size)"
	check "it goes" rm $fs/file
	check "and nobody pays for anything" [ "$(charged a) $(charged b)" = "0 0" ]
	;;
poison)
	[ -e /sys/devices/system/memory/hard_offline_page ] || skip_all "no errors can be injected"
	check "close, while a page has an error" gmem-race poison $fs/file 300
	check "as many granules are out of use" is poisoned_bytes $((300 * 2 * M))
	check "and nothing is used" is used_bytes 0
	check "each page is known" test "$(awk 'END { print NR }' "$pool/bad_pages")" -ge 100
	check "what is free can be had" vmm create new size=1G allzero
	;;
esac
check "the pool adds up" adds_up
