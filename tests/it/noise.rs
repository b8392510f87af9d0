//! Bytes that mean nothing, and packets that mean something in an order that does not: nothing of it stops the gateway, or keeps
//! a connection from ending. Longer, and cleverer, with cargo-fuzz: `fuzz/README.md`.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::common::Gateway;
use crate::common::noise::{Doors, ENTRIES, assert_well};
use crate::tls::Certificates;

/// Connections that are made through each of the ways in.
const CASES: u32 = 60;

#[test]
fn noise_over_every_way_in_ends_its_own_connection_and_nothing_else() {
    let certificates = Certificates::make();
    let settings = certificates.settings("") + "[[acl]]\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"#\"]\n";
    let gateway = Gateway::start_with(&settings, &[]);
    let doors = Doors { http: gateway.http, mqtt: gateway.mqtt, mqtts: gateway.address("mqtts") };
    for (name, entry) in ENTRIES {
        let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        let tried = TestRunner::new(config).run(&vec(any::<u8>(), 0..600), |bytes| {
            entry(doors, &bytes);
            Ok(())
        });
        assert!(tried.is_ok(), "{name}: {tried:?}");
        assert_well(doors);
    }
    assert_eq!(gateway.http().get("/healthz").status, 200);
    assert!(!gateway.log().contains("its task has failed"), "{}", gateway.log());
}
