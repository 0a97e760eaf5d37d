#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: quick=1 mem=6G timeout=200 append="kho=on gmem_persist=1G" flavours="release debug"
#
# The table of slots grows, under this kernel and under the next one, and slots are used again:
# each file keeps its place, which is that of no other.
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
. /tests/lib/files.sh

# names LETTER FIRST LAST
names() { seq "$2" "$3" | sed "s,^,$fs/$1,"; }

# make LETTER FIRST LAST: files, empty but for their mode and time, which tell them apart: which 64
# it is of, and which of these
make() {
	local i
	for i in $(seq "$2" "$3"); do
		umask "0$((i % 4 * 2))$((i / 4 % 4 * 2))$((i / 16 % 4 * 2))"
		: > "$fs/$1$i" || return
	done
	umask 022
	for i in $(seq $(($2 / 64)) $(($3 / 64))); do
		# shellcheck disable=SC2046	# words
		touch -d "@$((1000000 + i))" $(names "$1" $((i * 64 < $2 ? $2 : i * 64)) \
			$((i * 64 + 63 > $3 ? $3 : i * 64 + 63))) || return
	done
}

# right LETTER FIRST LAST: they are as they were made
right() {
	# shellcheck disable=SC2046	# words
	stat -c '%n %a %Y' $(names "$@") > /tmp/is
	names "$@" | awk -v start=$(($2)) '{
		i = start + NR - 1
		print $1, (6 - i % 4 * 2) * 100 + (6 - int(i / 4) % 4 * 2) * 10 + 6 - int(i / 16) % 4 * 2,
			1000000 + int(i / 64)
	}' > /tmp/made
	diff /tmp/made /tmp/is
}

# distinct: no inode number, and so no slot, is there twice
distinct() { [ -z "$(find $fs -mindepth 1 -exec stat -c %i {} + | sort | uniq -d)" ]; }

# number NUMBER: so many files, each in a slot of its own
number() { [ "$(find $fs -type f | wc -l)" = "$1" ] && distinct; }

# remove LETTER FIRST LAST
# shellcheck disable=SC2046	# words
remove() { rm $(names "$@"); }

case $STAGE in
1)
	check "100 files, in two chunks" make a 1 100
	check "some of them go" remove a 31 60
	check "all others are there" number 70
	next_stage
	;;
2)
	check "they are as they were" right a 1 30
	check "and the others" right a 61 100
	check "no more" number 70
	check "300 more, in free slots and in new chunks" make b 1 300
	check "each in a slot of its own" number 370
	check "the first ones are as they were" right a 61 100
	next_stage
	;;
3)
	check "all are there" number 370
	check "as they were" right a 1 30
	check "as they were" right a 61 100
	check "as they were" right b 1 300
	check "200 more" make c 1 200
	check "each in a slot of its own" number 570
	check "no problem in the record" gmemctl decode
	;;
esac
