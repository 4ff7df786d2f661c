//! What the CPU says of itself: whether it has SGX, how large its protected memory is, and what the image's code needs.

use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::fmt;

/// A processor, by CPUID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processor {
    /// It is Intel's.
    pub intel: bool,
    pub family: u32,
    pub model: u32,
    pub stepping: u32,
    /// Names of the instruction sets that the image is compiled for and this processor lacks, as `/proc/cpuinfo` spells them.
    pub missing: Vec<&'static str>,
    /// `None` where it has no SGX, or the BIOS has it off.
    pub sgx: Option<Sgx>,
}

/// What a processor's SGX can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sgx {
    /// Flexible launch control: enclaves of any signer can be started.
    pub launch_control: bool,
    /// Enclave page cache, in bytes.
    pub epc: u64,
    /// Largest enclave, in bytes of address space.
    pub largest_enclave: u64,
}

impl Processor {
    /// The one that this runs on.
    pub fn read() -> Self {
        let highest = __cpuid(0);
        let vendor = [highest.ebx, highest.edx, highest.ecx].map(u32::to_le_bytes).concat();
        let signature = __cpuid(1);
        let (family, model, stepping) = decoded(signature.eax);
        // A leaf beyond the highest says something about another one.
        let sgx =
            (highest.eax >= 0x12).then(|| __cpuid_count(7, 0)).filter(|features| features.ebx & SGX != 0);
        let missing = NEEDED.into_iter().filter(|(_, there)| !there()).map(|(name, _)| name).collect();
        let sgx = sgx.and_then(|features| capabilities(features.ecx & SGX_LC != 0));
        Self { intel: vendor == b"GenuineIntel", family, model, stepping, missing, sgx }
    }

    /// Whether Load Value Injection affects it (CVE-2020-0551), against which the image is not hardened.
    pub fn load_value_injection(&self) -> LoadValueInjection {
        match (self.intel, self.family, self.model) {
            (true, 6, model) if UNAFFECTED.contains(&model) => LoadValueInjection::NotAffected,
            (true, 6, model) if AFFECTED.contains(&model) => LoadValueInjection::Affected,
            _ => LoadValueInjection::Unknown,
        }
    }
}

impl fmt::Display for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, model, stepping, .. } = self;
        let vendor = if self.intel { "Intel" } else { "not Intel's" };
        write!(f, "{vendor}, family {family:#x}, model {model:#x}, stepping {stepping}")
    }
}

/// What Intel's list of affected processors says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadValueInjection {
    Affected,
    NotAffected,
    /// It is on neither list here.
    Unknown,
}

/// Of leaf 0x12, where SGX1 is usable.
fn capabilities(launch_control: bool) -> Option<Sgx> {
    let leaf = __cpuid_count(0x12, 0);
    if leaf.eax & 1 == 0 {
        return None;
    }
    let sections = (2..MAX_SECTIONS).map(|index| __cpuid_count(0x12, index));
    let sections = sections.take_while(|section| section.eax & 0xf == 1);
    let epc = sections.map(|section| section_size(section.ecx, section.edx)).sum();
    Some(Sgx {
        launch_control,
        epc,
        largest_enclave: 1_u64.checked_shl(leaf.edx >> 8 & 0xff).unwrap_or(u64::MAX),
    })
}

/// Bits 12 to 51 of the size of a section (Intel SDM volume 3D, section 34.7.2).
fn section_size(low: u32, high: u32) -> u64 {
    u64::from(low & 0xffff_f000) | u64::from(high & 0xf_ffff) << 32
}

/// Family, model and stepping, with their extensions (Intel SDM volume 2A, CPUID, figure 3-6).
fn decoded(signature: u32) -> (u32, u32, u32) {
    let (base_family, base_model) = (signature >> 8 & 0xf, signature >> 4 & 0xf);
    let family = if base_family == 0xf { base_family + (signature >> 20 & 0xff) } else { base_family };
    let extended = matches!(base_family, 6 | 0xf);
    let model = if extended { base_model + (signature >> 12 & 0xf0) } else { base_model };
    (family, model, signature & 0xf)
}

const SGX: u32 = 1 << 2;
const SGX_LC: u32 = 1 << 30;
/// More than any processor has.
const MAX_SECTIONS: u32 = 34;

/// Whether the processor has something.
type Detection = fn() -> bool;

/// The instruction sets that the image is compiled for (`docs/design/image.md`).
const NEEDED: [(&str, Detection); 15] = [
    ("aes", || is_x86_feature_detected!("aes")),
    ("pclmulqdq", || is_x86_feature_detected!("pclmulqdq")),
    ("ssse3", || is_x86_feature_detected!("ssse3")),
    ("sse4_1", || is_x86_feature_detected!("sse4.1")),
    ("sse4_2", || is_x86_feature_detected!("sse4.2")),
    ("popcnt", || is_x86_feature_detected!("popcnt")),
    ("avx", || is_x86_feature_detected!("avx")),
    ("avx2", || is_x86_feature_detected!("avx2")),
    ("fma", || is_x86_feature_detected!("fma")),
    ("bmi1", || is_x86_feature_detected!("bmi1")),
    ("bmi2", || is_x86_feature_detected!("bmi2")),
    ("abm", || is_x86_feature_detected!("lzcnt")),
    ("adx", || is_x86_feature_detected!("adx")),
    ("sha_ni", || is_x86_feature_detected!("sha")),
    ("movbe", || is_x86_feature_detected!("movbe")),
];

/// Models of family 6 with SGX that Intel lists as not affected: Ice Lake SP and D, Sapphire Rapids, Emerald Rapids, Granite Rapids
/// and D, Sierra Forest.
const UNAFFECTED: [u32; 7] = [0x6a, 0x6c, 0x8f, 0xcf, 0xad, 0xae, 0xaf];
/// Models of family 6 with SGX that Intel lists as affected: Skylake, Kaby Lake, Coffee Lake, Comet Lake, Cannon Lake.
const AFFECTED: [u32; 7] = [0x4e, 0x5e, 0x8e, 0x9e, 0xa5, 0xa6, 0x66];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_decoded_with_their_extensions() {
        assert_eq!(decoded(0x000606a6), (6, 0x6a, 6));
        assert_eq!(decoded(0x000806f8), (6, 0x8f, 8));
        assert_eq!(decoded(0x00a20f12), (0x19, 0x21, 2));
    }

    #[test]
    fn sizes_of_sections_come_in_two_registers() {
        assert_eq!(section_size(0xc000_0001, 0x0000_000f), 0xf_c000_0000);
        assert_eq!(section_size(0x0b80_0001, 0), 0xb80_0000);
    }

    #[test]
    fn load_value_injection_goes_by_the_model() {
        let mut processor = Processor::read();
        let mut of = |intel, model| {
            (processor.intel, processor.family, processor.model) = (intel, 6, model);
            processor.load_value_injection()
        };
        assert_eq!(of(true, 0x6a), LoadValueInjection::NotAffected);
        assert_eq!(of(true, 0x9e), LoadValueInjection::Affected);
        assert_eq!(of(true, 0x01), LoadValueInjection::Unknown);
        assert_eq!(of(false, 0x6a), LoadValueInjection::Unknown);
    }

    #[test]
    fn this_processor_can_be_read() {
        let processor = Processor::read();
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let value = |name: &str| {
            let line = info.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
            line.and_then(|line| line.split(':').nth(1)).unwrap().trim().to_owned()
        };
        assert_eq!(processor.model.to_string(), value("model"));
        assert_eq!(processor.family.to_string(), value("cpu family"));
        let flags = value("flags");
        for (name, there) in NEEDED {
            assert_eq!(there(), flags.split(' ').any(|flag| flag == name), "{name}");
        }
    }
}
