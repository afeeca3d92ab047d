package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
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
//
// It leans on there being one writer: nobody else makes the first user between its look and its insert.
func (s *Store) CreateUser(ctx context.Context, u db.User, onlyFirst bool, event func(db.User) db.Event) (db.User, error) {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		if onlyFirst {
			var any bool
			if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users)`).Scan(&any); err != nil {
				return err
			}
			if any {
				return fmt.Errorf("a first user: %w", db.ErrConflict)
			}
		}
		var err error
		u, err = createUser(ctx, tx, u, event)
		return err
	})
	return u, err
}

// CreateUserWithTOTP is CreateUser for somebody who has a second factor from the start.
func (s *Store) CreateUserWithTOTP(ctx context.Context, u db.User, t db.TOTP, created func(db.User) db.Event, added func(u db.User, id int64) db.Event) (db.User, error) {
	err := s.inTx(ctx, func(tx *sql.Tx) (err error) {
		if u, err = createUser(ctx, tx, u, created); err != nil {
			return err
		}
		t.UserID = u.ID
		return addFactor(ctx, tx, db.NewFactor{TOTP: &t, Event: func(id int64) db.Event { return added(u, id) }})
	})
	return u, err
}

// createUser stores a user. An invitation under that name is good no longer.
func createUser(ctx context.Context, tx *sql.Tx, u db.User, event func(db.User) db.Event) (db.User, error) {
	folded := db.Fold(u.Username)
	res, err := tx.ExecContext(ctx, `INSERT INTO users
		(uuid, username, folded, name, email, password_hash, active, superuser, created, updated, password_changed, must_change)
		VALUES ($1, $2, $9, $3, $4, $5, $6, $7, $8, $8, $8, $10)`,
		u.UUID[:], u.Username, u.Name, u.Email, u.PasswordHash, u.Active, u.Superuser, micros(u.Created), folded, u.MustChange)
	if err != nil {
		return u, err
	}
	if u.ID, err = res.LastInsertId(); err != nil {
		return u, err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM links WHERE username <> '' AND fold(username) = $1`, folded); err != nil {
		return u, err
	}
	for _, group := range u.Groups {
		if err := addToGroup(ctx, tx, u.ID, group.Name); err != nil {
			return u, err
		}
	}
	return u, insertEvent(ctx, tx, event(u))
}

// HasUsers reports whether there is any user.
func (s *Store) HasUsers(ctx context.Context) (any bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users)`).Scan(&any)
	return any, s.err(err)
}

// User is the user with that ID, with groups.
func (s *Store) User(ctx context.Context, id int64) (db.User, error) {
	return s.user(ctx, `u.id = $1`, id)
}

// UserByName is the user with that name, in whatever case, with groups.
func (s *Store) UserByName(ctx context.Context, name string) (db.User, error) {
	return s.user(ctx, `u.folded = $1`, db.Fold(name))
}

func (s *Store) user(ctx context.Context, where string, args ...any) (db.User, error) {
	users, err := s.queryUsers(ctx, s.read, `SELECT `+userColumns+` FROM users u WHERE `+where, args...)
	if err == nil && len(users) == 0 {
		err = db.ErrNotFound
	}
	if err != nil {
		return db.User{}, s.err(err)
	}
	return users[0], nil
}

// lastSeen is when an account was last used, in microseconds; 0 for never.
const lastSeen = `max(coalesce((SELECT max(s.last_used) FROM sessions s WHERE s.user_id = u.id), 0),
	coalesce((SELECT max(e.last_used) FROM ended_sessions e WHERE e.user_id = u.id), 0), coalesce(u.last_login, 0))`

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
	"sessions":     "u.sessions",
}

// hasFactor is whether a user has a second factor.
const hasFactor = `(EXISTS (SELECT 1 FROM totps WHERE user_id = u.id) OR EXISTS (SELECT 1 FROM passkeys WHERE user_id = u.id))`

// Users is one page of what the filter chooses, with groups, and how many there are in all.
func (s *Store) Users(ctx context.Context, f db.UserFilter) (page []db.User, total int, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
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
		c.Add(`u.uuid = ?`, f.UUID[:])
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
		names, _ := json.Marshal(f.Groups) // strings always marshal
		c.Add(`u.id IN (SELECT m.user_id FROM user_groups m JOIN groups g ON g.id = m.group_id
			WHERE g.name IN (SELECT value FROM json_each(?)))`, string(names))
	}
	if f.GroupIDs != nil {
		ids := make([]string, len(f.GroupIDs))
		for i, id := range f.GroupIDs {
			ids[i] = strings.ToUpper(hex.EncodeToString(id[:]))
		}
		list, _ := json.Marshal(ids) // strings always marshal
		c.Add(`u.id IN (SELECT m.user_id FROM user_groups m JOIN groups g ON g.id = m.group_id
			WHERE hex(g.uuid) IN (SELECT value FROM json_each(?)))`, string(list))
	}
	for _, word := range f.Search {
		c.Add(`(u.folded LIKE ? ESCAPE '\' OR fold(u.name) LIKE ? ESCAPE '\' OR fold(u.email) LIKE ? ESCAPE '\')`, db.LikePattern(word))
	}
	if err := s.list.QueryRowContext(ctx, `SELECT count(*) FROM users u WHERE `+c.SQL(), c.Args...).Scan(&total); err != nil || f.Limit == 0 {
		return nil, total, s.err(err)
	}
	query := `SELECT ` + userColumns + ` FROM users u WHERE ` + c.SQL() +
		c.Page(orderBy(f.Ordering, userOrderings, db.Order{Column: "username"}, "pk"), f.Limit, f.Offset)
	page, err = s.queryUsers(ctx, s.list, query, c.Args...)
	return page, total, s.err(err)
}

// UserUses is how users are used, by their IDs.
func (s *Store) UserUses(ctx context.Context, users []int64) (map[int64]db.UserUse, error) {
	list, _ := json.Marshal(users) // numbers always marshal
	rows, err := s.list.QueryContext(ctx, `SELECT u.id, u.sessions, nullif(`+lastSeen+`, 0), `+hasFactor+` FROM users u WHERE u.id IN (SELECT value FROM json_each($1))`, string(list))
	if err != nil {
		return nil, s.err(err)
	}
	defer rows.Close()
	uses := map[int64]db.UserUse{}
	for rows.Next() {
		var id int64
		var use db.UserUse
		if err := rows.Scan(&id, &use.Sessions, timeColumn{&use.LastSeen}, &use.Factor); err != nil {
			return nil, s.err(err)
		}
		uses[id] = use
	}
	return uses, s.err(rows.Err())
}

// orderBy is an ordering in SQL, as db.TotalOrder completes it.
func orderBy(ordering []db.Order, columns map[string]string, first db.Order, unique string) string {
	ordering = db.TotalOrder(ordering, first, unique)
	terms := make([]string, len(ordering))
	for i, o := range ordering {
		terms[i] = columns[o.Column]
		if o.Descending {
			terms[i] += " DESC"
		}
	}
	return strings.Join(terms, ", ")
}

// queryUsers reads users and then, in one query, the groups of all of them.
func (s *Store) queryUsers(ctx context.Context, q querier, query string, args ...any) ([]db.User, error) {
	users, err := queryAll(ctx, q, userFields, query, args...)
	if err != nil || len(users) == 0 {
		return nil, err
	}
	ids := make([]int64, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	groups, err := groupsOf(ctx, q, ids)
	for i := range users {
		users[i].Groups = groups[users[i].ID]
	}
	return users, err
}

func groupsOf(ctx context.Context, q querier, users []int64) (map[int64][]db.Group, error) {
	list, err := json.Marshal(users)
	if err != nil {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, `SELECT m.user_id, g.uuid, g.name FROM user_groups m JOIN groups g ON g.id = m.group_id
		WHERE m.user_id IN (SELECT value FROM json_each($1)) ORDER BY g.name`, string(list))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	groups := map[int64][]db.Group{}
	for rows.Next() {
		var user int64
		var g db.Group
		if err := rows.Scan(&user, &g.UUID, &g.Name); err != nil {
			return nil, err
		}
		groups[user] = append(groups[user], g)
	}
	return groups, rows.Err()
}

// UpdateUser stores a user's name, email and whether they are a superuser. With
// keepSuperuser it is db.ErrLastSuperuser to take that from the last active one.
func (s *Store) UpdateUser(ctx context.Context, u db.User, now time.Time, keepSuperuser bool, event db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if keepSuperuser && !u.Superuser {
			if err := notLastSuperuser(ctx, tx, u.ID); err != nil {
				return err
			}
		}
		err := oneRow(tx.ExecContext(ctx, `UPDATE users SET name = $1, email = $2, superuser = $3, updated = $4 WHERE id = $5`,
			u.Name, u.Email, u.Superuser, micros(now), u.ID))
		if err == nil && !u.Superuser {
			err = dropLinksBy(ctx, tx, u.ID)
		}
		if err != nil {
			return err
		}
		return userChanged(ctx, tx, u.ID, event)
	})
}

// UpdateProfile stores what users may change of themselves: name and email.
func (s *Store) UpdateProfile(ctx context.Context, user int64, name, email string, event db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		err := oneRow(tx.ExecContext(ctx, `UPDATE users SET name = $1, email = $2, updated = $3 WHERE id = $4`, name, email, micros(event.Created), user))
		if err != nil {
			return err
		}
		return userChanged(ctx, tx, user, event)
	})
}

// SetActive enables or disables a user; disabling ends their sessions. With
// keepSuperuser it is db.ErrLastSuperuser to disable the last active superuser.
func (s *Store) SetActive(ctx context.Context, user int64, active bool, keepSuperuser bool, event db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if keepSuperuser && !active {
			if err := notLastSuperuser(ctx, tx, user); err != nil {
				return err
			}
		}
		err := oneRow(tx.ExecContext(ctx, `UPDATE users SET active = $1, updated = $2 WHERE id = $3`, active, micros(event.Created), user))
		if err != nil {
			return err
		}
		if !active {
			if _, err := endSessions(ctx, tx, `user_id = $1`, []any{user}, db.UserDisabled, event.Actor, event.Created); err != nil {
				return err
			}
			if err := dropPending(ctx, tx, user); err != nil {
				return err
			}
			if err := dropLinksBy(ctx, tx, user); err != nil {
				return err
			}
		}
		return userChanged(ctx, tx, user, event)
	})
}

// DeleteUser removes a user with all that is theirs but the events. With
// keepSuperuser it is db.ErrLastSuperuser to remove the last active superuser.
func (s *Store) DeleteUser(ctx context.Context, user int64, keepSuperuser bool, event db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if keepSuperuser {
			if err := notLastSuperuser(ctx, tx, user); err != nil {
				return err
			}
		}
		if err := dropLinksBy(ctx, tx, user); err != nil {
			return err
		}
		for _, theirs := range []string{
			`DELETE FROM session_hosts WHERE session IN (SELECT uuid FROM sessions WHERE user_id = $1 UNION ALL SELECT uuid FROM ended_sessions WHERE user_id = $1)`,
			`DELETE FROM sessions WHERE user_id = $1`,
		} {
			if _, err := tx.ExecContext(ctx, theirs, user); err != nil {
				return err
			}
		}
		if err := oneRow(tx.ExecContext(ctx, `DELETE FROM users WHERE id = $1`, user)); err != nil {
			return err
		}
		if err := freeNumbers(ctx, tx); err != nil {
			return err
		}
		return insertEvent(ctx, tx, event)
	})
}

// notLastSuperuser is db.ErrLastSuperuser if a user is the only active superuser:
// without them nobody could mend anything from a browser. It leans on there being one
// writer: nothing changes until the transaction has ended.
func notLastSuperuser(ctx context.Context, tx *sql.Tx, user int64) error {
	var is, others bool
	err := tx.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE id = $1), count(*) FILTER (WHERE id <> $1) > 0
		FROM users WHERE active AND superuser`, user).Scan(&is, &others)
	if err == nil && is && !others {
		err = db.ErrLastSuperuser
	}
	return err
}

// SetPassword stores a new password and ends the user's other sessions. It is
// db.ErrNotFound where it no longer may.
func (s *Store) SetPassword(ctx context.Context, c db.PasswordChange) error {
	return s.inTx(ctx, func(tx *sql.Tx) error { return setPassword(ctx, tx, c) })
}

func setPassword(ctx context.Context, tx *sql.Tx, c db.PasswordChange) error {
	err := oneRow(tx.ExecContext(ctx, `UPDATE users SET password_hash = $1, password_changed = $2, updated = $2, must_change = $6 WHERE id = $3
		AND ($4 = '' OR password_hash = $4 AND active AND EXISTS (SELECT 1 FROM sessions WHERE uuid = $5 AND user_id = $3))`,
		c.Hash, micros(c.Event.Created), c.UserID, c.Was, c.Spare[:], c.MustChange))
	if err != nil {
		return err
	}
	_, err = endSessions(ctx, tx, `user_id = $1 AND uuid <> $2`, []any{c.UserID, c.Spare[:]}, db.PasswordChanged, c.Event.Actor, c.Event.Created)
	if err != nil {
		return err
	}
	if err := dropPending(ctx, tx, c.UserID); err != nil {
		return err
	}
	return userChanged(ctx, tx, c.UserID, c.Event)
}

// RehashPassword replaces a hash by a stronger one of the same password. It is
// ErrNotFound when that is their hash no longer.
func (s *Store) RehashPassword(ctx context.Context, user int64, old, hash string) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		return oneRow(tx.ExecContext(ctx, `UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3`, hash, user, old))
	})
}

// AddToGroup makes a user a member, and the group if need be.
func (s *Store) AddToGroup(ctx context.Context, user int64, group string, event db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if err := addToGroup(ctx, tx, user, group); err != nil {
			return err
		}
		return userChanged(ctx, tx, user, event)
	})
}

func addToGroup(ctx context.Context, tx *sql.Tx, user int64, group string) error {
	id := uuid.New()
	if _, err := tx.ExecContext(ctx, `INSERT INTO groups (uuid, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, id[:], group); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO user_groups (user_id, group_id) SELECT $1, id FROM groups WHERE name = $2
		ON CONFLICT DO NOTHING`, user, group)
	return err
}

// RemoveFromGroup ends a membership; db.ErrNotFound when there was none.
func (s *Store) RemoveFromGroup(ctx context.Context, user int64, group string, event db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		err := oneRow(tx.ExecContext(ctx, `DELETE FROM user_groups WHERE user_id = $1 AND group_id = (SELECT id FROM groups WHERE name = $2)`, user, group))
		if err != nil {
			return err
		}
		return userChanged(ctx, tx, user, event)
	})
}

// SetGroups makes a user a member of exactly these groups, which are made if need
// be. Each membership that begins or ends is told by its event.
//
// It leans on there being one writer: what it compares with is what it changes.
func (s *Store) SetGroups(ctx context.Context, user int64, groups []string, event func(group string, member bool) db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		found, err := groupsOf(ctx, tx, []int64{user})
		if err != nil {
			return err
		}
		had := map[string]bool{}
		for _, g := range found[user] {
			if had[g.Name] = true; slices.Contains(groups, g.Name) {
				continue
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM user_groups WHERE user_id = $1 AND group_id = (SELECT id FROM groups WHERE name = $2)`, user, g.Name); err != nil {
				return err
			}
			if err := userChanged(ctx, tx, user, event(g.Name, false)); err != nil {
				return err
			}
		}
		for _, name := range groups {
			if had[name] {
				continue
			}
			had[name] = true
			if err := addToGroup(ctx, tx, user, name); err != nil {
				return err
			}
			if err := userChanged(ctx, tx, user, event(name, true)); err != nil {
				return err
			}
		}
		return nil
	})
}
