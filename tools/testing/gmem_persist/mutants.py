#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Which mistakes would the unit tests not notice?

mutants.py [options] NAME...: for each of the kernel's files NAME.c, make random mutants,
in each of which one token is another or one statement is missing; build and run the unit
tests with each. A mutant *survives* if they pass.

  --number N     so many mutants of each file (80); all there are if there are fewer
  --seed N       other ones (1)
  --seconds N    begin no more mutants after that time (3600)
  --tests TEXT   run only tests with it in their name, as "make test T="
  --first N      leave out so many, which an earlier run had time for (0)
  --output DIR   where to build (build/mutants)

Prints every survivor as file, line, what was changed, and the line. Those whose object
code is the same without sanitizers as that of the file are no mistakes; they are counted
apart. Exit status 1 if any other survived. "make mutants" passes make's variables on.
"""
import argparse
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
KERNEL = os.path.join(HERE, "../../../mm/gmem_persist")

TOKEN = re.compile(r"""
    (?P<skip> /\*.*?\*/ | //[^\n]* | ^[ \t]*\#(?:\\\n|[^\n])* | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' )
  | (?P<name> [A-Za-z_]\w* )
  | (?P<number> (?:0[xX][0-9a-fA-F]+|\d+)[uUlL]* )
  | (?P<op> <<=|>>=|\.\.\.|->|\+\+|--|&&|\|\||[-+*/%&|^=!<>]=|<<|>>|\S )
""", re.X | re.S | re.M)

# What another token may be: with a space on each side, so that they are binary
BINARY = {
    "<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"),
    "==": ("!=",), "!=": ("==",), "&&": ("||",), "||": ("&&",),
    "+": ("-",), "-": ("+",), "*": ("/",), "/": ("*",), "%": ("/",),
    "&": ("|",), "|": ("&",), "^": ("|",), "<<": (">>",), ">>": ("<<",),
    "+=": ("-=", "="), "-=": ("+=", "="), "|=": ("&=", "="), "&=": ("|=", "="),
}
UNARY = {"!": ("",), "~": ("",), "++": ("--",), "--": ("++",)}
NAMES = {
    "true": ("false",), "false": ("true",), "break": ("continue",), "continue": ("break",),
    "min": ("max",), "max": ("min",), "rb_left": ("rb_right",), "rb_right": ("rb_left",),
    "SZ_1G": ("SZ_2M",), "SZ_2M": ("SZ_1G",), "NULL": ("(void *)1",),
    "free": ("dirty", "kept"), "dirty": ("free",), "kept": ("dirty",),
    "EINVAL": ("ENOENT",), "ENOENT": ("EEXIST",), "EEXIST": ("ENOENT",), "ENOSPC": ("ENOENT",),
    "ENOMEM": ("ENOENT",), "ERANGE": ("EINVAL",), "EUCLEAN": ("EINVAL",),
}
KEYWORDS = ("return", "if", "else", "while", "for", "do", "switch", "case", "default", "goto",
            "break", "continue", "struct", "static", "const", "unsigned", "enum", "union",
            "typedef", "extern", "DECLARE_BITMAP", "static_assert")


def tokens(text):
    return [m for m in TOKEN.finditer(text) if m.lastgroup != "skip"]


def others(text, token):
    """What could stand in a token's place"""
    word = token.group()
    before, after = text[token.start() - 1], text[token.end():token.end() + 1]
    if token.lastgroup == "number":
        digits = word.rstrip("uUlL")
        octal = re.fullmatch(r"0[0-7]+", digits)
        value, suffix = int(digits, 8 if octal else 0), word[len(digits):]
        return [f"{value + 1}{suffix}"] + ([f"{value - 1}{suffix}"] if value else [])
    if token.lastgroup == "name":
        return NAMES.get(word, ())
    if before.isspace() and after.isspace():
        return BINARY.get(word, ())
    return UNARY.get(word, ())


def statements(text, found):
    """From where to where each goes that is an assignment or a call by itself"""
    for i, token in enumerate(found):
        line_start = text.rfind("\n", 0, token.start()) + 1
        if (token.lastgroup != "name" or token.group() in KEYWORDS or i + 1 == len(found) or
                not text[line_start:token.start()].isspace() or
                found[i - 1].group() not in (";", "{", "}", ")", "else", ":")):
            continue
        second = found[i + 1]
        # A declaration has a second name, or a star that belongs to one; a label a colon.
        if second.lastgroup == "name" or second.group() == ":" or (
                second.group() == "*" and not text[second.end()].isspace()):
            continue
        end = next((t for t in found[i:] if t.group() in (";", "{", "}")), None)
        if end is not None and end.group() == ";":
            yield token.start(), end.start()


def mutations(text):
    """All of them: from, to, what instead"""
    found = tokens(text)
    result = [(t.start(), t.end(), new) for t in found for new in others(text, t)]
    return result + [(start, end, "") for start, end in statements(text, found)]


class Trial:
    """A copy of the kernel's files, and what the tests say to it"""

    def __init__(self, output, tests):
        self.output = os.path.abspath(output)
        self.kernel = os.path.join(self.output, "kernel")
        self.plain = os.path.join(self.output, "plain")
        self.tests = [tests] if tests else []
        shutil.rmtree(self.kernel, ignore_errors=True)
        # With times of now: objects of an earlier run are older.
        shutil.copytree(KERNEL, self.kernel, copy_function=shutil.copy)
        # Of time on a CPU, for the slowest test of each build
        self.limits = {}

    def write(self, name, text):
        with open(os.path.join(self.kernel, name + ".c"), "w", encoding="utf-8") as file:
            file.write(text)

    def make(self, target, output, *variables):
        command = ["make", "-s", f"KERNEL={self.kernel}", f"OUTPUT={output}", *variables,
                   os.path.join(output, target)]
        return subprocess.run(command, cwd=HERE, check=False, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)

    def passes(self, name):
        """None if it does not compile

        What takes the least time comes first, as most mutants need no more: the tests whose name
        has the file's, all tests, both without sanitizers, and all with them.
        """
        for output, variables, tests in ((self.plain, ["SANITIZE="], [name]),
                                         (self.plain, ["SANITIZE="], self.tests),
                                         (self.output, [], self.tests)):
            if self.make("unit", output, "WARNINGS=-w", *variables).returncode:
                return None
            if not self.tests_pass(output, tests):
                return False
        return True

    def tests_pass(self, output, tests):
        limit = self.limits.get(output)
        env = dict(os.environ, SECONDS=str(limit) if limit else "")
        with subprocess.Popen([os.path.join(output, "unit"), *tests], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env,
                              start_new_session=True) as unit:
            failed = any(line.startswith("not ok") for line in unit.stdout)
            if failed:
                os.killpg(unit.pid, signal.SIGKILL)
        # There may be no test with the file's name.
        return not failed and (unit.returncode == 0 or tests != self.tests)

    def measure(self):
        """How long may a test take? Twice what all take without a mistake, and a bit"""
        self.limits = {}
        for output, *variables in (self.plain, "SANITIZE="), (self.output,):
            self.make("unit", output, "WARNINGS=-w", *variables)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            if not self.tests_pass(output, self.tests):
                sys.exit("mutants.py: the tests fail without any mutant")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            self.limits[output] = int(3 + 2 * (after.ru_utime + after.ru_stime -
                                               before.ru_utime - before.ru_stime))

    def code(self, name):
        """The file's object code, as it is without anything that says where it is from"""
        output = os.path.join(self.output, "code")
        target = f"obj/kernel/{name}.o"
        if self.make(target, output, "SANITIZE=", "KERNEL_CFLAGS=-O2 -g0 -w").returncode:
            return None
        with open(os.path.join(output, target), "rb") as file:
            return file.read()


def show(name, text, start, end, new):
    line = text.count("\n", 0, start) + 1
    old = " ".join(text[start:end].split())
    what = f"{old!r} -> {new!r}" if new else f"without {old!r}"
    return f"{name}.c:{line}: {what}: {text.splitlines()[line - 1].strip()}"


def run(trial, name, args, end_at):
    with open(os.path.join(KERNEL, name + ".c"), encoding="utf-8") as file:
        text = file.read()
    code = trial.code(name)

    candidates = mutations(text)
    random.Random(args.seed).shuffle(candidates)
    nr = {"tried": 0, "survived": 0, "same code": 0, "did not compile": 0}
    for start, end, new in candidates[args.first:]:
        if nr["tried"] == args.number or time.monotonic() > end_at:
            break
        trial.write(name, text[:start] + new + text[end:])
        passed = trial.passes(name)
        if passed is None:
            nr["did not compile"] += 1
            continue
        nr["tried"] += 1
        if passed:
            same = trial.code(name) == code
            nr["same code" if same else "survived"] += 1
            said = "same code" if same else "survived"
            print(f"{said}: {show(name, text, start, end, new)}", flush=True)
    trial.write(name, text)
    print(f"{name}.c: of {len(candidates)} mutants " +
          ", ".join(f"{value} {key}" for key, value in nr.items()), flush=True)
    return nr["survived"]


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--number", type=int, default=80)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--tests", default="")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--output", default=os.path.join(HERE, "build/mutants"))
    parser.add_argument("name", nargs="+")
    args = parser.parse_args()

    end_at = time.monotonic() + args.seconds
    trial = Trial(args.output, args.tests)
    trial.measure()
    survived = sum(run(trial, name, args, end_at) for name in args.name)
    return survived > 0


if __name__ == "__main__":
    sys.exit(main())
