/* Reports the page's visit through the SDK (perso.js, or alloy), and shows what the answer changed.
   Without this file every page and form works: the server has asked already. */
(() => {
  "use strict";

  const page = JSON.parse(document.getElementById("page-data").textContent);
  const alloy = page.sdk === "alloy";
  const name = alloy ? "alloy" : "perso.js";
  const sdk = alloy ? window.alloy : window.perso;
  const config = { datastreamId: page.datastream, orgId: page.orgId, edgeBasePath: page.edgeBasePath, defaultConsent: "in" };
  // alloy cannot be told a port or http: alloy-before.js leads edge.local to this origin.
  if (alloy) Object.assign(config, { edgeDomain: "edge.local", thirdPartyCookiesEnabled: false, idMigrationEnabled: false, clickCollectionEnabled: false, context: ["web", "device", "environment"] });

  const say = (text) => { document.getElementById("sdk-said").textContent = text; };

  // Audiences per alias as one text, to compare two answers.
  const asText = (perAlias) => JSON.stringify(Object.entries(perAlias).map(([alias, ids]) => [alias, [...ids].sort()]).sort());
  const answered = (destinations = []) => Object.fromEntries(destinations.map((one) => [one.alias, one.segments.map((segment) => segment.id)]));
  let shown = asText(page.rendered);

  const send = async (event) => {
    const began = performance.now();
    const result = await sdk("sendEvent", { xdm: event });
    const ms = performance.now() - began;
    if (result.failed) throw Error(result.failed);
    if (result.destinations) await tell(event, ms);
    return { ms, now: asText(answered(result.destinations)), permitted: Boolean(result.destinations) };
  };

  // For the inspector's list, here and on the next page.
  const tell = (event, ms) => {
    document.getElementById("sdk-ms").textContent = ms.toFixed(0) + " ms";
    const body = new URLSearchParams({ type: event.eventType, event_id: event._id || "", sdk: name, ms: ms.toFixed(1) });
    return fetch("/visitor/reported", { method: "POST", body }).catch(() => {});
  };

  // The same page, asked for without another visit; what differs is put in place of what stood.
  const refresh = async () => {
    const response = await fetch(location.href, { headers: { Accept: "text/html", [page.lookOnlyHeader]: "1" } });
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    const letters = [];
    for (const old of document.querySelectorAll("[data-place], [data-live]")) {
      const next = fresh.getElementById(old.id);
      if (!next || next.innerHTML === old.innerHTML) continue;
      if (old.dataset.place) { next.classList.add("changed"); letters.push(old.dataset.place); }
      const focused = old.contains(document.activeElement) && document.activeElement.id;
      old.replaceWith(next);
      if (focused) document.getElementById(focused)?.focus();
    }
    return letters;
  };

  const changes = (letters) => (letters.length ? letters.join(", ") : "no place") + " changed.";

  const failed = (error) => say(name + " failed: " + error.message.slice(0, 160) + " The page stays as the server made it.");

  // ---- the visit, again, with what only a browser knows ---------------------------------------

  const report = async () => {
    await sdk("configure", config);
    if (!page.eventId) return say(page.eventType ? name + " has nothing to report: no visit was recorded." : name + " is ready.");
    const { ms, now, permitted } = await send({ _id: page.eventId, eventType: page.eventType });
    if (!permitted) return say(name + " sent nothing: there is no consent.");
    const took = name + ", in " + ms.toFixed(0) + " ms: ";
    if (now === shown) {
      say(took + "the same answer.");
      return showReported(ms);
    }
    shown = now;
    say(took + changes(await refresh()));
  };

  // The chip beside the event that both reported, without asking for the list again.
  const showReported = (ms) => {
    const ways = document.querySelector(`[data-event="${page.eventId}"] .ways`);
    if (!ways) return;
    const chip = document.createElement("span");
    chip.className = "chip info";
    chip.textContent = name + " " + ms.toFixed(0) + " ms";
    ways.append(" ", chip);
  };

  // ---- the basket, on the same page -----------------------------------------------------------

  const addToBasket = async (form) => {
    const { ms, now, permitted } = await send(JSON.parse(form.dataset.event));
    if (!permitted) return form.submit();
    const body = new URLSearchParams(new FormData(form));
    body.set("by_script", "1");
    await fetch(form.action, { method: "POST", body });
    shown = now;
    say(name + ", in " + ms.toFixed(0) + " ms: " + changes(await refresh()));
  };

  if (!sdk) return say(name + " did not load. The page stays as the server made it.");
  const ready = report().catch(failed);
  for (const form of document.querySelectorAll("form[data-event]"))
    form.addEventListener("submit", (submitted) => {
      submitted.preventDefault();
      const button = form.querySelector("button");
      button.setAttribute("aria-busy", "true");
      // Where the SDK fails, the form does what it does without script.
      ready.then(() => addToBasket(form)).catch(() => form.submit()).finally(() => button.removeAttribute("aria-busy"));
    });
})();
