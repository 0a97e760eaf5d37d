#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=300 append="kho=on gmem_persist=3G gmem_persist.clean=0" flavours="bench"
#
# make bench-pool: how fast memory is cleared, by wall clock and on two CPUs.
. /tests/lib/test.sh

gmem-pool clear 2 > /tmp/figures || fail "clear"
while IFS='=' read -r key value; do
	result "$key" "$value"
done < /tmp/figures
