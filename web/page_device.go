package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"lastseen/app"
	"lastseen/db"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// devicesOf puts one person's sessions, the last used first, together by the devices that
// they are on. Those from before there were devices are told apart by what they are.
func devicesOf(lang string, sessions []app.Session) []*view.DeviceRow {
	type key struct {
		id     int64
		client db.Client
	}
	var devices []*view.DeviceRow
	known := map[key]*view.DeviceRow{}
	for _, sess := range sessions {
		k := key{id: sess.Device.ID}
		if k.id == 0 {
			k.client = sess.Agent.Client()
		}
		row := newSessionRow(lang, sess)
		d, ok := known[k]
		if !ok {
			d = &view.DeviceRow{SessionRow: row}
			devices, known[k] = append(devices, d), d
		}
		if row.Current { // what is used here and now stands for the device
			d.SessionRow = row
		}
		d.Sessions = append(d.Sessions, row)
	}
	for _, d := range devices {
		if len(d.Sessions) > 1 {
			d.FirstFrom = "" // which of them says so itself
		}
	}
	return devices
}

// adopt gives the session that asks a device, if it is from before there were devices.
func (s *Server) adopt(c *gin.Context, sessions []app.Session) error {
	i := slices.IndexFunc(sessions, func(sess app.Session) bool { return sess.Current && sess.Device.ID == 0 })
	if i < 0 {
		return nil
	}
	client := s.signingIn(c)
	done, err := s.app.Adopt(c.Request.Context(), &sessions[i], client)
	if done {
		s.setDevice(c, client.Device)
	}
	return err
}

// setDevice hands the browser its device's token.
func (s *Server) setDevice(c *gin.Context, token string) {
	s.setOwn(c, deviceCookie, token, int(app.DeviceCookieLife/time.Second))
}

// device is that of the path, if the caller may see it, with the row of its sessions.
func (s *Server) device(c *gin.Context) (d db.Device, row *view.DeviceRow, err error) {
	id, err := sessionUUID(c)
	if err != nil {
		return d, nil, err
	}
	ctx := c.Request.Context()
	if d, err = s.app.Device(ctx, caller(c), id); err != nil {
		return d, nil, err
	}
	sessions, err := s.sessionsOf(c, d.UserID)
	if err != nil {
		return d, nil, err
	}
	for _, row := range devicesOf(s.language(c), sessions) {
		if row.DeviceID == id.String() {
			return d, row, nil
		}
	}
	return d, newDeviceRow(d), nil
}

// newDeviceRow is a device that nobody is signed in on.
func newDeviceRow(d db.Device) *view.DeviceRow {
	client, system := app.Title(&db.Agent{AgentParts: db.AgentParts{Kind: d.Kind, Browser: d.Browser, OS: d.OS}})
	return &view.DeviceRow{SessionRow: view.SessionRow{
		Name: d.Name, DeviceID: d.UUID.String(), Kind: d.Kind, Client: client, System: system, User: d.Username, LastUsed: d.LastLogin,
	}}
}

func (s *Server) devicePage(c *gin.Context) error {
	d, row, err := s.device(c)
	if err != nil {
		return err
	}
	return s.renderDevice(c, http.StatusOK, d, &view.DevicePage{DeviceRow: *row})
}

func (s *Server) renderDevice(c *gin.Context, status int, d db.Device, page *view.DevicePage) error {
	page.Layout = s.layout(c, "sessions")
	page.Flash = s.flash(c)
	page.TrustedUntil = s.app.TrustedUntil(d)
	page.Since, page.LastLogin, page.MaxName, page.Back = d.Created, d.LastLogin, db.MaxDeviceName, s.listOf(c, d.UserID)
	return s.render(c, status, "device", page)
}

func (s *Server) nameDevice(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	d, row, err := s.device(c)
	if err != nil {
		return err
	}
	name := form.Get("name")
	err = s.app.NameDevice(c.Request.Context(), caller(c), d.UUID, name)
	var input *db.InputError
	if errors.As(err, &input) {
		page := &view.DevicePage{DeviceRow: *row, Error: input.Problem}
		page.Typed = name
		return s.renderDevice(c, http.StatusBadRequest, d, page)
	}
	if err != nil {
		return err
	}
	s.say(c, s.pages.Text(s.language(c), "Saved."))
	redirect(c, s.listOf(c, d.UserID))
	return nil
}

var noLongerTrusted = view.Msg("%s is no longer trusted.")

// distrustDevice has the second factor asked for again on the device of the path.
func (s *Server) distrustDevice(c *gin.Context) error {
	d, row, err := s.device(c)
	if err != nil {
		return err
	}
	err = s.app.Distrust(c.Request.Context(), caller(c), d.UUID)
	if err != nil && !errors.Is(err, db.ErrNotFound) { // it was done already
		return err
	}
	lang := s.language(c)
	s.say(c, s.pages.Text(lang, noLongerTrusted, s.pages.Called(lang, row.SessionRow)))
	redirect(c, "/devices/"+d.UUID.String())
	return nil
}

func (s *Server) signOutDeviceForm(c *gin.Context) error { return s.confirmDevice(c, false) }

func (s *Server) forgetDeviceForm(c *gin.Context) error { return s.confirmDevice(c, true) }

func (s *Server) confirmDevice(c *gin.Context, forget bool) error {
	d, row, err := s.device(c)
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "confirm", &view.ConfirmPage{
		Layout: s.layout(c, "sessions"), Device: row, Forget: forget, Sessions: row.Sessions, Action: c.Request.URL.Path, Back: s.listOf(c, d.UserID),
	})
}

func (s *Server) signOutDevice(c *gin.Context) error {
	return s.endDevice(c, "Signed out %s.", s.app.SignOutDevice)
}

func (s *Server) forgetDevice(c *gin.Context) error {
	return s.endDevice(c, "%s is forgotten.", s.app.ForgetDevice)
}

// endDevice ends the sessions on the device of the path, and says so: to who asked from it
// at the sign-in page.
func (s *Server) endDevice(c *gin.Context, said string, end func(context.Context, app.Caller, uuid.UUID) (int, error)) error {
	d, row, err := s.device(c)
	if err != nil {
		return err
	}
	if _, err := end(c.Request.Context(), caller(c), d.UUID); err != nil {
		return err
	}
	lang := s.language(c)
	if row.Current {
		s.dropCookie(c)
		s.say(c, s.pages.Text(lang, "You are signed out here."))
		redirect(c, "/login")
		return nil
	}
	s.say(c, s.pages.Text(lang, said, s.pages.Called(lang, row.SessionRow)))
	redirect(c, s.listOf(c, d.UserID))
	return nil
}
