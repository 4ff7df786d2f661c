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

    /// Reads a PKCS#1 PEM file (`RSA PRIVATE KEY`), as OpenSSL and `sgxs-tools` write it.
    ///
    /// # Errors
    ///
    /// [`Error::SigningKey`] if it is not PEM, not PKCS#1, or not RSA-3072 with exponent 3.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let refuse = |reason: &dyn fmt::Display| Error::SigningKey(reason.to_string());
        let (label, der) = pkcs1::der::pem::decode_vec(pem.as_bytes()).map_err(|e| refuse(&e))?;
        let der = Zeroizing::new(der);
        if label != "RSA PRIVATE KEY" {
            return Err(refuse(&format_args!("the file holds a {label}, not an RSA PRIVATE KEY")));
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
        let mut signer = Signer::new(EnclaveHash::new(measurement));
        let Date { year, month, day } = parameters.date;
        signer
            .date(year, month, day)
            .isvprodid(parameters.isvprodid)
            .isvsvn(parameters.isvsvn)
            .attributes_flags(parameters.attributes.flags, !0)
            .attributes_xfrm(parameters.attributes.xfrm, !0)
            .miscselect(parameters.miscselect, !0);
        let mut sigstruct = signer.unsigned_sig();

        let signature = self.raw_sign(&signed_digest(&sigstruct));
        let Some(cubed) = cube(&signature, &self.n) else {
            return Err(Error::SigningKey("its modulus is zero".into()));
        };
        sigstruct.modulus.copy_from_slice(self.n.to_le_bytes().as_slice());
        sigstruct.signature.copy_from_slice(signature.to_le_bytes().as_slice());
        sigstruct.q1.copy_from_slice(cubed.q1.to_le_bytes().as_slice());
        sigstruct.q2.copy_from_slice(cubed.q2.to_le_bytes().as_slice());
        verify(&sigstruct).map_err(|_| Error::SigningKey("its signature does not verify".into()))?;
        Ok(sigstruct)
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
pub(crate) mod tests {
    use std::sync::OnceLock;

    use super::*;

    /// One key for all tests: making one takes seconds without optimization.
    pub(crate) fn test_key() -> &'static SigningKey {
        static KEY: OnceLock<SigningKey> = OnceLock::new();
        KEY.get_or_init(|| SigningKey::generate().unwrap())
    }

    #[test]
    fn signature_verifies_and_names_the_signer() {
        let signed = test_key().sign([0x42; 32], &SigstructParameters::default()).unwrap();
        verify(&signed).unwrap();
        assert_eq!(mrsigner(&signed), test_key().mrsigner());
        assert_eq!(signed.enclavehash, [0x42; 32]);
        assert_eq!(signed.date, 0x2026_0101);
        let read = from_bytes(signed.as_ref()).unwrap();
        verify(&read).unwrap();
    }

    #[test]
    fn any_changed_part_is_refused() {
        let signed = test_key().sign([0x42; 32], &SigstructParameters::default()).unwrap();
        // Header, date, reserved, modulus, exponent, signature, attributes, hash, SVN, Q1, Q2.
        for offset in [0, 20, 50, 130, 512, 520, 928, 960, 1026, 1045, 1430] {
            let mut bytes = signed.as_ref().to_vec();
            bytes[offset] ^= 1;
            let changed = from_bytes(&bytes).unwrap();
            assert!(matches!(verify(&changed), Err(Error::Sigstruct { .. })), "byte {offset}");
        }
        assert!(from_bytes(&[0; 1807]).is_err());
    }

    #[test]
    fn a_key_survives_pem() {
        let pem = test_key().to_pem().unwrap();
        assert!(pem.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
        let read = SigningKey::from_pem(&pem).unwrap();
        assert_eq!(read.mrsigner(), test_key().mrsigner());
        let (a, b) = (
            read.sign([1; 32], &SigstructParameters::default()).unwrap(),
            test_key().sign([1; 32], &SigstructParameters::default()).unwrap(),
        );
        assert_eq!(a.signature, b.signature);
    }

    #[test]
    fn other_files_are_refused() {
        for text in ["", "hello", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"] {
            assert!(matches!(SigningKey::from_pem(text), Err(Error::SigningKey(_))));
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", test_key());
        assert_eq!(shown, format!("SigningKey {{ mrsigner: {:?}, .. }}", hex::encode(test_key().mrsigner())));
    }
}
