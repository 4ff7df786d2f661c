//! Claims as a peer sends them. There is one encoding of each.
#![no_main]

use cloister_attestation::Claims;

libfuzzer_sys::fuzz_target!(|encoded: &[u8]| {
    if let Ok(claims) = Claims::decode(encoded) {
        assert_eq!(claims.encode().expect("what was read can be written"), encoded);
        for app in &claims.apps {
            assert_eq!(claims.app(&app.name), Some(app));
            let _ = (app.hash().expect("it fits"), app.endorsement_hash().expect("it fits"));
        }
    }
});
