//! Commands of owners: `deploy`, `replace`, `apps`, `describe`, `remove`, `logs`, `metrics`.

use super::session::{Connection, Target};
use super::upload::{Mode, Upload};
use crate::arguments::{DeployArguments, DescribeArguments, LogsArguments, RemoveArguments};
use crate::failure::Failure;
use crate::output::{self, Printer, printable};
use crate::progress::Progress;
use crate::settings::Settings;
use cloister_api::Removal;
use serde_json::json;

/// Uploads a component, and shows how far it is until it answers calls.
pub(crate) async fn upload(
    mode: Mode,
    arguments: &DeployArguments,
    settings: &Settings,
    printer: &Printer,
) -> Result<(), Failure> {
    let upload = Upload::prepare(arguments)?;
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
    let text = Connection::open(settings, Target::Owner).await?.logs(&arguments.app).await?;
    printer.result(&json!({ "app": arguments.app, "text": text }), || printable(&text).into_owned())
}

/// Prints the counters.
pub(crate) async fn metrics(settings: &Settings, printer: &Printer) -> Result<(), Failure> {
    let text = Connection::open(settings, Target::Owner).await?.metrics().await?;
    printer.result(&json!({ "prometheus": text }), || printable(&text).into_owned())
}
