// What is shown, and its address: #stop=17&sel=conv1.weight[1,0,2,2].

/**
 * stop: of the player. operation: the node that is opened. selected: {node, kind, index} of
 * the number taken apart, kind being "value" or "gradient". path: the numbers before it.
 * quiz: whether a product is asked for. scale: "map", "layer" or "all": what the strongest colour is the largest of.
 */
export class State {
  constructor(run) {
    this.run = run;
    this.stop = run.stops - 1;
    this.operation = null;
    this.selected = null;
    this.path = [];
    this.scale = "map";
    this.quiz = false;
    this.listeners = [];
  }

  /** Change some of it, and show that. */
  update(changes) {
    Object.assign(this, changes);
    this.stop = Math.max(0, Math.min(this.run.stops - 1, this.stop));
    try {
      history.replaceState(null, "", `#${this.address()}`);
    } catch {
      // A page within a notebook has no address of its own.
    }
    for (const show of this.listeners) show(changes);
  }

  /** Take a number apart, and keep the way to it. */
  open(node, kind, index, path = []) {
    const operation = kind === "value" && node.operation ? node : (this.run.parts(node)[0] || {}).by;
    this.update({ selected: { node, kind, index }, path, operation: operation || this.operation });
  }

  /** Go on from the number that is open to one in it. */
  follow(node, kind, index) {
    this.open(node, kind, index, [...this.path, this.selected]);
  }

  address() {
    const parts = [`stop=${this.stop}`];
    if (this.operation) parts.push(`op=${encode(this.operation.name)}`);
    if (this.selected) {
      const { node, kind, index } = this.selected;
      const text = written({ node, kind: "gradient", index });
      parts.push(`${kind === "value" ? "val" : "sel"}=${encode(text)}`);
    }
    if (this.path.length) parts.push(`path=${this.path.map((one) => encode(written(one))).join(";")}`);
    return parts.join("&");
  }

  /** Show what an address says, as far as it can be found. */
  restore(address) {
    const said = Object.fromEntries(
      address.replace(/^#/, "").split("&").map((part) => part.split(/=(.*)/s).slice(0, 2)));
    const changes = {};
    if (/^\d+$/.test(said.stop || "")) changes.stop = Number(said.stop);
    changes.selected = this.find(decode(said.sel || "")) || this.find("=" + decode(said.val || ""));
    changes.path = (said.path || "").split(";").map((one) => this.find(decode(one))).filter(Boolean);
    const node = this.run.byName.get(decode(said.op || ""));
    changes.operation = node && node.operation ? node : null;
    if (!changes.operation && changes.selected) {
      const { node: one, kind } = changes.selected;
      changes.operation = kind === "value" && one.operation ? one : this.run.parts(one)[0]?.by || null;
    }
    this.update(changes);
  }

  /** The number of a text like conv1.weight[1,0,2,2]; with = before it the value, else ∂L/∂. */
  find(text) {
    const match = text.match(/^(=?)(?:∂L\/∂)?(.*?)(?:\[([\d,\s]*)\])?$/s);
    const node = match && this.run.byName.get(match[2]);
    if (!node) return null;
    const index = (match[3] || "").split(",").filter((part) => part.trim()).map(Number);
    const fits = index.length === node.value.shape.length && node.value.offset(index) >= 0;
    const kind = match[1] ? "value" : "gradient";
    return fits && node[kind] ? { node, kind, index } : null;
  }
}

const written = ({ node, kind, index }) =>
  `${kind === "value" ? "=" : ""}${node.name}[${index.join(",")}]`;
const encode = (text) =>
  encodeURIComponent(text.isWellFormed && !text.isWellFormed() ? text.toWellFormed() : text)
    .replaceAll("%5B", "[").replaceAll("%5D", "]").replaceAll("%2C", ",");

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
