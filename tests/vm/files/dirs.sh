#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=8G timeout=300 append="gmem_persist=2G,zeroed kho=on" flavours="release debug"
#
# Directories of gmemfs, renaming, tenants, and mount options. The first kernel makes a tree
# of which the second must find every name, owner, mode, length and time as it was.
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
M=$((1 << 20))
. /tests/lib/files.sh

# ino PATH: its inode number
ino() { stat -c %i "$fs/$1"; }

# listed PATH: gmemctl comes there
listed() { gmemctl list | grep -q " $1$"; }

# holds TEXT PATH: a file of data has it
holds() { [ "$(cat "$fs/$2")" = "$1" ]; }

# tree: all that is there but what keeps it, and what kexec does not keep: inode numbers
tree() {
	(cd $fs && find . -mindepth 1 ! -name tree -exec stat -c '%n %F %a %u %g %s %b %Y' {} + | sort)
}

# option WORDS: mount once more with these, at another place
option() {
	mkdir -p /gmem2
	mount -t gmemfs -o "$1" none /gmem2 && umount /gmem2
}

# list_slowly DIRECTORY PAGE: somebody lists it, and has memory for that which does not come
list_slowly() {
	gmem-list-slowly 1000 "$1" "$2" > /tmp/lister &
	lister=$!
	until grep -q userfault "/proc/$lister/wchan"; do
		kill -0 "$lister" || return
	done
}

# list_the_root: who does that holds up nobody
list_the_root() {
	check "somebody lists the root, and waits for his memory" list_slowly $fs 0
	check "somebody makes a file" file during create truncate=2
	check "an object by its name" vmm create byname size=2M
	check "a directory" mkdir $fs/dir
	check "discards" write discard byname
	check "lists" listed during
	check "renames" mv $fs/during $fs/dir/
	check "removes" rm -r $fs/dir
	check "he still waits" kill -9 "$lister"
	wait "$lister"
	check "and has got nothing" test "$(cat /tmp/lister)" = begins
}

# list_while_changing: what stays is listed, and once. A page holds the two dots, 126 names and the
# beginning of another; the last made is the first, so that one is stays174.
list_while_changing() {
	mkdir -m 755 $fs/many
	for i in $(seq 300); do mkdir "$fs/many/stays$i"; done
	check "a list is told in part" list_slowly $fs/many 1
	check "what is told next goes" rmdir $fs/many/stays174
	check "others come" mkdir $fs/many/new
	kill -USR1 "$lister"
	check "it is told to its end" wait "$lister"
	check "also what went" grep -q -x stays174 /tmp/lister
	check "and what stays, once" test "$(sort /tmp/lister | uniq -c | grep -c ' 1 stays')" = 300
	rm -r $fs/many
}

case $STAGE in
1)
	list_the_root
	list_while_changing
	check "mkdir" mkdir $fs/a
	check "it is a directory" attr '%F %a %s' a "directory 755 0"
	check "and an object" object_is a kind directory
	check "an empty one" test -z "$(ls -A $fs/a)"
	check "the name is taken" not mkdir $fs/a
	check "for VMs, too" vmm_fails EEXIST create a size=2M
	check "which cannot have it" vmm_fails EISDIR reclaim a
	check "nor can it be discarded" fails_with "Is a directory" write discard a
	check "a file in it" file a/vm0 create truncate=8 map fill=1
	check "is an object by its path" object_is a/vm0 size $((8 * M))
	check "not by its name" no_object vm0
	check "is listed" listed a/vm0
	check "the ioctl does not know it" vmm_fails ENOENT reclaim vm0
	check "nor a path to it" vmm_fails EINVAL reclaim a/vm0
	check "by handle it does" file a/vm0 rw vm=8
	check "the same name elsewhere" file vm0 create truncate=4 map fill=2
	check "is another file" file a/vm0 ro map verify=1
	check "deeper" mkdir -p $fs/a/b/c/d
	check "data there" sh -c "echo deep > $fs/a/b/c/d/data"
	check "is read" holds deep a/b/c/d/data
	check "a bad name" not mkdir $fs/a/.hidden
	check "a long name" fails_with "too long" mkdir "$fs/a/$(printf %070d 0)"
	check "what is full is not removed" fails_with "not empty" rmdir $fs/a/b
	check "a directory is not unlinked" not unlink $fs/a/b
	check "nor a file removed as one" not rmdir $fs/vm0
	check "an empty one is removed" sh -c "mkdir $fs/a/e && rmdir $fs/a/e && test ! -e $fs/a/e"
	mkdir $fs/gone
	check "nothing can be made in one that is gone" \
		not sh -c "cd $fs/gone && rmdir $fs/gone && echo > here"

	# Renaming
	number=$(ino vm0)
	check "rename" mv $fs/vm0 $fs/vm1
	check "the old name is gone" test ! -e $fs/vm0
	check "of the object, too" no_object vm0
	check "the new one is there" object_is vm1 size $((4 * M))
	check "it is the same file" test "$(ino vm1)" = "$number"
	check "with the same memory" file vm1 ro map verify=2
	check "for VMs, too" vmm reclaim vm1 size=4M
	check "the old name can be had" vmm create vm0 size=2M seed=3 fill
	check "into a directory" mv $fs/vm1 $fs/a/b/
	check "it is listed there" listed a/b/vm1
	check "and not in the root" no_object vm1
	check "in a directory" mv $fs/a/b/vm1 $fs/a/b/vm2
	check "it is listed there" listed a/b/vm2
	check "and out" mv $fs/a/b/vm2 $fs/vm1
	check "with its name" object_is vm1 size $((4 * M))
	check "with its memory" file vm1 ro map verify=2
	check "to a bad name" fails_with Invalid mv $fs/vm1 $fs/.vm1
	used=$(cat "$pool/used_bytes")
	check "over another file" mv $fs/vm1 $fs/vm0
	check "which is gone" file vm0 ro map verify=2
	check "with its memory" is used_bytes $((used - 2 * M))
	check "it is the object of that name" object_is vm0 size $((4 * M))
	file old create truncate=2 map fill=4
	file new create truncate=2 map fill=5
	hold old rw map verify=4
	check "over a file in use" mv $fs/new $fs/old
	check "the name is the new file's" file old ro map verify=5
	check "which nobody uses" object_is old views 0
	check "and not the other's" no_object new
	let_go
	hold old rw map verify=5
	check "a file in use" mv $fs/old $fs/a/old
	let_go
	check "is the same" file a/old ro map verify=5
	echo state1 > $fs/state
	echo state2 > $fs/a/state
	check "data over data" mv $fs/a/state $fs/state
	check "is the new" holds state2 state
	check "a file over a directory" file_fails EISDIR state rename=$fs/a
	check "a directory over a file" file_fails ENOTDIR a rename=$fs/state
	check "a directory" mv $fs/a/b $fs/a/bb
	check "with what is in it" holds deep a/bb/c/d/data
	check "into itself" file_fails EINVAL a rename=$fs/a/bb/a
	file x create truncate=2 map fill=8
	file y create truncate=2 map fill=9
	check "in exchange" file x exchange=$fs/y
	check "one is the other" file x ro map verify=9
	check "and the other is the one" file y ro map verify=8
	check "with a full directory" file y exchange=$fs/a/bb
	check "which is in the root now" holds deep y/c/d/data
	check "by its name" object_is y kind directory
	check "and the file is where that was" file a/bb ro map verify=8
	check "a guest's memory" object_is a/bb kind memory
	check "and back" file y exchange=$fs/a/bb
	check "as it was" sh -c "test \$(cat $fs/a/bb/c/d/data) = deep"
	check "not with what is not there" file_fails ENOENT x exchange=$fs/nowhere
	check "not with what it is in" file_fails EINVAL a exchange=$fs/a/bb/c
	rm $fs/x
	mkdir $fs/empty $fs/full
	echo x > $fs/full/x
	check "over a full one" file_fails ENOTEMPTY empty rename=$fs/full
	check "over an empty one" file full rename=$fs/empty
	check "it is the full one now" holds x empty/x
	check "and the name is gone" test ! -e $fs/full
	# A directory that is in one made after it
	mkdir $fs/late $fs/a/later
	check "into a later one" mv $fs/empty $fs/late/
	check "deep down" mv $fs/a/bb $fs/a/later/
	check "all is where it belongs" test "$(cat $fs/late/empty/x $fs/a/later/bb/c/d/data)" = "x
deep"
	check "names in a loop" sh -c "cd $fs/a && for n in 1 2 3 4 5 6 7 8 9; do
		mv old ../loop && mv ../loop later/loop && mv later/loop old || exit 1; done"
	check "and it is the same" file a/old ro map verify=5

	# Tenants
	chmod 666 /dev/kvm
	mkdir -m 700 $fs/tenant
	chown 1000:1000 $fs/tenant
	check "a tenant's file" file tenant/vm0 uid=1000 create truncate=4 map fill=7
	check "is his" attr '%u %g' tenant/vm0 "1000 1000"
	check "he runs a VM on it" file tenant/vm0 uid=1000 rw vm=4
	check "another cannot open it" file_fails EACCES tenant/vm0 uid=1001 rw
	check "nor ask what it is" file_fails EACCES tenant/vm0 uid=1001 ro
	check "as the owner can" file tenant/vm0 uid=1000 ro info
	check "who sees its size" test "$(figure info_size)" = $((4 * M))
	check "but not where it is" file_fails EPERM tenant/vm0 uid=1000 ro ranges
	check "which root does" file tenant/vm0 ro ranges
	check "nor can root's file that is open tell him" \
		file_fails EPERM tenant/vm0 ro uid=1000 ranges
	check "nor create there" file_fails EACCES tenant/vm1 uid=1001 create
	check "nor where there is no directory of his" file_fails EACCES vm9 uid=1000 create
	mkdir -m 2770 $fs/group
	chown 1000:2000 $fs/group
	check "a group's directory" file group/vm0 uid=1000 create truncate=2
	check "says whose group a file has" attr '%u %g' group/vm0 "1000 2000"
	mkdir $fs/group/sub
	check "and a directory, which goes on so" attr '%g %a' group/sub "2000 2755"
	mkdir -p /etc
	echo "someone:x:1000:1000::/:/bin/sh" > /etc/passwd
	check "its owner, who is not in that group, says that it is his" su someone -c "chown 1000 $fs/group"
	check "which changes nothing" attr '%u %g %a' group "1000 2000 2770"

	# Mount options
	check "no option" fails_with . option frobnicate
	check "no granule" fails_with . option granule=4K
	check "no such node" fails_with . option nodes=7
	check "nothing has changed" grep -q "gmemfs.*granule=2M" /proc/mounts
	check "granules of 1 GiB, memory of a node" option granule=1G,nodes=0
	check "are said" grep -q "gmemfs.*granule=1G,nodes=0" /proc/mounts
	check "and used" file huge create truncate=1024
	check "it has them" object_is huge granule $((1024 * M))
	check "what is no multiple is refused" file_fails EINVAL small create truncate=64
	check "another mount changes nothing" option noatime
	check "to be seen" grep -q "gmemfs.*granule=1G,nodes=0" /proc/mounts
	check "data has small ones" sh -c "echo data > $fs/small"
	check "remount" mount -o remount,granule=2M $fs
	check "granules are small again" file vm8 create truncate=2
	check "read-only" mount -o remount,ro $fs
	check "nothing is made there" fails_with Read-only mkdir $fs/new
	check "but by name, of which KVM asks the kernel" gmem-names create ro 1
	check "writable again" mount -o remount,rw $fs
	check "it has a time" file ro0 ro info
	figure info_mtime > $fs/time
	rm $fs/huge $fs/small $fs/vm8

	touch -d '2001-02-03 04:05:06' $fs/a/vm0 $fs/state $fs/a
	tree > $fs/tree
	require "load the next kernel" load_stage
	check "freeze" write frozen 1
	check "frozen: no mkdir" fails_with busy mkdir $fs/new
	check "no rename" fails_with busy mv $fs/vm0 $fs/vm7
	check "no rmdir" fails_with busy rmdir $fs/a/later/bb/c
	tree > /tmp/tree
	check "all is as it was" cmp /tmp/tree $fs/tree
	enter_stage
	fail "kexec"
	;;
2)
	chmod 666 /dev/kvm
	tree > /tmp/tree
	check "every name, owner, mode, length and time" diff $fs/tree /tmp/tree
	check "of what was only created" file ro0 ro info
	check "to the nanosecond" holds "$(figure info_mtime)" time
	check "memory" file a/vm0 ro map verify=1
	check "that was renamed" file vm0 ro map verify=2
	check "and renamed in use" file a/old ro map verify=5
	check "and renamed to and fro" holds state2 state
	check "data, deep down" holds deep a/later/bb/c/d/data
	check "a directory that is in a later one" holds x late/empty/x
	check "all are listed" listed a/later/bb/c/d
	check "the tenant runs a VM" file tenant/vm0 uid=1000 rw vm=0 map verify=7
	check "and nobody else" file_fails EACCES tenant/vm0 uid=1001 rw
	check "the group's directory is still one" file group/vm1 uid=1000 create truncate=2
	check "its files are the group's" attr '%u %g' group/vm1 "1000 2000"
	check "whoever has said whose it is" attr %a group 2770
	check "rename here" mv $fs/a/later/bb/c/d/data $fs/group/
	check "rm -r" sh -c "rm -r $fs/*"
	check "nothing is left" test -z "$(ls -A $fs)"
	check "nor any object" no_objects
	check "all memory is free" is used_bytes 0
	check "the pool adds up" adds_up
	;;
esac
