#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=300 append="kho=on" flavours="release debug"
#
# Without gmem_persist= the kernel behaves as upstream's: its tests pass.
. /tests/lib/test.sh

selftest guest_memfd_test
selftest set_memory_region_test
selftest pre_fault_memory_test
selftest private_mem_conversions_test
selftest private_mem_kvm_exits_test
