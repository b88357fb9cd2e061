/* perso.js: alloy's commands and results, for any host and port; see docs/demo.md.
   Without edgeUrl or edgeDomain it asks the page's own origin. */
(() => {
  const TEXT = "text/plain; charset=UTF-8"; // JSON would need a preflight
  let config, home, apex, prefix, ecid;
  let choices = 0; // setConsent calls under way
  let waiting = []; // for a choice
  let chosen = Promise.resolve(); // the last setConsent
  let first = chosen; // the request that brings the identity

  const cookie = (name) => {
    for (const pair of document.cookie.split("; "))
      if (pair.startsWith(name + "=")) return decodeURIComponent(pair.slice(name.length + 1));
  };

  const setCookie = (name, value, maxAge, sameSite) => {
    document.cookie = name + "=" + encodeURIComponent(value).replace(/%3D/g, "=") + ";path=/" +
      (apex && ";domain=" + apex) + (maxAge == null ? "" : ";max-age=" + maxAge) +
      (sameSite ? ";samesite=" + sameSite : "") + (/none/i.test(sameSite) ? ";secure" : "");
  };

  // The widest domain that keeps a cookie, or "".
  const findApex = () => {
    const parts = location.hostname.split(".");
    for (let n = 2; n <= parts.length; n++) {
      apex = parts.slice(-n).join(".");
      setCookie(prefix + "try", 1);
      if (cookie(prefix + "try")) return setCookie(prefix + "try", "", 0);
    }
    apex = "";
  };

  const state = () => {
    const host = new URL(home).hostname;
    const state = { domain: apex, cookiesEnabled: true };
    // An edge on another site does not see the page's cookies.
    if (!apex || !("." + host).endsWith("." + apex))
      state.entries = document.cookie.split("; ").map((pair) => pair.split("=")[0])
        .filter((key) => key.startsWith(prefix)).map((key) => ({ key, value: cookie(key) }));
    return state;
  };

  const address = (action) => {
    const hint = cookie(prefix + "cluster");
    return home + "/" + (config.edgeBasePath || "ee") + (hint ? "/" + hint : "") + "/v1/" + action +
      "?configId=" + encodeURIComponent(config.datastreamId) +
      "&requestId=" + crypto.getRandomValues(new Uint32Array(4)).join("-");
  };

  const post = async (url, body, tries = 0) => {
    const response = await fetch(url, {
      method: "POST", body, credentials: "include", headers: { "Content-Type": TEXT },
    }).catch((error) => {
      throw Error("No answer from " + home + ". Does it allow this origin? " + error.message);
    });
    if ([429, 502, 503, 504].includes(response.status) && tries < 3) {
      const after = response.headers.get("Retry-After");
      const wait = after ? (isNaN(after) ? Date.parse(after) - Date.now() : after * 1000) : (tries + 1) * (700 + 600 * Math.random());
      if (wait < 60000) {
        await new Promise((go) => setTimeout(go, Math.max(wait, 100)));
        return post(url, body, tries + 1);
      }
    }
    const { handle, title, detail } = response.status === 204 ? { handle: [] } : await response.json().catch(() => ({}));
    if (!response.ok || !handle) throw Error("The edge answered " + response.status + ". " + title + ": " + detail);
    const all = (type) => handle.filter((one) => one.type === type).flatMap((one) => one.payload);
    for (const { key, value, maxAge, attrs } of all("state:store")) setCookie(key, value, maxAge, attrs && attrs.SameSite);
    for (const { id, namespace } of all("identity:result")) if (namespace.code === "ECID") ecid = id;
    return all;
  };

  // Two requests at once without an identity would make two visitors of one.
  const call = (action, body) => {
    const asked = Date.now();
    const send = () => post(address(action), JSON.stringify({
      ...body,
      query: { identity: { fetch: ["ECID"] } },
      meta: { state: state(), queueTimeMillis: Math.min(Date.now() - asked, 300000) },
    }));
    const sent = first.then(() => send());
    if (!cookie(prefix + "identity")) first = sent.catch(() => {});
    return sent;
  };

  // Waits until there is a word; true when it is "in".
  const permitted = async () => {
    for (;;) {
      const word = /general=(\w+)/.exec(cookie(prefix + "consent"));
      const now = choices ? "pending" : word ? word[1] : config.defaultConsent || "in";
      if (now !== "pending") return now === "in";
      await new Promise((go) => waiting.push(go));
    }
  };

  const merged = (under, over) => {
    if (Object(under) !== under || Object(over) !== over || Array.isArray(over)) return over;
    const both = { ...under };
    for (const name in over) both[name] = merged(under[name], over[name]);
    return both;
  };

  const context = () => ({
    timestamp: new Date(),
    web: { webPageDetails: { URL: location.href }, webReferrer: { URL: document.referrer } },
    environment: { type: "browser", browserDetails: { viewportWidth: innerWidth, viewportHeight: innerHeight } },
  });

  const commands = {
    async configure(given) {
      if (config) throw Error("A page is configured once.");
      if (!given.datastreamId || !given.orgId) throw Error("Give datastreamId and orgId.");
      home = new URL(given.edgeUrl || (given.edgeDomain ? "https://" + given.edgeDomain : location)).origin;
      prefix = "kndctr_" + given.orgId.replace("@", "_") + "_";
      config = given;
      findApex();
      // Nobody knows whose consent it was.
      if (!cookie(prefix + "identity")) setCookie(prefix + "consent", "", 0);
      return {};
    },

    async sendEvent({ xdm, data, type, documentUnloading }) {
      const event = { xdm: merged(context(), { ...xdm, ...(type && { eventType: type }) }), data };
      if (!(await permitted())) return {};
      let all = () => [];
      if (documentUnloading && cookie(prefix + "identity")) {
        const url = address("collect");
        const body = JSON.stringify({ events: [event], meta: { state: state() } });
        if (!navigator.sendBeacon(url, new Blob([body], { type: TEXT }))) await post(url, body);
      } else all = await call("interact", { events: [event] });
      const propositions = all("personalization:decisions");
      return { destinations: all("activation:pull"), propositions, decisions: propositions };
    },

    async setConsent({ consent, identityMap }) {
      choices++;
      const sent = chosen.then(() => call("privacy/set-consent", { consent, identityMap }));
      chosen = sent.catch(() => {}).then(() => {
        choices--;
        waiting.splice(0).forEach((go) => go());
      });
      await sent;
      await chosen;
      return {};
    },

    async getIdentity() {
      if (!(await permitted())) return {};
      // A protobuf that begins with the ECID: tag 10, length 38.
      const kept = /^\n&(\d{38})/.exec(atob((cookie(prefix + "identity") || "").replace(/_/g, "/").replace(/-/g, "+")));
      if (kept) ecid = kept[1];
      if (!ecid) await call("identity/acquire");
      return { identity: { ECID: ecid || null }, edge: {} };
    },
  };

  const run = async (command, options = {}) => {
    try {
      if (!commands[command]) throw Error("Commands: " + Object.keys(commands));
      if (!config && command !== "configure") throw Error("Configure first.");
      return await commands[command](options);
    } catch (error) {
      error.message = "[perso] " + command + ": " + error.message;
      throw error;
    }
  };

  // Calls made before this file came are in perso.q, as in alloy's base code.
  const early = (window.perso && window.perso.q) || [];
  window.perso = run;
  for (const [resolve, reject, [command, options]] of early) run(command, options).then(resolve, reject);
})();
