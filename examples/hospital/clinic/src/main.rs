//! `hospital outside` is the world outside the enclave, `hospital ask` is a hospital that asks for a second opinion.

#![forbid(unsafe_code)]

use anyhow::{Context as _, Result, anyhow};
use clap::{Args, Parser, Subcommand};
use cloister_client::api::{AppName, NetworkPolicy, NetworkRule};
use cloister_client::{ClientError, Identity, TrustAnchor};
use cloister_hospital::{
    Diagnosis, Expected, HospitalError, Outside, Patient, PatientRecord, SecondOpinion, SignedDiagnosis,
};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

#[derive(Debug, Parser)]
#[command(name = "hospital")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be the medical API, and a thief; say in one line of JSON where. Until it is ended
    Outside {
        /// Gets the certificate of the authority that vouches for both, in PEM
        #[arg(long, value_name = "FILE")]
        roots: PathBuf,
        /// Gets a line for all that reaches either
        #[arg(long, value_name = "FILE")]
        log: PathBuf,
    },
    /// Verify an enclave, send it a patient's record, verify the diagnosis
    Ask(Ask),
}

#[derive(Debug, Args)]
struct Ask {
    /// Where the enclave is
    #[arg(long, value_name = "HOST:PORT")]
    host: String,
    /// The only image that this hospital accepts
    #[arg(long, value_name = "HEX", value_parser = digest)]
    mrenclave: [u8; 32],
    /// Accept this soft platform, and no hardware
    #[arg(long, value_name = "ROOT_FINGERPRINT", value_parser = digest)]
    allow_simulated: Option<[u8; 32]>,
    #[arg(long)]
    app: AppName,
    /// The only component that this hospital accepts
    #[arg(long, value_name = "HEX", value_parser = digest)]
    code_hash: [u8; 32],
    /// The most that the component may do on the network
    #[arg(long, value_name = "RULE")]
    allow: Vec<NetworkRule>,
    /// The doctor's key, which the audit log will name
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Whose record of patients.json
    #[arg(long, value_name = "NAME")]
    patient: String,
    /// Gets the signed text, the signature and the key, for openssl
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Say only what came of it
    #[arg(long)]
    brief: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Outside { roots, log } => outside(&roots, &log).await,
        Command::Ask(ask) => self::ask(ask).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("  refused: {error:#}");
            match error.downcast_ref::<HospitalError>() {
                Some(HospitalError::Client(ClientError::Refused(_))) => {
                    eprintln!("  No record left this hospital.");
                    ExitCode::from(REFUSED)
                }
                _ => ExitCode::FAILURE,
            }
        }
    }
}

async fn outside(roots: &Path, log: &Path) -> Result<()> {
    let lines = Mutex::new(File::create(log).with_context(|| format!("cannot write {}", log.display()))?);
    let outside = Outside::start(move |seen| {
        // Who reads the file misses a line that cannot be written, and nothing else comes of it.
        if let Ok(mut lines) = lines.lock() {
            let _ = writeln!(lines, "{seen}");
        }
    })
    .await?;
    fs::write(roots, outside.root_pem()).with_context(|| format!("cannot write {}", roots.display()))?;
    println!("{}", serde_json::json!({ "api": outside.api, "thief": outside.thief }));
    std::future::pending().await
}

async fn ask(ask: Ask) -> Result<()> {
    let patient = Patient::all().into_iter().find(|patient| patient.name == ask.patient);
    let patient = patient.with_context(|| format!("there is no {:?} in patients.json", ask.patient))?;
    let identity = ask.key.as_deref().map(Identity::load).transpose()?;
    let expected = Expected {
        anchor: match ask.allow_simulated {
            Some(root_fingerprint) => TrustAnchor::Simulated { root_fingerprint },
            None => TrustAnchor::Intel,
        },
        mrenclave: ask.mrenclave,
        app: ask.app,
        code_hash: ask.code_hash,
        network: NetworkPolicy::new(ask.allow)?,
    };

    let enclave = SecondOpinion::connect(&ask.host, &expected, identity).await?;
    if !ask.brief {
        println!("  Before anything was sent:\n");
        println!("{}", indented(&enclave.report().to_string()));
    }
    println!("  diagnoses are signed by the key {}, says the evidence", enclave.key().fingerprint());

    let record = PatientRecord::new(&patient)?;
    let signed = enclave.ask(&record).await?;
    println!("  sent: the record of {}, row {} of the data set", patient.name, patient.row);
    println!("  {}", in_words(&signed.diagnosis));
    if !ask.brief {
        println!("  (the data set knows: {})", if patient.malignant { "malignant" } else { "benign" });
        println!("  signature: verified with that key, over this text:\n");
        println!("{}", indented(&signed.diagnosis.statement()));
    }
    if let Some(folder) = &ask.out {
        keep(folder, &signed, enclave.key().spki_der())?;
    }
    Ok(())
}

fn in_words(diagnosis: &Diagnosis) -> String {
    let percent = |parts: u32| format!("{:.1} %", f64::from(parts) / 10_000.0);
    let Diagnosis { probability, low, high, draws, unusual, .. } = diagnosis;
    let unusual = if unusual.is_empty() { "nothing".to_owned() } else { unusual.join(", ") };
    format!(
        "malignant with {}; 95 of 100 of {draws} draws say {} to {}; outside the reference ranges: {unusual}",
        percent(*probability),
        percent(*low),
        percent(*high),
    )
}

/// For `openssl dgst -sha256 -keyform DER -verify key.der -signature signature.der statement.txt`.
fn keep(folder: &Path, signed: &SignedDiagnosis, key: &[u8]) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let statement = signed.diagnosis.statement();
    for (name, content) in
        [("statement.txt", statement.as_bytes()), ("signature.der", &signed.signature), ("key.der", key)]
    {
        let path = folder.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn digest(text: &str) -> Result<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).map_err(|_| anyhow!("that is not 64 hex digits"))?;
    Ok(digest)
}

/// Exit status of a refused verification, as `cloister` has it too.
const REFUSED: u8 = 4;
