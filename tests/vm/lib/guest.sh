# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What tests share that run Linux guests (tests/vm/programs/gmem-guest.c) with the programs of
# "# vm: disk=guest". A guest's console is in /tmp/NAME.log, each line after its time in
# milliseconds, which goes on over a kexec.

fs=/gmem
export GMEM_CONF=/tmp/conf GMEM_RUN=/tmp/run

# guest_setup: programs, file system
guest_setup() {
	[ -e /guest ] || skip_all "no programs for guests (scripts/guest)"
	mkdir -p $fs $GMEM_CONF $GMEM_RUN
	require "mount $fs" mount -t gmemfs none $fs
}

# tenant NAME: a user of that name, who may use /dev/kvm and has a directory of that name in
# gmemfs, where others cannot look; and one called "other"
tenant() {
	mkdir -p /etc "/tmp/$1"
	printf '%s:x:1000:1000::/:/bin/sh\nother:x:1001:1001::/:/bin/sh\n' "$1" > /etc/passwd
	chmod 666 /dev/kvm
	[ -d "$fs/$1" ] || mkdir -m 700 "$fs/$1"
	chown 1000:1000 "$fs/$1" "/tmp/$1"
}

# by USER COMMAND...: as that user, with the tenant's directories
by() {
	local user=$1
	shift
	su "$user" -c "export GMEM_DIR=$fs/tenant GMEM_RUN=/tmp/tenant; exec $*"
}

# The QEMU that runs guests, a word of scripts/qemu: of the command line, gmem.qemu=, or the
# distribution's. Any other one is on the disk guest-versions.
qemu=$(tr ' ' '\n' < /proc/cmdline | sed -n 's/^gmem.qemu=//p' | tail -n 1)
qemu=${qemu:-distribution}

# with_qemu WORD COMMAND...: as if that one were what is installed
with_qemu() {
	local status=0
	export WITH_QEMU="$1"
	shift
	"$@" || status=$?
	unset WITH_QEMU
	return $status
}

# qemu_guest NAME MEMORY SET: a guest for gmem-vm; SET is its working set in MiB
qemu_guest() {
	cat > $GMEM_CONF/"$1.conf" <<-EOF
		QEMU=/qemu/\${WITH_QEMU:-$qemu}/qemu-system-x86_64
		MEMORY=$2
		PATIENCE=300
		QEMU_ARGS="-nodefaults -no-user-config -display none -vga none -nic none -smp 1
			-L /usr/share/qemu -serial file:/tmp/$1.console
			-kernel /guest/bzImage -initrd /guest/initrd
			-append '$(guest_words "$3")'"
	EOF
}

# old_note FILE: the note of what gmem-vm saved, in the format of before, which had no checksums
old_note() {
	head -c 4096 "$1" | tr -d '\000' |
		sed -e '1s/.*/gmem-vm 2/' -e '/^guest /d' -e '/^cpu /d' -e '/^payload /d' -e '/^check /d' \
			-e '/^file /d' -e 's|^\(part [^ ]* [^ ]*\) [^ ]* /|\1 /|'
}

# The VMM of which the command line says gmem.vmm=: qemu, or gmem-vmm, which is ours.
vmm=$(tr ' ' '\n' < /proc/cmdline | sed -n 's/^gmem.vmm=//p' | tail -n 1)

vmm_version() {
	case $vmm in
	gmem-vmm) echo "gmem-vmm" ;;
	*)	"/qemu/$qemu/qemu-system-x86_64" --version | head -n 1 ;;
	esac
}

# new_guest NAME MEMORY SET, vm_start NAME, vm_save NAME: by that VMM
new_guest() {
	case $vmm in
	gmem-vmm) echo "$2 $3" > "$GMEM_CONF/$1" ;;
	*)	qemu_guest "$@" ;;
	esac
}
vm_start() {
	case $vmm in
	gmem-vmm) own_vm_start "$1" ;;
	*)	gmem-vm start "$1" ;;
	esac
}
vm_save() {
	case $vmm in
	gmem-vmm) own_vm_save "$1" > /tmp/saved && cat /tmp/saved ;;
	*)	gmem-vm save "$1" > /tmp/saved && cat /tmp/saved ;;
	esac
}

# own_vmm NAME WORD...: gmem-vmm, with a guest; what it says goes to /tmp/NAME.said
own_vmm() {
	local name=$1
	shift
	: > "/tmp/$name.said"	# here, or what the last one said is read
	gmem-vmm --name "$name" "$@" > "/tmp/$name.console" 2> "/tmp/$name.said" &
	eval "pid_$name=$!"
}

# own_pid NAME, own_lives NAME: of it; a child that has died has no program any more
own_pid() { eval "echo \$pid_$1"; }
own_lives() { readlink "/proc/$(own_pid "$1")/exe" > /dev/null; }

# own_linux NAME MEMORY SET WORD...: a new Linux guest of it
own_linux() {
	local name=$1 memory=$2 set=$3
	shift 3
	own_vmm "$name" --memory "$memory" --kernel /guest/bzImage --initrd /guest/initrd \
		--append "$(guest_words "$set") acpi=off pci=off" --state "$fs/$name.state" "$@"
}

# own_ended NAME STATUS: it ends, with that exit status
own_ended() {
	local status=0
	wait "$(own_pid "$1")" || status=$?
	[ $status = "$2" ]
}

own_vm_start() {
	local memory set
	read -r memory set < "$GMEM_CONF/$1"
	if [ -e "$fs/$1" ]; then
		own_vmm "$1" --resume --state "$fs/$1.state"
	else
		own_linux "$1" "$memory" "$set"
	fi
	until grep -q -E ': (new|resumed), ' "/tmp/$1.said"; do
		own_lives "$1" || { cat "/tmp/$1.said"; return 1; }
		sleep 0.1
	done
}

own_vm_save() {
	kill -TERM "$(own_pid "$1")" && own_ended "$1" 0 && cat "/tmp/$1.said"
}

# vm_kill NAME: with no chance to do anything
vm_kill() {
	case $vmm in
	gmem-vmm) kill -9 "$(own_pid "$1")" && own_ended "$1" 137 ;;
	*)	kill_qemu "$1" ;;
	esac
}

# ram_bytes_copied: 0 if QEMU says that it had no guest's memory to copy for the guest that
# was saved last; gmem-vmm never has
ram_bytes_copied() {
	case $vmm in
	gmem-vmm) echo 0 ;;
	*)	# "total" is the size of what it looked at: firmware's memory, which is small
		awk -F'"total": ' '/"ram"/ { exit !($2 + 0 && $2 + 0 < 1048576) }' /tmp/saved &&
			echo 0 ;;
	esac
}

# guest_words SET: the command line of a guest's kernel
guest_words() {
	echo "console=ttyS0 quiet panic=-1 no_timer_check set=$1"
}

# console NAME: listen to its console
console() {
	[ -p "/tmp/$1.console" ] || mkfifo -m 666 "/tmp/$1.console"
	gmem-stamp "/tmp/$1.console" >> "/tmp/$1.log" &
}

# ticks_on NAME [N]: wait for so many ticks more (one)
ticks_on() {
	tail -n 0 -f "/tmp/$1.log" | grep -m "${2:-1}" ' tick ' > /dev/null
}

# swept NAME: wait until all memory of its working set, and its file, was compared anew: a
# sixteenth of the one, and a sixty-fourth of the other, at each tick
swept() {
	ticks_on "$1" 65
}

# tick NAME, tick_time NAME, tick_up NAME: the last one's number, time in ms, uptime in ms. A
# line that was cut in two when the guest was saved does not count.
tick() { sed -n 's/.* tick \([0-9]*\) .*bad=[0-9]*$/\1/p' "/tmp/$1.log" | tail -n 1; }
tick_time() { sed -n 's/^\([0-9]*\) tick .*bad=[0-9]*$/\1/p' "/tmp/$1.log" | tail -n 1; }
tick_up() {
	sed -n 's/.* tick .* up=0*\([0-9]*\)\.\([0-9]*\) .*bad=[0-9]*$/\1\2/p' "/tmp/$1.log" |
		tail -n 1
}

# first_tick NAME: number and time of the first one in the log
first_tick() {
	sed -n 's/^\([0-9]*\) tick \([0-9]*\) .*bad=[0-9]*$/\2 \1/p' "/tmp/$1.log" | head -n 1
}

# guest_fine NAME: it found all of its memory as it was, and its kernel complains of
# nothing but the clock. A guest that was away may find that its TSC is not what it was.
guest_fine() {
	grep -q ' tick ' "/tmp/$1.log" &&
		! grep -E '^[0-9]+ (bad:|tick .* bad=[^0])|Kernel panic|BUG:' "/tmp/$1.log" >&2 &&
		! grep '^[0-9]* log:' "/tmp/$1.log" | grep -v -i -E 'clocksource|tsc' >&2
}

# remember KEY VALUE, recall KEY: for the next kernels
remember() { echo "$1=$2" >> $fs/facts; }
recall() { sed -n "s/^$1=//p" $fs/facts | tail -n 1; }

# kill_qemu NAME [FOLDER]: with no chance to do anything, and wait for its end
kill_qemu() {
	local pid
	pid=$(cat "${2:-$GMEM_RUN}/$1.pid")
	kill -9 "$pid"
	while [ -d "/proc/$pid" ]; do :; done
}

# note_tick NAME: how far it was
note_tick() {
	remember "$1.tick" "$(tick "$1")"
	remember "$1.time" "$(tick_time "$1")"
	remember "$1.up" "$(tick_up "$1")"
}

# next_tick NAME: it goes on with the next tick, or the one behind it if that was cut in two
next_tick() {
	local first
	first=$(first_tick "$1")
	first=$((${first% *} - $(recall "$1.tick")))
	[ $first = 1 ] || [ $first = 2 ]
}

# goes_on NAME: so it does, and its uptime, too
goes_on() { next_tick "$1" && [ "$(tick_up "$1")" -gt "$(recall "$1.up")" ]; }

# blackout NAME: milliseconds between its ticks here and there
blackout() {
	local first
	first=$(first_tick "$1")
	echo $((${first#* } - $(recall "$1.time")))
}
