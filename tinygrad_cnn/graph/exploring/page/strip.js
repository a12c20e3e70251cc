// The operations in their order: values above, gradients below, parameters at the foot.
import { digits, h, shapeText } from "./elements.js";
import { largest, mapOf, planOf, thumbnail } from "./matrix.js";

const CHANNELS = 8;

export class Strip {
  constructor(state) {
    this.state = state;
    this.pictures = new Map();
    this.element = h("section.strip", { id: "strip", ariaLabel: "operations in order", tabIndex: 0 });
    this.columns = h("ol");
    this.element.append(this.columns);
  }

  forget() {
    this.pictures.clear();
  }

  show() {
    const { run, stop, scale } = this.state;
    if (scale !== this.scale) this.forget();
    this.scale = scale;
    const inputs = run.nodes.filter((node) => node.kind === "input" && node.gradient);
    this.columns.replaceChildren(
      ...inputs.map((node) => this.column(node)), ...run.operations.map((node) => this.column(node)));
    const now = run.operations[stop <= run.operations.length ? stop - 1 : 2 * run.operations.length - stop];
    const column = now && this.columns.querySelector(`[data-place="${now.place}"]`);
    if (column && this.stop !== stop && this.stop !== undefined) {
      const { element } = this;
      element.scrollLeft = column.offsetLeft - (element.clientWidth - column.offsetWidth) / 2;
    }
    this.stop = stop;
  }

  column(node) {
    const { state } = this, { run, operation, stop } = state;
    const n = run.operations.length;
    const busy = node.operation && (stop === node.step + 1 || stop === 2 * n - node.step);
    const open = () => (node.operation ? state.update({ operation: node, selected: null, path: [] })
      : state.open(node, node.gradient ? "gradient" : "value", node.value.shape.map(() => 0)));
    const before = run.operations[node.step - 1];
    const from = (node.inputs || []).map((input) => run.nodes[input.node])
      .filter((one) => one && one !== before && (one.operation || one.gradient) && one.kind !== "parameter" && node.step);
    const path = [...state.path, state.selected].filter(Boolean);
    const classes = ["column", busy ? "busy" : "", operation === node ? "open" : "",
      path.some((one) => one.node === node) ? "path" : ""];
    return h("li", { className: classes.filter(Boolean).join(" "), "data-place": node.place },
      h("button.head", { onclick: open, title: node.where || "" }, h("b", node.name), h("span.quiet", node.operation || node.kind),
        h("span.quiet", shapeText(node.value.shape))),
      from.length ? h("div.from", from.map((one) => `← ${one.name}`).join(", ")) : null,
      h("div.half", { title: "value" }, this.maps(node, "value", open)),
      node.gradient ? h("div.half", { title: "gradient" }, this.maps(node, "gradient", open)) : null,
      this.parameters(node, open));
  }

  parameters(node, open) {
    const { run } = this.state;
    const all = (node.inputs || []).filter((input) => {
      const one = input.node !== null && run.nodes[input.node];
      return one && !one.operation && (one.kind === "parameter" || !one.gradient);
    });
    return h("div.foot", all.map((input) => {
      const one = run.nodes[input.node];
      return h("div", h("span.quiet", input.name), this.maps(one, "value", open, 4, node), one.gradient ? this.maps(one, "gradient", open, 4, node) : null);
    }));
  }

  /** Small pictures of the first maps; hatched where they are not known. */
  maps(node, kind, open, count = CHANNELS, of = node) {
    const { run, stop } = this.state;
    const tensor = run.known(node, kind, stop);
    const plan = planOf(node.value.shape);
    const total = plan.lead.reduce((a, b) => a * b, 1), shown = Math.min(total, count);
    const word = kind === "gradient" ? `∂L/∂${node.name}` : node.name;
    if (node.value.values.length === 1) {
      return h("div.maps", h("span", { className: tensor ? "one" : "one unknown" }, tensor ? digits(tensor.values[0], 4) : "not yet"));
    }
    const pictures = [];
    for (let map = 0; map < shown; map++) pictures.push(tensor ? this.picture(node, kind, tensor, plan, map, of) : h("span.unknown"));
    const more = total > shown ? h("span.quiet", `+${total - shown}`) : null;
    const { known, all } = run.knownParts(node, stop);
    const some = kind === "gradient" && known && known < all ? h("span.quiet", `${known} of ${all}`) : null;
    const state = tensor ? "" : ", not yet";
    return h("div.maps", { role: "img", ariaLabel: `${word}, ${shapeText(node.value.shape)}${state}`, onclick: open }, pictures, more, some);
  }

  /** A picture, made once for each column that has it. */
  picture(node, kind, tensor, plan, map, of) {
    const key = `${of.place} ${node.place} ${kind} ${map}`;
    const whole = tensor === node[kind];
    if (whole && this.pictures.has(key)) return this.pictures.get(key);
    const made = thumbnail(tensor, plan, map, this.most(node, kind, tensor, plan, map));
    if (whole) this.pictures.set(key, made);
    return made;
  }

  most(node, kind, tensor, plan, map) {
    if (this.scale === "map") return largest(mapOf(tensor, plan, map));
    if (this.scale === "layer") return largest(tensor.values);
    this.all ??= {};
    this.all[kind] ??= Math.max(...this.state.run.operations.map((one) => (one[kind] ? largest(one[kind].values) : 0)));
    return this.all[kind];
  }
}
