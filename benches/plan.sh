#!/usr/bin/env bash
# Prints what the journal costs: 500 retags by plan beside the same requests without one. Needs the Debian package docker-registry.
# With --engine: 500 images of a private engine deleted by plan beside the bare calls, with COUNT others there (default: 10000, about 12,000
# names): what a removal costs an engine grows with those. Needs root, Python and the Debian package docker.io.
# Usage: benches/plan.sh [--engine [COUNT]] [--profile PROFILE]
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/peers.sh
. tests/peers.sh

if [ "${1:-}" = --engine ]; then
  peers_enter "$PWD/benches/plan.sh" "$@"
  engine=10000
  shift
  if [[ ${1:-} =~ ^[0-9]+$ ]]; then
    engine=$1
    shift
  fi
  # Asked now: in the sealed environment a version manager would not find its own.
  python=$(python3 -c 'import sys; print(sys.executable)')
fi
peers_begin
say "building"
peers_run cargo bench --locked --bench plan --no-run "$@"
if [ -n "${engine:-}" ]; then
  peers_need dockerd docker
  peers_isolate
  peers_docker
  [ "$engine" = 0 ] || peers_run "$python" benches/fill_engine.py "$LIGHTERMAN_TEST_DOCKER" --images "$engine"
  export LIGHTERMAN_BENCH_ENGINE=$LIGHTERMAN_TEST_DOCKER
else
  peers_need docker-registry
  peers_isolate
  peers_registry
  export LIGHTERMAN_BENCH_REGISTRY=$LIGHTERMAN_TEST_REGISTRY
fi
# A memory file system would flush for nothing.
export LIGHTERMAN_BENCH_STATE=$PWD/target
peers_run cargo bench --locked --bench plan "$@"
