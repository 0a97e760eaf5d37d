# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# For tests that have somebody stand still at a point of the kernel (mm/gmem_persist/stop.c), so
# that it does not depend on who is faster whether he is met in the middle of something.
# Sourced after pool.sh.

debugfs=/sys/kernel/debug/gmem_persist
stop=$debugfs/stop

# hold_at POINT[:N]: who comes there next, or the N-th time from now on, is to stand still
hold_at() { echo "$1 hold" > $stop; }

# held_at POINT: somebody stands there
held_at() { grep -q "^held: $1 " $stop; }

# until_held_at POINT PID: wait until somebody does; false if that process ended before
until_held_at() {
	until held_at "$1"; do
		kill -0 "$2" 2>/dev/null || return 1
	done
}

# let_on: who stands there goes on, and nobody is held after him
let_on() {
	echo off > $stop
	echo go > $stop
}
