# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# For the VM tests, which start with:  . /tests/lib/test.sh
#
# STAGE is 1 in the first kernel and one more after each next_stage. A test is
# over, failed, when it exits not zero (4: skipped) or ever called "fail".
# Output is KTAP ("ok 1 message"), by the kernel's own helpers; numbers begin again in
# each kernel, and there is no plan. tests/README.md has the rest.
. /tests/lib/ktap_helpers.sh

# outcome KIND MESSAGE: of one sub-test. The helpers leave the message unquoted, where the
# shell takes a pattern in it for files.
outcome() {
	set -f
	"ktap_test_$1" "$2"
	set +f
}

# ok MESSAGE, fail MESSAGE
ok() { outcome pass "$*"; }
fail() { outcome fail "$*"; }

# skip MESSAGE REASON: this could not be tested here
skip() { outcome skip "$1: $2"; }

# xfail MESSAGE REASON: this is wrong, is known to be, and the reason names the fault
xfail() { outcome xfail "$1: $2"; }

# failed: did any sub-test in this kernel
failed() { [ "$KTAP_CNT_FAIL" != 0 ]; }

# check MESSAGE COMMAND...: a sub-test that passes when the command does
check() {
	local message=$1
	shift
	if "$@"; then ok "$message"; else fail "$message (exit $?: $*)"; fi
}

# require MESSAGE COMMAND...: the same, but without it going on makes no sense
require() {
	local message=$1
	shift
	if "$@"; then
		ok "$message"
	else
		fail "$message (exit $?: $*)"
		exit 1
	fi
}

# skip_all REASON: this kernel or machine cannot run the test
skip_all() {
	set -f
	ktap_skip_all "$*"
	exit "$KSFT_SKIP"
}

# selftest PROGRAM [ARGUMENT...]: run one of the kernel's selftests, by absolute
# path, since they open their own program file; exit status 4 means skipped.
selftest() {
	local name=$1 status=0
	shift
	"/bin/$name" "$@" || status=$?
	case $status in
	0)	ok "$name $*" ;;
	4)	skip "$name $*" "by the test itself" ;;
	*)	fail "$name $* (exit $status)" ;;
	esac
}

# result KEY VALUE: a figure for the runner's JSON
result() { echo "GMEM-RESULT: $1=$2"; }

# story TEXT: a line for the person who watches make demo
story() { echo "GMEM-STORY: $*"; }

# disk SERIAL: the device of that serial number
disk() {
	local serial
	for serial in /sys/block/*/serial; do
		[ "$(cat "$serial")" = "$1" ] || continue
		serial=${serial%/serial}
		echo "/dev/${serial##*/}"
	done
}

# drain: wait until the serial port has sent everything
drain() { [ ! -c /dev/ttyS1 ] || stty -F /dev/ttyS1 >/dev/null; }

# next_cmdline [WORD...]: the next kernel's command line, this one's with the words
# added, without what is for a single kernel only
next_cmdline() {
	local word cmdline=
	# shellcheck disable=SC2013	# words, not lines
	for word in $(cat /proc/cmdline); do
		case $word in
		gmem.stage=*|elfcorehdr=*) ;;
		*) cmdline="$cmdline $word" ;;
		esac
	done
	echo "${cmdline# } gmem.stage=$((${STAGE:-1} + 1)) $*"
}

# load_stage [WORD...]: load the next kernel, with the words added to the command
# line; to enter it later with enter_stage.
load_stage() {
	kexec -s -l /boot/bzImage --initrd=/boot/initrd --command-line="$(next_cmdline "$@")"
}

# enter_stage: leave this kernel for the loaded one. Returns only on failure.
enter_stage() {
	drain
	kexec -e
}

# next_stage [WORD...]: both. Whatever comes after it in a test is not run.
next_stage() {
	load_stage "$@" && enter_stage
	fail "kexec to the next stage"
	exit 1
}

# A test that failed anywhere has failed, whatever its last command said.
trap 'status=$?; ! failed || status=1; exit $status' EXIT
