# SPDX-License-Identifier: GPL-2.0
"""How the core, mm/gmem_persist/, is built: what scripts/check holds it to.

- A function has at most 60 lines, a file 700.
- A static function's name begins with gmem_FILE_, or with a word of its file's (WORDS):
  in a stack trace it says where it is.
- The kernel's files of ours that are elsewhere (ELSEWHERE) are held to the same, and the tools
  (TOOLS) to the length of a function.
- A file uses only functions and variables, and so tables of functions, of files that come
  before it in ORDER. So who reads a file need know nothing of those behind it. What cannot be
  so is a pointer: gmem_pool.again, by which leave and luo, of which start knows, have it try
  once more what there was no memory for.
"""
import glob
import os
import re

MAX_LINES = 60
MAX_FILE_LINES = 700

# From the bottom to the top
ORDER = """
	stop trace
	ranges param arena arena_find place record chunks judge quota
	pool reserve window
	tables slots left
	charge clean
	badpages quarantine mapping keep backing poison
	inode quotactl object name grow use session create
	view hold mmap info data
	refused attach file dir fs named vm
	restore luo handover leave
	sysfs debugfs start
""".split()

# Other words that static functions of a file may begin with
WORDS = {
    "arena_find": ("arena",), "place": ("arena",),
    "record": ("header", "block", "bad", "slot"),
    "slots": ("slot", "list"),
}
# The others, and what their static functions' names begin with
ELSEWHERE = {
    "arch/x86/kernel/gmem_persist.c": ("gmem_arch_",),
    "fs/dio_bounce.c": ("dio_bounce",),
    "lib/test_pageless.c": ("test_pageless_",),
    "lib/test_pfnmap.c": ("test_pfnmap_",),
    "virt/kvm/guest_memfd_persist.c": ("kvm_gmem_",),
}
TOOLS = "tools/gmem_persist"
# Names that are printed as they are
ANY_NAME = ("gmem_persist_kunit",)

COMMENT = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|' r"'(?:\\.|[^'\\\n])*'", re.S)
# A function's name, and macros that only look like one
NAME = re.compile(r"\b(?!__\w+\b)(\w+)\s*\(")
# A variable's definition, which begins at the left margin
VARIABLE = re.compile(r"^(?!static|extern|typedef|return)(?:DEFINE_\w+\(|[a-z][\w *]*[ *])"
                      r"(gmem_\w+)(?: =|;|\))", re.M)


class Function:
    """Its name, where its head begins and how many lines are between its braces"""

    def __init__(self, name, static, line, lines):
        self.name, self.static, self.line, self.lines = name, static, line, lines


def without_comments(text):
    return COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def functions(code):
    """Those that are defined there, in the kernel's style; by a macro, as it is written"""
    lines = [line.rstrip("\\ \t") for line in code.replace("##", "").split("\n")]
    for at, line in enumerate(lines):
        if line != "{":
            continue
        start = at
        while start and not re.match(r"\s*$|[}#{]|.*[;}]$", lines[start - 1]):
            start -= 1
        head = " ".join(lines[start:at])
        name = NAME.search(head)
        end = next((n for n in range(at, len(lines)) if lines[n].startswith("}")), at)
        if name:
            yield Function(name.group(1), "static" in head.split(), start + 1, end - at - 1)


def check_lengths(path, code):
    """How long functions are"""
    return [f"{path}:{function.line}: {function.name}() has {function.lines} lines, "
            f"{MAX_LINES} are allowed" for function in functions(code) if function.lines > MAX_LINES]


def check_file(name, path, code, allowed):
    """Sizes, and names of static functions"""
    problems = []
    size = code.count("\n")
    if size > MAX_FILE_LINES:
        problems.append(f"{path}:{size}: the file has {size} lines, "
                        f"{MAX_FILE_LINES} are allowed")
    if not path.endswith(".c"):
        return problems
    problems += check_lengths(path, code)
    for function in functions(code):
        where = f"{path}:{function.line}: {function.name}()"
        if function.static and not function.name.startswith(allowed) and name not in ANY_NAME:
            problems.append(f"{where} is static and begins with none of {', '.join(allowed)}")
    return problems


def exported(code):
    """What other files may use: functions, and variables such as tables of functions"""
    yield from (f.name for f in functions(code) if not f.static)
    yield from VARIABLE.findall(code)


def check_calls(folder, codes):
    """Who uses what of whom; the KUnit tests may use anything."""
    home = {word: name for name, code in codes.items() for word in exported(code)}
    rank = {name: i for i, name in enumerate(ORDER)}
    problems = []
    for name, code in sorted(codes.items()):
        if name in ANY_NAME:
            continue
        if name not in rank:
            problems.append(f"{folder}/{name}.c:1: scripts/layers.py does not know where it stands")
            continue
        for match in re.finditer(r"\bgmem_\w+", code):
            target = home.get(match.group(), name)
            if target == name or target not in rank or rank[target] < rank[name]:
                continue
            line = code.count("\n", 0, match.start()) + 1
            problems.append(f"{folder}/{name}.c:{line}: {match.group()} is in {target}.c, "
                            f"which comes behind {name}.c (scripts/layers.py)")
    return problems


def check_tools(top):
    """Number of files, and the problems"""
    files = sorted(glob.glob(f"{TOOLS}/*/*.c", root_dir=top))
    problems = []
    for path in files:
        with open(os.path.join(top, path), encoding="utf-8") as source:
            problems += check_lengths(path, without_comments(source.read()))
    return len(files), problems


def check(top, folder="mm/gmem_persist"):
    """Number of files, and the problems"""
    problems, codes = [], {}
    files = sorted(f for f in os.listdir(os.path.join(top, folder)) if f.endswith((".c", ".h")))
    for file in files:
        with open(os.path.join(top, folder, file), encoding="utf-8") as source:
            code = without_comments(source.read())
        name = file[:-2]
        if file.endswith(".c"):
            codes[name] = code
        allowed = tuple(f"gmem_{word}_" for word in (name, *WORDS.get(name, ())))
        problems += check_file(name, f"{folder}/{file}", code, allowed)
    for path, allowed in ELSEWHERE.items():
        with open(os.path.join(top, path), encoding="utf-8") as source:
            problems += check_file(path, path, without_comments(source.read()), allowed)
    tools, tools_problems = check_tools(top)
    return (len(files) + len(ELSEWHERE) + tools,
            problems + check_calls(folder, codes) + tools_problems)
