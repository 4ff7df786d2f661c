//! The real image on software SGX, and real clients. One program, so that most tests share one enclave.
#![forbid(unsafe_code)]

mod apps;
mod authorization;
mod bad_requests;
mod broken_platform;
mod command_line;
mod conformance;
mod conformance_network;
mod examples;
mod facts;
mod hardware;
mod hospital;
mod hostile_clients;
mod hostile_guests;
mod https;
mod isolation;
mod jobs;
mod lying_disk;
mod lying_host;
mod lying_sockets;
mod network;
mod platform;
mod policy;
mod probe;
mod proxy;
mod relay;
mod schema;
mod sdk;
mod storage;
mod trust;
mod upgrade_image;
mod waiting;
mod web;
