//! `https.fetch` in the image, against real servers on loopback.

mod attestation_servers;
mod bounds;
mod certificates;
mod connections;
mod enclaves;
mod fetcher;
mod good;
mod log;
mod memory;
mod misbehaving;
mod old;
mod redirects;
mod requests;
