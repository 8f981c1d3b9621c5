// One process for all: node's runner would start a browser and a server for each file.
import "./page.mjs";
import "./chat.mjs";
import "./code.mjs";
import "./inside.mjs";
import "./compare.mjs";
import "./server_page.mjs";
import "./trouble.mjs";
