package text

import "testing"

func TestNormal(t *testing.T) {
	for document, expected := range map[string]string{
		"one\r\ntwo\r\n":      "one\ntwo",
		"one\ntwo":            "one\ntwo",
		"  one\n\n\ttwo \t\n": "  one\n\n\ttwo",
		" \r\n\t":             "",
	} {
		if text := Normal(document); text != expected {
			t.Errorf("%q became %q, and not %q", document, text, expected)
		}
	}
}
