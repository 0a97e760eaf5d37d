#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: big=24G icount=0 smp=1 timeout=600 append="kho=on gmem_persist=3G,zeroed gmem_persist.clean=0 hugepagesz=1G hugepages=1 hugepagesz=2M hugepages=512" flavours="bench"
#
# make bench-kvm: what memory costs, in instructions: the clock of this VM counts them, a
# nanosecond each.
. /tests/lib/test.sh

require "gmem_persist_perf_test" sh -c "/bin/gmem_persist_perf_test > /tmp/figures"
while IFS='=' read -r key value; do
	case $key in
	*[!a-z0-9_]*)	;;	# a message
	*)		result "$key" "$value" ;;
	esac
done < /tmp/figures
