// Runs one of authentik's own API clients against a server with known contents and
// asserts what it decoded. Its expectations come as JSON on standard input.
"use strict";
const assert = require("node:assert/strict");
const { test } = require("node:test");
const api = require("@goauthentik/api");

const known = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const later = known.generation === "2026.8";

function clients(key) {
  const config = new api.Configuration({ basePath: known.url + "/api/v3", accessToken: key });
  return { core: new api.CoreApi(config), events: new api.EventsApi(config), root: new api.RootApi(config), authenticators: new api.AuthenticatorsApi(config), schema: new api.SchemaApi(config) };
}
const ada = clients(known.adaKey);
const bob = clients(known.bobKey);

const decode = (name, object) => {
  // What a generated type requires is a key of its own instanceOf.
  const instanceOf = api["instanceOf" + name];
  assert.ok(instanceOf(object), `a ${name} lacks something its type requires: ${JSON.stringify(object)}`);
};
const status = (code) => (error) => {
  assert.equal(error.name, "ResponseError");
  assert.equal(error.response.status, code);
  return true;
};
const ids = (list) => list.results.map((s) => s.uuid).sort();

async function main() {
  await test("list, of a superuser and of a user", async () => {
    const all = await ada.core.coreAuthenticatedSessionsList();
    assert.equal(all.pagination.count, known.sessions.length);
    assert.equal(all.pagination.totalPages, 1);
    assert.deepEqual(ids(all), known.sessions.map((s) => s.uuid).sort());
    if (later) assert.deepEqual(all.autocomplete, {});
    const own = await bob.core.coreAuthenticatedSessionsList();
    assert.deepEqual(ids(own), known.sessions.filter((s) => s.user === "bob").map((s) => s.uuid).sort());
    for (const s of all.results) {
      decode("AuthenticatedSession", s);
      assert.equal(s.current, false); // never for a token
    }
  });

  await test("page through", async () => {
    const seen = [];
    let page = 1;
    while (page !== 0) {
      const part = await ada.core.coreAuthenticatedSessionsList({ page, pageSize: 2, ordering: "-last_used" });
      assert.equal(part.pagination.current, page);
      assert.equal(part.pagination.startIndex, seen.length + 1);
      assert.equal(part.pagination.endIndex, seen.length + part.results.length);
      assert.equal(part.pagination.previous, page - 1);
      seen.push(...part.results);
      page = part.pagination.next;
    }
    assert.equal(new Set(seen.map((s) => s.uuid)).size, known.sessions.length);
    const times = seen.map((s) => s.lastUsed.getTime());
    assert.deepEqual(times, [...times].sort((a, b) => b - a));
    await assert.rejects(ada.core.coreAuthenticatedSessionsList({ page: 99 }), status(404));
  });

  const iphone = known.sessions[0];
  await test("filter and search", async () => {
    const expected = [iphone.uuid];
    const ip = later ? { sessionLastIp: iphone.ip } : { lastIp: iphone.ip };
    const agent = later ? { sessionLastUserAgent: iphone.agent } : { lastUserAgent: iphone.agent };
    assert.deepEqual(ids(await ada.core.coreAuthenticatedSessionsList(ip)), expected);
    assert.deepEqual(ids(await ada.core.coreAuthenticatedSessionsList(agent)), expected);
    assert.deepEqual(ids(await ada.core.coreAuthenticatedSessionsList({ search: "bob IPHONE" })), expected);
    const bobs = await ada.core.coreAuthenticatedSessionsList({ userUsername: "bob" });
    assert.deepEqual(ids(bobs), known.sessions.filter((s) => s.user === "bob").map((s) => s.uuid).sort());
    assert.equal((await ada.core.coreAuthenticatedSessionsList({ userUsername: "nobody" })).pagination.count, 0);
    await assert.rejects(ada.core.coreAuthenticatedSessionsList({ userUsername: "" }), status(400));
  });

  await test("retrieve", async () => {
    const s = await bob.core.coreAuthenticatedSessionsRetrieve({ uuid: iphone.uuid });
    decode("AuthenticatedSession", s);
    assert.equal(s.uuid, iphone.uuid);
    assert.equal(s.current, false);
    assert.equal(s.user, known.users.bob);
    assert.equal(s.lastIp, iphone.ip);
    assert.equal(s.lastUserAgent, iphone.agent);
    assert.equal(s.lastUsed.toISOString(), "2026-11-03T09:30:15.123Z");
    assert.equal(s.expires.toISOString(), "2026-11-17T09:30:15.123Z");
    assert.deepEqual(s.userAgent.device, { brand: "Apple", family: "iPhone", model: "iPhone" });
    assert.deepEqual(s.userAgent.os, { family: "iOS", major: "18", minor: "5", patch: "", patchMinor: "" });
    assert.deepEqual(s.userAgent.userAgent, { family: "Mobile Safari", major: "18", minor: "5", patch: "" });
    assert.equal(s.userAgent.string, iphone.agent);
    assert.deepEqual(s.geoIp, { continent: "EU", country: "GB", lat: 51.5142, _long: -0.0931, city: "London" });
    assert.deepEqual(s.asn, { asn: 20712, asOrg: "Andrews & Arnold Ltd", network: "81.2.69.0/24" });

    const local = await bob.core.coreAuthenticatedSessionsRetrieve({ uuid: known.sessions[1].uuid });
    assert.equal(local.geoIp, null);
    assert.equal(local.asn, null);
    const silent = await bob.core.coreAuthenticatedSessionsRetrieve({ uuid: known.sessions[2].uuid });
    assert.equal(silent.lastUserAgent, "");
    assert.deepEqual(silent.userAgent.device, { brand: "", family: "Other", model: "" });

    const adas = known.sessions.find((s) => s.user === "ada");
    await assert.rejects(bob.core.coreAuthenticatedSessionsRetrieve({ uuid: adas.uuid }), status(404));
    await assert.rejects(clients("nonsense").core.coreAuthenticatedSessionsRetrieve({ uuid: adas.uuid }), status(403));
  });

  await test("used by", async () => {
    assert.deepEqual(await bob.core.coreAuthenticatedSessionsUsedByList({ uuid: iphone.uuid }), []);
  });

  await test("users", async () => {
    const all = await ada.core.coreUsersList({ ordering: "username" });
    assert.deepEqual(all.results.map((u) => u.username), ["ada", "bob", "eve"]);
    for (const u of all.results) decode("User", u);
    const eve = all.results[2];
    assert.equal(eve.groupsObj[0].name, "family");
    decode(later ? "PartialGroup" : "UserGroup", eve.groupsObj[0]);
    assert.equal(eve.type, "internal");
    const one = await bob.core.coreUsersRetrieve({ id: known.users.bob });
    assert.equal(one.username, "bob");
    assert.equal(one.isSuperuser, false);
    assert.equal(one.uid.length, 64);
    assert.ok(one.lastLogin instanceof Date);
    if (later) assert.ok(one.dateJoined instanceof Date && one.passwordChangeDate instanceof Date);
    assert.equal((await bob.core.coreUsersList()).pagination.count, 1);
    assert.equal((await ada.core.coreUsersList({ pageSize: 1 })).pagination.count, 3);
    for (const [filter, want] of [
      [{ username: "bob" }, "bob"], [{ isSuperuser: true }, "ada"], [{ isActive: false }, ""], [{ uuid: one.uuid }, "bob"],
      [{ groupsByName: ["family"] }, "eve"], [{ groupsByPk: eve.groups }, "eve"], [{ type: ["external"] }, ""],
      [{ type: ["internal"], search: "EVE" }, "eve"], [{ path: "users", email: "eve@home.example" }, "eve"],
    ]) {
      const found = await ada.core.coreUsersList(filter);
      assert.equal(found.results.map((u) => u.username).join(" "), want, JSON.stringify(filter));
    }
    const me = await bob.core.coreUsersMeRetrieve();
    decode("SessionUser", me);
    decode("UserSelf", me.user);
    assert.equal(me.user.username, "bob");
    if (later) assert.equal(me.users[0].pk, known.users.bob);
  });

  await test("tokens", async () => {
    const all = await ada.core.coreTokensList({ identifier: "widget" });
    assert.equal(all.pagination.count, 1);
    decode("Token", all.results[0]);
    decode("User", all.results[0].userObj);
    const token = await bob.core.coreTokensRetrieve({ identifier: "widget" });
    assert.equal(token.identifier, "widget");
    assert.equal(token.intent, "api");
    assert.equal(token.user, known.users.bob);
    assert.equal(token.userObj.username, "bob");
    assert.equal(token.expiring, true);
    assert.equal(token.expires.toISOString(), "2026-11-04T09:30:15.123Z");
    assert.ok(!JSON.stringify(all).includes(known.bobKey));
    const own = await bob.core.coreTokensList({ userUsername: "ada" });
    assert.equal(own.pagination.count, 0);
  });

  await test("events", async () => {
    const failed = await ada.events.eventsEventsList({ action: "login_failed", ordering: "-created", pageSize: 20 });
    assert.equal(failed.pagination.count, 1);
    const e = failed.results[0];
    decode("Event", e);
    assert.equal(e.action, "login_failed");
    assert.equal(e.context.username, "bob");
    assert.equal(e.user.username, "bob");
    assert.equal(e.clientIp, "127.0.0.1");
    assert.equal(e.created.toISOString(), "2026-11-03T09:30:15.123Z");
    const sum = (items, count) => items.reduce((n, i) => n + i[count], 0);
    if (later) {
      const volume = await ada.events.eventsEventsVolumeList({ action: "login", historyDays: 1 });
      for (const v of volume) decode("EventVolume", v);
      assert.equal(sum(volume, "count"), known.sessions.length);
      assert.ok(volume[0].time instanceof Date);
      const two = await ada.events.eventsEventsList({ actions: ["login_failed", "logout"] });
      assert.equal(two.pagination.count, 1);
    } else {
      const month = await ada.events.eventsEventsPerMonthList({ action: "login" });
      for (const c of month) decode("Coordinate", c);
      assert.equal(month.length, 30);
      assert.equal(sum(month, "yCord"), known.sessions.length);
      const volume = await ada.events.eventsEventsVolumeList({ action: "login" });
      for (const c of volume) decode("Coordinate", c);
      assert.equal(sum(volume, "yCord"), known.sessions.length);
    }
  });

  await test("config and schema, without signing in", async () => {
    const nobody = clients();
    const config = await nobody.root.rootConfigRetrieve();
    decode("Config", config);
    decode("ErrorReportingConfig", config.errorReporting);
    assert.deepEqual(config.capabilities, ["can_geo_ip", "can_asn"]);
    const schema = await nobody.schema.schemaRetrieve({ format: "json" });
    assert.equal(schema.openapi, "3.0.3");
    assert.ok(schema.paths["/core/authenticated_sessions/{uuid}/"].delete);
  });

  await test("second factors", async () => {
    const own = await bob.authenticators.authenticatorsAllList();
    assert.deepEqual(own.map((d) => [d.name, d.type.split(".")[1], d.confirmed]), [["Phone", "TOTPDevice", true], ["Recovery codes", "StaticDevice", true]]);
    own.forEach((d) => decode("Device", d));
    assert.ok(own[0].created instanceof Date && own[0].lastUsed === null);
    assert.deepEqual(await ada.authenticators.authenticatorsAllList(), []);
    assert.deepEqual(await ada.authenticators.authenticatorsAdminAllList({ user: known.users.bob }), own);
    assert.deepEqual(await ada.authenticators.authenticatorsAdminAllList({ user: 999 }), []);
    await assert.rejects(ada.authenticators.authenticatorsAdminAllList(), status(400));
    await assert.rejects(bob.authenticators.authenticatorsAdminAllList({ user: known.users.bob }), status(403));
    await assert.rejects(ada.authenticators.authenticatorsTotpDestroy({ id: Number(own[0].pk) }), status(404));
    await assert.rejects(bob.authenticators.authenticatorsAdminTotpDestroy({ id: Number(own[0].pk) }), status(403));
    await bob.authenticators.authenticatorsStaticDestroy({ id: Number(own[1].pk) });
    await ada.authenticators.authenticatorsAdminTotpDestroy({ id: Number(own[0].pk) });
    await assert.rejects(bob.authenticators.authenticatorsTotpDestroy({ id: Number(own[0].pk) }), status(404));
    await assert.rejects(bob.authenticators.authenticatorsWebauthnDestroy({ id: 1 }), status(404));
    assert.deepEqual(await bob.authenticators.authenticatorsAllList(), []);
  });

  await test("destroy", async () => {
    const adas = known.sessions.find((s) => s.user === "ada");
    await assert.rejects(bob.core.coreAuthenticatedSessionsDestroy({ uuid: adas.uuid }), status(404));
    assert.equal(await bob.core.coreAuthenticatedSessionsDestroy({ uuid: iphone.uuid }), undefined);
    await assert.rejects(bob.core.coreAuthenticatedSessionsRetrieve({ uuid: iphone.uuid }), status(404));
    await assert.rejects(bob.core.coreAuthenticatedSessionsDestroy({ uuid: iphone.uuid }), status(404));
    assert.equal((await ada.core.coreAuthenticatedSessionsList()).pagination.count, known.sessions.length - 1);
  });

  if (later) {
    await test("bulk delete", async () => {
      const before = await ada.core.coreAuthenticatedSessionsList();
      const gone = before.results.filter((s) => s.user !== known.users.ada).length;
      await assert.rejects(bob.core.coreAuthenticatedSessionsBulkDeleteDestroy({ userPks: [known.users.bob] }), status(403));
      const answer = await ada.core.coreAuthenticatedSessionsBulkDeleteDestroy({ userPks: [known.users.bob, known.users.eve] });
      assert.deepEqual(answer, { deleted: gone });
      const after = await ada.core.coreAuthenticatedSessionsList();
      assert.deepEqual([...new Set(after.results.map((s) => s.user))], [known.users.ada]);
    });
  }
}

main();
