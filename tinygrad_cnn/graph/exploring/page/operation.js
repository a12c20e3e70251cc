// An operation, opened: its arrays and their gradients, with one cursor for all.
import { digits, entriesOf, entryName, expressionView, formulaView, h, plural, shapeText } from "./elements.js";
import { Matrix } from "./matrix.js";
import { nameOf, partsOf, target } from "./number.js";
import { termsOf } from "./formula.js";

export class OperationPanel {
  constructor(state) {
    this.state = state;
    this.element = h("section.operation", { id: "operation", ariaLabel: "operation", hidden: true });
  }

  show() {
    const { run, operation, stop, selected } = this.state;
    this.element.hidden = !operation;
    if (!operation) return;
    // Built anew only where another stop knows more of it, or less.
    const nodes = operation.inputs.filter((input) => input.node !== null).map((input) => run.nodes[input.node]);
    const known = (node) => [run.knowsValue(node, stop), run.knownParts(node, stop).known];
    const key = String([operation.place, ...[operation, ...nodes].map(known)]);
    if (key !== this.key) this.build();
    this.key = key;
    if (selected) this.point(selected);
  }

  build() {
    const { state } = this, { run, operation, stop } = state;
    const step = (by) => () => state.update({ operation: run.operations[operation.step + by] });
    const attributes = Object.entries(operation.attributes).map(([n, v]) => `${n} = ${v}`).join(", ");
    this.heading = h("h2", operation.name, " ", h("span.quiet", operation.operation));
    this.formula = h("div.live");
    this.said = h("p.said", { role: "status" }, "Move over a matrix, or use the arrow keys in it. A click or Enter takes a number apart.");
    this.matrices = [];
    const forward = [], backward = [];
    for (const input of operation.inputs) {
      if (input.node === null) continue;
      const node = run.nodes[input.node];
      forward.push(this.matrix(input.name, node, "value", input.name));
      if (input.asked && node.gradient) backward.push(this.matrix(`∂L/∂${input.name}`, node, "gradient", input.name));
    }
    forward.push(this.matrix("y", operation, "value", "y"));
    if (operation.gradient) backward.unshift(this.matrix("g", operation, "gradient", "g"));
    this.element.replaceChildren(
      h("header", h("button", { onclick: step(-1), disabled: !operation.step, ariaLabel: "the operation before" }, "←"), this.heading,
        h("button", { onclick: step(1), disabled: operation.step === run.operations.length - 1, ariaLabel: "the operation after" }, "→"),
        h("span.quiet", [attributes, operation.where].filter(Boolean).join(" · ")),
        h("button.close", { onclick: () => state.update({ operation: null, selected: null, path: [] }), ariaLabel: "close" }, "×")),
      this.formula, this.said,
      h("div.sides", h("div", h("h3", "forward"), h("div.matrices", forward)), h("div", h("h3", "backward"), h("div.matrices", backward))));
    this.setFormula("y");
  }

  matrix(label, node, kind, letter) {
    const { run, stop } = this.state;
    const made = new Matrix({
      label, shape: node.value.shape, tensor: run.known(node, kind, stop),
      title: letter === "g" ? "∂L/∂y" : kind === "gradient" ? `∂L/∂${node.name}` : node.name,
      onCursor: (index, from) => this.look(node, kind, index, from),
      onOpen: (index) => this.state.open(node, kind, index),
    });
    Object.assign(made, { node, kind, letter });
    this.matrices.push(made);
    return made.element;
  }

  /** The formula that is looked at: of y, or of the gradient of an input. */
  setFormula(name) {
    const { operation } = this.state, formula = operation.formulas[name];
    if (this.shown === formula && formula) return;
    this.shown = formula;
    this.formula.replaceChildren(formula ? formulaView(formula, name !== "y") : h("div.formula", operation.said[name] || operation.said.y || ""));
    for (const one of this.matrices) {
      const letter = one.kind === "gradient" && one.letter !== "g" ? null : one.letter;
      const entry = formula && (letter ? entriesOf(formula, letter)[0] : name === one.letter ? formula.left : null);
      const name_ = entry && !operation.row_major ? expressionView(entry) : h("b", one.label);
      one.caption.replaceChildren(...(entry && !letter ? ["∂L/∂"] : []), name_, " ", h("span.quiet", one.title));
    }
  }

  /** Put the cursor on an entry; what it is made of lights up everywhere. */
  look(node, kind, index, from) {
    const { state } = this, { run, operation } = state;
    const asGradient = from.letter !== "y" && from.letter !== "g";
    const name = asGradient ? from.letter : "y";
    this.setFormula(name);
    const formula = operation.formulas[name];
    const at = operation.row_major ? [node.value.offset(index)] : index;
    const terms = formula ? termsOf(formula, run.arraysOf(operation), at) : [];
    const marks = new Map(this.matrices.map((one) => [one, []]));
    for (const term of terms) {
      for (const ref of term.refs) {
        const to = target(run, operation, ref);
        if (!to) continue;
        for (const one of this.matrices) {
          const same = one.node === to.node && one.kind === to.kind;
          // Where y is used, its place stands for g as well, and the other way round.
          const pair = asGradient && one.node === operation && to.node === operation;
          const won = !term.chosen || term.won || one.kind === "value";
          if ((same || pair) && won) marks.get(one).push(to.index);
        }
      }
    }
    for (const one of this.matrices) {
      const same = one.node === node && one.plan.size === from.plan.size;
      if (same) one.show(index);
      one.mark(marks.get(one), same);
    }
    const tensor = run.known(node, kind, state.stop);
    const value = tensor ? ` = ${digits(tensor.at(index), 4)}` : " is not known yet";
    const word = terms.some((term) => term.chosen) ? "the largest of" : "the sum of";
    const count = terms.some((term) => term.chosen) ? plural(terms.length, "candidate") : plural(terms.length, "term");
    const made = formula && (asGradient ? kind === "gradient" : kind === "value") ? `: ${word} ${count}` : "";
    this.said.textContent = `${from.letter === "g" ? "g = " : ""}${entryName(`${kind === "gradient" ? "∂L/∂" : ""}${node.name}`, index)}${value}${made}`;
  }

  /** Show the number that is taken apart, if it is one of these. */
  point({ node, kind, index }) {
    const found = this.matrices.find((one) => one.node === node && one.kind === kind && one.letter !== "g")
      || this.matrices.find((one) => one.node === node && one.kind === kind);
    if (!found) return;
    found.show(index);
    this.look(node, kind, index, found);
  }
}
