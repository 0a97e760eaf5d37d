# SPDX-License-Identifier: GPL-2.0
"""What scripts/check holds the documents to, beside that sphinx builds them.

- Each errno that a call can return stands in one table, once, and each errno in a table can be
  returned (TABLES, INSIDE). What a call can return is what is written as -E... in the functions
  that it reaches, by their names; what the rest of the kernel returns is listed here.
- Each line that the pool writes to the log, and each tracepoint, is explained.
- Files, make targets and headings that a text names exist, and each VM test is named.
- Kernel documentation names no file of this repository that is not part of the series.
- Whole files of C in it compile.
- codespell knows each word.
- No page is longer than somebody may be asked to read (LENGTHS).
"""
import fnmatch
import glob
import os
import re
import shutil
import subprocess

import layers
import vmtests

ADMIN = "Documentation/admin-guide/mm/gmem-persist.rst"
MESSAGES = "Documentation/admin-guide/mm/gmem-persist-messages.rst"
FILES = "Documentation/filesystems/gmemfs.rst"
KVM = "Documentation/virt/kvm/gmem-persist.rst"
SYSFS = "Documentation/ABI/testing/sysfs-kernel-mm-gmem-persist"

# What gives memory to an object meets these in the rest of the kernel:
MEMORY = "EIO EINTR EHWPOISON ENOMEM"
DESCRIPTOR = "EMFILE ENFILE"
# By VFS, with the pool's functions called through its tables
VFS = """gmem_file_open gmem_file_mmap gmem_file_fallocate gmem_data_write_iter gmem_data_read_iter
	gmem_fs_setattr gmem_dir_create gmem_dir_mkdir gmem_dir_unlink gmem_dir_rename
	gmem_dir_root_tmpfile gmem_dir_root_setattr gmem_dir_lookup gmem_fs_get_tree
	gmem_fs_parse_param"""

# Every table of errnos: its file, and for each column of marks (none: "") the functions that user
# space calls, what comes from elsewhere, and what cannot come on this way. They are in the order
# in which they stand.
TABLES = [
    # It has neither name nor file; it asks for a pool first, with EINVAL
    (KVM, {"P": ("kvm_gmem_persist_create", f"{MEMORY} {DESCRIPTOR}",
                 "EBADF EEXIST ENAMETOOLONG ENODEV ENOENT"),
           # EACCES, EROFS: by kernel_tmpfile_open(); ENOENT: then it creates
           "R": ("kvm_gmem_persist_create_from", f"{MEMORY} {DESCRIPTOR} EACCES EROFS",
                 "ENAMETOOLONG ENOENT"),
           # EACCES, EISDIR: by opening the name; a directory is never made
           "N": ("kvm_gmem_persist_ioctl", f"{MEMORY} {DESCRIPTOR} EACCES EISDIR",
                 "ENAMETOOLONG")}),
    # By kvm_gmem_fallocate() and kvm_gmem_mmap()
    (KVM, {"": ("kvm_gmem_view_fallocate kvm_gmem_view_mmap", "EOPNOTSUPP EINVAL ENODEV", "")}),
    (FILES, {"": (VFS, f"{MEMORY} EACCES EFBIG ENAMETOOLONG EOPNOTSUPP", "")}),
    # EBADF: by ioctl(), of what is open by O_PATH
    (FILES, {"I": ("gmem_info_ioctl", "EBADF", ""),
             "V": ("gmem_view_ioctl", "EBADF", ""),
             # EROFS: by mnt_want_write_file()
             "Q": ("gmem_quotactl_ioctl", "EBADF EROFS", ""),
             "A": ("gmem_attach_ioctl", "", "")}),
    # ENOENT, EBUSY: by LUO, for a file that no handler knows, or that it has already
    (FILES, {"P": ("gmem_luo_preserve", "ENOENT ENOMEM EBUSY", ""),
             # ENFILE: by dentry_open()
             "R": ("gmem_luo_retrieve gmem_file_open", "ENFILE ENOENT", "")}),
    # EINVAL: by kstrtobool(); ENOEXEC: kept in gmem_pool.image by leave.c
    (SYSFS, {"": ("gmem_sysfs_frozen_store", "EINVAL ENOEXEC", "")}),
    (SYSFS, {"": ("gmem_sysfs_lossy_kexec_store", "EINVAL", "")}),
    # ERANGE: by kstrtouint()
    (SYSFS, {"": ("gmem_sysfs_clean__name_store", "ERANGE EINVAL", "")}),
    (SYSFS, {"": ("gmem_sysfs_clean__name_store", "ERANGE EINVAL", "")}),
    (SYSFS, {"": ("gmem_sysfs_clean__name_store", "ERANGE EINVAL", "")}),
    # EACCES, ENOENT: by the way to the name, which is locked then: no ESTALE
    (SYSFS, {"": ("gmem_sysfs_discard_store", "EACCES ENOENT", "ESTALE")}),
    (SYSFS, {"": ("gmem_sysfs_release_store", "", "")}),
    # gmem_start_again() leaves the work to another task, and tells ENOMEM only
    (SYSFS, {"": ("gmem_sysfs_restore_store gmem_start_again", "",
                  "EAGAIN EDQUOT EFAULT ENODEV ENOSPC")}),
]

# What a function returns, and all of its callers keep to themselves:
INSIDE = {
    # a bug, of which they warn
    "gmem_arena_free": "EEXIST ENOENT", "gmem_arena_take": "ENOENT", "gmem_ranges_add": "EEXIST EINVAL ENOMEM",
    "gmem_poison_note": "EEXIST ENOSPC",
    # they try again
    "gmem_backing_check": "EAGAIN", "gmem_backing_take_plan": "EAGAIN",
    "gmem_name_do_give": "EAGAIN", "gmem_session_record": "EAGAIN",
    # no: who has a file open, has an object that is not gone
    "gmem_grow_add": "ENOENT",
}

CODE = ("mm/gmem_persist/*.c", "virt/kvm/guest_memfd_persist.c")
NOT_CODE = ("gmem_persist_kunit.c", "stop.c", "debugfs.c")
ERRNO = re.compile(r"-(E[A-Z][A-Z0-9]+)\b")


def build(tree, own, out):
    """
    Build our pages, and no others, as the kernel does: in a folder of their own, since a folder of
    the kernel's (Documentation/filesystems/) takes minutes. Returns what sphinx said.
    """
    pages = [f for f in own if f.startswith("Documentation/") and f.endswith(".rst")]
    source = os.path.join(out, "Documentation")
    shutil.rmtree(out, ignore_errors=True)
    for page in pages:
        os.makedirs(os.path.dirname(os.path.join(out, page)), exist_ok=True)
        shutil.copy(os.path.join(tree, page), os.path.join(out, page))
    # What the kernel's extensions look for beside the pages
    os.symlink(os.path.join(tree, "MAINTAINERS"), os.path.join(out, "MAINTAINERS"))
    with open(os.path.join(source, "index.rst"), "w", encoding="utf-8") as index:
        index.write("Pages\n=====\n\n.. toctree::\n\n" + "".join(
            f"   /{page.removeprefix('Documentation/').removesuffix('.rst')}\n" for page in pages))
    # The distribution's sphinx, not one that a version manager put in front of it.
    env = dict(os.environ, LC_ALL="C", PATH="/usr/bin:" + os.environ["PATH"], srctree=tree,
               KERNELVERSION="7.3", PYTHONPATH=os.path.join(tree, "tools/lib/python"))
    config = ["-D", "version=7.3", "-D", "release=7.3", "-D", f"kerneldoc_srctree={tree}"]
    result = subprocess.run(
        ["/usr/bin/python3", "-m", "sphinx", "-b", "html", "-q", "-c",
         os.path.join(tree, "Documentation"), "-d", os.path.join(out, "doctrees"), *config, source,
         os.path.join(out, "html")],
        cwd=os.path.join(tree, "Documentation"), env=env, text=True, errors="replace", check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return pages, result.returncode, result.stdout


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def bodies(top):
    """What is between the braces of each function, without comments and strings"""
    found = {}
    for pattern in CODE:
        for path in sorted(glob.glob(os.path.join(top, pattern))):
            if os.path.basename(path) in NOT_CODE:
                continue
            code = layers.without_comments(read(path))
            lines = code.split("\n")
            for function in layers.functions(code):
                first = next(n for n in range(function.line - 1, len(lines))
                             if lines[n].rstrip("\\ \t") == "{")
                found[function.name] = "\n".join(lines[first:first + function.lines + 2])
    return found


def own_errnos(body):
    """Those that it makes, and not those that it compares with"""
    body = re.sub(r"[!=]=\s*(ERR_PTR\()?-E\w+|case -E\w+", "", body)
    return set(ERRNO.findall(body))


def reachable(functions, entries):
    """{errno: functions that make it}, of all that the entries call"""
    seen, todo, errnos = set(), list(entries), {}
    while todo:
        name = todo.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for errno in own_errnos(functions[name]):
            if errno not in INSIDE.get(name, "").split():
                errnos.setdefault(errno, set()).add(name)
        # Not the tag of a structure, which may have a function's name
        todo += re.findall(r"(?<!struct )\b[a-z]\w+", functions[name])
    return errnos


def tables(text):
    """(line, [(errno, marks)]) of each simple table with errnos in its first column"""
    found, rows, start = [], [], 0
    lines = text.split("\n")
    for at, line in enumerate(lines):
        border = re.fullmatch(r"\s*=+( +=+)+", line)
        if border and rows:
            found.append((start, rows))
            rows = []
        elif border:
            start = at + 1
        else:
            row = re.match(r"\s*(E[A-Z][A-Z0-9]+) +((?:[A-Z.] )*)", line)
            if row and start and not re.match(r"\s*=", line):
                rows.append((row.group(1), row.group(2).replace(" ", "")))
    return found


def check_table(functions, where, rows, columns):
    problems = []
    errnos = [errno for errno, _ in rows]
    for errno in sorted({e for e in errnos if errnos.count(e) > 1}):
        problems.append(f"{where}: {errno} is there more than once")
    for mark, (entries, elsewhere, never) in columns.items():
        for entry in entries.split():
            if entry not in functions:
                problems.append(f"scripts/docs.py: TABLES names {entry}(), which does not exist")
        can = {errno: names for errno, names in reachable(functions, entries.split()).items()
               if errno not in never.split()}
        told = {errno for errno, marks in rows if not mark or mark in marks}
        column = f", column {mark}" if mark else ""
        for errno in sorted(set(can) - told):
            problems.append(f"{where}{column}: {errno} is missing: "
                            f"{', '.join(sorted(can[errno])[:4])}")
        for errno in sorted(told - set(can) - set(elsewhere.split())):
            problems.append(f"{where}{column}: nothing returns {errno}")
        for errno in sorted(set(elsewhere.split()) - told):
            problems.append(f"{where}{column}: {errno} is missing, which comes from elsewhere")
    return problems


def check_errnos(top, own):
    """Files, and problems"""
    functions = bodies(top)
    problems = [f"scripts/docs.py: INSIDE names {name}(), which does not make {errno}"
                for name, errnos in INSIDE.items() for errno in errnos.split()
                if errno not in own_errnos(functions.get(name, ""))]
    wanted = {}
    for file, columns in TABLES:
        wanted.setdefault(file, []).append(columns)
    files = [f for f in own if f.endswith((".rst", ".h", ".c")) or "/ABI/" in f]
    for file in files:
        text = re.sub(r"^ \* ?", "", read(top, file), flags=re.M)
        there = [t for t in tables(text) if len(t[1]) > 1]
        expected = wanted.get(file, [])
        if len(there) != len(expected):
            problems.append(f"{file}:{there[-1][0] if there else 1}: {len(there)} tables of "
                            f"errnos, and {len(expected)} in scripts/docs.py")
            continue
        for (line, rows), columns in zip(there, expected):
            problems += check_table(functions, f"{file}:{line}", rows, columns)
    return len(files), problems


def plain(text):
    """Words only, so that neither lines nor markup matter"""
    return " ".join(re.sub(r"[`*\\]", "", text).split())


def check_messages(top):
    """Log lines, reasons in them, and tracepoints"""
    text = plain(read(top, MESSAGES))
    told = text + plain(read(top, ADMIN))
    problems, count = [], 0
    files = [p for p in sorted(glob.glob(os.path.join(top, "mm/gmem_persist/*.c")))
             if os.path.basename(p) not in NOT_CODE]
    for path in files:
        code = re.sub(r"/\*.*?\*/", "", read(path), flags=re.S)
        calls = re.findall(r'\bpr_(?:err|warn|notice|info)\w*\(\s*((?:"(?:\\.|[^"\\])*"\s*)+)', code)
        calls += re.findall(r'(?:\breturn|\b(?:why|bad)\s*=|\?|:)\s*((?:"[a-z](?:\\.|[^"\\])*"\s*)+)'
                            r'[;:,]', code)
        for call in calls:
            line = "".join(re.findall(r'"((?:\\.|[^"\\])*)"', call)).replace("\\n", "")
            count += 1
            # What is between the values that are put in
            for piece in re.split(r"%[-#\d]*(?:ll|z)?[a-z](?:U?b|e)?", line.replace('\\"', '"')):
                words = plain(piece).strip(" :,;[]-()=")
                if len(words) > 3 and words not in told:
                    problems.append(f"{MESSAGES}: nothing about \"{line}\" "
                                    f"({os.path.relpath(path, top)})")
                    break
    for event in re.findall(r"(?:TRACE_EVENT|DEFINE_EVENT)\((?:\w+, )?(gmem_\w+),\s*\n",
                            read(top, "include/trace/events/gmem_persist.h")):
        count += 1
        if event not in text:
            problems.append(f"{MESSAGES}: nothing about the tracepoint {event}")
    return count, problems


def anchors(text):
    """The headings of a Markdown file, as links name them"""
    titles = re.findall(r"^#+ +(.*)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def markdown(top):
    return sorted(os.path.relpath(p, top) for pattern in ("*.md", "*/*.md", "*/*/*.md")
                  for p in glob.glob(os.path.join(top, pattern))
                  if not os.path.relpath(p, top).startswith("build/"))


def check_links(top, tree, own):
    """What texts name"""
    problems = []
    targets = set(re.findall(r"^([a-z-]+):", read(top, "Makefile"), re.M))
    folders = tuple(f"{f}/" for f in sorted(os.listdir(top))
                    if os.path.isdir(os.path.join(top, f)) and f not in (".git", "build"))
    pages = markdown(top)
    for page in pages:
        text = read(top, page)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            if not os.path.exists(os.path.join(top, path)):
                problems.append(f"{page}: there is no {target}")
            elif anchor and anchor not in anchors(read(top, path)):
                problems.append(f"{page}: there is no heading {target}")
        for word in re.findall(r"`([\w./-]+)`", text):
            if word.startswith(folders) and not any(
                    os.path.exists(os.path.join(where, word)) for where in (top, tree)):
                problems.append(f"{page}: there is no {word}")
        for word in re.findall(r"(?:^ {4}|`)make ([a-z][\w-]*)\b(?!=)", text, re.M):
            if word not in targets and word != "headers_install":
                problems.append(f"{page}: there is no make {word}")
    named = re.findall(r"`([a-z0-9*-]+)`", read(top, "tests/TESTS.md"))
    for name, test in sorted(vmtests.all_tests().items()):
        if not test.runs_on("bench") and not any(fnmatch.fnmatch(name, n) for n in named):
            problems.append(f"tests/TESTS.md: nothing about {name}")
    texts = [f for f in own if not f.endswith((".json", ".bin"))]
    for file in texts:
        text = read(top, file).replace("\\-", "-")
        for word in set(re.findall(r"\bDocumentation/[\w./-]*\w", text)):
            if not os.path.exists(os.path.join(tree, word)):
                problems.append(f"{file}: there is no {word}")
        if file.endswith(".rst"):
            for word in re.findall(r"\b(?:tests|findings|build|config)/\w[\w./-]*"
                                   r"|``make [a-z-]+|\bgmem-payload\b", text):
                if not os.path.exists(os.path.join(tree, word)):
                    problems.append(f"{file}: {word} is not in the kernel")
            folder, name = os.path.split(file)
            if name[:-4] not in read(tree, folder, "index.rst").split():
                problems.append(f"{file}: {folder}/index.rst does not name it")
    return len(pages) + len(texts), problems


def check_examples(top, own, include):
    """C in the documents that is a whole file, which its #include says"""
    problems, count = [], 0
    for file in own:
        if not file.endswith(".rst"):
            continue
        text = read(top, file)
        for block in re.finditer(r"^\.\. code-block:: c\n\n((?:[ \t]+.*\n|\n)+)", text, re.M):
            if "#include" not in block.group(1):
                continue
            count += 1
            line = text.count("\n", 0, block.start(1)) + 1
            result = subprocess.run(
                ["gcc", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-isystem", include,
                 "-x", "c", "-"], input=f'#line {line} "{file}"\n{block.group(1)}',
                capture_output=True, text=True, check=False)
            problems += result.stderr.splitlines() if result.returncode else []
    return count, problems


# The most lines that a page may have. Where that is more than what was first meant for it, because
# of what the pool has learnt since, or because an example belongs there, the reason stands beside.
LENGTHS = {
    "README.md": 130,
    "INSTALL.md": 150,
    "FIGURES.md": 160,	# 110, and devices, the blackout under systemd, the peers
    "tests/README.md": 90,	# 70, and clocks, disks, several kernels
    "tests/TESTS.md": 100,
    "patches/README.md": 60,
    # 480, and limits of directories, sessions, what comes back by attach, where operators stumbled
    ADMIN: 575,
    MESSAGES: 260,	# 170, and what is refused, held by sessions, mapped by devices
    FILES: 250,		# 120, and identity, limits, attach, sessions, each with its errnos
    KVM: 540,		# 420, and a whole VMM, direct I/O and devices
    # 330, and limits, sessions, devices, locks, information, where invariants are kept
    "Documentation/mm/gmem-persist.rst": 495,
    "Documentation/mm/gmem-persist-alternatives.rst": 200,
}


def check_lengths(top):
    """Each page by its lines"""
    problems = []
    for name, most in LENGTHS.items():
        lines = read(top, name).count("\n")
        if lines > most:
            problems.append(f"{name}: {lines} lines, more than {most}")
    return len(LENGTHS), problems


# Words that codespell takes for others
WORDS = "fro,iput,ot,ser"


def check_spelling(top, own):
    """Words in all that is ours"""
    files = markdown(top) + [f for f in own if not f.endswith((".json", ".bin"))]
    files += [os.path.relpath(p, top) for pattern in
              ("scripts/*", "tests/vm/*/*.[chs]*", "tests/qemu/*.c", "tests/debian/*",
               "findings/*.sh", ".ci/run", "patches/*.msg",
               "patches/README.md", "patches/*.txt", "Makefile")
              for p in sorted(glob.glob(os.path.join(top, pattern))) if os.path.isfile(p)]
    said = subprocess.run(["codespell", "--ignore-words-list", WORDS, *files], cwd=top,
                          capture_output=True, text=True, check=False)
    return len(files), (said.stdout + said.stderr).splitlines()
