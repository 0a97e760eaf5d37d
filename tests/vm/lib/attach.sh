# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# For tests of memory that was refused and becomes a file's again. Sourced after pool.sh, with
# gmemfs on /gmem.

# attach WORDS...: gmemctl attach; what it says stays in /tmp/said
attach() { gmemctl attach "$@" > /tmp/said 2>&1; }

# attach_fails TEXT FILE WORDS...: it must be refused for that reason, and leave no file
attach_fails() {
	local text="$1"
	shift
	! attach "$@" && grep -q "$text" /tmp/said && no_object "$1"
}

# ids NAME: uuid and token of an object
ids() { gmemctl token "/gmem/$1"; }

# noted NAME: the same, or where the object was, as kernel 1 had it: see note()
noted() { word "gmem.$1" | sed 's/ *$//'; }

# note NAME...: words of the command line for the next kernel
note() {
	local name
	for name in "$@"; do
		echo "gmem.$name=$(object "$name" ranges | tr '\n' ',')"
		echo "gmem.$name-ids=$(ids "$name" | tr ' ' ',')"
	done
}
