#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=7G timeout=200 append="kho=on gmem_persist=1G gmem_persist.clean=0" flavours="release debug"
#
# Who reads and writes memory of the pool byte by byte, or has it cleared, interrupts no
# other CPU for that.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/files.sh

# interrupted: how often another CPU has interrupted CPU 1, to have it do something
interrupted() { awk '$1 == "CAL:" || $1 == "TLB:" { n += $3 } END { print n }' /proc/interrupts; }

# quiet COMMAND...: CPU 1 is interrupted now and then at most, by whatever else goes on
quiet() {
	local before now
	before=$(interrupted)
	"$@" || return
	now=$(interrupted)
	echo "# CPU 1 was interrupted $((now - before)) times"
	[ $((now - before)) -lt 200 ]
}

[ "$(nproc)" -ge 2 ] || skip_all "there is no other CPU"

check "data, 10000 bytes" quiet file data create cpu=0 bytes=10000
check "a guest's memory" file vm0 create truncate=4
check "10000 bytes of that" quiet file vm0 rw cpu=0 bytes=10000
check "clearing" quiet file vm1 create cpu=0 truncate=1000
