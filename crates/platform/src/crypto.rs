//! `privasys:enclave-os/crypto`: names become keys here, and fuel is paid; `primitives` does the rest.

use crate::bindings::privasys::enclave_os::crypto::Host;
use crate::error::{Failure, answer};
use crate::keystore::{Held, KeyName};
use crate::primitives::{self, IV_BYTES};
use crate::{DigestAlgorithm, Error, HmacAlgorithm, Operation, PlatformCtxView, SignAlgorithm, prices};

impl Host for PlatformCtxView<'_> {
    async fn digest(
        &mut self,
        algorithm: DigestAlgorithm,
        data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, String>> {
        answer(self.digest_of(algorithm, &data).await)
    }

    async fn encrypt(
        &mut self,
        key_name: String,
        iv: Vec<u8>,
        aad: Vec<u8>,
        plaintext: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, String>> {
        answer(self.encrypt_with(key_name, &iv, &aad, plaintext).await)
    }

    async fn decrypt(
        &mut self,
        key_name: String,
        iv: Vec<u8>,
        aad: Vec<u8>,
        ciphertext: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, String>> {
        answer(self.decrypt_with(key_name, &iv, &aad, ciphertext).await)
    }

    async fn sign(
        &mut self,
        key_name: String,
        algorithm: SignAlgorithm,
        data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, String>> {
        answer(self.sign_with(key_name, algorithm, &data).await)
    }

    async fn verify(
        &mut self,
        key_name: String,
        algorithm: SignAlgorithm,
        data: Vec<u8>,
        signature: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, String>> {
        answer(self.verify_with(key_name, algorithm, &data, &signature).await)
    }

    async fn hmac_sign(
        &mut self,
        key_name: String,
        algorithm: HmacAlgorithm,
        data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, String>> {
        answer(self.hmac_with(key_name, algorithm, &data).await)
    }

    async fn hmac_verify(
        &mut self,
        key_name: String,
        algorithm: HmacAlgorithm,
        data: Vec<u8>,
        tag: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, String>> {
        answer(self.hmac_verify_with(key_name, algorithm, &data, &tag).await)
    }

    async fn get_random_bytes(&mut self, len: u32) -> wasmtime::Result<Result<Vec<u8>, String>> {
        answer(self.random_bytes(len).await)
    }
}

impl PlatformCtxView<'_> {
    async fn digest_of(&mut self, algorithm: DigestAlgorithm, data: &[u8]) -> Result<Vec<u8>, Failure> {
        self.pay_for_bytes(0, prices::digest_byte(algorithm), &[data.len()]).await?;
        Ok(primitives::digest(algorithm, data))
    }

    async fn encrypt_with(
        &mut self,
        key_name: String,
        iv: &[u8],
        aad: &[u8],
        plaintext: Vec<u8>,
    ) -> Result<Vec<u8>, Failure> {
        let lengths = [key_name.len(), iv.len(), aad.len(), plaintext.len()];
        self.pay_for_bytes(prices::CIPHER, prices::CIPHER_BYTE, &lengths).await?;
        let held = self.held(key_name)?;
        let sealed = held.symmetric()?.encrypt(iv_of(iv)?, aad, plaintext)?;
        held.count(Operation::Encrypt);
        Ok(sealed)
    }

    async fn decrypt_with(
        &mut self,
        key_name: String,
        iv: &[u8],
        aad: &[u8],
        ciphertext: Vec<u8>,
    ) -> Result<Vec<u8>, Failure> {
        let lengths = [key_name.len(), iv.len(), aad.len(), ciphertext.len()];
        self.pay_for_bytes(prices::CIPHER, prices::CIPHER_BYTE, &lengths).await?;
        let held = self.held(key_name)?;
        let (key, iv) = (held.symmetric()?, iv_of(iv)?);
        held.count(Operation::Decrypt);
        Ok(key.decrypt(iv, aad, ciphertext)?)
    }

    async fn sign_with(
        &mut self,
        key_name: String,
        algorithm: SignAlgorithm,
        data: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let lengths = [key_name.len(), data.len()];
        self.pay_for_bytes(prices::sign(algorithm), prices::signed_byte(algorithm), &lengths).await?;
        let held = self.held(key_name)?;
        let signature = held.signing(algorithm)?.sign(data)?;
        held.count(Operation::Sign);
        Ok(signature)
    }

    async fn verify_with(
        &mut self,
        key_name: String,
        algorithm: SignAlgorithm,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool, Failure> {
        let lengths = [key_name.len(), data.len(), signature.len()];
        self.pay_for_bytes(prices::verify(algorithm), prices::signed_byte(algorithm), &lengths).await?;
        let held = self.held(key_name)?;
        let key = held.signing(algorithm)?;
        held.count(Operation::Verify);
        Ok(key.public().verify(data, signature))
    }

    async fn hmac_with(
        &mut self,
        key_name: String,
        algorithm: HmacAlgorithm,
        data: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let lengths = [key_name.len(), data.len()];
        self.pay_for_bytes(prices::HMAC, prices::hmac_byte(algorithm), &lengths).await?;
        let held = self.held(key_name)?;
        let key = held.hmac(algorithm)?;
        held.count(Operation::HmacSign);
        Ok(primitives::hmac(algorithm, key, data))
    }

    async fn hmac_verify_with(
        &mut self,
        key_name: String,
        algorithm: HmacAlgorithm,
        data: &[u8],
        tag: &[u8],
    ) -> Result<bool, Failure> {
        let lengths = [key_name.len(), data.len(), tag.len()];
        self.pay_for_bytes(prices::HMAC, prices::hmac_byte(algorithm), &lengths).await?;
        let held = self.held(key_name)?;
        let key = held.hmac(algorithm)?;
        held.count(Operation::HmacVerify);
        Ok(primitives::hmac_verify(algorithm, key, data, tag))
    }

    async fn random_bytes(&mut self, asked: u32) -> Result<Vec<u8>, Failure> {
        if asked > MAX_RANDOM_BYTES {
            self.pay(0).await?;
            return Err(Error::RandomTooLong { asked }.into());
        }
        self.pay(u64::from(asked) * prices::RANDOM_BYTE).await?;
        let mut bytes = vec![0; asked as usize];
        cloister_tee::random(&mut bytes)?;
        Ok(bytes)
    }

    /// Charges `fuel`, and `byte_fuel` for each byte of the arguments, which are as long as `lengths` say.
    async fn pay_for_bytes(&mut self, fuel: u64, byte_fuel: u64, lengths: &[usize]) -> Result<(), Failure> {
        let bytes = lengths.iter().sum::<usize>();
        self.pay(fuel.saturating_add(byte_fuel.saturating_mul(bytes as u64))).await?;
        if bytes > MAX_CALL_BYTES {
            return Err(Error::CallTooLong { bytes }.into());
        }
        Ok(())
    }

    fn held(&self, key_name: String) -> Result<Held, Error> {
        self.ctx.settings.keys.find(&KeyName::parse(key_name)?)
    }
}

fn iv_of(iv: &[u8]) -> Result<&[u8; IV_BYTES], Error> {
    iv.try_into().map_err(|_| Error::IvLength { bytes: iv.len() })
}

/// The most bytes of all arguments of one call.
pub(crate) const MAX_CALL_BYTES: usize = 4 << 20;
/// The most bytes that one call of `get-random-bytes` gives.
pub(crate) const MAX_RANDOM_BYTES: u32 = 1 << 20;
