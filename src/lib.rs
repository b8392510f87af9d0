//! papcast: one PAP push to a group ID reaches every bound MQTT terminal.
//!
//! Which module does what. Imports go downwards only, and no files import each other in a circle (`tests/tidy.rs` holds both).
//! `docs/architecture.md` walks through it with one push and one group request.
//!
//! | module | job |
//! | --- | --- |
//! | [`cli`] | the commands |
//! | [`app`] | puts the parts together, binds the listeners, watches the parts, runs until told to stop |
//! | [`http`] | PAP endpoint, JSON API, health |
//! | [`mqtt`] | the MQTT side: the only thing a terminal ever talks to; it delivers and takes acknowledgements |
//! | [`canary`] | a terminal of the gateway's own, whose age shows that everything works |
//! | [`gateway`] | what papcast does: group requests, submission, cancel, replace, notifications |
//! | [`terminal`] | the reference terminal |
//! | [`store`] | SQLite remembers memberships, pushes and who has what |
//! | [`broker`] | rumqttd's router fans one publish out to the MQTT workers |
//! | [`address_resolution`] | whom the address of a push names |
//! | [`pap`] | the Push Access Protocol on the wire; pure |
//! | [`feed`] | what has happened, in the order of commits, for those who have to act on it |
//! | [`liveness`], [`service_manager`] | whether what could hang does, and what systemd is told |
//! | [`reload`] | what is read again while the gateway runs |
//! | [`control`] | the socket beside the store: commands that reach a running gateway |
//! | [`credentials`], [`token`], [`jwt`] | who may sign in, and with what |
//! | [`caller`], [`policy`], [`pattern`] | who is asking, and may he |
//! | [`entrances`], [`listeners`], [`proxy_protocol`], [`tls`] | addresses to listen on, proxies before them, and certificates |
//! | [`parcel`] | what travels: one push on its way to one destination |
//! | [`signals`] | what happens, for those who look on: events, time lines of devices, numbers, log lines |
//! | [`config`], [`telemetry`], [`trace`] | settings, where the log goes, and traces |
//! | [`supervision`], [`open_files`], [`faults`], [`log_limit`], [`rate_limit`], [`client_address`], [`budget`], [`watched_files`], [`clock`], [`ids`] | which parts live, how many connections the system allows, faults for tests, repeated log lines, how often, what is one address, shared bounds, files that change, time, names |

pub mod address_resolution;
pub mod app;
pub mod broker;
pub mod budget;
pub mod caller;
pub mod canary;
pub mod cli;
pub mod client_address;
pub mod clock;
pub mod config;
pub mod control;
pub mod credentials;
pub mod entrances;
pub mod faults;
pub mod feed;
pub mod gateway;
pub mod http;
pub mod ids;
pub mod jwt;
pub mod listeners;
pub mod liveness;
pub mod log_limit;
pub mod mqtt;
pub mod open_files;
pub mod pap;
pub mod parcel;
pub mod pattern;
pub mod policy;
pub mod proxy_protocol;
pub mod rate_limit;
pub mod reload;
pub mod service_manager;
pub mod signals;
pub mod store;
pub mod supervision;
pub mod telemetry;
pub mod terminal;
pub mod tls;
pub mod token;
pub mod trace;
pub mod watched_files;
