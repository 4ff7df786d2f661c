//! What the keys of a policy file take.

use crate::CollateralSource;
use cloister_api::{CallerPolicy, CallerRule, NetworkPolicy, NetworkRule};
use cloister_attestation::verify::{
    Accepted, ConfigurationDemand, FreshnessDemand, Measurement, OtherApps, TcbStatus, TrustAnchor,
    UpgradeDemand,
};
use cloister_attestation::{AssetsClaim, HASH_LEN, ImageUpgradeClaim, IssuerClaim};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use toml_edit::{InlineTable, Value};

type Hash = [u8; HASH_LEN];
type Read<T> = Result<T, Mismatch>;

/// A value that its key does not take.
#[derive(Debug)]
pub(crate) struct Mismatch {
    pub(crate) at: Option<Range<usize>>,
    pub(crate) found: String,
    pub(crate) expected: String,
}

impl Mismatch {
    pub(crate) fn new(value: &Value, expected: impl Into<String>) -> Self {
        Self { at: value.span(), found: shown(value), expected: expected.into() }
    }
}

pub(crate) fn version(value: &Value) -> Read<()> {
    match value.as_integer() {
        Some(VERSION) => Ok(()),
        _ => Err(Mismatch::new(value, format!("this program reads version {VERSION}"))),
    }
}

pub(crate) fn root(value: &Value) -> Read<TrustAnchor> {
    let expected =
        "write \"intel\", or { simulated = \"HEX\" } with the fingerprint of one soft platform's root";
    match (value.as_str(), value.as_inline_table()) {
        (Some("intel"), _) => Ok(TrustAnchor::Intel),
        (_, Some(table)) => {
            let root = only(value, table, "simulated", expected)?;
            Ok(TrustAnchor::Simulated { root_fingerprint: hash(root)? })
        }
        _ => Err(Mismatch::new(value, expected)),
    }
}

pub(crate) fn tcb_statuses(value: &Value) -> Read<Vec<TcbStatus>> {
    let statuses = list(value, "write a list of statuses, such as [\"UpToDate\"]")?;
    let statuses: Vec<_> = statuses.iter().map(|status| tcb_status(status)).collect::<Read<_>>()?;
    if statuses.is_empty() {
        return Err(Mismatch::new(value, "an empty list accepts no platform; name at least \"UpToDate\""));
    }
    Ok(statuses)
}

fn tcb_status(value: &Value) -> Read<TcbStatus> {
    let known = || TCB_STATUSES.iter().map(|status| format!("{status:?}")).collect::<Vec<_>>().join(", ");
    match value.as_str() {
        Some("Revoked") => Err(Mismatch::new(value, "a revoked platform is always refused")),
        Some("any") => Err(Mismatch::new(value, format!("each status is named by itself: {}", known()))),
        name => TCB_STATUSES
            .into_iter()
            .find(|status| name.is_some_and(|name| name == format!("{status:?}")))
            .ok_or_else(|| Mismatch::new(value, format!("a status is one of {}", known()))),
    }
}

pub(crate) fn advisories(value: &Value) -> Read<Accepted<String>> {
    let advisory = |value: &Value| {
        let number = value.as_str().and_then(|text| text.strip_prefix("INTEL-SA-"));
        match number {
            Some(number) if number.len() == 5 && number.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(format!("INTEL-SA-{number}"))
            }
            _ => Err(Mismatch::new(value, "an advisory is written as Intel does: INTEL-SA-00000")),
        }
    };
    match value.as_array() {
        Some(empty) if empty.is_empty() => Ok(Accepted::OneOf(Vec::new())),
        _ => accepted(value, advisory),
    }
}

pub(crate) fn fmspcs(value: &Value) -> Read<Accepted<[u8; 6]>> {
    accepted(value, |value| bytes(value, "an FMSPC is 12 hex digits"))
}

pub(crate) fn ppids(value: &Value) -> Read<Accepted<Vec<u8>>> {
    accepted(value, |value| bytes::<16>(value, "a PPID is 32 hex digits").map(Vec::from))
}

pub(crate) fn maximum_age(value: &Value) -> Read<Option<Duration>> {
    let expected =
        "write a duration such as \"24h\": a whole number and s, m, h, d or w, at most 100 years; or \"any\"";
    match value.as_str() {
        Some("any") => Ok(None),
        Some(text) => duration(text).map(Some).ok_or_else(|| Mismatch::new(value, expected)),
        None => Err(Mismatch::new(value, expected)),
    }
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.bytes().last()?;
    let (_, seconds) = UNITS.into_iter().find(|(letter, _)| *letter == unit)?;
    let number = &text[..text.len() - 1];
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let duration = Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?);
    (duration <= MAX_AGE).then_some(duration)
}

/// A duration as [`maximum_age`] reads it, in the largest unit that it is whole in.
pub(crate) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let whole = UNITS.into_iter().find(|(_, unit)| seconds > 0 && seconds.is_multiple_of(*unit));
    let (letter, unit) = whole.unwrap_or((b's', 1));
    format!("{}{}", seconds / unit, char::from(letter))
}

pub(crate) fn collateral(value: &Value) -> Read<CollateralSource> {
    let expected = "write \"enclave\" for what the enclave's machine offers, { file = \"PATH\" } for your own, or \
                    { pccs = \"https://…\" } for that of a service, with `roots` where a PEM file has its certificates";
    let wrong = || Mismatch::new(value, expected);
    let path =
        |value: &Value| value.as_str().filter(|path| !path.is_empty()).map(PathBuf::from).ok_or_else(wrong);
    match (value.as_str(), value.as_inline_table()) {
        (Some("enclave"), _) => Ok(CollateralSource::Enclave),
        (_, Some(table)) if table.contains_key("file") => {
            Ok(CollateralSource::File(path(only(value, table, "file", expected)?)?))
        }
        (_, Some(table)) => {
            let url =
                table.get("pccs").and_then(Value::as_str).filter(|url| is_service(url)).ok_or_else(wrong)?;
            let roots = table.get("roots").map(path).transpose()?;
            if table.len() != 1 + usize::from(roots.is_some()) {
                return Err(wrong());
            }
            Ok(CollateralSource::Server { url: url.to_owned(), roots })
        }
        _ => Err(wrong()),
    }
}

fn is_service(url: &str) -> bool {
    url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).is_some_and(|rest| !rest.is_empty())
}

pub(crate) fn measurement(value: &Value) -> Read<Measurement> {
    Ok(match hashes(value)? {
        Accepted::Any => Measurement::Any,
        Accepted::OneOf(hashes) => Measurement::Exactly(hashes),
    })
}

pub(crate) fn hashes(value: &Value) -> Read<Accepted<Hash>> {
    accepted(value, hash)
}

pub(crate) fn hash_or_any(value: &Value) -> Read<Option<Hash>> {
    if value.as_str() == Some("any") { Ok(None) } else { hash(value).map(Some) }
}

/// Hashes, and a word for none.
pub(crate) fn hashes_or(word: &'static str) -> impl Fn(&Value) -> Read<Accepted<Option<Hash>>> {
    move |value| {
        accepted(value, |value| match value.as_str() {
            Some(text) if text == word => Ok(None),
            _ => bytes(value, &format!("write \"{word}\", or 64 hex digits")).map(Some),
        })
    }
}

/// All that may be in a list, which may be empty.
pub(crate) fn all_of(value: &Value) -> Read<Option<Vec<Hash>>> {
    if value.as_str() == Some("any") {
        return Ok(None);
    }
    if value.is_str() {
        return Ok(Some(vec![hash(value)?]));
    }
    let list = list(value, "write a list of hashes, each 64 hex digits, or \"any\"")?;
    list.into_iter().map(hash).collect::<Read<_>>().map(Some)
}

/// Images that may come before, which may be none.
pub(crate) fn lineage(value: &Value) -> Read<Accepted<Hash>> {
    Ok(all_of(value)?.map_or(Accepted::Any, Accepted::OneOf))
}

/// Issuers by their hashes, and those that are described.
pub(crate) fn issuers(value: &Value) -> Read<Option<Issuers>> {
    if value.as_str() == Some("any") {
        return Ok(None);
    }
    let mut issuers = Issuers::default();
    for value in list(value, "write a list of issuers, or \"any\"")? {
        let Some(table) = value.as_inline_table() else {
            issuers.hashes.push(hash(value)?);
            continue;
        };
        let issuer = issuer(value, table)?;
        issuers.hashes.push(issuer.hash());
        issuers.described.push(issuer);
    }
    Ok(Some(issuers))
}

#[derive(Debug, Default)]
pub(crate) struct Issuers {
    pub(crate) hashes: Vec<Hash>,
    pub(crate) described: Vec<IssuerClaim>,
}

fn issuer(value: &Value, table: &InlineTable) -> Read<IssuerClaim> {
    if let Some((other, _)) = table.iter().find(|(name, _)| !ISSUER_KEYS.contains(name)) {
        return Err(Mismatch::new(
            value,
            format!("an issuer has {}, and no {other}", ISSUER_KEYS.join(", ")),
        ));
    }
    let text = |name: &str| {
        let text = table.get(name).map(|value| value.as_str().map(str::to_owned));
        text.map(|text| {
            text.ok_or_else(|| Mismatch::new(value, format!("the {name} of an issuer is a text")))
        })
    };
    let needed = |name: &str| {
        text(name).unwrap_or_else(|| Err(Mismatch::new(value, format!("an issuer needs its {name}"))))
    };
    Ok(IssuerClaim {
        name: needed("name")?,
        issuer: needed("issuer")?,
        audience: needed("audience")?,
        roles_claim: needed("roles-claim")?,
        jwks: text("jwks").transpose()?,
        roots: table.get("roots").map(hash).transpose()?,
    })
}

pub(crate) fn endorsements(value: &Value) -> Read<Option<u8>> {
    if value.as_str() == Some("any") {
        return Ok(None);
    }
    let number = value.as_integer().and_then(|number| u8::try_from(number).ok());
    let number = number.filter(|number| (1..=MAX_ENDORSERS).contains(number));
    number.map(Some).ok_or_else(|| Mismatch::new(value, "write a number from 1 to 16, or \"any\""))
}

pub(crate) fn numbers(value: &Value) -> Read<Accepted<u16>> {
    accepted(value, |value| small(value, "write a number from 0 to 65535, a list of them, or \"any\""))
}

pub(crate) fn least_small(value: &Value) -> Read<Option<u16>> {
    if value.as_str() == Some("any") {
        return Ok(None);
    }
    small(value, "write the least number, from 0 to 65535, or \"any\"").map(Some)
}

pub(crate) fn least(value: &Value) -> Read<Option<u64>> {
    if value.as_str() == Some("any") {
        return Ok(None);
    }
    let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
    number.map(Some).ok_or_else(|| Mismatch::new(value, "write the least number, or \"any\""))
}

pub(crate) fn image_upgrades(value: &Value) -> Read<Accepted<ImageUpgradeClaim>> {
    accepted(value, image_upgrade)
}

fn image_upgrade(value: &Value) -> Read<ImageUpgradeClaim> {
    let expected = "write \"never\", \"operator\", { listed = [\"HEX\"] }, { mrsigner = \"HEX\", product = 0, minimum-svn = 0 }, \
                    a list of these, or \"any\"";
    let wrong = || Mismatch::new(value, expected);
    match (value.as_str(), value.as_inline_table()) {
        (Some("never"), _) => Ok(ImageUpgradeClaim::Never),
        (Some("operator"), _) => Ok(ImageUpgradeClaim::Operator),
        (_, Some(table)) if table.contains_key("listed") => {
            let images = list(only(value, table, "listed", expected)?, expected)?;
            let mut mrenclave: Vec<Hash> = images.into_iter().map(hash).collect::<Read<_>>()?;
            mrenclave.sort_unstable();
            mrenclave.dedup();
            Ok(ImageUpgradeClaim::Listed(mrenclave))
        }
        (_, Some(table)) if table.len() == 3 => {
            let part = |name: &str| table.get(name).ok_or_else(wrong);
            Ok(ImageUpgradeClaim::Signer {
                mrsigner: hash(part("mrsigner")?)?,
                product: small(part("product")?, "write a number from 0 to 65535")?,
                minimum_svn: small(part("minimum-svn")?, "write a number from 0 to 65535")?,
            })
        }
        _ => Err(wrong()),
    }
}

pub(crate) fn freshness(value: &Value) -> Read<FreshnessDemand> {
    let expected = "write \"any\", \"none\", \"tpm\", or \"tpm:HEX\" with the identity of one TPM";
    match value.as_str() {
        Some("any") => Ok(FreshnessDemand::Any),
        Some("none") => Ok(FreshnessDemand::None),
        Some("tpm") => Ok(FreshnessDemand::Tpm { identity: None }),
        other => {
            let identity = other.and_then(|text| text.strip_prefix("tpm:")).and_then(decoded);
            let identity = identity.ok_or_else(|| Mismatch::new(value, expected))?;
            Ok(FreshnessDemand::Tpm { identity: Some(identity) })
        }
    }
}

pub(crate) fn other_apps(value: &Value) -> Read<OtherApps> {
    word(value, [("refused", OtherApps::Refused), ("allowed", OtherApps::Allowed)])
}

pub(crate) fn network(value: &Value) -> Read<Option<NetworkPolicy>> {
    let rules: Option<Vec<NetworkRule>> = rules(value, "a list of network rules, [] for none, or \"any\"")?;
    let policy = rules.map(NetworkPolicy::new).transpose();
    policy.map_err(|error| Mismatch::new(value, error.to_string()))
}

pub(crate) fn callers(value: &Value) -> Read<Option<CallerPolicy>> {
    let expected = "a list of rules such as \"*=public\", [] for nobody, or \"any\"";
    let rules: Option<Vec<CallerRule>> = rules(value, expected)?;
    let policy = rules.map(CallerPolicy::new).transpose();
    policy.map_err(|error| Mismatch::new(value, error.to_string()))
}

fn rules<T: FromStr<Err: ToString>>(value: &Value, expected: &str) -> Read<Option<Vec<T>>> {
    if value.as_str() == Some("any") {
        return Ok(None);
    }
    let rule = |value: &Value| {
        let text = value.as_str().ok_or_else(|| Mismatch::new(value, "write each rule in quotes"))?;
        text.parse::<T>().map_err(|error| Mismatch::new(value, error.to_string()))
    };
    list(value, &format!("write {expected}"))?.into_iter().map(rule).collect::<Read<_>>().map(Some)
}

pub(crate) fn upgrades(value: &Value) -> Read<Accepted<UpgradeDemand>> {
    let kinds = [
        ("frozen", UpgradeDemand::Frozen),
        ("owner", UpgradeDemand::Owner),
        ("endorsed", UpgradeDemand::Endorsed),
    ];
    accepted(value, |value| word(value, kinds))
}

pub(crate) fn configuration(value: &Value) -> Read<ConfigurationDemand> {
    word(value, [("settled", ConfigurationDemand::Settled), ("any", ConfigurationDemand::Any)])
}

pub(crate) fn assets(value: &Value) -> Read<Option<AssetsClaim>> {
    let expected = "write { at = \"/assets\", hash = \"HEX\" }, or \"any\"";
    let wrong = || Mismatch::new(value, expected);
    match (value.as_str(), value.as_inline_table()) {
        (Some("any"), _) => Ok(None),
        (_, Some(table)) if table.len() == 2 => {
            let at = table.get("at").and_then(Value::as_str).ok_or_else(wrong)?;
            let hash = hash(table.get("hash").ok_or_else(wrong)?)?;
            Ok(Some(AssetsClaim { at: at.to_owned(), hash }))
        }
        _ => Err(wrong()),
    }
}

pub(crate) fn extensions(value: &Value) -> Read<BTreeMap<u32, Hash>> {
    let expected = "write the number and the SHA-256 of each value, { 1 = \"HEX\" }, or \"any\"";
    match (value.as_str(), value.as_inline_table()) {
        (Some("any"), _) => Ok(BTreeMap::new()),
        (_, Some(table)) if !table.is_empty() => table
            .iter()
            .map(|(suffix, value)| {
                let number = suffix.parse().map_err(|_| Mismatch::new(value, expected))?;
                Ok((number, hash(value)?))
            })
            .collect(),
        _ => Err(Mismatch::new(value, expected)),
    }
}

/// `"any"`, one value, or a list that is not empty.
fn accepted<T>(value: &Value, each: impl Fn(&Value) -> Read<T>) -> Read<Accepted<T>> {
    if value.as_str() == Some("any") {
        return Ok(Accepted::Any);
    }
    let Some(array) = value.as_array() else {
        return Ok(Accepted::OneOf(vec![each(value)?]));
    };
    if array.is_empty() {
        return Err(Mismatch::new(
            value,
            "an empty list accepts nothing: name what you accept, or write \"any\"",
        ));
    }
    let one = |value: &Value| match value.as_str() {
        Some("any") => Err(Mismatch::new(value, "\"any\" stands alone, not in a list")),
        _ => each(value),
    };
    Ok(Accepted::OneOf(array.iter().map(one).collect::<Read<_>>()?))
}

fn list<'v>(value: &'v Value, expected: &str) -> Read<Vec<&'v Value>> {
    Ok(value.as_array().ok_or_else(|| Mismatch::new(value, expected))?.iter().collect())
}

fn word<T: Copy, const N: usize>(value: &Value, words: [(&str, T); N]) -> Read<T> {
    let found = words.iter().find(|(word, _)| value.as_str() == Some(word));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words = words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
        Mismatch::new(value, format!("write {words}"))
    })
}

/// The value of the only key that a table has.
fn only<'v>(value: &Value, table: &'v InlineTable, key: &str, expected: &str) -> Read<&'v Value> {
    let found = table.get(key).filter(|_| table.len() == 1);
    found.ok_or_else(|| Mismatch::new(value, expected))
}

fn small(value: &Value, expected: &str) -> Read<u16> {
    let number = value.as_integer().and_then(|number| u16::try_from(number).ok());
    number.ok_or_else(|| Mismatch::new(value, expected))
}

fn hash(value: &Value) -> Read<Hash> {
    bytes(value, "a hash is 64 hex digits")
}

fn bytes<const N: usize>(value: &Value, expected: &str) -> Read<[u8; N]> {
    value.as_str().and_then(decoded).ok_or_else(|| Mismatch::new(value, expected))
}

fn decoded<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
}

/// A value in a message: whole where it is short.
fn shown(value: &Value) -> String {
    let text = value.clone().decorated("", "").to_string();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= MAX_SHOWN {
        return text;
    }
    let head: String = text.chars().take(MAX_SHOWN).collect();
    format!("{head}…")
}

/// Version of the file's format.
pub(crate) const VERSION: i64 = 1;
/// Statuses that SGX platforms have and that may be accepted (Intel's PCS API, TCB info version 3).
const TCB_STATUSES: [TcbStatus; 6] = [
    TcbStatus::UpToDate,
    TcbStatus::SWHardeningNeeded,
    TcbStatus::ConfigurationNeeded,
    TcbStatus::ConfigurationAndSWHardeningNeeded,
    TcbStatus::OutOfDate,
    TcbStatus::OutOfDateConfigurationNeeded,
];
/// What an issuer is described by; the last two where they are claimed.
const ISSUER_KEYS: [&str; 6] = ["name", "issuer", "audience", "roles-claim", "jwks", "roots"];
/// Keys that a rule of upgrades has at the most.
const MAX_ENDORSERS: u8 = 16;
/// Units of durations, in seconds.
const UNITS: [(u8, u64); 5] = [(b'w', 604_800), (b'd', 86_400), (b'h', 3_600), (b'm', 60), (b's', 1)];
/// Longest duration that an age may have.
const MAX_AGE: Duration = Duration::from_secs(100 * 365 * 86_400);
/// Characters of a value that a message shows.
const MAX_SHOWN: usize = 70;
