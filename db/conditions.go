package db

import (
	"fmt"
	"slices"
	"strings"
)

// Conditions are what a filter asks for, in the SQL of a store. The zero value asks for
// nothing.
type Conditions struct {
	Where []string // all of which hold
	Args  []any    // the parameters' values, from $1 on
}

// Add adds a condition, in which each ? stands for arg.
func (c *Conditions) Add(condition string, arg any) {
	c.Where = append(c.Where, strings.ReplaceAll(condition, "?", c.Arg(arg)))
}

// Arg adds a parameter and returns its name.
func (c *Conditions) Arg(value any) string {
	c.Args = append(c.Args, value)
	return fmt.Sprintf("$%d", len(c.Args))
}

// SQL is what stands after WHERE.
func (c *Conditions) SQL() string {
	if len(c.Where) == 0 {
		return "TRUE"
	}
	return strings.Join(c.Where, " AND ")
}

// Page is the end of a query for a page.
func (c *Conditions) Page(order string, limit, offset int) string {
	return ` ORDER BY ` + order + ` LIMIT ` + c.Arg(limit) + ` OFFSET ` + c.Arg(offset)
}

// LikePattern finds a word anywhere, in lower case. It escapes with a backslash.
func LikePattern(word string) string { return "%" + likeEscapes.Replace(Fold(word)) + "%" }

var likeEscapes = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// TotalOrder completes an ordering, or first where there is none, so that no two rows are
// equal. The unique column breaks ties in the direction of the first, so that one index can
// serve both.
func TotalOrder(ordering []Order, first Order, unique string) []Order {
	if len(ordering) == 0 {
		ordering = []Order{first}
	}
	if i := slices.IndexFunc(ordering, func(o Order) bool { return o.Column == unique }); i >= 0 {
		return ordering[:i+1]
	}
	return append(slices.Clone(ordering), Order{Column: unique, Descending: ordering[0].Descending})
}
