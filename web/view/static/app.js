// Lastseen's pages work without this file. It says times in the reader's own zone,
// shows passwords, copies, asks in place before signing out, and keeps lists fresh.
"use strict";
(() => {
  const root = document.documentElement;
  // Times are said as the reader's own region writes them, if the page's language allows.
  const lang = navigator.languages.find((l) => l.split("-")[0] === root.lang) ?? root.lang;
  const words = document.getElementById("words")?.dataset ?? {};

  // Times: the same steps as the server takes, and "yesterday" where it cannot know.
  const ago = new Intl.RelativeTimeFormat(lang, { numeric: "always" });
  const nearDay = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
  const clock = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit" });
  const date = new Intl.DateTimeFormat(lang, { day: "numeric", month: "short" });
  const dateYear = new Intl.DateTimeFormat(lang, { day: "numeric", month: "short", year: "numeric" });
  const exact = new Intl.DateTimeFormat(lang, { dateStyle: "full", timeStyle: "long" });
  const midnight = (t) => new Date(t.getFullYear(), t.getMonth(), t.getDate()).getTime();
  // The server's clock is the one that counts: now is its, from the page's own stamp.
  const skew = words.at ? Date.parse(words.at) - Date.now() : 0;

  function say(t, kind) {
    const now = new Date(Date.now() + skew);
    const minutes = Math.trunc((t - now) / 60000);
    const days = Math.round((midnight(t) - midnight(now)) / 86400000);
    if (kind === "when") {
      if (minutes === 0 && t <= now) return words.now;
      if (Math.abs(minutes) < 60) return ago.format(minutes || 1, "minute");
      if (days === 0) return ago.format(Math.trunc(minutes / 60), "hour");
      if (Math.abs(days) === 1) return nearDay.format(days, "day") + ", " + clock.format(t);
      if (Math.abs(days) < 7) return ago.format(days, "day");
    }
    const text = (Math.abs(days) < 300 ? date : dateYear).format(t);
    return kind === "moment" ? text + ", " + clock.format(t) : text;
  }

  function times(within) {
    for (const e of within.querySelectorAll("time[data-time]")) {
      const t = new Date(e.dateTime);
      if (isNaN(t)) continue;
      const text = say(t, e.dataset.time);
      if (e.textContent !== text) e.textContent = text;
      e.title = exact.format(t);
    }
  }
  times(document);
  setInterval(() => times(document), 30000);

  // Back must not show what was there before signing out: a browser that kept the
  // page whole asks for it anew.
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });

  // What only works with JavaScript is hidden until here.
  function reveal(within) {
    for (const b of within.querySelectorAll("button[data-show], button[data-copy]")) b.hidden = false;
  }
  reveal(document);

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (!button) {
      for (const d of document.querySelectorAll("details.drop[open]")) if (!d.contains(event.target)) d.open = false;
      return;
    }
    if (button.dataset.show) {
      const input = document.getElementById(button.dataset.show);
      const show = input.type === "password";
      input.type = show ? "text" : "password";
      button.textContent = show ? words.hide : words.show;
      button.setAttribute("aria-pressed", String(show));
    } else if (button.dataset.copy) {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        const label = button.textContent;
        button.textContent = words.copied;
        setTimeout(() => { button.textContent = label; }, 2000);
      } catch {
        getSelection().selectAllChildren(source); // over plain http there is no clipboard
      }
    } else if ("themeSwitch" in button.dataset) {
      event.preventDefault();
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      document.querySelector('meta[name="color-scheme"]').content = root.dataset.theme;
      for (const meta of document.querySelectorAll('meta[name="theme-color"]')) meta.content = getComputedStyle(root).getPropertyValue("--panel");
      const body = new URLSearchParams({ theme: root.dataset.theme, next: "/" });
      fetch(button.form.action, { method: "POST", body, redirect: "manual" }).catch(() => {});
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const d of document.querySelectorAll("details.drop[open]")) {
      d.open = false;
      d.querySelector("summary").focus();
    }
  });

  // A password that was shown goes out hidden again, or the browser would remember it
  // as ordinary text.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    for (const b of form.querySelectorAll("button[data-show]")) document.getElementById(b.dataset.show).type = "password";
    const text = form.dataset.confirm;
    if (!text || !window.HTMLDialogElement) return;
    event.preventDefault();
    const dialog = document.getElementById("sure");
    document.getElementById("sure-text").textContent = text;
    const yes = dialog.querySelector("[data-yes]");
    yes.textContent = form.dataset.yes || yes.dataset.label || (yes.dataset.label = yes.textContent);
    yes.onclick = () => { yes.disabled = true; form.submit(); };
    dialog.querySelector("[data-no]").onclick = () => dialog.close();
    yes.disabled = false;
    dialog.showModal();
  });

  // Passkeys. A form with data-passkey fetches from there what to ask the browser for, and
  // is sent with what that answers. One with data-offer asks as the page comes: its passkeys
  // are among the names that the browser offers for the name's field.
  const passkeys = window.PublicKeyCredential ? [...document.querySelectorAll("form[data-passkey]")] : [];
  for (const form of passkeys) form.hidden = false;
  if (!window.PublicKeyCredential) for (const e of document.querySelectorAll("[data-no-passkeys]")) e.hidden = false;
  const toBytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const toText = (bytes) => bytes && btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  let asking, offered; // AbortControllers: a browser asks for one passkey at a time

  async function askPasskey(form, mediation) {
    asking?.abort();
    const { signal } = asking = new AbortController();
    if (mediation) offered = asking;
    const { username } = form.elements, typed = document.querySelector("form:not(.passkey) #username");
    if (username && typed) username.value = typed.value;
    const asked = await fetch(form.dataset.passkey, { method: "POST", body: new URLSearchParams(username ? { username: username.value } : {}), headers: { Accept: "application/json" }, redirect: "error", signal });
    if (asked.status === 400) return form.submit(); // the page says what is wrong with the name
    if (!asked.ok) throw new Error(asked.status);
    const { token, publicKey } = await asked.json();
    publicKey.challenge = toBytes(publicKey.challenge);
    for (const c of [...(publicKey.allowCredentials ?? []), ...(publicKey.excludeCredentials ?? [])]) c.id = toBytes(c.id);
    if (publicKey.user) publicKey.user.id = toBytes(publicKey.user.id);
    const passkey = await (publicKey.user ? navigator.credentials.create({ publicKey, signal }) : navigator.credentials.get({ publicKey, signal, mediation }));
    const { response } = passkey;
    form.querySelector("[data-challenge]").value = token;
    form.querySelector("[data-answer]").value = JSON.stringify({
      rawId: toText(passkey.rawId), type: passkey.type, clientExtensionResults: { credProps: passkey.getClientExtensionResults().credProps },
      response: {
        clientDataJSON: toText(response.clientDataJSON), attestationObject: toText(response.attestationObject), transports: response.getTransports?.(),
        authenticatorData: response.signature && toText(response.authenticatorData), signature: toText(response.signature), userHandle: toText(response.userHandle),
      },
    });
    for (const name of ["remember", "trust"]) { // ticked in the other form
      const tick = document.querySelector(`input[type=checkbox][name=${name}]`);
      if (tick && form.elements[name]) form.elements[name].value = tick.checked ? "1" : "";
    }
    form.submit();
  }

  async function offerPasskeys() {
    const form = passkeys.find((f) => "offer" in f.dataset);
    if (!form || !(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
    askPasskey(form, "conditional").catch(() => {}); // nobody asked for it
  }
  offerPasskeys();
  // What is asked for is good for five minutes.
  setInterval(() => { if (offered && offered === asking && !document.hidden) offerPasskeys(); }, 240000);

  for (const form of passkeys) form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button"), problem = form.querySelector("[data-problem]");
    problem.hidden = true;
    button.disabled = true;
    try {
      await askPasskey(form);
    } catch (error) {
      problem.textContent = { NotAllowedError: form.dataset.cancelled, AbortError: form.dataset.cancelled, InvalidStateError: form.dataset.there }[error.name] ?? form.dataset.failed;
      problem.hidden = false;
      problem.focus();
      button.disabled = false;
      offerPasskeys();
    }
  });

  // Browsers that give autofocus only to controls need help with the failure text.
  addEventListener("load", () => requestAnimationFrame(() => {
    if (document.activeElement === document.body) document.getElementById("problem")?.focus();
  }));

  // How many sessions are chosen stands on the button that signs them out.
  function countChosen() {
    for (const e of document.querySelectorAll("[data-count]")) {
      const n = document.querySelectorAll("[name=session]:checked").length;
      e.textContent = n ? ` (${n})` : "";
    }
  }
  document.addEventListener("change", countChosen);
  addEventListener("pageshow", countChosen); // Back keeps what was chosen

  // Lists: when the revision changes the page is fetched again and its list put in
  // place of this one, but never under somebody's hands.
  const every = 15000;
  async function refresh() {
    const list = document.getElementById("live");
    if (!list || document.hidden) return;
    const answer = await fetch(list.dataset.live, { headers: { Accept: "text/plain" }, redirect: "error" });
    if (!answer.ok || (await answer.text()).trim() === list.dataset.revision) return;
    if (busy(list)) return;
    const page = await fetch(location.href, { redirect: "error" });
    if (!page.ok) return;
    const fresh = new DOMParser().parseFromString(await page.text(), "text/html").getElementById("live");
    if (!fresh || busy(list)) return;
    const open = [...list.querySelectorAll("details")].map((d) => d.open);
    list.replaceWith(document.adoptNode(fresh));
    fresh.querySelectorAll("details").forEach((d, i) => { d.open = open[i] ?? d.open; });
    times(fresh);
    reveal(fresh);
  }
  function busy(list) {
    const at = document.activeElement;
    return list.querySelector("[name=session]:checked") || document.querySelector("dialog[open]") || (at && at !== document.body && list.contains(at)) || !getSelection().isCollapsed;
  }
  if (document.getElementById("live")) {
    const tick = () => refresh().catch(() => {});
    setInterval(tick, every);
    document.addEventListener("visibilitychange", tick);
  }
})();
