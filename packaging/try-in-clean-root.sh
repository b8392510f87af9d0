#!/usr/bin/env bash
# Tries the package in a clean Debian 12: installs it, runs it, upgrades it with data, removes and purges it.
#     packaging/try-in-clean-root.sh PACKAGE.deb NEWER.deb
# Ends with a plain sentence at the first step that fails. Leaves nothing behind. Has to run as root.
# Needs: debootstrap:debootstrap setpriv:util-linux
#
# In a chroot systemd does not run. So the gateway is started as the unit says: its ExecStart line, its user, its folder. What
# only systemd does, the sandbox and the restart by the watchdog, is not tried here.
set -euo pipefail
deb="$(realpath "$1")"
newer="$(realpath "$2")"
mirror="${DEBIAN_MIRROR:-$(sed -n 's/^URIs: *//p; s/^deb \(\[.*\] \)\?\([^ ]*\) bookworm main.*/\2/p' \
    /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1 || true)}"
root="$(mktemp -d /var/tmp/papcast-root.XXXXXX)"
chmod 755 "$root"
gateway=""

say() { echo "== $*"; }
fail() { cat "$root/cli.err" >&2 2>/dev/null || true; echo "the package does not work: $*" >&2; exit 1; }
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
as_service() { inside setpriv --reuid papcast --regid papcast --init-groups "$@"; }

clean_up() {
    if [ -n "$gateway" ]; then kill "$gateway" 2>/dev/null || true; fi
    umount "$root/proc" 2>/dev/null || true
    # Never delete what is still mounted.
    if ! grep -q " $root" /proc/mounts; then rm -rf "$root"; fi
}
trap clean_up EXIT

start() {
    rm -f "$root/ready"
    local line
    line="$(sed -n 's/^ExecStart=//p' "$root/usr/lib/systemd/system/papcast.service" "$root/lib/systemd/system/papcast.service" 2>/dev/null | head -n 1)"
    [ -n "$line" ] || fail "the unit has no ExecStart line"
    # With PAPCAST_… so that another gateway on this machine is not in the way; ports are the kernel's choice.
    # shellcheck disable=SC2086
    PAPCAST_HTTP__LISTEN=127.0.0.1:0 PAPCAST_MQTT__LISTEN=127.0.0.1:0 \
        chroot "$root" setpriv --reuid papcast --regid papcast --init-groups env -C /var/lib/papcast $line \
        >"$root/ready" 2>"$root/log" &
    gateway=$!
    for _ in $(seq 300); do
        if grep -qs "}" "$root/ready"; then
            address="$(sed -n 's/.*"http":"\([^"]*\)".*/\1/p' "$root/ready")"
            return
        fi
        kill -0 "$gateway" 2>/dev/null || { cat "$root/log" >&2; fail "the gateway did not start"; }
        sleep 0.1
    done
    fail "the gateway was not ready in 30 seconds"
}
stop() {
    kill "$gateway"
    wait "$gateway" || fail "the gateway did not stop in order"
    gateway=""
}
cli() { as_service papcast "$@" --gateway "$address" 2>"$root/cli.err"; }

[ "$(id -u)" -eq 0 ] || fail "this script has to run as root"
say "a clean Debian 12 from $mirror"
debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; fail "debootstrap failed"; }
rm -f "$root.log"
# Neither is needed by papcast; packages that start services ask for the one, some tools for the other.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
mount -t proc proc "$root/proc" 2>/dev/null || say "/proc cannot be mounted here; going on without it"
[ -e "$root/dev/null" ] || mknod -m 666 "$root/dev/null" c 1 3
cp "$deb" "$root/papcast.deb"
cp "$newer" "$root/newer.deb"

say "install"
inside apt-get install -y --no-install-recommends /papcast.deb >"$root/apt.log" 2>&1 || { cat "$root/apt.log" >&2; fail "apt cannot install it"; }
inside getent passwd papcast >/dev/null || fail "there is no user papcast"
[ "$(stat -c %U:%a "$root/etc/papcast")" = root:750 ] || fail "/etc/papcast belongs to somebody else"
[ "$(inside stat -c %U:%a /var/lib/papcast)" = papcast:750 ] || fail "/var/lib/papcast is not papcast's own"
[ -L "$root/etc/systemd/system/multi-user.target.wants/papcast.service" ] || fail "the unit is not enabled"
for file in usr/share/bash-completion/completions/papcast usr/share/zsh/vendor-completions/_papcast \
            usr/share/fish/vendor_completions.d/papcast.fish usr/share/papcast/papcast-alerts.yml; do
    [ -s "$root/$file" ] || fail "/$file is missing"
done

say "start, join, push, who"
start
cli member add news sip:alice@example.com --create >/dev/null || fail "a member cannot be added"
cli push group:news --text hello --push-id before >/dev/null || fail "a push is not taken"
cli who before --missing | grep -q sip:alice@example.com || fail "papcast who does not name the member"
as_service papcast device add sip:alice@example.com --config /etc/papcast/broker.toml >/dev/null 2>"$root/cli.err" ||
    fail "a command that uses the store does not reach the gateway"
as_service papcast backup /var/lib/papcast/backup.db --config /etc/papcast/broker.toml >/dev/null 2>"$root/cli.err" || fail "no backup can be made"
as_service papcast config reload --config /etc/papcast/broker.toml >/dev/null 2>"$root/cli.err" || fail "the configuration is not read again"

say "upgrade with data, and with a configuration that was edited"
stop
echo '# an edit of the administrator' >>"$root/etc/papcast/broker.toml"
inside apt-get install -y --no-install-recommends /newer.deb >"$root/apt.log" 2>&1 || { cat "$root/apt.log" >&2; fail "apt cannot upgrade it"; }
[ "$(inside dpkg-query -W -f '${Version}' papcast)" = "$(dpkg-deb -f "$newer" Version)" ] || fail "the newer version is not there"
grep -q 'an edit of the administrator' "$root/etc/papcast/broker.toml" || fail "the upgrade has replaced the configuration"
start
cli who before --missing | grep -q sip:alice@example.com || fail "the push is not there after the upgrade"
stop

say "remove: data, configuration and user stay"
inside apt-get remove -y papcast >"$root/apt.log" 2>&1 || { cat "$root/apt.log" >&2; fail "apt cannot remove it"; }
[ ! -e "$root/usr/bin/papcast" ] || fail "the program is still there"
[ -s "$root/var/lib/papcast/papcast.db" ] || fail "removing has deleted the store"
[ -s "$root/etc/papcast/broker.toml" ] || fail "removing has deleted the configuration"

say "purge: nothing stays"
inside apt-get purge -y papcast >"$root/apt.log" 2>&1 || { cat "$root/apt.log" >&2; fail "apt cannot purge it"; }
[ ! -e "$root/var/lib/papcast" ] || fail "the store is still there"
[ ! -e "$root/etc/papcast" ] || fail "the configuration is still there"
if inside getent passwd papcast >/dev/null; then fail "the user is still there"; fi
left="$(find "$root/usr" "$root/etc" "$root/var/lib" -name '*papcast*' -not -path '*/doc/*' | head)"
[ -z "$left" ] || fail "it leaves $left"
say "it installs, runs, upgrades, and goes without a trace"
