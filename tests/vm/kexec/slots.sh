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

# make LETTER FIRST LAST: files, empty but for their mode and time, which tell them apart
make() {
	local i
	for i in $(seq "$2" "$3"); do
		: > "$fs/$1$i" && chmod "0$((i % 8))$((i / 8 % 8))$((i / 64 % 8))" "$fs/$1$i" &&
			touch -d "@$((1000000 + i))" "$fs/$1$i" || return
	done
}

# right LETTER FIRST LAST: they are as they were made
right() {
	local i
	for i in $(seq "$2" "$3"); do
		[ "$(stat -c '%04a %Y' "$fs/$1$i")" = \
			"0$((i % 8))$((i / 8 % 8))$((i / 64 % 8)) $((1000000 + i))" ] || {
			echo "# $1$i: $(stat -c '%04a %Y' "$fs/$1$i")"
			return 1
		}
	done
}

# distinct: no inode number, and so no slot, is there twice
distinct() { [ -z "$(find $fs -mindepth 1 -exec stat -c %i {} + | sort | uniq -d)" ]; }

# number NUMBER: so many files, each in a slot of its own
number() { [ "$(find $fs -type f | wc -l)" = "$1" ] && distinct; }

# remove LETTER FIRST LAST
remove() {
	local i
	for i in $(seq "$2" "$3"); do
		rm "$fs/$1$i" || return
	done
}

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
