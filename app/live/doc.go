// Package live keeps in memory what requests need, so that nearly none asks the
// database, and gathers the uses of sessions until they are written together.
//
//	kept            by                              at most, of Bounds    file
//	sessions        half the token's hash; UUID     Sessions              table.go, find.go
//	users           ID, with groups                 Users                 cache.go
//	API keys        the key's hash, with the user   Keys                  cache.go
//	apps' cookies   the token's hash                Apps                  cache.go
//	rules           what their hosts end in         all there are         rules.go
//	user agents     ID; the header                  Agents; Agents        agent.go
//	uses, hosts     their session                   Sessions; Hosts       use.go, flush.go
//
// No entry has a lifetime. It goes
//
//   - when something changes: who changes it calls Invalidate or End, and the table in
//     invalidate.go says what that drops. The change is stored before, and answered after;
//   - when another process wrote, which Store.Epoch tells: then all of it does;
//   - when there is no room: any entry makes room for a new one.
//
// Three rules keep what is answered true:
//
//   - What was read before something was dropped is not kept after it: each read begins
//     with a stamp, and what it found is kept only if that is current still.
//   - A session is believed only if it was read no earlier than its user was, or than all
//     sessions of that user were dropped. So dropping a user drops their sessions, however
//     many these are. Dropped sessions stay in memory, not believed, for what is not
//     written of them.
//   - Whoever reads a session gets its latest use, written or not. A session of which
//     something is not written is not evicted, unless twice the bound of them wait; and a
//     row that was read before its session was evicted is read again, since it may be
//     older than what was written last.
//
// A crash loses the uses since the last flush, and nothing else.
//
// Before a Shared store, which many machines write to, Epoch never says that what was read
// may be believed: then each request asks, once for all that it needs, and only uses are
// gathered. Agents are kept even so, since none changes, and the rules, of which each answer
// tells whether they are the same.
package live
