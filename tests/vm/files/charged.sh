#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=13G smp=1 timeout=400 append="gmem_persist=8G,zeroed kho=on gmem_persist.clean=0" flavours="release"
#
# Who pays for the kernel memory of all that a tenant can have many of: his cgroup does. For each
# kind, Linux has so much less memory as he is charged for, but for a little. (A session of LUO is
# root's. What direct I/O needs is charged to nobody, and bounded: dio.)
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
. /tests/lib/files.sh

cg=/sys/fs/cgroup/tenant

# He pays for all but this much of each, and of all of them together. For a slot he pays as long as
# he has it, but there are enough of them before: the record never gets smaller.
each=64
all=$((96 << 10))
slot=512

# free_memory: bytes that nobody has
free_memory() { gmem-scale memory | sed -n 's/^free_bytes=//p'; }

# charged: bytes that he pays for; memory.current has what he may need soon, too
charged() { awk '/^(anon|file|kernel) / { n += $2 } END { printf "%.0f", n }' $cg/memory.stat; }

# held TIMES: he has said so as often
held() {
	until [ "$(grep -c holding /tmp/holding)" = "$1" ]; do
		kill -0 "$holder" 2>/dev/null || return 1
	done
}

# hold_twice KIND COUNT: first what fits where others have left room, and then as much again, for
# which $gone bytes are gone, and he pays $paid
hold_twice() {
	: > /tmp/holding
	# shellcheck disable=SC2016	# for the inner shell
	sh -c 'echo $$ > "$0/cgroup.procs" && exec "$@"' $cg gmem-hoard "$1" "$2" $fs/file \
		< /tmp/more > /tmp/holding &
	holder=$!
	exec 3> /tmp/more
	held 1 || return
	gone=$(free_memory) paid=$(charged)
	echo >&3
	held 2 || return
	gone=$((gone - $(free_memory))) paid=$(($(charged) - paid))
}

# leave: he lets go of all
leave() {
	let_go
	exec 3>&-
	rm -rf $fs/file.*
	rmdir $cg
}

# pays KIND COUNT SLOTS: so many slots each has
pays() {
	local kind=$1 count=$2
	mkdir $cg
	if hold_twice "$kind" "$count"; then
		echo "# $count $kind: $gone bytes, $paid are paid for"
		result "bytes_of_$kind" $((gone / count))
		gone=$((gone + count * slot * $3))
		[ "$gone" -gt $((8 * all)) ] || fail "$kind: there is too little to tell"
		check "$kind" [ $((gone - paid)) -lt $((count * each + all)) ]
	else
		fail "$kind"
	fi
	leave
}

mkfifo /tmp/more
file file create truncate=2 || fail "a file"
echo +memory > /sys/fs/cgroup/cgroup.subtree_control
mkdir $cg
require "20,480 slots" hold_twice names 10240
leave
pays names 10000 1
pays directories 10000 1
pays memory 660 1
pays handles 10000 0
pays nameless 660 1
pays mappings 10000 0
pays large 1000 0
pays small 1000 0
pays claims 660 1
pays devices 8000 0
check "no object but that is left" sh -c "until [ \$(cat $pool/used_bytes) = 2097152 ]; do :; done"
