#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# coverage.sh FOLDER "COVERED..." NAME...: which lines of NAME.c the run in FOLDER did
# not reach; for those that are COVERED there must be none. In KTAP.
set -euo pipefail

cd "$1"
covered=$2
shift 2
number=0 failed=0

echo "KTAP version 1"
echo "1..$(wc -w <<<"$covered")"
for name; do
	gcov -b -o obj/kernel "obj/kernel/$name.gcda" 2>/dev/null |
		awk -v f="/$name.c'" '/^File/ { ours = index($0, f) } /^$/ { ours = 0 }
			ours && /^(Lines|Taken)/ { print "# " substr(f, 2, length(f) - 2) ": " $0 }'
	[ -e "$name.c.gcov" ]
	missed=$(grep '^ *#####' "$name.c.gcov" || true)
	[ -z "$missed" ] || echo "# ${missed//$'\n'/$'\n# '}"
	case " $covered " in
	*" $name "*)
		ok=ok
		[ -z "$missed" ] || { ok="not ok"; failed=1; }
		echo "$ok $((++number)) - coverage.$name" ;;
	esac
done
exit "$failed"
