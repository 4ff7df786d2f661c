#include "text.h"

size_t text_normal(char *document, size_t length) {
    size_t kept = 0;
    size_t end = 0;
    for (size_t i = 0; i < length; i++) {
        if (document[i] == '\r' && i + 1 < length && document[i + 1] == '\n') {
            continue;
        }
        char c = document[i];
        document[kept++] = c;
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
            end = kept;
        }
    }
    return end;
}
