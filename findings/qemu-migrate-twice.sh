#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The guess: a guest that is stopped, and whose state has been written to a file by "migrate", can
# be written to another file by the same command, if the first one turns out to be of no use: the
# guest has not run in between.
#
# What is true: QEMU has it in the run state "postmigrate" then, and refuses: "Can't migrate the vm
# that was paused due to previous migration". It takes "cont", with which the guest runs, and "stop".
# "stop" alone does not help.
#
# Versions: Debian's QEMU 10.0.13 and 11.1.3, which are in the script.
#
# What it means: who saves a guest to a file has to know that the file is good before, or has to
# let the guest run once more before he can try again; so room for it is reserved first.
#
# Seen:
#   1:10.0.13+ds-0+deb13u1: migrate: completed, again: refused, after stop: refused, after cont and stop: completed
#   1:11.1.3+ds-1~bpo13+1: migrate: completed, again: refused, after stop: refused, after cont and stop: completed
set -euo pipefail
. "$(dirname "$0")/lib.sh"

command -v python3 > /dev/null || gone "no python3"
cat > "$work/try.py" <<'END'
import json, socket, subprocess, sys

work, *qemu = sys.argv[1:]
server = socket.socket(socket.AF_UNIX)
server.bind(f"{work}/qmp")
server.listen()
server.settimeout(60)
process = subprocess.Popen(
    [*qemu, "-accel", "tcg", "-S", "-machine", "pc", "-m", "16M", "-nodefaults", "-display", "none",
     "-vga", "none", "-bios", f"{work}/bios", "-qmp", f"unix:{work}/qmp"])
qmp = server.accept()[0].makefile("rw")
qmp.readline()


def do(command, **arguments):
    """Its answer, or its error as words"""
    print(json.dumps({"execute": command, "arguments": arguments}), file=qmp, flush=True)
    while True:
        answer = json.loads(qmp.readline())
        if "error" in answer:
            return answer["error"]["desc"]
        if "return" in answer:
            return answer["return"]


def migrate():
    said = do("migrate", uri=f"file:{work}/state")
    if said != {}:
        print("#", said)
        return "refused"
    while True:
        status = do("query-migrate").get("status")
        if status in ("completed", "failed"):
            return status


do("qmp_capabilities")
seen = [f"migrate: {migrate()}", f"again: {migrate()}"]
do("stop")
seen.append(f"after stop: {migrate()}")
do("cont")
do("stop")
seen.append(f"after cont and stop: {migrate()}")
do("quit")
process.wait(60)
print(", ".join(seen))
END

# does FOLDER SUITES VERSION: what is told above
does() {
	local seen

	closure "$1" "$2" "qemu-system-x86=$3"
	by_loader "$1" usr/bin/qemu-system-x86_64 --version > "$work/log" 2>&1 ||
		{ cat "$work/log"; gone "this QEMU does not run here"; }
	head -c 65536 /dev/zero > "$work/bios"	# QEMU's own is a file that it does not find here
	rm -f "$work/qmp"
	seen=$(python3 "$work/try.py" "$work" "$work/$1/usr/lib64/ld-linux-x86-64.so.2" --library-path \
		"$work/$1/usr/lib/x86_64-linux-gnu" "$work/$1/usr/bin/qemu-system-x86_64" | tee "$work/said" |
		grep -v '^#')
	sed 's/^/  /' "$work/said"
	echo "$3: $seen"
	[ "$seen" = "migrate: completed, again: refused, after stop: refused, after cont and stop: completed" ] ||
		changed "that is not what was seen"
}

does 10 trixie 1:10.0.13+ds-0+deb13u1
does 11 trixie,trixie-backports 1:11.1.3+ds-1~bpo13+1
