#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=7G timeout=450 append="gmem_persist=2G,zeroed gmem_persist.clean=0 kho=on" disk=suites scratch=512 flavours="release debug"
#
# Direct I/O into and out of memory of the pool in the middle of what takes that away, at random,
# on a disk and on a file of ext4; see gmem-dio-race.c.
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
. /tests/lib/files.sh

M=$((1 << 20))

# nearly_full: all but 20 MiB of the pool are in use, of which memory errors take up to 16
nearly_full() { truncate -s $(($(cat "$pool/clean_bytes") + $(cat "$pool/dirty_bytes") - 20 * M)) $fs/filler; }

[ -e /bin/mkfs.ext4 ] || skip_all "no suites (scripts/suites)"
scratch=$(disk scratch)
require "a disk to write to" test -b "$scratch"
require "errors can be injected" test -w /sys/devices/system/memory/hard_offline_page
require "most of the pool is in use" nearly_full
seed=$(od -A n -N 4 -t u4 /dev/urandom)
echo "# seed $seed"
check "direct I/O while its memory goes" gmem-dio-race "$scratch" $fs 40 "$seed"
require "make ext4" mkfs.ext4 -q -F "$scratch"
mkdir -p /mnt
require "mount it" mount -t ext4 "$scratch" /mnt
truncate -s 8M /mnt/file
check "the same on a file" gmem-dio-race /mnt/file $fs 20 "$((seed + 1))"
check "what fills the pool goes, too" rm $fs/filler
check "no object is left" no_objects
check "all memory is free" sh -c "until [ \$(cat $pool/used_bytes) = 0 ]; do :; done"
check "but for 2 MiB for each memory error at most" \
	[ "$(cat "$pool/poisoned_bytes")" -le $((16 * M)) ]
check "the pool adds up" adds_up
