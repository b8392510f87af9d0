#!/usr/bin/env bash
# Fails where the stripped program has 15 MB or more: packaging/check-size.sh target/release/papcast
set -euo pipefail
limit=15000000
size="$(stat -c %s "$1")"
if [ "$size" -ge "$limit" ]; then
    echo "$1 has $size bytes; it has to have less than $limit (docs/install.md, Size)" >&2
    exit 1
fi
echo "$1 has $size bytes, less than $limit"
