#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=7G timeout=150 append="kho=on liveupdate=on gmem_persist=1G gmem_persist.clean=0" flavours="debug"
#
# No memory when a session is retrieved, for which LUO asks once.
#
#   1 takes sessions along -> 2 retrieves handles of objects without names, while one allocation
#   fails, and gets all of them; and some while all fail, and gets none -> 3 has these in
#   quarantine, and root has their memory back
#
# That the second attempt may have the last of the memory is not seen here: what makes allocations
# fail does not ask who asks.
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
M=$((1 << 20))
. /tests/lib/files.sh
. /tests/lib/luo.sh
debugfs=/sys/kernel/debug
handles=$(seq 10)

# complaints: what the kernel has to say but that there is no memory. LUO itself warns if there is
# none for a note of a file that has been retrieved.
complaints() {
	dmesg | grep -E 'BUG:|WARNING:|KASAN|UBSAN|ODEBUG|refcount_t|list_(add|del) corr|Oops' |
		grep -v 'kernel/liveupdate/luo_file.c'
}

# slot_of_refused: the number of the slot of the one object that was refused
slot_of_refused() {
	gmemctl decode | awk '
		/PROBLEM: an earlier kernel has refused it/ { found = 1 }
		found && $1 == "slot" { sub(",", "", $2); print $2; exit }'
}

# prepare_failing: who has make-it-fail set gets no memory, and fail-nth works; nobody panics of
# what LUO warns of
prepare_failing() {
	local fault
	echo 0 > /proc/sys/kernel/panic_on_warn
	for fault in failslab fail_page_alloc; do
		echo N > $debugfs/$fault/ignore-gfp-wait
		echo Y > $debugfs/$fault/task-filter
		echo 100 > $debugfs/$fault/probability
		echo -1 > $debugfs/$fault/times
		echo 0 > $debugfs/$fault/verbose
	done
	echo N > $debugfs/failslab/cache-filter
	echo 0 > $debugfs/fail_page_alloc/min-order
	echo N > $debugfs/fail_page_alloc/ignore-gfp-highmem
	# For an allocation that fails there may be a trace, as there is for a bug.
	echo 1 > /proc/sys/kernel/printk
}

# on_each WORDS...: these words for each handle, with its number for each N
on_each() {
	local n word
	for n in $handles; do
		for word; do
			echo "$word" | sed "s/N/$n/g"
		done
	done
}

[ -e $debugfs/failslab ] || skip_all "the kernel makes no allocation fail"

case $STAGE in
1)
	[ -e /dev/liveupdate ] || skip_all "a kernel without LUO"
	check "vm0: a file with a pattern" file vm0 create truncate=8 map fill=61
	# shellcheck disable=SC2046	# words
	require "one: objects without names" \
		luo_hold create=one $(on_each "tmp=$fs" truncate=2 fill=N keep=N)
	require "none: another, and vm0" \
		luo_hold create=none tmp=$fs truncate=6 fill=62 keep=1 rw=$fs/vm0 keep=2
	next_stage
	;;
2)
	prepare_failing
	check "all is there" is used_bytes $((34 * M))
	# shellcheck disable=SC2046	# words
	check "one allocation fails: all handles are there" \
		luo session=one $(on_each nth=N retry=N verify=N) finish
	sed 's/^/# /' /tmp/vmm
	check "and go with their process" is used_bytes $((14 * M))
	check "all allocations fail: LUO asks once" luo session=none starve ENOMEM:get=1 \
		ENOMEM:get=2 fed ENOMEM:get=1 ENOMEM:get=2 finish
	check "it is said what comes of that" logged "no handle could be retrieved (-"
	check "no memory is lost by that" is used_bytes $((14 * M))
	check "what has a name is had by that" file vm0 rw map verify=61
	check "nothing is quarantined" is quarantined_bytes 0
	check "the pool adds up" adds_up
	check "the kernel complains of nothing else" not complaints
	next_stage
	;;
3)
	check "what had no name is quarantined" is quarantined_bytes $((6 * M))
	check "with the reason" logged "(without name): an earlier kernel has refused it"
	check "root has it back" gmemctl attach $fs/back --slot "$(slot_of_refused)"
	check "as it was" file back rw map verify=62
	check "nothing is quarantined" is quarantined_bytes 0
	check "and so is what had a name" file vm0 rw map verify=61
	check "the pool adds up" adds_up
	;;
esac
