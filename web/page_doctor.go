package web

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"lastseen/app"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

// doctorPage shows the app's checks, and those that only a request can make.
func (s *Server) doctorPage(c *gin.Context) error {
	checks := append(s.app.Doctor(c.Request.Context()), s.checkClient(c.Request), s.checkScheme(c.Request))
	page := view.DoctorPage{Layout: s.layout(c, "doctor"), At: s.app.Now()}
	for _, found := range checks {
		page.Checks = append(page.Checks, view.Check(found))
	}
	return s.render(c, http.StatusOK, "doctor", &page)
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
	peer := peerAddr(r)
	headers := strings.Join(r.Header.Values("X-Forwarded-For"), ", ")
	check := app.Check{State: app.Good, Name: view.Msg("Your address"), Found: client.IP.String() + ": the other end of the connection."}
	switch {
	case headers != "" && !s.trusted(peer):
		check.State = app.Warning
		check.Found = client.IP.String() + ": the other end of the connection, though it sent X-Forwarded-For: " + headers + "."
		check.Do = "If " + peer.String() + " is your proxy, name it in --trusted-proxies; if not, somebody is making things up."
	case headers != "" && !ok:
		check.State = app.Bad
		check.Found = client.IP.String() + ": the proxy's, since its X-Forwarded-For cannot be read: " + headers + "."
		check.Do = "Make the proxy send addresses in X-Forwarded-For."
	case headers != "":
		check.Found = client.IP.String() + ": the last in X-Forwarded-For that is no trusted proxy, as " + peer.String() + " reported: " + headers + "."
	case s.trusted(peer):
		check.State = app.Warning
		check.Found = client.IP.String() + ": a trusted proxy that sent no X-Forwarded-For."
		check.Do = "Make the proxy send X-Forwarded-For, or everybody will seem to be at its address."
	}
	return check
}

// checkScheme compares how this request came with the public URL.
func (s *Server) checkScheme(r *http.Request) app.Check {
	public := s.app.Config.PublicURL
	check := app.Check{State: app.Good, Name: view.Msg("Scheme"), Found: "This page was asked for at " + r.Host + ", and the public URL is " + public.String() + "."}
	if !strings.EqualFold(r.Host, public.Host) {
		check.State = app.Warning
		check.Do = "Open it at the public URL, or set --public-url to the address that people use; the proxy must pass the Host header on."
	}
	if proto := r.Header.Get("X-Forwarded-Proto"); proto != "" && s.trusted(peerAddr(r)) && proto != public.Scheme {
		check.State = app.Bad
		check.Found = "The proxy says the browser used " + proto + ", and the public URL is " + public.String() + "."
		check.Do = "Set --public-url to the address that browsers use: with the wrong scheme they drop the cookie, or send it in the clear."
	}
	return check
}
