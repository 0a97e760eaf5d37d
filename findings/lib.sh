# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What findings share. Sourced, with "set -euo pipefail" already in force; $work is then a
# folder that goes when the script ends.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1

# changed WHAT: it is not as it was seen. gone WHAT: nothing can be said
changed() { echo "CHANGED: $*"; exit 1; }
gone() { echo "SKIP: $*"; exit 4; }

# package FOLDER SUITE NAME=VERSION: that Debian package, unpacked to $work/FOLDER
package() {
	mkdir -p "$work/$1" "$work/deb-$1"
	(cd "$work/deb-$1" && "$here/../scripts/private-apt" "$work/apt-$2" "$2" -- \
		download -qq "$3") > "$work/log" 2>&1 ||
		{ tail -n 3 "$work/log"; gone "$3 is not to be had from $2 any more"; }
	dpkg-deb -x "$work/deb-$1"/*.deb "$work/$1"
}

# closure FOLDER SUITE[,SUITE] NAME=VERSION: the same of the last suite, with all that it depends
# on, as if nothing were installed here
closure() {
	mkdir -p "$work/$1" "$work/deb-$1" "$work/nothing"
	: > "$work/nothing/status"
	"$here/../scripts/private-apt" "$work/apt-$1" "$2" -- install --yes -qq --download-only \
		--no-install-recommends -t "${2##*,}" \
		-o Dir::State::status="$work/nothing/status" \
		-o Dir::Cache::archives="$work/deb-$1" "$3" > "$work/log" 2>&1 ||
		{ tail -n 3 "$work/log"; gone "$3 is not to be had from ${2##*,} any more"; }
	for deb in "$work/deb-$1"/*.deb; do
		dpkg-deb -x "$deb" "$work/$1"
	done
}

# by_loader FOLDER PROGRAM ARGUMENT...: run it with the libraries that were unpacked with it
by_loader() {
	local root=$work/$1 program=$work/$1/$2
	shift 2
	"$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" \
		"$program" "$@"
}

# look_at_qemu SUITE VERSION: have $work/look.py, which may import program.py, look at that QEMU
look_at_qemu() {
	for tool in objdump readelf python3; do
		command -v $tool > /dev/null || gone "no $tool (packages binutils, python3)"
	done
	package "$1" "$1" "qemu-system-x86=$2"
	echo "$2 ($1):"
	PYTHONPATH=$here python3 "$work/look.py" "$work/$1/usr/bin/qemu-system-x86_64"
}
