// Package text says what makes no difference in a document. Nothing here knows of an enclave, so `go test ./text` tests it.
package text

import "strings"

// Normal gives the document with `\n` at the ends of its lines, and nothing after its last word.
func Normal(document string) string {
	return strings.TrimRight(strings.ReplaceAll(document, "\r\n", "\n"), " \t\r\n")
}
