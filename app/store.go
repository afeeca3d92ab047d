package app

import (
	"context"
	"net/netip"
	"time"

	"lastseen/app/live"
	"lastseen/db"

	"github.com/google/uuid"
)

// A Store keeps everything: what it is asked for is one use case and, where it writes,
// one transaction, and its errors are db's. *sqlite.Store is one; db/dbtest holds the
// tests that each must pass.
type Store interface {
	live.Store

	// The whole.
	Usable() error
	Ready(ctx context.Context, now time.Time) error
	Verify(ctx context.Context) error
	Path() string
	Describe(ctx context.Context) (string, error)
	Backup(ctx context.Context, path, key string) error
	Purge(ctx context.Context, before, failures, devices time.Time) error
	Setting(ctx context.Context, name string) (string, error)
	SetSetting(ctx context.Context, name, value string) error

	// Users.
	HasUsers(ctx context.Context) (any bool, err error)
	User(ctx context.Context, id int64) (db.User, error)
	UserByName(ctx context.Context, name string) (db.User, error)
	Users(ctx context.Context, f db.UserFilter) (page []db.User, total int, err error)
	UserUses(ctx context.Context, users []int64) (map[int64]db.UserUse, error)
	CreateUser(ctx context.Context, u db.User, onlyFirst bool, event func(db.User) db.Event) (db.User, error)
	CreateUserWithTOTP(ctx context.Context, u db.User, t db.TOTP, created func(db.User) db.Event, added func(u db.User, id int64) db.Event) (db.User, error)
	UpdateUser(ctx context.Context, u db.User, now time.Time, keepSuperuser bool, event db.Event) error
	UpdateProfile(ctx context.Context, user int64, name, email string, event db.Event) error
	SetActive(ctx context.Context, user int64, active bool, keepSuperuser bool, event db.Event) error
	SetPassword(ctx context.Context, c db.PasswordChange) error
	RehashPassword(ctx context.Context, user int64, old, hash string) error
	DeleteUser(ctx context.Context, user int64, keepSuperuser bool, event db.Event) error
	AddToGroup(ctx context.Context, user int64, group string, event db.Event) error
	RemoveFromGroup(ctx context.Context, user int64, group string, event db.Event) error
	SetGroups(ctx context.Context, user int64, groups []string, event func(group string, member bool) db.Event) error
	GroupNames(ctx context.Context) ([]string, error)

	// Signing in.
	LoginBlockedUntil(ctx context.Context, username, network string, now time.Time, l db.LoginLimits) (until time.Time, known bool, err error)
	LoginFailed(ctx context.Context, username, network string, event db.Event, l db.LoginLimits) error
	LoginFailures(ctx context.Context, usernames []string, now time.Time, l db.LoginLimits) (map[string]db.LoginFailures, error)
	UnlockUser(ctx context.Context, username string, event db.Event) error
	CreateSession(ctx context.Context, in db.SignIn) (db.Session, error)
	CreatePending(ctx context.Context, user db.User, p db.PendingSignIn, proof db.Proof, token []byte, expired time.Time) error
	Pending(ctx context.Context, token []byte, expired time.Time) (db.PendingSignIn, error)
	LastProof(ctx context.Context, session uuid.UUID) (at time.Time, err error)
	ProveAgain(ctx context.Context, session uuid.UUID, p db.Proof, at time.Time) error
	CreateCode(ctx context.Context, code db.AppCode, expired time.Time) error
	RedeemCode(ctx context.Context, code db.AppCode, expired time.Time, token []byte) (sess db.Session, target string, err error)

	// Factors.
	Factors(ctx context.Context, user int64) (db.Factors, error)
	FactorOwner(ctx context.Context, kind db.FactorKind, id int64) (user int64, err error)
	TOTPs(ctx context.Context) ([]db.TOTP, error)
	AddFactor(ctx context.Context, n db.NewFactor) error
	DeleteFactor(ctx context.Context, user int64, kind db.FactorKind, id int64, event db.Event) error
	NameFactor(ctx context.Context, user int64, kind db.FactorKind, id int64, name string, event db.Event) error
	ResetFactors(ctx context.Context, user int64, event db.Event) error
	SetRecoveryCodes(ctx context.Context, user int64, hashes [][]byte, event db.Event) error
	Passkey(ctx context.Context, credential []byte) (db.Passkey, error)
	PasskeyHosts(ctx context.Context) (map[string]int, error)
	CreateChallenge(ctx context.Context, token []byte, c db.Challenge, expired time.Time, most int) error
	TakeChallenge(ctx context.Context, token []byte, expired time.Time) (db.Challenge, error)

	// Links.
	CreateLink(ctx context.Context, l db.Link, token []byte, event func(db.Link) db.Event) (db.Link, error)
	Link(ctx context.Context, token []byte, now time.Time) (db.Link, error)
	Links(ctx context.Context, now time.Time) ([]db.Link, error)
	DeleteLink(ctx context.Context, id int64, now time.Time, event func(db.Link) db.Event) (db.Link, error)
	TakeInvitation(ctx context.Context, token []byte, u db.User, first func(db.User) *db.NewFactor, event func(db.User) db.Event) (db.User, error)
	TakeReset(ctx context.Context, token []byte, user int64, hash string, event db.Event) error

	// Sessions.
	FindSessions(ctx context.Context, from, to uuid.UUID) (found []uuid.UUID, err error)
	Revision(ctx context.Context, user int64) (string, error)
	IPs(ctx context.Context, ended bool, after int64, since time.Time) (ips []netip.Addr, newest int64, err error)
	AccountIPs(ctx context.Context, users []int64, most int) ([]db.AccountIP, error)
	History(ctx context.Context, f db.SessionFilter) (page []db.EndedSession, total int, err error)
	EndedSession(ctx context.Context, id uuid.UUID) (db.EndedSession, error)
	ExportSessions(ctx context.Context, f db.SessionFilter, each func([]db.EndedSession) error) error
	LastUse(ctx context.Context) (last time.Time, err error)
	Reached(ctx context.Context) (any bool, err error)
	EndSession(ctx context.Context, last db.Use, reason db.Reason, event db.Event) error
	EndSessions(ctx context.Context, users []int64, except uuid.UUID, now time.Time, reason db.Reason, describe func(db.Session) db.Event) (ended []uuid.UUID, err error)
	EndSessionsOn(ctx context.Context, device uuid.UUID, now time.Time, reason db.Reason, describe func(db.Session) db.Event) (ended []uuid.UUID, err error)
	EndChosen(ctx context.Context, last []db.Use, reason db.Reason, events []db.Event) (ended []uuid.UUID, err error)
	ExpireSessions(ctx context.Context, now time.Time, limit int) (int, error)
	SetIdle(ctx context.Context, idle time.Duration) error
	AppSessions(ctx context.Context, session uuid.UUID) ([]db.AppSession, error)
	EndAppSession(ctx context.Context, session uuid.UUID, host string) error
	StaleAgents(ctx context.Context, definitions string, limit int) ([]string, error)
	StoreAgents(ctx context.Context, agents []*db.Agent) error

	// Devices.
	SignInHistory(ctx context.Context, user int64, device []byte, c db.Client) (db.SignInHistory, error)
	Devices(ctx context.Context, user int64) ([]db.Device, error)
	Device(ctx context.Context, id uuid.UUID) (db.Device, error)
	SessionDevices(ctx context.Context, sessions []uuid.UUID) (map[uuid.UUID]db.Device, error)
	SetSessionDevice(ctx context.Context, session uuid.UUID, device []byte, c db.Client) error
	Trusts(ctx context.Context, user int64, device []byte, at time.Time) (bool, error)
	Distrust(ctx context.Context, id uuid.UUID, event db.Event) error
	NameDevice(ctx context.Context, id uuid.UUID, name string, event db.Event) error
	DeleteDevice(ctx context.Context, id uuid.UUID, reason db.Reason, event db.Event, describe func(db.Session) db.Event) (ended []uuid.UUID, err error)

	// Alerts.
	NewAlerts(ctx context.Context, limit int) ([]db.Alert, error)
	HeldAlerts(ctx context.Context) (users []int64, err error)
	PlanAlerts(ctx context.Context, alerts []db.Alert, plan func(a db.Alert, sent int) (targets []string, hold bool)) (n int, err error)
	SumUp(ctx context.Context, quiet, first, last time.Time, summary func(user int64, number int) db.Alert) error
	BoundDeliveries(ctx context.Context, most int, summary func(number int) db.Alert) error
	ClaimDeliveries(ctx context.Context, now, until time.Time, busy []string, targets, each int) (claimed []db.Delivery, err error)
	Delivered(ctx context.Context, d db.Delivery, now time.Time) error
	NotDelivered(ctx context.Context, failed []db.Delivery, p db.AlertProblem) error
	AlertWork(ctx context.Context, now time.Time) (db.AlertWork, error)
	AlertProblems(ctx context.Context) ([]db.AlertProblem, error)
	AlertTargets(ctx context.Context) ([]db.AlertTarget, error)
	CreateAlertTarget(ctx context.Context, t db.AlertTarget, seal func(id int64) ([]byte, error), event func(db.AlertTarget) db.Event) (db.AlertTarget, error)
	SetAlertTypes(ctx context.Context, id int64, types string, event db.Event) error
	DeleteAlertTarget(ctx context.Context, id int64, target string, event db.Event) error
	AlertChoice(ctx context.Context, user int64) (db.AlertChoice, error)
	SetAlertChoice(ctx context.Context, user int64, c db.AlertChoice) error

	// Keys, rules, events.
	Tokens(ctx context.Context, f db.TokenFilter) (page []db.Token, total int, err error)
	CreateToken(ctx context.Context, t db.Token, hash []byte, event db.Event) (db.Token, error)
	DeleteToken(ctx context.Context, id uuid.UUID, event db.Event) error
	RecordKeyUses(ctx context.Context, uses map[uuid.UUID]time.Time) error
	CreateRule(ctx context.Context, r db.Rule, event func(db.Rule) db.Event) (db.Rule, error)
	DeleteRule(ctx context.Context, id int64, event func(db.Rule) db.Event) (r db.Rule, err error)
	Record(ctx context.Context, e db.Event) error
	Events(ctx context.Context, f db.EventFilter) (page []db.Event, total int, err error)
	EventIPs(ctx context.Context, f db.EventFilter) ([]netip.Addr, error)
	CountEvents(ctx context.Context, f db.EventFilter, span time.Duration, origin time.Time) ([]db.EventCount, error)
}
