/* Card numbers that are drawn at random and kept in a file: the C library's files, clock and random bytes, in a guest. */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "numbers.h"

enum { DIGITS = 16, PREFIX_LONGEST = 10, TRIES = 1000 };

static const char LEDGER[] = "/cards.txt";

/* Calls `visit` for each card in the ledger until it says stop; returns false, and errno, where the ledger cannot be read. */
static bool each_card(bool (*visit)(void *state, const char *number, uint64_t issued), void *state) {
    FILE *ledger = fopen(LEDGER, "r");
    if (!ledger) {
        return errno == ENOENT;
    }
    char number[DIGITS + 1];
    uint64_t issued;
    while (fscanf(ledger, "%16[0-9] %" SCNu64 "\n", number, &issued) == 2 && visit(state, number, issued)) {
    }
    bool read = !ferror(ledger);
    return fclose(ledger) == 0 && read;
}

struct search {
    const char *number;
    bool found;
};

static bool is_another(void *state, const char *number, uint64_t issued) {
    (void)issued;
    struct search *search = state;
    search->found = strcmp(search->number, number) == 0;
    return !search->found;
}

/* Draws a digit; each is equally likely. Returns -1, and errno, where there is no randomness. */
static int random_digit(void) {
    unsigned char byte;
    do {
        if (getentropy(&byte, sizeof byte) != 0) {
            return -1;
        }
    } while (byte >= 250);
    return byte % 10;
}

/* What makes the whole number pass Luhn's check. */
static char check_digit(const char digits[DIGITS - 1]) {
    unsigned sum = 0;
    for (size_t i = 0; i < DIGITS - 1; i++) {
        unsigned digit = (unsigned)(digits[i] - '0');
        sum += i % 2 == 0 ? digit * 2 - (digit > 4 ? 9 : 0) : digit;
    }
    return (char)('0' + (10 - sum % 10) % 10);
}

static bool draw(const numbers_string_t *prefix, char number[DIGITS + 1]) {
    for (size_t i = 0; i < DIGITS - 1; i++) {
        int digit = i < prefix->len ? prefix->ptr[i] - '0' : random_digit();
        if (digit < 0) {
            return false;
        }
        number[i] = (char)('0' + digit);
    }
    number[DIGITS - 1] = check_digit(number);
    number[DIGITS] = '\0';
    return true;
}

static bool draw_new(const numbers_string_t *prefix, char number[DIGITS + 1]) {
    for (int i = 0; i < TRIES; i++) {
        struct search search = {.number = number, .found = false};
        if (!draw(prefix, number) || !each_card(is_another, &search)) {
            return false;
        }
        if (!search.found) {
            return true;
        }
    }
    errno = ENOSPC;
    return false;
}

static bool keep(const char *number, uint64_t issued) {
    FILE *ledger = fopen(LEDGER, "a");
    if (!ledger) {
        return false;
    }
    bool written = fprintf(ledger, "%s %" PRIu64 "\n", number, issued) > 0;
    return fclose(ledger) == 0 && written;
}

static bool is_prefix(const numbers_string_t *prefix) {
    bool digits = prefix->len <= PREFIX_LONGEST;
    for (size_t i = 0; digits && i < prefix->len; i++) {
        digits = prefix->ptr[i] >= '0' && prefix->ptr[i] <= '9';
    }
    return digits;
}

static bool fail(numbers_string_t *problem, const char *message) {
    numbers_string_dup(problem, message);
    return false;
}

bool exports_numbers_issue_card(numbers_string_t *prefix, numbers_card_t *card, numbers_string_t *problem) {
    char number[DIGITS + 1];
    struct timespec now;
    bool valid = is_prefix(prefix);
    bool drawn = valid && draw_new(prefix, number);
    numbers_string_free(prefix);
    if (!valid) {
        return fail(problem, "a prefix is at most 10 digits");
    }
    if (!drawn || clock_gettime(CLOCK_REALTIME, &now) != 0 || !keep(number, (uint64_t)now.tv_sec)) {
        return fail(problem, strerror(errno));
    }
    numbers_string_dup(&card->number, number);
    card->issued = (uint64_t)now.tv_sec;
    return true;
}

static bool append(void *state, const char *number, uint64_t issued) {
    numbers_list_card_t *cards = state;
    numbers_card_t *longer = realloc(cards->ptr, (cards->len + 1) * sizeof *longer);
    if (!longer) {
        abort();
    }
    cards->ptr = longer;
    numbers_card_t *card = &cards->ptr[cards->len++];
    numbers_string_dup(&card->number, number);
    card->issued = issued;
    return true;
}

bool exports_numbers_issued_cards(numbers_list_card_t *cards, numbers_string_t *problem) {
    *cards = (numbers_list_card_t){0};
    if (!each_card(append, cards)) {
        numbers_list_card_free(cards);
        return fail(problem, strerror(errno));
    }
    return true;
}
