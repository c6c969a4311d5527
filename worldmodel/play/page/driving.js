// From keys, stick, sliders and gamepad to the numbers of an action.

// Keys of axis k: towards -1, towards +1. The first two axes have the arrows, too.
const AXES = [
  [["ArrowLeft", "KeyA"], ["ArrowRight", "KeyD"], "A D"], [["ArrowDown", "KeyS"], ["ArrowUp", "KeyW"], "S W"],
  [["KeyJ"], ["KeyL"], "J L"], [["KeyK"], ["KeyI"], "K I"], [["KeyF"], ["KeyH"], "F H"], [["KeyG"], ["KeyT"], "G T"],
];
const RAMP = 150, FIRST = 0.5; // ms until a held key is at its full, from so much at once
const DEAD = 0.15; // of a gamepad's sticks
const ARROWS = { ArrowUp: /^(up|north|forward)$/i, ArrowDown: /^(down|south|back|backward)$/i, ArrowLeft: /^(left|west)$/i, ArrowRight: /^(right|east)$/i };
const WASD = { KeyW: "ArrowUp", KeyS: "ArrowDown", KeyA: "ArrowLeft", KeyD: "ArrowRight" };

export class Driving {
  /** send(values, edge): called when the action changes; edge: a key went down or up. took(): somebody drives. */
  constructor(send, took) {
    Object.assign(this, { send, took, down: new Map(), held: new Map(), stick: [0, 0], sliders: [], pad: null });
    this.controls = [];
    this.last = "";
    this.edge = false;
    requestAnimationFrame(() => this.tick());
  }

  configure(controls, rest) {
    this.controls = controls;
    this.rest = rest;
    this.last = ""; // the server has not heard what changed while there was no socket
    this.axes = controls.filter((control) => control.kind === "axis");
    this.choices = controls.filter((control) => control.kind === "choice");
    this.bits = controls.filter((control) => control.kind === "bit");
    this.sliders = this.axes.map(() => null);
    this.bindings = new Map(); // key code -> what it does
    this.axes.forEach((axis, k) => (AXES[k] ?? [[], []]).slice(0, 2).forEach((codes, side) => codes.forEach((code) => {
      if (this.axes.length === 1 || !code.startsWith("Arrow") || k < 2) this.bindings.set(code, { axis: k, sign: side ? 1 : -1 });
    })));
    let digit = 1;
    this.choices.forEach((choice, c) => {
      for (let k = 0; k < choice.count && digit <= 9; k += 1, digit += 1) this.bindings.set(`Digit${digit}`, { choice: c, value: k });
      (choice.names ?? []).forEach((name, value) => {
        for (const [code, words] of Object.entries(ARROWS)) if (words.test(name)) {
          this.bindings.set(code, { choice: c, value });
          for (const [other, same] of Object.entries(WASD)) if (same === code) this.bindings.set(other, { choice: c, value });
        }
      });
    });
    this.bits.forEach((bit, b) => { if (digit <= 9) this.bindings.set(`Digit${digit++}`, { bit: b }); });
    this.build();
  }

  /** The keys as buttons on the screen, for touch and to see what is pressed; a slider for every axis. */
  build() {
    const container = document.getElementById("keys");
    container.replaceChildren();
    document.getElementById("stick").hidden = this.axes.length === 0;
    this.axes.forEach((axis, k) => {
      const label = document.createElement("label"), slider = document.createElement("input");
      label.className = "axis";
      Object.assign(slider, { type: "range", min: -1, max: 1, step: 0.05, value: this.rest[axis.index] });
      slider.setAttribute("aria-label", `axis ${k + 1}`);
      slider.oninput = () => { this.sliders[k] = Number(slider.value); this.moved(true); };
      slider.ondblclick = () => { this.sliders[k] = null; slider.value = this.rest[axis.index]; this.moved(true); };
      slider.onchange = () => { this.sliders[k] = null; slider.value = this.rest[axis.index]; this.moved(true); };
      const [minus, plus] = AXES[k] ? [this.button({ axis: k, sign: -1 }, key(AXES[k][0])), this.button({ axis: k, sign: 1 }, key(AXES[k][1]))] : [];
      label.append(...[minus, slider, plus].filter(Boolean));
      container.append(label);
    });
    this.choices.forEach((choice, c) => {
      for (let value = 0; value < choice.count; value += 1) {
        const codes = [...this.bindings].filter(([, b]) => b.choice === c && b.value === value).map(([code]) => code);
        container.append(this.button({ choice: c, value }, choice.names?.[value] ?? `action ${value}`, codes));
      }
    });
    this.bits.forEach((bit, b) => container.append(this.button({ bit: b }, `bit ${b + 1}`)));
    const words = [];
    if (this.axes.length) words.push("arrow keys or " + this.axes.slice(0, AXES.length).map((_, k) => AXES[k][2]).join(", ") + "; a gamepad; the stick; sliders");
    if (this.choices.length || this.bits.length) words.push("1 to 9" + ([...this.bindings.keys()].some((code) => code.startsWith("Arrow")) && !this.axes.length ? ", arrow keys or WASD" : "") + ", held down");
    document.getElementById("help-driving").textContent = words.join("; ");
  }

  button(binding, text, codes = []) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "key";
    button.textContent = text;
    button.dataset.binding = JSON.stringify(binding);
    const shown = codes.filter((code) => code.startsWith("Digit") || code.startsWith("Arrow")).map((code) => key([code]));
    if (shown.length) { const hint = document.createElement("kbd"); hint.textContent = shown.join(" "); button.append(hint); }
    const name = `button ${button.dataset.binding}`;
    button.onpointerdown = (event) => { button.setPointerCapture(event.pointerId); this.press(name, binding); };
    button.onpointerup = button.onpointercancel = () => this.release(name);
    button.onkeydown = (event) => { if (event.code === "Enter" && !event.repeat) this.press(name, binding); };
    button.onkeyup = (event) => { if (event.code === "Enter") this.release(name); };
    button.onblur = () => this.release(name);
    return button;
  }

  /** Whether the key drives; then it is taken. */
  keydown(event) {
    const binding = this.bindings?.get(event.code);
    if (!binding) return false;
    if (!event.repeat) this.press(event.code, binding);
    return true;
  }

  keyup(event) { this.release(event.code); }

  press(name, binding) {
    if (this.down.has(name)) return;
    this.down.set(name, { ...binding, since: performance.now() });
    this.moved(true);
  }

  release(name) {
    if (this.down.delete(name)) this.moved(true);
  }

  releaseAll() {
    if (this.down.size) { this.down.clear(); this.moved(true); }
  }

  moved(edge) {
    this.edge = this.edge || edge;
    this.took();
    this.flush();
  }

  setStick(x, y) {
    const was = this.stick.some((value) => value !== 0);
    this.stick = [x, y];
    this.moved(was !== (x !== 0 || y !== 0));
  }

  values(now) {
    const values = this.rest.slice();
    this.axes.forEach((axis, k) => {
      let push = this.sliders[k] ?? 0;
      for (const held of this.down.values()) if (held.axis === k) push += held.sign * Math.min(1, FIRST + (1 - FIRST) * (now - held.since) / RAMP);
      if (k < 2) push += this.stick[k];
      push += this.pad?.axes[k] ?? 0;
      if (push !== 0) values[axis.index] = Math.max(-1, Math.min(1, push));
    });
    for (const held of this.down.values()) {
      if (held.choice !== undefined) choose(values, this.choices[held.choice], held.value);
      if (held.bit !== undefined) values[this.bits[held.bit].index] = 1;
    }
    (this.pad?.buttons ?? []).forEach((down, k) => {
      if (!down) return;
      if (this.choices.length && k + 1 < this.choices[0].count) choose(values, this.choices[0], k + 1);
      else if (k < this.bits.length) values[this.bits[k].index] = 1;
    });
    return values;
  }

  flush() {
    if (!this.rest) return;
    const values = this.values(performance.now()), text = JSON.stringify(values);
    if (text === this.last) return;
    this.last = text;
    this.send(values, this.edge);
    this.edge = false;
    this.light();
  }

  /** Show which keys are down. */
  light() {
    const held = [...this.down.values()];
    for (const button of document.querySelectorAll("#keys .key")) {
      const binding = JSON.parse(button.dataset.binding);
      button.classList.toggle("down", held.some((item) => item.axis === binding.axis && item.sign === binding.sign && item.choice === binding.choice && item.value === binding.value && item.bit === binding.bit));
    }
  }

  tick() {
    this.readPad();
    this.flush();
    requestAnimationFrame(() => this.tick());
  }

  readPad() {
    const pad = [...(navigator.getGamepads?.() ?? [])].find(Boolean);
    if (!pad) { this.pad = null; return; }
    const axes = pad.axes.map((value, k) => (Math.abs(value) < DEAD ? 0 : k % 2 ? -value : value));
    const buttons = pad.buttons.map((button) => button.pressed);
    const before = JSON.stringify(this.pad && [this.pad.buttons, this.pad.axes.map(Math.sign)]);
    this.pad = { axes, buttons };
    if (before !== JSON.stringify([buttons, axes.map(Math.sign)]) && (axes.some(Boolean) || buttons.some(Boolean) || before !== "null")) this.moved(true);
  }
}

function choose(values, choice, value) {
  for (let k = 0; k < choice.count; k += 1) values[choice.index + k] = k === value ? 1 : 0;
}

function key(codes) {
  return { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" }[codes[0]] ?? codes[0].replace(/^Key|^Digit/, "");
}

/** Drag on the disc: the first two axes. */
export function attachStick(driving) {
  const stick = document.getElementById("stick"), knob = document.getElementById("knob");
  const moveTo = (x, y) => { knob.style.transform = `translate(${x * 2.4}rem, ${-y * 2.4}rem)`; driving.setStick(x, y); };
  const move = (event) => {
    const box = stick.getBoundingClientRect(), half = box.width / 2;
    let x = (event.clientX - box.left - half) / half, y = -(event.clientY - box.top - half) / half;
    const length = Math.hypot(x, y);
    if (length > 1) { x /= length; y /= length; }
    moveTo(x, driving.axes.length > 1 ? y : 0);
  };
  stick.onpointerdown = (event) => { stick.setPointerCapture(event.pointerId); move(event); };
  stick.onpointermove = (event) => { if (stick.hasPointerCapture(event.pointerId)) move(event); };
  stick.onpointerup = stick.onpointercancel = () => moveTo(0, 0);
}
