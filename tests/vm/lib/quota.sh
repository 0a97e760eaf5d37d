# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What the tests of limits of directories share. Sourced after pool.sh and files.sh.

# quota DIR "BYTES NAMES": what is used there in MiB and names, and, behind a slash each, may be
quota() {
	local is
	is=$(gmemctl quota "$1" | awk '{ v[$1] = $2 } END { printf "%d/%d %d/%d",
		v["used_bytes"] / 1048576, v["max_bytes"] / 1048576,
		v["used_names"], v["max_names"] }')
	[ "$is" = "$2" ] || {
		echo "# $1: $is, not $2"
		return 1
	}
}

# set_quota DIR MIB NAMES
set_quota() { gmemctl quota "$1" --bytes "$2M" --names "$3" > /dev/null; }

# full COMMAND...: it fails for a limit, of what may be used or of the directory's disk
full() { fails_with "quota exceeded" "$@"; }

# new PATH: make an empty file. The shell would end with ":", which is special.
new() { true > "$fs/$1"; }

# all_quotas: of each directory
all_quotas() {
	(cd "$fs" && find . -mindepth 1 -type d | sort | while read -r dir; do
		echo "$dir" "$(gmemctl quota "${dir#./}" --json)"
	done)
}

# settled: all adds up, and nothing is about to get memory that it will not get
settled() {
	quotas_add_up && grep -q -x "pending 0" /sys/kernel/debug/gmem_persist/quota
}
