#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=7G append="gmem_persist=2G,zeroed kho=on mce=100000000" flavours="release"
# vm: qemu="-cpu Skylake-Server-v1,phys-bits=46 -chardev socket,id=mon,path=build/mce.socket,server=on,wait=off -mon chardev=mon -chardev socket,id=com,path=build/mce.socket -device isa-serial,chardev=com,index=2"
#
# A machine check, by QEMU's mce command, takes the way of a real one: from the exception
# to memory_failure(), and then to the direct map, which the pool is not in. It is of the
# kind that a scrubber reports, since the others are fatal on what QEMU emulates, and on an
# Intel CPU, so there are no guests here. The command comes from inside: the third serial
# port is connected to QEMU's monitor.
. /tests/lib/test.sh
. /tests/lib/pool.sh

M=$((1 << 20))

[ -c /dev/ttyS2 ] || skip_all "no third serial port"

# machine_check ADDRESS: valid, uncorrected, enabled, with address, signalled; a scrubber's
machine_check() {
	echo "mce -b 0 1 0xbd000000000000c0 5 $1 0x8c" > /dev/ttyS2
}

# until_bad N: wait for the list to have that many lines
until_bad() { until [ "$(wc -l < "$pool/bad_pages")" = "$1" ]; do :; done; }

stty -F /dev/ttyS2 115200 raw -echo
range=$(tail -n 1 "$pool/extents")
page=$(printf 0x%x $((${range#*-} - 0x4fff)))
other=$(printf 0x%x $((${range#*-} - 0x404fff)))

check "a machine check" machine_check "$page"
check "the pool notes it" until_bad 1
check "it is that page" is bad_pages "$page-$(printf 0x%x $((page + 0xfff)))"
check "its granule is retired" is poisoned_bytes $((2 * M))
check "logged" logged "memory error at $page: free memory: its 2 MiB are not given out any more"
check "another one" machine_check "$other"
check "the pool notes it" until_bad 2
check "two granules are retired" is poisoned_bytes $((4 * M))
check "the pool adds up" adds_up
