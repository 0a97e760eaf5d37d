#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G timeout=600 append="kho=on gmem_persist=1G" disk=suites scratch=64
#
# Upstream's selftests of huge pages that are split, of mappings, of MADV_POPULATE, of
# get_user_pages(), and of direct I/O from huge pages (on ext4) pass in a kernel with a pool: the
# small series change what is below these. Splitting comes first, as it must find huge pages to
# split.
. /tests/lib/test.sh

[ -e /bin/mkfs.ext4 ] || skip_all "no suites (scripts/suites)"
selftest split_huge_page_test
selftest pfnmap
selftest madv_populate
# The least amount that it compares; without a limit it goes through GiB.
selftest mremap_test -t 1

scratch=$(disk scratch)
require "a disk to write to" test -b "$scratch"
require "ext4, where temporary files are" sh -c "mkfs.ext4 -q -F $scratch && mount -t ext4 $scratch /tmp"
selftest hugetlb_dio

require "get_user_pages() can be tested" test -e /sys/kernel/debug/gup_test
# As run_vmtests.sh does: by gup and pup, for short and for long; one page at a time, and all
for pages in 1 512 -1; do
	for way in -u -U -a -b -L; do
		selftest gup_test $way -n $pages
	done
done
selftest gup_test -H -m 4 -a -n 512
selftest gup_longterm
