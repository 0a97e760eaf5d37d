#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=500 append="kho=on kho_scratch=512M,1G,512M gmem_persist=1G gmem_persist.clean=0" flavours="release"
# vm kexec: timeout=700 append="liveupdate=on"
# vm given: timeout=700 append="liveupdate=on"
# vm now: timeout=700 append="liveupdate=on"
# vm killed: timeout=400
# vm frozen: timeout=400
#
# The host is replaced in the middle of something, at the points that the kernel names
# (mm/gmem_persist/stop.c): at one in each kernel, and the next one looks at what it found.
#
# kexec: by an ordinary kexec, whose way out is taken by another task. What was complete
# is there, byte for byte; what was not has never been; and what an owner has written is in
# nothing that is called clean.
#
# A word in each page of most of the pool, and all that else is in use, is compared in each kernel,
# and nobody has memory who should not.
#
# given: the same, while memory is given by a handle, by the root directory, and to a file out of
# quarantine; and while it is released from there.
#
# now: as in a crash, with the record not sealed. The next kernel believes nothing of
# it, so all is quarantined, as it is, until the operator says so. The last kernel but one
# keeps it so, and the last one has no pool and can look at what is in its memory.
#
# While LUO takes a handle, its locks make a kexec wait, so that is in now alone.
#
# killed: whoever takes memory is killed there, and has given it back when the host is replaced.
# What he has not cleared of it is not called clean by the next kernel.
#
# frozen: the same with who finds, when he goes on, that the pool has been frozen. What he gives
# back then is free in the next kernel, and what was to be attached is quarantined, as it was.
#
# To add a point, add a line to the table of a case: what leads there, with prepare() and
# lead_to() knowing how, and the point, with found() saying what is right in the next kernel.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/stop.sh
. /tests/lib/luo.sh
fs=/gmem
[ ! -e "$pool" ] || . /tests/lib/files.sh

M=$((1 << 20))

# points: one for each kernel, in this order: what leads there, and the point
points() {
	case $CASE in
	kexec)	cat <<-'END' ;;
		create alloc-taken
		clear alloc-clear:3
		create object-cleared
		create object-recorded
		populate alloc-taken
		populate extend-cleared
		populate populate-recorded
		grow alloc-taken
		grow-dirty alloc-clear
		grow extend-cleared
		grow extend-recorded
		grow data-written
		pieces ready-step
		discard unlink-recorded
		unlink unlink-recorded
		unlink-pieces keep-step
		unlink-pieces free-step
		cut cut-step
		close last-use-freed
		rename rename-recorded
		clean clean-clear:3
		clean clean-cleared
		clean clean-marked
		unnamed alloc-taken
		punch punch-cleared
		session populate-recorded
		session-unlink unlink-recorded
		END
	given)	cat <<-'END' ;;
		handle alloc-taken
		handle-dirty alloc-clear:3
		handle extend-cleared
		handle-pieces ready-step
		handle extend-recorded
		handle populate-recorded
		root alloc-taken
		root-dirty alloc-clear:3
		root extend-cleared
		root-pieces ready-step
		root extend-recorded
		root populate-recorded
		root last-use-freed
		root-pieces free-step
		unnamed-lost object-cleared
		restore restore-step:2
		attach attach-marked
		attach attach-ready
		attach attach-recorded
		attach-more attach-ended
		release-some release-marked
		release-some quarantine-released
		release release-marked
		release quarantine-released
		END
	now)	cat <<-'END' ;;
		clear alloc-clear:3
		create object-recorded
		grow extend-cleared
		grow extend-recorded
		handle-dirty alloc-clear:3
		handle extend-recorded
		root-dirty alloc-clear:3
		root extend-recorded
		discard unlink-recorded
		clean clean-clear:3
		session-keep session-kept
		freeze before-seal
		look nowhere
		END
	killed)	cat <<-'END' ;;
		clear alloc-clear:3
		populate-dirty alloc-clear:3
		grow-dirty alloc-clear
		handle-dirty alloc-clear:3
		root-dirty alloc-clear:3
		END
	frozen)	cat <<-'END' ;;
		populate-dirty alloc-clear:3
		populate-dirty extend-cleared
		grow-dirty extend-cleared
		handle-dirty extend-cleared
		pieces ready-step
		populate-lost extend-cleared
		attach attach-ready
		END
	esac
}

# text NAME: what a file of data has in it, 4 MiB, of a pattern that is nowhere else
text() {
	yes "what $1 wrote" | head -c 65536 > /tmp/64k
	cat /tmp/64k /tmp/64k /tmp/64k /tmp/64k /tmp/64k /tmp/64k /tmp/64k /tmp/64k > /tmp/512k
	cat /tmp/512k /tmp/512k /tmp/512k /tmp/512k /tmp/512k /tmp/512k /tmp/512k /tmp/512k
}

# holds NAME: the file has that in it
holds() { text "$1" | cmp -s - "$fs/$1"; }

# write_file NAME: make it
write_file() { text "$1" > "$fs/$1" && sync "$fs/$1"; }

# zeroes NAME: all of an object is zero
zeroes() { gmem-file "$fs/$1" ro map zero > /tmp/zero; }

# clean_is_clean: whoever is given all that is called clean finds nothing in it. Status 1: he
# does; another one: he could not look
clean_is_clean() {
	local clean
	clean=$(cat "$pool/clean_bytes")
	[ "$clean" -gt 0 ] || return 2
	gmem-file $fs/probe new "truncate=${clean}B" && zeroes probe
	set -- $?
	rm -f $fs/probe
	return "$1"
}

# all_clean: have all that is free cleaned
all_clean() {
	write clean_background 1
	# The time limit of the test is that of this wait.
	until is dirty_bytes 0; do :; done
	write clean_background 0
}

# witnesses_are_there, make_witnesses: a guest's memory, and data, both complete. Most of the
# pool is another guest's, with a word in each page, so that not much is left to be looked through.
make_witnesses() {
	gmem-file $fs/most new truncate=896 map stamp=36 > /tmp/witness &&
		gmem-file $fs/memory new truncate=8 map fill=31 > /tmp/witness && write_file data
}
witnesses_are_there() {
	gmem-file $fs/most ro map stamped=36 > /tmp/witness &&
		gmem-file $fs/memory ro map verify=31 > /tmp/witness && holds data
}

# only_witnesses: nothing else is there, with a name or without
only_witnesses() {
	[ "$(echo $fs/*)" = "$fs/data $fs/memory $fs/most" ] && is used_bytes $((908 * M))
}

# dirty_but MIB: what is free was written to, but for so much
dirty_but() {
	gmem-file $fs/dirty new "truncate=$(($(cat "$pool/clean_bytes") - $1 * M))B" map fill=33 &&
		rm $fs/dirty
}

# nearly_all: how much is free, but for some that stays clean
nearly_all() { echo "$(($(free_bytes) - 4 * M))B"; }

# in_pieces: of what is free, 20 granules are alone
in_pieces() {
	local i=0
	while [ $i -lt 40 ]; do
		gmem-file "$fs/hole$i" new truncate=2 || return
		i=$((i + 1))
	done
	i=0
	while [ $i -lt 40 ]; do
		rm "$fs/hole$i"
		i=$((i + 2))
	done
}

# record_is_right: whoever reads it finds nothing wrong in it
record_is_right() { gmemctl decode > /tmp/decoded; }

# lose: no kernel to come can know whose one to five are, but the memory is kept
lose() {
	write frozen 1 && gmem-corrupt overlap one two && gmem-corrupt object three &&
		gmem-corrupt object four && gmem-corrupt object five && write frozen 0
}

# attach NAME RANGE [WORD...]: a file gets it, out of quarantine
attach() { gmemctl attach "$@" > /tmp/attached; }

# lost NAME: where that was, as the kernel that lost it had it
lost() { word "gmem.$1" | tr -d ' '; }

# granules RANGE...: where each granule of these is
granules() {
	local range at
	for range in "$@"; do
		at=$((${range%-*}))
		while [ $at -lt $((${range#*-})) ]; do
			echo $at
			at=$((at + 2 * M))
		done
	done | sort
}

# quarantined_are NAME...: their memory is, and no other
quarantined_are() {
	# shellcheck disable=SC2046	# words
	granules $(for name in "$@"; do lost "$name"; done) > /tmp/lost
	# shellcheck disable=SC2046	# words
	granules $(cat "$pool/quarantined") | cmp -s - /tmp/lost
}

# token_of NAME: of its uuid and its token, the latter
token_of() { gmemctl token "$fs/$1" | cut -d ' ' -f 2; }

# note LEAD: what the next kernel has to know of it, as words of its command line
note() {
	local name names=
	case $1 in
	*-lost)	names="one two three four five" ;;
	freeze)		names="most memory data" ;;
	punch)		echo "gmem.token=$(token_of goes)" ;;
	restore)	echo "gmem_persist.later=0" ;;
	esac
	for name in $names; do
		echo "gmem.$name=$(object "$name" ranges | tr '\n' ',')"
	done
	[ "$after" != restore ] || echo "gmem_persist.later=1"
}

# What leads to the points, and what is right in the next kernel.
prepare() {
	case $1 in
	grow*)	check "grows: 4 MiB of data" write_file grows ;;
	discard|unlink|close|rename|punch|session-unlink)
		check "goes: an object" gmem-file $fs/goes new truncate=8 map fill=32 ;;
	esac
	case $1 in
	*pieces|cut)
		check "free memory in pieces" in_pieces ;;
	esac
	case $1 in
	clear|clean|*-dirty)
		check "dirty memory" dirty_but 8 ;;
	unlink-pieces)
		check "goes: an object of all that" gmem-file $fs/goes new "truncate=$(nearly_all)" map fill=32 ;;
	cut)	check "shrinks: data, of all that" gmem-file $fs/shrinks new "write=$(nearly_all)" ;;
	root)	check "what has no name, and contents" luo_hold tmp=$fs truncate=16 fill=35 ;;
	session-unlink)
		check "a session has it" luo_hold create=session rw=$fs/goes keep=1 ;;
	*-lost)
		check "one, which will be lost" gmem-file $fs/one new truncate=4 map fill=41
		check "two" gmem-file $fs/two new truncate=4 map fill=42
		check "three" gmem-file $fs/three new truncate=4 map fill=43
		check "four" gmem-file $fs/four new truncate=4 map fill=44
		check "five" gmem-file $fs/five new truncate=4 map fill=45
		;;
	release)
		check "one and three are quarantined" quarantined_are one three
		check "in two pieces" test "$(wc -l < "$pool/quarantined")" = 2
		;;
	esac
}
lead_to() {
	case $1 in
	clear|create) vmm create new size=16M seed=34 fill ;;
	populate|populate-dirty)
		gmem-file $fs/new new truncate=16 map fill=34 ;;
	pieces)	gmem-file $fs/new new "truncate=$(nearly_all)" map fill=34 ;;
	grow*)	echo more >> $fs/grows ;;
	discard) write discard goes ;;
	unlink*) rm $fs/goes ;;
	cut)	gmem-file $fs/shrinks rw truncate=0 ;;
	close)	gmem-file $fs/goes rw unlink ;;
	rename)	mv $fs/goes $fs/went ;;
	clean)	write clean_background 1; all_clean ;;
	freeze)	write frozen 1 ;;
	unnamed-lost) lose && vmm create "" size=16M ;;
	populate-lost) lose && gmem-file $fs/new new truncate=16 ;;
	unnamed) vmm create "" size=16M ;;
	root|root-dirty)
		gmem-file $fs path resource=16 ;;
	root-pieces)
		gmem-file $fs path "resource=$(($(free_mib) - 4))" ;;
	handle|handle-dirty)
		gmem-file $fs/new new vm=16 ;;
	handle-pieces)
		gmem-file $fs/new new "vm=$(($(free_mib) - 4))" ;;
	punch)	gmem-file $fs/goes rw map punch ;;
	session) gmem-luo create=session tmp=$fs keep=1 truncate=16 ;;
	session-unlink) rm $fs/goes ;;
	session-keep) gmem-luo create=session tmp=$fs truncate=16 fill=37 keep=1 ;;
	restore) echo 1 > "$debugfs/again" ;;
	attach)	attach two --slot "$(slot_of two)" "$(lost two)" ;;
	attach-more) attach four --slot "$(slot_of four)" "$(lost four)" ;;
	release-some) write release "$(lost five)" ;;
	release) write release all ;;
	esac
}
found() {
	rm -f $fs/hole*
	case $1 in
	create|clear|populate*|pieces|handle*)
		if [ "${2%-recorded}" != "$2" ]; then
			check "new: it is there, as it was made" object_is new size $((16 * M))
			check "new: zero" zeroes new
			rm $fs/new
		elif [ "$1" != create ] && [ "$1" != clear ]; then
			check "new: it is as empty as it was" attr %s new 0
			rm $fs/new
		else
			check "new: it never was" test ! -e $fs/new
		fi
		;;
	grow*)
		check "grows: what was written" holds grows
		rm $fs/grows
		;;
	punch)
		check "goes: zero" zeroes goes
		check "goes: what was saved beside it is not fresh" test "$(token_of goes)" != "$(word gmem.token)"
		rm $fs/goes
		;;
	session)
		check "the session has what has no name" gmem-luo session=session get=1 size=16 finish
		;;
	session-unlink)
		check "goes: it has no name" test ! -e $fs/goes
		check "goes: the session has it" gmem-luo session=session get=1 verify=32 finish
		;;
	attach)
		if [ "$2" = attach-recorded ]; then
			check "two: it is there, as it was" gmem-file $fs/two ro map verify=42
		else
			check "two: it is as empty as it was" attr %s two 0
		fi
		check "two: nobody disputes it" not logged "overlaps"
		rm $fs/two
		;;
	attach-more)
		check "four: it is there, as it was" gmem-file $fs/four ro map verify=44
		check "four: no other slot tells of it" test "$(gmemctl decode | grep -c '^object four$')" = 1
		rm $fs/four
		;;
	release-some)
		if [ "$2" = release-marked ]; then
			check "nothing was released" quarantined_are one three five
		else
			check "nor was anything else released" quarantined_are one three
			check "what was is dirty" is dirty_bytes $((4 * M))
		fi
		;;
	release)
		if [ "$2" = release-marked ]; then
			check "nothing was released" quarantined_are one three
			check "no slot tells of it any more" not logged "object .*: its memory is quarantined"
			return
		fi
		check "what was released is dirty" is dirty_bytes $((4 * M))
		left=$(cat "$pool/quarantined")
		if [ "$left" = "$(lost one)" ]; then seed=41; else seed=43; fi
		check "left: what was not can be attached" attach left "$left"
		check "left: it is as it was" gmem-file $fs/left ro map verify=$seed
		rm $fs/left
		;;
	discard|unlink*|close)	check "goes: it is gone" test ! -e $fs/goes ;;
	cut)
		check "shrinks: it is empty" attr %s shrinks 0
		rm $fs/shrinks
		;;
	rename)
		check "goes: it went" test ! -e $fs/goes
		check "went: it is there" gmem-file $fs/went ro map verify=32
		rm $fs/went
		;;
	esac
}

# quarantined_by LEAD POINT: how many MiB are, in the kernel after that
quarantined_by() {
	case "$1 $2" in
	"populate-lost "*|"restore "*|"attach attach-marked"|"attach attach-ready")
		echo 20 ;;
	"attach "*)
		echo 16 ;;
	"attach-more "*|"release-some release-marked")
		echo 12 ;;
	"release-some "*|"release release-marked")
		echo 8 ;;
	"release "*)
		echo 4 ;;
	*)	echo 0 ;;
	esac
}

# sealed LEAD POINT: what the next kernel finds after an ordinary kexec
sealed() {
	local quarantined
	quarantined=$(quarantined_by "$1" "${2%:*}")
	check "$quarantined MiB are quarantined" is quarantined_bytes $((quarantined * M))
	check "the pool adds up" adds_up
	check "the witnesses are there" witnesses_are_there
	found "$1" "${2%:*}"
	check "only the witnesses are" only_witnesses
	! is quarantined_bytes 0 || check "nothing is wrong in the record" record_is_right
	check "clean memory is clean" clean_is_clean
}

# look_at_it: have a look at it, by a kernel that does not protect it
look_at_it() {
	next_stage elfcorehdr=0xf0000
}

# as_it_was: what that kernel sees
as_it_was() {
	# shellcheck disable=SC2046	# words
	check "it is not System RAM" off_ram $(word gmem.memory) $(word gmem.most) $(word gmem.data)
	# shellcheck disable=SC2046	# words
	check "memory lies in RAM as it was" look verify 31 $(word gmem.memory)
	check "every byte was compared" grep -q "^look_compared=$((8 * M - 4096))$" /tmp/look
	# shellcheck disable=SC2046	# words
	check "so does most of the pool" look stamped 36 $(word gmem.most)
	check "every page was looked at" grep -q "^look_compared=$(((896 * 256 - 1) * 8))$" /tmp/look
	text data > /tmp/text
	# shellcheck disable=SC2046	# words
	check "and data" sh -c 'gmem-look copy "$@" | head -c 4194304 | cmp - /tmp/text' copy $(word gmem.data)
}

# unsealed: and after none
unsealed() {
	check "logged" logged "record refused: it is not sealed: all of the pool is quarantined"
	check "all is quarantined" is quarantined_bytes $((1024 * M))
	check "the pool adds up" adds_up
	check "no objects" no_objects
	check "nothing to be had" vmm_fails ENOSPC create new size=2M
	write clean_background 1
	check "nothing to be cleaned" is dirty_bytes 0
	write clean_background 0
	[ "$next" != "look nowhere" ] || look_at_it
	check "the operator releases it" write release all
	check "it is dirty, all of it" is dirty_bytes $((1024 * M))
	check "and zero to whoever gets it" vmm create new size=128M allzero
	check "discard" write discard new
}

# give_up LEAD POINT: have whoever comes there killed, or find the pool frozen, and the host
# replaced when he has given back what he had
give_up() {
	local taker status
	# shellcheck disable=SC2046	# words
	require "load the next kernel" load_stage $(note "$1")
	hold_at "$2"
	lead_to "$1" > /tmp/taker &
	taker=$!
	require "somebody takes memory, and is at $2" until_held_at "${2%:*}" "$taker"
	case $CASE in
	killed)	check "he is killed" kill -9 "$(sed -n 's/^held: .* //p' "$stop")" ;;
	frozen)	check "freeze" write frozen 1 ;;
	esac
	let_on
	wait "$taker"
	status=$?
	case $CASE in
	killed)	check "he has ended by that" [ $status = 137 ] ;;
	frozen)	check "he is refused it" [ $status != 0 ] ;;
	esac
	enter_stage
	fail "kexec"
	exit 1
}

# leave LEAD POINT: have the host replaced there
leave() {
	# shellcheck disable=SC2046	# words
	require "load the next kernel" load_stage $(note "$1")
	require "arm $2" sh -c "echo '$2 $mode' > $stop"
	# It is refused while root creates something.
	[ "$CASE" = now ] || [ ! -e "$pool" ] || write lossy_kexec 1
	drain
	lead_to "$1"
	# Whoever came there is held, or gone, and another task leaves. The VM's limit ends that.
	until grep -q '^armed:' "$stop"; do sleep 0.1; done
	fail "stopped at $2"
}

mode=kexec
[ "$CASE" != now ] || mode=now

# What was in the last kernel, and what comes in this one, and in the next one
points > /tmp/points
last=
[ "$STAGE" = 1 ] || last=$(sed -n "$((STAGE - 1))p" /tmp/points)
next=$(sed -n "${STAGE}p" /tmp/points)
after=$(sed -n "$((STAGE + 1))s/ .*//p" /tmp/points)

# A kernel that waits has done nothing with the pool. What was before is looked at in the next one.
if [ "${next% *}" = restore ]; then
	leave "${next% *}" "${next#* }"
	exit 1
fi
# In place of the pool, a kernel that was told to be for a crash dump has but its memory.
if [ ! -e "$pool" ]; then
	as_it_was
	exit 0
fi
[ -e "$stop" ] || skip_all "a kernel without points to stop at"

if [ -n "$last" ]; then
	echo "# stopped at ${last#* }, found:"
	if [ "$CASE" = now ]; then unsealed; else sealed "${last% *}" "${last#* }"; fi
fi
[ -n "$next" ] || exit 0

[ -e $fs/memory ] || check "witnesses" make_witnesses
all_clean
prepare "${next% *}"
case $CASE in
killed|frozen)
	give_up "${next% *}" "${next#* }" ;;
*)	leave "${next% *}" "${next#* }" ;;
esac
