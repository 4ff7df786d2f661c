#include <stdio.h>
#include <string.h>

#include "text.h"

static int failures = 0;

static void expect(const char *document, const char *expected) {
    char text[64];
    size_t length = strlen(document);
    memcpy(text, document, length);
    length = text_normal(text, length);
    if (length != strlen(expected) || memcmp(text, expected, length) != 0) {
        fprintf(stderr, "expected \"%s\", got \"%.*s\"\n", expected, (int)length, text);
        failures++;
    }
}

int main(void) {
    /* Ends of lines make no difference. */
    expect("one\r\ntwo\r\n", "one\ntwo");
    expect("one\ntwo", "one\ntwo");
    /* What is between words stays. */
    expect("  one\n\n\ttwo \t\n\n", "  one\n\n\ttwo");
    expect(" \r\n\t", "");
    if (failures == 0) {
        puts("4 texts are as expected");
    }
    return failures != 0;
}
