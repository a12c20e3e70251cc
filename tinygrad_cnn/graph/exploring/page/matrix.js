// Arrays as pictures: one map of it large, with a cursor, and the others small.
import { digits, entryName, h } from "./elements.js";

/** How an array lies on paper: maps of rows × columns, each value in one of them. */
export function planOf(shape) {
  const [rows, columns] = shape.length > 1 ? shape.slice(-2) : [1, shape[0] ?? 1];
  if (rows > 1 && columns <= 128) {
    const lead = shape.slice(0, -2);
    return {
      lead, rows, columns, size: rows * columns,
      index: (map, row, column) => [...unravel(map, lead), row, column],
      place: (index) => [ravel(index.slice(0, -2), lead), ...index.slice(-2)],
    };
  }
  // A single row, or rows too long: each a map of its own, broken into lines.
  const lead = shape.slice(0, -1), wrap = columns <= 6 ? columns : lineOf(columns);
  return {
    lead, rows: Math.ceil(columns / wrap), columns: wrap, size: columns, wrapped: wrap < columns,
    index: (map, row, column) => (shape.length ? [...unravel(map, lead), row * wrap + column] : []),
    place: (index) => {
      const k = index[index.length - 1] ?? 0;
      return [ravel(index.slice(0, -1), lead), Math.floor(k / wrap), k % wrap];
    },
  };
}

/** A length for the lines that divides all, if one is near the square root. */
function lineOf(count) {
  const root = Math.max(3, Math.ceil(Math.sqrt(count)));
  for (let k = root; k <= 2 * root; k++) if (count % k === 0) return k;
  return root;
}

const ravel = (index, shape) => index.reduce((k, i, axis) => k * shape[axis] + i, 0);

function unravel(k, shape) {
  const found = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    found.unshift(k % shape[axis]);
    k = Math.floor(k / shape[axis]);
  }
  return found;
}

/** The largest size of finite values. */
export function largest(values) {
  let most = 0;
  for (const v of values) if (Math.abs(v) > most && Number.isFinite(v)) most = Math.abs(v);
  return most;
}

let palette = null;

/** Red, green and blue of −1, 0, 1 and what is not finite, as the style sheet says. */
function colours() {
  if (!palette) {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => {
      const hex = style.getPropertyValue(name).trim();
      return [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
    };
    palette = ["--negative", "--zero", "--positive", "--not-finite"].map(read);
  }
  return palette;
}

export const forgetColours = () => (palette = null);

function colourOf(value, most) {
  const [negative, zero, positive, none] = colours();
  if (!Number.isFinite(value)) return none;
  const share = most ? Math.min(1, Math.abs(value) / most) ** 0.7 : 0;
  const end = value < 0 ? negative : positive;
  return zero.map((c, k) => Math.round(c + share * (end[k] - c)));
}

/** One map, a pixel a value; to be scaled by the style. */
export function thumbnail(tensor, plan, map, most) {
  const canvas = h("canvas", { width: plan.columns, height: plan.rows });
  const context = canvas.getContext("2d");
  const image = context.createImageData(plan.columns, plan.rows);
  for (let k = 0; k < plan.size; k++) {
    image.data.set([...colourOf(tensor.values[map * plan.size + k], most), 255], 4 * k);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** The values of one map. */
export const mapOf = (tensor, plan, map) =>
  tensor.values.subarray(map * plan.size, (map + 1) * plan.size);

const SMALL = 96;

/**
 * An array that can be looked into. label: its name in the formula. title: what it is.
 * tensor: null where it is not known yet. onCursor(index), onOpen(index).
 */
export class Matrix {
  constructor({ label, title, shape, tensor, onCursor, onOpen, most }) {
    Object.assign(this, { label, title, shape, tensor, onCursor, onOpen });
    this.plan = planOf(shape);
    this.map = 0;
    this.cursor = null;
    this.marks = [];
    this.most = most;
    const { rows, columns } = this.plan;
    const room = Math.min(270, document.documentElement.clientWidth - 60);
    this.cell = Math.max(3, Math.min(rows * columns <= 64 ? 54 : 22, Math.floor(room / columns)));
    this.canvas = h("canvas", {
      tabIndex: 0, role: "application", ariaRoleDescription: "matrix",
      ariaLabel: `${label}, ${title}, ${shape.join(" by ") || "one number"}`,
    });
    this.caption = h("figcaption", h("b", label), " ", h("span.quiet", title));
    this.index = h("div.index");
    this.tiles = h("div.tiles");
    this.element = h("figure.matrix", this.caption, h("div.scroll", this.canvas), this.index, this.tiles);
    this.listen();
    this.drawTiles();
    this.draw();
  }

  listen() {
    const { canvas } = this;
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      const column = Math.floor((event.clientX - box.left) / this.cell);
      const row = Math.floor((event.clientY - box.top) / this.cell);
      return this.inside(row, column) ? [row, column] : null;
    };
    canvas.addEventListener("pointermove", (event) => {
      const place = at(event);
      if (place && String(place) !== String(this.cursor)) this.move(...place);
    });
    canvas.addEventListener("click", (event) => {
      const place = at(event);
      if (!place) return;
      this.move(...place);
      this.onOpen(this.plan.index(this.map, ...place));
    });
    canvas.addEventListener("focus", () => this.cursor || this.move(0, 0));
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      const [row, column] = this.cursor || [0, 0];
      if (step && this.inside(row + step[0], column + step[1])) this.move(row + step[0], column + step[1]);
      else if (event.key === "Enter" || event.key === " ") this.onOpen(this.plan.index(this.map, row, column));
      else if (event.key === "PageDown" || event.key === "PageUp") this.turn(event.key === "PageDown" ? 1 : -1);
      else if (!step) return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  inside(row, column) {
    const { rows, columns, size } = this.plan;
    return row >= 0 && row < rows && column >= 0 && column < columns && row * columns + column < size;
  }

  move(row, column) {
    this.cursor = [row, column];
    this.onCursor(this.plan.index(this.map, row, column), this);
  }

  get maps() {
    return this.plan.lead.reduce((a, b) => a * b, 1);
  }

  turn(by) {
    this.map = (this.map + by + this.maps) % this.maps;
    this.move(...(this.cursor || [0, 0]));
  }

  /** Show the map of an entry, with the cursor on it. */
  show(index) {
    const [map, row, column] = this.plan.place(index);
    this.map = map;
    this.cursor = [row, column];
  }

  /** Outline these entries; the map that most of them are in is shown, unless it has the cursor. */
  mark(indices, keep) {
    const places = indices.map((index) => this.plan.place(index));
    if (places.length && !keep && !places.some(([map]) => map === this.map)) this.map = places[0][0];
    this.marks = places.filter(([map]) => map === this.map);
    if (!keep) this.cursor = null;
    this.draw();
  }

  drawTiles() {
    const { plan, tensor } = this;
    if (this.maps < 2) return;
    const count = Math.min(this.maps, SMALL);
    this.buttons = [];
    for (let map = 0; map < count; map++) {
      const name = entryName("", plan.index(map, 0, 0).slice(0, plan.lead.length));
      const picture = tensor ? thumbnail(tensor, plan, map, this.most ?? largest(mapOf(tensor, plan, map))) : h("span.unknown");
      const choose = () => { this.map = map; this.move(...(this.cursor || [0, 0])); };
      const tile = h("button.tile", { onclick: choose, title: name, ariaLabel: `map ${name} of ${this.label}` }, picture);
      this.buttons.push(tile);
    }
    this.tiles.replaceChildren(...this.buttons);
    if (this.maps > count) this.tiles.append(h("span.quiet", `first ${count} of ${this.maps}; Page Up and Down turn to the others`));
  }

  draw() {
    const { plan, cell, canvas, tensor } = this;
    const scale = window.devicePixelRatio || 1;
    canvas.width = plan.columns * cell * scale;
    canvas.height = plan.rows * cell * scale;
    canvas.style.width = `${plan.columns * cell}px`;
    canvas.style.height = `${plan.rows * cell}px`;
    canvas.classList.toggle("unknown", !tensor);
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    if (tensor) this.drawValues(context);
    const style = getComputedStyle(document.documentElement);
    const outline = (row, column, name, width) => {
      context.strokeStyle = style.getPropertyValue(name);
      context.lineWidth = width;
      const inset = width / 2;
      context.strokeRect(column * cell + inset, row * cell + inset, cell - width, cell - width);
    };
    this.drawBorder(context, style.getPropertyValue("--mark"));
    if (this.cursor) outline(...this.cursor, "--cursor", Math.min(3, cell / 2));
    const shown = this.cursor ? plan.index(this.map, ...this.cursor) : plan.index(this.map, 0, 0).slice(0, plan.lead.length);
    const value = this.cursor && tensor ? ` = ${digits(tensor.at(shown))}` : "";
    this.index.textContent = shown.length ? `${entryName(this.label, shown)}${value}` : "";
    if (plan.wrapped) this.index.textContent += `  (${plan.columns} to a line)`;
    (this.buttons || []).forEach((tile, map) => tile.classList.toggle("chosen", map === this.map));
  }

  /** A line around what is marked: where one marked value meets one that is not. */
  drawBorder(context, colour) {
    const { cell } = this;
    const marked = new Set(this.marks.map(([, row, column]) => `${row} ${column}`));
    context.strokeStyle = colour;
    context.lineWidth = Math.min(2.5, cell / 3);
    context.beginPath();
    for (const [, row, column] of this.marks) {
      const [x, y] = [column * cell, row * cell];
      const side = (dy, dx, ...line) => {
        if (marked.has(`${row + dy} ${column + dx}`)) return;
        context.moveTo(line[0], line[1]);
        context.lineTo(line[2], line[3]);
      };
      const inset = context.lineWidth / 2, [a, b, c, d] = [x + inset, y + inset, x + cell - inset, y + cell - inset];
      side(-1, 0, a, b, c, b);
      side(1, 0, a, d, c, d);
      side(0, -1, a, b, a, d);
      side(0, 1, c, b, c, d);
    }
    context.stroke();
  }

  drawValues(context) {
    const { plan, cell, tensor } = this;
    const values = mapOf(tensor, plan, this.map);
    const most = this.most ?? largest(values);
    context.font = `${cell < 50 ? 11 : 12}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let k = 0; k < plan.size; k++) {
      const row = Math.floor(k / plan.columns), column = k % plan.columns;
      const colour = colourOf(values[k], most);
      context.fillStyle = `rgb(${colour})`;
      context.fillRect(column * cell, row * cell, cell, cell);
      if (cell < 40) continue;
      const [r, g, b] = colour;
      context.fillStyle = 0.3 * r + 0.59 * g + 0.11 * b > 140 ? "#000" : "#fff";
      const fits = (text) => context.measureText(text).width < cell - 3;
      const texts = [3, 2, 1].map((count) => digits(values[k], count));
      const text = [...texts, values[k].toExponential(0).replaceAll("-", "−")].find(fits) ?? "·";
      context.fillText(text, (column + 0.5) * cell, (row + 0.5) * cell);
    }
  }
}
