//! Machines made of folders.

#[path = "../../../../host/tests/aesm/mod.rs"]
#[allow(dead_code, reason = "shared with the host's own tests")]
mod aesm;

use super::*;
use cloister_host::{QuotingService, Sgx};
use cloister_soft_sgx::SoftPlatform;
use cloister_soft_sgx::sigstruct::{SigningKey, SigstructParameters};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::LazyLock;
use tempfile::TempDir;

/// A server with everything, and its folder.
fn server() -> (TempDir, Machine) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for directory in ["dev", "proc/sys/kernel", "state"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::set_permissions(root.join("state"), fs::Permissions::from_mode(0o700)).unwrap();
    for (name, text) in [
        ("dev/sgx_enclave", ""),
        ("dev/sgx_provision", ""),
        ("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"),
        ("proc/mounts", "udev /dev devtmpfs rw,nosuid,relatime 0 0\n"),
        ("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu sgx fsgsbase sgx_lc\n"),
        ("proc/meminfo", "MemTotal:  65843164 kB\nMemAvailable:   62000000 kB\n"),
    ] {
        fs::write(root.join(name), text).unwrap();
    }
    let platform = SoftPlatform::open(root.join("platform")).unwrap();
    let socket = aesm::AesmStandIn::start(root, platform).path().to_owned();
    let image = root.join("image.sgxs");
    let mut stream = vec![0; 64];
    stream[..8].copy_from_slice(b"ECREATE\0");
    stream[12..20].copy_from_slice(&0x20_0000_u64.to_le_bytes());
    fs::write(&image, &stream).unwrap();
    let signature = root.join("image.sigstruct");
    let sigstruct = KEY.sign(Sha256::digest(&stream).into(), &SigstructParameters::default()).unwrap();
    fs::write(&signature, AsRef::<[u8]>::as_ref(&sigstruct)).unwrap();
    let machine = Machine {
        root: root.to_owned(),
        processor: Processor {
            intel: true,
            family: 6,
            model: 0x6a,
            stepping: 6,
            missing: vec![],
            sgx: Some(Sgx { launch_control: true, epc: 64 << 30, largest_enclave: 1 << 56 }),
        },
        device: DeviceKind::Hardware,
        quoting: Ok(QuotingSettings {
            aesm_socket: socket,
            dcap_library: root.join("libsgx_dcap_ql.so.1"),
            ..QuotingSettings::default()
        }),
        image: Ok((image, signature)),
        state: root.join("state"),
        tpm: None,
    };
    (folder, machine)
}

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().unwrap());

fn state(report: &Report, check: &str) -> State {
    let found = report.checks.iter().find(|finding| finding.check == check);
    found.unwrap_or_else(|| panic!("{check} is checked: {report:?}")).state
}

#[test]
fn a_server_with_everything_can_serve() {
    let (_folder, machine) = server();
    let report = Report::of(&machine);
    assert!(report.can_serve, "{}", report.text(Paint::PLAIN));
    for finding in &report.checks {
        let expected = if finding.check == "PCCS" { State::Advice } else { State::Ok };
        assert_eq!(finding.state, expected, "{finding:?}");
    }
    let text = report.text(Paint::PLAIN);
    assert!(text.contains("This machine can serve with --device sgx"), "{text}");
    assert!(text.contains("DCAP library") && text.contains("AESM"), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["device"], &json["can_serve"]), (&"sgx".into(), &true.into()));
    assert_eq!(json["checks"][0]["state"], "ok");
}

#[test]
fn each_thing_that_is_lacking_is_named_with_a_remedy() {
    type Break = fn(&mut Machine);
    let cases: [(&str, Break); 17] = [
        ("instructions", |machine| machine.processor.missing = vec!["adx"]),
        ("LVI", |machine| machine.processor.model = 0x9e),
        ("SGX", |machine| machine.processor.sgx = None),
        ("SGX", |machine| machine.processor.sgx.as_mut().unwrap().launch_control = false),
        ("SGX driver", |machine| fs::remove_file(machine.system("dev/sgx_enclave")).unwrap()),
        ("mount of /dev", |machine| {
            fs::write(machine.system("proc/mounts"), "udev /dev devtmpfs rw,noexec 0 0\n").unwrap();
        }),
        ("kernel", |machine| fs::write(machine.system("proc/sys/kernel/osrelease"), "5.10.0-28\n").unwrap()),
        ("kernel", |machine| fs::remove_file(machine.system("proc/sys/kernel/osrelease")).unwrap()),
        ("AESM", |machine| machine.quoting.as_mut().unwrap().aesm_socket = "/nowhere".into()),
        ("quoting", |machine| machine.quoting = Err("no URL".to_owned())),
        ("image", |machine| machine.image = Err("none at a or b".to_owned())),
        ("image", |machine| fs::write(machine.system("image.sgxs"), "no image").unwrap()),
        ("image", |machine| machine.processor.sgx.as_mut().unwrap().largest_enclave = 1 << 20),
        ("signature", |machine| fs::remove_file(machine.system("image.sigstruct")).unwrap()),
        ("signature", |machine| {
            let other = KEY.sign([1; 32], &SigstructParameters::default()).unwrap();
            fs::write(machine.system("image.sigstruct"), AsRef::<[u8]>::as_ref(&other)).unwrap();
        }),
        ("state folder", |machine| machine.state = "/proc/no/such".into()),
        ("TPM", |machine| machine.tpm = Some(TpmPath::Device(machine.system("dev/tpmrm0")))),
    ];
    for (index, (check, breaks)) in cases.into_iter().enumerate() {
        let (_folder, mut machine) = server();
        breaks(&mut machine);
        let report = Report::of(&machine);
        assert!(!report.can_serve, "case {index}, {check}");
        let lacking: Vec<_> =
            report.checks.iter().filter(|finding| finding.state == State::Lacking).collect();
        assert!(lacking.iter().any(|finding| finding.check == check), "case {index}, {check}: {lacking:?}");
        assert!(lacking.iter().all(|finding| finding.remedy.is_some()), "{lacking:?}");
        assert!(report.text(Paint::PLAIN).contains("cannot serve"), "case {index}");
    }
}

#[test]
fn what_is_only_advice_does_not_keep_it_from_serving() {
    type Change = fn(&mut Machine);
    let cases: [(&str, Change); 7] = [
        ("LVI", |machine| machine.processor.model = 1),
        ("provisioning", |machine| fs::remove_file(machine.system("dev/sgx_provision")).unwrap()),
        ("memory", |machine| fs::write(machine.system("proc/meminfo"), "MemAvailable: 1000 kB\n").unwrap()),
        ("memory", |machine| fs::remove_file(machine.system("proc/meminfo")).unwrap()),
        ("state folder", |machine| {
            fs::set_permissions(&machine.state, fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("TPM", |machine| fs::write(machine.system("dev/tpmrm0"), "").unwrap()),
        ("PCCS", |machine| {
            let server = cloister_collateral::CollateralServer::new("http://127.0.0.1:1").unwrap();
            machine.quoting.as_mut().unwrap().collateral = Some(server);
        }),
    ];
    for (check, changes) in cases {
        let (_folder, mut machine) = server();
        changes(&mut machine);
        let report = Report::of(&machine);
        assert_eq!((state(&report, check), report.can_serve), (State::Advice, true), "{check}");
    }
}

#[test]
fn software_needs_neither_processor_nor_driver() {
    let (_folder, mut machine) = server();
    machine.device = DeviceKind::Soft;
    machine.processor = Processor { intel: false, family: 0x19, model: 1, sgx: None, ..machine.processor };
    fs::remove_file(machine.system("dev/sgx_enclave")).unwrap();
    fs::remove_file(machine.system("dev/sgx_provision")).unwrap();
    machine.quoting.as_mut().unwrap().aesm_socket = "/nowhere".into();
    let report = Report::of(&machine);
    let text = report.text(Paint::PLAIN);
    assert!(report.can_serve && text.contains("SIMULATED"), "{text}");
    assert_eq!(state(&report, "quoting"), State::Ok);
    fs::write(machine.system("proc/cpuinfo"), "flags\t\t: fpu\n").unwrap();
    let report = Report::of(&machine);
    assert_eq!((state(&report, "FSGSBASE"), report.can_serve), (State::Lacking, false));
    fs::write(machine.system("proc/cpuinfo"), "flags\t\t: fpu fsgsbase\n").unwrap();
    assert!(Report::of(&machine).can_serve);
    machine.processor.missing = vec!["avx2"];
    assert!(!Report::of(&machine).can_serve, "the image is the same one");
}

#[test]
fn a_way_that_was_asked_for_has_to_answer() {
    let (_folder, mut machine) = server();
    machine.quoting.as_mut().unwrap().service = QuotingService::Dcap;
    let report = Report::of(&machine);
    assert_eq!(state(&report, "DCAP library"), State::Lacking);
    assert!(report.checks.iter().all(|finding| finding.check != "AESM"));
}

#[test]
fn a_signature_for_debugging_is_told() {
    let (_folder, machine) = server();
    let image = fs::read(machine.system("image.sgxs")).unwrap();
    let mut parameters = SigstructParameters::default();
    parameters.attributes.flags |= sgx_isa::AttributesFlags::DEBUG;
    let debug = KEY.sign(Sha256::digest(&image).into(), &parameters).unwrap();
    fs::write(machine.system("image.sigstruct"), AsRef::<[u8]>::as_ref(&debug)).unwrap();
    assert_eq!(state(&Report::of(&machine), "signature"), State::Advice);
}
