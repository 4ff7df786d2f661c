//! Instructions that are illegal in an enclave, refused where this machine lets us.

use std::{cell::Cell, io, sync::OnceLock};

use crate::enclave::Enclave;

/// Which instructions a software enclave cannot execute on this machine. Where a field is false,
/// the instruction works, and only [`forbidden_instructions`](crate::forbidden_instructions)
/// finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enforcement {
    /// CPUID faults (needs a CPU with CPUID faulting).
    pub cpuid: bool,
    /// SYSCALL, SYSENTER and INT 0x80 fault (needs Linux 5.11 or newer).
    pub system_calls: bool,
}

/// Says what this machine enforces.
pub fn enforces() -> Enforcement {
    static ENFORCEMENT: OnceLock<Enforcement> = OnceLock::new();
    *ENFORCEMENT.get_or_init(|| Enforcement {
        cpuid: set_cpuid(CpuidAccess::Allowed),
        // "Off" is what every thread has before this crate's first visit.
        system_calls: set_dispatch(PR_SYS_DISPATCH_OFF, 0, 0).is_ok(),
    })
}

/// Restricts the calling thread, once for each enclave that it visits in turn.
pub(crate) fn restrict_thread(enclave: &Enclave) {
    let end = enclave.base() + enclave.size();
    if RESTRICTED_BELOW.get() == end {
        return;
    }
    let enforcement = enforces();
    if enforcement.cpuid {
        set_cpuid(CpuidAccess::Faulting);
    }
    if enforcement.system_calls {
        // All of the host's code must lie above the enclave; this function stands for it.
        if (restrict_thread as *const () as usize) > end {
            // Fails only where the kernel lacks it, which `enforces` has found out.
            let _ = set_dispatch(PR_SYS_DISPATCH_ON, end, ADDRESS_SPACE_END - end);
        } else {
            let _ = set_dispatch(PR_SYS_DISPATCH_OFF, 0, 0);
        }
    }
    RESTRICTED_BELOW.set(end);
}

/// Executes CPUID for code outside enclaves on a thread where it faults, in the signal handler.
pub(crate) fn cpuid_outside(leaf: u32, subleaf: u32) -> std::arch::x86_64::CpuidResult {
    set_cpuid(CpuidAccess::Allowed);
    let result = std::arch::x86_64::__cpuid_count(leaf, subleaf);
    set_cpuid(CpuidAccess::Faulting);
    result
}

#[derive(Clone, Copy)]
enum CpuidAccess {
    Faulting = 0,
    Allowed = 1,
}

/// Whether the CPU and kernel can do it.
fn set_cpuid(access: CpuidAccess) -> bool {
    // SAFETY: Changes only whether CPUID faults on this thread; the fault handler emulates it.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_CPUID, access as libc::c_ulong) == 0 }
}

/// System calls from `offset..offset + length` pass; from elsewhere they raise SIGSYS.
fn set_dispatch(mode: libc::c_ulong, offset: usize, length: usize) -> io::Result<()> {
    // SAFETY: Without a selector byte no memory is shared with the kernel; the range that passes
    // holds all code of the host.
    let result = unsafe { libc::prctl(PR_SET_SYSCALL_USER_DISPATCH, mode, offset, length, 0_usize) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

thread_local! {
    static RESTRICTED_BELOW: Cell<usize> = const { Cell::new(0) };
}

// asm/prctl.h
const ARCH_CPUID: libc::c_ulong = 0x1012;
// linux/prctl.h
const PR_SET_SYSCALL_USER_DISPATCH: libc::c_int = 59;
const PR_SYS_DISPATCH_OFF: libc::c_ulong = 0;
const PR_SYS_DISPATCH_ON: libc::c_ulong = 1;
/// End of the lower half of the canonical address space with four-level paging.
const ADDRESS_SPACE_END: usize = 0x8000_0000_0000;
