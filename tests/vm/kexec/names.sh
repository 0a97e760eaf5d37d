#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: big=14G timeout=600 append="kho=on gmem_persist=9G,zeroed" flavours="release"
#
# As many objects with names as there can be, over a kexec; and one more.
. /tests/lib/test.sh
. /tests/lib/pool.sh

M=$((1 << 20))
limit=4096	# GMEM_RECORD_MAX_OBJECTS

# names WORDS...: run gmem-names; its figures stay where vmm's do
names() { gmem-names "$@" > /tmp/vmm; }

# number_of_objects: how many sysfs shows
number_of_objects() {
	set -- "$pool"/objects/*
	echo $#
}

# one_more: must be refused for the number of names, with memory left
one_more() {
	check "there is memory left" test "$(cat "$pool/clean_bytes")" -ge $((1024 * M))
	check "one more name is refused" vmm_fails ENOSPC create one-more size=2M
	check "and is not there" test ! -e "$pool/objects/one-more"
}

case $STAGE in
1)
	check "first: with a pattern" vmm create first size=2M seed=81 fill
	check "all other names but the last" names create n $((limit - 2))
	check "last: with a pattern" vmm create last size=2M seed=82 fill
	check "all are there" test "$(number_of_objects)" = $limit
	one_more
	check "discard one" write discard n7
	check "now there is room for one" vmm create n7 size=2M seed=83 fill
	one_more
	result record_bytes_4096_objects "$(cat "$pool/record_bytes")"
	next_stage
	;;
2)
	check "logged" logged "$limit objects taken over, generation 1"
	check "all are there" test "$(number_of_objects)" = $limit
	check "nothing is quarantined" is quarantined_bytes 0
	check "they use what they used" is used_bytes $((limit * 2 * M))
	check "the pool adds up" adds_up
	one_more
	# Not each of them: a claim writes a new record, which costs time for 4096 names.
	check "some can be had" names reclaim n 32
	check "first has its contents" vmm reclaim first seed=81 verify
	check "last has its contents" vmm reclaim last seed=82 verify
	check "n7 has its contents" vmm reclaim n7 seed=83 verify
	;;
esac
