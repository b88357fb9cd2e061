// perso.js: alloy's commands and results, for any host and port; see docs/clients.md. The edge serves
// it without comments and indentation: at most 3 KB, compressed. It takes browsers of 2022 and later.
(() => {
  const nothing = () => [];
  const wait = (ms) => new Promise((go) => setTimeout(go, ms));
  let config, home, prefix, linked;
  let apex = "";
  // setConsent calls under way, who waits for them, and the last one.
  let choices = 0;
  let waiting = [];
  let chosen = Promise.resolve();
  // The request that brings the identity.
  let first = chosen;

  // What others wrote may be no text that this reads.
  const tried = (read) => {
    try { return read(); } catch {}
  };

  const cookies = () => document.cookie.split("; ").filter((one) => one.startsWith(prefix)).map((one) => {
    const [key, ...value] = one.split("=");
    return { key, value: tried(() => decodeURIComponent(value.join("="))) || "" };
  });

  const cookie = (name) => cookies().find(({ key }) => key === prefix + name)?.value;

  const setCookie = ({ key, value, maxAge, attrs }) => {
    // A max-age that is no number and a domain that is empty are as none (RFC 6265).
    document.cookie = key + "=" + encodeURIComponent(value).replace(/%3D/g, "=") + ";path=/;max-age=" + maxAge + ";domain=" + apex +
       (attrs ? ";secure;samesite=" + attrs.SameSite : "");
  };

  // The ECID in the identity cookie: a protobuf that begins with it.
  const kept = () => tried(() =>
    /^\n&(\d{38})/.exec(atob(cookie("identity").replace(/_/g, "/").replace(/-/g, "+")))[1]);

  const named = () => linked && { ECID: [{ id: linked }] };

  const settled = () => linked ? linked === kept() : kept();

  // [url, body]
  const written = (action, body, over, made) => {
    const { datastreamId, ...configOverrides } = { ...config.edgeConfigOverrides, ...over };
    const hint = cookie("cluster");
    return [
      home + "/" + (config.edgeBasePath || "ee") + (hint ? "/" + hint : "") + "/v1/" + action +
        "?configId=" + encodeURIComponent(datastreamId || config.datastreamId) + "&requestId=" + made + Math.random(),
      JSON.stringify({
        xdm: { identityMap: named() },
        query: { identity: { fetch: ["ECID"] } },
        ...body,
        meta: {
          state: { entries: cookies() },
          queueTimeMillis: Date.now() - made,
          configOverrides,
        },
      }),
    ];
  };

  const said = ({ title, detail }) => title + ": " + detail;

  const failing = (all, failed) => {
    console.warn("[perso] " + failed);
    return Object.assign(all, { failed });
  };

  // Keeps what an answer has for the browser; gives its payloads by type.
  const taken = ({ handle, errors = [] }) => {
    const all = (type) => handle.filter((one) => one.type === type).flatMap((one) => one.payload);
    all("state:store").forEach(setCookie);
    // Of edge.profile-set-aside alone: what was sent is kept all the same.
    const error = errors.find((one) => !/aside/.test(one.type));
    return error ? failing(all, said(error)) : all;
  };

  const told = (all) => {
    const decisions = all("personalization:decisions");
    return { destinations: all("activation:pull"), propositions: decisions, decisions, ...all };
  };

  const post = async ([url, body], tries = 1) => {
    // A body that is a text goes as text/plain: JSON would need a preflight.
    const response = await fetch(url, {
      method: "POST", body, credentials: "include", signal: AbortSignal.timeout(30000),
    }).catch((error) => {
      throw Error("No answer from " + home + ". Does it allow this origin? " + error.message);
    });
    const { status } = response;
    const after = response.headers.get("Retry-After");
    const ms = after * 1000 || Date.parse(after) - Date.now() || tries * (700 + 600 * Math.random());
    if (ms < 60000 && tries < 4 && /429|50[234]/.test(status))
      return wait(Math.max(ms, 100)).then(() => post([url, body], tries + 1));
    const answer = status === 204 ? { handle: [] } : await response.json().catch(nothing);
    if (response.ok && answer.handle) return taken(answer);
    throw Object.assign(
      Error("The edge answered " + status + ". " + (answer.title ? said(answer) : "No edge is at " + home + ".")), { status },
    );
  };

  // Two requests at once without an identity, here or in another tab, would make two visitors of one.
  const call = (action, body, over, made = Date.now()) => {
    const send = () => post(written(action, body, over, made));
    const sent = first.then(() =>
      settled() || !navigator.locks ? send() : navigator.locks.request(prefix, send));
    if (!settled()) first = sent.catch(nothing);
    return sent;
  };

  // An edge that fails or is late breaks no page; what the page itself did wrong is told.
  const excused = (sent) => Promise.race([
    sent,
    wait(config.answerWithinMs || 5000).then(() => { throw Error("No answer in time."); }),
  ]).catch((error) => {
    if (/^4(?!29)/.test(error.status)) throw error;
    return failing(() => [], error.message);
  });

  const consent = () =>
    choices ? "pending" : /general=(\w+)/.exec(cookie("consent"))?.[1] || config.defaultConsent || "in";

  // Waits until there is a word; true when it is "in".
  const permitted = async () => {
    while (consent() === "pending") await new Promise((go) => waiting.push(go));
    return consent() === "in";
  };

  const merged = (under, over) => {
    const both = { ...under, ...over };
    for (const name in under) if (Object(both[name]) === both[name]) both[name] = merged(under[name], both[name]);
    return both;
  };

  const context = () => ({
    timestamp: new Date().toISOString(),
    web: { webPageDetails: { URL: location.href }, webReferrer: { URL: document.referrer } },
    environment: { type: "browser", browserDetails: { viewportWidth: innerWidth, viewportHeight: innerHeight } },
  });

  const identified = async (over) => settled() ? kept() :
    (await excused(call("identity/acquire", {}, over)))("identity:result")[0]?.id;

  const commands = {
    async configure(given) {
      if (config) throw Error("A page is configured once.");
      if (!given.datastreamId || !given.orgId) throw Error("Give datastreamId and orgId.");
      home = new URL(given.edgeUrl || (given.edgeDomain ? "https://" + given.edgeDomain : location)).origin;
      prefix = "kndctr_" + given.orgId.replace("@", "_") + "_";
      config = given;
      // The widest domain that keeps a cookie, or "".
      const key = prefix + "try";
      const parts = location.hostname.split(".");
      for (let n = 2; n <= parts.length && !cookie("try"); n++) {
        apex = parts.slice(-n).join(".");
        setCookie({ key, value: 1 });
      }
      if (!cookie("try")) apex = "";
      setCookie({ key, maxAge: 0 });
      // A link from another site may say who the visitor is, for 300 s: see appendIdentityToUrl.
      tried(() => {
        const said = decodeURIComponent(/.*[?&]adobe_mc=([^&#]+)/.exec(location.href)[1]);
        const [, at, id, org] = /TS=(\d+)\|MCMID=(\d{38})\|MCORGID=(.+)/.exec(said);
        if (Date.now() / 1000 - at <= 300 && decodeURIComponent(org) === config.orgId) linked = id;
      });
      // Nobody knows whose consent it was.
      if (!cookie("identity")) setCookie({ key: prefix + "consent", maxAge: 0 });
      return {};
    },

    async sendEvent({ xdm, data, type: eventType, documentUnloading, edgeConfigOverrides }) {
      const made = Date.now();
      const events = [{ xdm: merged(context(), { ...xdm, ...(eventType && { eventType }) }), data }];
      if (!(await permitted())) return {};
      if (!documentUnloading || !kept())
        return told(await excused(call("interact", { events }, edgeConfigOverrides, made)));
      const sent = written("collect", { events }, edgeConfigOverrides, made);
      return told(navigator.sendBeacon(...sent) ? nothing : await excused(post(sent)));
    },

    async setConsent({ consent, identityMap, edgeConfigOverrides }) {
      choices++;
      const sent = chosen.then(() =>
        call("privacy/set-consent", { consent, identityMap: { ...named(), ...identityMap } }, edgeConfigOverrides));
      chosen = sent.catch(nothing).then(() => {
        choices--;
        for (const go of waiting.splice(0)) go();
      });
      const { failed } = await sent;
      await chosen;
      if (failed) throw Error(failed);
      return {};
    },

    async getIdentity({ edgeConfigOverrides }) {
      if (!(await permitted())) return {};
      return { identity: { ECID: (await identified(edgeConfigOverrides)) || null }, edge: {} };
    },

    // A link cannot wait for a choice: without consent it stays as it is.
    async appendIdentityToUrl({ url, edgeConfigOverrides }) {
      const id = consent() === "in" && (await identified(edgeConfigOverrides));
      if (!id) return { url };
      const [, before, hash] = /([^#]*)(.*)/.exec(url);
      const said = "TS=" + Math.round(Date.now() / 1000) + "|MCMID=" + id + "|MCORGID=" + encodeURIComponent(config.orgId);
      return { url: before + (/\?/.test(before) ? "&" : "?") + "adobe_mc=" + encodeURIComponent(said) + hash };
    },

    // The page's server asked the edge, and left the answer in the page.
    async applyResponse({ responseBody }) {
      return told(taken(responseBody));
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

  // Calls made before this file came are in perso.q, as in alloy's base code. Where it came before,
  // that one stays, which is configured. An element with that id is no function.
  const sent = window.perso?.call ? window.perso.q : [];
  if (!sent) return;
  window.perso = run;
  for (const [ok, no, [command, options]] of sent) run(command, options).then(ok, no);
})();
