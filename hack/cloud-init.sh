#!/usr/bin/env bash
# Gets cloud-init into .tools/cloud-init/, for tests that hold what Heddle prints to its
# schema, and systemd-analyze unless it is on PATH: Debian's packages, unpacked and never
# installed, for an installed cloud-init would take effect at the next start of the
# machine. Says in one line what it did. Idempotent.
set -euo pipefail
cd "$(dirname "$0")/.."
own=.tools/cloud-init

say() { echo "cloud-init: $*"; }

packages=(cloud-init python3-yaml python3-jsonschema python3-attr python3-pyrsistent python3-configobj python3-six python3-jinja2
  python3-markupsafe python3-oauthlib python3-requests python3-urllib3 python3-certifi python3-chardet python3-charset-normalizer
  python3-idna python3-jsonpatch python3-json-pointer python3-serial python3-netifaces)
python=/usr/bin/python3 # the packages are built for Debian's own

command -v systemd-analyze >/dev/null || packages+=(systemd libsystemd-shared libsystemd0)

runs() { PYTHONPATH="$1" "$python" -m cloudinit.cmd.main schema --help >/dev/null 2>&1; }

if runs "$own/usr/lib/python3/dist-packages" && { command -v systemd-analyze >/dev/null || [ -x "$own/usr/bin/systemd-analyze" ]; }; then
  say "using $own"
  exit 0
fi
command -v apt-get >/dev/null || { say "apt-get is not there: it is Debian's package that is used" >&2; exit 1; }
mkdir -p .tools
work=$(mktemp -d .tools/cloud-init.XXXXXX) # beside its destination, so that the move at the end is atomic
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get download -qq "${packages[@]}" 2>/dev/null) ||
  { apt-get update -qq && (cd "$work" && apt-get download -qq "${packages[@]}"); } ||
  { say "could not download ${packages[*]}" >&2; exit 1; }
mkdir "$work/new"
for one in "$work"/*.deb; do dpkg-deb -x "$one" "$work/new"; done
runs "$work/new/usr/lib/python3/dist-packages" || { say "what was unpacked does not run with $python:" >&2; PYTHONPATH="$work/new/usr/lib/python3/dist-packages" "$python" -m cloudinit.cmd.main schema --help >&2; exit 1; }
"$python" -m compileall -q "$work/new/usr/lib/python3" || true # it starts faster
chmod 0755 "$work/new"
rm -rf "$own"
mv "$work/new" "$own"
say "unpacked into $own"
