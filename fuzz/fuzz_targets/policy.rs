//! A policy file, and what is said about it.
#![no_main]

use cloister_policy::PolicyFile;

libfuzzer_sys::fuzz_target!(|text: &str| match PolicyFile::parse(text) {
    Ok(file) => {
        let said = [file.explain(), file.warnings()].map(|lines| lines.len());
        assert!(said[0] > 0, "nothing is explained");
        assert_eq!(PolicyFile::parse(text).expect("it is as it was").policy, file.policy);
    }
    Err(error) => assert!(!error.to_string().is_empty()),
});
