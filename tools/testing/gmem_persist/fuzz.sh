#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fuzz.sh FOLDER SECONDS TARGET...: make the fuzz targets and run them, SECONDS all
# together; report in KTAP. FOLDER/corpus/ keeps what reached new code, for the next
# run; an input that fails is FOLDER/TARGET-crash-... and makes the target fail again:
#	FOLDER/TARGET FOLDER/TARGET-crash-...
set -uo pipefail

folder=$1 seconds=$2
shift 2
clang=${CLANG:-clang}
number=0 failed=0

echo "KTAP version 1"
echo "1..$#"

mkdir -p "$folder/log"
if ! echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
	"$clang" -x c - -fsanitize=fuzzer,address,undefined -o "$folder/probe" 2>/dev/null; then
	for target; do
		echo "ok $((++number)) - fuzz.$target # SKIP no $clang with libFuzzer (libclang-rt-dev)"
	done
	exit 0
fi
if ! MAKEFLAGS="" make -s -j"$(nproc)" CC="$clang" OUTPUT="$folder/build" T= \
	KERNEL_CFLAGS=-fsanitize=fuzzer-no-link fuzz-targets >"$folder/log/build" 2>&1; then
	sed 's/^/# /' "$folder/log/build"
	for target; do
		echo "not ok $((++number)) - fuzz.$target"
	done
	exit 1
fi

share=$(((seconds + $# - 1) / $#))
for target; do
	corpus=$folder/corpus/$target log=$folder/log/$target
	options=(-max_total_time="$share" -max_len=1024 -timeout=20 -verbosity=0
		 -print_final_stats=1 -artifact_prefix="$folder/$target-")
	[ ! -e "fuzz/$target.dict" ] || options+=(-dict="fuzz/$target.dict")
	mkdir -p "$corpus"
	ok=ok
	"$folder/build/fuzz/$target" "${options[@]}" "$corpus" >"$log" 2>&1 || ok="not ok"
	if [ "$ok" = ok ]; then
		echo "# $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs in $share s"
	else
		failed=1
		tail -n 40 "$log" | sed 's/^/# /'
	fi
	echo "$ok $((++number)) - fuzz.$target"
done
exit "$failed"
