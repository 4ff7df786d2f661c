//! An app as people read it.

use super::{Paint, counted_files, counted_keys, printable, table};
use crate::quantity::{Size, elapsed, grouped};
use cloister_api::{
    AppDescription, CallerPolicy, ConfigurationState, ExportDescription, ExtensionDescription,
    FunctionCounters, KeyDescription, NetworkPolicy, StorageUsage, Upgrade,
};
use std::fmt::Write as _;

/// Everything about one app.
pub(crate) fn description(app: &AppDescription, paint: Paint) -> String {
    let limits = &app.limits;
    let mut text = format!("{}\n", paint.bold(app.summary.name.as_str()));
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<12} {}", printable(value));
    };
    field("code hash", &app.summary.code_hash);
    field("size", &Size(app.summary.size).to_string());
    field("owner", &app.summary.owner);
    field(
        "native code",
        &format!("{}, compiled in {}", Size(app.code_bytes), elapsed(app.compile_ms.saturating_mul(1000))),
    );
    field(
        "limits",
        &format!(
            "fuel {}, memory {}, time {}, result {}, log {}, storage {}, files {}",
            grouped(limits.fuel),
            Size(limits.memory),
            elapsed(limits.wall_time_ms.saturating_mul(1000)),
            Size(limits.result),
            Size(limits.log),
            Size(limits.storage),
            grouped(limits.files)
        ),
    );
    field("storage", &stored(&app.storage));
    if !app.environment.is_empty() {
        field("environment", &format!("{} (values are secret)", app.environment.join(", ")));
    }
    if !app.config.is_empty() {
        field("config", &format!("{} (values are secret)", app.config.join(", ")));
    }
    match (app.configuration, app.configure_with.as_deref().unwrap_or("an export")) {
        (ConfigurationState::NotNeeded, _) => {}
        (ConfigurationState::Awaited, with) => {
            field("configured", &format!("NO: it answers {with} alone, and that to you"))
        }
        (ConfigurationState::Complete, with) => field("configured", &format!("yes, by {with}")),
    }
    for directory in &app.directories {
        let access = if directory.read_only { ", read-only" } else { "" };
        field("directory", &format!("{} as {}{access}", directory.path, directory.guest));
    }
    if let Some(assets) = &app.assets {
        let files = counted_files(assets.files);
        field("assets", &format!("{} at {}, {files} ({})", assets.hash, assets.at, Size(assets.bytes)));
    }
    if let Some(roots) = &app.roots {
        field("roots", &format!("{roots} (its own certificates for https)"));
    }
    if let Some(roots) = &app.quote_roots {
        field("quote roots", &format!("{roots} (beside Intel's)"));
    }
    for extension in &app.extensions {
        let ExtensionDescription { oid, bytes, hash } = extension;
        field("extension", &format!("{oid}, {}: {hash}", Size(*bytes)));
    }
    if app.runs || app.serves_http {
        let kinds = [(app.serves_http, "a web service"), (app.runs, "a command")];
        let kinds = kinds.into_iter().filter_map(|(is, kind)| is.then_some(kind));
        field("kind", &kinds.collect::<Vec<_>>().join(" and "));
    }
    if !app.imports.is_empty() {
        field("imports", &app.imports.join("\n               "));
    }
    text.push_str(&access(&app.callers, &app.upgrade));
    text.push_str(&issuers(app.issuers.iter().map(|issuer| ShownIssuer {
        name: &issuer.name,
        url: &issuer.issuer,
        audience: &issuer.audience,
        roles_claim: &issuer.roles_claim,
    })));
    text.push_str(&network(&app.network, paint));
    text.push_str(&keys(&app.keys));
    text.push_str("functions\n");
    for export in &app.exports {
        let _ = writeln!(text, "  {}", printable(&signature(export)));
        if let Some(reason) = &export.not_callable {
            let _ = writeln!(text, "      cannot be called: {}", printable(reason));
        }
        if let Some(counters) = app.functions.get(&export.name) {
            let _ = writeln!(text, "      {}", counted(counters));
        }
    }
    let _ = writeln!(text, "all calls\n  {}", counted(&app.total));
    text
}

/// What deploying an app led to.
pub(crate) fn deployed(app: &AppDescription, verb: &str, paint: Paint) -> String {
    let mut text = format!(
        "{} {} ({}, compiled in {})\n  code hash {}\n",
        paint.green(verb),
        paint.bold(app.summary.name.as_str()),
        Size(app.summary.size),
        elapsed(app.compile_ms.saturating_mul(1000)),
        printable(&app.summary.code_hash)
    );
    if let Some(assets) = &app.assets {
        let _ = writeln!(text, "  assets {} at {}", printable(&assets.hash), printable(&assets.at));
    }
    if app.callers.is_owner_alone() {
        text.push_str("  answers its owner alone, who shows the key; --public and --caller admit others\n");
    }
    if app.network.is_plaintext() {
        let _ = writeln!(text, "  {}", paint.yellow(PLAINTEXT));
    }
    if let (ConfigurationState::Awaited, Some(export)) = (app.configuration, &app.configure_with) {
        let what = format!("awaits its configuration: cloister call {} {export} …", app.summary.name);
        let _ = writeln!(text, "  {}", paint.yellow(&printable(&what)));
    }
    for export in app.exports.iter().filter(|export| export.not_callable.is_none()) {
        let _ = writeln!(text, "  {}", printable(&signature(export)));
    }
    text
}

/// Who may ask an app for what, one rule a line, and what may take its place.
pub(crate) fn access(callers: &CallerPolicy, upgrade: &Upgrade) -> String {
    let mut lines: Vec<String> = callers.rules().iter().map(ToString::to_string).collect();
    if lines.is_empty() {
        lines.push("nobody".to_owned());
    }
    let mut text = format!("  callers      {}\n", lines.join("\n               "));
    match upgrade {
        Upgrade::Owner => text.push_str("  upgrade      by its owner\n"),
        Upgrade::Frozen => text.push_str("  upgrade      frozen: no other code gets its data\n"),
        Upgrade::Endorsed { threshold, keys } => {
            let _ = write!(text, "  upgrade      by its owner, endorsed by {threshold} of");
            keys.iter().for_each(|key| {
                let _ = write!(text, "\n               {key}");
            });
            text.push('\n');
        }
    }
    text
}

/// What is shown of an issuer of tokens.
pub(crate) struct ShownIssuer<'a> {
    pub(crate) name: &'a str,
    pub(crate) url: &'a str,
    pub(crate) audience: &'a str,
    pub(crate) roles_claim: &'a str,
}

/// Issuers whose tokens are accepted, one a line; nothing where there are none.
pub(crate) fn issuers<'a>(issuers: impl Iterator<Item = ShownIssuer<'a>>) -> String {
    let mut text = String::new();
    for ShownIssuer { name, url, audience, roles_claim } in issuers {
        let line = format!("{name}: {url}, audience {audience}, roles in {roles_claim}");
        let _ = writeln!(text, "  issuer       {}", printable(&line));
    }
    text
}

/// The network rules of an app, one a line; those that the host can read are called what they are.
pub(crate) fn network(policy: &NetworkPolicy, paint: Paint) -> String {
    let mut lines: Vec<String> = policy.rules().iter().map(ToString::to_string).collect();
    if lines.is_empty() {
        lines.push("none: it opens no connections".to_owned());
    }
    if policy.is_plaintext() {
        lines.push(paint.yellow(PLAINTEXT));
    }
    format!("  network      {}\n", lines.join("\n               "))
}

/// The app's keys: what they are, where they are, and what they were used for.
fn keys(keys: &[KeyDescription]) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let rows = keys.iter().map(|key| {
        let place = match (key.in_memory, key.persisted) {
            (true, true) => "in memory and persisted",
            (true, false) => "in memory",
            (false, true) => "persisted",
            (false, false) => "gone",
        };
        let uses = key.uses.iter().map(|(operation, count)| format!("{operation} {}", grouped(*count)));
        let uses = Vec::from_iter(uses).join(", ");
        [
            format!("  {}", key.name),
            key.kind.clone().unwrap_or_else(|| "-".to_owned()),
            place.to_owned(),
            if uses.is_empty() { "never".to_owned() } else { uses },
        ]
    });
    table(["keys", "KIND", "WHERE", "USED"], rows)
}

fn stored(usage: &StorageUsage) -> String {
    let StorageUsage { bytes, files, keys, key_bytes } = *usage;
    format!("{} ({}) and {} ({})", counted_files(files), Size(bytes), counted_keys(keys), Size(key_bytes))
}

fn signature(export: &ExportDescription) -> String {
    let parameters: Vec<String> = export.parameters.iter().map(|p| format!("{}: {}", p.name, p.ty)).collect();
    let result = export.result.as_deref().map(|ty| format!(" -> {ty}")).unwrap_or_default();
    format!("{}({}){result}", export.name, parameters.join(", "))
}

fn counted(counters: &FunctionCounters) -> String {
    if counters.calls == 0 {
        return "none yet".to_owned();
    }
    let mean = |total: u64| total / counters.calls;
    format!(
        "{} calls, {} errors; fuel {} to {}, mean {}; time {} to {}, mean {}",
        grouped(counters.calls),
        grouped(counters.errors),
        grouped(counters.fuel_min),
        grouped(counters.fuel_max),
        grouped(mean(counters.fuel_total)),
        elapsed(counters.wall_us_min),
        elapsed(counters.wall_us_max),
        elapsed(mean(counters.wall_us_total))
    )
}

/// Said of an app whose rules let the host read or change what it sends.
const PLAINTEXT: &str = "MAY SEND PLAINTEXT THROUGH THE HOST";
