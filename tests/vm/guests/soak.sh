#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G virtual=1 smp=1 timeout=600 disk="guest systemd" flavours="release"
# vm: append="gmem_persist=1G,zeroed kho=on systemd.default_standard_output=kmsg systemd.default_standard_error=kmsg"
#
# A host that gets a new kernel again and again, by nothing but "systemctl kexec": three times, or
# as often as gmem.soak=N of the command line says (make soak). It has two Linux guests that
# compare all they have in memory: vm0 is root's, vm1 a tenant's. None is ever lost, none is ever
# stale, none starts anew.
#
# See lib/systemd.sh. "console" listens to the guests for as long as they run, "noted" is when
# that has ended, and "stage" is the test.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh
. /tests/lib/systemd.sh

units="gmem-vm@vm0 gmem-vm-tenant@vm1"

if [ $# = 0 ]; then
	[ -e /lib/systemd/systemd ] || { echo "1..0 # SKIP no systemd (scripts/systemd)"; ended skip; }
	mkdir -p "$GMEM_CONF" "$fs"
	qemu_guest vm0 256M 16
	qemu_guest vm1 128M 8
	mount -t gmemfs none "$fs"
	tenant tenant
	umount "$fs"
	mkdir "$GMEM_CONF/tenant"
	mv "$GMEM_CONF/vm1.conf" "$GMEM_CONF/tenant/"
	mkfifo -m 666 /tmp/vm0.console /tmp/vm1.console
	enabled gmem.mount gmem-freeze.service gmem-kexec.service gmem-vm@vm0.service gmem-vm-tenant@vm1.service
	become_systemd
fi
as_unit

case $1 in
console)
	gmem-stamp /tmp/vm0.console >> /tmp/vm0.log &
	gmem-stamp /tmp/vm1.console >> /tmp/vm1.log &
	wait
	exit 0
	;;
noted)
	note_tick vm0
	note_tick vm1
	exit 0
	;;
esac

trap 'if [ $? != 0 ] || failed; then ended fail; fi' EXIT
kexecs=$(word gmem.soak)
kexecs=${kexecs:-3}
for unit in $units; do
	vm=${unit#*@}
	check "kernel $STAGE: $vm is active" state "$unit" active
	require "$vm compares all that it has" swept "$vm"
	[ "$STAGE" = 1 ] || check "it goes on with the next number" goes_on "$vm"
	check "and is fine" guest_fine "$vm"
done
if [ "$STAGE" -gt "$kexecs" ]; then
	result kexecs "$kexecs"
	result ticks "$(tick vm0)"
	failed || ended pass
	exit 1
fi
require "load the next kernel" load_stage
echo "# systemctl kexec"
drain
systemctl --no-block kexec
