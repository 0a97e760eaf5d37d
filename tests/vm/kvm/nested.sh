#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=8G timeout=300 append="gmem_persist=2G kho=on gmem_persist.clean=0" flavours="release debug"
#
# Guests of a guest whose memory is persistent; then, on the next kernel, a guest whose
# page tables KVM shadows because nested paging is switched off.
. /tests/lib/test.sh

npt=/sys/module/kvm_amd/parameters/npt
[ -e $npt ] || skip_all "no SVM"

case $STAGE in
1)	selftest gmem_persist_nested_test
	check "nothing is left in the pool" \
		[ "$(cat /sys/kernel/mm/gmem_persist/used_bytes)" = 0 ]
	! failed || exit 1
	next_stage kvm_amd.npt=0
	;;
2)	require "nested paging is off" grep -q '[N0]' $npt
	selftest gmem_persist_nested_test "the guest maps"
	selftest gmem_persist_use_test "memslots"
	;;
esac
