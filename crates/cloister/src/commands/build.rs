//! `build`: runs a project's own build, and checks that an enclave will take what it makes.

mod bindings;
mod check;
mod component;
mod error;
mod interface;
mod project;
mod served;
mod steps;
mod tools;

pub(super) use bindings::write as write_bindings;
pub(super) use check::export_names;
pub(crate) use error::BuildError;
pub(super) use project::Project;
pub(super) use served::ENCLAVE_OS;

use crate::arguments::{BuildArguments, Language};
use crate::failure::Failure;
use crate::output::{Paint, Printer, printable};
use crate::quantity::Size;
use check::Checked;
use cloister_api::AppName;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Builds the project in a folder, checks the component, and says what it is.
pub(crate) fn build(arguments: &BuildArguments, printer: &Printer) -> Result<(), Failure> {
    let project = Project::load(&arguments.directory)?;
    tools::ensure_packages(&project)?;
    bindings::write(&project)?;
    component::make_folders(&project)?;
    if arguments.test {
        steps::run(&project, project.tests(), printer)?;
    }
    steps::run(&project, project.steps(), printer)?;
    component::finish(&project)?;
    let path = project.output();
    let checked = check::check(&path, &read(&path)?)?;
    let path = path.strip_prefix(".").map(Path::to_owned).unwrap_or(path);
    let built = Built { name: project.name(), language: project.language(), path, checked };
    printer.result(&built, || built.text(printer))
}

/// What a build made.
#[derive(Debug, Serialize)]
struct Built<'a> {
    name: &'a AppName,
    language: Language,
    path: PathBuf,
    #[serde(flatten)]
    checked: Checked,
}

impl Built<'_> {
    fn text(&self, printer: &Printer) -> String {
        let Checked { size, code_hash, imports, exports } = &self.checked;
        let path = self.path.display().to_string();
        if printer.quiet {
            return format!("{}\n", printable(&path));
        }
        let paint: Paint = printer.paint;
        let mut text = format!("{} {}\n", paint.green("built"), paint.bold(&printable(&path)));
        let _ = writeln!(text, "  size       {}", Size(*size));
        let _ = writeln!(text, "  code hash  {code_hash}");
        text.push_str("  imports, all served by the image\n");
        for import in imports {
            let _ = writeln!(text, "    {}", printable(import));
        }
        text.push_str("  exports\n");
        for export in exports {
            let _ = writeln!(text, "    {}", printable(&export.signature));
            if let Some(reason) = &export.not_callable {
                let _ = writeln!(text, "        cannot be called: {}", printable(reason));
            }
        }
        text
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    std::fs::read(path).map_err(|source| BuildError::Output { path: path.to_owned(), source })
}
