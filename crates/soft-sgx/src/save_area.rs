//! The state save area (SSA) of an enclave thread (SDM Vol. 3D, "State save area frame").
//!
//! A frame begins with the XSAVE area and ends with the GPRSGX region.

use std::{ops::Range, ptr, slice};

use libc::{c_int, ucontext_t};

use crate::{
    enclave::{Enclave, ThreadControl},
    signals::{register, set_register},
};

/// What an asynchronous exit saves beside the enclave's registers.
pub(crate) struct Saved {
    /// RSP outside.
    pub(crate) stack: u64,
    /// RBP outside.
    pub(crate) base: u64,
    /// The exception.
    pub(crate) vector: u16,
}

/// Saves the interrupted state `machine` in frame `index`.
pub(crate) fn store(
    enclave: &Enclave,
    thread: &ThreadControl,
    index: u32,
    machine: &mut ucontext_t,
    host: Saved,
) {
    let frame = Frame::new(enclave, thread, index);
    for (slot, register_index) in GPRSGX_ORDER.iter().enumerate() {
        frame.put_general(slot * 8, register(machine, *register_index));
    }
    frame.put_general(GPRSGX_URSP, host.stack);
    frame.put_general(GPRSGX_URSP + 8, host.base);
    frame.put_general(GPRSGX_EXITINFO, exit_info(host.vector));
    frame.put_general(GPRSGX_GSBASE, thread.gs_base as u64);

    let Some(state) = extended_state(machine) else {
        return;
    };
    let length = state.len().min(frame.extended_size());
    if length < state.len() && length >= XSAVE_HEADER + 8 {
        // Components that do not fit count as initial.
        let fitting = if length >= AVX_END { 0b111 } else { 0b11 };
        put(state, XSAVE_HEADER, take(state, XSAVE_HEADER) & fitting);
    }
    frame.write_extended(&state[..length]);
}

/// Loads the state of frame `index` into `machine`, to be resumed.
pub(crate) fn load(enclave: &Enclave, thread: &ThreadControl, index: u32, machine: &mut ucontext_t) {
    let frame = Frame::new(enclave, thread, index);
    for (slot, register_index) in GPRSGX_ORDER.iter().enumerate() {
        let mut value = frame.general(slot * 8);
        if *register_index == libc::REG_EFL {
            value = value & RFLAGS_USER | RFLAGS_FIXED;
        }
        set_register(machine, *register_index, value);
    }
    let features = enabled_features(machine);
    let Some(state) = extended_state(machine) else {
        return;
    };
    let length = state.len().min(frame.extended_size());
    // The kernel's own notes in between stay.
    frame.read_extended(0, &mut state[..SOFTWARE_RESERVED]);
    let mxcsr = take(state, MXCSR) & 0xffff;
    state[MXCSR..MXCSR + 4].copy_from_slice(&(mxcsr as u32).to_le_bytes());
    if length >= XSAVE_HEADER + 64 {
        frame.read_extended(XSAVE_HEADER, &mut state[XSAVE_HEADER..length]);
        // The enclave may have written its frame: only a header that XRSTOR takes is passed on.
        let present = take(state, XSAVE_HEADER) & features;
        state[XSAVE_HEADER..XSAVE_HEADER + 64].fill(0);
        put(state, XSAVE_HEADER, present);
    }
}

/// Sets x87 and vector registers to their initial values, as after an asynchronous exit.
pub(crate) fn reset_extended(machine: &mut ucontext_t) {
    let Some(state) = extended_state(machine) else {
        return;
    };
    state[..2].copy_from_slice(&0x037f_u16.to_le_bytes());
    state[MXCSR..MXCSR + 4].copy_from_slice(&0x1f80_u32.to_le_bytes());
    state[XMM].fill(0);
    if state.len() >= XSAVE_HEADER + 8 {
        let kept = take(state, XSAVE_HEADER) & XFEATURE_PKRU;
        put(state, XSAVE_HEADER, kept);
    }
}

/// One frame in enclave memory. Other threads of the enclave may write it at any time, so it is
/// copied, never borrowed.
struct Frame {
    address: usize,
    length: usize,
}

impl Frame {
    fn new(enclave: &Enclave, thread: &ThreadControl, index: u32) -> Self {
        let length = enclave.ssa_frame_size;
        Self { address: enclave.base() + thread.ossa + index as usize * length, length }
    }

    /// Bytes before the GPRSGX region; a frame has at least a page.
    fn extended_size(&self) -> usize {
        self.length - GPRSGX_SIZE
    }

    fn general(&self, offset: usize) -> u64 {
        let address = self.address + self.extended_size() + offset;
        // SAFETY: Entering checked that the frame is readable and writable enclave memory; offsets
        // are multiples of 8 inside the region.
        unsafe { ptr::read_volatile(address as *const u64) }
    }

    fn put_general(&self, offset: usize, value: u64) {
        let address = self.address + self.extended_size() + offset;
        // SAFETY: As in `general`.
        unsafe { ptr::write_volatile(address as *mut u64, value) };
    }

    fn read_extended(&self, offset: usize, into: &mut [u8]) {
        assert!(offset <= self.extended_size() && into.len() <= self.extended_size() - offset);
        // SAFETY: The frame is readable, and the range was checked to lie inside it.
        unsafe {
            ptr::copy_nonoverlapping((self.address + offset) as *const u8, into.as_mut_ptr(), into.len());
        }
    }

    fn write_extended(&self, from: &[u8]) {
        assert!(from.len() <= self.extended_size());
        // SAFETY: The frame is writable, and the range was checked to lie inside it.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), self.address as *mut u8, from.len()) };
    }
}

/// The XSAVE area in the kernel's signal frame.
fn extended_state(machine: &mut ucontext_t) -> Option<&mut [u8]> {
    let pointer = machine.uc_mcontext.fpregs;
    if pointer.is_null() {
        return None;
    }
    let length = match kernel_note(machine) {
        (FP_XSTATE_MAGIC1, size) => (size as usize).max(FXSAVE_SIZE),
        _ => FXSAVE_SIZE,
    };
    // SAFETY: The kernel put `length` bytes of state there, or 512 without its mark; the frame
    // lives as long as the handler, to which `machine` is lent.
    Some(unsafe { slice::from_raw_parts_mut(pointer.cast::<u8>(), length) })
}

/// `struct _fpx_sw_bytes`: its mark and the XSAVE area's size.
fn kernel_note(machine: &ucontext_t) -> (u32, u32) {
    let note = machine.uc_mcontext.fpregs.cast::<u8>().wrapping_add(SOFTWARE_RESERVED);
    // SAFETY: Inside the 512 bytes that the kernel always puts there.
    unsafe {
        (ptr::read_unaligned(note.cast::<u32>()), ptr::read_unaligned(note.wrapping_add(16).cast::<u32>()))
    }
}

fn enabled_features(machine: &ucontext_t) -> u64 {
    if machine.uc_mcontext.fpregs.is_null() || kernel_note(machine).0 != FP_XSTATE_MAGIC1 {
        return 0b11;
    }
    let note = machine.uc_mcontext.fpregs.cast::<u8>().wrapping_add(SOFTWARE_RESERVED + 8);
    // SAFETY: As in `kernel_note`.
    unsafe { ptr::read_unaligned(note.cast::<u64>()) }
}

/// EXITINFO: the exceptions that are recorded without MISCSELECT.EXINFO.
fn exit_info(vector: u16) -> u64 {
    const VALID: u64 = 1 << 31;
    const HARDWARE: u64 = 3 << 8;
    const SOFTWARE: u64 = 6 << 8;
    match vector {
        3 => VALID | SOFTWARE | 3,
        0 | 1 | 5 | 6 | 16 | 17 | 19 => VALID | HARDWARE | u64::from(vector),
        _ => 0,
    }
}

fn take(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|index| bytes[offset + index]))
}

fn put(bytes: &mut [u8], offset: usize, value: u64) {
    bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
}

const GPRSGX_SIZE: usize = 184;
const GPRSGX_ORDER: [c_int; 18] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
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
    libc::REG_EFL,
    libc::REG_RIP,
];
const GPRSGX_URSP: usize = 144;
const GPRSGX_EXITINFO: usize = 160;
const GPRSGX_GSBASE: usize = 176;
const FXSAVE_SIZE: usize = 512;
/// Offset of MXCSR in the FXSAVE area.
const MXCSR: usize = 24;
/// The SSE registers in the FXSAVE area.
const XMM: Range<usize> = 160..416;
/// Offset of the bytes that FXSAVE leaves to software.
const SOFTWARE_RESERVED: usize = 464;
/// Offset of the XSAVE header; XSTATE_BV is its first word.
const XSAVE_HEADER: usize = 512;
/// XSTATE_BV of protection keys, which belong to the host's thread.
const XFEATURE_PKRU: u64 = 1 << 9;
/// End of the AVX component in the standard format.
const AVX_END: usize = 832;
/// arch/x86/include/uapi/asm/sigcontext.h
const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
/// CF, PF, AF, ZF, SF, DF, OF, AC, ID.
const RFLAGS_USER: u64 = 0x24_0cd5;
const RFLAGS_FIXED: u64 = 0x202;
