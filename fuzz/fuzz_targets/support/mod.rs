//! A gateway in this process, for targets that talk to one: started with the first input.

#[path = "../../../tests/common/noise.rs"]
pub mod noise;

use std::sync::{Arc, OnceLock};

use noise::Doors;
use papcast::app::App;
use papcast::config;
use tokio_util::sync::CancellationToken;

static DOORS: OnceLock<Doors> = OnceLock::new();

/// Where it listens.
pub fn doors() -> Doors {
    *DOORS.get_or_init(|| {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async move {
                let folder = std::env::temp_dir().join(format!("papcast-fuzz-{}", std::process::id()));
                papcast::tls::self_signed(&folder.join("tls"), &["localhost".to_owned()], "fuzz").expect("certificates");
                let path = |name: &str| folder.join(name).display().to_string();
                let flags = [
                    ("http.listen", "127.0.0.1:0".to_owned()),
                    ("mqtt.listen", "127.0.0.1:0".to_owned()),
                    ("mqtt.tls_listen", "127.0.0.1:0".to_owned()),
                    ("tls.cert", path("tls/server.pem")),
                    ("tls.key", path("tls/server-key.pem")),
                    ("store.path", path("fuzz.db")),
                ];
                let config = config::load(None, [], &flags).expect("a configuration");
                let app = App::build(config, Arc::new(|| Err("there is none".into()))).await.expect("a gateway");
                let bound = app.entrances().addresses();
                let (http, mqtt, mqtts) = (bound.http, bound.mqtt, bound.mqtts);
                let known = "it was asked for";
                let doors = Doors { http: http.expect(known), mqtt: mqtt.expect(known), mqtts: mqtts.expect(known) };
                tell.send(doors).expect("somebody waits");
                app.run(CancellationToken::new()).await.expect("it ended, which it must not");
            });
        });
        told.recv().expect("a gateway")
    })
}
