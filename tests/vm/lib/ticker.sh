# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What tests share that run the smallest of guests (tests/vm/programs/gmem-ticker.S) by gmem-vm.
# Its serial port is appended to /tmp/NAME.log by each QEMU that runs it, so that log tells all of
# its life.

# ticker NAME [LINE...]: settings of such a guest, and more lines of them
ticker() {
	local name=$1
	shift
	cat > "$GMEM_CONF/$name.conf" <<-EOC
		QEMU=/qemu/$qemu/qemu-system-x86_64
		MEMORY=64M
		PATIENCE=60
		CPU=qemu64
		QEMU_ARGS="-nodefaults -no-user-config -display none -vga none -nic none -smp 1
			-L /usr/share/qemu -chardev file,id=log,path=/tmp/$name.log,append=on
			-serial chardev:log -bios /bin/gmem-ticker"
	EOC
	[ $# = 0 ] || printf '%s\n' "$@" >> "$GMEM_CONF/$name.conf"
}

# ticker_clock NAME [LINE...]: the same, with a guest to whose memory KVM writes when it is loaded
# shellcheck disable=SC2016	# by the shell that reads the settings
ticker_clock() { ticker "$@" 'QEMU_ARGS="$QEMU_ARGS -bios /bin/gmem-ticker-clock"'; }

# ticks NAME: how many lines there are
ticks() { wc -l < "/tmp/$1.log"; }

# ticks_more NAME [N]: wait for so many more (2)
ticks_more() {
	local until=$(($(ticks "$1") + ${2:-2}))
	until [ "$(ticks "$1")" -ge $until ]; do sleep 0.05; done
}

# one_life NAME: each number came once, from the first to the last. The line at the end may not
# be whole yet.
one_life() {
	sed '$d' "/tmp/$1.log" | awk '{ if ($1 != sprintf("%08x", NR)) { print "line " NR " is " $1; bad = 1; exit } }
		END { exit bad }'
}

# status_is NAME WORDS
status_is() { [ "$(gmem-vm status "$1" 2>/dev/null)" = "$2" ]; }

# exits STATUS COMMAND...: with that status
exits() {
	local want=$1 status=0
	shift
	"$@" || status=$?
	[ $status = "$want" ]
}
