package db

import "iter"

// CopiedTables are those that a copy to another kind of database holds, each after those
// that it refers to. What triggers count, and what only servers that run need, is not copied.
var CopiedTables = []string{
	"users", "groups", "user_groups", "tokens", "user_agents", "devices", "sessions", "ended_sessions", "app_sessions", "app_codes", "session_hosts",
	"events", "login_failures", "known_networks", "totps", "passkeys", "passkey_challenges", "recovery_codes", "pending_signins", "links",
	"alerts", "alert_deliveries", "alert_targets", "alert_problems", "alert_choices",
	"rules", "rule_groups", "settings",
}

// A Table is all of one as it is copied: each value is an int64 (for times and truth, too),
// a string, a []byte (for UUIDs, too) or nil, in the order of Columns.
type Table struct {
	Name    string
	Columns []string
	Rows    iter.Seq2[[]any, error]
	Last    int64 // the last number that a row got, 0 when that is not kept
}
