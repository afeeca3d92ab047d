// Package oracle compares our own checks of passkeys with those of another library, on good
// answers and on such as were changed in every way that we know. It is a module of its own,
// so that nothing of the library is in the program.
package oracle

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"lastseen/app/webauthn"
	"lastseen/app/webauthn/webauthntest"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	theirs "github.com/go-webauthn/webauthn/webauthn"
)

const host, origin = "auth.home.example", "https://auth.home.example"

var handle = []byte("0123456789abcdef")

// A user as the library wants one.
type user struct{ passkeys []theirs.Credential }

func (u user) WebAuthnID() []byte                       { return handle }
func (u user) WebAuthnName() string                     { return "ada" }
func (u user) WebAuthnDisplayName() string              { return "Ada" }
func (u user) WebAuthnCredentials() []theirs.Credential { return u.passkeys }

var library = func() *theirs.WebAuthn {
	w, err := theirs.New(&theirs.Config{RPID: host, RPDisplayName: host, RPOrigins: []string{origin}})
	if err != nil {
		panic(err)
	}
	return w
}()

// session is what the library keeps of our request.
func session(r webauthn.Request) theirs.SessionData {
	s := theirs.SessionData{
		Challenge: base64.RawURLEncoding.EncodeToString(r.Challenge), RelyingPartyID: r.RPID, UserID: r.User,
		AllowedCredentialIDs: r.Allowed, Expires: r.Expires, UserVerification: protocol.UserVerificationRequirement(r.Verification),
		Extensions: protocol.AuthenticationExtensions{CredProps: r.Type == webauthn.Create}.Session(),
	}
	for _, algorithm := range webauthn.Algorithms {
		s.CredParams = append(s.CredParams, protocol.CredentialParameter{Type: "public-key", Algorithm: webauthncose.COSEAlgorithmIdentifier(algorithm)})
	}
	return s
}

// A trial is a passkey that answers a request.
type trial struct {
	*webauthntest.Passkey
	r     webauthn.Request
	count uint32 // of the passkey's uses, as it is stored
	flags webauthn.Flags
	other func(answer map[string]any) // changes the answer
}

// edit changes a binary member of the answer's response.
func edit(name string, change func([]byte) []byte) func(*trial) {
	return func(t *trial) {
		t.other = func(answer map[string]any) {
			response := answer["response"].(map[string]any)
			text, _ := response[name].(string)
			b, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil {
				panic(err)
			}
			response[name] = base64.RawURLEncoding.EncodeToString(change(b))
		}
	}
}

func client(members map[string]any) func(*trial) { return func(t *trial) { t.Client = members } }
func flags(f webauthn.Flags) func(*trial)        { return func(t *trial) { t.Flags = f } }

func member(name string, value any) func(*trial) {
	return func(t *trial) { t.other = func(answer map[string]any) { answer[name] = value } }
}

func response(name string, value any) func(*trial) {
	return func(t *trial) {
		t.other = func(answer map[string]any) { answer["response"].(map[string]any)[name] = value }
	}
}

const present, verified = webauthn.UserPresent, webauthn.UserVerified

// both are the changes that are tried on answers of both kinds.
var both = map[string]func(*trial){
	"nothing":                     func(*trial) {},
	"user present alone":          flags(present),
	"user verified alone":         flags(verified),
	"no flags":                    flags(0),
	"verified where it must be":   func(t *trial) { t.r.Verification = webauthn.Required },
	"unverified where it must be": func(t *trial) { t.r.Verification, t.Flags = webauthn.Required, present },
	"unverified where it need not": func(t *trial) {
		t.r.Verification, t.Flags = webauthn.Discouraged, present
	},
	"eligible for backup": func(t *trial) { t.Flags |= webauthn.BackupEligible; t.flags |= webauthn.BackupEligible },
	"backed up": func(t *trial) {
		t.Flags |= webauthn.BackupEligible | webauthn.BackedUp
		t.flags |= webauthn.BackupEligible
	},
	"backed up, and not eligible":   func(t *trial) { t.Flags |= webauthn.BackedUp },
	"a reserved flag":               func(t *trial) { t.Flags |= 1 << 1 },
	"the other reserved flag":       func(t *trial) { t.Flags |= 1 << 5 },
	"extensions that are not there": func(t *trial) { t.Flags |= 1 << 7 },
	"another relying party":         func(t *trial) { t.RPID = "home.example" },
	"no relying party":              func(t *trial) { t.RPID = "" },
	"another origin":                func(t *trial) { t.Origin = "https://evil.example" },
	"a subdomain":                   func(t *trial) { t.Origin = "https://x." + host },
	"the parent's origin":           func(t *trial) { t.Origin = "https://home.example" },
	"over http":                     func(t *trial) { t.Origin = "http://" + host },
	"another port":                  func(t *trial) { t.Origin = origin + ":8443" },
	"an origin with a path":         func(t *trial) { t.Origin = origin + "/" },
	"an origin that begins alike":   func(t *trial) { t.Origin = origin + ".evil.example" },
	"an origin in capitals":         func(t *trial) { t.Origin = "https://AUTH.HOME.EXAMPLE" },
	"no origin":                     func(t *trial) { t.Origin = "" },
	"the null origin":               func(t *trial) { t.Origin = "null" },
	"an app's origin":               func(t *trial) { t.Origin = "android:apk-key-hash:x" },
	"in a frame":                    client(map[string]any{"crossOrigin": true}),
	"in a frame of ours":            client(map[string]any{"crossOrigin": true, "topOrigin": origin}),
	"a top origin alone":            client(map[string]any{"topOrigin": "https://evil.example"}),
	"crossOrigin that is no truth":  client(map[string]any{"crossOrigin": "true"}),
	"more in the client data":       client(map[string]any{"other_keys_can_be_added_here": "do not compare clientDataJSON against a template"}),
	"a bound token":                 client(map[string]any{"tokenBinding": map[string]any{"status": "present", "id": "x"}}),
	"a token that could be bound":   client(map[string]any{"tokenBinding": map[string]any{"status": "supported"}}),
	"another challenge":             client(map[string]any{"challenge": base64.RawURLEncoding.EncodeToString(make([]byte, 32))}),
	"no challenge":                  client(map[string]any{"challenge": ""}),
	"a challenge that is a number":  client(map[string]any{"challenge": 1}),
	"the other type": func(t *trial) {
		t.Type = map[string]string{webauthn.Create: webauthn.Get, webauthn.Get: webauthn.Create}[t.r.Type]
	},
	"a type of nobody's":             func(t *trial) { t.Type = "payment.get" },
	"client data cut short":          edit("clientDataJSON", func(b []byte) []byte { return b[:len(b)-1] }),
	"client data with more after it": edit("clientDataJSON", func(b []byte) []byte { return append(b, "{}"...) }),
	"client data that is empty":      edit("clientDataJSON", func([]byte) []byte { return nil }),
	"client data that is a list":     edit("clientDataJSON", func([]byte) []byte { return []byte("[]") }),
	"too late":                       func(t *trial) { t.r.Expires = time.Now().Add(-time.Minute) },
	"no public key":                  member("type", "password"),
	"no type":                        member("type", ""),
	"no id":                          member("rawId", ""),
	"another id": func(t *trial) {
		member("rawId", "AAAA")(t)
		other := t.other
		t.other = func(a map[string]any) { other(a); a["id"] = "AAAA" }
	},
	"an id that is no base64url": member("rawId", "a b"),
	"an attachment":              member("authenticatorAttachment", "platform"),
}

// of are those that are tried on one kind.
var of = map[string]map[string]func(*trial){
	webauthn.Create: {
		"an attestation that is cut short":  edit("attestationObject", func(b []byte) []byte { return b[:len(b)-1] }),
		"an attestation with more after it": edit("attestationObject", func(b []byte) []byte { return append(b, 0) }),
		"no attestation":                    edit("attestationObject", func([]byte) []byte { return nil }),
		"an attestation that is text":       edit("attestationObject", func([]byte) []byte { return []byte("\x63abc") }),
		"nothing attested": edit("attestationObject", func(b []byte) []byte {
			return slices.Replace(b, at(b, "authData")+2+33, len(b), append([]byte{0, 0, 0, 0, 0}[:4], 0)...)
		}),
		"another id within":      edit("attestationObject", func(b []byte) []byte { b[at(b, "authData")+2+37+18] ^= 1; return b }),
		"the attested flag gone": edit("attestationObject", func(b []byte) []byte { b[at(b, "authData")+2+32] &^= 1 << 6; return b }),
		"an id that is longer than the data": edit("attestationObject", func(b []byte) []byte {
			b[at(b, "authData")+2+37+16] = 0xff
			return b
		}),
		"an algorithm that the key is not of": edit("attestationObject", func(b []byte) []byte {
			return bytes.Replace(b, []byte("\x01\x02\x03\x26"), []byte("\x01\x02\x03\x27"), 1)
		}),
		"a key with another last byte":     edit("attestationObject", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }),
		"an attestation of another format": edit("attestationObject", func(b []byte) []byte { return bytes.Replace(b, []byte("none"), []byte("nine"), 1) }),
		"transports that we do not know":   response("transports", []string{"pigeon"}),
		"no transports":                    response("transports", nil),
	},
	webauthn.Get: {
		"a signature that is not":          edit("signature", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }),
		"a signature that is cut short":    edit("signature", func(b []byte) []byte { return b[:len(b)-1] }),
		"a signature with more after it":   edit("signature", func(b []byte) []byte { return append(b, 0) }),
		"no signature":                     edit("signature", func([]byte) []byte { return nil }),
		"data that was changed":            edit("authenticatorData", func(b []byte) []byte { b[36] ^= 1; return b }),
		"data that is cut short":           edit("authenticatorData", func(b []byte) []byte { return b[:36] }),
		"data with more after it":          edit("authenticatorData", func(b []byte) []byte { return append(b, 0) }),
		"no data":                          edit("authenticatorData", func([]byte) []byte { return nil }),
		"another's key":                    func(t *trial) { t.Signer = webauthntest.New(host, origin, -7).Signer },
		"another's handle":                 func(t *trial) { t.User = []byte("another's handle") },
		"no handle":                        func(t *trial) { t.User = nil },
		"found without a name":             func(t *trial) { t.r.User = nil },
		"found without a name, another's":  func(t *trial) { t.r.User, t.User = nil, []byte("another's handle") },
		"found without a name or a handle": func(t *trial) { t.r.User, t.User = nil, nil },
		"one that was asked for":           func(t *trial) { t.r.Allowed = [][]byte{t.ID} },
		"a count that goes up":             func(t *trial) { t.count, t.Count = 5, 6 },
		"a count that stays":               func(t *trial) { t.count, t.Count = 5, 5 },
		"a count that goes back":           func(t *trial) { t.count, t.Count = 5, 4 },
		"a count that is gone":             func(t *trial) { t.count, t.Count = 5, 0 },
		"a count that begins":              func(t *trial) { t.count, t.Count = 0, 1 },
		"not eligible for backup any more": func(t *trial) { t.flags |= webauthn.BackupEligible },
		"eligible for backup by now":       func(t *trial) { t.Flags |= webauthn.BackupEligible },
	},
}

// at is where the bytes of a member of a CBOR map begin: at their length of two bytes.
func at(b []byte, name string) int { return bytes.Index(b, []byte(name)) + len(name) + 1 }

// differences are where the two part, and why we do as we do, by the kind of answer, the
// algorithm where not all do, and the change.
var differences = map[string]struct {
	take bool
	why  string
}{
	"webauthn.create an origin in capitals":                  {false, "a browser writes an origin in one way: https://www.w3.org/TR/webauthn-3/#sctn-validating-origin compares it whole"},
	"webauthn.get an origin in capitals":                     {false, "as above"},
	"webauthn.create an origin with a path":                  {false, "as above: an origin has none"},
	"webauthn.get an origin with a path":                     {false, "as above"},
	"webauthn.create -7 an algorithm that the key is not of": {false, "a key that can never verify anything is refused when it comes"},
	"webauthn.create -7 a key with another last byte":        {false, "as above: that point is on no curve"},
	"webauthn.create -257 a key with another last byte":      {false, "as above: no such exponent is odd"},
	"webauthn.create an attestation of another format":       {true, "none was asked for, and what is attested of a make is not looked at: there is no make that we refuse"},
	"webauthn.get not eligible for backup any more":          {true, "keychains change it when they begin or end to be synchronized, and the passkey is the same"},
	"webauthn.get eligible for backup by now":                {true, "as above"},
}

func TestAgainstALibrary(t *testing.T) {
	for _, kind := range []string{webauthn.Create, webauthn.Get} {
		for _, algorithm := range webauthn.Algorithms {
			for name, change := range all(kind) {
				t.Run(fmt.Sprintf("%s/%d/%s", kind, algorithm, name), func(t *testing.T) {
					compare(t, kind, name, algorithm, change)
				})
			}
		}
	}
}

// Whatever becomes of a byte, and wherever an answer ends, we take nothing that the library
// refuses, but for the name of the attestation's format. It takes some that we refuse: keys
// that verify nothing, and members whose names are in another case.
func TestChangedBytes(t *testing.T) {
	for _, part := range []struct{ kind, name string }{{webauthn.Create, "attestationObject"}, {webauthn.Get, "authenticatorData"}, {webauthn.Get, "signature"}} {
		for _, algorithm := range webauthn.Algorithms[:2] {
			tr, key, good := answered(part.kind, algorithm, func(*trial) {})
			var answer map[string]any
			if err := json.Unmarshal([]byte(good), &answer); err != nil {
				t.Fatal(err)
			}
			response := answer["response"].(map[string]any)
			whole, err := base64.RawURLEncoding.DecodeString(response[part.name].(string))
			if err != nil {
				t.Fatal(err)
			}
			try := func(what string, changed []byte) {
				response[part.name] = base64.RawURLEncoding.EncodeToString(changed)
				text, err := json.Marshal(answer)
				if err != nil {
					t.Fatal(err)
				}
				ours, their := tr.ours(string(text), key, time.Now()), tr.theirs(string(text), key)
				if ours == nil && their != nil {
					t.Errorf("%s %d, %s: we take what they refuse: %v", part.name, algorithm, what, their)
				}
			}
			format := bytes.Index(whole, []byte("none"))
			for i := range whole {
				if format >= 0 && i >= format && i < format+len("none") {
					continue
				}
				try(fmt.Sprintf("cut at %d", i), whole[:i])
				for _, bits := range []byte{1, 0x20, 0x80, 0xff} {
					changed := slices.Clone(whole)
					changed[i] ^= bits
					try(fmt.Sprintf("byte %d of %d ^ %#x", i, len(whole), bits), changed)
				}
			}
		}
	}
}

func all(kind string) map[string]func(*trial) {
	changes := map[string]func(*trial){}
	for _, some := range []map[string]func(*trial){both, of[kind]} {
		for name, change := range some {
			changes[name] = change
		}
	}
	return changes
}

// signers are a key for each algorithm, since some take long to make.
var signers = func() map[int]crypto.Signer {
	all := map[int]crypto.Signer{}
	for _, algorithm := range webauthn.Algorithms {
		all[algorithm] = webauthntest.New(host, origin, algorithm).Signer
	}
	return all
}()

// answered is what a passkey says that is good but for a change.
func answered(kind string, algorithm int, change func(*trial)) (tr *trial, key []byte, text string) {
	now := time.Now()
	tr = &trial{Passkey: webauthntest.New(host, origin, webauthn.Algorithms[0]), flags: present | verified}
	tr.User, tr.Signer = handle, signers[algorithm]
	key = webauthntest.COSE(tr.Signer.Public())
	tr.r = webauthn.NewRequest(kind, host, origin, now.Add(time.Minute))
	tr.r.User = handle
	change(tr)
	if r := tr.r; kind == webauthn.Create {
		text = tr.Create(r.Make("ada", "Ada", nil, now))
	} else {
		text = tr.Get(r.Ask(nil, now))
	}
	if tr.other == nil {
		return tr, key, text
	}
	var answer map[string]any
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		panic(err)
	}
	tr.other(answer)
	changed, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	return tr, key, string(changed)
}

func compare(t *testing.T, kind, name string, algorithm int, change func(*trial)) {
	tr, key, text := answered(kind, algorithm, change)
	ours, their := tr.ours(text, key, time.Now()), tr.theirs(text, key)
	t.Logf("ours: %v; theirs: %v", ours, their)
	differs, ok := differences[kind+" "+name]
	if !ok {
		differs, ok = differences[fmt.Sprintf("%s %d %s", kind, algorithm, name)]
	}
	if ok {
		if (ours == nil) == (their == nil) || (ours == nil) != differs.take {
			t.Errorf("they differ no more, or otherwise: ours %v, theirs %v", ours, their)
		}
		return
	}
	if (ours == nil) != (their == nil) {
		t.Errorf("ours %v, theirs %v", ours, their)
	}
	if name == "nothing" && ours != nil {
		t.Error("what is good is refused")
	}
}

// ours is why we refuse an answer.
func (tr *trial) ours(text string, key []byte, now time.Time) error {
	a, err := webauthn.Parse([]byte(text))
	if err != nil {
		return err
	}
	if tr.r.Type == webauthn.Create {
		_, err = tr.r.Register(a, now)
		return err
	}
	_, err = tr.r.Verify(a, webauthn.Credential{ID: tr.ID, Key: key, Flags: tr.flags, Count: tr.count}, handle, now)
	return err
}

// theirs is why the library does. That it warns of a copy is a refusal: whoever uses it is to
// refuse then.
func (tr *trial) theirs(text string, key []byte) error {
	if tr.r.Type == webauthn.Create {
		parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(text))
		if err == nil {
			_, err = library.CreateCredential(user{}, session(tr.r), parsed)
		}
		return err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(text))
	if err != nil {
		return err
	}
	owner := user{[]theirs.Credential{{ID: tr.ID, PublicKey: key, AttestationType: "none", AttestationFormat: "none",
		Flags:         theirs.NewCredentialFlags(protocol.AuthenticatorFlags(tr.flags)),
		Authenticator: theirs.Authenticator{AAGUID: make([]byte, 16), SignCount: tr.count}}}}
	var c *theirs.Credential
	if tr.r.User == nil {
		_, c, err = library.ValidatePasskeyLogin(func(_, given []byte) (theirs.User, error) {
			if !bytes.Equal(given, handle) {
				return nil, errors.New("nobody")
			}
			return owner, nil
		}, session(tr.r), parsed)
	} else {
		c, err = library.ValidateLogin(owner, session(tr.r), parsed)
	}
	if err == nil && c.Authenticator.CloneWarning {
		err = errors.New("a copy")
	}
	return err
}
