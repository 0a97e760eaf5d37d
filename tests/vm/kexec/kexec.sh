#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: quick=1 mem=9G timeout=300 append="kho=on gmem_persist=4G" flavours="release debug"
#
# Three kernels in a row. The first makes objects of both granules, of a default
# and of a protected VM, all full of patterns. The second finds all of them, uses
# and discards some, and never touches "late", which the third reclaims.
. /tests/lib/test.sh
. /tests/lib/pool.sh

M=$((1 << 20))

# an_object NAME SIZE GRANULE GENERATION: it is there as it was made, parked
an_object() {
	object_is "$1" size "$2" && object_is "$1" granule "$3" &&
		object_is "$1" generation "$4" && object_is "$1" state parked &&
		object_is "$1" views 0
}

case $STAGE in
1)
	check "a new pool" is pool_bytes $((4096 * M))
	check "of generation 0" is generation 0

	check "small: 2 MiB granules" vmm create small size=66M seed=11 host-fill verify
	small=$(figure own_token)
	check "large: 1 GiB granules" vmm create large size=1G granule=1G seed=12 fill host-verify
	check "late: stays parked in kernel 2" vmm create late size=130M seed=13 fill
	check "private: of a protected VM" vmm create private size=32M vm=protected seed=14 fill verify
	check "gone: full, then discarded" vmm create gone size=256M seed=15 host-fill
	check "discard" write discard gone
	check "the pool adds up" adds_up
	result record_bytes "$(cat "$pool/record_bytes")"

	# A VMM that is still there when the kernel goes does no harm.
	gmem-payload reclaim late run > /tmp/running &
	until grep -q running /tmp/running; do :; done
	check "a VMM runs" object_is late state live

	require "load a kernel by kexec_load(), which hands nothing over" \
		kexec -c -l /boot/bzImage --initrd=/boot/initrd --reuse-cmdline
	check "no freeze for that" refused frozen 1
	require "load the next kernel" load_stage "small=$small"
	check "freeze" write frozen 1
	check "the operator holds it" is holders operator
	check "no creation while frozen" vmm_fails EBUSY create new size=2M
	check "no reclaim while frozen" vmm_fails EBUSY reclaim small
	check "no discard while frozen" refused discard small
	check "thaw" write frozen 0
	check "creation after thaw" vmm create new size=2M allzero
	check "discard after thaw" write discard new
	check "freeze again" write frozen 1
	enter_stage
	fail "kexec"
	;;
2)
	check "the pool is there" is pool_bytes $((4096 * M))
	check "of generation 1" is generation 1
	check "not frozen" is frozen 0
	check "nothing is quarantined" is quarantined_bytes 0
	check "the pool adds up" adds_up
	check "small is there" an_object small $((66 * M)) $((2 * M)) 1
	check "large is there" an_object large $((1024 * M)) $((1024 * M)) 1
	check "late is there" an_object late $((130 * M)) $((2 * M)) 1
	check "private is there" an_object private $((32 * M)) $((2 * M)) 1
	check "gone is gone" no_object gone
	check "what KHO shows of the last kernel can be read" \
		find /sys/kernel/debug/kho/in -type f -exec cat '{}' + > /tmp/kho
	check "flags of small" object_is small flags 0x3
	check "flags of private" object_is private flags 0x0

	check "small has its contents" vmm reclaim small seed=11 verify host-verify
	check "every byte was compared" test "$(figure verify_compared)" = $((66 * M - 4096))
	check "its token is the one of who wrote it" test "$(figure token)" = "$(word small)"
	check "large has its contents" vmm reclaim large granule=1G seed=12 verify
	check "private has its contents" vmm reclaim private vm=protected seed=14 verify
	check "private memory is not for a default VM" vmm_fails EINVAL reclaim private
	check "shared memory is not for a protected VM" vmm_fails EINVAL reclaim small vm=protected
	check "another size is refused" vmm_fails EINVAL reclaim small size=64M
	check "another granule is refused" vmm_fails EINVAL reclaim small granule=1G
	check "a taken name is refused" vmm_fails EEXIST create late size=2M

	# Nearly all that is free: it includes what "gone" left.
	check "memory of a discarded object is zero" vmm create fresh size=1280M allzero
	check "discard it" write discard fresh
	check "discard small" write discard small
	check "the pool adds up" adds_up
	# No freeze: the kernel seals the record itself.
	next_stage
	;;
3)
	check "of generation 2" is generation 2
	check "nothing is quarantined" is quarantined_bytes 0
	check "the pool adds up" adds_up
	check "late is there" an_object late $((130 * M)) $((2 * M)) 2
	check "small is gone" no_object small
	check "late has its contents" vmm reclaim late seed=13 verify host-verify
	check "late counts on" vmm reclaim late count
	check "from where it was" test "$(figure counter)" -gt 2000
	check "large has its contents" vmm reclaim large seed=12 verify
	check "private has its contents" vmm reclaim private vm=protected seed=14 verify
	for name in late large private; do
		check "discard $name" write discard $name
	done
	check "all memory is free" is used_bytes 0
	check "1 GiB granules are whole again" is free_1g_bytes $((4096 * M))
	;;
esac
