use std::sync::atomic::Ordering;

use super::{Machine, TestApp};
use crate::PlatformSettings;
use crate::bindings::privasys::enclave_os::attestation::Host as _;
use crate::bindings::privasys::enclave_os::sealing::Host as _;

#[tokio::test]
async fn a_seal_key_comes_with_the_code_that_it_belongs_to() {
    let mut machine = Machine::new();
    let sealed = machine.view().get_seal_key().await.unwrap().unwrap();
    assert_eq!(sealed, (TestApp::SEAL_KEY.to_vec(), TestApp::CODE_HASH.to_vec()));
}

#[tokio::test]
async fn extensions_of_every_allowed_length_are_set() {
    let mut machine = Machine::new();
    for length in [0, 1, 4096] {
        machine.view().set_attestation_extension(7, vec![9; length]).await.unwrap().unwrap();
    }
    let extensions = machine.app.extensions.lock().unwrap();
    assert_eq!(
        extensions.iter().map(|(suffix, value)| (*suffix, value.len())).collect::<Vec<_>>(),
        [(7, 0), (7, 1), (7, 4096)]
    );
}

#[tokio::test]
async fn a_longer_extension_never_reaches_the_enclave() {
    let mut machine = Machine::new();
    let refused = machine.view().set_attestation_extension(7, vec![9; 4097]).await.unwrap();
    assert_eq!(refused.unwrap_err(), "the value of an extension has 4096 bytes at most, not 4097");
    assert!(machine.app.extensions.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_configuration_is_completed_once() {
    let mut machine = Machine::new();
    machine.view().set_config_complete().await.unwrap().unwrap();
    assert!(machine.app.configured.load(Ordering::Relaxed));
    assert_eq!(machine.view().set_config_complete().await.unwrap().unwrap_err(), "it is configured");
}

#[tokio::test]
async fn without_an_enclave_all_of_it_is_refused() {
    let mut machine = Machine::new();
    machine.settings = PlatformSettings::none();
    machine.call(None);
    let mut view = machine.view();
    assert!(view.get_seal_key().await.unwrap().is_err());
    assert!(view.set_attestation_extension(1, Vec::new()).await.unwrap().is_err());
    assert!(view.set_config_complete().await.unwrap().is_err());
}
