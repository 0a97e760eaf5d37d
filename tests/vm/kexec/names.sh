#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: big=28G timeout=600 append="kho=on gmem_persist=20G,zeroed" flavours="release"
#
# Many objects with names, until all memory has one, over a kexec.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/files.sh

M=$((1 << 20))
all=$((20 * 512))	# one for each granule of the pool

# names WORDS...: run gmem-names; its figures stay where vmm's do
names() { gmem-names "$@" > /tmp/vmm; }

# number_of_objects: how many gmemfs shows
number_of_objects() {
	find "$fs" -type f | wc -l
}

case $STAGE in
1)
	check "first: with a pattern" vmm create first size=2M seed=81 fill
	check "all other names but the last" names create n $((all - 2))
	check "last: with a pattern" vmm create last size=2M seed=82 fill
	check "all are there" test "$(number_of_objects)" = $all
	check "there is no memory left" is clean_bytes 0
	check "one more is refused" vmm_fails ENOSPC create one-more size=2M
	check "and is not there" test ! -e "$fs/one-more"
	check "a name without memory is not" touch "$fs/no-memory"
	check "discard one" write discard n7
	check "now there is room for one" vmm create n7 size=2M seed=83 fill
	result "record_bytes_${all}_objects" "$(cat "$pool/record_bytes")"
	next_stage
	;;
2)
	check "logged" logged "$((all + 1)) objects taken over, generation 1"
	check "all are there" test "$(number_of_objects)" = $((all + 1))
	check "nothing is quarantined" is quarantined_bytes 0
	check "they use what they used" is used_bytes $((all * 2 * M))
	check "the pool adds up" adds_up
	check "all can be had" names reclaim n $((all - 2))
	check "first has its contents" vmm reclaim first seed=81 verify
	check "last has its contents" vmm reclaim last seed=82 verify
	check "n7 has its contents" vmm reclaim n7 seed=83 verify
	;;
esac
