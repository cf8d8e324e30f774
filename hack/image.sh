#!/usr/bin/env bash
# Builds the image of deploy/Dockerfile with docker, podman or buildah, whichever there
# is: IMAGE is its name, BASE what it is built on, BUILDER which of the three.
set -euo pipefail
cd "$(dirname "$0")/.."
image=${IMAGE:-registry.example.com/heddle:latest}
base=${BASE:-debian:bookworm-slim}

works() { command -v "$1" >/dev/null && "$1" info >/dev/null 2>&1; }
builder=${BUILDER:-}
if [ -z "$builder" ]; then
  for one in docker podman buildah; do
    if works "$one"; then builder=$one; break; fi
  done
fi
[ -n "$builder" ] || { echo "image: neither docker, podman nor buildah works here: install one (Debian: apt-get install buildah), or name it in BUILDER" >&2; exit 1; }

hack/envoy.sh >&2
envoy=${HEDDLE_ENVOY:-$(command -v envoy || echo .tools/envoy/envoy)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp deploy/Dockerfile "$work/"
install -m 0755 "$envoy" "$work/envoy"
CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$work/" ./cmd/heddle ./cmd/heddle-agent
chmod 0755 "$work/heddle" "$work/heddle-agent"
echo "image: heddle $(du -m "$work/heddle" | cut -f1) MB, heddle-agent $(du -m "$work/heddle-agent" | cut -f1) MB, envoy $(du -m "$work/envoy" | cut -f1) MB; building $image on $base with $builder" >&2
command=("$builder" build)
[ "$builder" != buildah ] || command=(buildah build --isolation "${BUILDAH_ISOLATION:-chroot}")
"${command[@]}" --build-arg "BASE=$base" -t "$image" "$work"
