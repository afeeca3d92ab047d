package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

const userColumns = `u.id, u.uuid, u.username, u.name, u.email, u.password_hash, u.active, u.superuser,
	u.created, u.updated, u.password_changed, u.must_change, u.last_login`

func userFields(u *db.User) []any {
	return []any{&u.ID, &u.UUID, &u.Username, &u.Name, &u.Email, &u.PasswordHash, &u.Active, &u.Superuser,
		timeColumn{&u.Created}, timeColumn{&u.Updated}, timeColumn{&u.PasswordChanged}, &u.MustChange, timeColumn{&u.LastLogin}}
}

// CreateUser stores a user with their groups, which are made where they do not
// exist, and returns it with its ID. With onlyFirst, it fails with
// db.ErrConflict when there is any user already. A name that another user has,
// in whatever case, is db.ErrConflict too.
func (s *Store) CreateUser(ctx context.Context, u db.User, onlyFirst bool, event func(db.User) db.Event) (db.User, error) {
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lock(ctx, q, lockUsers); err != nil {
			return err
		}
		if onlyFirst {
			var any bool
			if err := q.row(ctx, `SELECT EXISTS (SELECT 1 FROM users)`).Scan(&any); err != nil {
				return err
			}
			if any {
				return fmt.Errorf("a first user: %w", db.ErrConflict)
			}
		}
		var err error
		u, err = createUser(ctx, q, u, event)
		return err
	})
	return u, err
}

// CreateUserWithTOTP is CreateUser for somebody who has a second factor from the start.
func (s *Store) CreateUserWithTOTP(ctx context.Context, u db.User, t db.TOTP, created func(db.User) db.Event, added func(u db.User, id int64) db.Event) (db.User, error) {
	err := s.inTx(ctx, func(ctx context.Context, q querier) (err error) {
		if err := lock(ctx, q, lockUsers); err != nil {
			return err
		}
		if u, err = createUser(ctx, q, u, created); err != nil {
			return err
		}
		t.UserID = u.ID
		return addFactor(ctx, q, db.NewFactor{TOTP: &t, Event: func(id int64) db.Event { return added(u, id) }})
	})
	return u, err
}

// createUser stores a user. An invitation under that name is good no longer.
func createUser(ctx context.Context, q querier, u db.User, event func(db.User) db.Event) (db.User, error) {
	folded := db.Fold(u.Username)
	err := q.row(ctx, `INSERT INTO users
		(uuid, username, folded, name, folded_name, email, folded_email, password_hash, active, superuser, created, updated, password_changed, must_change)
		VALUES ($1::uuid, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $11, $12) RETURNING id`,
		u.UUID, u.Username, folded, u.Name, db.Fold(u.Name), u.Email, db.Fold(u.Email), u.PasswordHash, u.Active, u.Superuser, micros(u.Created), u.MustChange).Scan(&u.ID)
	if err != nil {
		return u, err
	}
	if _, err := q.exec(ctx, `DELETE FROM links WHERE folded <> '' AND folded = $1`, folded); err != nil {
		return u, err
	}
	if _, err := q.exec(ctx, `DELETE FROM settings WHERE starts_with(name, $1)`, db.SetupSetting); err != nil {
		return u, err
	}
	names := make([]string, len(u.Groups))
	for i, g := range u.Groups {
		names[i] = g.Name
	}
	if err := addToGroups(ctx, q, u.ID, names); err != nil {
		return u, err
	}
	return u, insertEvent(ctx, q, event(u))
}

// HasUsers reports whether there is any user.
func (s *Store) HasUsers(ctx context.Context) (any bool, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, `SELECT EXISTS (SELECT 1 FROM users)`).Scan(&any)
	})
	return any, err
}

// User is the user with that ID, with groups.
func (s *Store) User(ctx context.Context, id int64) (db.User, error) {
	return s.user(ctx, `u.id = $1`, id)
}

// UserByName is the user with that name, in whatever case, with groups.
func (s *Store) UserByName(ctx context.Context, name string) (db.User, error) {
	return s.user(ctx, `u.folded = $1`, db.Fold(name))
}

func (s *Store) user(ctx context.Context, where string, arg any) (u db.User, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		var memberOf []string
		err := q.row(ctx, `SELECT `+userColumns+`, u.member_of FROM users u WHERE `+where, arg).Scan(append(userFields(&u), &memberOf)...)
		if err == nil {
			u.Groups, err = groups(memberOf)
		}
		return err
	})
	return u, err
}

// groups are those that member_of names.
func groups(memberOf []string) (all []db.Group, err error) {
	for _, member := range memberOf {
		id, name, _ := strings.Cut(member, " ")
		g := db.Group{Name: name}
		if g.UUID, err = uuid.Parse(id); err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	return all, nil
}

// lastSeen is when an account was last used, in microseconds; 0 for never.
const lastSeen = `greatest((SELECT max(s.last_used) FROM sessions s WHERE s.user_id = u.id),
	(SELECT max(e.last_used) FROM ended_sessions e WHERE e.user_id = u.id), u.last_login, 0)`

// sessionsOf is how many sessions of an account live.
const sessionsOf = `(SELECT count(*) FROM sessions s WHERE s.user_id = u.id)`

var userOrderings = map[string]string{
	"pk":           "u.id",
	"username":     "u.username",
	"name":         "u.name",
	"email":        "u.email",
	"is_active":    "u.active",
	"is_superuser": "u.superuser",
	"last_login":   "u.last_login",
	"date_joined":  "u.created",
	"last_updated": "u.updated",
	"last_seen":    lastSeen,
	"sessions":     sessionsOf,
}

// hasFactor is whether a user has a second factor.
const hasFactor = `(EXISTS (SELECT 1 FROM totps WHERE user_id = u.id) OR EXISTS (SELECT 1 FROM passkeys WHERE user_id = u.id))`

// Users is one page of what the filter chooses, with groups, and how many there are in all.
func (s *Store) Users(ctx context.Context, f db.UserFilter) (page []db.User, total int, err error) {
	var c db.Conditions
	if f.ID != 0 {
		c.Add(`u.id = ?`, f.ID)
	}
	for column, value := range map[string]*string{"u.username": f.Username, "u.name": f.Name, "u.email": f.Email} {
		if value != nil {
			c.Add(column+` = ?`, *value)
		}
	}
	if f.UUID != nil {
		c.Add(`u.uuid = ?::uuid`, *f.UUID)
	}
	if f.Active != nil {
		c.Add(`u.active = ?`, *f.Active)
	}
	if f.Superuser != nil {
		c.Add(`u.superuser = ?`, *f.Superuser)
	}
	if f.Factor != nil {
		c.Add(hasFactor+` = ?`, *f.Factor)
	}
	if f.Groups != nil {
		c.Add(`u.id IN (SELECT m.user_id FROM user_groups m JOIN groups g ON g.id = m.group_id WHERE g.name = ANY(?::text[]))`, f.Groups)
	}
	if f.GroupIDs != nil {
		c.Add(`u.id IN (SELECT m.user_id FROM user_groups m JOIN groups g ON g.id = m.group_id WHERE g.uuid = ANY(?::uuid[]))`, uuidTexts(f.GroupIDs))
	}
	for _, word := range f.Search {
		c.Add(`(strpos(u.folded, ?) > 0 OR strpos(u.folded_name, ?) > 0 OR strpos(u.folded_email, ?) > 0)`, db.Fold(word))
	}
	type row struct {
		db.User
		memberOf []string
	}
	var found []row
	err = s.list(ctx, func(ctx context.Context, q querier) error {
		if err := q.row(ctx, `SELECT count(*) FROM users u WHERE `+c.SQL(), c.Args...).Scan(&total); err != nil || f.Limit == 0 {
			return err
		}
		query := `SELECT ` + userColumns + `, u.member_of FROM users u WHERE ` + c.SQL() +
			c.Page(orderBy(f.Ordering, userOrderings, db.Order{Column: "username"}, "pk"), f.Limit, f.Offset)
		found, err = rows(ctx, q, func(r *row) []any { return append(userFields(&r.User), &r.memberOf) }, query, c.Args...)
		return err
	})
	for _, r := range found {
		if r.User.Groups, err = groups(r.memberOf); err != nil {
			return nil, 0, err
		}
		page = append(page, r.User)
	}
	return page, total, err
}

// UserUses is how users are used, by their IDs.
func (s *Store) UserUses(ctx context.Context, users []int64) (map[int64]db.UserUse, error) {
	type row struct {
		id int64
		db.UserUse
	}
	var all []row
	err := s.list(ctx, func(ctx context.Context, q querier) (err error) {
		all, err = rows(ctx, q, func(r *row) []any { return []any{&r.id, &r.Sessions, timeColumn{&r.LastSeen}, &r.Factor} },
			`SELECT u.id, `+sessionsOf+`, nullif(`+lastSeen+`, 0), `+hasFactor+` FROM users u WHERE u.id = ANY($1::bigint[])`, users)
		return err
	})
	uses := map[int64]db.UserUse{}
	for _, r := range all {
		uses[r.id] = r.UserUse
	}
	return uses, err
}

// orderBy is an ordering in SQL, as db.TotalOrder completes it. What is null comes before
// everything else, as in SQLite.
func orderBy(ordering []db.Order, columns map[string]string, first db.Order, unique string) string {
	ordering = db.TotalOrder(ordering, first, unique)
	terms := make([]string, len(ordering))
	for i, o := range ordering {
		column := columns[o.Column]
		terms[i] = column + direction(o.Descending, mayBeNull[column])
	}
	return strings.Join(terms, ", ")
}

// mayBeNull are the columns of orderings that may be. Of others nothing is said of nulls: an
// index has them at the other end, and would not serve.
var mayBeNull = map[string]bool{"u.last_login": true, "t.expires": true, "s.ended": true}

func direction(descending, null bool) string {
	switch {
	case descending && null:
		return " DESC NULLS LAST"
	case descending:
		return " DESC"
	case null:
		return " NULLS FIRST"
	}
	return ""
}

func uuidTexts(ids []uuid.UUID) []string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return texts
}

// UpdateUser stores a user's name, email and whether they are a superuser. With
// keepSuperuser it is db.ErrLastSuperuser to take that from the last active one.
func (s *Store) UpdateUser(ctx context.Context, u db.User, now time.Time, keepSuperuser bool, event db.Event) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if !u.Superuser {
			if err := notLastSuperuser(ctx, q, u.ID, keepSuperuser); err != nil {
				return err
			}
		}
		err := q.one(ctx, `UPDATE users SET name = $1, folded_name = $2, email = $3, folded_email = $4, superuser = $5, updated = $6 WHERE id = $7`,
			u.Name, db.Fold(u.Name), u.Email, db.Fold(u.Email), u.Superuser, micros(now), u.ID)
		if err == nil && !u.Superuser {
			err = dropLinksBy(ctx, q, u.ID)
		}
		if err != nil {
			return err
		}
		return userChanged(ctx, q, u.ID, event)
	})
}

// UpdateProfile stores what users may change of themselves: name and email.
func (s *Store) UpdateProfile(ctx context.Context, user int64, name, email string, event db.Event) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		err := q.one(ctx, `UPDATE users SET name = $1, folded_name = $2, email = $3, folded_email = $4, updated = $5 WHERE id = $6`,
			name, db.Fold(name), email, db.Fold(email), micros(event.Created), user)
		if err != nil {
			return err
		}
		return userChanged(ctx, q, user, event)
	})
}

// SetActive enables or disables a user; disabling ends their sessions. With
// keepSuperuser it is db.ErrLastSuperuser to disable the last active superuser.
func (s *Store) SetActive(ctx context.Context, user int64, active bool, keepSuperuser bool, event db.Event) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if !active {
			if err := notLastSuperuser(ctx, q, user, keepSuperuser); err != nil {
				return err
			}
		}
		if err := q.one(ctx, `UPDATE users SET active = $1, updated = $2 WHERE id = $3`, active, micros(event.Created), user); err != nil {
			return err
		}
		if !active {
			if _, err := endSessions(ctx, q, `user_id = $1`, []any{user}, db.UserDisabled, event.Actor, event.Created); err != nil {
				return err
			}
			if err := dropPending(ctx, q, user); err != nil {
				return err
			}
			if err := dropLinksBy(ctx, q, user); err != nil {
				return err
			}
		}
		return userChanged(ctx, q, user, event)
	})
}

// DeleteUser removes a user with all that is theirs but the events. With
// keepSuperuser it is db.ErrLastSuperuser to remove the last active superuser.
func (s *Store) DeleteUser(ctx context.Context, user int64, keepSuperuser bool, event db.Event) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := notLastSuperuser(ctx, q, user, keepSuperuser); err != nil {
			return err
		}
		// Nobody signs in meanwhile. Who ends a session needs the user, too, until all have ended.
		if err := lockUser(ctx, q, user); err != nil {
			return err
		}
		if err := dropLinksBy(ctx, q, user); err != nil {
			return err
		}
		for _, theirs := range []string{
			`DELETE FROM session_hosts WHERE session IN (SELECT uuid FROM sessions WHERE user_id = $1 UNION ALL SELECT uuid FROM ended_sessions WHERE user_id = $1)`,
			`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = $1 ORDER BY id FOR UPDATE)`,
			`DELETE FROM users WHERE id = $1`,
		} {
			if _, err := q.exec(ctx, theirs, user); err != nil {
				return err
			}
		}
		if err := countGone(ctx, q); err != nil {
			return err
		}
		return insertEvent(ctx, q, event)
	})
}

// notLastSuperuser is db.ErrLastSuperuser, if keep, if a user is the only active superuser:
// without them nobody could mend anything from a browser. Until the transaction has ended
// nobody else takes away from those in charge.
func notLastSuperuser(ctx context.Context, q querier, user int64, keep bool) error {
	if err := lock(ctx, q, lockUsers); err != nil || !keep {
		return err
	}
	var is, others bool
	err := q.row(ctx, `SELECT count(*) FILTER (WHERE id = $1) > 0, count(*) FILTER (WHERE id <> $1) > 0
		FROM users WHERE active AND superuser`, user).Scan(&is, &others)
	if err == nil && is && !others {
		err = db.ErrLastSuperuser
	}
	return err
}

// SetPassword stores a new password and ends the user's other sessions. It is
// db.ErrNotFound where it no longer may.
func (s *Store) SetPassword(ctx context.Context, c db.PasswordChange) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error { return setPassword(ctx, q, c) })
}

func setPassword(ctx context.Context, q querier, c db.PasswordChange) error {
	err := q.one(ctx, `UPDATE users SET password_hash = $1, password_changed = $2, updated = $2, must_change = $6 WHERE id = $3
		AND ($4::text = '' OR password_hash = $4 AND active AND EXISTS (SELECT 1 FROM sessions WHERE uuid = $5::uuid AND user_id = $3))`,
		c.Hash, micros(c.Event.Created), c.UserID, c.Was, c.Spare, c.MustChange)
	if err != nil {
		return err
	}
	_, err = endSessions(ctx, q, `user_id = $1 AND uuid <> $2::uuid`, []any{c.UserID, c.Spare}, db.PasswordChanged, c.Event.Actor, c.Event.Created)
	if err != nil {
		return err
	}
	if err := dropPending(ctx, q, c.UserID); err != nil {
		return err
	}
	return userChanged(ctx, q, c.UserID, c.Event)
}

// RehashPassword replaces a hash by a stronger one of the same password. It is
// ErrNotFound when that is their hash no longer.
func (s *Store) RehashPassword(ctx context.Context, user int64, old, hash string) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		return q.one(ctx, `UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3`, hash, user, old)
	})
}

// makeGroups makes the groups that do not exist, in one order for all who do it at a time.
func makeGroups(ctx context.Context, q querier, names []string) error {
	ids := make([]uuid.UUID, len(names))
	for i := range ids {
		ids[i] = uuid.New()
	}
	_, err := q.exec(ctx, `INSERT INTO groups (uuid, name) SELECT * FROM unnest($1::uuid[], $2::text[]) AS g (uuid, name) ORDER BY name
		ON CONFLICT (name) DO NOTHING`, uuidTexts(ids), names)
	return err
}

func addToGroups(ctx context.Context, q querier, user int64, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if err := makeGroups(ctx, q, names); err != nil {
		return err
	}
	_, err := q.exec(ctx, `INSERT INTO user_groups (user_id, group_id) SELECT $1, id FROM groups WHERE name = ANY($2::text[]) ORDER BY id
		ON CONFLICT DO NOTHING`, user, names)
	return err
}

// lockUser has others wait who change the groups or factors of a user, or sign them in.
func lockUser(ctx context.Context, q querier, user int64) error {
	return q.one(ctx, `SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE`, user)
}

// AddToGroup makes a user a member, and the group if need be.
func (s *Store) AddToGroup(ctx context.Context, user int64, group string, event db.Event) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lockUser(ctx, q, user); err != nil {
			return err
		}
		if err := addToGroups(ctx, q, user, []string{group}); err != nil {
			return err
		}
		return userChanged(ctx, q, user, event)
	})
}

// RemoveFromGroup ends a membership; db.ErrNotFound when there was none.
func (s *Store) RemoveFromGroup(ctx context.Context, user int64, group string, event db.Event) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lockUser(ctx, q, user); err != nil {
			return err
		}
		if err := q.one(ctx, `DELETE FROM user_groups WHERE user_id = $1 AND group_id = (SELECT id FROM groups WHERE name = $2)`, user, group); err != nil {
			return err
		}
		return userChanged(ctx, q, user, event)
	})
}

// SetGroups makes a user a member of exactly these groups, which are made if need
// be. Each membership that begins or ends is told by its event.
func (s *Store) SetGroups(ctx context.Context, user int64, groups []string, event func(group string, member bool) db.Event) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lockUser(ctx, q, user); err != nil {
			return err
		}
		had, err := rows(ctx, q, column[string], `SELECT g.name FROM user_groups m JOIN groups g ON g.id = m.group_id WHERE m.user_id = $1 ORDER BY g.name`, user)
		if err != nil {
			return err
		}
		var gone, come []string
		for _, name := range had {
			if !slices.Contains(groups, name) {
				gone = append(gone, name)
			}
		}
		for _, name := range groups {
			if !slices.Contains(had, name) && !slices.Contains(come, name) {
				come = append(come, name)
			}
		}
		if _, err := q.exec(ctx, `DELETE FROM user_groups WHERE user_id = $1 AND group_id IN (SELECT id FROM groups WHERE name = ANY($2::text[]))`, user, orEmpty(gone)); err != nil {
			return err
		}
		if err := addToGroups(ctx, q, user, come); err != nil {
			return err
		}
		for _, name := range gone {
			if err := userChanged(ctx, q, user, event(name, false)); err != nil {
				return err
			}
		}
		for _, name := range come {
			if err := userChanged(ctx, q, user, event(name, true)); err != nil {
				return err
			}
		}
		return nil
	})
}

// orEmpty is a list that is not null.
func orEmpty(list []string) []string { return append([]string{}, list...) }

// CachedUser is User, but for the password's hash.
func (s *Store) CachedUser(id int64) (db.User, error) {
	u, err := s.User(context.Background(), id)
	u.PasswordHash = ""
	return u, err
}
