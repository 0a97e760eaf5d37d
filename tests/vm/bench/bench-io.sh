#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=7G icount=0 smp=1 timeout=300 append="kho=on gmem_persist=2G,zeroed brd.rd_nr=1 brd.rd_size=32768" flavours="bench"
#
# make bench-io: what direct I/O costs in instructions, with memory of the pool and with
# ordinary memory, on a disk that is memory and so needs none of its own time.
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
. /tests/lib/files.sh

# figures PREFIX: what gmem-dio has printed
figures() {
	while IFS='=' read -r key value; do
		result "$1$key" "$value"
	done < /tmp/cost
}

truncate -s 16M $fs/mem
check "a process without such memory" sh -c "gmem-dio /dev/ram0 - cost > /tmp/cost"
figures alone_
check "and one that has some" sh -c "gmem-dio /dev/ram0 $fs/mem cost > /tmp/cost"
figures ""
