#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=7G timeout=200 append="gmem_persist=1G,zeroed kho=on" flavours="debug"
#
# read() runs into a memory error that nobody knew of. There is none: the copy is told so,
# where a machine check would have ended it.
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
. /tests/lib/files.sh

M=$((1 << 20))
fail=/sys/kernel/debug/gmem_persist/fail_read

# bad_at N: reading can go on for N bytes
bad_at() {
	echo "$1" > $fail/space
	echo 1 > $fail/times
	echo 100 > $fail/probability
}

# until_bad N: wait for the list to have that many lines
until_bad() { until [ "$(wc -l < "$pool/bad_pages")" = "$1" ]; do :; done; }

# reads N COUNT: N bytes, by one call for all, are COUNT
reads() { [ "$(dd if=$fs/data bs="$1" count=1 2>/dev/null | wc -c)" = "$2" ]; }

[ -d $fail ] || skip_all "the kernel makes no read fail"
echo 0 > $fail/verbose

yes data | head -c 300000 > /tmp/data
cp /tmp/data $fs/data
check "it is read" cmp /tmp/data $fs/data

bad_at 0
# Not cat: after a sendfile() that failed it tries read(), and there is nothing to fail twice.
check "an error at once" fails_with "Input/output" dd if=$fs/data of=/dev/null bs=32768
check "memory_failure() is told" until_bad 1
check "of the file's page" object_is data bad_pages 0x0
check "logged" logged "object data, offset 0x0: no access to this page any more"
check "once more" fails_with "Input/output" cat $fs/data
check "no other error" [ "$(wc -l < "$pool/bad_pages")" = 1 ]
rm $fs/data
check "its granule is retired" is poisoned_bytes $((2 * M))

cp /tmp/data $fs/data
bad_at 100000
check "an error later" reads 200000 98304
check "memory_failure() is told" until_bad 2
check "of that page" object_is data bad_pages 0x18000
check "all before it" reads 98304 98304
check "from there on" fails_with "Input/output" dd if=$fs/data bs=32768 skip=3 count=1
tail -c +102401 /tmp/data > /tmp/behind
check "all behind it" sh -c "dd if=$fs/data bs=4096 skip=25 2>/dev/null | cmp - /tmp/behind"
check "the pool adds up" adds_up
