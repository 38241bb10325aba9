# What a user types. Debian 12, as root or with sudo: every target installs what it needs.
#   make demo     build, then the main job on a real model
#   make build    build/zp
#   make test     all tests
#   make bench    the figures, as tables          make bench-quick   the short form
#   make lint     format and static checks        make fuzz          each fuzz target for a minute
#   make asan     the tests under AddressSanitizer and UndefinedBehaviorSanitizer
BUILD ?= build
JOBS  ?= $(shell nproc)
PACKAGES := g++ cmake ninja-build ccache libfmt-dev libcli11-dev libsimdjson-dev robin-map-dev libdeflate-dev zlib1g-dev libmd-dev
TEST_PACKAGES := $(PACKAGES) libgtest-dev
LINT_PACKAGES := clang-format-14 clang-tidy-14
FUZZ_PACKAGES := clang-14 libclang-rt-14-dev
FUZZ_SECONDS ?= 60
CMAKE = cmake -S . -G Ninja

.PHONY: demo build test bench bench-quick lint format fuzz asan clean

demo: build
	@$(BUILD)/zp_demo models/digits

build:
	@sh tools/install_packages.sh $(PACKAGES)
	@$(CMAKE) -B $(BUILD) -DZP_TESTS=OFF -DZP_BENCH=OFF > $(BUILD).configure.log 2>&1 || { cat $(BUILD).configure.log; exit 1; }
	@rm -f $(BUILD).configure.log
	@ninja -C $(BUILD) -j $(JOBS) zp zp_demo

test:
	@sh tools/install_packages.sh $(TEST_PACKAGES)
	@$(CMAKE) -B $(BUILD) -DZP_TESTS=ON -DZP_BENCH=OFF
	@ninja -C $(BUILD) -j $(JOBS)
	@cd $(BUILD) && ctest --output-on-failure -j $(JOBS)

bench bench-quick:
	@sh tools/install_packages.sh $(PACKAGES)
	@$(CMAKE) -B $(BUILD) -DZP_TESTS=OFF -DZP_BENCH=ON > /dev/null
	@ninja -C $(BUILD) -j $(JOBS)
	@$(BUILD)/bench_figures --build $(BUILD) $(if $(filter bench-quick,$@),--quick,)
	@$(BUILD)/bench_shape $(if $(filter bench-quick,$@),--quick,)

asan:
	@sh tools/install_packages.sh $(TEST_PACKAGES)
	@$(CMAKE) -B $(BUILD)-asan -DCMAKE_BUILD_TYPE=Dev -DZP_SANITIZE=address,undefined -DZP_BENCH=OFF
	@ninja -C $(BUILD)-asan -j $(JOBS)
	@cd $(BUILD)-asan && ctest --output-on-failure -j $(JOBS)

lint:
	@sh tools/install_packages.sh $(PACKAGES) $(LINT_PACKAGES)
	@sh tools/lint.sh $(BUILD)

format:
	@sh tools/install_packages.sh $(LINT_PACKAGES)
	@git ls-files '*.cpp' '*.h' | xargs clang-format-14 -i

fuzz:
	@sh tools/install_packages.sh $(PACKAGES) $(FUZZ_PACKAGES)
	@$(CMAKE) -B $(BUILD)-fuzz -DCMAKE_CXX_COMPILER=clang++-14 -DCMAKE_BUILD_TYPE=Dev -DZP_FUZZ=ON -DZP_TESTS=OFF -DZP_BENCH=OFF -DZP_SANITIZE=address,undefined
	@ninja -C $(BUILD)-fuzz -j $(JOBS) fuzz_targets
	@sh tools/fuzz.sh $(BUILD)-fuzz $(FUZZ_SECONDS)

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-fuzz
