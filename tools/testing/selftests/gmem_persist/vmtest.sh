#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Does guest memory survive a kexec of the host? Boot a kernel with a pool in QEMU, let init.c
# do the rest in it and in the kernel after it, and tell what it found.
set -u

test_dir=$(realpath "$(dirname "$0")")
kernel_dir=$(realpath "$test_dir/../../../..")
# shellcheck source=/dev/null
. "$test_dir/../kselftest/ktap_helpers.sh"

# How many checks init.c makes, of which none may be missing
NR_CHECKS=10
# Seconds, for an emulator on a busy machine; with KVM it takes three.
TIME_LIMIT=300

usage() {
	cat <<END
$0 [-d build_dir] [-k image] [-j jobs] [-a accel] [-o log] [-h]
	-d)	build the kernel there, or take what is built there as it is, if it
		is configured (default: .gmem_persist_test in the tree)
	-k)	take this bzImage instead, and build none
	-j)	number of jobs for compilation
	-a)	what QEMU runs it with (default: KVM if there is a /dev/kvm, else tcg)
	-o)	keep what the kernels say in this file
	-h)	this help
END
}

skip() {
	ktap_skip_all "$1"
	exit "$KSFT_SKIP"
}

# need PROGRAM...
need() {
	local program
	for program; do
		command -v "$program" >/dev/null || skip "no $program"
	done
}

# build_kernel FOLDER: configured as "config" says, unless it is configured
build_kernel() {
	local option
	local make=(make -s -C "$kernel_dir" "O=$1" ARCH=x86 "-j$jobs")
	mkdir -p "$1"
	if [ ! -e "$1/.config" ]; then
		"${make[@]}" defconfig || skip "the kernel cannot be configured"
		cat "$test_dir/config" >> "$1/.config"
		"${make[@]}" olddefconfig || skip "the kernel cannot be configured"
	fi
	while read -r option; do
		grep -qx "$option" "$1/.config" || skip "$1/.config: no $option"
	done < "$test_dir/config"
	if ! "${make[@]}" bzImage; then
		echo "Bail out! the kernel cannot be built"
		exit "$KSFT_FAIL"
	fi
}

# make_initrds: two.cpio for the second kernel; one.cpio has that and the kernel, too
make_initrds() {
	gcc -s -static -Os -Wall -Werror -nostdlib -fno-asynchronous-unwind-tables -fno-ident \
		-fno-stack-protector -I "$kernel_dir/tools/include/nolibc" \
		-o "$work/init" "$test_dir/init.c" -lgcc &&
		gcc -o "$work/gen_init_cpio" "$kernel_dir/usr/gen_init_cpio.c" || return
	cat > "$work/two.list" <<END
dir /dev 0755 0 0
dir /proc 0755 0 0
dir /sys 0755 0 0
nod /dev/console 0600 0 0 c 5 1
file /init $work/init 0755 0 0
END
	"$work/gen_init_cpio" "$work/two.list" > "$work/two.cpio" || return
	cat "$work/two.list" - > "$work/one.list" <<END
file /kernel $image 0644 0 0
file /initrd $work/two.cpio 0644 0 0
END
	"$work/gen_init_cpio" "$work/one.list" > "$work/one.cpio"
}

# run_qemu: until the second kernel wants to boot again. q35 has 2 GiB above 4 GiB, of which
# the pool gets one: without KASLR nothing else lies there.
run_qemu() {
	timeout "$TIME_LIMIT" qemu-system-x86_64 -machine q35 -cpu max -m 4G -smp 1 \
		"${accel[@]}" -nodefaults -display none -no-reboot \
		-serial "file:$log" -serial "file:$work/report" \
		-kernel "$image" -initrd "$work/one.cpio" \
		-append "console=ttyS0 panic=-1 nokaslr kho=on gmem_persist=1G"
}

# tell_results: what init.c reported, as KTAP
tell_results() {
	local verdict what
	while read -r verdict what; do
		case $verdict in
		pass)	ktap_test_pass "$what" ;;
		fail)	ktap_test_fail "$what" ;;
		skip)	ktap_test_skip "$what" ;;
		*)	echo "$verdict $what" ;;
		esac
	done < <(tr -d '\r' < "$work/report")
	while [ "$KTAP_TESTNO" -le "$NR_CHECKS" ]; do
		ktap_test_fail "the kernels ended before this check"
	done
}

build_dir=$kernel_dir/.gmem_persist_test
image=
log=
accel=(-accel kvm -accel tcg)
jobs=$(nproc)
while getopts d:k:j:a:o:h option; do
	case $option in
	d)	build_dir=$(realpath -m "$OPTARG") ;;
	k)	image=$(realpath "$OPTARG") ;;
	j)	jobs=$OPTARG ;;
	a)	accel=(-accel "$OPTARG") ;;
	o)	log=$(realpath -m "$OPTARG") ;;
	h)	usage; exit ;;
	*)	usage >&2; exit 1 ;;
	esac
done

ktap_print_header
[ "$(uname -m)" = x86_64 ] || skip "only x86-64 has it"
need gcc make qemu-system-x86_64
work=$(mktemp -d /tmp/gmem_persist-test.XXXXXXXX) || skip "no room in /tmp"
trap 'rm -rf "$work"' EXIT
log=${log:-$work/log}
if [ -z "$image" ]; then
	build_kernel "$build_dir"
	image=$build_dir/arch/x86/boot/bzImage
fi
make_initrds || skip "the initramfs cannot be made"
touch "$work/report"

ktap_set_plan "$NR_CHECKS"
run_qemu || ktap_print_msg "QEMU ended with status $?"
tell_results
[ "$KTAP_CNT_FAIL" = 0 ] || tail -n 20 "$log" | sed 's/^/# /'
ktap_finished
