#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=5G timeout=180 append="kho=on gmem_persist.clean=0 gmem_persist=1G nokaslr" flavours="release debug" expects="gmem_persist: kexec goes on, since lossy_kexec is set: no-kho: "
#
# A chain with a kernel that hands nothing on, and one that does not even know of the
# pool: what is in RAM stays as it was, quarantined, until the operator releases it.
#
#   1 fills an object -> 2, with KHO off -> 3 finds no record -> 4, which takes itself for
#   a crash kernel and looks -> 5 again finds no record, and releases
. /tests/lib/test.sh
. /tests/lib/pool.sh

M=$((1 << 20))

# warnings: how often the kernel said that it would refuse the one just loaded
warnings() { dmesg | grep -c 'gmem_persist: kexec would be refused: '; }

# no_record: an earlier kernel's pool, of which nothing is known
no_record() {
	require "the pool is there in its old size" is pool_bytes $((1024 * M))
	check "as an earlier kernel's" logged "GiB, .*left by an earlier kernel"
	check "no other was taken" not logged "GiB, .*new"
	check "logged" logged "record refused: none came from the kernel before this one"
	check "all of it is quarantined" is quarantined_bytes $((1024 * M))
	# shellcheck disable=SC2046	# words
	check "the operator can see what" test "$(ranges quarantined)" = "$(ranges extents)"
	# shellcheck disable=SC2046	# words
	check "it is not System RAM" off_ram $(ranges extents)
	check "no objects" no_objects
	check "nothing to be had" vmm_fails ENOSPC create new size=2M
}

case $STAGE in
1)
	require "load an image without handover" kexec -c -l /boot/bzImage \
		--initrd=/boot/initrd --reuse-cmdline
	check "no objects, no warning" test "$(warnings)" = 0
	check "vm0: full of a pattern" vmm create vm0 size=66M seed=61 fill
	require "load it again" kexec -c -l /boot/bzImage --initrd=/boot/initrd --reuse-cmdline
	check "a warning, since there is an object" test "$(warnings)" = 1
	check "unload" kexec -u
	require "load one with a handover" load_stage
	check "no further warning" test "$(warnings)" = 1
	next_stage kho=off "gmem.vm0=$(object_at vm0 | tr ' ' ',')"
	;;
2)
	check "vm0 has its contents" vmm reclaim vm0 seed=61 verify
	check "logged" logged "KHO is not available .*: objects will not survive a kexec"
	check "no warning yet" test "$(warnings)" = 0
	require "load the next kernel" load_stage kho=on
	check "a warning: KHO is off" test "$(warnings)" = 1
	check "the operator does not mind" write lossy_kexec 1
	enter_stage
	fail "kexec"
	;;
3)
	no_record
	# An address for it that is not RAM: there is no dump.
	next_stage elfcorehdr=0xf0000
	;;
4)
	check "no pool in this kernel" test ! -e "$pool"
	# shellcheck disable=SC2046	# words
	set -- $(word gmem.vm0)
	check "it is not System RAM" off_ram "$@"
	check "vm0 lies in RAM as it was" look verify 61 "$@"
	check "every byte was compared" grep -q "^look_compared=$((66 * M - 4096))$" /tmp/look
	check "with that pattern, not another" not look verify 62 "$@"
	next_stage
	;;
5)
	no_record
	first=$(word gmem.vm0)
	check "release vm0's memory" write release "$first"
	check "it is free, and dirty" is dirty_bytes $((66 * M))
	check "the rest is quarantined" is quarantined_bytes $(((1024 - 66) * M))
	check "the pool adds up" adds_up
	check "it comes back cleared" vmm create new size=66M allzero
	check "release all" write release all
	check "nothing is quarantined" is quarantined_bytes 0
	check "all can be used" vmm create rest size=958M per-gib=4096 allzero
	;;
esac
