use std::fmt;
use std::sync::Arc;

use cloister_api::NetworkPolicy;

use crate::{Client, EgressLog};

/// What an app may do over HTTP. A clone costs a few reference counts: keep one per app, make a context per call.
#[derive(Clone)]
pub struct HttpSettings {
    /// Where the app's requests may go.
    pub policy: Arc<NetworkPolicy>,
    /// TLS of the app's requests, and the connections that are kept for it.
    pub client: Client,
    /// Learns of each request.
    pub egress: Arc<dyn EgressLog>,
}

impl fmt::Debug for HttpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSettings").field("policy", &self.policy).finish_non_exhaustive()
    }
}
