package db

import (
	"time"

	"github.com/google/uuid"
)

// An Alert is what people are to be told of. It is stored with the event of what it
// tells of, so that neither is without the other.
type Alert struct {
	ID      int64
	UUID    uuid.UUID
	Type    string
	UserID  int64 // whose account it concerns; 0 for nobody's
	Created time.Time
	Number  int    // of how many it tells
	Content []byte // JSON, which the store does not look into
}

// SummaryAlert is the type of an alert that tells of others, which are not sent.
const SummaryAlert = "summary"

// A Delivery is an alert that is to be sent to one target.
type Delivery struct {
	Alert    Alert
	Target   string // as it was planned
	Attempts int    // that failed before
	Due      time.Time
}

// An AlertTarget is where alerts go.
type AlertTarget struct {
	ID      int64
	URL     []byte // encrypted
	Types   string // of what it gets, separated by commas; "" for all
	Created time.Time
}

// An AlertProblem is the last failure at a target.
type AlertProblem struct {
	Target  string
	Created time.Time
	Problem string
}

// An AlertChoice is what a user wants by mail.
type AlertChoice struct {
	Mail  bool
	Types string // as of an AlertTarget
}

// AlertWork is what there is to do about alerts.
type AlertWork struct {
	New, Held  int // alerts that are not planned, and that wait for a summary
	Deliveries int // that wait
	Due        int // of those, that may be tried now
}
