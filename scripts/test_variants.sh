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
while read -r file; do variant pytest -n0 "$file"; done < <(find tests -name 'test_*.py' | sort)

echo "== ${#failed[@]} failed"
printf '%s\n' "${failed[@]}"
[ ${#failed[@]} = 0 ]
