//! The keys of a policy file: what each decides and takes. Messages, new files and the tests of `docs/policy.md` all
//! say it from here.

/// A key of a policy file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub table: Table,
    pub name: &'static str,
    /// What it decides, to follow "it decides".
    pub decides: &'static str,
    /// Which values it takes, to follow "it takes".
    pub takes: &'static str,
}

/// The table that a key stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// None: the file itself.
    File,
    Platform,
    Image,
    Enclave,
    Volume,
    /// One for each app, under `apps`.
    App,
}

impl Table {
    /// As its header has it; an app's with a placeholder for its name.
    pub fn header(self) -> &'static str {
        match self {
            Self::File => "",
            Self::Platform => "platform",
            Self::Image => "image",
            Self::Enclave => "enclave",
            Self::Volume => "volume",
            Self::App => "apps.NAME",
        }
    }

    /// What it is about.
    pub fn subject(self) -> &'static str {
        match self {
            Self::File => "The policy as a whole",
            Self::Platform => {
                "The machine: whose hardware, in which state, and how old what is said of it may be"
            }
            Self::Image => "The enclave's image: the code that everything else relies on",
            Self::Enclave => "Which enclave this is, how it was started, and who may do what with it",
            Self::Volume => "The sealed volume: which state of its data is acceptable",
            Self::App => "An app: the code that sees your data",
        }
    }
}

/// The names of a table's keys.
pub(crate) fn names(table: Table) -> Vec<&'static str> {
    KEYS.iter().filter(|key| key.table == table).map(|key| key.name).collect()
}

const fn key(table: Table, name: &'static str, decides: &'static str, takes: &'static str) -> Key {
    Key { table, name, decides, takes }
}

pub(crate) const VERSION: Key = key(
    Table::File,
    "version",
    "how this file is read: a program that does not know the version refuses it",
    "1",
);

pub(crate) const ROOT: Key = key(
    Table::Platform,
    "root",
    "whose signature proves that there is an enclave at all",
    "\"intel\" for SGX hardware, or { simulated = \"HEX\" } for one soft platform, which protects nothing, by the SHA-256 \
     of its root certificate",
);
pub(crate) const TCB_STATUSES: Key = key(
    Table::Platform,
    "tcb-statuses",
    "in which state of its firmware and microcode a platform is good enough, in Intel's words",
    "a list of UpToDate, SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded, OutOfDate, \
     OutOfDateConfigurationNeeded; a revoked platform is always refused",
);
pub(crate) const ADVISORIES: Key = key(
    Table::Platform,
    "advisories",
    "which of Intel's security advisories you accept that the platform is open to",
    "[] for none, a list such as [\"INTEL-SA-00615\"], or \"any\"",
);
pub(crate) const FMSPC: Key = key(
    Table::Platform,
    "fmspc",
    "which processor families are acceptable",
    "an FMSPC of 12 hex digits, a list of them, or \"any\"",
);
pub(crate) const PPID: Key = key(
    Table::Platform,
    "ppid",
    "which single machines are acceptable: only this keeps out a machine that somebody opened on their own bench",
    "a PPID of 32 hex digits, a list of them, or \"any\"",
);
pub(crate) const MAXIMUM_QUOTE_AGE: Key = key(
    Table::Platform,
    "maximum-quote-age",
    "how long ago the enclave may have made its claims, by the clock of its host; enclaves make them anew each day",
    "a duration such as \"25h\" (s, m, h, d, w), or \"any\"",
);
pub(crate) const COLLATERAL: Key = key(
    Table::Platform,
    "collateral",
    "where the lists that Intel signs come from: what is revoked, and which firmware is current",
    "\"enclave\" for what the enclave's machine offers, { file = \"PATH\" } for your own, relative to this file, or \
     { pccs = \"https://…\" } for what a service has, with `roots = \"PEM\"` where Mozilla does not vouch for it",
);
pub(crate) const MAXIMUM_COLLATERAL_AGE: Key = key(
    Table::Platform,
    "maximum-collateral-age",
    "how long ago Intel may have issued those lists: their own validity is 30 days, and the enclave's machine can withhold newer",
    "a duration such as \"30d\" (s, m, h, d, w), or \"any\"",
);

pub(crate) const MRENCLAVE: Key = key(
    Table::Image,
    "mrenclave",
    "which images are acceptable: the measurement of code that you built or reviewed",
    "an MRENCLAVE of 64 hex digits, a list of them, or \"any\"",
);
pub(crate) const MRSIGNER: Key = key(
    Table::Image,
    "mrsigner",
    "who may have signed the image: SHA-256 of the key's modulus",
    "an MRSIGNER of 64 hex digits, a list of them, or \"any\"",
);
pub(crate) const ISV_PROD_ID: Key = key(
    Table::Image,
    "isv-prod-id",
    "which product of that signer it is",
    "a number up to 65535, a list of them, or \"any\"",
);
pub(crate) const MINIMUM_ISV_SVN: Key = key(
    Table::Image,
    "minimum-isv-svn",
    "how new, by the signer's own security version, it has to be",
    "a number up to 65535, or \"any\"",
);

pub(crate) const IDENTITY: Key = key(
    Table::Enclave,
    "identity",
    "which single enclave is acceptable: another one of the same image, configuration and owner has another TLS key",
    "the fingerprint of a TLS key, 64 hex digits, as `cloister verify` shows it, a list of them, or \"any\"",
);
pub(crate) const BOOT_CONFIGURATION: Key = key(
    Table::Enclave,
    "boot-configuration",
    "with which configuration it may have been started",
    "the SHA-256 of one, 64 hex digits, or \"any\"",
);
pub(crate) const OPERATOR: Key = key(
    Table::Enclave,
    "operator",
    "which operator's key it may obey: it can have the volume handed to another image where that is permitted",
    "a key's fingerprint of 64 hex digits, \"none\", a list of these, or \"any\"",
);
pub(crate) const OWNERS: Key = key(
    Table::Enclave,
    "owners",
    "who may deploy apps into it at the most",
    "a list of fingerprints of 64 hex digits, [] for nobody, or \"any\"",
);
pub(crate) const ENCLAVE_ISSUERS: Key = key(
    Table::Enclave,
    "issuers",
    "whose tokens may name owners at the most",
    "a list of { name = \"…\", issuer = \"https://…\", audience = \"…\", roles-claim = \"roles\" } with `jwks` and `roots` \
     where they are claimed, or of their hashes; [] for nobody's; or \"any\"",
);
pub(crate) const IMAGE_UPGRADE: Key = key(
    Table::Enclave,
    "image-upgrade",
    "to which other images it may hand the volume with everything in it, at the most",
    "\"never\", \"operator\", { listed = [\"HEX\"] }, { mrsigner = \"HEX\", product = 0, minimum-svn = 0 }, a list of these, \
     or \"any\"",
);
pub(crate) const LINEAGE: Key = key(
    Table::Enclave,
    "lineage",
    "which other images may have held the volume before: each could have kept its key and put anything into it",
    "[] for none but those in `mrenclave`, a list of MRENCLAVEs of 64 hex digits, or \"any\"",
);
pub(crate) const MINIMUM_BOOT_COUNTER: Key = key(
    Table::Enclave,
    "minimum-boot-counter",
    "how often the volume has to have been started at least, so that a copy of an earlier one is noticed",
    "a number, or \"any\"",
);
pub(crate) const OTHER_APPS: Key = key(
    Table::Enclave,
    "other-apps",
    "whether apps that this file does not name may run in the same enclave",
    "\"refused\" or \"allowed\"",
);

pub(crate) const MINIMUM_EPOCH: Key = key(
    Table::Volume,
    "minimum-epoch",
    "how new the data has to be: the number of commits after which nothing may have been undone",
    "a number, as `cloister call` and `verify` show it, or \"any\"",
);
pub(crate) const VOLUME_ROOT: Key = key(
    Table::Volume,
    "root",
    "whether exactly one state of the data is acceptable",
    "the root of one state, 64 hex digits, or \"any\"",
);
pub(crate) const FRESHNESS: Key = key(
    Table::Volume,
    "freshness",
    "what has to keep the operator from putting back an older disk at a restart",
    "\"tpm\", \"tpm:HEX\" for one TPM, \"none\", or \"any\"",
);

pub(crate) const CODE: Key = key(
    Table::App,
    "code",
    "which code may answer under the app's name",
    "the SHA-256 of a .wasm, 64 hex digits, a list of them, or \"any\", for which `owner` should stand",
);
pub(crate) const OWNER: Key = key(
    Table::App,
    "owner",
    "who may have deployed it",
    "a fingerprint of 64 hex digits, a list of them, or \"any\"",
);
pub(crate) const UPGRADE: Key = key(
    Table::App,
    "upgrade",
    "what may take the app's place and keep its data",
    "\"frozen\", \"owner\", \"endorsed\", a list of these, or \"any\"",
);
pub(crate) const ENDORSERS: Key = key(
    Table::App,
    "endorsers",
    "whose keys may endorse what takes its place, where that needs endorsements",
    "a list of fingerprints of 64 hex digits, or \"any\"",
);
pub(crate) const MINIMUM_ENDORSEMENTS: Key = key(
    Table::App,
    "minimum-endorsements",
    "how many of them have to endorse it at least",
    "a number from 1 to 16, or \"any\"",
);
pub(crate) const NETWORK: Key = key(
    Table::App,
    "network",
    "the most that the app may do on the network: fewer and narrower rules are accepted too",
    "[] for nothing, a list of rules such as [\"https://example.com\"], or \"any\"",
);
pub(crate) const CALLERS: Key = key(
    Table::App,
    "callers",
    "whom the app may admit at the most",
    "a list of rules such as [\"*=public\"] or [\"greet=key:HEX\", \"*=owner\"], [] for nobody, or \"any\"",
);
pub(crate) const APP_ISSUERS: Key = key(
    Table::App,
    "issuers",
    "whose tokens its callers may show at the most: rules of callers name issuers as its owner does",
    "a list as that of the enclave, [] for nobody's, or \"any\"",
);
pub(crate) const ASSETS: Key = key(
    Table::App,
    "assets",
    "which read-only files come with the code",
    "{ at = \"/assets\", hash = \"HEX\" }, or \"any\"",
);
pub(crate) const EXTENSIONS: Key = key(
    Table::App,
    "extensions",
    "what the app has to show in its certificates",
    "the SHA-256 of each value by its number, { 1 = \"HEX\" }, or \"any\"",
);
pub(crate) const QUOTE_ROOTS: Key = key(
    Table::App,
    "quote-roots",
    "which other roots than Intel's the app may trust when it talks to other enclaves",
    "\"intel\" for no other, the hash that the claims show, 64 hex digits, a list of these, or \"any\"",
);
pub(crate) const CONFIGURATION: Key = key(
    Table::App,
    "configuration",
    "whether the app is acceptable while it awaits its owner's configuration",
    "\"settled\" where it is not, or \"any\"",
);

/// Every key, in the order of a file.
pub const KEYS: [Key; 37] = [
    VERSION,
    ROOT,
    TCB_STATUSES,
    ADVISORIES,
    FMSPC,
    PPID,
    MAXIMUM_QUOTE_AGE,
    COLLATERAL,
    MAXIMUM_COLLATERAL_AGE,
    MRENCLAVE,
    MRSIGNER,
    ISV_PROD_ID,
    MINIMUM_ISV_SVN,
    IDENTITY,
    BOOT_CONFIGURATION,
    OPERATOR,
    OWNERS,
    ENCLAVE_ISSUERS,
    IMAGE_UPGRADE,
    LINEAGE,
    MINIMUM_BOOT_COUNTER,
    OTHER_APPS,
    MINIMUM_EPOCH,
    VOLUME_ROOT,
    FRESHNESS,
    CODE,
    OWNER,
    UPGRADE,
    ENDORSERS,
    MINIMUM_ENDORSEMENTS,
    NETWORK,
    CALLERS,
    APP_ISSUERS,
    ASSETS,
    EXTENSIONS,
    QUOTE_ROOTS,
    CONFIGURATION,
];
