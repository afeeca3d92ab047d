package web

import (
	"encoding/hex"
	"net/http"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"lastseen/app"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// A sessionJSON is authentik's AuthenticatedSession: the fields that 2024.8 and
// 2026.8 require, in 2024.8's order. It is written by hand, since it is what
// clients ask for most: a fifth of the time of encoding/json.
type sessionJSON app.Session

func newSessionJSON(s app.Session) sessionJSON { return sessionJSON(s) }

// bodies are buffers for one session each: net/http is done with what it was
// given when Write returns.
var bodies = sync.Pool{New: func() any { return new(make([]byte, 0, 2048)) }}

func writeSession(c *gin.Context, s app.Session) {
	buf := bodies.Get().(*[]byte)
	defer bodies.Put(buf)
	*buf = appendSession((*buf)[:0], &s)
	writeBody(c, http.StatusOK, *buf)
}

// MarshalJSON is for sessions within something larger.
func (s sessionJSON) MarshalJSON() ([]byte, error) {
	return appendSession(make([]byte, 0, 1536), (*app.Session)(&s)), nil
}

// SessionObject is a session as the API shows it, for others who print JSON.
func SessionObject(s app.Session) any { return newSessionJSON(s) }

// appendSession writes a session. No string in user_agent is null: authentik's
// own nulls break strict clients.
func appendSession(b []byte, s *app.Session) []byte {
	a := s.Agent
	b = append(b, `{"uuid":"`...)
	b = appendUUID(b, s.UUID)
	b = append(b, `","current":`...)
	b = strconv.AppendBool(b, s.Current)
	b = appendMember(b, `,"user_agent":{"device":{"brand":`, a.DeviceBrand)
	b = appendMember(b, `,"family":`, a.Device)
	b = appendMember(b, `,"model":`, a.DeviceModel)
	b = appendMember(b, `},"os":{"family":`, a.OS)
	b = appendMember(b, `,"major":`, a.OSMajor)
	b = appendMember(b, `,"minor":`, a.OSMinor)
	b = appendMember(b, `,"patch":`, a.OSPatch)
	b = appendMember(b, `,"patch_minor":`, a.OSPatchMinor)
	b = appendMember(b, `},"user_agent":{"family":`, a.Browser)
	b = appendMember(b, `,"major":`, a.BrowserMajor)
	b = appendMember(b, `,"minor":`, a.BrowserMinor)
	b = appendMember(b, `,"patch":`, a.BrowserPatch)
	b = appendMember(b, `},"string":`, a.String)
	b = append(b, `},"geo_ip":`...)
	if p := s.Location.Place; p == nil || !p.Located { // clients take lat and long for numbers
		b = append(b, `null`...)
	} else {
		b = appendMember(b, `{"continent":`, p.Continent)
		b = appendMember(b, `,"country":`, p.Country)
		b = append(b, `,"lat":`...)
		b = appendCoordinate(b, p.Lat)
		b = append(b, `,"long":`...)
		b = appendCoordinate(b, p.Long)
		b = appendMember(b, `,"city":`, p.City)
		b = append(b, '}')
	}
	b = append(b, `,"asn":`...)
	if n := s.Location.Network; n == nil {
		b = append(b, `null`...)
	} else {
		b = append(b, `{"asn":`...)
		b = strconv.AppendUint(b, uint64(n.ASN), 10)
		if n.Org == "" {
			b = append(b, `,"as_org":null`...)
		} else {
			b = appendMember(b, `,"as_org":`, n.Org)
		}
		b = append(b, `,"network":"`...)
		b = n.Prefix.AppendTo(b)
		b = append(b, `"}`...)
	}
	b = append(b, `,"user":`...)
	b = strconv.AppendInt(b, s.UserID, 10)
	b = append(b, `,"last_ip":"`...)
	b = s.IP.AppendTo(b)
	b = append(b, '"')
	b = appendMember(b, `,"last_user_agent":`, a.String)
	b = append(b, `,"last_used":`...)
	b = appendTime(b, s.LastUsed)
	b = append(b, `,"expires":`...)
	b = appendTime(b, s.Expires)
	return append(b, '}')
}

func appendMember(b []byte, name, value string) []byte {
	return appendString(append(b, name...), value)
}

// escaped are the bytes for which a string is left to package json: what it escapes, and
// all beyond ASCII, of which some is no UTF-8.
var escaped = func() (set [256]bool) {
	for c := range set {
		set[c] = c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\'
	}
	return set
}()

// appendString writes a string as encoding/json does without escaping for HTML.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if escaped[s[i]] {
			encoded, err := marshal(s)
			if err != nil {
				panic(err) // strings always marshal
			}
			return append(b, encoded...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendCoordinate(b []byte, f float64) []byte {
	return strconv.AppendFloat(b, f, 'f', -1, 64) // finite, as geoip sees to
}

// appendUUID writes a uuid with its dashes.
func appendUUID(b []byte, id uuid.UUID) []byte {
	for i, part := range [...][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return b
}

// appendTime writes a time as authentik does, but always with six digits. RFC 3339
// is what package time writes in a third of the time of any other layout.
func appendTime(b []byte, t time.Time) []byte {
	b = t.UTC().AppendFormat(append(b, '"'), time.RFC3339)
	b[len(b)-1] = '.' // for the Z
	micros := t.Nanosecond() / 1000
	for unit := 100_000; unit > 0; unit /= 10 {
		b = append(b, '0'+byte(micros/unit%10))
	}
	return append(b, 'Z', '"')
}
