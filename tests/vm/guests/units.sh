#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G virtual=1 smp=1 timeout=400 disk="guest systemd" flavours="release"
# vm: append="gmem_persist=1G,zeroed"
# vm refuse: append="kho=on"
# vm kho-off: append="kho=off"
# vm restart: append="kho=on"
# vm tenant: append="kho=on"
# vm order: append="kho=on"
# vm drop-ins: append="kho=on"
# vm debian-13: append="kho=on" disk="guest systemd systemd-13"
#
# What becomes of a guest, which counts, when systemd stops it:
#
# refuse:  a kexec that would lose it is refused while it runs, whatever is in the way, also if that
#          cannot be known. If the host goes nevertheless, it is shut down
# kho-off: likewise, under a kernel that hands nothing over; then a reboot
# restart: units are stopped and started, and rescue.target, and back; a start that is refused; a
#          QEMU that hangs; a reboot, with a guest that is saved, wherever its mark is, and with a
#          systemd that does not answer at once
# tenant:  the VM is a tenant's: a kexec, and a reboot; a mark that is none
# order:   three VMs stop after a unit that is slow to do so, and go on before a slow network
#          is up; not too many at a time
# drop-ins: what gmem-vm@.service tells to add for a disk on a network, and for one on another
#          file system
# debian-13: a newer systemd: user space alone is restarted; a kexec is refused, and one is not
#
# See lib/systemd.sh. "stage" is the test, "down" is when the guest has been stopped.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh
. /tests/lib/ticker.sh
. /tests/lib/systemd.sh
fs=/gmem

units=/etc/systemd/system
vm=gmem-vm@vm0
[ "$(word gmem.case)" != tenant ] || vm=gmem-vm-tenant@vm0

# drop_ins: vm0's as the unit's head has it, word for word; and vm1's, with such a file system
drop_ins() {
	mkdir -p $units/gmem-vm@vm0.service.d $units/gmem-vm@vm1.service.d /srv/disks
	sed -n '/network file system/,/last line/s/^#   //p' $units/gmem-vm@.service > \
		$units/gmem-vm@vm0.service.d/net.conf
	printf '[Unit]\nRequiresMountsFor=/srv/disks\n' > $units/gmem-vm@vm1.service.d/disks.conf
	printf '[Mount]\nWhat=tmpfs\nWhere=/srv/disks\nType=tmpfs\n' > $units/srv-disks.mount
}

if [ $# = 0 ]; then
	[ -e /lib/systemd/systemd ] || { echo "1..0 # SKIP no systemd (scripts/systemd)"; ended skip; }
	mkdir -p "$GMEM_CONF" $fs
	ticker vm0 PATIENCE=10
	if [ $vm != gmem-vm@vm0 ]; then
		mount -t gmemfs none $fs
		tenant tenant
		umount $fs
		mkdir "$GMEM_CONF/tenant"
		mv "$GMEM_CONF/vm0.conf" "$GMEM_CONF/tenant/"
	fi
	# What units say is for the test; there is no journal.
	mkdir -p /etc/systemd/system/service.d
	printf '[Service]\nStandard%s=append:/tmp/said\n' Output > /etc/systemd/system/service.d/out.conf
	printf '[Service]\nStandard%s=append:/tmp/said\n' Error > /etc/systemd/system/service.d/err.conf
	# gmem-kexec's own systemctl: all that must not be in vain fails at first.
	mkdir -p /etc/fails /etc/systemd/system/gmem-kexec.service.d
	printf '[Service]\nEnvironment=PATH=/etc/fails:/bin:/sbin\n' > /etc/systemd/system/gmem-kexec.service.d/fails.conf
	cat > /etc/fails/systemctl <<-"EOC"
		#!/bin/sh
		case $1 in
		list-jobs|cancel) mkdir "/tmp/failed-$1" 2>/dev/null && exit 1 ;;
		esac
		exec /bin/systemctl "$@"
	EOC
	chmod +x /etc/fails/systemctl
	# Who cannot be asked is not waited for as long.
	[ "$(word gmem.case)" != refuse ] || sed -i 's/ 840 / 5 /' /etc/systemd/system/gmem-kexec.service
	if [ "$(word gmem.case)" = order ]; then
		ticker vm1
		ticker vm2
		enabled gmem-vm@vm1.service gmem-vm@vm2.service
		printf '[Service]\nEnvironment=GMEM_PARALLEL=2\n' > \
			/etc/systemd/system/service.d/slots.conf
	fi
	if [ "$(word gmem.case)" = drop-ins ]; then
		ticker vm1
		enabled gmem-vm@vm1.service
		drop_ins
	fi
	enabled gmem.mount gmem-freeze.service $vm.service
	become_systemd
fi
as_unit

# vm_is WORDS: gmem-vm says that of it
vm_is() {
	local said
	if [ $vm = gmem-vm@vm0 ]; then
		said=$(gmem-vm status vm0)
	else
		said=$(su tenant -c "GMEM_CONF=$GMEM_CONF/tenant GMEM_DIR=$fs/tenant \
			GMEM_RUN=/run/gmem-tenant gmem-vm status vm0")
	fi
	[ "$said" = "$1" ]
}

# runs_on: it does, and has from its first number on, under whatever kernel
runs_on() {
	state $vm active && ticks_more vm0 || return
	{ cat $fs/before 2>/dev/null; cat /tmp/vm0.log; } > /tmp/all.log
	one_life all
}

# active: the units that are, but for slices, which may have nothing in them
active() { systemctl list-units --state=active --plain --no-legend | awk '$1 !~ /slice$/ { print $1 }' | sort; }

# refused_kexec WHY COMMAND...: by that command a kexec, or reboot, is asked for. It must be refused,
# for that reason, and nothing may have been stopped.
refused_kexec() {
	local why=$1
	shift
	active > /tmp/active
	: > /tmp/said
	check "$*" "$@"
	until grep -q "the .* is refused" /tmp/said; do sleep 0.1; done
	becomes gmem-kexec active
	check "is refused, since $why" grep -q "^gmem-vm: .*$why" /tmp/said
	check "in one line" test "$(grep -c "^gmem-vm: " /tmp/said)" = 1
	check "with a way out" grep -q "is refused, .*systemctl stop gmem-kexec$" /tmp/said
	check "nothing is about to be done" test -z "$(systemctl list-jobs --no-legend)"
	active > /tmp/active.now
	check "nothing has been stopped" diff /tmp/active /tmp/active.now
	[ ! -e "$GMEM_RUN/vm0.pid" ] || check "the guest runs on" runs_on
	failed && { cat /tmp/said; exit 1; }
	true
}

# to_kexec: what "systemctl kexec" does when it has found an image, or believes so
to_kexec() { systemctl --no-block --job-mode=replace-irreversibly start kexec.target; }

# goes WORDS COMMAND...: by that command the host goes down, in spite of all. "down" looks whether
# the guest is what the words say, and what has been said of it.
goes() {
	echo "$1" > /tmp/expected
	shift
	: > /tmp/said
	echo "# $*"
	"$@"
	trap - EXIT
	exec sleep 1000
}

# when UNIT TIME: in microseconds of this boot, as systemd has noted it
when() { systemctl show -P "$2TimestampMonotonic" "$1"; }

# stopped_last UNIT: when the slow one had
stopped_last() {
	state gmem-units-slow inactive &&
		[ "$(when "$1" ActiveExit)" -ge "$(when gmem-units-slow InactiveEnter)" ]
}

# started_first UNIT: before the network was up, or nearly so: it was not waited for
started_first() {
	becomes gmem-units-net active
	[ "$(when "$1" InactiveExit)" -lt "$(when gmem-units-net ActiveEnter)" ]
}

# before A TIME B TIME: the one came before the other, or with it
before() { [ "$(when "$1" "$2")" -gt 0 ] && [ "$(when "$1" "$2")" -le "$(when "$3" "$4")" ]; }

# net_outlives UNIT: it has stopped, and the network has not, or later
net_outlives() {
	state "$1" inactive && { state gmem-units-net active || before "$1" InactiveEnter gmem-units-net ActiveExit; }
}

# hangs PID: from now on, whatever it is sent but SIGKILL: SIGCONT would end a SIGSTOP, and systemd sends
# that behind SIGTERM. Nobody else in its unit does.
hangs() {
	local group
	group=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$1/cgroup")/hangs
	mkdir "$group" && echo "$1" > "$group/cgroup.procs" && echo 1 > "$group/cgroup.freeze" || return
	until grep -q "frozen 1" "$group/cgroup.events"; do sleep 0.1; done
}

# taken N: somebody has that slot
taken() { grep -q "FLOCK .*:$(stat -c %i "$GMEM_RUN/.crowd/.$1") " /proc/locks; }

trap 'if [ $? != 0 ] || failed; then ended fail; fi' EXIT

if [ "$1" = down ]; then
	[ -e /tmp/expected ] || exit 0
	words=$(cat /tmp/expected)
	if [ "$CASE" = order ]; then
		check "it has stopped last" stopped_last $vm
		check "and so has another one" stopped_last gmem-vm@vm2
		check "how many are saved is said" grep "^gmem-vm: vm[0-2]: 3 of 3 saved, [0-9]*\.[0-9] s" /tmp/said
	fi
	[ "$CASE" != drop-ins ] || check "the network is there for longer" net_outlives $vm
	check "the guest: ${words%%;*}" vm_is "${words%%;*}"
	[ "$words" = "${words#*;}" ] || {
		check "for a reason" grep "^gmem-vm: .*${words#*;}" /tmp/said
		failed || ended pass
	}
	# Its number goes on under the next kernel.
	cat /tmp/vm0.log >> $fs/before && rm /tmp/vm0.log
	drain
	exit
fi

case $CASE-$STAGE in
refuse-1)
	require "the guest runs" runs_on
	becomes gmem-kexec active
	check "no image: systemctl sees that itself" not systemctl kexec
	refused_kexec "no-image" to_kexec
	require "an image by kexec_load()" kexec -c -l /boot/bzImage --initrd=/boot/initrd \
		--command-line="$(next_cmdline)"
	refused_kexec "no-handover" systemctl kexec
	require "an image by kexec_file_load()" load_stage
	check "none would be lost" gmem-vm check
	write frozen 1
	refused_kexec "the pool is frozen" systemctl kexec
	write frozen 0
	rm $fs/vm0.room
	free=$(free_bytes)
	truncate -s "$free" $fs/filler
	refused_kexec "vm0: it could not be saved now: no room for the .* MiB that it may be" systemctl kexec
	rm $fs/filler
	check "all is well again" gmem-vm check vm0
	sed -i 's/^PATIENCE=.*/PATIENCE=2000/' "$GMEM_CONF/vm0.conf"
	kill -STOP "$(cat "$GMEM_RUN/vm0.pid")"
	: > /tmp/said
	check "a kexec, and a QEMU that hangs" systemctl kexec
	until grep -q "the kexec is refused" /tmp/said; do sleep 0.1; done
	becomes gmem-kexec active
	check "is refused, since that could not be asked" grep -q "^gmem-vm: not all guests could be asked" /tmp/said
	kill -CONT "$(cat "$GMEM_RUN/vm0.pid")"
	check "the guest runs on" runs_on
	sed -i 's/^PATIENCE=.*/PATIENCE=10/' "$GMEM_CONF/vm0.conf"
	goes "saved" systemctl kexec
	;;
refuse-2)
	require "the guest goes on" runs_on
	becomes gmem-kexec active
	require "who knows better" systemctl stop gmem-kexec
	goes "memory only;the guest is shut down: no-image" to_kexec
	;;
kho-off-1)
	require "the guest runs" runs_on
	becomes gmem-kexec active
	require "an image by kexec_file_load()" load_stage
	check "it would be lost" not gmem-vm check
	refused_kexec "no-kho" systemctl kexec
	goes "memory only;the guest is shut down: reboot.target" systemctl reboot
	;;
restart-1)
	require "the guest runs" runs_on
	becomes gmem-kexec active
	check "restart of the VM" systemctl restart $vm
	check "it goes on" runs_on
	pid=$(cat "$GMEM_RUN/vm0.pid")
	check "restart of gmem-freeze" systemctl restart gmem-freeze
	check "the pool is not frozen" is frozen 0
	check "and restart of gmem-kexec" systemctl restart gmem-kexec
	require "an image" load_stage
	check "restart of gmem-freeze, when a kexec could be" systemctl restart gmem-freeze
	check "the pool is not frozen" is frozen 0
	check "and gives memory" gmemctl create new 2M
	check "it runs on" runs_on
	check "as the same process" test "$(cat "$GMEM_RUN/vm0.pid")" = "$pid"
	check "rescue.target" systemctl isolate rescue.target
	check "has it stopped" becomes $vm inactive
	check "saved" vm_is saved
	rm -rf /tmp/failed-*
	refused_kexec "guests that are saved would be lost: vm0.saved" systemctl --no-block reboot
	check "systemd did not answer at once" rmdir /tmp/failed-list-jobs /tmp/failed-cancel
	check "and back" systemctl isolate multi-user.target
	check "nobody waits for it" becomes $vm active
	check "it goes on" runs_on
	check "gmemfs is unmounted" systemctl stop gmem.mount
	check "its VM is saved before that" state $vm inactive
	refused_kexec "guests that are saved would be lost: vm0.saved" systemctl --no-block reboot
	check "its start mounts it" systemctl start $vm
	check "it goes on" runs_on
	check "stopped, and started by hand" systemctl stop $vm
	require "it goes on" gmem-vm start vm0
	check "a start by systemd is refused" not systemctl start $vm
	check "and leaves it alone" ticks_more vm0
	check "as the same" one_life vm0
	require "saved by hand" gmem-vm save vm0
	becomes gmem-kexec active
	: > /tmp/said
	refused_kexec "guests that are saved would be lost: vm0.saved" systemctl --no-block reboot
	check "it is saved still" vm_is saved
	check "and goes on" systemctl start $vm
	check "as if nothing had been" runs_on
	pid=$(cat "$GMEM_RUN/vm0.pid")
	require "its QEMU hangs" hangs "$pid"
	mkdir -p /run/systemd/system/$vm.service.d
	printf '[Service]\nTimeoutStopSec=30\n' > /run/systemd/system/$vm.service.d/stop.conf
	systemctl daemon-reload
	systemctl stop $vm
	check "that has ended" not kill -0 "$pid"
	check "killed, and not by SIGTERM" property $vm ExecMainStatus 9
	failed || ended pass
	;;
tenant-1)
	require "the guest runs" runs_on
	check "the tenant's" test "$(stat -c %u "/proc/$(cat /run/gmem-tenant/vm0.pid)")" = 1000
	check "systemd knows its QEMU" property $vm MainPID "$(cat /run/gmem-tenant/vm0.pid)"
	becomes gmem-kexec active
	require "an image" load_stage
	goes "saved" systemctl kexec
	;;
order-1)
	require "the guests run" runs_on
	becomes gmem-kexec active
	becomes gmem-vm@vm1 active
	becomes gmem-vm@vm2 active
	# Two QEMUs that do not answer
	others="$(cat "$GMEM_RUN/vm1.pid") $(cat "$GMEM_RUN/vm2.pid")"
	# shellcheck disable=SC2086	# numbers
	kill -STOP $others
	systemctl --no-block stop gmem-vm@vm1 gmem-vm@vm2
	check "two are about to be saved" becomes gmem-vm@vm1 deactivating
	until taken 0 && taken 1; do sleep 0.1; done
	systemctl --no-block stop $vm
	check "a third one is not yet" becomes $vm deactivating
	check "and runs on" ticks_more vm0 50
	check "with nothing saved" vm_is running
	# shellcheck disable=SC2086
	kill -CONT $others
	check "then all of them" becomes $vm inactive
	check "are saved" becomes gmem-vm@vm1 inactive
	check "they start" systemctl start $vm gmem-vm@vm1 gmem-vm@vm2
	check "it goes on" runs_on
	require "an image" load_stage
	goes "saved" systemctl kexec
	;;
order-2)
	require "the guest goes on" runs_on
	check "it was first" started_first $vm
	check "and so was another one" started_first gmem-vm@vm1
	becomes gmem-kexec active
	refused_kexec "no-image" to_kexec
	failed || ended pass
	;;
drop-ins-1)
	require "the guest runs" runs_on
	becomes gmem-kexec active
	check "it has waited for the network" before gmem-units-net ActiveEnter $vm InactiveExit
	check "another one has not" started_first gmem-vm@vm1
	check "but for its disks" before srv-disks.mount ActiveEnter gmem-vm@vm1 InactiveExit
	require "an image" load_stage
	goes "saved" systemctl kexec
	;;
drop-ins-2)
	require "the guest goes on" runs_on
	check "after the network" before gmem-units-net ActiveEnter $vm InactiveExit
	check "and so does the other one" grep -q "^gmem-vm: vm1: goes on" /tmp/said
	check "after its disks" before srv-disks.mount ActiveEnter gmem-vm@vm1 InactiveExit
	failed || ended pass
	;;
debian-13-1)
	require "the guest runs, or goes on" runs_on
	becomes gmem-kexec active
	if ! [ "$(systemctl show -P SoftRebootsCount)" = 1 ]; then
		goes "saved" systemctl soft-reboot
	fi
	check "the pool is not frozen" is frozen 0
	refused_kexec "no-image" to_kexec
	require "an image" load_stage
	goes "saved" systemctl kexec
	;;
debian-13-2)
	require "the guest goes on" runs_on
	ended pass
	;;
tenant-2)
	require "the guest goes on" runs_on
	becomes gmem-kexec active
	refused_kexec "no-image" to_kexec
	su tenant -c "mkdir $fs/tenant/a && echo x > $fs/tenant/a/x.saved && touch $fs/tenant/y.saved"
	refused_kexec "guests that are saved would be lost: tenant/a/x.saved$" systemctl --no-block reboot
	su tenant -c "rm $fs/tenant/a/x.saved"
	goes "memory only;the guest is shut down: reboot.target" systemctl reboot
	;;
esac
