#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: quick=1 mem=8G timeout=200 append="maxcpus=2 kho=on gmem_persist=2G kunit.enable=1 kunit.filter_glob=gmem_persist" flavours="release debug"
#
# The KUnit tests, which ran when the kernel booted.
. /tests/lib/test.sh

results=/sys/kernel/debug/kunit/gmem_persist/results
cat $results
check "the suite passed" grep -q "^ok 1 gmem_persist$" $results
check "no case was skipped" [ "$(grep -c "^    ok" $results)" = 5 ]
