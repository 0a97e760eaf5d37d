#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G timeout=600 append="kho=on gmem_persist=1G"
#
# Upstream's selftests of mappings and of MADV_POPULATE pass in a kernel with a pool: the small
# series change what is below these. split_huge_page_test is not among them: in this VM it fails
# ("Unexpected THP split", of anonymous memory to order 0), and whether it does so on a pristine
# kernel has not been tried.
. /tests/lib/test.sh

selftest pfnmap
selftest madv_populate
# The least amount that it compares; without a limit it goes through GiB.
selftest mremap_test -t 1
