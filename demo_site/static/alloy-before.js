/* Before alloy loads: its queue (what its base code does), and one line that lets it run without
   TLS. alloy always calls https://<edgeDomain>; here the edge is the page's own origin. */
(() => {
  (window.__alloyNS = window.__alloyNS || []).push("alloy");
  window.alloy = (...command) => new Promise((resolve, reject) => window.alloy.q.push([resolve, reject, command]));
  window.alloy.q = [];
  for (const [owner, name] of [[window, "fetch"], [navigator, "sendBeacon"]]) { const real = owner[name].bind(owner); owner[name] = (url, ...rest) => real(String(url).replace(/^https:\/\/edge\.local\//, location.origin + "/"), ...rest); }
})();
