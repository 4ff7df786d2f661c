//! `call`: one function of one app.

use super::input::Input;
use super::session::{Connection, Target};
use crate::arguments::{CallArguments, Format};
use crate::failure::Failure;
use crate::output::{self, Printer};
use crate::settings::Settings;
use std::io::IsTerminal;

/// Calls a function and prints its result; what it cost goes to standard error.
pub(crate) async fn call(
    arguments: &CallArguments,
    settings: &Settings,
    printer: &Printer,
) -> Result<(), Failure> {
    let input = Input::read(&arguments.arguments, arguments.json.as_deref())?;
    let connection = Connection::open(settings, Target::App(&arguments.app)).await?;
    let response = connection.call(&arguments.app, &arguments.export, &input).await?;
    printer.result(&response, || match input {
        Input::Wave(_) => output::result(&response),
        Input::Json(_) => output::json_result(&response),
    })?;
    if printer.format == Format::Text && (arguments.stats || std::io::stderr().is_terminal()) {
        printer.hint(&output::cost(&response));
    }
    Ok(())
}
