#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: quick=1 mem=6G timeout=120 append="kho=on kho_scratch=128M,128M,128M gmem_persist=1G gmem_persist.clean=0" flavours="release debug"
# vm: qemu="-blockdev driver=null-co,node-name=nothing,size=16777216 -device nvme,serial=none,drive=nothing"
#
# What needs pages, and so does not work on persistent memory; what works instead.
. /tests/lib/test.sh

selftest gmem_persist_limits_test
