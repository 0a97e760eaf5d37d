#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=8G virtual=1 smp=1 timeout=900 append="kho=on gmem_persist=1G hugepages=64" flavours="debug"
#
# Upstream's selftests of iommufd pass in a kernel with a pool, by the mock domain, which is in the
# debug kernel only.
. /tests/lib/test.sh

selftest iommufd
# On this kernel that one takes longer than the 30 s that a case may.
skip map_two_domains "the debug kernel is too slow for that"
selftest iommufd_fail_nth -T map_two_domains
