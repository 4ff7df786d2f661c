//! The processor, the driver, and the way to the quoting enclave.

use super::{Finding, Machine};
use crate::quantity::Size;
use cloister_host::{LoadValueInjection, QuotingService, QuotingSettings, probe_quoting};
use std::fs::OpenOptions;
use std::io::ErrorKind;

pub(super) fn processor(machine: &Machine) -> Vec<Finding> {
    let processor = &machine.processor;
    let instructions = if processor.missing.is_empty() {
        Finding::ok("instructions", "all that the image is compiled for")
    } else {
        Finding::lacking(
            "instructions",
            format!("the processor lacks {}", processor.missing.join(", ")),
            "the image needs a processor from Ice Lake SP on; a virtual machine may hide what its host has",
        )
    };
    let injection = match processor.load_value_injection() {
        LoadValueInjection::NotAffected => Finding::ok("LVI", format!("{processor}: not affected")),
        LoadValueInjection::Affected => Finding::lacking(
            "LVI",
            format!(
                "{processor}: affected by Load Value Injection, and the image is not hardened against it"
            ),
            "use Ice Lake SP or later; verifiers refuse this platform by its FMSPC",
        ),
        LoadValueInjection::Unknown => Finding::advice(
            "LVI",
            format!("{processor}: not known here"),
            "see Intel's list of processors that Load Value Injection affects (INTEL-SA-00334)",
        ),
    };
    vec![
        instructions,
        Finding::for_hardware(machine, injection),
        Finding::for_hardware(machine, sgx(machine)),
    ]
}

fn sgx(machine: &Machine) -> Finding {
    match machine.processor.sgx {
        None => Finding::lacking(
            "SGX",
            "CPUID shows none",
            "switch SGX on in the BIOS (it may be called SW Guard Extensions, and needs memory encryption on); in a virtual \
             machine its host has to pass it on",
        ),
        Some(sgx) if !sgx.launch_control => Finding::lacking(
            "SGX",
            "launch control is locked to Intel's signers",
            "set flexible launch control to unlocked in the BIOS",
        ),
        Some(sgx) => Finding::ok("SGX", format!("with flexible launch control, {} of EPC", Size(sgx.epc))),
    }
}

pub(super) fn driver(machine: &Machine) -> Vec<Finding> {
    let found = vec![enclave_device(machine), provision_device(machine), noexec(machine)];
    found.into_iter().map(|finding| Finding::for_hardware(machine, finding)).collect()
}

fn enclave_device(machine: &Machine) -> Finding {
    let check = "SGX driver";
    match OpenOptions::new().read(true).write(true).open(machine.system(ENCLAVE_DEVICE)) {
        Ok(_) => Finding::ok(check, format!("/{ENCLAVE_DEVICE} opens")),
        Err(error) => Finding::lacking(
            check,
            format!("/{ENCLAVE_DEVICE}: {error}"),
            match error.kind() {
                ErrorKind::NotFound => {
                    "Linux 5.11 or later, built with CONFIG_X86_SGX, shows it where the processor has SGX with flexible launch \
                     control"
                }
                _ => {
                    "put the user that serves into the device's group: `usermod -aG sgx USER`, and log in anew"
                }
            },
        ),
    }
}

fn provision_device(machine: &Machine) -> Finding {
    let check = "provisioning";
    match OpenOptions::new().read(true).open(machine.system(PROVISION_DEVICE)) {
        Ok(_) => Finding::ok(check, format!("/{PROVISION_DEVICE} opens")),
        Err(error) => Finding::advice(
            check,
            format!("/{PROVISION_DEVICE}: {error}"),
            "Intel's quoting enclaves need it, not ours: give it to the user of aesmd, or to this one where the DCAP library \
             quotes in this process (group sgx_prv)",
        ),
    }
}

/// Some systems mount `/dev` so that nothing in it can be executed, and the enclave's pages are mapped from there.
fn noexec(machine: &Machine) -> Finding {
    let check = "mount of /dev";
    let mounts = std::fs::read_to_string(machine.system("proc/mounts")).unwrap_or_default();
    let mut options = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        (fields.nth(1) == Some("/dev")).then(|| fields.nth(1).unwrap_or_default())
    });
    match options.next_back() {
        Some(options) if options.split(',').any(|option| option == "noexec") => Finding::lacking(
            check,
            "noexec: no code of an enclave can be mapped",
            "`mount -o remount,exec /dev`, and the same at each start of the machine",
        ),
        _ => Finding::ok(check, "lets code be mapped"),
    }
}

pub(super) fn quoting(machine: &Machine) -> Vec<Finding> {
    let settings = match &machine.quoting {
        Ok(settings) => settings,
        Err(reason) => {
            return vec![Finding::lacking(
                "quoting",
                reason.clone(),
                "correct the option or the file that it names",
            )];
        }
    };
    if !machine.on_hardware() && settings.service == QuotingService::Auto {
        return vec![Finding::ok("quoting", "software SGX quotes by itself")];
    }
    let probe = |service| probe_quoting(&QuotingSettings { service, ..settings.clone() });
    let ways = [("DCAP library", QuotingService::Dcap), ("AESM", QuotingService::Aesm)];
    let asked = ways.into_iter().filter(|(_, way)| [QuotingService::Auto, *way].contains(&settings.service));
    let answers: Vec<_> = asked.map(|(check, way)| (check, probe(way))).collect();
    let any = answers.iter().any(|(_, answer)| answer.is_ok());
    let judged = answers.into_iter().map(|(check, answer)| match answer {
        Ok(_) => Finding::ok(check, "answers"),
        Err(error) if any => Finding::ok(check, format!("not needed, since the other way answers ({error})")),
        Err(error) => Finding::lacking(
            check,
            error.to_string(),
            "a way to Intel's quoting enclave is needed: docs/hardware.md",
        ),
    });
    let mut found: Vec<_> = judged.collect();
    found.push(collateral(settings));
    found
}

fn collateral(settings: &QuotingSettings) -> Finding {
    let check = "PCCS";
    let Some(server) = &settings.collateral else {
        return Finding::advice(
            check,
            "none is named, so that clients have to bring collateral of their own",
            "name one with --pccs URL, or in /etc/sgx_default_qcnl.conf",
        );
    };
    match server.reach() {
        Ok(()) => Finding::ok(check, format!("{} answers", server.url())),
        Err(error) => Finding::advice(
            check,
            error.to_string(),
            "without it clients have to bring collateral of their own; --pccs-certificates FILE has a service's own certificate \
             accepted",
        ),
    }
}

const ENCLAVE_DEVICE: &str = "dev/sgx_enclave";
const PROVISION_DEVICE: &str = "dev/sgx_provision";
