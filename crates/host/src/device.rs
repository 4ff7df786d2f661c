//! The two devices that an image runs on. Nothing else here knows which one it is.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use cloister_frames::{PlatformKind, QuoteRequest, QuoteResponse};
use cloister_soft_sgx::{SoftPlatform, SoftSgx};
use sgx_isa::Sigstruct;
use sgxs::loader::{Load, MappingInfo as _};

use crate::HostError;
use crate::enclave::Mapping;
use crate::enter::{EnterFunction, Tcs};
use crate::log::LogSink;
use crate::quoting::{PlatformQuoting, QuotingService, QuotingSettings};
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

/// What an image is loaded on, and how it is quoted there.
#[derive(Debug)]
pub(crate) struct Device<'a> {
    pub(crate) kind: DeviceKind,
    /// Of the soft platform.
    pub(crate) state: &'a Path,
    pub(crate) quoting: QuotingSettings,
    pub(crate) log: LogSink,
}

impl Device<'_> {
    /// Loads an image, which is measured and compared with its signature on the way.
    pub(crate) fn load(self, image: &Path, sigstruct: &Sigstruct) -> Result<Loaded, HostError> {
        match self.kind {
            DeviceKind::Soft => load_soft(self, image, sigstruct),
            DeviceKind::Hardware => load_hardware(self, image, sigstruct),
        }
    }
}

fn load_soft(device: Device<'_>, image: &Path, sigstruct: &Sigstruct) -> Result<Loaded, HostError> {
    let Device { state, quoting, log, .. } = device;
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
    let quoting: Arc<dyn Quoting> = match quoting.service {
        QuotingService::Auto => Arc::new(SoftQuoting(platform)),
        // What stands for Intel's software there.
        QuotingService::Aesm | QuotingService::Dcap => {
            Arc::new(PlatformQuoting::new(PlatformKind::Simulated, quoting, log))
        }
    };
    Ok(Loaded {
        base: info.address() as u64,
        size: info.size() as u64,
        threads: threads.into_iter().map(|tcs| Tcs::new(tcs, enter)).collect(),
        mapping: Mapping::new(info, || cloister_soft_sgx::last_fault().map(|fault| fault.instruction)),
        quoting,
        soft_root,
    })
}

#[cfg(feature = "hardware")]
fn load_hardware(device: Device<'_>, image: &Path, sigstruct: &Sigstruct) -> Result<Loaded, HostError> {
    let Device { quoting, log, .. } = device;
    let no_device = |reason: String| HostError::NoDevice(format!("{}: {reason}", DeviceKind::DRIVER));
    // The same access as the driver's library needs, with the operating system's reason where there is none.
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(DeviceKind::DRIVER)
        .map_err(|error| no_device(driver_advice(&error)))?;
    let enter = EnterFunction::from_vdso().ok_or_else(|| {
        no_device("the kernel has no __vdso_sgx_enter_enclave (Linux 5.11 or newer has it)".into())
    })?;
    let driver =
        sgxs_loaders::isgx::Device::open(DeviceKind::DRIVER, sgxs_loaders::isgx::DriverFamily::Augusta);
    // Without a provider of launch tokens: the driver sets the CPU's launch control itself.
    let mut driver = driver.map_err(|error| no_device(error.to_string()))?.build();
    let (info, threads) = load_with(&mut driver, image, sigstruct)?;
    Ok(Loaded {
        base: info.address() as u64,
        size: info.size() as u64,
        threads: threads.into_iter().map(|tcs| Tcs::new(tcs, enter)).collect(),
        mapping: Mapping::new(info, || None),
        quoting: Arc::new(PlatformQuoting::new(PlatformKind::Hardware, quoting, log)),
        soft_root: None,
    })
}

#[cfg(not(feature = "hardware"))]
fn load_hardware(_device: Device<'_>, _image: &Path, _sigstruct: &Sigstruct) -> Result<Loaded, HostError> {
    Err(HostError::NoDevice("this host was built without the feature `hardware`".into()))
}

/// Why the driver's device does not open, and what to do.
#[cfg(any(feature = "hardware", test))]
fn driver_advice(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    let advice = match error.kind() {
        ErrorKind::NotFound => {
            "Linux shows it where the BIOS has SGX on and flexible launch control unlocked, since version 5.11"
        }
        ErrorKind::PermissionDenied => "its group, mostly `sgx`, has to have the user that serves",
        _ => "`cloister doctor` says what this machine lacks",
    };
    format!("{error}; {advice}")
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
            QuoteRequest::Platform => Ok(QuoteResponse::Platform(self.platform())),
        };
        answer.map_err(|error| error.to_string())
    }

    fn platform(&self) -> PlatformKind {
        PlatformKind::Simulated
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

    #[test]
    fn a_driver_that_does_not_open_says_what_to_do() {
        use std::io::ErrorKind;
        let advice = |kind: ErrorKind| driver_advice(&kind.into());
        assert!(advice(ErrorKind::NotFound).contains("BIOS"));
        assert!(advice(ErrorKind::PermissionDenied).contains("group"));
        assert!(advice(ErrorKind::Other).contains("cloister doctor"));
    }
}
