#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=6G timeout=400 append="kho=on liveupdate=on gmem_persist=1G gmem_persist.clean=0" flavours="debug"
# vm again:
# vm kexec: timeout=900
# vm every: timeout=20000 flavours="bench"
# vm two:
#
# No memory at boot. A kernel with gmem_persist.later does nothing of what it would do with the
# pool at boot before "again" in debugfs is written to, or "restore"; then it does all of that, and
# "fail_start" says which allocation fails, and that is the end of the attempt.
#
# again: each allocation of each step fails once; then all is there.
# kexec: the host is replaced when one has failed, at some of them; every: at each of them, which
#	takes long (make sweep).
# two: two processes at once want all to be done.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/stop.sh

# The pages of hit that have errors
bad=0x3000

# again: try again, by the file for that if it is there
again() {
	if [ -e "$pool/restore" ]; then echo 1 > "$pool/restore"; else echo 1 > "$debugfs/again"; fi 2> /tmp/why
}

# prepare_failing: see gmem_persist_fail_nth.c; and nobody panics of what others warn of
prepare_failing() {
	[ -e "$debugfs/fail_start" ] || skip_all "the kernel makes no allocation fail"
	echo 0 > /proc/sys/kernel/panic_on_warn
	echo N > /sys/kernel/debug/failslab/ignore-gfp-wait
	echo N > /sys/kernel/debug/failslab/cache-filter
	echo N > /sys/kernel/debug/fail_page_alloc/ignore-gfp-wait
	echo N > /sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem
	echo 0 > /sys/kernel/debug/fail_page_alloc/min-order
	echo 0 > /sys/kernel/debug/failslab/verbose
	echo 0 > /sys/kernel/debug/fail_page_alloc/verbose
	# For an allocation that fails there may be a trace, as there is for a bug.
	echo 1 > /proc/sys/kernel/printk
}

# complaints: what the kernel has to say but that there is no memory. KHO itself warns if its
# debugfs has none.
complaints() {
	dmesg | grep -E 'BUG:|WARNING:|KASAN|UBSAN|ODEBUG|refcount_t|list_(add|del) corr|Oops' |
		grep -v 'kernel/liveupdate/kexec_handover.c'
}

# attempt N: the N-th allocation fails; prints how it ended: "complete", "failed" (which is what has
# to come of it), or "wrong"
attempt() {
	local status=0
	echo "$1" > "$debugfs/fail_start"
	again || status=$?
	if [ "$(cat "$debugfs/fail_start")" != 0 ]; then
		[ $status = 0 ] && echo complete || echo wrong
	else
		[ $status = 0 ] && echo complete-all-the-same || echo failed
	fi
	echo 0 > "$debugfs/fail_start"
}

# progress: how far it has come
progress() {
	cat "$debugfs/steps"
	[ ! -e "$pool/restore" ] || cat "$pool/restore"
}

# make_all: objects of all kinds
make_all() {
	mkdir -p /gmem
	mount -t gmemfs none /gmem
	check "good: an object" vmm create good size=64M seed=21 fill
	check "pieces: one in pieces" in_pieces pieces 24
	check "hit: one with a bad page" vmm create hit size=8M seed=25 fill
	hit=$(object hit ranges | sed 's/-.*//')
	check "its page" damage_page 0x3000
	check "a tree of directories" mkdir -p /gmem/a/b /gmem/c
	check "data in it" sh -c "seq 100000 > /gmem/a/b/data"
	check "an empty file" touch /gmem/c/empty
	# Its slot is hidden, and has a list.
	exec 9<> /gmem/hidden
	check "one without a name" sh -c "yes | head -c 6291456 >&9 && rm /gmem/hidden"
	umount /gmem
}

# damage_page OFFSET: a memory error in hit, whose memory begins at $hit
damage_page() { echo $((hit + $1)) > /sys/devices/system/memory/hard_offline_page; }

# no_instance: who asks by sysfs before there is gmemfs is told so
no_instance() {
	asked=yes
	check "nothing can be discarded yet" sh -c \
		"! echo good > $pool/discard 2> /tmp/why && grep -q 'temporarily unavailable' /tmp/why"
}

# keeps_nothing: who will be refused a name keeps no memory for it, be it for a moment in which
# somebody reads the record: it would be quarantined
keeps_nothing() {
	local creator status=0
	# Where a name is about to be given, with its memory kept
	hold_at name-kept
	gmem-payload create new size=4M > /tmp/vmm &
	creator=$!
	check "nothing is kept for it" not until_held_at name-kept $creator
	let_on
	wait $creator || status=$?
	check "and it is not" test $status = 3
}

# pending: all steps are done, and no object has been taken over, for there was no memory to read
# what there is
pending() {
	mkdir -p /gmem
	check "now gmemfs is there" mount -t gmemfs none /gmem
	check "with nothing in it" test -z "$(ls /gmem)"
	check "nobody gets a name: it may be theirs" not touch /gmem/new
	check "nor memory that has one" vmm_fails EBUSY reclaim good
	check "what has no name is kept for no session" \
		gmem-luo create=a tmp=/gmem truncate=2 EBUSY:keep=1
	keeps_nothing
	check "nothing is released" refused release all
	check "all of theirs is out of reach" not is quarantined_bytes 0
	check "a memory error in theirs is noted" damage_page 0x5000
	bad="0x3000 0x5000"
	umount /gmem
}

# all_there: and nothing else
all_there() {
	mkdir -p /gmem
	check "gmemfs" mount -t gmemfs none /gmem
	check "good" vmm reclaim good seed=21 verify
	check "pieces" vmm reclaim pieces seed=24 verify
	check "the bad pages of hit" test "$(object hit bad_pages | tr '\n' ' ')" = "$bad "
	check "data" sh -c "seq 100000 | cmp - /gmem/a/b/data"
	check "the empty file" test "$(stat -c %s /gmem/c/empty)" = 0
	check "nothing else" test "$(find /gmem -mindepth 1 | grep -v piece- | sort | tr '\n' ' ')" = \
		"/gmem/a /gmem/a/b /gmem/a/b/data /gmem/c /gmem/c/empty /gmem/good /gmem/hit /gmem/pieces "
	check "of the pieces, all" test "$(find /gmem -name 'piece-*' | wc -l)" = 15
	check "nothing is quarantined" is quarantined_bytes 0
	check "the pool adds up" adds_up
	check "nothing is left to be done" refused restore 1
	check "no problem in the record" gmemctl decode
	check "there is memory for others" vmm create new size=16M allzero
	check "who gives it back" write discard new
	umount /gmem
}

# nothing_yet: the pool cannot be used, and nothing says otherwise
nothing_yet() {
	mkdir -p /gmem
	check "no gmemfs yet" not mount -t gmemfs none /gmem
	check "no object yet" vmm_fails ENODEV create new size=2M
	check "no hibernation, for what is there would be lost" grep -q disabled /sys/power/disk
}

# load_same [WORD...]: load the next kernel. Its command line does not become longer each time.
load_same() {
	kexec -s -l /boot/bzImage --initrd=/boot/initrd --command-line="$(next_cmdline |
		sed 's/ gmem\.nth=[0-9]*//g; s/ gmem_persist\.later=.//g') gmem_persist.later=1 $*"
}

# replace [WORD...]: go on in the next kernel, in the state that this one is in
replace() {
	require "load the next kernel" load_same "$@"
	drain
	require "kexec" kexec -e
}

case $CASE-$STAGE in
*-1)
	[ -e "$debugfs/fail_start" ] || skip_all "the kernel makes no allocation fail"
	make_all
	next_stage gmem_persist.later=1 gmem.nth=1 gmem.hit="$hit"
	;;
again-2)
	prepare_failing
	nothing_yet
	hit=$(word gmem.hit) nr=0 n=1 was=$(progress) asked=
	while how=$(attempt $n); do
		[ "$how" = failed ] || break
		nr=$((nr + 1)) n=$((n + 1))
		now=$(progress)
		echo "# allocation $nr: steps done, objects left: $(progress | tr '\n' ' ')"
		[ "$now" = "$was" ] || n=1
		was=$now
		[ -n "$asked" ] || [ ! -e "$pool/discard" ] || no_instance
		[ "$bad" != 0x3000 ] || not logged "no memory to read the record" || pending
	done
	check "all is done when none is left that fails" test "${how%-all-the-same}" = complete
	echo "# $nr allocations failed"
	check "something did" test $nr -gt 100
	result allocations $nr
	all_there
	check "the kernel complains of nothing else" not complaints
	check "nor does lockdep" grep -q 'debug_locks: *1' /proc/lockdep_stats
	next_stage gmem_persist.later=0
	;;
again-3)
	bad="0x3000 0x5000"
	all_there
	;;
kexec-*|every-*)
	prepare_failing
	n=$(word gmem.nth)
	how=$(attempt "$n")
	echo "# allocation $n: $how"
	case $how in
	failed|complete-all-the-same)
		# The first ones are those without which there is no way into the next kernel.
		if [ "$CASE" = every ]; then next=$((n + 1)); else next=$((n == 1 ? 2 : n * 10)); fi
		if [ "$n" = 2 ]; then
			require "load the next kernel" load_same
			echo 1 > "$debugfs/fail_start"
			check "a kexec that would lose all is refused" not kexec -e
			check "and says why" logged "kexec refused: no-memory"
		fi
		check "the kernel complains of nothing else" not complaints
		replace gmem.nth=$next
		;;
	complete)
		check "it came to something" test "$n" -gt 100
		all_there
		check "the kernel complains of nothing else" not complaints
		;;
	*)
		fail "allocation $n: $how, $(cat /tmp/why)"
		;;
	esac
	;;
two-2)
	nothing_yet
	# One of them does it all, and the other one finds that it has been done, or nothing to do.
	check "four at once" sh -c "gmem-race again $debugfs/again 4 > /tmp/race"
	sed 's/^/# /' /tmp/race
	check "one of them did it" not grep -q -x "done=0" /tmp/race
	check "the others found that it was done" not grep -q -v -e ENOENT -e "done=" /tmp/race
	check "once" test "$(dmesg | grep -c 'objects taken over')" = 1
	all_there
	next_stage gmem_persist.later=0
	;;
two-3)
	all_there
	;;
esac
