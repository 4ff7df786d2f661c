//! Finds instructions in an enclave's ELF file that fault in a real enclave (SDM Vol. 3D,
//! "Restrictions on instructions inside an enclave"; Vol. 2 for the privileged ones).

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolKind, elf};

use crate::Error;

/// An instruction that a real enclave cannot execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its address in the ELF file, which is its offset in the enclave.
    pub address: u64,
    /// Its name, in lower case.
    pub instruction: String,
    /// The function that holds it, as the symbol table writes it; none in bytes that no symbol
    /// covers, where data may look like code.
    pub symbol: Option<String>,
}

/// Decodes every executable section of `elf`, function by function, and returns what is forbidden,
/// in ascending order. Sections that `ftxsgx-elf2sgxs` leaves out (`.text_no_sgx`) are not read.
///
/// RDTSC and RDTSCP are not reported: they are legal since SGX2.
///
/// # Errors
///
/// [`Error::Elf`] if `elf` is not a readable ELF file.
pub fn forbidden_instructions(elf: &[u8]) -> Result<Vec<Finding>, Error> {
    let file = object::File::parse(elf)?;
    let mut symbols: Vec<(u64, u64, &str)> = file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition())
        .filter_map(|symbol| Some((symbol.address(), symbol.size(), symbol.name().ok()?)))
        .collect();
    symbols.sort_unstable();
    symbols.dedup_by_key(|symbol| symbol.0);

    let mut findings = Vec::new();
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else {
            continue;
        };
        if sh_flags & u64::from(elf::SHF_EXECINSTR) == 0 || section.name() == Ok(LEFT_OUT) {
            continue;
        }
        let data = section.data()?;
        for part in parts(section.address(), data.len() as u64, &symbols) {
            let offset = (part.start - section.address()) as usize;
            let code = &data[offset..offset + (part.end - part.start) as usize];
            decode(code, &part, &mut findings);
        }
    }
    findings.sort_by_key(|finding| finding.address);
    Ok(findings)
}

/// A run of bytes of one function, or of none.
#[derive(Debug, PartialEq, Eq)]
struct Part<'a> {
    start: u64,
    end: u64,
    symbol: Option<&'a str>,
}

/// Cuts a section where functions begin and end. A function without a size, as assembly has them,
/// reaches to the next one.
fn parts<'a>(start: u64, length: u64, symbols: &[(u64, u64, &'a str)]) -> Vec<Part<'a>> {
    let end = start + length;
    let first = symbols.partition_point(|symbol| symbol.0 < start);
    let inside = &symbols[first..];
    let inside = &inside[..inside.partition_point(|symbol| symbol.0 < end)];
    let mut parts = Vec::with_capacity(inside.len() + 1);
    let mut at = start;
    for (index, (address, size, name)) in inside.iter().enumerate() {
        if *address > at {
            parts.push(Part { start: at, end: *address, symbol: None });
        }
        let next = inside.get(index + 1).map_or(end, |symbol| symbol.0);
        let stop = if *size == 0 { next } else { address.saturating_add(*size).min(next) };
        parts.push(Part { start: *address, end: stop, symbol: Some(name) });
        at = stop;
    }
    if at < end {
        parts.push(Part { start: at, end, symbol: None });
    }
    parts
}

fn decode(code: &[u8], part: &Part<'_>, findings: &mut Vec<Finding>) {
    let mut decoder = Decoder::with_ip(64, code, part.start, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if is_forbidden(&instruction) {
            findings.push(Finding {
                address: instruction.ip(),
                instruction: format!("{:?}", instruction.mnemonic()).to_lowercase(),
                symbol: part.symbol.map(str::to_owned),
            });
        }
    }
}

fn is_forbidden(instruction: &Instruction) -> bool {
    use Mnemonic as M;
    match instruction.mnemonic() {
        // Would leave the enclave by other ways than EEXIT and exceptions.
        M::Syscall | M::Sysenter | M::Sysexit | M::Sysexitq | M::Sysret | M::Sysretq => true,
        M::Int | M::Iret | M::Iretd | M::Iretq => true,
        // Would cause a virtual machine exit that the monitor may change the result of.
        M::Cpuid | M::Getsec | M::Rdpmc | M::Vmcall | M::Vmfunc => true,
        M::Sgdt | M::Sidt | M::Sldt | M::Str | M::Smsw => true,
        // Input and output.
        M::In | M::Insb | M::Insw | M::Insd | M::Out | M::Outsb | M::Outsw | M::Outsd => true,
        // Privileged.
        M::Hlt | M::Cli | M::Sti | M::Clts | M::Invd | M::Wbinvd | M::Invlpg | M::Invpcid => true,
        M::Lgdt | M::Lidt | M::Lldt | M::Ltr | M::Lmsw | M::Rdmsr | M::Wrmsr | M::Swapgs => true,
        M::Xsetbv | M::Encls | M::Monitor | M::Mwait => true,
        // Change segments.
        M::Lfs | M::Lgs | M::Lss => true,
        M::Mov => matches!(
            instruction.code(),
            Code::Mov_Sreg_rm16
                | Code::Mov_Sreg_r32m16
                | Code::Mov_Sreg_r64m16
                | Code::Mov_r64_cr
                | Code::Mov_cr_r64
                | Code::Mov_r64_dr
                | Code::Mov_dr_r64
        ),
        M::Pop => matches!(instruction.code(), Code::Popw_FS | Code::Popq_FS | Code::Popw_GS | Code::Popq_GS),
        M::Call => {
            matches!(instruction.code(), Code::Call_m1616 | Code::Call_m1632 | Code::Call_m1664)
        }
        M::Jmp => matches!(instruction.code(), Code::Jmp_m1616 | Code::Jmp_m1632 | Code::Jmp_m1664),
        M::Retf => true,
        _ => false,
    }
}

/// EDP's section with what runs when an enclave is started as a program.
const LEFT_OUT: &str = ".text_no_sgx";

#[cfg(test)]
mod tests {
    use super::*;

    fn names(code: &[u8]) -> Vec<String> {
        let part = Part { start: 0x1000, end: 0x1000 + code.len() as u64, symbol: Some("f") };
        let mut findings = Vec::new();
        decode(code, &part, &mut findings);
        findings.into_iter().map(|finding| finding.instruction).collect()
    }

    #[test]
    fn forbidden_instructions_are_found() {
        assert_eq!(names(&[0x90, 0x0f, 0xa2, 0xc3]), ["cpuid"]);
        assert_eq!(names(&[0x0f, 0x05]), ["syscall"]);
        assert_eq!(names(&[0x0f, 0x34]), ["sysenter"]);
        assert_eq!(names(&[0xcd, 0x80]), ["int"]);
        assert_eq!(names(&[0xec, 0xee, 0x0f, 0x33]), ["in", "out", "rdpmc"]);
        assert_eq!(names(&[0x0f, 0x01, 0x00]), ["sgdt"]);
        assert_eq!(names(&[0x8e, 0xd8]), ["mov"]);
    }

    #[test]
    fn legal_instructions_are_not() {
        // nop; int3; ud2; rdtsc; enclu; rdrand eax; mov eax, 0x0fa2; ret
        let legal = [
            0x90, 0xcc, 0x0f, 0x0b, 0x0f, 0x31, 0x0f, 0x01, 0xd7, 0x0f, 0xc7, 0xf0, 0xb8, 0xa2, 0x0f, 0, 0,
            0xc3,
        ];
        assert_eq!(names(&legal), [""; 0]);
    }

    #[test]
    fn findings_name_address_and_function() {
        let part = Part { start: 0x1000, end: 0x1003, symbol: Some("f") };
        let mut findings = Vec::new();
        decode(&[0x90, 0x0f, 0xa2], &part, &mut findings);
        let expected = Finding { address: 0x1001, instruction: "cpuid".into(), symbol: Some("f".into()) };
        assert_eq!(findings, [expected]);
    }

    #[test]
    fn sections_are_cut_at_functions() {
        let symbols = [(4, 4, "a"), (16, 0, "b"), (20, 100, "c"), (90, 4, "elsewhere")];
        let part = |start, end, symbol| Part { start, end, symbol };
        assert_eq!(
            parts(0, 40, &symbols),
            [
                part(0, 4, None),
                part(4, 8, Some("a")),
                part(8, 16, None),
                part(16, 20, Some("b")),
                part(20, 40, Some("c")),
            ]
        );
    }

    #[test]
    fn this_program_makes_system_calls() {
        let elf = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let findings = forbidden_instructions(&elf).unwrap();
        assert!(findings.iter().any(|finding| finding.instruction == "cpuid" && finding.symbol.is_some()));
    }

    #[test]
    fn other_files_are_refused() {
        assert!(matches!(forbidden_instructions(b"not an ELF file"), Err(Error::Elf(_))));
    }
}
