/* What makes no difference in a document. Nothing here knows of an enclave, so test_text.c tests it. */

#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>

/* Puts `\n` at the ends of the document's lines, drops what is after its last word, and returns the new length. */
size_t text_normal(char *document, size_t length);

#endif
