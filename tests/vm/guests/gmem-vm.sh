#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G virtual=1 smp=1 timeout=400 append="gmem_persist=1G,zeroed kho=on" disk=guest flavours="release"
# vm kill: timeout=900
# vm term:
# vm room:
# vm refuse: scratch=64
# vm waits:
# vm stop:
# vm cpu:
# vm known:
# vm order:
# vm disks: scratch=64
#
# gmem-vm does not lose a guest, and never runs it twice. The guest counts, and its log must
# have each number once.
#
# kill:   SIGKILL before each of its calls that others notice (gmem-at), at saving and at going
#         on; "start" then brings the guest back, whatever there is. Then with QEMU killed, too
# term:   SIGTERM, at every third of these
# room:   no room for what is saved
# refuse: two at once; what is damaged, or somebody else's; memory of before; what cannot be read
# waits:  a guest that nobody has let run yet (-S) is not let run by anything else
# stop:   what becomes of a guest when the host goes down, and how
# known:  what its QEMU has told when it started is used for just that QEMU; what is plugged
#         while it runs is asked for
# disks:  it writes to a disk all the time, and goes on from that, also after a kexec; not if somebody
#         else has written to it, or it is another one
# order:  of many, in which one after the other goes on, and is saved; who waits is killed
# cpu:    a kernel under which the CPU has no AVX any more, and one under which it has
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh
. /tests/lib/ticker.sh

# sweep SIGNAL STEP COMMAND BEFORE AFTER: COMMAND with that signal before its first call, before
# the one STEP later, and so on until it comes to its end. Each time it begins in a state in
# which BEFORE is true, and AFTER brings it back to that.
sweep() {
	local signal=$1 step=$2 command=$3 before=$4 after=$5 n=1 status what
	while :; do
		require "$before" "$before"
		status=0
		gmem-at "$signal" "$n" gmem-vm "$command" vm > /tmp/at 2> /tmp/said || status=$?
		[ $status = 0 ] || break
		what="$command, signal $signal before call $n, $(sed -n 's/^call=//p' /tmp/at)"
		check "$what: there is one" once
		check "$what: $after" "$after"
		failed && { cat /tmp/at /tmp/said /tmp/back; tail -n 3 /tmp/vm.log; exit 1; }
		n=$((n + step))
	done
	require "$command comes to its end, at call $n" grep -q '^status=0$' /tmp/at
	result "${command}_calls" "$n"
}

# sweep_both: at going on, both gmem-vm and its QEMU are killed. It is saved still, and only while it is
# loaded KVM may have written to its memory without a word; or, from one moment on, it has gone on, and
# what is there is its memory.
sweep_both() {
	local n=1 gone='' written='' status call
	while :; do
		require "it is saved" is_saved
		status=0
		gmem-at 9 "$n" gmem-vm start vm > /tmp/at 2>&1 || status=$?
		[ $status = 0 ] || break
		call=$(sed -n 's/^call=//p' /tmp/at)
		[ "$(qemus)" = 0 ] || kill_qemu vm
		case $(gmem-vm status vm 2>/dev/null) in
		saved)	check "killed before call $n, $call, with QEMU: saved still" test ! "$gone"
			[ "$written" != yes ] || written=noted
			check "and so it goes on" saved_again ;;
		stale)	check "killed before call $n, $call, with QEMU: while it was loaded" \
				test ! "$gone" -a "$written" != noted
			written=yes
			check "who knows that lets it go on" gmem-vm start --override vm
			check "and so it does" saved_again ;;
		"memory only")
			[ "$gone" ] || check "the first call behind: $call" test "$call" = rename
			gone=yes
			ok "killed before call $n, $call, with QEMU: it had gone on"
			rm /tmp/vm.log
			check "boots anew" saved_again ;;
		*)	fail "killed before call $n, $call, with QEMU" ;;
		esac
		failed && { cat /tmp/at /tmp/back; gmem-vm status vm; tail -n 3 /tmp/vm.log; exit 1; }
		n=$((n + 1))
	done
}

# qemus: how many QEMUs run, once nobody is about to start one. While it begins there are two
# processes.
qemus() {
	while [ "$(processes gmem-vm)" -gt 0 ] || [ "$(processes 'qemu-system-[^/]*')" -gt 1 ]; do
		sleep 0.05
	done
	processes 'qemu-system-[^/]*'
}

# processes REGEX: how many there are of such a program
# shellcheck disable=SC2010	# what the links lead to, not file names
processes() { ls -l /proc/[0-9]*/exe 2> /dev/null | grep -c -- "/$1\$"; }

# sleeps PID: how often it has gone to sleep
sleeps() { sed -n 's/^voluntary_ctxt_switches:[^0-9]*//p' "/proc/$1/status"; }

# once: there is a QEMU, or what was saved
once() {
	local nr
	nr=$(qemus)
	case $(gmem-vm status vm 2>/dev/null) in
	running|interrupted) [ "$nr" = 1 ] ;;
	saved)	[ "$nr" = 0 ] ;;
	*)	false ;;
	esac
}

# runs: it does, and has from its first number on
runs() { status_is vm running && ticks_more vm && one_life vm; }

is_saved() { status_is vm saved; }

# back: start brings it back, if it does not run
back() {
	gmem-vm start vm > /tmp/back 2>&1 || grep -q "it is running" /tmp/back || return
	runs && [ ! -e "$fs/vm.state" ] && [ ! -e "$fs/vm.saved" ] && as_usual
}

# is_paused: its QEMU runs, and the guest does not
is_paused() {
	status_is vm running && gmem-qmp "$GMEM_RUN/vm.qmp" query-status |
		grep -q '"status": "\(paused\|postmigrate\)"'
}

# few_files COMMAND...: gmem-vm with as many files as it takes to get the lock
few_files() { sh -c 'ulimit -n 4; exec gmem-vm "$@"' sh "$@" > /tmp/said 2>&1; }

# locked FILE HOW: let a process have it locked; its pid is in $holder
locked() {
	: > /tmp/holding
	gmem-file "$GMEM_RUN/$1" create "$2" hold > /tmp/holding & holder=$!
	until grep -q holding /tmp/holding; do sleep 0.05; done
}

# waits: the VM of that name has a QEMU, and has not run
waits() {
	status_is waits running && [ ! -s /tmp/waits.log ] &&
		gmem-qmp "$GMEM_RUN/waits.qmp" query-status | grep -q '"running": false'
}

# paused_again: start brings it back, if there is no QEMU, and it is paused
paused_again() {
	gmem-vm start vm > /tmp/back 2>&1 || grep -q "it is running" /tmp/back || return
	is_paused && [ ! -e "$fs/vm.state" ] && as_usual
}

# saved_again: back, and saved
saved_again() { back && gmem-vm save vm > /dev/null 2>&1 && is_saved; }

# as_usual: QEMU is not set in a way that would spoil its own snapshots
as_usual() {
	gmem-qmp "$GMEM_RUN/vm.qmp" query-migrate-capabilities query-migrate-parameters > /tmp/qmp &&
		grep -q '"state": false, "capability": "x-ignore-shared"' /tmp/qmp &&
		grep -q '"mode": "normal"' /tmp/qmp
}

# fill NAME: take all memory of the pool that is free
fill() {
	local free
	free=$(free_bytes)
	[ "$free" = 0 ] || truncate -s "$free" "$fs/$1"
}

# says TEXT: gmem-vm has, in the last "run"
says() { grep -q -e "$1" /tmp/said; }

# uuid FILE: which memory it is
uuid() { gmemctl token "$1" | cut -d ' ' -f 1; }

# flip OFFSET: another byte in what was saved, and at the second time the same as before
flip() {
	local byte
	byte=$(dd if="$fs/vm.state" bs=1 skip="$1" count=1 2>/dev/null | od -A n -t u1)
	# shellcheck disable=SC2059	# that is the format
	printf "\\$(printf %o $((byte ^ 4)))" |
		dd of="$fs/vm.state" bs=1 seek="$1" conv=notrunc 2>/dev/null
}

# run STATUS COMMAND...: gmem-vm ends with that; what it says is in /tmp/said
run() {
	local want=$1
	shift
	exits "$want" gmem-vm "$@" > /tmp/said 2>&1 || { cat /tmp/said; return 1; }
}

# held COMMAND...: do that with a QEMU that waits for /tmp/go before it starts; when it does, go on
held() {
	rm -f /tmp/go /tmp/waits
	cat > /tmp/held <<-EOF
		#!/bin/sh
		touch /tmp/waits
		until [ -e /tmp/go ]; do sleep 0.1; done
		exec /qemu/$qemu/qemu-system-x86_64 "\$@"
	EOF
	chmod +x /tmp/held
	cp "$GMEM_CONF/vm.conf" /tmp/vm.conf
	echo QEMU=/tmp/held >> "$GMEM_CONF/vm.conf"
	"$@" > /tmp/held.said 2>&1 & held=$!
	until [ -e /tmp/waits ]; do sleep 0.1; done
}

# let_go: so that it starts
let_go() { touch /tmp/go; mv /tmp/vm.conf "$GMEM_CONF/"; }

# host_does UNIT: stop the guest, when that is what systemd is about to start
host_does() {
	mkdir -p /tmp/fake
	cat > /tmp/fake/systemctl <<-EOF
		#!/bin/sh
		[ \$# -gt 2 ] || seq -f '%g some-unit-of-many.service stop running' 9999
		echo "321 $1 start waiting"
	EOF
	chmod +x /tmp/fake/systemctl
	PATH=/tmp/fake:$PATH run 0 stop vm
}

# saved_cpu: of what was saved
saved_cpu() { head -c 4096 "$fs/vm.state" | tr -d '\000' | sed -n 's/^cpu //p'; }

# plant LINE: what is known of vm2's QEMU, as if that line were of the process
plant() {
	{ printf '%s\n' "$1"; head -c 128 /dev/zero; } | head -c 128 > "$GMEM_RUN/vm.qemu"
	tail -c +129 /tmp/other >> "$GMEM_RUN/vm.qemu"
}

# process: the line of vm's QEMU
process() { head -n 1 "$GMEM_RUN/vm.qemu"; }

# asked WHAT: with that in place of what was known, QEMU is asked for it when it is saved
asked() {
	require "$1: it is saved" run 0 save vm
	check "$1: with its own CPU" test "$(saved_cpu)" = "$own"
	require "$1: goes on" run 0 start vm
	check "$1: as if nothing had been" runs
}

# in_turn NAME COMMAND: wait for its turn to do that with the VM
in_turn() {
	gmem-vm "$2" "$1" > "/tmp/$1.said" 2>&1 &
	eval "turn_$1=$!"
	# SYS_poll, or SYS_flock
	until [ -e "$GMEM_RUN/.crowd/$1" ] && grep -qE '^(7|73) ' "/proc/$(turn "$1")/syscall"; do
		sleep 0.05
	done
}

# nr_saved NAME: how many were, when it was, as it said
nr_saved() { sed -n 's/.* \([0-9]*\) of [0-9]* saved.*/\1/p' "/tmp/$1.said"; }

# turn NAME: the process that waits
turn() { eval "echo \$turn_$1"; }

# writer DISK FORMAT: settings of a guest that boots from a disk, and counts there (gmem-disk-ticker);
# it has one that it only reads, a drive with nothing in it, and a part of a file
writer() {
	cat > "$GMEM_CONF/vm.conf" <<-EOF
		QEMU=/qemu/$qemu/qemu-system-x86_64
		MEMORY=64M
		PATIENCE=60
		CPU=qemu64
		QEMU_ARGS="-nodefaults -no-user-config -display none -vga none -nic none -smp 1
			-L /usr/share/qemu -drive file=$1,if=none,id=disk,format=$2
			-device virtio-blk-pci,drive=disk,bootindex=0
			-drive file=/mnt/cd,media=cdrom,format=raw -drive if=ide,media=cdrom,id=none
			-blockdev driver=file,filename=/mnt/parts,node-name=parts
			-blockdev driver=raw,file=parts,offset=512,size=512,node-name=part
			-device virtio-blk-pci,drive=part"
	EOF
}

# wrote BYTE: the number that is there on its disk
wrote() { od -A n -t u4 -j "$1" -N 4 /mnt/disk | tr -d ' '; }

# writes: it does, and has not booted again
writes() {
	local before
	before=$(wrote 516)
	until [ "$(wrote 516)" -gt "$before" ]; do sleep 0.05; done
	[ "$(wrote 512)" = 1 ]
}

# payload: length of what QEMU has written
payload() { head -c 4096 "$fs/vm.state" | tr -d '\000' | sed -n 's/^payload \([0-9]*\) .*/\1/p'; }

# kept: nothing of what was saved is another one than in /tmp/before, and there is no QEMU
kept() { cmp "$fs/vm.state" /tmp/before && [ "$(qemus)" = 0 ]; }

# disk_refused STATUS TEXT: gmem-vm does not start it, for a reason
disk_refused() {
	cp "$fs/vm.state" /tmp/before
	check "it is refused" run "$1" start vm
	check "for a reason" says "$2"
	check "and kept as it is" kept
}

guest_setup
ticker vm

case $CASE in
kill|term)
	signal=9 step=1
	[ "$CASE" = kill ] || { signal=15 step=3; ticker_clock vm; }
	require "a new guest" gmem-vm start vm
	sweep $signal $step save runs back
	require "it is saved" is_saved
	sweep $signal $step start is_saved saved_again
	require "the last one brought it back" runs
	if [ "$CASE" = kill ]; then
		require "it is paused" gmem-qmp "$GMEM_RUN/vm.qmp" stop
		sweep $signal 3 save is_paused paused_again
		require "and comes back" paused_again
		require "until it is let go on" gmem-qmp "$GMEM_RUN/vm.qmp" cont
		require "as if nothing had been" runs
		require "of another guest" kill_qemu vm
		rm /tmp/vm.log
		ticker_clock vm
		require "KVM writes to the memory when it is loaded" gmem-vm start vm
		require "it runs" runs
		require "it is saved" gmem-vm save vm
		sweep_both
	fi
	check "a kill of QEMU is the end of it" kill_qemu vm
	check "of which nothing is saved" status_is vm "memory only"
	;;
room)
	# Memory that has to be saved, but is empty: the room is far more than what is saved.
	# shellcheck disable=SC2016	# by the shell that reads the settings
	ticker vm 'QEMU_ARGS="$QEMU_ARGS -m 64M,slots=1,maxmem=1G
		-object memory-backend-ram,id=dimm,size=32M -device pc-dimm,memdev=dimm"'
	require "a new guest" run 0 start vm
	check "has room to be saved" object_is vm.room kind data
	require "it runs" runs
	write frozen 1
	check "in a frozen pool it is not saved" run 1 save vm
	check "for a reason" says "the pool is frozen, so nothing can be saved (gmemctl thaw)"
	write frozen 0
	check "and runs on" runs
	require "the pool is full" fill filler
	check "it is saved nevertheless" run 0 save vm
	check "with a warning: no kernel is loaded" says "a kexec now would lose it: no-image"
	fill filler1
	check "and goes on in a full pool" run 0 start vm
	check "in which it still has its room" not says "saving it may fail"
	check "as if nothing had been" runs
	rm "$fs/vm.room"
	require "the pool is full, without room for it" fill filler2
	check "it is not saved" run 1 save vm
	check "for a reason" says "no room for the .* MiB that it may be, in $fs/vm.room: No space left"
	check "and runs on" runs
	check "as usual" as_usual
	check "with nothing left behind" test ! -e "$fs/vm.state" -a ! -e "$fs/vm.saved"
	ticker vm2
	check "a new guest is not started without room" run 1 start vm2
	rm "$fs/filler2"
	check "with room it is saved" run 0 save vm
	rm -f "$fs/filler" "$fs/filler1"

	# Its state on a small disk
	mkdir -p /tmp/small
	mount -t tmpfs -o size=1M none /tmp/small
	check "goes on" run 0 start vm
	export GMEM_STATE=/tmp/small
	check "a disk that is full: not saved" run 1 save vm
	check "for a reason" says "No space left"
	check "runs on" runs
	mount -o remount,size=64M /tmp/small
	check "one that is not: saved" run 0 save vm
	check "there" test -s /tmp/small/vm.state
	ram=$(uuid "$fs/vm")
	mount -t tmpfs none /tmp/small
	check "the disk is not mounted: not taken for a new one" run 3 start vm
	check "for a reason" says "/tmp/small/vm.state is not there"
	check "its memory is kept" test "$(uuid "$fs/vm")" = "$ram"
	umount /tmp/small
	check "goes on from there" run 0 start vm
	check "as if nothing had been" runs
	# As when a save was called off on a disk that had just become read-only
	require "saved there" run 0 save vm
	cp /tmp/small/vm.state /tmp/before
	require "goes on" run 0 start vm
	mv /tmp/before /tmp/small/vm.state
	mount -o remount,ro /tmp/small
	sed -i 's/^PATIENCE=.*/PATIENCE=3/' "$GMEM_CONF/vm.conf"
	check "its disk has become read-only: it cannot be saved" run 1 save vm
	check "and runs on" ticks_more vm
	check "a host that goes down" run 0 stop vm
	check "shuts it down" says "the guest is shut down instead"
	mount -o remount,rw /tmp/small
	check "it had run: what was saved is of no use" run 3 start vm
	require "it is dropped" run 0 drop vm
	rm /tmp/vm.log
	require "a new guest" run 0 start vm
	ram=$(uuid "$fs/vm")
	check "shut down" run 0 shutdown vm
	check "it leaves no room behind" test ! -e /tmp/small/vm.room -a ! -e "$fs/vm.spare"
	check "and no mark" test ! -e "$fs/vm.saved"
	export GMEM_STATE=/tmp/nowhere
	check "with nowhere to save it, it is not started" run 1 start vm
	check "and its memory is kept" test "$(uuid "$fs/vm")" = "$ram"
	unset GMEM_STATE

	# Memory of devices: a screen's, and firmware in flash
	# shellcheck disable=SC2016	# by the shell that reads the settings
	ticker vm2 'QEMU_ARGS="$QEMU_ARGS -device VGA,romfile=
		-drive if=pflash,format=raw,readonly=on,file=/bin/gmem-ticker"'
	check "with a screen and flash it starts" run 0 start vm2
	check "it runs" ticks_more vm2
	check "has room for both" [ "$(stat -c %b "$fs/vm2.room")" -gt $((16 * 2048)) ]
	require "the pool is full" fill filler
	check "it is saved nevertheless" run 0 save vm2
	check "and goes on" run 0 start vm2
	check "as if nothing had been" ticks_more vm2
	check "without a gap" one_life vm2
	;;
refuse)
	check "who asks for help is told, on standard output" \
		sh -c "gmem-vm --help > /tmp/help && grep -q '^usage: ' /tmp/help"
	check "without a command it fails" exits 2 gmem-vm
	for name in .x vm.state vm.room a,b a/b ''; do
		check "\"$name\" is no name" run 2 start "$name"
	done
	mkdir /tmp/a,b
	for variable in CONF DIR STATE RUN; do
		for folder in /tmp/a,b gmem; do
			check "\"$folder\" is no GMEM_$variable" \
				exits 2 env "GMEM_$variable=$folder" gmem-vm start vm
		done
	done
	check "nothing was made there" rmdir /tmp/a,b
	require "a new guest" run 0 start vm
	require "it runs" runs
	check "not from elsewhere, too" exits 1 env GMEM_RUN=/tmp/elsewhere gmem-vm start vm
	check "it runs on" runs

	check "to look for its QEMU takes a file: it is not taken for one that has none" \
		exits 1 few_files stop vm
	check "for a reason" says "whether there is a QEMU cannot be told: $GMEM_RUN/vm.pid: Too many open files"
	check "it runs on" runs
	check "what has neither settings nor a QEMU is none" run 1 check vm2
	ln -s vm2.pid "$GMEM_RUN/vm2.pid"
	for command in status check stop save shutdown drop; do
		check "a pidfile that cannot be read: $command" run 1 $command vm2
		check "for a reason" says "whether there is a QEMU cannot be told: $GMEM_RUN/vm2.pid: "
	done
	rm "$GMEM_RUN/vm2.pid"
	locked vm2.pid lock
	check "a lock that is no process's is no QEMU's" run 1 status vm2
	check "for a reason" says "who has locked $GMEM_RUN/vm2.pid is none"
	kill $holder
	rm "$GMEM_RUN/vm2.pid"

	locked vm.lock flock
	gmem-vm save vm > /tmp/one 2>&1 & one=$!
	# It has opened it, and will try for a second.
	# shellcheck disable=SC2010	# what the links are to
	until ls -l /proc/$one/fd 2>/dev/null | grep -q "/vm.lock$"; do kill -0 $one || break; done
	kill $holder
	check "who only looks is in nobody's way for long" wait $one
	locked vm.lock flock
	check "who stays is" run 1 start vm
	check "for a reason" says "somebody else is starting or stopping it"
	kill $holder
	require "goes on" run 0 start vm
	check "its status cannot be written" exits 1 sh -c "gmem-vm status vm > /dev/full"

	gmem-vm save vm > /tmp/one 2>&1 & one=$!
	gmem-vm save vm > /tmp/two 2>&1 & two=$!
	wait $one; one=$?
	wait $two; two=$?
	check "of two who save it, one does ($one, $two)" test $((one + two)) = 1
	check "it is saved" is_saved
	mv /dev/kvm /dev/kvm.later
	gmem-vm start vm > /tmp/one 2>&1 & one=$!
	# 35, 230: nanosleep() and clock_nanosleep()
	until grep -qE '^(35|230) ' /proc/$one/syscall; do
		[ -d /proc/$one ] || break
	done
	check "on a host that has no KVM yet it waits" test "$(processes gmem-vm) $(processes "qemu-system-[^/]*")" = "1 0"
	mv /dev/kvm.later /dev/kvm
	check "and goes on when there is" wait $one
	check "as if nothing had been" runs
	require "saved again" run 0 save vm
	gmem-vm start vm > /tmp/one 2>&1 & one=$!
	gmem-vm start vm > /tmp/two 2>&1 & two=$!
	wait $one; one=$?
	wait $two; two=$?
	check "of two who start it, one does ($one, $two)" test $((one + two)) = 1
	check "it goes on" runs
	check "once" test "$(qemus)" = 1

	require "it is paused" gmem-qmp "$GMEM_RUN/vm.qmp" stop
	require "saved" run 0 save vm
	require "and comes back" run 0 start vm
	check "paused" is_paused
	require "until it is let go on" gmem-qmp "$GMEM_RUN/vm.qmp" cont
	check "as if nothing had been" runs

	mount -t tmpfs none "$pool"
	require "in a container, without sysfs, it is saved" run 0 save vm
	check "and goes on" run 0 start vm
	umount "$pool"
	check "as if nothing had been" runs

	sed -i 's/^MEMORY=.*/MEMORY=96M/' "$GMEM_CONF/vm.conf"
	require "its settings are edited while it runs, and it is saved" run 0 save vm
	check "by these it is refused" run 3 start vm
	check "for a reason" says "it is of a VM with MEMORY=65536K"
	sed -i 's/^MEMORY=.*/MEMORY=64M/' "$GMEM_CONF/vm.conf"
	check "they are corrected: it goes on" run 0 start vm
	check "as if nothing had been" runs

	require "saved" run 0 save vm
	mkdir "$fs/there"
	ram=$(uuid "$fs/vm")
	export GMEM_STATE="$fs/there"
	check "what was saved is looked for elsewhere: not a new guest" run 3 start vm
	check "for a reason" says "$fs/there/vm.state is not there: it was saved as $fs/vm.state"
	unset GMEM_STATE
	mv "$fs/vm.state" "$fs/there/"
	check "it is lost: not a new guest either" run 3 start vm
	mv "$fs/there/vm.state" "$fs/"
	# As when save and QEMU were killed between the mark and the name
	flip 9999
	mv "$fs/vm.state" "$fs/vm.room"
	check "it has no name yet, and is damaged: not that either" run 3 start vm
	check "and has none" says "$fs/vm.state is not there"
	mv "$fs/vm.room" "$fs/vm.state"
	flip 9999
	mv "$fs/vm.state" "$fs/vm.room"
	check "it has no name yet: saved" is_saved
	check "a start" run 0 start vm
	check "as if nothing had been" runs
	require "saved" run 0 save vm
	ram=$(uuid "$fs/vm")
	mv "$fs/vm" "$fs/vm2"
	ticker vm2
	for keep in '' --keep-memory; do
		# shellcheck disable=SC2086	# a word, or none
		check "another one does not get its memory, $keep" run 1 start $keep vm2
		check "for a reason" says "a guest that is saved has $fs/vm2: $fs/vm.s"
	done
	mv "$fs/vm2" "$fs/vm"
	check "which is kept" test "$(uuid "$fs/vm")" = "$ram"
	check "it goes on" run 0 start vm
	check "as if nothing had been" runs

	require "saved" run 0 save vm
	for at in 0 9 30 100 4095 4096 9999; do
		flip $at
		check "byte $at is another one: stale" status_is vm stale
		check "and refused" run 3 start vm
		check "also by who knows better" run 3 start --override vm
		flip $at
	done
	gmem-file "$fs/vm" rw put=1 > /dev/null
	check "somebody has written to its memory" run 3 start vm
	check "for a reason" says "$fs/vm has been written to since"
	check "who knows better goes on" run 0 start --override vm
	check "which is written down" says "by --override, although $fs/vm has been written to"
	check "it goes on" ticks_more vm
	check "and is shut down" run 0 shutdown vm

	disk="-drive file=/tmp/disk,if=virtio,format=raw"
	truncate -s 1M /tmp/disk
	rm /tmp/vm.log
	ticker_clock vm "QEMU_ARGS=\"\$QEMU_ARGS $disk\""
	ticker_clock vm2 "QEMU_ARGS=\"\$QEMU_ARGS $disk\""
	require "a new guest with a disk" run 0 start vm
	require "runs" runs
	require "saved" run 0 save vm
	require "somebody else uses its disk" run 0 start vm2
	check "QEMU does not let it go on" run 1 start vm
	check "for a reason" says "QEMU refuses cont: "
	check "it is saved still, whatever KVM has written" is_saved
	check "and has left no QEMU" test "$(processes 'qemu-system-[^/]*')" = 1
	kill_qemu vm2
	check "its disk is free: it goes on" run 0 start vm
	check "as if nothing had been" runs
	kill_qemu vm

	# shellcheck disable=SC2016	# by the shell that reads the settings
	ticker vm 'QEMU_ARGS="$QEMU_ARGS -m 64M,slots=1,maxmem=1G
		-object memory-backend-file,id=dimm,size=32M,mem-path=/gmem/dimm,share=on,align=2M
		-device pc-dimm,memdev=dimm"'
	truncate -s 32M "$fs/dimm"
	gmem-file "$fs/dimm" rw put=1 > /dev/null
	ram=$(uuid "$fs/vm") dimm=$(uuid "$fs/dimm")
	check "a new guest has new memory" run 0 start vm
	check "of its own" test "$(uuid "$fs/vm")" != "$ram"
	check "and the other, which QEMU_ARGS= name" test "$(uuid "$fs/dimm")" != "$dimm"
	kill_qemu vm
	ram=$(uuid "$fs/vm") dimm=$(uuid "$fs/dimm")
	check "unless it shall be what is there" run 0 start --keep-memory vm
	check "its own" test "$(uuid "$fs/vm")" = "$ram"
	check "and the other" test "$(uuid "$fs/dimm")" = "$dimm"

	require "saved" run 0 save vm
	sed -i 's#/dimm,#/dimm2,#' "$GMEM_CONF/vm.conf"
	check "settings with other memory: refused" run 1 start vm
	check "for a reason" says "$fs/dimm2 is no memory that it had"
	sed -i 's#/dimm2,#/dimm,#' "$GMEM_CONF/vm.conf"
	sed "s#/tmp/vm.log#/tmp/vm2.log#" "$GMEM_CONF/vm.conf" > "$GMEM_CONF/vm2.conf"
	for keep in '' --keep-memory; do
		# shellcheck disable=SC2086	# a word, or none
		check "another new guest would write to its memory: refused, $keep" run 1 start $keep vm2
		check "for a reason" says "a guest that is saved has $fs/dimm: $fs/vm.s"
	done
	check "without a QEMU" test "$(qemus)" = 0
	chmod +t "$fs/dimm"
	check "one that may write to it" run 0 start vm2
	check "leaves that alone" says "a guest that is saved has $fs/dimm: $fs/vm.s"
	kill_qemu vm2
	chmod -t "$fs/dimm"
	check "with its own it goes on" run 0 start vm
	check "which is what it was" test "$(uuid "$fs/dimm")" = "$dimm"
	kill_qemu vm
	# shellcheck disable=SC2016	# by the shell that reads the settings
	ticker vm 'QEMU_ARGS="$QEMU_ARGS -m 64M,slots=2,maxmem=1G
		-object memory-backend-file,id=d1,size=32M,mem-path=/gmem/dimm,share=on
		-object memory-backend-file,id=d2,size=32M,mem-path=/gmem/dimm2,share=on
		-device pc-dimm,memdev=d1 -device pc-dimm,memdev=d2"'
	rm /tmp/vm.log
	truncate -s 32M "$fs/dimm2"
	require "two of a size" run 0 start vm
	require "saved" run 0 save vm
	sed -i 's#/dimm2,#/dimm3,#; s#/dimm,#/dimm2,#; s#/dimm3,#/dimm,#' "$GMEM_CONF/vm.conf"
	check "one in the other's place: refused" run 1 start vm
	check "for a reason" says "is the memory of d[12]+0, and was that of d[12]+0"
	sed -i 's#/dimm2,#/dimm3,#; s#/dimm,#/dimm2,#; s#/dimm3,#/dimm,#' "$GMEM_CONF/vm.conf"
	check "each in its own: it goes on" run 0 start vm
	check "as if nothing had been" runs
	require "a kernel is loaded" load_stage
	check "it could be saved" run 0 check vm
	check "but has small leaves without align=2M" says "/gmem/dimm2* has small leaves"
	mkdir -p /run/systemd/system /sys/fs/cgroup/session-1.scope /sys/fs/cgroup/vm0.service
	cat "$GMEM_RUN/vm.pid" > /sys/fs/cgroup/session-1.scope/cgroup.procs
	check "started in a session it would be killed with it" run 1 check vm
	check "for a reason" says "it would end with the session that has started it"
	cat "$GMEM_RUN/vm.pid" > /sys/fs/cgroup/vm0.service/cgroup.procs
	check "not so by a service, of whatever name" run 0 check vm
	cat "$GMEM_RUN/vm.pid" > /sys/fs/cgroup/cgroup.procs
	rmdir /run/systemd/system /sys/fs/cgroup/session-1.scope /sys/fs/cgroup/vm0.service
	chmod +t "$fs/dimm"
	check "nor do others use what they may" run 0 check vm
	exec 5< "$fs/dimm"
	check "one does: that would be stale" run 1 check vm
	check "for a reason" says "others use $fs/dimm, too"
	exec 5<&-
	kill_qemu vm
	# shellcheck disable=SC2016	# by the shell that reads the settings
	ticker vm 'QEMU_ARGS="$QEMU_ARGS -m 64M,slots=1,maxmem=1G
		-object memory-backend-file,id=dimm,size=32M,mem-path=/gmem/dimm,share=on,align=2M
		-device pc-dimm,memdev=dimm"'
	sed -i 's#/dimm,#/dimm,discard-data=on,#' "$GMEM_CONF/vm.conf"
	check "memory that QEMU would clear: refused" run 2 start vm
	check "for a reason" says "with discard-data=on, QEMU would clear what is to be kept"
	for word in -snapshot "-drive file=/tmp/disk,format=raw,snapshot=on"; do
		ticker disk "QEMU_ARGS=\"\$QEMU_ARGS $word\""
		check "$word: refused" run 2 start disk
		check "for a reason" says "with snapshot=on, what the guest writes to its disks would be lost"
	done
	# shellcheck disable=SC2016	# by the shell that reads the settings
	ticker disk 'QEMU_ARGS="$QEMU_ARGS -drive file=/tmp/snapshot-yes,if=none,format=raw,snapshot=off"'
	: > /tmp/snapshot-yes
	check "without it, it starts" run 0 start disk
	kill_qemu disk
	mkdir -p /mnt
	require "a disk" sh -c "mke2fs -b 4096 $(disk scratch) > /tmp/said &&
		mount -t ext4 $(disk scratch) /mnt && mkdir /mnt/folder"
	sed -i 's#/gmem/dimm,discard-data=on,#/mnt/folder,#' "$GMEM_CONF/vm.conf"
	check "memory in a folder of a disk, which goes with QEMU: refused" run 1 start vm
	check "for a reason" says "its memory /mnt/folder.* is not on gmemfs and would be lost"
	sed -i 's#/mnt/folder,#/tmp/dimm,#' "$GMEM_CONF/vm.conf"
	check "memory that this kernel will take with it: refused" run 1 start vm
	check "for a reason" says "its memory /tmp/dimm is not on gmemfs and would be lost"
	;;
waits)
	require "a kernel is loaded" load_stage
	ticker a=b
	check "a name like a setting" run 0 start a=b
	check "is one" ticks_more a=b
	kill_qemu a=b

	# A guest that has not been started
	# shellcheck disable=SC2016	# by the shell that reads the settings
	ticker waits 'QEMU_ARGS="$QEMU_ARGS -S"'
	check "with -S a new guest is there" run 0 start waits
	check "and waits" waits
	ticker waits
	check "by settings without -S, too" run 0 check waits
	check "to ask for it starts nobody" waits
	echo "fi" > "$GMEM_CONF/waits.conf"
	check "nor by settings that cannot be read" run 0 check waits
	check "starts it" waits
	ticker waits
	check "it is running" run 1 start waits
	check "but nobody has let it run" waits
	# A file system that cannot promise room
	mkdir -p /tmp/small
	mount -t ramfs none /tmp/small
	check "saving it is called off" exits 1 sh -c "trap '' XFSZ; ulimit -f 16
		GMEM_STATE=/tmp/small exec gmem-vm save waits > /tmp/said 2>&1"
	check "in the middle" says "cannot write /tmp/small/waits.room after "
	check "and it waits" waits
	kill_qemu waits
	# shellcheck disable=SC2016	# by the shell that reads the settings
	ticker waits 'QEMU_ARGS="$QEMU_ARGS -S"'
	require "another one" run 0 start waits
	ticker waits
	check "it is saved" run 0 save waits
	check "and is there again" run 0 start waits
	check "as it was" says "is as it was, paused"
	check "and waits" waits
	check "it is saved again" run 0 save waits
	check "and is there again" run 0 start waits
	check "and waits" waits
	require "it is let run" gmem-qmp "$GMEM_RUN/waits.qmp" cont
	check "from its beginning" ticks_more waits
	check "without a gap" one_life waits
	kill_qemu waits
	# As when start is killed before it lets it run
	ticker waits QEMU=/tmp/lost-qemu
	cat > /tmp/lost-qemu <<-EOF
		#!/bin/sh
		/qemu/$qemu/qemu-system-x86_64 "\$@"
		if mv /tmp/start /tmp/started; then kill -9 "\$(cat /tmp/started)"; fi
	EOF
	chmod +x /tmp/lost-qemu
	rm /tmp/waits.log
	sh -c 'echo $$ > /tmp/start; exec gmem-vm start waits' > /tmp/said 2>&1
	check "a start was killed: its guest does not run" waits
	check "to save it does not start it" run 0 save waits
	check "but it was to run" run 0 start waits
	check "and does" ticks_more waits
	kill_qemu waits
	rm /tmp/waits.log
	sh -c 'echo $$ > /tmp/start; exec gmem-vm start waits' > /tmp/said 2>&1
	check "another one was killed" waits
	check "start brings it to its end" run 0 start waits
	check "it runs" ticks_more waits
	;;
stop)
	check "it does not run: nothing to do" run 0 stop vm
	held gmem-vm start vm
	gmem-vm stop vm > /tmp/said 2>&1 & stop=$!
	let_go
	check "a guest that starts" wait $held
	check "and is stopped meanwhile" wait $stop
	require "is saved" is_saved
	sed -i 's/^PATIENCE=.*/PATIENCE=3/' "$GMEM_CONF/vm.conf"
	held gmem-vm start vm
	gmem-vm stop vm > /tmp/said 2>&1 & stop=$!
	# SYS_flock
	until grep -q '^73 ' /proc/$stop/syscall; do sleep 0.1; done
	# It looks again each second.
	before=$(sleeps $stop)
	while [ -e /proc/$stop/exe ] && [ "$(sleeps $stop)" -lt $((before + 5)) ]; do sleep 0.1; done
	check "of one that does not come up: stop waits for longer than PATIENCE" test -e /proc/$stop/exe
	kill $stop
	check "until it is told to end" exits 1 wait $stop
	check "says so" says "somebody else is starting or stopping it"
	kill $held
	check "it can be told to end" exits 1 wait $held
	check "says so" grep -q "vm: interrupted" /tmp/held.said
	check "without a QEMU" test "$(qemus)" = 0
	check "and is saved still" is_saved
	let_go
	gmem-vm drop vm
	rm /tmp/vm.log
	for unit in reboot poweroff halt kexec; do
		require "a new guest" run 0 start vm
		check "$unit.target" host_does "$unit.target"
		check "its memory would be lost: it is shut down" says "memory does not survive this, so the guest is shut down: "
		check "in the end by force" says "the guest does not shut down: its power goes off"
		check "and not saved" status_is vm "memory only"
	done
	check "for a reason" says "no-image"
	sed -i 's/^PATIENCE=.*/PATIENCE=60/' "$GMEM_CONF/vm.conf"
	require "a new guest" run 0 start vm
	PATH=/tmp/fake:$PATH gmem-vm stop vm > /tmp/said 2>&1 & stop=$!
	until says "so the guest is shut down"; do sleep 0.05; done
	kill_qemu vm
	check "its QEMU is killed meanwhile: it is not shut down" exits 1 wait $stop
	check "says so" says "QEMU has ended"
	sed -i 's/^PATIENCE=.*/PATIENCE=3/' "$GMEM_CONF/vm.conf"
	rm /tmp/vm.log
	require "a new guest" run 0 start vm
	for unit in soft-reboot multi-user; do
		check "$unit.target" host_does "$unit.target"
		check "it is saved" is_saved
		require "goes on" run 0 start vm
	done
	require "saved" run 0 save vm
	cp "$fs/vm.state" /tmp/before
	require "goes on" run 0 start vm
	check "as if nothing had been" runs
	require "it is paused" gmem-qmp "$GMEM_RUN/vm.qmp" stop
	cp /tmp/before "$fs/vm.state"
	check "nobody knows whether it has run since: not saved" run 1 save vm
	check "for a reason" says "QEMU has it, stopped, and $fs/vm has been written to since"
	check "nor shut down when the host goes down: what was saved may be all there is" run 1 stop vm
	check "which is there still" test -s "$fs/vm.state"
	kill_qemu vm
	gmem-vm drop vm
	rm /tmp/vm.log
	require "a new guest" run 0 start vm
	require "a kernel is loaded" load_stage
	mv "$GMEM_CONF/vm.conf" /tmp/
	echo "QEMU_ARGS='" > "$GMEM_CONF/vm.conf"
	check "kexec.target, and settings that cannot be read" host_does kexec.target
	check "which is said" says "vm.conf is no shell file"
	check "it is saved" is_saved
	check "but it does not start by them" run 2 start vm
	mv /tmp/vm.conf "$GMEM_CONF/"
	require "goes on" run 0 start vm
	check "kexec.target" host_does kexec.target
	check "it is saved" is_saved
	require "goes on" run 0 start vm
	check "as if nothing had been" runs
	GMEM_STATE=/tmp
	for i in $(seq 15); do GMEM_STATE=$GMEM_STATE/$(printf %0250d "$i"); done
	export GMEM_STATE
	mkdir -p "$GMEM_STATE"
	check "a note that would be too long" run 1 check vm
	check "is one before the guest is stopped" says "could not be saved now: its memory is too many files"
	export GMEM_STATE=/tmp
	check "to a disk that this kernel takes with it" run 1 check vm
	check "for a reason" says "/tmp/vm.state is not on gmemfs or a disk and would be lost"
	check "it is saved" run 0 save vm
	check "with a warning" says "a kexec now would lose it: /tmp/vm.state is not on gmemfs or a disk"
	check "which check gives, too" exits 1 gmem-vm check
	require "goes on" run 0 start vm
	check "and none where it is safe" exits 0 env GMEM_STATE="$fs" gmem-vm check
	check "kexec.target" host_does kexec.target
	check "it is shut down" says "so the guest is shut down: /tmp/vm.state is not on gmemfs"
	unset GMEM_STATE
	rm /tmp/vm.log
	require "a new guest" run 0 start vm
	rm "$fs/vm.room"
	require "the pool is full" fill filler
	check "saving fails" host_does kexec.target
	check "so it is shut down" says "the guest is shut down instead"
	check "and not saved" status_is vm "memory only"
	;;
known)
	ticker vm2 CPU=qemu64,-pni
	require "a guest with another CPU" run 0 start vm2
	cp "$GMEM_RUN/vm2.qemu" /tmp/other
	kill_qemu vm2
	# shellcheck disable=SC2016	# by the shell that reads the settings
	ticker vm 'QEMU_ARGS="$QEMU_ARGS -m 64M,slots=2,maxmem=1G -qmp unix:/tmp/vm0.qmp,server=on,wait=off"'
	require "a new guest" run 0 start vm
	require "it runs" runs
	was=$(process)
	rm "$GMEM_RUN/vm.qemu"
	require "nothing is known: it is saved" run 0 save vm
	own=$(saved_cpu)
	check "with all that QEMU tells" test "$own"
	require "goes on" run 0 start vm
	check "and is known" test "$(process | cut -d ' ' -f 2)" = "$(cat "$GMEM_RUN/vm.pid")"
	plant "$was"
	asked "a QEMU of before"
	# shellcheck disable=SC2046	# five words
	set -- $(process)
	plant "$1 $2 $(($3 - 1)) $4 $5"
	asked "another process of that number"
	# shellcheck disable=SC2046	# five words
	set -- $(process)
	plant "$1 $2 $3 ${4}0 $5"
	asked "another program in that process"
	# shellcheck disable=SC2046	# five words
	set -- $(process)
	plant "$1 $2 $3 $4 $(cat /proc/sys/kernel/random/uuid)"
	asked "another kernel"
	plant "$(process)"
	head -c 4000 "$GMEM_RUN/vm.qemu" > /tmp/half
	mv /tmp/half "$GMEM_RUN/vm.qemu"
	asked "half of it"
	plant "$(process)"
	printf x | dd of="$GMEM_RUN/vm.qemu" bs=1 seek=400 conv=notrunc 2>/dev/null
	asked "damaged"

	qmp() { gmem-qmp /tmp/vm0.qmp "$@"; }
	# object_add PATH SHARE, object_del: memory that is plugged later
	object_add() {
		qmp "{\"execute\":\"object-add\",\"arguments\":{\"qom-type\":\"memory-backend-file\",
			\"id\":\"later\",\"size\":2097152,\"mem-path\":\"$1\",\"share\":$2}}" > /dev/null
	}
	object_del() { qmp '{"execute":"object-del","arguments":{"id":"later"}}' > /dev/null; }
	mkdir /tmp/lost
	mount -t tmpfs none /tmp/lost
	for path in /tmp/lost/file /tmp/lost; do
		require "memory of $path is plugged" object_add $path true
		check "it is not saved" run 1 save vm
		check "for a reason" says "its memory $path is not on gmemfs and would be lost"
		require "and unplugged" object_del
		check "it runs on" runs
		require "of its own, $path is plugged" object_add $path false
		require "it is saved" run 0 save vm
		require "goes on" run 0 start vm
	done
	check "as if nothing had been" runs

	plant "$(process)"
	require "what is known is used" run 0 save vm
	check "as it is of another CPU" test "$(saved_cpu)" != "$own"
	check "and goes on" run 0 start vm
	check "as if nothing had been" runs
	;;
order)
	export GMEM_PARALLEL=1
	cat > /tmp/named <<-EOF
		#!/bin/sh
		# -name guest=NAME
		echo "\${2#guest=}" >> /tmp/order
		exec /qemu/$qemu/qemu-system-x86_64 "\$@"
	EOF
	chmod +x /tmp/named
	for name in vm1 vm2 vm3 vm4; do ticker $name QEMU=/tmp/named; done
	held gmem-vm start vm
	for name in vm3 vm1 vm4 vm2; do in_turn $name start; done
	kill -9 "$(turn vm2)"
	check "nobody starts who has to wait" test ! -e /tmp/order
	let_go
	check "a guest that starts" wait $held
	for name in vm3 vm1 vm4; do
		check "and $name, which waited" wait "$(turn $name)"
	done
	check "started in the order of their names" test "$(tr '\n' ' ' < /tmp/order)" = "vm1 vm3 vm4 "
	check "nobody waits any more but who was killed" test "$(ls "$GMEM_RUN/.crowd")" = vm2

	kill -STOP "$(cat "$GMEM_RUN/vm.pid")"
	gmem-vm stop vm > /dev/null 2>&1 & held=$!
	# SYS_poll: it has the slot, and waits for QEMU
	until grep -q '^7 ' /proc/$held/syscall; do sleep 0.05; done
	for name in vm4 vm3; do in_turn $name stop; done
	kill -9 $held
	for name in vm4 vm3; do
		check "who had the slot is killed: $name" wait "$(turn $name)"
		check "is saved" status_is $name saved
	done
	check "vm3 before vm4" test "$(nr_saved vm3)" -lt "$(nr_saved vm4)"
	kill -CONT "$(cat "$GMEM_RUN/vm.pid")"
	check "the other one runs on" runs
	;;
disks)
	mkdir -p /mnt
	case $STAGE in
	1)
		# With less there are only seconds.
		require "a disk" sh -c "mke2fs -b 4096 -I 256 $(disk scratch) > /tmp/said &&
			mount -t ext4 $(disk scratch) /mnt"
		truncate -s 1M /mnt/disk /mnt/cd /mnt/parts
		dd if=/bin/gmem-disk-ticker of=/mnt/disk conv=notrunc 2>/dev/null
		writer /mnt/disk raw
		require "a new guest" run 0 start vm
		require "writes to its disk" writes
		for i in 1 2; do
			require "it is saved" run 0 save vm
			check "and goes on" run 0 start vm
			check "as if nothing had been" writes
		done
		require "saved" run 0 save vm
		ln /mnt/disk /mnt/same
		chmod 640 /mnt/disk
		cat /mnt/disk > /mnt/copy
		printf x | dd of=/mnt/parts conv=notrunc 2>/dev/null
		rm /mnt/cd
		truncate -s 2M /mnt/cd
		check "read, linked, chmod; another disk that it only reads; some of a file: it goes on" \
			run 0 start vm
		check "as if nothing had been" writes

		require "saved" run 0 save vm
		printf x | dd of=/mnt/disk bs=1 seek=2048 conv=notrunc 2>/dev/null
		check "somebody has written to its disk: stale" status_is vm stale
		disk_refused 3 "its disk /mnt/disk has been written to since (see \"drop\" and --override)"
		check "who knows better goes on" run 0 start --override vm
		check "which is written down" says "by --override, although its disk /mnt/disk has been written"
		check "as if nothing had been" writes

		require "saved" run 0 save vm
		cp -p /mnt/disk /mnt/copy
		mv /mnt/copy /mnt/disk
		disk_refused 3 "its disk /mnt/disk is not the file that it was"
		mv /mnt/same /mnt/disk
		check "its own is back: it goes on" run 0 start vm
		check "as if nothing had been" writes

		# What is behind QEMU's part is of an older gmem-vm, or damaged.
		require "saved" run 0 save vm
		flip $((4096 + $(payload)))
		printf x | dd of=/mnt/disk bs=1 seek=2048 conv=notrunc 2>/dev/null
		check "without a note of its disks it goes on, too" run 0 start vm
		check "as if nothing had been" writes

		require "a snapshot is made while it runs" gmem-qmp "$GMEM_RUN/vm.qmp" \
			'{"execute": "blockdev-snapshot-sync", "arguments": {"device": "disk",
				"snapshot-file": "/mnt/now", "format": "qcow2"}}'
		require "saved" run 0 save vm
		check "by settings with the file of before nothing is to be seen" is_saved
		disk_refused 1 "its disk was /mnt/now, and is /mnt/disk now (see --override)"
		writer /mnt/now qcow2
		check "by the right ones it goes on" run 0 start vm
		require "with a bitmap, to which QEMU writes when it opens it" \
			gmem-qmp "$GMEM_RUN/vm.qmp" '{"execute": "block-dirty-bitmap-add", "arguments":
				{"node": "disk", "name": "bits", "persistent": true}}'
		require "saved" run 0 save vm
		n=1
		while gmem-at 15 $n gmem-vm start vm > /tmp/at 2> /tmp/said; do
			check "told to end before call $n, $(sed -n 's/^call=//p' /tmp/at): saved still" is_saved
			failed && { cat /tmp/said; exit 1; }
			n=$((n + 11))
		done
		check "not told, it goes on" grep -q '^status=0$' /tmp/at
		kill_qemu vm

		printf '\0\0\0\0' | dd of=/mnt/disk bs=1 seek=512 conv=notrunc 2>/dev/null
		writer /mnt/disk raw
		require "a new guest" run 0 start vm
		require "writes to its disk" writes
		require "load kernel 2" load_stage
		require "it is saved" run 0 save vm
		remember wrote "$(wrote 516)"
		enter_stage
		;;
	2)
		require "its disk" mount -t ext4 "$(disk scratch)" /mnt
		writer /mnt/disk raw
		check "has what it wrote last" test "$(wrote 516)" = "$(recall wrote)"
		check "it goes on under kernel 2" run 0 start vm
		check "as if nothing had been" writes
		;;
	esac
	;;
cpu)
	sed -i 's/^CPU=.*/CPU=host/' "$GMEM_CONF/vm.conf"
	grep -q -w avx /proc/cpuinfo || [ "$STAGE" = 2 ] || skip_all "no AVX here"
	case $STAGE in
	1)
		require "a new guest" run 0 start vm
		require "runs" runs
		ticker vm2
		mkdir -p /tmp/disk
		require "another one" env GMEM_STATE=/tmp/disk gmem-vm start vm2
		require "is saved on a disk that will be lost" env GMEM_STATE=/tmp/disk gmem-vm save vm2
		require "load kernel 2" load_stage clearcpuid=avx
		require "it is saved" run 0 save vm
		check "without a warning" not says "would lose it"
		enter_stage
		;;
	2)
		check "kernel 2 has no AVX" not grep -q -w avx /proc/cpuinfo
		check "it is refused" run 1 start vm
		cat /tmp/said
		check "by the feature's name" says "its CPU had what there is not here:.* avx"
		check "and kept" is_saved
		check "without a QEMU" test "$(qemus)" = 0
		check "who knows better does not know better than QEMU" run 1 start --override vm
		check "and it is kept" is_saved
		cat /tmp/said
		ticker vm2
		check "what is not there is not taken for a new guest" run 3 start vm2
		check "for a reason" says "$fs/vm2.state is not there"
		require "load kernel 3" kexec -s -l /boot/bzImage --initrd=/boot/initrd \
			--command-line="$(next_cmdline | sed 's/clearcpuid=avx//')"
		enter_stage
		;;
	3)
		check "kernel 3 has AVX" grep -q -w avx /proc/cpuinfo
		check "it goes on" run 0 start vm
		check "and ticks" ticks_more vm
		;;
	esac
	;;
esac
