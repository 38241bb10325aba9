#!/bin/sh
# Runs each fuzz target for a while: `tools/fuzz.sh BUILD SECONDS [TARGET...]`. Seeds are fuzz/corpus/<target>
# and files of the project; what the fuzzer learns stays in BUILD/corpus, what breaks in BUILD/findings.
set -u
build=$1 seconds=$2
shift 2
here=$(cd "$(dirname "$0")/.." && pwd)
targets=${*:-archive zip pickle text backend}
# Exceptions of none are expected; a long input or 2 GB are findings like a crash.
options="-max_total_time=$seconds -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=20 -print_final_stats=0 -verbosity=0"
bad=0
for target in $targets; do
  seeds=
  for folder in "$here/fuzz/corpus/$target" $(
    case $target in
      text) echo "$here/test/zp" ;;
      zip) echo "$here/test/formats/data" ;;
      backend) echo "$here/backends" ;;
    esac); do
    [ -d "$folder" ] && seeds="$seeds $folder"
  done
  case $target in archive) max=65536 ;; zip) max=20000 ;; *) max=8192 ;; esac
  mkdir -p "$build/corpus/$target" "$build/findings"
  log=$build/findings/$target.log
  # shellcheck disable=SC2086
  if UBSAN_OPTIONS=print_stacktrace=1 "$build/${target}_fuzz" $options -max_len=$max \
    -artifact_prefix="$build/findings/$target-" "$build/corpus/$target" $seeds > "$log" 2>&1; then
    echo "$target: clean, $(ls "$build/corpus/$target" | wc -l) inputs"
  else
    echo "$target: FOUND, see $log"
    grep -E 'ERROR|SUMMARY|runtime error|internal error' "$log" | head -5
    bad=1
  fi
done
exit $bad
