#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: big=1030G icount=0 smp=1 timeout=3600 append="kho=on gmem_persist=1024G,zeroed gmem_persist.clean=0 trace_event=initcall trace_clock=x86-tsc" flavours="bench"
#
# make bench-scale: what operations cost beside few and many parked objects, over three
# kexecs. The clock of this VM counts instructions, a nanosecond each. Kernel 2 is entered
# without objects, kernel 3 with 4,000, kernel 4 with 65,536. Nothing is cleaned in the
# background, where it would be counted with what it interrupts. What a kernel cannot do
# within a limit of time is left out.
. /tests/lib/test.sh
. /tests/lib/files.sh
[ -e /sys/kernel/tracing/trace ] || mount -t tracefs tracefs /sys/kernel/tracing

few=16
many=4000
most=65536
times=31	# of each operation; a quarter, of creation

# scale WORDS...: run gmem-scale; its figures are results
scale() {
	local status=0 key value
	gmem-scale "$@" > /tmp/figures || status=$?
	while IFS='=' read -r key value; do
		result "$key" "$value"
	done < /tmp/figures
	return $status
}

# populate COUNT SECONDS: there are so many then, or the test ends here
populate() {
	local status=0
	scale fill "$1" "$2" || status=$?
	case $status in
	0)	return ;;
	3)	skip "$1 objects" "$(sed -n 's/^why=//p' /tmp/figures)"
		exit 0 ;;
	*)	fail "$1 objects"
		exit 1 ;;
	esac
}

# free_memory WHEN
free_memory() {
	gmem-scale memory > /tmp/figures || fail "free memory"
	result "free_$1" "$(sed -n 's/^free_bytes=//p' /tmp/figures)"
}

# arrived COUNT: by a kexec, with so many objects. How long that took, from the last moment in
# the kernel before to the last initcall. What comes then waits for disks, for which time goes on
# by how busy the machine is that emulates them.
arrived() {
	result "boot_ns_$1" $(($(awk '/initcall_finish:/ { at = $4 + 0 } END { printf "%.0f", at }' \
		/sys/kernel/tracing/trace) - $(cat "$fs/left")))
	free_memory "restored_$1"
}

# leave: for the loaded kernel
leave() {
	drain
	gmem-peers now > "$fs/left"
	enter_stage
	fail "kexec"
	exit 1
}

case $STAGE in
1)
	require "load the next kernel" load_stage
	leave
	;;
2)
	arrived 0
	require "load the next kernel" load_stage
	populate $few 60
	require "beside $few" scale operations $few $times
	free_memory $few
	populate $many 150
	free_memory $many
	require "beside $many" scale operations $many $times
	leave
	;;
3)
	arrived $many
	require "reclaim $many" scale storm $many 5
	require "load the next kernel" load_stage
	free_memory before_most
	populate $most 60
	free_memory $most
	require "beside $most" scale operations $most $times
	leave
	;;
4)
	arrived $most
	require "reclaim $most" scale storm $most 30
	;;
esac
