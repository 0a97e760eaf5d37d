#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: quick=1 mem=6G virtual=1 smp=1 timeout=300 disk=guest append="kho=on kho_scratch=512M,1G,512M gmem_persist=1G,zeroed" flavours="release"
#
# tools/gmem_persist/gmem-vmm boots Linux in bound memory, saves it, and lets it go on under
# the next kernel, and the one after that; the same with a small guest in private memory.
# What does not belong together is refused.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh
fs=/gmem
guest_setup

M=$((1 << 20))
require "the pool can be handed over" not is record_bytes 0
tenant tenant

# listen NAME...: to their consoles
listen() {
	local name
	for name in "$@"; do
		: > "/tmp/$name.log"
		console "$name"
	done
}

# tick_alone NAME WORD...: a new guest without a kernel
tick_alone() {
	local name=$1
	shift
	own_vmm "$name" --memory 48M --kernel /bin/ticker.flat "$@"
}

# ticks NAME: how many of its guest are in the log
ticks() { grep -c ' tick ' "/tmp/$1.log"; }

# runs NAME [N]: the VMM is there and the guest has ticked so often (3)
runs() {
	local wanted=$(($(ticks "$1") + ${2:-3}))
	until [ "$(ticks "$1")" -ge $wanted ]; do
		own_lives "$1" || { cat "/tmp/$1.said"; return 1; }
		sleep 0.1
	done
}

# drained NAME: wait until the log has all that the guest said. Its last line may have been
# cut in two; the second half is in the next kernel's log.
drained() {
	printf '\nend of console\n' > "/tmp/$1.console"
	until grep -q 'end of console' "/tmp/$1.log"; do sleep 0.1; done
}

# save NAME: and note the last tick
save() {
	own_vm_save "$1" && drained "$1" || return
	note_tick "$1"
	remember "$1.sum" "$(said_sum "$1")"
}

# refuses_linux: a bzImage in private memory does not get far, by what the kernel began with
refuses_linux() {
	local status=0
	timeout 60 gmem-vmm "$@" > /dev/null 2> /tmp/refused || status=$?
	cat /tmp/refused
	case $status in
	0)	grep -q "triple fault" /tmp/refused ;;
	6)	grep -q "KVM_EXIT_INTERNAL_ERROR" /tmp/refused ;;
	*)	false ;;
	esac
}

# time_goes_on NAME: so does the guest's time, without what was in between: it is less than
# half of what it was here
time_goes_on() {
	local first up gap
	first=$(first_tick "$1")
	up=$(sed -n 's/.* tick .* up=0*\([0-9]*\)\.\([0-9]*\) .*/\1\2/p' "/tmp/$1.log" | head -n 1)
	gap=$((up - $(recall "$1.up")))
	[ $gap -gt 0 ] && [ $gap -lt $(((${first#* } - $(recall "$1.time")) / 2)) ]
}

# no_wait NAME TIME: it was resumed then, and does not sleep until its clock is where it had
# been: a tick may be under way, the third is not
no_wait() {
	local third
	third=$(sed -n 's/^\([0-9]*\) tick .*/\1/p' "/tmp/$1.log" | sed -n 3p)
	[ $((third - $2)) -lt $(($(recall "$1.up") / 2)) ]
}

# said_sum NAME: the checksum of all its memory that was said last
said_sum() { sed -n 's/.*: sum of memory //p' "/tmp/$1.said" | tail -n 1; }

# no_bad NAME: a guest without a kernel found no wrong word
no_bad() { ! grep -q 'bad=[^0]' "/tmp/$1.log"; }

# tenant_vmm USER WORD...: as a user who may do nothing but use a directory and /dev/kvm
tenant_vmm() {
	local user=$1
	shift
	su "$user" -c "exec gmem-vmm --name $fs/tenant/vm --state $fs/tenant/vm.state $*" \
		> /tmp/tenant.console 2> /tmp/tenant.said &
	# shellcheck disable=SC2034	# for own_pid
	pid_tenant=$!
}

# refuses STATUS TEXT WORD...: the VMM does not start a guest, and says why
refuses() {
	local status=0 expected=$1 text=$2
	shift 2
	timeout 60 gmem-vmm "$@" > /dev/null 2> /tmp/refused || status=$?
	cat /tmp/refused
	[ $status = "$expected" ] && grep -q "$text" /tmp/refused
}

# spoiled FAULT STATUS TEXT: a guest that was saved with that fault is not resumed
spoiled() {
	tick_alone vm1 --state "$fs/vm1.state" --fault "$1"
	check "$1: the guest runs" runs vm1 1
	kill -USR1 "$(own_pid vm1)"
	check "$1: saved" own_ended vm1 0
	token=$(gmemctl token $fs/vm1)
	check "$1: refused" refuses "$2" "$3" --name vm1 --memory 48M --resume \
		--state "$fs/vm1.state"
	check "$1: the memory is as it was" test "$(gmemctl token $fs/vm1)" = "$token"
	write discard vm1
}

case $STAGE in
1)
	listen vm0 secret
	own_linux vm0 128M 8 --cpus 2 --sum
	tick_alone secret --private --state "$fs/secret.state"
	check "a Linux guest boots" runs vm0
	check "its memory is an object" object_is vm0 size $((128 * M))
	check "of a default VM" object_is vm0 flags 0x3
	check "a guest runs in private memory" runs secret 17
	check "that nobody else can map" object_is secret flags 0x0
	if grep -q nrip_save /proc/cpuinfo; then
		skip "Linux does not run in private memory" "this CPU has NRIPS"
	else
		check "Linux does not run in private memory" refuses_linux \
			--name linux --memory 64M --private --kernel /guest/bzImage
		check "and leaves it parked" object_is linux state parked
		write discard linux
	fi
	check "nobody else gets it" \
		refuses 3 EEXIST --name vm0 --memory 128M --kernel /guest/bzImage
	check "all of the guest's memory is as it was written" swept vm0
	check "the guest is fine" guest_fine vm0
	check "save it" save vm0
	check "save the private one" save secret
	result state_bytes "$(sed -n 's/.*: saved, \([0-9]*\) bytes in .*/\1/p' /tmp/vm0.said)"
	;;
2)
	listen vm0 secret vm1
	then=$(gmem-stamp)
	own_vmm vm0 --resume --state "$fs/vm0.state" --sum
	own_vmm secret --resume --private --state "$fs/secret.state"
	check "the guest is resumed" runs vm0
	check "its memory was the same to the byte" test "$(said_sum vm0)" = "$(recall vm0.sum)"
	check "it goes on with the next tick" goes_on vm0
	check "and so does its time" time_goes_on vm0
	check "at once" no_wait vm0 "$then"
	check "the private guest is resumed" runs secret 33
	check "and goes on with the next tick" next_tick secret
	check "its memory is as it was written" no_bad secret
	check "all of the guest's memory is as it was written" swept vm0
	check "the guest is fine" guest_fine vm0
	check "save it again" save vm0
	check "save the private one" save secret
	check "to forget what is private is noticed" refuses 6 "Bad address" --name secret \
		--private --resume --state "$fs/secret.state" --fault no-attributes

	spoiled stale-token 5 "stale: the memory of vm1 has been written to since"
	spoiled wrong-name 4 "is the state of .*, not of vm1"
	spoiled wrong-size 4 "of a guest with 100663296 bytes of memory"
	spoiled wrong-version 4 "has format 3"
	spoiled damaged 4 "is damaged"
	spoiled wrong-record 4 "is damaged"

	mkdir -p /tmp/disk
	mount -t tmpfs -o size=4K none /tmp/disk
	tick_alone vm1 --state /tmp/disk/vm1.state
	check "another guest runs" runs vm1 1
	kill -USR1 "$(own_pid vm1)"
	until grep -q "not saved" /tmp/vm1.said; do sleep 0.1; done
	check "on a full disk it is not saved" grep -q "/tmp/disk/vm1.state: No space left on device" /tmp/vm1.said
	check "and runs on" runs vm1
	mount -o remount,size=4M /tmp/disk
	kill -USR1 "$(own_pid vm1)"
	check "with room it is saved" own_ended vm1 0
	own_vmm vm1 --resume --state /tmp/disk/vm1.state
	check "and goes on" runs vm1
	kill -9 "$(own_pid vm1)"
	check "to its end" own_ended vm1 137
	write discard vm1

	listen tenant
	tenant_vmm tenant --memory 48M --kernel /bin/ticker.flat
	check "a tenant's guest runs" runs tenant
	check "its memory is his file's" test "$(stat -c '%s %U' $fs/tenant/vm)" = "$((48 * M)) tenant"
	check "it is saved" own_vm_save tenant
	drained tenant
	note_tick tenant
	;;
3)
	listen vm0 vm1 tenant
	own_vmm vm0 --resume --state "$fs/vm0.state" --sum
	check "the guest is resumed under a third kernel" runs vm0
	check "its memory was the same to the byte" test "$(said_sum vm0)" = "$(recall vm0.sum)"
	check "it goes on with the next tick" goes_on vm0
	check "all of the guest's memory is as it was written" swept vm0
	check "the guest is fine" guest_fine vm0
	kill -9 "$(own_pid vm0)"
	check "the VMM is killed" own_ended vm0 137
	check "the memory is parked" object_is vm0 state parked
	check "the state of before is stale" refuses 5 "stale: the memory of vm0 has been written" \
		--name vm0 --resume --state "$fs/vm0.state"

	# Nothing is lost of a guest whose VMM dies when it has paused it.
	tick_alone vm1 --sum --fault kill-before-save
	check "a guest runs" runs vm1
	kill -TERM "$(own_pid vm1)"
	check "its VMM dies" own_ended vm1 137
	gmem-vmm --name vm1 --sum 2> /tmp/sum
	check "every byte is there" grep -q "sum of memory $(said_sum vm1)\$" /tmp/sum

	cp $fs/tenant/vm.state /tmp/
	chmod 644 /tmp/vm.state
	tenant_vmm other --resume
	check "nobody else resumes the tenant's guest" own_ended tenant 1
	tenant_vmm other --resume --state /tmp/vm.state
	check "nor with the state" own_ended tenant 3
	check "because of the directory's mode" grep -q EACCES /tmp/tenant.said
	tenant_vmm tenant --resume
	check "he does" runs tenant
	check "it goes on with the next tick" next_tick tenant
	check "its memory is as it was written" no_bad tenant
	kill -9 "$(own_pid tenant)"
	own_ended tenant 137
	check "the pool adds up" adds_up
	;;
esac
[ "$STAGE" = 3 ] || next_stage
