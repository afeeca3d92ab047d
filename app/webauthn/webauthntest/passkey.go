// Package webauthntest is a passkey in software, for tests: it answers as a browser and its
// authenticator do, or as one that lies would.
package webauthntest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"

	"lastseen/app/webauthn"
)

// A Passkey answers requests. Its fields may be changed between answers.
type Passkey struct {
	RPID, Origin string
	ID, User     []byte
	AAGUID       [16]byte
	Flags        webauthn.Flags
	Count        uint32 // of the next answer; it goes up by itself unless it is 0
	Signer       crypto.Signer
	Type         string         // what it says that it was asked, if that is not true
	Client       map[string]any // more of the client data
}

// New is a passkey that verifies its user, of one of [webauthn.Algorithms].
func New(rpID, origin string, algorithm int) *Passkey {
	id := make([]byte, 16)
	rand.Read(id) // never fails
	return &Passkey{RPID: rpID, Origin: origin, ID: id, Flags: webauthn.UserPresent | webauthn.UserVerified, Signer: signer(algorithm)}
}

func signer(algorithm int) (s crypto.Signer) {
	var err error
	switch algorithm {
	case webauthn.Algorithms[1]:
		_, s, err = ed25519.GenerateKey(rand.Reader)
	case webauthn.Algorithms[2]:
		s, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		s, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		panic(err)
	}
	return s
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Create answers the options of a request for a new passkey, for the user in them.
func (p *Passkey) Create(options webauthn.Options) string {
	if options.User != nil {
		p.User, _ = base64.RawURLEncoding.DecodeString(options.User.ID)
	}
	data := p.data(true)
	object := append([]byte("\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59"), byte(len(data)>>8), byte(len(data)))
	discoverable := true
	return p.answer(map[string]any{
		"clientDataJSON": encode(p.client(webauthn.Create, options)), "attestationObject": encode(append(object, data...)), "transports": []string{"internal"},
	}, &discoverable)
}

// Get answers the options of a request.
func (p *Passkey) Get(options webauthn.Options) string {
	client, data := p.client(webauthn.Get, options), p.data(false)
	hash := sha256.Sum256(client)
	signed := append(append([]byte{}, data...), hash[:]...)
	var signature []byte
	var err error
	if _, whole := p.Signer.(ed25519.PrivateKey); whole {
		signature, err = p.Signer.Sign(rand.Reader, signed, crypto.Hash(0))
	} else {
		digest := sha256.Sum256(signed)
		signature, err = p.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	}
	if err != nil {
		panic(err)
	}
	return p.answer(map[string]any{
		"clientDataJSON": encode(client), "authenticatorData": encode(data), "signature": encode(signature), "userHandle": encode(p.User),
	}, nil)
}

func (p *Passkey) answer(response map[string]any, discoverable *bool) string {
	answer := map[string]any{"id": encode(p.ID), "rawId": encode(p.ID), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{}}
	if discoverable != nil {
		answer["clientExtensionResults"] = map[string]any{"credProps": map[string]any{"rk": *discoverable}}
	}
	text, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (p *Passkey) client(typ string, options webauthn.Options) []byte {
	if p.Type != "" {
		typ = p.Type
	}
	client := map[string]any{"type": typ, "challenge": options.Challenge, "origin": p.Origin, "crossOrigin": false}
	for name, value := range p.Client {
		client[name] = value
	}
	text, err := json.Marshal(client)
	if err != nil {
		panic(err)
	}
	return text
}

func (p *Passkey) data(attested bool) []byte {
	rp := sha256.Sum256([]byte(p.RPID))
	flags := byte(p.Flags)
	if attested {
		flags |= 1 << 6
	}
	data := binary.BigEndian.AppendUint32(append(rp[:], flags), p.Count)
	if p.Count > 0 {
		p.Count++
	}
	if !attested {
		return data
	}
	data = append(data, p.AAGUID[:]...)
	data = append(binary.BigEndian.AppendUint16(data, uint16(len(p.ID))), p.ID...)
	return append(data, COSE(p.Signer.Public())...)
}

// COSE encodes a public key.
func COSE(key crypto.PublicKey) []byte {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			panic(err)
		}
		encoded := append([]byte("\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"), point[1:33]...)
		return append(append(encoded, "\x22\x58\x20"...), point[33:]...)
	case ed25519.PublicKey:
		return append([]byte("\xa4\x01\x01\x03\x27\x20\x06\x21\x58\x20"), key...)
	case *rsa.PublicKey:
		encoded := append([]byte("\xa4\x01\x03\x03\x39\x01\x00\x20\x59\x01\x00"), key.N.FillBytes(make([]byte, 256))...)
		return append(encoded, "\x21\x43\x01\x00\x01"...)
	}
	panic("no such key")
}
