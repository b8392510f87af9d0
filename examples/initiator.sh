#!/bin/sh
# A push initiator with curl: posts one PAP push and prints the gateway's answer.
#
# Run it against a fresh gateway (papcast serve) to whose group "news" somebody is bound:
#
#   sh examples/initiator.sh http://127.0.0.1:8080/pap WAPPUSH=news/TYPE=GROUP@papcast "Hello, group"
set -eu
[ $# -eq 3 ] || { echo "usage: initiator.sh URL ADDRESS TEXT" >&2; exit 2; }
url=$1 address=$2 text=$3
push_id="$(date +%s)-$$@initiator.example"

# MIME wants CR LF at the end of each line: a strict gateway refuses LF alone. The text is sent as it is.
printf '%s\r\n' \
    '--part' \
    'Content-Type: application/xml' \
    '' \
    '<?xml version="1.0"?>' \
    '<!DOCTYPE pap PUBLIC "-//WAPFORUM//DTD PAP 2.0//EN" "http://www.wapforum.org/DTD/pap_2.0.dtd">' \
    "<pap><push-message push-id=\"$push_id\"><address address-value=\"$address\"/></push-message></pap>" \
    '--part' \
    'Content-Type: text/plain' \
    '' \
    "$text" \
    '--part--' |
    curl --silent --show-error --header 'Content-Type: multipart/related; boundary=part; type="application/xml"' \
        --data-binary @- "$url"
echo
