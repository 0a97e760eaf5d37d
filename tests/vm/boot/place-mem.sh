#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=120 flavours="release" append="kho=on nokaslr mem=7G gmem_persist=3G"
#
# mem= hides what lies above an address; so it does from the pool.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "the pool is all there" has 3
check "and ends where memory does" extent 4 7
host_works
