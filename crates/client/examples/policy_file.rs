//! Let a file decide what is accepted, so that people can read and change it without building anything.
//!
//! ```sh
//! cloister policy init --host localhost:8443 --mrenclave HEX --out policy.toml   # then read it, and decide
//! cargo run -p cloister-client --example policy_file -- localhost:8443 policy.toml hello greet '{"name": "Ada"}'
//! ```
//!
//! `docs/policy.md` has the file key by key.

use cloister_client::{Client, CollateralServer, Endpoint, ServerTrust};
use cloister_policy::{CollateralSource, PolicyFile};
use std::error::Error;
use std::path::Path;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, path, app, export, input] = arguments.as_slice() else {
        return Err("usage: policy_file HOST:PORT POLICY.toml APP EXPORT JSON".into());
    };
    let (endpoint, path): (Endpoint, &Path) = (endpoint.parse()?, Path::new(path));
    let app = app.parse()?;

    // A file that lacks a decision is no policy: the error lists what is missing, and what each of it would decide.
    let file = PolicyFile::parse(&std::fs::read_to_string(path)?)?;

    // A service would log this once, when it starts: what whoever wrote the file has chosen not to know.
    for warning in file.warnings() {
        eprintln!("{warning}");
    }

    // The policy says nothing of an app that it does not name, so neither does this program.
    if !file.policy.apps.contains_key(&app) {
        return Err(format!("{} says nothing of the app {app}", path.display()).into());
    }

    let mut client = Client::new(file.policy);
    let beside = |file: &Path| path.parent().unwrap_or(Path::new("")).join(file);
    match file.collateral {
        // Signed by Intel, but from before its own revocation if the machine likes; `maximum-collateral-age` bounds that.
        CollateralSource::Enclave => {}
        // One's own copy of Intel's lists: the machine can hold nothing back, and nothing has to be fetched.
        CollateralSource::File(collateral) => {
            client = client.with_collateral(serde_json::from_slice(&std::fs::read(beside(&collateral))?)?);
        }
        // What a service has at the time, for each session.
        CollateralSource::Server { url, roots } => {
            let mut server = CollateralServer::new(&url)?;
            if let Some(roots) = roots {
                server = server.with_trust(ServerTrust::from_pem(&std::fs::read(beside(&roots))?)?);
            }
            client = client.with_collateral_server(server);
        }
    }

    let session = client.connect(&endpoint).await?;
    let answer = session.call_json(&app, export, &serde_json::from_str(input)?).await?;
    println!("{}", answer.result);
    Ok(())
}
