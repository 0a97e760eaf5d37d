#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The guess: QEMU accepts TCG plugins of a range of API versions (a plugin tells its own in
# qemu_plugin_version), so a plugin that keeps to the oldest functions, and says the lowest
# number that does, is loaded by the QEMU of one stable Debian and of its backports.
#
# What is true: no number does. 10.0 takes 2 to 4. 11.1 takes 7 and nothing else, for a plugin
# that calls no function at all, too.
#
# Versions: Debian's QEMU 10.0.13 and 11.1.3, which are in the script.
#
# What it means: a plugin for both is built twice, or has to find out in a constructor, which
# runs before QEMU looks at the number, where it is being loaded, and choose. That is good for
# functions that are the same in both only, which it is then the author's task to know.
#
# Seen (2026-11-28):
#
#   1:10.0.13+ds-0+deb13u1: loaded with 2 3 4
#   1:11.1.3+ds-1~bpo13+1: loaded with 7
set -euo pipefail
. "$(dirname "$0")/lib.sh"

command -v gcc > /dev/null || gone "no gcc"
cat > "$work/plugin.c" <<'END'
#include <stdint.h>

int qemu_plugin_version = API;

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	return 0;
}
END
for api in 1 2 3 4 5 6 7 8 9; do
	gcc -DAPI=$api -shared -fPIC -o "$work/plugin-$api.so" "$work/plugin.c"
done

# accepts FOLDER SUITES VERSION NUMBERS: that QEMU loads the plugin with these numbers only
accepts() {
	local api accepted=''

	closure "$1" "$2" "qemu-system-x86=$3"
	by_loader "$1" usr/bin/qemu-system-x86_64 --version > "$work/log" 2>&1 ||
		{ cat "$work/log"; gone "this QEMU does not run here"; }
	for api in 1 2 3 4 5 6 7 8 9; do
		! echo quit |
			by_loader "$1" usr/bin/qemu-system-x86_64 -accel tcg -machine none -nodefaults \
			-display none -plugin "$work/plugin-$api.so" -monitor stdio > "$work/log" 2>&1 ||
			accepted="$accepted $api"
	done
	echo "$3: loaded with$accepted"
	[ "$accepted" = " $4" ] || changed "it was seen to be loaded with $4"
}

accepts 10 trixie 1:10.0.13+ds-0+deb13u1 "2 3 4"
accepts 11 trixie,trixie-backports 1:11.1.3+ds-1~bpo13+1 "7"
