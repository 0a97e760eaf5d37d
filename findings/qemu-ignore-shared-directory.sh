#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The guess: with the migration capability x-ignore-shared, QEMU leaves out memory that the next
# QEMU finds in the same file. Memory of -object memory-backend-file whose mem-path= is a
# folder, as people give for hugetlbfs, is in a file that QEMU makes there and unlinks at once.
# Nobody can find it again, so that memory is in the stream, like anonymous memory.
#
# What is true: share=on is all that QEMU looks at. The memory is left out, saving and loading
# succeed without a word, and the guest goes on with zeroes where its memory was. With the
# name of a file in mem-path= the next QEMU has all of it; with share=off, or without the
# capability, it is in the stream.
#
# Versions: Debian's QEMU 10.0.13 and 11.1.3, which are in the script.
#
# What it means: who saves a guest with x-ignore-shared has to look at each memory-backend-file
# of it, also at those of DIMMs that were plugged, and whether its file has a name that will be
# there. QEMU tells by qom-list of /objects and qom-get of "mem-path" and "share".
#
# Seen:
#   1:10.0.13+ds-0+deb13u1: file: kept, folder: zeroes, folder with share=off: kept
#   1:11.1.3+ds-1~bpo13+1: file: kept, folder: zeroes, folder with share=off: kept
set -euo pipefail
. "$(dirname "$0")/lib.sh"

command -v python3 > /dev/null || gone "no python3"
cat > "$work/try.py" <<'END'
import json, os, socket, subprocess, sys

work, backend, *qemu = sys.argv[1:]
MARK, AT = 0x1122334455667788, 0x200000


class Qemu:
    """One of which no CPU ever runs; its memory is written to and read by qtest."""

    def __init__(self, *more):
        servers = {}
        for name in ("qmp", "qtest"):
            servers[name] = socket.socket(socket.AF_UNIX)
            path = f"{work}/{name}"
            if os.path.exists(path):
                os.unlink(path)
            servers[name].bind(path)
            servers[name].listen()
            servers[name].settimeout(60)
        self.process = subprocess.Popen(
            [*qemu, "-accel", "tcg", "-S", "-machine", "pc,memory-backend=m", "-m", "16M", "-object",
             f"memory-backend-file,id=m,size=16M,{backend}", "-nodefaults", "-display", "none",
             "-vga", "none", "-bios", f"{work}/bios",
             "-qtest-log", "/dev/null", "-qmp", f"unix:{work}/qmp", "-qtest", f"unix:{work}/qtest", *more])
        self.qmp = servers["qmp"].accept()[0].makefile("rw")
        self.qtest = servers["qtest"].accept()[0].makefile("rw")
        self.qmp.readline()
        self.do("qmp_capabilities")
        self.do("migrate-set-capabilities",
                capabilities=[{"capability": "x-ignore-shared", "state": True},
                              {"capability": "events", "state": True}])

    def do(self, command, **arguments):
        print(json.dumps({"execute": command, "arguments": arguments}), file=self.qmp, flush=True)
        while True:
            answer = json.loads(self.qmp.readline())
            if "error" in answer:
                sys.exit(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def wait(self, how):
        """Until migration has come to that; it is asked for, as an event may have come before."""
        while True:
            status = self.do("query-migrate").get("status")
            if status == how:
                return
            if status == "failed":
                sys.exit("migration failed")

    def ask(self, line):
        print(line, file=self.qtest, flush=True)
        while True:
            answer = self.qtest.readline().split()
            if answer[0] == "OK":
                return answer[1:]

    def end(self):
        self.do("quit")
        self.process.wait(60)


first = Qemu()
first.ask(f"writeq {AT:#x} {MARK:#x}")
first.do("migrate", uri=f"file:{work}/state")
first.wait("completed")
first.end()
second = Qemu("-incoming", "defer")
second.do("migrate-incoming", uri=f"file:{work}/state")
second.wait("completed")
found = int(second.ask(f"readq {AT:#x}")[0], 0)
second.end()
print("kept" if found == MARK else "zeroes" if not found else hex(found))
END

# memory FOLDER BACKEND: what becomes of such memory in that QEMU
memory() {
	python3 "$work/try.py" "$work" "$2" "$work/$1/usr/lib64/ld-linux-x86-64.so.2" --library-path \
		"$work/$1/usr/lib/x86_64-linux-gnu" "$work/$1/usr/bin/qemu-system-x86_64"
}

# does FOLDER SUITES VERSION: what is told above
does() {
	local seen

	closure "$1" "$2" "qemu-system-x86=$3"
	by_loader "$1" usr/bin/qemu-system-x86_64 --version > "$work/log" 2>&1 ||
		{ cat "$work/log"; gone "this QEMU does not run here"; }
	mkdir -p "$work/folder"
	truncate -s 16M "$work/file"
	head -c 65536 /dev/zero > "$work/bios"	# QEMU's own is a file that it does not find here
	seen="file: $(memory "$1" "mem-path=$work/file,share=on"),"
	seen="$seen folder: $(memory "$1" "mem-path=$work/folder,share=on"),"
	seen="$seen folder with share=off: $(memory "$1" "mem-path=$work/folder,share=off")"
	echo "$3: $seen"
	[ "$seen" = "file: kept, folder: zeroes, folder with share=off: kept" ] ||
		changed "that is not what was seen"
}

does 10 trixie 1:10.0.13+ds-0+deb13u1
does 11 trixie,trixie-backports 1:11.1.3+ds-1~bpo13+1
