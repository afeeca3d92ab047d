package live

import (
	"bytes"
	"context"
	"slices"

	"lastseen/db"
)

// A Shared is a Store that other machines write to at any time. What decides is never
// believed of it, so it answers all that a request asks at once.
type Shared interface {
	Store

	// Ask answers questions in one round trip. rules numbers the gate's rules: when they
	// are others, so is it.
	Ask(ctx context.Context, questions []db.Question) (answers []db.Answer, rules int64, err error)
}

// Shared reports whether other machines write to the store.
func (c *Cache) Shared() bool { return c.shared != nil }

// expectedKey is that of a request's *expected in its context.
type expectedKey struct{}

// expected is what a request is going to ask, and then what was answered. One goroutine at
// a time uses it.
type expected struct {
	questions []db.Question
	answers   []db.Answer
	rules     int64
	asked     bool
}

// Expect has questions asked together, before a Shared store, by whichever method is called
// first with the context that it returns; each answer is used once. It asks nothing itself.
func (c *Cache) Expect(ctx context.Context, questions ...db.Question) context.Context {
	return context.WithValue(ctx, expectedKey{}, &expected{questions: questions})
}

func (e *expected) index(q db.Question) int {
	return slices.IndexFunc(e.questions, func(o db.Question) bool {
		return bytes.Equal(q.Token, o.Token) && bytes.Equal(q.App, o.App) && bytes.Equal(q.Key, o.Key) && q.Session == o.Session
	})
}

// expected is what the request of a context expects, answered: with q, if it was not yet.
func (c *Cache) expected(ctx context.Context, q ...db.Question) (*expected, error) {
	e, ok := ctx.Value(expectedKey{}).(*expected)
	if !ok {
		e = &expected{}
	}
	if e.asked {
		return e, nil
	}
	for _, q := range q {
		if e.index(q) < 0 {
			e.questions = append(e.questions, q)
		}
	}
	var err error
	e.answers, e.rules, err = c.shared.Ask(ctx, e.questions)
	e.asked = err == nil
	return e, err
}

// used stands where a question was whose answer was used up: none is like it.
var used = db.Question{Key: []byte("used")}

// ask answers a question of what is there: else it is db.ErrNotFound.
func (c *Cache) ask(ctx context.Context, q db.Question) (*db.Answer, error) {
	e, err := c.expected(ctx, q)
	if err != nil {
		return nil, err
	}
	var answer *db.Answer
	if i := e.index(q); i >= 0 {
		answer, e.questions[i] = &e.answers[i], used
	} else {
		answers, _, err := c.shared.Ask(ctx, []db.Question{q})
		if err != nil {
			return nil, err
		}
		answer = &answers[0]
	}
	if !answer.Found {
		return nil, db.ErrNotFound
	}
	return answer, nil
}

// askSession is a session with its user.
func (c *Cache) askSession(ctx context.Context, q query) (db.Session, *db.User, error) {
	question := db.Question{Session: q.uuid}
	switch {
	case q.token != nil:
		hash := *q.token // escapes here alone
		question = db.Question{Token: hash[:]}
	case q.app != nil:
		hash := *q.app
		question = db.Question{App: hash[:]}
	}
	a, err := c.ask(ctx, question)
	if err != nil {
		return db.Session{}, nil, err
	}
	if a.Host != q.host {
		return db.Session{}, nil, db.ErrNotFound
	}
	return a.Session, &a.User, nil
}

// numberedRules are the rules, which are kept by their number.
func (c *Cache) numberedRules(ctx context.Context) (Rules, error) {
	e, err := c.expected(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	rules, kept := c.rules, c.rulesNumber
	c.mu.Unlock()
	if rules != nil && kept == e.rules {
		return rules, nil
	}
	all, err := c.store.Rules(ctx) // those of that number, or later ones, which the next number tells
	if err != nil {
		return nil, err
	}
	rules = NewRules(all)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rules, c.rulesNumber = rules, e.rules
	return rules, nil
}

// sharedAgent is agentByID, kept for as long as there is room: no number is given to
// another agent, and what an agent's header is never changes.
func (c *Cache) sharedAgent(ctx context.Context, id int64) (*db.Agent, error) {
	c.mu.Lock()
	agent := c.agentsByID[id]
	c.mu.Unlock()
	if agent != nil {
		return agent, nil
	}
	agent, err := c.readAgent(ctx, id)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	makeRoom(c.agentsByID, c.bounds.Agents)
	c.agentsByID[id] = agent
	return agent, nil
}
