#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: big=20G icount=0 smp=1 timeout=3600 append="gmem_persist=14G,zeroed gmem_persist.clean=0 kho=on gmem.disks=pool" disk="guest systemd blackout-before" flavours="bench"
# vm one-cpu:
# vm two-cpus: smp=2 parallel=1
#
# make bench-blackout: how long guests are away when their host gets another kernel: a bare host,
# which does nothing else; one under systemd, with a unit that is slow to stop and a network that
# is slow to come up; and that one with the units and the gmem-vm of before. The guests are the
# smallest ones (gmem-ticker), and their own ticks measure.
#
# one-cpu:  all of that
# two-cpus: one guest and eight under systemd, on a host whose two CPUs run at the same time
#
# Each kernel lets go on what the one before has begun with, and begins with what its line of the table
# below says, for the next one. The first process runs this without an argument, and becomes systemd
# where the host is such a one; then a unit runs it with one.
#
# Waiting for a disk takes until the next timer where idle time passes at once. So the pool has the
# disks (initrd-init), and nothing is cleaned in the background.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh
. /tests/lib/systemd.sh
fs=/gmem

# row STAGE: its host; what begins there, how many guests, and MiB of each: "-" for none
row() {
	case $CASE-$1 in
	two-cpus-1) echo units one 1 256 ;;
	two-cpus-2) echo units eight 8 256 ;;
	two-cpus-3) echo units - 0 0 ;;
	two-cpus-*) echo - - 0 0 ;;
	*-1)	echo bare one 1 256 ;;
	*-2)	echo bare before 1 256 ;;
	*-3)	echo bare - 0 0 ;;
	*-4)	echo units one 1 256 ;;
	*-5)	echo units eight 8 256 ;;
	*-6)	echo units large 1 8192 ;;
	*-7)	echo units - 0 0 ;;
	*-8)	echo before one 1 256 ;;
	*-9)	echo before - 0 0 ;;
	*)	echo - - 0 0 ;;
	esac
}

# is_last: nothing begins in this stage, nor in the next one
is_last() {
	[ "$what" = - ] && { [ ! -x /before/gmem-vm ] || [ "$(row $((STAGE + 1)))" = "- - 0 0" ]; }
}

# columns STAGE: $host, $what, $guests, $mib
columns() {
	# shellcheck disable=SC2046	# four words
	set -- $(row "$1")
	host=$1 what=$2 guests=$3 mib=$4
}

# names N: of so many guests
names() { seq 0 $(($1 - 1)) | sed 's/^/vm/'; }

# settings N MIB: of so many guests
settings() {
	local name
	for name in $(names "$1"); do
		cat > "$GMEM_CONF/$name.conf" <<-EOC
			QEMU=/qemu/$qemu/qemu-system-x86_64
			MEMORY=${2}M
			CPU=qemu64
			QEMU_ARGS="-nodefaults -no-user-config -display none -vga none -nic none -smp 1
				-L /usr/share/qemu -serial file:/tmp/$name.console -bios /bin/gmem-ticker"
		EOC
	done
}

# listen: to all guests that there may be, for as long as this kernel runs. Logs are in the pool, and
# nobody has to know of them to unmount it. So are the disks (initrd-init).
listen() {
	local name
	mkdir /keep
	mount -t gmemfs none /keep
	for name in $(names 8); do
		mkfifo "/tmp/$name.console"
		exec 3>> "/keep/log-$name"
		gmem-stamp "/tmp/$name.console" >&3 &
		wc -l < "/keep/log-$name" > "/tmp/$name.lines"
	done
	exec 3>&-
	if [ "$STAGE" = 1 ]; then
		for name in a b c d; do
			cat "/dev/vd$name" > "/keep/disk-$name"
		done
	fi
	umount -l /keep
}

# log_ticks NAME N: wait for so many lines more than there were at the start of this kernel, or
# when they were counted last
log_ticks() {
	until [ "$(wc -l < "$fs/log-$1")" -ge $(($(cat "/tmp/$1.lines") + $2)) ]; do sleep 0.02; done
}

# forget NAME: what it has said so far
forget() {
	: > "$fs/log-$1"
	echo 0 > "/tmp/$1.lines"
}

# longest NAME: between two of its ticks. A line that was cut in two does not count.
longest() {
	awk 'NF == 2 && length($2) == 8 { if (last && $1 - last > n) n = $1 - last; last = $1 }
		END { print n + 0 }' "$fs/log-$1"
}

# whole NAME: each of its numbers came, once
whole() {
	awk 'NF == 2 && length($2) == 8 { print $2 }' "$fs/log-$1" > /tmp/numbers.log
	awk 'function value(hex,    i, n) {
			for (i = 1; i <= length(hex); i++)
				n = n * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
			return n
		}
		{ n = value($1); if (last && n != last + 1 && n != last + 2) { print last, n; bad = 1 } last = n }
		END { exit bad || NR < 4 }' /tmp/numbers.log
}

# first_after NAME: the time of its first tick in this kernel
first_after() {
	awk -v from="$(cat "/tmp/$1.lines")" 'NR > from && NF == 2 && length($2) == 8 { print $1; exit }' "$fs/log-$1"
}

# finish KEY N: they go on, or have done so
finish() {
	local name worst=0 now
	for name in $(names "$2"); do
		log_ticks "$name" 5
		check "$1: $name goes on" whole "$name"
		now=$(longest "$name")
		[ "$now" -le "$worst" ] || worst=$now
	done
	result "blackout_ms_$1" "$worst"
}

# The bare host's part

# bare_begin PROGRAM: save it, and leave
bare_begin() {
	settings "$guests" "$mib"
	require "$1 start" "$1" start vm0
	log_ticks vm0 20
	require "load the next kernel" load_stage
	forget vm0
	log_ticks vm0 5
	remember save_begin "$(gmem-stamp)"
	require "$1 save" "$1" save vm0
	remember save_end "$(gmem-stamp)"
	remember freeze "$(gmem-stamp)"
	require "freeze" write frozen 1
	enter_stage
	fail kexec
	exit 1
}

# bare_finish KEY PROGRAM: it goes on
bare_finish() {
	local begin
	settings 1 256
	begin=$(gmem-stamp)
	require "$2 start" "$2" start vm0
	finish "$1" 1
	result "save_ms_$1" $(($(recall save_end) - $(recall save_begin)))
	result "shutdown_ms_$1" $(($(recall freeze) - $(recall save_end)))
	result "resume_ms_$1" $(($(first_after vm0) - begin))
}

# restart_mode: what tells QEMU to save and load without memory
restart_mode() {
	gmem-qmp "$GMEM_RUN/vm0.qmp" \
		'{"execute":"migrate-set-parameters","arguments":{"mode":"cpr-reboot"}}' \
		'{"execute":"migrate-set-capabilities","arguments":{"capabilities":[{"capability":"x-ignore-shared","state":true},{"capability":"events","state":true}]}}' \
		"$@" > /tmp/qmp.said
}

# qmp_save, qmp_start: no more than QEMU has to be told
qmp_save() {
	restart_mode "{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"file:$fs/vm0.qmp\"}}" \
		wait-migrate quit wait-end
}
qmp_start() {
	xargs -0 env < /tmp/words || return
	restart_mode "{\"execute\":\"migrate-incoming\",\"arguments\":{\"uri\":\"file:$fs/vm0.qmp\"}}" \
		wait-migrate cont
}
vm_save_once() { gmem-vm save vm0 > /dev/null; }
vm_start_once() { gmem-vm start vm0 > /dev/null; }

# both KEY SAVE START: what they take, of several times, without the first one: then QEMU reads
# for the first time what it does for both
both() {
	local n t0 t1 t2 save=0 start=0
	for n in 0 1 2 3 4 5; do
		log_ticks vm0 10
		forget vm0
		t0=$(gmem-stamp)
		"$2" || return
		t1=$(gmem-stamp)
		"$3" || return
		t2=$(gmem-stamp)
		[ $n != 0 ] || continue
		save=$((save + t1 - t0))
		start=$((start + t2 - t1))
	done
	result "$1_save_ms" $((save / 5))
	result "$1_resume_ms" $((start / 5))
}

# bare: this stage, on a bare host
bare() {
	require "mount $fs" mount -t gmemfs none $fs
	[ "$STAGE" != 1 ] || bare_begin gmem-vm
	if [ "$STAGE" = 2 ]; then
		bare_finish bare gmem-vm
		# The words of a QEMU that goes on
		cp "/proc/$(cat "$GMEM_RUN/vm0.pid")/cmdline" /tmp/words
		require "gmem-vm" both ours vm_save_once vm_start_once
		require "bare QMP commands" both qmp qmp_save qmp_start
		vm_kill vm0
		rm -f $fs/vm0*
		[ -x /before/gmem-vm ] || next_stage
		bare_begin /before/gmem-vm
	fi
	[ ! -x /before/gmem-vm ] || bare_finish script /before/gmem-vm
	vm_kill vm0
	rm -f $fs/vm0* $fs/log-*
	next_stage
}

# The other hosts'

# install_before: the units and the program of before
install_before() {
	rm /etc/systemd/system/gmem*
	cp /before/units/* /etc/systemd/system/
	cp /before/gmem-vm /usr/sbin/
	cp /before/gmem-vm /bin/
}

# become_host: what the last stage has saved goes on, or, if that was nothing, this one's begins
become_host() {
	local name
	mkdir -p "$GMEM_CONF"
	columns $((STAGE - 1))
	if [ "$host" != "$1" ] || [ "$what" = - ]; then
		columns "$STAGE"
	fi
	settings "$guests" "$mib"
	[ "$1" != before ] || install_before
	enabled gmem.mount gmem-freeze.service
	for name in $(names "$guests"); do
		enabled "gmem-vm@$name.service"
	done
	become_systemd
}

# as_host: the stage, as a unit
as_host() {
	local name last
	columns $((STAGE - 1))
	last=$host
	columns "$STAGE"
	if [ "$last" = "$host" ]; then
		columns $((STAGE - 1))
		finish "${host}_$what" "$guests"
		for name in $(names "$guests"); do
			systemctl stop "gmem-vm@$name"
			gmem-vm drop "$name"
			rm -f "$fs/$name"
		done
		columns "$STAGE"
		if is_last; then
			failed || ended pass
			exit
		fi
		[ "$what" != - ] || { rm $fs/log-*; next_stage; }
		settings "$guests" "$mib"
		for name in $(names "$guests"); do
			forget "$name"
			require "$name" systemctl start "gmem-vm@$name"
		done
	fi
	for name in $(names "$guests"); do
		becomes "gmem-vm@$name" active
		log_ticks "$name" 20
	done
	require "load the next kernel" load_stage
	for name in $(names "$guests"); do forget "$name"; done
	log_ticks vm0 5
	systemctl --no-block kexec
	exit 0
}

trap 'if [ $? != 0 ] || failed; then ended fail; fi' EXIT
columns "$STAGE"
case $host-$# in
bare-0)
	[ -e /guest ] || { echo "1..0 # SKIP no programs for guests (scripts/guest)"; ended skip; }
	mkdir -p $fs "$GMEM_CONF"
	listen
	# Not as the first process, whose children are all that lose their parents
	sh "$0" bare
	ended fail
	;;
bare-1)
	bare ;;
*-0)
	[ -e /lib/systemd/systemd ] || { echo "1..0 # SKIP no systemd (scripts/systemd)"; ended skip; }
	mkdir -p $fs
	listen
	become_host "$host"
	;;
*)
	as_unit
	as_host
	;;
esac
