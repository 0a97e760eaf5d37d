#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=8G timeout=300 append="gmem_persist=1G kho=on gmem_persist.clean=0" flavours="release debug"
#
# Files of data in gmemfs: what is written is what is read, also under the next kernel.
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
M=$((1 << 20))
. /tests/lib/files.sh

# length FILE N
length() { [ "$(stat -c %s "$fs/$1")" = "$2" ]; }

# noise N: so many bytes, the same ones each time
noise() { yes "$1 noise" | head -c "$1"; }

# hole: the file of that name has one, between two bytes
hole() { length hole 7000001 && [ "$(tr -d '\000' < $fs/hole)" = yx ]; }

case $STAGE in
1)
	noise 300000 > /tmp/small
	noise 5000000 > /tmp/large
	check "write" cp /tmp/small $fs/small
	check "it has the length of what was written" length small 300000
	check "in one granule" test "$(stat -c %b $fs/small)" = $((2 * M / 512))
	check "it is data" object_is small kind data
	check "read" cmp /tmp/small $fs/small
	check "larger than a granule" cp /tmp/large $fs/large
	check "read" cmp /tmp/large $fs/large
	check "append" sh -c "cat /tmp/small >> $fs/large; cat /tmp/large /tmp/small | cmp - $fs/large"
	check "write in the middle" sh -c "dd if=/tmp/small of=$fs/large bs=1000 seek=2 conv=notrunc 2>/dev/null &&
		tail -c +2001 $fs/large | head -c 300000 | cmp - /tmp/small"
	check "O_TRUNC" cp /tmp/small $fs/large
	check "gives memory back" test "$(stat -c %b $fs/large)" = $((2 * M / 512))
	check "shorter" truncate -s 1000 $fs/large
	check "longer" truncate -s 5000 $fs/large
	check "what is new reads zero" sh -c "{ head -c 1000 /tmp/small; head -c 4000 /dev/zero; } | cmp - $fs/large"
	check "dd truncates a new file to where it begins: no" fails_with "Invalid" \
		sh -c "printf x | dd of=$fs/hole bs=1 seek=7000000"
	printf y > $fs/hole
	printf x | dd of=$fs/hole bs=1 seek=7000000 conv=notrunc 2>/dev/null
	check "a hole reads zero" hole
	check "sendfile, splice" sh -c "cat $fs/small | cat > $fs/copy; cmp /tmp/small $fs/copy"
	check "truncated to nothing it is empty" truncate -s 0 $fs/copy
	check "and has no memory" object_is copy state empty
	check "then it can be a guest's" file copy rw truncate=4 map zero
	for seed in 1 2 3 4; do
		check "random operations, seed $seed" gmem-fsx $fs/random$seed $seed 400 9000000
	done

	# What is data is no memory, and what is a guest's memory is, a bit.
	check "data is not mapped" file_fails ENODEV small rw map
	check "nor used by a VM" vmm_fails EINVAL reclaim small
	check "not by its file" file_fails EINVAL small rw vm=0
	check "memory of a guest" file vm0 create truncate=4 map fill=3
	sum=$(gmem-sum < $fs/vm0)
	check "is read" length vm0 $((4 * M))
	check "copied away" cp $fs/vm0 /tmp/vm0
	check "written to" sh -c "dd if=/tmp/large of=$fs/vm0 bs=1M count=4 conv=notrunc 2>/dev/null"
	check "which changes it" test "$(gmem-sum < $fs/vm0)" != "$sum"
	check "and back" sh -c "dd if=/tmp/vm0 of=$fs/vm0 bs=1M conv=notrunc 2>/dev/null"
	check "and it is as before" file vm0 rw map verify=3
	check "but no longer" fails_with "No space" sh -c "printf x | dd of=$fs/vm0 bs=1 seek=$((4 * M)) conv=notrunc"
	check "private memory" file secret create private=4
	check "is not read" fails_with "not permitted" cat $fs/secret
	check "nor written" fails_with "not permitted" sh -c "printf x | dd of=$fs/secret conv=notrunc"

	# What is gone is left alone, also by those that hold no more than a path to it.
	cp /tmp/large $fs/dead
	check "by its path it is truncated" file dead path bypath=0
	cp /tmp/large $fs/dead
	check "when it is gone, not" file_fails ESTALE dead path unlink bypath=0
	cp /tmp/large $fs/dead
	check "nor made longer" file_fails ESTALE dead path unlink bypath=6
	cp /tmp/large $fs/dead
	check "by O_TRUNC, for ioctls only, it is emptied" file dead path empty
	check "of all of it" length dead 0
	cp /tmp/large $fs/dead
	check "when it is gone, not" file_fails ESTALE dead path unlink empty
	hold small excl
	check "nor what somebody has exclusively" file_fails EBUSY small path bypath=0
	check "nor by O_TRUNC" file_fails EBUSY small path empty
	let_go
	check "and all is as it was" cmp /tmp/small $fs/small

	# Limits
	used=$(cat "$pool/used_bytes")
	check "more than there is" fails_with "No space" sh -c "dd if=/dev/zero of=$fs/huge bs=1M"
	check "what was written is there" test "$(stat -c %s $fs/huge)" -gt $((300 * M))
	rm $fs/huge
	printf y > $fs/far
	check "far behind the end" fails_with "No space" \
		sh -c "printf x | dd of=$fs/far bs=1M seek=4096 conv=notrunc"
	check "is as long as before" length far 1
	check "and reads the same" test "$(cat $fs/far)" = y
	rm $fs/far
	check "and can be freed" is used_bytes "$used"
	check "room is reserved" file room create reserve=8
	check "and some of it allocated" file room rw allocate=1
	check "which takes none of it away" is used_bytes $((used + 8 * M))
	check "but to be cut does" file room rw truncate=1
	check "all but what it has" is used_bytes $((used + 2 * M))
	rm $fs/room
	check "room for the next kernel" file kept create reserve=8
	echo +dmem > /sys/fs/cgroup/cgroup.subtree_control
	mkdir /sys/fs/cgroup/tenant
	echo "gmem_persist/node0 $((4 * M))" > /sys/fs/cgroup/tenant/dmem.max
	check "a tenant's limit" fails_with "quota" sh -c "echo 0 > /sys/fs/cgroup/tenant/cgroup.procs;
		head -c 5000000 /dev/zero | dd of=$fs/limited bs=64k"
	rm $fs/limited
	check "nothing stays charged" grep -q "node0 0" /sys/fs/cgroup/tenant/dmem.current

	# What is written, and how
	check "memory that is not there: nothing is taken for it" file_fails EFAULT bad new badwrite=4096
	check "nor left" test "$(stat -c %b $fs/bad)" = 0
	check "a half is there: as much is written" file bad rw half=4
	check "no more is taken" test "$(stat -c %b $fs/bad)" = $((2 * M / 512))
	check "it goes away and comes back in the middle" file bad rw dropped=2
	check "also for a guest's memory" file vm0 rw dropped=2
	check "back to what it was" sh -c "dd if=/tmp/vm0 of=$fs/vm0 bs=1M conv=notrunc 2>/dev/null"
	check "no bytes" file bad rw nothing
	check "no bytes of a guest's memory" file vm0 rw nothing
	check "signals do not end a write" file bad rw alarms write=200
	check "all is written" length bad $((200 * M))
	check "nor do they end ftruncate() of data" file bad rw alarms truncate=400
	rm $fs/bad
	check "they do end that of a guest's memory" file_fails EINTR vm1 new alarms truncate=600
	rm $fs/vm1

	# Nobody finds there what was somebody's.
	check "remanence: a guest" file fresh create truncate=800 map zero
	rm $fs/fresh
	check "the pool adds up" adds_up

	# Held open, and never synced
	sh -c 'exec 3>> /gmem/held; cat /tmp/small >&3; echo held > /tmp/held; exec sleep 1000' &
	until grep -q held /tmp/held 2>/dev/null; do :; done
	touch -d 2001-02-03 $fs/small
	# shellcheck disable=SC2046	# words
	require "load the next kernel" load_stage $(for seed in 1 2 3 4; do
		echo "gmem.sum$seed=$(gmem-sum < $fs/random$seed | tr ' ' ',')"; done)
	check "freeze" write frozen 1
	check "frozen: read" cmp /tmp/small $fs/small
	check "no write" fails_with busy sh -c "printf x >> $fs/small"
	check "no truncation" not truncate -s 0 $fs/small
	enter_stage
	fail "kexec"
	;;
2)
	noise 300000 > /tmp/small
	check "it is there" cmp /tmp/small $fs/small
	check "it is data" object_is small kind data
	check "its time" test "$(date -r $fs/small +%Y-%m-%d)" = 2001-02-03
	check "the length of what was open" length held 300000
	check "and its contents" cmp /tmp/small $fs/held
	check "room that was reserved is there" test "$(stat -c %b $fs/kept)" = $((8 * M / 512))
	check "and is had back" truncate -s 0 $fs/kept
	check "all of it" test "$(stat -c %b $fs/kept)" = 0
	check "so that it may be a guest's" file kept rw truncate=4 map
	check "a hole reads zero" hole
	check "guests' memory" file vm0 ro map verify=3
	check "it grows on" sh -c "cat $fs/held >> $fs/small; cat /tmp/small /tmp/small | cmp - $fs/small"
	for seed in 1 2 3 4; do
		check "what random operations left, seed $seed" \
			test "$(gmem-sum < $fs/random$seed)" = "$(word gmem.sum$seed)"
	done
	check "random operations" gmem-fsx $fs/random1 5 200 9000000
	check "rm" rm $fs/*
	check "all memory is free" is used_bytes 0
	check "the pool adds up" adds_up
	;;
esac
