#!/usr/bin/env bash
# Everything of packaging that CI tries: size, package, unit, clean root, containers. On Debian 12, as root or with sudo.
# Needs: debootstrap:debootstrap lintian:lintian systemd-analyze:systemd dpkg-shlibdeps:dpkg-dev promtool:prometheus
#        python3-yaml (or PyYAML in the python3 that is found first)
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$(packaging/tools.sh cargo-deb)/bin:$PATH"
export PATH

deb="$(packaging/build-deb.sh)"
newer="$(packaging/build-deb.sh 9.0.0-1)"

# The unit's exposure has to stay below 2.0.
systemd-analyze security --offline=true --threshold=20 --no-pager packaging/papcast.service | tail -n 1
# It is not uploaded to Debian, so no wish for it is closed.
lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$deb"
packaging/lint-containers.sh
as_root=""
[ "$(id -u)" -eq 0 ] || as_root=sudo
$as_root packaging/try-in-clean-root.sh "$deb" "$newer"
