#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=8G timeout=200 append="nokaslr gmem_persist=1G@0,1G@1" flavours="release debug" qemu="-object memory-backend-ram,id=m0,size=5G -object memory-backend-ram,id=m1,size=3G -numa node,memdev=m0,cpus=0-1 -numa node,memdev=m1"
#
# A pool on two nodes: each is a region with accounts and limits of its own.
. /tests/lib/test.sh
. /tests/lib/pool.sh

M=$((1 << 20))
cg=/sys/fs/cgroup

# charged NODE MIB: to the group
charged() { grep -qx "gmem_persist/node$1 $(($2 * M))" $cg/group/dmem.current; }
limit() { echo "gmem_persist/node$1 $2" > $cg/group/dmem.max; }

# vmm_in_group WORDS..., refused_in_group WORDS...
vmm_in_group() {
	# shellcheck disable=SC2016	# for the inner shell
	sh -c 'echo $$ > "$0/cgroup.procs" && exec gmem-payload "$@"' $cg/group "$@" > /tmp/vmm
}
refused_in_group() {
	vmm_in_group "$@"
	[ "$(figure errno)" = EDQUOT ]
}

echo +dmem > $cg/cgroup.subtree_control
mkdir $cg/group
for node in 0 1; do
	check "node $node has 1 GiB" grep -qx "gmem_persist/node$node $((1024 * M))" $cg/dmem.capacity
done
check "an object on both nodes" vmm_in_group create both size=2G granule=1G
check "pays on node 0" charged 0 1024
check "and on node 1" charged 1 1024
write discard both
check "until it is discarded" charged 0 0
check "on both" charged 1 0
for node in 0 1; do
	limit $node 1000M
	check "a limit of node $node" refused_in_group create both size=2G granule=1G
	check "leaves no charge on node 0" charged 0 0
	check "nor on node 1" charged 1 0
	check "nor memory" is used_bytes 0
	limit $node max
done
check "an object of the root group" vmm create both size=2G granule=1G
limit 1 10M
check "reclaim beyond the limit of node 1" vmm_in_group reclaim both
check "moves the charge of node 0" charged 0 1024
check "and of node 1" charged 1 1024
check "nothing is left with the root group but this" \
	[ "$(grep -c " $((1024 * M))$" $cg/dmem.current)" = 2 ]
write discard both
check "in the end nobody pays on node 0" charged 0 0
check "nor on node 1" charged 1 0
