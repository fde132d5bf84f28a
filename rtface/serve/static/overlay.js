"use strict";
// What was found, drawn over the picture in the browser: a layer costs nothing on the machine that analyses.

const LAYERS = { picture: "Picture", box: "Boxes", landmarks: "Landmarks", pose: "Pose", parsing: "Parsing", label: "Labels" };
const PALETTE = ["#4da3ff", "#ffb02e", "#4fd18b", "#ff6f91", "#b38cff", "#39d5e0", "#f5e663", "#ff8552"];
const CLASS_COLOURS = [null, "#f2c9a1", "#f79f79", "#59c3ff", "#6effc0", "#6effc0", "#b57bff", "#b57bff", "#ffd166", "#ffd166",
  "#ff4d6d", "#ff7b9c", "#ff7b9c", "#8d6a4f", "#5b8def", "#ffe66d", "#ffe66d", "#d9a679", "#7d8597"];
// iBUG's 68 points: the lines that join them.
const LINES = [[0, 16], [17, 21], [22, 26], [27, 30], [31, 35], [36, 41, true], [42, 47, true], [48, 59, true], [60, 67, true]];

const faceColour = (face, row) => PALETTE[((face.track_id ?? row + 1) - 1) % PALETTE.length];

function drawOverlay(context, result, layers, width = context.canvas.width) {
  const scale = width / result.width_px;
  context.save();
  context.scale(scale, scale);
  const unit = Math.max(result.width_px / 640, 0.5);
  if (layers.parsing) for (const face of result.faces) if (face.parsing && !face.predicted) drawParsing(context, face.parsing);
  result.faces.forEach((face, row) => {
    const colour = faceColour(face, row);
    if (layers.landmarks && face.landmarks_px && !face.predicted) drawLandmarks(context, face, unit);
    if (layers.pose && face.yaw_deg != null && !face.predicted) drawPose(context, face, unit);
    if (layers.box) drawBox(context, face, colour, unit);
    if (layers.label) drawLabel(context, face, colour, unit);
  });
  context.restore();
}

function drawBox(context, face, colour, unit) {
  const [x0, y0, x1, y1] = face.box_px;
  context.strokeStyle = colour;
  context.lineWidth = 2 * unit;
  context.setLineDash(face.predicted ? [6 * unit, 5 * unit] : []);
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  context.setLineDash([]);
}

function drawLandmarks(context, face, unit) {
  const points = face.landmarks_px, size = face.box_px[2] - face.box_px[0];
  context.strokeStyle = "#ffffffb0";
  context.lineWidth = unit;
  context.beginPath();
  for (const [first, last, closed] of LINES) {
    context.moveTo(...points[first]);
    for (let i = first + 1; i <= last; i++) context.lineTo(...points[i]);
    if (closed) context.lineTo(...points[first]);
  }
  context.stroke();
  context.fillStyle = "#7dffd0";
  const radius = Math.max(size / 130, 0.8 * unit);
  for (const [x, y] of points) { context.beginPath(); context.arc(x, y, radius, 0, 7); context.fill(); }
}

function drawPose(context, face, unit) {
  const [x0, , x1] = face.box_px, length = 0.5 * (x1 - x0), rad = Math.PI / 180;
  const [x, y] = face.points5_px ? face.points5_px[2] : [(x0 + x1) / 2, (face.box_px[1] + face.box_px[3]) / 2];
  const yaw = face.yaw_deg * rad, pitch = face.pitch_deg * rad, roll = face.roll_deg * rad;
  const turned = (a, b) => [a * Math.cos(roll) - b * Math.sin(roll), a * Math.sin(roll) + b * Math.cos(roll)];
  const axes = [
    [turned(Math.cos(yaw), Math.sin(yaw) * Math.sin(pitch)), "#ff6b6b"],
    [turned(0, Math.cos(pitch)), "#51cf66"],
    [turned(Math.sin(yaw), -Math.cos(yaw) * Math.sin(pitch)), "#4dabf7"],
  ];
  context.lineWidth = 3 * unit;
  context.lineCap = "round";
  for (const [[dx, dy], colour] of axes) {
    context.strokeStyle = colour;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + length * dx, y + length * dy);
    context.stroke();
  }
}

function drawLabel(context, face, colour, unit) {
  const words = [`#${face.track_id ?? "?"}`];
  if (face.predicted) words.push("predicted");
  else if (face.emotion) words.push(`${face.emotion} ${Math.round(100 * Math.max(...face.emotion_probs))}%`);
  const text = words.join("  ");
  context.font = `600 ${13 * unit}px system-ui, sans-serif`;
  const width = context.measureText(text).width + 10 * unit, x = face.box_px[0], y = Math.max(face.box_px[1] - 5 * unit, 18 * unit);
  context.fillStyle = colour;
  context.fillRect(x, y - 16 * unit, width, 19 * unit);
  context.fillStyle = "#0b0e14";
  context.fillText(text, x + 5 * unit, y - 2 * unit);
}

const maskCanvas = document.createElement("canvas");

function drawParsing(context, parsing) {
  // Runs, row after row, of the crop; to_frame_px takes crop px to frame px.
  const { width, height, labels, counts, to_frame_px: [[a, c, e], [b, d, f]] } = parsing;
  maskCanvas.width = width;
  maskCanvas.height = height;
  const mask = maskCanvas.getContext("2d"), image = mask.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  let at = 0;
  labels.forEach((label, run) => { pixels.fill(CLASS_WORDS[label], at, at + counts[run]); at += counts[run]; });
  mask.putImageData(image, 0, 0);
  context.save();
  context.transform(a, b, c, d, e, f);
  context.translate(-0.5, -0.5); // pixel centres are at whole numbers
  context.drawImage(maskCanvas, 0, 0);
  context.restore();
}

const CLASS_WORDS = CLASS_COLOURS.map((colour) => {
  if (!colour) return 0;
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  return ((110 << 24) | (b << 16) | (g << 8) | r) >>> 0; // little endian, as every machine with a browser is
});
