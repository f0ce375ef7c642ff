# Edge: what can be made. `make help` lists it.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help packages build demo test unit check firmware system interop grid bench fuzz format clean

# $(call step,what it does,command): says what runs and how long it took.
define step
	@printf '== %s\n' "$(1)"
	started=$$SECONDS
	$(2)
	printf '== %s: %d s\n' "$(1)" $$((SECONDS - started))
endef

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

packages: ## installs the Debian packages building and testing need (root or sudo)
	@Firmware/install-packages

build: ## builds edge and edge-rendezvous for this machine (release)
	@Firmware/install-packages build
	$(call step,building edge and edge-rendezvous,swift build -c release --static-swift-stdlib --product edge && swift build -c release --static-swift-stdlib --product edge-rendezvous)

demo: build ## rendezvous, node and viewer on this machine; ends with a picture
	@.build/release/edge demo

test: packages ## everything below, and one summary line at the end
	@Tests/run

unit: packages ## the unit tests of every target
	@Tests/run unit

check: packages ## arrows, formatting, file sizes, the firmware binaries
	@Tests/run checks firmware

firmware: packages ## the static edge for x86_64 and arm64, in Firmware/out
	$(call step,building the firmware for x86_64 and arm64,Firmware/build)

system: packages ## the built programs in network namespaces and in virtual machines
	@Tests/run firmware system qemu

interop: packages ## peers from packages: sipp, aiortc
	@Tests/run interop

grid: packages ## measures every pair of NATs in network namespaces and prints the table
	@Tests/run grid

bench: packages ## prints the figures and holds them to their budgets
	@Tests/run bench

fuzz: packages ## every fuzzer for a few seconds, after the inputs kept from earlier runs
	@Tests/run fuzz

format: ## formats every Swift file
	@swift format -i -r -p Package.swift Sources Tests Firmware

clean: ## removes everything that was built
	@rm -rf .build Tests/Fuzz/.build .build-embedded .build-firmware Firmware/out Firmware/sysroot .venv
