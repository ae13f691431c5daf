#!/usr/bin/env bash
# Prints what registries cost us beside a bare client and skopeo: 10,000 tags, details of 1,000, 500 retags, copies of 1 GB.
# Usage: benches/registry.sh [lists|details|retags|copies]
#
# Starts two private registries on loopback, and needs the Debian packages docker-registry, skopeo and curl, and 6 GB of space.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/peers.sh
. tests/peers.sh

peers_begin
if [ "$(peers_free "$PEERS")" -lt 6000 ]; then
  say "not enough space at $PEERS"
  exit 1
fi
say "building"
peers_run cargo bench --locked --bench registry --no-run
peers_need docker-registry skopeo curl
peers_isolate
peers_registry
LIGHTERMAN_BENCH_REGISTRY=$LIGHTERMAN_TEST_REGISTRY
peers_registry second
LIGHTERMAN_BENCH_REGISTRY_2=$LIGHTERMAN_TEST_REGISTRY
export LIGHTERMAN_BENCH_REGISTRY LIGHTERMAN_BENCH_REGISTRY_2
peers_run cargo bench --locked --bench registry -- "$@"
