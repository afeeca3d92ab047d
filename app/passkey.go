package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lastseen/app/webauthn"
	"lastseen/db"

	"github.com/google/uuid"
)

// A Purpose is what the answer of a passkey is good for.
type Purpose string

// The purposes.
const (
	ToSignIn   Purpose = "sign-in"  // as a whole sign-in, by a passkey that says whose it is
	ToFinish   Purpose = "finish"   // as the second factor of a pending one
	ToProve    Purpose = "prove"    // again who one is
	ToRegister Purpose = "register" // as another passkey
	ToEnrol    Purpose = "enrol"    // as the first one of who must have a factor
	ToJoin     Purpose = "join"     // as all that enters an account that an invitation makes
)

const (
	// challengeFor is how long a passkey may take to answer.
	challengeFor = 5 * time.Minute
	// maxChallenges bounds what waits for an answer: anybody may ask to sign in.
	maxChallenges = 10_000
)

var (
	// ErrNoPasskeys says that none are possible under the public URL.
	ErrNoPasskeys = errors.New("passkeys need a name with a dot and https, or localhost")
	// ErrPasskey says that what a passkey answered is not good.
	ErrPasskey = errors.New("the passkey's answer is not good")
)

// PasskeyHost is the name that passkeys are for, the public URL's, and whether one can be
// for it: no browser makes one for an address, or where a page may be anybody's.
func (a *App) PasskeyHost() (host string, ok bool) {
	u := a.Config.PublicURL
	if u == nil {
		return "", false
	}
	host = u.Hostname()
	if _, err := netip.ParseAddr(host); err == nil {
		return "", false
	}
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	return host, local || u.Scheme == "https" && strings.Contains(host, ".")
}

// passkeysElsewhere says how many passkeys are for other hosts than the public URL's, by
// the host.
func (a *App) passkeysElsewhere(ctx context.Context) (lines []string, err error) {
	hosts, err := a.store.PasskeyHosts(ctx)
	own, _ := a.PasskeyHost()
	for host, n := range hosts {
		if host != own {
			lines = append(lines, fmt.Sprintf("%d for %s", n, host))
		}
	}
	slices.Sort(lines)
	return lines, err
}

// A PasskeyRequest is what a page's script asks the browser for. Token goes back with the
// answer.
type PasskeyRequest struct {
	Token     string           `json:"token"`
	PublicKey webauthn.Options `json:"publicKey"`
}

// An answer of a passkey, with the token of the request.
type PasskeyAnswer struct{ Token, Answer string }

// A NewPasskey is what a page that sets one up sends.
type NewPasskey struct {
	PasskeyAnswer
	Name string // "": what keeps it, or else Browser
	// Browser is what the passkey may be called by the browser that made it.
	Browser string
}

// askPasskey asks for an answer by a passkey of a user, or of anybody who is verified by
// theirs. Which have another relying party cannot answer.
func (a *App) askPasskey(ctx context.Context, purpose Purpose, user db.User, has db.Factors) (PasskeyRequest, error) {
	host, ok := a.PasskeyHost()
	if !ok {
		return PasskeyRequest{}, ErrNoPasskeys
	}
	now := a.now()
	r := webauthn.NewRequest(webauthn.Get, host, a.Config.PublicURL.String(), now.Add(challengeFor))
	switch purpose {
	case ToSignIn:
		r.Verification = webauthn.Required // it is all that proves who they are
	case ToFinish:
		r.Verification = webauthn.Discouraged // the password was given: no PIN of a security key besides
	}
	if purpose != ToSignIn {
		r.User = user.UUID[:]
	}
	credentials, err := credentialsFor(host, has)
	if err != nil {
		return PasskeyRequest{}, err
	}
	if purpose != ToSignIn && len(credentials) == 0 {
		return PasskeyRequest{}, db.ErrNotFound
	}
	options := r.Ask(credentials, now)
	return a.keepChallenge(ctx, purpose, user.ID, r, options)
}

// makePasskey asks for a new passkey of a user.
func (a *App) makePasskey(ctx context.Context, purpose Purpose, user db.User, has db.Factors) (PasskeyRequest, error) {
	host, ok := a.PasskeyHost()
	if !ok {
		return PasskeyRequest{}, ErrNoPasskeys
	}
	now := a.now()
	r := webauthn.NewRequest(webauthn.Create, host, a.Config.PublicURL.String(), now.Add(challengeFor))
	if purpose == ToJoin {
		r.Verification = webauthn.Required
	}
	r.User = user.UUID[:]
	credentials, err := credentialsFor(host, has)
	if err != nil {
		return PasskeyRequest{}, err
	}
	shown := user.Name
	if shown == "" {
		shown = user.Username
	}
	options := r.Make(user.Username, shown, credentials, now)
	return a.keepChallenge(ctx, purpose, user.ID, r, options)
}

func (a *App) keepChallenge(ctx context.Context, purpose Purpose, user int64, r webauthn.Request, options webauthn.Options) (PasskeyRequest, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return PasskeyRequest{}, err
	}
	token, now := newSecret(), a.now()
	hash := secretHash(token)
	err = a.store.CreateChallenge(ctx, hash[:], db.Challenge{UserID: user, Purpose: string(purpose), Data: data, Created: now}, now.Add(-challengeFor), maxChallenges)
	if errors.Is(err, db.ErrConflict) {
		return PasskeyRequest{}, &BusyError{RetryAfter: time.Minute}
	}
	return PasskeyRequest{Token: token, PublicKey: options}, err
}

// takeChallenge is what was asked for a purpose of a user, 0 for anybody. It is gone with
// that: an answer is looked at once. ErrBadCredentials where there is none.
func (a *App) takeChallenge(ctx context.Context, token string, purpose Purpose, user int64) (r webauthn.Request, err error) {
	hash := secretHash(token)
	c, err := a.store.TakeChallenge(ctx, hash[:], a.now().Add(-challengeFor))
	if errors.Is(err, db.ErrNotFound) || err == nil && (c.Purpose != string(purpose) || c.UserID != user) {
		return r, ErrBadCredentials
	}
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(c.Data, &r)
}

// credentialsFor are the passkeys among factors that are for a host.
func credentialsFor(host string, has db.Factors) (all []webauthn.Credential, err error) {
	for _, p := range has.Passkeys {
		if p.RPID != host {
			continue
		}
		var c webauthn.Credential
		if err := json.Unmarshal(p.Credential, &c); err != nil {
			return nil, fmt.Errorf("stored passkey: %w", err)
		}
		all = append(all, c)
	}
	return all, nil
}

// answered checks what a passkey answers to what was asked for a purpose of user, or of
// anybody where their ID is 0. It counts as a password does: what does not fit is
// ErrBadCredentials, too much of that a BusyError. then is done while it counts.
func (a *App) answered(ctx context.Context, purpose Purpose, user db.User, sent PasskeyAnswer, client Client, then func(user db.User, proof db.Proof) error) error {
	r, asked := a.takeChallenge(ctx, sent.Token, purpose, user.ID)
	if asked != nil && !errors.Is(asked, ErrBadCredentials) {
		return asked
	}
	answer, malformed := webauthn.Parse([]byte(sent.Answer))
	var p db.Passkey
	if malformed == nil {
		var err error
		if p, err = a.store.Passkey(ctx, answer.ID); err != nil && !errors.Is(err, db.ErrNotFound) {
			return err
		}
	}
	owner := user
	if user.ID == 0 && p.ID != 0 {
		var err error
		if owner, err = a.store.User(ctx, p.UserID); err != nil && !errors.Is(err, db.ErrNotFound) {
			return err
		}
	}
	return a.attempt(ctx, owner.Username, client, "passkey", func(bool) (*refusal, error) {
		refused := &refusal{user: owner}
		switch {
		case asked != nil || malformed != nil: // no such request, or not any more
			refused.why = wrongPasskey
		case p.ID == 0 || owner.ID == 0 || p.UserID != owner.ID || p.RPID != r.RPID:
			refused.why = "unknown passkey"
		case !owner.Active:
			refused.why = "disabled user"
		default:
			proof, err := a.checkPasskey(r, answer, p, owner)
			if errors.Is(err, ErrPasskey) {
				refused.why = wrongPasskey
				break
			}
			if err != nil {
				return nil, err
			}
			return nil, then(owner, proof)
		}
		return refused, nil
	})
}

const wrongPasskey = "wrong passkey"

// checkPasskey is the proof that an answer is; ErrPasskey when it is none.
func (a *App) checkPasskey(r webauthn.Request, answer webauthn.Answer, p db.Passkey, owner db.User) (proof db.Proof, err error) {
	var c webauthn.Credential
	if err := json.Unmarshal(p.Credential, &c); err != nil {
		return proof, fmt.Errorf("stored passkey: %w", err)
	}
	c, err = r.Verify(answer, c, owner.UUID[:], a.now())
	if errors.Is(err, webauthn.ErrCloned) {
		a.Log.Warn("a passkey's count of uses went back: a copy of it may be about; remove it and make a new one", "user", owner.Username, "name", p.Name)
	} else if err != nil {
		a.Log.Info("a passkey's answer is not good", "user", owner.Username, "name", p.Name, "err", err)
	}
	if err != nil {
		return proof, fmt.Errorf("%w: %w", ErrPasskey, err)
	}
	was := p.Credential
	if p.Credential, err = json.Marshal(c); err != nil {
		return proof, err
	}
	return db.Proof{Passkey: &p, Was: was}, nil
}

// AskToSignIn begins a sign-in by a passkey, whosever it is.
func (a *App) AskToSignIn(ctx context.Context) (PasskeyRequest, error) {
	return a.askPasskey(ctx, ToSignIn, db.User{}, db.Factors{})
}

// SignInByPasskey is SignIn by the answer of a passkey that verified its user, which is
// both factors.
func (a *App) SignInByPasskey(ctx context.Context, sent PasskeyAnswer, remember bool, client Client, held []string) (token string, sess db.Session, err error) {
	err = a.answered(ctx, ToSignIn, db.User{}, sent, client, func(user db.User, proof db.Proof) (err error) {
		token, sess, err = a.proceed(ctx, entry{user: user, proven: ByPasskey, proof: proof, remember: remember, client: client, held: held})
		return err
	})
	return token, sess, err
}

// AskToFinish asks a passkey for what a pending sign-in waits for; db.ErrNotFound where
// there is none that could answer.
func (a *App) AskToFinish(ctx context.Context, pending string) (PasskeyRequest, error) {
	p, err := a.waiting(ctx, pending, SecondFactor)
	if err != nil {
		return PasskeyRequest{}, err
	}
	return a.askPasskey(ctx, ToFinish, p.User, p.Factors)
}

// FinishByPasskey goes on with a pending sign-in by the answer of a passkey, as SignInByCode
// does by a code.
func (a *App) FinishByPasskey(ctx context.Context, pending string, sent PasskeyAnswer, client Client, held []string) (token string, sess db.Session, err error) {
	p, err := a.waiting(ctx, pending, SecondFactor)
	if err != nil {
		return "", sess, err
	}
	err = a.answered(ctx, ToFinish, p.User, sent, client, func(_ db.User, proof db.Proof) (err error) {
		token, sess, err = a.finish(ctx, p, ByPasskey, proof, client, held)
		return err
	})
	return token, sess, err
}

// AskToProve asks a passkey of the caller's who they are.
func (a *App) AskToProve(ctx context.Context, caller Caller) (PasskeyRequest, error) {
	has, err := a.store.Factors(ctx, caller.User.ID)
	if err != nil {
		return PasskeyRequest{}, err
	}
	return a.askPasskey(ctx, ToProve, *caller.User, has)
}

// ProveByPasskey is ProveAgain by the answer of a passkey.
func (a *App) ProveByPasskey(ctx context.Context, caller Caller, sent PasskeyAnswer, client Client) error {
	return a.answered(ctx, ToProve, *caller.User, sent, client, func(_ db.User, proof db.Proof) error {
		return a.provenAgain(ctx, caller, proof)
	})
}

// AskToRegister asks for a new passkey of the caller's.
func (a *App) AskToRegister(ctx context.Context, caller Caller) (PasskeyRequest, error) {
	has, err := a.store.Factors(ctx, caller.User.ID)
	if err != nil {
		return PasskeyRequest{}, err
	}
	return a.makePasskey(ctx, ToRegister, *caller.User, has)
}

// AddPasskey adds a passkey to the caller, and returns what it is called, and the recovery
// codes that come with the first factor. A bad name is a db.InputError, an answer that is
// not one to what was asked ErrPasskey, a passkey that is there already db.ErrConflict.
func (a *App) AddPasskey(ctx context.Context, caller Caller, n NewPasskey) (name string, codes []string, err error) {
	added, codes, err := a.addFactor(ctx, caller, db.KindPasskey, a.newPasskey(ctx, ToRegister, n))
	if err != nil {
		return "", nil, err
	}
	return added.Passkey.Name, codes, nil
}

// AskToEnrol asks for the first passkey of somebody who must have a factor.
func (a *App) AskToEnrol(ctx context.Context, pending string) (PasskeyRequest, error) {
	p, err := a.waiting(ctx, pending, Enrol)
	if err != nil {
		return PasskeyRequest{}, err
	}
	return a.makePasskey(ctx, ToEnrol, p.User, p.Factors)
}

// EnrolPasskey ends a pending sign-in of somebody who must have a factor, as
// SignInByEnrolling does, by adding a passkey. Its errors are AddPasskey's too.
func (a *App) EnrolPasskey(ctx context.Context, pending string, n NewPasskey, client Client, held []string) (codes []string, token string, sess db.Session, err error) {
	return a.finishByEnrolling(ctx, pending, db.KindPasskey, a.newPasskey(ctx, ToEnrol, n), client, held)
}

// newPasskey makes what n is, if it was asked for to that purpose.
func (a *App) newPasskey(ctx context.Context, purpose Purpose, n NewPasskey) newFactor {
	return func(actor Actor, user db.User, has db.Factors) (added *db.NewFactor, codes []string, err error) {
		if len(has.Passkeys) >= maxFactors {
			return nil, nil, errTooMany
		}
		p, _, err := a.registered(ctx, purpose, user.ID, n)
		if err != nil {
			return nil, nil, err
		}
		added = &db.NewFactor{Passkey: &p, Event: func(pk int64) db.Event {
			return a.factorEvent(actor, db.ModelCreated, user, db.KindPasskey, pk, p.Name)
		}}
		if !has.Any() {
			codes, added.Recovery = newRecoveryCodes()
		}
		return added, codes, nil
	}
}

// registered is the passkey that was made for a purpose, and the UUID of its user.
func (a *App) registered(ctx context.Context, purpose Purpose, user int64, n NewPasskey) (p db.Passkey, id uuid.UUID, err error) {
	n.Name = strings.TrimSpace(n.Name)
	name, err := factorName(cmp.Or(n.Name, n.Browser))
	if err != nil {
		return p, id, err
	}
	r, err := a.takeChallenge(ctx, n.Token, purpose, user)
	if errors.Is(err, ErrBadCredentials) {
		err = fmt.Errorf("%w: no such request, or not any more", ErrPasskey)
	}
	if err != nil {
		return p, id, err
	}
	var c webauthn.Credential
	answer, err := webauthn.Parse([]byte(n.Answer))
	if err == nil {
		c, err = r.Register(answer, a.now())
	}
	if err == nil {
		id, err = uuid.FromBytes(r.User)
	}
	if err != nil {
		return p, id, fmt.Errorf("%w: %w", ErrPasskey, err)
	}
	if n.Name == "" {
		name = cmp.Or(c.Maker(), name)
	}
	stored, err := json.Marshal(c)
	return db.Passkey{
		UserID: user, Name: name, CredentialID: c.ID, RPID: r.RPID, Discoverable: answer.Extensions.CredProps.Discoverable, Credential: stored, Created: a.now(),
	}, id, err
}
