// Peer is PocketBase with as many records as we have sessions, of the same
// fields, which their owner alone may read. It is for the benchmark.
//
//	peer fill DIR RECORDS   makes the data, and prints the owner's token
//	peer serve --dir DIR --http HOST:PORT
package main

import (
	"fmt"
	"log"
	"os"
	"strconv"

	"github.com/pocketbase/dbx"
	"github.com/pocketbase/pocketbase"
	"github.com/pocketbase/pocketbase/core"
	"github.com/pocketbase/pocketbase/tools/types"
)

func main() {
	if len(os.Args) != 4 || os.Args[1] != "fill" {
		if err := pocketbase.New().Start(); err != nil {
			log.Fatal(err)
		}
		return
	}
	records, err := strconv.Atoi(os.Args[3])
	if err == nil {
		err = fill(os.Args[2], records)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func fill(dir string, records int) error {
	app := pocketbase.NewWithConfig(pocketbase.Config{DefaultDataDir: dir})
	if err := app.Bootstrap(); err != nil {
		return err
	}
	if err := app.RunAllMigrations(); err != nil {
		return err
	}
	settings := app.Settings()
	settings.Logs.MaxDays = 0 // no request log
	if err := app.Save(settings); err != nil {
		return err
	}
	users, err := app.FindCollectionByNameOrId("users")
	if err != nil {
		return err
	}
	owner := core.NewRecord(users)
	owner.SetEmail("bench@home.example")
	owner.SetPassword("correct horse battery")
	if err := app.Save(owner); err != nil {
		return err
	}
	sessions := core.NewBaseCollection("sessions")
	sessions.ViewRule = types.Pointer("owner = @request.auth.id")
	sessions.Fields.Add(
		&core.RelationField{Name: "owner", CollectionId: users.Id, MaxSelect: 1},
		&core.JSONField{Name: "user_agent"}, &core.JSONField{Name: "geo_ip"}, &core.JSONField{Name: "asn"},
		&core.TextField{Name: "last_ip"}, &core.TextField{Name: "last_user_agent"},
		&core.DateField{Name: "last_used"}, &core.DateField{Name: "expires"},
	)
	if err := app.Save(sessions); err != nil {
		return err
	}
	const agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	_, err = app.DB().NewQuery(`WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {:records})
		INSERT INTO sessions (id, owner, user_agent, geo_ip, asn, last_ip, last_user_agent, last_used, expires)
		SELECT printf('bench%010d', i), {:owner}, {:parts}, {:place}, {:network}, '86.128.0.7', {:agent}, '2026-11-01 10:00:00.000Z', '2036-11-01 10:00:00.000Z' FROM n`).
		Bind(dbx.Params{"records": records, "owner": owner.Id, "agent": agent,
			"parts": `{"device":{"brand":"","family":"Other","model":""},"os":{"family":"Linux","major":"","minor":"","patch":"","patch_minor":""},` +
				`"user_agent":{"family":"Firefox","major":"140","minor":"0","patch":""},"string":"` + agent + `"}`,
			"place":   `{"continent":"EU","country":"GB","lat":53.8,"long":-1.5491,"city":"Leeds"}`,
			"network": `{"asn":2856,"as_org":"British Telecommunications PLC","network":"86.128.0.0/12"}`}).Execute()
	if err != nil {
		return err
	}
	token, err := owner.NewStaticAuthToken(24 * 60 * 60 * 1e9)
	if err != nil {
		return err
	}
	fmt.Println(token)
	return nil
}
