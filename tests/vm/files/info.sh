#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=8G timeout=300 append="gmem_persist=3G,zeroed gmem_persist.clean=0 kho=on" flavours="release debug"
#
# The ioctls by which files and directories tell what they are: each field, lists in parts of
# any length, and who may not ask.
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
M=$((1 << 20))
. /tests/lib/files.sh

# about PATH KEY=VALUE...: gmem-info finds nothing wrong with it, and that is what it says
about() {
	local path=$1
	shift
	gmem-info "$fs/$path" "$@" > /tmp/about
}

case $STAGE in
1)
	check "the root" about . kind=directory size=0 granule=0 views=0
	check "an empty file" file empty create
	check "is one" about empty kind=empty size=0 length=0 granule=$((2 * M)) \
		views=0 ranges=0 nodes=0
	check "memory" file vm0 create truncate=64 map fill=1
	check "is in one piece" about vm0 kind=memory size=$((64 * M)) length=$((64 * M)) \
		granule=$((2 * M)) flags=0x3 vm_class=0 generation=0 views=0 ranges=1 \
		nodes=1 bad_pages=0
	check "1 GiB" vmm create large size=1G granule=1G
	check "in one granule" about large kind=memory granule=$((1024 * M)) ranges=1
	check "private memory" file secret create private=8
	check "has another class" about secret flags=0 vm_class=1 length=$((8 * M))
	check "data" sh -c "echo data > $fs/data"
	check "has a length of its own" about data kind=data length=5 size=$((2 * M)) views=0
	check "a directory" mkdir $fs/dir
	check "is one" about dir kind=directory size=0 length=0 granule=0 ranges=0 views=0

	# Views, without the one that asks
	hold vm0 rw vm=0
	check "a handle and a VM" about vm0 views=2
	let_go
	hold vm0 ro
	check "a handle that reads" about vm0 views=1
	let_go
	hold vm0 ask
	check "who only asks is none" about vm0 views=0
	check "nor does he keep others out" file vm0 excl
	let_go
	check "he learns whose the memory is" file vm0 ask token
	check "as gmemctl says" object_is vm0 token "$(figure token)"
	check "as the other one says" test \
		"$(gmemctl token $fs/vm0)" = "$(object vm0 uuid) $(figure token)"
	check "and has no token himself" test "$(figure own_token)" = 00000000000000000000000000000000
	check "being no writer" file_fails EBADF vm0 ask share
	check "he cannot read" file_fails EACCES vm0 ask map
	check "nor write" file_fails EINVAL vm0 ask truncate=64
	check "but ask" file vm0 ask info
	check "as long as it is there" file_fails ESTALE empty ask unlink info
	check "that is for who may read and write" file_fails EACCES vm0 uid=1000 ask
	hold secret ask
	check "discard it" write discard secret
	let_go

	# More ranges than one call tells: every second granule was somebody else's.
	for n in 0 1 2 3 4 5 6 7; do
		gmem-names create "$n-" 40 > /tmp/names || fail "names"
	done
	for n in 0 1 2 3 4 5 6 7; do
		for i in 0 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30 32 34 36 38; do
			echo "$n-$i" > "$pool/discard"
		done
	done
	check "what is left of the whole pieces" file rest create \
		truncate="$(($(cat "$pool/clean_bytes") + $(cat "$pool/dirty_bytes")))B"
	check "is in many" about rest kind=memory
	check "more than 128" test "$(sed -n 's/^ranges=//p' /tmp/about)" -gt 128
	check "as gmemctl says" test "$(object rest ranges | wc -l)" = "$(sed -n 's/^ranges=//p' /tmp/about)"
	check "they are the file's" file rest ro map zero

	at=$(object large ranges)
	at=$((${at%-*}))
	for i in 1 2 3; do
		echo $((at + 4096 * i * i)) > /sys/devices/system/memory/hard_offline_page
	done
	check "bad pages" about large bad_pages=3
	check "as gmemctl says" object_is large bad_pages "0x1000
0x4000
0x9000"

	# Who may not ask
	check "not by a file for writing only" file_fails EBADF vm0 wo info
	check "not by a path" file_fails EBADF vm0 path info
	check "another user cannot open it" file_fails EACCES vm0 uid=1000 ro
	chmod 644 $fs/vm0
	check "but what he can read" file vm0 uid=1000 ro info
	check "he sees no addresses of" file_fails EPERM vm0 uid=1000 ro ranges
	next_stage
	;;
2)
	check "memory" about vm0 kind=memory size=$((64 * M)) generation=1 ranges=1
	check "data" about data kind=data length=5 generation=1
	check "in pieces" about rest kind=memory generation=1
	check "bad pages" about large bad_pages=3
	check "a directory" about dir kind=directory generation=1
	;;
esac
