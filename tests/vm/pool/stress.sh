#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=8G scratch=64 timeout=200 append="gmem_persist=2G kho=on kho_scratch=128M,128M,128M" flavours="release debug"
#
# Many VMMs at once do everything, in random order; see gmem_persist_stress.c. For 30
# seconds, or for gmem.stress=SECONDS[,SEED] of the command line (make stress).
. /tests/lib/test.sh

seconds=30 seed=
# shellcheck disable=SC2013	# words, not lines
for word in $(cat /proc/cmdline); do
	case $word in
	gmem.stress=*,*)	seed=${word#*,} seconds=${word#*=} seconds=${seconds%,*} ;;
	gmem.stress=*)		seconds=${word#*=} ;;
	esac
done

# VMMs move between these, and their objects' charges with them.
echo +dmem > /sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/stress0 /sys/fs/cgroup/stress1

# With all tracepoints on, as somebody might look.
mount -t tracefs tracefs /sys/kernel/tracing
echo 1 > /sys/kernel/tracing/events/gmem_persist/enable

status=0
# shellcheck disable=SC2086	# no seed, no words
/bin/gmem_persist_stress -t "$seconds" ${seed:+-s $seed} > /tmp/figures || status=$?
cat /tmp/figures
while IFS='=' read -r key value; do
	case $key in
	*[!a-z_]*)	;;	# a message
	*)		result "$key" "$value" ;;
	esac
done < /tmp/figures
check "everything was as it should be" [ $status = 0 ]
check "all of the pool is free again" [ "$(cat /sys/kernel/mm/gmem_persist/used_bytes)" = 0 ]
for group in stress0 stress1; do
	check "nobody pays for anything: $group" \
		[ -z "$(grep -v ' 0$' /sys/fs/cgroup/$group/dmem.current)" ]
done
