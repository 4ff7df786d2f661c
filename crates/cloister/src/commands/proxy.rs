//! `proxy`: a local port for programs that cannot verify an enclave.

use super::session::Proxied;
use crate::arguments::ProxyArguments;
use crate::failure::Failure;
use crate::output::{Printer, printable};
use crate::quantity::Digest;
use crate::settings::Settings;
use cloister_client::Platform;
use cloister_proxy::{
    Component, Exposure, Listener, Notice, Notices, PAGE_PATH, Proxy, ProxyError, Settings as ProxySettings,
};
use serde_json::json;
use std::sync::{Mutex, PoisonError};

/// Verifies the enclave, and serves until a signal ends this process.
pub(crate) async fn proxy(
    arguments: &ProxyArguments,
    settings: &Settings,
    printer: &Printer,
) -> Result<(), Failure> {
    settings.check_pinned_app(arguments.app.as_ref())?;
    let components: Result<Vec<_>, _> =
        arguments.components.iter().map(|path| Component::load(path)).collect();
    let components = components.map_err(|error| Failure::usage(error.to_string()))?;
    let exposure = if arguments.expose { Exposure::Everybody } else { Exposure::Loopback };
    let listener = Listener::bind(arguments.listen, exposure).await.map_err(unlistened)?;
    let address = listener.address();
    let Proxied { client, endpoint, apps, session } = Proxied::open(settings, arguments.app.as_ref()).await?;

    if !address.ip().is_loopback() {
        printer.hint(&format!(
            "whoever reaches {address} acts with your key, and whoever is on the way reads along"
        ));
    }
    if let Platform::Simulated { .. } = session.report().platform {
        printer.hint("SIMULATED: no hardware protects this enclave, and its operator can read everything");
    }
    let url = format!("http://localhost:{}{PAGE_PATH}", address.port());
    let mrenclave = Digest(*session.mrenclave());
    drop(session);
    let ready = json!({ "event": "ready", "address": address, "page": url, "mrenclave": mrenclave });
    printer.result(&ready, || {
        format!("verified  {}, MRENCLAVE {mrenclave}\nhttp      {address}\npage      {url}\n", settings.host)
    })?;

    let proxy_settings = ProxySettings {
        allowed_hosts: arguments.allowed_hosts.clone(),
        app: arguments.app.clone(),
        apps,
        components,
        notices: told(*printer),
    };
    listener.serve(Proxy::new(client, endpoint, proxy_settings)).await;
    Ok(())
}

/// Says on standard error when the enclave is refused, once for each reason, and when it is accepted again.
fn told(printer: Printer) -> Notices {
    let last = Mutex::new(None::<String>);
    Notices::new(move |notice| {
        let refusal = match notice {
            Notice::Verified { .. } => None,
            Notice::Refused(error) => Some(error.to_string()),
        };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        match &refusal {
            same if *last == *same => {}
            Some(refusal) => printer.hint(&format!("nothing is sent: {}", printable(refusal))),
            None => printer.hint("the enclave is accepted again"),
        }
        *last = refusal;
    })
}

fn unlistened(error: ProxyError) -> Failure {
    let help = match &error {
        ProxyError::Exposed(_) => {
            Some("name a loopback address, or add --expose if that is what you want".to_owned())
        }
        _ => None,
    };
    Failure::Usage { what: error.to_string(), help }
}
