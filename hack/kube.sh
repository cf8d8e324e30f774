#!/usr/bin/env bash
# Gets a real Kubernetes into .tools/kube/: etcd, kube-apiserver,
# kube-controller-manager, kubelet and kubectl, all in one binary that is built
# from hack/kube. Not when KUBEBUILDER_ASSETS names a folder that has all of them.
# Says in one line which is used. Idempotent.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=(etcd kube-apiserver kube-controller-manager kubelet kubectl)
own=.tools/kube

say() { echo "kubernetes: $*"; }

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  lacking=()
  for name in "${programs[@]}"; do [ -x "$KUBEBUILDER_ASSETS/$name" ] || lacking+=("$name"); done
  if [ ${#lacking[@]} -eq 0 ]; then
    say "using KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS"
    exit 0
  fi
  say "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS has no ${lacking[*]}: using our own for that"
fi

mkdir -p .tools .cache
exec 9>.cache/kube.lock
flock 9 # hack/test.sh builds in the background; who comes second waits here

release=$(awk '$1 == "k8s.io/kubernetes" { print $2 }' hack/kube/go.mod)
version="$release $(cat hack/kube/go.mod hack/kube/go.sum hack/kube/main.go hack/kube.sh | git hash-object --stdin)"
if [ -x "$own/kube" ] && [ "$(cat "$own/version" 2>/dev/null)" = "$version" ]; then
  say "using $own ($release)"
  exit 0
fi

work=$(mktemp -d .tools/kube.XXXXXX) # beside its destination, so that the move at the end is atomic
trap 'rm -rf "$work"' EXIT
say "building $release (some 8 minutes on two cores the first time, then seconds)"
start=$SECONDS
# Its list of packages becomes a line for every 250 of the some 2,500; errors are shown.
progress='/^[[:alnum:]._~\/-]+$/ { if (++done % 250 == 0) print "kubernetes: " done " packages built"; fflush(); next } !/^go: downloading/'
# -s -w: without what only a debugger reads the binary is a third smaller.
GOFLAGS='' nice go build -C hack/kube -v -buildvcs=false -trimpath \
  -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$release" -o "$PWD/$work/kube" . 2>&1 | awk "$progress" ||
  { say "could not build $release; see above" >&2; exit 1; }
for name in "${programs[@]}"; do ln -s kube "$work/$name"; done
"$work/kubectl" version --client >/dev/null 2>&1 || { say "the $release that was built does not run" >&2; exit 1; }
echo "$version" >"$work/version"
chmod 0755 "$work"
rm -rf "$own"
mv "$work" "$own"
say "built $own ($release) in $((SECONDS - start)) s"
