#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G timeout=400 append="gmem_persist=1G kho=on" flavours="release"
#
# A tenant's limits are the same after ten kexecs. Each kernel finds what the first one noted, and
# refuses what the first one refused, to the byte and the name; and something that counts is always
# in use when a kernel ends, which the next one does not count.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/files.sh
. /tests/lib/quota.sh

kexecs=10

set_up() {
	mkdir "$fs/t" "$fs/t/dir" "$fs/u" &&
		set_quota t 16 6 && set_quota t/dir 4 3 && set_quota u 100 2 &&
		file t/guest create truncate=8 map fill=1 && new u/file && echo data > "$fs/t/dir/data"
}

# as_made: what is used, and may be
as_made() { quota t "10/16 3/6" && quota t/dir "2/4 1/3" && quota u "0/100 1/2"; }

# names_hold, memory_holds: up to each limit, and no further; all is as it was afterwards
names_hold() {
	new t/dir/b && new t/dir/c && full new t/dir/d && new t/a && full new t/d &&
		new u/a && full new u/b && full mkdir "$fs/u/b" &&
		quota t "10/16 6/6" && rm "$fs/t/a" "$fs/t/dir/b" "$fs/t/dir/c" "$fs/u/a"
}
memory_holds() {
	file t/dir/a create truncate=2 && file_fails EDQUOT t/dir/b create truncate=2 &&
		file t/c create truncate=4 && rm "$fs/t/dir/b" &&
		file_fails EDQUOT t/b create truncate=2 && quota t "16/16 6/6" &&
		rm "$fs/t/dir/a" "$fs/t/b" "$fs/t/c"
}

if [ "$STAGE" = 1 ]; then
	require "limits, and what counts" set_up
	# In the root directory, which counts nothing
	all_quotas > "$fs/quotas"
else
	all_quotas > /tmp/quotas
	check "after $((STAGE - 1)) kexecs: the same limits, and as much used" diff "$fs/quotas" /tmp/quotas
	check "what is there is as it was" file t/guest ro map verify=1
fi
check "as they were set" as_made
check "names are limited" names_hold
check "memory is" memory_holds
check "which changes nothing" as_made
check "all adds up" settled

if [ "$STAGE" -gt $kexecs ]; then
	check "all ends" sh -c "rm -r $fs/*"
	check "nothing is used" is used_bytes 0
	check "nor counted" grep -q -x "names 0" /sys/kernel/debug/gmem_persist/quota
	check "the pool adds up" adds_up
	exit 0
fi
# Nobody has it in the next kernel.
check "a file in use" hold t/used create truncate=4 map fill=2
rm "$fs/t/used"
check "counts without its name" quota t "14/16 4/6"
next_stage
