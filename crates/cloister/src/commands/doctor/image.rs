//! The enclave image and its signature.

use super::{Finding, Machine};
use crate::commands::local::hash_file;
use crate::quantity::{Digest, Size};
use cloister_soft_sgx::sigstruct;
use sgx_isa::{AttributesFlags, Sigstruct};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

pub(super) fn findings(machine: &Machine) -> Vec<Finding> {
    let (image, signature) = match &machine.image {
        Ok(found) => found,
        Err(reason) => {
            return vec![Finding::lacking(
                "image",
                reason.clone(),
                "build one with `cargo xtask image`, or name it with --image FILE.sgxs",
            )];
        }
    };
    let layout = match Layout::read(image) {
        Ok(layout) => layout,
        Err(error) => {
            return vec![Finding::lacking(
                "image",
                format!("{}: {error}", image.display()),
                "`cargo xtask image` builds one",
            )];
        }
    };
    vec![pages(machine, image, layout), signed(image, signature)]
}

fn pages(machine: &Machine, image: &Path, layout: Layout) -> Finding {
    let check = "image";
    let Layout { size, pages, partly_measured } = layout;
    let bytes = pages.saturating_mul(PAGE);
    let found = format!("{}: {} of pages", image.display(), Size(bytes));
    let Some(sgx) = machine.processor.sgx.filter(|_| machine.on_hardware()) else {
        return Finding::ok(check, found);
    };
    if partly_measured {
        let remedy = "Linux's driver measures pages whole or not at all; make it with ftxsgx-elf2sgxs";
        Finding::lacking(check, format!("{found}, some of them measured in part"), remedy)
    } else if size > sgx.largest_enclave {
        let largest = Size(sgx.largest_enclave);
        Finding::lacking(
            check,
            format!("{found} in {} of addresses, of which the processor takes {largest}", Size(size)),
            "build an image with a smaller heap (`LAYOUT` in xtask/src/image.rs)",
        )
    } else if bytes > sgx.epc {
        Finding::advice(
            check,
            format!("{found}, and the processor has {} of EPC", Size(sgx.epc)),
            "Linux pages enclaves out, which is slow: raise the EPC in the BIOS (PRMRR size), or build an image with a smaller heap",
        )
    } else {
        Finding::ok(check, found)
    }
}

fn signed(image: &Path, path: &Path) -> Finding {
    let check = "signature";
    let remedy = "sign it: `cloister image sign FILE.sgxs --key FILE`";
    let read = || -> Result<Sigstruct, String> {
        let bytes = fs::read(path).map_err(|error| error.to_string())?;
        let sigstruct = sigstruct::from_bytes(&bytes).map_err(|error| error.to_string())?;
        sigstruct::verify(&sigstruct).map_err(|error| error.to_string())?;
        let (measured, _) = hash_file(image).map_err(|error| error.to_string())?;
        if measured.0 != sigstruct.enclavehash {
            return Err(format!("it is of another image: {}", Digest(sigstruct.enclavehash)));
        }
        Ok(sigstruct)
    };
    match read() {
        Err(reason) => Finding::lacking(check, format!("{}: {reason}", path.display()), remedy),
        Ok(sigstruct) => {
            let (signer, product, svn) =
                (Digest(sigstruct::mrsigner(&sigstruct)), sigstruct.isvprodid, sigstruct.isvsvn);
            let found = format!("MRSIGNER {signer}, product {product}, svn {svn}");
            if sigstruct.attributes.flags.contains(AttributesFlags::DEBUG) {
                let why = "the host reads everything in it, and verifiers refuse it; sign it without --debug";
                return Finding::advice(check, format!("{found}, for debugging"), why);
            }
            Finding::ok(check, found)
        }
    }
}

/// What the stream of an image says of its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    /// Of the address range, in bytes.
    size: u64,
    pages: u64,
    /// Whether some page is measured in part.
    partly_measured: bool,
}

impl Layout {
    fn read(path: &Path) -> io::Result<Self> {
        let mut stream = BufReader::with_capacity(1 << 20, File::open(path)?);
        let mut layout = Self { size: 0, pages: 0, partly_measured: false };
        let mut measured = 0;
        let mut record = [0; RECORD];
        loop {
            match read_record(&mut stream, &mut record)? {
                None if layout.size > 0 => {
                    layout.end_page(measured);
                    return Ok(layout);
                }
                None => return Err(not_an_image()),
                Some(b"ECREATE\0") => {
                    let [.., a, b, c, d, e, f, g, h] = record[..20] else { return Err(not_an_image()) };
                    layout.size = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
                }
                Some(b"EADD\0\0\0\0") => {
                    layout.end_page(measured);
                    layout.pages += 1;
                    measured = 0;
                }
                Some(b"EEXTEND\0") => {
                    measured += 1;
                    stream.seek_relative(CHUNK)?;
                }
                Some(b"UNMEASRD") => stream.seek_relative(CHUNK)?,
                Some(_) => return Err(not_an_image()),
            }
        }
    }

    fn end_page(&mut self, measured: u32) {
        self.partly_measured |= !measured.is_multiple_of(CHUNKS);
    }
}

/// The record's kind; `None` at the end of the stream.
fn read_record<'a>(
    stream: &mut BufReader<File>,
    record: &'a mut [u8; RECORD],
) -> io::Result<Option<&'a [u8; 8]>> {
    if stream.read(&mut record[..1])? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut record[1..]).map_err(|_| not_an_image())?;
    Ok(record.first_chunk())
}

fn not_an_image() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is no enclave image")
}

/// Bytes of a record of the SGXS stream: what ECREATE, EADD and EEXTEND hash (Intel SDM volume 3D).
const RECORD: usize = 64;
/// Bytes that follow the record of a chunk.
const CHUNK: i64 = 256;
/// Of a page.
const CHUNKS: u32 = 16;
const PAGE: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: &[u8; 8], at: usize, value: u64) -> Vec<u8> {
        let mut record = vec![0; RECORD];
        record[..8].copy_from_slice(kind);
        record[at..at + 8].copy_from_slice(&value.to_le_bytes());
        record
    }

    fn layout(stream: &[Vec<u8>]) -> io::Result<Layout> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), stream.concat()).unwrap();
        Layout::read(file.path())
    }

    #[test]
    fn pages_are_counted_and_parts_are_seen() {
        let create = record(b"ECREATE\0", 12, 0x20_0000);
        let page = |chunks: usize| {
            let chunk = [record(b"EEXTEND\0", 8, 0), vec![7; 256]].concat();
            [record(b"EADD\0\0\0\0", 8, 0x1000), chunk.repeat(chunks)].concat()
        };
        let whole = layout(&[create.clone(), page(16), page(0), page(16)]).unwrap();
        assert_eq!(whole, Layout { size: 0x20_0000, pages: 3, partly_measured: false });
        for stream in [vec![create.clone(), page(3), page(16)], vec![create.clone(), page(16), page(15)]] {
            assert!(layout(&stream).unwrap().partly_measured);
        }
        for stream in [vec![], vec![b"ECREATE\0".to_vec()], vec![page(16)], vec![create.clone(), vec![0; 64]]]
        {
            assert!(layout(&stream).is_err());
        }
    }
}
