#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=7G timeout=120 append="gmem_persist=2G,zeroed kho=on" flavours="release debug"
#
# At which address a file of gmemfs is mapped: where the kernel may choose, large leaves are
# possible; where they are not, the log says so.
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
. /tests/lib/files.sh

# begins_at PATH SIZE: its mapping by $holder begins at a multiple of that
begins_at() {
	local line
	line=$(grep "$fs/$1\$" "/proc/$holder/maps") && [ $((0x${line%%-*} % $2)) = 0 ]
}

# told N: so often the log tells of mappings without large leaves
told() { [ "$(dmesg | grep -c 'gmem_persist: gmem-file\[[0-9]*\] maps memory at')" = "$1" ]; }

check "memory" file small create truncate=4
check "1 GiB of it" file large create truncate=1024
require "map the one" hold small rw map
check "at a multiple of 2 MiB" begins_at small $((2 << 20))
let_go
require "and the other" hold large rw map
check "at one of 1 GiB" begins_at large $((1 << 30))
let_go
check "nobody complains" told 0
check "nor at any multiple of 2 MiB" file large rw mapat=2
check "which is so" told 0
check "4 KiB behind one" file small rw mapat=4096B
check "the log tells" told 1
check "again and again, by one that has it open" file small rw mapat=4096B unmap mapat=8192B
check "is told of once for that open file" told 2
