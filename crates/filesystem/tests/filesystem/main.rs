//! The filesystem on volumes in memory: by topic, against a model, against tmpfs, and through power cuts.

mod crash;
mod damage;
mod data;
mod directories;
mod fixture;
mod limits;
mod model;
mod names;
mod operations;
mod orphans;
mod properties;
mod sealed;
mod threads;
mod times;
mod tmpfs;
