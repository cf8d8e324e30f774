#!/usr/bin/env bash
# A Kubernetes to try Heddle with, on a machine that has none: the real etcd,
# kube-apiserver and kube-controller-manager (hack/kube.sh), without hosts, so pods stay
# Pending.
#
#   hack/cluster.sh up [FOLDER]    starts it, and prints the path of its kubeconfig
#   hack/cluster.sh down [FOLDER]  stops it and leaves nothing behind
#
# FOLDER is where it is noted what runs; default .cache/cluster. Both are idempotent.
set -euo pipefail
cd "$(dirname "$0")/.."
state=${2:-.cache/cluster}

say() { echo "cluster: $*" >&2; }

# runs says whether the program that was noted still runs, and not another with its number.
runs() { [ -f "$state/pid" ] && [ "$(readlink "/proc/$(cat "$state/pid")/exe" 2>/dev/null)" = "$(realpath "$state")/cluster" ]; }

# clear removes what a program left that was killed, too: what it started ended with it.
clear() {
  if [ -f "$state/kubeconfig" ]; then
    left=$(dirname "$(cat "$state/kubeconfig")")
    case "$(basename "$left")" in kubetest*) rm -rf "$left" ;; esac
  fi
  rm -rf "$state"
}

up() {
  if ! runs; then
    hack/kube.sh >&2
    clear
    mkdir -p "$state"
    go build -o "$state/cluster" ./hack/cluster
    nohup setsid "$state/cluster" "$state/kubeconfig" >"$state/log" 2>&1 </dev/null &
    echo $! >"$state/pid"
  fi
  until [ -f "$state/kubeconfig" ]; do
    if ! kill -0 "$(cat "$state/pid")" 2>/dev/null; then
      say "it did not start:"
      cat "$state/log" >&2
      clear
      exit 1
    fi
    sleep 0.1
  done
  say "it runs: export KUBECONFIG=$(cat "$state/kubeconfig"); kubectl is in .tools/kube unless you have one. Stop it with hack/cluster.sh down"
  cat "$state/kubeconfig"
}

down() {
  if runs; then
    pid=$(cat "$state/pid")
    kill "$pid"
    while runs; do sleep 0.1; done
    say "stopped"
  else
    say "it does not run"
  fi
  clear
}

case "${1:-}" in
up | down) "$1" ;;
*)
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
  ;;
esac
