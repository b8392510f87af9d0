//! A terminal in Rust with rumqttc (MQTT 3.1.1): joins a group and prints the pushes that arrive.
//!
//! Run it against a fresh gateway (`papcast serve`), then push to the group:
//!
//! ```text
//! cargo run --release --example terminal -- 127.0.0.1 1883 sip:bob@example.com news
//! ```

use std::error::Error;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, user, group] = &args[..] else { return Err("usage: terminal HOST PORT USER GROUP".into()) };
    let mut options = MqttOptions::new(format!("example-{}", std::process::id()), host, port.parse()?);
    // The username is the user ID; in mode "open" the password does not matter.
    options.set_credentials(user, "").set_keep_alive(Duration::from_secs(30));
    // In bytes, of what comes and of what is sent. rumqttc's default of 10 KiB is less than a push may have (512 KiB).
    options.set_max_packet_size(2 << 20, 2 << 20);
    let (client, mut events) = AsyncClient::new(options, 10);
    // A group request. The answer comes by itself, and so do the pushes: a bound terminal needs no SUBSCRIBE.
    let request = format!(r#"{{"op":"join","id":"1","group":"{group}"}}"#);
    client.publish("$push/request", QoS::AtLeastOnce, false, request).await?;
    loop {
        // rumqttc acknowledges QoS 1 by itself: that is what the initiator hears of as "delivered".
        if let Event::Incoming(Incoming::Publish(publish)) = events.poll().await? {
            println!("{}\t{}", publish.topic, String::from_utf8_lossy(&publish.payload));
        }
    }
}
