//! `examples/hospital`: the story of `cargo xtask hospital` as assertions.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cloister_api::{DeploySettings, EnvironmentVariable, Limits};
use cloister_client::{ClientError, Identity, Session};
use cloister_hospital::{Expected, HospitalError, Outside, Patient, PatientRecord, SecondOpinion, Seen};
use cloister_tests::{Enclave, Setup, code_hash, example, for_everybody, name};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_gets_a_signed_second_opinion() {
    let (enclave, outside) = (Setup::new().start(), outside().await);
    let owner = enclave.owner().await;
    deploy(&owner, &outside, DIAGNOSIS, HONEST).await;
    set_up(&owner, DIAGNOSIS).await;

    let doctor = Identity::generate().unwrap();
    let caller = format!("key:{}", doctor.fingerprint());
    let hospital = connect(&enclave, &outside, DIAGNOSIS, HONEST, Some(doctor)).await.unwrap();
    let mut hashes = Vec::new();
    for patient in Patient::all() {
        let record = PatientRecord::new(&patient).unwrap();
        // Its signature and its record are verified there.
        let diagnosis = hospital.ask(&record).await.unwrap().diagnosis;
        assert_eq!(diagnosis.probability, patient.parts_per_million, "{}", patient.name);
        assert!(
            diagnosis.low < diagnosis.probability && diagnosis.probability < diagnosis.high,
            "{diagnosis:?}"
        );
        assert_eq!((diagnosis.draws, &*diagnosis.reference), (2_000, "1993.1"));
        assert!(diagnosis.unusual.contains(&"radius".to_owned()) == patient.malignant, "{diagnosis:?}");
        hashes.push(hex::encode(record.hash()));
    }
    // The samples are drawn anew each time.
    let again = async || {
        let record = PatientRecord::new(&Patient::all()[1]).unwrap();
        let diagnosis = hospital.ask(&record).await.unwrap().diagnosis;
        (diagnosis.low, diagnosis.high)
    };
    assert_ne!((again().await, again().await), (again().await, again().await));

    // Nobody outside learned whom it was about.
    let request = "GET /v1/reference-ranges".to_owned();
    assert_eq!(outside.seen(), vec![Seen::ByTheApi { request }; 7]);

    let entries = call(&owner, DIAGNOSIS, "audit", json!([100])).await;
    let entries: Vec<String> = serde_json::from_value(entries["ok"].clone()).unwrap();
    assert_eq!(entries.len(), 7);
    for ((entry, hash), patient) in entries.iter().zip(&hashes).zip(Patient::all()) {
        assert!(entry.contains(&caller) && entry.contains(hash), "{entry}");
        assert!(entry.ends_with(&format!("is {} ppm", patient.parts_per_million)), "{entry}");
    }
    let stranger = enclave.caller().await;
    let refused = call(&stranger, DIAGNOSIS, "audit", json!([100])).await;
    assert!(refused["err"].is_string(), "{refused}");

    let described = owner.describe(&name(DIAGNOSIS)).await.unwrap();
    let [key] = described.keys.as_slice() else { panic!("{:?}", described.keys) };
    assert_eq!((&*key.name, key.kind.as_deref()), ("diagnosis", Some("ecdsa-p256-sha256")));
    assert!(key.in_memory && key.persisted, "{key:?}");
    assert_eq!(key.uses.get("sign"), Some(&7), "{key:?}");

    // The key outlives the enclave's process.
    let key = hospital.key().clone();
    drop((hospital, owner, stranger));
    let enclave = enclave.stop_and_keep().start();
    let hospital = connect(&enclave, &outside, DIAGNOSIS, HONEST, None).await.unwrap();
    assert_eq!(hospital.key(), &key);
    hospital.ask(&PatientRecord::new(&Patient::all()[0]).unwrap()).await.unwrap();
    has_no_patient(&enclave);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_sends_nothing_to_what_it_does_not_expect() {
    let (enclave, outside) = (Setup::new().start(), outside().await);
    let owner = enclave.owner().await;
    deploy(&owner, &outside, DIAGNOSIS, HONEST).await;
    // Not yet set up.
    is_refused(connect(&enclave, &outside, DIAGNOSIS, HONEST, None).await);
    set_up(&owner, DIAGNOSIS).await;
    let calls = async || owner.describe(&name(DIAGNOSIS)).await.unwrap().total.calls;
    let before = calls().await;

    // Pinned to other code.
    is_refused(connect(&enclave, &outside, DIAGNOSIS, EVIL, None).await);
    // An app that may talk to others too.
    let mut narrow = expected(&enclave, &outside, DIAGNOSIS, HONEST);
    narrow.network = crate::probe::network(&["https://api.example.com"]);
    is_refused(SecondOpinion::connect(&enclave.address().to_string(), &narrow, None).await);
    // Another image.
    let mut other = expected(&enclave, &outside, DIAGNOSIS, HONEST);
    other.mrenclave = [0; 32];
    is_refused(SecondOpinion::connect(&enclave.address().to_string(), &other, None).await);
    assert_eq!(calls().await, before);

    // The owner puts the thief's version in the place of the one that the hospital knows.
    let key = connect(&enclave, &outside, DIAGNOSIS, HONEST, None).await.unwrap().key().clone();
    replace(&owner, &outside, EVIL).await;
    set_up(&owner, DIAGNOSIS).await;
    is_refused(connect(&enclave, &outside, DIAGNOSIS, HONEST, None).await);
    // And back: the persisted key is the app's, whichever code it has.
    replace(&owner, &outside, HONEST).await;
    set_up(&owner, DIAGNOSIS).await;
    let hospital = connect(&enclave, &outside, DIAGNOSIS, HONEST, None).await.unwrap();
    assert_eq!(hospital.key(), &key);
    assert_eq!(outside.seen(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_thiefs_version_gets_no_record_to_the_thief() {
    let (enclave, outside) = (Setup::new().start(), outside().await);
    let owner = enclave.owner().await;
    for (app, component) in [(DIAGNOSIS, HONEST), (RESEARCH, EVIL)] {
        deploy(&owner, &outside, app, component).await;
        set_up(&owner, app).await;
    }
    let patient = &Patient::all()[1];
    let honest = connect(&enclave, &outside, DIAGNOSIS, HONEST, None).await.unwrap();
    honest.ask(&PatientRecord::new(patient).unwrap()).await.unwrap();
    is_refused(connect(&enclave, &outside, RESEARCH, HONEST, None).await);

    // A hospital that takes the thief's code for good.
    let careless = connect(&enclave, &outside, RESEARCH, EVIL, None).await.unwrap();
    assert_ne!(careless.key(), honest.key());
    let signed = careless.ask(&PatientRecord::new(patient).unwrap()).await.unwrap();
    assert!(signed.verified(honest.key(), &[0; 32]).is_err());

    let log = owner.logs(&name(RESEARCH)).await.unwrap();
    println!("{log}");
    let lines =
        |word: &'static str| log.lines().filter_map(move |line| line.strip_prefix(word).map(str::trim));
    let got_out: Vec<_> = lines("NOT STOPPED").map(|line| line.split_once(':').unwrap().0).collect();
    assert_eq!(
        got_out,
        [
            "to the host that it may talk to, in the address",
            "to everybody, in its certificate",
            "to this log, which the app's owner can read",
        ]
    );
    let stopped: Vec<_> = lines("stopped").map(|line| line.split_once(": ").unwrap()).collect();
    assert_eq!(stopped.len(), 14, "{log}");
    assert!(stopped.iter().all(|(_, reason)| !reason.is_empty()), "{log}");

    assert_eq!(outside.stolen(), []);
    let denied = owner.egress(&name(RESEARCH)).await.unwrap().requests;
    let thief = outside.thief.rsplit_once(':').unwrap().1;
    let to_the_thief: Vec<_> = denied.iter().filter(|request| request.port.to_string() == thief).collect();
    assert!(to_the_thief.len() >= 3, "{denied:?}");
    assert!(to_the_thief.iter().all(|request| request.status.is_none()), "{to_the_thief:?}");
    // Only the app's owner can read its log.
    let stranger = enclave.caller().await;
    assert!(stranger.logs(&name(RESEARCH)).await.is_err());
    has_no_patient(&enclave);
}

async fn outside() -> Outside {
    Outside::start(|_| {}).await.unwrap()
}

async fn deploy(owner: &Session, outside: &Outside, app: &str, component: &str) {
    owner.deploy(&name(app), example(component), &settings(outside), |_| {}).await.unwrap();
}

async fn replace(owner: &Session, outside: &Outside, component: &str) {
    owner.replace(&name(DIAGNOSIS), example(component), &settings(outside), |_| {}).await.unwrap();
}

fn settings(outside: &Outside) -> DeploySettings {
    let variable =
        |name: &str, value: &str| EnvironmentVariable { name: name.to_owned(), value: value.to_owned() };
    DeploySettings {
        limits: Limits { fuel: 1_000_000_000, ..Limits::default() },
        environment: vec![variable("MEDICAL_API", &outside.api), variable("THIEF", &outside.thief)],
        network: crate::probe::network(&[&outside.api]),
        roots: vec![BASE64_STANDARD.encode(&outside.root)],
        configure_with: Some("setup".to_owned()),
        ..for_everybody()
    }
}

async fn set_up(owner: &Session, app: &str) {
    assert_eq!(call(owner, app, "setup", json!([])).await, json!({ "ok": null }));
}

async fn call(session: &Session, app: &str, export: &str, arguments: Value) -> Value {
    session.call_json(&name(app), export, &arguments).await.unwrap().result
}

fn expected(enclave: &Enclave, outside: &Outside, app: &str, component: &str) -> Expected {
    Expected {
        anchor: enclave.policy().anchor,
        mrenclave: enclave.running().mrenclave(),
        app: name(app),
        code_hash: code_hash(&example(component)),
        network: crate::probe::network(&[&outside.api]),
    }
}

async fn connect(
    enclave: &Enclave,
    outside: &Outside,
    app: &str,
    component: &str,
    doctor: Option<Identity>,
) -> Result<SecondOpinion, HospitalError> {
    let address = enclave.address().to_string();
    SecondOpinion::connect(&address, &expected(enclave, outside, app, component), doctor).await
}

fn is_refused(connected: Result<SecondOpinion, HospitalError>) {
    match connected {
        Err(HospitalError::Client(ClientError::Refused(_))) => {}
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

/// Looks through all that the operator has: what the host process logged, and every file of the enclave's.
fn has_no_patient(enclave: &Enclave) {
    let names: Vec<String> = Patient::all().into_iter().map(|patient| patient.name).collect();
    let in_hexadecimal = names.iter().map(hex::encode);
    let words: Vec<String> = names.iter().cloned().chain(in_hexadecimal).collect();
    let log = enclave.log().concat();
    assert!(words.iter().all(|word| !log.contains(word)), "{log}");
    search(enclave.state(), &words);
}

fn search(folder: &Path, words: &[String]) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, words);
        } else if path.is_file() {
            let content = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            assert!(words.iter().all(|word| !content.contains(word)), "{}", path.display());
        }
    }
}

const DIAGNOSIS: &str = "diagnosis";
const RESEARCH: &str = "research";

/// Components.
const HONEST: &str = "hospital";
const EVIL: &str = "hospital-evil";
