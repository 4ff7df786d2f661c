use crate::fault::{FaultKind, InvalidPolicy};
use crate::keys::{self, Table};
use crate::reader::{Reader, Section, UNDECIDED};
use crate::values;
use cloister_api::AppName;
use cloister_attestation::verify::{AppExpectation, Policy, Presence};
use cloister_attestation::{HASH_LEN, IssuerClaim};
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml_edit::Document;

/// A policy file, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// What is accepted.
    pub policy: Policy,
    /// What quotes are verified against.
    pub collateral: CollateralSource,
    /// The issuers that the policy names by more than their hashes.
    pub issuers: Issuers,
}

/// Issuers of tokens by the hashes that policies pin them with.
pub type Issuers = BTreeMap<[u8; HASH_LEN], IssuerClaim>;

/// Where collateral comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CollateralSource {
    /// From the enclave's machine, with the evidence.
    Enclave,
    /// From this file, in the JSON form of `dcap-qvl`. Relative to the folder of the policy file.
    File(PathBuf),
    /// From a service with the interface of Intel's PCS, asked for each session.
    Server {
        /// `https`, or `http` on this very machine.
        url: String,
        /// A PEM file with the certificates that vouch for it; Mozilla's roots where there is none. Relative as a file is.
        roots: Option<PathBuf>,
    },
}

impl PolicyFile {
    /// Reads a policy file, TOML of at most [`MAX_POLICY`] bytes.
    ///
    /// # Errors
    /// [`InvalidPolicy`] with everything that is wrong, each with its line: what is missing, unknown, undecided, or says
    /// what its key does not take.
    pub fn parse(text: &str) -> Result<Self, InvalidPolicy> {
        let mut reader = Reader::new(text);
        if text.len() > MAX_POLICY {
            reader.fault(1, String::new(), FaultKind::TooLong(text.len()));
            return Err(InvalidPolicy { faults: reader.into_faults() });
        }
        let document = match Document::parse(text) {
            Ok(document) => document,
            Err(error) => {
                let line = reader.line(error.span());
                let message = error.message().lines().next().unwrap_or_default().to_owned();
                reader.fault(line, String::new(), FaultKind::Syntax(message));
                return Err(InvalidPolicy { faults: reader.into_faults() });
            }
        };
        let parsed = file(&mut reader, &Section::of_file(document.as_table()));
        let mut faults = reader.into_faults();
        match parsed {
            Some(parsed) if faults.is_empty() => Ok(parsed),
            _ => {
                faults.sort_by_key(|fault| fault.line);
                Err(InvalidPolicy { faults })
            }
        }
    }
}

/// `None` only where there are faults. Every table is read whole, so that all of its faults are told.
fn file(reader: &mut Reader, root: &Section<'_>) -> Option<PolicyFile> {
    reader.refuse_others(root, &["version", "platform", "image", "enclave", "volume", "apps"]);
    let version = reader.required(root, &keys::VERSION, values::version);

    let platform = table(reader, root, Table::Platform);
    let anchor = reader.required(&platform, &keys::ROOT, values::root);
    let tcb = reader.required(&platform, &keys::TCB_STATUSES, values::tcb_statuses);
    let advisories = reader.required(&platform, &keys::ADVISORIES, values::advisories);
    let fmspc = reader.required(&platform, &keys::FMSPC, values::fmspcs);
    let ppid = reader.required(&platform, &keys::PPID, values::ppids);
    let maximum_quote_age = reader.required(&platform, &keys::MAXIMUM_QUOTE_AGE, values::maximum_age);
    let collateral = reader.required(&platform, &keys::COLLATERAL, values::collateral);
    let maximum_collateral_age =
        reader.required(&platform, &keys::MAXIMUM_COLLATERAL_AGE, values::maximum_age);

    let image = table(reader, root, Table::Image);
    let mrenclave = reader.required(&image, &keys::MRENCLAVE, values::measurement);
    let mrsigner = reader.required(&image, &keys::MRSIGNER, values::hashes);
    let isv_prod_id = reader.required(&image, &keys::ISV_PROD_ID, values::numbers);
    let minimum_isv_svn = reader.required(&image, &keys::MINIMUM_ISV_SVN, values::least_small);

    let enclave = table(reader, root, Table::Enclave);
    let identity = reader.required(&enclave, &keys::IDENTITY, values::hashes);
    let boot_configuration = reader.required(&enclave, &keys::BOOT_CONFIGURATION, values::hash_or_any);
    let operator = reader.required(&enclave, &keys::OPERATOR, values::hashes_or("none"));
    let owners = reader.required(&enclave, &keys::OWNERS, values::all_of);
    let issuers = reader.required(&enclave, &keys::ENCLAVE_ISSUERS, values::issuers);
    let image_upgrade = reader.required(&enclave, &keys::IMAGE_UPGRADE, values::image_upgrades);
    let lineage = reader.required(&enclave, &keys::LINEAGE, values::lineage);
    let minimum_boot_counter = reader.required(&enclave, &keys::MINIMUM_BOOT_COUNTER, values::least);
    let other_apps = reader.required(&enclave, &keys::OTHER_APPS, values::other_apps);

    let volume = table(reader, root, Table::Volume);
    let minimum_epoch = reader.required(&volume, &keys::MINIMUM_EPOCH, values::least);
    let volume_root = reader.required(&volume, &keys::VOLUME_ROOT, values::hash_or_any);
    let freshness = reader.required(&volume, &keys::FRESHNESS, values::freshness);

    let mut known = Issuers::new();
    let apps = apps(reader, root, &mut known);
    let () = version?;
    let policy = Policy {
        anchor: anchor?,
        mrenclave: mrenclave?,
        mrsigner: mrsigner?,
        isv_prod_id: isv_prod_id?,
        minimum_isv_svn: minimum_isv_svn?,
        tcb: tcb?,
        advisories: advisories?,
        fmspc: fmspc?,
        ppid: ppid?,
        maximum_quote_age: maximum_quote_age?,
        maximum_collateral_age: maximum_collateral_age?,
        identity: identity?,
        boot_configuration: boot_configuration?,
        operator: operator?,
        owners: owners?,
        issuers: described(issuers?, &mut known),
        image_upgrade: image_upgrade?,
        lineage: lineage?,
        minimum_boot_counter: minimum_boot_counter?,
        apps: apps?,
        other_apps: other_apps?,
        minimum_epoch: minimum_epoch?,
        volume_root: volume_root?,
        freshness: freshness?,
    };
    Some(PolicyFile { policy, collateral: collateral?, issuers: known })
}

fn table<'d>(reader: &mut Reader, root: &Section<'d>, table: Table) -> Section<'d> {
    let section = reader.section(root, table.header());
    reader.refuse_others(&section, &keys::names(table));
    section
}

/// The hashes of issuers; what is said of them goes to `known`.
fn described(issuers: Option<values::Issuers>, known: &mut Issuers) -> Option<Vec<[u8; HASH_LEN]>> {
    let values::Issuers { hashes, described } = issuers?;
    known.extend(described.into_iter().map(|issuer| (issuer.hash(), issuer)));
    Some(hashes)
}

/// No table of apps is no app that is named.
fn apps(
    reader: &mut Reader,
    root: &Section<'_>,
    known: &mut Issuers,
) -> Option<BTreeMap<AppName, AppExpectation>> {
    let section = reader.section(root, "apps");
    let mut apps = BTreeMap::new();
    let mut whole = true;
    for name in section.names() {
        let own = reader.section(&section, name);
        reader.refuse_others(&own, &keys::names(Table::App));
        let expectation = app(reader, &own, known);
        if name == UNDECIDED {
            let kind = FaultKind::Undecided {
                decides: "which app this table is about",
                takes: "the app's name in the table's header, [apps.hello]",
            };
            reader.fault(own.line(), section.key(name), kind);
            continue;
        }
        match (name.parse::<AppName>(), expectation) {
            (Ok(name), Some(expectation)) => {
                apps.insert(name, expectation);
            }
            (Ok(_), None) => whole = false,
            (Err(error), _) => {
                let (found, expected) = (format!("\"{name}\""), error.to_string());
                reader.fault(own.line(), section.key(name), FaultKind::Value { found, expected });
                whole = false;
            }
        }
    }
    whole.then_some(apps)
}

fn app(reader: &mut Reader, own: &Section<'_>, known: &mut Issuers) -> Option<AppExpectation> {
    let code = reader.required(own, &keys::CODE, values::hashes);
    let owner = reader.required(own, &keys::OWNER, values::hashes);
    let upgrade = reader.required(own, &keys::UPGRADE, values::upgrades);
    let endorsers = reader.required(own, &keys::ENDORSERS, values::all_of);
    let minimum_endorsements = reader.required(own, &keys::MINIMUM_ENDORSEMENTS, values::endorsements);
    let network = reader.required(own, &keys::NETWORK, values::network);
    let callers = reader.required(own, &keys::CALLERS, values::callers);
    let issuers = reader.required(own, &keys::APP_ISSUERS, values::issuers);
    let assets = reader.required(own, &keys::ASSETS, values::assets);
    let extensions = reader.required(own, &keys::EXTENSIONS, values::extensions);
    let quote_roots = reader.required(own, &keys::QUOTE_ROOTS, values::hashes_or("intel"));
    let configuration = reader.required(own, &keys::CONFIGURATION, values::configuration);
    Some(AppExpectation {
        // A table about an app that is not there would be a mistake that goes unnoticed.
        presence: Presence::Required,
        code: code?,
        owner: owner?,
        upgrade: upgrade?,
        endorsers: endorsers?,
        minimum_endorsements: minimum_endorsements?,
        network: network?,
        callers: callers?,
        issuers: described(issuers?, known),
        assets: assets?,
        extensions: extensions?,
        quote_roots: quote_roots?,
        configuration: configuration?,
    })
}

/// Longest policy file, in bytes.
pub const MAX_POLICY: usize = 256 << 10;
