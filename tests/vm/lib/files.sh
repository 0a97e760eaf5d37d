# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What the tests of gmemfs share. It is mounted at $fs when this is read.

fs=${fs:-/gmem}

# file PATH ACTION...: see gmem-file.c; its figures stay where vmm's do
file() {
	local path=$1
	shift
	gmem-file "$fs/$path" "$@" > /tmp/vmm
}

# file_fails ERRNO PATH ACTION...: the last action must fail, with that errno
file_fails() {
	local errno=$1 status=0 last
	shift
	for last in "$@"; do :; done
	file "$@" || status=$?
	[ $status = 3 ] && [ "$(figure errno)" = "$errno" ] && [ "$(figure failed)" = "$last" ]
}

# fails_with TEXT COMMAND...: it fails, and says so
fails_with() {
	local text=$1
	shift
	! "$@" 2> /tmp/said && grep -q "$text" /tmp/said
}

# attr FORMAT PATH VALUE: what stat says
attr() { [ "$(stat -c "$1" "$fs/$2")" = "$3" ]; }

# hold PATH ACTION...: let a process do that and stay; its pid is in $holder
hold() {
	local path=$1
	shift
	# The child empties it, too, but we may look before that, and find what the last one said.
	: > /tmp/holding
	gmem-file "$fs/$path" "$@" hold > /tmp/holding &
	holder=$!
	until grep -q holding /tmp/holding; do
		kill -0 $holder 2>/dev/null || return 1
	done
}

# let_go: end it
let_go() {
	kill "$holder"
	wait "$holder"
	:
}

mkdir -p "$fs"
require "mount" mount -t gmemfs none "$fs"
