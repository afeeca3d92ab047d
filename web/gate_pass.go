package web

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"lastseen/app"
	"lastseen/db"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

// passHeaders are authentik's headers, in canonical form: those of the user, of the
// request, and the others, which have nothing to say.
var passHeaders = [...]string{"X-Authentik-Username", "X-Authentik-Groups", "X-Authentik-Email", "X-Authentik-Name", "X-Authentik-Uid",
	metaApp: "X-Authentik-Meta-App", metaVersion: "X-Authentik-Meta-Version", "X-Authentik-Entitlements", "X-Authentik-Jwt", "X-Authentik-Meta-Jwks",
	"X-Authentik-Meta-Outpost", "X-Authentik-Meta-Provider"}

const (
	metaApp = iota + 5
	metaVersion
)

// remoteHeaders are Authelia's, of the first of passHeaders
// (https://www.authelia.com/integration/trusted-header-sso/introduction/).
var remoteHeaders = [...]string{"Remote-User", "Remote-Groups", "Remote-Email", "Remote-Name"}

// An identity is what apps are told of a user, in the order of passHeaders.
type identity struct {
	user   *db.User
	values [metaApp][]string
	host   atomic.Pointer[[]string] // that they reached last
}

// reached is the header's value of a host, which seldom changes from one check to the next.
func (id *identity) reached(host string) []string {
	if last := id.host.Load(); last != nil && (*last)[0] == host {
		return *last
	}
	now := []string{strings.Clone(host)} // it is part of a request
	id.host.Store(&now)
	return now
}

// identities are those of users who passed last, by their ID.
type identities [4096]atomic.Pointer[identity]

func (all *identities) of(u *db.User) *identity {
	slot := &all[uint64(u.ID)%uint64(len(all))]
	if id := slot.Load(); id != nil && sameIdentity(id.user, u) {
		return id
	}
	var groups []string
	for _, g := range u.Groups {
		groups = append(groups, g.Name)
	}
	id := &identity{user: u}
	for i, value := range [metaApp]string{u.Username, strings.Join(groups, "|"), u.Email, u.Name, userUID(u)} {
		id.values[i] = []string{headerText(value)}
	}
	slot.Store(id)
	return id
}

// sameIdentity reports whether apps are told the same of both. A user who was not changed is
// the same in memory, unless each request reads them anew.
func sameIdentity(u, v *db.User) bool {
	return u == v || u.UUID == v.UUID && u.Username == v.Username && u.Email == v.Email && u.Name == v.Name && slices.Equal(u.Groups, v.Groups)
}

// nothing is an empty header, which nobody may append to.
var nothing = []string{""}

// pass lets a request through. All of authentik's headers are always there: one that is
// not would let the client's own pass some proxies. nginx alone takes a missing one for
// an empty one, and is spared them.
func (s *Server) pass(c *gin.Context, d app.Decision, host string) {
	var values [len(passHeaders)][]string
	if d.User != nil {
		id := s.identities.of(d.User)
		copy(values[:], id.values[:])
		values[metaApp], values[metaVersion] = id.reached(host), s.metaVersion
	}
	h := c.Writer.Header()
	nginx := c.Request.URL.Path == nginxPath
	for i, name := range passHeaders {
		switch {
		case values[i] != nil && values[i][0] != "":
			h[name] = values[i]
		case !nginx:
			h[name] = nothing
		}
	}
	if s.app.Config.RemoteUser {
		for i, name := range remoteHeaders {
			if told, ok := h[passHeaders[i]]; ok {
				h[name] = []string{strings.ReplaceAll(told[0], "|", ",")} // no name of a group holds either
			}
		}
	}
	c.Status(http.StatusOK)
	c.Writer.WriteHeaderNow()
}

// headerText is a value without anything that could end its line, or turn the order of
// what is shown beside it.
func headerText(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		s = strings.Map(func(r rune) rune {
			if view.Hidden(r) {
				return -1
			}
			return r
		}, strings.ToValidUTF8(s, "\uFFFD"))
	}
	return strings.TrimSpace(s)
}
