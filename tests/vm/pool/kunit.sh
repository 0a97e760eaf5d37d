#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=8G timeout=200 append="maxcpus=2 kho=on gmem_persist=2G kunit.enable=1" flavours="release debug"
#
# The KUnit tests, which ran when the kernel booted: those of the pool, and of what dmem does
# for it with page counters.
. /tests/lib/test.sh

# passed SUITE CASES: all of them, with none skipped
passed() {
	local results=/sys/kernel/debug/kunit/$1/results
	cat "$results"
	grep -q "^ok [0-9]* $1$" "$results" && [ "$(grep -c "^    ok" "$results")" = "$2" ]
}

check "the pool" passed gmem_persist 5
check "page counters" passed page_counter 7
