//! papcast: one PAP push to a group ID reaches every bound MQTT terminal.
//!
//! papcast is a program; `papcast serve` runs the gateway, and the README says how to use it. This library is what the program
//! and its tests are made of. It promises no stable interface to other programs: those talk HTTP (PAP, JSON) and MQTT.
//!
//! The map for developers; imports go downwards only (`tests/tidy.rs` holds that):
//!
//! | module | job |
//! | --- | --- |
//! | [`cli`] | the commands |
//! | [`app`] | puts the parts together, binds the listeners, runs until told to stop |
//! | [`http`] | PAP endpoint and JSON API |
//! | [`mqtt`] | the MQTT side: the only thing a terminal ever talks to |
//! | [`gateway`] | what papcast does: group requests, submitting, settling |
//! | [`terminal`] | the reference terminal |
//! | [`store`] | SQLite remembers bindings, pushes and who has what |
//! | [`broker`] | rumqttd's router fans one publish out to the MQTT workers |
//! | [`address_resolution`] | whom the address of a push names |
//! | [`pap`] | the Push Access Protocol on the wire; pure |
//! | [`config`], [`telemetry`], [`metrics`], [`clock`], [`ids`], [`parcel`] | settings, logs, counters, time, names, and what travels |

pub mod address_resolution;
pub mod app;
pub mod broker;
pub mod budget;
pub mod cli;
pub mod clock;
pub mod config;
pub mod faults;
pub mod gateway;
pub mod health;
pub mod http;
pub mod ids;
pub mod log_limit;
pub mod metrics;
pub mod mqtt;
pub mod pap;
pub mod parcel;
pub mod store;
pub mod telemetry;
pub mod terminal;
