//! Kernel and memory.

use super::{Finding, Machine};
use crate::quantity::Size;
use std::fs;

pub(super) fn findings(machine: &Machine) -> Vec<Finding> {
    vec![kernel(machine), segment_base(machine), memory(machine)]
}

fn kernel(machine: &Machine) -> Finding {
    let check = "kernel";
    let release = fs::read_to_string(machine.system("proc/sys/kernel/osrelease")).unwrap_or_default();
    let release = release.trim();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    // 5.9 lets user space set the base of GS, which enclaves do; 5.11 has the driver.
    let needed = if machine.on_hardware() { (5, 11) } else { (5, 9) };
    if version >= needed {
        Finding::ok(check, format!("Linux {release}"))
    } else {
        let (major, minor) = needed;
        Finding::lacking(
            check,
            format!("Linux {release}"),
            format!("Linux {major}.{minor} or later is needed"),
        )
    }
}

/// Enclaves keep their thread's data at the base of GS, and software SGX sets it for them.
fn segment_base(machine: &Machine) -> Finding {
    let check = "FSGSBASE";
    let info = fs::read_to_string(machine.system("proc/cpuinfo")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags")).unwrap_or_default();
    let there = flags.split_ascii_whitespace().any(|flag| flag == "fsgsbase");
    match (there, machine.on_hardware()) {
        (true, _) => Finding::ok(check, "programs may set the base of GS"),
        (false, true) => Finding::ok(check, "off; not needed for --device sgx"),
        (false, false) => Finding::lacking(
            check,
            "the kernel does not let programs set the base of GS",
            "start Linux without `nofsgsbase`; a virtual machine may hide what its host has",
        ),
    }
}

fn memory(machine: &Machine) -> Finding {
    let check = "memory";
    let info = fs::read_to_string(machine.system("proc/meminfo")).unwrap_or_default();
    let available = info.lines().find_map(|line| {
        let kibibytes = line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?;
        kibibytes.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    match available {
        None => {
            Finding::advice(check, "the kernel does not say how much is available", "look at /proc/meminfo")
        }
        Some(available) if available < COMFORTABLE => Finding::advice(
            check,
            format!("{} available", Size(available)),
            "compiling large apps takes up to 3 GiB of the enclave's heap",
        ),
        Some(available) => Finding::ok(check, format!("{} available", Size(available))),
    }
}

/// Software SGX uses memory as the enclave touches it: a large app's compilation, and as much for the rest.
const COMFORTABLE: u64 = 4 << 30;
