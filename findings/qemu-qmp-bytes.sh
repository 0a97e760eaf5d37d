#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The guess: QEMU takes a QMP command that lies in its socket by one read, as most servers do that
# talk by lines. So what a command costs is its work, and hardly its length.
#
# What is true: the monitor asks its character device for one byte at a time. Each byte of each
# command is a recvmsg() of its own, and a turn of the main loop.
#
# Versions: Debian's QEMU 10.0.13 and 11.1.3, which are in the script.
#
# What it means: where a guest stands still until a manager has told QEMU what to do, each byte counts:
# short names of jobs and nodes, no blanks, no "id" that nobody needs, and few commands. Answers are
# written as a whole.
#
# Seen (2026-11-29):
#   1:10.0.13+ds-0+deb13u1: 106 bytes of commands, 106 reads of one byte, 0 of more
#   1:11.1.3+ds-1~bpo13+1: 106 bytes of commands, 106 reads of one byte, 0 of more
set -euo pipefail
. "$(dirname "$0")/lib.sh"

for tool in python3 strace; do
	command -v $tool > /dev/null || gone "no $tool"
done
cat > "$work/try.py" <<'END'
import json, re, socket, subprocess, sys

work, *qemu = sys.argv[1:]
COMMANDS = "qmp_capabilities", "query-status", "query-name", "quit"

ours, theirs = socket.socketpair(socket.AF_UNIX)
ours.settimeout(60)
number = theirs.fileno()
process = subprocess.Popen(
    ["strace", "-f", "-e", "trace=read,recvfrom,recvmsg", "-o", f"{work}/calls", *qemu,
     "-S", "-machine", "none", "-nodefaults", "-display", "none",
     "-chardev", f"socket,id=qmp,fd={number}", "-mon", "chardev=qmp,mode=control"],
    pass_fds=[number], stderr=subprocess.DEVNULL)
theirs.close()
stream = ours.makefile("rw")
stream.readline()
sent = 0
for command in COMMANDS:
    line = json.dumps({"execute": command}) + "\n"
    sent += len(line)
    stream.write(line)
    stream.flush()
    while "return" not in json.loads(stream.readline()):
        pass
process.wait(60)
with open(f"{work}/calls", encoding="ascii") as calls:
    got = [int(n) for n in re.findall(rf"(?:read|recvfrom|recvmsg)\({number}, .* = (\d+)$",
                                      calls.read(), re.M)]
print(f"{sent} bytes of commands, {got.count(1)} reads of one byte, "
      f"{len([n for n in got if n > 1])} of more")
END

# does FOLDER SUITES VERSION: what is told above
does() {
	local seen

	closure "$1" "$2" "qemu-system-x86=$3"
	by_loader "$1" usr/bin/qemu-system-x86_64 --version > "$work/log" 2>&1 ||
		{ cat "$work/log"; gone "this QEMU does not run here"; }
	seen=$(python3 "$work/try.py" "$work" "$work/$1/usr/lib64/ld-linux-x86-64.so.2" --library-path \
		"$work/$1/usr/lib/x86_64-linux-gnu" "$work/$1/usr/bin/qemu-system-x86_64")
	echo "$3: $seen"
	[ "$seen" = "106 bytes of commands, 106 reads of one byte, 0 of more" ] ||
		changed "that is not what was seen"
}

does 10 trixie 1:10.0.13+ds-0+deb13u1
does 11 trixie,trixie-backports 1:11.1.3+ds-1~bpo13+1
