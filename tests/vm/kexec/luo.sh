#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=7G timeout=300 append="kho=on liveupdate=on gmem_persist=2G gmem_persist.clean=0 nokaslr" flavours="release debug"
#
# Sessions of the live update orchestrator that hold handles, of objects with and without a name.
#
#   1 gives up at each step, then takes sessions along -> 2 retrieves them, or does not, and takes
#   one handle further -> 3 has what nobody asked for in quarantine -> 4, where LUO is off, has
#   what was held there
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/stop.sh
fs=/gmem
M=$((1 << 20))
. /tests/lib/files.sh
. /tests/lib/luo.sh

# used MIB: so much of the pool is
used() { is used_bytes $(($1 * M)); }

# held N: so many objects are held by sessions, for the next kernel
held() { [ "$(gmemctl decode | grep -c "held by sessions")" = "$1" ]; }

# no_kexec ERROR: it comes back, with that error
no_kexec() {
	drain
	kexec -e 2>&1 | grep -q "$1"
}

# all_goes_on: as if nobody had wanted to leave, with what is held
all_goes_on() {
	is frozen 0 && [ -z "$(cat "$pool/holders")" ] && vmm create new size=2M allzero &&
		write discard new && held 2
}

case $STAGE in
1)
	[ -e /dev/liveupdate ] || skip_all "a kernel without LUO"
	check "vm0: a file with a pattern" file vm0 create truncate=64 map fill=11
	check "text: a file of data" sh -c "echo 0123456789 > $fs/text"

	check "a directory is not for LUO" luo create=a dir=$fs ENOENT:keep=1
	check "nor is what only asks" luo create=a ask=$fs/vm0 ENOENT:keep=1
	check "a token is had once" luo create=a rw=$fs/vm0 keep=1 ro=$fs/vm0 EEXIST:keep=1
	check "a handle, too" luo create=a rw=$fs/vm0 keep=1 EBUSY:keep=2
	check "but not an object" luo create=a rw=$fs/vm0 keep=1 ro=$fs/vm0 keep=2
	check "nothing has become of it" used 66

	# Nobody waits for who uses it: there are locks of LUO that a kexec waits for.
	if [ -e "$stop" ]; then
		check "slow: data" file slow create write=1
		: > /tmp/slow
		gmem-file $fs/slow rw wait=/tmp/write write=1 > /tmp/slow &
		slow=$!
		until grep -q waiting /tmp/slow; do kill -0 $slow || break; done
		require "a session has it" luo_hold create=a ro=$fs/slow keep=1
		check "it loses its name" rm $fs/slow
		check "and is held" held 1
		hold_at data-written
		touch /tmp/write
		check "somebody writes to it, and stands still" until_held_at data-written $slow
		check "another session has it meanwhile" luo create=b ro=/proc/$slow/fd/3 keep=1
		let_go
		check "and the first one lets go of it" held 0
		check "he stands there still" held_at data-written
		let_on
		check "it goes with him" wait $slow
		check "all of it" used 66
		check "what is in the record adds up" gmemctl decode
	fi

	# Preserved, and given up
	require "a session has an object without a name" \
		luo_hold create=a tmp=$fs truncate=32 fill=1 keep=1 close
	check "it is there" used 98
	check "in the record, too" held 1
	let_go
	check "and goes with the session" used 66
	check "what is in the record adds up" gmemctl decode
	check "its process may keep it" \
		luo create=a tmp=$fs truncate=32 fill=1 keep=1 drop verify=1 fill=2 verify=2
	require "one that gets memory when it is held" luo_hold create=a tmp=$fs keep=1 truncate=32
	check "has it" used 98
	check "in the record, too" held 1
	check "in which nothing is wrong" gmemctl decode
	first=$holder
	require "one that no session has" \
		luo_until waiting create=b tmp=$fs wait=/tmp/frozen EBUSY:keep=1 ro=$fs/vm0 keep=2
	late=$holder
	check "freeze" write frozen 1
	touch /tmp/frozen
	check "frozen: a session cannot have it, but what has a name" wait "$late"
	rm /tmp/frozen
	holder=$first
	let_go
	check "frozen: it waits for the thaw" used 98
	require "frozen: what has a name" luo_hold create=a ro=$fs/vm0 keep=1
	let_go
	check "thaw" write frozen 0
	check "it goes" used 66
	require "one of which the process stays" \
		luo_until waiting create=a tmp=$fs truncate=32 keep=1 drop wait=/tmp/go
	check "is not held" held 0
	touch /tmp/go
	wait "$holder"
	require "another" luo_until waiting create=a tmp=$fs truncate=32 keep=1 \
		wait=/tmp/frozen drop ro=$fs/text read=0123 hold
	check "is" held 1
	check "freeze" write frozen 1
	touch /tmp/frozen
	until grep -q holding /tmp/holding; do kill -0 "$holder" || break; done
	check "frozen: its process goes on" grep -q holding /tmp/holding
	check "and no kernel is to wait for a session" held 0
	check "thaw" write frozen 0
	let_go
	check "all is gone" used 66
	check "what is in the record adds up" gmemctl decode

	# What is held, and loses its name
	check "lost: full of a pattern" file lost create truncate=8 map fill=12
	require "two handles of it" luo_hold create=lost rw=$fs/lost keep=1 ro=$fs/lost keep=2
	check "it loses its name" rm $fs/lost
	check "and is held" held 1
	check "pieces: one in pieces" in_pieces pieces 13
	pieces=$(object pieces ranges | wc -l)
	check "of 15" test "$pieces" = 15
	require "a handle of it" luo_hold create=pieces rw=$fs/pieces fill=13 keep=1 close
	check "loses its name, too" rm $fs/pieces
	check "and is held" held 2
	used=$(cat "$pool/used_bytes")

	# Given up on the way out
	require "a session with three handles" luo_hold create=three tmp=$fs truncate=2 keep=1 \
		rw=$fs/vm0 keep=2 ro=$fs/text keep=3
	three=$holder
	require "load the next kernel" load_stage
	if [ -e "$debugfs/refuse_kexec" ]; then
		echo 1 > "$debugfs/refuse_kexec"
		check "the kexec fails before LUO is asked" no_kexec "Input/output error"
		echo 0 > "$debugfs/refuse_kexec"
		for n in 1 2 3 4 5 6; do
			echo $n > "$debugfs/refuse_luo"
			check "LUO is asked, and handle $n refuses" no_kexec "Input/output error"
			check "not frozen" is frozen 0
		done
		check "all are held still" held 3
	else
		skip "a kexec that fails" "a kernel without means to refuse one"
	fi
	holder=$three
	let_go
	check "the session can be closed" is used_bytes "$used"
	check "as if nobody had wanted to leave" all_goes_on

	# What is taken along
	require "main: files of all sorts" luo_hold create=main tmp=$fs truncate=64 fill=21 keep=1 \
		rw=$fs/vm0 keep=2 ro=$fs/vm0 keep=3 tmp=$fs write=hello seek=3 keep=4 seek=4 \
		append=$fs/text keep=5 wo=$fs/text keep=6
	require "ended: is finished without being retrieved" \
		luo_hold create=ended tmp=$fs truncate=32 fill=22 keep=1
	require "closed: is closed, likewise" luo_hold create=closed tmp=$fs truncate=16 keep=1
	require "never: nobody asks for it" luo_hold create=never tmp=$fs truncate=10 fill=23 keep=1
	require "late: is asked for at the wrong time" \
		luo_hold create=late tmp=$fs truncate=4 fill=24 keep=1 rw=$fs/vm0 keep=2
	require "further: goes on to the third kernel" \
		luo_hold create=further tmp=$fs truncate=12 fill=25 keep=1
	for name in checksum flags slot; do
		check "a file $name" file $name create truncate=2
	done
	require "spoilt: is changed on the way" luo_hold create=spoilt ro=$fs/checksum keep=1 \
		rw=$fs/flags keep=2 rw=$fs/slot keep=3
	require "no session has this one" luo_hold tmp=$fs truncate=6 fill=26
	check "two: a file" file two create truncate=18 map fill=28
	require "it is in a session" luo_hold create=two rw=$fs/two keep=1
	require "and in one that ends in time" luo_hold create=less ro=$fs/two keep=1
	less=$holder
	check "it loses its name" rm $fs/two
	require "gone: another one ends, too" luo_hold create=gone tmp=$fs truncate=20 keep=1
	check "all that has no name" held 11
	check "freeze" write frozen 1
	let_go
	holder=$less
	let_go
	check "frozen: one is held no more" held 10
	check "what it has is nobody's" \
		sh -c 'gmemctl decode | grep -q "an earlier kernel has refused it"'
	enter_stage
	fail "kexec"
	;;
2)
	# 64 + 2 vm0 and text, 6 of what is spoilt, 30 pieces-N, 8 lost, 30 pieces, 64 + 2 main,
	# 32 ended, 16 closed, 10 never, 4 late, 12 further, 18 two
	check "all is there but what no session had" used 298
	check "quarantined is what a session let go of in a frozen pool" \
		is quarantined_bytes $((20 * M))
	check "release" write release all
	check "two" luo session=two get=1 verify=28
	check "goes with its last handle" used 280
	check "the pool adds up" adds_up
	check "what has no name is in no directory" test "$(find $fs -type f | wc -l)" = 20
	check "vm0 is had by its name" vmm reclaim vm0 seed=11 verify host-verify

	# All memory is searched for that, which takes the debug kernel minutes.
	if [ ! -e /proc/lockdep_stats ]; then
		check "what the last kernel wrote is changed" luo ro=$fs/checksum spoil=checksum \
			ro=$fs/flags spoil=flags ro=$fs/slot spoil=slot
		check "that is refused, now and later" luo session=spoilt EINVAL:get=1 \
			EOPNOTSUPP:get=2 ENOENT:get=3 EINVAL:get=1 finish
		check "nothing is lost by that" used 280
	else
		skip "what the last kernel wrote is changed" "the debug kernel is too slow for that"
	fi
	check "no such session" luo ENOENT:session=none
	require "main" luo_until waiting session=main \
		get=1 mode=rw at=0 size=64 verify=21 get=1 verify=21 vm=64 \
		get=2 mode=rw same=$fs/vm0 verify=11 get=3 mode=ro same=$fs/vm0 verify=11 \
		get=4 at=4 read=o seek=0 read=hello \
		get=5 mode=append same=$fs/text write=more get=6 mode=wo finish \
		wait=/tmp/finished get=1
	check "vm0 has two further views" object_is vm0 views 2
	check "what is retrieved is used" used 280
	touch /tmp/finished
	wait "$holder"
	check "finished: there is nothing to retrieve" grep -q errno=ENOENT /tmp/holding
	check "with its process goes what has no name" used 214
	check "vm0 stays" vmm reclaim vm0 seed=11 verify
	check "text is longer" test "$(cat $fs/text)" = "0123456789
more"

	check "what is for reading only" luo session=lost get=2 mode=ro verify=12 EBADF:punch
	check "the other one kept nothing" used 206
	check "pieces" luo session=pieces ENOENT:get=2 get=1 mode=rw size=30 verify=13
	check "closed, it is freed" used 176
	check "a session is retrieved once" luo ENOENT:session=pieces
	check "ended" luo session=ended finish
	check "is freed" used 144
	check "closed" luo session=closed
	check "is freed" used 128

	check "freeze" write frozen 1
	require "frozen: what has no name is retrieved, what has one is not" \
		luo_hold session=late get=1 mode=rw verify=24 EBUSY:get=2 EBUSY:get=2
	let_go
	check "it is said what comes of that" logged "no handle could be retrieved (-"
	check "its memory waits for the thaw" used 128
	check "thaw" write frozen 0
	check "and goes with its process" used 124

	require "further: is retrieved, and preserved again" \
		luo_hold session=further get=1 verify=25 finish create=again keep=1
	check "it is held, and nothing else is" held 1
	check "the pool adds up" adds_up
	next_stage
	;;
3)
	check "what nobody asked for is quarantined" is quarantined_bytes $((10 * M))
	check "nothing else" used 114
	check "nor can it be had" luo ENOENT:session=never
	check "again" luo session=again get=1 verify=25
	check "is gone with its process" used 102
	check "release" write release all
	check "nothing is quarantined" is quarantined_bytes 0
	check "the pool adds up" adds_up

	require "a session for a kernel without LUO" \
		luo_hold create=off tmp=$fs truncate=16 fill=27 keep=1 rw=$fs/vm0 keep=2
	next_stage liveupdate=off
	;;
4)
	check "LUO is off" test ! -e /dev/liveupdate
	check "what was held is quarantined" is quarantined_bytes $((16 * M))
	check "with the reason" logged "a session held it, and liveupdate is off"
	check "what has a name is there" vmm reclaim vm0 seed=11 verify
	check "release" write release all
	check "the pool adds up" adds_up
	;;
esac
