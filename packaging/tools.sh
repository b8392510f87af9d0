#!/usr/bin/env bash
# Installs the two tools of cargo's that packaging needs, of fixed versions, into target/ci-tools:
#     PATH="$(packaging/tools.sh)/bin:$PATH"
# Without optimization they are built in a fraction of the time, and are fast enough.
set -euo pipefail
cd "$(dirname "$0")/.."
root="$PWD/target/ci-tools"
for tool in cargo-deb@3.8.0 cargo-cyclonedx@0.5.9; do
    cargo install --quiet --locked --debug --root "$root" --target-dir target/ci-tools-build "$tool" >&2
done
rm -rf target/ci-tools-build
echo "$root"
