#!/usr/bin/env bash
# The tests that need AWS, on LocalStack (with.sh says on which).  usage: npm run test:localstack [-- TEST_FILE ...]
set -euo pipefail
[ $# -gt 0 ] || set -- 'test/localstack/**/*.test.ts'
# One file at a time: LocalStack takes up all there is of a small machine.
exec bash "$(dirname "$0")/with.sh" node --test --test-concurrency=1 "$@"
