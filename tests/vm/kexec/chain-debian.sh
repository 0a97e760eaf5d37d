#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=300 append="kho=on gmem_persist=3G" flavours="release" disk=debian-kernel
#
# A kernel that has never heard of gmem_persist in the middle of a chain, Debian's own.
# It passes the memory map on, but no record.
#
#   1 fills an object -> 2 is Debian's -> 3 finds no record -> 4, which takes itself for
#   a crash kernel, looks into RAM
#
# Debian's kernel has no driver for the disk built in, so that the initramfs of stage 2
# brings all of the root along: a second archive behind the first, and in place of it.
. /tests/lib/test.sh
. /tests/lib/pool.sh

M=$((1 << 20))

case $STAGE in
1)
	[ -e /boot/debian ] || skip_all "no disk with Debian's kernel"
	cp /boot/initrd /tmp/initrd
	(cd / && { echo boot; find init* bin sbin lib* tests boot/bzImage boot/initrd; } | cpio -o -H newc) >> /tmp/initrd

	check "vm0: full of a pattern" vmm create vm0 size=66M seed=71 fill
	pool_at=$(ranges extents | tr ' ' ',')
	vm0_at=$(object_at vm0 | tr ' ' ',')
	require "load Debian's kernel" kexec -s -l /boot/debian/vmlinuz --initrd=/tmp/initrd \
		--command-line="$(next_cmdline "gmem.pool=$pool_at" "gmem.vm0=$vm0_at")"
	check "freeze: it is taken for one that gets the record" write frozen 1
	enter_stage
	fail "kexec"
	;;
2)
	check "this is Debian's kernel" grep -q Debian /proc/version
	check "it knows of no pool" test ! -e "$pool"
	# shellcheck disable=SC2046	# words
	set -- $(word gmem.pool)
	check "the pool is not System RAM" off_ram "$@"
	result debian_kernel "$(uname -r)"
	next_stage
	;;
3)
	require "the pool is there in its old size" is pool_bytes $((3072 * M))
	check "where it was" test "$(ranges extents)" = "$(word gmem.pool)"
	check "logged" logged "record refused: none came from the kernel before this one"
	check "all of it is quarantined" is quarantined_bytes $((3072 * M))
	check "nothing to be had" vmm_fails ENOSPC create new size=2M
	next_stage elfcorehdr=0xf0000
	;;
4)
	check "no pool in this kernel" test ! -e "$pool"
	# shellcheck disable=SC2046	# words
	set -- $(word gmem.vm0)
	check "vm0 lies in RAM as it was" look verify 71 "$@"
	check "every byte was compared" grep -q "^look_compared=$((66 * M - 4096))$" /tmp/look
	;;
esac
