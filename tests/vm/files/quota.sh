#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=8G timeout=400 append="gmem_persist=2G kho=on" flavours="release debug"
#
# Limits of directories: what counts, what is refused and changes nothing then, what never is, and
# that two more kernels know the same limits and add up the same. A tenant with a limit, and with
# little kernel memory to pay for, makes names until he is refused; another one does not notice.
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
M=$((1 << 20))
. /tests/lib/files.sh
. /tests/lib/quota.sh

cg=/sys/fs/cgroup

# more_data PATH MIB: write so much at its end, in one piece
more_data() {
	dd if=/dev/zero of="$fs/$1" bs=$(($2 * M)) count=1 oflag=append conv=notrunc 2> /tmp/dd || {
		cat /tmp/dd >&2
		return 1
	}
}

# room DIR "BLOCKS FREE FILES FREE": what df says
room() {
	[ "$(stat -f -c '%b %f %c %d' "$fs/$1")" = "$2" ] || {
		echo "# $1: $(stat -f -c '%b %f %c %d' "$fs/$1"), not $2"
		return 1
	}
}

# descend DIR N: so many directories in each other, in there
descend() { (cd "$fs/$1" && for _ in $(seq "$2"); do mkdir d && cd d || exit 1; done); }

# In the background by itself, so that its process is the program
# shellcheck disable=SC2016	# for the inner shell
enter='echo $$ > "$0/cgroup.procs" && exec "$@"'

# names_in USER DIR N: that user, in the cgroup of his name, makes up to so many files; how many
# is in /tmp/made.USER
names_in() {
	# shellcheck disable=SC2016	# for the inner shell
	sh -c "$enter" $cg/"$1" su "$1" -c 'n=0
		while [ $n -lt '"$3"' ] && true > '"$fs/$2"'/n$n; do
			n=$((n + 1))
			echo $n > /tmp/made.'"$1"'
		done' 2> /tmp/said
}
made() { cat "/tmp/made.$1"; }

# memory GROUP KEY: of its memory.stat
memory() { sed -n "s/^$2 //p" "$cg/$1/memory.stat"; }

# paid_off GROUP BYTES: it pays for less kernel memory, soon: some is freed a bit later
paid_off() {
	local try
	for try in $(seq 50); do
		[ "$(memory "$1" kernel)" -ge "$2" ] || return 0
		sleep 0.1
	done
	echo "# try $try: $(memory "$1" kernel)"
	return 1
}

case $STAGE in
1)
	mkdir -p /etc
	echo "someone:x:1000:1000::/:/bin/sh" > /etc/passwd
	echo "other:x:1001:1001::/:/bin/sh" >> /etc/passwd
	chmod 666 /dev/kvm
	mkdir -m 700 $fs/t
	mkdir $fs/u
	chown 1000:1000 $fs/t

	# Who sets and sees it
	check "there is no limit at first" quota t "0/0 0/0"
	check "root sets one" set_quota t 16 4
	check "and sees it" quota t "0/16 0/4"
	check "the owner sees it" test "$(su someone -c "gmemctl quota $fs/t" | tail -n 1)" = \
		"max_names          4"
	check "he does not set it" fails_with "only root sets limits" \
		su someone -c "gmemctl quota $fs/t --names 5"
	check "nor by what root opened" file_fails EPERM t ro uid=1000 limit=5
	check "another does not see it" fails_with "denied" su other -c "gmemctl quota $fs/t"
	check "one of the two is set" gmemctl quota t --bytes 12M
	check "the other stays" quota t "0/12 0/4"
	check "no limit" sh -c "gmemctl quota t --bytes 0 --names 0 > /dev/null"
	check "is none" quota t "0/0 0/0"
	check "the root directory has none" fails_with "no directory below" gmemctl quota /gmem
	check "nor has what is elsewhere" fails_with "no directory below" gmemctl quota /tmp
	new u/file
	check "nor a file" fails_with "Not a directory" gmemctl quota u/file
	check "all that the ioctls refuse" gmem-info $fs/u max_names=0 used_names=1 > /dev/null
	check "also of a file" gmem-info $fs/u/file > /dev/null
	check "and of the root directory" gmem-info $fs > /dev/null
	rm $fs/u/file

	# Names
	set_quota t 16 4
	check "names" sh -c "cd $fs/t && touch a b && mkdir d && touch d/c"
	check "wherever they are" quota t "0/16 4/4"
	check "in each directory" quota t/d "0/0 1/0"
	check "one too much" full new t/e
	check "is not there" not test -e $fs/t/e
	check "nor deeper" full new t/d/e
	check "nor a directory" full mkdir $fs/t/e
	check "nor by the owner" file_fails EDQUOT t/e uid=1000 create
	check "nothing has changed" quota t "0/16 4/4"
	check "what is there can be opened" new t/a
	check "others are free" new u/e
	check "a name is exchanged for another" mv $fs/t/a $fs/t/e
	rm $fs/t/e
	check "what is removed counts no more" quota t "0/16 3/4"
	check "and makes room" new t/a

	# Memory
	check "a guest's memory" file t/a rw truncate=8
	check "counts" quota t "8/16 4/4"
	check "and more" file t/b rw vm=8
	check "up to the limit" quota t "16/16 4/4"
	check "too much" file_fails EDQUOT t/d/c rw truncate=2
	check "for root and owner alike" file_fails EDQUOT t/d/c rw vm=2
	check "and data" full sh -c "echo data > $fs/t/d/c"
	check "and what is reserved" file_fails EDQUOT t/d/c rw reserve=2
	check "more than there is" file_fails ENOSPC t/d/c rw truncate=4096
	check "more than is free" file_fails ENOSPC u/e rw truncate=2046
	check "counts nowhere" quota u "0/0 1/0"
	check "nothing has changed" quota t "16/16 4/4"
	check "nor in the pool" is used_bytes $((16 * M))
	check "the file is empty" object_is t/d/c kind empty
	check "what has memory is written to" file t/a rw map fill=1
	check "and claimed" file t/b rw vm=0
	check "others are free" file u/e rw truncate=8
	rm $fs/t/b
	check "what is removed counts no more" quota t "8/16 3/4"
	check "data" more_data t/d/c 5
	check "counts in granules" quota t "14/16 3/4"
	check "it grows" more_data t/d/c 3
	check "to the limit, and not to twice what it had" quota t "16/16 3/4"
	check "no further" full more_data t/d/c 1
	check "it is as it was" attr %s t/d/c $((8 * M))
	check "it shrinks" truncate -s 1000000 $fs/t/d/c
	check "and counts less" quota t "10/16 3/4"
	check "room is reserved" file t/d/c rw reserve=8
	check "and counts" quota t "16/16 3/4"
	check "nothing more is reserved" file_fails EDQUOT t/d/c rw reserve=9
	check "empty again" truncate -s 0 $fs/t/d/c
	check "it counts as a name" quota t "8/16 3/4"
	check "all adds up" settled

	# A limit below what is used
	check "lower it" set_quota t 2 1
	check "below what is used" quota t "8/2 3/1"
	check "nothing is taken away" file t/a rw map verify=1
	check "no name" full new t/x
	check "no memory" file_fails EDQUOT t/d/c rw truncate=2
	check "renaming in there" mv $fs/t/a $fs/t/d/
	check "and back" mv $fs/t/d/a $fs/t/a
	check "another owner" chown 1000:1000 $fs/t/a
	check "and out" mv $fs/t/a $fs/u/a
	check "is possible" quota t "0/2 2/1"
	check "but not back" full mv $fs/u/a $fs/t/
	set_quota t 16 4

	# Renaming
	check "from elsewhere" mv $fs/u/a $fs/t/
	check "it counts here" quota t "8/16 3/4"
	check "and no more there" quota u "8/0 1/0"
	mkdir $fs/u/dir
	file u/dir/one create truncate=4
	file u/dir/two create truncate=2
	check "too many names" file_fails EDQUOT u/dir rename=$fs/t/dir
	set_quota t 13 6
	check "too much memory" file_fails EDQUOT u/dir rename=$fs/t/dir
	check "nothing has changed" quota t "8/13 3/6"
	check "nor there" quota u "14/0 4/0"
	check "all is where it was" file u/dir/one ro map zero
	set_quota t 14 6
	check "a directory with what is in it" mv $fs/u/dir $fs/t/
	check "counts here" quota t "14/14 6/6"
	check "and no more there" quota u "8/0 1/0"
	check "more in exchange for less" file_fails EDQUOT u/e exchange=$fs/t/dir/one
	check "changes nothing" quota t "14/14 6/6"
	check "less for more" file t/a exchange=$fs/t/dir/two
	check "in the same place changes nothing" quota t "14/14 6/6"
	file u/same create truncate=8
	check "as much for as much" file u/same exchange=$fs/t/dir/two
	check "is as much" quota t "14/14 6/6"
	rm $fs/u/same
	check "over another in there" mv $fs/t/dir/one $fs/t/a
	check "which counts no more" quota t "12/14 5/6"

	# Limits in each other
	set_quota t/dir 9 2
	check "up to the narrower one" new t/dir/x
	set_quota t 14 9
	check "and no further" full new t/dir/y
	set_quota t 14 6
	set_quota t/dir 9 9
	check "nor beyond the outer one" full new t/dir/y
	check "memory, too" file_fails EDQUOT t/dir/x rw truncate=2
	set_quota t/dir 20 9
	check "of both" file_fails EDQUOT t/dir/x rw truncate=4
	check "up to the outer one" file t/dir/x rw truncate=2
	check "which counts all" quota t "14/14 6/6"

	# What df says
	check "df shows the limit" room t "7 0 6 0"
	set_quota t 20 10
	check "of where it is" room t "10 3 10 4"
	set_quota t/dir 12 3
	check "the narrowest" room t/dir "6 1 3 1"
	check "of a file, too" room t/dir/x "6 1 3 1"
	check "others see the pool" test "$(stat -f -c %b $fs/u)" = 1024

	# What has no name
	check "a file in use" hold t/dir/x rw map fill=3
	rm $fs/t/dir/x
	check "counts without its name" quota t "14/20 6/10"
	check "in each directory" quota t/dir "10/12 2/3"
	check "it is to be had" let_go
	check "and then no more" quota t "12/20 5/10"
	new t/dir/x
	check "one that is only looked at" hold t/dir/x path
	rm $fs/t/dir/x
	check "has its slot" quota t "12/20 6/10"
	let_go
	check "until it is let go of" quota t "12/20 5/10"
	mkdir -p $fs/t/a1/a2
	file t/a1/a2/f create truncate=2
	check "a file in use" hold t/a1/a2/f rw
	rm -r $fs/t/a1
	check "keeps its directories" quota t "14/20 8/10"
	let_go
	check "and all end" quota t "12/20 5/10"
	mkdir -p $fs/t/a1/a2
	file t/a1/a2/f create truncate=2
	check "a VM's memory" hold t/a1/a2/f rw vm=0 close
	rm -r $fs/t/a1
	check "outlives its directories" quota t "14/20 6/10"
	check "all adds up" settled
	let_go
	check "and then ends" quota t "12/20 5/10"
	check "all adds up" settled

	# How deep
	mkdir $fs/deep
	check "128 directories in each other" descend deep 127
	bottom=$fs/deep$(printf '/d%.0s' $(seq 127))
	check "and no more" fails_with "name too long" mkdir "$bottom/d"
	check "but a file there" touch "$bottom/file"
	check "no other directory" file_fails ENAMETOOLONG t rename="$bottom/t"
	check "nor on top" file_fails ENAMETOOLONG deep rename=$fs/u/deep
	check "all counts" quota deep "0/0 128/0"
	check "and ends" rm -r $fs/deep

	# Kernel memory: it is charged to who makes names, slots of the record included
	echo +memory > $cg/cgroup.subtree_control
	mkdir $cg/someone $cg/other
	rm -r $fs/t/d
	set_quota t 12 404
	before=$(memory someone kernel)
	check "a tenant makes names" names_in someone t 10000
	check "until his limit" grep -q "quota exceeded" /tmp/said
	check "which is exact" quota t "12/12 404/404"
	made=$(made someone)
	charged=$(($(memory someone kernel) - before))
	result bytes_per_name $((charged / made))
	# Inode, slot, and the better part of what else an object is
	inode=$(awk '$1 == "inode_cache" { print $4 }' /proc/slabinfo)
	check "he pays for all of them" [ $charged -ge $((made * (inode + 512 + 288))) ]
	check "all adds up" settled
	# Without a limit of names, and with little memory
	set_quota t 12 0
	echo $((6 * M)) > $cg/someone/memory.max
	# The OOM killer tells how it came to that, which is no fault here.
	read -r level rest < /proc/sys/kernel/printk
	dmesg -n 1
	names_in someone t 100000
	dmesg -n "$level"
	check "which nothing else complains of" [ "$(dmesg | grep -c 'Call Trace')" = \
		"$(dmesg | grep -c 'invoked oom-killer')" ]
	check "without that limit, until his memory ends" [ "$(made someone)" != 100000 ]
	result names_in_6_mib "$(made someone)"
	check "he had no more than he may" \
		[ "$(cat $cg/someone/memory.peak)" -le $((7 * M)) ]
	check "which were few" [ "$(made someone)" -lt 6000 ]
	mkdir -m 700 $fs/o
	chown 1001:1001 $fs/o
	names_in other o 200
	check "another tenant goes on" [ "$(made other)" = 200 ]
	check "with memory" file o/n1 uid=1001 rw truncate=8
	check "root removes what he made" sh -c "rm $fs/t/n*"
	check "for which he pays no more" paid_off someone $((made * 1024))
	check "all adds up" settled
	set_quota t 20 10
	set_quota u 100 100

	# In the root directory, which counts nothing
	all_quotas > $fs/quotas
	require "load the next kernel" load_stage
	check "freeze" write frozen 1
	check "frozen: no other limit" file_fails EBUSY t ro limit=5
	check "but one can ask" quota t "12/20 3/10"
	enter_stage
	fail "kexec"
	;;
2)
	all_quotas > /tmp/quotas
	check "the same limits, and as much used" diff $fs/quotas /tmp/quotas
	check "as before" quota t "12/20 3/10"
	check "in each directory" quota t/dir "8/12 1/3"
	check "all adds up" settled
	check "names" sh -c "cd $fs/t && touch n1 n2 n3 n4 n5 n6 n7"
	check "are limited" full new t/more
	check "and memory" file_fails EDQUOT t/n1 rw truncate=10
	check "to what is left" file t/n1 rw truncate=8
	rm $fs/t/n*
	set_quota t 5 1
	# Nobody has it in the next kernel.
	new u/used
	check "a file in use" hold u/used ro
	rm $fs/u/used
	check "counts without its name" quota u "8/100 2/100"
	all_quotas > $fs/quotas
	next_stage
	;;
3)
	all_quotas > /tmp/quotas
	sed 's/^\(\.\/u .*"used_names":\)2/\11/' $fs/quotas > /tmp/expected
	check "the same, but for what had no name" diff /tmp/expected /tmp/quotas
	check "a limit below what is used" quota t "12/5 3/1"
	check "holds" full new t/more
	check "and takes nothing away" file t/a ro map zero
	check "all adds up" settled
	check "all ends" sh -c "rm -r $fs/*"
	check "nothing is used" is used_bytes 0
	check "nor counted" grep -q -x "names 0" /sys/kernel/debug/gmem_persist/quota
	check "the pool adds up" adds_up
	;;
esac
