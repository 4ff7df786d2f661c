//! What a policy file may say, and what is said about one that says something else.

mod reading;
mod writing;

use cloister_policy::{Fault, KEYS, PolicyFile, Table};

const GOOD: &str = include_str!("../good/all.toml");

/// The same policy with every decision left open that can be.
fn open() -> String {
    let mut text = GOOD.to_owned();
    for key in KEYS {
        let opened = with(&text, key.table, key.name, "\"any\"");
        if PolicyFile::parse(&opened).is_ok() {
            text = opened;
        }
    }
    text
}

fn parse(text: &str) -> PolicyFile {
    PolicyFile::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn faults(text: &str) -> Vec<Fault> {
    let faults = faults_of(text);
    assert!(!faults.is_empty());
    faults
}

fn faults_of(text: &str) -> Vec<Fault> {
    PolicyFile::parse(text).expect_err("it should be refused").faults
}

fn only_fault(text: &str) -> Fault {
    match faults(text).as_slice() {
        [fault] => fault.clone(),
        others => panic!("{others:?} in\n{text}"),
    }
}

fn path(table: Table, key: &str) -> String {
    match table {
        Table::File => key.to_owned(),
        Table::App => format!("apps.hello.{key}"),
        table => format!("{}.{key}", table.header()),
    }
}

/// Where the line, or the lines, of a key begin and end.
fn place(text: &str, table: Table, key: &str) -> (usize, usize) {
    let table_start = match table {
        Table::File => 0,
        Table::App => text.find("[apps.hello]").unwrap(),
        table => text.find(&format!("[{}]", table.header())).unwrap(),
    };
    let start = table_start + text[table_start..].find(&format!("\n{key} = ")).map_or(0, |at| at + 1);
    let mut end = start + text[start..].find('\n').unwrap() + 1;
    if text[start..end].trim_end().ends_with('[') {
        end = start + text[start..].find("\n]\n").unwrap() + 3;
    }
    (start, end)
}

fn without(text: &str, table: Table, key: &str) -> String {
    let (start, end) = place(text, table, key);
    [&text[..start], &text[end..]].concat()
}

fn with(text: &str, table: Table, key: &str, value: &str) -> String {
    let (start, end) = place(text, table, key);
    [&text[..start], &format!("{key} = {value}\n"), &text[end..]].concat()
}

fn line_of(text: &str, part: &str) -> usize {
    text[..text.find(part).unwrap()].lines().count() + 1
}

/// Without comment signs and line breaks.
fn squeezed(text: &str) -> String {
    text.replace('#', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}
