"use strict";

const $ = (id) => document.getElementById(id);
const canvas = $("view"), context = canvas.getContext("2d");
const layers = { picture: true, box: true, landmarks: true, pose: true, parsing: false, label: true };
const timeline = new Timeline($("timeline")), hours = new Hours($("hours"));
const EVERY = "*", TILE = 640; // all cameras side by side, and how wide each is, px
const wall = new Map(); // camera → its newest result and picture
const silent = new Map(); // camera → why it gives nothing
let several = false, camera = "", socket = null, retry = 500, paused = false, pending = null, bitmap = null, latest = null, described = 0, asked = false;

// The picture: ask for the next frame, draw it, ask again. Nothing is asked for while the page is not seen.

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}/ws`);
  socket.binaryType = "blob";
  socket.onopen = () => { retry = 500; asked = false; state("live", "good"); ask(); refresh(); };
  socket.onmessage = ({ data }) => (typeof data === "string" ? told(JSON.parse(data)) : pictured(data));
  socket.onclose = () => { state("reconnecting", "bad"); setTimeout(connect, retry); retry = Math.min(retry * 2, 5000); };
}

function ask() {
  if (asked || paused || document.hidden || socket?.readyState !== WebSocket.OPEN) return;
  asked = true;
  socket.send(JSON.stringify({ next: true, camera, picture: layers.picture, parsing: layers.parsing }));
}

function told(message) {
  if (message.kind !== "frame") {
    const words = { waiting: `No picture: ${message.camera?.why || message.error || "waiting"}`,
      aggregate: "Privacy mode aggregate: no picture leaves this machine." };
    veil(words[message.kind] ?? message.error);
    asked = false;
    setTimeout(ask, 1000);
    return;
  }
  pending = message;
  if (!message.picture) show(null);
}

async function pictured(blob) {
  try { show(await createImageBitmap(blob)); } catch { show(null); }
}

function show(picture) {
  asked = false;
  if (!pending) return;
  if (camera === EVERY) {
    wall.get(pending.camera)?.picture?.close();
    wall.set(pending.camera, { result: pending, picture });
    [latest, pending] = [pending, null];
    veil("");
    drawWall();
    summarize();
    requestAnimationFrame(ask);
    return;
  }
  bitmap?.close();
  [bitmap, latest, pending] = [picture, pending, null];
  veil(picture || !layers.picture ? "" : "This frame's picture may not be shown.");
  draw();
  summarize();
  requestAnimationFrame(ask);
}

function drawWall() {
  const names = [...wall.keys()].sort(), columns = Math.ceil(Math.sqrt(names.length)) || 1;
  const shapes = names.map((name) => wall.get(name).result), rows = Math.ceil(names.length / columns);
  const height = Math.round(TILE * Math.max(...shapes.map((one) => one.height_px / one.width_px)));
  const size = { width: columns * TILE, height: rows * height };
  if (canvas.width !== size.width || canvas.height !== size.height) Object.assign(canvas, size);
  context.fillStyle = "#07090d";
  context.fillRect(0, 0, size.width, size.height);
  names.forEach((name, number) => {
    const { result, picture } = wall.get(name), down = silent.get(name);
    context.save();
    context.translate((number % columns) * TILE, Math.floor(number / columns) * height);
    context.beginPath();
    context.rect(0, 0, TILE, height);
    context.clip();
    if (picture && layers.picture && !down) context.drawImage(picture, 0, 0, TILE, Math.round(TILE * result.height_px / result.width_px));
    if (!down) drawOverlay(context, result, layers, TILE);
    caption(down ? `${name}: ${down}` : `${name}  ${result.fps.toFixed(0)} fps  ${result.timing_ms.age.toFixed(0)} ms`);
    context.restore();
  });
}

function caption(text) {
  context.font = "600 20px system-ui, sans-serif";
  context.fillStyle = "#07090dcc";
  context.fillRect(0, 0, context.measureText(text).width + 20, 32);
  context.fillStyle = "#e9edf4";
  context.fillText(text, 10, 23);
}

function draw() {
  if (!latest) return;
  if (camera === EVERY) { drawWall(); return; }
  const width = Math.min(latest.width_px, 1280), height = Math.round(latest.height_px * width / latest.width_px);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  context.fillStyle = "#07090d";
  context.fillRect(0, 0, width, height);
  if (bitmap && layers.picture) context.drawImage(bitmap, 0, 0, width, height);
  drawOverlay(context, latest, layers);
}

function summarize() {
  const every = camera === EVERY, all = every ? [...wall.values()].map((one) => one.result) : [latest];
  const { timing_ms: timing, level, late } = latest, fps = all.reduce((sum, one) => sum + one.fps, 0);
  const faces = all.flatMap((one) => one.faces.map((face) => (every ? { ...face, camera: one.camera } : face)));
  timeline.add(Date.now() / 1000, timing.age, level);
  $("figures").textContent = `${fps.toFixed(0)} fps · age ${timing.age.toFixed(1)} ms · work ${timing.total.toFixed(1)} ms · `
    + `level ${level}${late ? " · late" : ""} · ${faces.length} ${faces.length === 1 ? "face" : "faces"}`;
  if (Date.now() - described < 250) return;
  described = Date.now();
  listFaces(faces);
  const words = faces.map((face) => `${face.camera ? `${face.camera}, ` : ""}face ${face.track_id}${face.emotion ? `, ${face.emotion}` : ""}`);
  canvas.setAttribute("aria-label", `Live picture. ${words.join("; ") || "Nobody in view"}.`);
}

function listFaces(faces) {
  const list = $("faces");
  if (!faces.length) { list.replaceChildren(item("li", "Nobody in view", "empty")); return; }
  list.replaceChildren(...faces.map((face, row) => {
    const card = item("li");
    card.style.setProperty("--face", faceColour(face, row));
    card.append(item("b", `${face.camera ? `${face.camera} ` : ""}#${face.track_id}`), face.emotion ?? (face.predicted ? "predicted" : ""));
    if (face.emotion_probs) {
      const bar = item("div", "", "meter"), fill = item("i");
      fill.style.width = `${100 * Math.max(...face.emotion_probs)}%`;
      bar.append(fill);
      card.append(bar);
    }
    const degrees = (value) => (value == null ? "–" : `${value > 0 ? "+" : ""}${value.toFixed(0)}°`);
    const quality = face.quality == null ? "" : ` · quality ${face.quality.toFixed(2)}`;
    if ("yaw_deg" in face) card.append(item("small",
      `yaw ${degrees(face.yaw_deg)} pitch ${degrees(face.pitch_deg)} roll ${degrees(face.roll_deg)}${quality}`));
    return card;
  }));
}

// Events as they happen, by Server-Sent Events; the browser reconnects and asks for what it missed.

const WORDS = { arrived: "came", left: "left", look_start: "looks", look_end: "looked away", smile: "smiles",
  engine_changed: "engine changed", output_lost: "output lost", output_back: "output is back", someone: "someone is here", nobody: "nobody is here", source_lost: "source lost", source_back: "source is back",
  camera_on: "on", camera_off: "off", camera_failed: "given up", camera_removed: "removed", source_awaited: "is not there" };

function listen() {
  const source = new EventSource("/api/v1/events");
  for (const kind of [...Object.keys(WORDS), "emotion_onset", "emotion_offset", "window"]) {
    source.addEventListener(kind, ({ data }) => event(JSON.parse(data)));
  }
}

function event(record) {
  const when = item("time", new Date(record.time ?? record.end).toLocaleTimeString([], { hour12: false }));
  const who = record.track_id == null ? "" : `#${record.track_id} `;
  const what = record.kind.startsWith("emotion_") ? `${record.what} ${record.kind.slice(8) === "onset" ? "begins" : "ends"}`
    : record.kind === "window" ? `${record.span}: ${record.visits} visits` : WORDS[record.kind] ?? record.kind;
  const long = record.duration_s == null ? "" : ` after ${record.duration_s.toFixed(1)} s`;
  const line = item("li");
  const where = several && record.camera ? `${record.camera}: ` : "";
  line.append(when, item("span", where + who + what + long));
  const list = $("events");
  list.prepend(line);
  while (list.children.length > 60) list.lastChild.remove();
}

// Audience, cameras, options: asked for every two seconds.

async function get(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function poll() {
  if (!document.hidden) {
    try { showAudience(await get("/api/v1/audience")); showCameras(await get("/api/v1/cameras")); } catch { /* the socket says it */ }
  }
  setTimeout(poll, 2000);
}

function showAudience({ privacy, now, today, hours: parts, published }) {
  badge(privacy);
  if (!now) {
    hours.fill((published ?? []).filter((one) => one.span === "1h"));
    tiles([["windows told", published?.length ?? 0]]);
    return;
  }
  $("present").textContent = now.present;
  $("looking").textContent = now.looking;
  hours.fill(parts);
  const s = (value) => (value == null ? "–" : `${value.toFixed(1)} s`);
  const ratio = today.attraction_ratio;
  tiles([["visits", today.visits], ["watchers", today.watchers], ["attention", s(today.attention_s.mean)], ["dwell", s(today.dwell_s.mean)],
    ["attraction", ratio == null ? "–" : `${Math.round(100 * ratio)} %`], ["smiles", today.smiles]]);
}

function tiles(values) {
  $("today").replaceChildren(...values.map(([name, value]) => {
    const tile = item("div");
    tile.append(item("dt", name), item("dd", String(value)));
    return tile;
  }));
}

function switching({ name, off }) {
  const button = item("button", off ? "Switch on" : "Switch off");
  button.setAttribute("aria-label", `${button.textContent}: ${name}`);
  button.addEventListener("click", async () => {
    button.disabled = true;
    await fetch(`/api/v1/cameras/${encodeURIComponent(name)}`, { method: "PATCH",
      headers: { "content-type": "application/json" }, body: JSON.stringify({ enabled: off }) });
    showCameras(await get("/api/v1/cameras"));
  });
  return button;
}

function showCameras(cameras) {
  silent.clear();
  for (const one of cameras) if (!one.up) silent.set(one.name, one.off ? "off" : one.why);
  for (const name of [...wall.keys()]) if (!cameras.some((one) => one.name === name)) wall.delete(name);
  $("cameras").replaceChildren(...cameras.map((one) => {
    const row = item("tr");
    const words = one.off ? "off" : one.up ? "up" : `down: ${one.why}`, state = item("td", words, one.up ? "good" : one.off ? "" : "bad");
    if (one.switchable) state.append(" ", switching(one));
    row.append(item("td", one.name), state, item("td", one.fps.toFixed(0)),
      item("td", one.age_p95_ms == null ? "–" : `${one.age_p95_ms} ms`), item("td", one.level ?? "–"));
    return row;
  }));
  several = cameras.length > 1;
  const pick = $("camera"), names = [...(several ? [EVERY] : []), ...cameras.map((one) => one.name)];
  if ([...pick.options].map((option) => option.value).join("\n") !== names.join("\n")) {
    if (!names.includes(camera)) choose(names[0] ?? "");
    pick.replaceChildren(...names.map((name) => new Option(name === EVERY ? "all" : name, name, false, name === camera)));
  }
}

function choose(name) {
  camera = name;
  wall.clear();
  refresh();
}

async function refresh() {
  try {
    setBudget((await get("/api/v1/options")).budget_ms);
    timeline.fill(await get(`/api/v1/timeline?camera=${encodeURIComponent(camera === EVERY ? "" : camera)}`));
  } catch { /* with the next connection */ }
}

const NO_BUDGET = 201;

function setBudget(ms) {
  timeline.budget = ms;
  $("budget").value = ms ?? NO_BUDGET;
  $("budget-value").textContent = ms == null ? "none" : `${Math.round(ms)} ms`;
}

async function changeBudget() {
  const value = Number($("budget").value), body = JSON.stringify({ budget_ms: value >= NO_BUDGET ? null : value });
  const answer = await fetch("/api/v1/options", { method: "PATCH", headers: { "content-type": "application/json" }, body });
  const record = await answer.json();
  if (answer.ok) setBudget(record.budget_ms);
  else $("budget-value").textContent = record.error;
}

// Small things.

function item(tag, text = "", kind = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

function state(text, kind) { Object.assign($("state"), { textContent: text, className: `badge ${kind}` }); }
function badge(privacy) { $("privacy").textContent = `privacy: ${privacy}`; }
function veil(text) { $("veil").hidden = !text; $("veil").textContent = text; }

for (const [name, label] of Object.entries(LAYERS)) {
  const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: layers[name], id: `layer-${name}` });
  box.addEventListener("change", () => { layers[name] = box.checked; draw(); });
  const line = item("label");
  line.append(box, label);
  $("layers").append(line);
}
$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", paused);
  $("pause").textContent = paused ? "Go on" : "Pause";
  ask();
});
$("camera").addEventListener("change", ({ target }) => choose(target.value));
$("budget").addEventListener("input", ({ target }) => {
  $("budget-value").textContent = Number(target.value) >= NO_BUDGET ? "none" : `${target.value} ms`;
});
$("budget").addEventListener("change", changeBudget);
document.addEventListener("visibilitychange", ask);
connect();
listen();
poll();
