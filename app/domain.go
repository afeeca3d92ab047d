package app

import (
	"fmt"

	"golang.org/x/net/publicsuffix"
)

// checkDomainSuffix refuses a domain that is a public suffix, such as com,
// co.uk or duckdns.org: browsers drop a cookie set for one.
func checkDomainSuffix(domain string) error {
	if suffix, _ := publicsuffix.PublicSuffix(domain); suffix == domain {
		return fmt.Errorf("%s is a public suffix, under which anybody may have a host, so browsers refuse the cookie: use a domain of your own below it", domain)
	}
	return nil
}
