#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=7G timeout=200 append="gmem_persist=1G kho=on"
#
# A file system without a cache takes the pages of what is read and written: such memory gets a clear
# errno, or what comes before it in a vector is done. That is seen with FUSE.
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
. /tests/lib/files.sh

# gives WHAT ANSWER
gives() { check "$1: $2" grep -q -x "$1: $2" /tmp/gives; }

file mem create truncate=2 || fail "memory"
: > /tmp/place
check "a file of FUSE, without cache" sh -c "gmem-fuse $fs/mem /tmp/place > /tmp/gives"
cat /tmp/gives
gives "read ordinary" 4096
gives "write ordinary" 4096
gives "read pool" EFAULT
gives "write pool" EFAULT
gives "read both" 4096
gives "write both" 4096
# With O_DIRECT, it goes through pages of the kernel.
gives "O_DIRECT read both" 8192
gives "O_DIRECT write both" 8192
rm $fs/mem
check "no object is left" no_objects
