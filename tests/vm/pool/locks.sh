#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: timeout=300 mem=7G append="kho=on gmem_persist=1G gmem_persist.clean=0"
# vm held: quick=1 flavours="release debug"
# vm idle: virtual=1 smp=1 flavours="release"
#
# Nobody waits for a tenant: a freeze, the claim of an object by another, memory_failure().
#
# held: a tenant stands still in the middle of something, with the locks that he holds there,
# at each of the points that the kernel names (mm/gmem_persist/stop.c), and all of that is done
# meanwhile. If somebody waits for him, the test does not come to its end.
#
# idle: a tenant of the lowest priority loops over all that he may do, and is preempted
# anywhere in it. How long the others take beside him, as against without him, is counted in
# instructions.
#
# To add a point to "held", add a line to points(): what leads there, with prepare() and
# lead_to() knowing how, and the point.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/stop.sh
fs=/gmem
. /tests/lib/files.sh

M=$((1 << 20))
hard_offline=/sys/devices/system/memory/hard_offline_page

points() {
	cat <<-'END'
		create file-recorded
		populate alloc-taken
		populate alloc-clear
		populate extend-cleared
		populate extend-locked
		populate extend-recorded
		populate populate-recorded
		pieces ready-step
		unlink-pieces keep-step
		unlink-pieces free-step
		write data-written
		write-pieces ready-step
		cut cut-step
		punch punch-cleared
		fault fault-locked
		two-writers rearm-locked
		open charge-locked
		claim charge-locked:2
		rename rename-recorded
		unlink unlink-recorded
		close last-use-freed
	END
}

# physical NAME: where an object begins
physical() {
	object "$1" ranges > /tmp/ranges
	sed -n '1s/-.*//p' /tmp/ranges
}

# hit ADDRESS: a memory error there. Whoever reports it comes back when nobody can access the
# page any more.
hit() { echo "$1" > $hard_offline; }

# noted ADDRESS: the pool's list has this page; it shows ranges
noted() {
	local range
	while read -r range; do
		[ $((${range%-*})) -gt $(($1)) ] || [ $((${range#*-})) -lt $(($1)) ] || return 0
	done < "$pool/bad_pages"
	return 1
}

# fill_with_holes: 32 single granules are free, and nothing else
fill_with_holes() {
	local i=0
	while [ $i -lt 64 ]; do
		gmem-file "$fs/hole$i" create truncate=2 || return
		i=$((i + 1))
	done
	gmem-file $fs/rest create "truncate=$(free_bytes)B" || return
	i=0
	while [ $i -lt 64 ]; do
		rm "$fs/hole$i"
		i=$((i + 2))
	done
}

# What leads to the points
prepare() {
	case $1 in
	unlink-pieces)	gmem-file $fs/t/pieces create truncate=48 ;;
	cut)		gmem-file $fs/t/data create write=48 ;;
	rename|unlink)	gmem-file $fs/t/goes create truncate=4 ;;
	two-writers)	hold t/mine rw share map poke=1 ;;
	esac
}
lead_to() {
	case $1 in
	create)		gmem-file $fs/t/new create ;;
	populate)	gmem-file $fs/t/new create truncate=8 ;;
	pieces)		gmem-file $fs/t/pieces create truncate=48 ;;
	unlink-pieces)	rm $fs/t/pieces ;;
	write)		gmem-file $fs/t/data create write=4 ;;
	write-pieces)	gmem-file $fs/t/data create write=48 ;;
	cut)		gmem-file $fs/t/data rw truncate=0 ;;
	punch)		gmem-file $fs/t/mine rw mapro punch ;;
	fault)		gmem-file $fs/t/mine rw map poke=1 ;;
	two-writers)	gmem-file $fs/t/mine rw share map poke=2 unmap ;;
	open)		gmem-file $fs/t/mine rw ;;
	claim)		gmem-file $fs/t/mine rw map vm=0 ;;
	rename)		mv $fs/t/goes $fs/t/went ;;
	unlink)		rm $fs/t/goes ;;
	close)		gmem-file $fs/t/goes create truncate=4 map fill=1 unlink ;;
	esac
}
clean_up() {
	[ "$1" != two-writers ] || let_go
	rm -f $fs/t/new $fs/t/pieces $fs/t/data $fs/t/goes $fs/t/went
}

# beside WHAT POINT N: what goes on while a tenant is held there; the N-th time
beside() {
	local tenant hitter point=${2%:*} offset=$((4 * M + $3 * 4096))
	prepare "$1" > /tmp/prepared
	hold_at "$2"
	lead_to "$1" > /tmp/tenant &
	tenant=$!
	check "$1: a tenant is at $point" until_held_at "$point" $tenant
	check "freeze" write frozen 1
	check "thaw" write frozen 0
	check "another claims his" vmm reclaim other
	# In the background: the reporter may wait for the tenant. Nobody else does.
	hit $((mine + offset)) &
	hitter=$!
	until noted $((mine + offset)); do :; done
	ok "an error in the tenant's memory is noted"
	check "one in another's is dealt with" hit $((other + offset))
	check "another cannot access it" [ "$(object other bad_pages | wc -w)" = "$3" ]
	check "the tenant is still there" held_at "$point"
	let_on
	wait $tenant
	check "the tenant did what he wanted" [ $? = 0 ]
	wait $hitter
	check "nor can the tenant" [ "$(object t/mine bad_pages | wc -w)" = "$3" ]
	clean_up "$1"
}

# believed: a next kernel would find nothing wrong in the record
believed() { gmemctl decode > /tmp/record; }

# freezer [error]: while a freeze undoes what a tenant has begun, nobody waits for either of them,
# and who takes the freeze back meanwhile finds all of that undone. After a memory error the tenant
# begins again in any case.
freezer() {
	local tenant freezer
	hold_at ready-step
	lead_to pieces > /tmp/tenant &
	tenant=$!
	check "a tenant has kept some of his memory" until_held_at ready-step $tenant
	hold_at freeze-step
	write frozen 1 &
	freezer=$!
	check "who freezes the pool is in the middle of undoing that" until_held_at freeze-step $freezer
	check "the pool is frozen already" refused frozen 1
	check "another one cannot create anything" not vmm create late size=2M
	check "but look at his" test "$(object other bad_pages | wc -w)" = 0
	if [ "$1" = error ]; then
		check "an error in his memory is dealt with" hit $((other + 4 * M))
		check "and one in a tenant's" hit $((mine + 4 * M))
	fi
	check "thaw" write frozen 0
	let_on
	wait $freezer
	check "who froze it comes back" [ $? = 0 ]
	wait $tenant
	check "the tenant did what he wanted" [ $? = 0 ]
	check "a next kernel would believe all of that" believed
	check "it can be frozen" write frozen 1
	check "and thawed" write frozen 0
	rm $fs/t/pieces
	check "the pool adds up" adds_up
}

# token NAME: of who has written to it last
token() { gmem-file "$fs/$1" ro token | sed -n 's/^token=//p'; }

# late: a write() that goes on when another writer has gone takes a token once more
late() {
	local writer before
	hold_at data-written
	gmem-file $fs/t/mine rw share write=1 > /tmp/writer &
	writer=$!
	check "somebody is in the middle of a write()" until_held_at data-written $writer
	check "another one writes, and goes" gmem-file $fs/t/mine rw share map poke=1 unmap
	before=$(token t/mine)
	let_on
	wait $writer
	check "the first one goes on" [ $? = 0 ]
	check "that is noticed" [ "$(token t/mine)" != "$before" ]
}

case $CASE in
held)
	[ -e "$stop" ] || skip_all "a kernel without points to stop at"
	require "errors can be injected" test -w $hard_offline
	mkdir $fs/t
	require "the tenant's object" gmem-file $fs/t/mine create truncate=8 map fill=1
	require "another's object" vmm create other size=8M
	late
	require "free memory in pieces" fill_with_holes
	mine=$(physical t/mine) other=$(physical other)
	freezer
	freezer error
	n=1
	points > /tmp/points
	while read -r what point; do
		n=$((n + 1))
		beside "$what" "$point" $n < /dev/null
	done < /tmp/points
	check "the pool adds up" adds_up
	check "nothing is quarantined" is quarantined_bytes 0
	;;
idle)
	require "errors can be injected" test -w $hard_offline
	mkdir $fs/t
	require "memory for errors" gmem-file $fs/gone create truncate=2
	free=$(physical gone)
	rm $fs/gone
	require "another's object" vmm create other size=8M
	check "measured" sh -c "gmem-beside 100 $free > /tmp/beside"
	cat /tmp/beside
	for what in memory data end names; do
		check "the tenant has done that meanwhile: $what" [ "$(sed -n "s/^tenant_$what=//p" /tmp/beside)" -gt 0 ]
	done
	for what in freeze claim error; do
		alone=$(sed -n "s/^${what}_ns_alone=//p" /tmp/beside)
		beside=$(sed -n "s/^${what}_ns_beside=//p" /tmp/beside)
		result "${what}_ns_alone" "$alone"
		result "${what}_ns_beside" "$beside"
		# Caches and the scheduler cost something; to wait for him would be seconds.
		check "$what beside a tenant" [ "$beside" -lt $((2 * alone + 1000000)) ]
	done
	;;
esac
