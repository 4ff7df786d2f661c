//! `crypto`, as a guest pays for it, beside calls of the same library in this process.

use crate::guest::{Amounts, Guest};
use crate::table::Table;
use crate::{ROUNDS, median, microseconds, times};
use anyhow::{Result, anyhow};
use graviola::aead::AesGcm;
use graviola::hashing::hmac::Hmac;
use graviola::hashing::{Hash as _, Sha256};
use graviola::signing::ecdsa::{P256, SigningKey};
use serde_json::json;
use std::hint::black_box;
use std::time::Instant;

/// Prints the table.
pub(crate) async fn compare(guest: &Guest) -> Result<()> {
    let mut table = Table::new(
        "Cryptography: one operation of a guest in the image, and of the same library natively (median difference of two \
         amounts of work, in turns)",
        ["", "bytes", "image", "native", "image to native", "image, MiB/s"],
    );
    let native = Native::new()?;
    for operation in OPERATIONS {
        for (length, amounts) in SIZES {
            let amounts =
                if operation.slow { Amounts { more: amounts.more.min(1_000), ..amounts } } else { amounts };
            let (mut image, mut here) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                let seconds = guest.seconds(operation.export, amounts, |times| json!([length, times]));
                image.push(seconds.await?);
                here.push(native.seconds(operation, length, amounts)?);
            }
            let (image, here) = (median(image), median(here));
            table.row([
                operation.name.to_owned(),
                length.to_string(),
                microseconds(image),
                microseconds(here),
                times(image, here),
                format!("{:.0}", f64::from(length) / f64::from(1 << 20) / image),
            ]);
        }
    }
    table.print();
    Ok(())
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
struct Operation {
    name: &'static str,
    /// Of the guest.
    export: &'static str,
    kind: Kind,
    /// Whether one takes longer than its bytes do.
    slow: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Digest,
    Encrypt,
    Sign,
    Hmac,
}

/// The keys of this process.
struct Native {
    cipher: AesGcm,
    signing: SigningKey<P256>,
    hmac: [u8; 32],
}

impl Native {
    fn new() -> Result<Self> {
        let signing = SigningKey::generate().map_err(|error| anyhow!("no key: {error:?}"))?;
        Ok(Self { cipher: AesGcm::new(&[1; 32]), signing, hmac: [2; 32] })
    }

    fn seconds(&self, operation: Operation, length: u32, amounts: Amounts) -> Result<f64> {
        let data = vec![1; length as usize];
        let mut took = [0.0; 2];
        for (took, amount) in took.iter_mut().zip([amounts.less, amounts.more]) {
            let began = Instant::now();
            for count in 0..amount {
                black_box(self.perform(operation.kind, count, black_box(&data))?);
            }
            *took = began.elapsed().as_secs_f64();
        }
        Ok((took[1] - took[0]) / f64::from(amounts.more - amounts.less))
    }

    /// Gives what the guest gets: bytes of their own.
    fn perform(&self, kind: Kind, count: u32, data: &[u8]) -> Result<Vec<u8>> {
        Ok(match kind {
            Kind::Digest => Sha256::hash(data).as_ref().to_vec(),
            Kind::Encrypt => {
                let (mut iv, mut tag) = ([0; 12], [0; 16]);
                iv[8..].copy_from_slice(&count.to_be_bytes());
                let mut sealed = Vec::with_capacity(data.len() + tag.len());
                sealed.extend_from_slice(data);
                self.cipher.encrypt(&iv, &[], &mut sealed, &mut tag);
                sealed.extend_from_slice(&tag);
                sealed
            }
            Kind::Sign => {
                let mut buffer = [0; 128];
                let signature = self.signing.sign_asn1::<Sha256>(&[data], &mut buffer);
                signature.map_err(|error| anyhow!("it does not sign: {error:?}"))?.to_vec()
            }
            Kind::Hmac => {
                let mut hmac = Hmac::<Sha256>::new(self.hmac);
                hmac.update(data);
                hmac.finish().as_ref().to_vec()
            }
        })
    }
}

const OPERATIONS: [Operation; 4] = [
    Operation { name: "SHA-256", export: "digest", kind: Kind::Digest, slow: false },
    Operation { name: "AES-256-GCM, encrypt", export: "encrypt", kind: Kind::Encrypt, slow: false },
    Operation { name: "ECDSA P-256, sign", export: "sign", kind: Kind::Sign, slow: true },
    Operation { name: "HMAC-SHA-256", export: "hmac", kind: Kind::Hmac, slow: false },
];

/// Bytes, and how often.
const SIZES: [(u32, Amounts); 3] = [
    (64, Amounts { less: 100, more: 20_100 }),
    (4 << 10, Amounts { less: 100, more: 5_100 }),
    (1 << 20, Amounts { less: 2, more: 52 }),
];
