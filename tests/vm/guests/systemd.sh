#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G virtual=1 smp=1 timeout=400 disk="guest systemd" flavours="release"
# vm: append="gmem_persist=1G,zeroed kho=on systemd.default_standard_output=kmsg systemd.default_standard_error=kmsg"
#
# The units of tools/gmem_persist/restart, with Debian's systemd as the first process: vm0
# goes on under the next kernel after nothing but "systemctl kexec".
#
# Without an argument this is that first process, until it becomes systemd. With one it is a
# unit of the test's own: "console" listens to the guest for as long as that runs, "noted" is
# when that has ended, "frozen" when gmem-freeze has, and "stage" is the test.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh
. /tests/lib/systemd.sh

if [ $# = 0 ]; then
	[ -e /lib/systemd/systemd ] || { echo "1..0 # SKIP no systemd (scripts/systemd)"; ended skip; }
	mkdir -p /etc/gmem
	qemu_guest vm0 256M 16
	mkfifo /tmp/vm0.console
	enabled gmem.mount gmem-freeze.service gmem-vm@vm0.service
	become_systemd
fi
as_unit

case $1 in
console)
	exec gmem-stamp /tmp/vm0.console >> /tmp/vm0.log
	;;
noted)
	note_tick vm0
	exit 0
	;;
frozen)
	# Not when the machine is not going down.
	systemctl list-jobs --no-legend | grep -q kexec.target || exit 0
	check "gmem-freeze has frozen the pool" is holders operator
	exit 0
	;;
esac

trap 'if [ $? != 0 ] || failed; then ended fail; fi' EXIT
case $STAGE in
1)
	check "gmemfs is mounted" state gmem.mount active
	check "vm0 runs" state gmem-vm@vm0 active
	require "vm0 works" swept vm0
	pid=$(cat /run/gmem/vm0.pid)
	check "systemd knows its QEMU" property gmem-vm@vm0 MainPID "$pid"
	kill -9 "$pid"
	require "QEMU is killed: it is started again" sh -c "until [ -e /run/gmem/vm0.pid ] &&
		[ \$(cat /run/gmem/vm0.pid) != $pid ]; do sleep 0.1; done"
	require "vm0 boots anew" becomes gmem-vm@vm0 active
	require "vm0 works" swept vm0
	check "vm0 is fine" guest_fine vm0
	require "load the next kernel" load_stage
	echo "# systemctl kexec"
	drain
	systemctl --no-block kexec
	;;
2)
	check "vm0 runs" state gmem-vm@vm0 active
	require "vm0 works" swept vm0
	check "it goes on" goes_on vm0
	check "and is fine" guest_fine vm0

	require "systemctl stop" systemctl stop gmem-vm@vm0
	check "saves it" test "$(gmem-vm status vm0)" = saved
	require "systemctl start" systemctl start gmem-vm@vm0
	require "lets it go on" swept vm0
	check "fine as ever" guest_fine vm0
	check "saved by hand it stays down" gmem-vm save vm0
	check "as it should" becomes gmem-vm@vm0 inactive
	printf x | dd of=/gmem/vm0 bs=1 conv=notrunc 2>/dev/null
	check "somebody writes to its memory: it is stale" not systemctl start gmem-vm@vm0
	check "and stays down" state gmem-vm@vm0 failed
	check "without further tries" property gmem-vm@vm0 NRestarts 0
	check "what was saved is kept" test "$(gmem-vm status vm0 2>/dev/null)" = stale
	gmem-vm drop vm0
	require "dropped, it starts" systemctl start gmem-vm@vm0
	require "and boots anew" swept vm0

	check "gmem-freeze thaws a pool that was left frozen" sh -c "
		systemctl stop gmem-freeze && [ \$(cat $pool/frozen) = 1 ] &&
		systemctl start gmem-freeze && [ \$(cat $pool/frozen) = 0 ]"
	sed -i 's/^PATIENCE=.*/PATIENCE=10/' /etc/gmem/vm0.conf
	check "a guest that does not listen is switched off" gmem-vm shutdown vm0
	require "and stays down" becomes gmem-vm@vm0 inactive
	check "with nothing saved" test "$(gmem-vm status vm0)" = "memory only"
	check "where there is no gmemfs no VM is started" not env GMEM_DIR=/tmp gmem-vm start vm0
	check "and nothing is put there" test ! -e /tmp/vm0
	failed || ended pass
	;;
esac
