//! Types of the admin and call protocol.
//!
//! One crate for both sides, so that the server and its clients cannot drift apart. Every request body is bounded by
//! a constant here before it is parsed. The protocol itself is described in `docs/design/protocol.md`.
#![forbid(unsafe_code)]

mod access;
mod app;
mod bundle;
mod call;
mod configuration;
mod deploy;
mod egress;
mod evidence;
mod hand_over;
mod interfaces;
mod issuer;
mod name;
mod network;
mod problem;
mod removal;
mod run;
mod upgrade;
mod volume;

pub use access::{
    CallerPolicy, CallerRule, CallerRuleFault, EntryPattern, InvalidCallerPolicy, InvalidCallerRule,
    MAX_CALLER_RULES, MAX_CALLER_RULES_TEXT, MAX_ENTRY, MAX_ISSUER_NAME, MAX_ROLE, Who,
};
pub use app::{
    AppDescription, AppList, AppSummary, AssetsDescription, ConfigurationState, ExportDescription,
    ExtensionDescription, FunctionCounters, KeyDescription, Limits, ParameterDescription,
};
pub use bundle::{
    BUNDLE, BUNDLE_ENTRY_HEAD, EntryHead, EntryKind, MAX_ASSETS, MAX_BUNDLE_FILES, MAX_BUNDLE_PATH,
    is_bundle_path,
};
pub use call::{CallResponse, EXPECTED_CODE_HEADER, WAVE_ARGUMENTS};
pub use configuration::{Configuration, FreshnessSetting, InvalidKeyFingerprint, KeyFingerprint};
pub use deploy::{
    DEFAULT_ASSETS_AT, DeployEvent, DeploySettings, Directory, EnvironmentVariable, MAX_QUOTE_ROOTS,
    MAX_SETTINGS, SETTINGS_HEADER,
};
pub use egress::{EgressLog, EgressRequest, MAX_EGRESS_REQUESTS};
pub use evidence::{EvidenceRequest, EvidenceResponse};
pub use hand_over::{
    HAND_OVER_VERSION, HandOver, HandOverOffer, HandOverRequest, MAX_HAND_OVER, VolumeAdoption,
};
pub use interfaces::{MAX_COMPONENT, SUPPORTED_INTERFACES, serves};
pub use issuer::{
    DEFAULT_ROLES_CLAIM, InvalidTokenIssuer, MAX_ISSUER_ROOTS, MAX_ISSUER_ROOTS_TEXT, MAX_ISSUER_URL,
    MAX_ISSUER_WORD, MAX_ISSUERS, TokenIssuer, check_issuers, token_principal,
};
pub use name::{AppName, InvalidAppName};
pub use network::{
    AddressRange, AddressRule, HostPattern, HostRule, InvalidNetworkPolicy, InvalidNetworkRule,
    MAX_NETWORK_RULES, MAX_NETWORK_RULES_TEXT, NetworkPolicy, NetworkRule, PortRange, RuleFault,
};
pub use problem::{Code, Problem, Trap, TrapFrame};
pub use removal::Removal;
pub use run::{MAX_RUN_FRAME, MAX_RUN_REQUEST, RUN, RUN_FRAME_HEAD, RUN_HEADER, RunEnd, RunRequest, RunTag};
pub use upgrade::{
    ENDORSEMENTS_HEADER, Endorsement, ImageDigest, ImageUpgrade, InvalidImageDigest, InvalidImageUpgrade,
    InvalidUpgrade, MAX_ENDORSEMENTS, MAX_ENDORSEMENTS_TEXT, MAX_ENDORSERS, MAX_LISTED_IMAGES, Upgrade,
};
pub use volume::{
    BACKUP_BLOCK, BACKUP_END, BACKUP_EPOCH_HEADER, CheckEvent, MAX_BACKUP_CHUNK, MAX_VOLUME_BLOCKS,
    StorageUsage, VolumeState, VolumeStatistics,
};

/// Path of the protocol on every host name, also on those of web services: `/health` and the others come below it. `/v1` is
/// the same wherever no web service has the host name.
pub const API_PATH: &str = "/.well-known/cloister/v1";
/// Longest JSON body that a call may send, in bytes.
pub const MAX_CALL_BODY: usize = 16 << 20;
/// Media type of an uploaded component.
pub const WASM: &str = "application/wasm";
/// Media type of a stream of [`DeployEvent`]s or [`CheckEvent`]s, one JSON text a line.
pub const NDJSON: &str = "application/x-ndjson";
/// Media type of a backup: chunks, each a block number (u64), a count of blocks (u32), both little-endian, and that many
/// blocks of [`BACKUP_BLOCK`] bytes; the end is block [`BACKUP_END`] with count 0.
pub const BACKUP: &str = "application/octet-stream";
