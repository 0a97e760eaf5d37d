#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=6G timeout=120 append="kho=on gmem_persist=1500M,zeroed" flavours="release"
#
# A request that makes no sense; and a kernel that got a handover takes no new pool.
. /tests/lib/test.sh
. /tests/lib/pool.sh

case $STAGE in
1)
	check "logged" logged "gmem_persist=1500M,zeroed: a size is no multiple of 1G: no pool"
	check "no pool" test ! -e "$pool"
	next_stage gmem_persist=1G
	;;
2)
	check "logged" logged "a handover leaves no room for a new one: no pool"
	check "no pool" test ! -e "$pool"
	;;
esac
