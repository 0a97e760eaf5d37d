#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: quick=1 mem=7G timeout=180 append="kho=on gmem_persist=2G gmem_persist.clean=0 nokaslr" flavours="release debug" expects="gmem_persist: kexec goes on, since lossy_kexec is set: no-kho: "
#
# A kexec that would lose what is in the pool is refused, and all goes on. "handover" says
# so beforehand.
#
#   1 has all sorts of images and no handover, then a good one -> 2, with KHO off, may only be
#   left by the operator's word -> 3 has all in quarantine until it is released, and an empty
#   pool holds nobody back -> 4
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/stop.sh

M=$((1 << 20))
# Whether the last one to be asked, after the pool, refuses a kexec
refuse=/sys/kernel/debug/gmem_persist/refuse_kexec

# answers WORD: what "handover" says up to the colon, if there is one
answers() {
	local line
	read -r line < "$pool/handover"
	[ "${line%%:*}" = "$1" ]
}

# lines TEXT: how many of them are in the log
lines() { dmesg | grep -c "gmem_persist: $1: "; }

# no_kexec ERROR: it comes back, with that error
no_kexec() {
	drain
	kexec -e 2>&1 | grep -q "$1"
}

# refused_as WORD ERROR: by the pool, with one line in the log
refused_as() {
	local before
	before=$(lines "kexec refused: $1")
	no_kexec "$2" && [ "$(lines "kexec refused: $1")" = $((before + 1)) ]
}

# all_goes_on WHEN: as if nobody had wanted to leave
all_goes_on() {
	check "$1: not frozen" is frozen 0
	check "$1: nobody holds it" test -z "$(cat "$pool/holders")"
	check "$1: vm0 is as it was" vmm reclaim vm0 seed=51 verify
	check "$1: creation works" vmm create new size=2M allzero
	check "$1: so does discard" write discard new
}

# load_without_handover: the next kernel, by kexec_load()
load_without_handover() {
	kexec -c -l /boot/bzImage --initrd=/boot/initrd --command-line="$(next_cmdline)"
}

# begin_to_create: root's object, which is being cleared
begin_to_create() {
	hold_at alloc-clear
	gmem-payload create large size=1900M > /tmp/large &
	until_held_at alloc-clear $! && answers creating
}

case $STAGE in
1)
	[ -e $refuse ] || skip_all "a kernel without means to refuse a kexec"
	check "no image" answers no-image
	require "load an image without handover" load_without_handover
	check "it is said what is wrong" answers no-handover
	check "nothing to lose, no word" test "$(lines 'kexec would be refused')" = 0
	echo 1 > $refuse
	check "an empty pool agrees to it" no_kexec "Input/output error"
	echo 0 > $refuse
	check "without a word" test "$(dmesg | grep -c 'gmem_persist: kexec')" = 0

	check "vm0: full of a pattern" vmm create vm0 size=66M seed=51 fill
	all_goes_on "refused by somebody else"
	require "load it once more" load_without_handover
	check "a warning: now there is something to lose" \
		test "$(lines 'kexec would be refused: no-handover')" = 1
	check "the pool refuses" refused_as no-handover "Exec format error"
	all_goes_on "refused for the image"
	check "no freeze for that" refused frozen 1
	check "unload" kexec -u
	check "no image again" answers no-image

	require "load one with a handover" load_stage kho=off
	check "no further warning" test "$(lines 'kexec would be refused')" = 1
	check "all would be handed over" answers ok
	check "freeze" write frozen 1
	check "frozen: all would be handed over" answers ok
	echo 1 > $refuse
	check "frozen: somebody else refuses" no_kexec "Input/output error"
	check "frozen: it stays so" is holders operator
	check "thaw" write frozen 0
	check "somebody else refuses" no_kexec "Input/output error"
	all_goes_on "then"

	require "root creates an object" begin_to_create
	check "the pool refuses" refused_as creating "temporarily unavailable"
	let_on
	wait
	check "the creation was not disturbed" object_is large size $((1900 * M))
	check "and is over" answers ok
	check "discard" write discard large
	echo 0 > $refuse
	enter_stage
	fail "kexec"
	;;
2)
	check "KHO is off" answers no-kho
	require "load the next kernel" load_stage kho=on
	check "a warning" test "$(lines 'kexec would be refused: no-kho')" = 1
	check "the pool refuses" refused_as no-kho "ot supported"
	all_goes_on "refused for KHO"
	check "nothing but 0 and 1" refused lossy_kexec x
	check "it is 0" is lossy_kexec 0
	check "the operator does not mind" write lossy_kexec 1
	check "which changes nothing about the answer" answers no-kho
	check "nor about a freeze" refused frozen 1
	require "load it again" load_stage kho=on
	check "no further warning" test "$(lines 'kexec would be refused')" = 1
	enter_stage
	fail "kexec"
	;;
3)
	check "the next kernel minds again" is lossy_kexec 0
	check "all is in quarantine" is quarantined_bytes $((2048 * M))
	require "load an image without handover" load_without_handover
	check "a warning: there is something to lose" \
		test "$(lines 'kexec would be refused: no-handover')" = 1
	check "the pool refuses" refused_as no-handover "Exec format error"
	check "not frozen" is frozen 0
	check "release" write release all
	# Nothing is left to be lost.
	enter_stage
	fail "kexec"
	;;
4)
	ok "an empty pool holds nobody back"
	;;
esac
