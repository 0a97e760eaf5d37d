#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The guess: the CPUs of a machine that QEMU's TCG emulates (x86, thread=multi) share no state but
# memory and what a lock protects. What one CPU keeps in its CPUX86State only its own thread changes.
#
# What is true: cpu_clear_ignne() takes a bit away from hflags2 of the *first* CPU, in whichever CPU's
# thread it is called, by an instruction that is not locked. The callers hold no lock: they are what
# loads the state of the x87 FPU, which is in XRSTOR and FXRSTOR, and so in every switch between
# tasks. A change of hflags2 that the first CPU makes at that moment is lost: one of HF2_GIF, of
# HF2_VINTR, HF2_HIF, and of HF2_NPT, all of which VMRUN and #VMEXIT change.
#
# Versions: Debian's QEMU 10.0.2, 10.0.13 and 11.1.3, which are in the script. QEMU's main branch had
# the same source at 32222dc3bbd1.
#
# What it means: in an emulated host with more than one CPU, a guest that runs on the first one may
# now and then go on without its nested page tables, or the host with the guest's. What was seen of
# that: triple faults of guests, a panic of the host, and QEMU's own end while it translated what was
# no code any more. One CPU, or QEMU bound to one CPU of its host, does without.
# This script only reads the programs: which field is changed by which instruction.
#
# Seen (2026-11-30; the same for each of the three, but for the offsets):
#
#   1:10.0.2+ds-2+deb13u1~bpo12+1 (bookworm-backports):
#     helper_vmrun() sets HF2_NPT in the CPU's own 0xb4
#     cpu_clear_ignne() has the first of cpus_queue, and: andl $0xffffff7f,0x2c74
#     which is that field, and is not locked
#     its callers take no lock
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cat > "$work/look.py" <<'END'
import re

from program import PROGRAM, changed, disassemble, run, span

# HF2_NPT is 0x40. helper_vmrun() is given the registers, which are behind the CPU's other state.
vmrun = disassemble(*span("helper_vmrun"))
own = re.findall(r"\torl +\$0x40,0x([0-9a-f]+)\(%r\w+\)", vmrun)
env = re.search(r"\tlea +-0x([0-9a-f]+)\(%rdi\)", vmrun)
if len(own) != 1 or not env:
    changed("helper_vmrun() does otherwise with HF2_NPT")
print(f"  helper_vmrun() sets HF2_NPT in the CPU's own 0x{own[0]}")

# HF2_IGNNE is 0x80.
clear = disassemble(*span("cpu_clear_ignne"))
bits = re.findall(r"\t((?:lock )?andl +\$0xffffff7f,0x([0-9a-f]+))\(%r\w+\)", clear)
if len(bits) != 1 or "<cpus_queue" not in clear:
    changed("cpu_clear_ignne() does otherwise")
print("  cpu_clear_ignne() has the first of cpus_queue, and: " + re.sub(r" +", " ", bits[0][0]))
if int(bits[0][1], 16) != int(own[0], 16) + int(env.group(1), 16) or "lock" in bits[0][0]:
    changed("it is another field, or the instruction is locked")
print("  which is that field, and is not locked")

# The callers are between the helpers for the FPU, and call neither of these.
start = span("cpu_clear_ignne")[0]
whole = run("objdump", "-d", "--no-show-raw-insn", PROGRAM)
at = [match.start() for match in
      re.finditer(rf"\t(?:call|jmp) +{start:x} <cpu_clear_ignne", whole)]
if not at:
    changed("nothing calls cpu_clear_ignne() directly")
for place in at:
    if re.search(r"<bql_lock_impl|<start_exclusive", whole[place - 6000:place]):
        changed("a caller takes a lock perhaps")
print("  its callers take no lock")
END

look_at_qemu bookworm-backports 1:10.0.2+ds-2+deb13u1~bpo12+1
look_at_qemu trixie 1:10.0.13+ds-0+deb13u1
look_at_qemu trixie-backports 1:11.1.3+ds-1~bpo13+1
