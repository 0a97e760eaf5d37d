#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=8G timeout=1500 append="gmem_persist=2G,zeroed kho=on virtio_blk.poll_queues=1" disk=suites scratch=512 flavours="release debug"
# vm: qemu="-blockdev driver=null-co,node-name=nothing,size=16777216,read-zeroes=on -blockdev driver=blkdebug,node-name=broken,image=nothing,inject-error.0.event=none,inject-error.0.errno=5,inject-error.0.iotype=write -device virtio-blk-pci,drive=broken,serial=broken,rerror=report,werror=report"
#
# tmp
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
. /tests/lib/files.sh
scratch=$(disk scratch)
mkdir -p /mnt
require "make" mkfs.xfs -q -f $scratch
require "mount" mount -t xfs -o defaults $scratch /mnt
truncate -s 20M /mnt/file
echo 1 > /proc/sys/kernel/sysrq
truncate -s 16M $fs/mem
for s in 1 2 3 4 5 6 7 8; do
	gmem-dio /mnt/file $fs/mem seed=$s random=300 &
	pid=$!
	n=0
	while kill -0 $pid 2>/dev/null; do
		sleep 1
		n=$((n + 1))
		if [ $n = 90 ]; then
			echo "stuck, seed $s"
			cat /proc/$pid/stat /proc/$pid/stack /proc/$pid/syscall
			echo l > /proc/sysrq-trigger
			sleep 1
			echo l > /proc/sysrq-trigger
			sleep 1
			echo w > /proc/sysrq-trigger
			sleep 1
			cat /proc/interrupts
			cat /sys/block/*/inflight
			fail "stuck"
			exit 1
		fi
	done
	wait $pid
	check "seed $s" test $? = 0
done
