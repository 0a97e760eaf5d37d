#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G virtual=1 smp=1 timeout=600 append="gmem_persist=1G,zeroed kho=on" disk=guest flavours="release"
#
# Debian's QEMU with Linux guests in persistent memory, by gmem-vm: three
# host kernels, vm0 in all of them and vm1, which is an unprivileged tenant's, from the first
# to the second. Before that, in the first, what needs no kexec: QEMU killed and its memory
# attached again, stale pairs.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh
fs=/gmem

# exits STATUS COMMAND...: with that status
exits() {
	local want=$1 status=0
	shift
	"$@" || status=$?
	[ $status = "$want" ]
}

# status_is NAME WORDS
status_is() { [ "$(gmem-vm status "$1" 2>/dev/null)" = "$2" ]; }

# sum NAME: of all its memory
sum() { gmem-sum < "$fs/$1"; }

# save NAME COMMAND...: by that, and note how far it was
save() {
	local name=$1
	shift
	"$@" > /tmp/saved && cat /tmp/saved || return
	note_tick "${name##*/}"
	remember "${name##*/}.sum" "$(sum "$name")"
}

guest_setup
qemu_guest vm0 256M 32
qemu_guest vm1 128M 8
console vm0
console vm1
chmod 755 "$GMEM_CONF"
tenant tenant

# may_not_look NAME: what is there, another user cannot tell, and so takes it for stale
may_not_look() {
	! by other gmem-vm status "$1" > /tmp/look 2>&1 &&
		grep -qx stale /tmp/look && grep -q "Permission denied" /tmp/look
}

case $STAGE in
1)
	check "a name without settings" exits 2 gmem-vm start vm7
	check "nothing yet" status_is vm0 none
	require "QEMU starts vm0" vm_start vm0
	check "its memory is an object" object_is vm0 size $((256 << 20))
	check "of the kind that guests use" object_is vm0 kind memory
	check "which nobody else may read" test "$(stat -c %a $fs/vm0)" = 600
	check "it runs" status_is vm0 running
	check "but once" exits 1 gmem-vm start vm0
	require "vm0 works" swept vm0

	kill_qemu vm0
	check "QEMU is killed: the memory stays" status_is vm0 "memory only"
	sum vm0 > /tmp/sum
	token=$(gmemctl token $fs/vm0)
	check "and nobody changes it" test "$(sum vm0)" = "$(cat /tmp/sum)"
	require "QEMU starts again on it" gmem-vm start --keep-memory vm0
	check "a guest that runs changes its token" test "$(gmemctl token $fs/vm0)" != "$token"
	require "vm0 works" swept vm0
	check "vm0 is fine" guest_fine vm0

	require "vm0 is saved" vm_save vm0
	check "that is known" status_is vm0 saved
	check "as a file of data" object_is vm0.state kind data
	cp "$fs/vm0.state" /tmp/
	require "it goes on at once" vm_start vm0
	check "what was saved is gone" test ! -e "$fs/vm0.state"
	require "vm0 works" swept vm0
	check "vm0 is fine" guest_fine vm0
	kill_qemu vm0
	cp /tmp/vm0.state "$fs/"
	check "the state of before is stale" status_is vm0 stale
	check "and is refused" exits 3 gmem-vm start vm0
	check "also a second time" exits 3 gmem-vm start vm0
	check "until it is dropped" gmem-vm drop vm0
	{
		old_note /tmp/vm0.state | sed "s|^part .*|part $(gmemctl token $fs/vm0) $fs/vm0|" |
			dd bs=4096 count=1 conv=sync
		dd if=/tmp/vm0.state bs=4096 skip=1 count=9
	} 2>/dev/null > "$fs/vm0.state"
	check "half a state looks like one" status_is vm0 saved
	check "but QEMU does not take it" exits 1 gmem-vm start vm0
	check "and has done no harm" status_is vm0 saved
	gmem-vm drop vm0

	token=$(gmemctl token $fs/vm0)
	require "QEMU starts once more" vm_start vm0
	check "on memory that nobody has had" \
		test "$(gmemctl token $fs/vm0 | cut -c 1-36)" != "$(echo "$token" | cut -c 1-36)"
	require "and a tenant's" by tenant gmem-vm start vm1
	check "whose memory is in his directory" test "$(stat -c %s $fs/tenant/vm1)" = $((128 << 20))
	require "vm0 works" swept vm0
	require "vm1 works" swept vm1
	require "load kernel 2" load_stage
	require "vm0 is saved" save vm0 gmem-vm save vm0
	require "the tenant saves his" save tenant/vm1 by tenant gmem-vm save vm1
	check "no memory of it was copied" test "$(ram_bytes_copied)" = 0
	check "somebody else is told that he may not look" may_not_look vm1
	check "nor can read it" not by other cat $fs/tenant/vm1.state
	check "nor start on it" exits 1 by other gmem-vm start vm1
	check "the tenant does see it" test "$(by tenant gmem-vm status vm1)" = saved
	check "vm0 was fine" guest_fine vm0
	check "vm1 was fine" guest_fine vm1
	check "less than 1 MiB for vm0" test "$(stat -c %s "$fs/vm0.state")" -lt $((1 << 20))
	require "freeze" write frozen 1
	check "no VM starts now" exits 1 gmem-vm start vm0
	check "which costs nothing" status_is vm0 saved
	enter_stage
	fail "kexec"
	;;
2)
	check "vm0 is as it was saved" status_is vm0 saved
	check "all memory of vm0" test "$(sum vm0)" = "$(recall vm0.sum)"
	check "all memory of vm1" test "$(sum tenant/vm1)" = "$(recall vm1.sum)"
	require "vm0 is resumed" vm_start vm0
	check "nobody else resumes vm1" exits 1 by other gmem-vm start vm1
	require "the tenant does" by tenant gmem-vm start vm1
	require "vm0 works" swept vm0
	require "vm1 works" swept vm1
	check "vm0 goes on" goes_on vm0
	check "vm1 goes on" goes_on vm1
	check "vm0 is fine" guest_fine vm0
	check "vm1 is fine" guest_fine vm1
	kill_qemu vm1 /tmp/tenant
	check "the tenant discards vm1" by tenant rm $fs/tenant/vm1
	require "load kernel 3" load_stage
	require "vm0 is saved again" save vm0 gmem-vm save vm0
	require "freeze" write frozen 1
	enter_stage
	fail "kexec"
	;;
3)
	check "all memory of vm0" test "$(sum vm0)" = "$(recall vm0.sum)"
	require "vm0 is resumed" vm_start vm0
	require "vm0 works" swept vm0
	check "vm0 goes on" goes_on vm0
	check "vm0 is fine" guest_fine vm0
	check "vm1 is not there" test "$(by tenant gmem-vm status vm1)" = none
	kill_qemu vm0
	check "the pool adds up" adds_up
	;;
esac
