#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: quick=1 mem=8G timeout=300 append="kho=on gmem_persist.clean=0 gmem_persist=3G" flavours="release debug"
#
# Damaged records: whatever cannot be believed is quarantined and never given out,
# the rest lives on. Each kernel damages the record that the next one gets.
. /tests/lib/test.sh
. /tests/lib/pool.sh

M=$((1 << 20))

# damaged_handover WORDS...: hand the pool over, with a record damaged that way
damaged_handover() {
	require "load the next kernel" load_stage
	require "freeze" write frozen 1
	require "damage: $*" gmem-corrupt "$@"
	enter_stage
	fail "kexec"
	exit 1
}

# all_quarantined REASON: nothing of the record was believed, and why
all_quarantined() {
	check "logged: $1" logged "record refused: $1: all of the pool is quarantined"
	check "everything is quarantined" is quarantined_bytes $((3072 * M))
	check "the pool adds up" adds_up
	check "no objects" test -z "$(ls "$pool/objects")"
	check "nothing to be had" vmm_fails ENOSPC create new size=2M
}

# start_again: with a pool that may be used
start_again() {
	check "release" write release all
	check "nothing is quarantined" is quarantined_bytes 0
	check "it is dirty" is dirty_bytes $((3072 * M))
	check "good: an object" vmm create good size=64M seed=21 fill
	check "bad: another" vmm create bad size=32M seed=22 fill
}

case $STAGE in
1)
	check "good: an object" vmm create good size=64M seed=21 fill
	check "bad: another" vmm create bad size=32M seed=22 fill
	damaged_handover object bad
	;;
2)
	# One object's checksum is wrong: it alone is lost.
	check "logged" logged "object bad: its checksum is wrong: its memory is quarantined"
	check "its memory is quarantined" is quarantined_bytes $((32 * M))
	check "the pool adds up" adds_up
	check "it is not there" vmm_fails ENOENT reclaim bad
	check "the other is whole" vmm reclaim good seed=21 verify
	check "a range that is not quarantined is not released" refused release 0x100000000-0x1001fffff
	check "nonsense is not released" refused release everything
	# What is quarantined stays so, record or not.
	next_stage
	;;
3)
	check "its memory is still quarantined" is quarantined_bytes $((32 * M))
	check "release all" write release all
	check "nothing is quarantined" is quarantined_bytes 0
	check "it comes back cleared" vmm create new size=2880M allzero
	check "discard it" write discard new
	check "bad: again" vmm create bad size=64M seed=22 fill
	damaged_handover overlap bad good
	;;
4)
	# Two objects name the same memory: nobody knows whose it is.
	check "good is disputed" logged "object good: it overlaps another entry"
	check "bad is disputed" logged "object bad: it overlaps another entry"
	check "the memory of both is quarantined" is quarantined_bytes $((128 * M))
	check "some of it is named by nothing" logged "64 MiB are named by nothing"
	check "no objects" test -z "$(ls "$pool/objects")"
	check "the pool adds up" adds_up
	damaged_handover tree
	;;
5)
	all_quarantined "its checksum is wrong"
	start_again
	damaged_handover header
	;;
6)
	all_quarantined "its header is something else"
	start_again
	damaged_handover version
	;;
7)
	all_quarantined "its format is unknown"
	start_again
	check "objects can be made" vmm create kept size=64M seed=23 fill
	# A kernel with KHO off takes the pool over but cannot hand it on.
	next_stage kho=off
	;;
8)
	check "the objects are there" vmm reclaim kept seed=23 verify
	check "logged" logged "KHO is not available .*: objects will not survive a kexec"
	check "no freeze without KHO" refused frozen 1
	check "objects can be made without KHO" vmm create new size=64M allzero
	check "and discarded" write discard new
	next_stage kho=on
	;;
9)
	# No record, only the marks in the memory map.
	all_quarantined "none came from the kernel before this one"
	# It is a kernel with KHO: what it quarantines stays so in the next.
	next_stage
	;;
10)
	check "still quarantined" is quarantined_bytes $((3072 * M))
	check "generation 1: the chain began anew" is generation 1
	start_again
	;;
esac
