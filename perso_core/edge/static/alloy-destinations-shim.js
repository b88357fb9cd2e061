// Adobe's Web SDK 2.33.0 to 2.34.0 gets the destinations and drops them from its result: this puts
// them back. Other versions are left as they are. Load it before or after alloy; see docs/clients.md.
(() => {
  // instance -> destinations of answers whose command has not resolved yet, oldest first.
  const arrived = {};

  const destinations = (body) =>
    body.handle.filter(({ type }) => type === "activation:pull").flatMap(({ payload }) => payload);

  const add = (result, found) => {
    if (found && !result.destinations) result.destinations = found;
  };

  (window.__alloyMonitors = window.__alloyMonitors || []).push({
    onNetworkResponse({ instanceName, url, parsedBody, statusCode }) {
      if (!/\/v1\/(interact|collect)\?/.test(url)) return;
      const answers = (arrived[instanceName] = arrived[instanceName] || []);
      const answer = parsedBody && Array.isArray(parsedBody.handle) ? destinations(parsedBody) : statusCode === 204 && [];
      answers.push(answer);
      // alloy resolves the command before anything else runs. An answer to no command, as to a
      // link's click that alloy reports by itself, must not be taken for the next one's.
      setTimeout(() => answers.includes(answer) && answers.splice(answers.indexOf(answer), 1));
    },

    onCommandResolved({ instanceName, commandName, options, result }) {
      if (commandName === "sendEvent") add(result, (arrived[instanceName] || []).shift());
      if (commandName === "applyResponse") add(result, destinations(options.responseBody || { handle: [] }));
    },

    onCommandRejected({ instanceName, commandName }) {
      if (commandName === "sendEvent") (arrived[instanceName] || []).shift();
    },
  });
})();
