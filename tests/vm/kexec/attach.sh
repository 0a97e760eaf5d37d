#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=6G timeout=300 append="kho=on gmem_persist.clean=0 gmem_persist=1G" flavours="release debug"
#
# What the record cannot tell any more comes back by root's word: damaged slots and lists,
# objects that claim the same memory, data; and directories that are in each other.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/stop.sh
. /tests/lib/attach.sh

M=$((1 << 20))

mkdir -p /gmem
mount -t gmemfs none /gmem

# said_errno ERRNO: that was refused, for that reason
said_errno() { grep -q -x "errno=$1" /tmp/other; }

# waits PID: it waits for a lock, and not just for a moment
waits() {
	for _ in $(seq 50); do
		grep -q '^State:.D' "/proc/$1/status" || return 1
	done
}

# attach_while_writing ADDRESS: somebody writes to the file, and does not come to an end. Who attaches
# memory to it does not wait for him, with all of the quarantine.
attach_while_writing() {
	local writer attacher
	hold_at data-written
	gmem-file /gmem/text create write=1 > /tmp/writer &
	writer=$!
	check "somebody is in the middle of a write()" until_held_at data-written $writer
	gmem-file /gmem/text rw "attach=$1" > /tmp/other &
	attacher=$!
	until waits $attacher || ! kill -0 $attacher; do :; done 2> /tmp/said
	let_on
	check "who writes goes on" wait $writer
	check "nothing is attached to a file that is written to" not wait $attacher
	check "who asks for that does not wait" said_errno EBUSY
	check "nor to one that has memory" not sh -c \
		"gmem-file /gmem/text rw attach=$1 > /tmp/other"
	check "and says so" said_errno EEXIST
	check "limits add up" quotas_add_up
	rm /gmem/text
}

# others_are_there: whoever was not damaged
others_are_there() { vmm reclaim good seed=21 verify && [ "$(cat /gmem/home/text)" = text ]; }

case $STAGE in
1)
	check "good: an object" vmm create good size=64M seed=21 fill
	check "bad: another" vmm create bad size=32M seed=22 fill
	check "pieces: one in pieces" in_pieces pieces 24
	check "one: another" vmm create one size=16M seed=25 fill
	check "two: another of that size" vmm create two size=16M seed=26 fill
	check "data: a file" sh -c "seq 100000 > /gmem/data"
	check "home: a directory with a file" sh -c "mkdir /gmem/home && echo text > /gmem/home/text"
	check "outer and inner: one directory in another" mkdir -p /gmem/outer/inner
	check "with a file" sh -c "echo deep > /gmem/outer/inner/deep"
	# It has no name, but an open file: its slot is hidden.
	exec 9<> /gmem/hidden
	check "hidden: 4 MiB of data" sh -c "yes | head -c 4194304 >&9"
	check "without a name" rm /gmem/hidden
	# shellcheck disable=SC2046	# words
	require "load the next kernel" load_stage $(note bad pieces one)
	require "freeze" write frozen 1
	for what in "object bad" "list pieces" "overlap one two" "object data" "hidden" "inside outer inner"; do
		# shellcheck disable=SC2086	# words
		require "damage: $what" gmem-corrupt $what
	done
	enter_stage
	fail "kexec"
	;;
2)
	check "good and home are as they were" others_are_there
	for name in bad pieces one two data; do
		check "$name is refused" logged "object $name: .*: its memory is quarantined"
		check "$name is not there" no_object "$name"
	done
	check "what had no name is no loss" logged "slot [0-9]*: its checksum is wrong: it was hidden, and nothing is lost"
	check "so much is quarantined" is quarantined_bytes $(((32 + 30 + 16 + 16 + 2) * M))
	check "the pool adds up" adds_up

	# One of the two is lost, and the other one is in it.
	check "directories that are in each other are not" logged "the directory in slot [0-9]* is missing"
	check "and whole" test "$(cat /gmem/lost+*/inner/deep)" = deep
	check "outer can be moved home" mv "$(echo /gmem/lost+*/inner/outer)" /gmem/
	check "and inner into it" mv "$(echo /gmem/lost+*/inner)" /gmem/outer/
	check "nothing else was there" rmdir /gmem/lost+*
	check "all is as it was" test "$(cat /gmem/outer/inner/deep)" = deep

	# What cannot be had
	good=$(object good ranges)
	free=$(gmemctl decode | sed -n '/^dirty/,/^quarantined/s/^  \(0x.*\)-.*/\1/p' | head -n 1)
	check "what has an owner is not attached" attach_fails "not all of this memory is quarantined" thief "$good"
	check "nor what is free" attach_fails "not all of this memory is quarantined" thief \
		"$free-$(printf '%#x' $((free + 2 * M - 1)))"
	check "nor what is in no pool" attach_fails "not all of this memory is quarantined" thief \
		0xffffff00000000-0xffffff001fffff
	bad=$(noted bad)
	check "nor a part of a granule" attach_fails impossible thief "${bad%-*}-$(printf '%#x' $((${bad%-*} + M - 1)))"
	check "nor the same twice" attach_fails "named twice" thief "$bad" "$bad"
	check "nor with another's slot" attach_fails "it was not refused" thief --slot "$(slot_of good)" "$bad"
	check "nor by anybody but root" sh -c "mkdir -p /etc && echo 'someone:x:1000:1000::/:/bin/sh' >> /etc/passwd
		mkdir -m 777 /gmem/open && ! su someone -c 'gmemctl attach /gmem/open/thief $bad' 2> /tmp/said &&
		grep -q 'Operation not permitted' /tmp/said && rmdir /gmem/open"
	check "freeze" write frozen 1
	check "nor in a frozen pool" sh -c "! gmemctl attach thief $bad 2> /tmp/said && grep -i -E 'frozen|busy' /tmp/said"
	check "thaw" write frozen 0
	[ ! -e "$stop" ] || attach_while_writing "${bad%-*}"
	check "nothing has changed by that" is quarantined_bytes $(((32 + 30 + 16 + 16 + 2) * M))

	# bad: its slot says where it was.
	slot=$(slot_of bad)
	check "attach bad" attach bad --slot "$slot"
	check "it is where it was" test "$(cat /tmp/said)" = "$bad"
	check "logged" logged "object bad: 32 MiB are attached that were quarantined"
	check "its contents" vmm reclaim bad seed=22 verify
	check "less is quarantined" is quarantined_bytes $(((30 + 16 + 16 + 2) * M))
	check "it is another object" test "$(ids bad | cut -d ' ' -f 1)" != "$(noted bad-ids | cut -d ' ' -f 1)"
	check "of which nothing saved is fresh" test "$(ids bad | cut -d ' ' -f 2)" != "$(noted bad-ids | cut -d ' ' -f 2)"
	check "root's alone" test "$(stat -c '%a %u' /gmem/bad)" = "600 0"
	check "its slot is given up" test -z "$(gmemctl decode | grep "slot $slot,")"
	check "not again" attach_fails "it was not refused" again --slot "$slot"

	# pieces: its list is damaged, and the kernel shows it all the same.
	slot=$(slot_of pieces)
	check "the damaged list is shown" test "$(gmemctl decode | sed -n "/slot $slot,/,/^object/s/^  0x/&/p" | wc -l)" = 15
	check "which is not right" attach_fails . pieces --slot "$slot"
	# shellcheck disable=SC2046	# words
	check "attach pieces, as it was noted" attach pieces --slot "$slot" $(noted pieces)
	check "its contents" vmm reclaim pieces seed=24 verify
	check "in as many pieces" test "$(object pieces ranges | wc -l)" = 15

	# one and two: root knows who is right.
	check "attach two" attach two --slot "$(slot_of two)"
	check "its contents" vmm reclaim two seed=26 verify
	check "one does not get the same" attach_fails "not all of this memory is quarantined" one --slot "$(slot_of one)"
	check "but what it had" attach one --slot "$(slot_of one)" "$(noted one)"
	check "its contents" vmm reclaim one seed=25 verify
	check "attach data, in a directory" attach home/data --slot "$(slot_of data)"
	check "its contents" sh -c "seq 100000 | cmp - /gmem/home/data"
	check "it can grow" sh -c "yes | head -c 4194304 >> /gmem/home/data"
	check "and shrink" sh -c "seq 100000 > /gmem/home/data"

	check "nothing is quarantined" is quarantined_bytes 0
	check "the pool adds up" adds_up
	check "no problem is left" gmemctl decode
	next_stage
	;;
3)
	check "nothing is refused" not logged "quarantined"
	check "good and home are as they were" others_are_there
	check "bad" vmm reclaim bad seed=22 verify
	check "pieces" vmm reclaim pieces seed=24 verify
	check "one" vmm reclaim one seed=25 verify
	check "two" vmm reclaim two seed=26 verify
	check "data" sh -c "seq 100000 | cmp - /gmem/home/data"
	check "outer and inner" test "$(cat /gmem/outer/inner/deep)" = deep
	check "no problem" gmemctl decode
	# I1: what was attached is cleared before anybody else gets it.
	for name in bad one two pieces; do
		check "discard $name" write discard "$name"
	done
	check "what is free comes cleared" vmm create new size="$(free_mib)M" allzero
	;;
esac
