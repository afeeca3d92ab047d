// Package web is Lastseen's HTTP: the API that authentik's clients speak, the
// sign-in pages, the viewer. gin lives here and nowhere else.
package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"lastseen/app"
	"lastseen/db"
	"lastseen/web/view"

	"github.com/VictoriaMetrics/metrics"
	"github.com/gin-gonic/gin"
)

const (
	maxBody    = 64 << 10 // bytes; the largest thing anybody sends is a form
	maxHeaders = 64 << 10
	drainTime  = 10 * time.Second
)

// A Server answers requests for one app. It may be used by any number of
// requests at once.
type Server struct {
	app       *app.App
	log       *slog.Logger
	pages     *view.Pages
	origin    *http.CrossOriginProtection
	engine    *gin.Engine
	apiRoutes []apiRoute
	version   string
	metrics   *metrics.Set
	flashKey  [32]byte // of this run, for what a page says of the last

	// Tests are less patient, and store less.
	readWithin  time.Duration // a request may take to arrive
	writeWithin time.Duration // an answer may take to be made and received, or each part of a file of sessions
	maxSorted   int           // sessions are sorted and grouped by what is looked up when they are read, such as their place; of more, the database sorts, and knows no places

	identities  identities
	metaVersion []string // what apps are told of us

	unavailable complaint // the database
	unready     complaint // the same, asked for by itself
	refused     complaint // a request, for that
	hsts        bool
	untrusted   complaint // a peer that asked the gate
	refusals    refusals
}

// New makes the server of an app whose public URL is known.
func New(a *app.App, version string) *Server {
	s := &Server{app: a, log: a.Log, pages: view.New(), origin: http.NewCrossOriginProtection(), version: version, metrics: metrics.NewSet(), metaVersion: []string{"lastseen/" + version}, refusals: refusals{every: time.Second},
		readWithin: 10 * time.Second, writeWithin: time.Minute, maxSorted: 2000}
	if err := s.origin.AddTrustedOrigin(a.Config.PublicURL.String()); err != nil {
		panic(err) // the settings were checked
	}
	rand.Read(s.flashKey[:]) // never fails
	s.hsts = a.Config.HSTS && a.Config.PublicURL.Scheme == "https"
	s.engine = s.routes()
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.engine.ServeHTTP(w, r) }

func init() { gin.SetMode(gin.ReleaseMode) } // which is global

// routes is every address there is.
func (s *Server) routes() *gin.Engine {
	r := gin.New()
	r.RedirectTrailingSlash = false // authentik answers 404 without the slash
	r.HandleMethodNotAllowed = true
	r.ForwardedByClientIP = false // [Server.client] alone decides on the client's address
	if err := r.SetTrustedProxies(nil); err != nil {
		panic(err) // nil is always valid
	}
	r.Use(s.logRequests, s.recover, s.protect, s.named, s.usable)
	r.NoRoute(s.handle(s.noRoute))
	r.NoMethod(s.handle(s.noMethod))

	get := func(path string, h handler) {
		r.GET(path, s.handle(h))
		r.HEAD(path, s.handle(h))
	}
	post := func(path string, h handler) { r.POST(path, s.handle(h)) }

	get("/-/health/live/", s.live)
	get("/-/health/ready/", s.ready)
	get("/static/:name", s.static)

	get("/", s.home)
	get("/login", s.loginForm)
	post("/login", s.login)
	post("/login/passkey", s.asks(s.passkeyToSignIn))
	get("/login/code", s.codeForm)
	post("/login/code", s.signInByCode)
	post("/login/code/passkey", s.asks(s.passkeyToFinish))
	get("/login/password", s.ownPasswordForm)
	post("/login/password", s.ownPassword)
	get("/login/set-up", s.setUpForm)
	post("/login/set-up", s.setUp)
	post("/login/set-up/passkey", s.asks(s.passkeyToEnrol))
	get("/logout", s.logoutForm)
	post("/logout", s.logout)
	get("/setup", s.setupForm)
	post("/setup", s.setup)
	get("/link/:token", s.linkForm)
	post("/link/:token", s.takeLink)
	post("/link/:token/passkey", s.asks(s.passkeyToJoin))

	get("/sessions", s.signedIn(s.sessionsPage))
	get("/sessions/live", s.signedIn(s.liveRevision))
	get("/sessions/export.csv", s.signedIn(s.exportCSV))
	get("/sessions/export.json", s.signedIn(s.exportJSON))
	get("/sessions/revoke-others", s.signedIn(s.revokeOthersForm))
	post("/sessions/revoke-others", s.signedIn(s.revokeOthers))
	get("/sessions/revoke-chosen", s.signedIn(s.revokeChosenForm))
	post("/sessions/revoke-chosen", s.signedIn(s.revokeChosen))
	get("/sessions/:uuid", s.signedIn(s.sessionPage))
	get("/sessions/:uuid/revoke", s.signedIn(s.revokeForm))
	post("/sessions/:uuid/revoke", s.signedIn(s.revoke))
	get("/sessions/:uuid/not-me", s.signedIn(s.notMeForm))
	post("/sessions/:uuid/not-me", s.signedIn(s.notMe))
	post("/sessions/:uuid/sign-out-app", s.signedIn(s.signOutApp))

	get("/devices/:uuid", s.signedIn(s.devicePage))
	post("/devices/:uuid/name", s.signedIn(s.nameDevice))
	post("/devices/:uuid/distrust", s.signedIn(s.distrustDevice))
	get("/devices/:uuid/sign-out", s.signedIn(s.signOutDeviceForm))
	post("/devices/:uuid/sign-out", s.signedIn(s.signOutDevice))
	get("/devices/:uuid/forget", s.signedIn(s.forgetDeviceForm))
	post("/devices/:uuid/forget", s.signedIn(s.forgetDevice))

	get("/.well-known/change-password", s.changePasswordAt)
	get("/profile", s.signedIn(s.profileForm))
	post("/profile", s.signedIn(s.changeProfile))
	post("/profile/alerts", s.signedIn(s.chooseOwnAlerts))
	post("/profile/password", s.signedIn(s.changePassword))
	get("/profile/totp", s.signedIn(s.proven(s.totpForm)))
	post("/profile/totp", s.signedIn(s.proven(s.addTOTP)))
	post("/profile/totp/:id/name", s.signedIn(s.nameFactor(db.KindTOTP)))
	post("/profile/passkey/:id/name", s.signedIn(s.nameFactor(db.KindPasskey)))
	post("/profile/totp/:id/remove", s.signedIn(s.proven(s.removeTOTP)))
	get("/profile/passkey", s.signedIn(s.proven(s.passkeyForm)))
	post("/profile/passkey", s.signedIn(s.proven(s.addPasskey)))
	post("/profile/passkey/options", s.signedIn(s.proven(s.asks(s.passkeyToRegister))))
	post("/profile/passkey/:id/remove", s.signedIn(s.proven(s.removePasskey)))
	post("/profile/again", s.signedIn(s.asks(s.passkeyToProve)))
	post("/profile/recovery", s.signedIn(s.proven(s.newRecoveryCodes)))
	post("/preferences", s.preferences)

	get("/events", s.signedIn(s.eventsPage))
	get("/tokens", s.signedIn(s.tokensForm))
	post("/tokens", s.signedIn(s.proven(s.createToken)))
	post("/tokens/:identifier/delete", s.signedIn(s.deleteToken))

	get("/users", s.superuser(s.usersForm))
	post("/users", s.superuser(s.proven(s.createUser)))
	post("/users/invite", s.superuser(s.proven(s.invite)))
	post("/users/links/:link/delete", s.superuser(s.deleteLink))
	get("/users/:id", s.superuser(s.userForm))
	post("/users/:id", s.superuser(s.proven(s.changeUser)))
	post("/users/:id/groups", s.superuser(s.changeGroups))
	post("/users/:id/password", s.superuser(s.proven(s.resetPassword)))
	post("/users/:id/reset", s.superuser(s.proven(s.resetLink)))
	post("/users/:id/factors/reset", s.superuser(s.proven(s.resetFactors)))
	post("/users/:id/enable", s.superuser(s.enableUser))
	post("/users/:id/disable", s.superuser(s.disableUser))
	post("/users/:id/unlock", s.superuser(s.unlockUser))
	post("/users/:id/delete", s.superuser(s.deleteUser))
	post("/first-steps", s.superuser(s.dismissFirstSteps))
	get("/doctor", s.superuser(s.doctorPage))
	post("/doctor/backup", s.superuser(s.proven(s.downloadBackup)))

	get("/rules", s.superuser(s.rulesForm))
	post("/rules", s.superuser(s.createRule))
	post("/rules/:id/delete", s.superuser(s.deleteRule))

	get("/alerts", s.superuser(s.alertsForm))
	post("/alerts", s.superuser(s.proven(s.addTarget)))
	post("/alerts/:id/types", s.superuser(s.proven(s.chooseAlerts)))
	post("/alerts/:id/test", s.superuser(s.testAlert))
	post("/alerts/:id/remove", s.superuser(s.proven(s.removeTarget)))

	for _, path := range []string{"nginx", "traefik", "caddy", "envoy/*asked"} {
		r.Any(authPrefix+path, s.handle(s.gate))
	}
	get(startPath, s.start)
	r.GET(callbackPath, s.handle(s.callback))
	get(gatePrefix+"/denied", s.denied)
	get(signOutPath, s.signOutForm)
	post(signOutPath, s.signOut)
	get(gatePrefix+"/ping", func(c *gin.Context) error {
		c.Status(http.StatusNoContent)
		return nil
	})

	get(apiPrefix+"/", s.browseAPI)
	s.apiRoutes = []apiRoute{
		{path: "/core/authenticated_sessions/", name: "Authenticated Session List", get: s.listSessions},
		{path: "/core/authenticated_sessions/bulk_delete/", name: "Authenticated Session Bulk Delete", delete: s.deleteSessions},
		{path: "/core/authenticated_sessions/:uuid/", name: "Authenticated Session Instance", session: true, get: s.getSession, delete: s.deleteSession},
		{path: "/core/authenticated_sessions/:uuid/used_by/", name: "Used by", get: s.sessionUsedBy},
		{path: "/core/users/", name: "User List", get: s.listUsers},
		{path: "/core/users/me/", name: "Me", get: s.getMe},
		{path: "/core/users/:id/", name: "User Instance", get: s.getUser},
		{path: "/core/tokens/", name: "Token List", get: s.listTokens},
		{path: "/core/tokens/:identifier/", name: "Token Instance", get: s.getToken},
		{path: "/authenticators/all/", name: "Device List", get: s.listDevices},
		{path: "/authenticators/admin/all/", name: "Admin Device List", get: s.listAnyDevices},
		{path: "/authenticators/totp/:id/", name: "TOTP Device Instance", delete: s.deleteDevice(db.KindTOTP, false)},
		{path: "/authenticators/webauthn/:id/", name: "WebAuthn Device Instance", delete: s.deleteDevice(db.KindPasskey, false)},
		{path: "/authenticators/static/:id/", name: "Static Device Instance", delete: s.deleteDevice(db.KindRecovery, false)},
		{path: "/authenticators/admin/totp/:id/", name: "TOTP Admin Device Instance", delete: s.deleteDevice(db.KindTOTP, true)},
		{path: "/authenticators/admin/webauthn/:id/", name: "WebAuthn Admin Device Instance", delete: s.deleteDevice(db.KindPasskey, true)},
		{path: "/authenticators/admin/static/:id/", name: "Static Admin Device Instance", delete: s.deleteDevice(db.KindRecovery, true)},
		{path: "/events/events/", name: "Event List", get: s.listEvents},
		{path: "/events/events/per_month/", name: "Events Per Month", get: s.eventsPerMonth},
		{path: "/events/events/volume/", name: "Event Volume", get: s.eventVolume},
		{path: "/events/events/:uuid/", name: "Event Instance", get: s.getEvent},
		{path: "/root/config/", name: "Config", open: true, get: s.getConfig},
		{path: "/schema/", name: "Schema", open: true, picks: true, get: s.getSchema},
	}
	for _, route := range s.apiRoutes {
		s.addAPI(r, route)
	}
	return r
}

// live answers as long as the process does.
func (s *Server) live(c *gin.Context) error {
	c.Status(http.StatusOK)
	return nil
}

func (s *Server) ready(c *gin.Context) error {
	if err := s.app.Ready(c.Request.Context()); err != nil {
		if s.unready.due() {
			s.log.Error("not ready", "err", err)
		}
		c.Status(http.StatusServiceUnavailable)
		return nil
	}
	c.Status(http.StatusOK)
	return nil
}

func (s *Server) static(c *gin.Context) error {
	if !s.pages.ServeAsset(c.Writer, c.Request, c.Param("name")) {
		return errNoPage
	}
	return nil
}

// Serve answers on listener until ctx ends; then it lets running requests
// finish for up to ten seconds.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s.engine,
		ReadHeaderTimeout: s.readWithin,
		ReadTimeout:       s.readWithin, // for the body too: of two limits net/http sets both for each request
		WriteTimeout:      s.writeWithin,
		IdleTimeout:       3 * time.Minute, // Caddy keeps connections for two, nginx for one: who closes first loses no request
		MaxHeaderBytes:    maxHeaders,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(s.listen(listener)) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.log.Info("shutting down")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return errors.Join(fmt.Errorf("requests still ran after %s: %w", drainTime, err), server.Close())
	}
	return nil
}

// isAPI tells the routes that answer in JSON from those that answer in HTML.
func isAPI(path string) bool { return strings.HasPrefix(path, apiPrefix+"/") || path == apiPrefix }
