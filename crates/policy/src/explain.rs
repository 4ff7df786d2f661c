//! A policy in words: what it accepts, and what that leaves to trust.

mod apps;

use crate::keys::{self, Key};
use crate::values::duration_text;
use crate::{CollateralSource, Issuers, PolicyFile};
use cloister_attestation::verify::{
    Accepted, FreshnessDemand, Measurement, OtherApps, Policy, TcbStatus, TrustAnchor,
};
use cloister_attestation::{HASH_LEN, ImageUpgradeClaim};
use serde::Serialize;
use std::fmt;

/// What a policy says about one of its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// With its tables before it: `apps.hello.code`.
    pub key: String,
    /// What is accepted.
    pub accepts: String,
    /// What this decision gives up, and so leaves to somebody's good will.
    pub gives_up: Option<String>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.accepts)?;
        self.gives_up.as_ref().map_or(Ok(()), |lost| write!(f, " — {lost}"))
    }
}

impl PolicyFile {
    /// Every decision in words, in the order of a file.
    pub fn explain(&self) -> Vec<Explanation> {
        let mut explanations = platform(self);
        explanations.extend(image(&self.policy));
        explanations.extend(enclave(&self.policy, &self.issuers));
        explanations.extend(volume(&self.policy));
        for (name, app) in &self.policy.apps {
            explanations.extend(apps::explain(name, app, &self.policy, &self.issuers));
        }
        explanations
    }

    /// The decisions that give something up.
    pub fn warnings(&self) -> Vec<Explanation> {
        self.explain().into_iter().filter(|explanation| explanation.gives_up.is_some()).collect()
    }
}

/// What is checked whatever a policy says, and what no policy can ask for.
pub const ALWAYS: [&str; 7] = [
    "The claims are whole, canonical and of a version that this program understands.",
    "The quote is signed from the root of trust down to the enclave's report, against lists that are valid now; a revoked \
     platform is refused.",
    "The enclave does not run in debug mode.",
    "The quote is over the hash of the claims, and the claims name the key of the certificate and the key that signs \
     the session.",
    "The evidence was signed for this very session, over a nonce chosen here: nobody relays it. Nothing else is sent before.",
    "What the certificate says beside its key is what the claims say, and the host does not say of the platform what the \
     quote contradicts.",
    "Nothing here keeps the host from being slow, dropping connections or ending the enclave; from watching sizes and times; or \
     from what somebody can do to a processor in their hands.",
];

fn platform(file: &PolicyFile) -> Vec<Explanation> {
    let policy = &file.policy;
    let unpinned = policy.ppid == Accepted::Any;
    let root = match policy.anchor {
        TrustAnchor::Intel => said(keys::ROOT, "SGX hardware that Intel certified"),
        TrustAnchor::Simulated { root_fingerprint } => said(
            keys::ROOT,
            format!("the soft platform {} alone, which is SIMULATED", hex::encode(root_fingerprint)),
        )
        .but(
            "no hardware protects anything: whoever runs the machine can read all of it. Never for real data",
        ),
    };
    let names = words(policy.tcb.iter().map(|status| format!("{status:?}")));
    let tcb = said(keys::TCB_STATUSES, format!("platforms that Intel's lists call {names}"));
    let tcb = if policy.tcb.iter().any(|status| OUT_OF_DATE.contains(status)) {
        tcb.but("an out-of-date platform has known holes that updates close; those who know them can read the enclave")
    } else if policy.tcb.iter().any(|status| *status != TcbStatus::UpToDate) {
        tcb.but(
            "Intel names holes that a setting of the machine or the software itself has to close: read the advisories \
             before you rely on it",
        )
    } else {
        tcb
    };
    let advisories = match &policy.advisories {
        Accepted::Any => said(keys::ADVISORIES, "platforms whatever security advisories name them")
            .but("holes that Intel has published may be open there, and will be without your noticing"),
        Accepted::OneOf(list) if list.is_empty() => {
            said(keys::ADVISORIES, "platforms that no security advisory names")
        }
        Accepted::OneOf(list) => said(
            keys::ADVISORIES,
            format!("platforms that no other advisory names than {}", words(list.iter().cloned())),
        )
        .but("these holes may be open there: you have decided that they do not matter to you"),
    };
    let fmspc = match &policy.fmspc {
        Accepted::Any => said(keys::FMSPC, "processors of every family").but_if(
            unpinned,
            "families with weaker protection are accepted too, such as older ones without updates to come",
        ),
        Accepted::OneOf(list) => {
            said(keys::FMSPC, format!("processors of the families {}", words(list.iter().map(hex::encode))))
        }
    };
    let ppid = match &policy.ppid {
        Accepted::Any => said(keys::PPID, "every machine that the rest accepts").but(
            "it may be a machine on somebody's bench: who can open one processor and read its keys can imitate any enclave to \
             you. Pin the machines that stand where you trust the doors",
        ),
        Accepted::OneOf(list) => {
            said(keys::PPID, format!("the machines {} alone", words(list.iter().map(hex::encode))))
        }
    };
    let quote_age = match policy.maximum_quote_age {
        None => said(keys::MAXIMUM_QUOTE_AGE, "claims however old").but(
            "an enclave that was started before its platform's firmware was patched, or revoked, is accepted as it was then",
        ),
        Some(age) => said(
            keys::MAXIMUM_QUOTE_AGE,
            format!(
                "claims that were made in the last {}, by the clock of the enclave's host",
                duration_text(age)
            ),
        ),
    };
    let collateral = match &file.collateral {
        CollateralSource::Enclave => said(
            keys::COLLATERAL,
            "what is revoked and which firmware is current comes from the enclave's machine, signed by Intel",
        ),
        CollateralSource::File(path) => said(
            keys::COLLATERAL,
            format!("what is revoked and which firmware is current is in {}", path.display()),
        ),
        CollateralSource::Server { url, .. } => said(
            keys::COLLATERAL,
            format!(
                "what is revoked and which firmware is current is what {url} has at the time, signed by Intel"
            ),
        ),
    };
    let collateral_age = match policy.maximum_collateral_age {
        None => said(keys::MAXIMUM_COLLATERAL_AGE, "lists of Intel's as long as they are valid").but_if(
            file.collateral == CollateralSource::Enclave,
            "for as long as that, the machine can withhold that it was revoked, or that its firmware is out of date",
        ),
        Some(age) => {
            said(keys::MAXIMUM_COLLATERAL_AGE, format!("lists that Intel issued in the last {}", duration_text(age)))
        }
    };
    vec![root, tcb, advisories, fmspc, ppid, quote_age, collateral, collateral_age]
}

fn image(policy: &Policy) -> Vec<Explanation> {
    let pinned = policy.mrenclave != Measurement::Any;
    let by_signer = policy.mrsigner != Accepted::Any;
    let mrenclave = match &policy.mrenclave {
        Measurement::Exactly(list) => said(
            keys::MRENCLAVE,
            format!("the image {}, byte for byte", words(list.iter().map(hex::encode))),
        ),
        Measurement::Any if by_signer => said(keys::MRENCLAVE, "every image that the accepted key signed").but(
            "whoever has that key can run other code with all the rights of this one; you see its hash and nothing else",
        ),
        Measurement::Any => said(keys::MRENCLAVE, "every image").but(
            "anybody's code may answer: all that it says of apps, owners and data is then its own word, and worth nothing",
        ),
    };
    let mrsigner = match &policy.mrsigner {
        Accepted::Any => said(keys::MRSIGNER, "images whoever signed them"),
        Accepted::OneOf(list) => said(
            keys::MRSIGNER,
            format!("images that the key {} signed", words(list.iter().map(hex::encode))),
        ),
    };
    let product = match &policy.isv_prod_id {
        Accepted::Any => said(keys::ISV_PROD_ID, "every product of the signer's")
            .but_if(!pinned && by_signer, "an image that was signed for another purpose is accepted as well"),
        Accepted::OneOf(list) => said(
            keys::ISV_PROD_ID,
            format!("the product {} of the signer's", words(list.iter().map(u16::to_string))),
        ),
    };
    let svn = match policy.minimum_isv_svn {
        None | Some(0) => said(keys::MINIMUM_ISV_SVN, "every security version of the image")
            .but_if(!pinned && by_signer, "versions with holes that later ones close are accepted for ever"),
        Some(least) => {
            said(keys::MINIMUM_ISV_SVN, format!("the image's security version {least} and later ones"))
        }
    };
    vec![mrenclave, mrsigner, product, svn]
}

fn enclave(policy: &Policy, known: &Issuers) -> Vec<Explanation> {
    let anchored = matches!(policy.freshness, FreshnessDemand::Tpm { identity: Some(_) });
    let identity = match &policy.identity {
        Accepted::Any => said(keys::IDENTITY, "every enclave that the rest accepts").but_if(
            policy.volume_root.is_none() && !anchored,
            "it may be a twin of the one that you know, of the same image, configuration and owner, with other data",
        ),
        Accepted::OneOf(list) => said(
            keys::IDENTITY,
            format!("the enclave whose TLS key has the fingerprint {}", words(list.iter().map(hex::encode))),
        ),
    };
    let boot = match policy.boot_configuration {
        None => said(keys::BOOT_CONFIGURATION, "every configuration that an enclave can be started with"),
        Some(hash) => said(
            keys::BOOT_CONFIGURATION,
            format!("the configuration with the hash {} alone", hex::encode(hash)),
        ),
    };
    let pinned = policy.mrenclave != Measurement::Any;
    let moves = match &policy.image_upgrade {
        Accepted::Any => true,
        Accepted::OneOf(list) => list.iter().any(|upgrade| *upgrade != ImageUpgradeClaim::Never),
    };
    let operator = match &policy.operator {
        Accepted::Any => said(keys::OPERATOR, "whoever its operator is").but_if(
            moves,
            "an operator whom you do not know can move the data to another image, as far as `image-upgrade` goes",
        ),
        Accepted::OneOf(list) => said(
            keys::OPERATOR,
            format!("{} as its operator", words(list.iter().map(|key| hash_or(key, "nobody")))),
        ),
    };
    let owners = match &policy.owners {
        None => said(keys::OWNERS, "whoever may deploy apps into it").but_if(
            policy.other_apps == OtherApps::Allowed,
            "strangers' code may run beside your app: the Wasm sandbox is all that is between them",
        ),
        Some(list) if list.is_empty() => said(keys::OWNERS, "an enclave into which nobody may deploy apps"),
        Some(list) => {
            said(keys::OWNERS, format!("no other owners than {}", words(list.iter().map(hex::encode))))
        }
    };
    let issuers = issuers(keys::ENCLAVE_ISSUERS, policy.issuers.as_deref(), known);
    let issuers = issuers.but_if(
        policy.issuers.is_none() && policy.owners.is_some(),
        "an issuer whom you do not know can make tokens, and may name itself like one of the owners' issuers",
    );
    let upgrade = match &policy.image_upgrade {
        Accepted::Any => {
            said(keys::IMAGE_UPGRADE, "an enclave that hands the volume to whichever image its rule lets")
                .but("what you send may later be read by an image that you never accepted")
        }
        Accepted::OneOf(list) => {
            let rules = words(list.iter().map(image_upgrade));
            let upgrade =
                said(keys::IMAGE_UPGRADE, format!("an enclave that hands the volume to {rules} at the most"));
            upgrade.but_if(
                list.contains(&ImageUpgradeClaim::Operator),
                "the operator alone decides which image gets the data that you send",
            )
        }
    };
    let lineage = match &policy.lineage {
        Accepted::Any => said(keys::LINEAGE, "a volume whichever images held it before").but_if(
            pinned,
            "an image that you would not accept could have kept the volume's key, and put anything into it",
        ),
        Accepted::OneOf(list) if list.is_empty() => {
            said(keys::LINEAGE, "a volume that no image held before but accepted ones")
        }
        Accepted::OneOf(list) => said(
            keys::LINEAGE,
            format!("a volume that accepted images held before, and {}", words(list.iter().map(hex::encode))),
        ),
    };
    let counter = match policy.minimum_boot_counter {
        None => said(keys::MINIMUM_BOOT_COUNTER, "a volume however often it was started"),
        Some(least) => {
            said(keys::MINIMUM_BOOT_COUNTER, format!("a volume that was started {least} times or more"))
        }
    };
    let others = match policy.other_apps {
        OtherApps::Refused => said(keys::OTHER_APPS, "an enclave that runs no app beside those named here"),
        OtherApps::Allowed => said(keys::OTHER_APPS, "other apps in the same enclave, whatever they are").but(
            "the Wasm sandbox is all that keeps them out of yours, and they share its processor and its caches",
        ),
    };
    vec![identity, boot, operator, owners, issuers, upgrade, lineage, counter, others]
}

fn volume(policy: &Policy) -> Vec<Explanation> {
    let anchored = matches!(policy.freshness, FreshnessDemand::Tpm { .. });
    let epoch = match policy.minimum_epoch {
        None => said(keys::MINIMUM_EPOCH, "the data as of any commit").but_if(
            policy.volume_root.is_none() && !anchored,
            "the operator can put back an older disk while the enclave is down, and what was done since never happened",
        ),
        Some(least) => said(keys::MINIMUM_EPOCH, format!("the data as of commit {least} or later")),
    };
    let root = match policy.volume_root {
        None => said(keys::VOLUME_ROOT, "every state of the data that the rest accepts"),
        Some(root) => said(
            keys::VOLUME_ROOT,
            format!("the state of the data with the root {} alone", hex::encode(root)),
        ),
    };
    let freshness = match policy.freshness {
        FreshnessDemand::Any => said(keys::FRESHNESS, "a volume whatever anchors it, also nothing").but_if(
            policy.volume_root.is_none(),
            "between two of your visits the operator can go back to any state since the epoch that you pin",
        ),
        FreshnessDemand::None => said(keys::FRESHNESS, "a volume that nothing anchors").but_if(
            policy.volume_root.is_none(),
            "between two of your visits the operator can go back to any state since the epoch that you pin",
        ),
        FreshnessDemand::Tpm { identity: None } => {
            said(keys::FRESHNESS, "a volume that a TPM's counter anchors").but(
                "any TPM will do, one in software included, which its operator can wind back: name the TPM that you know",
            )
        }
        FreshnessDemand::Tpm { identity: Some(identity) } => {
            said(keys::FRESHNESS, format!("a volume that the counter of the TPM {} anchors", hex::encode(identity)))
        }
    };
    vec![epoch, root, freshness]
}

fn issuers(key: Key, accepted: Option<&[[u8; HASH_LEN]]>, known: &Issuers) -> Explanation {
    let issuer = |hash: &[u8; HASH_LEN]| match known.get(hash) {
        Some(issuer) => format!("{} (as {}, for {})", issuer.issuer, issuer.name, issuer.audience),
        None => format!("the issuer with the hash {}", hex::encode(hash)),
    };
    match accepted {
        None => said(key, "tokens whoever issues them"),
        Some([]) => said(key, "nobody's tokens"),
        Some(list) => said(key, format!("tokens of {} at the most", words(list.iter().map(issuer)))),
    }
}

fn image_upgrade(upgrade: &ImageUpgradeClaim) -> String {
    match upgrade {
        ImageUpgradeClaim::Never => "no other image".to_owned(),
        ImageUpgradeClaim::Operator => "whichever image its operator names".to_owned(),
        ImageUpgradeClaim::Listed(images) => format!("the image {}", words(images.iter().map(hex::encode))),
        ImageUpgradeClaim::Signer { mrsigner, product, minimum_svn } => format!(
            "images that the key {} signed as product {product}, of security version {minimum_svn} or later",
            hex::encode(mrsigner)
        ),
    }
}

fn hash_or(hash: &Option<[u8; HASH_LEN]>, word: &str) -> String {
    hash.as_ref().map_or_else(|| word.to_owned(), hex::encode)
}

fn words(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" or ")
}

fn said(key: Key, accepts: impl Into<String>) -> Explanation {
    let key = match key.table.header() {
        "" => key.name.to_owned(),
        header => format!("{header}.{}", key.name),
    };
    Explanation { key, accepts: accepts.into(), gives_up: None }
}

impl Explanation {
    fn but(self, lost: impl Into<String>) -> Self {
        Self { gives_up: Some(lost.into()), ..self }
    }

    fn but_if(self, given_up: bool, lost: impl Into<String>) -> Self {
        if given_up { self.but(lost) } else { self }
    }
}

/// Statuses that say that updates are missing.
const OUT_OF_DATE: [TcbStatus; 2] = [TcbStatus::OutOfDate, TcbStatus::OutOfDateConfigurationNeeded];
