#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=13G smp=2,sockets=2 timeout=200 flavours="release debug"
# vm: append="kho=on kho_scratch=512M,1G,512M gmem_persist=1G,2G@0,3G@1,1G@7,zeroed"
# vm: qemu="-object memory-backend-ram,id=n0,size=6656M,reserve=off -numa node,nodeid=0,cpus=0,memdev=n0 -object memory-backend-ram,id=n1,size=6656M,reserve=off -numa node,nodeid=1,cpus=1,memdev=n1"
#
# Two nodes, whose boundary is no multiple of 1 GiB: the pool lies where it was asked
# for, by what firmware says (SRAT), and the kernel has no mapping of it; on the first
# boot, where a mapping had to be taken away again, and after a kexec.
. /tests/lib.sh
. /tests/objects.sh
. /tests/placement.sh

check "the pool has what can be had" is pool_bytes $((6 * gib))
check "the nodes that the log tells are those of SRAT" log_agrees_with_srat
check "2 GiB at least are on node 0" test "$(pool_on_node 0)" -ge $((2 * gib))
check "3 GiB at least are on node 1" test "$(pool_on_node 1)" -ge $((3 * gib))
check "and the rest on either" test $(($(pool_on_node 0) + $(pool_on_node 1))) = $((6 * gib))
check "ordinary memory is mapped" ram_is_mapped
check "the pool is not" pool_is_not_mapped
check "the pool is no System RAM" pool_is_no_ram

case $STAGE in
1)
	check "no such node" logged "gmem_persist=1G@7: 0 GiB instead of 1: there is no such node"
	check "the extents are new" test "$(extents_in_log new)" -gt 0
	require "an object over all of it is filled" vmm create all size=6G granule=1G \
		per-gib=64 seed=51 fill
	next_stage
	;;
2)
	check "the extents are left by an earlier kernel" \
		test "$(extents_in_log 'left by an earlier kernel')" -gt 0
	check "the object has its contents" vmm reclaim all per-gib=64 seed=51 verify
	;;
esac
