"use strict";
(async () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const view = document.getElementById("view"), canvas = document.getElementById("map");
  const said = document.getElementById("said"), bar = document.getElementById("bar");
  const bring = document.createElement("canvas");
  const { rows, cols, step, labels } = data;

  if (!("DecompressionStream" in window)) {
    said.textContent = "This browser is too old to show the map here; map.png shows it, too.";
    return;
  }
  const unpack = async (text) => {
    const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const plain = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const buffer = await new Response(plain).arrayBuffer();
    return data.wide ? new Uint16Array(buffer) : new Uint8Array(buffer);
  };
  const layers = {};
  for (const [name, text] of Object.entries(data.layers)) layers[name] = await unpack(text);

  /* Colours as the 32 bits of a pixel: alpha, blue, green, red. */
  const pixel = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  const palette = [0, ...data.colours.map(pixel)];
  const mix = (share) => data.ramp[0].map((low, i) => Math.round(low + share * (data.ramp[1][i] - low)));
  const ramp = Array.from({ length: data.sure + 1 }, (_, i) => (i ? pixel(mix((i - 1) / (data.sure - 1))) : 0));
  const [same, other, unknown] = data.verdicts.map(pixel);
  const verdict = (one, two) => (cell) => (!one[cell] ? 0 : !two[cell] ? unknown : one[cell] === two[cell] ? same : other);
  const paints = {
    predicted: (cell) => palette[layers.predicted[cell]],
    smoothed: (cell) => palette[layers.smoothed[cell]],
    confidence: (cell) => ramp[layers.confidence[cell]],
    known: (cell) => (layers.known[cell] ? palette[layers.known[cell]] : layers.predicted[cell] ? unknown : 0),
    changed: verdict(layers.predicted, layers.smoothed),
    mistakes: layers.known && verdict(layers.smoothed, layers.known),
  };
  const paint = (name) => {
    bring.width = cols;
    bring.height = rows;
    const context = bring.getContext("2d"), image = context.createImageData(cols, rows);
    const pixels = new Uint32Array(image.data.buffer), colour = paints[name];
    for (let cell = 0; cell < pixels.length; cell++) pixels[cell] = colour(cell);
    context.putImageData(image, 0, 0);
    for (const one of document.querySelectorAll("[data-for]")) one.hidden = !one.dataset.for.split(" ").includes(name);
  };

  let scale = 1, left = 0, top = 0, at = null, due = false;
  const size = () => [view.clientWidth, view.clientHeight];
  const whole = () => Math.min(size()[0] / cols, size()[1] / rows) * 0.96;
  const draw = () => {
    due = false;
    const [width, height] = size(), dense = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * dense);
    canvas.height = Math.round(height * dense);
    const context = canvas.getContext("2d");
    context.scale(dense, dense);
    context.imageSmoothingEnabled = scale * dense < 1;
    context.imageSmoothingQuality = "high";
    context.drawImage(bring, left, top, cols * scale, rows * scale);
    if (at) {
      context.lineWidth = 2;
      for (const [colour, wide] of [["#fff", 2], ["#000", 0]]) {
        context.strokeStyle = colour;
        context.strokeRect(left + at[0] * scale - wide, top + at[1] * scale - wide, scale + 2 * wide, scale + 2 * wide);
      }
    }
    const metres = (data.size * step) / scale, most = metres * width * 0.25;
    const power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].find((one) => one * power <= most * 1.000001) * power;
    bar.firstElementChild.style.width = `${length / metres}px`;
    bar.lastElementChild.textContent = length >= 1000 ? `${(length / 1000).toLocaleString("en")} km` : `${length} m`;
  };
  const refresh = () => { if (!due) { due = true; requestAnimationFrame(draw); } };
  const keep = () => {
    const [width, height] = size();
    left = Math.min(Math.max(left, 60 - cols * scale), width - 60);
    top = Math.min(Math.max(top, 60 - rows * scale), height - 60);
    refresh();
  };
  const fit = () => {
    scale = whole();
    left = (size()[0] - cols * scale) / 2;
    top = (size()[1] - rows * scale) / 2;
    refresh();
  };
  const zoom = (factor, x = size()[0] / 2, y = size()[1] / 2) => {
    const next = Math.min(Math.max(scale * factor, Math.min(whole(), 1) / 2), Math.max(120, whole()));
    left = x - ((x - left) * next) / scale;
    top = y - ((y - top) * next) / scale;
    scale = next;
    keep();
  };

  const hint = said.textContent;
  const tell = (x, y) => {
    const col = Math.floor((x - left) / scale), row = Math.floor((y - top) / scale);
    const cell = row * cols + col, inside = col >= 0 && row >= 0 && col < cols && row < rows;
    const there = inside && layers.predicted[cell];
    at = there ? [col, row] : null;
    refresh();
    if (!there) { said.textContent = hint; return; }
    const digits = (n) => (n < 0 ? "-" : "") + String(Math.abs(n)).padStart(n < 0 ? 5 : 6, "0");
    const share = (100 * (layers.confidence[cell] - 1)) / (data.sure - 1);
    const words = [
      `r${digits(data.top - row * step)}c${digits(data.left + col * step)}`,
      `predicted ${labels[layers.predicted[cell] - 1]} (${share.toFixed(0)} %)`,
      `smoothed ${labels[layers.smoothed[cell] - 1]}`,
    ];
    if (layers.known) words.push(layers.known[cell] ? `known ${labels[layers.known[cell] - 1]}` : "not known");
    const role = layers.roles ? layers.roles[cell] : 0;
    if (role) words.push(role === 1 ? "trained on" : "beside a tile that was trained on");
    said.textContent = words.join(" · ");
  };

  const held = new Map();
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = place(event), before = held.get(event.pointerId);
    if (before && held.size === 1) {
      left += now[0] - before[0];
      top += now[1] - before[1];
      keep();
    } else if (before && held.size === 2) {
      const fixed = [...held].find(([id]) => id !== event.pointerId)[1];
      const far = (one) => Math.hypot(one[0] - fixed[0], one[1] - fixed[1]);
      zoom(far(now) / Math.max(far(before), 1), fixed[0], fixed[1]);
    }
    if (before) held.set(event.pointerId, now);
    tell(...now);
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => held.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => tell(-1e9, -1e9));
  canvas.addEventListener("dblclick", (event) => zoom(2, ...place(event)));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0018)), ...place(event));
    tell(...place(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] };
    if (moves[event.key]) { left += moves[event.key][0]; top += moves[event.key][1]; keep(); }
    else if (event.key === "+" || event.key === "=") zoom(1.5);
    else if (event.key === "-") zoom(1 / 1.5);
    else if (event.key === "0") fit();
    else return;
    event.preventDefault();
  });
  document.getElementById("closer").addEventListener("click", () => zoom(1.5));
  document.getElementById("farther").addEventListener("click", () => zoom(1 / 1.5));
  document.getElementById("whole").addEventListener("click", fit);
  for (const choice of document.querySelectorAll("input[name=layer]")) {
    choice.addEventListener("change", () => { paint(choice.value); refresh(); });
  }
  new ResizeObserver(refresh).observe(view);
  paint(document.querySelector("input[name=layer]:checked").value);
  fit();
})();
