# SPDX-License-Identifier: GPL-2.0
#
# gmem_persist: guest memory that survives a host kexec.
# Every target brings what it needs; the work is in scripts/.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# release or debug, for: config build shell test-vm again
FLAVOUR ?= release
# The same, or kcsan, for: stress
STRESS_FLAVOUR := $(if $(filter command line,$(origin FLAVOUR)),$(FLAVOUR),debug)

export LINUX_TARBALL LINUX_SRC POOL FAULT VMM QUICK LOAD BEFORE CONFIG TRIM KEEP
# No folders of compiled scripts beside the scripts
export PYTHONDONTWRITEBYTECODE = 1

# Each script uses all CPUs by itself.
.NOTPARALLEL:

.PHONY: again bench-blackout bench-restart help deps linux config build unit frag fuzz mutants selftests initramfs demo test test-vm \
	stress sweep soak boots bench-pool bench-kvm bench-io bench-scale report check shell series deb deb-boot deb-config clean distclean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what is missing for build and test (Debian 12, 13; elsewhere: say what is missing)
	@scripts/deps build test

linux: ## build/linux-7.3: pristine source + our files + patches (LINUX_TARBALL=file, LINUX_SRC=folder)
	@scripts/deps build
	@scripts/linux-source
	@scripts/overlay

config: linux ## configure the kernel (FLAVOUR=release|debug)
	@scripts/config $(FLAVOUR)

build: config ## the kernel, the test programs and the initramfs (FLAVOUR=release|debug)
	@scripts/build $(FLAVOUR)
	@$(MAKE) initramfs

selftests: linux ## the programs that run in a VM: KVM selftests, tests/vm/programs/*.c
	@scripts/config release
	@scripts/test-programs

initramfs: selftests ## the user space of the test VMs
	@scripts/deps test
	@scripts/initramfs

unit: linux ## tests in user space with ASan and UBSan: unit tests, coverage, a short fuzzing
	@scripts/unit-tests

fuzz: linux ## fuzz the allocator and what reads foreign bytes (TIME=seconds, default 600)
	@scripts/deps fuzz
	@scripts/unit-tests fuzz

frag: linux ## simulate months of a fleet's VMs: what is left of 1 GiB capacity, by policy
	@scripts/unit-tests frag

mutants: linux ## mistakes in the pure logic that the unit tests do not notice (F="arena record", NUMBER=80 of each, TIME=600)
	@scripts/unit-tests mutants

demo: ## the story: a Linux guest survives a kexec of its host (VMM=qemu, gmem-vmm or payload, POOL=size, FAULT=corrupt-record)
	@$(MAKE) build FLAVOUR=release
	@scripts/demo

test: ## all tests on the release and the debug kernel (QUICK=1: the short ones, on the release kernel)
	@scripts/deps build test
	@scripts/run-tests

bench-pool: ## how fast memory is cleared and given out (build/results/pool.json)
	@$(MAKE) build FLAVOUR=release
	@scripts/bench-pool

bench-kvm: ## what memory costs a VMM and its guest, beside today's guest_memfd (build/results/kvm.json)
	@$(MAKE) build FLAVOUR=release
	@scripts/bench-kvm

bench-io: ## direct I/O into memory of the pool, and devices, beside ordinary memory (build/results/io.json)
	@$(MAKE) build FLAVOUR=release
	@scripts/bench-io

bench-scale: ## operations beside 65,536 objects, and a kexec with them (build/results/scale.json; BEFORE=commit: keep the figures)
	@$(MAKE) build FLAVOUR=release
	@scripts/bench-scale

bench-restart: ## how long a guest is away, by the size of its memory (VMM=qemu or gmem-vmm; build/results/restart.json)
	@$(MAKE) build FLAVOUR=release
	@scripts/bench-restart

bench-blackout: ## how long guests are away, under systemd and on a bare host (build/results/blackout.json)
	@$(MAKE) build FLAVOUR=release
	@scripts/bench-blackout

report: ## what a kexec costs guests' memory, beside the peers: table, JSON, page with charts (build/results/report.html; KEEP=1: shorter)
	@$(MAKE) build FLAVOUR=release
	@scripts/deps report
	@scripts/report

test-vm: build ## one VM test: make test-vm T=name (FLAVOUR=release|debug)
	@scripts/run-vm --flavour $(FLAVOUR) --test $(T) --echo

again: build ## one VM test N times (10): how often it passes (T=name, FLAVOUR=release|debug, LOAD=1: on a busy machine)
	@scripts/again "$(T)" $(or $(N),10) $(FLAVOUR)

stress: ## many VMMs at once, at random (TIME=seconds, 1800; FLAVOUR=debug, release, kcsan; SEED=n)
	@$(MAKE) build FLAVOUR=$(STRESS_FLAVOUR)
	@scripts/stress $(STRESS_FLAVOUR) $(or $(TIME),1800) $(SEED)

sweep: ## a kexec after each failing allocation of a boot, one after the other: takes hours
	@$(MAKE) build FLAVOUR=debug
	@scripts/run-vm --flavour debug --test no-memory-every --echo

soak: build ## new kernels for a host N times in a row (20), while two guests go on: build/results/soak.json
	@scripts/soak $(N)

boots: build ## boot with a pool of 1 TiB N times (20): build/results/boots.json
	@scripts/boots $(N)

check: ## checkpatch, sparse, W=1, kernel-doc, shellcheck, documentation
	@scripts/deps build check
	@scripts/check

shell: build ## a prompt in the booted host kernel, with the tools in it
	@scripts/run-vm --flavour $(FLAVOUR) --shell

series: linux ## build/series/: the patches for git am, in series (BUILD=1: compile each step, BUILD=quick: have the compiler look at it, TEST=1: test it, STEPS=first-last; BASE=folder: try another tree)
	@$(if $(TEST),$(MAKE) build FLAVOUR=release)
	@$(if $(filter quick,$(BUILD)),scripts/deps build check && scripts/check compile)
	@BUILD=$(BUILD) TEST=$(TEST) STEPS=$(STEPS) BASE=$(BASE) scripts/series

deb: linux ## Debian packages of the kernel, configured as the host's own (CONFIG=file: as that; TRIM=1: only the modules that are loaded here, or hours)
	@scripts/deps deb
	@scripts/deb

deb-boot: selftests ## install that package in a disk image of Debian 13, boot it by GRUB, and see memory survive a kexec (as root)
	@scripts/deps deb-boot
	@scripts/deb-boot

deb-config: linux ## only its configuration, and what is changed for the pool
	@scripts/deb config

clean: ## forget what was built, keep downloads and the source tree's package
	@scripts/clean

distclean: ## forget everything in build/
	@rm -rf build
