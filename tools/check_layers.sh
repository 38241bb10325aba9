#!/bin/sh
# Which folder may include which: the same law as the link graph, for headers that link nothing.
set -eu
cd "$(dirname "$0")/.."
allowed() {
  case "$1" in
    support) echo "support" ;;
    ir) echo "support ir" ;;
    ops) echo "support ir ops" ;;
    interp) echo "support ir ops interp" ;;
    quant) echo "support ir quant" ;;
    rewrite) echo "support ir ops rewrite" ;;
    backend) echo "support ir ops rewrite backend" ;;
    passes) echo "support ir ops interp quant rewrite backend passes" ;;
    formats) echo "support ir ops formats" ;;
    kernels) echo "support kernels" ;;
    report) echo "support ir report" ;;
    compile) echo "support ir ops interp quant rewrite backend passes formats report compile" ;;
    testing) echo "support ir ops interp rewrite backend passes formats report compile testing" ;;
  esac
}
bad=0
for dir in src/*/; do
  folder=$(basename "$dir")
  may=" $(allowed "$folder") "
  for line in $(grep -rhoE '^#include "[a-z_0-9]+/' "$dir" --include='*.h' --include='*.cpp' | sed -E 's/#include "([a-z_0-9]+)\//\1/' | sort -u); do
    case "$may" in
      *" $line "*) ;;
      *) [ "$line" = zeropoint ] && continue
         echo "src/$folder may not include $line:"; grep -rnE "^#include \"$line/" "$dir"; bad=1 ;;
    esac
  done
done
[ $bad = 0 ] && echo "layers: right"
exit $bad
