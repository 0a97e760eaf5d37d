#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=4G timeout=120 append="kho=on" flavours="release"
#
# The test bed itself: three kernels in a row by kexec, each knowing its number.
. /tests/lib/test.sh

check "stage $STAGE sees its kernel" test -s /boot/bzImage
[ "$STAGE" = 3 ] || next_stage "gmem.word$STAGE"
check "words of both kexecs are there" grep -q 'gmem.word1.*gmem.word2' /proc/cmdline
result stages "$STAGE"
