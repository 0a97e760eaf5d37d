#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: big=24G smp=1 timeout=600 append="kho=on gmem_persist=3G,zeroed gmem_persist.clean=0 hugepagesz=1G hugepages=1 hugepagesz=2M hugepages=512" flavours="bench"
#
# make bench-kvm: what memory costs a VMM and its guest.
#
# vm counted: icount=0
#   In instructions: the clock of this VM counts them, a nanosecond each.
#
# vm timed:
#   How long a guest takes to read, which page walks have a part in, by wall clock. The
#   other figures are counted, so that they do not depend on chance.
. /tests/lib/test.sh

require "gmem_persist_perf_test" sh -c "/bin/gmem_persist_perf_test > /tmp/figures"
while IFS='=' read -r key value; do
	case $key in
	*[!a-z0-9_]*)	;;	# a message
	*)		result "$key" "$value" ;;
	esac
done < /tmp/figures
