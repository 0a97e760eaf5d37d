#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The guess: a hypervisor that runs in an emulated machine (QEMU's TCG, AMD's SVM) has VMRUN
# inject an interrupt into its guest (EVENTINJ, type INTR). QEMU delivers it, once, as it does
# with every interrupt.
#
# What is true: helper_vmrun() stores the vector in cpu->exception_index, delivers the
# interrupt itself, by do_interrupt_x86_hardirq(), and returns to the guest. The index is what
# QEMU's main loop takes for an exception that is still to be delivered, and nobody resets it
# on this way. Everywhere else one does: for the other three types of EVENTINJ, helper_vmrun()
# leaves by cpu_loop_exit(), and the loop delivers the event and sets the index to -1; when an
# ordinary interrupt was delivered, the loop sets it to -1, too (after replay_interrupt(), in
# cpu_handle_interrupt()).
#
# Versions: Debian's QEMU 10.0.2, 10.0.13 and 11.1.3, which are in the script.
#
# What it means: whether the vector is delivered a second time depends on what the main loop
# does next, and the guest that gets it had interrupts disabled perhaps. Who tests a
# hypervisor in an emulated machine, and sees a guest of it stand still in its own interrupt
# handler, should look there first. This script only reads the programs: that they export
# the functions' names shows the way of each store, and nothing is run that would provoke it.
#
# Seen (2026-11-28; the same for each of the three, but for the offset):
#
#   1:10.0.2+ds-2+deb13u1~bpo12+1 (bookworm-backports):
#     exception_index is at 0x2d0
#     stores 2 (NMI): cpu_loop_exit
#     stores a vector: cpu_loop_exit
#     stores a vector: cpu_loop_exit
#     stores a vector: do_interrupt_x86_hardirq, then it returns, and the vector is still there
#     after replay_interrupt(): exception_index = -1
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cat > "$work/look.py" <<'END'
import re

from program import FUNCTIONS, changed, disassemble, span

RESET = "$0xffffffff"


def code(start, end):
    """{address: (mnemonic, operands, next address)}"""
    lines = re.findall(r"^ +([0-9a-f]+):\t(?:(?:cs|ds|notrack|bnd|lock|rep) )*(\S+) *(.*)$",
                       disassemble(start, end), re.M)
    addresses = [int(line[0], 16) for line in lines] + [end]
    return {addresses[n]: (line[1], line[2], addresses[n + 1]) for n, line in enumerate(lines)}


def function(name):
    return code(*span(name))


def stores(found, field):
    """[(address, what is stored)] of the 32-bit stores to one of these operands"""
    return [(address, operands.partition(",")[0])
            for address, (mnemonic, operands, _) in found.items()
            if mnemonic in ("mov", "movl")
            and re.fullmatch(rf"[^,]+,(?:{field})\(%r\w+\)", operands)]


def ways(found, start, field):
    """What the ways from there come to, and what they call first, if it is not the log: a set"""
    ends, seen, todo = set(), set(), [(start, "")]
    resets = {address for address, value in stores(found, field) if value == RESET}
    while todo:
        address, called = todo.pop()
        if (address, called) in seen:
            continue
        seen.add((address, called))
        if address in resets:
            ends.add(called + "resets it")
            continue
        if address not in found:    # a jump to the end of another function
            ends.add(called + "returns")
            continue
        mnemonic, operands, behind = found[address]
        target = re.match(r"([0-9a-f]+)", operands)
        name = re.search(r"<(\w+)@?@?\w*>", operands)
        if mnemonic == "call":
            name = name.group(1) if name else "?"
            if name.startswith("cpu_loop_exit"):
                ends.add(called + name)
                continue
            todo.append((behind, called or ("" if name == "qemu_log" else f"{name}, ")))
        elif mnemonic == "ret":
            ends.add(called + "returns")
        elif mnemonic.startswith("j"):
            todo.append((int(target.group(1), 16), called))
            if mnemonic != "jmp":
                todo.append((behind, called))
        else:
            todo.append((behind, called))
    return ends


# Where the index is, by a function of which that is all: it sets it to -1, and leaves.
index = [operands for mnemonic, operands, _ in function("cpu_loop_exit_noexc").values()
         if mnemonic == "movl" and operands.startswith(RESET)]
match = re.fullmatch(r"\$0xffffffff,0x([0-9a-f]+)\(%rdi\)", index[0]) if len(index) == 1 else None
if not match:
    changed("cpu_loop_exit_noexc() does not set exception_index to -1")
index = int(match.group(1), 16)

# helper_vmrun() is given the CPU's registers, which are behind it in memory.
vmrun = function("helper_vmrun")
match = next((re.match(r"-0x([0-9a-f]+)\(%rdi\)", operands)
              for mnemonic, operands, _ in vmrun.values()
              if mnemonic == "lea" and "(%rdi)" in operands), None)
if not match:
    changed("helper_vmrun() does not begin as expected")
field = f"-0x{int(match.group(1), 16) - index:x}|0x{index:x}"

print(f"  exception_index is at 0x{index:x}")
seen = []
for address, value in stores(vmrun, field):
    if value == RESET:
        changed("helper_vmrun() sets exception_index to -1 itself")
    what = "2 (NMI)" if value == "$0x2" else "a vector"
    seen += [(what, end) for end in ways(vmrun, vmrun[address][2], field)]
for what, end in sorted(seen):
    print(f"  stores {what}: " + end.replace(
        "hardirq, returns", "hardirq, then it returns, and the vector is still there"))
if sorted(seen) != [("2 (NMI)", "cpu_loop_exit"), ("a vector", "cpu_loop_exit"),
                    ("a vector", "cpu_loop_exit"),
                    ("a vector", "do_interrupt_x86_hardirq, returns")]:
    changed("helper_vmrun() does otherwise with exception_index")

# Nor does what delivers the interrupt.
for name in ("do_interrupt_x86_hardirq", "do_interrupt_all"):
    if any(value == RESET for _, value in stores(function(name), field)):
        changed(f"{name}() sets exception_index to -1")

# The main loop has no name, and is before cpu_exec(). When it has had an interrupt delivered:
loop = code(FUNCTIONS["cpu_exec"][0] - 0x3000, FUNCTIONS["cpu_exec"][0])
if not any("resets it" in ways(loop, behind, field) for mnemonic, operands, behind in loop.values()
           if mnemonic == "call" and "<replay_interrupt" in operands):
    changed("the loop does not reset exception_index after an ordinary interrupt")
print("  after replay_interrupt(): exception_index = -1")
END

look_at_qemu bookworm-backports 1:10.0.2+ds-2+deb13u1~bpo12+1
look_at_qemu trixie 1:10.0.13+ds-0+deb13u1
look_at_qemu trixie-backports 1:11.1.3+ds-1~bpo13+1
