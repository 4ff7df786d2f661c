// A journal that shows whether somebody changed it: a job in Go.
//
// Nothing here knows of an enclave. os, time and crypto/rand reach the app's own files, the clock and the random bytes through
// WASI.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const usage = `usage: journal COMMAND
  add TEXT...   add one entry
  import        add one entry for each line of standard input
  list          print all entries
  verify        check that no entry was changed, moved or removed before the last`

func main() {
	journal := Journal{Path: filepath.Join(folder(), "entries.jsonl")}
	if err := run(journal, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "journal:", err)
		os.Exit(1)
	}
}

func run(journal Journal, arguments []string, in io.Reader, out io.Writer) error {
	command := ""
	if len(arguments) > 0 {
		command, arguments = arguments[0], arguments[1:]
	}
	switch command {
	case "add":
		return add(journal, arguments)
	case "import":
		return importLines(journal, in, out)
	case "list":
		return list(journal, out)
	case "verify":
		entries, err := journal.Verify()
		if err == nil {
			fmt.Fprintf(out, "%d entries, none changed\n", entries)
		}
		return err
	default:
		return errors.New(usage)
	}
}

func add(journal Journal, words []string) error {
	_, err := journal.Append(slices.Values([]string{strings.Join(words, " ")}))
	return err
}

func importLines(journal Journal, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	added, err := journal.Append(func(yield func(string) bool) {
		for lines.Scan() && yield(lines.Text()) {
		}
	})
	fmt.Fprintf(out, "%d entries added\n", added)
	return errors.Join(err, lines.Err())
}

func list(journal Journal, out io.Writer) error {
	return journal.Each(func(entry Entry) error {
		_, err := fmt.Fprintf(out, "%s  %s  %s\n", entry.Time.Format("2006-01-02 15:04:05.000"), entry.ID, entry.Text)
		return err
	})
}

// The folder of the journal; JOURNAL names another.
func folder() string {
	if named := os.Getenv("JOURNAL"); named != "" {
		return named
	}
	return "/journal"
}
