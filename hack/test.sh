#!/usr/bin/env bash
# Installs what the tests need and runs them: `hack/test.sh quick|all`.
# Ends with a list of what was left out and why. With CI=true leaving anything
# out is a failure.
set -uo pipefail
cd "$(dirname "$0")/.."

mode=${1:-all}
left_out=()

# Kubernetes takes minutes the first time: quick tests take one that is there.
kubernetes=
helm=
if [ "$mode" = all ]; then
  hack/kube.sh &
  kubernetes=$!
  hack/tools.sh helm &
  helm=$!
fi

hack/tools.sh gotestsum || exit 1
race=(-race)
if ! hack/system.sh gcc libc6-dev; then
  race=()
  left_out+=("the race detector: it needs a C compiler (see above)")
fi
hack/system.sh curl ca-certificates iproute2 || left_out+=("what needs curl, the system's certificates or network namespaces (see above)")
hack/system.sh iptables nftables || left_out+=("tests of redirected connections (see above)")
if [ "$mode" = all ]; then # quick tests start no kubelet
  hack/system.sh containerd runc containernetworking-plugins || left_out+=("the test of pods that a real kubelet runs (see above)")
fi
hack/system.sh docker.io iptables iproute2 || left_out+=("every test with a real container engine (see above)")
hack/system.sh prometheus || left_out+=("the test of alerts and queries with promtool (see above)")
hack/system.sh haproxy || left_out+=("every test with a real HAProxy (see above)")
hack/system.sh redis-server || left_out+=("every test with a real Redis (see above)")
if ! hack/envoy.sh; then
  left_out+=("every test with a real Envoy: hack/envoy.sh could not get it (see above)")
fi
if ! hack/node.sh; then
  left_out+=("the test with a gRPC client of Node.js: hack/node.sh could not get it (see above)")
fi
if ! hack/system.sh chromium || ! hack/axe.sh; then
  left_out+=("every test in a real browser: Chromium or axe-core could not be had (see above)")
fi
if [ -n "$kubernetes" ] && ! wait "$kubernetes"; then
  left_out+=("every test with a real Kubernetes: hack/kube.sh could not build it (see above)")
fi
hack/contour.sh || left_out+=("the test of the overlay for Contour: hack/contour.sh could not get its definitions (see above)")
hack/cloud-init.sh || left_out+=("tests of cloud-configs and units of systemd: hack/cloud-init.sh could not get what they need (see above)")
hack/terraform.sh || left_out+=("what Terraform itself renders of the modules for Azure, and machines that carry it out: hack/terraform.sh could not build it (see above)")
hack/system.sh systemd openssl e2fsprogs mount || left_out+=("machines of Azure that systemd runs (see above)")
hack/system.sh passwd procps util-linux python3 || left_out+=("the test of virtual machines (see above)")
if [ -n "$helm" ] && ! wait "$helm"; then
  left_out+=("every test with a real Helm: hack/tools.sh could not build it (see above)")
fi

# What programs are made of, for the tests that build and run them (internal/treetest).
sources=$(find go.mod go.sum api cmd examples internal -type f ! -name '*_test.go' ! -path '*/testdata/*' | LC_ALL=C sort)
HEDDLE_TREE=$({ echo "$sources"; git hash-object --stdin-paths <<<"$sources"; } | git hash-object --stdin)
export HEDDLE_TREE

# While a linker writes programs of hundreds of MB, an etcd on the same disk does not
# answer for seconds. What tests write is kept in memory where there is room.
if [ -z "${TMPDIR:-}" ] && [ "$(df --output=avail /dev/shm 2>/dev/null | tail -n 1)" -gt 4000000 ] 2>/dev/null; then
  if TMPDIR=$(mktemp -d /dev/shm/hXXX) && chmod 755 "$TMPDIR" && printf '#!/bin/sh\n' >"$TMPDIR/x" && chmod +x "$TMPDIR/x" && "$TMPDIR/x" 2>/dev/null; then
    trap 'rm -rf "$TMPDIR"' EXIT
    export TMPDIR GOTMPDIR=/tmp
  else
    [ -z "$TMPDIR" ] || rm -rf "$TMPDIR"
    unset TMPDIR
  fi
fi

status=0
# The official tests of the Gateway API, which are a module of their own.
if [ "$mode" = all ] && [ -x .tools/kube/kube ]; then
  if unshare --net true 2>/dev/null; then
    go test -C test/gatewayapi -count=1 -timeout 25m . || status=1
  else
    left_out+=("the official tests of the Gateway API: they need a network namespace of their own")
  fi
fi

mkdir -p .cache
report=.cache/test-$mode.json
# hack/check.sh vets; here it would read all dependencies once more.
flags=("${race[@]}" -vet=off -timeout 40m)
# A few that fail are run once more when the machine has nothing else to do, and named
# in the end: among some thousand with real programs one may find it too busy.
again=(--rerun-fails=1 --rerun-fails-max-failures=4 --rerun-fails-run-root-test --rerun-fails-abort-on-data-race)
[ "$mode" = quick ] && flags=(-short -vet=off -timeout 3m) && again=()
# Those that take longest begin first, so that none is left to run alone in the end.
.tools/bin/gotestsum --format pkgname --hide-summary=output --jsonfile "$report" "${again[@]}" --packages "./test ./test/... ./cmd/... ./..." -- "${flags[@]}" || status=1

# Quick tests leave out the long ones by design (-short); only `all` counts skips.
if [ "$mode" = all ]; then
  while IFS= read -r line; do left_out+=("$line"); done < <(python3 hack/skipped.py "$report")
fi
if [ ${#left_out[@]} -gt 0 ]; then
  echo
  echo "Left out:"
  printf '  - %s\n' "${left_out[@]}"
  if [ "${CI:-}" = true ] && [ "$status" = 0 ]; then
    echo "CI=true: leaving tests out is a failure."
    status=1
  fi
fi
python3 hack/failed.py "$report"
exit "$status"
