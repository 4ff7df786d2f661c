//! Entering a thread control structure (TCS), on either device, under the contract of the kernel's
//! `__vdso_sgx_enter_enclave` (Linux `arch/x86/include/uapi/asm/sgx.h`).
#![allow(unsafe_code)]

use std::arch::asm;
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::fmt;

/// A thread control structure: the place where one thread at a time may enter.
#[derive(Debug)]
pub(crate) struct Tcs {
    address: u64,
    function: EnterFunction,
    /// Keeps the enclave loaded.
    _owned: Box<dyn sgxs::loader::Tcs>,
}

impl Tcs {
    /// A TCS of an enclave, with the function for its device.
    pub(crate) fn new(owned: impl sgxs::loader::Tcs, function: EnterFunction) -> Self {
        Self { address: owned.address() as u64, function, _owned: Box::new(owned) }
    }

    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// Enters the enclave with `values` in the registers, and comes back when it leaves.
    pub(crate) fn enter(&mut self, values: Values, panic_text: &PanicText) -> Left {
        // SAFETY: an owned TCS is the only reference to it and keeps its enclave loaded (`sgxs::loader`), and `&mut`
        // keeps other threads out. The image was built for the Fortanix SGX ABI; its loader checked the signature.
        unsafe { self.function.enter(self.address, values, panic_text) }
    }
}

/// A function with the contract of `__vdso_sgx_enter_enclave`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EnterFunction(Function<c_void>);

/// RDI, RSI, RDX, the ENCLU leaf, R8, R9, and the structure that says how the enclave was left.
type Function<Run> = unsafe extern "C" fn(u64, u64, u64, u32, u64, u64, *mut Run) -> i32;

impl EnterFunction {
    /// # Safety
    /// `function` must keep the contract of `__vdso_sgx_enter_enclave`, for every TCS that it is given with; `Run`
    /// must have the layout of `struct sgx_enclave_run`.
    pub(crate) unsafe fn new<Run>(function: Function<Run>) -> Self {
        // SAFETY: the two types differ only in what a pointer points to, and the layouts agree.
        Self(unsafe { std::mem::transmute::<Function<Run>, Function<c_void>>(function) })
    }

    /// The kernel's own, where the kernel was built with SGX support.
    #[cfg(feature = "hardware")]
    pub(crate) fn from_vdso() -> Option<Self> {
        // SAFETY: both strings end in NUL, and the vDSO is never unloaded, so the handle may be forgotten. A symbol of
        // this name has this type (Linux `Documentation/arch/x86/sgx.rst`).
        unsafe {
            let vdso = libc::dlopen(c"linux-vdso.so.1".as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD);
            if vdso.is_null() {
                return None;
            }
            let symbol = libc::dlsym(vdso, c"__vdso_sgx_enter_enclave".as_ptr());
            std::mem::transmute::<*mut c_void, Option<Function<c_void>>>(symbol).map(Self)
        }
    }

    /// # Safety
    /// `tcs` must be the address of a TCS of an enclave that stays loaded during the call, entered by no other
    /// thread, and the enclave must keep the calling convention of the Fortanix SGX ABI.
    unsafe fn enter(self, tcs: u64, values: Values, panic_text: &PanicText) -> Left {
        let mut run = EnclaveRun { tcs, ..EnclaveRun::default() };
        let Values([mut p1, mut p2, mut p3, mut p4, mut p5]) = values;
        let status: i32;
        // SAFETY: the seventh argument goes on the stack, which stays aligned to 16 bytes at the call; every register
        // that the vDSO or the enclave may change is declared (r12 to r15 too: an asynchronous exit leaves them
        // synthetic), rbx and rbp are restored by the callee. `run` and the text outlive the call.
        unsafe {
            asm!(
                "sub rsp, 8",
                "push {run}",
                "call {enter}",
                "add rsp, 16",
                run = in(reg) &raw mut run,
                enter = in(reg) self.0,
                lateout("eax") status,
                inout("rcx") u64::from(EENTER) => _,
                inout("rdi") p1,
                inout("rsi") p2,
                inout("rdx") p3,
                inout("r8") p4,
                inout("r9") p5,
                inout("r10") panic_text.0.get() => _,
                lateout("r12") _,
                lateout("r13") _,
                lateout("r14") _,
                lateout("r15") _,
                clobber_abi("C"),
            );
        }
        match (status, run.function) {
            (0, EEXIT) if p1 == 0 => Left::Returned,
            (0, EEXIT) => Left::Usercall(Usercall { number: p1, arguments: [p2, p3, p4, p5] }),
            (0, _) => Left::Fault(Fault {
                vector: run.exception_vector,
                error_code: run.exception_error_code,
                address: run.exception_address,
                instruction: None,
            }),
            (status, _) => Left::NotEntered { errno: -status },
        }
    }
}

/// Registers at an entry: RDI, RSI, RDX, R8, R9.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Values([u64; 5]);

impl Values {
    /// The main entry's arguments: an array of `ByteBuffer` and its length.
    pub(crate) fn main(arguments: u64, count: u64) -> Self {
        Self([arguments, count, 0, 0, 0])
    }

    /// A thread's entry takes nothing.
    pub(crate) fn thread() -> Self {
        Self::default()
    }

    /// What a usercall returns goes in RSI and RDX.
    pub(crate) fn answer(first: u64, second: u64) -> Self {
        Self([0, first, second, 0, 0])
    }
}

/// How the enclave left.
#[derive(Debug)]
pub(crate) enum Left {
    /// It asks the host for something and is to be entered again with the answer.
    Usercall(Usercall),
    /// The entry is over.
    Returned,
    Fault(Fault),
    /// It was never entered.
    NotEntered {
        errno: i32,
    },
}

/// Registers of a usercall: its number in RDI; RSI, RDX, R8 and R9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usercall {
    pub(crate) number: u64,
    pub(crate) arguments: [u64; 4],
}

/// An exception inside the enclave, as the CPU reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Vector (Intel SDM volume 3A, table 6-1).
    pub vector: u16,
    pub error_code: u16,
    /// The page of a page fault (vector 14), otherwise zero.
    pub address: u64,
    /// The instruction's offset from the enclave's base, which is its address in the ELF file. Hardware hides it.
    pub instruction: Option<u64>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.vector {
            0 => "divide error",
            1 => "debug",
            3 => "breakpoint",
            5 => "bound range exceeded",
            6 => "invalid opcode",
            13 => "general protection",
            14 => "page fault",
            16 => "x87 floating-point error",
            17 => "alignment check",
            19 => "SIMD floating-point error",
            21 => "control protection",
            _ => "exception",
        };
        write!(f, "{name} (vector {}, error code {:#x}", self.vector, self.error_code)?;
        if self.vector == 14 {
            write!(f, ", page {:#x}", self.address)?;
        }
        match self.instruction {
            Some(offset) => write!(f, ") at the image's address {offset:#x}"),
            None => f.write_str(")"),
        }
    }
}

/// Where an image made with `--debug` leaves the text of its panic. Other images never touch it.
pub(crate) struct PanicText(Box<UnsafeCell<[u8; PANIC_TEXT_LEN]>>);

impl PanicText {
    pub(crate) fn new() -> Self {
        Self(Box::new(UnsafeCell::new([0; PANIC_TEXT_LEN])))
    }

    /// The text up to the first NUL, if there is any.
    pub(crate) fn take(&mut self) -> Option<String> {
        let bytes = self.0.get_mut();
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        let text = (end > 0).then(|| String::from_utf8_lossy(&bytes[..end]).trim().to_owned());
        *bytes = [0; PANIC_TEXT_LEN];
        text
    }
}

/// Keeps SIGINT and SIGTERM away from the calling thread, so that their handlers never run on an enclave's stack.
pub(crate) fn block_termination_signals() {
    // SAFETY: a zeroed set is valid for sigemptyset, which initializes it; the calls change this thread's mask alone.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// `struct sgx_enclave_run` of the Linux user interface: 256 bytes.
#[repr(C)]
#[derive(Default)]
struct EnclaveRun {
    tcs: u64,
    function: u32,
    exception_vector: u16,
    exception_error_code: u16,
    exception_address: u64,
    user_handler: u64,
    user_data: u64,
    reserved: [u64; 27],
}

const _: () = assert!(size_of::<EnclaveRun>() == 256);

/// ENCLU leaf numbers (Intel SDM volume 3D, table 38-2).
const EENTER: u32 = 2;
const EEXIT: u32 = 4;

/// Size of the buffer for a panic's text (Fortanix SGX ABI, debug panic buffer).
const PANIC_TEXT_LEN: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    type Stub = unsafe extern "C" fn(u64, u64, u64, u32, u64, u64, *mut EnclaveRun) -> i32;

    /// Leaves by EEXIT with usercall 3, whose arguments are the first four registers that it was entered with.
    #[unsafe(naked)]
    unsafe extern "C" fn exits_with_usercall(
        _: u64,
        _: u64,
        _: u64,
        _: u32,
        _: u64,
        _: u64,
        _: *mut EnclaveRun,
    ) -> i32 {
        std::arch::naked_asm!(
            "mov rax, [rsp + 8]",
            "mov dword ptr [rax + 8], 4",
            "mov r9, r8",
            "mov r8, rdx",
            "mov rdx, rsi",
            "mov rsi, rdi",
            "mov rdi, 3",
            "xor r12d, r12d",
            "xor r13d, r13d",
            "xor r14d, r14d",
            "xor r15d, r15d",
            "xor eax, eax",
            "ret",
        )
    }

    #[unsafe(naked)]
    unsafe extern "C" fn faults(_: u64, _: u64, _: u64, _: u32, _: u64, _: u64, _: *mut EnclaveRun) -> i32 {
        std::arch::naked_asm!(
            "mov rax, [rsp + 8]",
            "mov dword ptr [rax + 8], 3",
            "mov word ptr [rax + 12], 14",
            "mov word ptr [rax + 14], 6",
            "mov qword ptr [rax + 16], 0x5000",
            "xor eax, eax",
            "ret",
        )
    }

    #[unsafe(naked)]
    unsafe extern "C" fn refuses(_: u64, _: u64, _: u64, _: u32, _: u64, _: u64, _: *mut EnclaveRun) -> i32 {
        std::arch::naked_asm!("mov eax, -22", "ret")
    }

    fn function(code: Stub) -> EnterFunction {
        // SAFETY: the stand-ins above touch only what the contract lets them.
        unsafe { EnterFunction::new(code) }
    }

    #[test]
    fn registers_go_in_and_come_out() {
        let text = PanicText::new();
        // SAFETY: the stand-in enters nothing.
        let left =
            unsafe { function(exits_with_usercall).enter(0x1000, Values([10, 11, 12, 13, 14]), &text) };
        match left {
            Left::Usercall(call) => {
                assert_eq!(call, Usercall { number: 3, arguments: [10, 11, 12, 13] });
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_fault_and_a_refusal_are_told_apart() {
        let text = PanicText::new();
        // SAFETY: the stand-in enters nothing.
        let left = unsafe { function(faults).enter(0x1000, Values::thread(), &text) };
        let expected = Fault { vector: 14, error_code: 6, address: 0x5000, instruction: None };
        assert!(matches!(left, Left::Fault(fault) if fault == expected), "{left:?}");
        assert_eq!(expected.to_string(), "page fault (vector 14, error code 0x6, page 0x5000)");
        let located = Fault { vector: 6, instruction: Some(0x1234), ..expected };
        assert_eq!(
            located.to_string(),
            "invalid opcode (vector 6, error code 0x6) at the image's address 0x1234"
        );
        // SAFETY: the stand-in enters nothing.
        let left = unsafe { function(refuses).enter(0x1000, Values::thread(), &text) };
        assert!(matches!(left, Left::NotEntered { errno: 22 }), "{left:?}");
    }

    #[test]
    fn panic_text_ends_at_nul_and_is_taken_once() {
        let mut text = PanicText::new();
        assert_eq!(text.take(), None);
        text.0.get_mut()[..4].copy_from_slice(b"boom");
        assert_eq!(text.take().as_deref(), Some("boom"));
        assert_eq!(text.take(), None);
    }
}
