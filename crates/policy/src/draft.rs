use crate::keys::{self, KEYS, Key, Table};
use crate::reader::UNDECIDED;
use crate::values::{VERSION, duration_text};
use crate::{CollateralSource, Issuers, PolicyFile};
use cloister_attestation::verify::{
    Accepted, AppExpectation, ConfigurationDemand, FreshnessDemand, Measurement, OtherApps, TrustAnchor,
    UpgradeDemand,
};
use cloister_attestation::{HASH_LEN, ImageUpgradeClaim, IssuerClaim};
use std::fmt;
use std::fmt::Display;
use std::time::Duration;
use toml_edit::Value;

/// A policy file to be written: every decision on a line of its own, and above it what it decides.
///
/// Its text is the file.
#[derive(Clone, Debug)]
pub struct Draft {
    introduction: Vec<String>,
    lines: Vec<Line>,
}

/// One decision.
#[derive(Clone, Debug)]
struct Line {
    key: Key,
    header: String,
    value: String,
}

impl Draft {
    /// A file that says what `file` does.
    pub fn of(file: &PolicyFile) -> Self {
        let own =
            |key: &Key| Line { key: *key, header: key.table.header().to_owned(), value: text(key, file) };
        let mut lines: Vec<Line> = KEYS.iter().filter(|key| key.table != Table::App).map(own).collect();
        for (name, app) in &file.policy.apps {
            let header = format!("apps.{}", quoted_key(name.as_str()));
            let app_line = |key: &Key| Line {
                key: *key,
                header: header.clone(),
                value: app_text(key, app, &file.issuers),
            };
            lines.extend(KEYS.iter().filter(|key| key.table == Table::App).map(app_line));
        }
        Self { introduction: Vec::new(), lines }
    }

    /// A file for one app in which every decision that nobody can make for a relying party is open. It cannot be used before
    /// they are made.
    pub fn template() -> Self {
        let line = |key: &Key| {
            let header = match key.table {
                Table::App => format!("apps.\"{UNDECIDED}\""),
                table => table.header().to_owned(),
            };
            let cautious = CAUTIOUS.iter().find(|(cautious, _)| cautious == key);
            let value = cautious.map_or_else(|| quoted(UNDECIDED), |(_, value)| (*value).to_owned());
            Line { key: *key, header, value }
        };
        Self { introduction: Vec::new(), lines: KEYS.iter().map(line).collect() }
    }

    /// The same draft with this paragraph before all else.
    pub fn introduced_by(mut self, paragraph: impl Into<String>) -> Self {
        self.introduction.push(paragraph.into());
        self
    }

    /// The decisions that are open, with their tables before them.
    pub fn undecided(&self) -> impl Iterator<Item = String> {
        let open = self.lines.iter().filter(|line| line.value == quoted(UNDECIDED));
        open.map(|line| format!("{}.{}", line.header, line.key.name))
    }
}

impl Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for paragraph in &self.introduction {
            comment(f, paragraph)?;
            f.write_str("\n")?;
        }
        let mut header = "";
        for line in &self.lines {
            if line.header != header {
                f.write_str("\n")?;
                comment(f, &format!("{}.", line.key.table.subject()))?;
                writeln!(f, "[{}]", line.header)?;
                header = &line.header;
            }
            comment(f, &format!("Decides {}.", line.key.decides))?;
            comment(f, &format!("Takes {}.", line.key.takes))?;
            writeln!(f, "{} = {}", line.key.name, line.value)?;
        }
        Ok(())
    }
}

fn comment(f: &mut fmt::Formatter<'_>, paragraph: &str) -> fmt::Result {
    let mut width = 0;
    for word in paragraph.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > COMMENT_WIDTH {
            f.write_str("\n")?;
            width = 0;
        }
        f.write_str(if width == 0 { "# " } else { " " })?;
        f.write_str(word)?;
        width += 1 + length;
    }
    f.write_str("\n")
}

/// The value of a key that stands in no app's table.
fn text(key: &Key, file: &PolicyFile) -> String {
    let policy = &file.policy;
    match *key {
        keys::VERSION => VERSION.to_string(),
        keys::ROOT => match policy.anchor {
            TrustAnchor::Intel => quoted("intel"),
            TrustAnchor::Simulated { root_fingerprint } => {
                format!("{{ simulated = {} }}", digest(&root_fingerprint))
            }
        },
        keys::TCB_STATUSES => array(policy.tcb.iter().map(|status| quoted(&format!("{status:?}")))),
        keys::ADVISORIES => match &policy.advisories {
            Accepted::Any => quoted(ANY),
            Accepted::OneOf(advisories) => array(advisories.iter().map(|advisory| quoted(advisory))),
        },
        keys::FMSPC => accepted(&policy.fmspc, |fmspc| quoted(&hex::encode(fmspc))),
        keys::PPID => accepted(&policy.ppid, |ppid| quoted(&hex::encode(ppid))),
        keys::MAXIMUM_QUOTE_AGE => age(policy.maximum_quote_age),
        keys::COLLATERAL => match &file.collateral {
            CollateralSource::Enclave => quoted("enclave"),
            CollateralSource::File(path) => format!("{{ file = {} }}", quoted(&path.to_string_lossy())),
            CollateralSource::Server { url, roots: None } => format!("{{ pccs = {} }}", quoted(url)),
            CollateralSource::Server { url, roots: Some(roots) } => {
                format!("{{ pccs = {}, roots = {} }}", quoted(url), quoted(&roots.to_string_lossy()))
            }
        },
        keys::MAXIMUM_COLLATERAL_AGE => age(policy.maximum_collateral_age),
        keys::MRENCLAVE => match &policy.mrenclave {
            Measurement::Any => quoted(ANY),
            Measurement::Exactly(images) => one_or_many(images.iter().map(digest)),
        },
        keys::MRSIGNER => accepted(&policy.mrsigner, digest),
        keys::ISV_PROD_ID => accepted(&policy.isv_prod_id, u16::to_string),
        keys::MINIMUM_ISV_SVN => number(policy.minimum_isv_svn),
        keys::IDENTITY => accepted(&policy.identity, digest),
        keys::BOOT_CONFIGURATION => or_any(policy.boot_configuration.as_ref().map(digest)),
        keys::OPERATOR => accepted(&policy.operator, |key| digest_or(key, "none")),
        keys::OWNERS => or_any(policy.owners.as_ref().map(|owners| array(owners.iter().map(digest)))),
        keys::ENCLAVE_ISSUERS => issuers(policy.issuers.as_deref(), &file.issuers),
        keys::IMAGE_UPGRADE => accepted(&policy.image_upgrade, image_upgrade),
        keys::LINEAGE => match &policy.lineage {
            Accepted::Any => quoted(ANY),
            Accepted::OneOf(images) => array(images.iter().map(digest)),
        },
        keys::MINIMUM_BOOT_COUNTER => number(policy.minimum_boot_counter),
        keys::OTHER_APPS => quoted(match policy.other_apps {
            OtherApps::Allowed => "allowed",
            OtherApps::Refused => "refused",
        }),
        keys::MINIMUM_EPOCH => number(policy.minimum_epoch),
        keys::VOLUME_ROOT => or_any(policy.volume_root.as_ref().map(digest)),
        keys::FRESHNESS => quoted(&match policy.freshness {
            FreshnessDemand::Any => ANY.to_owned(),
            FreshnessDemand::None => "none".to_owned(),
            FreshnessDemand::Tpm { identity: None } => "tpm".to_owned(),
            FreshnessDemand::Tpm { identity: Some(identity) } => format!("tpm:{}", hex::encode(identity)),
        }),
        _ => quoted(UNDECIDED),
    }
}

/// The value of a key of an app's table.
fn app_text(key: &Key, app: &AppExpectation, known: &Issuers) -> String {
    match *key {
        keys::CODE => accepted(&app.code, digest),
        keys::OWNER => accepted(&app.owner, digest),
        keys::UPGRADE => accepted(&app.upgrade, |upgrade| {
            quoted(match upgrade {
                UpgradeDemand::Frozen => "frozen",
                UpgradeDemand::Owner => "owner",
                UpgradeDemand::Endorsed => "endorsed",
            })
        }),
        keys::ENDORSERS => or_any(app.endorsers.as_ref().map(|keys| array(keys.iter().map(digest)))),
        keys::MINIMUM_ENDORSEMENTS => number(app.minimum_endorsements),
        keys::NETWORK => or_any(app.network.as_ref().map(|most| texts(most.rules()))),
        keys::CALLERS => or_any(app.callers.as_ref().map(|most| texts(most.rules()))),
        keys::APP_ISSUERS => issuers(app.issuers.as_deref(), known),
        keys::ASSETS => or_any(
            app.assets
                .as_ref()
                .map(|assets| format!("{{ at = {}, hash = {} }}", quoted(&assets.at), digest(&assets.hash))),
        ),
        keys::EXTENSIONS if app.extensions.is_empty() => quoted(ANY),
        keys::EXTENSIONS => {
            let entry = |(suffix, hash): (&u32, &[u8; HASH_LEN])| format!("{suffix} = {}", digest(hash));
            format!("{{ {} }}", app.extensions.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        keys::QUOTE_ROOTS => accepted(&app.quote_roots, |roots| digest_or(roots, "intel")),
        keys::CONFIGURATION => quoted(match app.configuration {
            ConfigurationDemand::Settled => "settled",
            ConfigurationDemand::Any => ANY,
        }),
        _ => quoted(UNDECIDED),
    }
}

fn issuers(accepted: Option<&[[u8; HASH_LEN]]>, known: &Issuers) -> String {
    let issuer = |hash: &[u8; HASH_LEN]| known.get(hash).map_or_else(|| digest(hash), described);
    or_any(accepted.map(|issuers| array(issuers.iter().map(issuer))))
}

fn described(issuer: &IssuerClaim) -> String {
    let IssuerClaim { name, issuer, audience, roles_claim, jwks, roots } = issuer;
    let mut text = format!(
        "{{ name = {}, issuer = {}, audience = {}, roles-claim = {}",
        quoted(name),
        quoted(issuer),
        quoted(audience),
        quoted(roles_claim)
    );
    if let Some(jwks) = jwks {
        text.push_str(&format!(", jwks = {}", quoted(jwks)));
    }
    if let Some(roots) = roots {
        text.push_str(&format!(", roots = {}", digest(roots)));
    }
    text + " }"
}

fn image_upgrade(upgrade: &ImageUpgradeClaim) -> String {
    match upgrade {
        ImageUpgradeClaim::Never => quoted("never"),
        ImageUpgradeClaim::Operator => quoted("operator"),
        ImageUpgradeClaim::Listed(images) => {
            format!("{{ listed = [{}] }}", images.iter().map(digest).collect::<Vec<_>>().join(", "))
        }
        ImageUpgradeClaim::Signer { mrsigner, product, minimum_svn } => {
            format!("{{ mrsigner = {}, product = {product}, minimum-svn = {minimum_svn} }}", digest(mrsigner))
        }
    }
}

fn accepted<T>(accepted: &Accepted<T>, text: impl Fn(&T) -> String) -> String {
    match accepted {
        Accepted::Any => quoted(ANY),
        Accepted::OneOf(values) => one_or_many(values.iter().map(text)),
    }
}

fn one_or_many(values: impl Iterator<Item = String>) -> String {
    let values = Vec::from_iter(values);
    match values.as_slice() {
        [value] => value.clone(),
        _ => array(values.into_iter()),
    }
}

/// On one line where it fits.
fn array(values: impl Iterator<Item = String>) -> String {
    let values = Vec::from_iter(values);
    let line = format!("[{}]", values.join(", "));
    if line.chars().count() <= COMMENT_WIDTH {
        return line;
    }
    let indented = values.iter().map(|value| format!("    {value},\n"));
    format!("[\n{}]", indented.collect::<String>())
}

fn texts<T: ToString>(rules: &[T]) -> String {
    array(rules.iter().map(|rule| quoted(&rule.to_string())))
}

fn age(age: Option<Duration>) -> String {
    quoted(&age.map_or_else(|| ANY.to_owned(), duration_text))
}

fn number(number: Option<impl ToString>) -> String {
    or_any(number.map(|number| number.to_string()))
}

fn or_any(value: Option<String>) -> String {
    value.unwrap_or_else(|| quoted(ANY))
}

fn digest_or(hash: &Option<[u8; HASH_LEN]>, word: &str) -> String {
    hash.as_ref().map_or_else(|| quoted(word), digest)
}

fn digest(hash: &[u8; HASH_LEN]) -> String {
    quoted(&hex::encode(hash))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A name in a header; one that is a number, for one, needs no quotes.
fn quoted_key(name: &str) -> String {
    toml_edit::Key::new(name).display_repr().into_owned()
}

/// What a template decides: what is the strictest there is, or says nothing where the image is pinned.
const CAUTIOUS: [(Key, &str); 18] = [
    (keys::VERSION, "1"),
    (keys::ROOT, "\"intel\""),
    (keys::TCB_STATUSES, "[\"UpToDate\"]"),
    (keys::ADVISORIES, "[]"),
    (keys::MAXIMUM_QUOTE_AGE, "\"25h\""),
    (keys::COLLATERAL, "\"enclave\""),
    (keys::MAXIMUM_COLLATERAL_AGE, "\"30d\""),
    (keys::MRSIGNER, "\"any\""),
    (keys::ISV_PROD_ID, "\"any\""),
    (keys::MINIMUM_ISV_SVN, "\"any\""),
    (keys::ENCLAVE_ISSUERS, "[]"),
    (keys::IMAGE_UPGRADE, "\"never\""),
    (keys::LINEAGE, "[]"),
    (keys::OTHER_APPS, "\"refused\""),
    (keys::NETWORK, "[]"),
    (keys::APP_ISSUERS, "[]"),
    (keys::QUOTE_ROOTS, "\"intel\""),
    (keys::CONFIGURATION, "\"settled\""),
];
/// The word for whatever it is.
const ANY: &str = "any";
/// Characters of a line.
const COMMENT_WIDTH: usize = 100;
