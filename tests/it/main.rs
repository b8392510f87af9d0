//! The gateway from outside: the built binary, real clients, real bytes. One module per capability.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod access;
mod browser;
mod capabilities;
mod clients;
mod command_line;
mod commands;
mod conformance;
mod console;
mod control;
mod delivery;
mod demo;
mod devices;
mod doctor;
mod duplicates;
mod endpoints;
mod events;
mod examples;
mod going_back;
mod groups;
mod heads;
mod history;
mod hostile;
mod housekeeping;
mod jwt;
mod kannel;
mod kit;
mod last_words;
mod lifecycle;
mod limits;
mod logs;
mod monitoring;
mod mqtt;
mod noise;
mod notify;
mod open_topics;
mod openapi;
mod operations;
mod operator;
mod proxies;
mod quotas;
mod real_initiators;
mod replace;
mod router;
mod sessions;
mod set_aside;
mod submit;
mod systemd;
mod tls;
mod watched;
mod websocket;
mod welcome;
mod who;
