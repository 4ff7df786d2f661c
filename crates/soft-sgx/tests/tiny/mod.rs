//! An enclave of eleven pages, assembled here, whose entry point does what RDI asks for.

use std::{arch::global_asm, slice, sync::OnceLock};

use cloister_soft_sgx::{
    SoftMapping, SoftPlatform, SoftSgx, SoftTcs,
    sigstruct::{SigningKey, SigstructParameters},
};
use sgx_isa::{PageType, SecinfoFlags, Sigstruct};
use sgxs::{
    loader::{Load, Mapping},
    sgxs::{CanonicalSgxsWriter, MeasECreate, MeasuredData, PageChunk, SecinfoTruncated},
};
use sha2::{Digest, Sha256};

/// RDI of an entry.
#[derive(Clone, Copy)]
#[repr(u64)]
#[allow(dead_code, reason = "the benchmark uses one of them")]
pub(crate) enum Operation {
    /// RDI = RSI + RDX, RSI = RAX at entry, RDX = GS base, R8 = TCS.
    Echo = 0,
    /// Reports for the TARGETINFO at RSI with the report data at RDX, to R8.
    Report = 1,
    /// Gets the key that the KEYREQUEST at RSI asks for, to R8. RSI = RAX, RDX = RFLAGS.
    Key = 2,
    DivideByZero = 3,
    InvalidOpcode = 4,
    Cpuid = 5,
    /// System call RSI.
    SystemCall = 6,
    /// Reads the byte at RSI.
    Read = 7,
    /// Jumps to RSI.
    Jump = 8,
    Breakpoint = 9,
    /// Exits through ENCLU itself, which the loader does not find.
    ExitByInstruction = 10,
    /// EREPORT with a TARGETINFO that is not aligned.
    MisalignedReport = 11,
    /// Writes a function into the RWX page and calls it: RSI = 42.
    RunWritten = 12,
    /// Writes to its own code.
    WriteCode = 13,
    /// Sets the word at RDX, then waits until the word at RSI is not zero.
    Wait = 14,
    /// An invalid opcode between registers loaded and registers returned: RSI, RDX, R8.
    Interrupted = 15,
    /// As an exception handler: skips the two bytes of the invalid opcode.
    SkipOpcode = 16,
}

/// Signed and ready to load.
pub(crate) struct Image {
    pub(crate) sgxs: Vec<u8>,
    pub(crate) sigstruct: Sigstruct,
}

/// The image; `variant` is a byte of its data page, for images that measure differently.
pub(crate) fn image(variant: u8) -> Image {
    let mut sgxs = Vec::new();
    let mut writer =
        CanonicalSgxsWriter::new(&mut sgxs, MeasECreate { ssaframesize: 1, size: SIZE }, true).unwrap();
    let (r, w, x) = (SecinfoFlags::R, SecinfoFlags::W, SecinfoFlags::X);
    let tcs = |ossa: u64, ogs: u64| {
        let mut page = vec![0; 4096];
        page[16..24].copy_from_slice(&ossa.to_le_bytes());
        page[28..32].copy_from_slice(&2_u32.to_le_bytes());
        page[56..64].copy_from_slice(&ogs.to_le_bytes());
        page[64..72].fill(0xff);
        page
    };
    let empty = vec![0; 4096];
    let pages: [(u64, SecinfoFlags, Vec<u8>); 11] = [
        (CODE, PageType::Reg.into(), code()),
        (DATA, PageType::Reg.into(), vec![variant]),
        (WRITABLE_CODE, PageType::Reg.into(), empty.clone()),
        (SAVE_AREA_A, PageType::Reg.into(), empty.clone()),
        (SAVE_AREA_A + 0x1000, PageType::Reg.into(), empty.clone()),
        (TCS_A, PageType::Tcs.into(), tcs(SAVE_AREA_A, LOCAL_A)),
        (SAVE_AREA_B, PageType::Reg.into(), empty.clone()),
        (SAVE_AREA_B + 0x1000, PageType::Reg.into(), empty.clone()),
        (TCS_B, PageType::Tcs.into(), tcs(SAVE_AREA_B, LOCAL_B)),
        (LOCAL_A, PageType::Reg.into(), empty.clone()),
        (LOCAL_B, PageType::Reg.into(), empty),
    ];
    for (offset, page_type, content) in pages {
        let permissions = match offset {
            CODE => r | x,
            WRITABLE_CODE => r | w | x,
            TCS_A | TCS_B => SecinfoFlags::empty(),
            _ => r | w,
        };
        let mut content = &content[..];
        let data: MeasuredData<'_, &[u8]> = (&mut content, [PageChunk::IncludedMeasured; 16]).into();
        writer.write_page(data, Some(offset), SecinfoTruncated { flags: page_type | permissions }).unwrap();
    }
    let measurement = Sha256::digest(&sgxs).into();
    let sigstruct = key().sign(measurement, &SigstructParameters::default()).unwrap();
    Image { sgxs, sigstruct }
}

pub(crate) fn key() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate().unwrap())
}

pub(crate) fn load(platform: &SoftPlatform, image: &Image) -> anyhow::Result<Enclave> {
    let Image { sgxs, sigstruct } = image;
    let Mapping { info, tcss } =
        SoftSgx::new(platform).load(&mut &sgxs[..], sigstruct, sigstruct.attributes, sigstruct.miscselect)?;
    Ok(Enclave { info, tcss })
}

pub(crate) struct Enclave {
    #[allow(dead_code, reason = "keeps the enclave loaded")]
    pub(crate) info: SoftMapping,
    pub(crate) tcss: Vec<SoftTcs>,
}

fn code() -> Vec<u8> {
    unsafe extern "C" {
        static tiny_start: u8;
        static tiny_end: u8;
    }
    // SAFETY: Both symbols are of the assembly below, which lies between them.
    unsafe {
        let start = &raw const tiny_start;
        slice::from_raw_parts(start, (&raw const tiny_end).offset_from_unsigned(start)).to_vec()
    }
}

pub(crate) const SIZE: u64 = 0x10000;
pub(crate) const CODE: u64 = 0;
pub(crate) const DATA: u64 = 0x1000;
pub(crate) const WRITABLE_CODE: u64 = 0x2000;
pub(crate) const SAVE_AREA_A: u64 = 0x3000;
pub(crate) const TCS_A: u64 = 0x5000;
pub(crate) const SAVE_AREA_B: u64 = 0x6000;
pub(crate) const TCS_B: u64 = 0x8000;
pub(crate) const LOCAL_A: u64 = 0x9000;
pub(crate) const LOCAL_B: u64 = 0xa000;

global_asm!(
    ".section .rodata.tiny, \"a\"",
    ".balign 4096",
    "tiny_start:",
    "cmp rdi, 16",
    "je .Ltiny_skip",
    "mov gs:[0], rcx",
    "cmp rdi, 0",
    "je .Ltiny_echo",
    "cmp rdi, 1",
    "je .Ltiny_report",
    "cmp rdi, 2",
    "je .Ltiny_key",
    "cmp rdi, 3",
    "je .Ltiny_divide",
    "cmp rdi, 4",
    "je .Ltiny_ud",
    "cmp rdi, 5",
    "je .Ltiny_cpuid",
    "cmp rdi, 6",
    "je .Ltiny_syscall",
    "cmp rdi, 7",
    "je .Ltiny_read",
    "cmp rdi, 8",
    "je .Ltiny_jump",
    "cmp rdi, 9",
    "je .Ltiny_break",
    "cmp rdi, 10",
    "je .Ltiny_exit_by_instruction",
    "cmp rdi, 11",
    "je .Ltiny_misaligned",
    "cmp rdi, 12",
    "je .Ltiny_written",
    "cmp rdi, 13",
    "je .Ltiny_write_code",
    "cmp rdi, 14",
    "je .Ltiny_wait",
    "cmp rdi, 15",
    "je .Ltiny_interrupted",
    "ud2",
    ".Ltiny_exit:",
    "mov rbx, gs:[0]",
    "mov eax, 4",
    "enclu",
    ".Ltiny_echo:",
    "lea rdi, [rsi + rdx]",
    "mov rsi, rax",
    "rdgsbase rdx",
    "mov r8, rbx",
    "jmp .Ltiny_exit",
    ".Ltiny_report:",
    "lea rdi, [rip + tiny_start + 0x1000]",
    "mov rbx, rdi",
    "mov ecx, 512",
    "rep movsb",
    "mov rsi, rdx",
    "mov ecx, 64",
    "rep movsb",
    "lea rcx, [rbx + 512]",
    "lea rdx, [rbx + 1024]",
    "xor eax, eax",
    "enclu",
    "mov rsi, rdx",
    "mov rdi, r8",
    "mov ecx, 432",
    "rep movsb",
    "jmp .Ltiny_exit",
    ".Ltiny_key:",
    "lea rdi, [rip + tiny_start + 0x1000]",
    "mov rbx, rdi",
    "mov ecx, 512",
    "rep movsb",
    "lea rcx, [rbx + 512]",
    "mov eax, 1",
    "enclu",
    "mov rdx, 0",
    "setz dl",
    "mov r10, rax",
    "mov rsi, rcx",
    "mov rdi, r8",
    "mov ecx, 16",
    "rep movsb",
    "mov rsi, r10",
    "jmp .Ltiny_exit",
    ".Ltiny_divide:",
    "xor edx, edx",
    "mov eax, 1",
    "xor ecx, ecx",
    "div ecx",
    ".Ltiny_ud:",
    "ud2",
    ".Ltiny_cpuid:",
    "xor eax, eax",
    "cpuid",
    "jmp .Ltiny_exit",
    ".Ltiny_syscall:",
    "mov rax, rsi",
    "syscall",
    "mov rsi, rax",
    "jmp .Ltiny_exit",
    ".Ltiny_read:",
    "mov al, [rsi]",
    "jmp .Ltiny_exit",
    ".Ltiny_jump:",
    "jmp rsi",
    ".Ltiny_break:",
    "int3",
    ".Ltiny_exit_by_instruction:",
    "mov rbx, gs:[0]",
    "mov eax, 4",
    "nop",
    "enclu",
    ".Ltiny_misaligned:",
    "lea rbx, [rip + tiny_start + 0x1001]",
    "lea rcx, [rip + tiny_start + 0x1200]",
    "lea rdx, [rip + tiny_start + 0x1400]",
    "xor eax, eax",
    "enclu",
    ".Ltiny_written:",
    "lea rbx, [rip + tiny_start + 0x2000]",
    // mov eax, 42; ret
    "mov rax, 0xc30000002ab8",
    "mov [rbx], rax",
    "lea rsp, [rip + tiny_start + 0xa000]",
    "call rbx",
    "mov rsi, rax",
    "mov rsp, rbp",
    "jmp .Ltiny_exit",
    ".Ltiny_write_code:",
    "mov byte ptr [rip + tiny_start], 0",
    ".Ltiny_wait:",
    "mov qword ptr [rdx], 1",
    ".Ltiny_wait_more:",
    "pause",
    "cmp qword ptr [rsi], 0",
    "je .Ltiny_wait_more",
    "jmp .Ltiny_exit",
    ".Ltiny_interrupted:",
    "mov rsi, 0x1111",
    "mov r8, 0x2222",
    "movq xmm7, r8",
    "xor r8d, r8d",
    "ud2",
    "movq r8, xmm7",
    "rdgsbase rdx",
    "jmp .Ltiny_exit",
    ".Ltiny_skip:",
    // GPRSGX.RIP in the first frame of the first thread's save area, six pages below its GS base.
    "rdgsbase r8",
    "lea r8, [r8 + 0x1000 - 184 + 136 - 0x6000]",
    "add qword ptr [r8], 2",
    "mov rbx, rcx",
    "mov eax, 4",
    "enclu",
    "tiny_end:",
    ".text",
);
