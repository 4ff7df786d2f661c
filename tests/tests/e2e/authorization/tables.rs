//! The tables of the page, as it has them.

use std::path::Path;

/// A table with two columns that say what is asked, and one for each kind of caller.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Row>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    /// The second column, without its backticks.
    pub(super) request: String,
    /// One for each column.
    pub(super) cells: Vec<String>,
}

impl Table {
    pub(super) fn of_requests() -> Self {
        Self::beginning_with("operation")
    }

    pub(super) fn of_policies() -> Self {
        Self::beginning_with("policy")
    }

    fn beginning_with(first: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/design/authorization.md");
        let page =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut lines = page.lines().skip_while(|line| cells(line).first().is_none_or(|cell| cell != first));
        let head = lines.next().map(cells).unwrap_or_else(|| panic!("no table begins with '{first}'"));
        let columns = head[2..].to_vec();
        let rows = lines.skip(1).take_while(|line| line.starts_with('|')).map(|line| {
            let cells = cells(line);
            assert_eq!(cells.len(), head.len(), "{line}");
            Row { name: cells[0].clone(), request: cells[1].replace('`', ""), cells: cells[2..].to_vec() }
        });
        Self { rows: rows.collect(), columns }
    }
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'));
    inner.map(|inner| inner.split('|').map(|cell| cell.trim().to_owned()).collect()).unwrap_or_default()
}
