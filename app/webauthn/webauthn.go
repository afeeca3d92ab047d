// Package webauthn asks for passkeys and checks what they answer, as Web Authentication
// Level 3 says (https://www.w3.org/TR/webauthn-3/): the part of it that asks for no
// attestation, which is all that a relying party needs that takes any make of passkey.
// It knows no users, and stores nothing.
package webauthn

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Flags are what an authenticator says of itself with each answer.
type Flags byte

// The flags.
const (
	UserPresent    Flags = 1 << 0 // somebody touched it
	UserVerified   Flags = 1 << 2 // it knows who: by a PIN, a finger, a face
	BackupEligible Flags = 1 << 3 // the passkey may be on several devices
	BackedUp       Flags = 1 << 4 // it is
	attested       Flags = 1 << 6 // a credential follows
	extended       Flags = 1 << 7 // extensions follow
)

// Has reports whether all of these are set.
func (f Flags) Has(flags Flags) bool { return f&flags == flags }

var (
	// ErrAnswer says that an answer is none, or not to what was asked.
	ErrAnswer = errors.New("not an answer to this request")
	// ErrUnverified says that the passkey did not verify its user, where that was asked for.
	ErrUnverified = errors.New("the passkey did not verify its user")
	// ErrCloned says that a passkey's count of uses went back: there are two of it.
	ErrCloned = errors.New("the passkey was used elsewhere since, or is a copy")
)

// A Request is what a browser is asked for. The whole of it is kept until the answer comes,
// and good for one.
type Request struct {
	Type         string    `json:"type"` // of the answer: create or get
	RPID         string    `json:"rp_id"`
	Origin       string    `json:"origin"`
	Challenge    []byte    `json:"challenge"`
	User         []byte    `json:"user,omitempty"`    // whose passkey; none for whoever has one
	Allowed      [][]byte  `json:"allowed,omitempty"` // the passkeys that may answer; none for any
	Verification string    `json:"verification"`      // of the user: Required and so on
	Expires      time.Time `json:"expires"`
}

// The types of answers.
const (
	Create = "webauthn.create"
	Get    = "webauthn.get"
)

// What is asked of the authenticator: to find out that it is its user, by a PIN, a finger, a
// face. Only the first is checked.
const (
	Required    = "required"
	Preferred   = "preferred"
	Discouraged = "discouraged"
)

// NewRequest begins one, with a challenge of its own.
func NewRequest(typ, rpID, origin string, expires time.Time) Request {
	challenge := make([]byte, 32)
	rand.Read(challenge) // never fails
	return Request{Type: typ, RPID: rpID, Origin: origin, Challenge: challenge, Verification: Preferred, Expires: expires}
}

// A Credential is all that is known of a passkey.
type Credential struct {
	ID         []byte   `json:"id"`
	Key        []byte   `json:"key"` // the public one, as COSE encodes it
	Flags      Flags    `json:"flags"`
	Count      uint32   `json:"count"` // of its uses; 0 where it does not count
	AAGUID     []byte   `json:"aaguid"`
	Transports []string `json:"transports,omitempty"`
}

// An Answer is what a browser sends, as PublicKeyCredential.toJSON writes it.
type Answer struct {
	ID       base64URL `json:"rawId"`
	Type     string    `json:"type"`
	Response struct {
		ClientData        base64URL `json:"clientDataJSON"`
		AttestationObject base64URL `json:"attestationObject"` // of create
		Transports        []string  `json:"transports"`
		AuthenticatorData base64URL `json:"authenticatorData"` // of get
		Signature         base64URL `json:"signature"`
		UserHandle        base64URL `json:"userHandle"` // of a passkey that is found without a name
	} `json:"response"`
	Extensions struct {
		CredProps struct {
			Discoverable *bool `json:"rk"`
		} `json:"credProps"`
	} `json:"clientExtensionResults"`
}

type base64URL []byte

func (b *base64URL) UnmarshalText(text []byte) (err error) {
	*b, err = base64.RawURLEncoding.Strict().DecodeString(string(bytes.TrimRight(text, "=")))
	return err
}

// Parse reads an answer, or is ErrAnswer.
func Parse(text []byte) (a Answer, err error) {
	if err := json.Unmarshal(text, &a); err != nil {
		return a, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if a.Type != "public-key" || len(a.ID) == 0 || len(a.ID) > maxID {
		return a, fmt.Errorf("%w: no public key", ErrAnswer)
	}
	return a, nil
}

const maxID = 1023 // bytes, as the standard bounds a credential's

// Register checks the answer to a request for a new passkey, and returns it.
func (r Request) Register(a Answer, now time.Time) (c Credential, err error) {
	if err := r.checkClient(Create, a, now); err != nil {
		return c, err
	}
	object, rest, err := decode(a.Response.AttestationObject)
	if err != nil || len(rest) > 0 {
		return c, fmt.Errorf("%w: attestation object: %v", ErrAnswer, err)
	}
	fields, _ := object.(map[any]any)
	_, format := fields["fmt"].(string)
	_, statement := fields["attStmt"].(map[any]any)
	if !format || !statement { // what it attests was not asked for, and is not looked at
		return c, fmt.Errorf("%w: attestation object", ErrAnswer)
	}
	raw, _ := fields["authData"].([]byte)
	data, err := parseData(raw)
	if err == nil {
		err = r.checkData(data)
	}
	if err != nil {
		return c, err
	}
	if !data.flags.Has(attested) || !bytes.Equal(data.id, a.ID) {
		return c, fmt.Errorf("%w: no credential, or another", ErrAnswer)
	}
	if _, err := parseKey(data.key); err != nil {
		return c, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	c = Credential{ID: data.id, Key: data.key, Flags: data.flags, Count: data.count, AAGUID: data.aaguid}
	for _, t := range a.Response.Transports { // they are handed back to browsers, in every request
		if len(c.Transports) < 8 && len(t) <= 20 {
			c.Transports = append(c.Transports, t)
		}
	}
	return c, nil
}

// Verify checks the answer of a passkey, whose user has this handle, and returns the
// passkey as it is from now on. Whether a passkey may be copied can change, as it does when
// a keychain begins to be synchronized; a count that goes back is ErrCloned.
func (r Request) Verify(a Answer, c Credential, user []byte, now time.Time) (Credential, error) {
	if err := r.checkClient(Get, a, now); err != nil {
		return c, err
	}
	allowed := len(r.Allowed) == 0 || slices.ContainsFunc(r.Allowed, func(id []byte) bool { return bytes.Equal(id, a.ID) })
	if !bytes.Equal(a.ID, c.ID) || !allowed {
		return c, fmt.Errorf("%w: another passkey", ErrAnswer)
	}
	if len(r.User) > 0 && !bytes.Equal(r.User, user) {
		return c, fmt.Errorf("%w: another user", ErrAnswer)
	}
	// Without a name that was given first, the passkey itself has to say whose it is.
	if handle := a.Response.UserHandle; !bytes.Equal(handle, user) && (len(r.User) == 0 || len(handle) > 0) {
		return c, fmt.Errorf("%w: of another user", ErrAnswer)
	}
	data, err := parseData(a.Response.AuthenticatorData)
	if err != nil {
		return c, err
	}
	key, err := parseKey(c.Key)
	if err != nil {
		return c, err
	}
	hash := sha256.Sum256(a.Response.ClientData)
	if !key.verify(append(slices.Clone([]byte(a.Response.AuthenticatorData)), hash[:]...), a.Response.Signature) {
		return c, fmt.Errorf("%w: signature", ErrAnswer)
	}
	if err := r.checkData(data); err != nil { // what is not signed is not believed, nor told apart
		return c, err
	}
	if (data.count > 0 || c.Count > 0) && data.count <= c.Count {
		return c, ErrCloned
	}
	c.Flags, c.Count = data.flags, data.count
	return c, nil
}

// checkClient checks what the browser says that it was asked, where, and by whom.
func (r Request) checkClient(typ string, a Answer, now time.Time) error {
	var client struct {
		Type        string    `json:"type"`
		Challenge   base64URL `json:"challenge"`
		Origin      string    `json:"origin"`
		CrossOrigin bool      `json:"crossOrigin"`
		TopOrigin   string    `json:"topOrigin"`
	}
	if err := json.Unmarshal(a.Response.ClientData, &client); err != nil {
		return fmt.Errorf("%w: client data: %w", ErrAnswer, err)
	}
	switch {
	case !now.Before(r.Expires):
		return fmt.Errorf("%w: too late", ErrAnswer)
	case r.Type != typ || client.Type != typ:
		return fmt.Errorf("%w: type %q", ErrAnswer, client.Type)
	case len(r.Challenge) == 0 || subtle.ConstantTimeCompare(client.Challenge, r.Challenge) == 0:
		return fmt.Errorf("%w: challenge", ErrAnswer)
	case client.Origin != r.Origin:
		return fmt.Errorf("%w: origin %q", ErrAnswer, client.Origin)
	case client.CrossOrigin || client.TopOrigin != "":
		return fmt.Errorf("%w: within a page of another origin", ErrAnswer)
	}
	return nil
}

// checkData checks what the authenticator says of where it was asked, and of the user.
func (r Request) checkData(d authenticatorData) error {
	switch rp := sha256.Sum256([]byte(r.RPID)); {
	case !bytes.Equal(d.rpHash, rp[:]):
		return fmt.Errorf("%w: for another relying party", ErrAnswer)
	case !d.flags.Has(UserPresent):
		return fmt.Errorf("%w: nobody was there", ErrAnswer)
	case d.flags.Has(BackedUp) && !d.flags.Has(BackupEligible):
		return fmt.Errorf("%w: backed up, and not eligible for that", ErrAnswer)
	case r.Verification == Required && !d.flags.Has(UserVerified):
		return ErrUnverified
	}
	return nil
}

// authenticatorData is what the authenticator signs, beside the client data's hash.
// https://www.w3.org/TR/webauthn-3/#sctn-authenticator-data
type authenticatorData struct {
	rpHash          []byte
	flags           Flags
	count           uint32
	aaguid, id, key []byte // of a new credential
}

func parseData(raw []byte) (d authenticatorData, err error) {
	short := fmt.Errorf("%w: authenticator data", ErrAnswer)
	if len(raw) < 37 {
		return d, short
	}
	d = authenticatorData{rpHash: raw[:32], flags: Flags(raw[32]), count: binary.BigEndian.Uint32(raw[33:37])}
	rest := raw[37:]
	if d.flags.Has(attested) {
		if len(rest) < 18 {
			return d, short
		}
		n := int(binary.BigEndian.Uint16(rest[16:18]))
		if n == 0 || n > maxID || len(rest) < 18+n {
			return d, short
		}
		d.aaguid, d.id = rest[:16], rest[18:18+n]
		_, after, err := decode(rest[18+n:])
		if err != nil {
			return d, fmt.Errorf("%w: %w", short, err)
		}
		d.key, rest = rest[18+n:len(rest)-len(after)], after
	}
	if d.flags.Has(extended) {
		if _, rest, err = decode(rest); err != nil {
			return d, fmt.Errorf("%w: %w", short, err)
		}
	}
	if len(rest) > 0 {
		return d, short
	}
	return d, nil
}
