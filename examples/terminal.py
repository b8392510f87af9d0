#!/usr/bin/env python3
"""A terminal in Python with paho-mqtt (MQTT 5): joins a group and prints the pushes that arrive.

Run it against a fresh gateway (papcast serve), then push to the group:

    pip install paho-mqtt
    python3 examples/terminal.py 127.0.0.1 1883 sip:carol@example.com news
"""
import json
import sys

import paho.mqtt.client as mqtt


def main(host, port, user, group):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    # The username is the user ID; in mode "open" there is no password.
    client.username_pw_set(user)

    def on_connect(client, userdata, flags, reason, properties):
        # A group request. The answer comes by itself, and so do the pushes: a bound terminal needs no SUBSCRIBE.
        client.publish("$push/request", json.dumps({"op": "join", "id": "1", "group": group}), qos=1)

    def on_message(client, userdata, message):
        properties = dict(getattr(message.properties, "UserProperty", []))
        print(message.topic, message.payload.decode(errors="replace"), properties.get("push-id", ""), sep="\t", flush=True)

    client.on_connect = on_connect
    client.on_message = on_message
    client.connect(host, int(port))
    client.loop_forever()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: terminal.py HOST PORT USER GROUP")
    main(*sys.argv[1:])
