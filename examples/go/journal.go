package main

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"
)

// Journal is a file with an entry a line, each of which holds the hash of the line before it.
type Journal struct {
	Path string
}

// Entry is what was written, and when.
type Entry struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Text     string    `json:"text"`
	Previous string    `json:"previous"`
}

// Append adds entries to the end and returns how many.
func (journal Journal) Append(texts iter.Seq[string]) (added int, err error) {
	previous, err := journal.last()
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(filepath.Dir(journal.Path), 0o755); err != nil {
		return 0, err
	}
	file, err := os.OpenFile(journal.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	buffer := bufio.NewWriter(file)
	for text := range texts {
		line, err := json.Marshal(Entry{ID: randomID(), Time: time.Now().UTC(), Text: text, Previous: previous})
		if err != nil {
			return added, err
		}
		previous, added = hashOf(line), added+1
		buffer.Write(append(line, '\n')) // Flush tells of its errors
	}
	if err := buffer.Flush(); err != nil {
		return added, err
	}
	return added, os.WriteFile(journal.head(), []byte(previous), 0o644)
}

// Each calls do for all entries, oldest first.
func (journal Journal) Each(do func(Entry) error) error {
	return journal.lines(func(_ []byte, entry Entry) error { return do(entry) })
}

// Verify follows the hashes and returns the number of entries.
func (journal Journal) Verify() (int, error) {
	entries, previous := 0, ""
	err := journal.lines(func(line []byte, entry Entry) error {
		if entry.Previous != previous {
			return fmt.Errorf("entry %d (%s) does not follow the one before it", entries+1, entry.ID)
		}
		entries, previous = entries+1, hashOf(line)
		return nil
	})
	if err != nil {
		return entries, err
	}
	if last, err := journal.last(); err != nil || last != previous {
		return entries, errors.Join(fmt.Errorf("the last of %d entries was changed or removed", entries), err)
	}
	return entries, nil
}

func (journal Journal) lines(do func([]byte, Entry) error) error {
	file, err := os.Open(journal.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, longestLine)
	for number := 1; lines.Scan(); number++ {
		var entry Entry
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			return fmt.Errorf("line %d is no entry: %w", number, err)
		}
		if err := do(lines.Bytes(), entry); err != nil {
			return err
		}
	}
	return lines.Err()
}

// The hash of the last line, or nothing where there is none.
func (journal Journal) last() (string, error) {
	hash, err := os.ReadFile(journal.head())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(hash), err
}

// A small file beside the journal: it tells when the end of the journal was cut off, and saves reading all of it to add to it.
func (journal Journal) head() string {
	return filepath.Join(filepath.Dir(journal.Path), "head")
}

func hashOf(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

func randomID() string {
	var bytes [8]byte
	rand.Read(bytes[:]) // never fails: crypto/rand ends the program where there is no randomness
	return hex.EncodeToString(bytes[:])
}

const longestLine = 1 << 20
