#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: big=108G timeout=120 flavours="release" append="kho=on nokaslr memmap=4K$5G,4K$7G,4K$9G,4K$11G,4K$13G,4K$15G,4K$17G,4K$19G,4K$21G,4K$23G,4K$25G,4K$27G,4K$29G,4K$31G,4K$33G,4K$35G,4K$37G,4K$39G,4K$41G,4K$43G,4K$45G,4K$47G,4K$49G,4K$51G,4K$53G,4K$55G,4K$57G,4K$59G,4K$61G,4K$63G,4K$65G,4K$67G,4K$69G,4K$71G,4K$73G,4K$75G,4K$77G,4K$79G,4K$81G,4K$83G,4K$85G,4K$87G,4K$89G,4K$91G,4K$93G,4K$95G,4K$97G,4K$99G,4K$101G,4K$103G,4K$105G,4K$107G gmem_persist=60G,zeroed"
#
# Memory in more pieces than the pool can have.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/placement.sh

check "the pool has 48 of them" has 48
check "as many extents" test "$(wc -l < "$pool/extents")" = 48
check "the log says so" short "60G: 48 GiB instead of 60: the pool is in too many pieces"
host_works
