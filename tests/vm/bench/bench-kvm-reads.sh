#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: big=24G smp=1 timeout=600 append="kho=on gmem_persist=3G,zeroed gmem_persist.clean=0 hugepagesz=1G hugepages=1 hugepagesz=2M hugepages=512" flavours="bench"
#
# make bench-kvm: how long a guest takes to read, which page walks have a part in, by
# wall clock. The other figures are of bench-kvm.sh, where they do not depend on chance.
. /tests/bench/bench-kvm.sh
