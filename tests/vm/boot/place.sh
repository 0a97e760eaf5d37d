#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=120 flavours="release" append="kho=on"
#
# Where the pool lies beside all else that takes memory at boot, or hides it. In each
# case the pool has what it can have, the other one, too, and the host works.
#
# vm several: append="gmem_persist=1G,1G,zeroed,1G"
#   Several sizes are added up; the kernel lies anywhere, and the pool around it.
#
# vm base: quick=1 append="nokaslr gmem_persist=1G,1G!0x200000000,1G!5G"
#   Sizes with an address lie there, and one without, although it stands first, goes
#   elsewhere.
#
# vm base-bad: append="nokaslr gmem_persist=1G!5G,1G!5G,1G!64G,4G!7G,1G"
#   An address that is taken, or is none of free memory, yields nothing; the others are
#   honoured.
#
# vm mem: append="nokaslr mem=7G gmem_persist=3G"
#   mem= hides what lies above an address; so it does from the pool.
#
# vm memmap: append="nokaslr memmap=1G$6G,4K$8G gmem_persist=4G"
#   What memmap= takes away is not there for the pool.
#
# vm exactmap: append="nokaslr memmap=exactmap,636K@4K,3070M@1M,5G@4G gmem_persist=2G"
#   memmap=exactmap throws the memory map away, and with it the marks of an earlier
#   kernel's pool. The pool is left alone all the same, and keeps its contents.
#
# vm floor: append="nokaslr memmap=2304M$0x30000000 gmem_persist=5G,1G"
#   With little memory below 4 GiB the pool leaves the kernel a part of what is above:
#   1 GiB and what describes it.
#
# vm pieces: big=108G append="nokaslr memmap=4K$5G,4K$7G,4K$9G,4K$11G,4K$13G,4K$15G,4K$17G,4K$19G,4K$21G,4K$23G,4K$25G,4K$27G,4K$29G,4K$31G,4K$33G,4K$35G,4K$37G,4K$39G,4K$41G,4K$43G,4K$45G,4K$47G,4K$49G,4K$51G,4K$53G,4K$55G,4K$57G,4K$59G,4K$61G,4K$63G,4K$65G,4K$67G,4K$69G,4K$71G,4K$73G,4K$75G,4K$77G,4K$79G,4K$81G,4K$83G,4K$85G,4K$87G,4K$89G,4K$91G,4K$93G,4K$95G,4K$97G,4K$99G,4K$101G,4K$103G,4K$105G,4K$107G gmem_persist=60G,zeroed"
#   Memory in more pieces than the pool can have.
#
# vm 1t: big=1030G timeout=180 times=3 append="gmem_persist=1024G,zeroed"
#   A pool of 1 TiB on a host that has hardly more, wherever KASLR put the kernel: 99 %
#   of it at least, or the log says why. Several boots; "make boots N=20" for more.
#
# vm nogbpages: mem=10G flavours="release debug" append="kho_scratch=128M,128M,128M nogbpages gmem_persist=2G@0,1G"
#   Without pages of 1 GiB in the direct mapping, its tables are taken away as well.
#
# vm crashkernel: append="gmem_persist=3G crashkernel=256M"
#   crashkernel= reserves after the pool, and the pool leaves room for it; also under the
#   next kernel, where it must fit into KHO's scratch areas.
#
# vm crashkernel-high: mem=10G append="gmem_persist=3G@0 crashkernel=512M,high kho_scratch=768M,1G,256M"
#   A crash kernel high up wants memory that the pool wants; and under the next kernel it
#   must fit into the scratch areas, with 256 MiB of it in the lower one, beside a kernel in the
#   middle of that.
#
# vm kho-scratch: mem=10G append="kho_scratch=256M,512M,256M gmem_persist=3G@0"
#   The scratch areas for the next kernel come from what the pool leaves, in the size
#   asked for.
#
# vm cma: mem=10G append="gmem_persist=3G@0 cma=512M"
#   cma= reserves right behind the second hook, up to the last address that is mapped.
#
# vm hugetlb-cma: append="gmem_persist=3G hugetlb_cma=1G kho_scratch=256M,512M,256M"
#   hugetlb_cma= reserves from what the pool leaves. KHO's scratch areas would be made
#   four times as large, and not fit, if their sizes were not given.
#
# vm hugepages-1g: append="gmem_persist=3G hugepagesz=1G hugepages=1"
#   Pages of 1 GiB want what the pool wants, too: they get it from what is left.
#
# vm hugepages-2m: append="gmem_persist=3G hugepages=512"
#   hugepages= takes its pages from what the pool leaves.
#
# vm kernelcore: mem=10G append="gmem_persist=3G@0 kernelcore=2G"
# vm movablecore: append="gmem_persist=3G movablecore=1G"
#   Each divides what the pool leaves.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

# whole GIB: the pool has all that was asked for
whole() { check "the pool is all there" has "$1"; }

# pages SIZE N: the kernel has so many huge pages
pages() { [ "$(cat "/sys/kernel/mm/hugepages/hugepages-$1/nr_hugepages")" = "$2" ]; }

# crash_memory: bytes that a crash kernel has
crash_memory() { cat /sys/kernel/kexec_crash_size; }

# enough_or_why: of a pool of 1 TiB
enough_or_why() {
	[ $((got * 100)) -ge $((asked * 99)) ] || short "1024G: $((got / gib)) GiB instead of 1024: "
}

case $CASE in
several)
	whole 3
	check "no line about what is missing" none_short
	check "all of it is said to be zero" is clean_bytes $((3 * gib))
	;;
base)
	whole 3
	check "no line about what is missing" none_short
	check "one is where it was asked for" extent 5 6
	check "and one at the top, with the one that may lie anywhere below it" extent 7 9
	;;
base-bad)
	no="0 GiB instead of"
	why="not all of that is free memory"
	check "two of the sizes are there" has 2
	check "the first" extent 5 6
	check "and the last" extent 8 9
	check "not twice the same" short "1G!0x140000000: $no 1: $why"
	check "not where no memory is" short "1G!0x1000000000: $no 1: $why"
	check "nor where a part of it is none" short "4G!0x1c0000000: $no 4: $why"
	;;
mem)
	whole 3
	check "and ends where memory does" extent 4 7
	;;
memmap)
	check "the pool is what is left in whole pieces" has 3
	check "below the holes" extent 4 6
	check "and between them" extent 7 8
	check "the log says so" short \
		"4G: 3 GiB instead of 4: there is no more free memory at or above 4G, in pieces of 1G"
	;;
exactmap)
	whole 2
	check "at the top" extent 7 9
	case $STAGE in
	1)	check "an object is filled" vmm create kept size=1G granule=1G seed=3 per-gib=64 fill ;;
	2)	check "and is as it was" vmm reclaim kept seed=3 per-gib=64 verify ;;
	esac
	;;
floor)
	check "the pool leaves 1 GiB" has 4
	check "the first size gets a part" short "5G: 4 GiB instead of 5: the kernel needs the rest"
	check "the second one nothing" short "1G: 0 GiB instead of 1: the kernel needs the rest"
	;;
pieces)
	check "the pool has 48 of them" has 48
	check "as many extents" test "$(wc -l < "$pool/extents")" = 48
	check "the log says so" short "60G: 48 GiB instead of 60: the pool is in too many pieces"
	;;
1t)
	asked=$((1024 * gib))
	got=$(cat "$pool/pool_bytes")
	result asked_bytes $asked
	result obtained_bytes "$got"
	result extents "$(wc -l < "$pool/extents")"
	result kernel_at "$(sed -n 's/^ *\([0-9a-f]*\)-.* : Kernel code$/0x\1/p' /proc/iomem)"
	result why "$(dmesg | sed -n 's/.*gmem_persist: \(gmem_persist=.*\)/\1/p')"
	check "99 % of it, or a reason" enough_or_why
	;;
nogbpages)
	whole 3
	check "the direct mapping has no pages of 1 GiB" not grep -q DirectMap1G /proc/meminfo
	;;
crashkernel)
	whole 3
	check "so is the crash kernel's memory" test "$(crash_memory)" = $((256 << 20))
	;;
crashkernel-high)
	whole 3
	check "so is the crash kernel's memory" test "$(crash_memory)" -ge $((512 << 20))
	;;
kho-scratch)
	whole 3
	check "nothing went wrong with the areas" \
		test -z "$(dmesg | grep -i "kho.*\(fail\|disab\)")"
	;;
cma)
	whole 3
	check "so is the area" \
		test "$(sed -n "s/^CmaTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo)" -ge $((512 << 10))
	;;
hugetlb-cma)
	whole 3
	check "so is the area" sh -c "dmesg | grep -q 'hugetlb_cma: reserved 1024 MiB'"
	;;
hugepages-1g)
	whole 3
	check "so is the page of 1 GiB" pages 1048576kB 1
	;;
hugepages-2m)
	whole 3
	check "so are the pages of 2 MiB" pages 2048kB 512
	;;
kernelcore|movablecore)
	whole 3
	check "there is movable memory" grep -q Movable /proc/zoneinfo
	;;
*)
	fail "no such case: $CASE"
	;;
esac

host_works
case $CASE$STAGE in
crashkernel1|crashkernel-high1|exactmap1)
	# All that once more, under the next kernel
	enter_stage
	fail "kexec"
	;;
esac
