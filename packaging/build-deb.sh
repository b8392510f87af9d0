#!/usr/bin/env bash
# Makes the Debian package from the release binary, which is built first where that is needed:
#     packaging/build-deb.sh [VERSION]
# VERSION is the package's, where it shall not be that of Cargo.toml. Prints the package's path, last.
# Needs: cargo deb (see packaging/tools.sh), dpkg-shlibdeps:dpkg-dev gzip:gzip xz:xz-utils
set -euo pipefail
cd "$(dirname "$0")/.."
version="${1:-}"
target="${CARGO_TARGET_DIR:-target}"
made="$target/release/packaging"

cargo build --release --locked --bin papcast >&2
program="$target/release/papcast"
packaging/check-size.sh "$program" >&2

rm -rf "$made"
mkdir -p "$made/man"
"$program" man "$made/man" >&2
gzip -9n "$made"/man/*.1
"$program" completions bash >"$made/papcast.bash"
"$program" completions zsh >"$made/_papcast"
"$program" completions fish >"$made/papcast.fish"

# By the system's xz: a cargo deb that was built without optimization takes minutes for it.
# cargo deb deletes older packages in the folder that it writes to: each version gets its own.
folder="$target/debian/${version:-as-in-cargo-toml}"
mkdir -p "$folder"
cargo deb --no-build --no-strip --quiet --compress-system --output "$folder/" ${version:+--deb-version "$version"}
