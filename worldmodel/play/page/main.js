// The page: shows what the server sends, and sends what is pressed.
import { Connection } from "./connection.js";
import { Driving, attachStick } from "./driving.js";
import { Futures, difference, draw } from "./panels.js";
import { Plots, short } from "./plots.js";

const $ = (id) => document.getElementById(id);
const SPEEDS = [[0.25, "¼"], [0.5, "½"], [1, "1"], [2, "2"], [4, "4"], [0, "max"]];
const PASSES = [1, 2, 3, 4, 8];
const ERROR_SECONDS = 8;

const state = { world: null, header: null, fresh: true, seq: 0, pressed: new Map(), latencies: [], arrivals: [], drawn: 0, error: "", broken: "", saving: false, stopping: false };
const plots = new Plots();
const futures = new Futures($("futures"), (future) => send({ type: "switch", future }));
const driving = new Driving(sendAction, tookOver);
const connection = new Connection({ frame: showFrame, message: onMessage, state: (words) => { state.broken = words; showStatus(); } });
attachStick(driving);

function send(content) {
  if (!connection.send(content)) showStatus();
}

function sendAction(values, edge) {
  if (!state.world) return;
  state.seq += 1;
  if (edge && state.header?.running) state.pressed.set(state.seq, performance.now());
  connection.send({ type: "action", values, seq: state.seq, edge });
}

/** Somebody drives: the agent lets go, and a fresh start begins. */
function tookOver() {
  if (state.header?.agent) { send({ type: "agent", on: false }); state.header.agent = false; }
  if (state.fresh && state.header && !state.header.running && state.header.t === 0) run(true);
}

function run(on) {
  state.fresh = false;
  if (state.header) state.header.running = on; // the next press is the other way, however slow the answer is
  send({ type: "run", on });
}

// What comes in.

function onMessage(content) {
  if (content.type === "world") configure(content);
  if (content.type === "history") { plots.replace(content); state.arrivals = []; }
  if (content.type === "error") showError(content.message);
  if (content.type === "saved") download(content);
}

function configure(world) {
  state.world = world;
  state.broken = state.error = "";
  state.saving = world.saving; // what was to be saved when the socket broke is said next, or was lost
  state.seq = Math.max(state.seq, world.seq);
  document.title = `${world.name}: play`;
  $("title").textContent = `Dream of ${world.name}`;
  driving.configure(world.controls, world.rest);
  $("agent").disabled = !world.has_agent;
  options($("context"), [["", "none"], ...Array.from({ length: world.contexts }, (_, k) => [k, String(k)])]);
  for (const option of $("format").options) if (option.value === "minari-real") option.disabled = !world.has_reality;
  showStatus();
}

function showFrame(header, pictures) {
  const before = state.header;
  state.header = header;
  state.drawn += 1;
  if (before && before.epoch !== header.epoch && header.last === 0) state.fresh = true;
  if (before && before.recording !== null && header.recording === null && !state.stopping) showError("The recording ended with this new start and was not saved: stop it first, next time.");
  if (header.recording === null) state.stopping = false;
  const [dream, real] = ["dream", "real"].map((kind) => pictures.find((picture) => picture.kind === kind));
  draw($("dream"), dream);
  $("panels").classList.toggle("alone", !real);
  for (const name of ["real", "difference"]) $(`panel-${name}`).hidden = !real;
  if (real) { draw($("real"), real); draw($("difference"), difference(dream, real)); }
  $("real-note").hidden = !header.real_note || Boolean(real);
  $("real-note").textContent = header.real_note;
  $("real-word").textContent = header.real_ended ? ": its episode is over" : "";
  futures.show(header, pictures);
  plots.add(header);
  measure(header, before);
  showControls(header);
  showStatus();
}

/** Frames a second, and milliseconds from a key to its picture. */
function measure(header, before) {
  const now = performance.now();
  if (before && header.epoch === before.epoch && header.t > before.t) state.arrivals.push({ now, steps: header.t - before.t });
  state.arrivals = state.arrivals.filter((arrival) => now - arrival.now < 2000);
  for (const [seq, since] of state.pressed) if (seq <= header.seq) {
    state.pressed.delete(seq);
    state.latencies.push(now - since);
    state.latencies = state.latencies.slice(-100);
  }
  if (!header.running) state.pressed.clear();
}

function showControls(header) {
  $("run").firstChild.textContent = header.running ? "Pause " : "Go ";
  for (const [name, on] of [["agent", header.agent], ["record", header.recording !== null]]) $(name).setAttribute("aria-pressed", String(on));
  $("record").firstChild.textContent = header.recording === null ? "Record " : `Stop and save (from t ${header.recording}) `;
  for (const name of ["switch", "drop"]) $(name).disabled = header.futures.length < 2;
  const seek = $("seek");
  seek.min = header.earliest; seek.max = header.last;
  seek.value = header.t;
  $("place").textContent = `${header.t} / ${header.last}`;
  seek.setAttribute("aria-valuetext", `moment ${header.t} of ${header.last}`);
  $("back").disabled = header.t <= header.earliest;
  $("forward").disabled = header.t >= header.last;
  if (document.activeElement !== $("seed")) $("seed").value = header.seed;
  pick($("passes"), header.passes, String(header.passes));
  pick($("speed"), header.speed, String(header.speed));
}

// What is said.

function showError(sentence) {
  state.error = sentence;
  state.saving = false;
  clearTimeout(showError.timer);
  showError.timer = setTimeout(() => { state.error = ""; showStatus(); }, ERROR_SECONDS * 1000);
  showStatus();
}

function showStatus() {
  const [words, bad] = statusSentence();
  const status = $("status");
  if (status.textContent !== words) status.textContent = words;
  status.classList.toggle("bad", bad);
  document.body.dataset.connected = String(!state.broken && Boolean(state.header));
}

function statusSentence() {
  const header = state.header;
  if (state.broken) return [state.error || state.broken, true];
  if (state.error) return [state.error, true];
  if (!header) return ["Connecting …", false];
  if (header.ended === "ended") return [`The dream's episode ended at t ${header.t}. Reset (R) begins another, Go (Space) goes on anyway.`, false];
  if (header.ended) return [`The time limit of ${state.world?.time_limit} steps is reached. Reset (R) begins again, Go (Space) goes on anyway.`, false];
  if (state.saving) return ["The file is being written …", false];
  if (header.agent) return [header.running ? "The agent drives. Any driving key takes over." : "The agent will drive: Go (Space).", false];
  if (!header.running && state.fresh && header.t === 0) return ["Press a driving key or button, or Go (Space), to begin.", false];
  if (!header.running && header.t < header.last) return [`Rewound to t ${header.t} of ${header.last}. Going on replaces what came after; Branch (B) keeps it as another future.`, false];
  if (!header.running) return ["Paused. Go (Space) goes on, Step (N) makes one step.", false];
  return ["You drive.", false];
}

function download({ url, name }) {
  state.saving = false;
  const link = document.createElement("a");
  link.href = `${url}?token=${encodeURIComponent(new URL(location.href).searchParams.get("token") ?? "")}`;
  link.download = name;
  link.click();
  showStatus();
}

setInterval(() => {
  const header = state.header;
  if (!header) return;
  plots.draw();
  const seconds = state.arrivals.length > 1 ? (state.arrivals.at(-1).now - state.arrivals[0].now) / 1000 : 0;
  const rate = seconds > 0 && header.running ? state.arrivals.slice(1).reduce((sum, a) => sum + a.steps, 0) / seconds : 0;
  $("rate").textContent = `${rate.toFixed(rate < 10 ? 1 : 0)} frames/s`;
  const sorted = [...state.latencies].sort((a, b) => a - b);
  $("latency").textContent = sorted.length ? `key to picture ${sorted[Math.floor(sorted.length / 2)].toFixed(0)} ms, p95 ${sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.95))].toFixed(0)}` : "key to picture – ms";
  const real = header.real_reward !== null;
  $("now-reward").textContent = `${short(header.reward)}${real ? ` (real ${short(header.real_reward)})` : ""}`;
  $("now-return").textContent = `sum ${short(header.total)}${header.real_total !== null ? ` (real ${short(header.real_total)})` : ""}`;
  for (const name of ["termination", "uncertainty", "psnr"]) $(`now-${name}`).textContent = short(header[name]);
}, 100);

// What is pressed.

const actions = {
  run: () => run(!state.header?.running),
  step: () => { state.fresh = false; send({ type: "step" }); },
  branch: () => send({ type: "branch" }),
  switch: () => { const h = state.header; if (h && h.futures.length > 1) send({ type: "switch", future: (h.driven + 1) % h.futures.length }); },
  drop: () => state.header && send({ type: "drop", future: state.header.driven }),
  agent: () => { if (state.world?.has_agent) { send({ type: "agent", on: !state.header?.agent }); if (state.fresh && !state.header?.agent) run(true); } },
  reset: () => send({ type: "reset" }),
  picture: () => $("file").click(),
  record: () => { const on = state.header?.recording === null; state.saving = state.stopping = !on; send({ type: "record", on, format: $("format").value }); },
  save: () => { state.saving = true; send({ type: "save", format: $("format").value }); showStatus(); },
  back: () => seekBy(-1),
  forward: () => seekBy(1),
};
for (const name of Object.keys(actions)) if ($(name)) $(name).onclick = actions[name];

function seekBy(steps) {
  const h = state.header;
  if (!h) return;
  const t = Math.max(h.earliest, Math.min(h.last, h.t + steps));
  state.fresh = false;
  if (t !== h.t) send({ type: "seek", t });
}

$("seek").oninput = () => { state.fresh = false; send({ type: "seek", t: Number($("seek").value) }); };
$("seed").onchange = () => { const seed = Math.floor(Number($("seed").value)); if (seed >= 0 && $("seed").value !== "") send({ type: "reset", seed }); else showError("A seed is a whole number that is not negative."); };
$("context").onchange = () => { if ($("context").value !== "") send({ type: "reset", context: Number($("context").value) }); $("context").value = ""; };
$("passes").onchange = () => send({ type: "passes", count: Number($("passes").value) });
$("speed").onchange = () => send({ type: "speed", factor: Number($("speed").value) });
$("file").onchange = () => { if ($("file").files[0]) begin($("file").files[0]); $("file").value = ""; };

async function begin(file) {
  if (file.size > 4 * 2 ** 20 - 1024) return showError("The picture is larger than 4 MB: give a smaller one.");
  send(await file.arrayBuffer());
}

const KEYS = { Space: "run", KeyN: "step", KeyB: "branch", KeyV: "switch", KeyX: "drop", KeyM: "agent", KeyR: "reset", KeyP: "picture", KeyC: "record", KeyE: "save" };

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target, kind = target.tagName;
  if (kind === "INPUT" && target.type !== "range" || kind === "SELECT" || kind === "TEXTAREA") {
    if (event.code === "Escape") target.blur();
    return;
  }
  if (kind === "INPUT" && /^(Arrow|Home|End|Page)/.test(event.code)) return; // a slider moves by them
  if ((kind === "BUTTON" || kind === "SUMMARY") && (event.code === "Space" || event.code === "Enter")) return;
  if (driving.keydown(event)) return event.preventDefault();
  const moments = { ",": -1, ".": 1, "<": -10, ">": 10 }[event.key];
  const passes = { "+": 1, "=": 1, "-": -1, "−": -1 }[event.key];
  if (moments) seekBy(moments);
  else if (passes && state.header) send({ type: "passes", count: Math.max(1, Math.min(8, state.header.passes + passes)) });
  else if (event.key === "?") $("help").open = !$("help").open;
  else if (KEYS[event.code] && !event.repeat) actions[KEYS[event.code]]();
  else return;
  event.preventDefault();
});
// After a click the keys drive again; who came by Tab stays where they are.
addEventListener("click", (event) => { if (event.detail > 0 && event.target.closest("button, summary")) document.activeElement.blur(); });
for (const slider of [$("seek"), ...document.querySelectorAll("select")]) slider.addEventListener("change", () => { if (!slider.matches(":focus-visible")) slider.blur(); });
addEventListener("keyup", (event) => driving.keyup(event));
addEventListener("blur", () => driving.releaseAll());
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
addEventListener("dragleave", () => document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (event.dataTransfer.files[0]) begin(event.dataTransfer.files[0]);
});

function options(select, pairs) {
  select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
}

/** Show a choice, also one that is not on the list. */
function pick(select, value, text) {
  if (document.activeElement === select) return;
  if (![...select.options].some((option) => option.value === String(value))) select.add(new Option(text, value));
  select.value = String(value);
}

options($("passes"), PASSES.map((count) => [count, String(count)]));
options($("speed"), SPEEDS);
window.play = { state, plots, connection, run }; // for measurements from outside
