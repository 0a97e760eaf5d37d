#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=8G timeout=200 append="gmem_persist=2G,zeroed kho=on" flavours="release"
#
# The operator's tool: every command, and records that it explains, also one that the next
# kernel refuses.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/stop.sh

M=$((1 << 20))

# ctl WORDS...: what it says goes to /tmp/said; exits STATUS WORDS...: with that status
ctl() { gmemctl "$@" > /tmp/said 2>&1; }
exits() {
	local want=$1 status=0
	shift
	ctl "$@" || status=$?
	[ $status = "$want" ]
}

# says TEXT: so did the last one
says() { grep -q -e "$1" /tmp/said; }

case $STAGE in
1)
	check "usage" exits 2
	check "a command that is none" exits 2 frobnicate
	check "a command without its name" exits 2 show
	check "status" exits 0 status
	check "has the pool's size" says "^pool_bytes *$((2048 * M))$"
	check "status as JSON" exits 0 status --json
	check "has numbers" says "\"used_bytes\":0,"
	check "watch, with no interval" exits 2 watch --interval 0
	gmemctl watch --interval 0.05 > /tmp/watch & watch=$!
	gmemctl watch --interval 0.05 --json > /tmp/watch.json & watch_json=$!
	until [ -s /tmp/watch ] && [ -s /tmp/watch.json ]; do sleep 0.1; done
	check "watch begins with all there is" grep -q \
		"^[0-9:]*  pool_bytes $((2048 * M)) .*  frozen 0  holders -  handover no-image: " /tmp/watch
	check "also as JSON" grep -q '^{"time":"[-0-9T:+]*","pool_bytes":.*,"holders":"","handover":"no-image: .*"}$' /tmp/watch.json
	check "what changes" exits 0 create watched 4M
	until grep -q "used_bytes $((4 * M))" /tmp/watch && grep -q "\"used_bytes\":$((4 * M))," /tmp/watch.json; do
		sleep 0.1
	done
	# It may also have seen that the object was being created, in handover.
	check "is a line of that" grep -q -E \
		"^[0-9:]*  clean_bytes $((2044 * M))  used_bytes $((4 * M))(  free_1g_bytes [0-9]*)?(  handover .*)?$" /tmp/watch
	check "as JSON of all" grep -q "\"pool_bytes\":$((2048 * M)),.*\"used_bytes\":$((4 * M)),.*\"handover\":" /tmp/watch.json
	kill -TERM $watch
	check "a signal ends it well" wait $watch
	kill -HUP $watch_json
	check "another one, too" wait $watch_json
	check "discard it" exits 0 discard watched
	check "no objects" exits 0 list --json
	check "an empty array" says '^\[\]$'

	check "create" exits 0 create vm0 64M
	check "it is parked" object_is vm0 state parked
	check "and a default VM can have it" vmm reclaim vm0 size=64M
	check "of larger granules" exits 0 create vm1 --granule 1G 1G
	check "it has them" object_is vm1 granule $((1024 * M))
	check "private" exits 0 create --private vm2 2M
	check "on a node" exits 0 create --nodes 1 vm3 2M
	check "a name that is taken" exits 1 create vm0 2M
	check "is said to be" says "File exists"
	for size in 2Q 2MM "" " 2M" +2M 16777216T 18446744073709551616; do
		check "no size: '$size'" exits 2 create vm4 "$size"
	done
	for mask in 1,2 "" -1 0x10000000000000000; do
		check "no mask of nodes: '$mask'" exits 2 create --nodes "$mask" vm4 2M
	done
	for slot in "" x17 17x -1 99999999999; do
		check "no slot: '$slot'" exits 2 attach /tmp/slot --slot "$slot" 0x0-0x1fffff
	done
	for range in 0-1fffff -0x1-0x1fffff 0x0-0xffffffffffffffff 0x0-0x10000000000000000; do
		check "no range: $range" exits 2 attach /tmp/slot -- "$range"
	done
	check "private data" exits 2 attach /tmp/slot --private --data 5 0x0-0x1fffff
	for command in show token quota decode discard attach; do
		check "no name: $command" exits 2 $command ""
	done
	check "nor a new one" exits 2 create "" 2M
	for command in --help status list; do
		check "$command cannot be written" sh -c "gmemctl $command > /dev/full; [ \$? = 1 ]"
	done
	check "no room" exits 1 create vm4 1T
	check "list" exits 0 list
	check "has each" test "$(grep -c -E ' vm[0-3]$' /tmp/said)" = 4
	check "show" exits 0 show vm0
	check "has its size" says "^size *$((64 * M))$"
	check "as JSON" exits 0 show vm0 --json
	check "of one line" says '^{"name":"vm0","size":67108864,.*"state":"parked".*}$'
	check "show what is not there" exits 1 show vm9
	check "it says so" says "^gmemctl: vm9: no such object$"
	check "show what is not in gmemfs" exits 1 show /tmp/said
	check "it says so" says "^gmemctl: /tmp/said: it is not in gmemfs$"
	check "nor a pipe" exits 1 show "$(mkfifo /tmp/pipe; echo /tmp/pipe)"
	check "one field" exits 0 show --field size vm0
	check "and nothing else" test "$(cat /tmp/said)" = $((64 * M))
	check "of two objects" exits 0 show vm1 --field granule vm0
	check "each" test "$(cat /tmp/said)" = "$((1024 * M))
$((2 * M))"
	check "one that is not there among them" exits 1 show --field size vm9 vm0
	check "and the other" says "^$((64 * M))$"
	check "where it is" exits 0 show --field ranges vm0
	check "in memory" says '^0x[0-9a-f]*-0x[0-9a-f]*$'
	check "as JSON" exits 0 show --json --field ranges vm1
	check "of base and size" says "^\\[\\[[0-9]*,$((1024 * M))\\]\\]$"
	check "on which nodes" exits 0 show --field nodes vm0
	check "all of it" says "^\\(N0\\|unknown\\)=$((64 * M))$"
	check "a field that is none" exits 2 show --field frobnicate vm0
	check "a name like a number" exits 0 create 007 2M
	check "is one" exits 0 show --json 007
	check "in JSON, too" says '^{"name":"007","size":2097152,'
	check "discard it" exits 0 discard 007
	write clean_background 0
	write clean_threads 1
	check "memory that is dirty" exits 0 create dirty 256M
	check "when it is free" exits 0 discard dirty
	free=$(free_bytes)
	dirty=$(cat "$pool/dirty_bytes")
	check "nobody clears anything" is clearing_bytes 0
	hold_at alloc-clear
	gmem-tty gmemctl create large "$free" > /tmp/terminal & terminal=$!
	until grep -q "GiB to be cleared" /tmp/terminal; do sleep 0.1; done
	check "at a terminal a creation says how far it is" grep -q "large: 0.[23] GiB to be cleared" /tmp/terminal
	check "as the kernel does" is clearing_bytes "$dirty"
	let_on
	check "it is created" wait $terminal
	check "then nobody clears" is clearing_bytes 0
	check "elsewhere nothing is said" exits 0 discard large
	check "of a large one" exits 0 create large "$free"
	check "at all" test ! -s /tmp/said
	check "discard it" exits 0 discard large
	write clean_background 1
	write clean_threads 0
	check "discard" exits 0 discard vm3
	check "once" exits 1 discard vm3

	mkdir -p /gmem
	mount -t gmemfs none /gmem
	mkdir -p /gmem/tenant/dir
	echo data > /gmem/tenant/dir/vm0
	check "by where it is mounted, too" exits 0 show /gmem/tenant/dir/vm0
	check "it is data" says "^kind *data$"
	check "of that length" says "^length *5$"
	check "what is in directories is listed" exits 0 list
	check "by its path" says " data .* tenant/dir/vm0$"
	check "as directories are" says " directory .* tenant/dir$"
	check "show what is there" exits 0 show tenant/dir/vm0
	check "by its path" says "^name *tenant/dir/vm0$"
	check "a directory as JSON" exits 0 show tenant --json
	check "of one line" says '^{"name":"tenant",.*"kind":"directory",.*}$'
	check "what is used in one" exits 0 quota tenant --json
	check "as JSON" says '^{"used_bytes":2097152,"max_bytes":0,"used_names":2,"max_names":0}$'
	check "set a limit" exits 0 quota /gmem/tenant --bytes 1G --names 7
	check "it is said" says "^max_bytes *1073741824$"
	check "the other, too" says "^max_names *7$"
	check "no limit of a file" exits 1 quota tenant/dir/vm0
	for limit in many -1 16777216T; do
		check "no such limit: $limit" exits 2 quota tenant --bytes "$limit"
	done
	check "it is as it was" test "$(gmemctl quota tenant | sed -n 's/^max_bytes *//p')" = 1073741824
	chown 1000:1000 /gmem/tenant
	chmod 700 /gmem/tenant
	mkdir -p /etc
	echo "someone:x:1001:1001::/:/bin/sh" > /etc/passwd
	check "a tenant's is listed to all" su someone -c "gmemctl list --json > /tmp/other"
	check "but not what it is" grep -q '{"name":"tenant","problem":"only who may read it may see that"}' /tmp/other
	check "nor what is in it" not grep -q dir /tmp/other
	check "nor can he see that" sh -c "su someone -c 'gmemctl show tenant/dir' 2>&1 |
		grep -x 'gmemctl: tenant/dir: only who may read it may see that'"
	check "which is not discarded" exits 1 discard tenant
	check "it is said why" says "Is a directory"

	check "freeze" exits 0 freeze
	check "twice" exits 1 freeze
	check "is said" says "it is frozen"
	check "frozen" is frozen 1
	check "no creation then" exits 1 create vm4 2M
	check "it says why" says busy
	check "thaw" exits 0 thaw
	check "thawed" is frozen 0
	check "twice" exits 1 thaw
	check "is said" says "does not hold it"

	check "decode" exits 0 decode
	check "it names the objects" test "$(grep -c '^object vm[012]$' /tmp/said)" = 3
	check "and where they are" test "$(grep -c '^object tenant\(/dir\(/vm0\)\?\)\?$' /tmp/said)" = 3
	check "as JSON" exits 0 decode --json
	check "without a problem" says '"problem":null,.*"state":"open"'
	check "of a file" sh -c "cat $debugfs/record > /tmp/record"
	check "is the same" exits 0 decode /tmp/record
	check "root only" test "$(stat -c %a "$debugfs/record")" = 400
	head -c 300 /tmp/record > /tmp/short
	check "half a record" exits 4 decode /tmp/short
	check "is none" says "PROBLEM: it is no header"
	head -c 40000 /tmp/record > /tmp/short
	check "most of a record" exits 4 decode /tmp/short
	check "is none" says "PROBLEM: it ends too early"
	sed 's/vm1/vm0/' /tmp/record > /tmp/twins
	check "a damaged one" exits 5 decode /tmp/twins
	check "the object is named" says "PROBLEM: its checksum is wrong"
	echo text > /tmp/text
	check "no record at all" exits 4 decode /tmp/text --json
	check "and says so" says '^{"problem":"it is no header"}$'
	check "no file" exits 1 decode /nowhere

	require "load the next kernel" load_stage
	require "freeze" exits 0 freeze
	check "a record that is sealed" exits 0 decode --json
	check "says so" says '"state":"sealed"'
	require "damage an object" gmem-corrupt object vm0
	require "and a token" gmem-corrupt token vm1
	check "damage is seen before the next kernel sees it" exits 5 decode
	check "that of the object" sh -c "grep -A 1 '^object vm0$' /tmp/said | grep 'PROBLEM: its checksum is wrong'"
	check "that of the token" says "PROBLEM: its token is damaged"
	enter_stage
	fail "kexec"
	;;
2)
	check "five objects" test "$(gmemctl list | tail -n +2 | wc -l)" = 5
	check "what was refused is in the record still" exits 5 decode
	check "and is explained" sh -c "grep -A 1 '^object vm0$' /tmp/said | grep PROBLEM"
	check "as are the others" test "$(grep -c '^object vm[12]$' /tmp/said)" = 2
	check "of which the token is another" not says "its token is damaged"
	;;
esac
