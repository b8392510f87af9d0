#!/usr/bin/env bash
# Runs `papcast pap-check` against Kannel's wapbox (Debian's package kannel), which is started for it:
#     tests/kannel/check.sh PAPCAST [OPTION OF pap-check]…
# Everything runs in a network of its own where that is allowed, else on free ports, and ends with the script.
set -euo pipefail
papcast=$(realpath "$1")
shift
PATH=$PATH:/usr/sbin

if [ -z "${KANNEL_INSIDE:-}" ]; then
    for own in "unshare --net" "unshare --net --map-root-user" ""; do
        own="$own${own:+ --pid --fork --kill-child --mount-proc}"
        if [ -z "$own" ] || $own ip link set lo up 2>/dev/null; then break; fi
    done
    [ -n "$own" ] || echo "kannel: no network of its own is allowed here; it runs on free ports" >&2
    KANNEL_INSIDE="${own:-none}" exec $own "$BASH" "$0" "$papcast" "$@"
fi
if [ "$KANNEL_INSIDE" != none ]; then ip link set lo up; fi

dir=$(mktemp -d -t papcast-kannel.XXXXXX)
started=()
finish() {
    kill -KILL "${started[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    if [ -n "${KANNEL_KEEP:-}" ]; then echo "kannel: its files are in $dir" >&2; else rm -rf "$dir"; fi
}
trap finish EXIT
trap 'exit 1' INT TERM

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# The first of five ports in a row that nobody listens on.
free_ports() {
    local first port
    while true; do
        first=$((20000 + RANDOM % 12000))
        for port in $(seq "$first" $((first + 4))); do
            if answers "$port"; then continue 2; fi
        done
        echo "$first"
        return
    done
}
wait_for() {
    for _ in $(seq 100); do
        if answers "$1"; then return; fi
        sleep 0.1
    done
    echo "kannel: nothing listens on port $1; see the log of $2:" >&2
    tail -n 20 "$dir/$2.log" >&2
    exit 1
}

admin=$(free_ports)
smsbox=$((admin + 1)) wapbox=$((admin + 2)) smsc=$((admin + 3)) ppg=$((admin + 4))
cat > "$dir/kannel.conf" <<END
group = core
admin-port = $admin
admin-password = local
admin-deny-ip = "*.*.*.*"
admin-allow-ip = "127.0.0.1"
smsbox-port = $smsbox
wapbox-port = $wapbox
box-deny-ip = "*.*.*.*"
box-allow-ip = "127.0.0.1"

group = smsc
smsc = fake
smsc-id = fake
host = 127.0.0.1
port = $smsc
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1

group = sms-service
keyword = default
text = none

group = wapbox
bearerbox-host = 127.0.0.1

group = ppg
ppg-url = /wappush
ppg-port = $ppg
ppg-deny-ip = "*.*.*.*"
ppg-allow-ip = "127.0.0.1"
trusted-pi = true
service-name = ppg
global-sender = 12345
END

cd "$dir"
bearerbox kannel.conf > bearerbox.log 2>&1 &
started+=($!)
wait_for "$wapbox" bearerbox
wait_for "$smsc" bearerbox
# What is sent over the air ends here.
cat < "/dev/tcp/127.0.0.1/$smsc" > /dev/null &
started+=($!)

# It crashes and hangs on some cases: it is started again whenever it ends, and stopped where the file `again` appears.
keep_running() {
    trap 'kill -KILL "$child" 2>/dev/null; exit' TERM
    while :; do
        # Where it hangs it takes all of a processor.
        nice wapbox kannel.conf >> wapbox.log 2>&1 &
        child=$!
        while kill -0 "$child" 2>/dev/null; do
            if [ -e again ]; then
                rm again
                kill -KILL "$child"
                break
            fi
            sleep 0.1
        done
        wait "$child" || true
    done
}
keep_running 2> /dev/null &
keeper=$!
wait_for "$ppg" wapbox

status=0
"$papcast" pap-check "http://127.0.0.1:$ppg/wappush" --restart "touch '$dir/again'" "$@" || status=$?
kill -TERM "$keeper"
wait "$keeper" 2>/dev/null || true
exit "$status"
