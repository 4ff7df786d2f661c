//! SIGSTRUCT: making one, and verifying one as EINIT does (SDM Vol. 3D, "Enclave signature
//! structure" and EINIT).
//!
//! RSA-3072 with public exponent 3 over SHA-256, PKCS#1 v1.5 (RFC 8017 §8.2). Arithmetic is
//! `crypto-bigint`; private operations run in constant time.

use std::fmt;

use crypto_bigint::{
    NonZero, Odd, U1536, U3072, U6144,
    modular::{FixedMontyForm, FixedMontyParams},
};
use crypto_primes::{
    Flavor,
    hazmat::{SetBits, SmallFactorsSieveFactory},
    is_prime, sieve_and_find,
};
use getrandom::{SysRng, rand_core::UnwrapErr};
use pkcs1::{
    LineEnding, RsaPrivateKey, UintRef,
    der::{Decode, Encode},
};
use sgx_isa::{Attributes, AttributesFlags, ErrorCode, Miscselect, Sigstruct};
use sgxs::sigstruct::{EnclaveHash, Signer};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::Error;

/// A key that signs enclaves: RSA-3072 with public exponent 3.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SigningKey {
    p: U1536,
    q: U1536,
    n: U3072,
    d: U3072,
}

impl SigningKey {
    /// Makes a new key from the operating system's random bytes. Takes seconds.
    ///
    /// # Errors
    ///
    /// [`Error::Random`] if the system has no random bytes.
    pub fn generate() -> Result<Self, Error> {
        getrandom::fill(&mut [0; 32])?;
        loop {
            if let Some(key) = Self::from_primes(random_prime(), random_prime()) {
                return Ok(key);
            }
        }
    }

    /// Reads a PEM file: PKCS#1 (`RSA PRIVATE KEY`), as `sgxs-tools` and older OpenSSL write it, or PKCS#8 (`PRIVATE KEY`).
    ///
    /// # Errors
    ///
    /// [`Error::SigningKey`] if it is neither, or not RSA-3072 with exponent 3.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let refuse = |reason: &dyn fmt::Display| Error::SigningKey(reason.to_string());
        let (label, der) = pkcs1::der::pem::decode_vec(pem.as_bytes()).map_err(|e| refuse(&e))?;
        let mut der = Zeroizing::new(der);
        match label {
            "RSA PRIVATE KEY" => {}
            "PRIVATE KEY" => {
                let info = pkcs8::PrivateKeyInfoRef::try_from(&der[..]).map_err(|e| refuse(&e))?;
                der = Zeroizing::new(info.private_key.as_bytes().to_vec());
            }
            _ => return Err(refuse(&format_args!("the file holds a {label}, not an RSA PRIVATE KEY"))),
        }
        let parsed = RsaPrivateKey::<UintRef<'_>>::from_der(&der).map_err(|e| refuse(&e))?;
        if parsed.public_exponent.as_bytes() != [3] {
            return Err(refuse(&"its public exponent is not 3"));
        }
        if parsed.prime1.as_bytes().len() != PRIME_SIZE || parsed.prime2.as_bytes().len() != PRIME_SIZE {
            return Err(refuse(&"its primes do not have 1536 bits each"));
        }
        let key = Self::from_primes(
            U1536::from_be_slice(parsed.prime1.as_bytes()),
            U1536::from_be_slice(parsed.prime2.as_bytes()),
        )
        .ok_or_else(|| refuse(&"its primes do not make a 3072-bit modulus for exponent 3"))?;
        if key.n.to_be_bytes().as_slice() != parsed.modulus.as_bytes() {
            return Err(refuse(&"its modulus is not the product of its primes"));
        }
        // A composite "prime" would make signatures that do not verify.
        let signature = key.raw_sign(&[0; 32]);
        if !verifies(&signature, &key.n, &[0; 32]) {
            return Err(refuse(&"its primes are not prime"));
        }
        Ok(key)
    }

    /// The key as a PKCS#1 PEM file.
    ///
    /// # Errors
    ///
    /// [`Error::SigningKey`] if encoding fails.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, Error> {
        let one = U1536::ONE;
        let modulo = |prime: &U1536| -> Option<U1536> {
            let order = Option::<NonZero<U1536>>::from(NonZero::new(prime.wrapping_sub(&one)))?;
            Some(self.d.rem(&order))
        };
        let odd_p = Option::<Odd<U1536>>::from(Odd::new(self.p));
        let inverse = odd_p.and_then(|p| Option::<U1536>::from(self.q.invert_odd_mod(&p)));
        let (Some(dp), Some(dq), Some(qinv)) = (modulo(&self.p), modulo(&self.q), inverse) else {
            return Err(Error::SigningKey("its primes have no inverse".into()));
        };
        let bytes = |value: &U1536| Zeroizing::new(value.to_be_bytes().as_slice().to_vec());
        let wide = |value: &U3072| Zeroizing::new(value.to_be_bytes().as_slice().to_vec());
        let (n, d) = (wide(&self.n), wide(&self.d));
        let (p, q, dp, dq, qinv) = (bytes(&self.p), bytes(&self.q), bytes(&dp), bytes(&dq), bytes(&qinv));
        let encode = || -> Result<Zeroizing<String>, pkcs1::Error> {
            let key = RsaPrivateKey {
                modulus: UintRef::new(&n)?,
                public_exponent: UintRef::new(&[3])?,
                private_exponent: UintRef::new(&d)?,
                prime1: UintRef::new(&p)?,
                prime2: UintRef::new(&q)?,
                exponent1: UintRef::new(&dp)?,
                exponent2: UintRef::new(&dq)?,
                coefficient: UintRef::new(&qinv)?,
                other_prime_infos: None,
            };
            let der = Zeroizing::new(key.to_der()?);
            Ok(Zeroizing::new(pkcs1::der::pem::encode_string("RSA PRIVATE KEY", LineEnding::LF, &der)?))
        };
        encode().map_err(|e| Error::SigningKey(e.to_string()))
    }

    /// MRSIGNER of the enclaves that this key signs: SHA-256 of the little-endian modulus.
    pub fn mrsigner(&self) -> [u8; 32] {
        Sha256::digest(self.n.to_le_bytes()).into()
    }

    /// Signs the image that measures `measurement` (MRENCLAVE).
    ///
    /// # Errors
    ///
    /// [`Error::SigningKey`] if the signature made does not verify, as after a memory fault.
    pub fn sign(&self, measurement: [u8; 32], parameters: &SigstructParameters) -> Result<Sigstruct, Error> {
        let unsigned = Unsigned::new(measurement, parameters);
        let signature = self.raw_sign(&signed_digest(&unsigned.0));
        unsigned.with_signature(self.n.to_be_bytes().as_slice(), signature.to_be_bytes().as_slice())
    }

    /// `None` unless both are ≡ 2 (mod 3), as exponent 3 needs, and their product has 3072 bits.
    fn from_primes(p: U1536, q: U1536) -> Option<Self> {
        if p == q || !suits_exponent_3(&p) || !suits_exponent_3(&q) {
            return None;
        }
        let n: U3072 = p.concatenating_mul(&q);
        if n.bits() != 3072 {
            return None;
        }
        let phi: U3072 = p.wrapping_sub(&U1536::ONE).concatenating_mul(&q.wrapping_sub(&U1536::ONE));
        // φ = 3k + 1, so d = 2k + 1 satisfies 3d = 2φ + 1.
        let (k, _) = phi.div_rem(&THREE);
        let d = k.wrapping_add(&k).wrapping_add(&U3072::ONE);
        Some(Self { p, q, n, d })
    }

    fn raw_sign(&self, digest: &[u8; 32]) -> U3072 {
        let odd = Odd::new(self.n).expect("a product of odd primes is odd");
        let parameters = FixedMontyParams::new(odd);
        FixedMontyForm::new(&padded(digest), &parameters).pow(&self.d).retrieve()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("mrsigner", &hex::encode(self.mrsigner())).finish_non_exhaustive()
    }
}

/// A SIGSTRUCT without its signature, for keys that are elsewhere.
#[derive(Clone, Debug)]
pub struct Unsigned(Sigstruct);

impl Unsigned {
    /// For the image that measures `measurement` (MRENCLAVE).
    pub fn new(measurement: [u8; 32], parameters: &SigstructParameters) -> Self {
        let mut signer = Signer::new(EnclaveHash::new(measurement));
        let Date { year, month, day } = parameters.date;
        signer
            .date(year, month, day)
            .isvprodid(parameters.isvprodid)
            .isvsvn(parameters.isvsvn)
            .attributes_flags(parameters.attributes.flags, !0)
            .attributes_xfrm(parameters.attributes.xfrm, !0)
            .miscselect(parameters.miscselect, !0);
        Self(signer.unsigned_sig())
    }

    /// What is signed: its header and its body, with RSA-3072, public exponent 3, PKCS#1 v1.5 and SHA-256.
    pub fn to_be_signed(&self) -> [u8; TO_BE_SIGNED] {
        let mut bytes = [0; TO_BE_SIGNED];
        let (header, body) = self.0.signature_data();
        bytes[..header.len()].copy_from_slice(header);
        bytes[header.len()..].copy_from_slice(body);
        bytes
    }

    /// The one of which these bytes are what is signed.
    ///
    /// # Errors
    ///
    /// [`Error::Sigstruct`] if they are of no SIGSTRUCT.
    pub fn from_to_be_signed(bytes: &[u8]) -> Result<Self, Error> {
        let signed: &[u8; TO_BE_SIGNED] =
            bytes.try_into().map_err(|_| refused("what is to be signed does not have 256 bytes"))?;
        let blank = Self::new([0; 32], &SigstructParameters::default()).0;
        let mut whole = AsRef::<[u8]>::as_ref(&blank).to_vec();
        whole[..HEADER_SIZE].copy_from_slice(&signed[..HEADER_SIZE]);
        whole[BODY..BODY + TO_BE_SIGNED - HEADER_SIZE].copy_from_slice(&signed[HEADER_SIZE..]);
        let unsigned = Self(from_bytes(&whole)?);
        let Sigstruct { header, header2, .. } = unsigned.0;
        if header != sgx_isa::SIGSTRUCT_HEADER1 || header2 != sgx_isa::SIGSTRUCT_HEADER2 {
            return Err(refused("its header is wrong"));
        }
        Ok(unsigned)
    }

    /// MRENCLAVE of the image that it is for.
    pub fn measurement(&self) -> [u8; 32] {
        self.0.enclavehash
    }

    /// With a signature that was made elsewhere, and the modulus of the key that made it; both big-endian.
    ///
    /// # Errors
    ///
    /// [`Error::SigningKey`] if the key is not RSA-3072, or the signature does not verify with public exponent 3.
    pub fn with_signature(self, modulus: &[u8], signature: &[u8]) -> Result<Sigstruct, Error> {
        let mut sigstruct = self.0;
        let modulus = number(modulus).filter(|n| n.bits() == 3072);
        let modulus = modulus.ok_or_else(|| Error::SigningKey("it is not RSA with 3072 bits".into()))?;
        let does_not_verify = || {
            Error::SigningKey(
                "its signature does not verify, with public exponent 3 as SGX demands it".into(),
            )
        };
        let signature = number(signature).filter(|s| s < &modulus).ok_or_else(does_not_verify)?;
        let cubed = cube(&signature, &modulus).ok_or_else(does_not_verify)?;
        sigstruct.modulus.copy_from_slice(modulus.to_le_bytes().as_slice());
        sigstruct.signature.copy_from_slice(signature.to_le_bytes().as_slice());
        sigstruct.q1.copy_from_slice(cubed.q1.to_le_bytes().as_slice());
        sigstruct.q2.copy_from_slice(cubed.q2.to_le_bytes().as_slice());
        verify(&sigstruct).map_err(|_| does_not_verify())?;
        Ok(sigstruct)
    }
}

/// The modulus, big-endian, of an RSA public key in PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`).
///
/// # Errors
///
/// [`Error::SigningKey`] if it is not one, or its exponent is not 3.
pub fn public_modulus(pem: &str) -> Result<Vec<u8>, Error> {
    let refuse = |reason: &dyn fmt::Display| Error::SigningKey(reason.to_string());
    let (label, der) = pkcs1::der::pem::decode_vec(pem.as_bytes()).map_err(|e| refuse(&e))?;
    let key = match label {
        "RSA PUBLIC KEY" => der,
        "PUBLIC KEY" => {
            let info = pkcs8::SubjectPublicKeyInfoRef::try_from(&der[..]).map_err(|e| refuse(&e))?;
            info.subject_public_key
                .as_bytes()
                .map(<[u8]>::to_vec)
                .ok_or_else(|| refuse(&"its bits are no bytes"))?
        }
        other => return Err(refuse(&format_args!("the file holds a {other}, not a PUBLIC KEY"))),
    };
    let key = pkcs1::RsaPublicKey::<UintRef<'_>>::from_der(&key).map_err(|e| refuse(&e))?;
    if key.public_exponent.as_bytes() != [3] {
        return Err(refuse(&"its public exponent is not 3"));
    }
    Ok(key.modulus.as_bytes().to_vec())
}

/// What a SIGSTRUCT says beside the measurement. Every bit of attributes and MISCSELECT is
/// enforced (masks are all ones), so a signature for a production image never admits a debug one.
#[derive(Clone, Debug)]
pub struct SigstructParameters {
    /// Product identity.
    pub isvprodid: u16,
    /// Security version.
    pub isvsvn: u16,
    /// Attributes that the enclave must be created with.
    pub attributes: Attributes,
    /// Extended features that the enclave must be created with.
    pub miscselect: Miscselect,
    /// Build date, part of what is signed.
    pub date: Date,
}

impl Default for SigstructParameters {
    /// A production 64-bit enclave with x87, SSE and AVX state, dated 2026-01-01.
    fn default() -> Self {
        Self {
            isvprodid: 0,
            isvsvn: 0,
            attributes: Attributes { flags: AttributesFlags::MODE64BIT, xfrm: 0b111 },
            miscselect: Miscselect::default(),
            date: Date { year: 2026, month: 1, day: 1 },
        }
    }
}

/// A calendar date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// Year, four decimal digits.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day, 1 to 31.
    pub day: u8,
}

/// Reads the 1808 bytes of a SIGSTRUCT.
///
/// # Errors
///
/// [`Error::Sigstruct`] if `bytes` has another length.
pub fn from_bytes(bytes: &[u8]) -> Result<Sigstruct, Error> {
    Sigstruct::try_copy_from(bytes).ok_or(refused("it does not have 1808 bytes"))
}

/// MRSIGNER of an enclave with this SIGSTRUCT.
pub fn mrsigner(sigstruct: &Sigstruct) -> [u8; 32] {
    Sha256::digest(sigstruct.modulus).into()
}

/// Checks form and signature as EINIT does, not the measurement.
///
/// # Errors
///
/// [`Error::Sigstruct`] with EINIT's code.
pub fn verify(sigstruct: &Sigstruct) -> Result<(), Error> {
    let reserved = sigstruct._reserved1.iter().any(|b| *b != 0)
        || sigstruct._reserved2 != 0
        || sigstruct._reserved3.iter().any(|b| *b != 0)
        || sigstruct._reserved4.iter().any(|b| *b != 0);
    if sigstruct.header != sgx_isa::SIGSTRUCT_HEADER1 || sigstruct.header2 != sgx_isa::SIGSTRUCT_HEADER2 {
        return Err(refused("its header is wrong"));
    }
    if reserved {
        return Err(refused("a reserved field is not zero"));
    }
    if sigstruct.vendor != 0 && sigstruct.vendor != VENDOR_INTEL {
        return Err(refused("its vendor is unknown"));
    }
    if sigstruct.exponent != 3 {
        return Err(refused("its public exponent is not 3"));
    }
    let bad = |reason| Error::Sigstruct { code: ErrorCode::InvalidSignature, reason };
    let n = U3072::from_le_slice(&sigstruct.modulus);
    let signature = U3072::from_le_slice(&sigstruct.signature);
    if n.bits() != 3072 || signature >= n {
        return Err(bad("the signature is not a number below a 3072-bit modulus"));
    }
    let cubed = cube(&signature, &n).ok_or(bad("its modulus is zero"))?;
    let quotients = cubed.q1.to_le_bytes().as_slice() == sigstruct.q1
        && cubed.q2.to_le_bytes().as_slice() == sigstruct.q2;
    if !quotients {
        return Err(bad("Q1 and Q2 do not belong to the signature"));
    }
    if cubed.remainder != padded(&signed_digest(sigstruct)) {
        return Err(bad("the signature does not verify"));
    }
    Ok(())
}

/// s³ mod n with the two quotients that a SIGSTRUCT carries.
struct Cubed {
    q1: U3072,
    q2: U3072,
    remainder: U3072,
}

fn cube(signature: &U3072, n: &U3072) -> Option<Cubed> {
    let modulus = Option::<NonZero<U3072>>::from(NonZero::new(*n))?;
    let square: U6144 = signature.concatenating_mul(signature);
    let (q1, remainder) = square.div_rem(&modulus);
    let third: U6144 = remainder.concatenating_mul(signature);
    let (q2, remainder) = third.div_rem(&modulus);
    Some(Cubed { q1: low_half(&q1), q2: low_half(&q2), remainder })
}

fn verifies(signature: &U3072, n: &U3072, digest: &[u8; 32]) -> bool {
    cube(signature, n).is_some_and(|cubed| cubed.remainder == padded(digest))
}

/// Of big-endian bytes, of which there may be fewer than of the widest number.
fn number(bytes: &[u8]) -> Option<U3072> {
    let mut wide = [0; MODULUS_SIZE];
    let start = MODULUS_SIZE.checked_sub(bytes.len())?;
    wide[start..].copy_from_slice(bytes);
    Some(U3072::from_be_slice(&wide))
}

fn low_half(value: &U6144) -> U3072 {
    U3072::from_le_slice(&value.to_le_bytes().as_slice()[..MODULUS_SIZE])
}

fn signed_digest(sigstruct: &Sigstruct) -> [u8; 32] {
    let (first, second) = sigstruct.signature_data();
    Sha256::new().chain_update(first).chain_update(second).finalize().into()
}

/// EMSA-PKCS1-v1_5 (RFC 8017 §9.2): 00 01 FF…FF 00 ‖ DigestInfo ‖ digest.
fn padded(digest: &[u8; 32]) -> U3072 {
    let mut message = [0xff; MODULUS_SIZE];
    let separator = MODULUS_SIZE - 32 - SHA256_DIGEST_INFO.len() - 1;
    message[0] = 0;
    message[1] = 1;
    message[separator] = 0;
    message[separator + 1..MODULUS_SIZE - 32].copy_from_slice(&SHA256_DIGEST_INFO);
    message[MODULUS_SIZE - 32..].copy_from_slice(digest);
    U3072::from_be_slice(&message)
}

fn random_prime() -> U1536 {
    let factory = SmallFactorsSieveFactory::new(Flavor::Any, U1536::BITS, SetBits::TwoMsb)
        .expect("1536 bits suit the sieve");
    sieve_and_find(&mut UnwrapErr(SysRng), factory, |_, candidate: &U1536| {
        suits_exponent_3(candidate) && is_prime(Flavor::Any, candidate)
    })
    .ok()
    .flatten()
    .expect("the sieve never ends without a prime")
}

fn suits_exponent_3(prime: &U1536) -> bool {
    // 256 ≡ 1 (mod 3), so the bytes' sum has the number's remainder.
    prime.to_le_bytes().as_slice().iter().map(|byte| u32::from(*byte)).sum::<u32>() % 3 == 2
}

fn refused(reason: &'static str) -> Error {
    Error::Sigstruct { code: ErrorCode::InvalidSigStruct, reason }
}

/// Bytes of a SIGSTRUCT that are signed: 128 of its header, 128 of its body (SDM Vol. 3D, "Enclave signature structure").
const TO_BE_SIGNED: usize = 256;
const HEADER_SIZE: usize = 128;
/// Offset of the body: behind modulus, exponent and signature.
const BODY: usize = 900;
const MODULUS_SIZE: usize = 384;
const PRIME_SIZE: usize = 192;
const VENDOR_INTEL: u32 = 0x8086;
const THREE: NonZero<U3072> = NonZero::<U3072>::new_unwrap(U3072::from_u8(3));
/// DER of DigestInfo for SHA-256 up to the digest (RFC 8017 §9.2, note 1).
const SHA256_DIGEST_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0x04, 0x20,
];

#[cfg(test)]
pub(crate) mod tests;
