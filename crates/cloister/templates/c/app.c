/* Stamps documents: what was shown to this app, and when.
 *
 * bindings/service.h follows from wit/service.wit: it declares the functions that are defined here, each an export, and those that
 * the enclave offers. The clock is C's own: time() asks WASI. */

#include <ctype.h>
#include <string.h>
#include <time.h>

#include "service.h"
#include "text.h"

enum { DIGEST_BYTES = 32, DIGEST_DIGITS = 2 * DIGEST_BYTES };

/* SHA-256 in hex digits, computed by the enclave. Where that fails, false, and why. */
static bool digest_of(service_string_t *document, char digits[DIGEST_DIGITS + 1], service_string_t *problem) {
    service_list_u8_t text = {document->ptr, text_normal((char *)document->ptr, document->len)};
    if (text.len == 0) {
        service_string_dup(problem, "there is nothing in the document");
        return false;
    }
    service_list_u8_t digest;
    if (!privasys_enclave_os_crypto_digest(PRIVASYS_ENCLAVE_OS_CRYPTO_DIGEST_ALGORITHM_SHA256, &text, &digest, problem)) {
        return false;
    }
    for (size_t i = 0; i < DIGEST_BYTES && i < digest.len; i++) {
        digits[2 * i] = "0123456789abcdef"[digest.ptr[i] >> 4];
        digits[2 * i + 1] = "0123456789abcdef"[digest.ptr[i] & 15];
    }
    digits[DIGEST_DIGITS] = '\0';
    service_list_u8_free(&digest);
    return true;
}

bool exports_service_stamp_document(service_string_t *document, service_stamp_t *stamp, service_string_t *problem) {
    char digits[DIGEST_DIGITS + 1];
    bool done = digest_of(document, digits, problem);
    service_string_free(document);
    if (done) {
        service_string_dup(&stamp->digest, digits);
        stamp->seen = (uint64_t)time(NULL);
    }
    return done;
}

static bool same(const service_string_t *digest, const char digits[DIGEST_DIGITS]) {
    bool equal = digest->len == DIGEST_DIGITS;
    for (size_t i = 0; equal && i < DIGEST_DIGITS; i++) {
        equal = tolower(digest->ptr[i]) == digits[i];
    }
    return equal;
}

bool exports_service_check(service_string_t *document, service_stamp_t *stamp, bool *is_one, service_string_t *problem) {
    char digits[DIGEST_DIGITS + 1];
    bool done = digest_of(document, digits, problem);
    if (done) {
        *is_one = same(&stamp->digest, digits);
    }
    service_string_free(document);
    service_stamp_free(stamp);
    return done;
}
