#!/usr/bin/env bash
# Goes forward to a newer papcast and back to the older one, by the steps of docs/store.md, "Upgrades":
#     tests/going-back.sh OLD_PAPCAST NEW_PAPCAST
# Both serve one store in a temporary folder, on free ports of this machine. Needs curl. Everything ends with the script.
set -euo pipefail
old=$(realpath "$1")
new=$(realpath "$2")

dir=$(mktemp -d -t papcast-going-back.XXXXXX)
pid=
finish() {
    if [ -n "$pid" ]; then kill -KILL "$pid" 2>/dev/null || true; fi
    wait 2>/dev/null || true
    if [ -n "${GOING_BACK_KEEP:-}" ]; then echo "going-back: its files are in $dir" >&2; else rm -rf "$dir"; fi
}
trap finish EXIT
trap 'exit 1' INT TERM
cd "$dir"
# What is set for another gateway is not meant for these.
for name in $(compgen -e PAPCAST_ || true); do unset "$name"; done
export PAPCAST_HTTP__LISTEN=127.0.0.1:0 PAPCAST_MQTT__LISTEN=127.0.0.1:0

fail() {
    echo "going-back: FAILED: $*" >&2
    for log in *.log; do echo "--- $log" >&2; tail -n 20 "$log" >&2; done
    exit 1
}
say() { echo "going-back: $*"; }
# Until a command succeeds; 30 seconds at most.
wait_for() {
    local what=$1
    shift
    for _ in $(seq 300); do
        if "$@"; then return; fi
        sleep 0.1
    done
    fail "waited too long for $what"
}

is_ready() { grep -q '"ready":true' ready || ! kill -0 "$pid" 2>/dev/null; }
serve() {
    : > ready
    "$1" serve > ready 2>> "$2.log" &
    pid=$!
    wait_for "the ready line of the $2 papcast" is_ready
    grep -q '"ready":true' ready || fail "the $2 papcast does not serve this store"
    http=$(sed 's/.*"http":"\([^"]*\)".*/\1/' ready)
    mqtt=$(sed 's/.*"mqtt":"\([^"]*\)".*/\1/' ready)
}
# By SIGTERM or SIGKILL; no other end than this is waited for.
stop() {
    kill "-$1" "$pid"
    wait "$pid" 2>/dev/null || true
    pid=
}

api() { curl -sS --max-time 30 -H 'Content-Type: application/json' -X "$1" "http://$http/api/v1/$2" ${3:+-d "$3"}; }
status() { curl -sS --max-time 30 -o /dev/null -w '%{http_code}' "http://$http/api/v1/$1"; }
push() { api POST pushes "{\"push_id\":\"$1\",\"to\":[\"group:news\"],\"body\":\"$2\"}" | grep -q '"code":1001' || fail "push $1 was refused"; }
has() { api GET "pushes/$1" | grep -qF "\"desc\":\"$2\""; }
is_away() { ! api GET groups/news/members | grep -q '"connected":true'; }
# The reference terminal of a papcast, until it has had so many pushes; the last field of each of its lines is the text.
terminal() {
    timeout 60 "$1" terminal --user "$2" --mqtt "$mqtt" --state "$2.json" --count "$3" 2>> terminal.log | cut -f 2 | paste -sd ' '
}
gets() {
    local got
    got=$(terminal "$1" "$2" "$(wc -w <<< "$3")") || true
    [ "$got" = "$3" ] || fail "$2 got \"$got\", and should have got \"$3\""
}
# What the older papcast says of groups, members and the first push while nobody is connected.
told() {
    wait_for "everybody to be away" is_away
    for path in groups groups/news groups/news/members pushes/first pushes/first/recipients; do
        echo "$path $(api GET "$path")"
    done
}

serve "$old" old
api PUT groups/news > /dev/null
api PUT groups/quiet '{"policy":"closed"}' > /dev/null
for user in alice bob; do api PUT "groups/news/members/$user" > /dev/null; done
push first one
gets "$old" alice one
wait_for "the acknowledgement of alice" has first "1 of 2"
told > before
stop KILL
say "the old papcast: group news with alice and bob, push first: 1 of 2; killed"

serve "$new" new
copies=(papcast.db.schema-*)
[ "${#copies[@]}" -eq 1 ] && [ -f "${copies[0]}" ] || fail "there is no copy of the store; are both of the same schema?"
copy=${copies[0]}
has first "1 of 2" || fail "the new papcast does not know push first"
api PUT groups/news/members/carol > /dev/null
api PUT groups/later > /dev/null
push second two
gets "$new" bob "one two"
wait_for "the acknowledgements of bob" has first "2 of 2"
stop TERM
say "the new papcast: upgraded, copy $copy; bob got first and second, carol is a member; stopped"

if "$old" serve > refused 2> refused.err; then fail "the old papcast serves a store of the new one"; fi
say "the old papcast on the upgraded store: $(tail -n 1 refused.err)"

# docs/store.md: stop the gateway (it is), delete these three, rename the copy, start the older one.
rm -f papcast.db papcast.db-wal papcast.db-shm
mv "$copy" papcast.db
serve "$old" old
told > after
diff before after >&2 || fail "the old papcast says other things than before the upgrade"
for path in groups/later pushes/second; do
    [ "$(status "$path")" = 404 ] || fail "$path is there, and was made after the copy"
done
push third three
gets "$old" bob "one three"
gets "$old" alice three
wait_for "the acknowledgements of the third push" has third "2 of 2"
stop TERM
say "back at the old papcast: groups, members and push first as before; push third delivered; stopped"

serve "$new" new
[ -f "$copy" ] || fail "the second upgrade made no copy"
has third "2 of 2" || fail "the new papcast does not know push third"
push fourth four
gets "$new" alice four
gets "$new" bob four
wait_for "the acknowledgements of the fourth push" has fourth "2 of 2"
stop TERM
if grep -q panicked ./*.log; then fail "a papcast panicked"; fi
say "forward again: upgraded once more, push fourth delivered"
say ok
