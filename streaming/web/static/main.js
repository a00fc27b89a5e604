// The page: a wall of tiles, one a camera, in the order of their names.

import { Connection } from "./connection.js";
import { Tile } from "./tile.js";
import { chooseLanguage, currentLanguage, say, sayCount } from "./words.js";

const REFRESH_MS = 250;
const EMPTY_AFTER_MS = 700; // pictures that are on their way arrive sooner; the empty page does not flash up

const byId = (id) => document.getElementById(id);
const tiles = new Map();
let state = "connecting";
let stateSinceMs = performance.now();

function receive(header, jpeg) {
  let tile = tiles.get(header.camera);
  if (tile === undefined) {
    tile = new Tile(header.camera, byId("tile"));
    add(header.camera, tile);
  }
  return tile.receive(header, jpeg);
}

function add(camera, tile) {
  const after = [...tiles.keys()].filter((other) => other.localeCompare(camera, undefined, { numeric: true }) > 0);
  const next = after.sort((a, b) => a.localeCompare(b, undefined, { numeric: true }))[0];
  tiles.set(camera, tile);
  byId("wall").insertBefore(tile.element, next === undefined ? null : tiles.get(next).element);
  refresh();
}

function changeState(changed) {
  if (changed === state) return;
  state = changed;
  stateSinceMs = performance.now();
  refresh();
}

function refresh() {
  const nowMs = performance.now();
  for (const tile of tiles.values()) tile.refresh(nowMs);
  byId("empty").hidden = tiles.size > 0 || state !== "live" || nowMs - stateSinceMs < EMPTY_AFTER_MS;
  byId("count").textContent = tiles.size > 0 ? sayCount("cameraCount", tiles.size) : "";
  byId("link").dataset.state = state;
  const status = say(state === "live" && tiles.size === 0 ? "connected" : state);
  // A status is read out whenever it is written, so only when it is another one.
  if (byId("link-text").textContent !== status) byId("link-text").textContent = status;
}

function translate() {
  document.documentElement.lang = currentLanguage();
  document.title = say("title");
  byId("languages").setAttribute("aria-label", say("language"));
  for (const part of document.querySelectorAll("[data-word]")) part.textContent = say(part.dataset.word);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === currentLanguage()));
  }
  for (const tile of tiles.values()) tile.translate();
  refresh();
}

for (const button of document.querySelectorAll("[data-language]")) {
  button.onclick = () => {
    chooseLanguage(button.dataset.language);
    translate();
  };
}
translate();
setInterval(refresh, REFRESH_MS);
new Connection(new URL("/ws", location.href.replace(/^http/, "ws")), receive, changeState).open();
