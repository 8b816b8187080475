#!/usr/bin/env bash
# Runs a command with a LocalStack, which LOCALSTACK_ENDPOINT names.  usage: with.sh COMMAND…
# LOCALSTACK_ENDPOINT: one that runs already (in Docker: compose.yaml beside this). Without it, one is set up in
# LOCALSTACK_HOME (default .localstack; 600 MB and 2 minutes the first time), started, and stopped at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
# Functions run on the first Node of the path that LocalStack is started with; it may be too old.
export PATH=$PWD/node_modules/.bin:$PATH
if [ -z "${LOCALSTACK_ENDPOINT:-}" ]; then
  home=${LOCALSTACK_HOME:-.localstack}
  bash test/localstack/setup.sh "$home" >&2
  # One that somebody else started stays.
  { [ -f "$home/pid" ] && kill -0 "$(cat "$home/pid")" 2>/dev/null; } || trap 'bash test/localstack/stop.sh "$home"' EXIT
  # Each mapping asks so often; more, and asking is all that a small machine does.
  export LAMBDA_EVENT_SOURCE_MAPPING_POLL_INTERVAL_SEC=${LAMBDA_EVENT_SOURCE_MAPPING_POLL_INTERVAL_SEC:-0.5}
  bash test/localstack/start.sh "$home" >&2
  export LOCALSTACK_ENDPOINT=http://127.0.0.1:${PORT:-4566}
fi
"$@"
