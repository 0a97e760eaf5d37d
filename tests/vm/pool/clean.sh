#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: qemu="-cpu max,phys-bits=46" mem=8G timeout=300 append="kho=on kho_scratch=512M,1G,512M gmem_persist=3G gmem_persist.clean=0" flavours="release debug"
#
# Whatever was in memory, whoever gets it finds zero: after a discard, after a creator
# was killed in the middle, after a kexec in the middle of cleaning.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/stop.sh

G=$((1 << 30))

# dirty: how much
dirty() { cat "$pool/dirty_bytes"; }

# fill_all SEED: fill all of the pool with it, and give it back
fill_all() {
	vmm create all size=3G granule=1G seed="$1" host-fill && write discard all
}

# killed_while_creating: kill a VMM whose object is still being cleared
killed_while_creating() {
	local creator
	hold_at alloc-clear
	gmem-payload create big size=3G granule=1G > /tmp/big 2>&1 &
	creator=$!
	until_held_at alloc-clear $creator || return
	kill -9 $creator
	wait $creator
	[ $? = 137 ] && no_object big
}

case $STAGE in
1)
	check "switched off at boot" is clean_background 0
	check "all of it is dirty" is dirty_bytes $((3 * G))
	for bad in clean_background:2 clean_background:-1 clean_threads:17 clean_rate:1048577 \
		clean_rate:x; do
		check "$bad is refused" refused "${bad%:*}" "${bad#*:}"
	done
	check "the clean part of a new object" vmm create one size=1G allzero
	check "stays its own" is dirty_bytes $((2 * G))
	check "discard" write discard one
	check "dirty again" is dirty_bytes $((3 * G))

	check "fill all memory" fill_all 21
	check "a creator is killed in the middle" killed_while_creating
	check "all of it is free again" is used_bytes 0
	check "the pool adds up" adds_up
	check "some of it is dirty" test "$(dirty)" -gt 0
	check "all of it is zero to whoever gets it" vmm create all size=3G allzero
	check "discard it" write discard all

	check "fill all memory again" fill_all 22
	write clean_rate 200
	write clean_background 1
	until [ "$(dirty)" -lt $((3 * G)) ]; do :; done
	check "cleaning in the background has begun" test "$(dirty)" -gt 0
	write clean_background 0
	check "what is dirty can be had" vmm create all size=3G allzero
	check "discard" write discard all

	check "fill all memory a third time" fill_all 23
	write clean_background 1
	until [ "$(dirty)" -lt $((3 * G)) ]; do :; done
	# No freeze, and a worker in the middle of it.
	next_stage
	;;
2)
	check "nothing is quarantined" is quarantined_bytes 0
	check "some of it is still dirty" test "$(dirty)" -gt 0
	check "all of it is zero to whoever gets it" vmm create all size=3G allzero
	check "discard it" write discard all
	check "fill all memory" fill_all 24
	write clean_rate 0
	write clean_background 1
	# The time limit of the test is that of this wait.
	until [ "$(dirty)" = 0 ]; do :; done
	check "cleaned in the background" is clean_bytes $((3 * G))
	check "and zero indeed" vmm create all size=3G allzero
	check "discard" write discard all
	write clean_background 0
	;;
esac
