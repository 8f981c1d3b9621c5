// One browser and one server for all tests that do not harm them.
import { after, before } from "node:test";

import { launch } from "./browser.mjs";
import { killAll, startServer } from "../../scripts/clients/server.mjs";

export const shared = { browser: null, server: null };

before(async () => {
  shared.server = await startServer();
  shared.browser = await launch();
});

after(async () => {
  await shared.browser?.close();
  await shared.server?.stop();
  killAll();
});
