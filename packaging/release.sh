#!/usr/bin/env bash
# Makes what a release consists of, for the machine it runs on, in target/dist: a tarball, a Debian package, a bill of materials
# (SBOM), and their checksums.
#     packaging/release.sh
# Needs: cargo deb and cargo cyclonedx (packaging/tools.sh), dpkg-shlibdeps:dpkg-dev
#
# cargo-cyclonedx makes the bill: it is CycloneDX's own tool and reads what cargo has resolved for this target. cargo-sbom's SPDX
# would do as well, but lists what is built only for tests, too.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}"
dist=target/dist
version="$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)"
triple="$(rustc -vV | sed -n 's/^host: //p')"
name="papcast-$version-$triple"

rm -rf "$dist"
mkdir -p "$dist"
deb="$(packaging/build-deb.sh)"
cp "$deb" "$dist/"

# Names, owners and times are the same whenever it is made.
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/$name"
cp -r "$target/release/papcast" LICENSE-MIT LICENSE-APACHE README.md CHANGELOG.md broker.toml docs "$folder/$name/"
cp packaging/papcast.service "$folder/$name/"
cp -r "$target/release/packaging" "$folder/$name/man-and-completions"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" -C "$folder" -c "$name" |
    gzip -9n >"$dist/$name.tar.gz"

cargo cyclonedx --quiet --format json --target "$triple" --spec-version 1.5 --override-filename papcast-sbom
# Where it was built is nobody's business.
sed "s|$PWD|/papcast|g" papcast-sbom.json >"$dist/$name.cdx.json"
rm papcast-sbom.json
python3 -c 'import json, sys
names = [part["name"] for part in json.load(open(sys.argv[1]))["components"]]
assert {"tokio", "rustls", "rusqlite"} <= set(names) and "proptest" not in names, names
print(f"{len(names)} components in the bill of materials")' "$dist/$name.cdx.json"

(cd "$dist" && sha256sum -- * >"SHA256SUMS-$triple" && sha256sum --check --quiet "SHA256SUMS-$triple")
ls -l "$dist"
