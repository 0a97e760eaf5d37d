# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What the tests and the demo share when they look at the pool.

pool=/sys/kernel/mm/gmem_persist

# is FILE VALUE: what a file below the pool's folder says
is() { [ "$(cat "$pool/$1")" = "$2" ]; }

# adds_up: every byte of the pool is in exactly one of the five states
adds_up() {
	[ "$(cat "$pool/pool_bytes")" = "$(($(cat "$pool/clean_bytes") +
		$(cat "$pool/dirty_bytes") + $(cat "$pool/used_bytes") +
		$(cat "$pool/quarantined_bytes") + $(cat "$pool/poisoned_bytes")))" ]
}

# write FILE TEXT: returns what the kernel answers: 0, or 1 and the message
write() { echo "$2" > "$pool/$1"; }

# refused FILE TEXT: the kernel must not take that
refused() { ! write "$1" "$2" 2>/dev/null; }

# vmm WORDS...: run the VMM; its figures stay in /tmp/vmm
vmm() { gmem-vmm "$@" > /tmp/vmm; }

# vmm_fails ERRNO WORDS...: the VMM must be refused the object, with that errno
vmm_fails() {
	local errno=$1 status=0
	shift
	vmm "$@" || status=$?
	[ $status = 3 ] && [ "$(figure errno)" = "$errno" ]
}

# figure KEY: one of them
figure() { sed -n "s/^$1=//p" /tmp/vmm; }

# logged TEXT: did the kernel say so
logged() { dmesg | grep -q "gmem_persist: .*$1"; }
