# SPDX-License-Identifier: GPL-2.0
"""The page that scripts/report makes: a table, and charts by gnuplot, of which nothing has to be
fetched. The page is XML, and is parsed before it is written."""
import html
import json
import os
import subprocess
import xml.etree.ElementTree as ElementTree

import bench

# Colours that people who see fewer of them can tell apart (Okabe and Ito)
COLOUR = {"ours": "#0072b2", "luo_2m": "#d55e00", "luo_4k": "#e69f00", "hugetlb": "#009e73",
          "guest_memfd": "#cc79a7", "file": "#777777"}
SHORT = {"ours": "gmem_persist", "luo_2m": "LUO, 2 MiB", "luo_4k": "LUO, 4 KiB",
         "hugetlb": "hugetlb, copied", "guest_memfd": "guest_memfd, copied",
         "file": "ordinary, copied"}
NAME = {"ours": "gmem_persist", "luo_2m": "LUO memfd, 2 MiB pages", "luo_4k": "LUO memfd, 4 KiB pages",
        "hugetlb": "hugetlb 1 GiB, copied", "guest_memfd": "guest_memfd, copied",
        "file": "ordinary memory, copied"}
BLACKOUT = {"save": "#0072b2", "shutdown": "#56b4e9", "kexec": "#e69f00", "boot": "#d55e00",
            "resume": "#009e73"}
OPERATIONS = {"create": "#0072b2", "reclaim": "#d55e00", "unlink": "#009e73", "freeze": "#cc79a7"}
# What is shown as it was last measured
FURTHER = {"kvm": "What memory costs a VMM and its guest", "pool": "Clearing memory and giving it out",
           "io": "Direct I/O and devices", "blackout": "How long guests are away under systemd"}
# Units of the charts, as wide as a small phone; the page scales them.
WIDTH, HEIGHT = 400, 340
COMMON = """
set border 3 lc "#555555"
set tics nomirror textcolor "#333333"
set grid lc "#dddddd" lw 1
set key outside bottom center horizontal Left reverse maxcols 2 samplen 1.5 textcolor "#333333"
set ylabel textcolor "#333333"
set style fill solid noborder
"""
SIZES = """
set logscale xy
set xtics ("1 GiB" 1, "8" 8, "64" 64, "512" 512, "4 TiB" 4096)
set xrange [0.2:2048]
"""
# In ms, without what would be read as a power
TICS = ('set ytics ("0.001" 1e-3, "0.01" 1e-2, "0.1" 0.1, "1 ms" 1, "10" 10, "100" 100, "1,000" 1e3, '
        '"10,000" 1e4, "100,000" 1e5, "1,000,000" 1e6)\n')
CSS = """
body { margin: 0 auto; max-width: 62rem; padding: 1rem; color: #222; background: #fff;
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0.5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; }
p, figcaption, li { max-width: 44rem; }
.charts { display: grid; gap: 1.5rem 2.5rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); }
figure { margin: 0; min-width: 0; }
figure h2 { margin: 0.5rem 0; }
figure svg { width: 100%; height: auto; display: block; }
figcaption { font-size: 0.92rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.92rem; }
th, td { padding: 0.25rem 0.45rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { border-bottom: 2px solid #999; vertical-align: bottom; }
"""


def block(name, rows):
    """Data for gnuplot"""
    text = "\n".join(" ".join(f'"{cell}"' if isinstance(cell, str) else repr(cell) for cell in row)
                     for row in rows)
    return f"${name} << EOD\n{text}\nEOD\n"


def draw(name, title, commands, height=HEIGHT):
    """A chart as an <svg> that can stand among others"""
    terminal = (f'set terminal svg size {WIDTH},{height} dynamic noenhanced font "sans-serif,13" '
                f'name "{name}" background "white"\n')
    svg = subprocess.run(["gnuplot"], input=terminal + COMMON + commands, check=True,
                         capture_output=True, text=True).stdout
    svg = svg[svg.index("<svg"):]
    # Names of marks are the same in each chart.
    svg = svg.replace("gpPt", f"{name}Pt").replace("gpDot", f"{name}Dot")
    return svg.replace("<title>Gnuplot</title>", f"<title>{html.escape(title)}</title>")


def sizes_chart(name, title, figures, column):
    """Of each way what was measured, and the line on to 1 TiB"""
    data, plots = "", []
    for way, points in figures["points"].items():
        rows = [[point[0], point[column]] for point in points]
        data += block(way, rows)
        colour = COLOUR[way]
        plots.append(f'${way} using 1:2 with linespoints lw 2 pt 7 ps 0.5 lc "{colour}" '
                     f'title "{SHORT[way]}"')
        if points[-1][0] < 1024:
            data += block(way + "_on", [rows[-1], [1024.0, rows[-1][1] / rows[-1][0] * 1024]])
            plots.append(f'${way}_on using 1:2 with lines lw 1.5 dt 2 lc "{colour}" notitle')
    return draw(name, title, data + SIZES + TICS + "set yrange [0.002:3e6]\n"
                + "plot " + ", ".join(plots), HEIGHT + 80)


def objects_chart(scale):
    counts = (16, 4000, 65536)
    data, plots = "", []
    for what, colour in OPERATIONS.items():
        for prefix, style in (("", "lw 2 pt 7 ps 0.5"), ("before_", "lw 1.5 dt 2 pt 6 ps 0.5")):
            rows = [[count, scale[f"{prefix}{what}_ms_{count}"]] for count in counts
                    if scale.get(f"{prefix}{what}_ms_{count}") is not None]
            if not rows:
                continue
            data += block(prefix + what, rows)
            title = "notitle" if prefix else f'title "{what}"'
            plots.append(f'${prefix}{what} using 1:2 with linespoints {style} lc "{colour}" {title}')
    return draw("objects", "Cost of an operation by number of objects", data + TICS + """
set logscale xy
set xtics ("16" 16, "256" 256, "4,000" 4000, "65,536" 65536)
set xrange [10:100000]
set yrange [0.001:100]
plot """ + ", ".join(plots))


def size_text(count):
    return f"{count >> 30} GiB" if count >= 1 << 30 else f"{count >> 20} MiB"


def blackout_chart(restart):
    guests = [(size_text(guest["guest_ram_bytes"]), guest) for guest in restart["guests"]]
    if restart.get("baseline"):
        guest = restart["baseline"]
        guests.append((size_text(guest["guest_ram_bytes"]) + ", file", guest))
    rows = [[label, *(guest["parts"][part] for part in BLACKOUT)] for label, guest in guests]
    plots = [f'$parts using {column}:xtic(1) title "{part}" lc "{colour}"'
             for column, (part, colour) in enumerate(BLACKOUT.items(), 2)]
    return draw("blackout", "Blackout of a guest, in its parts", block("parts", rows) + """
set style data histograms
set style histogram rowstacked
set boxwidth 0.6
set grid noxtics
set key maxcols 5
set yrange [0:*]
set ylabel "ms"
plot """ + ", ".join(plots))


def memmap_chart(figures):
    ways = {"memmap": ("memmap of 4 KiB pages", "#d55e00"),
            "device_dax": ("device-dax, 1 GiB", "#cc79a7"),
            "hugetlb_1g": ("hugetlb 1 GiB with HVO", "#009e73")}
    plots = [f'{figures["memmap_bytes_per_tib"][way] / (1 << 20) / 1024} * x lw 2 lc "{colour}" title "{title}"'
             for way, (title, colour) in ways.items()]
    # Zero has no place on such an axis.
    plots.append(f'0.0012 lw 3 lc "{COLOUR["ours"]}" title "gmem_persist: none"')
    return draw("memmap", "Struct pages by size of memory", SIZES + """
set xrange [1:4096]
set yrange [0.001:1e6]
set format y "%g"
set ytics ("1 KiB" 0.0009765625, "32 KiB" 0.03125, "1 MiB" 1, "32 MiB" 32, "1 GiB" 1024, "32 GiB" 32768)
plot """ + ", ".join(plots))


def fragmentation_chart(figures):
    rows = [[policy, *figures["fragmentation"][policy], n]
            for n, policy in enumerate(reversed(figures["fragmentation"]))]
    return draw("fragmentation", "Whole GiB that are left free, by policy", block("policies", rows) + """
set xrange [0:1]
set yrange [-0.6:""" + str(len(rows) - 0.4) + """]
set grid noytics
set ytics scale 0
plot $policies using (0):4:(0):2:($4-0.3):($4+0.3):ytic(1) with boxxyerror lc "#0072b2" title "mean", \\
     $policies using 3:4 with points pt 7 ps 0.7 lc "#e69f00" title "worst"
""")


def number(value):
    """Three digits that say something"""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def rows_of(figures):
    """(way, save, restore, map) of 1 TiB, in ms; None: there is nothing to be done"""
    rows = [(NAME["ours"], figures["save_ms_1t"], figures["restore_ms_1t"], figures["map_ms_1t"])]
    for way, name in NAME.items():
        if way != "ours":
            rows.append((name, *(figures[key] * 1024 if key in figures else None for key in
                                 (f"{way}_{what}_ms_per_gib" for what in ("save", "restore", "map")))))
    return rows


HEAD = ("a guest of 1 TiB, ms", "save", "restore", "map")


def table(figures):
    """As text, which is Markdown, too"""
    rows = [HEAD, *((row[0], *("-" if cell is None else number(cell) for cell in row[1:]))
                    for row in rows_of(figures))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["| " + " | ".join(cell.ljust(width) if not n else cell.rjust(width) for n, (cell, width)
                              in enumerate(zip(row, widths))) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2 - bool(n)) + (":" if n else "")
                                   for n, width in enumerate(widths)) + "|")
    lines += ["", "All but the first line is extrapolated from 1 GiB at most."]
    lines += [f"{key}: {figures[key]}" for key in
              ("ratio_1t", "ratio_1t_mapped", "ratio_1t_start", "flat", "boot_ms_0", "boot_ms_1t",
               "start_ms", "luo_4k_boot_extra_ms_per_gib", "luo_2m_boot_extra_ms_per_gib")]
    return "\n".join(lines)


def html_table(figures):
    head = "".join(f"<th>{cell}</th>" for cell in HEAD)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in
                                    (row[0], *("–" if cell is None else number(cell) for cell in row[1:])))
                   + "</tr>" for row in rows_of(figures))
    return (f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>'
            "</table></div>")


def figure(title, svg, caption):
    return f"<figure><h2>{title}</h2>{svg}<figcaption>{caption}</figcaption></figure>"


def missing(title, command):
    return f"<figure><h2>{title}</h2><p>Not measured: <code>{command}</code>.</p></figure>"


def charts(figures, others):
    scale, restart = others["scale"], others["restart"]
    yield figure("Save", sizes_chart("save", "Save, by size of the guest", figures, 1),
                 "To save is to freeze the pool, to preserve the memfd, or to write all memory to a "
                 "file, which takes the same whatever it is. Dashed lines go on from the largest size "
                 "that was measured.")
    yield figure("Restore", sizes_chart("restore", "Restore, by size of the guest", figures, 2),
                 "To restore is to take over the object and open it, to retrieve the memfd, or to read "
                 "the file into new memory. A memfd may be preserved while its guest still runs, but "
                 "the guest is away while it is retrieved.")
    title = "Number of objects"
    yield figure(title, objects_chart(scale),
                 "What an operation costs beside so many other objects, in a pool of 1 TiB. Dashed is "
                 f"an earlier kernel of this project, {html.escape(scale['before_commit'])}.") \
        if scale else missing(title, "make bench-scale")
    title = "Blackout"
    yield figure(title, blackout_chart(restart),
                 "How long a Linux guest in QEMU is away while its host gets another kernel, by the "
                 "size of its memory, in ms. The last bar is a guest with ordinary memory, which is "
                 "saved to a file and read back.") \
        if restart and restart["verdict"] == "pass" else missing(title, "make bench-restart")
    yield figure("Struct pages", memmap_chart(figures),
                 "How much memory the struct pages of so much memory take, which is calculated. "
                 "Memory of the pool has none: its line is at the bottom, as the axis has no zero.")
    yield figure("Fragmentation", fragmentation_chart(figures),
                 "Free whole GiB out of what could be free, in simulated lives of a fleet on a pool of "
                 "1 TiB, by policy of allocation. The kernel’s is “arena”. A dot is the worst moment.")


def further(others):
    """The other benchmarks, by the keys that the heads of their scripts explain"""
    for name, what in FURTHER.items():
        figures, command = others[name], f"<code>make bench-{name}</code>"
        if not figures:
            yield f"<p>{what}. Not measured: {command}.</p>"
            continue
        rows = "".join(f"<tr><td>{key}</td><td>{number(value)}</td></tr>"
                       for key, value in figures.items() if isinstance(value, (int, float)))
        yield (f"<details><summary>{what}, as {command} left it</summary>"
               f'<div class="wide"><table><tbody>{rows}</tbody></table></div></details>')


def summary(figures):
    say = {key: number(figures[key]) for key in
           ("save_ms_1t", "restore_ms_1t", "map_ms_1t", "ratio_1t", "ratio_1t_mapped", "ratio_1t_start",
            "boot_ms_0", "boot_ms_1t", "start_ms", "luo_2m_save_ms_per_gib",
            "luo_2m_restore_ms_per_gib", "luo_4k_boot_extra_ms_per_gib")}
    return f"""
<p>gmem_persist saves a guest of 1 TiB in {say['save_ms_1t']} ms and restores it in
{say['restore_ms_1t']} ms. A memfd of 2 MiB pages in a session of the Live Update Orchestrator (LUO)
takes {say['luo_2m_save_ms_per_gib']} ms and {say['luo_2m_restore_ms_per_gib']} ms for each GiB; for
1 TiB, extrapolated, that is <strong>{say['ratio_1t']} times</strong> as much. When each leaf has to be
mapped as well, which takes us {say['map_ms_1t']} ms, it is {say['ratio_1t_mapped']} times.</p>
<p>A guest of 1 TiB takes {figures['flat']} times what one of 1 GiB takes. A kexec takes
{say['boot_ms_1t']} ms with it and {say['boot_ms_0']} ms without a guest, until the last initcall of the
next kernel. {say['start_ms']} ms of that are for the pool, whatever is in it; if they are counted as part
of ours, {say['ratio_1t_start']} times are left. Memfds of 4 KiB pages make a kexec longer by
{say['luo_4k_boot_extra_ms_per_gib']} ms for each GiB.</p>
<p>A ms is a million instructions here. The host’s clock counts them, so these figures do not
depend on the machine; they know nothing of caches and of how fast memory is. All ways were measured in
the same run on the same kernel. “Copied” memory does not survive: it is written to a file in memory, and
read back.</p>
"""


def write(path, figures, others):
    page = f"""<!DOCTYPE html>
<html lang="en" xmlns="http://www.w3.org/1999/xhtml">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>gmem_persist: figures</title>
<style>{CSS}</style>
</head>
<body>
<h1>gmem_persist: a guest’s memory and a new kernel</h1>
{summary(figures)}
{html_table(figures)}
<p>All but the first line is extrapolated from what up to 1 GiB takes.</p>
<div class="charts">{"".join(charts(figures, others))}</div>
<h2>Other benchmarks</h2>
{"".join(further(others))}
<p>Made by <code>make report</code>; what the figures are is said at the head of
<code>scripts/report</code>.</p>
</body>
</html>
"""
    ElementTree.fromstring(page)
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)


if __name__ == "__main__":
    # Once more, from what was measured
    kept = {}
    for which in ("report", "scale", "restart", *FURTHER):
        try:
            with open(os.path.join(bench.RESULTS, f"{which}.json"), encoding="utf-8") as source:
                kept[which] = json.load(source)
        except FileNotFoundError:
            kept[which] = None
    write(os.path.join(bench.RESULTS, "report.html"), kept["report"], kept)
