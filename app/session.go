package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lastseen/app/alert"
	"lastseen/app/live"
	"lastseen/app/useragent"
	"lastseen/db"
	"lastseen/geoip"

	"github.com/google/uuid"
)

// A Client is where a request comes from.
type Client = live.Client

// A Caller is who asks. Session names the session of their cookie, uuid.Nil for an API
// token. Other requests share the user: nobody may change it.
type Caller struct {
	User    *db.User
	Session uuid.UUID
	IP      netip.Addr
	Agent   string   // the header of their client
	Scope   db.Scope // of a key; "" for a session, which may do all
}

// An Actor is who does something that is recorded.
type Actor struct {
	ID   int64
	Name string
	IP   netip.Addr
	// Agent is the header of their client, Session that in which they do it: "" and uuid.Nil
	// on the command line.
	Agent   string
	Session uuid.UUID
	// Force leaves nobody in charge if that comes of it: the operator may say so.
	Force bool
}

// Operator is the caller on the command line, who may do everything. The name
// has a space, as no user's has.
var Operator = Caller{User: &db.User{Username: alert.CommandLine, Superuser: true, Active: true}}

// Actor is the caller as the doer of something.
func (c Caller) Actor() Actor {
	return Actor{ID: c.User.ID, Name: c.User.Username, IP: c.IP, Agent: c.Agent, Session: c.Session}
}

// actorOf is a user who has no session yet, as the doer of something.
func actorOf(user db.User, client Client) Actor {
	return Actor{ID: user.ID, Name: user.Username, IP: client.IP, Agent: client.Agent}
}

// event is the record of something that an actor did now to a user's account.
func (a *App) event(actor Actor, action db.Action, subject int64, context map[string]any) db.Event {
	if context == nil {
		context = map[string]any{}
	}
	return db.Event{Created: a.now(), Action: action, ActorID: actor.ID, Actor: actor.Name, SubjectID: subject, IP: actor.IP, Context: context}
}

// now is the clock in the precision that is stored.
func (a *App) now() time.Time { return a.Now().UTC().Truncate(time.Microsecond) }

// A Session is a stored session with what is looked up when it is read.
type Session struct {
	db.Session
	Location geoip.Location
	Current  bool      // it is the caller's own
	First    bool      // it is its account's first from its country, as far as [App.MarkFirst] has looked
	Device   db.Device // zero when it has none, and as long as [App.MarkDevices] has not looked
}

// newSecret makes 256 random bits for a cookie or a key.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// secretHash is what is stored of a secret.
func secretHash(secret string) [32]byte {
	return sha256.Sum256(append(make([]byte, 0, 64), secret...)) // of ours, on the stack
}

// Authenticate finds the session that one of the tokens belongs to, and records
// the use. Several cookies of one name can arrive, so each is tried. Without a
// session that lives and whose user is active it is ErrUnauthenticated. The
// caller's groups are those at the time.
func (a *App) Authenticate(ctx context.Context, tokens []string, client Client) (Caller, error) {
	return firstOf(tokens, client, func(hash [32]byte) (*db.User, uuid.UUID, error) { return a.live.Touch(ctx, &hash, client) })
}

// firstOf is who one of the tokens belongs to, as touch finds them by its hash.
func firstOf(tokens []string, client Client, touch func(hash [32]byte) (*db.User, uuid.UUID, error)) (Caller, error) {
	for _, token := range tokens {
		user, session, err := touch(secretHash(token))
		if errors.Is(err, db.ErrNotFound) {
			continue
		}
		return Caller{User: user, Session: session, IP: client.IP, Agent: client.Agent}, err
	}
	return Caller{}, ErrUnauthenticated
}

// AuthenticateKey finds the user that an API key belongs to, or ErrInvalidToken.
// It touches no session.
func (a *App) AuthenticateKey(ctx context.Context, key string, client Client) (Caller, error) {
	token, err := a.live.Key(ctx, secretHash(key))
	if errors.Is(err, db.ErrNotFound) {
		return Caller{}, ErrInvalidToken
	}
	if err != nil {
		return Caller{}, err
	}
	if !token.User.Active || !token.Expires.IsZero() && !token.Expires.After(a.now()) {
		return Caller{}, ErrInvalidToken
	}
	a.keyUses.note(token.UUID, a.now())
	return Caller{User: &token.User, IP: client.IP, Agent: client.Agent, Scope: token.Scope}, nil
}

// expire ends what had expired a little before now. A noted use may have moved the
// idle limit, so these must have been written; while they cannot be, nothing is
// ended. What a server beside this process noted it has written some seconds after
// idleFlushAtMost.
func (a *App) expire(ctx context.Context, now time.Time) error {
	_, err := a.store.ExpireSessions(ctx, now.Add(-2*idleFlushAtMost), 1000)
	return err
}

// enrich adds to a stored session what is known of its address and agent.
func (a *App) enrich(sess db.Session, caller Caller) Session {
	if sess.Agent.Definitions != a.agents.Version() {
		sess.Agent = a.live.Agent(sess.Agent.String)
	}
	return Session{
		Session:  sess,
		Location: a.geo.Lookup(sess.IP),
		Current:  caller.Session == sess.UUID,
	}
}

// ExpectSession has a session read together with who asks for it, where that saves a round
// trip: with the context that it returns both are to be found.
func (a *App) ExpectSession(ctx context.Context, name string) context.Context {
	if !a.live.Shared() {
		return ctx
	}
	id, err := uuid.Parse(name)
	if err != nil {
		return ctx
	}
	return a.live.Expect(ctx, db.Question{Session: id})
}

// Session is a living session that the caller may see; every other one is db.ErrNotFound.
func (a *App) Session(ctx context.Context, caller Caller, id uuid.UUID) (Session, error) {
	sess, err := a.visible(ctx, caller, id)
	if err != nil {
		return Session{}, err
	}
	return a.enrich(sess, caller), nil
}

// SessionByToken is the session of a token. Whether it has expired the caller judges.
func (a *App) SessionByToken(ctx context.Context, token string) (db.Session, error) {
	hash := secretHash(token)
	return a.live.SessionByToken(ctx, &hash)
}

func (a *App) visible(ctx context.Context, caller Caller, id uuid.UUID) (db.Session, error) {
	sess, err := a.live.Session(ctx, id)
	if err != nil {
		return db.Session{}, err
	}
	// The operator may be beside a server that has not written its last use yet, which
	// moves the idle limit: to them what is there is there.
	if expired := !sess.Expires.After(a.now()); sess.UserID != caller.User.ID && !caller.User.Superuser || expired && caller.User != Operator.User {
		return db.Session{}, db.ErrNotFound
	}
	return sess, nil
}

// ErrAmbiguous says that a part of a name fits several.
var ErrAmbiguous = errors.New("fits several sessions")

// FindSession is the public name of the living session that begins with a part of it, of
// eight hexadecimal digits or more: db.ErrNotFound when there is none, ErrAmbiguous when
// there are several.
func (a *App) FindSession(ctx context.Context, part string) (uuid.UUID, error) {
	digits := strings.ToLower(strings.ReplaceAll(part, "-", ""))
	if len(digits) < 8 || len(digits) > 32 || strings.Trim(digits, "0123456789abcdef") != "" {
		return uuid.Nil, &db.InputError{Field: "uuid", Problem: "A session is named by its UUID, or by the first eight characters or more of it."}
	}
	from, err := uuid.Parse(digits + strings.Repeat("0", 32-len(digits)))
	if err != nil {
		return uuid.Nil, err
	}
	to, err := uuid.Parse(digits + strings.Repeat("f", 32-len(digits)))
	if err != nil {
		return uuid.Nil, err
	}
	found, err := a.store.FindSessions(ctx, from, to)
	switch {
	case err != nil:
		return uuid.Nil, err
	case len(found) == 0:
		return uuid.Nil, db.ErrNotFound
	case len(found) > 1:
		return uuid.Nil, ErrAmbiguous
	}
	return found[0], nil
}

// Sessions is one page of what the filter chooses among the sessions that the
// caller may see, and how many there are in all.
func (a *App) Sessions(ctx context.Context, caller Caller, f db.SessionFilter) (page []Session, total int, err error) {
	f.Now = a.now()
	if !caller.User.Superuser {
		if f.User != nil && *f.User != caller.User.ID {
			return nil, 0, nil
		}
		f.User = &caller.User.ID
	}
	// Filters and orderings look at what is stored, so the noted uses go first; what
	// has expired would have to be passed over at each step of the list.
	if a.flushIfQuick(ctx) {
		if err := a.expire(ctx, f.Now); err != nil {
			a.Log.Error("end sessions that expired", "err", err)
		}
	}
	stored, total, err := a.live.Sessions(ctx, f)
	if err != nil {
		return nil, 0, err
	}
	page = make([]Session, len(stored))
	for i, sess := range stored {
		page[i] = a.enrich(sess, caller)
	}
	return page, total, nil
}

// flushIfQuick writes what is noted, for filters and orderings to see it.
func (a *App) flushIfQuick(ctx context.Context) (flushed bool) {
	flushed, err := a.live.FlushIfQuick(ctx)
	if err != nil {
		a.Log.Error("write session uses", "err", err)
	}
	return flushed
}

// flushUsers writes the uses of the sessions of users before they end.
func (a *App) flushUsers(ctx context.Context, users []int64) {
	if err := a.live.FlushUsers(ctx, users); err != nil {
		a.Log.Error("write session uses", "err", err)
	}
}

// RevokeSession ends a session that the caller may see; every other one is
// db.ErrNotFound. When it returns, the session authenticates nobody.
func (a *App) RevokeSession(ctx context.Context, caller Caller, id uuid.UUID) error {
	sess, err := a.visible(ctx, caller, id)
	if err != nil {
		return err
	}
	return a.revoke(ctx, caller.Actor(), sess)
}

func (a *App) revoke(ctx context.Context, actor Actor, sess db.Session) error {
	err := a.live.End([]uuid.UUID{sess.UUID}, func(last []db.Use) error {
		return a.store.EndSession(ctx, last[0], db.Revoked, a.revokedEvent(actor)(sess))
	})
	if err != nil {
		return err
	}
	a.Log.Info("session revoked", "session", sess.UUID, "user", sess.Username, "by", actor.Name, "ip", actor.IP)
	return nil
}

func (a *App) revokedEvent(actor Actor) func(db.Session) db.Event {
	return func(sess db.Session) db.Event {
		return a.event(actor, db.ModelDeleted, sess.UserID, map[string]any{
			"model": map[string]any{"app": "authentik_core", "model_name": "authenticatedsession", "pk": sess.UUID.String(),
				"name": sess.Username + " " + sess.IP.String()},
			"username": sess.Username, "user_agent": useragent.Clean(sess.Agent.String),
		})
	}
}

// MaxChosen is how many sessions can be chosen at once: ending them is one transaction,
// which others wait for.
const MaxChosen = 500

// Chosen are those of the named sessions that live and that the caller may see.
func (a *App) Chosen(ctx context.Context, caller Caller, ids []uuid.UUID) ([]Session, error) {
	var chosen []Session
	for _, id := range ids {
		sess, err := a.visible(ctx, caller, id)
		if errors.Is(err, db.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, a.enrich(sess, caller))
	}
	return chosen, nil
}

// RevokeChosen ends those of the named sessions that the caller may see, but not the
// caller's own, and returns what it ended: all or none. When it returns they authenticate
// nobody. Naming more than MaxChosen is the caller's mistake.
func (a *App) RevokeChosen(ctx context.Context, caller Caller, ids []uuid.UUID) ([]Session, error) {
	chosen, err := a.Chosen(ctx, caller, ids)
	if err != nil {
		return nil, err
	}
	chosen = slices.DeleteFunc(chosen, func(sess Session) bool { return sess.Current })
	ids = make([]uuid.UUID, len(chosen))
	events := make([]db.Event, len(chosen))
	for i, sess := range chosen {
		ids[i], events[i] = sess.UUID, a.revokedEvent(caller.Actor())(sess.Session)
	}
	var ended []uuid.UUID
	err = a.live.End(ids, func(last []db.Use) error {
		ended, err = a.store.EndChosen(ctx, last, db.Revoked, events)
		return err
	})
	if err != nil {
		return nil, err
	}
	a.Log.Info("sessions revoked", "count", len(ended), "by", caller.User.Username, "ip", caller.IP)
	return slices.DeleteFunc(chosen, func(sess Session) bool { return !slices.Contains(ended, sess.UUID) }), nil
}

// RevokeSessions ends the sessions of the given users, of everybody when users
// is nil, but not the one spared. It says how many it ended.
func (a *App) RevokeSessions(ctx context.Context, actor Actor, users []int64, spare uuid.UUID) (int, error) {
	a.flushUsers(ctx, users)
	defer a.live.Invalidate(live.SessionsEnded, users...)
	ended, err := a.store.EndSessions(ctx, users, spare, a.now(), db.Revoked, a.revokedEvent(actor))
	if err != nil {
		return 0, err
	}
	a.Log.Info("sessions revoked", "count", len(ended), "by", actor.Name, "ip", actor.IP)
	return len(ended), nil
}

// SignOut ends the caller's own session.
func (a *App) SignOut(ctx context.Context, caller Caller) error {
	if caller.Session == uuid.Nil {
		return ErrUnauthenticated
	}
	err := a.live.End([]uuid.UUID{caller.Session}, func(last []db.Use) error {
		return a.store.EndSession(ctx, last[0], db.SignedOut, a.event(caller.Actor(), db.Logout, caller.User.ID, nil))
	})
	if errors.Is(err, db.ErrNotFound) {
		return nil // somebody was quicker
	}
	if err == nil {
		a.Log.Info("signed out", "user", caller.User.Username, "ip", caller.IP)
	}
	return err
}

// A Record is a session that lives, when Ended is zero, or one that history keeps.
type Record struct {
	Session
	Ended   time.Time
	Reason  db.Reason
	EndedBy string
}

// History is one page of what the filter chooses among the sessions that the caller
// may see and that have ended, the living with them where its State is Any, and how
// many there are in all.
func (a *App) History(ctx context.Context, caller Caller, f db.SessionFilter) ([]Record, int, error) {
	a.flushIfQuick(ctx)
	found, total, err := a.store.History(ctx, a.visibleTo(caller, f))
	for i := range found {
		if found[i].Ended.IsZero() {
			a.live.Show(&found[i].Session)
		}
	}
	return a.records(found, caller), total, err
}

// Export hands all that the filter chooses to each, some at a time, as it was at one
// moment, with all uses until then. It takes as long as each does.
func (a *App) Export(ctx context.Context, caller Caller, f db.SessionFilter, each func([]Record) error) error {
	if err := a.live.Flush(ctx); err != nil { // what can be read is exported all the same
		a.Log.Error("write session uses", "err", err)
	}
	return a.store.ExportSessions(ctx, a.visibleTo(caller, f), func(found []db.EndedSession) error { return each(a.records(found, caller)) })
}

// visibleTo narrows a filter to what the caller may see.
func (a *App) visibleTo(caller Caller, f db.SessionFilter) db.SessionFilter {
	if f.Now = a.now(); !caller.User.Superuser {
		f.User = &caller.User.ID
	}
	return f
}

func (a *App) records(found []db.EndedSession, caller Caller) []Record {
	records := make([]Record, len(found))
	for i, e := range found {
		if e.Ended.IsZero() {
			e.Expires = a.live.Expires(e.Ends, e.LastUsed)
		}
		records[i] = Record{a.enrich(e.Session, caller), e.Ended, e.Reason, e.EndedBy}
	}
	return records
}

// EndedSession is one that ended and that the caller may see; every other one
// is db.ErrNotFound.
func (a *App) EndedSession(ctx context.Context, caller Caller, id uuid.UUID) (Record, error) {
	e, err := a.store.EndedSession(ctx, id)
	if err == nil && e.UserID != caller.User.ID && !caller.User.Superuser {
		err = db.ErrNotFound
	}
	if err != nil {
		return Record{}, err
	}
	return a.records([]db.EndedSession{e}, caller)[0], nil
}

// Revision changes whenever a session begins or ends that the caller may see.
func (a *App) Revision(ctx context.Context, caller Caller) (string, error) {
	if caller.User.Superuser {
		return a.store.Revision(ctx, 0)
	}
	return a.store.Revision(ctx, caller.User.ID)
}
