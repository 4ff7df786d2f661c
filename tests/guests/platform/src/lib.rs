//! Every function of `privasys:enclave-os`, called through: what an export is given it passes on, and what it gets it returns.

use privasys::enclave_os::{attestation, auth, crypto, https, keystore, sealing};

wit_bindgen::generate!({
    path: ["../../../wit", "wit"],
    world: "cloister:platform-test/platform",
    generate_all,
});

struct Platform;

export!(Platform);

impl Guest for Platform {
    fn crypto_digest(algorithm: DigestAlgorithm, data: Vec<u8>) -> Result<Vec<u8>, String> {
        crypto::digest(algorithm, &data)
    }

    fn crypto_encrypt(
        key_name: String,
        iv: Vec<u8>,
        aad: Vec<u8>,
        plaintext: Vec<u8>,
    ) -> Result<Vec<u8>, String> {
        crypto::encrypt(&key_name, &iv, &aad, &plaintext)
    }

    fn crypto_decrypt(
        key_name: String,
        iv: Vec<u8>,
        aad: Vec<u8>,
        ciphertext: Vec<u8>,
    ) -> Result<Vec<u8>, String> {
        crypto::decrypt(&key_name, &iv, &aad, &ciphertext)
    }

    fn crypto_sign(key_name: String, algorithm: SignAlgorithm, data: Vec<u8>) -> Result<Vec<u8>, String> {
        crypto::sign(&key_name, algorithm, &data)
    }

    fn crypto_verify(
        key_name: String,
        algorithm: SignAlgorithm,
        data: Vec<u8>,
        signature: Vec<u8>,
    ) -> Result<bool, String> {
        crypto::verify(&key_name, algorithm, &data, &signature)
    }

    fn crypto_hmac_sign(
        key_name: String,
        algorithm: HmacAlgorithm,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, String> {
        crypto::hmac_sign(&key_name, algorithm, &data)
    }

    fn crypto_hmac_verify(
        key_name: String,
        algorithm: HmacAlgorithm,
        data: Vec<u8>,
        tag: Vec<u8>,
    ) -> Result<bool, String> {
        crypto::hmac_verify(&key_name, algorithm, &data, &tag)
    }

    fn crypto_get_random_bytes(len: u32) -> Result<Vec<u8>, String> {
        crypto::get_random_bytes(len)
    }

    fn keystore_generate_symmetric_key(key_name: String) -> Result<(), String> {
        keystore::generate_symmetric_key(&key_name)
    }

    fn keystore_generate_signing_key(key_name: String, algorithm: SignAlgorithm) -> Result<(), String> {
        keystore::generate_signing_key(&key_name, algorithm)
    }

    fn keystore_generate_hmac_key(key_name: String, algorithm: HmacAlgorithm) -> Result<(), String> {
        keystore::generate_hmac_key(&key_name, algorithm)
    }

    fn keystore_import_symmetric_key(key_name: String, raw_key: Vec<u8>) -> Result<(), String> {
        keystore::import_symmetric_key(&key_name, &raw_key)
    }

    fn keystore_export_public_key(key_name: String) -> Result<Vec<u8>, String> {
        keystore::export_public_key(&key_name)
    }

    fn keystore_delete_key(key_name: String) -> Result<(), String> {
        keystore::delete_key(&key_name)
    }

    fn keystore_key_exists(key_name: String) -> Result<bool, String> {
        keystore::key_exists(&key_name)
    }

    fn keystore_persist_key(key_name: String) -> Result<(), String> {
        keystore::persist_key(&key_name)
    }

    fn keystore_load_key(key_name: String) -> Result<(), String> {
        keystore::load_key(&key_name)
    }

    fn https_fetch(request: Request) -> Result<Response, String> {
        https::fetch(&request)
    }

    fn auth_get_caller_id() -> Result<String, String> {
        auth::get_caller_id()
    }

    fn auth_get_my_roles() -> Result<Vec<String>, String> {
        auth::get_my_roles()
    }

    fn auth_list_users() -> Result<Vec<(String, Vec<String>)>, String> {
        auth::list_users()
    }

    fn auth_get_user_roles(user_id: String) -> Result<Vec<String>, String> {
        auth::get_user_roles(&user_id)
    }

    fn auth_set_user_roles(user_id: String, roles: Vec<String>) -> Result<String, String> {
        auth::set_user_roles(&user_id, &roles)
    }

    fn auth_remove_user_roles(user_id: String) -> Result<String, String> {
        auth::remove_user_roles(&user_id)
    }

    fn attestation_set_attestation_extension(arc_suffix: u32, value: Vec<u8>) -> Result<(), String> {
        attestation::set_attestation_extension(arc_suffix, &value)
    }

    fn attestation_set_config_complete() -> Result<(), String> {
        attestation::set_config_complete()
    }

    fn sealing_get_seal_key() -> Result<(Vec<u8>, Vec<u8>), String> {
        sealing::get_seal_key()
    }

    fn digest_zeros(algorithm: DigestAlgorithm, length: u32) -> Result<Vec<u8>, String> {
        crypto::digest(algorithm, &vec![0; length as usize])
    }

    fn round_trip(key_name: String, iv: Vec<u8>, length: u32) -> Result<bool, String> {
        let plaintext: Vec<u8> = (0..length).map(|position| position as u8).collect();
        let ciphertext = crypto::encrypt(&key_name, &iv, b"length", &plaintext)?;
        Ok(crypto::decrypt(&key_name, &iv, b"length", &ciphertext)? == plaintext)
    }

    fn count_random_bytes(len: u32) -> Result<u32, String> {
        Ok(crypto::get_random_bytes(len)?.len() as u32)
    }

    fn fill_keystore(prefix: String, most: u32) -> Result<u32, String> {
        for count in 0..most {
            if keystore::generate_symmetric_key(&format!("{prefix}-{count}")).is_err() {
                return Ok(count);
            }
        }
        Ok(most)
    }

    fn fetch_length(request: Request) -> Result<(u16, u64), String> {
        let response = https::fetch(&request)?;
        Ok((response.status, response.body.len() as u64))
    }

    fn fetch_again(request: Request, times: u32) -> Result<Vec<u16>, String> {
        (0..times).map(|_| https::fetch(&request).map(|response| response.status)).collect()
    }
}
