#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=7G timeout=400 append="kho=on kho_scratch=128M,128M,128M gmem_persist=2G trace_event=gmem_persist:gmem_create" flavours="release debug"
#
# Upstream's tests of guest_memfd on a host with a pool: on ordinary memory, where
# nothing may be different, and on persistent memory.
. /tests/lib/test.sh

tracing=/sys/kernel/tracing
mount -t tracefs tracefs $tracing

# creations: how many objects there have been since the last call of forget
creations() { grep -c ': gmem_create: .* result=0$' $tracing/trace; }
forget() { echo > $tracing/trace; }

# It adds as many slots as a VM may have, which takes the debug kernel minutes.
slots=set_memory_region_test
if [ -e /proc/lockdep_stats ]; then
	skip "$slots" "the debug kernel is too slow for that"
	slots=
fi

# The switch is off here.
forget
selftest guest_memfd_test
check "it tried the flag for persistent memory, too" [ "$(creations)" -gt 0 ]
forget
selftest "${slots:-private_mem_kvm_exits_test}"
check "without the switch there is no persistent memory" [ "$(creations)" = 0 ]

export KVM_SELFTEST_GMEM_PERSIST=1
for name in guest_memfd_test $slots pre_fault_memory_test \
	    private_mem_conversions_test private_mem_kvm_exits_test; do
	forget
	selftest "$name"
	check "its memory came from the pool" [ "$(creations)" -gt 0 ]
done
check "all of the pool is free again" [ "$(cat /sys/kernel/mm/gmem_persist/used_bytes)" = 0 ]
