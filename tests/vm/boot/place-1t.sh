#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: big=1030G timeout=180 times=3 append="kho=on gmem_persist=1024G,zeroed" flavours="release"
#
# A pool of 1 TiB on a host that has hardly more, wherever KASLR put the kernel: 99 %
# of it at least, or the log says why. Several boots; "make boots N=20" for more.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

asked=$((1024 * gib))
got=$(cat "$pool/pool_bytes")
result asked_bytes $asked
result obtained_bytes "$got"
result extents "$(wc -l < "$pool/extents")"
result kernel_at "$(sed -n 's/^ *\([0-9a-f]*\)-.* : Kernel code$/0x\1/p' /proc/iomem)"
result why "$(dmesg | sed -n 's/.*gmem_persist: \(gmem_persist=.*\)/\1/p')"

enough_or_why() {
	[ $((got * 100)) -ge $((asked * 99)) ] || short "1024G: $((got / gib)) GiB instead of 1024: "
}

check "99 % of it, or a reason" enough_or_why
host_works
