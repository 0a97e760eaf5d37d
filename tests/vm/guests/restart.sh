#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G virtual=1 smp=1 timeout=400 append="gmem_persist=1G,zeroed kho=on" disk=guest flavours="release"
# vm qemu: quick=1 append="gmem.vmm=qemu"
# vm gmem-vmm: append="gmem.vmm=gmem-vmm"
# vm two-cpus: append="gmem.vmm=gmem-vmm" virtual= smp=2
# vm host-11: append="gmem.vmm=qemu" host_qemu=11
#
# The story that "make demo" tells: a Linux guest goes on while its host gets another
# kernel, once with each VMM (see guest.sh), once on a host with two CPUs that
# run at the same time, and once on one that a newer QEMU emulates.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh

mib=512
set_mib=64

guest_setup
new_guest vm0 ${mib}M $set_mib
console vm0

# seconds MS: for people
seconds() { echo "$1" | sed -E 's/^/000/; s/0*([0-9]+)([0-9]{3})$/\1.\2 s/'; }

case $STAGE in
1)
	story "kernel 1: a pool of $(($(cat "$pool"/pool_bytes) >> 20)) MiB, mounted at $fs; the VMM is $(vmm_version)"
	require "load kernel 2" load_stage
	require "the VMM starts vm0" vm_start vm0
	story "kernel 1: vm0 boots Linux in $mib MiB of it, the file $fs/vm0"
	require "vm0 works" swept vm0
	story "vm0:       up $(seconds "$(tick_up vm0)"), tick $(tick vm0)," \
		"$set_mib MiB in use, all compared and rewritten again and again"

	remember save_begin "$(gmem-stamp)"
	require "vm0 is saved" vm_save vm0
	remember save_end "$(gmem-stamp)"
	check "and was fine until then" guest_fine vm0
	note_tick vm0
	story "vm0:       up $(seconds "$(tick_up vm0)"), tick $(tick vm0)"
	state=$(stat -c %s "$fs/vm0.state")
	result state_file_bytes "$state"
	result guest_ram_bytes $((mib << 20))
	result ram_bytes_copied "$(ram_bytes_copied)"
	check "what was saved has less than 1 MiB" test "$state" -lt $((1 << 20))
	check "without memory" test "$(ram_bytes_copied)" = 0
	story "kernel 1: vm0 is saved, in $(($(recall save_end) - $(recall save_begin))) ms and a" \
		"file of $((state >> 10)) KiB; its memory stays where it is"
	remember freeze "$(gmem-stamp)"
	require "freeze" write frozen 1
	story "kexec"
	enter_stage
	fail "kexec"
	;;
2)
	remember up "$(($(gmem-stamp) - $(awk '{ printf "%d", $1 * 1000 }' /proc/uptime)))"
	story "kernel 2: found the pool; vm0 is $(object vm0 state)"
	remember start "$(gmem-stamp)"
	require "the VMM starts vm0 again" vm_start vm0
	require "vm0 works" ticks_on vm0
	start=$(first_tick vm0)
	require "vm0 works" swept vm0
	story "vm0:       up $(seconds "$(tick_up vm0)"), tick $(tick vm0), and all that it had in memory is right"
	check "vm0 goes on" goes_on vm0
	check "vm0 is fine" guest_fine vm0
	result blackout_ms "$(blackout vm0)"
	result save_ms $(($(recall save_end) - $(recall save_begin)))
	result shutdown_ms $(($(recall freeze) - $(recall save_end)))
	result kexec_ms $(($(recall up) - $(recall freeze)))
	result boot_ms $(($(recall start) - $(recall up)))
	result resume_ms $((${start#* } - $(recall start)))
	result last_tick "$(recall vm0.tick)"
	result first_tick "${start% *}"
	story "kernel 2: vm0 went on with tick ${start% *}, $(blackout vm0) ms after tick $(recall vm0.tick)"
	;;
esac
