# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Common to the scripts of the build: where things are, how they speak.
# Sourced, with "set -euo pipefail" already in force.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$top/build
# The following are for the scripts that source this file.
# shellcheck disable=SC2034
tree=$build/linux-7.3
# shellcheck disable=SC2034
headers=$build/headers
jobs=${JOBS:-$(nproc)}

# kexec, depmod and others live where an ordinary user's PATH does not look.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Nothing of a caller's make or locale may leak into the kernel's build.
unset MAKEFLAGS MFLAGS MAKELEVEL
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1

say() { echo "[$(date +%H:%M:%S)] $*"; }
die() { echo "${0##*/}: $*" >&2; exit 1; }

# run_logged NAME WHAT COMMAND...: one line when it starts, one when it ends; the
# output goes to build/log/NAME.log, of which a failure shows the end.
run_logged() {
	local name=$1 what=$2 log status start=$SECONDS
	shift 2
	log=$build/log/$name.log
	mkdir -p "$build/log"
	say "$what ..."
	# As a condition, or left of ||, the command would run on after an error.
	set +e
	(set -e; "$@") > "$log" 2>&1
	status=$?
	set -e
	if [ "$status" != 0 ]; then
		grep -nE 'error:|Error [0-9]|\*\*\*' "$log" | head -n 20 >&2 || true
		tail -n 15 "$log" >&2
		die "failed after $((SECONDS - start)) s: $what (all of it: ${log#"$top"/})"
	fi
	say "$what: $((SECONDS - start)) s"
}

# The compiler, through ccache where there is one, and as arguments of make
compiler=(gcc)
if command -v ccache >/dev/null; then
	compiler=(ccache gcc)
fi
cc_args=("CC=${compiler[*]}" "HOSTCC=${compiler[*]}")

# kmake OUTPUT-FOLDER ARGUMENTS...: the kernel's make on our tree. With paths taken as
# relative, ccache knows a file again in the tree of scripts/series and in other checkouts.
kmake() {
	local out=$1
	shift
	CCACHE_BASEDIR=$build make -C "$tree" O="$out" ARCH=x86_64 -j"$jobs" "${cc_args[@]}" "$@"
}

# our_files_like PATTERN: name and text of such files of the tree as we changed
our_files_like() {
	local file
	while read -r file; do
		echo "== $file"
		cat "$tree/$file"
	done < <({ "$top/scripts/overlay" --list own
		   "$top/scripts/overlay" --list patched; } | grep -E "$1" | sort)
}

# tree_checksums FOLDER: "checksum  ./path" of all files there, links by target
tree_checksums() {
	(cd "$1" && {
		find . -name __pycache__ -prune -o -type f -print0 |
			xargs -0 sha1sum
		find . -type l -printf 'link:%l  %p\n'
	} | LC_ALL=C sort -k 2)
}

# one_at_a_time WHAT: until this script ends, no other one works on that part of build/
one_at_a_time() {
	mkdir -p "$build/lock"
	exec 9>"$build/lock/$1"
	flock --nonblock 9 || {
		# Some scripts print a path, and no more.
		say "waiting for another make ($1) ..." >&2
		flock 9
	}
}

# install_dynamic PROGRAM ROOT FOLDER: it, to ROOT/FOLDER, and the libraries it names, to
# where it looks for them
install_dynamic() {
	local library
	cp -L "$1" "$2/$3/"
	ldd "$1" | grep -o '/[^ ]*' | while read -r library; do
		mkdir -p "$2${library%/*}"
		cp -L "$library" "$2$library"
	done
}

# pack_image IMAGE FOLDER [ARGUMENT...]: what is in the folder, as a file system that a test
# VM lays over its root; arguments are mksquashfs's. Not compressed: reading costs an
# emulated CPU less than unpacking.
pack_image() {
	local image=$1 folder=$2
	shift 2
	rm -f "$image.new"
	mksquashfs "$folder" "$image.new" -all-root -noI -noD -noF -noX -no-xattrs \
		-no-progress -quiet "$@"
	mv "$image.new" "$image"
}
