#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=8G timeout=1200 append="gmem_persist=2G,zeroed kho=on" disk=suites flavours="release debug"
#
# What others wrote to test file systems, on gmemfs: stressors of stress-ng, and fio with
# verification. It must be as empty afterwards as it was before.
#
# Of stress-ng's stressors for file systems these cannot pass, or do nothing here:
#   access                     nothing on gmemfs can be executed, so access(X_OK) fails
#   fallocate, fcntl, file-ioctl, fsize, iomix, sync-file
#                              change the size of a file that ftruncate() or fallocate() gave
#                              a guest's memory, or to no multiple of 2 MiB
#   link, symlink, xattr, fiemap, verity
#                              there is nothing like that
#   dnotify, fanotify, handle, quota
#                              this kernel is built without
#   chattr, io-uring, aio, aiol, fpunch of data, readahead of a cache
#                              of other things than a file system, or of ones with a cache
# Of the kernel's selftests none is left: filesystems/ is about mounts, namespaces and file
# systems with symbolic links, but for openat2/rename_attack_test, which has time limits of its
# own that an emulated host exceeds (one of its two cases passed before); fchmodat2/ needs
# links; filelock/ofdlocks compares structures with their padding and fails on tmpfs, too;
# tmpfs/ and fat/ are for their own.
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
. /tests/lib/files.sh

[ -e /bin/fio ] || skip_all "no suites (scripts/suites)"

# stressor NAME WORD...: two of it at once; they compare what they can
stressor() {
	local name=$1
	shift
	stress-ng --stressors | tr ' ' '\n' | grep -q -x "$name" || {
		skip "stress-ng: $name" "this version has none"
		return
	}
	check "stress-ng: $name" stress-ng --quiet --temp-path $fs/dir --verify --timeout 1 \
		"--$name" 2 "$@"
}

# job ENGINE RW WORD...: fio, which writes 2 MiB of checksummed blocks and reads them again;
# part_of_job: and leaves its file
part_of_job() {
	local engine=$1 rw=$2
	shift 2
	check "fio: $engine $rw $*" fio --name=job --directory=$fs/dir --ioengine="$engine" \
		--rw="$rw" --size=2m --bs=4k --verify=crc32c --verify_fatal=1 --thread \
		--minimal --output=/dev/null --eta=never "$@"
}
job() {
	part_of_job "$@"
	rm -f $fs/dir/job*
}

mkdir $fs/dir

# Names and attributes
for name in chdir chmod chown dir dup filename fstat getdent inode-flags lease locka \
	lockf lockofd flock inotify mknod open touch utime rename unlink; do
	stressor $name
done
stressor dentry --dentries 64
stressor dirdeep --dirdeep-bytes 1M --dirdeep-inodes 50
stressor dirmany --dirmany-bytes 0

# Contents
for name in fpunch io sendfile splice vm-splice mmapfork msync; do
	stressor $name
done
stressor copy-file --copy-file-bytes 128M
stressor hdd --hdd-bytes 16M
stressor readahead --readahead-bytes 16M
stressor seek --seek-size 16M

# A guest's memory: fio makes the file with ftruncate() and fallocate(). To verify, it would map
# it by another descriptor before the first mapping is gone, and a second writer is refused: that
# is done by another fio.
for rw in randrw write; do
	part_of_job mmap $rw --do_verify=0
	job mmap $rw --verify_only=1
done
for engine in psync sync pvsync; do
	job $engine randrw
	job $engine write
done
# Data: the file is there, and has the length, when fio comes.
for engine in psync sync pvsync splice; do
	head -c 2097152 /dev/zero > $fs/dir/job.0.0
	job $engine randrw --overwrite=1 --fallocate=none
done
head -c 2097152 /dev/zero > $fs/dir/job.0.0
job psync randwrite --overwrite=1 --fallocate=none --bsrange=1k-64k --bs_unaligned=1
head -c 2097152 /dev/zero > $fs/dir/job.0.0
job psync randrw --overwrite=1 --fallocate=none --direct=1

check "all can be removed" sh -c "rm -r $fs/dir"
check "nothing is left" test -z "$(ls -A $fs)"
check "nor any object" no_objects
check "all memory is free" is used_bytes 0
check "the pool adds up" adds_up
