package app

import (
	"context"
	"errors"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"lastseen/app/alert"
	"lastseen/app/live"
	"lastseen/db"

	"github.com/google/uuid"
)

// checkText says what is wrong with a line of free text.
func checkText(field, text string) error {
	switch {
	case utf8.RuneCountInString(text) > db.MaxName || !db.IsLine(text):
		return &db.InputError{Field: field, Problem: "This has 150 characters or fewer, on one line."}
	case db.Unseen(text):
		return &db.InputError{Field: field, Problem: "This holds characters that show nothing, or nothing else. Type it anew."}
	}
	return nil
}

func checkEmail(email string) error {
	if email == "" {
		return nil
	}
	if parsed, err := mail.ParseAddress(email); err != nil || parsed.Address != email {
		return &db.InputError{Field: "email", Problem: "Enter a mail address, such as ada@home.example."}
	}
	return checkText("email", email)
}

// checkGroup says what is wrong with a group's name. A gate joins names with |.
func checkGroup(name string) error {
	if name == "" || strings.TrimSpace(name) != name || strings.ContainsAny(name, "|,") {
		return &db.InputError{Field: "group", Problem: "A group's name is not empty, holds no | or comma, and neither begins nor ends with a space."}
	}
	return checkText("group", name)
}

// cutName is a typed user name in the form that is looked up, stored and logged.
func cutName(typed string) string {
	typed = db.Normal(strings.ToValidUTF8(strings.TrimSpace(typed), "\uFFFD"))
	if utf8.RuneCountInString(typed) > db.MaxName {
		typed = string([]rune(typed)[:db.MaxName])
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, typed)
}

// NewUser is what a user is made from.
type NewUser struct {
	Username, Name, Email, Password string
	Superuser                       bool
	MustChange                      bool // they choose another password at the first sign-in
	Groups                          []string

	hashed   bool   // hash is stored, as another program made it, and no password is given
	hash     string // "": nobody signs in with it
	disabled bool
}

// check says what is wrong with n.
func (n NewUser) check() error {
	errs := []error{db.CheckUsername(db.Normal(n.Username)), checkText("name", n.Name), checkEmail(n.Email)}
	if !n.hashed {
		errs = append(errs, db.CheckPassword(n.Password))
	}
	for _, name := range n.Groups {
		errs = append(errs, checkGroup(name))
	}
	return errors.Join(errs...)
}

// CreateUser makes a user. What is wrong with n is a db.InputError, a name that
// is taken db.ErrConflict.
func (a *App) CreateUser(ctx context.Context, actor Actor, n NewUser) (db.User, error) {
	return a.createUser(ctx, actor, n, false)
}

func (a *App) createUser(ctx context.Context, actor Actor, n NewUser, onlyFirst bool) (db.User, error) {
	user, err := a.newUser(ctx, n)
	if err != nil {
		return db.User{}, err
	}
	user, err = a.store.CreateUser(ctx, user, onlyFirst, func(u db.User) db.Event { return a.createdEvent(actor, u) })
	if err == nil {
		a.Log.Info("user created", "user", user.Username, "superuser", user.Superuser, "by", actor.Name)
	}
	return user, err
}

// createdEvent is the event of a user who was made.
func (a *App) createdEvent(actor Actor, user db.User) db.Event {
	return a.tellsOfSuperuser(a.userEvent(actor, db.ModelCreated, user, nil), actor, user, false)
}

// newUser is the user that n makes, or what is wrong with it.
func (a *App) newUser(ctx context.Context, n NewUser) (db.User, error) {
	n.Username, n.Name, n.Email = db.Normal(n.Username), db.Normal(n.Name), db.Normal(n.Email)
	if err := n.check(); err != nil {
		return db.User{}, err
	}
	groups := make([]db.Group, len(n.Groups))
	for i, name := range n.Groups {
		groups[i] = db.Group{Name: db.Normal(name)}
	}
	hash := n.hash
	if !n.hashed {
		var err error
		if hash, err = a.passwords.hash(ctx, n.Password); err != nil {
			return db.User{}, err
		}
	}
	now := a.now()
	return db.User{
		UUID: uuid.New(), Username: n.Username, Name: n.Name, Email: n.Email, PasswordHash: hash,
		Active: !n.disabled, Superuser: n.Superuser, Created: now, Updated: now, PasswordChanged: now, MustChange: n.MustChange, Groups: groups,
	}, nil
}

// tellsOfSuperuser adds to an event what people are told when it makes somebody a superuser.
func (a *App) tellsOfSuperuser(e db.Event, actor Actor, user db.User, was bool) db.Event {
	if was || !user.Superuser {
		return e
	}
	return a.tells(e, actor, alert.SuperuserAdded, user, "")
}

// userEvent records a change to a user.
func (a *App) userEvent(actor Actor, action db.Action, user db.User, changed map[string]any) db.Event {
	content := map[string]any{"model": map[string]any{"app": "authentik_core", "model_name": "user", "pk": user.ID, "name": user.Username}}
	for k, v := range changed {
		content[k] = v
	}
	return a.event(actor, action, user.ID, content)
}

// User is the user with that ID, with groups, if the caller may see it.
func (a *App) User(ctx context.Context, caller Caller, id int64) (db.User, error) {
	if id != caller.User.ID && !caller.User.Superuser {
		return db.User{}, db.ErrNotFound
	}
	return a.store.User(ctx, id)
}

// UserByName is the user with that name, in whatever case, with groups. It is
// for the command line and for superusers: it asks for no caller.
func (a *App) UserByName(ctx context.Context, name string) (db.User, error) {
	return a.store.UserByName(ctx, db.Normal(name))
}

// Users is one page of what the filter chooses among the users that the caller
// may see, with groups, and how many there are in all.
func (a *App) Users(ctx context.Context, caller Caller, f db.UserFilter) ([]db.User, int, error) {
	if !caller.User.Superuser {
		if f.ID != 0 && f.ID != caller.User.ID {
			return nil, 0, nil
		}
		f.ID = caller.User.ID
	}
	return a.store.Users(ctx, f)
}

// An Account is a user with how it is used, and the wrong passwords for it in the last hour.
type Account struct {
	db.User
	db.UserUse
	Failures db.LoginFailures
}

// Accounts is [App.Users] for superusers, with more of each. It asks the store as often
// for a hundred as for one.
func (a *App) Accounts(ctx context.Context, caller Caller, f db.UserFilter) ([]Account, int, error) {
	if a.flushIfQuick(ctx) {
		if err := a.expire(ctx, a.now()); err != nil {
			a.Log.Error("end sessions that expired", "err", err)
		}
	}
	users, total, err := a.Users(ctx, caller, f)
	if err != nil || len(users) == 0 {
		return nil, total, err
	}
	ids, names := make([]int64, len(users)), make([]string, len(users))
	for i, u := range users {
		ids[i], names[i] = u.ID, db.Fold(u.Username)
	}
	uses, err := a.store.UserUses(ctx, ids)
	if err != nil {
		return nil, 0, err
	}
	failures, err := a.store.LoginFailures(ctx, names, a.now(), loginLimits)
	if err != nil {
		return nil, 0, err
	}
	accounts := make([]Account, len(users))
	for i, u := range users {
		accounts[i] = Account{u, uses[u.ID], failures[names[i]]}
	}
	return accounts, total, nil
}

// SetUserActive enables or disables a user; disabling ends their sessions and
// refuses their API tokens. The last active superuser stays, unless forced:
// db.ErrLastSuperuser.
func (a *App) SetUserActive(ctx context.Context, actor Actor, user db.User, active bool) error {
	a.flushUsers(ctx, []int64{user.ID})
	defer a.live.Invalidate(live.UserChanged, user.ID)
	err := a.store.SetActive(ctx, user.ID, active, !actor.Force, a.userEvent(actor, db.ModelUpdated, user, map[string]any{"is_active": active}))
	if err == nil {
		a.Log.Info("user changed", "user", user.Username, "active", active, "by", actor.Name)
	}
	return err
}

// UnlockUser removes those wrong passwords, so that the user may try again at once.
func (a *App) UnlockUser(ctx context.Context, actor Actor, user db.User) error {
	err := a.store.UnlockUser(ctx, db.Fold(user.Username), a.userEvent(actor, db.ModelUpdated, user, map[string]any{"unlocked": true}))
	if err == nil {
		a.Log.Info("user changed", "user", user.Username, "unlocked", true, "by", actor.Name)
	}
	return err
}

// UpdateUser stores a user's name, email and whether they are a superuser. The
// last active superuser stays one, unless forced: db.ErrLastSuperuser.
func (a *App) UpdateUser(ctx context.Context, actor Actor, user db.User) error {
	user.Name, user.Email = db.Normal(user.Name), db.Normal(user.Email)
	if err := errors.Join(checkText("name", user.Name), checkEmail(user.Email)); err != nil {
		return err
	}
	was, err := a.store.User(ctx, user.ID)
	if err != nil {
		return err
	}
	defer a.live.Invalidate(live.UserChanged, user.ID)
	event := a.userEvent(actor, db.ModelUpdated, user, map[string]any{"is_superuser": user.Superuser, "changed": changes(was, user)})
	err = a.store.UpdateUser(ctx, user, a.now(), !actor.Force, a.tellsOfSuperuser(event, actor, user, was.Superuser))
	if err == nil {
		a.Log.Info("user changed", "user", user.Username, "superuser", user.Superuser, "by", actor.Name)
	}
	return err
}

// changes are the fields of a user that an update changes.
func changes(was, is db.User) []string {
	fields := []string{}
	for _, field := range []struct {
		name    string
		changed bool
	}{{"name", was.Name != is.Name}, {"email", was.Email != is.Email}, {"is_superuser", was.Superuser != is.Superuser}} {
		if field.changed {
			fields = append(fields, field.name)
		}
	}
	return fields
}

// UpdateProfile stores the caller's own name and email.
func (a *App) UpdateProfile(ctx context.Context, caller Caller, name, email string) error {
	name, email = db.Normal(name), db.Normal(email)
	if err := errors.Join(checkText("name", name), checkEmail(email)); err != nil {
		return err
	}
	defer a.live.Invalidate(live.UserChanged, caller.User.ID)
	err := a.store.UpdateProfile(ctx, caller.User.ID, name, email, a.userEvent(caller.Actor(), db.ModelUpdated, *caller.User, nil))
	if err == nil {
		a.Log.Info("user changed", "user", caller.User.Username, "by", caller.User.Username)
	}
	return err
}

// DeleteUser removes a user, with sessions and API tokens. The last active
// superuser stays, unless forced: db.ErrLastSuperuser.
func (a *App) DeleteUser(ctx context.Context, actor Actor, user db.User) error {
	defer a.live.Invalidate(live.UserChanged, user.ID)
	err := a.store.DeleteUser(ctx, user.ID, !actor.Force, a.userEvent(actor, db.ModelDeleted, user, nil))
	if err == nil {
		a.Log.Info("user deleted", "user", user.Username, "by", actor.Name)
	}
	return err
}

// A NewPassword is one that somebody is given, or chooses.
type NewPassword struct {
	Password   string
	MustChange bool      // its user chooses another at the next sign-in
	Spare      uuid.UUID // the session of theirs that goes on; the zero uuid for none
}

// SetPassword gives a user a new password and ends their sessions.
func (a *App) SetPassword(ctx context.Context, actor Actor, user db.User, n NewPassword) error {
	return a.setPassword(ctx, actor, user, "", n)
}

// setPassword is SetPassword, with was only if that is the hash still.
func (a *App) setPassword(ctx context.Context, actor Actor, user db.User, was string, n NewPassword) error {
	c, err := a.passwordChange(ctx, actor, user, n)
	if err != nil {
		return err
	}
	c.Was = was
	a.flushUsers(ctx, []int64{user.ID})
	defer a.live.Invalidate(live.UserChanged, user.ID)
	if err = a.store.SetPassword(ctx, c); err == nil {
		a.Log.Info("password set", "user", user.Username, "by", actor.Name, "ip", actor.IP)
	}
	return err
}

// passwordChange is what is stored of a new password; what is wrong with that is a
// db.InputError.
func (a *App) passwordChange(ctx context.Context, actor Actor, user db.User, n NewPassword) (c db.PasswordChange, err error) {
	if err := db.CheckPassword(n.Password); err != nil {
		return c, err
	}
	hash, err := a.passwords.hash(ctx, n.Password)
	if err != nil {
		return c, err
	}
	event := a.event(actor, db.PasswordSet, user.ID, map[string]any{"username": user.Username})
	return db.PasswordChange{UserID: user.ID, Hash: hash, MustChange: n.MustChange, Spare: n.Spare,
		Event: a.tells(event, actor, alert.PasswordChanged, user, "")}, nil
}

// ChangePassword is SetPassword by the user, who must know the current one and
// stays signed in here. Wrong ones count as failed sign-ins do.
func (a *App) ChangePassword(ctx context.Context, caller Caller, client Client, current, next string) error {
	if caller.Session == uuid.Nil {
		return ErrForbidden
	}
	if err := db.CheckPassword(next); err != nil {
		return &db.InputError{Field: "new_password", Problem: err.(*db.InputError).Problem}
	}
	user, err := a.verify(ctx, caller.User.Username, current, client)
	if err == nil {
		err = a.setPassword(ctx, caller.Actor(), user, user.PasswordHash, NewPassword{Password: next, Spare: caller.Session})
	}
	if errors.Is(err, ErrBadCredentials) || errors.Is(err, db.ErrNotFound) { // wrong, or reset meanwhile
		return &db.InputError{Field: "current_password", Problem: "This is not your current password."}
	}
	return err
}

// HasPassword reports whether a user has one: who was invited may have a passkey alone, and
// who came from another program neither.
func (a *App) HasPassword(ctx context.Context, user db.User) (bool, error) {
	user, err := a.store.User(ctx, user.ID)
	return user.PasswordHash != "", err
}

// SetOwnPassword is ChangePassword by a user who has none to know, and has lately proven
// who they are; with one it is ErrForbidden.
func (a *App) SetOwnPassword(ctx context.Context, caller Caller, next string) error {
	has, err := a.HasPassword(ctx, *caller.User)
	if err == nil && has {
		err = ErrForbidden
	}
	if err == nil {
		err = a.setPassword(ctx, caller.Actor(), *caller.User, "", NewPassword{Password: next, Spare: caller.Session})
	}
	var input *db.InputError
	if errors.As(err, &input) {
		input.Field = "new_password"
	}
	return err
}

// AddToGroup makes a user a member of a group, which is made if need be.
func (a *App) AddToGroup(ctx context.Context, actor Actor, user db.User, group string) error {
	if err := checkGroup(group); err != nil {
		return err
	}
	group = db.Normal(group)
	defer a.live.Invalidate(live.UserChanged, user.ID)
	return a.store.AddToGroup(ctx, user.ID, group, a.userEvent(actor, db.ModelUpdated, user, map[string]any{"added_to": group}))
}

// RemoveFromGroup ends a membership; db.ErrNotFound when there was none.
func (a *App) RemoveFromGroup(ctx context.Context, actor Actor, user db.User, group string) error {
	group = db.Normal(group)
	defer a.live.Invalidate(live.UserChanged, user.ID)
	return a.store.RemoveFromGroup(ctx, user.ID, group, a.userEvent(actor, db.ModelUpdated, user, map[string]any{"removed_from": group}))
}

// normalAll are texts in their normal form.
func normalAll(texts []string) []string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = db.Normal(text)
	}
	return all
}

// SetGroups makes a user a member of exactly these groups.
func (a *App) SetGroups(ctx context.Context, actor Actor, user db.User, groups []string) error {
	var errs []error
	for _, group := range groups {
		errs = append(errs, checkGroup(group))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	defer a.live.Invalidate(live.UserChanged, user.ID)
	return a.store.SetGroups(ctx, user.ID, normalAll(groups), func(group string, member bool) db.Event {
		what := "removed_from"
		if member {
			what = "added_to"
		}
		return a.userEvent(actor, db.ModelUpdated, user, map[string]any{what: group})
	})
}
