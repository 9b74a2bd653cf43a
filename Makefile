# What people type. `make` alone lists it.

PREFIX  ?= /usr/local
DESTDIR ?=
CARGO   ?= cargo

TARGET   = $(shell $(CARGO) metadata --format-version 1 --no-deps 2>/dev/null | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
PROGRAMS = $(notdir $(basename $(wildcard src/bin/*.rs)))
BIN      = $(DESTDIR)$(PREFIX)/bin
DOC      = $(DESTDIR)$(PREFIX)/share/doc/distcc-zeroconf
LIBEXEC  = $(DESTDIR)$(PREFIX)/lib/distcc-zeroconf
# systemd looks into those of /usr and /usr/local, and into /etc/systemd/system.
UNITDIR ?= $(PREFIX)/lib/systemd/system
UNITS    = $(DESTDIR)$(UNITDIR)
# Files below config/ name programs in /usr/local.
PLACED   = sed 's|/usr/local/|$(PREFIX)/|g'

.PHONY: help demo build test test-all peer-suite matrix hostile trees compare bench install uninstall clean
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: ## a farm of four hosts on this machine compiles a C and C++ program
	@demo/farm.sh

build: ## the programs, optimised
	$(CARGO) build --release

test: ## all checks, at most 15 minutes; as root it installs by apt-get what they need
	@.ci/test

test-all: ## the same and the long suites (LONG=1 in the environment of the tests), at most 40 minutes
	@LONG=1 .ci/test

peer-suite: build ## the original's own suite, from a checkout of its repository: SUITE=DIR
	@.ci/deps $(or $(TARGET),target)/tools peer-suite
	@python3 tests/peer-suite/run.py --suite '$(SUITE)' --ours $(or $(TARGET),target)/release

matrix: ## some 500 command lines by four compilers, alone, with the original and with ours; the table in target/matrix.txt
	LONG=1 MATRIX_TABLE=$(TARGET)/matrix.txt $(CARGO) nextest run --profile long --test compat --success-output immediate matrix

hostile: ## hostile clients against an installed distccd, which they hurt, and ours; the table in target/hostile.txt
	@rm -f $(TARGET)/hostile.txt
	@LONG=1 HOSTILE_TABLE=$(TARGET)/hostile.txt $(CARGO) nextest run --profile long --test hostile; \
	code=$$?; cat $(TARGET)/hostile.txt; exit $$code

trees: ## real trees by their build systems, compiled here and by a server; the table in target/trees.txt
	@rm -f $(TARGET)/trees.txt
	@LONG=1 TREES_TABLE=$(TARGET)/trees.txt $(CARGO) nextest run --profile long --test trees; \
	code=$$?; cat $(TARGET)/trees.txt; exit $$code

compare: ## how the installed original fares where machines come, go and move: its times
	COMPARE=1 LONG=1 $(CARGO) nextest run --profile long --test netns --success-output immediate scenarios

bench: build ## what a job costs, side by side with an installed distcc, and a fleet of 500
	@.ci/bench

# `sudo make install` may find no cargo: then what `make build` made is installed.
install: ## the programs into PREFIX (/usr/local), below DESTDIR
	@if command -v $(CARGO) >/dev/null; then $(CARGO) build --release; fi
	@dir=$(or $(TARGET),target)/release; \
	[ -e $$dir/distccd ] || { echo "nothing is built in $$dir: make build comes first" >&2; exit 1; }; \
	for program in $(PROGRAMS); do \
	    install -D -m 755 $$dir/$$program $(BIN)/$$program && echo $(BIN)/$$program || exit 1; \
	done
	@for file in $(wildcard README.md LICENSE config/*.toml docs/*.md); do \
	    install -D -m 644 $$file $(DOC)/$$file && echo $(DOC)/$$file || exit 1; \
	done
	@place() { mkdir -p "$${3%/*}" && $(PLACED) "$$2" >"$$3" && chmod "$$1" "$$3" && echo "$$3"; }; \
	place 755 config/distccd-service $(LIBEXEC)/distccd-service && \
	place 644 config/systemd/distccd.service $(UNITS)/distccd.service && \
	place 644 config/systemd/distccd.socket $(UNITS)/distccd.socket && \
	place 644 config/xinetd/distccd $(DOC)/config/xinetd/distccd && \
	place 755 config/openrc/distccd $(DOC)/config/openrc/distccd

uninstall: ## what `install` has put there
	rm -f $(addprefix $(BIN)/,$(PROGRAMS))
	rm -f $(UNITS)/distccd.service $(UNITS)/distccd.socket
	rm -rf $(LIBEXEC) $(DOC)

clean: ## all that was built
	$(CARGO) clean
	rm -rf demo/build
