# SPDX-License-Identifier: GPL-2.0
"""Run a VM test for the figures that it finds, and keep them as JSON. For bench-*, boots,
stress and demo."""
import json
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(TOP, "build")
RESULTS = os.path.join(BUILD, "results")


def run(test, *options, must_pass=False):
    """The outcome of a VM test, as scripts/run-vm writes it with these options."""
    os.makedirs(RESULTS, exist_ok=True)
    path = os.path.join(RESULTS, f"vm-{test}.json")
    if os.path.exists(path):
        os.unlink(path)
    status = subprocess.run([os.path.join(TOP, "scripts", "run-vm"), "--test", test,
                             "--json", path, *options], check=False).returncode
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            outcome = json.load(file)
    else:
        outcome = {"verdict": "fail", "reason": f"run-vm ended with status {status}",
                   "results": {}}
    if must_pass and outcome["verdict"] != "pass":
        sys.exit(1)
    return outcome


def write(name, figures):
    """To build/results/NAME.json"""
    os.makedirs(RESULTS, exist_ok=True)
    with open(os.path.join(RESULTS, f"{name}.json"), "w", encoding="utf-8") as file:
        json.dump(figures, file, indent=1)


def show(figures):
    width = max(map(len, figures)) + 2
    for key, value in figures.items():
        print(f"{key:<{width}}{value}")
