package config

import (
	"errors"
	"fmt"
	"strings"

	"lastseen/app/alert"
)

// setAlerts reads the targets. None of its errors repeats one, as they hold secrets.
func setAlerts(c *Config, v string) error {
	var errs []error
	for i, raw := range strings.Split(v, ",") {
		if strings.TrimSpace(raw) == "" {
			continue
		}
		t, err := alert.ParseTarget(raw)
		if err != nil {
			errs = append(errs, fmt.Errorf("number %d: %w", i+1, err))
			continue
		}
		c.Alerts = append(c.Alerts, t)
	}
	return errors.Join(errs...)
}

// checkMail sees that there is a server for what is to be mailed.
func (c Config) checkMail() error {
	if c.Mail != nil {
		return nil
	}
	for _, t := range c.Alerts {
		if t.Mail() {
			return errors.New("--alerts: mailto: needs a mail server: set --smtp too")
		}
	}
	return nil
}
