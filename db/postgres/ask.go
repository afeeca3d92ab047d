package postgres

import (
	"context"

	"lastseen/db"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

// A question is answered by one statement, of one row: the number of the rules, which is
// there when nothing else is.
const (
	askColumns = `SELECT r.version, s.id, s.uuid, s.user_id, s.agent_id, s.last_ip, s.via, s.method, s.remember,
		s.created, s.last_used, s.ends, s.expires,
		u.username, u.uuid, u.name, u.email, u.active, u.superuser, u.created, u.updated, u.password_changed, u.must_change, u.last_login, u.member_of`
	askToken   = askColumns + `, '' FROM rules_version r LEFT JOIN (sessions s JOIN users u ON u.id = s.user_id) ON s.token_hash = $1`
	askSession = askColumns + `, '' FROM rules_version r LEFT JOIN (sessions s JOIN users u ON u.id = s.user_id) ON s.uuid = $1::uuid`
	askApp     = askColumns + `, c.host FROM rules_version r LEFT JOIN (app_sessions c JOIN sessions s ON s.id = c.session_id JOIN users u ON u.id = s.user_id) ON c.token_hash = $1`
	askKey     = `SELECT r.version, ` + tokenColumns + ` FROM rules_version r LEFT JOIN (tokens t JOIN users u ON u.id = t.user_id) ON t.key_hash = $1`
	askRules   = `SELECT version FROM rules_version`
)

// statement is what answers a question.
func statement(q db.Question) (sql string, arg any) {
	switch {
	case q.Token != nil:
		return askToken, q.Token
	case q.App != nil:
		return askApp, q.App
	case q.Key != nil:
		return askKey, q.Key
	}
	return askSession, q.Session
}

// Ask answers questions in one round trip. rules numbers the gate's rules: another one
// says that they are others.
func (s *Store) Ask(ctx context.Context, questions []db.Question) (answers []db.Answer, rules int64, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		answers, rules = make([]db.Answer, len(questions)), 0
		switch len(questions) {
		case 0:
			return q.row(ctx, askRules).Scan(&rules)
		case 1:
			sql, arg := statement(questions[0])
			return found(q.row(ctx, sql, arg), questions[0], &answers[0], &rules)
		}
		var batch pgconn.Batch
		for _, question := range questions {
			sql, arg := statement(question)
			if err := q.queue(ctx, &batch, sql, arg); err != nil {
				return err
			}
		}
		results := q.conn.ExecBatch(ctx, &batch)
		for i := 0; results.NextResult(); i++ {
			err := found(func(f func(tuple) error) error { return first(results.ResultReader(), f) }, questions[i], &answers[i], &rules)
			if err != nil {
				_ = results.Close() // err says more
				return err
			}
		}
		return results.Close()
	})
	return answers, rules, err
}

// found takes what the row says to a question.
func found(row answer, q db.Question, a *db.Answer, rules *int64) error {
	return row(func(t tuple) error {
		if err := decode(t.values[0], rules); err != nil || t.values[1] == nil { // nothing is there
			return err
		}
		a.Found = true
		if q.Key != nil {
			var found tokenRow
			err := t.scan(append([]any{rules}, tokenFields(&found)...))
			if err != nil {
				return err
			}
			token, err := found.token()
			a.Token = &token
			return err
		}
		var memberOf []string
		sess, u := &a.Session, &a.User
		err := t.scan([]any{rules, &sess.ID, &sess.UUID, &sess.UserID, &sess.AgentID, addrColumn{&sess.IP}, addrColumn{&sess.Via}, &sess.Method, &sess.Remember,
			timeColumn{&sess.Created}, timeColumn{&sess.LastUsed}, timeColumn{&sess.Ends}, timeColumn{&sess.Expires},
			&u.Username, &u.UUID, &u.Name, &u.Email, &u.Active, &u.Superuser, timeColumn{&u.Created}, timeColumn{&u.Updated}, timeColumn{&u.PasswordChanged}, &u.MustChange, timeColumn{&u.LastLogin}, &memberOf, &a.Host})
		if err != nil {
			return err
		}
		u.ID = sess.UserID
		u.Groups, err = groups(memberOf)
		return err
	})
}

// SessionByToken finds a living session by its token's hash, without Username
// and Agent: see User and Agent. It does not look at expiry or at whether the
// user is active: the caller judges.
func (s *Store) SessionByToken(hash []byte) (db.Session, error) {
	a, err := s.point(context.Background(), db.Question{Token: hash})
	return a.Session, err
}

// SessionByUUID finds one by its public name.
func (s *Store) SessionByUUID(id uuid.UUID) (db.Session, error) {
	a, err := s.point(context.Background(), db.Question{Session: id})
	return a.Session, err
}

// point is the answer to one question, or db.ErrNotFound.
func (s *Store) point(ctx context.Context, q db.Question) (db.Answer, error) {
	answers, _, err := s.Ask(ctx, []db.Question{q})
	if err == nil && !answers[0].Found {
		err = db.ErrNotFound
	}
	if err != nil {
		return db.Answer{}, err
	}
	return answers[0], nil
}
