package webauthn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"math/big"
)

// Algorithms are those that we take, the first rather than the others, by their numbers at
// https://www.iana.org/assignments/cose: ES256, EdDSA on Ed25519, RS256.
var Algorithms = []int{es256, edDSA, rs256}

const (
	es256 = -7
	edDSA = -8
	rs256 = -257
)

var errKey = errors.New("no public key of an algorithm that we take")

// A publicKey is an *ecdsa.PublicKey, an ed25519.PublicKey or an *rsa.PublicKey.
type publicKey struct{ crypto.PublicKey }

// parseKey reads a key as COSE encodes it (RFC 9053).
func parseKey(encoded []byte) (publicKey, error) {
	item, rest, err := decode(encoded)
	if err != nil || len(rest) > 0 {
		return publicKey{}, errKey
	}
	fields, _ := item.(map[any]any)
	number := func(label int64) int64 { n, _ := fields[label].(int64); return n }
	octets := func(label int64) []byte { b, _ := fields[label].([]byte); return b }
	switch kind, algorithm, curve := number(1), number(3), number(-1); {
	case kind == 2 && algorithm == es256 && curve == 1 && len(octets(-2)) == 32 && len(octets(-3)) == 32:
		point := append(append([]byte{4}, octets(-2)...), octets(-3)...)
		if key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point); err == nil { // on the curve
			return publicKey{key}, nil
		}
	case kind == 1 && algorithm == edDSA && curve == 6 && len(octets(-2)) == ed25519.PublicKeySize:
		return publicKey{ed25519.PublicKey(octets(-2))}, nil
	case kind == 3 && algorithm == rs256:
		n, e := new(big.Int).SetBytes(octets(-1)), new(big.Int).SetBytes(octets(-2))
		if bits := n.BitLen(); bits >= 2048 && bits <= 4096 && e.BitLen() <= 31 && e.Bit(0) == 1 && e.Int64() > 1 {
			return publicKey{&rsa.PublicKey{N: n, E: int(e.Int64())}}, nil
		}
	}
	return publicKey{}, errKey
}

func (k publicKey) verify(message, signature []byte) bool {
	hash := sha256.Sum256(message)
	switch key := k.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, hash[:], signature)
	case ed25519.PublicKey:
		return ed25519.Verify(key, message, signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, hash[:], signature) == nil
	}
	return false
}
