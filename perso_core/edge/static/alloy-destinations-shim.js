// Adobe's Web SDK 2.33.0 to 2.34.0 gets the destinations and drops them from its result: this puts
// them back. Other versions are left as they are. Load it before or after alloy; see docs/clients.md.
(() => {
  const destinations = ({ handle }) =>
    handle.filter(({ type }) => type === "activation:pull").flatMap(({ payload }) => payload);

  // Of the answers whose command has not resolved yet, oldest first.
  const arrived = [];

  const add = (result, found) => {
    if (found && !result.destinations) result.destinations = found;
  };

  (window.__alloyMonitors = window.__alloyMonitors || []).push({
    onNetworkResponse({ url, parsedBody, statusCode }) {
      const told = parsedBody && Array.isArray(parsedBody.handle) ? parsedBody : statusCode === 204 && { handle: [] };
      if (!told || !/\/v1\/(interact|collect)\?/.test(url)) return;
      const answer = destinations(told);
      arrived.push(answer);
      // alloy resolves the command before anything else runs. An answer that no command waits for,
      // as to the clicks that alloy reports by itself, must not be taken for the next command's.
      setTimeout(() => arrived.includes(answer) && arrived.splice(arrived.indexOf(answer), 1));
    },

    onCommandResolved({ commandName, options, result }) {
      if (commandName === "sendEvent") add(result, arrived.shift());
      if (commandName === "applyResponse") add(result, destinations(options.responseBody || { handle: [] }));
    },
  });
})();
