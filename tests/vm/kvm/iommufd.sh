#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=8G timeout=300 append="gmem_persist=3G,zeroed kho=on" flavours="debug"
#
# iommufd and memory of gmemfs, by the mock device of iommufd's own tests: each page that it is
# said to map is looked up in its page table. vfio has a device that does DMA.
. /tests/lib/test.sh
. /tests/lib/pool.sh
fs=/gmem
. /tests/lib/files.sh
. /tests/lib/iommufd.sh

M=$((1 << 20))
# shellcheck disable=SC2034	# of lib/iommufd.sh
dev=mock

# token_is_not WORD: what stands for the object is something else
token_is_not() { [ -n "$1" ] && [ "$(object a token)" != "$1" ]; }

check "a file of 8 MiB" file a create truncate=8

check "all of it by file, page by page" \
	device a attach file=32M:0:8M same=32M:0:8M unmap=32M:8M noreach=32M
check "and by address" device a attach addr=32M:0:8M same=32M:0:8M unmap=32M:8M noreach=32M
check "before there is a device, and when it comes back" \
	device a file=32M:0:8M attach same=32M:0:1M detach attach same=39M:7M:1M
check "parts of it" device a attach file=32M:1M:64K addr=48M:3M:12K same=32M:1M:64K \
	same=48M:3M:12K
check "parts of pages" device a attach file=0x2000800:1026K:6K same=0x2000800:1026K:2K \
	same=0x2001000:1028K:4K unmap=0x2000800:6K addr=0x2000800:1026K:6K same=0x2001000:1028K:4K
check "the same part several times" \
	device a attach file=32M:0:1M file=33M:0:1M addr=34M:0:1M same=32M:0:1M same=33M:0:1M \
	same=34M:0:1M unmap=33M:1M same=32M:0:1M same=34M:0:1M all
check "for two devices, of which one goes" \
	device a attach file=32M:0:8M copy=32M:8M same=32M:0:1M unmap=32M:8M same=32M:0:8M \
	drop noreach=32M
check "a part of what was mapped cannot be taken away" \
	device_fails ENOENT a attach file=32M:0:8M unmap=32M:4M
check "another process may take it over" device a attach file=32M:0:8M process same=32M:0:8K
check "there may be ordinary memory beside it" \
	device a attach page=32M file=0x2001000:0:1M page=48M same=0x2001000:0:1M all

check "what is behind its end is refused" device_fails EFAULT a attach file=32M:4M:8M
check "likewise when a device comes" device_fails EFAULT a file=32M:4M:8M attach
check "a range that is ordinary memory in part" device_fails EFAULT a attach mixed=32M
check "or of another part of the file" device_fails EFAULT a attach swapped=32M
check "private memory" file_then_fails secret private=4 ENODEV attach file=32M:0:4M
check "a guest_memfd of shared memory, which is not a file of gmemfs" \
	device_fails EINVAL a attach guest_memfd file=32M:0:8M
check "by address it is mapped" device a attach guest_memfd addr=32M:0:8M same=32M:0:8M
echo hello > $fs/data
check "data" device_fails ENODEV a attach other=$fs/data file=32M:0:4K
check "writing to a file that is open for reading" \
	device_fails EACCES a attach readonly=$fs/a file=32M:0:8M
check "or to a mapping of it" device_fails EFAULT a attach readonly=$fs/a addr=32M:0:8M
check "which can be read" \
	device a attach ro readonly=$fs/a file=32M:0:8M addr=48M:0:8M reach=32M reach=48M
check "the kernel cannot read there for a mediated device" \
	device_fails EINVAL a attach file=32M:0:8M access=32M

require "somebody else writes to it" hold a rw map fill=5
check "so no device may" device_fails EBUSY a attach file=32M:0:8M
check "but one that reads" device a attach ro file=32M:0:8M
let_go
require "a device writes to it" device_waits a attach file=32M:0:8M close wait=/tmp/go
check "so nobody else may" file_fails EBUSY a rw map
check "it ends" device_goes_on /tmp/go
check "then others may" file a rw map fill=6

# A device writes without a fault: what another writer has saved is stale when he goes.
check "writers may share it" chmod +t $fs/a
require "a device does" device_waits a attach file=32M:0:8M wait=/tmp/go
check "and somebody else" file a rw map poke=1 token
check "whose token is no more when he goes" token_is_not "$(figure own_token)"
check "the device ends" device_goes_on /tmp/go
chmod -t $fs/a

require "a device reaches what has neither a name, a file nor a mapping any more" \
	device_waits a attach file=32M:0:8M close unlink wait=/tmp/go
rm -f $fs/secret $fs/data
check "it is in use" is used_bytes $((8 * M))
check "all other memory goes to others" file b create truncate=3060
check "and no more of it" file_fails ENOSPC c create truncate=8
file b rw unlink
check "the pool is frozen nevertheless" write frozen 1
check "the device ends" device_goes_on /tmp/go
check "its memory stays as it is until the thaw" is used_bytes $((8 * M))
check "thaw" write frozen 0
check "then it is free" is used_bytes 0

check "a file" file a create truncate=8
require "a device reaches it, by a process that is killed" \
	device_waits a attach addr=32M:0:8M close unlink wait=/tmp/go
kill -9 "$waiting"
wait "$waiting"
check "it is free" is used_bytes 0

check "a file" file a create truncate=8
check "a memory error: no access to what was mapped with it; the rest stays" \
	device a attach file=32M:0:4M file=64M:4M:4M same=32M:0:1M bad=1M \
	noreach=32M same=64M:4M:4M detach attach same=64M:4M:4M unmap=32M:4M unmap=64M:4M
check "it cannot be mapped again" device_fails EFAULT a attach file=32M:0:4M
check "what has none can" device a attach file=32M:2M:6M same=32M:2M:6M
check "an error before there is a device" device a file=32M:2M:2M file=64M:6M:2M bad=3M attach \
	same=64M:6M:2M
file a rw unlink

check "1 GiB in small granules" file small create truncate=1024
check "is mapped" device small attach page=0x3ff00000 tables file=1G:0:1G tables
check "by large leaves" tables_at_most 16
file small rw unlink
check "all of it adds up" adds_up
