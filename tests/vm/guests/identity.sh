#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=6G virtual=1 smp=1 timeout=900 disk=guest scratch=16 append="kho=on kho_scratch=512M,1G,512M gmem_persist=1G,zeroed" flavours="release"
#
# May a guest that was saved go on? By a table of what is done between saving and starting, for
# our VMM (own) and for QEMU with gmem-vm (qemu): what was saved must be fresh, and the guest
# goes on, or stale, and is refused. Then the same over two kexecs.
#
# A row is called NAME; before_NAME, if there is one, is done before the guest is made,
# while_NAME while it runs, and after_NAME when it has been saved. Each may use
#   $mem $size $state   the guest's memory, its size in bytes, what was saved
#   later ACTION...     a process that does so with the memory (gmem-file.c), waits where "wait"
#                       is among the actions, and goes on
#   go                  when that is said
#
# With gmem.only=WORD on the command line only rows of such names are done, and the kexecs.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh
M=$((1 << 20))
only=$(word gmem.only)
guest_setup

rows="nothing fresh
looked_at fresh
touched fresh
truncated fresh
failed_start fresh
renamed_back fresh
exchanged_back fresh
idle_handle fresh
idle_mapping fresh
namesake fresh
create_again fresh
refused fresh
sharer fresh
late_write stale
late_mapping stale
late_punch stale
late_direct stale
late_sharer stale
from_empty stale
new_object stale
moved_over stale
exchanged stale
ran_on stale"

# For our VMM alone, which gets its memory by a path
rows_own="$rows
in_directory fresh"

# For QEMU alone: a second file of memory, and memory that somebody else has filled
rows_qemu="$rows
filled_before fresh
late_again stale
dimm_touched fresh
dimm_written stale
dimm_new stale"

# later ACTION...
later() {
	local action actions=''
	rm -f /tmp/go
	for action in "$@"; do
		[ "$action" != wait ] || action=wait=/tmp/go
		actions="$actions $action"
	done
	: > /tmp/later	# here, or what the last one said is read
	# shellcheck disable=SC2086	# words
	gmem-file "$mem" $actions > /tmp/later &
	later=$!
	until grep -q waiting /tmp/later; do
		kill -0 $later 2>/dev/null || return 1
	done
}
go() { touch /tmp/go; wait "$later"; }

# gmem-file's actions on the guest's memory, which must work, or be refused as in use
does() { gmem-file "$mem" "$@" > /dev/null; }
busy() { ! gmem-file "$mem" "$@" > /tmp/busy && grep -q errno=EBUSY /tmp/busy; }

# another: one more file like the guest's memory
another() { truncate -s "$size" "$fs/other"; }

after_nothing() { :; }

after_looked_at() {
	cat "$mem" > /dev/null && gmemctl token "$mem" > /dev/null && ls -l "$fs" > /dev/null &&
		does ro map && does rw mapro
}

after_touched() { touch "$mem" && chmod 640 "$mem" && chown 1 "$mem"; }

after_truncated() { ! (: > "$mem") 2>/dev/null && truncate -s "$size" "$mem"; }

# All that a VMM does until it finds that it cannot go on
after_failed_start() {
	case $kind in
	own)	gmem-vmm --name "$mem" --sum 2>/dev/null ;;
	qemu)	gmem_qemu -incoming defer -S && kill_qemu lost ;;
	esac
}

after_renamed_back() { mv "$mem" "$fs/away" && mv "$fs/away" "$mem"; }
after_exchanged_back() { another && does ro exchange="$fs/other" && does ro exchange="$fs/other"; }

# A handle that is there all the time and does nothing
while_idle_handle() { later rw wait; }
after_idle_handle() { go; }

# Reading all of it by a mapping that could be written to; of course it is not zero.
after_idle_mapping() { exits 1 does rw map zero; }

# A tenant's file of that name, in a directory of his
after_namesake() {
	local his
	his=$fs/dir/${mem##*/}
	mkdir "$fs/dir" && truncate -s "$size" "$his" && chown -R 1000 "$fs/dir" &&
		gmem-file "$his" rw map poke=1 put=2 > /dev/null && rm -r "$fs/dir"
}

# The other way round: the guest's is in a directory, and root's has that name
before_in_directory() { mkdir "$fs/dir" && mem=$fs/dir/own; }
after_in_directory() {
	truncate -s "$size" "$fs/own" && gmem-file "$fs/own" rw map poke=1 put=2 > /dev/null
}

# A creation that fails leaves what has the name as it is.
after_create_again() {
	local name=${mem##*/}
	vmm_fails EEXIST create "$name" size=$((size / M))M &&
		vmm_fails EEXIST create "$name" size=2M && ! gmem-file "$mem" new > /dev/null
}

# What is refused changes nothing.
while_refused() {
	busy rw put=1 && busy rw map && busy rw mapro protect && second_vm_refused
}
after_refused() { :; }

second_vm_refused() {
	case $kind in
	own)	! gmem-vmm --name "$mem" --sum 2> /tmp/refused && grep -q EBUSY /tmp/refused ;;
	qemu)	! gmem_qemu 2> /tmp/refused && grep -q "resource busy" /tmp/refused ;;
	esac
}

# Who has said that he shares, before the guest is saved
while_sharer() {
	does rw share put=1 && chmod +t "$mem" && does rw map poke=2 && chmod -t "$mem"
}
after_sharer() { :; }

while_late_write() { later rw wait put=1; }
after_late_write() { go; }
while_late_mapping() { later rw wait map poke=1; }
after_late_mapping() { go; }
while_late_punch() { later rw mapro wait punch; }
after_late_punch() { go; }

# A disk's DMA, or a copy in the place of it, into a mapping
while_late_direct() { later rw wait map direct="$(disk scratch)"; }
after_late_direct() { go; }

# It has written, by the same mapping, while the guest ran.
while_late_sharer() { later rw share map poke=1 wait poke=2; }
after_late_sharer() { go; }

# Opened while the file was empty
before_from_empty() { true > "$mem" && later rw wait put=1; }
after_from_empty() { go; }

after_new_object() { rm "$mem" && truncate -s "$size" "$mem"; }
after_moved_over() { another && mv "$fs/other" "$mem"; }
after_exchanged() { another && does ro exchange="$fs/other"; }

after_ran_on() {
	cp "$state" /tmp/kept && vmm_start && vmm_kill && cp /tmp/kept "$state"
}

# Somebody has filled it before, and has it open
before_filled_before() { truncate -s "$size" "$mem" && later rw put=1 wait; }
after_filled_before() { go; }
before_late_again() { truncate -s "$size" "$mem" && later rw put=1 wait put=2; }
after_late_again() { go; }

after_dimm_touched() { touch "$fs/dimm" && cat "$fs/dimm" > /dev/null; }
after_dimm_written() { gmem-file "$fs/dimm" rw put=1; }
after_dimm_new() { rm "$fs/dimm" && truncate -s $((32 * M)) "$fs/dimm"; }

# gmem_qemu WORD...: a QEMU on the guest's memory that gmem-vm knows nothing of
gmem_qemu() {
	"/qemu/$qemu/qemu-system-x86_64" -nodefaults -no-user-config -display none -vga none \
		-nic none -L /usr/share/qemu -accel kvm -cpu host -machine q35,memory-backend=ram0 \
		-m 64M -object "memory-backend-file,id=ram0,size=64M,mem-path=$mem,share=on,align=2M" \
		-daemonize -pidfile "$GMEM_RUN/lost.pid" "$@"
}

# Guests with nothing but firmware, or a few bytes, which run for ever
vmm_new() {
	case $kind in
	own)	own_begin --memory 48M --kernel /bin/ticker.flat ;;
	qemu)	gmem-vm start --keep-memory vm > /dev/null ;;
	esac
}
vmm_start() {
	case $kind in
	own)	own_begin --resume ;;
	qemu)	gmem-vm start vm > /dev/null 2> /tmp/said ;;
	esac
}
vmm_save() {
	case $kind in
	own)	kill -TERM "$pid" && wait "$pid" ;;
	qemu)	gmem-vm save vm > /dev/null ;;
	esac
}
vmm_kill() {
	case $kind in
	own)	kill -9 "$pid" && wait "$pid"; [ $? = 137 ] ;;
	qemu)	kill_qemu vm ;;
	esac
}

# own_begin WORD...: gmem-vmm, until its guest has run; if it ends, that is the status
own_begin() {
	: > /tmp/console
	gmem-vmm --name "$mem" --state "$state" "$@" > /tmp/console 2> /tmp/said &
	pid=$!
	until grep -q '^tick ' /tmp/console; do
		readlink "/proc/$pid/exe" > /dev/null || { cat /tmp/said; wait "$pid"; return; }
		sleep 0.1
	done
}

# choose KIND: which VMM
choose() {
	kind=$1
	case $kind in
	own)	mem=$fs/own size=$((48 * M)) state=$fs/own.state stale=5 ;;
	qemu)	mem=$fs/vm size=$((64 * M)) state=$fs/vm.state stale=3 ;;
	esac
}

# has NAME: is there a function of that name
has() { type "$1" > /dev/null 2>&1; }

# exits STATUS COMMAND...
exits() {
	local want=$1 status=0
	shift
	"$@" || status=$?
	[ $status = "$want" ]
}

# row NAME VERDICT
row() {
	local what="$kind: $1"
	choose "$kind"
	! has "before_$1" || require "$what: before" "before_$1"
	require "$what: a guest runs" vmm_new
	! has "while_$1" || check "$what: while it runs" "while_$1"
	require "$what: it is saved" vmm_save
	check "$what: afterwards" "after_$1"
	case $2 in
	fresh)	if vmm_start; then
			ok "$what: FRESH"
			vmm_kill
		else
			fail "$what: FRESH"
		fi ;;
	stale)	if exits "$stale" vmm_start; then
			ok "$what: STALE"
		else
			fail "$what: STALE"
			vmm_kill
		fi ;;
	esac
	rm -rf "$mem" "$mem.saved" "$state" "$fs/other" "$fs/dimm" "$fs/dir" "$fs/own"
}

cat > "$GMEM_CONF/vm.conf" <<-EOF
	QEMU=/qemu/$qemu/qemu-system-x86_64
	MEMORY=64M
	PATIENCE=300
	QEMU_ARGS="-nodefaults -no-user-config -display none -vga none -nic none -smp 1
		-L /usr/share/qemu -m 64M,slots=1,maxmem=1G
		-object memory-backend-file,id=dimm,size=32M,mem-path=$fs/dimm,share=on,align=2M
		-device pc-dimm,memdev=dimm"
EOF

# table ROWS
table() {
	local name verdict
	echo "$1" > /tmp/rows
	while read -r name verdict <&7; do
		case $name in *$only*) row "$name" "$verdict" ;; esac
	done 7< /tmp/rows
}

# saved NAME: a guest of our VMM, saved, with its memory in that file
saved() {
	mem=$fs/$1 state=$fs/$1.state
	vmm_new && vmm_save && remember "$1" "$(gmemctl token "$mem")"
}

# as_saved NAME: nobody has changed its memory
as_saved() { [ "$(gmemctl token "$fs/$1")" = "$(recall "$1")" ]; }

# goes_on NAME, is_stale NAME
goes_on() { mem=$fs/$1 state=$fs/$1.state; vmm_start && vmm_kill; }
is_stale() { mem=$fs/$1 state=$fs/$1.state; exits "$stale" vmm_start; }

case $STAGE in
1)
	choose own
	table "$rows_own"
	choose qemu
	table "$rows_qemu"
	check "the pool adds up" adds_up

	require "QEMU's guest runs" vmm_new
	require "its memory gets another name" after_exchanged
	check "which the next QEMU would not find: it is not saved" exits 1 gmem-vm save vm
	check "and runs on" test "$(gmem-vm status vm)" = running
	check "with nothing left behind" test ! -e "$state"
	require "it gets its name back" does ro exchange="$fs/other"
	require "it is saved" vmm_save
	choose own
	require "one that is left alone" saved left
	require "one that is written to under the next kernel" saved next
	require "one that is written to while the pool is frozen" saved frozen
	later rw wait map poke=1
	require "load kernel 2" load_stage
	require "freeze" write frozen 1
	require "a late write" go
	check "changes its token" not as_saved frozen
	enter_stage
	fail "kexec"
	;;
2)
	choose own
	check "left alone" as_saved left
	check "also this one" as_saved next
	check "not this one" not as_saved frozen
	check "which is stale" is_stale frozen
	check "write to another" gmem-file "$fs/next" rw put=1
	require "load kernel 3" load_stage
	enter_stage
	fail "kexec"
	;;
3)
	choose own
	check "two kexecs, left alone: FRESH" goes_on left
	check "written to under kernel 2: STALE" is_stale next
	check "while frozen under kernel 1: STALE" is_stale frozen
	choose qemu
	check "QEMU, left alone: FRESH" vmm_start
	vmm_kill
	check "the pool adds up" adds_up
	;;
esac
