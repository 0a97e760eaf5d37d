# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What the tests of a guest's devices share; guest.sh comes before it. The guest is vm0, and its
# QEMU listens at /tmp/vm0.qmp.

# qmp COMMAND...: to QEMU; prints the answers
qmp() { gmem-qmp /tmp/vm0.qmp "$@"; }

# refused COMMAND...: it fails, and what it says is in /tmp/said
refused() {
	! "$@" > /tmp/said 2>&1 && cat /tmp/said
}

# last KEY: of the guest's last tick
last() { sed -n "s/.* tick .* $1=\([0-9]*\).* bad=[0-9]*$/\1/p" /tmp/vm0.log | tail -n 1; }

# reaches KEY OPERATOR NUMBER: wait for a tick of which that is true
reaches() {
	until test "$(last "$1")" "$2" "$3"; do
		ticks_on vm0
	done
}

# find_scratch: a disk to write to, $scratch
find_scratch() {
	local serial
	for serial in /sys/block/*/serial; do
		[ "$(cat "$serial")" != scratch ] || scratch=$(basename "${serial%/serial}")
	done
	require "there is a disk to write to" test -b "/dev/$scratch"
}
