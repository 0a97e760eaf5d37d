#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: quick=1 mem=13G smp=2,sockets=2 timeout=200 flavours="release debug"
# vm: append="nokaslr maxcpus=2 kho=on kho_scratch=512M,1G,512M gmem_persist=1G,2G@0,3G@1,1G@7,zeroed"
# vm: qemu="-object memory-backend-ram,id=n0,size=6656M,reserve=off -numa node,nodeid=0,cpus=0,memdev=n0 -object memory-backend-ram,id=n1,size=6656M,reserve=off -numa node,nodeid=1,cpus=1,memdev=n1"
#
# Two nodes, whose boundary is no multiple of 1 GiB: the pool lies where it was asked
# for, by what firmware says (SRAT), and the kernel has no mapping of it; on the first
# boot, where a mapping had to be taken away again, and after a kexec.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

# on_node NODE NAME: all the ranges of an object are on that node, by SRAT
on_node() {
	local sum=0 all=0 range base end start stop node
	object "$2" ranges > /tmp/ranges
	while read -r range; do
		base=$(number "${range%-*}")
		end=$(($(number "${range#*-}") + 1))
		all=$((all + end - base))
		while read -r start stop node; do
			[ "$node" != "$1" ] || add_overlap "$base" "$end" "$start" "$stop"
		done < /tmp/srat
	done < /tmp/ranges
	[ $all -gt 0 ] && [ $sum = $all ]
}

# on_cpu CPU COMMAND...
on_cpu() { taskset -c "$@" > /tmp/vmm; }

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
	# The caller runs on node 0: without a mask that is where memory comes from first.
	for node in 0 1; do
		check "an object on node $node" vmm create n$node size=514M nodes=$((1 << node))
		check "is there, as it says" object_is "n$node" nodes "N$node=$((514 << 20))"
		check "and as SRAT says" on_node $node n$node
	done
	check "too much for node 1" vmm_fails ENOSPC create x nodes=2 size=5G granule=1G
	check "a node that cannot exist" vmm_fails EINVAL create x nodes=0x8000000000000000 size=2M
	check "a mask for what exists" vmm_fails EINVAL reclaim n1 nodes=2
	check "an object wherever the caller is" on_cpu 1 gmem-payload create here size=64M
	check "is on its node" object_is here nodes "N1=$((64 << 20))"
	for name in n0 n1 here; do
		check "discard $name" write discard $name
	done
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
