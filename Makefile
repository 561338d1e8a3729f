# SPDX-License-Identifier: Apache-2.0
# Two commands: `make run` and `make check`; each installs what it needs. The rest is for those who live here.
B       := build
STAGE   := $(abspath $(B)/stage)
PREFIX  := $(STAGE)/usr/local
ROOMS   := $(wildcard src/*/meson.build src/*/*/meson.build src/meson.build meson.build meson_options.txt)
MESON   := meson setup --reconfigure
HOSTS   ?= 1
TEST    ?=

.PHONY: all run check soak bench fuzz install setup setup-check setup-bench san tsan stage clean missing

all: missing $(B)/build.ninja
	@ninja -C $(B)

# Names what is missing instead of failing in the middle.
missing:
	@tests/packages --missing build

setup:
	@tests/packages --install build
setup-check:
	@tests/packages --install build check
	@tests/packages --unpack $(B)/unpacked
setup-bench:
	@tests/packages --install build check bench
	@tests/packages --unpack $(B)/unpacked

# A new folder is a new room: configure again when the list of rooms changed.
$(B)/build.ninja: $(ROOMS) src/monitors src/services src/tools
	@test -f $@ && meson setup --reconfigure $(B) >/dev/null || meson setup $(B) >/dev/null
	@touch $@
$(B)/san/build.ninja: $(B)/build.ninja
	@test -f $@ && meson setup --reconfigure $(B)/san >/dev/null || \
	  meson setup $(B)/san -Db_sanitize=address,undefined -Db_lundef=false -Dbuildtype=debug -Doptimization=1 >/dev/null
	@touch $@
$(B)/tsan/build.ninja: $(B)/build.ninja
	@test -f $@ && meson setup --reconfigure $(B)/tsan >/dev/null || \
	  meson setup $(B)/tsan -Db_sanitize=thread -Db_lundef=false -Dbuildtype=debug -Doptimization=1 >/dev/null
	@touch $@

# As installed, below build/stage: what runs here is what would run there.
stage: $(B)/build.ninja
	@ninja -C $(B) >$(B)/ninja.log || { cat $(B)/ninja.log; false; }
	@DESTDIR=$(STAGE) meson install -C $(B) --no-rebuild --quiet

run: setup
	@$(MAKE) --no-print-directory stage
	@exec tests/run $(PREFIX) $(HOSTS)

check: setup-check
	@$(MAKE) -s --no-print-directory stage $(B)/san/build.ninja $(B)/tsan/build.ninja
	@ninja -C $(B)/san >$(B)/san.log || { tail -40 $(B)/san.log; false; }
	@ninja -C $(B)/tsan >$(B)/tsan.log || { tail -40 $(B)/tsan.log; false; }
	@exec tests/check --prefix $(PREFIX) --build $(B) $(if $(TEST),--only '$(TEST)')

soak:
	@VIGIA_SOAK=1 $(MAKE) --no-print-directory check

bench: setup-bench
	@$(MAKE) --no-print-directory stage
	@exec bench/run $(PREFIX) $(B) $(TEST)

fuzz: setup-check
	@test -f $(B)/fuzz/build.ninja || CC=clang meson setup $(B)/fuzz -Dfuzz=true >/dev/null
	@ninja -C $(B)/fuzz >/dev/null
	@exec tests/fuzz $(B)/fuzz $(TEST)

install: $(B)/build.ninja
	@meson install -C $(B)

clean:
	rm -rf $(B)
