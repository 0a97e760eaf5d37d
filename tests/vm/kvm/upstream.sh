#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vm: mem=8G timeout=600 append="kho=on" flavours="release"
#
# Without gmem_persist= the kernel behaves as upstream's: its tests pass.
. /tests/lib/test.sh

selftest guest_memfd_test
selftest set_memory_region_test
selftest pre_fault_memory_test
selftest private_mem_conversions_test
selftest private_mem_kvm_exits_test
# Shorter than by default, as all this is emulated
selftest dirty_log_test -M dirty-log -i 4 -I 100
selftest memslot_modification_stress_test -b 32M -i 5 -d 100000
selftest memslot_modification_stress_test -b 32M -i 5 -d 100000 -q
