#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G scratch=64 timeout=150 append="kho=on liveupdate=on kho_scratch=512M,1G,512M gmem_persist=1G gmem_persist.clean=0" flavours="debug"
#
# Each operation, with each of its allocations failing once: see gmem_persist_fail_nth.c.
# gmem.only=WORD on the command line: only operations whose names contain it.
#
# The first kernel leaves without sealing the record, so that there is something to release.
. /tests/lib/test.sh
. /tests/lib/pool.sh

# complaints: what the kernel has to say but that there is no memory
complaints() {
	dmesg | grep -E 'BUG:|WARNING:|INFO:|KASAN|UBSAN|ODEBUG|refcount_t|list_(add|del) corr|Oops'
}

# sweep [WORD]: those operations; prints what the program says while it says it
sweep() {
	# For an allocation that fails there may be a trace, as there is for a bug. So the console
	# shows none of them, and bugs are looked for afterwards. A panic is still seen.
	level=$(cat /proc/sys/kernel/printk)
	echo 1 > /proc/sys/kernel/printk
	# By its path: it opens its own program file.
	{
		/bin/gmem_persist_fail_nth "$@" 2>&1
		echo $? > /tmp/status
	} | tee /tmp/said | sed 's/^/# /'
	status=$(cat /tmp/status)
	echo "$level" > /proc/sys/kernel/printk
	grep -E '^(not )?ok ' /tmp/said > /tmp/results
	while read -r line; do
		name=${line#*ok * }
		case $line in
		*"# SKIP "*)	skip "${name#"# SKIP "}" "by the test itself" ;;
		ok*)		ok "$name" ;;
		*)		fail "$name" ;;
		esac
	done < /tmp/results
	check "the kernel complains of nothing else" not complaints
	[ ! -e /proc/lockdep_stats ] ||
		check "nor does lockdep" grep -q 'debug_locks: *1' /proc/lockdep_stats
	check "the pool adds up" adds_up
	check "nothing is used" is used_bytes 0
	check "all of them came to an end" [ "$status" = 0 ]
}

case $STAGE in
1)
	[ -e /sys/kernel/debug/failslab ] || skip_all "the kernel makes no allocation fail"
	require "load the next kernel" load_stage
	echo object-recorded now > /sys/kernel/debug/gmem_persist/stop
	drain
	vmm create new size=2M
	fail "kexec"
	;;
2)
	check "all is quarantined" is quarantined_bytes $((1 << 30))
	first=$(sed -n '1s/-.*//p' "$pool/quarantined")
	check "release what the sweep needs" write release \
		"$first-$(printf '%#x' $((first + (256 << 20) - 1)))"
	# shellcheck disable=SC2046	# no word, no argument
	sweep $(word gmem.only)
	;;
esac
