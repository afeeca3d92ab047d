package postgres

import (
	"context"
	"fmt"
	"slices"

	"lastseen/db"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

// sessionRecord is what answers a question about a session; host follows.
const sessionRecord = `SELECT ROW(s.id, s.uuid, s.user_id, s.agent_id, s.last_ip, s.via, s.method, s.remember, s.created, s.last_used, s.ends, s.expires,
	u.username, u.uuid, u.name, u.email, u.active, u.superuser, u.created, u.updated, u.password_changed, u.must_change, u.last_login, u.member_of`

// asks find one record, null when there is nothing, by kind of question. What is given
// follows.
var asks = [...]string{
	askToken:   sessionRecord + `, '') FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.token_hash = `,
	askApp:     sessionRecord + `, c.host) FROM app_sessions c JOIN sessions s ON s.id = c.session_id JOIN users u ON u.id = s.user_id WHERE c.token_hash = `,
	askKey:     `SELECT ROW(` + tokenColumns + `) FROM tokens t JOIN users u ON u.id = t.user_id WHERE t.key_hash = `,
	askSession: sessionRecord + `, '') FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.uuid = `,
}

const (
	askNothing = iota
	askToken
	askApp
	askKey
	askSession
	askKinds
)

// together is how many questions one statement answers, so that there are few statements.
const together = 2

// askStatements answer up to two questions of these kinds, with the number of the rules
// before.
var askStatements = func() (all [askKinds][askKinds]string) {
	for i, one := range asks {
		for j, two := range asks {
			sql := `SELECT version`
			for n, ask := range []string{one, two} {
				if ask != "" {
					sql += fmt.Sprintf(`, (%s$%d)`, ask, n+1)
				}
			}
			all[i][j] = sql + ` FROM rules_version`
		}
	}
	return all
}()

// kind says what a question asks, by what.
func kind(q db.Question) (kind int, by any) {
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

// statement is what answers some questions.
func statement(questions []db.Question) (sql string, args []any) {
	var kinds [together]int
	for i, q := range questions {
		k, by := kind(q)
		kinds[i], args = k, append(args, by)
	}
	return askStatements[kinds[0]][kinds[1]], args
}

// Ask answers questions in one round trip. rules numbers the gate's rules: another one
// says that they are others.
func (s *Store) Ask(ctx context.Context, questions []db.Question) (answers []db.Answer, rules int64, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		answers, rules = make([]db.Answer, len(questions)), 0
		if len(questions) <= together {
			sql, args := statement(questions)
			return q.row(ctx, sql, args...)(func(t tuple) error { return found(t, questions, answers, &rules) })
		}
		var batch pgconn.Batch
		for some := range slices.Chunk(questions, together) {
			sql, args := statement(some)
			if err := q.queue(ctx, &batch, sql, args...); err != nil {
				return err
			}
		}
		results := q.conn.ExecBatch(ctx, &batch)
		for from := 0; results.NextResult(); from += together {
			to := min(from+together, len(questions))
			err := first(results.ResultReader(), func(t tuple) error { return found(t, questions[from:to], answers[from:to], &rules) })
			if err != nil {
				_ = results.Close() // err says more
				return err
			}
		}
		return results.Close()
	})
	return answers, rules, err
}

// found takes what a row says to questions.
func found(t tuple, questions []db.Question, answers []db.Answer, rules *int64) error {
	if err := decode(t.values[0], rules); err != nil {
		return err
	}
	for i, record := range t.values[1:] {
		if record == nil {
			continue
		}
		read := foundSession
		if questions[i].Key != nil {
			read = foundToken
		}
		answers[i].Found = true
		if err := read(record, &answers[i]); err != nil {
			return err
		}
	}
	return nil
}

func foundToken(record []byte, a *db.Answer) error {
	var row tokenRow
	err := scanRecord(record, tokenFields(&row))
	if err == nil {
		row.User.Groups, err = groups(row.memberOf)
	}
	a.Token = &row.Token
	return err
}

func foundSession(record []byte, a *db.Answer) error {
	var memberOf []string
	sess, u := &a.Session, &a.User
	err := scanRecord(record, []any{&sess.ID, &sess.UUID, &sess.UserID, &sess.AgentID, addrColumn{&sess.IP}, addrColumn{&sess.Via}, &sess.Method, &sess.Remember,
		timeColumn{&sess.Created}, timeColumn{&sess.LastUsed}, timeColumn{&sess.Ends}, timeColumn{&sess.Expires},
		&u.Username, &u.UUID, &u.Name, &u.Email, &u.Active, &u.Superuser, timeColumn{&u.Created}, timeColumn{&u.Updated}, timeColumn{&u.PasswordChanged}, &u.MustChange, timeColumn{&u.LastLogin}, &memberOf, &a.Host})
	if err == nil {
		u.Groups, err = groups(memberOf)
	}
	u.ID = sess.UserID
	return err
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
