#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# vm: mem=12G virtual=1 smp=1 timeout=400 scratch=1 disk="guest systemd systemd-13" flavours="release"
# vm: append="gmem_persist=6G,zeroed kho=on"
#
# An operator follows INSTALL.md, from section 3 on: the commands that stand there are those that
# are run, in their order, as they are, on a host with Debian 13's systemd. The kernel is ours,
# the tools are installed, and what else he has is:
#
# - an apt that finds all that it is asked for installed, and man, which are not here
# - for "NEXT", the release of a kernel, one that is like this one
# - a disk that outlives the host's kernel for the guest's, from which it boots, and counts on it
#   (tests/vm/programs/gmem-disk-ticker.S), QEMU without a network and a screen, and a tenant's guest
# - a root file system that lives as long as one kernel: what he has installed is kept in gmemfs
#
# See lib/systemd.sh. "stage" is the test.
. /tests/lib/test.sh
. /tests/lib/pool.sh
. /tests/lib/guest.sh
. /tests/lib/ticker.sh
. /tests/lib/qmp.sh
. /tests/lib/systemd.sh
fs=/gmem

# has_done COMMAND: what one that is not here would say
has_done() { printf '#!/bin/sh\necho "%s $*: already done"\n' "$1" > "/bin/$1"; chmod +x "/bin/$1"; }

# a_host: Debian, as somebody has installed it
a_host() {
	mkdir -p /src/tools/gmem_persist/restart /boot /var/lib
	mv /etc/systemd/system/gmem* /src/tools/gmem_persist/restart/
	mv /INSTALL.md /src/
	has_done apt
	mv /bin/qemu-system-x86_64 /bin/qemu
	printf '#!/bin/sh\nexec qemu -L /usr/share/qemu -nic none -vga none "$@"\n' \
		> /bin/qemu-system-x86_64
	chmod +x /bin/qemu-system-x86_64
	ln -s bzImage /boot/vmlinuz-NEXT
	ln -s initrd /boot/initrd.img-NEXT
	find_scratch
	ln -s "/dev/$scratch" /var/lib/vm0.img
	printf 'root:x:0:0::/:/bin/sh\ntenant:x:1000:1000::/:/bin/sh\n' > /etc/passwd
	printf 'root:x:0:\ntenant:x:1000:\n' > /etc/group
	chmod 666 /dev/kvm
	mkdir -p $fs
	mount -t gmemfs none $fs
	[ ! -e $fs/etc.tar ] || tar -C / -xf $fs/etc.tar
	umount $fs
}

if [ $# = 0 ]; then
	[ -e /lib/systemd/systemd ] || { echo "1..0 # SKIP no systemd (scripts/systemd)"; ended skip; }
	a_host
	# What units say is for the test, as there is no journal.
	mkdir -p /etc/systemd/system/service.d
	printf '[Service]\nStandard%s=append:/tmp/said\n' Output > /etc/systemd/system/service.d/out.conf
	printf '[Service]\nStandard%s=append:/tmp/said\n' Error > /etc/systemd/system/service.d/err.conf
	become_systemd
fi
as_unit
trap 'if [ $? != 0 ] || failed; then cat /tmp/said; ended fail; fi' EXIT
cd /src || exit 1

# commands SECTION: all that stand there
commands() {
	awk -v heading="## $1. " 'index($0, "## ") == 1 { on = index($0, heading) == 1 }
		on && sub(/^    /, "")' INSTALL.md
}

# follow SECTION: do so
follow() {
	commands "$1" > "/tmp/section$1"
	sed 's/^/# /' "/tmp/section$1"
	check "section $1 tells what to do" test -s "/tmp/section$1"
	require "section $1 works" sh -e "/tmp/section$1"
}

# number N: of the disk's second sector
number() { dd if=/var/lib/vm0.img bs=4 skip=$((127 + $1)) count=1 2>/dev/null | od -An -tu4 | tr -d ' '; }

# counts_on: vm0 goes on to count
counts_on() {
	local last
	last=$(number 2)
	until [ "$(number 2)" -gt "$last" ]; do sleep 0.1; done
}

# The kernel is told as an operator would tell it, and so its words are the same in each.
case $(cat "$pool/generation") in
0)
	dd if=/bin/gmem-disk-ticker of=/var/lib/vm0.img conv=notrunc,fsync 2>/dev/null
	follow 3
	check "vm0 counts" counts_on
	check "in 4 GiB" test "$(stat -c %s $fs/vm0)" = $((4 << 30))
	mkdir -p /etc/gmem/tenant
	GMEM_CONF=/etc/gmem/tenant ticker vm1
	sed -i "s,/tmp/vm1.log,$fs/tenant/vm1.log," /etc/gmem/tenant/vm1.conf
	follow 5
	ln -s $fs/tenant/vm1.log /tmp/
	until [ -s /tmp/vm1.log ]; do sleep 0.1; done
	check "the tenant's guest counts" ticks_more vm1
	tar -C / -cf $fs/etc.tar etc/systemd/system etc/gmem
	number 2 > $fs/number
	follow 4
	trap - EXIT
	failed && ended fail
	drain
	exec sleep 1000
	;;
1)
	becomes gmem-vm@vm0 active
	becomes gmem-vm-tenant@vm1 active
	check "vm0 goes on" counts_on
	check "where it was" test "$(number 2)" -gt "$(cat $fs/number)"
	check "and has booted once" test "$(number 1)" = 1
	ln -s $fs/tenant/vm1.log /tmp/
	check "the tenant's goes on" ticks_more vm1
	check "where it was" one_life vm1
	failed || ended pass
	;;
esac
