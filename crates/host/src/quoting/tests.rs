//! From an enclave's report to a quote that verifies, through stand-ins for Intel's software; and everything that it may say wrong.

#[path = "../../tests/aesm/mod.rs"]
mod aesm_stand_in;
#[path = "../../tests/dcap/mod.rs"]
mod dcap_stand_in;
#[path = "../../../collateral/tests/pccs/mod.rs"]
mod pccs;
#[path = "../../../soft-sgx/tests/tiny/mod.rs"]
#[allow(unsafe_code, dead_code, reason = "shared with the soft platform's own tests")]
mod tiny;

use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::UNIX_EPOCH;

use aesm_stand_in::{AesmStandIn, Asked, Does, answer, key, number};
use cloister_collateral::Collateral;
use cloister_soft_sgx::SoftPlatform;
use cloister_soft_sgx::enter::{Exit, Registers, enter_tcs};
use dcap_qvl::verify::QuoteVerifier;
use tempfile::TempDir;

use super::*;

struct Machine {
    folder: TempDir,
    platform: SoftPlatform,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let platform = SoftPlatform::open(folder.path()).unwrap();
        Self { folder, platform }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Settings under which nothing answers.
    fn settings(&self) -> QuotingSettings {
        QuotingSettings {
            aesm_socket: self.folder().join("aesm.socket"),
            dcap_library: self.folder().join("libsgx_dcap_ql.so.1"),
            patience: Duration::from_secs(60),
            ..QuotingSettings::default()
        }
    }

    fn quoting(&self, service: QuotingService) -> PlatformQuoting {
        let settings = QuotingSettings { service, ..self.settings() };
        PlatformQuoting::new(PlatformKind::Simulated, settings, LogSink::discard())
    }

    /// The same, which has little patience.
    fn impatient(&self, service: QuotingService) -> PlatformQuoting {
        let settings = QuotingSettings { service, patience: Duration::from_secs(2), ..self.settings() };
        PlatformQuoting::new(PlatformKind::Simulated, settings, LogSink::discard())
    }

    fn aesm(&self, twist: impl Fn(Asked, Vec<u8>) -> Does + Send + Sync + 'static) {
        let service = AesmStandIn::start_with(self.folder(), self.platform.clone(), twist);
        assert_eq!(service.path(), self.folder().join("aesm.socket"));
    }

    fn dcap(
        &self,
        twist: impl Fn(char, dcap_stand_in::Answer) -> Option<dcap_stand_in::Answer> + Send + 'static,
    ) {
        dcap_stand_in::library(self.folder(), self.platform.clone(), twist);
    }

    /// An enclave's report for whoever has this TARGETINFO.
    fn report(&self, target: &[u8; TARGET_INFO_LEN]) -> Box<[u8; REPORT_LEN]> {
        let enclave = tiny::load(&self.platform, &IMAGE).unwrap();
        let (data, mut report) = ([0x5a_u8; 64], Box::new([0; REPORT_LEN]));
        let mut registers = Registers {
            rdi: tiny::Operation::Report as u64,
            rsi: target.as_ptr() as u64,
            rdx: data.as_ptr() as u64,
            r8: report.as_mut_ptr() as u64,
            ..Registers::default()
        };
        assert_eq!(visit(&enclave, &mut registers), Exit::Exited);
        report
    }

    /// Under the soft platform's root.
    fn verify(&self, quote: &[u8]) {
        let collateral: Collateral = serde_json::from_slice(&self.platform.collateral().unwrap()).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let verifier = QuoteVerifier::new(self.platform.root_der().to_vec());
        let verified = verifier.verify(quote, &collateral, now).unwrap();
        let report = verified.report.as_sgx().unwrap();
        assert_eq!(report.mr_enclave, IMAGE.sigstruct.enclavehash);
        assert_eq!(report.report_data, [0x5a; 64]);
    }

    /// What an enclave does to be quoted.
    fn quoted(&self, quoting: &PlatformQuoting) -> Result<Vec<u8>, QuotingError> {
        let target = quoting.target_info()?;
        quoting.quote(&self.report(&target))
    }
}

static IMAGE: LazyLock<tiny::Image> = LazyLock::new(|| tiny::image(0));

#[allow(unsafe_code)]
fn visit(enclave: &tiny::Enclave, registers: &mut Registers) -> Exit {
    // SAFETY: the enclave keeps the contract, and reads and writes what the registers point to, which outlives the visit.
    unsafe { enter_tcs(&enclave.tcss[0], registers) }.unwrap()
}

#[test]
fn a_report_becomes_a_quote_that_verifies_through_aesm() {
    let machine = Machine::new();
    machine.aesm(|_, right| Does::Sends(right));
    let quote = machine.quoted(&machine.quoting(QuotingService::Aesm)).unwrap();
    machine.verify(&quote);
    let settings = machine.settings();
    assert_eq!(probe_quoting(&settings).unwrap(), QuotingService::Aesm, "the only way there is");
}

#[test]
fn a_report_becomes_a_quote_that_verifies_through_dcap() {
    let machine = Machine::new();
    machine.dcap(|_, right| Some(right));
    let quote = machine.quoted(&machine.quoting(QuotingService::Dcap)).unwrap();
    machine.verify(&quote);
}

#[test]
fn the_library_comes_before_the_service() {
    let machine = Machine::new();
    machine.dcap(|_, right| Some(right));
    machine.aesm(|_, _| Does::Hangs);
    assert_eq!(probe_quoting(&machine.settings()).unwrap(), QuotingService::Dcap);
    machine.verify(&machine.quoted(&machine.quoting(QuotingService::Auto)).unwrap());
}

#[test]
fn a_library_that_does_not_answer_leaves_it_to_the_service() {
    let machine = Machine::new();
    machine.dcap(|_, _| Some((0xe00d, Vec::new())));
    machine.aesm(|_, right| Does::Sends(right));
    assert_eq!(probe_quoting(&machine.settings()).unwrap(), QuotingService::Aesm);
}

#[test]
fn without_either_both_reasons_are_told_and_a_later_start_is_seen() {
    let machine = Machine::new();
    let quoting = machine.quoting(QuotingService::Auto);
    let why = quoting.answer(QuoteRequest::TargetInfo).unwrap_err();
    assert!(why.contains("libsgx-dcap-ql") && why.contains("aesmd"), "{why}");
    machine.aesm(|_, right| Does::Sends(right));
    machine.verify(&machine.quoted(&quoting).unwrap());
}

#[test]
fn a_report_that_is_not_for_the_quoting_enclave_is_refused_by_either() {
    for service in [QuotingService::Aesm, QuotingService::Dcap] {
        let machine = Machine::new();
        machine.aesm(|_, right| Does::Sends(right));
        machine.dcap(|_, right| Some(right));
        let quoting = machine.quoting(service);
        let foreign = Machine::new().report(&machine.platform.target_info());
        let error = quoting.quote(&foreign).unwrap_err();
        let expected = match service {
            QuotingService::Aesm => matches!(error, QuotingError::Aesm { code: 3, .. }),
            _ => matches!(error, QuotingError::Dcap { error: DcapError(0xe015), .. }),
        };
        assert!(expected, "{error}");
    }
}

#[test]
fn whatever_aesm_says_wrong_is_an_error_with_its_name() {
    let malformed = |error: &QuotingError| matches!(error, QuotingError::Malformed { .. });
    let code = |error: &QuotingError| matches!(error, QuotingError::Aesm { code: 16, .. });
    let no_key = |error: &QuotingError| matches!(error, QuotingError::NoEcdsa);
    let quote = |error: &QuotingError| matches!(error, QuotingError::Quote(_));
    type Expected<'a> = &'a dyn Fn(&QuotingError) -> bool;
    let cases: Vec<(Asked, Does, Expected<'_>)> = vec![
        (Asked::KeyCount, Does::Sends(number(Asked::KeyCount, 2, 0)), &no_key),
        (Asked::KeyCount, Does::Sends(number(Asked::KeyCount, 2, 1 << 40)), &malformed),
        (Asked::Keys, Does::Sends(answer(Asked::Keys, 0, &[(2, [key(0), key(0)].concat())])), &no_key),
        (Asked::Keys, Does::Sends(answer(Asked::Keys, 0, &[(2, key(2))])), &malformed),
        (Asked::Keys, Does::Sends(answer(Asked::Keys, 16, &[])), &code),
        (Asked::Init, Does::Sends(answer(Asked::Init, 0, &[(2, vec![1; 511])])), &malformed),
        (Asked::Init, Does::Sends(answer(Asked::Init, 0, &[(2, vec![1; 513])])), &malformed),
        (Asked::Init, Does::Sends(answer(Asked::Init, 0, &[(2, vec![0; 512])])), &malformed),
        (Asked::Init, Does::Sends(answer(Asked::Init, 0, &[])), &malformed),
        (Asked::Init, Does::Sends(number(Asked::Init, 3, 1 << 30)), &malformed),
        (Asked::Size, Does::Sends(number(Asked::Size, 2, 0)), &malformed),
        (Asked::Size, Does::Sends(number(Asked::Size, 2, u64::MAX)), &malformed),
        (Asked::Quote, Does::Sends(answer(Asked::Quote, 16, &[])), &code),
        (Asked::Quote, Does::Sends(answer(Asked::Quote, 0, &[])), &malformed),
        (Asked::Quote, Does::Sends(answer(Asked::Quote, 0, &[(2, vec![3; 100])])), &quote),
        (Asked::Quote, Does::Sends(answer(Asked::Quote, 0, &[(2, vec![0; 8192])])), &quote),
        (Asked::Quote, Does::Sends(answer(Asked::Size, 0, &[])), &malformed),
        (Asked::Quote, Does::Sends(Vec::new()), &malformed),
        (Asked::Quote, Does::Sends(vec![0xff; 40]), &malformed),
        (Asked::Quote, Does::Sends(vec![0x8a, 0x01, 0]), &malformed),
        (Asked::Quote, Does::SendsRaw(Vec::new()), &malformed),
        (Asked::Quote, Does::SendsRaw(vec![5, 0, 0, 0, 1]), &malformed),
        (Asked::Quote, Does::SendsRaw(vec![0xff; 64]), &malformed),
    ];
    for (index, (at, does, expected)) in cases.into_iter().enumerate() {
        let machine = Machine::new();
        let wrong = does.clone();
        machine.aesm(move |asked, right| if asked == at { wrong.clone() } else { Does::Sends(right) });
        let error = machine.quoted(&machine.quoting(QuotingService::Aesm)).unwrap_err();
        assert!(expected(&error), "case {index}, {at:?} {does:?}: {error}");
    }
}

#[test]
fn whatever_the_library_says_wrong_is_an_error_with_its_name() {
    let malformed = |error: &QuotingError| matches!(error, QuotingError::Malformed { .. });
    let code = |error: &QuotingError| matches!(error, QuotingError::Dcap { error: DcapError(0xe019), .. });
    let quote = |error: &QuotingError| matches!(error, QuotingError::Quote(_));
    type Expected<'a> = &'a dyn Fn(&QuotingError) -> bool;
    let cases: Vec<(char, dcap_stand_in::Answer, Expected<'_>)> = vec![
        ('t', (0xe019, Vec::new()), &code),
        ('t', (0, vec![0; 512]), &malformed),
        ('s', (0xe019, Vec::new()), &code),
        ('s', (0, 0_u32.to_le_bytes().to_vec()), &malformed),
        ('s', (0, u32::MAX.to_le_bytes().to_vec()), &malformed),
        ('s', (0, 100_u32.to_le_bytes().to_vec()), &quote),
        ('s', (0, 2000_u32.to_le_bytes().to_vec()), &quote),
        ('q', (0xe019, Vec::new()), &code),
        ('q', (0, Vec::new()), &quote),
        ('q', (0, vec![0xff; 8192]), &quote),
        ('q', (0, vec![3; 60_000]), &quote),
    ];
    for (index, (at, wrong, expected)) in cases.into_iter().enumerate() {
        let machine = Machine::new();
        machine.dcap(move |asked, right| Some(if asked == at { wrong.clone() } else { right }));
        let error = machine.quoted(&machine.quoting(QuotingService::Dcap)).unwrap_err();
        assert!(expected(&error), "case {index}, {at}: {error}");
    }
}

#[test]
fn who_hangs_is_not_waited_for_and_asked_anew_later() {
    let aesm = Machine::new();
    aesm.aesm(|asked, right| if asked == Asked::Init { Does::Hangs } else { Does::Sends(right) });
    let error = aesm.impatient(QuotingService::Aesm).target_info().unwrap_err();
    assert!(matches!(error, QuotingError::TimedOut { .. }), "{error}");

    let dcap = Machine::new();
    let slow = AtomicBool::new(true);
    dcap.dcap(move |asked, right| {
        if asked == 'q' && slow.swap(false, Ordering::Relaxed) {
            thread::sleep(Duration::from_secs(10));
        }
        Some(right)
    });
    let quoting = dcap.impatient(QuotingService::Dcap);
    let target = quoting.target_info().unwrap();
    let report = dcap.report(&target);
    let error = quoting.quote(&report).unwrap_err();
    assert!(matches!(error, QuotingError::TimedOut { doing: "make a quote", .. }), "{error}");
    let error = quoting.target_info().unwrap_err();
    assert!(matches!(error, QuotingError::TimedOut { .. }), "the call is still under way: {error}");
    let patient = dcap.quoting(QuotingService::Dcap);
    assert_eq!(
        *patient.target_info().unwrap(),
        dcap.platform.target_info(),
        "and not the quote that comes late"
    );
    dcap.verify(&patient.quote(&report).unwrap());

    let silent = Machine::new();
    silent.dcap(|_, _| None);
    silent.aesm(|_, right| Does::Sends(right));
    let settings = QuotingSettings { patience: Duration::from_secs(3), ..silent.settings() };
    assert_eq!(probe_quoting(&settings).unwrap(), QuotingService::Aesm, "which answers");
}

#[test]
fn a_library_without_a_function_is_named() {
    let machine = Machine::new();
    dcap_stand_in::compiled(machine.folder(), &["-DSOCKET=\"/nowhere\"", "-DWITHOUT_QUOTES"]);
    let error = machine.quoting(QuotingService::Dcap).target_info().unwrap_err();
    assert!(matches!(error, QuotingError::NoLibrary { .. }), "{error}");
    assert!(error.to_string().contains("sgx_qe_get_quote"), "{error}");
    std::fs::write(machine.folder().join("libsgx_dcap_ql.so.1"), "not a library").unwrap();
    let error = machine.quoting(QuotingService::Dcap).target_info().unwrap_err();
    assert!(matches!(error, QuotingError::NoLibrary { .. }), "{error}");
}

#[test]
fn collateral_of_the_quotes_platform_is_offered_and_its_lack_is_no_failure() {
    let machine = Machine::new();
    machine.aesm(|_, right| Does::Sends(right));
    let right: Collateral = serde_json::from_slice(&machine.platform.collateral().unwrap()).unwrap();
    let service = pccs::Pccs::start(pccs::pages(&right, "sgx"));
    let settings = QuotingSettings {
        service: QuotingService::Aesm,
        collateral: Some(CollateralServer::new(&service.url()).unwrap()),
        ..machine.settings()
    };
    let quoting = PlatformQuoting::new(PlatformKind::Simulated, settings, LogSink::discard());
    let offered = |quoting: &PlatformQuoting| match quoting.answer(QuoteRequest::Collateral).unwrap() {
        QuoteResponse::Collateral(json) => json,
        other => panic!("{other:?}"),
    };
    assert!(offered(&quoting).is_empty(), "before the first quote nothing says what for");
    machine.quoted(&quoting).unwrap();
    let parsed: Collateral = serde_json::from_slice(&offered(&quoting)).unwrap();
    assert_eq!(parsed, right);
    assert_eq!(service.received().len(), 4);
    assert_eq!(offered(&quoting), serde_json::to_vec(&right).unwrap());
    assert_eq!(service.received().len(), 4, "kept until it should be asked for anew");

    let without = machine.quoting(QuotingService::Aesm);
    machine.quoted(&without).unwrap();
    assert!(offered(&without).is_empty());
    assert_eq!(without.platform(), PlatformKind::Simulated);
}

#[test]
fn a_quote_over_another_report_is_none() {
    let machine = Machine::new();
    let report = machine.report(&machine.platform.target_info());
    let quote = machine.platform.quote(&report).unwrap();
    assert_eq!(quote::checked(quote.clone(), &report).unwrap(), quote);
    let longer = [&quote[..], &[0; 100]].concat();
    assert_eq!(quote::checked(longer, &report).unwrap(), quote, "without what is behind its end");
    for (offset, bit) in [(0, 1), (2, 1), (48, 1), (48 + 383, 0x80), (435, 1)] {
        let mut wrong = quote.clone();
        wrong[offset] ^= bit;
        assert!(quote::checked(wrong, &report).is_err(), "byte {offset}");
    }
    for length in [0, 435, 436, quote.len() - 1] {
        assert!(quote::checked(quote[..length].to_vec(), &report).is_err(), "{length} bytes");
    }
}
