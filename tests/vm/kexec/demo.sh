#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: big=1100G timeout=900 append="kho=on gmem_persist=1088G,zeroed" flavours="release"
#
# The story that "make demo" tells. gmem.fault=corrupt-record on the command line
# damages the record in kernel 1 and shows what becomes of that in kernel 2.
. /tests/lib/test.sh
. /tests/lib/pool.sh

# Pages that the guest writes in each GiB: 2 MiB, so that a small machine holds it.
per_gib=512
gib=$((1 << 30))

# word KEY: the value of a KEY=VALUE word of the kernel's command line
word() { tr ' ' '\n' < /proc/cmdline | sed -n "s/^$1=//p" | tail -n 1; }

linux_has() { sed -n 's/^MemTotal: *\([0-9]*\) kB/\1 KiB/p' /proc/meminfo; }

fault=$(word gmem.fault)
pool_bytes=$(cat "$pool/pool_bytes")
# Most of it (1 TiB of 1088 GiB); what is left is room for other guests.
size=$((pool_bytes / gib - pool_bytes / gib / 17))

stage1() {
	story "kernel 1: a pool of $((pool_bytes / gib)) GiB in $(wc -l < "$pool/extents") extents;" \
		"Linux itself has $(linux_has)"
	result pool_bytes "$pool_bytes"
	# 64 bytes of struct page for each 4 KiB
	result memmap_saved_bytes $((pool_bytes / 64))

	require "a VMM creates vm0, its guest writes to it" \
		vmm create vm0 size=${size}G granule=1G seed=42 per-gib=$per_gib fill verify
	story "kernel 1: a VMM created vm0, $size GiB in 1 GiB granules; its guest wrote" \
		"$((size * per_gib)) pages all over it"
	result object_bytes "$(object vm0 size)"
	result granule_bytes "$(object vm0 granule)"
	result ranges "$(object vm0 ranges | wc -l)"

	require "load kernel 2" load_stage

	gmem-payload reclaim vm0 run > /tmp/running &
	until grep -q running /tmp/running; do :; done
	story "kernel 1: a VMM runs vm0, the guest counts, and goes on counting until the end"

	require "freeze" vmm freeze
	result freeze_us "$(figure freeze_us)"
	result record_bytes "$(cat "$pool/record_bytes")"
	story "kernel 1: frozen in $(figure freeze_us) us; the record for kernel 2 has" \
		"$(cat "$pool/record_bytes") bytes"

	if [ "$fault" = corrupt-record ]; then
		require "damage the record" gmem-corrupt tree
		story "kernel 1: one bit of the record has been changed on purpose"
	fi
	story "kexec"
	enter_stage
	fail "kexec"
}

stage2() {
	story "kernel 2: found the pool; vm0 is $(object vm0 state)," \
		"Linux itself has $(linux_has)"
	require "a new VMM reclaims vm0" vmm reclaim vm0 size=${size}G granule=1G count
	result kexec_to_reclaim_ms "$(figure dark_ms)"
	result counter "$(figure counter)"
	story "kernel 2: a new VMM reclaimed vm0 $(figure dark_ms) ms after the guest last counted" \
		"in kernel 1"
	check "the counter goes on" test "$(figure counter)" -gt 2000
	story "kernel 2: the guest counts on and is at $(figure counter) now"

	# Its exit status says whether bytes differ; they are reported first.
	vmm reclaim vm0 seed=42 per-gib=$per_gib verify zero
	local status=$?
	result bytes_compared $(($(figure verify_compared) + $(figure zero_compared)))
	result bytes_different $(($(figure verify_different) + $(figure zero_different)))
	check "the guest finds every byte" test $status = 0
	story "kernel 2: the guest compared $(figure verify_compared) bytes that it had written:" \
		"$(figure verify_different) differ; and $(figure zero_compared) that nobody had:" \
		"$(figure zero_different) are not zero"
	check "nothing is quarantined" is quarantined_bytes 0
	check "the pool adds up" adds_up
	check "vm0 can be discarded" write discard vm0
	check "and leaves nothing behind" is used_bytes 0
}

# The same kernel 2, but with a record that cannot be believed.
stage2_fault() {
	story "kernel 2: found the pool, but: $(dmesg | sed -n 's/.*gmem_persist: \(record refused.*\)/\1/p')"
	result pool_bytes "$pool_bytes"
	result quarantined_bytes "$(cat "$pool/quarantined_bytes")"
	check "all of the pool is quarantined" is quarantined_bytes "$pool_bytes"
	check "no object is there" vmm_fails ENOENT reclaim vm0
	check "none of it is given out" vmm_fails ENOSPC create vm1 size=2M
	check "none of it became free memory" test "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' \
		/proc/meminfo)" -lt $((pool_bytes / 1024 / 4))
	story "kernel 2: $(($(cat "$pool/quarantined_bytes") / gib)) GiB are quarantined: not given out," \
		"not cleared, not free memory"
	check "the operator can release a part" write release \
		"$(sed -n '1s/\(0x[0-9a-f]*\)-.*/\1/p' "$pool/quarantined")-$(printf '%#x' \
		$(($(sed -n '1s/\(0x[0-9a-f]*\)-.*/\1/p' "$pool/quarantined") + gib - 1)))"
	check "which is then to be had" free_is $gib
	check "and the pool adds up" adds_up
	story "kernel 2: the operator released 1 GiB of it; a new guest would get it cleared"
	fail "the record was damaged, and vm0 is lost to its VMM"
}

case $STAGE$fault in
1*) stage1 ;;
2) stage2 ;;
2corrupt-record) stage2_fault ;;
*) fail "unknown fault $fault" ;;
esac
