package app

import (
	"context"

	"lastseen/geoip"
)

// A FirstStep is something that a new instance is better with.
type FirstStep string

// The first steps.
const (
	AddPlaces FirstStep = "places" // databases of places and networks
	UseGate   FirstStep = "gate"   // somebody has reached an app through it
	AddUser   FirstStep = "user"   // a second one
)

// firstStepsSetting says whether the first steps are shown: "" before anybody has looked,
// then open or done. It is one for all superusers, and for all their browsers.
const firstStepsSetting = "first_steps"

// FirstSteps are those that are left. An instance is new when a superuser looks at it and
// there is one user with one session; once all is done, or DismissFirstSteps was called,
// there are none for good.
func (a *App) FirstSteps(ctx context.Context) ([]FirstStep, error) {
	if a.noFirstSteps.Load() {
		return nil, nil
	}
	state, err := a.store.Setting(ctx, firstStepsSetting)
	if err != nil {
		return nil, err
	}
	if state == "done" {
		a.noFirstSteps.Store(true)
		return nil, nil
	}
	sessions, users, err := a.Counts(ctx)
	if err != nil {
		return nil, err
	}
	var left []FirstStep
	if state == "open" || state == "" && users == 1 && sessions <= 1 {
		if left, err = a.firstStepsLeft(ctx, users); err != nil {
			return nil, err
		}
	}
	switch {
	case len(left) == 0:
		return nil, a.DismissFirstSteps(ctx)
	case state == "":
		return left, a.store.SetSetting(ctx, firstStepsSetting, "open")
	}
	return left, nil
}

func (a *App) firstStepsLeft(ctx context.Context, users int) (left []FirstStep, err error) {
	for _, f := range a.geo.Files() {
		if f.State != geoip.Loaded && len(left) == 0 {
			left = append(left, AddPlaces)
		}
	}
	a.flushIfQuick(ctx)
	reached, err := a.store.Reached(ctx)
	if !reached {
		left = append(left, UseGate)
	}
	if users == 1 {
		left = append(left, AddUser)
	}
	return left, err
}

// DismissFirstSteps says that nobody wants to be told of them.
func (a *App) DismissFirstSteps(ctx context.Context) error {
	if err := a.store.SetSetting(ctx, firstStepsSetting, "done"); err != nil {
		return err
	}
	a.noFirstSteps.Store(true)
	return nil
}
