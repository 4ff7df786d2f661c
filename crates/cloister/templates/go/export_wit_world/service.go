// Package export_wit_world stamps documents: what was shown to this app, and when.
//
// Each export of wit/service.wit is a function here, and each interface that it imports is a package of bindings. The clock is Go's
// own: time asks WASI.
package export_wit_world

import (
	"encoding/hex"
	"errors"
	"strings"
	"time"

	crypto "app.example/name-of-app/bindings/privasys_enclave_os_crypto"
	"app.example/name-of-app/bindings/wit/types"
	. "app.example/name-of-app/bindings/wit_world"
	"app.example/name-of-app/text"
)

func StampDocument(document string) types.Result[Stamp, string] {
	digest, err := digestOf(document)
	return result(Stamp{Digest: digest, Seen: uint64(time.Now().Unix())}, err)
}

func Check(document string, stamp Stamp) types.Result[bool, string] {
	digest, err := digestOf(document)
	return result(digest == strings.ToLower(stamp.Digest), err)
}

// SHA-256 in hex digits, computed by the enclave.
func digestOf(document string) (string, error) {
	normal := text.Normal(document)
	if normal == "" {
		return "", errors.New("there is nothing in the document")
	}
	digest := crypto.Digest(crypto.DigestAlgorithmSha256, []byte(normal))
	if digest.IsErr() {
		return "", errors.New(digest.Err())
	}
	return hex.EncodeToString(digest.Ok()), nil
}

// Go's way to fail as WIT has it.
func result[T any](value T, err error) types.Result[T, string] {
	if err != nil {
		return types.Err[T](err.Error())
	}
	return types.Ok[T, string](value)
}
