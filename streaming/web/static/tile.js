// One camera on the wall.

import { age, number, say } from "./words.js";

const STALE_AFTER_MS = 3000;
const RATE_WINDOW_MS = 3000;
const LABEL_STAYS_MS = 2000;
// A tile has the shape of its picture, within these; beyond, the picture stands between bars.
const NARROWEST = 4 / 3;
const WIDEST = 16 / 9;

export class Tile {
  element;
  #camera;
  #canvas;
  #pen;
  #arrivals = []; // of frames at the server, by this browser's clock
  #delays = [];
  #labels = new Map(); // label -> { count, lastMs }
  #lastMs = 0; // when the last frame reached the server, by this browser's clock
  #newest = 0; // counts frames by arrival, so that a slow decoding never covers a newer picture
  #drawn = 0;
  #pending = null; // the newest frame that is not decoded yet
  #unreadable = false;

  constructor(camera, template) {
    this.#camera = camera;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.dataset.camera = camera;
    this.#canvas = this.#part("canvas");
    this.#pen = this.#canvas.getContext("2d");
    this.#part(".camera").textContent = camera;
    this.#part(".camera").title = camera;
    this.#part(".enlarge").onclick = () => this.#enlarge();
    document.addEventListener("visibilitychange", () => this.#show());
    this.translate();
  }

  // Settles when the frame is on the screen or given up.
  async receive(header, jpeg) {
    const arrivedMs = performance.now();
    this.#count(header, arrivedMs);
    this.#pending = { header, jpeg, order: ++this.#newest };
    await this.#show();
    this.#delays.push(header.delay_ms + performance.now() - arrivedMs);
    if (this.#delays.length > 30) this.#delays.shift();
  }

  // A page that nobody sees decodes nothing; the newest picture waits until it is looked at.
  async #show() {
    const frame = this.#pending;
    if (frame === null || document.hidden) return;
    this.#pending = null;
    try {
      const bitmap = await createImageBitmap(frame.jpeg);
      if (frame.order > this.#drawn) this.#draw(bitmap, frame.order);
      bitmap.close();
      this.#unreadable = false;
    } catch {
      this.#unreadable = true;
    }
  }

  #draw(bitmap, order) {
    this.#drawn = order;
    if (this.#canvas.width !== bitmap.width || this.#canvas.height !== bitmap.height) {
      this.#canvas.width = bitmap.width;
      this.#canvas.height = bitmap.height;
      const ratio = Math.min(Math.max(bitmap.width / bitmap.height, NARROWEST), WIDEST);
      this.element.style.setProperty("--ratio", ratio);
    }
    this.#pen.drawImage(bitmap, 0, 0);
  }

  #count(header, nowMs) {
    // Counted by when it reached the server: the picture that a browser is shown first may be old.
    this.#lastMs = nowMs - header.age_ms;
    this.#arrivals.push(this.#lastMs);
    for (const seen of this.#labels.values()) seen.count = 0;
    for (const { label } of header.detections) {
      const count = (this.#labels.get(label)?.count ?? 0) + 1;
      this.#labels.set(label, { count, lastMs: nowMs });
    }
  }

  // Called a few times a second: numbers that change with every frame cannot be read.
  refresh(nowMs) {
    while (this.#arrivals.length > 0 && this.#arrivals[0] < nowMs - RATE_WINDOW_MS) this.#arrivals.shift();
    const quietMs = nowMs - this.#lastMs;
    const stale = quietMs > STALE_AFTER_MS;
    this.element.dataset.state = stale ? "stale" : this.#unreadable ? "unreadable" : "live";
    this.#notice(stale ? say("stale", { age: age(quietMs) }) : this.#unreadable ? say("unreadable") : "");
    write(this.#part(".rate"), stale ? "–" : say("fps", { n: number(this.#rate(), 1) }));
    write(this.#part(".delay"), stale ? "–" : say("ms", { n: number(median(this.#delays)) }));
    this.#list(nowMs);
  }

  #rate() {
    const times = this.#arrivals;
    return times.length < 2 ? 0 : ((times.length - 1) * 1000) / (times.at(-1) - times[0]);
  }

  #notice(text) {
    const notice = this.#part(".notice");
    notice.hidden = text === "";
    write(notice, text);
  }

  // A label stays a moment after it was last found, so that one missed frame does not make the row jump.
  #list(nowMs) {
    for (const [label, seen] of this.#labels) {
      if (seen.count === 0 && nowMs - seen.lastMs > LABEL_STAYS_MS) this.#labels.delete(label);
    }
    const rows = [...this.#labels].sort(([a], [b]) => a.localeCompare(b));
    const list = this.#part(".labels");
    const signature = JSON.stringify([rows.map(([label, { count }]) => [label, count]), say("nothing")]);
    if (list.dataset.shows === signature) return;
    list.dataset.shows = signature;
    list.replaceChildren(...(rows.length > 0 ? rows.map(([label, { count }]) => chip(label, count)) : [nothing()]));
  }

  translate() {
    const camera = this.#camera;
    for (const part of this.element.querySelectorAll("[data-word]")) part.textContent = say(part.dataset.word);
    this.#canvas.setAttribute("aria-label", say("picture", { camera }));
    this.#part(".labels").setAttribute("aria-label", say("seen", { camera }));
    this.#part(".enlarge").setAttribute("aria-label", say("enlarge", { camera }));
    this.#part(".enlarge").title = say("enlarge", { camera });
  }

  #enlarge() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.#part(".screen").requestFullscreen();
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }
}

function chip(label, count) {
  const row = document.createElement("li");
  row.className = count > 0 ? "label" : "label gone";
  row.title = label;
  const name = document.createElement("span");
  name.textContent = label.replaceAll("_", " ");
  const times = document.createElement("b");
  times.textContent = number(count);
  row.append(name, " ", times);
  return row;
}

function nothing() {
  const row = document.createElement("li");
  row.className = "none";
  row.textContent = say("nothing");
  return row;
}

// Leaves the page alone when nothing changed.
function write(part, text) {
  if (part.textContent !== text) part.textContent = text;
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}
