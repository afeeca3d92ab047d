package web

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

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
	Parent      *struct{} `json:"parent"`
	ParentName  *string   `json:"parent_name"`
	Attributes  struct{}  `json:"attributes"`
}

func newUserJSON(u db.User) userJSON {
	j := userJSON{
		PK: u.ID, Username: u.Username, Name: u.Name, IsActive: u.Active, LastLogin: orNone(u.LastLogin),
		DateJoined: apiTime(u.Created), IsSuperuser: u.Superuser,
		Groups: []uuid.UUID{}, GroupsObj: []userGroupJSON{}, Roles: []uuid.UUID{}, RolesObj: []struct{}{},
		Email: u.Email, UID: userUID(&u), Path: userPath, Type: userType, UUID: u.UUID,
		PasswordChangeDate: apiTime(u.PasswordChanged), LastUpdated: apiTime(u.Updated),
	}
	for _, g := range u.Groups {
		j.Groups = append(j.Groups, g.UUID)
		j.GroupsObj = append(j.GroupsObj, userGroupJSON{PK: g.UUID, Name: g.Name})
	}
	return j
}

func (s *Server) listUsers(c *gin.Context) error {
	filter, nobody, err := parseUserFilter(c)
	if err != nil {
		return err
	}
	return answerList(c, userShape(c), func(limit, offset int) ([]db.User, int, error) {
		if nobody {
			return nil, 0, nil
		}
		filter.Limit, filter.Offset = limit, offset
		return s.app.Users(c.Request.Context(), caller(c), filter)
	})
}

// userPath and userType are the same for every user: there are no folders of
// users, and no accounts that are not people's.
const userPath, userType = "users", "internal"

// parseUserFilter reads the filters of the list; nobody says that no user can fit.
func parseUserFilter(c *gin.Context) (f db.UserFilter, nobody bool, err error) {
	q := query{c: c}
	f = db.UserFilter{
		Username: q.text("username"), Name: q.text("name"), Email: q.text("email"), UUID: q.uuid("uuid"),
		Active: q.boolean("is_active"), Superuser: q.boolean("is_superuser"), Groups: q.list("groups_by_name"),
		Search: q.search(),
		Ordering: parseOrdering(c, "pk", "username", "name", "email", "is_active", "is_superuser", "last_login",
			"date_joined", "last_updated"),
	}
	for _, text := range q.list("groups_by_pk") {
		id, err := uuid.Parse(text)
		if err != nil {
			q.wrong("groups_by_pk", "Enter a valid UUID.")
		}
		f.GroupIDs = append(f.GroupIDs, id)
	}
	types := q.among("type", "internal", "external", "service_account", "internal_service_account")
	nobody = types != nil && !slices.Contains(types, userType)
	if path := q.text("path"); path != nil {
		nobody = nobody || *path != userPath
	}
	if path := q.text("path_startswith"); path != nil {
		nobody = nobody || !strings.HasPrefix(userPath, *path)
	}
	attributes := parsed(&q, "attributes", "Enter a JSON object.", func(s string) (wanted map[string]any, err error) {
		return wanted, json.Unmarshal([]byte(s), &wanted)
	})
	nobody = nobody || attributes != nil && len(*attributes) > 0 || q.none("roles_by_name", "roles_by_pk")
	q.unsupported("last_login", "last_login__gt", "last_login__lt", "last_login__isnull", "date_joined", "date_joined__gt", "date_joined__lt",
		"last_updated", "last_updated__gt", "last_updated__lt")
	return f, nobody, q.err()
}

func (s *Server) getUser(c *gin.Context) error {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		return db.ErrNotFound // a malformed number is nobody's
	}
	user, err := s.app.User(c.Request.Context(), caller(c), id)
	if err != nil {
		return err
	}
	writeJSON(c, http.StatusOK, userShape(c)(user))
	return nil
}

// userShape is how users are shown to a caller, who may do without their groups.
func userShape(c *gin.Context) func(db.User) userJSON {
	if include, err := strconv.ParseBool(c.Query("include_groups")); include || err != nil {
		return newUserJSON
	}
	return func(u db.User) userJSON {
		j := newUserJSON(u)
		j.GroupsObj = nil
		return j
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
func userUID(u *db.User) string {
	sum := sha256.Sum256(append([]byte("lastseen user "), u.UUID[:]...))
	return hex.EncodeToString(sum[:])
}

func (s *Server) getMe(c *gin.Context) error {
	u := caller(c).User
	self := selfJSON{
		PK: u.ID, Username: u.Username, Name: u.Name, IsActive: u.Active, IsSuperuser: u.Superuser,
		Groups: []selfGroupJSON{}, Roles: []struct{}{}, Email: u.Email, UID: userUID(u),
		Type: userType, SystemPermissions: []string{}, IsCurrent: true,
	}
	for _, g := range u.Groups {
		self.Groups = append(self.Groups, selfGroupJSON{Name: g.Name, PK: g.UUID})
	}
	writeJSON(c, http.StatusOK, map[string]any{"user": self, "users": []selfJSON{self}})
	return nil
}
