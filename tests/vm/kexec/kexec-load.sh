#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: quick=1 mem=7G timeout=120 append="kho=on gmem_persist=3G nokaslr" flavours="release" expects="gmem_persist: kexec goes on, since lossy_kexec is set: no-handover: "
#
# kexec_load(): the memory map that the next kernel gets is kexec-tools' work, and that
# has no word for a pool. The next kernel must keep off it all the same.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

# reserved RANGE: the map from kexec-tools has it in a reserved entry
reserved() {
	local entry
	for entry in /sys/firmware/memmap/*; do
		[ "$(cat "$entry/type")" = Reserved ] || continue
		[ $(($(cat "$entry/start"))) -gt $((${1%-*})) ] ||
			[ $(($(cat "$entry/end"))) -lt $((${1#*-})) ] || return 0
	done
	return 1
}

# all_reserved RANGE...: each of them
all_reserved() {
	local range
	for range in "$@"; do
		reserved "$range" || return 1
	done
}

case $STAGE in
1)
	check "vm0: full of a pattern" vmm create vm0 size=66M seed=91 fill
	require "load the next kernel" kexec -c -l /boot/bzImage --initrd=/boot/initrd \
		--command-line="$(next_cmdline "gmem.pool=$(ranges extents | tr ' ' ',')" \
			"gmem.vm0=$(object_at vm0 | tr ' ' ',')")"
	check "a warning" logged "kexec would be refused: no-handover: "
	check "no freeze for that" refused frozen 1
	check "the operator does not mind" write lossy_kexec 1
	enter_stage
	fail "kexec"
	;;
2)
	# shellcheck disable=SC2046	# words
	set -- $(word gmem.pool)
	check "the pool is reserved" all_reserved "$@"
	check "it is not System RAM" off_ram "$@"
	# What gmem_persist= takes now is a second pool, from the rest.
	for range in "$@"; do
		echo "$((${range%-*})) $((${range#*-} + 1))"
	done > /tmp/old
	check "no new pool has any of it" [ "$(common /tmp/old /tmp/pool)" = 0 ]
	# This kernel does not know what /dev/mem must not show.
	# shellcheck disable=SC2046	# words
	check "vm0 lies in RAM as it was" look verify 91 $(word gmem.vm0)
	;;
esac
