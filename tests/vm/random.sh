#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=600 append="kho=on kho_scratch=128M,128M,128M gmem_persist=3G" flavours="release debug"
#
# 10,000 random operations: after each of them the books are right, and all memory that
# an object gets is zero.
. /tests/lib.sh
. /tests/objects.sh

check "10,000 operations" gmem-pool random 10000 1
check "all memory is free" is used_bytes 0
check "none of it is lost" is free_1g_bytes "$(cat "$pool/pool_bytes")"
