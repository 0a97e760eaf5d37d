#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: big=80G icount=0 smp=1 timeout=300 append="kho=on gmem_persist=68G,zeroed" flavours="bench"
#
# make bench-pool: what creation from clean memory costs, in instructions: the clock
# of this VM counts them, a nanosecond each.
. /tests/lib/test.sh

for granule in 2 1024; do
	gmem-pool create 32 $granule > /tmp/figures || fail "create"
	result create_clean_ns_$granule "$(sed -n 's/^create_clean_us=\([0-9]*\)[.]\([0-9]*\)$/\1\2/p' /tmp/figures)"
done
