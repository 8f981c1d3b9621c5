import "./styles/base.css";
import "./styles/controls.css";
import "./styles/shell.css";
import "./styles/chat.css";
import "./styles/inside.css";
import "./styles/compare.css";
import "./styles/server.css";

import { render } from "preact";

import { connection } from "./api/connection";
import { watchModels } from "./api/models";
import { App } from "./app";
import { loadHistory } from "./chat/state";

connection.watch();
watchModels();
void loadHistory();
render(<App />, document.getElementById("app")!);
