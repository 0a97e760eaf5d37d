#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=8G timeout=1500 append="gmem_persist=2G,zeroed kho=on virtio_blk.poll_queues=1" disk=suites scratch=512 flavours="release debug"
# vm: qemu="-blockdev driver=null-co,node-name=nothing,size=16777216,read-zeroes=on -blockdev driver=blkdebug,node-name=broken,image=nothing,inject-error.0.event=none,inject-error.0.errno=5,inject-error.0.iotype=write -device virtio-blk-pci,drive=broken,serial=broken,rerror=report,werror=report"
#
# Direct I/O into and out of memory of the pool, on a block device, ext4, xfs, overlayfs and btrfs
# (with checksums, for which it writes by its page cache, and without): fio with verification, and
# vectors of all kinds beside what ordinary memory gives; errors, also of the disk; processes that
# die in the middle of it.
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
. /tests/lib/files.sh

[ -e /bin/fio ] || skip_all "no suites (scripts/suites)"

# job TARGET ENGINE RW SIZE WORD...: fio, which writes SIZE in checksummed blocks and reads them
# again; its buffers are in a file of the pool, which it removes
job() {
	local target=$1 engine=$2 rw=$3 size=$4
	shift 4
	truncate -s 16M $fs/buffers
	check "fio: $engine $rw $* on ${target##*/}" fio --name=job --filename="$target" --direct=1 \
		--ioengine="$engine" --rw="$rw" --size="$size" --iodepth=8 --thread \
		--mem=mmapshared:$fs/buffers --verify=crc32c --verify_fatal=1 \
		--minimal --output=/dev/null --eta=never "$@"
	rm -f $fs/buffers
}

# transfers TARGET [KIND]: all that is done by fio and by our own program
transfers() {
	local target=$1 engine
	for engine in $engines; do
		job "$target" "$engine" randwrite 1m --bs=4k
		job "$target" "$engine" randrw 4m --bsrange=512-128k
	done
	job "$target" libaio write 8m --bs=1m --iodepth=4
	job "$target" io_uring write 8m --bs=1m --iodepth=4
	truncate -s 16M $fs/mem
	[ -n "${2:-}" ] || check "the disk is polled" gmem-dio "$target" $fs/mem polled
	check "vectors of all kinds on ${target##*/}" \
		gmem-dio "$target" $fs/mem seed=$$ random="$vectors"
	check "large ones" gmem-dio "$target" $fs/mem large
	check "errors" gmem-dio "$target" $fs/mem errors
	check "what must be on the disk" gmem-dio "$target" $fs/mem sync
	# btrfs has io_uring read from a worker, which may come later than that.
	[ "${2:-}" = btrfs ] ||
		check "memory that is unmapped meanwhile" gmem-dio "$target" $fs/mem unmapped
	rm $fs/mem
}

# on KIND OPTIONS: the same on a file of that file system, mounted so; and what is special of files
on() {
	local force=-f
	[ "$1" != ext4 ] || force=-F
	require "make $1" "mkfs.$1" -q $force "$scratch"
	require "mount $1, $2" mount -t "$1" -o "$2" "$scratch" /mnt
	truncate -s 20M /mnt/file
	transfers /mnt/file "$1"
	truncate -s 16M $fs/mem
	# On xfs two may begin at the same end of a file, wherever their data is.
	[ "$1" = xfs ] || check "what is appended by two at once" gmem-dio /mnt/file $fs/mem append
	check "a write that must not be torn" sh -c \
		"gmem-dio /mnt/file $fs/mem atomic > /tmp/atomic"
	rm $fs/mem
	umount /mnt
}

# briefly KIND TARGET: some of that
briefly() {
	job "$2" io_uring randrw 1m --bsrange=512-128k
	truncate -s 16M $fs/mem
	check "vectors of all kinds on $1" gmem-dio "$2" $fs/mem seed=$$ random="$vectors"
	check "large ones" gmem-dio "$2" $fs/mem large
	# overlayfs has no RWF_NOWAIT, for any memory.
	[ "$1" = overlayfs ] || check "errors" gmem-dio "$2" $fs/mem errors
	rm $fs/mem
}

# stacked: overlayfs, whose upper directory is on ext4
stacked() {
	require "make ext4" mkfs.ext4 -q -F "$scratch"
	require "mount it" mount -t ext4 "$scratch" /mnt
	mkdir /mnt/lower /mnt/upper /mnt/work /tmp/overlay
	require "overlayfs on top" mount -t overlay -o "lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work" \
		none /tmp/overlay
	truncate -s 20M /tmp/overlay/file
	briefly overlayfs /tmp/overlay/file
	check "that is where it has gone" test "$(stat -c %s /mnt/upper/file)" = $((20 << 20))
	umount /tmp/overlay /mnt
}

# killed: a process dies with reads into the pool in flight
killed() {
	truncate -s 16M $fs/mem
	: > /tmp/streaming
	gmem-dio "$scratch" $fs/mem stream > /tmp/streaming &
	until grep -q streaming /tmp/streaming; do
		kill -0 $! || return 1
	done
	kill -9 $!
	wait $!
	rm $fs/mem
}

scratch=$(disk scratch)
broken=$(disk broken)
engines="psync pvsync libaio io_uring" vectors=100 slow=''
! grep -qw panic_on_warn=1 /proc/cmdline || { engines="pvsync io_uring" vectors=40 slow=yes; }
mkdir -p /mnt
require "a disk to write to" test -b "$scratch"

transfers "$scratch"
on ext4 defaults
on btrfs defaults
stacked
# The debug kernel has seen the ways of iomap, and those of btrfs, by now: a part will do for xfs.
if [ "$slow" ]; then
	require "make xfs" mkfs.xfs -q -f "$scratch"
	require "mount it" mount -t xfs "$scratch" /mnt
	truncate -s 20M /mnt/file
	briefly xfs /mnt/file
	umount /mnt
else
	on xfs defaults
	check "xfs does that with ordinary memory" grep -q -x atomic=4096 /tmp/atomic
	on btrfs nodatacow
fi

# A disk that can be read, and of which no write succeeds
require "a broken disk" test -b "$broken"
truncate -s 16M $fs/mem
check "an error of the disk is one of the transfer" gmem-dio "$broken" $fs/mem eio

# A disk with a bad sector: what fails, and what becomes of all the other bytes
faulty=/sys/kernel/config/nullb/faulty
require "configfs" mount -t configfs none /sys/kernel/config
require "a disk that can be made bad" sh -c "mkdir $faulty && echo 16 > $faulty/size &&
	echo 1 > $faulty/memory_backed && echo 1 > $faulty/power && [ -b /dev/faulty ]"
check "transfers across a bad sector" gmem-dio /dev/faulty $fs/mem faults=$faulty/badblocks

# A disk that says that it has read, and leaves the buffer as it was
blank=/sys/kernel/config/nullb/blank
require "a disk without memory" sh -c "mkdir $blank && echo 16 > $blank/size &&
	echo 1 > $blank/power && [ -b /dev/blank ]"
check "a read that fills nothing" gmem-dio /dev/blank $fs/mem stale
rm $fs/mem

# shellcheck disable=SC2034
for i in 1 2 3 4 5 6 7 8; do
	killed || fail "stream"
done
ok "processes that are killed"

# pressed: many large reads at a time by a process that may have little memory, whose buffers are
# in the pool
pressed() {
	local cgroup=/sys/fs/cgroup/pressed
	truncate -s 64M $fs/buffers
	echo +memory > /sys/fs/cgroup/cgroup.subtree_control
	mkdir $cgroup
	echo 14M > $cgroup/memory.max
	check "fio: more in flight than there is memory for" sh -c "echo 0 > $cgroup/cgroup.procs
		fio --name=job --filename=$scratch --direct=1 --ioengine=libaio --rw=read --size=64m \
		--bs=4m --iodepth=16 --thread --mem=mmapshared:$fs/buffers --output=/dev/null --eta=never"
	check "nobody is killed for that" grep -qx "oom_kill 0" $cgroup/memory.events
	rm -f $fs/buffers
	rmdir $cgroup
}
pressed

# full: the same with a disk that takes a second, so that all are in flight at once. Nothing of that
# is the cgroup's, as nobody could take it away if somebody needs memory there.
full() {
	local cgroup=/sys/fs/cgroup/full
	mkdir $cgroup
	echo 6M > $cgroup/memory.max
	truncate -s 16M $fs/mem
	check "more in flight than a cgroup may have" gmem-dio /dev/late $fs/mem full=$cgroup/cgroup.procs
	check "that does not fill the cgroup" grep -qx "max 0" $cgroup/memory.events
	check "all in flight are bounded" gmem-dio /dev/late $fs/mem bounded
	rm $fs/mem
	rmdir $cgroup
}
late=/sys/kernel/config/nullb/late
require "a disk that takes long" sh -c "mkdir $late && echo 64 > $late/size &&
	echo 1 > $late/memory_backed && echo 2 > $late/irqmode && echo 1000000000 > $late/completion_nsec &&
	echo 4096 > $late/hw_queue_depth && echo 8192 > $late/max_sectors && echo 1 > $late/no_sched &&
	echo 1 > $late/power && [ -b /dev/late ]"
full

truncate -s 16M $fs/buffers
check "fio: registered buffers are refused" sh -c "fio --name=job --filename=$scratch --direct=1 \
	--ioengine=io_uring --fixedbufs=1 --rw=read --size=1m --bs=4k --thread \
	--mem=mmapshared:$fs/buffers --output=/tmp/fio --eta=never; grep -q 'Bad address' /tmp/fio"
rm -f $fs/buffers

check "no object is left" no_objects
check "all memory is free" sh -c "until [ \$(cat $pool/used_bytes) = 0 ]; do :; done"
check "the pool adds up" adds_up
