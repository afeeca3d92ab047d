package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"lastseen/db"

	"github.com/google/uuid"
)

const recordColumns = `id, uuid, user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires, device_id`

// keyColumns are what is filtered and sorted by, beside when it ended.
const keyColumns = `id, uuid, user_id, agent_id, last_ip, last_used, expires, device_id`

// endedRows and livingRows are the tables of both kinds of sessions in one shape. What
// lives has not ended.
const (
	endedRows  = `SELECT ` + recordColumns + `, ended, reason, ended_by FROM ended_sessions`
	livingRows = `SELECT ` + recordColumns + `, NULL AS ended, '' AS reason, '' AS ended_by FROM sessions`
)

// historyOrderings are the columns to sort history by, by their names in the API.
var historyOrderings = map[string]string{
	"user__username": "u.username", "user": "s.user_id", "last_ip": "s.last_ip", "last_user_agent": "a.string",
	"last_used": "s.last_used", "expires": "s.expires", "uuid": "s.uuid", "ended": "s.ended",
}

// History is one page of the ended sessions that the filter chooses, with the living
// ones too where it says so, and how many there are in all; without an ordering those
// that ended last come first. Its keys are found and sorted first, without what their
// users and agents say unless that is sorted by; then these rows are read.
func (s *Store) History(ctx context.Context, f db.SessionFilter) (page []db.EndedSession, total int, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	tx, err := s.list.BeginTx(ctx, nil) // what ends between two of its queries is still where it was
	if err != nil {
		return nil, 0, s.err(err)
	}
	defer tx.Rollback()
	c := recordConditions(f)
	keys := `SELECT 0 AS lives, ` + keyColumns + `, ended FROM ended_sessions`
	if f.State == db.Any {
		keys += ` UNION ALL SELECT 1, ` + keyColumns + `, NULL FROM sessions WHERE expires > ` + c.Arg(micros(f.Now))
	}
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM (`+keys+`) s WHERE `+c.SQL(), c.Args...).Scan(&total); err != nil || f.Limit == 0 || f.Offset >= total {
		return nil, total, s.err(err)
	}
	order := "s.ended DESC, s.id DESC"
	if len(f.Ordering) > 0 {
		order = orderBy(f.Ordering, historyOrderings, db.Order{}, "uuid")
	}
	query := `SELECT s.lives, s.id FROM ` + withJoins(`(`+keys+`) s`, order) + ` WHERE ` + c.SQL() + c.Page(order, f.Limit, f.Offset)
	rows, err := tx.QueryContext(ctx, query, c.Args...)
	if err != nil {
		return nil, 0, s.err(err)
	}
	defer rows.Close()
	type key struct {
		lives bool
		id    int64
	}
	place, ids := map[key]int{}, map[bool][]int64{}
	for rows.Next() {
		var k key
		if err := rows.Scan(&k.lives, &k.id); err != nil {
			return nil, 0, s.err(err)
		}
		place[k] = len(place)
		ids[k.lives] = append(ids[k.lives], k.id)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, s.err(err)
	}
	page = make([]db.EndedSession, len(place))
	for lives, from := range map[bool]string{false: endedRows, true: livingRows} {
		list, _ := json.Marshal(ids[lives]) // numbers always marshal
		found, err := queryRecords(ctx, tx, from, `s.id IN (SELECT value FROM json_each($1))`, string(list))
		if err != nil {
			return nil, 0, s.err(err)
		}
		for _, e := range found {
			page[place[key{lives, e.ID}]] = e
		}
	}
	return page, total, nil
}

// EndedSession is one that ended, by its public name.
func (s *Store) EndedSession(ctx context.Context, id uuid.UUID) (db.EndedSession, error) {
	found, err := queryRecords(ctx, s.list, endedRows, `s.uuid = $1`, id[:])
	if err == nil && len(found) == 0 {
		err = db.ErrNotFound
	}
	if err != nil {
		return db.EndedSession{}, s.err(err)
	}
	return found[0], nil
}

// exportChunk is how many sessions an export reads at a time, or more with long lists of addresses.
const exportChunk = 500

// ExportSessions hands all sessions that the filter chooses to each, some at a time, as
// they were at one moment: each once, in the order in which they began, those that have
// ended after the living. It takes as long as each does, and the memory of a chunk.
func (s *Store) ExportSessions(ctx context.Context, f db.SessionFilter, each func([]db.EndedSession) error) error {
	conn, err := s.pool(1, "_pragma=query_only(1)") // one of its own: it may be held for long
	if err != nil {
		return err
	}
	defer conn.Close()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return s.err(err)
	}
	defer tx.Rollback()
	c := recordConditions(f)
	chunk := exportChunk
	for _, w := range f.Words {
		chunk += len(w.IPs) / 20 // which are read for each chunk anew
	}
	chunk += len(f.IPs) / 20
	for _, state := range []db.State{db.Living, db.Ended} {
		if f.State != state && f.State != db.Any {
			continue
		}
		after := int64(0)
		for {
			next, from := db.Conditions{Args: slices.Clip(c.Args)}, endedRows
			if state == db.Living {
				from = livingRows + ` WHERE expires > ` + next.Arg(micros(f.Now))
			}
			where := c.SQL() + ` AND s.id > ` + next.Arg(after) + ` ORDER BY s.id LIMIT ` + next.Arg(chunk)
			found, err := queryRecords(ctx, tx, from, where, next.Args...)
			if err != nil {
				return s.err(err)
			}
			if len(found) == 0 {
				break
			}
			after = found[len(found)-1].ID
			if err := each(found); err != nil {
				return err
			}
		}
	}
	return nil
}

// recordConditions are a filter in SQL. What a word means is asked of the small tables
// once, and not of each session's user and agent.
func recordConditions(f db.SessionFilter) (c db.Conditions) {
	if f.User != nil {
		c.Add(`s.user_id = ?`, *f.User)
	}
	if f.Username != nil {
		c.Add(`s.user_id IN (SELECT id FROM users WHERE username = ?)`, *f.Username)
	}
	if f.IP != nil {
		c.Add(`s.last_ip = ?`, *f.IP)
	}
	if f.IPs != nil {
		list, _ := json.Marshal(f.IPs) // strings always marshal
		c.Add(`s.last_ip IN (SELECT value FROM json_each(?))`, string(list))
	}
	if f.Agent != nil {
		c.Add(`s.agent_id IN (SELECT id FROM user_agents WHERE string = ?)`, *f.Agent)
	}
	if f.Kind != nil {
		c.Add(`s.agent_id IN (SELECT id FROM user_agents WHERE kind = ?)`, *f.Kind)
	}
	const inAgent, inIP = `s.agent_id IN (SELECT id FROM user_agents WHERE instr(lower(string), ?))`, `instr(s.last_ip, ?)`
	for _, word := range f.Search {
		c.Add(`(s.user_id IN (SELECT id FROM users WHERE instr(folded, ?)) OR `+inAgent+` OR `+inIP+`)`, db.Fold(word))
	}
	for _, word := range f.Words {
		either := `(s.user_id IN (SELECT id FROM users WHERE ` + fmt.Sprintf(personFits, "?") + `) OR ` + inAgent + ` OR ` + inIP +
			` OR s.device_id IN (SELECT id FROM devices WHERE ` + fmt.Sprintf(deviceFits, "?") + `)`
		if len(word.IPs) > 0 {
			list, _ := json.Marshal(word.IPs)
			either += ` OR s.last_ip IN (SELECT value FROM json_each(` + c.Arg(string(list)) + `))`
		}
		c.Add(either+`)`, db.Fold(word.Text))
	}
	return c
}

func queryRecords(ctx context.Context, q querier, from, where string, args ...any) ([]db.EndedSession, error) {
	fields := func(e *db.EndedSession) []any {
		return append(sessionFields(&e.Session), timeColumn{&e.Ended}, &e.Reason, &e.EndedBy)
	}
	return queryAll(ctx, q, fields, `SELECT `+sessionColumns+`, s.ended, s.reason, s.ended_by FROM (`+from+`) s
		JOIN users u ON u.id = s.user_id JOIN user_agents a ON a.id = s.agent_id WHERE `+where, args...)
}
