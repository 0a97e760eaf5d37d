#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=6G timeout=200 append="kho=on gmem_persist.clean=0 gmem_persist=1G" flavours="release debug"
#
# An object of which only a newer kernel knows what it is: others refuse it, and leave it to that
# one, until some of the quarantine goes. Then no kernel believes it any more.
#
#   1 has it -> 2 refuses it, and refuses to give any of it away -> 3 knows it -> 4 refuses it, and
#   gives some away -> 5 would know it
. /tests/lib/test.sh
. /tests/lib/pool.sh

M=$((1 << 20))

# unknown: it is refused, and all of its memory is quarantined
unknown() {
	check "it is refused" logged "object new: its kind of file is unknown: its memory is quarantined"
	check "and quarantined" is quarantined_bytes $((8 * M))
	check "an older object is there" vmm reclaim old seed=31 verify
}

# replace: by a kernel to which the object is as unknown as it is known here, or the other way round
replace() {
	require "load the next kernel" load_stage "gmem.new=$new"
	require "freeze" write frozen 1
	require "another kind of object" gmem-corrupt newer new
	enter_stage
	fail "kexec"
}

new=$(word gmem.new)
case $STAGE in
1)
	check "old: an object" vmm create old size=4M seed=31 fill
	check "new: another" vmm create new size=8M seed=32 fill
	new=$(object new ranges)
	replace
	;;
2)
	unknown
	old=$(object old ranges)
	check "what is an object's is not released" refused release "$old"
	check "nor what is in no pool" refused release 0x200000-0x3fffff
	check "nor attached" not gmemctl attach thief "$old"
	mkdir /gmem/home && gmemctl quota /gmem/home --bytes 2M --names 10
	check "nor more than a directory may have" not gmemctl attach home/new "$new"
	check "nor the same twice" not gmemctl attach thief "$new" "$new"
	rm -r /gmem/home
	unknown
	replace
	;;
3)
	check "whoever knows it has it" vmm reclaim new seed=32 verify
	check "nothing is quarantined" is quarantined_bytes 0
	replace
	;;
4)
	unknown
	check "its first granule is released" write release \
		"$(printf '%#x-%#x' $((${new%-*})) $((${new%-*} + 2 * M - 1)))"
	check "less is quarantined" is quarantined_bytes $((6 * M))
	replace
	;;
5)
	check "nobody believes it any more" logged "object new: an earlier kernel has refused it"
	check "it is not there" no_object new
	check "the rest is quarantined" is quarantined_bytes $((6 * M))
	check "the older object is there" vmm reclaim old seed=31 verify
	check "the pool adds up" adds_up
	;;
esac
