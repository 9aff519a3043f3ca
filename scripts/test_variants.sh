#!/usr/bin/env bash
# make test-variants: runs the tests in several variants, and lists the failed variants at the end.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=()

variant() {
    echo "== $*"
    env "$@"
    case $? in 0 | 5) ;; *) failed+=("$*") ;; esac  # 5: all tests of a file belong to make test-services
}

variant TF_ENABLE_ONEDNN_OPTS=0 pytest
variant TF_NUM_INTRAOP_THREADS=1 pytest --seed-shift 1000
variant TF_NUM_INTRAOP_THREADS=2 pytest
variant pytest -p randomly --randomly-seed "$RANDOM"

# Each file alone, two at a time.
results=$(mktemp -d)
trap 'rm -r "$results"' EXIT
alone() {
    if output=$(pytest -n0 "$1" 2>&1) || [ $? = 5 ]; then return; fi
    echo "== pytest -n0 $1"$'\n'"$output"
    echo "pytest -n0 $1" > "$results/${1//\//-}"
}
export -f alone
export results
find tests -name 'test_*.py' | sort | xargs -P 2 -I{} bash -c 'alone "{}"'
while read -r line; do failed+=("$line"); done < <(cat "$results"/* 2> /dev/null)

echo "== ${#failed[@]} failed"
printf '%s\n' "${failed[@]}"
[ ${#failed[@]} = 0 ]
