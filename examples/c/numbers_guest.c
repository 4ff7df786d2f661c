/* Numbers with a check in them: a guest in C. The functions that numbers.h declares are the exports of wit/world.wit. */

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "numbers.h"

enum { IBAN_SHORTEST = 15, IBAN_LONGEST = 34, IBAN_HEAD = 4 };

/* Copies `iban` without spaces and in upper case; returns its length, or 0 when it does not fit. */
static size_t tidy(const numbers_string_t *iban, char tidied[IBAN_LONGEST]) {
    size_t length = 0;
    for (size_t i = 0; i < iban->len; i++) {
        unsigned char c = iban->ptr[i];
        if (c == ' ') {
            continue;
        }
        if (length == IBAN_LONGEST) {
            return 0;
        }
        tidied[length++] = (char)toupper(c);
    }
    return length;
}

static bool is_well_formed(const char *iban, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)iban[i];
        bool right = i < 2 ? isupper(c) : i < IBAN_HEAD ? isdigit(c) : isupper(c) || isdigit(c);
        if (!right) {
            return false;
        }
    }
    return true;
}

/* ISO 7064 MOD 97-10 over the number with its first four characters moved to the end; letters count from A = 10. */
static unsigned remainder_97(const char *iban, size_t length) {
    unsigned remainder = 0;
    for (size_t i = 0; i < length; i++) {
        char c = iban[(i + IBAN_HEAD) % length];
        if (isdigit((unsigned char)c)) {
            remainder = (remainder * 10 + (unsigned)(c - '0')) % 97;
        } else {
            remainder = (remainder * 100 + (unsigned)(c - 'A') + 10) % 97;
        }
    }
    return remainder;
}

bool exports_numbers_check_iban(numbers_string_t *iban, numbers_account_t *account, numbers_problem_t *problem) {
    char tidied[IBAN_LONGEST];
    size_t length = tidy(iban, tidied);
    numbers_string_free(iban);
    if (length < IBAN_SHORTEST) {
        *problem = NUMBERS_PROBLEM_LENGTH;
        return false;
    }
    if (!is_well_formed(tidied, length)) {
        *problem = NUMBERS_PROBLEM_CHARACTER;
        return false;
    }
    if (remainder_97(tidied, length) != 1) {
        *problem = NUMBERS_PROBLEM_CHECKSUM;
        return false;
    }
    numbers_string_dup_n(&account->country, tidied, 2);
    account->check_digits = (uint8_t)((tidied[2] - '0') * 10 + (tidied[3] - '0'));
    numbers_string_dup_n(&account->number, tidied + IBAN_HEAD, length - IBAN_HEAD);
    return true;
}

bool exports_numbers_check_card(numbers_string_t *digits) {
    unsigned sum = 0;
    size_t count = 0;
    bool valid = true;
    for (size_t i = digits->len; valid && i > 0; i--) {
        unsigned char c = digits->ptr[i - 1];
        if (c == ' ' || c == '-') {
            continue;
        }
        unsigned digit = (unsigned)(c - '0');
        valid = isdigit(c);
        if (count % 2 == 1) {
            digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
        }
        sum += digit;
        count++;
    }
    numbers_string_free(digits);
    return valid && count >= 8 && count <= 19 && sum % 10 == 0;
}

uint32_t exports_numbers_crc32(numbers_list_u8_t *data) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < data->len; i++) {
        crc ^= data->ptr[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0xEDB88320u & -(crc & 1u));
        }
    }
    numbers_list_u8_free(data);
    return ~crc;
}
