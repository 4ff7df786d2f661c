//! EENTER and EEXIT, by the contract of the kernel's `__vdso_sgx_enter_enclave`
//! (Linux `arch/x86/include/uapi/asm/sgx.h`).

use std::{
    arch::{asm, naked_asm},
    cell::Cell,
    mem::{offset_of, size_of},
    ptr,
    sync::{Arc, atomic::Ordering},
};

use sgx_isa::Enclu;
use sgxs::loader::Tcs;

use crate::{
    enclave::{self, Enclave, PageAccess, ThreadControl},
    loader::SoftTcs,
    signals,
};

/// `struct sgx_enclave_run`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SgxEnclaveRun {
    /// Address of the TCS to enter.
    pub tcs: u64,
    /// Out: the leaf that the CPU was left by: 4 (EEXIT) after an exit, 3 (ERESUME) after an
    /// exception in the enclave, 2 or 3 when entering or resuming itself raised the exception.
    pub function: u32,
    /// Out: the exception's vector.
    pub exception_vector: u16,
    /// Out: the exception's error code.
    pub exception_error_code: u16,
    /// Out: the page of a page fault, otherwise zero.
    pub exception_addr: u64,
    /// A callback instead of returning; must be zero here.
    pub user_handler: u64,
    /// For the callback.
    pub user_data: u64,
    /// Must be zero.
    pub reserved: [u8; 216],
}

impl SgxEnclaveRun {
    /// Names a TCS; all else zero.
    pub fn new(tcs: u64) -> Self {
        Self {
            tcs,
            function: 0,
            exception_vector: 0,
            exception_error_code: 0,
            exception_addr: 0,
            user_handler: 0,
            user_data: 0,
            reserved: [0; 216],
        }
    }
}

/// The type of `__vdso_sgx_enter_enclave` and of [`enter`].
///
/// Registers that the enclave left cannot be seen through it: call it with [`call`].
pub type EnterFn = unsafe extern "C" fn(
    rdi: u64,
    rsi: u64,
    rdx: u64,
    function: u32,
    r8: u64,
    r9: u64,
    run: *mut SgxEnclaveRun,
) -> i32;

/// The registers that pass between enclave and host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// RDI.
    pub rdi: u64,
    /// RSI.
    pub rsi: u64,
    /// RDX.
    pub rdx: u64,
    /// R8.
    pub r8: u64,
    /// R9.
    pub r9: u64,
    /// R10, inwards only: images built for debugging read a buffer's address from it.
    pub r10: u64,
}

/// How a visit to an enclave ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// EEXIT: the registers hold what the enclave left.
    Exited,
    /// The enclave raised an exception; its state is in the state save area.
    Exception {
        /// The exception's vector, such as 14 for a page fault.
        vector: u16,
        /// The exception's error code.
        error_code: u16,
        /// The page of a page fault, otherwise zero.
        address: u64,
    },
    /// Entering itself raised an exception: the TCS is busy, or has no state save area left.
    Refused {
        /// The exception's vector: 13.
        vector: u16,
    },
}

/// Calls `enter` (the kernel's function or [`enter`]) and passes registers both ways. Returns zero
/// with `run` filled in, or a negative `errno`.
///
/// # Safety
///
/// `enter` must keep its contract. The TCS that `run` names must be of an enclave that keeps RBP,
/// RSP and the ABI's other callee-saved registers at EEXIT, as EDP's entry code does, or else
/// restores them, and that the caller trusts not to corrupt this process.
pub unsafe fn call(enter: EnterFn, leaf: Enclu, registers: &mut Registers, run: &mut SgxEnclaveRun) -> i32 {
    let result: i32;
    // SAFETY: The caller vouches for `enter`. The seventh argument is pushed with padding that
    // keeps RSP aligned to 16 bytes; every register that the ABI lets a callee change, and R12 to
    // R15, which the kernel's function does not keep across exceptions, is declared.
    unsafe {
        asm!(
            "sub rsp, 8",
            "push {run}",
            "call {enter}",
            "add rsp, 16",
            run = in(reg) ptr::from_mut(run),
            enter = in(reg) enter,
            inout("rdi") registers.rdi,
            inout("rsi") registers.rsi,
            inout("rdx") registers.rdx,
            inout("rcx") u64::from(leaf as u32) => _,
            inout("r8") registers.r8,
            inout("r9") registers.r9,
            inout("r10") registers.r10 => _,
            lateout("eax") result,
            lateout("r11") _,
            lateout("r12") _,
            lateout("r13") _,
            lateout("r14") _,
            lateout("r15") _,
            clobber_abi("C"),
        );
    }
    result
}

/// Enters `tcs` in software and says how the visit ended.
///
/// # Safety
///
/// The enclave's code runs in this process with all its rights. The caller vouches that it keeps
/// the contract of [`call`].
pub unsafe fn enter_tcs(tcs: &SoftTcs, registers: &mut Registers) -> std::io::Result<Exit> {
    let mut run = SgxEnclaveRun::new(tcs.address() as u64);
    // SAFETY: `enter` keeps the kernel's contract; the caller vouches for the enclave.
    let result = unsafe { call(enter, Enclu::EEnter, registers, &mut run) };
    if result < 0 {
        return Err(std::io::Error::from_raw_os_error(-result));
    }
    Ok(match run.function {
        EEXIT => Exit::Exited,
        ERESUME => Exit::Exception {
            vector: run.exception_vector,
            error_code: run.exception_error_code,
            address: run.exception_addr,
        },
        _ => Exit::Refused { vector: run.exception_vector },
    })
}

/// EENTER (`function` 2) or ERESUME (3) in software, with the contract of the kernel's
/// `__vdso_sgx_enter_enclave`, but for `user_handler`, which must be zero.
///
/// After EEXIT, RDI, RSI, RDX, R8 and R9 are as the enclave left them. Returns zero with `run`
/// filled in, or `-EINVAL` for arguments that the kernel refuses as well.
///
/// # Safety
///
/// As of [`call`]. ERESUME must be called from where on the stack EENTER was, as an enclave takes RBP
/// back from its first entry. Signal handlers of the host should use `SA_ONSTACK`: a signal that arrives
/// inside the enclave otherwise runs its handler on the enclave's stack.
#[unsafe(naked)]
pub unsafe extern "C" fn enter(
    rdi: u64,
    rsi: u64,
    rdx: u64,
    function: u32,
    r8: u64,
    r9: u64,
    run: *mut SgxEnclaveRun,
) -> i32 {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, {frame_size}",
        // RBP - SAVED - frame_size is the frame from here on.
        "mov [rsp + {rdi}], rdi",
        "mov [rsp + {rsi}], rsi",
        "mov [rsp + {rdx}], rdx",
        "mov [rsp + {r8}], r8",
        "mov [rsp + {r9}], r9",
        "mov [rsp + {r10}], r10",
        "mov [rsp + {function}], rcx",
        "mov rax, [rbp + 16]",
        "mov [rsp + {run}], rax",
        "lea rax, [rip + 3f]",
        "mov [rsp + {landing}], rax",
        "lea rax, [rip + 4f]",
        "mov [rsp + {resume}], rax",
        "mov rdi, rsp",
        "call {prepare}",
        "cmp eax, 1",
        "jne 5f",
        "rdgsbase rax",
        "mov [rsp + {host_gs}], rax",
        "mov rax, [rsp + {enclave_gs}]",
        "wrgsbase rax",
        "mov rdi, [rsp + {rdi}]",
        "mov rsi, [rsp + {rsi}]",
        "mov rdx, [rsp + {rdx}]",
        "mov r8, [rsp + {r8}]",
        "mov r9, [rsp + {r9}]",
        "mov r10, [rsp + {r10}]",
        "mov rbx, [rsp + {tcs}]",
        "mov rax, [rsp + {cssa}]",
        // EENTER leaves the address after itself in RCX: enclaves exit to it.
        "lea rcx, [rip + 3f]",
        "jmp [rsp + {entry}]",
        // ERESUME: the signal handler loads the enclave's state.
        "4:",
        "ud2",
        // EEXIT, and where the signal handler returns to after an exception.
        "3:",
        "mov [rbp - {back} + {rdi}], rdi",
        "mov [rbp - {back} + {rsi}], rsi",
        "mov [rbp - {back} + {rdx}], rdx",
        "mov [rbp - {back} + {r8}], r8",
        "mov [rbp - {back} + {r9}], r9",
        "lea rsp, [rbp - {back}]",
        "cld",
        "mov rax, [rsp + {host_gs}]",
        "wrgsbase rax",
        "mov rdi, rsp",
        "call {finish}",
        "5:",
        "mov rdi, [rsp + {rdi}]",
        "mov rsi, [rsp + {rsi}]",
        "mov rdx, [rsp + {rdx}]",
        "mov r8, [rsp + {r8}]",
        "mov r9, [rsp + {r9}]",
        "lea rsp, [rbp - {saved}]",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        frame_size = const size_of::<Frame>(),
        saved = const SAVED,
        back = const BACK,
        rdi = const offset_of!(Frame, rdi),
        rsi = const offset_of!(Frame, rsi),
        rdx = const offset_of!(Frame, rdx),
        r8 = const offset_of!(Frame, r8),
        r9 = const offset_of!(Frame, r9),
        r10 = const offset_of!(Frame, r10),
        function = const offset_of!(Frame, function),
        run = const offset_of!(Frame, run),
        landing = const offset_of!(Frame, landing),
        resume = const offset_of!(Frame, resume),
        host_gs = const offset_of!(Frame, host_gs),
        enclave_gs = const offset_of!(Frame, enclave_gs),
        tcs = const offset_of!(Frame, tcs),
        cssa = const offset_of!(Frame, cssa),
        entry = const offset_of!(Frame, entry),
        prepare = sym prepare,
        finish = sym finish,
    )
}

/// What one visit needs, on the stack of the thread that makes it.
#[repr(C)]
pub(crate) struct Frame {
    rdi: u64,
    rsi: u64,
    rdx: u64,
    r8: u64,
    r9: u64,
    r10: u64,
    function: u64,
    run: *mut SgxEnclaveRun,
    /// Where EEXIT goes.
    pub(crate) landing: u64,
    /// The instruction that stands for ERESUME.
    pub(crate) resume: u64,
    host_gs: u64,
    enclave_gs: u64,
    tcs: u64,
    cssa: u64,
    entry: u64,
    enclave: *const Enclave,
    thread: usize,
    /// The visit during which a signal handler made this one.
    previous: *mut Frame,
    excepted: bool,
}

impl Frame {
    pub(crate) fn enclave(&self) -> &Enclave {
        // SAFETY: `prepare` stored a pointer from `Arc::into_raw`, which `finish` takes back at
        // the end of the visit.
        unsafe { &*self.enclave }
    }

    pub(crate) fn thread(&self) -> &ThreadControl {
        self.enclave().thread_at(self.thread).expect("prepare found this thread")
    }

    /// RBP of [`enter`] for this visit.
    pub(crate) fn base_pointer(&self) -> u64 {
        ptr::from_ref(self) as u64 + BACK as u64
    }

    pub(crate) fn tcs(&self) -> u64 {
        self.tcs
    }

    /// Records an exception inside the enclave for the host.
    pub(crate) fn except(&mut self, vector: u16, error_code: u16, address: u64) {
        self.excepted = true;
        self.report(ERESUME, vector, error_code, address);
    }

    fn report(&mut self, function: u32, vector: u16, error_code: u16, address: u64) {
        // SAFETY: The caller of `enter` passed a valid `run` that nothing else uses meanwhile.
        let run = unsafe { &mut *self.run };
        run.function = function;
        run.exception_vector = vector;
        run.exception_error_code = error_code;
        run.exception_addr = address;
    }
}

/// The visit that this thread is making, or null. Safe in signal handlers: a plain word in the
/// thread's block, which FS points to inside enclaves as well.
pub(crate) fn current() -> *mut Frame {
    CURRENT.get()
}

/// Returns 1 to go on, otherwise [`enter`]'s result.
extern "C" fn prepare(frame: *mut Frame) -> i32 {
    // SAFETY: `enter` passes its own frame, whose first ten fields it has written; the others are
    // integers and pointers, written here before they are read.
    let frame = unsafe { &mut *frame };
    let function = frame.function as u32;
    // SAFETY: The caller of `enter` passes a valid `run`, as the contract says.
    let run = unsafe { &*frame.run };
    if !matches!(function, EENTER | ERESUME) || run.user_handler != 0 || run.reserved != [0; 216] {
        return -libc::EINVAL;
    }
    let tcs = run.tcs;
    let Some(enclave) = enclave::find(tcs as usize) else {
        frame.report(function, GENERAL_PROTECTION, 0, 0);
        return 0;
    };
    if let Err(error) = signals::prepare_thread(&enclave) {
        return error.raw_os_error().map_or(-libc::EINVAL, |errno| -errno);
    }
    let Some((index, thread)) = enclave.thread(tcs as usize) else {
        frame.report(function, GENERAL_PROTECTION, 0, 0);
        return 0;
    };
    if thread.busy.swap(true, Ordering::Acquire) {
        frame.report(function, GENERAL_PROTECTION, 0, 0);
        return 0;
    }
    let cssa = thread.cssa.load(Ordering::Relaxed);
    let save_area = enclave.base() + thread.ossa + cssa as usize * enclave.ssa_frame_size;
    let read_write = PageAccess::READ.with(PageAccess::WRITE, true);
    let allowed = match function {
        EENTER => cssa < thread.nssa && enclave.allows(save_area, enclave.ssa_frame_size, read_write),
        _ => cssa > 0,
    };
    if !allowed {
        thread.busy.store(false, Ordering::Release);
        frame.report(function, GENERAL_PROTECTION, 0, 0);
        return 0;
    }
    frame.enclave_gs = thread.gs_base as u64;
    frame.entry = if function == EENTER { thread.entry as u64 } else { frame.resume };
    frame.tcs = tcs;
    frame.cssa = cssa.into();
    frame.thread = index;
    frame.excepted = false;
    frame.enclave = Arc::into_raw(enclave);
    frame.previous = CURRENT.replace(frame);
    1
}

extern "C" fn finish(frame: *mut Frame) -> i32 {
    // SAFETY: `enter` passes the frame that `prepare` filled in.
    let frame = unsafe { &mut *frame };
    CURRENT.set(frame.previous);
    if !frame.excepted {
        frame.report(EEXIT, 0, 0, 0);
    }
    frame.thread().busy.store(false, Ordering::Release);
    // SAFETY: Takes back the reference that `prepare` gave the frame; nothing uses it afterwards.
    drop(unsafe { Arc::from_raw(frame.enclave) });
    0
}

thread_local! {
    static CURRENT: Cell<*mut Frame> = const { Cell::new(ptr::null_mut()) };
}

const EENTER: u32 = Enclu::EEnter as u32;
const ERESUME: u32 = Enclu::EResume as u32;
const EEXIT: u32 = Enclu::EExit as u32;
/// #GP.
pub(crate) const GENERAL_PROTECTION: u16 = 13;
/// Bytes of callee-saved registers below RBP.
const SAVED: usize = 5 * 8;
/// From RBP down to the frame.
const BACK: usize = SAVED + size_of::<Frame>();
// RSP must be a multiple of 16 where `enter` calls; after `push rbp` it is.
const _: () = assert!(BACK.is_multiple_of(16));
const _: () = assert!(size_of::<SgxEnclaveRun>() == 256);
