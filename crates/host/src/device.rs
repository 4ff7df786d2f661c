//! The two devices that an image runs on. Nothing else here knows which one it is.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use cloister_frames::{QuoteRequest, QuoteResponse};
use cloister_soft_sgx::{SoftPlatform, SoftSgx};
use sgx_isa::Sigstruct;
use sgxs::loader::{Load, MappingInfo as _};

use crate::HostError;
use crate::enclave::Mapping;
use crate::enter::{EnterFunction, Tcs};
use crate::service::Quoting;

/// What runs the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// SGX in software: the host could look inside. For trying things out.
    Soft,
    /// The CPU, through the Linux driver at [`DeviceKind::DRIVER`].
    Hardware,
}

impl DeviceKind {
    /// The Linux driver's device node.
    pub const DRIVER: &'static str = "/dev/sgx_enclave";

    /// Hardware where the driver is there, else software.
    pub fn detect() -> Self {
        if Path::new(Self::DRIVER).exists() { Self::Hardware } else { Self::Soft }
    }
}

/// An enclave in memory.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// First address of the enclave.
    pub(crate) base: u64,
    /// Size of its address range, in bytes.
    pub(crate) size: u64,
    /// The first is for the enclave's `main`.
    pub(crate) threads: Vec<Tcs>,
    pub(crate) mapping: Mapping,
    pub(crate) quoting: Arc<dyn Quoting>,
    /// SHA-256 of the soft platform's root certificate; none on hardware.
    pub(crate) soft_root: Option<[u8; 32]>,
}

/// Loads an image, which is measured and compared with its signature on the way.
pub(crate) fn load(
    kind: DeviceKind,
    state: &Path,
    image: &Path,
    sigstruct: &Sigstruct,
) -> Result<Loaded, HostError> {
    match kind {
        DeviceKind::Soft => load_soft(state, image, sigstruct),
        DeviceKind::Hardware => load_hardware(image, sigstruct),
    }
}

fn load_soft(state: &Path, image: &Path, sigstruct: &Sigstruct) -> Result<Loaded, HostError> {
    let platform = SoftPlatform::open(state)?;
    // SAFETY: it keeps the vDSO's contract for enclaves that the soft platform loaded, and only those are paired with
    // it below.
    #[expect(unsafe_code, reason = "only this module knows that function")]
    let enter = unsafe { EnterFunction::new(cloister_soft_sgx::enter::enter) };
    let (info, threads) =
        load_with(&mut SoftSgx::new(&platform), image, sigstruct).map_err(|error| match error {
            HostError::Load(error) => match error.downcast::<cloister_soft_sgx::Error>() {
                Ok(error) => HostError::Soft(error),
                Err(error) => HostError::Load(error),
            },
            other => other,
        })?;
    let soft_root = Some(platform.root_fingerprint());
    Ok(Loaded {
        base: info.address() as u64,
        size: info.size() as u64,
        threads: threads.into_iter().map(|tcs| Tcs::new(tcs, enter)).collect(),
        mapping: Mapping::new(info, || cloister_soft_sgx::last_fault().map(|fault| fault.instruction)),
        quoting: Arc::new(SoftQuoting(platform)),
        soft_root,
    })
}

#[cfg(feature = "hardware")]
fn load_hardware(image: &Path, sigstruct: &Sigstruct) -> Result<Loaded, HostError> {
    let no_device =
        |error: &dyn std::fmt::Display| HostError::NoDevice(format!("{}: {error}", DeviceKind::DRIVER));
    let enter = EnterFunction::from_vdso().ok_or_else(|| {
        no_device(&"the kernel has no __vdso_sgx_enter_enclave (Linux 5.11 or newer has it)")
    })?;
    let device =
        sgxs_loaders::isgx::Device::open(DeviceKind::DRIVER, sgxs_loaders::isgx::DriverFamily::Augusta);
    let mut device = device.map_err(|error| no_device(&error))?.build();
    let (info, threads) = load_with(&mut device, image, sigstruct)?;
    Ok(Loaded {
        base: info.address() as u64,
        size: info.size() as u64,
        threads: threads.into_iter().map(|tcs| Tcs::new(tcs, enter)).collect(),
        mapping: Mapping::new(info, || None),
        quoting: Arc::new(NoQuoting),
        soft_root: None,
    })
}

#[cfg(not(feature = "hardware"))]
fn load_hardware(_image: &Path, _sigstruct: &Sigstruct) -> Result<Loaded, HostError> {
    Err(HostError::NoDevice("this host was built without the feature `hardware`".into()))
}

fn load_with<L: Load>(
    device: &mut L,
    image: &Path,
    sigstruct: &Sigstruct,
) -> Result<(L::MappingInfo, Vec<L::Tcs>), HostError> {
    let file = File::open(image).map_err(|source| HostError::Read {
        what: "enclave image",
        path: image.to_owned(),
        source,
    })?;
    let mut reader = BufReader::with_capacity(READ_AT_ONCE, file);
    // The signature's own attributes: EINIT compares those that its mask names, and nothing else is wanted.
    let mapping = device
        .load(&mut reader, sigstruct, sigstruct.attributes, sigstruct.miscselect)
        .map_err(HostError::Load)?;
    if mapping.tcss.is_empty() {
        return Err(HostError::NoThreads(image.to_owned()));
    }
    Ok((mapping.info, mapping.tcss))
}

#[derive(Debug)]
struct SoftQuoting(SoftPlatform);

impl Quoting for SoftQuoting {
    fn answer(&self, request: QuoteRequest) -> Result<QuoteResponse, String> {
        let answer = match request {
            QuoteRequest::TargetInfo => Ok(QuoteResponse::TargetInfo(Box::new(self.0.target_info()))),
            QuoteRequest::Quote(report) => self.0.quote(&report).map(QuoteResponse::Quote),
            QuoteRequest::Collateral => self.0.collateral().map(QuoteResponse::Collateral),
        };
        answer.map_err(|error| error.to_string())
    }
}

/// Stands for the quoting enclave where none can be reached: every request fails.
#[cfg(feature = "hardware")]
#[derive(Debug)]
struct NoQuoting;

#[cfg(feature = "hardware")]
impl Quoting for NoQuoting {
    fn answer(&self, _request: QuoteRequest) -> Result<QuoteResponse, String> {
        Err("quotes on hardware need the AESM service, which this host cannot talk to".into())
    }
}

/// Bytes that are read from the image at once.
const READ_AT_ONCE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_the_driver_where_there_is_one() {
        let expected =
            if Path::new("/dev/sgx_enclave").exists() { DeviceKind::Hardware } else { DeviceKind::Soft };
        assert_eq!(DeviceKind::detect(), expected);
    }

    #[cfg(feature = "hardware")]
    #[test]
    fn quotes_on_hardware_fail_and_say_why() {
        for request in
            [QuoteRequest::TargetInfo, QuoteRequest::Quote(Box::new([0; 432])), QuoteRequest::Collateral]
        {
            assert!(NoQuoting.answer(request).is_err_and(|why| why.contains("AESM")));
        }
    }
}
