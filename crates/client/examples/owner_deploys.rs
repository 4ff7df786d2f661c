//! An owner deploys an app, under rules that its callers will see and can demand.
//!
//! ```sh
//! cloister keygen --out owner.pem                       # the enclave has to be started with --owner FINGERPRINT
//! cargo run -p cloister-client --example owner_deploys -- localhost:8443 MRENCLAVE owner.pem app.wasm [SIMULATED_ROOT]
//! ```

use cloister_client::api::{AppName, DeploySettings, Limits, NetworkPolicy, Upgrade};
use cloister_client::{Client, DeployProgress, Identity, Measurement, Policy, TrustAnchor};
use std::error::Error;
use std::path::Path;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, mrenclave, key, wasm, simulated @ ..] = arguments.as_slice() else {
        return Err("usage: owner_deploys HOST:PORT MRENCLAVE KEY.pem APP.wasm [SIMULATED_ROOT]".into());
    };
    let name: AppName = "hello".parse()?;

    // An owner verifies the enclave as callers do: the code that is uploaded may be secret, and the variables that come with
    // it usually are. The key proves who asks; it is never sent.
    let anchor = match simulated {
        [root, ..] => TrustAnchor::Simulated { root_fingerprint: digest(root)? },
        [] => TrustAnchor::Intel,
    };
    let policy = Policy::new(anchor, Measurement::Exactly(vec![digest(mrenclave)?]));
    let client = Client::new(policy).with_identity(Identity::load(Path::new(key))?);
    let session = client.connect(&endpoint.parse()?).await?;

    // What is decided here is measured into the claims: callers read it in the evidence, and their policies can demand it.
    let settings = DeploySettings {
        // No call may use more than this.
        limits: Limits { fuel: 50_000_000, ..Limits::default() },
        // All that it may do on the network. Without a rule it opens no connection at all.
        network: NetworkPolicy::new(vec!["https://example.com".parse()?])?,
        // Nobody, its owner included, can put other code in front of the data that it will have.
        upgrade: Upgrade::Frozen,
        ..DeploySettings::default()
    };
    let description = session
        .deploy(&name, std::fs::read(wasm)?, &settings, |step| {
            // A large component takes minutes to compile, inside the enclave.
            if let DeployProgress::Uploaded { sent, total } = step {
                eprintln!("{sent} of {total} bytes");
            }
        })
        .await?;

    // The hash of the bytes that the enclave got, which the client compared with those it sent. Publish it: it is what
    // callers pin.
    println!("{name} is {}", description.summary.code_hash);
    Ok(())
}

fn digest(hex: &str) -> Result<[u8; 32], hex::FromHexError> {
    let mut digest = [0; 32];
    hex::decode_to_slice(hex, &mut digest).map(|()| digest)
}
