// The WebSocket to the server: takes messages apart, acknowledges them, and comes back when it is lost.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
const TRY_AGAIN_LATER = 1013;

export class Connection {
  #url;
  #onFrame;
  #onState;
  #pauseMs = FIRST_PAUSE_MS;
  #timer = 0;
  #socket = null;

  // onFrame(header, jpeg) returns a promise that settles when the frame is drawn or given up;
  // onState takes "connecting", "live", "reconnecting" or "full".
  constructor(url, onFrame, onState) {
    this.#url = url;
    this.#onFrame = onFrame;
    this.#onState = onState;
    const retry = () => this.#retryNow();
    addEventListener("online", retry);
    document.addEventListener("visibilitychange", () => document.hidden || retry());
  }

  open() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#onState("live");
    socket.onmessage = (event) => this.#receive(socket, event.data);
    socket.onclose = (event) => this.#lost(event.code);
  }

  async #receive(socket, message) {
    // A message that arrived proves more than an open socket: only now the pause starts again from the bottom.
    this.#pauseMs = FIRST_PAUSE_MS;
    const { header, jpeg } = unpack(message);
    try {
      await this.#onFrame(header, jpeg);
    } finally {
      if (socket.readyState === WebSocket.OPEN) {
        socket.send(JSON.stringify({ ack: header.frame_id, camera: header.camera }));
      }
    }
  }

  #lost(code) {
    this.#onState(code === TRY_AGAIN_LATER ? "full" : "reconnecting");
    // Not all browsers at the same moment when a server comes back.
    this.#timer = setTimeout(() => this.open(), this.#pauseMs * (0.75 + Math.random() / 2));
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
  }

  #retryNow() {
    if (this.#timer !== 0 && this.#socket.readyState === WebSocket.CLOSED) this.open();
  }
}

function unpack(message) {
  const length = new DataView(message).getUint32(0);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(message, 4, length)));
  return { header, jpeg: new Blob([new Uint8Array(message, 4 + length)], { type: "image/jpeg" }) };
}
