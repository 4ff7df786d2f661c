//! `run`: an app that is a command.

use super::session::{Connection, Target};
use super::upload::variables;
use crate::arguments::{Format, RunArguments};
use crate::failure::Failure;
use crate::output::{self, Printer};
use crate::settings::Settings;
use cloister_api::RunRequest;
use cloister_client::{RunOutput, Stdin, StdinSender};
use std::io::{self, IsTerminal, Read, Write};
use std::process::ExitCode;
use tokio::sync::mpsc;

/// Runs a command with this process's standard input and output. The code is the command's.
pub(crate) async fn run(
    arguments: &RunArguments,
    settings: &Settings,
    printer: &Printer,
) -> Result<ExitCode, Failure> {
    let request = RunRequest {
        arguments: arguments.arguments.clone(),
        environment: variables("--env", &arguments.environment, |name| std::env::var(name).ok())?,
    };
    let connection = Connection::open(settings, Target::App(&arguments.app)).await?;
    let (sender, stdin) = match io::stdin().is_terminal() {
        true => (None, Stdin::empty()),
        false => {
            let (sender, stdin) = Stdin::channel();
            (Some(sender), stdin)
        }
    };
    let mut feeding = std::pin::pin!(feed(sender));
    let mut is_fed = false;
    let mut run = std::pin::pin!(connection.run(&arguments.app, &request, stdin));
    let mut run = loop {
        // Over HTTP/1.1 too the answer may begin while the input is still on its way.
        tokio::select! {
            run = &mut run => break run?,
            () = &mut feeding, if !is_fed => is_fed = true,
        }
    };
    let end = loop {
        let output = tokio::select! {
            output = connection.next_output(&mut run) => output?,
            () = &mut feeding, if !is_fed => {
                is_fed = true;
                continue;
            }
        };
        match output {
            RunOutput::Stdout(bytes) => write(&mut io::stdout(), &bytes)?,
            RunOutput::Stderr(bytes) => write(&mut io::stderr(), &bytes)?,
            RunOutput::Ended(end) => break end,
        }
    };
    if arguments.stats {
        match printer.format {
            Format::Json => {
                let line = serde_json::to_string(&end).map_err(|e| Failure::Internal(e.to_string()))?;
                write(&mut io::stderr(), format!("{line}\n").as_bytes())?;
            }
            Format::Text => printer.hint(&output::run_cost(&end)),
        }
    }
    Ok(ExitCode::from(end.exit_code))
}

/// Passes on standard input. It is read on a thread of its own, which nobody waits for when the command has ended.
async fn feed(sender: Option<StdinSender>) {
    let Some(mut sender) = sender else { return };
    let (pieces, mut received) = mpsc::channel::<Vec<u8>>(1);
    std::thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        // An input that cannot be read ends there.
        while let Ok(read @ 1..) = io::stdin().lock().read(&mut piece) {
            if pieces.blocking_send(piece[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    while let Some(piece) = received.recv().await {
        if !sender.send(piece.into()).await {
            return;
        }
    }
}

/// As it is, at once. A reader that has gone away is no failure.
fn write(to: &mut impl Write, bytes: &[u8]) -> Result<(), Failure> {
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Internal(format!("cannot write what the command wrote: {error}")))
        }
        _ => Ok(()),
    }
}

/// Bytes that are read of standard input at once.
const PIECE: usize = 64 << 10;
