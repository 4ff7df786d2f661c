//! `collateral`: what quotes are verified with, kept for later.

use super::quoting;
use super::session::presented_quote;
use crate::arguments::CollateralFetchArguments;
use crate::failure::{Failure, FileAction};
use crate::output::Printer;
use crate::settings::Settings;
use cloister_collateral::{expiry, shown_date};
use serde_json::json;
use std::fs;
use std::path::Path;

/// Fetches the collateral of a quote, which is in a file or the one that an enclave presents.
pub(crate) async fn fetch(
    arguments: &CollateralFetchArguments,
    settings: &Settings,
    printer: &Printer,
) -> Result<(), Failure> {
    let Some(server) = quoting::server(&arguments.pccs)? else {
        return Err(Failure::Usage {
            what: "no service to fetch from is named".to_owned(),
            help: Some("name a PCCS with --pccs URL".to_owned()),
        });
    };
    let quote = match &arguments.quote {
        Some(path) => quote(path)?,
        None => presented_quote(settings).await?,
    };
    let collateral = server.collateral(&quote).await.map_err(quoting::failure)?;
    let json = serde_json::to_vec(&collateral).map_err(|error| Failure::Internal(error.to_string()))?;
    let out = &arguments.out;
    fs::write(out, json).map_err(|source| Failure::File {
        action: FileAction::Write,
        path: out.clone(),
        source,
    })?;
    let expires = expiry(&collateral).and_then(shown_date);
    let shown = out.display().to_string();
    printer.result(&json!({ "collateral": shown, "source": server.url(), "expires": expires }), || {
        let until = expires.as_deref().unwrap_or("it does not say when");
        format!("collateral  {shown}\nsource      {}\nexpires     {until}\n", server.url())
    })
}

fn quote(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |source| Failure::File { action: FileAction::Read, path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length > MAX_QUOTE {
        return Err(Failure::usage(format!("{} is longer than any quote", path.display())));
    }
    fs::read(path).map_err(unreadable)
}

/// In bytes, several times that of any.
const MAX_QUOTE: u64 = 64 << 10;
