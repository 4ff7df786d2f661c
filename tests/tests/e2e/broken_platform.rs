//! Images and state folders that are not what they were.

use cloister_host::{Exit, HostError};
use cloister_tests::{Setup, image, sigstruct};
use std::fs;

fn error(setup: Setup) -> HostError {
    match setup.try_start() {
        Err(error) => error,
        Ok(_) => panic!("the enclave started"),
    }
}

#[test]
fn a_corrupted_image_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("image.sgxs");
    let mut bytes = fs::read(image()).unwrap();
    // The first bytes of the first page: behind ECREATE, EADD and EEXTEND, each a record of 64 bytes.
    bytes[3 * 64] ^= 1;
    fs::write(&copy, &bytes).unwrap();
    let mut setup = Setup::new();
    setup.launch.image = copy.clone();
    let flipped = error(setup).to_string();
    assert!(flipped.contains("measure"), "{flipped}");
    bytes[3 * 64] ^= 1;
    fs::write(&copy, &bytes[..bytes.len() / 2]).unwrap();
    let mut setup = Setup::new();
    setup.launch.image = copy;
    assert!(!error(setup).to_string().is_empty());
}

#[test]
fn an_image_with_anothers_signature_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("image.sigstruct");
    let mut bytes = fs::read(sigstruct()).unwrap();
    // A byte of the RSA signature (Intel SDM volume 3D, table 38-19).
    bytes[600] ^= 1;
    fs::write(&copy, &bytes).unwrap();
    let mut setup = Setup::new();
    setup.launch.sigstruct = copy;
    let message = error(setup).to_string();
    assert!(message.contains("signature") || message.contains("SIGSTRUCT"), "{message}");
}

#[test]
fn a_damaged_state_folder_is_told_and_not_overwritten() {
    let first = Setup::new();
    let folder = tempfile::tempdir().unwrap();
    let mut setup = first;
    setup.launch.state = folder.path().to_owned();
    let enclave = setup.start();
    assert!(matches!(enclave.stop(), Ok(Exit::Success)));
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let damaged = files.iter().find(|path| path.is_file()).expect("the platform keeps a file").clone();
    let mut bytes = fs::read(&damaged).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&damaged, &bytes).unwrap();
    let mut setup = Setup::new();
    setup.launch.state = folder.path().to_owned();
    assert!(!error(setup).to_string().is_empty());
    assert_eq!(fs::read(&damaged).unwrap(), bytes);
}

#[test]
fn a_platform_is_the_same_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let roots: Vec<_> = (0..2)
        .map(|_| {
            let mut setup = Setup::new();
            setup.launch.state = folder.path().to_owned();
            let enclave = setup.start();
            let root = enclave.running().soft_root_fingerprint();
            assert!(matches!(enclave.stop(), Ok(Exit::Success)));
            root
        })
        .collect();
    assert!(roots[0].is_some());
    assert_eq!(roots[0], roots[1]);
}

#[test]
fn a_configuration_that_cannot_be_read_ends_the_start() {
    let mut setup = Setup::new();
    setup.configuration.listen = "nonsense".into();
    let message = error(setup).to_string();
    assert!(!message.is_empty());
}
