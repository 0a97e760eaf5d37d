#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G timeout=120 append="gmem_persist=1G gmem_persist.clean=0 kho=on" flavours="release debug"
# vm header: append="gmem.piece=header"
# vm bad: append="gmem.piece=bad"
# vm blocks: append="gmem.piece=blocks"
# vm slots: append="gmem.piece=slots"
#
# The next kernel is told by memmap= that a page is no RAM, as an operator does with a bad one, and
# that is a page of the record. Of what there are two, the other one counts; else the record is
# refused, and all is quarantined. That kernel boots in either case, and hands over what it has.
. /tests/lib/test.sh
. /tests/lib/pool.sh

M=$((1 << 20))
piece=$(word gmem.piece)

case $STAGE in
1)
	check "vm0: an object" vmm create vm0 size=64M seed=61 fill
	address=$(gmem-corrupt where "$piece")
	require "load the next kernel" load_stage "memmap=4K\$$address"
	check "freeze" write frozen 1
	enter_stage
	fail "kexec"
	;;
*)
	check "that page is no RAM" grep -q 'memmap=4K' /proc/cmdline
	case $piece in
	header|bad)
		check "vm0 is there" vmm reclaim vm0 seed=61 verify
		check "nothing is quarantined" is quarantined_bytes 0
		;;
	*)
		[ "$STAGE" != 2 ] ||
			check "it says so" logged "record refused: its pages are lost: all of the pool is quarantined"
		check "all is quarantined" is quarantined_bytes $((1024 * M))
		;;
	esac
	check "the pool adds up" adds_up
	[ "$STAGE" != 2 ] || next_stage
	;;
esac
