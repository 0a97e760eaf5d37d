# SPDX-License-Identifier: GPL-2.0
"""What a stripped program consists of that exports its functions' names, as QEMU does for its
plugins. The program is sys.argv[1]; for findings that only read it (look_at_qemu in lib.sh)."""
import subprocess
import sys

PROGRAM = sys.argv[1]


def changed(what):
    print(f"CHANGED: {what}")
    sys.exit(1)


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def functions():
    """{name: (start, size)} of what it exports"""
    found = {}
    for line in run("readelf", "--dyn-syms", "-W", PROGRAM).splitlines():
        word = line.split()
        if len(word) == 8 and word[3] == "FUNC" and int(word[1], 16):
            found[word[7].partition("@")[0]] = (int(word[1], 16), int(word[2], 0))
    return found


FUNCTIONS = functions()


def disassemble(start, end):
    return run("objdump", "-d", "--no-show-raw-insn", f"--start-address={start}",
               f"--stop-address={end}", PROGRAM)


def span(name):
    """(start, end) of a function"""
    if name not in FUNCTIONS:
        changed(f"it exports no {name}()")
    start, size = FUNCTIONS[name]
    return start, start + size
