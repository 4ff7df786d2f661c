//! Commands of owners: `deploy`, `replace`, `apps`, `describe`, `remove`, `logs`, `egress`, `metrics`.

use super::endorse::endorsements;
use super::session::{Connection, Target};
use super::upload::{Mode, Upload};
use crate::arguments::{
    DeployArguments, DescribeArguments, EgressArguments, Format, LogsArguments, RemoveArguments,
    ReplaceArguments,
};
use crate::failure::Failure;
use crate::output::{self, Printer, printable};
use crate::progress::Progress;
use crate::settings::Settings;
use cloister_api::Removal;
use serde_json::json;

/// Uploads a component as a new app.
pub(crate) async fn deploy(
    arguments: &DeployArguments,
    settings: &Settings,
    printer: &Printer,
) -> Result<(), Failure> {
    upload(Mode::Deploy, Upload::prepare(arguments)?, settings, printer).await
}

/// Uploads a component in the place of an app's present one, with what endorses it.
pub(crate) async fn replace(
    arguments: &ReplaceArguments,
    settings: &Settings,
    printer: &Printer,
) -> Result<(), Failure> {
    let endorsements = endorsements(&arguments.endorsements)?;
    let prepared = Upload { endorsements, ..Upload::prepare(&arguments.deploy)? };
    upload(Mode::Replace, prepared, settings, printer).await
}

/// Uploads, and shows how far that is until the app answers calls.
async fn upload(mode: Mode, upload: Upload, settings: &Settings, printer: &Printer) -> Result<(), Failure> {
    let connection = Connection::open(settings, Target::Owner).await?;
    let mut progress = Progress::new(printer);
    let result = connection.upload(mode, upload, &mut progress).await;
    progress.finish();
    let app = result?;
    let verb = match mode {
        Mode::Deploy => "deployed",
        Mode::Replace => "replaced",
    };
    printer.result(&app, || output::deployed(&app, verb, printer.paint))
}

/// Lists the apps.
pub(crate) async fn apps(settings: &Settings, printer: &Printer) -> Result<(), Failure> {
    let list = Connection::open(settings, Target::Owner).await?.apps().await?;
    printer.result(&list, || output::apps(&list))
}

/// Shows one app, or its WIT alone.
pub(crate) async fn describe(
    arguments: &DescribeArguments,
    settings: &Settings,
    printer: &Printer,
) -> Result<(), Failure> {
    let app = Connection::open(settings, Target::Owner).await?.describe(&arguments.app).await?;
    if arguments.wit {
        let text = format!("{}\n", app.wit.trim_end());
        return printer.result(&json!({ "wit": app.wit }), || printable(&text).into_owned());
    }
    printer.result(&app, || output::description(&app, printer.paint))
}

/// Removes an app, and says what went with it.
pub(crate) async fn remove(
    arguments: &RemoveArguments,
    settings: &Settings,
    printer: &Printer,
) -> Result<(), Failure> {
    let removal = Connection::open(settings, Target::Owner).await?.remove(&arguments.app).await?;
    let Removal { name, files, bytes, keys } = &removal;
    let value = json!({ "removed": name, "files": files, "bytes": bytes, "keys": keys });
    printer.result(&value, || output::removed(&removal))
}

/// Prints what an app's calls wrote.
pub(crate) async fn logs(
    settings: &Settings,
    arguments: &LogsArguments,
    printer: &Printer,
) -> Result<(), Failure> {
    let connection = Connection::open(settings, Target::Owner).await?;
    if arguments.follow {
        return follow(&connection, arguments, printer).await;
    }
    let text = connection.logs(&arguments.app).await?;
    printer.result(&json!({ "app": arguments.app, "text": text }), || printable(&text).into_owned())
}

/// Prints what is there and what comes, as it comes; in JSON one text a line.
async fn follow(
    connection: &Connection,
    arguments: &LogsArguments,
    printer: &Printer,
) -> Result<(), Failure> {
    let mut log = connection.follow_logs(&arguments.app).await?;
    let mut text = output::TextPieces::default();
    while let Some(piece) = connection.next_log(&mut log).await? {
        let text = text.push(&piece);
        match printer.format {
            Format::Json => printer.raw(&format!("{}\n", json!({ "app": arguments.app, "text": text })))?,
            Format::Text => printer.raw(&printable(&text))?,
        }
    }
    Ok(())
}

/// Lists what an app sent.
pub(crate) async fn egress(
    settings: &Settings,
    arguments: &EgressArguments,
    printer: &Printer,
) -> Result<(), Failure> {
    let log = Connection::open(settings, Target::Owner).await?.egress(&arguments.app).await?;
    printer.result(&log, || output::egress(&log))
}

/// Prints the counters.
pub(crate) async fn metrics(settings: &Settings, printer: &Printer) -> Result<(), Failure> {
    let text = Connection::open(settings, Target::Owner).await?.metrics().await?;
    printer.result(&json!({ "prometheus": text }), || printable(&text).into_owned())
}
