package web

import (
	"net/http"
	"strconv"
	"time"

	"lastseen/app"
	"lastseen/db"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// deviceJSON is authentik's Device: a factor of any kind.
type deviceJSON struct {
	VerboseName       string   `json:"verbose_name"`
	VerboseNamePlural string   `json:"verbose_name_plural"`
	MetaModelName     string   `json:"meta_model_name"`
	PK                string   `json:"pk"`
	Name              string   `json:"name"`
	Type              string   `json:"type"`
	Confirmed         bool     `json:"confirmed"`
	Created           apiTime  `json:"created"`
	LastUpdated       apiTime  `json:"last_updated"`
	LastUsed          *apiTime `json:"last_used"`
	ExtraDescription  string   `json:"extra_description"`
	ExternalID        *string  `json:"external_id"`
}

// deviceKinds are authentik's words for the kinds of factors.
var deviceKinds = map[db.FactorKind]deviceJSON{
	db.KindTOTP: {VerboseName: "TOTP Device", VerboseNamePlural: "TOTP Devices",
		MetaModelName: "authentik_stages_authenticator_totp.totpdevice", Type: "authentik_stages_authenticator_totp.TOTPDevice"},
	db.KindPasskey: {VerboseName: "WebAuthn Device", VerboseNamePlural: "WebAuthn Devices",
		MetaModelName: "authentik_stages_authenticator_webauthn.webauthndevice", Type: "authentik_stages_authenticator_webauthn.WebAuthnDevice"},
	db.KindRecovery: {VerboseName: "Static Device", VerboseNamePlural: "Static Devices",
		MetaModelName: "authentik_stages_authenticator_static.staticdevice", Type: "authentik_stages_authenticator_static.StaticDevice"},
}

func newDeviceJSON(kind db.FactorKind, id int64, name string, created, used time.Time) deviceJSON {
	d := deviceKinds[kind]
	d.PK, d.Name, d.Confirmed = strconv.FormatInt(id, 10), name, true
	d.Created, d.LastUpdated, d.LastUsed = apiTime(created), apiTime(created), orNone(used)
	if used.After(created) {
		d.LastUpdated = apiTime(used)
	}
	return d
}

// listDevices are the caller's own.
func (s *Server) listDevices(c *gin.Context) error { return s.writeDevices(c, caller(c).User.ID) }

// listAnyDevices are those of one user. authentik's own list ignores that and shows
// everybody's; without it, ours is refused.
func (s *Server) listAnyDevices(c *gin.Context) error {
	if !caller(c).User.Superuser {
		return app.ErrForbidden
	}
	q := query{c: c}
	user := q.number("user")
	if user == nil && q.err() == nil {
		q.wrong("user", "This field is required.")
	}
	if err := q.err(); err != nil {
		return err
	}
	return s.writeDevices(c, *user)
}

func (s *Server) writeDevices(c *gin.Context, user int64) error {
	has, err := s.app.Factors(c.Request.Context(), caller(c), user)
	if err != nil {
		return err
	}
	all := []deviceJSON{}
	for _, t := range has.TOTPs {
		all = append(all, newDeviceJSON(db.KindTOTP, t.ID, t.Name, t.Created, t.LastUsed))
	}
	for _, k := range has.Passkeys {
		all = append(all, newDeviceJSON(db.KindPasskey, k.ID, k.Name, k.Created, k.LastUsed))
	}
	if has.Recovery > 0 {
		all = append(all, newDeviceJSON(db.KindRecovery, user, app.RecoveryName, has.RecoveryMade, time.Time{}))
	}
	writeJSON(c, http.StatusOK, all)
	return nil
}

// deleteDevice removes a factor of the caller's, and with any of whomever's.
func (s *Server) deleteDevice(kind db.FactorKind, any bool) handler {
	return func(c *gin.Context) error {
		ctx, asks := c.Request.Context(), caller(c)
		if any && !asks.User.Superuser {
			return app.ErrForbidden
		}
		if asks.Session != uuid.Nil { // a key has nothing more to prove
			lately, err := s.app.ProvenLately(ctx, asks)
			if err != nil {
				return err
			}
			if !lately {
				return errNotLately
			}
		}
		id, err := strconv.ParseInt(c.Param("id"), 10, 64)
		if err != nil {
			return db.ErrNotFound
		}
		owner := *asks.User
		if any {
			if owner, err = s.app.FactorOwner(ctx, kind, id); err != nil {
				return err
			}
		}
		if err := s.app.RemoveFactor(ctx, asks.Actor(), owner, kind, id); err != nil {
			return err
		}
		c.Status(http.StatusNoContent)
		c.Writer.WriteHeaderNow()
		return nil
	}
}
