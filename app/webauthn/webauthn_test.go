package webauthn_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"lastseen/app/webauthn"
	"lastseen/app/webauthn/webauthntest"
)

var (
	now  = time.Date(2026, 11, 9, 14, 3, 0, 0, time.UTC)
	user = []byte("0123456789abcdef")
)

const rpID, origin = "auth.home.example", "https://auth.home.example"

// registered is a passkey, and what is known of it.
func registered(t testing.TB, algorithm int) (*webauthntest.Passkey, webauthn.Credential) {
	t.Helper()
	p := webauthntest.New(rpID, origin, algorithm)
	r := webauthn.NewRequest(webauthn.Create, rpID, origin, now.Add(time.Minute))
	r.User = user
	a, err := webauthn.Parse([]byte(p.Create(r.Make("ada", "Ada", nil, now))))
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Register(a, now)
	if err != nil || !bytes.Equal(c.ID, p.ID) || !bytes.Equal(p.User, user) || !c.Flags.Has(p.Flags) || !*a.Extensions.CredProps.Discoverable || !slices.Equal(c.Transports, []string{"internal"}) {
		t.Fatalf("got %+v, %v", c, err)
	}
	return p, c
}

func TestRegister(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(p *webauthntest.Passkey, r *webauthn.Request)
		want   error
	}{
		"good":              {func(p *webauthntest.Passkey, r *webauthn.Request) {}, nil},
		"without verifying": {func(p *webauthntest.Passkey, r *webauthn.Request) { p.Flags = webauthn.UserPresent }, nil},
		"that must be verified": {func(p *webauthntest.Passkey, r *webauthn.Request) {
			p.Flags = webauthn.UserPresent
			r.Verification = webauthn.Required
		}, webauthn.ErrUnverified},
		"nobody there":         {func(p *webauthntest.Passkey, r *webauthn.Request) { p.Flags = webauthn.UserVerified }, webauthn.ErrAnswer},
		"backed up impossibly": {func(p *webauthntest.Passkey, r *webauthn.Request) { p.Flags |= webauthn.BackedUp }, webauthn.ErrAnswer},
		"backed up": {func(p *webauthntest.Passkey, r *webauthn.Request) {
			p.Flags |= webauthn.BackedUp | webauthn.BackupEligible
		}, nil},
		"another relying party":  {func(p *webauthntest.Passkey, r *webauthn.Request) { p.RPID = "home.example" }, webauthn.ErrAnswer},
		"another origin":         {func(p *webauthntest.Passkey, r *webauthn.Request) { p.Origin = "https://app.home.example" }, webauthn.ErrAnswer},
		"over http":              {func(p *webauthntest.Passkey, r *webauthn.Request) { p.Origin = "http://auth.home.example" }, webauthn.ErrAnswer},
		"in a frame":             {func(p *webauthntest.Passkey, r *webauthn.Request) { p.Client = map[string]any{"crossOrigin": true} }, webauthn.ErrAnswer},
		"under another page":     {func(p *webauthntest.Passkey, r *webauthn.Request) { p.Client = map[string]any{"topOrigin": origin} }, webauthn.ErrAnswer},
		"another challenge":      {func(p *webauthntest.Passkey, r *webauthn.Request) { p.Client = map[string]any{"challenge": "AAAA"} }, webauthn.ErrAnswer},
		"no challenge":           {func(p *webauthntest.Passkey, r *webauthn.Request) { p.Client = map[string]any{"challenge": ""} }, webauthn.ErrAnswer},
		"of another type":        {func(p *webauthntest.Passkey, r *webauthn.Request) { p.Type = webauthn.Get }, webauthn.ErrAnswer},
		"to another request":     {func(p *webauthntest.Passkey, r *webauthn.Request) { r.Type = webauthn.Get }, webauthn.ErrAnswer},
		"too late":               {func(p *webauthntest.Passkey, r *webauthn.Request) { r.Expires = now }, webauthn.ErrAnswer},
		"an id that is too long": {func(p *webauthntest.Passkey, r *webauthn.Request) { p.ID = make([]byte, 1024) }, webauthn.ErrAnswer},
		"no id":                  {func(p *webauthntest.Passkey, r *webauthn.Request) { p.ID = nil }, webauthn.ErrAnswer},
	} {
		for _, algorithm := range webauthn.Algorithms[:2] {
			p := webauthntest.New(rpID, origin, algorithm)
			r := webauthn.NewRequest(webauthn.Create, rpID, origin, now.Add(time.Minute))
			options := r.Make("ada", "Ada", nil, now)
			tt.change(p, &r)
			a, err := webauthn.Parse([]byte(p.Create(options)))
			if err == nil {
				_, err = r.Register(a, now)
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: got %v, want %v", name, err, tt.want)
			}
		}
	}
}

// What a make of authenticator attests is not looked at, but is there.
func TestAttestation(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		want     error
	}{
		{"none", "none", nil},
		{"none", "nine", nil},
		{"none", "\xff\xff\xff\xff", webauthn.ErrAnswer},
		{"\x63fmt", "\x63Fmt", webauthn.ErrAnswer},
		{"\x67attStmt", "\x67AttStmt", webauthn.ErrAnswer},
		{"attStmt\xa0", "attStmt\x80", webauthn.ErrAnswer},
		{"\xa3\x63", "\xa2\x63", webauthn.ErrAnswer},
	} {
		p, r := webauthntest.New(rpID, origin, -7), webauthn.NewRequest(webauthn.Create, rpID, origin, now.Add(time.Minute))
		a, err := webauthn.Parse([]byte(p.Create(r.Make("ada", "Ada", nil, now))))
		if err != nil {
			t.Fatal(err)
		}
		a.Response.AttestationObject = bytes.Replace(a.Response.AttestationObject, []byte(tt.from), []byte(tt.to), 1)
		if _, err := r.Register(a, now); !errors.Is(err, tt.want) {
			t.Errorf("%q as %q: got %v, want %v", tt.from, tt.to, err, tt.want)
		}
	}
}

func TestVerify(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request)
		want   error
	}{
		"good":            {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) {}, nil},
		"of a known user": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) { r.User = user }, nil},
		"of another user": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) { r.User = []byte("x") }, webauthn.ErrAnswer},
		"with another handle": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) {
			r.User, p.User = user, []byte("x")
		}, webauthn.ErrAnswer},
		"a known user, no handle": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) { r.User, p.User = user, nil }, nil},
		"nobody's":                {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) { p.User = nil }, webauthn.ErrAnswer},
		"unverified": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) {
			p.Flags = webauthn.UserPresent
		}, nil},
		"that must be verified": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) {
			p.Flags, r.Verification = webauthn.UserPresent, webauthn.Required
		}, webauthn.ErrUnverified},
		"nobody there": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) {
			p.Flags = webauthn.UserVerified
		}, webauthn.ErrAnswer},
		"becomes eligible": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) {
			p.Flags |= webauthn.BackupEligible | webauthn.BackedUp
		}, nil},
		"backed up impossibly": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) {
			p.Flags |= webauthn.BackedUp
		}, webauthn.ErrAnswer},
		"is eligible no longer": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) {
			c.Flags |= webauthn.BackupEligible
		}, nil},
		"counts on":        {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) { c.Count, p.Count = 7, 8 }, nil},
		"begins to count":  {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) { p.Count = 1 }, nil},
		"counts the same":  {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) { c.Count, p.Count = 7, 7 }, webauthn.ErrCloned},
		"counts back":      {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) { c.Count, p.Count = 7, 3 }, webauthn.ErrCloned},
		"counts no longer": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) { c.Count = 7 }, webauthn.ErrCloned},
		"another key": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) {
			p.Signer = webauthntest.New(rpID, origin, -7).Signer
		}, webauthn.ErrAnswer},
		"another id": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) { p.ID = []byte{1} }, webauthn.ErrAnswer},
		"one that is allowed": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) {
			r.Allowed = [][]byte{{1}, p.ID}
		}, nil},
		"one that is not":       {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) { r.Allowed = [][]byte{{1}} }, webauthn.ErrAnswer},
		"another relying party": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) { p.RPID = "home.example" }, webauthn.ErrAnswer},
		"another origin":        {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) { p.Origin += ":8443" }, webauthn.ErrAnswer},
		"in a frame": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) {
			p.Client = map[string]any{"crossOrigin": true}
		}, webauthn.ErrAnswer},
		"another challenge": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) { r.Challenge = []byte("x") }, webauthn.ErrAnswer},
		"no challenge": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) {
			r.Challenge, p.Client = nil, map[string]any{"challenge": ""}
		}, webauthn.ErrAnswer},
		"of another type":    {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) { p.Type = webauthn.Create }, webauthn.ErrAnswer},
		"to another request": {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) { r.Type = webauthn.Create }, webauthn.ErrAnswer},
		"too late":           {func(p *webauthntest.Passkey, c *webauthn.Credential, r *webauthn.Request) { r.Expires = now }, webauthn.ErrAnswer},
	} {
		for _, algorithm := range webauthn.Algorithms {
			p, c := registered(t, algorithm)
			r := webauthn.NewRequest(webauthn.Get, rpID, origin, now.Add(time.Minute))
			options := r.Ask(nil, now)
			tt.change(p, &c, &r)
			count := p.Count
			a, err := webauthn.Parse([]byte(p.Get(options)))
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.Verify(a, c, user, now)
			if !errors.Is(err, tt.want) {
				t.Errorf("%s, algorithm %d: got %v, want %v", name, algorithm, err, tt.want)
			}
			if err == nil && (got.Flags != p.Flags || got.Count != count) {
				t.Errorf("%s, algorithm %d: got %+v", name, algorithm, got)
			}
		}
	}
}

// What is kept of a request is the whole of it.
func TestRequestIsKept(t *testing.T) {
	p, c := registered(t, -7)
	r := webauthn.NewRequest(webauthn.Get, rpID, origin, now.Add(time.Minute))
	r.User, r.Verification = user, webauthn.Required
	options := r.Ask([]webauthn.Credential{c}, now)
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var kept webauthn.Request
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	a, err := webauthn.Parse([]byte(p.Get(options)))
	if err == nil {
		_, err = kept.Verify(a, c, user, now)
	}
	if err != nil || kept.Verification != webauthn.Required || len(kept.Allowed) != 1 || !kept.Expires.Equal(r.Expires) || options.UserVerification != "required" {
		t.Errorf("got %+v, %v", kept, err)
	}
}

// Whatever the answer, it is one or ErrAnswer, and no changed one is good.
func FuzzAnswer(f *testing.F) {
	p, c := registered(f, -7)
	create := webauthn.NewRequest(webauthn.Create, rpID, origin, now.Add(time.Minute))
	get := webauthn.NewRequest(webauthn.Get, rpID, origin, now.Add(time.Minute))
	good := p.Get(get.Ask(nil, now))
	f.Add(good)
	f.Add(p.Create(create.Make("ada", "", nil, now)))
	f.Add(`{"rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","attestationObject":"o2NmbXRkbm9uZQ"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		a, err := webauthn.Parse([]byte(text))
		if err != nil {
			if !errors.Is(err, webauthn.ErrAnswer) {
				t.Error(err)
			}
			return
		}
		if _, err := create.Register(a, now); err != nil && !errors.Is(err, webauthn.ErrAnswer) {
			t.Error(err)
		}
		if _, err := get.Verify(a, c, user, now); err != nil && !errors.Is(err, webauthn.ErrAnswer) && !errors.Is(err, webauthn.ErrCloned) {
			t.Error(err)
		}
	})
}

// Each byte of what is signed counts.
func TestChangedAnswers(t *testing.T) {
	p, c := registered(t, -7)
	r := webauthn.NewRequest(webauthn.Get, rpID, origin, now.Add(time.Minute))
	good, err := webauthn.Parse([]byte(p.Get(r.Ask(nil, now))))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify(good, c, user, now); err != nil {
		t.Fatal(err)
	}
	for name, part := range map[string][]byte{"client data": good.Response.ClientData, "authenticator data": good.Response.AuthenticatorData, "signature": good.Response.Signature} {
		for i := range part {
			part[i] ^= 4
			if _, err := r.Verify(good, c, user, now); err == nil {
				t.Errorf("%s is good with byte %d changed", name, i)
			}
			part[i] ^= 4
		}
	}
}
