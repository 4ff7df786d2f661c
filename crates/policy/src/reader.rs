//! Reads the tables of a policy file, and gathers what is wrong with them: a person wants to hear all of it at once.

use crate::fault::{Fault, FaultKind, MAX_FAULTS};
use crate::keys::Key;
use crate::values::Mismatch;
use std::ops::Range;
use toml_edit::{Item, TableLike, Value};

/// The lines of a file, and its faults so far.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Where lines end, in bytes.
    line_ends: Vec<usize>,
    faults: Vec<Fault>,
}

/// A table of the file, or one that it lacks.
#[derive(Clone)]
pub(crate) struct Section<'d> {
    /// With the tables before it; empty for the file itself.
    path: String,
    table: Option<&'d dyn TableLike>,
    line: usize,
}

impl Reader {
    pub(crate) fn new(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at);
        Self { line_ends: ends.collect(), faults: Vec::new() }
    }

    pub(crate) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    pub(crate) fn fault(&mut self, line: usize, key: String, kind: FaultKind) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Fault { line, key, kind });
        }
    }

    pub(crate) fn line(&self, span: Option<Range<usize>>) -> usize {
        let start = span.map_or(0, |span| span.start);
        self.line_ends.partition_point(|end| *end < start) + 1
    }

    /// The table of this name. One that is missing lacks all of its keys.
    pub(crate) fn section<'d>(&mut self, parent: &Section<'d>, name: &str) -> Section<'d> {
        let path = parent.key(name);
        let Some((line, item)) = self.find(parent, name) else {
            return Section { path, table: None, line: parent.line };
        };
        let table = item.as_table_like();
        if table.is_none() {
            let expected = format!("write a table, [{path}]");
            self.fault(line, path.clone(), FaultKind::Value { found: item.type_name().to_owned(), expected });
        }
        Section { path, table, line }
    }

    /// What a key says, as `read` understands it; `None` where it says nothing that can be used, which is a fault.
    pub(crate) fn required<T>(
        &mut self,
        section: &Section<'_>,
        key: &Key,
        read: impl FnOnce(&Value) -> Result<T, Mismatch>,
    ) -> Option<T> {
        let path = section.key(key.name);
        let (decides, takes) = (key.decides, key.takes);
        let Some((line, item)) = self.find(section, key.name) else {
            self.fault(section.line, path, FaultKind::Missing { decides, takes });
            return None;
        };
        // A table under a header says what an inline one says.
        let Ok(value) = item.clone().into_value() else {
            let found = item.type_name().to_owned();
            self.fault(line, path, FaultKind::Value { found, expected: format!("it takes {takes}") });
            return None;
        };
        if value.as_str() == Some(UNDECIDED) {
            self.fault(line, path, FaultKind::Undecided { decides, takes });
            return None;
        }
        match read(&value) {
            Ok(read) => Some(read),
            Err(Mismatch { at, found, expected }) => {
                let line = if at.is_some() { self.line(at) } else { line };
                self.fault(line, path, FaultKind::Value { found, expected });
                None
            }
        }
    }

    /// Refuses every key and table that is not one of these.
    pub(crate) fn refuse_others(&mut self, section: &Section<'_>, known: &[&str]) {
        for (name, _) in section.table.into_iter().flat_map(TableLike::iter) {
            if known.contains(&name) {
                continue;
            }
            let line = self.find(section, name).map_or(section.line, |(line, _)| line);
            let near = near(name, known).map(|near| section.key(near));
            self.fault(line, section.key(name), FaultKind::Unknown { near });
        }
    }

    fn find<'d>(&self, section: &Section<'d>, name: &str) -> Option<(usize, &'d Item)> {
        let (key, item) = section.table?.get_key_value(name)?;
        Some((self.line(key.span().or_else(|| item.span())), item))
    }
}

impl<'d> Section<'d> {
    pub(crate) fn of_file(table: &'d dyn TableLike) -> Self {
        Self { path: String::new(), table: Some(table), line: 1 }
    }

    /// The names of what is in it.
    pub(crate) fn names(&self) -> Vec<&'d str> {
        self.table.into_iter().flat_map(TableLike::iter).map(|(name, _)| name).collect()
    }

    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// A key of it, with its tables before it.
    pub(crate) fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// The known name that this was perhaps meant to be.
fn near<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if name.len() > MAX_NAME {
        return None;
    }
    let distance = |candidate: &&str| strsim::damerau_levenshtein(name, candidate);
    let nearest = known.iter().min_by_key(|candidate| distance(candidate))?;
    (distance(nearest) <= 2.max(nearest.len() / 3)).then_some(*nearest)
}

/// What a template says of a decision that nobody can make for a relying party.
pub(crate) const UNDECIDED: &str = "?";
/// Longest name, in bytes, that another is suggested for.
const MAX_NAME: usize = 64;
