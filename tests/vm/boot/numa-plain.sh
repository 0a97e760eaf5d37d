#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=13G smp=2,sockets=2 timeout=120 flavours="release"
# vm: append="kho=on nokaslr gmem_persist=9G,zeroed"
# vm: qemu="-object memory-backend-ram,id=n0,size=6656M,reserve=off -numa node,nodeid=0,cpus=0,memdev=n0 -object memory-backend-ram,id=n1,size=6656M,reserve=off -numa node,nodeid=1,cpus=1,memdev=n1"
#
# A size without a place takes all of node 1, the GiB in which node 0 ends, and a part of
# node 0. Each part has its node, the one between them has none; under the next kernel,
# too, for which nothing of it is memory and most is above the last address that is.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

case $STAGE in
1)	what='new, said to be zero' ;;
2)	what='left by an earlier kernel' ;;
esac

check "the pool is all there" has 9
check "in one extent" extent 5 14
check "a part of node 0" logged "extent .mem 0x0*140000000-0x0*1bfffffff. 2 GiB, node 0, $what"
check "a piece on two nodes is on none" \
	logged "extent .mem 0x0*1c0000000-0x0*1ffffffff. 1 GiB, no node, $what"
check "the rest of node 1" logged "extent .mem 0x0*200000000-0x0*37fffffff. 6 GiB, node 1, $what"
check "no other lines" test "$(dmesg | grep -c 'gmem_persist: extent')" = 3
check "node 1 has no memory left" test "$(cat /sys/devices/system/node/has_memory)" = 0
[ "$STAGE" = 1 ] || exit 0
host_works
enter_stage
fail "kexec"
