#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=7G timeout=300 append="kho=on gmem_persist.clean=0 gmem_persist=2G" flavours="release debug"
#
# Who pays for the pool's memory, with real cgroups: what is charged and when, what a
# limit stops and what it does not. The second kernel knows no cgroups, so what came
# over is the root group's until somebody claims it.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/stop.sh

M=$((1 << 20))
cg=/sys/fs/cgroup
node=gmem_persist/node0

# in_group GROUP COMMAND...: run a program there. In the background by itself, for
# which the process that is to be killed must be the program: sh -c "$enter" ... &
# shellcheck disable=SC2016	# for the inner shell
enter='echo $$ > "$0/cgroup.procs" && exec "$@"'
in_group() {
	local group=$1
	shift
	sh -c "$enter" "$cg/$group" "$@"
}

# vmm_in GROUP WORDS..., vmm_fails_in ERRNO GROUP WORDS...: as vmm and vmm_fails
vmm_in() {
	local group=$1
	shift
	in_group "$group" gmem-payload "$@" > /tmp/vmm
}
vmm_fails_in() {
	local errno=$1 status=0
	shift
	vmm_in "$@" || status=$?
	[ $status = 3 ] && [ "$(figure errno)" = "$errno" ]
}

# no_fd_in GROUP WORDS...: the VMM gets /dev/kvm and a VM, and cannot open more
no_fd_in() {
	local group=$1 status=0
	shift
	# shellcheck disable=SC2016	# for the inner shell
	in_group "$group" sh -c 'ulimit -n 5 && exec gmem-payload "$@"' sh "$@" \
		> /tmp/vmm || status=$?
	[ $status = 3 ] && [ "$(figure errno)" = EMFILE ]
}

# has GROUP FILE VALUE: what dmem.FILE of a group says of the pool
has() { [ "$(sed -n "s|^$node ||p" "$cg/$1/dmem.$2")" = "$3" ]; }

# charged GROUP MIB [GROUP MIB...]: exactly that
charged() {
	while [ $# -gt 0 ]; do
		has "$1" current $(($2 * M)) || {
			echo "# $1: $(cat "$cg/$1/dmem.current"), not $2 MiB"
			return 1
		}
		shift 2
	done
}

# all_charged: every used byte, and no other, is charged to somebody
all_charged() { has . current "$(cat "$pool/used_bytes")"; }

# limit GROUP MIB, no_limit GROUP
limit() { echo "$node $(($2 * M))" > "$cg/$1/dmem.max"; }
no_limit() { echo "$node max" > "$cg/$1/dmem.max"; }

# accounts: all that a creation which is refused must leave as it was
accounts() {
	cat "$cg/dmem.current" "$cg"/*/dmem.current "$cg"/*/*/dmem.current \
		"$pool/clean_bytes" "$pool/dirty_bytes" "$pool/used_bytes" \
		"$pool/record_bytes"
	gmemctl list
}
unchanged() { [ "$(accounts)" = "$before" ]; }

# start_vmm GROUP WORDS...: one that runs until it is killed, $running
start_vmm() {
	local group=$1
	shift
	: > /tmp/running
	sh -c "$enter" "$cg/$group" gmem-payload "$@" run > /tmp/running &
	running=$!
	until grep -q running /tmp/running; do
		kill -0 "$running" || return
	done
}
kill_vmm() {
	kill -KILL "$running"
	wait "$running"
	[ $? = 137 ]
}

# interrupted NAME WORDS...: a creation in "other" gets a signal while it clears
# memory, which it has taken by then. Sets paid: what was charged meanwhile.
interrupted() {
	local name=$1 creating
	shift
	hold_at alloc-clear
	sh -c "$enter" "$cg/other" gmem-payload create "$name" "$@" > /tmp/vmm &
	creating=$!
	until_held_at alloc-clear $creating || return
	paid=$(sed -n "s|^$node ||p" $cg/other/dmem.current)
	kill -TERM $creating
	let_on
	wait $creating
	no_object "$name"
}

# take_turns GROUP: claim "shared", make and discard something, again and again
take_turns() {
	local turn name=turn-${1##*/}
	for turn in 1 2 3 4 5; do
		echo "# $name $turn"
		in_group "$1" gmem-payload reclaim shared
		in_group "$1" gmem-payload create "$name" size=6M
		echo "$name" > "$pool/discard"
	done > "/tmp/$name"
}

echo +dmem > $cg/cgroup.subtree_control
# "parent" has two children, "other" stands beside it.
mkdir $cg/parent $cg/other
echo +dmem > $cg/parent/cgroup.subtree_control
mkdir $cg/parent/one $cg/parent/two

case $STAGE in
1)
	require "the pool is a region" grep -qx "$node $((2048 * M))" $cg/dmem.capacity
	check "nothing is charged" charged . 0 parent 0 parent/one 0

	# Creation and discard
	check "create" vmm_in parent/one create a size=64M
	check "the creator pays, and all above it" \
		charged parent/one 64 parent 64 . 64 parent/two 0 other 0
	check "discard, by somebody of another group" \
		in_group other sh -c "echo a > $pool/discard"
	check "nobody pays" charged parent/one 0 parent 0 . 0

	# Limits
	limit parent/one 100
	check "create up to" vmm_in parent/one create a size=64M
	check "the limit" vmm_in parent/one create b size=36M
	before=$(accounts)
	check "but not beyond" vmm_fails_in EDQUOT parent/one create c size=2M
	check "nor much more" vmm_fails_in EDQUOT parent/one create c size=1G granule=1G
	check "nor without a name" vmm_fails_in EDQUOT parent/one create '' size=2M
	check "too little memory is another errno" \
		vmm_fails_in ENOSPC parent/one create c size=4G
	check "nothing has changed" unchanged
	check "the sums add up" adds_up
	check "other groups are free" vmm_in parent/two create c size=64M
	limit parent 164
	before=$(accounts)
	check "a limit above counts all below" vmm_fails_in EDQUOT parent/two create d size=2M
	check "and is theirs only" vmm_in other create d size=2M
	write discard d
	check "nothing has changed" unchanged
	write discard b
	check "discard makes room" vmm_in parent/two create b size=36M
	check "in the right groups" charged parent/one 64 parent/two 100 parent 164 . 164

	# Reclaim
	check "reclaim by the same group" vmm_in parent/one reclaim a
	check "changes nothing" charged parent/one 64 parent/two 100 parent 164
	limit parent/two 100
	check "reclaim within full groups" vmm_in parent/two reclaim a
	check "moves the charge, beyond the limit" \
		charged parent/one 0 parent/two 164 parent 164 . 164
	check "no peak that never was" has parent peak $((164 * M))
	before=$(accounts)
	check "no creation there" vmm_fails_in EDQUOT parent/two create d size=2M
	check "nothing has changed" unchanged
	check "reclaim by a group elsewhere" vmm_in other reclaim a
	check "moves it all the way" charged parent/two 100 parent 100 other 64 . 164
	check "a limit below what is used" limit other 32
	check "takes nothing away" charged other 64
	check "reclaim there" vmm_in other reclaim c
	check "goes beyond it, too" charged other 128 parent 36
	check "no creation there" vmm_fails_in EDQUOT other create d size=2M
	no_limit other

	# Claims that fail
	before=$(accounts)
	check "a refused reclaim" vmm_fails_in EINVAL parent/one reclaim a size=2M
	check "leaves the charge alone" unchanged
	check "a reclaim without a file descriptor left" no_fd_in parent/one reclaim a
	check "moves the charge all the same" charged parent/one 64 other 64 . 164
	check "a creation without one" no_fd_in parent/one create d size=4M
	check "leaves no charge" charged parent/one 64 . 164

	# Life and death of VMMs
	check "a VMM runs" start_vmm other create e size=8M
	check "and pays" charged other 72
	check "a claim while it runs" vmm_fails_in EBUSY parent/one reclaim e
	check "changes nothing" charged other 72 parent/one 64
	check "it is killed" kill_vmm
	check "its group still pays" charged other 72
	check "a VMM runs, without a name" start_vmm other create '' size=16M
	check "and pays" charged other 88
	check "it is killed" kill_vmm
	check "nobody pays any more" charged other 72 . 172

	# Creations that fail late
	check "a creation is interrupted" interrupted long size=1536M
	check "it was charged from the start" [ "$paid" = $(((72 + 1536) * M)) ]
	check "and leaves no charge" charged other 72 . 172
	write frozen 1
	check "a creation while frozen" vmm_fails_in EBUSY other create d size=2M
	check "leaves no charge" charged other 72 . 172
	write frozen 0

	# A group that is gone
	mkdir $cg/parent/gone
	limit parent/gone 8
	check "a group has an object" vmm_in parent/gone create f size=8M
	check "and is removed" rmdir $cg/parent/gone
	check "its parent pays" charged parent 108 . 180
	limit parent 108
	check "and keeps its limit" vmm_fails_in EDQUOT parent/one create d size=2M
	check "reclaim by another group" vmm_in other reclaim f
	check "moves the charge" charged parent 100 other 80 . 180
	mkdir $cg/parent/gone
	check "a new group of that name pays nothing" charged parent/gone 0
	check "and takes it over" vmm_in parent/gone reclaim f
	check "and pays" charged parent/gone 8 parent 108 other 72
	check "and is removed, too" rmdir $cg/parent/gone
	write discard f
	check "discard after its group is gone" charged parent 100 other 72 . 172
	no_limit parent

	# Many at once
	check "an object for all" vmm_in other create shared size=10M
	for group in parent/one parent/two other; do
		take_turns $group &
	done
	wait
	check "all of them had it" [ "$(grep -l size=10485760 /tmp/turn-* | wc -l)" = 3 ]
	check "the sum is right after that" charged . 182
	check "somebody pays for all that is used" all_charged
	check "the sums add up" adds_up

	check "a VMM without a name goes down with the kernel" \
		start_vmm other create '' size=16M
	next_stage
	;;
2)
	check "the pool is a region" grep -qx "$node $((2048 * M))" $cg/dmem.capacity
	check "the root group pays for what came over" charged . 182 parent 0 other 0
	check "which is all that is used" all_charged
	limit parent 100
	limit other 32
	check "reclaim" vmm_in parent/one reclaim a
	check "moves the charge" charged parent/one 64 parent 64 . 182
	check "reclaim beyond the limit" vmm_in other reclaim c
	check "moves it, too" charged other 64 . 182
	check "no creation there" vmm_fails_in EDQUOT other create d size=2M
	check "reclaim up to a limit above" vmm_in parent/two reclaim b
	check "reclaim beyond a limit above" vmm_in parent/one reclaim shared
	check "is charged where it should" \
		charged parent/one 74 parent/two 36 parent 110 other 64 . 182
	check "no creation there" vmm_fails_in EDQUOT parent/two create d size=2M
	write discard c
	check "once below the limit" vmm_in other create d size=32M
	check "creation works" charged other 32 . 150
	for name in a b d e shared; do
		write discard $name
	done
	check "in the end nobody pays" \
		charged . 0 parent 0 parent/one 0 parent/two 0 other 0
	check "and all is free" is used_bytes 0
	;;
esac
