package webauthn

import (
	"encoding/base64"
	"time"
)

// Options are what a page's script hands to the browser, as JSON. What is binary in them
// is base64url, as in PublicKeyCredential.parseCreationOptionsFromJSON.
type Options struct {
	Challenge string      `json:"challenge"`
	Timeout   int64       `json:"timeout"` // milliseconds
	Allow     []reference `json:"allowCredentials,omitempty"`
	// Of a request for an answer.
	RPID             string `json:"rpId,omitempty"`
	UserVerification string `json:"userVerification,omitempty"`
	// Of one for a new passkey.
	RP          *party      `json:"rp,omitempty"`
	User        *party      `json:"user,omitempty"`
	Parameters  []parameter `json:"pubKeyCredParams,omitempty"`
	Exclude     []reference `json:"excludeCredentials,omitempty"`
	Selection   *selection  `json:"authenticatorSelection,omitempty"`
	Attestation string      `json:"attestation,omitempty"`
	Extensions  *extensions `json:"extensions,omitempty"`
}

type reference struct {
	Type       string   `json:"type"`
	ID         string   `json:"id"`
	Transports []string `json:"transports,omitempty"`
}

type party struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	DisplayName string `json:"displayName,omitempty"`
}

type parameter struct {
	Type      string `json:"type"`
	Algorithm int    `json:"alg"`
}

type selection struct {
	ResidentKey      string `json:"residentKey"`
	UserVerification string `json:"userVerification"`
}

type extensions struct {
	CredProps bool `json:"credProps"`
}

func references(credentials []Credential) (all []reference) {
	for _, c := range credentials {
		all = append(all, reference{"public-key", base64.RawURLEncoding.EncodeToString(c.ID), c.Transports})
	}
	return all
}

// Ask restricts a request to these passkeys, none for any, and returns its options.
func (r *Request) Ask(credentials []Credential, now time.Time) Options {
	for _, c := range credentials {
		r.Allowed = append(r.Allowed, c.ID)
	}
	o := r.options(now)
	o.RPID, o.Allow, o.UserVerification = r.RPID, references(credentials), r.Verification
	return o
}

// Make returns the options of a request for a new passkey of a user, in an authenticator
// that holds none of theirs yet.
func (r *Request) Make(username, displayName string, theirs []Credential, now time.Time) Options {
	o := r.options(now)
	o.RP = &party{ID: r.RPID, Name: r.RPID}
	o.User = &party{ID: base64.RawURLEncoding.EncodeToString(r.User), Name: username, DisplayName: displayName}
	for _, algorithm := range Algorithms {
		o.Parameters = append(o.Parameters, parameter{"public-key", algorithm})
	}
	o.Exclude = references(theirs)
	// What is to be all of a sign-in has to be found without a name, too.
	o.Selection = &selection{ResidentKey: r.Verification, UserVerification: r.Verification}
	o.Attestation, o.Extensions = "none", &extensions{CredProps: true}
	return o
}

func (r *Request) options(now time.Time) Options {
	return Options{Challenge: base64.RawURLEncoding.EncodeToString(r.Challenge), Timeout: r.Expires.Sub(now).Milliseconds()}
}
