/* SQLite's test/speedtest1.c, unchanged, with its main and its printing redirected. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "speedtest.h"

/* What the test has printed. */
static char *printed;
static size_t printed_length;

static int print_captured(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0) {
        abort();
    }
    char *grown = realloc(printed, printed_length + (size_t)length + 1);
    if (grown == NULL) {
        abort();
    }
    printed = grown;
    va_start(arguments, format);
    vsnprintf(printed + printed_length, (size_t)length + 1, format, arguments);
    va_end(arguments);
    printed_length += (size_t)length;
    return length;
}

#define printf print_captured
#define main speedtest1_main
#include "speedtest1.c"
#undef main
#undef printf

void exports_speedtest_run(speedtest_list_string_t *arguments, speedtest_string_t *ret) {
    char **argv = calloc(arguments->len + 2, sizeof(char *));
    if (argv == NULL) {
        abort();
    }
    argv[0] = (char[]){"speedtest1"};
    for (size_t i = 0; i < arguments->len; i++) {
        const speedtest_string_t *argument = &arguments->ptr[i];
        argv[i + 1] = strndup((const char *)argument->ptr, argument->len);
        if (argv[i + 1] == NULL) {
            abort();
        }
    }
    speedtest_list_string_free(arguments);
    speedtest1_main((int)arguments->len + 1, argv);
    ret->ptr = (uint8_t *)printed;
    ret->len = printed_length;
}
