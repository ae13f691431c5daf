# shellcheck shell=bash
# The real peers that tests and benchmarks talk to: a Docker engine, a registry and a Podman socket, all private, all on unix
# sockets or loopback, all below one temporary folder that goes away at the end. Sourced by tests/run and benches/figures.sh.
#
#   peers_enter "$0" "$@"   run the rest in a mount namespace of its own (as root), so that no mount outlives the run
#   peers_begin             make $PEERS, the temporary folder, and arrange that everything is stopped and removed at the end
#   peers_need COMMAND…     install Debian packages for missing commands (as root, with apt-get)
#   peers_isolate           point HOME and the like below $PEERS and forget the user's engines
#   peers_docker | peers_registry | peers_podman   start one and export its LIGHTERMAN_TEST_… variables; non-zero when it can't be
#   peers_run COMMAND…      run a command as a group of its own that an interruption stops whole

PEERS=
PEERS_PIDS=()
PEERS_RUNNING=
PEERS_POLICY=

say() { printf '== %s\n' "$*" >&2; }

is_root() { [ "$(id -u)" = 0 ]; }

# Mounts made by the engines and by tests live in a namespace that ends with this process. What the user's own engines left in well-known
# places is covered there: an engine started here must neither join their containerd nor read their configuration.
peers_enter() {
  [ -z "${LIGHTERMAN_TEST_NAMESPACE:-}" ] || { peers_cover; return 0; }
  if is_root && unshare --mount true 2>/dev/null; then
    LIGHTERMAN_TEST_NAMESPACE=$$ exec unshare --mount "$@"
  fi
}

peers_cover() {
  local socket
  [ "$LIGHTERMAN_TEST_NAMESPACE" = "$$" ] || { say "LIGHTERMAN_TEST_NAMESPACE is for this script's own use"; exit 2; }
  for socket in /run/docker.sock /run/podman/podman.sock; do
    [ ! -e "$socket" ] || mount --bind /dev/null "$socket"
  done
  mkdir -p /run/containerd && mount -t tmpfs -o mode=711 tmpfs /run/containerd
  peers_cgroups
  unset LIGHTERMAN_TEST_NAMESPACE
}

# An engine in a minimal container may find no cgroups mounted.
peers_cgroups() {
  local name enabled
  case $(stat -f -c %T /sys/fs/cgroup 2>/dev/null) in
    cgroup2fs) return 0 ;;
    tmpfs) [ -z "$(ls -A /sys/fs/cgroup)" ] || return 0 ;;
  esac
  [ -d /sys/fs/cgroup ] || return 0
  if mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null && [ -s /sys/fs/cgroup/cgroup.controllers ]; then
    return 0
  fi
  mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup 2>/dev/null || return 0
  while read -r name _ _ enabled; do
    [ "$enabled" = 1 ] || continue
    mkdir -p "/sys/fs/cgroup/$name"
    mount -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name" 2>/dev/null || rmdir "/sys/fs/cgroup/$name"
  done </proc/cgroups
}

peers_begin() {
  # Short, because a unix socket's path may have 107 characters only.
  PEERS=$(mktemp -d "${TMPDIR:-/tmp}/lm-XXXXXX")
  trap peers_end EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  mkdir -m 700 "$PEERS/run" "$PEERS/home" "$PEERS/tmp"
}

# Free space at FOLDER, in MiB.
peers_free() { df -Pm "$1" | awk 'NR == 2 { print $4 }'; }

peers_missing() {
  local command
  for command in "$@"; do command -v "$command" >/dev/null || printf '%s\n' "$command"; done
}

peers_package() {
  case $1 in
    dockerd | docker | containerd) echo docker.io ;;
    htpasswd) echo apache2-utils ;;
    *) echo "$1" ;;
  esac
}

peers_need() {
  local missing packages
  missing=$(peers_missing "$@")
  [ -n "$missing" ] || return 0
  if ! is_root || ! command -v apt-get >/dev/null; then
    say "not found: ${missing//$'\n'/, } (I install packages only as root and with apt-get)"
    return 0
  fi
  packages=$(for command in $missing; do peers_package "$command"; done | sort -u)
  say "installing the Debian packages ${packages//$'\n'/, }"
  peers_apt update || true
  # shellcheck disable=SC2086
  peers_apt install $packages || say "apt-get could not install ${packages//$'\n'/, }"
  # Newer Debian releases keep the client apart.
  if peers_missing "$@" | grep -qx docker; then peers_apt install docker-cli || true; fi
}

# A freshly installed package must not start an engine or a registry of its own on this machine.
peers_apt() {
  local code=0
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    PEERS_POLICY=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' >"$PEERS_POLICY"
    chmod 755 "$PEERS_POLICY"
  fi
  if [ "$1" = install ]; then set -- install -y --no-install-recommends "${@:2}"; fi
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >"$PEERS/apt.log" 2>&1 || code=$?
  [ "$code" = 0 ] || tail -n 20 "$PEERS/apt.log" >&2
  peers_policy_off
  return "$code"
}

peers_policy_off() {
  [ -z "$PEERS_POLICY" ] || rm -f "$PEERS_POLICY"
  PEERS_POLICY=
}

peers_isolate() {
  local variable
  export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
  for variable in $(compgen -e | grep -vx LIGHTERMAN_TEST_KILLS | grep -E '^(DOCKER_|CONTAINERS?_|LIGHTERMAN_|REGISTRY_AUTH_FILE$|BUILDAH_|STORAGE_|NOTIFY_SOCKET$)'); do
    unset "$variable"
  done
  export HOME="$PEERS/home" TMPDIR="$PEERS/tmp" XDG_RUNTIME_DIR="$PEERS/run"
  export XDG_CONFIG_HOME="$HOME/.config" XDG_DATA_HOME="$HOME/.local/share" XDG_STATE_HOME="$HOME/.local/state" XDG_CACHE_HOME="$HOME/.cache"
  export NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1,localhost"
  export no_proxy="$NO_PROXY" LC_ALL=C.UTF-8
  mkdir -p "$XDG_CONFIG_HOME/containers"
  printf '{"default": [{"type": "insecureAcceptAnything"}]}\n' >"$XDG_CONFIG_HOME/containers/policy.json"
}

# Starts COMMAND in the background with its output in LOG; it is asked to end when this script dies without saying so.
peers_start() {
  local log=$1
  shift
  if setpriv --pdeathsig TERM true 2>/dev/null; then set -- setpriv --pdeathsig TERM "$@"; fi
  "$@" >"$log" 2>&1 </dev/null &
  PEERS_PIDS+=($!)
}

# peers_wait NAME PID LOG SECONDS CONDITION…: waits until the condition holds; shows the log when it doesn't in time.
peers_wait() {
  local name=$1 pid=$2 log=$3 until=$((SECONDS + $4))
  shift 4
  until "$@" >/dev/null 2>&1; do
    if ! kill -0 "$pid" 2>/dev/null || [ "$SECONDS" -ge "$until" ]; then
      say "$name did not start; the end of its log:"
      tail -n 25 "$log" >&2
      return 1
    fi
    sleep 0.1
  done
}

# Where an engine with this folder listens.
peers_docker_args() {
  printf '%s\n' --config-file "$1/daemon.json" --data-root "$1/data" --exec-root "$1/exec" -p "$1/pid" -H "unix://$1/docker.sock" \
    --bridge=none --iptables=false --ip6tables=false
}

peers_docker() {
  local folder="$PEERS/docker" arguments
  command -v dockerd >/dev/null || { say "no dockerd (package docker.io)"; return 1; }
  is_root || { say "a private dockerd needs root"; return 1; }
  mkdir -p "$folder"
  echo '{}' >"$folder/daemon.json"
  mapfile -t arguments < <(peers_docker_args "$folder")
  peers_start "$folder/log" dockerd "${arguments[@]}"
  peers_wait dockerd "$!" "$folder/log" 60 docker -H "unix://$folder/docker.sock" version || return 1
  LIGHTERMAN_TEST_DOCKERD_BIN=$(command -v dockerd)
  export LIGHTERMAN_TEST_DOCKER="unix://$folder/docker.sock" LIGHTERMAN_TEST_DOCKERD_BIN
  say "dockerd $(docker -H "$LIGHTERMAN_TEST_DOCKER" version --format '{{.Server.Version}}') ($(docker -H "$LIGHTERMAN_TEST_DOCKER" info --format '{{.Driver}}')) answers on $LIGHTERMAN_TEST_DOCKER"
}

# The registry chooses a free port itself and logs it.
peers_registry_port() { sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$PEERS/$1/log" | grep -m1 . ; }

# peers_registry [NAME]: one below $PEERS/NAME; the last one started is the one that is exported.
peers_registry() {
  local name=${1:-registry} folder
  folder="$PEERS/$name"
  command -v docker-registry >/dev/null || { say "no docker-registry (package docker-registry)"; return 1; }
  mkdir -p "$folder/data"
  cat >"$folder/config.yml" <<YAML
version: 0.1
log: { level: info, accesslog: { disabled: true } }
storage:
  filesystem: { rootdirectory: $folder/data }
  delete: { enabled: true }
  maintenance: { uploadpurging: { enabled: false } }
http:
  addr: 127.0.0.1:0
  secret: private-to-this-run
YAML
  peers_start "$folder/log" docker-registry serve "$folder/config.yml"
  peers_wait docker-registry "$!" "$folder/log" 30 peers_registry_port "$name" || return 1
  LIGHTERMAN_TEST_REGISTRY="127.0.0.1:$(peers_registry_port "$name")"
  LIGHTERMAN_TEST_REGISTRY_BIN=$(command -v docker-registry)
  export LIGHTERMAN_TEST_REGISTRY LIGHTERMAN_TEST_REGISTRY_BIN
  say "docker-registry answers on $LIGHTERMAN_TEST_REGISTRY"
}

peers_podman_config() {
  local folder=$1 driver=overlay
  # An overlay can't lie on an overlay, and without root it needs help from a package that may be missing.
  if ! is_root || [ "$(stat -f -c %T "$folder")" = overlayfs ]; then driver=vfs; fi
  printf '[storage]\ndriver = "%s"\ngraphroot = "%s"\nrunroot = "%s"\n' "$driver" "$folder/root" "$folder/runroot" >"$folder/storage.conf"
  printf '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' >"$folder/containers.conf"
  cat >"$folder/registries.conf" <<TOML
short-name-mode = "disabled"
unqualified-search-registries = []
[[registry]]
location = "127.0.0.1"
insecure = true
[[registry]]
location = "${LIGHTERMAN_TEST_REGISTRY:-127.0.0.1:5000}"
insecure = true
TOML
}

peers_podman() {
  local folder="$PEERS/podman" socket
  socket="unix://$folder/podman.sock"
  command -v podman >/dev/null || { say "no podman (package podman)"; return 1; }
  mkdir -p "$folder/tmp" "$folder/networks"
  peers_podman_config "$folder"
  export CONTAINERS_STORAGE_CONF="$folder/storage.conf" CONTAINERS_CONF="$folder/containers.conf" CONTAINERS_REGISTRIES_CONF="$folder/registries.conf"
  peers_start "$folder/log" podman --root "$folder/root" --runroot "$folder/runroot" --tmpdir "$folder/tmp" \
    --network-config-dir "$folder/networks" system service --time=0 "$socket"
  peers_wait podman "$!" "$folder/log" 60 podman --remote --url "$socket" version || return 1
  LIGHTERMAN_TEST_PODMAN_BIN=$(command -v podman)
  export LIGHTERMAN_TEST_PODMAN="$socket" LIGHTERMAN_TEST_PODMAN_BIN
  say "podman $(podman --remote --url "$socket" version --format '{{.Server.Version}}') answers on $socket"
}

# Runs a command in a session of its own: without the user's terminal, with the usual signals, and stopped whole by peers_end.
peers_run() {
  local code=0
  env --default-signal=INT --default-signal=QUIT setsid "$@" </dev/null &
  PEERS_RUNNING=$!
  wait "$PEERS_RUNNING" || code=$?
  PEERS_RUNNING=
  return "$code"
}

# TERM, some time to obey, then KILL.
peers_stop() {
  local pid=$1 until=$((SECONDS + ${2:-20}))
  kill -TERM "$pid" 2>/dev/null || return 0
  while kill -0 "$pid" 2>/dev/null && [ "$SECONDS" -lt "$until" ]; do
    [ "$(peers_state "$pid")" != Z ] || break
    sleep 0.05
  done
  kill -KILL "$pid" 2>/dev/null || true
}

peers_state() { sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null; }

# Processes that name this run's folder on their command line: engines that a test started and lost, and their helpers.
peers_strays() {
  local entry pid
  for entry in /proc/[0-9]*/cmdline; do
    pid=${entry#/proc/}
    pid=${pid%/cmdline}
    case $pid in "$$" | "$BASHPID") continue ;; esac
    if { tr '\0' ' ' <"$entry"; } 2>/dev/null | grep -qF -- "$PEERS/"; then echo "$pid"; fi
  done
}

peers_end() {
  local code=$? pid round
  trap - EXIT
  trap '' HUP INT TERM
  peers_policy_off
  if [ -n "$PEERS_RUNNING" ]; then kill -TERM -- "-$PEERS_RUNNING" 2>/dev/null || true; fi
  for pid in "${PEERS_PIDS[@]}"; do peers_stop "$pid"; done
  for round in 1 2 3; do
    [ -n "$(peers_strays)" ] || break
    [ "$round" != 1 ] || say "stopping what tests left running: $(peers_strays | tr '\n' ' ')"
    for pid in $(peers_strays); do peers_stop "$pid" 5; done
  done
  if [ -n "$PEERS" ]; then
    awk -v under="$PEERS/" 'index($5, under) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r mounted; do
      umount -l "$mounted" 2>/dev/null || true
    done
    rm -rf --one-file-system "$PEERS" 2>/dev/null || say "could not remove all of $PEERS"
  fi
  exit "$code"
}
