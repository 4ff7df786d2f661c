//! `policy`: files that say what a relying party accepts.

use super::session::Connection;
use crate::arguments::{PolicyCommand, PolicyFileArguments, PolicyInitArguments};
use crate::failure::{Failure, FileAction};
use crate::output::{Paint, Printer, printable};
use crate::settings::{NamedPolicy, Settings};
use cloister_policy::{ALWAYS, Draft, Explanation};
use serde_json::json;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

/// The commands that need no enclave; `None` for the one that does.
pub(crate) fn local(command: &PolicyCommand, printer: &Printer) -> Option<Result<(), Failure>> {
    match command {
        PolicyCommand::Init(arguments) if arguments.template => Some(template(arguments, printer)),
        PolicyCommand::Init(_) => None,
        PolicyCommand::Check(arguments) => Some(check(arguments, printer)),
        PolicyCommand::Explain(arguments) => Some(explain(arguments, printer)),
    }
}

/// Writes the policy that accepts an enclave as it is.
pub(crate) async fn init(
    arguments: &PolicyInitArguments,
    settings: &Settings,
    printer: &Printer,
) -> Result<(), Failure> {
    let found = Connection::found(settings).await?;
    let warnings = found.warnings();
    let draft = Draft::of(&found)
        .introduced_by(format!("A policy for {}: it accepts this enclave as it was found.", settings.host))
        .introduced_by(
            "Read every line and decide. What is here was verified to be so; whether it is good enough for your data, only you \
             can say. `cloister policy explain` says it in words.",
        );
    write(arguments, &draft, printer)?;
    if !warnings.is_empty() {
        printer.hint(&format!(
            "{} give something up; `cloister policy check` says what",
            decisions(warnings.len())
        ));
    }
    Ok(())
}

fn template(arguments: &PolicyInitArguments, printer: &Printer) -> Result<(), Failure> {
    let draft = Draft::template().introduced_by(
        "A policy for one app. What says \"?\" is your decision, and the file is refused until you have made it. The rest is \
         strict: relax what you need to.",
    );
    write(arguments, &draft, printer)
}

fn write(arguments: &PolicyInitArguments, draft: &Draft, printer: &Printer) -> Result<(), Failure> {
    let text = draft.to_string();
    if let Some(path) = &arguments.out {
        let mut options = OpenOptions::new();
        match arguments.force {
            true => options.write(true).create(true).truncate(true),
            false => options.write(true).create_new(true),
        };
        let unwritable = |source| Failure::File { action: FileAction::Create, path: path.clone(), source };
        let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(unwritable)?;
    }
    let undecided = Vec::from_iter(draft.undecided());
    let value = json!({ "out": arguments.out, "undecided": undecided, "policy": text });
    printer.result(&value, || match &arguments.out {
        None => text.clone(),
        Some(path) => format!("{}\n", printable(&path.display().to_string())),
    })
}

fn check(arguments: &PolicyFileArguments, printer: &Printer) -> Result<(), Failure> {
    let warnings = NamedPolicy::load(&arguments.file)?.file.warnings();
    let value = json!({ "file": arguments.file, "warnings": warnings });
    printer.result(&value, || check_text(&arguments.file, &warnings, printer.paint))
}

fn check_text(file: &Path, warnings: &[Explanation], paint: Paint) -> String {
    let file = file.display().to_string();
    let file = printable(&file);
    if warnings.is_empty() {
        return paint.green(&format!("{file} is a policy, and none of its decisions gives anything up"))
            + "\n";
    }
    let mut text = format!("{file} is a policy. {} give something up:\n", decisions(warnings.len()));
    for Explanation { key, accepts, gives_up } in warnings {
        let lost = gives_up.as_deref().unwrap_or_default();
        let _ = write!(text, "\n{}\n  accepts   {}\n", paint.bold(key), printable(accepts));
        let _ = writeln!(text, "  gives up  {}", paint.yellow(&printable(lost)));
    }
    text
}

fn decisions(count: usize) -> String {
    if count == 1 { "1 decision".to_owned() } else { format!("{count} decisions") }
}

fn explain(arguments: &PolicyFileArguments, printer: &Printer) -> Result<(), Failure> {
    let explanations = NamedPolicy::load(&arguments.file)?.file.explain();
    let value = json!({ "file": arguments.file, "accepts": explanations, "always": ALWAYS });
    printer.result(&value, || explain_text(&explanations, printer.paint))
}

fn explain_text(explanations: &[Explanation], paint: Paint) -> String {
    let mut text = String::new();
    let mut table = "";
    for Explanation { key, accepts, gives_up } in explanations {
        let (own, name) = key.rsplit_once('.').unwrap_or(("", key));
        if own != table {
            let _ = writeln!(text, "{}[{}]", if table.is_empty() { "" } else { "\n" }, paint.bold(own));
            table = own;
        }
        let _ = writeln!(text, "  {name}: accepts {}", printable(accepts));
        if let Some(lost) = gives_up {
            let _ = writeln!(text, "    {}", paint.yellow(&format!("but {}", printable(lost))));
        }
    }
    text.push_str("\nWhatever a policy says:\n");
    for always in ALWAYS {
        let _ = writeln!(text, "  {always}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_policy::PolicyFile;

    const GOOD: &str = include_str!("../../../policy/tests/good/all.toml");

    #[test]
    fn a_check_names_each_decision_that_gives_something_up() {
        let file = PolicyFile::parse(GOOD).unwrap();
        let text = check_text(Path::new("p.toml"), &file.warnings(), Paint::PLAIN);
        assert!(
            text.starts_with("p.toml is a policy. 2 decisions give something up:\n\nplatform.tcb-statuses\n"),
            "{text}"
        );
        assert!(text.contains("platform.advisories\n  accepts   platforms that no other"), "{text}");
        let strict = check_text(Path::new("p.toml"), &[], Paint::PLAIN);
        assert_eq!(strict, "p.toml is a policy, and none of its decisions gives anything up\n");
    }

    #[test]
    fn an_explanation_goes_by_tables_and_ends_with_what_is_always_so() {
        let file = PolicyFile::parse(GOOD).unwrap();
        let text = explain_text(&file.explain(), Paint::PLAIN);
        for part in [
            "[platform]\n  root: accepts SGX hardware that Intel certified\n",
            "\n[image]\n  mrenclave: accepts the image aaaa",
            "\n[apps.hello]\n  code: accepts the code c0c0",
            "    but these holes may be open there",
            "  The enclave does not run in debug mode.\n",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
    }

    #[test]
    fn a_file_that_is_there_is_replaced_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.toml");
        std::fs::write(&path, "mine").unwrap();
        let arguments = |force| PolicyInitArguments { template: true, out: Some(path.clone()), force };
        let printer = Printer::new(&crate::arguments::GlobalArguments { quiet: true, ..Default::default() });
        assert!(matches!(template(&arguments(false), &printer), Err(Failure::File { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        template(&arguments(true), &printer).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("mrenclave = \"?\""));
    }
}
