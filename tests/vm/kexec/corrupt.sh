#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: quick=1 mem=8G timeout=400 append="kho=on gmem_persist.clean=0 gmem_persist=3G" flavours="release"
#
# Damaged records: a piece that cannot be believed costs what it tells of, which is quarantined
# and never given out; the rest lives on. Each kernel damages the record that the next one gets.
. /tests/lib/test.sh
. /tests/lib/pool.sh

M=$((1 << 20))

mkdir -p /gmem
mount -t gmemfs none /gmem

# damage WORDS...: so the record is damaged, which stands still
damage() { require "damage: $*" gmem-corrupt "$@"; }

# handover DAMAGE...: hand the pool over, with a record damaged that way: words with commas
handover() {
	local what
	require "load the next kernel" load_stage
	require "freeze" write frozen 1
	for what; do
		# shellcheck disable=SC2046 # words
		damage $(echo "$what" | tr ',' ' ')
	done
	enter_stage
	fail "kexec"
	exit 1
}

# all_quarantined REASON: nothing of the record was believed, and why
all_quarantined() {
	check "logged: $1" logged "record refused: $1: all of the pool is quarantined"
	check "everything is quarantined" is quarantined_bytes $((3072 * M))
	check "the pool adds up" adds_up
	check "no objects" no_objects
	check "nothing to be had" vmm_fails ENOSPC create new size=2M
}

# start_again: with a pool that may be used
start_again() {
	check "release" write release all
	check "nothing is quarantined" is quarantined_bytes 0
	check "it is dirty" is dirty_bytes $((3072 * M))
	check "good: an object" vmm create good size=64M seed=21 fill
}

case $STAGE in
1)
	check "good: an object" vmm create good size=64M seed=21 fill
	check "bad: another" vmm create bad size=32M seed=22 fill
	check "guessed: another" vmm create guessed size=2M seed=23 fill
	check "pieces: one in pieces" in_pieces pieces 24
	check "dir: a directory" mkdir /gmem/dir
	check "inside: a file in it" sh -c "echo data > /gmem/dir/inside"
	# The tree at last: it is the way to all else.
	handover bad,0 object,bad token,guessed list,pieces quota,dir header,1 tree,0
	;;
2)
	# Of what there are two, the other one is good.
	check "a header is damaged" logged "one of two headers of the record is damaged: its checksum is wrong"
	check "good is whole" vmm reclaim good seed=21 verify
	# One object each; what is in a directory lives on elsewhere.
	check "bad" logged "object bad: its checksum is wrong: its memory is quarantined"
	check "pieces" logged "object pieces: the checksum of its ranges is wrong: its memory is quarantined"
	check "dir" logged "object dir: its checksum is wrong: its memory is quarantined"
	check "what was in there is not lost" logged "the directory in slot [0-9]* is missing: what was in it is in lost+"
	check "their memory is quarantined" is quarantined_bytes $(((32 + 30) * M))
	check "the pool adds up" adds_up
	check "bad is not there" vmm_fails ENOENT reclaim bad
	check "pieces is not there" vmm_fails ENOENT reclaim pieces
	check "dir is not there" test ! -e /gmem/dir
	check "but a directory for what was in it" test -d /gmem/lost+*
	check "which is root's alone" test "$(stat -c '%a %u %g' /gmem/lost+*)" = "700 0 0"
	check "where it is whole" test "$(cat /gmem/lost+*/inside)" = data
	check "make dir again" mkdir /gmem/dir
	check "and move home what was in it" mv /gmem/lost+*/inside /gmem/dir/
	check "then the other one is empty" rmdir /gmem/lost+*
	# A token says nothing about the memory, and there is another one now.
	check "guessed is whole" vmm reclaim guessed seed=23 verify
	check "a range that is not quarantined is not released" refused release 0x100000000-0x1001fffff
	check "nonsense is not released" refused release everything
	# What is quarantined stays so, and what is refused is refused again.
	next_stage
	;;
3)
	check "their memory is still quarantined" is quarantined_bytes $(((32 + 30) * M))
	check "bad is refused again" logged "object bad: its checksum is wrong: its memory is quarantined"
	check "and so is what could be read" logged "object pieces: an earlier kernel has refused it: its memory is quarantined"
	check "what came home is there" test "$(cat /gmem/dir/inside)" = data
	check "remove that" rm -r /gmem/dir
	check "release all" write release all
	check "nothing is quarantined" is quarantined_bytes 0
	for i in $(seq 2 2 30); do
		require "discard piece-$i" write discard "piece-$i"
	done
	check "it comes back cleared" vmm create new size=3006M allzero
	check "discard it" write discard new
	check "bad: again" vmm create bad size=64M seed=22 fill
	handover overlap,bad,good
	;;
4)
	check "what was released is not refused again" not logged "object pieces"
	# Two objects name the same memory: nobody knows whose it is.
	check "good is disputed" logged "object good: it overlaps another entry"
	check "bad is disputed" logged "object bad: it overlaps another entry"
	check "the memory of both is quarantined" is quarantined_bytes $((128 * M))
	check "neither is there" test "$(ls /gmem)" = guessed
	check "the pool adds up" adds_up
	check "safe: an object" vmm create safe size=64M seed=25 fill
	handover blocks,0
	;;
5)
	# Nobody knows what is free, but what objects have is theirs.
	check "logged" logged "1 pages of the record that tell what is free are damaged"
	check "all but the objects is quarantined" is quarantined_bytes $(((3072 - 66) * M))
	check "the pool adds up" adds_up
	check "safe is whole" vmm reclaim safe seed=25 verify
	check "guessed is whole" vmm reclaim guessed seed=23 verify
	check "nothing to be had" vmm_fails ENOSPC create new size=2M
	check "discard safe" write discard safe
	check "its memory can be had" vmm create new size=64M allzero
	handover bad
	;;
6)
	# Any page may be one that the list should have named.
	all_quarantined "its checksum is wrong"
	start_again
	handover tree
	;;
7)
	all_quarantined "it is no device tree"
	start_again
	handover header
	;;
8)
	all_quarantined "its checksum is wrong"
	start_again
	handover version
	;;
9)
	all_quarantined "its format is unknown"
	start_again
	handover open
	;;
10)
	all_quarantined "it is not sealed"
	start_again
	# A kernel with KHO off takes the pool over but cannot hand it on.
	next_stage kho=off
	;;
11)
	check "the objects are there" vmm reclaim good seed=21 verify
	check "logged" logged "KHO is not available .*: objects will not survive a kexec"
	check "no freeze without KHO" refused frozen 1
	check "objects can be made without KHO" vmm create new size=64M allzero
	check "and discarded" write discard new
	check "the operator does not mind" write lossy_kexec 1
	next_stage kho=on
	;;
12)
	# No record, only the marks in the memory map.
	all_quarantined "none came from the kernel before this one"
	# It is a kernel with KHO: what it quarantines stays so in the next.
	next_stage
	;;
13)
	check "still quarantined" is quarantined_bytes $((3072 * M))
	check "generation 1: the chain began anew" is generation 1
	start_again
	;;
esac
