# SPDX-License-Identifier: GPL-2.0
"""Run a VM test for the figures that it finds, and keep them as JSON. For bench-*, boots,
stress and demo."""
import json
import os
import sys

import vmtests

TOP = vmtests.TOP
BUILD = os.path.join(TOP, "build")
RESULTS = os.path.join(BUILD, "results")


def run(test, *options, must_pass=False):
    """The outcome of a VM test, as scripts/run-vm writes it with these options."""
    outcome = vmtests.run(test, test, *options, show=True)
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
