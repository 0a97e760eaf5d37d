#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# In the disk image of scripts/deb-boot, at each of its boots: what INSTALL.md has the operator
# of a Debian host do, from the kernel's package to a kexec. "told" runs a command only if it is
# in INSTALL.md, but for sizes and names.
set -eu

media=/media
export DEBIAN_FRONTEND=noninteractive

# ended: the last word, and the end of the VM
ended() {
	trap - EXIT
	echo "deb-boot: $1"
	[ -d /run/systemd/system ] || exit 1
	sync
	systemctl --no-block poweroff
	exit 0
}
trap 'ended "FAIL in line $line"' EXIT
line=start

# check MESSAGE COMMAND...
check() {
	line=$1
	shift
	"$@" || ended "FAIL: $line"
	echo "deb-boot: ok: $line"
}

# told COMMAND [SED-SCRIPT]: run it as the script makes it
told() {
	line=$1
	grep -qF -- "$1" $media/INSTALL.md || ended "FAIL: INSTALL.md does not tell: $1"
	echo "deb-boot: # $1"
	eval "$(echo "$1" | sed -e "${2:-}")" || ended "FAIL: $1"
}

# has WORD FILE
has() { grep -q -- "$1" "$2"; }

# files PATTERN: there are such
files() {
	# shellcheck disable=SC2086	# a pattern
	ls -l $1
}

# until_true SECONDS COMMAND...
until_true() {
	tries=$(($1 * 5))
	shift
	while ! "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.2
	done
}

# install_kernel: in the image, before it boots
install_kernel() {
	told "apt install ./build/deb/linux-image-*.deb" \
		"s|./build/deb|$media|; s|install|-y install|"
	check "there is an initramfs of it" files "/boot/initrd.img-*-gmem"
	check "GRUB's menu has it" has "linux.*/boot/vmlinuz-.*-gmem " /boot/grub/grub.cfg
	told "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&kho=on gmem_persist=512G /' /etc/default/grub" \
		"s/512G/1G/"
	told "update-grub"
	check "GRUB's menu has the words" has "-gmem root=UUID=.*kho=on gmem_persist=1G" /boot/grub/grub.cfg
	trap - EXIT
}

# same_boot_words: what both boots of our kernel must have
same_boot_words() {
	check "systemd is the first process" has "^systemd$" /proc/1/comm
	check "the words are there" has "kho=on gmem_persist=1G" /proc/cmdline
	check "there was an initramfs" test -d /run/initramfs
	told "dmesg | grep gmem_persist:"
	told "cat /sys/kernel/mm/gmem_persist/stat"
	check "no unit has failed" no_failed_unit
	check "KVM is there" until_true 60 test -c /dev/kvm
}

no_failed_unit() {
	systemctl --failed --no-legend --plain
	[ -z "$(systemctl --failed --no-legend --plain)" ]
}

use_pool() {
	install $media/gmemctl $media/gmem-vm $media/gmem-file $media/gmem-payload /usr/sbin/
	told "cp tools/gmem_persist/restart/gmem* /etc/systemd/system/" \
		"s|tools/gmem_persist/restart|$media/units|"
	mkdir -p /etc/gmem /gmem
	told "systemctl daemon-reload"
	told "systemctl enable --now gmem.mount gmem-freeze gmem-kexec gmem-vm@vm0" "s/ gmem-vm@vm0//"
	check "gmemfs is mounted" has " /gmem gmemfs " /proc/mounts
	check "gmemctl makes an object" gmemctl create survivor 64M
	check "its memory is filled" gmem-file /gmem/survivor rw map fill=7
	check "gmemctl lists it" gmemctl list
	check "a guest fills memory with a name" gmem-payload create vm1 size=64M seed=3 fill verify
	check "gmemctl tells the pool's state" gmemctl status
	cat /proc/sys/kernel/random/boot_id > /var/lib/deb-boot.id
	version=$(uname -r)
	told "kexec -s -l /boot/vmlinuz-NEXT --initrd=/boot/initrd.img-NEXT --reuse-cmdline" \
		"s/NEXT/$version/g"
	trap - EXIT
	sync
	told "gmem-vm check && systemctl kexec" "s/systemctl/& --no-block/"
}

came_back() {
	check "this is another boot" another_boot
	check "gmemfs is mounted" until_true 60 has " /gmem gmemfs " /proc/mounts
	check "the object is there" gmemctl show /gmem/survivor
	check "with each byte" gmem-file /gmem/survivor rw map verify=7
	check "a guest has what the last one wrote" gmem-payload reclaim vm1 seed=3 verify
	ended PASS
}
another_boot() { [ "$(cat /proc/sys/kernel/random/boot_id)" != "$(cat /var/lib/deb-boot.id)" ]; }

if [ "${1:-}" = install ]; then
	install_kernel
	exit 0
fi
echo "deb-boot: $(uname -sr), up $(cut -d ' ' -f 1 /proc/uptime) s"
cat /proc/cmdline
same_boot_words
if [ ! -e /var/lib/deb-boot.id ]; then
	use_pool
else
	came_back
fi
