/* Every function of privasys:enclave-os, called through, in C. What an import gives is the caller's to free, and an export's results
 * are its caller's: so results are passed on as they are, and arguments are freed here. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform.h"

typedef platform_list_u8_t bytes_t;
typedef platform_string_t string_t;

bool exports_platform_crypto_digest(platform_digest_algorithm_t algorithm, bytes_t *data, bytes_t *ret, string_t *err) {
    bool ok = privasys_enclave_os_crypto_digest(algorithm, data, ret, err);
    platform_list_u8_free(data);
    return ok;
}

bool exports_platform_crypto_encrypt(string_t *key_name, bytes_t *iv, bytes_t *aad, bytes_t *plaintext, bytes_t *ret,
                                     string_t *err) {
    bool ok = privasys_enclave_os_crypto_encrypt(key_name, iv, aad, plaintext, ret, err);
    platform_string_free(key_name);
    platform_list_u8_free(iv);
    platform_list_u8_free(aad);
    platform_list_u8_free(plaintext);
    return ok;
}

bool exports_platform_crypto_decrypt(string_t *key_name, bytes_t *iv, bytes_t *aad, bytes_t *ciphertext, bytes_t *ret,
                                     string_t *err) {
    bool ok = privasys_enclave_os_crypto_decrypt(key_name, iv, aad, ciphertext, ret, err);
    platform_string_free(key_name);
    platform_list_u8_free(iv);
    platform_list_u8_free(aad);
    platform_list_u8_free(ciphertext);
    return ok;
}

bool exports_platform_crypto_sign(string_t *key_name, platform_sign_algorithm_t algorithm, bytes_t *data, bytes_t *ret,
                                  string_t *err) {
    bool ok = privasys_enclave_os_crypto_sign(key_name, algorithm, data, ret, err);
    platform_string_free(key_name);
    platform_list_u8_free(data);
    return ok;
}

bool exports_platform_crypto_verify(string_t *key_name, platform_sign_algorithm_t algorithm, bytes_t *data,
                                    bytes_t *signature, bool *ret, string_t *err) {
    bool ok = privasys_enclave_os_crypto_verify(key_name, algorithm, data, signature, ret, err);
    platform_string_free(key_name);
    platform_list_u8_free(data);
    platform_list_u8_free(signature);
    return ok;
}

bool exports_platform_crypto_hmac_sign(string_t *key_name, platform_hmac_algorithm_t algorithm, bytes_t *data,
                                       bytes_t *ret, string_t *err) {
    bool ok = privasys_enclave_os_crypto_hmac_sign(key_name, algorithm, data, ret, err);
    platform_string_free(key_name);
    platform_list_u8_free(data);
    return ok;
}

bool exports_platform_crypto_hmac_verify(string_t *key_name, platform_hmac_algorithm_t algorithm, bytes_t *data,
                                         bytes_t *tag, bool *ret, string_t *err) {
    bool ok = privasys_enclave_os_crypto_hmac_verify(key_name, algorithm, data, tag, ret, err);
    platform_string_free(key_name);
    platform_list_u8_free(data);
    platform_list_u8_free(tag);
    return ok;
}

bool exports_platform_crypto_get_random_bytes(uint32_t len, bytes_t *ret, string_t *err) {
    return privasys_enclave_os_crypto_get_random_bytes(len, ret, err);
}

bool exports_platform_keystore_generate_symmetric_key(string_t *key_name, string_t *err) {
    bool ok = privasys_enclave_os_keystore_generate_symmetric_key(key_name, err);
    platform_string_free(key_name);
    return ok;
}

bool exports_platform_keystore_generate_signing_key(string_t *key_name, platform_sign_algorithm_t algorithm, string_t *err) {
    bool ok = privasys_enclave_os_keystore_generate_signing_key(key_name, algorithm, err);
    platform_string_free(key_name);
    return ok;
}

bool exports_platform_keystore_generate_hmac_key(string_t *key_name, platform_hmac_algorithm_t algorithm, string_t *err) {
    bool ok = privasys_enclave_os_keystore_generate_hmac_key(key_name, algorithm, err);
    platform_string_free(key_name);
    return ok;
}

bool exports_platform_keystore_import_symmetric_key(string_t *key_name, bytes_t *raw_key, string_t *err) {
    bool ok = privasys_enclave_os_keystore_import_symmetric_key(key_name, raw_key, err);
    platform_string_free(key_name);
    platform_list_u8_free(raw_key);
    return ok;
}

bool exports_platform_keystore_export_public_key(string_t *key_name, bytes_t *ret, string_t *err) {
    bool ok = privasys_enclave_os_keystore_export_public_key(key_name, ret, err);
    platform_string_free(key_name);
    return ok;
}

bool exports_platform_keystore_delete_key(string_t *key_name, string_t *err) {
    bool ok = privasys_enclave_os_keystore_delete_key(key_name, err);
    platform_string_free(key_name);
    return ok;
}

bool exports_platform_keystore_key_exists(string_t *key_name, bool *ret, string_t *err) {
    bool ok = privasys_enclave_os_keystore_key_exists(key_name, ret, err);
    platform_string_free(key_name);
    return ok;
}

bool exports_platform_keystore_persist_key(string_t *key_name, string_t *err) {
    bool ok = privasys_enclave_os_keystore_persist_key(key_name, err);
    platform_string_free(key_name);
    return ok;
}

bool exports_platform_keystore_load_key(string_t *key_name, string_t *err) {
    bool ok = privasys_enclave_os_keystore_load_key(key_name, err);
    platform_string_free(key_name);
    return ok;
}

bool exports_platform_https_fetch(platform_request_t *request, platform_response_t *ret, string_t *err) {
    bool ok = privasys_enclave_os_https_fetch(request, ret, err);
    platform_request_free(request);
    return ok;
}

bool exports_platform_auth_get_caller_id(string_t *ret, string_t *err) {
    return privasys_enclave_os_auth_get_caller_id(ret, err);
}

bool exports_platform_auth_get_my_roles(platform_list_string_t *ret, string_t *err) {
    return privasys_enclave_os_auth_get_my_roles(ret, err);
}

bool exports_platform_auth_list_users(platform_list_tuple2_string_list_string_t *ret, string_t *err) {
    return privasys_enclave_os_auth_list_users(ret, err);
}

bool exports_platform_auth_get_user_roles(string_t *user_id, platform_list_string_t *ret, string_t *err) {
    bool ok = privasys_enclave_os_auth_get_user_roles(user_id, ret, err);
    platform_string_free(user_id);
    return ok;
}

bool exports_platform_auth_set_user_roles(string_t *user_id, platform_list_string_t *roles, string_t *ret, string_t *err) {
    bool ok = privasys_enclave_os_auth_set_user_roles(user_id, roles, ret, err);
    platform_string_free(user_id);
    platform_list_string_free(roles);
    return ok;
}

bool exports_platform_auth_remove_user_roles(string_t *user_id, string_t *ret, string_t *err) {
    bool ok = privasys_enclave_os_auth_remove_user_roles(user_id, ret, err);
    platform_string_free(user_id);
    return ok;
}

bool exports_platform_attestation_set_attestation_extension(uint32_t arc_suffix, bytes_t *value, string_t *err) {
    bool ok = privasys_enclave_os_attestation_set_attestation_extension(arc_suffix, value, err);
    platform_list_u8_free(value);
    return ok;
}

bool exports_platform_attestation_set_config_complete(string_t *err) {
    return privasys_enclave_os_attestation_set_config_complete(err);
}

bool exports_platform_sealing_get_seal_key(platform_tuple2_list_u8_list_u8_t *ret, string_t *err) {
    return privasys_enclave_os_sealing_get_seal_key(ret, err);
}

/* As many bytes as asked for, or an error. */
static bool allocate(size_t length, bytes_t *bytes, string_t *err) {
    bytes->ptr = calloc(length ? length : 1, 1);
    bytes->len = length;
    if (!bytes->ptr) {
        platform_string_dup(err, "there is no memory for that");
    }
    return bytes->ptr;
}

bool exports_platform_digest_zeros(platform_digest_algorithm_t algorithm, uint32_t length, bytes_t *ret, string_t *err) {
    bytes_t zeros;
    if (!allocate(length, &zeros, err)) {
        return false;
    }
    bool ok = privasys_enclave_os_crypto_digest(algorithm, &zeros, ret, err);
    free(zeros.ptr);
    return ok;
}

static bool is_the_same_again(string_t *key_name, bytes_t *iv, bytes_t *plaintext, bool *ret, string_t *err) {
    bytes_t aad = {.ptr = (uint8_t *)"length", .len = 6};
    bytes_t ciphertext, again;
    if (!privasys_enclave_os_crypto_encrypt(key_name, iv, &aad, plaintext, &ciphertext, err)) {
        return false;
    }
    bool ok = privasys_enclave_os_crypto_decrypt(key_name, iv, &aad, &ciphertext, &again, err);
    platform_list_u8_free(&ciphertext);
    if (ok) {
        *ret = again.len == plaintext->len && memcmp(again.ptr, plaintext->ptr, again.len) == 0;
        platform_list_u8_free(&again);
    }
    return ok;
}

bool exports_platform_round_trip(string_t *key_name, bytes_t *iv, uint32_t length, bool *ret, string_t *err) {
    bytes_t plaintext;
    bool ok = allocate(length, &plaintext, err);
    if (ok) {
        for (size_t i = 0; i < length; i++) {
            plaintext.ptr[i] = (uint8_t)i;
        }
        ok = is_the_same_again(key_name, iv, &plaintext, ret, err);
        free(plaintext.ptr);
    }
    platform_string_free(key_name);
    platform_list_u8_free(iv);
    return ok;
}

bool exports_platform_count_random_bytes(uint32_t len, uint32_t *ret, string_t *err) {
    bytes_t bytes;
    if (!privasys_enclave_os_crypto_get_random_bytes(len, &bytes, err)) {
        return false;
    }
    *ret = (uint32_t)bytes.len;
    platform_list_u8_free(&bytes);
    return true;
}

bool exports_platform_fill_keystore(string_t *prefix, uint32_t most, uint32_t *ret, string_t *err) {
    (void)err;
    enum { PREFIX_LONGEST = 100 };
    char name[PREFIX_LONGEST + 16];
    string_t problem;
    bool generated = true;
    int kept = prefix->len < PREFIX_LONGEST ? (int)prefix->len : PREFIX_LONGEST;
    for (*ret = 0; generated && *ret < most; *ret += generated) {
        int length = snprintf(name, sizeof name, "%.*s-%u", kept, (const char *)prefix->ptr, (unsigned)*ret);
        string_t key_name = {.ptr = (uint8_t *)name, .len = (size_t)length};
        generated = privasys_enclave_os_keystore_generate_symmetric_key(&key_name, &problem);
        if (!generated) {
            platform_string_free(&problem);
        }
    }
    platform_string_free(prefix);
    return true;
}

bool exports_platform_fetch_length(platform_request_t *request, platform_tuple2_u16_u64_t *ret, string_t *err) {
    platform_response_t response;
    bool ok = privasys_enclave_os_https_fetch(request, &response, err);
    platform_request_free(request);
    if (ok) {
        *ret = (platform_tuple2_u16_u64_t){.f0 = response.status, .f1 = response.body.len};
        platform_response_free(&response);
    }
    return ok;
}

bool exports_platform_fetch_again(platform_request_t *request, uint32_t times, platform_list_u16_t *ret, string_t *err) {
    *ret = (platform_list_u16_t){.ptr = calloc(times ? times : 1, sizeof *ret->ptr), .len = 0};
    bool ok = ret->ptr;
    if (!ok) {
        platform_string_dup(err, "there is no memory for that");
    }
    while (ok && ret->len < times) {
        platform_response_t response;
        ok = privasys_enclave_os_https_fetch(request, &response, err);
        if (ok) {
            ret->ptr[ret->len++] = response.status;
            platform_response_free(&response);
        }
    }
    if (!ok) {
        free(ret->ptr);
    }
    platform_request_free(request);
    return ok;
}
