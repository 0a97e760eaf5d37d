# SPDX-License-Identifier: GPL-2.0
"""What the VM tests say of themselves. For run-vm and all that calls it.

A test is a script tests/vm/TOPIC/NAME.sh. In the comment at its head it declares what
it needs, in words of the form key=value (KEYS, below):

  # vm: mem=4G timeout=300 append="kho=on" flavours="release debug"

One script may hold several tests, its cases: each adds words, or has others in place of
the common ones. "append" and "qemu" are put behind the common ones. The script finds the
case's name in $CASE.

  # vm NAME: append="gmem_persist=3G"       the test FILE-NAME
"""
import json
import os
import re
import shlex
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VM_TESTS = os.path.join(TOP, "tests", "vm")
FLAVOURS = ("release", "debug")

# key: what it is for; the default
KEYS = {
    "mem": ("memory of the VM", "4G"),
    "big": ("instead: that much, unreserved; it costs what is touched", ""),
    "timeout": ("time limit, in seconds that QEMU computes, on the release kernel; the debug "
                "kernel gets more. However busy the machine is, it does not run out sooner",
                "120"),
    "append": ("words for the kernel's command line", ""),
    "flavours": ("the kernels that it is run on by make test; bench: none, it measures",
                 "release debug"),
    "quick": ("1: make test QUICK=1 runs it, too", ""),
    "smp": ("CPUs; all but the first are switched on before the test begins", "2"),
    "qemu": ("further arguments of QEMU", ""),
    "host_qemu": ("the QEMU that emulates the host, as scripts/qemu names them", ""),
    "virtual": ("1: where QEMU emulates, the VM has one CPU and its clock counts instructions: "
                "however busy the machine is, nothing in the VM comes too late", ""),
    "icount": ("N: the same everywhere, 2^N ns for an instruction, to measure", ""),
    "parallel": ("1: with icount, CPUs run at the same time by that clock (tests/qemu/parallel.c), where "
                 "else they take turns", ""),
    "words": ("1: a benchmark on a CPU without fast string instructions: Linux copies by words, each "
              "of which an emulator counts as an instruction, and not by bytes", ""),
    "firmware": ("uefi: boot by OVMF and the kernel's EFI stub, not by BIOS", ""),
    "disk": ("further disks, for the VM's root: build/NAME.img, which scripts/NAME makes if it is "
             "not there or too old; if one cannot be made, the test finds none of them", ""),
    "scratch": ("size, in MiB, of a disk that can be written to and is empty; it is found by its "
                "serial number, \"scratch\"", ""),
    "expects": ("a line of a kernel that must come, as a regular expression; also after the "
                "test's last word in that kernel", ""),
    "panics": ("there must be one kernel panic, with just that reason; its call trace is no "
               "report then", ""),
    "times": ("make test runs it so often", "1"),
}
ADDED = ("append", "qemu")
HEAD = re.compile(r"# vm(?: ([a-z0-9-]+))?:(.*)")


class BadTest(Exception):
    """A test's head cannot be read; the message names the file."""


def _head(path):
    """[(case or None, {key: value})] of a script, a "# vm" line each."""
    found = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                break
            match = HEAD.match(line)
            if not match:
                if re.match(r"#\s*vm\b", line):
                    raise BadTest(f"{os.path.relpath(path, TOP)}: cannot be read: {line.strip()}")
                continue
            words = {}
            for word in shlex.split(match.group(2)):
                key, equals, value = word.partition("=")
                if not equals or key not in KEYS:
                    raise BadTest(f"{os.path.relpath(path, TOP)}: unknown in '# vm': {word}")
                words[key] = value
            found.append((match.group(1), words))
    return found


def _merge(words, more):
    merged = {**words, **more}
    for key in ADDED:
        both = (words.get(key, ""), more.get(key, ""))
        merged[key] = " ".join(text for text in both if text)
    return merged


def _tests_of(path):
    """{name: (script without .sh, case, words)} of the tests in a script"""
    script = os.path.basename(path)[:-len(".sh")]
    common, cases = {}, {}
    for case, words in _head(path):
        if case:
            cases[case] = _merge(cases.get(case, {}), words)
        else:
            common = _merge(common, words)
    if cases:
        return {f"{script}-{case}": (script, case, _merge(common, words))
                for case, words in cases.items()}
    if not common:
        raise BadTest(f"{os.path.relpath(path, TOP)} has no '# vm:' line")
    return {script: (script, "", common)}


# Memory below the hole for devices, of which no pool takes any; and the two GiB that KASLR can
# spoil: the pool takes whole GiB, and a kernel may lie across two.
BESIDE_POOL = 5


def _mib(size):
    return int(size[:-1]) * {"G": 1024, "M": 1}[size[-1]]


def _pool_may_not_fit(words):
    """Does it depend on where KASLR puts the kernel whether the pool is had whole?"""
    append = words["append"]
    sizes = re.findall(r"gmem_persist=(\S+)", append)
    if not sizes or "nokaslr" in append.split():
        return False
    pool = sum(int(size) for size in re.findall(r"(?:^|,)(\d+)G", sizes[-1]))
    return pool << 10 < _mib(words["big"] or words["mem"]) < (pool + BESIDE_POOL) << 10


def _next_kernel_may_not_fit(words, text):
    """Does the script replace the debug kernel, and declare scratch areas of which none holds the
    shadow of KASAN, an eighth of a node's memory? The next kernel ends before it can say so."""
    sizes = re.findall(r"kho_scratch=(\S+)", words["append"])
    if not sizes or "debug" not in words["flavours"] or not re.search(r"\b(load|next)_stage\b", text):
        return False
    nodes = max(words["qemu"].count("-numa node"), 1)
    return max(map(_mib, sizes[-1].split(","))) * nodes * 8 < _mib(words["big"] or words["mem"])


class Test:
    """One test: name, topic, script, case, and its words, also those that are a default."""

    def __init__(self, topic, name, found, text):
        self.topic = topic
        self.name = name
        self.script, self.case, self.declared = found
        self.words = {**{key: default for key, (_, default) in KEYS.items()}, **self.declared}

        wrong = set(self.words["flavours"].split()) - {*FLAVOURS, "bench"}
        if wrong:
            raise BadTest(f"{name}: no such flavours: {' '.join(wrong)}")
        if _pool_may_not_fit(self.words):
            raise BadTest(f"{name}: needs {BESIDE_POOL}G beside the pool, or nokaslr")
        if _next_kernel_may_not_fit(self.words, text):
            raise BadTest(f"{name}: the debug kernel's successor needs a larger kho_scratch, or none "
                          "declared, which sizes it")

    def runs_on(self, flavour):
        return flavour in self.words["flavours"].split()


def all_tests():
    """{name: Test} of everything below tests/vm/"""
    tests, scripts = {}, {}
    for topic in sorted(os.listdir(VM_TESTS)):
        folder = os.path.join(VM_TESTS, topic)
        if topic in ("lib", "programs") or not os.path.isdir(folder):
            continue
        for file in sorted(os.listdir(folder)):
            if not file.endswith(".sh"):
                continue
            if scripts.setdefault(file, topic) != topic:
                raise BadTest(f"{file} is in {topic}/ and in {scripts[file]}/")
            path = os.path.join(folder, file)
            with open(path, encoding="utf-8") as script:
                text = script.read()
            for name, found in _tests_of(path).items():
                if name in tests:
                    raise BadTest(f"two tests are called {name}")
                tests[name] = Test(topic, name, found, text)
    return tests


def run(name, tag, *options, show=False):
    """Run a test by scripts/run-vm with these options, of which the default is the release
    kernel. Returns what it found, as in its JSON, which is build/results/vm-TAG.json. What it
    says is shown, or goes to build/log/run-vm-TAG.log."""
    result = os.path.join(TOP, "build", "results", f"vm-{tag}.json")
    log = os.path.join(TOP, "build", "log", f"run-vm-{tag}.log")
    for path in (result, log):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(result):
        os.unlink(result)
    command = [os.path.join(TOP, "scripts", "run-vm"), "--test", name, "--json", result,
               "--log", os.path.join(TOP, "build", "log", f"vm-{tag}.log"), *options]
    if show:
        status = subprocess.run(command, check=False).returncode
    else:
        with open(log, "w", encoding="utf-8") as file:
            status = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT,
                                    check=False).returncode
    if not os.path.exists(result):
        return {"test": name, "verdict": "fail", "reason": f"run-vm ended with status {status}",
                "seconds": 0.0, "subtests": {"ok": 0, "not_ok": 0, "skip": 0}, "results": {},
                "log": os.path.relpath(log, TOP)}
    with open(result, encoding="utf-8") as file:
        return json.load(file)
