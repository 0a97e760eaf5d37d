# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What the tests of sessions share.

# luo ACTION...: see gmem-luo.c; its figures stay where vmm's do
luo() { gmem-luo "$@" > /tmp/vmm; }

# luo_until WORD ACTION...: let a process do that until it says so; its pid is in $holder
luo_until() {
	local word=$1
	shift
	: > /tmp/holding
	gmem-luo "$@" > /tmp/holding &
	holder=$!
	until grep -q "$word" /tmp/holding; do
		kill -0 $holder 2> /dev/null || return 1
	done
}

# luo_hold ACTION...: the same, and stay
luo_hold() { luo_until holding "$@" hold; }
