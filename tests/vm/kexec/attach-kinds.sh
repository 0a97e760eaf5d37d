#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=8G timeout=500 append="kho=on kho_scratch=512M,1G,512M gmem_persist=3G gmem_persist.clean=0" flavours="release debug"
#
# What is in granules of 1 GiB, and what is private, comes back by root's word as what it was; what
# cannot be of that kind is refused, and so is a guest_memfd, which no file of gmemfs is.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/attach.sh
. /tests/lib/files.sh

M=$((1 << 20))
G=$((1 << 30))

# protected create|reclaim NAME WORDS...: the VMM of a guest with private memory
protected() {
	local op=$1 name=$2
	shift 2
	vmm "$op" "$name" vm=protected "$@"
}

# giants_are_there: an object of a default VM, and a private one, in granules of 1 GiB
giants_are_there() {
	vmm reclaim giant granule=1G per-gib=64 seed=31 verify &&
		protected reclaim whole granule=1G per-gib=64 seed=32 verify
}

# is_private NAME: only a protected VM has it, and by no file is anything seen of it
is_private() {
	object_is "$1" vm_class 1 && object_is "$1" flags 0x0 && vmm_fails EINVAL reclaim "$1" &&
		file_fails ENODEV "$1" ro map && file_fails EPERM "$1" rw bytes=1
}

# another_than NAME: than what kernel 1 had: neither uuid nor token is the same
another_than() {
	local uuid token
	ids "$1" > /tmp/ids
	read -r uuid token < /tmp/ids
	[ -n "$token" ] && [ "$uuid" != "$(noted "$1-ids" | cut -d ' ' -f 1)" ] &&
		[ "$token" != "$(noted "$1-ids" | cut -d ' ' -f 2)" ]
}

case $STAGE in
1)
	check "giant: in a granule of 1 GiB" \
		vmm create giant size=1G granule=1G per-gib=64 seed=31 fill verify
	check "whole: the same, private" \
		protected create whole size=1G granule=1G per-gib=64 seed=32 fill verify
	check "secret: private, in granules of 2 MiB" \
		protected create secret size=16M seed=33 fill verify
	check "small: a default VM's" vmm create small size=16M seed=34 fill
	# shellcheck disable=SC2046	# words
	require "load the next kernel" load_stage $(note giant whole secret small)
	require "freeze" write frozen 1
	for name in giant whole secret small; do
		require "damage: $name" gmem-corrupt object $name
	done
	enter_stage
	fail "kexec"
	;;
2)
	check "all of it is quarantined" is quarantined_bytes $((2 * G + 32 * M))
	giant=$(noted giant)
	first=${giant%-*}
	small=$(noted small)
	half=$(printf '%#x' $((first + G / 2)))

	# What 1 GiB granules cannot be
	check "half a granule" attach_fails impossible thief --granule 1G \
		"$first-$(printf '%#x' $((half - 1)))"
	check "one that begins in the middle" attach_fails impossible thief --granule 1G \
		"$half-$(printf '%#x' $((half + G - 1)))"
	check "little memory" attach_fails impossible thief --granule 1G "$small"
	check "one and a bit" attach_fails impossible thief --granule 1G "$giant" "$small"
	check "another granule" attach_fails impossible thief --granule 4M "$small"
	check "one that is not all quarantined" attach_fails "not all of this memory is quarantined" \
		thief --granule 1G "$(printf '%#x-%#x' $((${small%-*} / G * G)) \
					$((${small%-*} / G * G + G - 1)))"
	check "nor can data" attach_fails impossible thief --granule 1G --data 5 "$giant"
	check "data is not private" not gmemctl attach thief --private --data 5 "$small"
	check "of which there is no file" no_object thief

	# As the slot says
	check "attach giant" attach giant --slot "$(slot_of giant)"
	check "it is where it was" test "$(cat /tmp/said)" = "$giant"
	check "in a granule of 1 GiB" object_is giant granule $G
	check "a default VM's" object_is giant vm_class 0
	check "another object" another_than giant
	check "attach secret" attach secret --slot "$(slot_of secret)"
	check "it is private" is_private secret
	check "another object" another_than secret
	check "its contents" protected reclaim secret seed=33 verify
	# As root says
	check "attach whole" attach whole --granule 1G --private "$(noted whole)"
	check "it is private" is_private whole
	check "in a granule of 1 GiB" object_is whole granule $G
	check "the contents of both granules" giants_are_there

	# What is quarantined is not a guest_memfd's, whoever asks for it. It is what it was then.
	address=${small%-*}
	check "a file with private memory gets no more" file_fails EEXIST secret rw "attach=$address"
	check "be it a VM's" file_fails EEXIST secret rw private=0 "attach=$address"
	check "a private guest_memfd none" file_fails ENOTTY secret rw private=0 "attachvm=$address"
	check "nor another one" file_fails ENOTTY giant rw vm=0 "attachvm=$address"
	check "what a private one has is nobody else's" attach_fails "not all of this memory is quarantined" \
		thief "$(noted secret)"
	check "nothing has changed by that" is quarantined_bytes $((16 * M))
	check "attach small, as private" attach small --private --slot "$(slot_of small)"
	check "so it is private" is_private small
	check "with what was in it" protected reclaim small seed=34 verify
	check "nothing is quarantined" is quarantined_bytes 0
	check "the pool adds up" adds_up
	check "the slot that told of whole is refused until all is released" not gmemctl decode
	check "of which nothing is quarantined any more" write release all
	check "no problem is left" gmemctl decode
	next_stage
	;;
3)
	check "nothing is refused" not logged "quarantined"
	check "the contents of both granules" giants_are_there
	check "whole is private" is_private whole
	check "secret is private" is_private secret
	check "its contents" protected reclaim secret seed=33 verify
	check "small is private" is_private small
	check "no problem" gmemctl decode
	# I1: what was attached is cleared before anybody else gets it.
	for name in giant whole secret small; do
		check "discard $name" write discard $name
	done
	check "granules come cleared" vmm create new size=2G granule=1G per-gib=64 allzero
	;;
esac
