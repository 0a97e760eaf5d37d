#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=8G timeout=200 append="kho=on gmem_persist=2G gmem_persist.clean=0" flavours="release debug"
#
# The CPU time that it takes to clear memory is its creator's, however many CPUs do it.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/stop.sh
fs=/gmem
. /tests/lib/files.sh

cg=/sys/fs/cgroup
tracing=/sys/kernel/tracing

# used: CPU time of the group, in microseconds
used() { sed -n 's/^usage_usec //p' $cg/payer/cpu.stat; }

# In the background by itself, so that its process is the program
# shellcheck disable=SC2016	# for the inner shell
enter='echo $$ > "$0/cgroup.procs" && exec "$@"'

# who: what cleared memory for the last file, by its name
who() { sed -n 's/^ *\(.*\)-[0-9]* .*: gmem_clean: .*/\1/p' $tracing/trace | sort -u; }

# clearing: how long that took all CPUs together, in microseconds
clearing() {
	sed -n 's/.*: gmem_clean: .* ns=\([0-9]*\) .*/\1/p' $tracing/trace |
		awk '{ ns += $1 } END { printf "%.0f", ns / 1000 }'
}

# pays FILE ACTION...: the group that creates it pays for the better part of the clearing
pays() {
	local before file=$1
	shift
	before=$(used)
	echo > $tracing/trace
	sh -c "$enter" $cg/payer gmem-file "$fs/$file" create "$@" truncate=1500 || return
	echo "# $(($(used) - before)) of $(clearing) us"
	[ $((4 * ($(used) - before))) -gt $((3 * $(clearing))) ]
}

# status_is PID REGEX: of a process that has not gone
status_is() { ! [ -e "/proc/$1/status" ] || grep -q "$2" "/proc/$1/status" 2>/dev/null; }

[ "$(nproc)" -ge 2 ] || skip_all "there is no other CPU"
mkdir $cg/payer
mount -t tracefs tracefs $tracing
echo 1 > $tracing/events/gmem_persist/gmem_clean/enable

write clean_threads 1
check "one CPU clears: the group pays" pays one
check "that was the creator" [ "$(who)" = gmem-file ]
rm $fs/one
write clean_threads 0
check "all CPUs clear: the group pays" pays two
who > /tmp/who
check "the creator was one of them" grep -qx gmem-file /tmp/who
check "its thread another" grep -qx gmem_clear /tmp/who
check "nobody else" [ "$(wc -l < /tmp/who)" = 2 ]
rm $fs/two

# alone_again: a process that has had memory cleared has no other thread when it comes back,
# also if that takes its time to end
alone_again() {
	local creating
	hold_at helper-ends
	gmem-file $fs/again create truncate=1500 alone > /tmp/again &
	creating=$!
	until_held_at helper-ends $creating || return
	# It waits, or has not waited and is gone.
	until status_is $creating "^State:.[DZ]"; do :; done
	# Nobody else waits for that, who takes the lock of the inode.
	chmod 600 $fs/again
	let_on
	wait $creating
}
if [ -e "$stop" ]; then
	check "its thread ends before the creation does" alone_again
	rm $fs/again
else
	skip "its thread ends before the creation does" "no points to stop at"
fi
check "only CPUs that it may use: the group pays" pays three cpu=1
check "that was the creator, alone" [ "$(who)" = gmem-file ]
rm $fs/three

# ended_by WAY: a creation in the middle of it, without memory; its threads must go before
# anything else
ended_by() {
	local creating size
	hold_at helper-clear
	sh -c "$enter" $cg/payer gmem-file $fs/gone create truncate=1900 > /tmp/gone &
	creating=$!
	until_held_at helper-clear $creating || return
	case $1 in
	freeze)
		echo 1 > $cg/payer/cgroup.freeze
		let_on
		until grep -q "frozen 1" $cg/payer/cgroup.events; do :; done
		;;
	STOP)
		kill -STOP $creating
		let_on
		until status_is $creating "^State:.[TZ]"; do :; done
		;;
	*)
		kill -"$1" $creating
		let_on
		;;
	esac
	until status_is $creating "^Threads:.1$"; do :; done
	kill -CONT $creating 2>/dev/null
	echo 0 > $cg/payer/cgroup.freeze
	wait $creating
	echo "# its status is $?"
	size=$(stat -c %s $fs/gone)
	rm $fs/gone
	[ "$size" = 0 ]
}

for way in KILL TERM STOP freeze; do
	if [ -e "$stop" ]; then
		check "ended by $way" ended_by $way
	else
		skip "ended by $way" "no points to stop at"
	fi
done
check "nobody is left" [ -z "$(cat $cg/payer/cgroup.procs)" ]
check "the pool adds up" adds_up
check "nothing is used" is used_bytes 0
