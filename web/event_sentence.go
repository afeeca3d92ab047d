package web

import (
	"cmp"
	"slices"

	"lastseen/app"
	"lastseen/db"
	"lastseen/web/view"
)

// A sentence says who did something to whom, in an English key: %[1]s is who did it,
// %[2]s whose account it is, %[3]s the thing. A form that a sentence lacks is by's.
type eventSentence struct {
	by      string // somebody did it to somebody else
	self    string // to themselves
	command string // on the command line, which has no name
}

// eventSentences are for an action, with the model it tells of and what changed in it.
var eventSentences = map[string]eventSentence{
	"login":                {by: view.Msg("%[2]s signed in")},
	"login_failed":         {by: view.Msg("sign-in as %[1]s refused")},
	"login_failed code":    {by: view.Msg("sign-in as %[1]s refused: wrong code")},
	"login_failed passkey": {by: view.Msg("sign-in as %[1]s refused: wrong passkey")},
	"login_failed unknown": {by: view.Msg("a passkey that is not known was refused")},
	"login_failed link":    {by: view.Msg("a link that is not good was refused")},
	"logout":               {by: view.Msg("%[2]s signed out"), command: view.Msg("%[2]s was signed out, since a backup was restored")},
	"password_set": {
		by:      view.Msg("%[1]s set a new password for %[2]s"),
		self:    view.Msg("%[2]s changed their password"),
		command: view.Msg("%[2]s got a new password on the command line"),
	},
	"password_set link": {by: view.Msg("%[2]s set a new password by a link")},
	"secret_view":       {by: view.Msg("%[1]s downloaded a backup")},

	"model_created user": {
		by:      view.Msg("%[1]s added %[2]s"),
		self:    view.Msg("%[2]s set up Lastseen"),
		command: view.Msg("%[2]s was added on the command line"),
	},
	"model_updated user": {
		by:      view.Msg("%[1]s changed the details of %[2]s"),
		self:    view.Msg("%[2]s changed their details"),
		command: view.Msg("the details of %[2]s were changed on the command line"),
	},
	"model_updated user enabled":  {by: view.Msg("%[1]s enabled %[2]s"), command: view.Msg("%[2]s was enabled on the command line")},
	"model_updated user disabled": {by: view.Msg("%[1]s disabled %[2]s"), command: view.Msg("%[2]s was disabled on the command line")},
	"model_updated user unlocked": {by: view.Msg("%[1]s unlocked %[2]s"), command: view.Msg("%[2]s was unlocked on the command line")},
	"model_updated user added_to": {by: view.Msg("%[1]s added %[2]s to %[3]s"), command: view.Msg("%[2]s was added to %[3]s on the command line")},
	"model_updated user removed_from": {
		by:      view.Msg("%[1]s removed %[2]s from %[3]s"),
		command: view.Msg("%[2]s was removed from %[3]s on the command line"),
	},
	"model_updated user superuser": {by: view.Msg("%[1]s made %[2]s a superuser"), command: view.Msg("%[2]s was made a superuser on the command line")},
	"model_updated user ordinary": {
		by:      view.Msg("%[1]s made %[2]s an ordinary user"),
		command: view.Msg("%[2]s was made an ordinary user on the command line"),
	},
	"model_updated user factors_reset": {
		by:      view.Msg("%[1]s removed the second factors of %[2]s"),
		command: view.Msg("the second factors of %[2]s were removed on the command line"),
	},
	"model_created user invited": {by: view.Msg("%[2]s took an invitation")},
	"model_updated user reset_link": {
		by:      view.Msg("%[1]s made a link for a new password of %[2]s"),
		command: view.Msg("a link for a new password of %[2]s was made on the command line"),
	},
	"model_updated user no_reset_link": {
		by:      view.Msg("%[1]s took back the link for a new password of %[2]s"),
		command: view.Msg("the link for a new password of %[2]s was taken back on the command line"),
	},
	"model_deleted user": {by: view.Msg("%[1]s deleted %[2]s"), command: view.Msg("%[2]s was deleted on the command line")},

	"model_created invitation":       {by: view.Msg("%[1]s made an invitation"), command: view.Msg("an invitation was made on the command line")},
	"model_created invitation named": {by: view.Msg("%[1]s invited %[3]s"), command: view.Msg("%[3]s was invited on the command line")},

	"model_deleted invitation":       {by: view.Msg("%[1]s took back an invitation"), command: view.Msg("an invitation was taken back on the command line")},
	"model_deleted invitation named": {by: view.Msg("%[1]s took back the invitation of %[3]s"), command: view.Msg("the invitation of %[3]s was taken back on the command line")},

	"model_created token": {
		by:      view.Msg("%[1]s made the key “%[3]s” for %[2]s"),
		self:    view.Msg("%[2]s made the key “%[3]s”"),
		command: view.Msg("the key “%[3]s” was made for %[2]s on the command line"),
	},
	"model_deleted token": {
		by:      view.Msg("%[1]s deleted the key “%[3]s” of %[2]s"),
		self:    view.Msg("%[2]s deleted the key “%[3]s”"),
		command: view.Msg("the key “%[3]s” of %[2]s was deleted on the command line"),
	},
	"model_deleted authenticatedsession": {
		by:      view.Msg("%[1]s signed out %[3]s of %[2]s"),
		self:    view.Msg("%[2]s signed out %[3]s"),
		command: view.Msg("%[3]s of %[2]s was signed out on the command line"),
	},

	"model_updated device": {by: view.Msg("%[1]s named a device of %[2]s “%[3]s”"), self: view.Msg("%[2]s named a device “%[3]s”")},
	"model_updated device unnamed": {
		by:   view.Msg("%[1]s took the name “%[3]s” from a device of %[2]s"),
		self: view.Msg("%[2]s took the name “%[3]s” from a device"),
	},
	"model_updated device distrusted": {
		by:   view.Msg("%[1]s stopped trusting the device “%[3]s” of %[2]s"),
		self: view.Msg("%[2]s stopped trusting the device “%[3]s”"),
	},
	"model_deleted device": {by: view.Msg("%[1]s let the device “%[3]s” of %[2]s be forgotten"), self: view.Msg("%[2]s let the device “%[3]s” be forgotten")},

	"model_created totpdevice":     {by: view.Msg("%[2]s added the authenticator app “%[3]s”")},
	"model_deleted totpdevice":     {by: view.Msg("%[1]s removed the authenticator app “%[3]s” of %[2]s"), self: view.Msg("%[2]s removed the authenticator app “%[3]s”")},
	"model_created webauthndevice": {by: view.Msg("%[2]s added the passkey “%[3]s”")},
	"model_deleted webauthndevice": {by: view.Msg("%[1]s removed the passkey “%[3]s” of %[2]s"), self: view.Msg("%[2]s removed the passkey “%[3]s”")},
	"model_updated totpdevice":     {by: view.Msg("%[2]s named an authenticator app “%[3]s”")},
	"model_updated webauthndevice": {by: view.Msg("%[2]s named a passkey “%[3]s”")},
	"model_updated staticdevice":   {by: view.Msg("%[2]s made new recovery codes")},
	"model_deleted staticdevice":   {by: view.Msg("%[1]s removed the recovery codes of %[2]s"), self: view.Msg("%[2]s removed their recovery codes")},

	"model_created rule": {by: view.Msg("%[1]s added the rule “%[3]s”"), command: view.Msg("the rule “%[3]s” was added on the command line")},
	"model_deleted rule": {by: view.Msg("%[1]s deleted the rule “%[3]s”"), command: view.Msg("the rule “%[3]s” was deleted on the command line")},

	"model_updated backup":      {by: view.Msg("restored from the backup “%[3]s”: everybody was signed out")},
	"model_updated backup kept": {by: view.Msg("restored from the backup “%[3]s”")},

	// Of whatever else there will be.
	"model_created": {by: view.Msg("%[1]s added %[3]s"), command: view.Msg("%[3]s was added on the command line")},
	"model_updated": {by: view.Msg("%[1]s changed %[3]s"), command: view.Msg("%[3]s was changed on the command line")},
	"model_deleted": {by: view.Msg("%[1]s removed %[3]s"), command: view.Msg("%[3]s was removed on the command line")},
}

// tell is what a stored event says: an English key and its args, for [view.Pages.HTML]
// or, where there is no markup, [view.Pages.Text]. Events from before their context named
// the account are told with the name that it has now.
func (s *Server) tell(lang string, e db.Event) (key string, args []any) {
	model, _ := e.Context["model"].(map[string]any)
	modelName, _ := model["model_name"].(string)
	thing, _ := model["name"].(string)
	change, of := eventChange(e)
	subject := e.Subject
	if name, ok := e.Context["username"].(string); ok && e.Action != db.LoginFailed {
		subject = name
	}
	switch modelName {
	case "user":
		subject, thing = cmp.Or(thing, subject), of
	case "authenticatedsession":
		thing = cmp.Or(e.Device, s.eventDevice(lang, e), s.pages.Text(lang, "a session"))
	}
	subject = cmp.Or(subject, e.Actor)

	var told eventSentence
	what := string(e.Action)
	for _, name := range []string{what, what + " " + modelName, what + " " + change, what + " " + modelName + " " + change} {
		if more, ok := eventSentences[name]; ok {
			told = more
		}
	}
	key = told.by
	switch {
	case e.Actor == app.Operator.User.Username && told.command != "":
		key = told.command
	case e.Actor == subject && told.self != "":
		key = told.self
	}
	return cmp.Or(key, what), []any{e.Actor, subject, thing}
}

// eventChange is what changed in the thing that an event tells of, and to what, where
// that is a name.
func eventChange(e db.Event) (change, to string) {
	if stage, ok := e.Context["stage"].(string); ok {
		if stage == "passkey" && e.Actor == "" {
			stage = "unknown"
		}
		return stage, ""
	}
	if _, ok := e.Context["link_by"]; ok {
		return "link", ""
	}
	if _, ok := e.Context["invited_by"]; ok {
		return "invited", ""
	}
	for _, group := range []string{"added_to", "removed_from"} {
		if name, ok := e.Context[group].(string); ok {
			return group, name
		}
	}
	state := func(key, yes, no string) string {
		switch e.Context[key] {
		case true:
			return yes
		case false:
			return no
		}
		return ""
	}
	changed, _ := e.Context["changed"].([]any)
	if slices.Contains(changed, any("is_superuser")) {
		return state("is_superuser", "superuser", "ordinary"), ""
	}
	return cmp.Or(state("is_active", "enabled", "disabled"), state("unlocked", "unlocked", ""),
		state("factors_reset", "factors_reset", ""), state("reset_link", "reset_link", "no_reset_link"), state("sessions_kept", "kept", ""), state("named", "named", "unnamed"), state("trusted", "", "distrusted")), ""
}
