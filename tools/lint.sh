#!/bin/sh
# Format, layers, long files and static checks. `tools/lint.sh BUILD`.
set -eu
build=${1:-build}
bad=0
sh tools/check_layers.sh || bad=1
unformatted=$(git ls-files 'src/*.cpp' 'src/*.h' 'tools/*.cpp' 'tools/*.h' 'test/*.cpp' 'bench/*.cpp' 'bench/*.h' | xargs clang-format-14 --dry-run 2>&1 | grep -oE '^[^:]+\.(cpp|h)' | sort -u || true)
if [ -n "$unformatted" ]; then echo "not formatted (make format):"; echo "$unformatted" | sed 's/^/  /'; bad=1; fi
cmake -S . -B "$build" -G Ninja -DZP_TESTS=OFF -DZP_BENCH=OFF > /dev/null
git ls-files 'src/*.cpp' | xargs -P "$(nproc)" -n 8 clang-tidy-14 -p "$build" --quiet 2>/dev/null | grep -E 'warning|error' && bad=1
[ $bad = 0 ] && echo "lint: right"
exit $bad
