#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=8G timeout=300 append="kho=on kho_scratch=512M,1G,512M gmem_persist=3G gmem_persist.clean=0" flavours="release debug"
#
# A guest with private and with shared memory, over a kexec. Both sides are objects; which
# pages are private is forgotten with the VM, so the VMM notes it in a third one.
. /tests/lib/test.sh
. /tests/lib/pool.sh

M=$((1 << 20))
size=$((48 * M))
# By the rule of gmem-payload: of each 16 MiB, 4 MiB.
private=$((12 * M))

# protected WORDS...: the VMM of a guest with private memory
protected() {
	local op=$1 name=$2
	shift 2
	vmm "$op" "$name" vm=protected "$@"
}

case $STAGE in
1)
	selftest gmem_persist_private_test

	check "a guest whose memory has two sides, and a VMM that takes notes" \
		protected create secret size=48M shared=open state=notes seed=21 \
		host-fill convert fill verify host-verify
	check "every word was compared" test "$(figure verify_compared)" = $((size - 4096))
	check "both sides, and the notes, are objects" is used_bytes $((2 * size + 2 * M))
	check "the private side is that of a protected VM" object_is secret vm_class 1
	check "and has no flags" object_is secret flags 0x0
	check "a guest in granules of 1 GiB, all private" \
		protected create whole size=1G granule=1G per-gib=64 seed=22 fill verify
	result attributes_kib_per_gib "$(figure attributes_kib)"

	# A VMM that is killed while its guest runs.
	gmem-payload reclaim secret vm=protected shared=open state=notes run > /tmp/running &
	pid=$!
	until grep -q running /tmp/running; do :; done
	check "both sides are in use" object_is secret state live
	check "both sides are in use" object_is open state live
	kill -9 $pid
	wait $pid
	check "the VMM's death parks both" object_is secret state parked
	check "the VMM's death parks both" object_is open state parked
	check "the next VMM's guest finds all of it" \
		protected reclaim secret shared=open state=notes seed=21 verify host-verify
	next_stage
	;;
2)
	check "nothing is quarantined" is quarantined_bytes 0
	check "the private side has survived" object_is secret generation 1
	check "it is not for a default VM" vmm_fails EINVAL reclaim secret
	check "the shared side is not to be private" vmm_fails EINVAL reclaim open vm=protected

	# Without the notes all is shared: the guest sees what the VMM sees, and no secret.
	check "without notes, the guest finds the wrong words" \
		not protected reclaim secret shared=open seed=21 verify
	check "in all of the private memory, and nowhere else" \
		test "$(figure verify_different)" = $private
	check "namely those of the shared side" \
		protected reclaim secret shared=open seed=21 hidden
	check "and with no shared side, an exit" \
		protected reclaim secret private=none "guest@$((2 * M))"
	check "that is an error" test "$(figure "guest@$((2 * M))")" = EFAULT

	check "with the notes, the guest finds every word of both sides" \
		protected reclaim secret shared=open state=notes seed=21 verify host-verify
	check "every word was compared" test "$(figure verify_compared)" = $((size - 4096))
	check "as many ranges were made private as before" \
		test "$(figure private_ranges)" = $((3 * (1 + 256 + 1)))
	check "1 GiB granules have their contents" \
		protected reclaim whole granule=1G per-gib=64 seed=22 verify
	for name in secret open notes whole; do
		check "discard $name" write discard $name
	done
	check "all memory is free" is used_bytes 0
	;;
esac
