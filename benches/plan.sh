#!/usr/bin/env bash
# Prints what the journal costs: 500 retags by plan beside the same requests without one. Needs the Debian package docker-registry.
# Usage: benches/plan.sh [--profile PROFILE]
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/peers.sh
. tests/peers.sh

peers_begin
say "building"
peers_run cargo bench --locked --bench plan --no-run "$@"
peers_need docker-registry
peers_isolate
peers_registry
export LIGHTERMAN_BENCH_REGISTRY=$LIGHTERMAN_TEST_REGISTRY
# A memory file system would flush for nothing.
export LIGHTERMAN_BENCH_STATE=$PWD/target
peers_run cargo bench --locked --bench plan "$@"
