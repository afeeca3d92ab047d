package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"lastseen/app"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

// doctorPage shows the app's checks, and those that only a request can make. What is not
// well comes first.
func (s *Server) doctorPage(c *gin.Context) error {
	checks := append(s.app.Doctor(c.Request.Context()), s.checkClient(c.Request), s.checkScheme(c.Request))
	states := []string{app.Bad, app.Warning, app.Good}
	slices.SortStableFunc(checks, func(a, b app.Check) int { return slices.Index(states, a.State) - slices.Index(states, b.State) })
	page, lang := view.DoctorPage{Layout: s.layout(c, "doctor"), At: s.app.Now(), OwnBackup: s.app.Config.Database != ""}, s.language(c)
	for _, check := range checks {
		page.Checks = append(page.Checks, view.Check{State: check.State, Name: check.Name, Found: s.inWords(lang, check.Found), Do: s.inWords(lang, check.Do)})
	}
	return s.render(c, http.StatusOK, "doctor", &page)
}

// inWords says one of the app's texts in a language.
func (s *Server) inWords(lang string, text app.Text) string {
	all := make([]string, len(text))
	for i, sentence := range text {
		all[i] = s.pages.Text(lang, sentence.Text, sentence.Args...)
	}
	return strings.Join(all, " ")
}

// downloadBackup hands a superuser a copy of the database. It is no GET: it is
// work, it is recorded, and a page of an app beside us could ask for one.
func (s *Server) downloadBackup(c *gin.Context) error {
	copied, err := s.app.Download(c.Request.Context(), caller(c))
	if err != nil {
		return err
	}
	defer copied.Close()
	// A large one may take longer than other answers.
	if err := http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(time.Hour)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	c.Header("Content-Disposition", `attachment; filename="`+copied.Name+`"`)
	c.DataFromReader(http.StatusOK, copied.Size, "application/vnd.sqlite3", copied, nil)
	return nil
}

// checkClient says where this request seems to come from, and why.
func (s *Server) checkClient(r *http.Request) app.Check {
	client, ok := s.client(r)
	ip, peer := client.IP.String(), peerAddr(r)
	headers := strings.Join(r.Header.Values("X-Forwarded-For"), ", ")
	check := app.Check{State: app.Good, Name: view.Msg("Your address"), Found: app.Said("%s: the other end of the connection.", ip)}
	switch {
	case headers != "" && !s.trusted(peer):
		check.State = app.Warning
		check.Found = app.Said("%s: the other end of the connection, though it sent X-Forwarded-For: %s.", ip, headers)
		check.Do = app.Said("If %s is your proxy, name it in --trusted-proxies; if not, somebody is making things up.", peer.String())
	case headers != "" && !ok:
		check.State = app.Bad
		check.Found = app.Said("%s: the proxy's, since its X-Forwarded-For cannot be read: %s.", ip, headers)
		check.Do = app.Said("Make the proxy send addresses in X-Forwarded-For.")
	case headers != "":
		check.Found = app.Said("%s: the last in X-Forwarded-For that is no trusted proxy, as %s reported: %s.", ip, peer.String(), headers)
	case s.trusted(peer):
		check.State = app.Warning
		check.Found = app.Said("%s: a trusted proxy that sent no X-Forwarded-For.", ip)
		check.Do = app.Said("Make the proxy send X-Forwarded-For, or everybody will seem to be at its address.")
	}
	return check
}

// checkScheme compares how this request came with the public URL.
func (s *Server) checkScheme(r *http.Request) app.Check {
	public := s.app.Config.PublicURL
	check := app.Check{State: app.Good, Name: view.Msg("Scheme"), Found: app.Said("This page was asked for at %s, and the public URL is %s.", r.Host, public.String())}
	if !strings.EqualFold(r.Host, public.Host) {
		check.State = app.Warning
		check.Do = app.Said("Open it at the public URL, or set --public-url to the address that people use; the proxy must pass the Host header on.")
	}
	if proto := r.Header.Get("X-Forwarded-Proto"); proto != "" && s.trusted(peerAddr(r)) && proto != public.Scheme {
		check.State = app.Bad
		check.Found = app.Said("The proxy says the browser used %s, and the public URL is %s.", proto, public.String())
		check.Do = app.Said("Set --public-url to the address that browsers use: with the wrong scheme they drop the cookie, or send it in the clear.")
	}
	return check
}
