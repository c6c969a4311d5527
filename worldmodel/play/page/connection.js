// The socket: says who we are when it comes back, and comes back by itself.

const TAKEN_OVER = 4001, IDLE = 4002, FULL = 4003;
const LONGEST_WAIT = 5000; // ms between attempts

export class Connection {
  /** handlers: frame(header, pictures), message(content), state(words, bad). */
  constructor(handlers) {
    this.handlers = handlers;
    this.attempts = 0;
    this.said = ""; // the last complaint: why there is no session, where there is none
    this.open();
  }

  open() {
    const here = new URL(location.href);
    const address = new URL("/socket", here);
    address.protocol = here.protocol === "https:" ? "wss:" : "ws:";
    address.searchParams.set("token", here.searchParams.get("token") ?? "");
    const session = sessionStorage.getItem("session");
    if (session) address.searchParams.set("session", session);
    this.socket = new WebSocket(address);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => { this.attempts = 0; };
    this.socket.onmessage = (event) => this.receive(event.data);
    this.socket.onclose = (event) => this.closed(event.code);
  }

  receive(data) {
    if (typeof data === "string") {
      const content = JSON.parse(data);
      if (content.type === "error") this.said = content.message;
      if (content.type === "world") sessionStorage.setItem("session", content.session);
      this.handlers.message(content);
      return;
    }
    const length = new DataView(data).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    const [height, width] = header.size, size = height * width * 3;
    const pictures = header.pictures.map((about, k) => ({
      ...about, width, height, pixels: new Uint8Array(data, 4 + length + k * size, size),
    }));
    this.handlers.frame(header, pictures);
  }

  closed(code) {
    if (code === TAKEN_OVER) return this.handlers.state("This session went on in another tab. Reload this one to take it back.", true);
    if (code === IDLE) return this.handlers.state("Nobody drove for long, so this session was freed. Reload the page to begin a new one.", true);
    if (code === FULL) return this.handlers.state(`${this.said} Then reload this page.`, true);
    this.attempts += 1;
    const wait = Math.min(LONGEST_WAIT, 250 * 2 ** (this.attempts - 1));
    const hint = this.attempts > 3 ? " Is `worldmodel play` still running? If it was started anew, open the address it printed." : "";
    this.handlers.state(`Connection lost: trying again (attempt ${this.attempts}).${hint}`, true);
    setTimeout(() => this.open(), wait);
  }

  send(content) {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(content instanceof ArrayBuffer ? content : JSON.stringify(content));
    return true;
  }
}
