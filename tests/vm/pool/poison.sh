#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=7G timeout=300 append="gmem_persist=2G,zeroed gmem_persist.clean=0 kho=on" flavours="release debug"
#
# Memory errors in the pool, as far as a machine without any can have them: the kernel is
# told by hard_offline_page. Three kernels: the first gets errors in memory of every kind,
# at last while it is frozen; the second finds all of that, has a damaged record's
# quarantined memory, and errors there; the third releases it.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/stop.sh

M=$((1 << 20))
hard_offline=/sys/devices/system/memory/hard_offline_page

# phys NAME OFFSET: the physical address of an object's byte
phys() {
	local range offset=$(($2)) first last
	object "$1" ranges > /tmp/ranges
	while read -r range; do
		first=$((${range%-*})) last=$((${range#*-}))
		if [ $offset -le $((last - first)) ]; then
			printf '0x%x\n' $((first + offset))
			return
		fi
		offset=$((offset - (last - first + 1)))
	done < /tmp/ranges
	return 1
}

# hit ADDRESS: an error there
hit() { echo "$1" > $hard_offline; }

# bad ADDRESS: the pool's list has this page; it shows ranges
bad() {
	local range
	while read -r range; do
		[ $((${range%-*})) -gt $(($1)) ] || [ $((${range#*-})) -lt $(($1)) ] || return 0
	done < "$pool/bad_pages"
	return 1
}

# nr_bad: how many pages the list has
nr_bad() {
	local range bytes=0
	while read -r range; do
		bytes=$((bytes + ${range#*-} - ${range%-*} + 1))
	done < "$pool/bad_pages"
	echo $((bytes / 4096))
}

# has NAME ADDRESS: the object has this memory
has() {
	local range
	object "$1" ranges > /tmp/ranges
	while read -r range; do
		[ $((${range%-*})) -gt $(($2)) ] || [ $((${range#*-})) -lt $(($2)) ] || return 0
	done < /tmp/ranges
	return 1
}

# errors_logged: how many memory errors the pool reported
errors_logged() { dmesg | grep -c 'gmem_persist: memory error at'; }

# record_state: OPEN or SEAL, as it stands in the header, with which the record begins
record_state() {
	dd if=/sys/kernel/debug/gmem_persist/record bs=4 skip=3 count=1 2>/dev/null
}

# came ACTION OUTCOME: what came of an action at an offset
came() {
	[ "$(figure "$1")" = "$2" ] || {
		echo "# $1: $(figure "$1")"
		return 1
	}
}

# retired MIB: so much is not given out any more, and the sums are right
retired() { is poisoned_bytes $(($1 * M)) && adds_up; }

# all_other_pages VERIFY SIZE NR_BAD: every page but the first and the bad ones was compared
all_other_pages() { [ "$(figure "$1_compared")" = $(($2 - 4096 * (1 + $3))) ]; }

case $STAGE in
1)
	require "errors can be injected" test -w $hard_offline
	check "no bad pages" [ "$(nr_bad)" = 0 ]
	check "nothing is retired" retired 0

	# An object with a guest on it: 2 MiB leaves. The bad page is touched when all others
	# are mapped again, so that no leaf may cover it.
	check "small: one page goes" vmm create small size=8M seed=41 host-fill fill \
		poison@0x223000 touch@0x222000 touch@0x224000 guest@0x222000 guest@0x224000 \
		verify host-verify touch@0x223000 guest@0x223000 futex@0x222000 futex@0x223000 \
		poison@0x223000
	check "the VMM is told" came poison@0x223000 "AO 0x223000 12
ok"
	check "its access fails" came touch@0x223000 "AR 0x223000 12"
	check "the page before" came touch@0x222000 ok
	check "the page behind" came touch@0x224000 ok
	check "the guest's access ends in the VMM" came guest@0x223000 "exit 0x223000 0x1000 EHWPOISON"
	check "the guest: the page before" came guest@0x222000 ok
	check "the guest: the page behind" came guest@0x224000 ok
	# What KVM is told of a bad page is no concern of others who resolve page faults.
	check "futex(2): the page before" came futex@0x222000 ok
	check "futex(2): the bad page" came futex@0x223000 EFAULT
	check "the guest has all else" all_other_pages verify $((8 * M)) 1
	check "the VMM has all else" all_other_pages host-verify $((8 * M)) 1
	check "the list of the object" object_is small bad_pages 0x223000
	check "the list of the pool" bad "$(phys small 0x223000)"
	check "one page" [ "$(nr_bad)" = 1 ]
	check "logged" logged "memory error at $(phys small 0x223000): object small, offset 0x223000: no access"
	check "once" [ "$(errors_logged)" = 1 ]
	check "nothing is retired for an object's page" retired 0

	# 1 GiB leaves; parked, then live again
	check "large: 1 GiB leaves, in the guest and here" vmm create large size=1G granule=1G seed=42 fill host-verify
	check "hit while it is parked" hit "$(phys large 0x12345000)"
	check "large: a second page" vmm reclaim large seed=42 poison@0x3ffff000 \
		touch@0x3fffe000 guest@0x12344000 verify host-verify \
		touch@0x12345000 touch@0x3ffff000 guest@0x12345000 guest@0x3ffff000
	check "the page that was hit while parked" came touch@0x12345000 "AR 0x12345000 12"
	check "the VMM is told of the second" came poison@0x3ffff000 "AO 0x3ffff000 12"
	check "its access fails" came touch@0x3ffff000 "AR 0x3ffff000 12"
	check "its neighbour" came touch@0x3fffe000 ok
	check "the guest: first page" came guest@0x12345000 "exit 0x12345000 0x1000 EHWPOISON"
	check "the guest: second page" came guest@0x3ffff000 "exit 0x3ffff000 0x1000 EHWPOISON"
	check "the guest: a neighbour" came guest@0x12344000 ok
	check "the guest has all else" all_other_pages verify $((1024 * M)) 2
	check "the VMM has all else" all_other_pages host-verify $((1024 * M)) 2
	# 510 whole leaves of 2 MiB, and two in pages, less what has been touched
	check "large leaves around them" [ "$(figure host-verify_faults)" -le 1534 ]
	result faults_around_two_bad_pages "$(figure host-verify_faults)"

	# A slot that KVM knows by the VMM's address: as with any other memory
	check "hva: a slot by address" vmm create hva size=4M slot=hva mce=late seed=43 host-fill fill \
		poison@0x301000 guest@0x301000 guest@0x300000 verify
	check "hva: the VMM does not ask to be told at once" came poison@0x301000 ok
	check "hva: but is when the guest comes there" came guest@0x301000 "AR 0x301000 12"
	check "hva: the guest: a neighbour" came guest@0x300000 ok

	# Private memory is in no page table of the VMM.
	check "private: a protected VM" vmm create private size=8M vm=protected seed=44 fill \
		poison@0x5000 guest@0x5000 guest@0x6000 verify
	check "private: nobody to be told" came poison@0x5000 ok
	check "private: the guest's access" came guest@0x5000 "exit 0x5000 0x1000 EHWPOISON"
	check "private: a neighbour" came guest@0x6000 ok

	check "punch around a bad page" vmm reclaim small punch host-zero allzero touch@0x223000
	check "all else is zero" all_other_pages allzero $((8 * M)) 1
	check "the bad page stays bad" came touch@0x223000 "AR 0x223000 12"

	# Freed: the granules with a bad page stay away, of 1 GiB only 2 MiB each.
	free_1g=$(cat "$pool/free_1g_bytes")
	large_page=$(phys large 0x12345000)
	check "discard hva" write discard hva
	check "its granule is retired" retired 2
	check "discard large" write discard large
	check "two of its granules are retired" retired 6
	check "but its 1 GiB is not whole" is free_1g_bytes "$free_1g"

	# Free memory: clean at first, dirty where "gone" was
	check "gone: an object" vmm create gone size=8M fill
	gone=$(phys gone 0x200000)
	check "discard gone" write discard gone
	dirty=$(cat "$pool/dirty_bytes")
	check "an error in dirty memory" hit "$gone"
	check "its granule is retired" retired 8
	check "it was dirty" is dirty_bytes $((dirty - 2 * M))
	check "logged" logged "memory error at $gone: free memory: its 2 MiB are not given out any more"
	check "a second one in this granule" hit "$(printf 0x%x $((gone + 0x1fffff)))"
	check "changes nothing" retired 8
	check "but is in the list" bad $((gone + 0x1ff000))

	# While memory is cleared for an object there, it is not created. It takes all that is
	# free, and so what another one has left.
	check "left: an object" vmm create left size=8M
	unlucky=$(phys left 0x1f0000)
	check "discard left" write discard left
	free=$(($(cat "$pool/clean_bytes") + $(cat "$pool/dirty_bytes")))
	hold_at alloc-clear
	gmem-payload create unlucky size=$free > /tmp/unlucky &
	check "memory is cleared for a new one" until_held_at alloc-clear $!
	check "an error meanwhile" hit "$unlucky"
	let_on
	check "it is not created" not wait $!
	check "for this reason" grep -qx errno=EHWPOISON /tmp/unlucky
	check "and is not there" no_object unlucky
	check "the granule is retired" retired 10

	# Nobody gets any of this again.
	check "all that is free" vmm create all size=$((free - 2 * M)) per-gib=4096 allzero
	for address in "$large_page" "$gone" "$unlucky"; do
		check "is without $address" [ "$(has all "$address" || echo no)" = no ]
	done
	check "there is no more" vmm_fails ENOSPC create more size=2M
	check "the pool adds up" retired 10
	check "discard all" write discard all
	check "nothing more is retired" retired 10

	# On the way to the next kernel
	check "lost: an object" vmm create lost size=4M
	check "kept: an object" vmm create kept size=4M seed=45 fill
	check "a VMM keeps it" vmm reclaim kept seed=45 poison@0x1000 verify
	check "9 bad pages" [ "$(nr_bad)" = 9 ]
	require "load the next kernel" load_stage
	check "the record is open" [ "$(record_state)" = OPEN ]
	require "freeze" write frozen 1
	check "an error while frozen" hit "$(phys kept 0x3000)"
	check "it is in the list" bad "$(phys kept 0x3000)"
	check "and one in free memory" hit "$gone"
	check "still frozen" is frozen 1
	check "still sealed" [ "$(record_state)" = SEAL ]
	check "no line too many" [ "$(errors_logged)" = 10 ]
	require "damage an object's entry" gmem-corrupt object lost
	enter_stage
	fail "kexec"
	;;
2)
	check "logged" logged "10 pages have memory errors, 10 MiB are not given out because of them"
	check "lost is quarantined" is quarantined_bytes $((4 * M))
	check "the list is there" [ "$(nr_bad)" = 10 ]
	check "what was retired is" retired 10
	check "small: its bad page" object_is small bad_pages 0x223000
	check "small" vmm reclaim small touch@0x223000 guest@0x223000 allzero host-zero
	check "small: the VMM's access" came touch@0x223000 "AR 0x223000 12"
	check "small: the guest's access" came guest@0x223000 "exit 0x223000 0x1000 EHWPOISON"
	check "small: all else" all_other_pages allzero $((8 * M)) 1
	check "kept: its bad pages, also that of the freeze" object_is kept bad_pages "0x1000
0x3000"
	check "kept" vmm reclaim kept seed=45 touch@0x3000 guest@0x1000 verify host-verify
	check "kept: the VMM's access" came touch@0x3000 "AR 0x3000 12"
	check "kept: the guest's access" came guest@0x1000 "exit 0x1000 0x1000 EHWPOISON"
	check "kept: all else" all_other_pages verify $((4 * M)) 2
	check "private" vmm reclaim private vm=protected seed=44 guest@0x5000 verify
	check "private: the guest's access" came guest@0x5000 "exit 0x5000 0x1000 EHWPOISON"

	# Quarantined memory, one page of it bad
	read -r lost < "$pool/quarantined"
	lost=$(printf 0x%x $((${lost%-*} + 0x101000)))
	check "an error in quarantine" hit "$lost"
	check "logged" logged "memory error at $lost: quarantined memory"
	check "it stays there" is quarantined_bytes $((4 * M))
	check "nothing more is retired" retired 10
	check "an error that is known" hit "$(phys small 0x223000)"
	check "11 bad pages" [ "$(nr_bad)" = 11 ]
	check "reported once" [ "$(errors_logged)" = 1 ]
	next_stage
	;;
3)
	check "still quarantined" is quarantined_bytes $((4 * M))
	check "11 bad pages" [ "$(nr_bad)" = 11 ]
	check "the pool adds up" retired 10
	check "release all" write release all
	check "nothing is quarantined" is quarantined_bytes 0
	check "its bad granule is retired" retired 12
	for name in small kept private; do
		check "discard $name" write discard $name
	done
	check "and so are theirs" retired 18
	check "nothing is used" is used_bytes 0
	free=$(($(cat "$pool/clean_bytes") + $(cat "$pool/dirty_bytes")))
	check "all but what is retired is free" [ $free = $((2048 * M - 18 * M)) ]
	check "and can be had" vmm create all size=$free
	check "by nobody else" vmm_fails ENOSPC create more size=2M
	;;
esac
