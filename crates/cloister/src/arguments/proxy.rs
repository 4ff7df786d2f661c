//! What `proxy` takes.

use clap::Args;
use cloister_api::AppName;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct ProxyArguments {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(
        long,
        env = "CLOISTER_PROXY_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080"
    )]
    pub(crate) listen: SocketAddr,
    /// The app that the page opens with; --code-hash or the profile says which code is right
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<AppName>,
    /// A component, so that the page has forms for the app whose attested code hash is this file's; repeat it for several.
    /// An enclave describes an app to its owner alone
    #[arg(long = "wasm", value_name = "FILE")]
    pub(crate) components: Vec<PathBuf>,
    /// A host name to serve beside localhost, without port; repeat it for several
    #[arg(long = "allow-host", value_name = "NAME")]
    pub(crate) allowed_hosts: Vec<String>,
    /// Listen on an address that other machines can reach, without TLS: whoever reaches it acts with your key
    #[arg(long)]
    pub(crate) expose: bool,
}
