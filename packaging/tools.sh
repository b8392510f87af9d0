#!/usr/bin/env bash
# Installs tools that packaging and documentation need, of fixed versions, into target/ci-tools, and prints where:
#     PATH="$(packaging/tools.sh cargo-deb cargo-cyclonedx)/bin:$PATH"
# Without optimization they are built in a fraction of the time, and are fast enough.
set -euo pipefail
cd "$(dirname "$0")/.."
root="$PWD/target/ci-tools"
for tool in "$@"; do
    features=""
    case "$tool" in
        # Without its web server and its search.
        mdbook) version=0.5.4 features=--no-default-features ;;
        cargo-deb) version=3.8.0 ;;
        cargo-cyclonedx) version=0.5.9 ;;
        *) echo "packaging/tools.sh knows no version of $tool" >&2; exit 2 ;;
    esac
    # What is installed already is left as it is.
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug $features --root "$root" \
        --target-dir target/ci-tools-build "$tool@$version" >&2
done
rm -rf target/ci-tools-build
echo "$root"
