package web

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"lastseen/db"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// UserObject is a user as the API shows it, for others who print JSON.
func UserObject(u db.User) any { return newUserJSON(u) }

// userJSON is authentik's User: what 2024.8 and 2026.8 require.
type userJSON struct {
	PK                 int64           `json:"pk"`
	Username           string          `json:"username"`
	Name               string          `json:"name"`
	IsActive           bool            `json:"is_active"`
	LastLogin          *apiTime        `json:"last_login"`
	DateJoined         apiTime         `json:"date_joined"`
	IsSuperuser        bool            `json:"is_superuser"`
	Groups             []uuid.UUID     `json:"groups"`
	GroupsObj          []userGroupJSON `json:"groups_obj"`
	Roles              []uuid.UUID     `json:"roles"`
	RolesObj           []struct{}      `json:"roles_obj"`
	Email              string          `json:"email"`
	Avatar             string          `json:"avatar"`
	Attributes         struct{}        `json:"attributes"`
	UID                string          `json:"uid"`
	Path               string          `json:"path"`
	Type               string          `json:"type"`
	UUID               uuid.UUID       `json:"uuid"`
	PasswordChangeDate apiTime         `json:"password_change_date"`
	LastUpdated        apiTime         `json:"last_updated"`
}

type userGroupJSON struct {
	PK          uuid.UUID `json:"pk"`
	NumPK       int64     `json:"num_pk"`
	Name        string    `json:"name"`
	IsSuperuser bool      `json:"is_superuser"`
	Attributes  struct{}  `json:"attributes"`
}

func newUserJSON(u db.User) userJSON {
	j := userJSON{
		PK: u.ID, Username: u.Username, Name: u.Name, IsActive: u.Active, LastLogin: orNone(u.LastLogin),
		DateJoined: apiTime(u.Created), IsSuperuser: u.Superuser,
		Groups: []uuid.UUID{}, GroupsObj: []userGroupJSON{}, Roles: []uuid.UUID{}, RolesObj: []struct{}{},
		Email: u.Email, UID: userUID(u), Path: "users", Type: "internal", UUID: u.UUID,
		PasswordChangeDate: apiTime(u.PasswordChanged), LastUpdated: apiTime(u.Updated),
	}
	for _, g := range u.Groups {
		j.Groups = append(j.Groups, g.UUID)
		j.GroupsObj = append(j.GroupsObj, userGroupJSON{PK: g.UUID, Name: g.Name})
	}
	return j
}

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
		PK: t.UUID, Identifier: t.Identifier, Intent: "api", User: t.User.ID, UserObj: newUserJSON(t.User),
		Description: t.Description, Expires: orNone(t.Expires), Expiring: !t.Expires.IsZero(),
	}
}

// selfJSON is authentik's UserSelf, with what 2026.8 requires beside it.
type selfJSON struct {
	PK                int64           `json:"pk"`
	Username          string          `json:"username"`
	Name              string          `json:"name"`
	IsActive          bool            `json:"is_active"`
	IsSuperuser       bool            `json:"is_superuser"`
	Groups            []selfGroupJSON `json:"groups"`
	Roles             []struct{}      `json:"roles"`
	Email             string          `json:"email"`
	Avatar            string          `json:"avatar"`
	UID               string          `json:"uid"`
	Settings          struct{}        `json:"settings"`
	Type              string          `json:"type"`
	SystemPermissions []string        `json:"system_permissions"`
	IsCurrent         bool            `json:"is_current"`
}

type selfGroupJSON struct {
	Name string    `json:"name"`
	PK   uuid.UUID `json:"pk"`
}

// userUID is what apps behind the gate know a user by: it never changes.
func userUID(u db.User) string {
	sum := sha256.Sum256(append([]byte("lastseen user "), u.UUID[:]...))
	return hex.EncodeToString(sum[:])
}

func (s *Server) getMe(c *gin.Context) error {
	u := caller(c).User
	groups, err := s.app.Groups(c.Request.Context(), u.ID)
	if err != nil {
		return err
	}
	self := selfJSON{
		PK: u.ID, Username: u.Username, Name: u.Name, IsActive: u.Active, IsSuperuser: u.Superuser,
		Groups: []selfGroupJSON{}, Roles: []struct{}{}, Email: u.Email, UID: userUID(u),
		Type: "internal", SystemPermissions: []string{}, IsCurrent: true,
	}
	for _, g := range groups {
		self.Groups = append(self.Groups, selfGroupJSON{Name: g.Name, PK: g.UUID})
	}
	writeJSON(c, http.StatusOK, map[string]any{"user": self, "users": []selfJSON{self}})
	return nil
}
