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
	// are others, so is it. It is 0 when nothing was found that tells it.
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

func same(a, b db.Question) bool {
	return bytes.Equal(a.Token, b.Token) && bytes.Equal(a.App, b.App) && bytes.Equal(a.Key, b.Key) && a.Session == b.Session
}

// ask answers a question of what is there: else it is db.ErrNotFound.
func (c *Cache) ask(ctx context.Context, q db.Question) (db.Answer, error) {
	var answer db.Answer
	e, _ := ctx.Value(expectedKey{}).(*expected)
	is := func(other db.Question) bool { return same(q, other) }
	if e != nil && !e.asked {
		if !slices.ContainsFunc(e.questions, is) {
			e.questions = append(e.questions, q)
		}
		if err := c.askExpected(ctx, e); err != nil {
			return answer, err
		}
	}
	if e != nil {
		if i := slices.IndexFunc(e.questions, is); i >= 0 {
			answer = e.answers[i]
			e.questions, e.answers = slices.Delete(e.questions, i, i+1), slices.Delete(e.answers, i, i+1)
			return answer, foundOf(answer)
		}
	}
	answers, _, err := c.shared.Ask(ctx, []db.Question{q})
	if err != nil {
		return answer, err
	}
	return answers[0], foundOf(answers[0])
}

func foundOf(a db.Answer) error {
	if !a.Found {
		return db.ErrNotFound
	}
	return nil
}

func (c *Cache) askExpected(ctx context.Context, e *expected) (err error) {
	e.answers, e.rules, err = c.shared.Ask(ctx, e.questions)
	e.asked = err == nil
	return err
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
	if err == nil && a.Host != q.host {
		err = db.ErrNotFound
	}
	if err != nil {
		return db.Session{}, nil, err
	}
	return a.Session, &a.User, nil
}

// numberedRules are the rules, which are kept by their number.
func (c *Cache) numberedRules(ctx context.Context) (Rules, error) {
	number := int64(0)
	e, _ := ctx.Value(expectedKey{}).(*expected)
	if e != nil && !e.asked {
		if err := c.askExpected(ctx, e); err != nil {
			return nil, err
		}
	}
	if e != nil {
		number = e.rules
	}
	if number == 0 {
		var err error
		if _, number, err = c.shared.Ask(ctx, nil); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	rules, kept := c.rules, c.rulesNumber
	c.mu.Unlock()
	if rules != nil && kept == number {
		return rules, nil
	}
	all, err := c.store.Rules(ctx) // those of that number, or later ones, which the next number tells
	if err != nil {
		return nil, err
	}
	rules = NewRules(all)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rules, c.rulesNumber = rules, number
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
