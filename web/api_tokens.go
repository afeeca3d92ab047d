package web

import (
	"net/http"

	"lastseen/db"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// TokenObject is an API token as the API shows it, for others who print JSON.
func TokenObject(t db.Token) any { return newTokenJSON(t) }

// tokenJSON is authentik's Token; the key is in none of its fields.
type tokenJSON struct {
	PK          uuid.UUID `json:"pk"`
	Managed     *string   `json:"managed"`
	Identifier  string    `json:"identifier"`
	Intent      string    `json:"intent"`
	User        int64     `json:"user"`
	UserObj     userJSON  `json:"user_obj"`
	Description string    `json:"description"`
	Expires     *apiTime  `json:"expires"`
	Expiring    bool      `json:"expiring"`
}

func newTokenJSON(t db.Token) tokenJSON {
	return tokenJSON{
		PK: t.UUID, Identifier: t.Identifier, Intent: tokenIntent, User: t.User.ID, UserObj: newUserJSON(t.User),
		Description: t.Description, Expires: orNone(t.Expires), Expiring: !t.Expires.IsZero(),
	}
}

// tokenIntent is what all tokens are for; authentik has others, such as app passwords.
const tokenIntent = "api"

func (s *Server) listTokens(c *gin.Context) error {
	q := query{c: c}
	filter := db.TokenFilter{
		Username: q.text("user__username"), Identifier: q.text("identifier"), Description: q.text("description"),
		Expiring: q.boolean("expiring"), Search: q.search(),
		Ordering: parseOrdering(c, "identifier", "description", "user__username", "expires", "created"),
	}
	intents := q.among("intent", "verification", "api", "recovery", "app_password")
	none := intents != nil && intents[len(intents)-1] != tokenIntent || q.none("managed")
	q.unsupported("expires")
	if err := q.err(); err != nil {
		return err
	}
	return answerList(c, newTokenJSON, func(limit, offset int) ([]db.Token, int, error) {
		if none {
			return nil, 0, nil
		}
		filter.Limit, filter.Offset = limit, offset
		return s.app.Tokens(c.Request.Context(), caller(c), filter)
	})
}

func (s *Server) getToken(c *gin.Context) error {
	token, err := s.app.Token(c.Request.Context(), caller(c), c.Param("identifier"))
	if err != nil {
		return err
	}
	writeJSON(c, http.StatusOK, newTokenJSON(token))
	return nil
}
