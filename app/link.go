package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"

	"lastseen/app/alert"
	"lastseen/app/live"
	"lastseen/db"
)

// How long links are good unless that is said.
const (
	InviteFor = 3 * 24 * time.Hour
	ResetFor  = time.Hour
)

var (
	// ErrNoLink says that a link is good for nothing, or no longer.
	ErrNoLink = errors.New("no such link")
	// ErrNoAddress says that nobody knows what a link is to begin with.
	ErrNoAddress = errors.New("the port is not known before the server listens: set --public-url")
)

// An Invitation is what lets somebody make an account. Without a Username they choose it.
type Invitation struct {
	Username  string
	Groups    []string
	Superuser bool
	Lifetime  time.Duration // 0 for InviteFor
}

// Invite makes the link of an invitation, in the place of one under the same name. What is
// wrong with it is a db.InputError, a name that is taken db.ErrConflict.
func (a *App) Invite(ctx context.Context, actor Actor, i Invitation) (address string, l db.Link, err error) {
	i.Username = db.Normal(i.Username)
	var errs []error
	if i.Username != "" {
		errs = append(errs, db.CheckUsername(i.Username))
	}
	for _, group := range i.Groups {
		errs = append(errs, checkGroup(group))
	}
	if err := errors.Join(errs...); err != nil {
		return "", l, err
	}
	l = db.Link{Kind: db.Invite, Username: i.Username, Superuser: i.Superuser, Groups: normalAll(i.Groups)}
	if i.Lifetime == 0 {
		i.Lifetime = InviteFor
	}
	return a.createLink(ctx, actor, l, i.Lifetime, func(l db.Link) db.Event {
		return a.invitationEvent(actor, db.ModelCreated, l)
	})
}

// invitationEvent records what becomes of an invitation.
func (a *App) invitationEvent(actor Actor, action db.Action, l db.Link) db.Event {
	return a.event(actor, action, 0, map[string]any{
		"model": map[string]any{"app": "authentik_stages_invitation", "model_name": "invitation", "pk": l.ID, "name": l.Username}, "named": l.Username != "", "is_superuser": l.Superuser,
	})
}

// Links are those that are good still, the newest first. It is for superusers.
func (a *App) Links(ctx context.Context) ([]db.Link, error) {
	return a.store.Links(ctx, a.now())
}

// DeleteLink takes a link back, which nobody has used yet; db.ErrNotFound when there is
// none such.
func (a *App) DeleteLink(ctx context.Context, actor Actor, id int64) (db.Link, error) {
	l, err := a.store.DeleteLink(ctx, id, a.now(), func(l db.Link) db.Event {
		if l.Kind == db.Reset {
			return a.userEvent(actor, db.ModelUpdated, db.User{ID: l.UserID, Username: l.Username}, map[string]any{"reset_link": false})
		}
		return a.invitationEvent(actor, db.ModelDeleted, l)
	})
	if err == nil {
		a.Log.Info("link taken back", "kind", l.Kind, "user", l.Username, "by", actor.Name, "ip", actor.IP)
	}
	return l, err
}

// ResetLink makes a link by which a user sets a new password, in the place of an earlier
// one; lifetime 0 is ResetFor. A disabled user gets none: db.ErrNotFound.
func (a *App) ResetLink(ctx context.Context, actor Actor, user db.User, lifetime time.Duration) (address string, l db.Link, err error) {
	if lifetime == 0 {
		lifetime = ResetFor
	}
	l = db.Link{Kind: db.Reset, UserID: user.ID, Username: user.Username}
	return a.createLink(ctx, actor, l, lifetime, func(db.Link) db.Event {
		return a.userEvent(actor, db.ModelUpdated, user, map[string]any{"reset_link": true})
	})
}

func (a *App) createLink(ctx context.Context, actor Actor, l db.Link, lifetime time.Duration, event func(db.Link) db.Event) (string, db.Link, error) {
	base, err := a.address()
	if err != nil {
		return "", l, err
	}
	token := newSecret()
	hash := secretHash(token)
	l.MadeBy, l.Created = actor.Name, a.now()
	l.Expires = l.Created.Add(lifetime)
	if l, err = a.store.CreateLink(ctx, l, hash[:], event); err != nil {
		return "", l, err
	}
	a.Log.Info("link made", "kind", l.Kind, "user", l.Username, "superuser", l.Superuser, "by", actor.Name, "ip", actor.IP)
	return base + "/link/" + token, l, nil
}

// address is the public URL, or what it will be by default.
func (a *App) address() (string, error) {
	if u := a.Config.PublicURL; u != nil {
		return u.String(), nil
	}
	host, port, err := net.SplitHostPort(a.Config.Listen)
	if err != nil || port == "0" {
		return "", ErrNoAddress
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return (&url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}).String(), nil
}

// Link is the one of a token, which that does not use up. Another token is ErrNoLink, and
// counts as a wrong password does: too many of them are a BusyError.
func (a *App) Link(ctx context.Context, token string, client Client) (l db.Link, err error) {
	err = a.attempt(ctx, "", client, "link", func(bool) (*refusal, error) {
		hash := secretHash(token)
		l, err = a.store.Link(ctx, hash[:], a.now())
		if errors.Is(err, db.ErrNotFound) {
			return &refusal{why: "no such link"}, nil
		}
		return nil, err
	})
	if errors.Is(err, ErrBadCredentials) {
		err = ErrNoLink
	}
	return l, err
}

// TakeLink does what a link is for, with the password of c and, where an invitation leaves
// it open, its user name, and goes on as by SignIn: whoever has a second factor is asked for
// it. What is wrong with c is a db.InputError, a name that is taken db.ErrConflict, and
// neither uses the link up; of many at once only one takes it. Its other errors are Link's.
func (a *App) TakeLink(ctx context.Context, link string, c Credentials, client Client, held []string) (token string, sess db.Session, err error) {
	l, err := a.Link(ctx, link, client)
	if err != nil {
		return "", sess, err
	}
	take := a.takeInvitation
	if l.Kind == db.Reset {
		take = a.takeReset
	}
	hash := secretHash(link)
	user, err := take(ctx, l, hash[:], c, client)
	if errors.Is(err, db.ErrNotFound) {
		err = ErrNoLink
	}
	if err != nil {
		return "", sess, err
	}
	return a.proceed(ctx, entry{user: user, proven: ByLink, remember: c.Remember, client: client, held: held})
}

func (a *App) takeInvitation(ctx context.Context, l db.Link, hash []byte, c Credentials, client Client) (db.User, error) {
	user, err := a.newUser(ctx, invited(l, c.Username, NewUser{Password: c.Password}))
	if err != nil {
		return user, err
	}
	return a.join(ctx, l, hash, user, nil, client)
}

// invited is n as an invitation makes it, under a name that its person chooses where it
// leaves that open.
func invited(l db.Link, username string, n NewUser) NewUser {
	n.Username, n.Superuser, n.Groups = cmp.Or(l.Username, username), l.Superuser, l.Groups
	return n
}

// join makes the user of an invitation, which it uses up, with a first factor or nil.
func (a *App) join(ctx context.Context, l db.Link, hash []byte, user db.User, first func(db.User) *db.NewFactor, client Client) (db.User, error) {
	user, err := a.store.TakeInvitation(ctx, hash, user, first, func(u db.User) db.Event {
		e := a.userEvent(actorOf(u, client), db.ModelCreated, u, map[string]any{"invited_by": l.MadeBy})
		return a.tellsOfSuperuser(e, byLink(l, client), u, false)
	})
	if err == nil {
		a.Log.Info("user created", "user", user.Username, "superuser", user.Superuser, "invited_by", l.MadeBy, "ip", client.IP)
	}
	return user, err
}

// AskToJoin asks for the passkey that is to be all that enters the account of an invitation.
// Its errors are TakeLink's, and db.ErrNotFound for a link of another kind.
func (a *App) AskToJoin(ctx context.Context, link, username string, client Client) (PasskeyRequest, error) {
	user, _, err := a.joining(ctx, link, username, client)
	if err != nil {
		return PasskeyRequest{}, err
	}
	if _, err = a.store.UserByName(ctx, user.Username); err == nil {
		err = db.ErrConflict
	}
	if !errors.Is(err, db.ErrNotFound) {
		return PasskeyRequest{}, err
	}
	return a.makePasskey(ctx, ToJoin, user, db.Factors{})
}

// joining is the user that an invitation makes, without a password.
func (a *App) joining(ctx context.Context, link, username string, client Client) (user db.User, l db.Link, err error) {
	if l, err = a.Link(ctx, link, client); err != nil {
		return user, l, err
	}
	if l.Kind != db.Invite {
		return user, l, db.ErrNotFound
	}
	user, err = a.newUser(ctx, invited(l, username, NewUser{hashed: true}))
	return user, l, err
}

// JoinByPasskey is TakeLink for an invitation with a passkey in the place of a password,
// and returns the recovery codes that come with it. A passkey that is no whole sign-in is
// ErrPasskey; what is wrong with its name is a db.InputError too.
func (a *App) JoinByPasskey(ctx context.Context, link, username string, n NewPasskey, client Client, held []string) (codes []string, token string, sess db.Session, err error) {
	user, l, err := a.joining(ctx, link, username, client)
	if err != nil {
		return nil, "", sess, err
	}
	p, id, err := a.registered(ctx, ToJoin, 0, n)
	if err == nil && p.Discoverable != nil && !*p.Discoverable {
		err = fmt.Errorf("%w: it is not found without a name", ErrPasskey)
	}
	if err != nil {
		return nil, "", sess, err
	}
	codes, hashes := newRecoveryCodes()
	user.UUID = id
	hash := secretHash(link)
	user, err = a.join(ctx, l, hash[:], user, func(u db.User) *db.NewFactor {
		p.UserID = u.ID
		actor := actorOf(u, client)
		return &db.NewFactor{Passkey: &p, Recovery: hashes, Event: func(pk int64) db.Event { return a.factorEvent(actor, db.ModelCreated, u, db.KindPasskey, pk, p.Name) }}
	}, client)
	if errors.Is(err, db.ErrNotFound) {
		err = ErrNoLink
	}
	if err != nil {
		return nil, "", sess, err
	}
	token, sess, err = a.proceed(ctx, entry{user: user, proven: ByLink + "+" + ByPasskey, client: client, held: held})
	return codes, token, sess, err
}

// byLink is who did something by a link, in the words of alerts.
func byLink(l db.Link, client Client) Actor {
	return Actor{Name: "a link of " + l.MadeBy, IP: client.IP, Agent: client.Agent}
}

func (a *App) takeReset(ctx context.Context, l db.Link, hash []byte, c Credentials, client Client) (user db.User, err error) {
	if err := db.CheckPassword(c.Password); err != nil {
		return user, err
	}
	if user, err = a.store.User(ctx, l.UserID); err != nil {
		return user, err
	}
	if user.PasswordHash, err = a.passwords.hash(ctx, c.Password); err != nil {
		return user, err
	}
	a.flushUsers(ctx, []int64{user.ID})
	defer a.live.Invalidate(live.UserChanged, user.ID)
	event := a.event(actorOf(user, client), db.PasswordSet, user.ID, map[string]any{"link_by": l.MadeBy})
	event = a.tells(event, byLink(l, client), alert.PasswordChanged, user, "")
	if err = a.store.TakeReset(ctx, hash, user.ID, user.PasswordHash, event); err == nil {
		user.MustChange = false
		a.Log.Info("password set", "user", user.Username, "by", user.Username, "link_by", l.MadeBy, "ip", client.IP)
	}
	return user, err
}
