//! The text form of caller rules: one canonical text each.

use super::{
    CallerRule, CallerRuleFault, EntryPattern, InvalidCallerRule, MAX_ENTRY, MAX_ROLE, Who, is_issuer_name,
};
use std::fmt;
use std::str::FromStr;

impl FromStr for CallerRule {
    type Err = InvalidCallerRule;

    fn from_str(text: &str) -> Result<Self, InvalidCallerRule> {
        parse(text).map_err(|why| InvalidCallerRule { text: text.chars().take(SHOWN).collect(), why })
    }
}

impl TryFrom<String> for CallerRule {
    type Error = InvalidCallerRule;

    fn try_from(text: String) -> Result<Self, InvalidCallerRule> {
        text.parse()
    }
}

impl From<CallerRule> for String {
    fn from(rule: CallerRule) -> String {
        rule.to_string()
    }
}

impl fmt::Display for CallerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.entry, self.who)
    }
}

impl fmt::Display for EntryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "*",
            Self::Run => "@run",
            Self::Web => "@web",
            Self::Export(name) => name,
        })
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::Owner => f.write_str("owner"),
            Self::Key(key) => write!(f, "key:{key}"),
            Self::Token { issuer, role: None } => write!(f, "token:{issuer}"),
            Self::Token { issuer, role: Some(role) } => write!(f, "token:{issuer}/{role}"),
        }
    }
}

fn parse(text: &str) -> Result<CallerRule, CallerRuleFault> {
    // No entry has an equals sign, and a role may.
    let (entry, who) = text.split_once('=').ok_or(CallerRuleFault::Form)?;
    Ok(CallerRule { entry: parse_entry(entry)?, who: parse_who(who)? })
}

fn parse_entry(text: &str) -> Result<EntryPattern, CallerRuleFault> {
    match text {
        "*" => Ok(EntryPattern::Any),
        "@run" => Ok(EntryPattern::Run),
        "@web" => Ok(EntryPattern::Web),
        name if is_export(name) => Ok(EntryPattern::Export(name.to_owned())),
        _ => Err(CallerRuleFault::Entry),
    }
}

/// What names of exports are made of: WIT identifiers, and the signs of their full names and versions.
fn is_export(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-:/@.+#".contains(&b);
    (1..=MAX_ENTRY).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(allowed)
}

fn parse_who(text: &str) -> Result<Who, CallerRuleFault> {
    match text {
        "public" => return Ok(Who::Public),
        "owner" => return Ok(Who::Owner),
        _ => {}
    }
    if let Some(key) = text.strip_prefix("key:") {
        return key.parse().map(Who::Key).map_err(|_| CallerRuleFault::Key);
    }
    let token = text.strip_prefix("token:").ok_or(CallerRuleFault::Who)?;
    let (issuer, role) = match token.split_once('/') {
        Some((issuer, role)) => (issuer, Some(role)),
        None => (token, None),
    };
    if !is_issuer_name(issuer) {
        return Err(CallerRuleFault::Issuer);
    }
    if role.is_some_and(|role| !is_role(role)) {
        return Err(CallerRuleFault::Role);
    }
    Ok(Who::Token { issuer: issuer.to_owned(), role: role.map(str::to_owned) })
}

fn is_role(text: &str) -> bool {
    (1..=MAX_ROLE).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Characters of a bad text that its error repeats.
const SHOWN: usize = 100;
