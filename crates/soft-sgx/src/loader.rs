//! ECREATE, EADD, EEXTEND and EINIT (SDM Vol. 3D, "Intel SGX supervisor leaf functions") for an
//! SGXS stream.

use std::{io, sync::Arc};

use sgx_isa::{
    Attributes, AttributesFlags, MEAS_EADD, MEAS_ECREATE, MEAS_EEXTEND, Miscselect, PageType, SecinfoFlags,
    Sigstruct,
};
use sgxs::{
    loader::{Load, Mapping, MappingInfo, Tcs},
    sgxs::{Meas, SgxsRead},
};
use sha2::{Digest, Sha256};

use crate::{
    Error, SoftPlatform,
    enclave::{Enclave, PageAccess, Parts, ThreadControl},
    leaves::{Cpu, Identity},
    memory::{Access, PAGE_SIZE, Region},
    sigstruct,
};

/// A software SGX device: loads images for [`enter`](crate::enter::enter) to run.
#[derive(Clone, Debug)]
pub struct SoftSgx {
    cpu: Arc<Cpu>,
}

impl SoftSgx {
    /// A device whose keys are those of `platform`.
    pub fn new(platform: &SoftPlatform) -> Self {
        Self { cpu: platform.cpu().clone() }
    }

    fn load_image(
        &self,
        reader: &mut impl SgxsRead,
        sigstruct: &Sigstruct,
        attributes: Attributes,
        miscselect: Miscselect,
    ) -> Result<Mapping<Self>, Error> {
        let mut building = Building::create(reader)?;
        while let Some(record) = reader.read_meas().map_err(Error::Stream)? {
            building.add(record)?;
        }
        building.finish_page()?;
        let identity =
            initialize(building.measurement.clone().finalize().into(), sigstruct, attributes, miscselect)?;
        let enclave = building.into_enclave(identity, self.cpu.clone())?;

        let tcss = enclave.1.into_iter().map(|address| SoftTcs { address, enclave: enclave.0.clone() });
        Ok(Mapping { tcss: tcss.collect(), info: SoftMapping { enclave: enclave.0.clone() } })
    }
}

impl Load for SoftSgx {
    type MappingInfo = SoftMapping;
    type Tcs = SoftTcs;

    /// Loads and initializes an image. Every failure is an [`Error`] inside the `anyhow::Error`:
    /// [`Error::Stream`], [`Error::Layout`], [`Error::Measurement`], [`Error::Sigstruct`],
    /// [`Error::Attributes`], [`Error::Memory`].
    fn load<R: SgxsRead>(
        &mut self,
        reader: &mut R,
        sigstruct: &Sigstruct,
        attributes: Attributes,
        miscselect: Miscselect,
    ) -> Result<Mapping<Self>, anyhow::Error> {
        Ok(self.load_image(reader, sigstruct, attributes, miscselect)?)
    }
}

/// A loaded enclave.
#[derive(Debug)]
pub struct SoftMapping {
    enclave: Arc<Enclave>,
}

impl SoftMapping {
    /// MRENCLAVE.
    pub fn mrenclave(&self) -> [u8; 32] {
        self.enclave.identity.mrenclave
    }

    /// MRSIGNER.
    pub fn mrsigner(&self) -> [u8; 32] {
        self.enclave.identity.mrsigner
    }
}

impl MappingInfo for SoftMapping {
    fn address(&self) -> *mut std::ffi::c_void {
        self.enclave.base() as *mut _
    }

    fn size(&self) -> usize {
        self.enclave.size()
    }
}

/// A thread control structure of a loaded enclave, which it keeps loaded.
#[derive(Debug)]
pub struct SoftTcs {
    address: usize,
    // Keeps the enclave mapped.
    enclave: Arc<Enclave>,
}

impl SoftTcs {
    /// The base address of the enclave that this thread belongs to.
    pub fn enclave_address(&self) -> usize {
        self.enclave.base()
    }
}

impl Tcs for SoftTcs {
    fn address(&self) -> *mut std::ffi::c_void {
        self.address as *mut _
    }
}

/// An enclave between ECREATE and EINIT.
struct Building {
    region: Region,
    ssa_frame_size: usize,
    measurement: Sha256,
    pages: Vec<PageAccess>,
    threads: Vec<ThreadControl>,
    current: Option<Page>,
}

/// The page that the last EADD added.
struct Page {
    offset: u64,
    kind: PageKind,
    /// One bit for each 256-byte chunk seen.
    chunks: u16,
}

enum PageKind {
    Regular,
    Tcs(Box<[u8; PAGE_SIZE]>),
}

impl Building {
    fn create(reader: &mut impl SgxsRead) -> Result<Self, Error> {
        let refuse = |reason| Error::Layout { offset: 0, reason };
        let Some(Meas::ECreate(header)) = reader.read_meas().map_err(Error::Stream)? else {
            return Err(refuse("the stream does not begin with a sized ECREATE record"));
        };
        let (size, ssaframesize) = (header.size, header.ssaframesize);
        if !size.is_power_of_two() || size < 2 * PAGE_SIZE as u64 || size > MAX_ENCLAVE_SIZE {
            return Err(refuse("the enclave's size is not a power of two from 8 KiB to 64 GiB"));
        }
        if ssaframesize == 0 || ssaframesize > MAX_SSA_FRAME_PAGES {
            return Err(refuse("the SSA frame is not 1 to 16 pages"));
        }
        let mut measurement = Sha256::new();
        measurement.update(MEAS_ECREATE.to_le_bytes());
        measurement.update(ssaframesize.to_le_bytes());
        measurement.update(size.to_le_bytes());
        measurement.update([0; 44]);

        let memory = |source| Error::Memory { size, source };
        let bytes = usize::try_from(size).map_err(|_| memory(io::ErrorKind::OutOfMemory.into()))?;
        let mut region = Region::reserve(bytes).map_err(memory)?;
        let page_count = bytes / PAGE_SIZE;
        // Until EINIT; pages that nothing writes take no memory.
        region.protect(0, page_count, WRITABLE).map_err(memory)?;
        Ok(Self {
            region,
            ssa_frame_size: ssaframesize as usize * PAGE_SIZE,
            measurement,
            pages: vec![PageAccess::NONE; page_count],
            threads: Vec::new(),
            current: None,
        })
    }

    fn add(&mut self, record: Meas) -> Result<(), Error> {
        match record {
            Meas::EAdd(header) => {
                self.finish_page()?;
                self.eadd(header.offset, header.secinfo.flags)
            }
            Meas::EExtend { header, data } => {
                self.chunk(header.offset, &data)?;
                self.measurement.update(MEAS_EEXTEND.to_le_bytes());
                self.measurement.update(header.offset.to_le_bytes());
                self.measurement.update([0; 48]);
                self.measurement.update(data);
                Ok(())
            }
            Meas::Unmeasured { header, data } => self.chunk(header.offset, &data),
            _ => Err(self.refuse("a second ECREATE record")),
        }
    }

    fn eadd(&mut self, offset: u64, flags: SecinfoFlags) -> Result<(), Error> {
        let refuse = |reason| Error::Layout { offset, reason };
        if !offset.is_multiple_of(PAGE_SIZE as u64) || offset >= self.region.size() as u64 {
            return Err(refuse("the page is outside the enclave or not aligned"));
        }
        if self.current.as_ref().is_some_and(|previous| offset <= previous.offset) {
            return Err(refuse("pages are not in ascending order"));
        }
        let permissions = SecinfoFlags::R | SecinfoFlags::W | SecinfoFlags::X;
        if flags.bits() & !(permissions | SecinfoFlags::PT_MASK).bits() != 0 {
            return Err(refuse("SECINFO has a reserved flag"));
        }
        let (read, write, execute) = (
            flags.contains(SecinfoFlags::R),
            flags.contains(SecinfoFlags::W),
            flags.contains(SecinfoFlags::X),
        );
        let kind = match PageType::try_from(flags.page_type()) {
            Ok(PageType::Reg) if write && !read => return Err(refuse("the page is writable, not readable")),
            Ok(PageType::Reg) => PageKind::Regular,
            Ok(PageType::Tcs) if read || write || execute => {
                return Err(refuse("the TCS page has permissions"));
            }
            Ok(PageType::Tcs) => PageKind::Tcs(Box::new([0; PAGE_SIZE])),
            _ => return Err(refuse("the page type is neither regular nor TCS")),
        };
        self.measurement.update(MEAS_EADD.to_le_bytes());
        self.measurement.update(offset.to_le_bytes());
        self.measurement.update(flags.bits().to_le_bytes());
        self.measurement.update([0; 40]);

        self.pages[offset as usize / PAGE_SIZE] = PageAccess::NONE
            .with(PageAccess::READ, read)
            .with(PageAccess::WRITE, write)
            .with(PageAccess::EXECUTE, execute);
        self.current = Some(Page { offset, kind, chunks: 0 });
        Ok(())
    }

    fn chunk(&mut self, offset: u64, data: &[u8; CHUNK_SIZE]) -> Result<(), Error> {
        let refuse = |reason| Error::Layout { offset, reason };
        let Some(page) = &mut self.current else {
            return Err(refuse("data before the first page"));
        };
        let inside = offset.wrapping_sub(page.offset);
        if inside >= PAGE_SIZE as u64 || !inside.is_multiple_of(CHUNK_SIZE as u64) {
            return Err(refuse("data outside the page added last, or not aligned to 256 bytes"));
        }
        let inside = inside as usize;
        let bit = 1 << (inside / CHUNK_SIZE);
        if page.chunks & bit != 0 {
            return Err(refuse("data given twice"));
        }
        page.chunks |= bit;
        match &mut page.kind {
            PageKind::Tcs(bytes) => bytes[inside..inside + CHUNK_SIZE].copy_from_slice(data),
            PageKind::Regular if *data == [0; CHUNK_SIZE] => {}
            PageKind::Regular => self.region.write(offset as usize, data),
        }
        Ok(())
    }

    /// A TCS is checked when all of it is known.
    fn finish_page(&mut self) -> Result<(), Error> {
        let Some(Page { offset, kind: PageKind::Tcs(bytes), .. }) = &self.current else {
            return Ok(());
        };
        let thread = self.thread_control(*offset, bytes)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Reads a TCS (SDM Vol. 3D, "Thread control structure").
    fn thread_control(&self, offset: u64, bytes: &[u8; PAGE_SIZE]) -> Result<ThreadControl, Error> {
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        let refuse = |reason| Error::Layout { offset, reason };
        let size = self.region.size() as u64;
        let (ossa, cssa, nssa) = (u64_at(16), u32_at(24), u32_at(28));
        let (oentry, ogsbasgx) = (u64_at(32), u64_at(56));
        let reserved = u64_at(0) | (u64_at(8) & !TCS_DBGOPTIN) | u64_at(40);
        if reserved != 0 || bytes[72..].iter().any(|byte| *byte != 0) {
            return Err(refuse("the TCS has a reserved field that is not zero"));
        }
        let ssa_end = u64::from(nssa)
            .checked_mul(self.ssa_frame_size as u64)
            .and_then(|length| length.checked_add(ossa));
        if nssa == 0
            || cssa != 0
            || !ossa.is_multiple_of(PAGE_SIZE as u64)
            || ssa_end.is_none_or(|end| end > size)
        {
            return Err(refuse("the TCS's state save area is invalid"));
        }
        if oentry >= size || ogsbasgx >= size || !ogsbasgx.is_multiple_of(PAGE_SIZE as u64) {
            return Err(refuse("the TCS's entry point or GS base is outside the enclave"));
        }
        let base = self.region.base();
        Ok(ThreadControl {
            address: base + offset as usize,
            entry: base + oentry as usize,
            gs_base: base + ogsbasgx as usize,
            ossa: ossa as usize,
            nssa,
            cssa: 0.into(),
            busy: false.into(),
        })
    }

    fn into_enclave(
        mut self,
        identity: Identity,
        cpu: Arc<Cpu>,
    ) -> Result<(Arc<Enclave>, Vec<usize>), Error> {
        let size = self.region.size() as u64;
        let memory = |source| Error::Memory { size, source };
        let pages = std::mem::take(&mut self.pages);
        let mut first = 0;
        for run in pages.chunk_by(|a, b| a == b) {
            let access = Access::from(run[0]);
            if access.execute && !access.write {
                make_exits_cheap(self.region.pages_mut(first, run.len()));
            }
            self.region.protect(first, run.len(), access).map_err(memory)?;
            first += run.len();
        }
        let addresses = self.threads.iter().map(|thread| thread.address).collect();
        let enclave = Enclave::register(Parts {
            identity,
            cpu,
            ssa_frame_size: self.ssa_frame_size,
            threads: self.threads,
            pages,
            region: self.region,
        });
        Ok((enclave, addresses))
    }

    fn refuse(&self, reason: &'static str) -> Error {
        Error::Layout { offset: self.current.as_ref().map_or(0, |page| page.offset), reason }
    }
}

/// EINIT: the checks that let an image become an enclave.
fn initialize(
    measured: [u8; 32],
    sigstruct: &Sigstruct,
    attributes: Attributes,
    miscselect: Miscselect,
) -> Result<Identity, Error> {
    sigstruct::verify(sigstruct)?;
    if measured != sigstruct.enclavehash {
        return Err(Error::Measurement { measured, signed: sigstruct.enclavehash });
    }
    let flags = attributes.flags;
    let supported = AttributesFlags::DEBUG | AttributesFlags::MODE64BIT;
    if flags.bits() & !supported.bits() != 0 {
        return Err(Error::Attributes("only DEBUG and MODE64BIT are supported in software"));
    }
    if !flags.contains(AttributesFlags::MODE64BIT) {
        return Err(Error::Attributes("MODE64BIT is not set"));
    }
    if attributes.xfrm & XFRM_LEGACY != XFRM_LEGACY {
        return Err(Error::Attributes("XFRM lacks x87 or SSE"));
    }
    let signed = &sigstruct.attributes;
    let differing = [flags.bits() ^ signed.flags.bits(), attributes.xfrm ^ signed.xfrm];
    if differing[0] & sigstruct.attributemask[0] != 0 || differing[1] & sigstruct.attributemask[1] != 0 {
        return Err(Error::Attributes("they are not those that were signed"));
    }
    if miscselect.bits() != 0 {
        return Err(Error::Attributes("MISCSELECT is not supported in software"));
    }
    if (miscselect.bits() ^ sigstruct.miscselect.bits()) & sigstruct.miscmask != 0 {
        return Err(Error::Attributes("MISCSELECT is not what was signed"));
    }
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&(flags | AttributesFlags::INIT).bits().to_le_bytes());
    bytes[8..].copy_from_slice(&attributes.xfrm.to_le_bytes());
    Ok(Identity {
        attributes: bytes,
        miscselect: miscselect.bits(),
        mrenclave: measured,
        mrsigner: sigstruct::mrsigner(sigstruct),
        isvprodid: sigstruct.isvprodid,
        isvsvn: sigstruct.isvsvn,
    })
}

/// Replaces EEXIT by the jump that it is, in the loaded copy only. Otherwise each exit is a signal.
fn make_exits_cheap(code: &mut [u8]) {
    let found: Vec<usize> = memchr::memmem::find_iter(code, &EEXIT).collect();
    for at in found {
        code[at..at + EEXIT.len()].copy_from_slice(&JUMP_RBX);
    }
}

const MAX_ENCLAVE_SIZE: u64 = 64 << 30;
const MAX_SSA_FRAME_PAGES: u32 = 16;
/// Bytes that one EEXTEND measures.
const CHUNK_SIZE: usize = 256;
const TCS_DBGOPTIN: u64 = 1;
const XFRM_LEGACY: u64 = 0b11;
const WRITABLE: Access = Access { read: true, write: true, execute: false };
/// mov $4, %eax; enclu
const EEXIT: [u8; 8] = [0xb8, 0x04, 0x00, 0x00, 0x00, 0x0f, 0x01, 0xd7];
/// jmp *%rbx; int3
const JUMP_RBX: [u8; 8] = [0xff, 0xe3, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc];
