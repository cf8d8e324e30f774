#!/usr/bin/env bash
# Gets the definitions of the custom resources of Contour and cert-manager, as their Go
# modules have them, into .tools/contour/, for tests of the manifests that use them.
# Idempotent.
set -euo pipefail
cd "$(dirname "$0")/.."
contour=github.com/projectcontour/contour@v1.33.1
manager=github.com/cert-manager/cert-manager@v1.18.2
own=.tools/contour

if [ "$(cat "$own/version" 2>/dev/null)" = "$contour $manager" ]; then exit 0; fi
folder() { (cd / && GOFLAGS='' go mod download -json "$1") | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p'; }
mkdir -p "$own"
echo "contour: getting the definitions of $contour and $manager" >&2
cat "$(folder "$contour")/examples/contour/01-crds.yaml" >"$own/crds.yaml"
for one in "$(folder "$manager")"/deploy/crds/crd-{certificates,clusterissuers}.yaml; do
  echo ---
  grep -v '{{' "$one" # Helm's expressions, in labels
done >>"$own/crds.yaml"
echo "$contour $manager" >"$own/version"
