#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G virtual=1 smp=1 timeout=200 disk="systemd systemd-14" flavours="release"
# vm: append="gmem_persist=1G,zeroed kho=on liveupdate=on"
#
# A unit's file descriptors go with it through a kexec: systemd hands what it stores for the
# unit to the Live Update Orchestrator, and to the unit again under the next kernel. One is a
# handle of gmemfs, of a file that has no name any more; one is a session of LUO, in which the
# unit has put another one itself.
#
# 1 stores both -> 2 has them; stores one of a file with a name, and starts gmem-freeze -> 3 has that
#
# See lib/systemd.sh. "stage" is the test, as a service that has them.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/systemd.sh
fs=/gmem

if [ $# = 0 ]; then
	[ -x /usr/bin/systemd-notify ] || { echo "1..0 # SKIP no newer systemd (scripts/systemd-14)"; ended skip; }
	mkdir -p $fs
	enabled gmem.mount
	become_systemd
fi
as_unit

# given NAME: the number of the descriptor that systemd has given this process under that name
given() {
	local n=3 name names="$LISTEN_FDNAMES:"
	while [ "$names" ]; do
		name=${names%%:*}
		names=${names#*:}
		[ "$name" != "$1" ] || { echo $n; return; }
		n=$((n + 1))
	done
	return 1
}

trap 'if [ $? != 0 ] || failed; then ended fail; fi' EXIT
echo "# given: $LISTEN_FDS, $LISTEN_FDNAMES"
session=$(given vm0) || { fail "there is a session"; exit 1; }

# store NAME PATH: let systemd store a handle of that file
store() { /usr/bin/systemd-notify --fd=8 --fdname="$1" FDSTORE=1 8<> "$2"; }

# stored N: systemd has so many
stored() {
	until [ "$(systemctl show -P NFileDescriptorStore gmem-fd-store)" = "$1" ]; do sleep 0.1; done
}

# leave: with all that is stored, as soon as this ends
leave() {
	require "load the next kernel" load_stage
	check "$(systemctl --version | head -n 1)" systemctl --no-block kexec
	failed || trap - EXIT
	exec sleep 1000
}

case $STAGE in
1)
	check "nothing is stored yet" not given ram0
	for name in ram0 ram1; do
		check "$name: memory with a pattern" gmem-file "$fs/$name" create truncate=64 map "fill=${name#ram}"
	done
	require "systemd stores a handle" store ram0 $fs/ram0
	require "and we keep one in our session" gmem-luo in="$session" rw=$fs/ram1 keep=1
	rm $fs/ram0 $fs/ram1
	stored 2
	leave
	;;
2)
	check "systemd has counted the kexec" test "$(systemctl show -P KExecCount)" = 1
	ram0=$(given ram0)
	require "it gives us what it has stored" test "$ram0"
	check "with all that was written there" gmem-luo fd="$ram0" size=64 verify=0
	check "and the session, which has the other one" gmem-luo in="$session" get=1 size=64 verify=1 finish
	# A frozen pool lets nothing without a name into a session, and systemd fills its own last of all.
	require "gmem-freeze" systemctl start gmem-freeze
	check "ram2: a file with a pattern" gmem-file $fs/ram2 create truncate=64 map fill=2
	require "systemd stores that, too" store ram2 $fs/ram2
	stored 3
	leave
	;;
3)
	ram2=$(given ram2)
	require "what has a name is given to us" test "$ram2"
	check "with all that was written there" gmem-luo fd="$ram2" size=64 same=$fs/ram2 verify=2
	check "what has none was lost by gmem-freeze" not given ram0
	ended pass
	;;
esac
