#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# coverage.sh FOLDER NAME...: which lines of NAME.c the run in FOLDER did not reach: there
# must be none. In KTAP.
set -euo pipefail

cd "$1"
shift
number=0 failed=0

echo "KTAP version 1"
echo "1..$#"
for name; do
	gcov -b -o obj/kernel "obj/kernel/$name.gcda" 2>/dev/null |
		awk -v f="/$name.c'" '/^File/ { ours = index($0, f) } /^$/ { ours = 0 }
			ours && /^(Lines|Taken)/ { print "# " substr(f, 2, length(f) - 2) ": " $0 }'
	[ -e "$name.c.gcov" ]
	missed=$(grep '^ *#####' "$name.c.gcov" || true)
	[ -z "$missed" ] || echo "# ${missed//$'\n'/$'\n# '}"
	ok=ok
	[ -z "$missed" ] || { ok="not ok"; failed=1; }
	echo "$ok $((++number)) - coverage.$name"
done
exit "$failed"
