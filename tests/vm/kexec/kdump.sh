#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: quick=1 mem=7G timeout=120 append="kho=on gmem_persist=2G crashkernel=384M" flavours="release debug" panics="sysrq triggered crash"
#
# The host crashes. The crash kernel, which gets gmem_persist= like any other, leaves
# the pool alone, and the dump does not contain it.
. /tests/lib/test.sh
. /tests/lib/pool.sh

# kernel_says_nothing: not a line about a pool
kernel_says_nothing() { ! dmesg | grep -q 'gmem_persist: '; }

# mem_below MIB: so little memory is all that this kernel has
mem_below() { [ "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)" -lt $(($1 << 10)) ]; }

case $STAGE in
1)
	check "vm0: full of a pattern" vmm create vm0 size=66M seed=31 fill
	require "load a crash kernel" kexec -s -p /boot/bzImage --initrd=/boot/initrd \
		--command-line="$(next_cmdline nr_cpus=1 "gmem.pool=$(ranges extents | tr ' ' ',')" \
			"gmem.vm0=$(object_at vm0 | tr ' ' ',')")"
	check "that was no word about handovers" not logged "kexec would be refused"
	drain
	echo c > /proc/sysrq-trigger
	fail "the kernel should have crashed"
	;;
2)
	# shellcheck disable=SC2046	# words
	set -- $(word gmem.pool)
	require "this is a crash kernel" test -s /proc/vmcore
	check "it has the memory of one" mem_below 384
	check "its command line asks for a pool" grep -q 'gmem_persist=2G' /proc/cmdline
	check "there is none" test ! -e "$pool"
	check "the kernel says nothing of it" kernel_says_nothing
	check "KHO is off" test ! -e /sys/kernel/debug/kho/out
	check "the pool is not System RAM" off_ram "$@"
	check "the dump has nothing of it" look elf /proc/vmcore "$@"
	check "but it has other memory" not look elf /proc/vmcore 0x1000000-0x1ffffff
	# This kernel does not know what /dev/mem must not show.
	# shellcheck disable=SC2046	# words
	check "vm0 lies in RAM as it was" look verify 31 $(word gmem.vm0)
	;;
esac
