#!/usr/bin/env bash
# Prints the figures that the program must reach, measured on a private engine filled with 10,000 images.
# Usage: benches/figures.sh [--images N] [--big MB] [--engine-only] [--only lists,starts,keys,peers,archives]
#
# Needs root, python3 and the Debian packages that tests/run needs. It takes a quarter of an hour, most of it to fill the engine.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/peers.sh
. tests/peers.sh

images=10000
big=1000
program=target/release/lighterman
pass=()
arguments=("$@")
while [ $# -gt 0 ]; do
  case $1 in
    --images) images=$2; shift ;;
    --big) big=$2; shift ;;
    --engine-only) program= ;;
    --only) pass+=(--only "$2"); shift ;;
    *) sed -n '2,5s/^# \{0,1\}//p' benches/figures.sh; exit 2 ;;
  esac
  shift
done

peers_enter "$PWD/benches/figures.sh" "${arguments[@]}"
peers_begin
# A python that is found by a shim may not be found without the user's HOME.
python=$(python3 -c 'import sys; print(sys.executable)')
if [ "$(peers_free "$PEERS")" -lt $((3000 + 6 * big)) ]; then
  say "not enough space at $PEERS"
  exit 1
fi

if [ -n "$program" ]; then
  say "building"
  cargo build --release --locked
  program=$PWD/$program
fi
peers_need dockerd docker docker-registry skopeo
peers_isolate
peers_registry && peers_docker

fill() { peers_run "$python" benches/fill_engine.py "$LIGHTERMAN_TEST_DOCKER" "$@"; }
export DOCKER_HOST=$LIGHTERMAN_TEST_DOCKER

say "an image of $big MB, one to pull, and $images small ones"
fill --big "$big"
pulled="$LIGHTERMAN_TEST_REGISTRY/dock/pulled:1"
fill --big 300 --name "$pulled"
docker push -q "$pulled" >/dev/null
docker rmi "$pulled" >/dev/null
fill --images "$images"

peers_run "$python" benches/figures.py "$DOCKER_HOST" --program "$program" --registry "$LIGHTERMAN_TEST_REGISTRY" "${pass[@]}"
