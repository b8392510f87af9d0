#!/usr/bin/env bash
# Installs tools of cargo's that packaging needs, of fixed versions, into target/ci-tools, and prints where:
#     PATH="$(packaging/tools.sh cargo-deb cargo-cyclonedx)/bin:$PATH"
# Without optimization they are built in a fraction of the time, and are fast enough.
set -euo pipefail
cd "$(dirname "$0")/.."
root="$PWD/target/ci-tools"
for tool in "$@"; do
    case "$tool" in
        cargo-deb) version=3.8.0 ;;
        cargo-cyclonedx) version=0.5.9 ;;
        *) echo "packaging/tools.sh knows no version of $tool" >&2; exit 2 ;;
    esac
    cargo install --quiet --locked --debug --root "$root" --target-dir target/ci-tools-build "$tool@$version" >&2
done
rm -rf target/ci-tools-build
echo "$root"
