#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=8G timeout=300 append="gmem_persist=2G,zeroed kho=on" flavours="release debug"
#
# Objects as files. The first kernel does all that can be done with them; the second
# finds them as they were.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/stop.sh
fs=/gmem
M=$((1 << 20))
. /tests/lib/files.sh

# listed: the names in the root directory, in one line
listed() { find $fs -mindepth 1 | sed 's|.*/||' | sort | tr '\n' ' '; }

case $STAGE in
1)
	check "df: the pool" test "$(stat -f -c '%s %b %f %t' $fs)" = "$((2 * M)) 1024 1024 474d4550"
	check "an empty directory" test -z "$(ls $fs)"

	# As QEMU does it.
	check "create, ftruncate, mmap, write" file vm0 create truncate=64 map zero fill=5 verify=5
	check "it is an object" object_is vm0 size $((64 * M))
	check "parked" object_is vm0 state parked
	token=$(gmemctl token $fs/vm0)
	check "its size" attr %s vm0 $((64 * M))
	check "its blocks" attr %b vm0 $((64 * M / 512))
	check "its block size" attr %o vm0 $((2 * M))
	check "its mode" attr %a vm0 640
	check "df: less is free" test "$(stat -f -c '%f' $fs)" = 992
	check "the contents stay" file vm0 rw map verify=5
	check "for reading" file vm0 ro map verify=5
	check "which changes no token" test "$(gmemctl token $fs/vm0)" = "$token"
	check "what exists cannot be created" not mkdir $fs/vm0
	check "nor is it a directory" fails_with "Not a directory" ls $fs/vm0/
	check "fallocate() does as well" file vm1 create allocate=2 map zero
	check "it keeps its size" file_fails EPERM vm0 rw truncate=66
	check "not smaller either" file_fails EPERM vm0 rw truncate=0
	check "not by O_TRUNC" not sh -c ": > $fs/vm0"
	check "the same size is fine" file vm0 rw truncate=64
	check "no size but whole granules" file_fails EINVAL vm2 create truncate=12345B
	check "an empty file cannot be mapped" file_fails ENODEV vm2 rw map
	check "more than there is" file_fails ENOSPC vm2 rw truncate=4096
	check "it is still empty" object_is vm2 state empty
	check "a bad name" file_fails EINVAL .hidden create
	check "a long name" file_fails ENAMETOOLONG "$(printf %070d 0)" create
	check "no hard links" not ln $fs/vm0 $fs/link
	check "punch" file vm1 rw map fill=6 punch zero

	# One name space
	check "by ioctl" vmm create byname size=32M seed=7 fill
	check "it is a file" attr '%s %a' byname "$((32 * M)) 600"
	check "with its contents" file byname rw map
	check "a VM claims a file by its name" vmm reclaim vm0 size=64M
	check "all are listed" test "$(listed)" = "byname vm0 vm1 vm2 "
	check "discard" write discard byname
	check "the file is gone" test ! -e $fs/byname
	check "a name of a file is taken" vmm_fails EEXIST create vm1 size=2M
	check "an empty file is not for the ioctl" vmm_fails EINVAL reclaim vm2

	# By handle
	check "a VM by handle" file vm0 rw vm=0
	check "its size" test "$(figure size)" = $((64 * M))
	check "its token is the file's" test "$(figure token)" = "$(echo "$token" | cut -d ' ' -f 2)"
	check "an empty file gets memory by it" file vm3 create vm=4 map zero
	check "private memory, too" file secret create private=4
	check "which cannot be mapped" file_fails ENODEV secret rw map
	check "and is not for a default VM" file_fails EINVAL secret rw vm=0
	check "reading alone is not enough" file_fails EBADF vm0 ro vm=0
	hold vm0 rw vm=0
	check "one VM only" file_fails EBUSY vm0 rw vm=0
	check "handle and VM are views" object_is vm0 views 2
	check "and who asks is not" object_is vm0 state live
	check "discard is refused" refused discard vm0
	let_go

	# Exclusively
	hold vm0 excl
	check "exclusively: no other handle" file_fails EBUSY vm0 ro
	check "no VM" vmm_fails EBUSY reclaim vm0
	check "to look at it is neither" object_is vm0 state live
	let_go
	check "who has it exclusively can" file vm0 excl info
	check "and is alone" test "$(figure info_views)" = 0
	check "then it is parked" object_is vm0 state parked
	check "not by who may only read" file_fails EINVAL vm0 exclro
	hold vm9 new
	check "O_EXCL with O_CREAT is something else" file vm9 ro
	check "which a file that exists refuses" file_fails EEXIST vm9 new
	let_go
	rm $fs/vm9
	hold vm0 ro
	check "not exclusively: there is a handle" file_fails EBUSY vm0 excl
	check "another handle" file vm0 rw map
	let_go

	# Unlink
	check "unlink" rm $fs/vm1
	check "its memory is free" is used_bytes $((72 * M))
	names=$(stat -f -c %d $fs)
	hold vm3 rw map fill=8 unlink verify=8
	check "unlinked in use: it counts as one of 4096 names" test "$(stat -f -c %d $fs)" = "$names"
	check "unlinked in use: the name is gone" test ! -e $fs/vm3
	check "and it is no object for others" no_object vm3
	check "the memory is not" is used_bytes $((72 * M))
	check "the name can be had again" file vm3 create truncate=2 map zero
	let_go
	check "then it is" is used_bytes $((70 * M))
	check "the pool adds up" adds_up

	# Permissions
	chmod 666 /dev/kvm
	check "another user cannot open" file_fails EACCES vm0 uid=1000 ro
	check "nor create" file_fails EACCES mine uid=1000 create
	chown 1000:1000 $fs/vm0 && chmod 600 $fs/vm0
	check "the owner can, and run a VM" file vm0 uid=1000 rw map verify=5 vm=0
	check "root's directory stays" not chmod 777 $fs
	check "time stamps" touch -d 2001-02-03 $fs/vm0

	# Another mount is the same.
	mkdir -p /gmem2
	check "mount again" mount -t gmemfs none /gmem2
	check "the same file" test "$(stat -c %i /gmem2/vm0)" = "$(stat -c %i $fs/vm0)"
	check "umount" umount /gmem2

	# truncate() takes set-user-ID bits away first, and then meets a freeze.
	write clean_background 0
	file big new truncate=1024 && rm $fs/big
	file suid new && chown 1000:1000 $fs/suid && chmod 6755 $fs/suid
	hold_at alloc-clear
	gmem-file $fs/suid uid=1000 rw truncate=1024 > /tmp/truncated &
	truncating=$!
	check "somebody clears memory for one" until_held_at alloc-clear $truncating
	check "freeze meanwhile" write frozen 1
	let_on
	wait $truncating
	check "it is not given" grep -q errno=EBUSY /tmp/truncated
	check "thaw" write frozen 0
	stat -c %a $fs/suid > $fs/mode

	# open() makes a file, meets a freeze, and opens it.
	hold_at file-recorded
	gmem-file $fs/between create truncate=2 > /tmp/made &
	making=$!
	check "somebody makes a file" until_held_at file-recorded $making
	check "freeze meanwhile" write frozen 1
	let_on
	wait $making
	check "he has it, and it gets no memory" sh -c \
		"grep -q -x failed=truncate=2 /tmp/made && grep -q -x errno=EBUSY /tmp/made"
	check "thaw" write frozen 0
	rm $fs/between

	# write() has put some of it in the place of other data when it meets a freeze.
	head -c 131072 /dev/zero | tr '\0' a > $fs/torn
	hold_at data-written
	gmem-file $fs/torn rw write=131072B > /tmp/written 2>&1 &
	writing=$!
	check "somebody writes" until_held_at data-written $writing
	check "freeze meanwhile" write frozen 1
	let_on
	wait $writing
	changed=$(tr -d a < $fs/torn | wc -c)
	check "some is changed" test "$changed" -gt 0 -a "$changed" -lt 131072
	check "and write() says how much" grep -q " $changed bytes are written" /tmp/written
	check "thaw" write frozen 0
	rm $fs/torn
	write clean_background 1

	check "a VM by a file descriptor" file byfd create resource=8 map fill=10
	check "of that size only" file_fails EEXIST byfd rw resource=4
	hold vm3 rw map fill=9
	require "load the next kernel" load_stage
	check "freeze" write frozen 1
	check "frozen: reading goes on" file vm0 ro map verify=5
	check "no writing" file_fails EBUSY vm0 rw
	check "no creation" file_fails EBUSY new create
	check "no unlink" not rm $fs/vm0
	check "no chmod" not chmod 644 $fs/vm0
	check "the contents are as they were" attr '%a %s' vm0 "600 $((64 * M))"
	enter_stage
	fail "kexec"
	;;
2)
	check "all are there, also the empty one" test "$(listed)" = "byfd mode secret suid vm0 vm2 vm3 "
	check "owner, mode and size" attr '%u %g %a %s' vm0 "1000 1000 600 $((64 * M))"
	check "contents" file vm0 uid=1000 rw map verify=5
	check "of the one that was held" file vm3 ro map verify=9
	check "private is private" file_fails ENODEV secret rw map
	check "it goes to its VM" file secret rw private=0
	check "a mode is what was said" attr %a suid "$(cat $fs/mode)"
	check "a VM by a file descriptor" file byfd rw resource=8 map verify=10
	check "rm" rm $fs/vm0 $fs/vm3 $fs/secret $fs/byfd $fs/mode
	check "all memory is free" is used_bytes 0
	;;
esac
