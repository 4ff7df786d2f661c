//! Exceptions inside enclaves: ENCLU leaves that this CPU lacks are emulated, all others leave the
//! enclave as an asynchronous exit does (SDM Vol. 3D, "Enclave exiting events").

use std::{
    cell::{Cell, OnceCell},
    io, mem, ptr,
    sync::{OnceLock, atomic::Ordering},
};

use libc::{c_int, c_void, siginfo_t, ucontext_t};
use sgx_isa::Enclu;

use crate::{
    enclave::{Enclave, PageAccess},
    enter::{self, Frame, GENERAL_PROTECTION},
    leaves::{KEYREQUEST_SIZE, LeafError, REPORT_SIZE, REPORTDATA_SIZE, TARGETINFO_SIZE},
    restrict,
    save_area::{self, Saved},
};

/// The last exception inside an enclave on this thread, with what hardware hides from the host.
/// For finding bugs in images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The exception's vector.
    pub vector: u16,
    /// Offset of the instruction from the enclave's base; the ELF file's address.
    pub instruction: u64,
    /// The exact address of a page fault.
    pub address: u64,
}

/// The last exception inside an enclave on the calling thread.
pub fn last_fault() -> Option<Fault> {
    LAST_FAULT.get()
}

/// What the calling thread needs before it enters `enclave`: handlers, a stack for them, limits.
pub(crate) fn prepare_thread(enclave: &Enclave) -> io::Result<()> {
    match HANDLERS.get_or_init(install) {
        Ok(_) => {}
        Err(errno) => return Err(io::Error::from_raw_os_error(*errno)),
    }
    THREAD_STACK
        .try_with(|stack| -> io::Result<()> {
            if stack.get().is_none() {
                let _ = stack.set(AlternateStack::install()?);
            }
            Ok(())
        })
        .unwrap_or_else(|_| Err(io::ErrorKind::Unsupported.into()))?;
    restrict::restrict_thread(enclave);
    Ok(())
}

/// The handlers that were there before, in the order of [`SIGNALS`]; or `errno`.
type Previous = [libc::sigaction; SIGNALS.len()];

fn install() -> Result<Previous, i32> {
    // SAFETY: `sigaction` is plain data for which zero is valid.
    let mut previous: Previous = unsafe { mem::zeroed() };
    for (signal, previous) in SIGNALS.iter().zip(&mut previous) {
        // SAFETY: As above.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: `handle` has the type that SA_SIGINFO asks for; both structures are valid.
        if unsafe { libc::sigaction(*signal, &action, previous) } != 0 {
            return Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL));
        }
    }
    Ok(previous)
}

unsafe extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: The kernel passes both, valid for the length of the handler.
    let (info_ref, machine) = unsafe { (&*info, &mut *context.cast::<ucontext_t>()) };
    let raised_by_cpu = info_ref.si_code > 0;
    let frame = enter::current();
    if raised_by_cpu && !frame.is_null() {
        // SAFETY: The visit is under way, so its frame is alive; the code that it interrupts is
        // the enclave's, which holds no reference to it.
        let frame = unsafe { &mut *frame };
        if inside(signal, info_ref, frame, machine) {
            return;
        }
    }
    if raised_by_cpu && signal == libc::SIGSEGV && emulate_cpuid(machine) {
        return;
    }
    pass_on(signal, info, context);
}

/// Deals with an exception of the visit `frame`. False if it is not the enclave's.
fn inside(signal: c_int, info: &siginfo_t, frame: &mut Frame, machine: &mut ucontext_t) -> bool {
    let instruction = register(machine, libc::REG_RIP);
    if signal == libc::SIGILL && instruction == frame.resume {
        resume(frame, machine);
        return true;
    }
    let trap = register(machine, libc::REG_TRAPNO) as u16;
    let address = register(machine, libc::REG_CR2);
    let enclave = frame.enclave();
    // After INT3 and SYSCALL, RIP is behind the instruction.
    let behind = matches!(signal, libc::SIGTRAP | libc::SIGSYS);
    let in_enclave = enclave.contains(instruction as usize)
        || behind && enclave.contains(instruction.wrapping_sub(1) as usize);
    // A jump out of the enclave to where nothing is.
    let wild_jump = signal == libc::SIGSEGV && trap == PAGE_FAULT && address == instruction;
    if !in_enclave && !wild_jump {
        return false;
    }
    let opcode = opcode(enclave, instruction);
    let exception = match signal {
        libc::SIGSYS if info.si_code == SYS_USER_DISPATCH => {
            set_register(machine, libc::REG_RIP, instruction.wrapping_sub(2));
            Exception::new(INVALID_OPCODE)
        }
        libc::SIGILL | libc::SIGSEGV if opcode.starts_with(&ENCLU) && trap != PAGE_FAULT => {
            match enclu(frame, machine) {
                Ok(()) => return true,
                Err(exception) => exception,
            }
        }
        libc::SIGSEGV if trap == GENERAL_PROTECTION && opcode.starts_with(&CPUID) => {
            Exception::new(INVALID_OPCODE)
        }
        _ if trap == PAGE_FAULT || signal == libc::SIGBUS => {
            Exception { vector: trap, error_code: register(machine, libc::REG_ERR) as u16, address }
        }
        _ => Exception { error_code: register(machine, libc::REG_ERR) as u16, ..Exception::new(trap) },
    };
    asynchronous_exit(frame, machine, exception);
    true
}

#[derive(Clone, Copy)]
struct Exception {
    vector: u16,
    error_code: u16,
    address: u64,
}

impl Exception {
    fn new(vector: u16) -> Self {
        Self { vector, error_code: 0, address: 0 }
    }

    fn page_fault(address: u64) -> Self {
        // Present, user mode, SGX.
        Self { vector: PAGE_FAULT, error_code: 0x8005, address }
    }
}

/// AEX: saves the enclave's state and returns to the host with a synthetic one.
fn asynchronous_exit(frame: &mut Frame, machine: &mut ucontext_t, exception: Exception) {
    let Exception { vector, error_code, address } = exception;
    let base = frame.enclave().base() as u64;
    let instruction = register(machine, libc::REG_RIP);
    LAST_FAULT.set(Some(Fault { vector, instruction: instruction.wrapping_sub(base), address }));

    let thread = frame.thread();
    let cssa = thread.cssa.fetch_add(1, Ordering::Relaxed);
    let host = Saved { stack: std::ptr::from_ref(frame) as u64, base: frame.base_pointer(), vector };
    save_area::store(frame.enclave(), thread, cssa, machine, host);

    for index in GENERAL_REGISTERS {
        set_register(machine, index, 0);
    }
    set_register(machine, libc::REG_RAX, Enclu::EResume as u64);
    set_register(machine, libc::REG_RBX, frame.tcs());
    set_register(machine, libc::REG_RCX, frame.landing);
    set_register(machine, libc::REG_RSP, ptr::from_ref(frame) as u64);
    set_register(machine, libc::REG_RBP, frame.base_pointer());
    set_register(machine, libc::REG_RIP, frame.landing);
    set_register(machine, libc::REG_EFL, RFLAGS_INITIAL);
    save_area::reset_extended(machine);
    // Hardware hides the offset inside the page.
    frame.except(vector, error_code, address & !0xfff);
}

/// ERESUME: takes the enclave's state back from the state save area.
fn resume(frame: &mut Frame, machine: &mut ucontext_t) {
    let thread = frame.thread();
    let cssa = thread.cssa.load(Ordering::Relaxed).saturating_sub(1);
    thread.cssa.store(cssa, Ordering::Relaxed);
    save_area::load(frame.enclave(), thread, cssa, machine);
}

/// Emulates the leaf in EAX.
fn enclu(frame: &mut Frame, machine: &mut ucontext_t) -> Result<(), Exception> {
    let [leaf, rbx, rcx, rdx] =
        [libc::REG_RAX, libc::REG_RBX, libc::REG_RCX, libc::REG_RDX].map(|index| register(machine, index));
    let next = register(machine, libc::REG_RIP) + ENCLU.len() as u64;
    let enclave = frame.enclave();
    match Enclu::try_from(leaf as u32) {
        Ok(Enclu::EReport) => {
            let target = read_operand::<TARGETINFO_SIZE>(enclave, rbx, 512)?;
            let data = read_operand::<REPORTDATA_SIZE>(enclave, rcx, 128)?;
            check_operand::<REPORT_SIZE>(enclave, rdx, 512, PageAccess::WRITE)?;
            let report = enclave
                .cpu
                .ereport(&enclave.identity, &target, &data)
                .map_err(|_| Exception::new(GENERAL_PROTECTION))?;
            write_operand(enclave, rdx, 512, &report)?;
        }
        Ok(Enclu::EGetkey) => {
            let request = read_operand::<KEYREQUEST_SIZE>(enclave, rbx, 512)?;
            check_operand::<16>(enclave, rcx, 16, PageAccess::WRITE)?;
            let mut flags = register(machine, libc::REG_EFL) & !STATUS_FLAGS;
            let code = match enclave.cpu.egetkey(&enclave.identity, &request) {
                Ok(key) => {
                    write_operand(enclave, rcx, 16, &key)?;
                    0
                }
                Err(LeafError::GeneralProtection) => return Err(Exception::new(GENERAL_PROTECTION)),
                Err(LeafError::Code(code)) => {
                    flags |= ZERO_FLAG;
                    code as u64
                }
            };
            set_register(machine, libc::REG_RAX, code);
            set_register(machine, libc::REG_EFL, flags);
        }
        Ok(Enclu::EExit) => {
            set_register(machine, libc::REG_RCX, frame.landing);
            set_register(machine, libc::REG_RIP, rbx);
            return Ok(());
        }
        // EENTER and ERESUME inside an enclave; leaves of SGX2, which no image here may use.
        _ => return Err(Exception::new(GENERAL_PROTECTION)),
    }
    set_register(machine, libc::REG_RIP, next);
    Ok(())
}

fn check_operand<const N: usize>(
    enclave: &Enclave,
    address: u64,
    alignment: u64,
    access: PageAccess,
) -> Result<(), Exception> {
    if !address.is_multiple_of(alignment) || !enclave.contains(address as usize) {
        return Err(Exception::new(GENERAL_PROTECTION));
    }
    if !enclave.allows(address as usize, N, access) {
        return Err(Exception::page_fault(address));
    }
    Ok(())
}

fn read_operand<const N: usize>(
    enclave: &Enclave,
    address: u64,
    alignment: u64,
) -> Result<[u8; N], Exception> {
    check_operand::<N>(enclave, address, alignment, PageAccess::READ)?;
    // SAFETY: The whole operand is mapped and readable. Another enclave thread may write it at the
    // same time, as on hardware: the volatile read takes whatever bytes are there.
    Ok(unsafe { ptr::read_volatile(address as *const [u8; N]) })
}

fn write_operand<const N: usize>(
    enclave: &Enclave,
    address: u64,
    alignment: u64,
    value: &[u8; N],
) -> Result<(), Exception> {
    check_operand::<N>(enclave, address, alignment, PageAccess::WRITE)?;
    // SAFETY: The whole operand is mapped and writable, and the enclave gave it to be written.
    unsafe { ptr::write_volatile(address as *mut [u8; N], *value) };
    Ok(())
}

/// Up to three bytes at `instruction`, as far as they are executable enclave memory.
fn opcode(enclave: &Enclave, instruction: u64) -> Opcode {
    let mut opcode = Opcode { bytes: [0; 3], length: 0 };
    for (index, byte) in opcode.bytes.iter_mut().enumerate() {
        let address = instruction as usize + index;
        if !enclave.allows(address, 1, PageAccess::EXECUTE) {
            break;
        }
        // SAFETY: Executable enclave pages are mapped readable.
        *byte = unsafe { ptr::read_volatile(address as *const u8) };
        opcode.length = index + 1;
    }
    opcode
}

struct Opcode {
    bytes: [u8; 3],
    length: usize,
}

impl Opcode {
    fn starts_with(&self, bytes: &[u8]) -> bool {
        self.bytes[..self.length].starts_with(bytes)
    }
}

/// CPUID by code outside enclaves, on a thread where it faults.
fn emulate_cpuid(machine: &mut ucontext_t) -> bool {
    let instruction = register(machine, libc::REG_RIP);
    if !restrict::enforces().cpuid || register(machine, libc::REG_TRAPNO) as u16 != GENERAL_PROTECTION {
        return false;
    }
    // SAFETY: The CPU has just fetched the instruction there: a general protection fault comes
    // from executing it, so its bytes are mapped. Linux maps code readable.
    let bytes = unsafe { ptr::read_unaligned(instruction as *const [u8; 2]) };
    if bytes != CPUID {
        return false;
    }
    let result = restrict::cpuid_outside(
        register(machine, libc::REG_RAX) as u32,
        register(machine, libc::REG_RCX) as u32,
    );
    set_register(machine, libc::REG_RAX, result.eax.into());
    set_register(machine, libc::REG_RBX, result.ebx.into());
    set_register(machine, libc::REG_RCX, result.ecx.into());
    set_register(machine, libc::REG_RDX, result.edx.into());
    set_register(machine, libc::REG_RIP, instruction + CPUID.len() as u64);
    true
}

/// Does what would have been done without this crate.
fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let index = SIGNALS.iter().position(|known| *known == signal);
    let previous = match (HANDLERS.get(), index) {
        (Some(Ok(previous)), Some(index)) => Some(&previous[index]),
        _ => None,
    };
    match previous {
        Some(action) if !matches!(action.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN) => {
            if action.sa_flags & libc::SA_SIGINFO != 0 {
                // SAFETY: The kernel's own record says that the handler has this type.
                let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                    unsafe { mem::transmute(action.sa_sigaction) };
                handler(signal, info, context);
            } else {
                // SAFETY: As above.
                let handler: extern "C" fn(c_int) = unsafe { mem::transmute(action.sa_sigaction) };
                handler(signal);
            }
        }
        _ => {
            // SAFETY: Restores the default action; the instruction then raises the signal again
            // and ends the process with the right status and core file.
            unsafe {
                let mut action: libc::sigaction = mem::zeroed();
                action.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &action, ptr::null_mut());
                // A signal that was sent does not come again by itself.
                if (*info).si_code <= 0 {
                    libc::raise(signal);
                }
            }
        }
    }
}

/// A stack for signal handlers, as the enclave's stack must not be touched.
struct AlternateStack {
    mapping: *mut c_void,
}

impl AlternateStack {
    fn install() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let length = GUARD_SIZE + STACK_SIZE;
        // SAFETY: A new anonymous mapping.
        let mapping = unsafe { libc::mmap(ptr::null_mut(), length, libc::PROT_NONE, flags, -1, 0) };
        if mapping == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let this = Self { mapping };
        let stack = libc::stack_t { ss_sp: this.bottom(), ss_flags: 0, ss_size: STACK_SIZE };
        // SAFETY: The usable part of the mapping above becomes writable, then the handlers' stack;
        // it is unmapped only when the thread ends.
        let result = unsafe {
            match libc::mprotect(this.bottom(), STACK_SIZE, libc::PROT_READ | libc::PROT_WRITE) {
                0 => libc::sigaltstack(&stack, ptr::null_mut()),
                failed => failed,
            }
        };
        if result == 0 { Ok(this) } else { Err(io::Error::last_os_error()) }
    }

    fn bottom(&self) -> *mut c_void {
        self.mapping.wrapping_byte_add(GUARD_SIZE)
    }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        // SAFETY: `stack_t` is plain data. The stack in use is asked for first, so that only this
        // one is switched off; std's own was unmapped by std, hence not restored. The thread is
        // ending and in no signal handler.
        unsafe {
            let mut active: libc::stack_t = mem::zeroed();
            let asked = libc::sigaltstack(ptr::null(), &mut active);
            if asked == 0 && active.ss_sp == self.bottom() {
                let off = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
                libc::sigaltstack(&off, ptr::null_mut());
            }
            libc::munmap(self.mapping, GUARD_SIZE + STACK_SIZE);
        }
    }
}

pub(crate) fn register(machine: &ucontext_t, index: c_int) -> u64 {
    machine.uc_mcontext.gregs[index as usize] as u64
}

pub(crate) fn set_register(machine: &mut ucontext_t, index: c_int, value: u64) {
    machine.uc_mcontext.gregs[index as usize] = value as i64;
}

thread_local! {
    static LAST_FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
    static THREAD_STACK: OnceCell<AlternateStack> = const { OnceCell::new() };
}

static HANDLERS: OnceLock<Result<Previous, i32>> = OnceLock::new();

const SIGNALS: [c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];
const GENERAL_REGISTERS: [c_int; 12] = [
    libc::REG_RDX,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
    libc::REG_RAX,
];
const ENCLU: [u8; 3] = [0x0f, 0x01, 0xd7];
const CPUID: [u8; 2] = [0x0f, 0xa2];
/// #UD.
const INVALID_OPCODE: u16 = 6;
/// #PF.
const PAGE_FAULT: u16 = 14;
/// si_code of SIGSYS by syscall user dispatch (asm-generic/siginfo.h).
const SYS_USER_DISPATCH: c_int = 2;
/// The reserved bit that is one, and IF.
const RFLAGS_INITIAL: u64 = 0x202;
const ZERO_FLAG: u64 = 1 << 6;
/// CF, PF, AF, ZF, SF, OF.
const STATUS_FLAGS: u64 = 0x8d5;
const GUARD_SIZE: usize = 4096;
/// Room for the kernel's frame with AVX-512 and AMX state, an emulated leaf in a debug build, and
/// a host handler on top.
const STACK_SIZE: usize = 128 * 1024;
