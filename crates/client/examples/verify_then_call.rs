//! Verify an enclave, then call an app in it: the smallest whole client.
//!
//! ```sh
//! cargo run -p cloister-client --example verify_then_call -- localhost:8443 MRENCLAVE CODE_HASH [SIMULATED_ROOT]
//! ```
//!
//! The app is called `hello` here, and has the function `greet: func(name: string) -> string`.

use cloister_client::{Client, ClientError, Endpoint, Measurement, Policy, TrustAnchor};
use serde_json::json;
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, mrenclave, code_hash, simulated @ ..] = arguments.as_slice() else {
        return Err("usage: verify_then_call HOST:PORT MRENCLAVE CODE_HASH [SIMULATED_ROOT]".into());
    };
    let endpoint: Endpoint = endpoint.parse()?;
    let app = "hello".parse()?;

    // Two decisions have no default. Whose hardware: Intel's, or one soft platform by name, which is good for trying things
    // out. And which image: the measurement of the code that you built or reviewed. Everything that an enclave says of itself
    // is only as good as these two.
    let anchor = match simulated {
        [root, ..] => TrustAnchor::Simulated { root_fingerprint: digest(root)? },
        [] => TrustAnchor::Intel,
    };
    let policy = Policy::new(anchor, Measurement::Exactly(vec![digest(mrenclave)?]))
        // Which code answers under the app's name. Without this the call would go to whatever the owner has deployed.
        .with_app(app, digest(code_hash)?);

    // Connecting is the handshake, the evidence for this very session, and its appraisal. There is no session before all of
    // that was good: nothing that you could send by mistake.
    let session = match Client::new(policy).connect(&endpoint).await {
        Ok(session) => session,
        Err(ClientError::Refused(refused)) => {
            // The report has every check, also those that passed: the reader sees at once what is wrong, and what is not.
            eprintln!("{}", refused.report);
            return Err("refused, and nothing was sent".into());
        }
        Err(error) => return Err(error.into()),
    };
    println!("{}", session.report());

    // From here on it is an ordinary call. Should the owner replace the code meanwhile, the enclave refuses the call, since
    // the session says which code it was verified with.
    let answer = session.call_json(&"hello".parse()?, "greet", &json!({ "name": "Ada" })).await?;
    println!("{}", answer.result);

    // The data lives on after this session. Keep the epoch, and demand it next time with `with_minimum_epoch`: a volume that
    // was put back to an older state is refused then.
    if let Some(epoch) = session.latest_epoch() {
        println!("the state to demand next time: {epoch}");
    }
    Ok(())
}

fn digest(hex: &str) -> Result<[u8; 32], hex::FromHexError> {
    let mut digest = [0; 32];
    hex::decode_to_slice(hex, &mut digest).map(|()| digest)
}
