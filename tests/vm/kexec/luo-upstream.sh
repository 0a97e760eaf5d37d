#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G timeout=300 append="kho=on liveupdate=on gmem_persist=1G" flavours="release debug"
#
# Upstream's selftests of the live update orchestrator pass in a kernel with a pool, and a handle
# of gmemfs goes the same way in the same kexec.
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
M=$((1 << 20))
. /tests/lib/files.sh

case $STAGE in
1)
	[ -e /dev/liveupdate ] || skip_all "a kernel without LUO"
	selftest liveupdate
	check "nothing is in the pool" is used_bytes 0
	gmem-luo create=ours tmp=$fs truncate=32 fill=31 keep=1 hold > /tmp/holding &
	until grep -q holding /tmp/holding; do kill -0 $! || break; done
	selftest luo_kexec_simple
	selftest luo_multi_session
	next_stage
	;;
2)
	selftest luo_kexec_simple -s 2
	selftest luo_multi_session -s 2
	check "ours is there" is used_bytes $((32 * M))
	check "with its contents" gmem-luo session=ours get=1 verify=31 finish
	check "and is gone with its process" is used_bytes 0
	;;
esac
