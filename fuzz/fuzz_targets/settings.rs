//! What comes as JSON in headers and bodies of requests, and from the host at the start. What is understood means the same
//! when it is written again.
#![no_main]

use std::fmt::Debug;

use cloister_api::{
    Configuration, DeploySettings, Endorsement, EvidenceRequest, HandOver, HandOverOffer, HandOverRequest,
    RunRequest, VolumeAdoption,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

libfuzzer_sys::fuzz_target!(|json: &[u8]| {
    is_stable::<DeploySettings>(json);
    is_stable::<Vec<Endorsement>>(json);
    is_stable::<EvidenceRequest>(json);
    is_stable::<RunRequest>(json);
    is_stable::<Configuration>(json);
    is_stable::<HandOverOffer>(json);
    is_stable::<HandOverRequest>(json);
    is_stable::<HandOver>(json);
    is_stable::<VolumeAdoption>(json);
});

fn is_stable<T: DeserializeOwned + Serialize + PartialEq + Debug>(json: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(json) else { return };
    let written = serde_json::to_vec(&value).expect("it can be written");
    assert_eq!(serde_json::from_slice::<T>(&written).ok().as_ref(), Some(&value));
}
